#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Collects what a test guest is made of - QEMU, a kernel, busybox, lspci - in one
# folder.  Packages are unpacked there, none is installed: a machine's own QEMU and
# kernel are often too old (vfio-user and SR-IOV need a recent QEMU), and a test
# should not change the machine it runs on.

set -euo pipefail

usage() {
    cat <<'TEXT'
usage: guest-kit.sh DIR [ARCH...]

Fills DIR with a guest kit for each ARCH (amd64, arm64; default: amd64 only):

  DIR/qemu-system-x86_64, DIR/qemu-system-aarch64   run QEMU out of this folder
  DIR/guest/ARCH/kernel/     an unpacked kernel package (boot/vmlinuz-*, modules)
  DIR/guest/ARCH/busybox/    an unpacked static busybox
  DIR/guest/amd64/tools/     lspci, setpci, pci.ids and the libraries they need

Needs an amd64 Debian host whose apt works; the mirror is the one apt uses already.
About 360 MB on disk for one ARCH.  Does nothing when DIR already has the kit.

environment: BERTH_KIT_SUITE   Debian suite for the guest (default: trixie);
                               QEMU comes from its backports
             BERTH_KIT_KEYRING keyring which signs the suite
TEXT
}

fail() { echo "guest-kit: $*" >&2; exit 1; }

case ${1:-} in
    -h|--help) usage; exit 0 ;;
    '') usage >&2; exit 2 ;;
esac
kit=$(realpath -m -- "$1")
shift
[ $# -gt 0 ] || set -- amd64
for arch in "$@"; do
    case $arch in amd64|arm64) ;; *) fail "no such ARCH: $arch" ;; esac
done
# The unpacked QEMU and lspci are amd64 programs that this host has to run.
[ "$(dpkg --print-architecture)" = amd64 ] || fail "needs an amd64 host"

todo=()
for arch in "$@"; do
    [ -e "$kit/guest/$arch/complete" ] || todo+=("$arch")
done
[ ${#todo[@]} -gt 0 ] || { echo "guest-kit: $kit is complete"; exit 0; }

suite=${BERTH_KIT_SUITE:-trixie}
keyring=${BERTH_KIT_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
[ -r "$keyring" ] || fail "cannot read the keyring $keyring"

# Ask apt which archives it fetches package lists from; a Debian main archive (not
# the security one, which has no backports) ends in /debian.  The $() is for apt.
mirror=
# shellcheck disable=SC2016
while read -r uri; do
    uri=${uri%%/}
    case $uri in */debian) mirror=$uri; break ;; esac
done < <(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | sort -u)
[ -n "$mirror" ] || fail "apt is not set up with a Debian archive on this machine"

# A private apt world: its own lists, cache and an empty list of installed packages,
# so that dependencies resolve to a complete set and not to what this host lacks.
world=$kit/.apt
mkdir -p "$world/lists/partial" "$world/archives/partial" "$world/none"
: >"$world/status"
printf 'deb [signed-by=%s] %s %s main\n' \
    "$keyring" "$mirror" "$suite" \
    "$keyring" "$mirror" "$suite-backports" >"$world/sources.list"
cat >"$world/conf" <<CONF
Dir::State::status "$world/status";
Dir::State::Lists "$world/lists";
Dir::Cache "$world";
Dir::Cache::archives "$world/archives";
Dir::Etc::sourcelist "$world/sources.list";
Dir::Etc::sourceparts "$world/none";
Dir::Etc::preferences "$world/none";
Dir::Etc::preferencesparts "$world/none";
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Install-Recommends "no";
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
# The host's own configuration is read first (a proxy may be set there); ours wins.
private() { local tool=$1; shift; APT_CONFIG=$world/conf "$tool" -qq "$@"; }

# unpack_closure FOLDER [-t SUITE] PACKAGE...: the packages with all they depend on.
unpack_closure() {
    local into=$1 deb
    shift
    rm -rf -- "$into"
    mkdir -p "$into"
    rm -f -- "$world"/archives/*.deb
    private apt-get install -y --download-only "$@" >/dev/null
    for deb in "$world"/archives/*.deb; do
        dpkg-deb -x "$deb" "$into"
        rm -f -- "$deb"
    done
}

# unpack_alone FOLDER PACKAGE: one package without dependencies (a kernel's would
# pull in a whole boot set-up).
unpack_alone() {
    local into=$1 package=$2 tmp
    rm -rf -- "$into"
    mkdir -p "$into"
    tmp=$(mktemp -d "$kit/.get.XXXXXX")
    (cd "$tmp" && private apt-get download "$package" >/dev/null)
    dpkg-deb -x "$tmp"/*.deb "$into"
    rm -rf -- "$tmp"
}

# A launcher which finds its folder at run time, so that a kit can be moved.  The
# loader is named explicitly because the host's libraries are of another release.
write_launcher() {
    local name=$1
    cat >"$kit/$name" <<LAUNCH
#!/bin/sh
root=\$(dirname -- "\$(readlink -f -- "\$0")")/qemu/$name
lib=\$root/usr/lib/x86_64-linux-gnu
QEMU_MODULE_DIR=\$lib/qemu; export QEMU_MODULE_DIR
exec "\$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "\$lib:\$lib/pulseaudio" \\
    "\$root/usr/bin/$name" -L "\$root/usr/share/qemu" -L "\$root/usr/share/seabios" \\
    -L "\$root/usr/lib/ipxe/qemu" "\$@"
LAUNCH
    chmod 755 "$kit/$name"
}

private apt-get update

for arch in "${todo[@]}"; do
    case $arch in
        amd64) package=qemu-system-x86 program=qemu-system-x86_64 ;;
        arm64) package=qemu-system-arm program=qemu-system-aarch64 ;;
    esac
    echo "guest-kit: $program"
    unpack_closure "$kit/qemu/$program" -t "$suite-backports" "$package"
    write_launcher "$program"

    # Backports have the lower priority, so the candidate is the stable kernel.
    image=$(private apt-cache --no-all-versions show "linux-image-$arch:$arch" |
        sed -n "s/^Depends:.*\(linux-image-[0-9][^ ,]*-$arch\).*/\1/p" | head -n1)
    [ -n "$image" ] || fail "$suite has no kernel for $arch"
    echo "guest-kit: $image"
    unpack_alone "$kit/guest/$arch/kernel" "$image:$arch"
    unpack_alone "$kit/guest/$arch/busybox" "busybox-static:$arch"
    if [ "$arch" = amd64 ]; then
        unpack_closure "$kit/guest/amd64/tools" pciutils pci.ids
    fi
    "$kit/$program" --version | head -n1
    : >"$kit/guest/$arch/complete"
done
