#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Makes the machine capture data/machines/q35.*: boots Linux on an emulated q35
# machine with a rich PCI tree, and takes down what lspci and sysfs say there.

set -euo pipefail

usage() {
    cat <<'TEXT'
usage: capture-q35.sh OUTDIR [KIT]

Writes OUTDIR/q35.txt   lspci -D -xxxx: every function's configuration space
       OUTDIR/q35.meta  BAR places and sizes, NUMA nodes, IOMMU groups, drivers
KIT is a guest kit, filled by guest-kit.sh if it is not there yet; without KIT a
temporary one is made and thrown away (about 360 MB).

The machine is wholly emulated: no KVM, and no PCI device of the host is touched.
Needs what guest-kit.sh and mkinitramfs.sh need.
TEXT
}

fail() { echo "capture-q35: $*" >&2; exit 1; }

case ${1:-} in
    -h|--help) usage; exit 0 ;;
    '') usage >&2; exit 2 ;;
esac
[ $# -le 2 ] || { usage >&2; exit 2; }

here=$(dirname -- "$(readlink -f -- "$0")")
out=$(realpath -m -- "$1")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
kit=$(realpath -m -- "${2:-$work/kit}")
"$here/guest-kit.sh" "$kit" amd64
qemu=$kit/qemu-system-x86_64
version=$("$qemu" --version | sed -n '1s/.*version \([^ ]*\).*/\1/p')

# ---- what the guest does ------------------------------------------------------

cat >"$work/guest" <<'GUEST'
set -eu
sys=/sys/bus/pci/devices

die() { echo "guest: $*"; exit 1; }

# wait_for NAME...: until each of these functions has a driver.  Probing goes on in
# the background, and an emulated processor takes its time.
wait_for() {
    local name tries=0
    for name; do
        until [ -e "$sys/$name/driver" ]; do
            tries=$((tries + 1))
            [ "$tries" -lt 300 ] || die "no driver took $name"
            sleep 0.1
        done
    done
}

for module in nvme igb igbvf e1000e e1000 virtio_net virtio_blk xhci_pci ahci \
              i2c_i801 lpc_ich; do
    modprobe "$module" || die "modprobe $module"
done
wait_for 0000:01:00.0 0000:02:00.0 0000:03:00.0 0000:04:00.0 0000:05:00.0 \
         0000:08:00.0 0000:09:00.0 0000:0a:00.0 0000:0b:00.0 0000:0b:00.1 \
         0000:0d:01.0 0000:81:00.0 0000:00:1f.2

echo 3 >"$sys/0000:01:00.0/sriov_numvfs" || die "no VFs"
wait_for 0000:01:10.0 0000:01:10.2 0000:01:10.4

# Users of the capture count on these two.
[ "$(cat "$sys/0000:03:00.0/class")" = 0x010802 ] || die "03:00.0 is no nvme"
case $(cat "$sys/0000:03:00.0/reset_method") in
    *flr*) ;;
    *) die "03:00.0 cannot do a function level reset" ;;
esac

mkdir /out
lspci -D -xxxx >/out/q35.txt

# Lines of the resource file: 0-5 the BARs, 6 the ROM, 7-12 the VFs' BARs (all of
# them together), then windows.  A 64-bit BAR leaves the next line zero.
facts() {
    local dev=$1 line=0 total=0 start end flags size
    printf ' numa_node=%d' "$(cat "$dev/numa_node")"
    # TotalVFs out of the capability: sysfs gives what the driver allows, and igb
    # allows one less than the BARs have room for.
    [ ! -e "$dev/sriov_totalvfs" ] ||
        total=$((0x$(setpci -s "${dev##*/}" ECAP0010+0e.w)))
    while read -r start end flags; do
        size=$((end - start + 1))
        if [ $((flags)) -eq 0 ]; then
            :
        elif [ $((flags & 0x20000000)) -ne 0 ]; then
            # The kernel found no address for it: such a capture is no good.
            echo "$dev resource $line has no address" >>/tmp/bad
        elif [ "$line" -le 5 ]; then
            printf ' bar%d=0x%x+0x%x' "$line" "$((start))" "$size"
        elif [ "$line" -eq 6 ]; then
            printf ' rom=0x%x+0x%x' "$((start))" "$size"
        elif [ "$line" -le 12 ] && [ "$total" -gt 0 ]; then
            printf ' vfbar%d=0x%x' "$((line - 7))" "$((size / total))"
        fi
        line=$((line + 1))
    done <"$dev/resource"
    [ ! -e "$dev/iommu_group" ] ||
        printf ' iommu_group=%d' "$(basename "$(readlink "$dev/iommu_group")")"
    [ ! -e "$dev/driver" ] ||
        printf ' driver=%s' "$(basename "$(readlink "$dev/driver")")"
}

{
    echo "# What q35.txt cannot tell; the format is in README.md."
    echo "# QEMU $QEMU_VERSION, Linux $(uname -r), made by scripts/capture-q35.sh"
    for dev in "$sys"/*; do
        printf '%s' "${dev##*/}"
        facts "$dev"
        echo
    done
} >/out/q35.meta
[ ! -e /tmp/bad ] || { cat /tmp/bad; die "unassigned resources"; }

# The block device is the way out: faster than a serial line, and safe for any byte.
tar -c -f /dev/vda -C /out q35.txt q35.meta
sync
GUEST
# The guest has no other way to know which QEMU it runs on.
sed -i "1i QEMU_VERSION=$version" "$work/guest"

modules=()
for name in nvme igb igbvf e1000e e1000 virtio_pci virtio_net virtio_blk xhci_pci \
            ahci i2c_i801 lpc_ich; do
    modules+=(-m "$name")
done
"$here/mkinitramfs.sh" -k "$kit" -o "$work/initrd" -r "$work/guest" "${modules[@]}"

# ---- the machine --------------------------------------------------------------

# Firmware numbers buses depth first, in the order of the slots on bus 0: the bus a
# root port gets depends on all ports before it.  The bus is named at each.
# shellcheck disable=SC2054  # the commas are QEMU's
machine=(
    -M q35,kernel-irqchip=split
    -accel tcg,thread=multi -cpu max -smp 2 -m 1G
    -object memory-backend-ram,id=m0,size=512M
    -object memory-backend-ram,id=m1,size=512M
    -numa node,nodeid=0,cpus=0,memdev=m0
    -numa node,nodeid=1,cpus=1,memdev=m1
    # Slots with native hot-plug, as on real hardware, and not QEMU's ACPI way.
    -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off
    -device intel-iommu,intremap=on,caching-mode=on,device-iotlb=on
)
port=0
# root_port ID ADDR [BUS]: one more PCIe root port; chassis and slot must be unique.
root_port() {
    port=$((port + 1))
    machine+=(-device "pcie-root-port,id=$1,bus=${3:-pcie.0},addr=$2,chassis=$port,slot=$port")
}
device() { machine+=(-device "$1"); }
# nic DEVICE,...: with a fixed address, and a peer which goes nowhere.
nics=0
nic() {
    nics=$((nics + 1))
    machine+=(-netdev "hubport,id=net$nics,hubid=$nics"
              -device "$1,netdev=net$nics,mac=52:54:00:00:00:$(printf %02x $nics)")
}

root_port rp1 0x1                                          # bus 01
nic igb,bus=rp1
root_port rp2 0x2                                          # bus 02
nic igb,bus=rp2
root_port rp3 0x3                                          # bus 03
device nvme,bus=rp3,serial=BERTH0001
root_port rp4 0x4                                          # bus 04
nic virtio-net-pci,bus=rp4,disable-legacy=on,iommu_platform=on,ats=on
root_port rp5 0x5                                          # bus 05
device virtio-blk-pci,bus=rp5,drive=out,disable-legacy=on,iommu_platform=on,ats=on
machine+=(-drive "if=none,id=out,format=raw,file=$work/disk")

root_port rp6 0x6                                          # bus 06: a switch
device x3130-upstream,id=up,bus=rp6                        # bus 07
for n in 0 1 2; do                                         # buses 08, 09, 0a
    port=$((port + 1))
    device "xio3130-downstream,id=down$n,bus=up,addr=$n.0,chassis=$port,slot=$port"
done
device nvme,bus=down0,serial=BERTH0002
nic e1000e,bus=down1
device qemu-xhci,bus=down2

root_port rp7 0x7                                          # bus 0b: two functions
nic e1000e,bus=rp7,addr=0.0,multifunction=on
nic e1000e,bus=rp7,addr=0.1

root_port rp8 0x8                                          # bus 0c: to conventional PCI
device pcie-pci-bridge,id=pci,bus=rp8                      # bus 0d
nic e1000,bus=pci,addr=1.0
device edu,bus=pci,addr=2.0

root_port rp9 0x9                                          # bus 0e: an empty slot

device pxb-pcie,id=far,bus=pcie.0,addr=0xa,bus_nr=0x80,numa_node=1
root_port far1 0x0 far                                     # bus 81
device nvme,bus=far1,serial=BERTH0003

# ---- run ----------------------------------------------------------------------

truncate -s 8M "$work/disk"
kernels=("$kit"/guest/amd64/kernel/boot/vmlinuz-*)
# A run takes about half a minute; a guest that hangs must not hang its caller.
timeout 300 "$qemu" "${machine[@]}" -nodefaults -display none -monitor none \
    -serial stdio -no-reboot -kernel "${kernels[0]}" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 intel_iommu=on" \
    </dev/null >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "QEMU failed"; }
grep -q '^guest: exit 0' "$work/log" || { cat "$work/log" >&2; fail "the guest failed"; }

# The files replace older ones only now that all has gone well.
mkdir -p "$out"
tar -x -f "$work/disk" -C "$out" --no-same-owner --touch q35.txt q35.meta
chmod 644 "$out/q35.txt" "$out/q35.meta"
echo "capture-q35: $(grep -c '^[0-9a-f]\{4\}:' "$out/q35.txt") functions in $out/q35.txt"
