#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Packs an initramfs for a test guest out of a guest kit (guest-kit.sh).

set -euo pipefail

usage() {
    cat <<'TEXT'
usage: mkinitramfs.sh -k KIT -o OUT -r SCRIPT [-a ARCH] [-m MODULE]... [-f FILE=PATH]...

  -k KIT        folder made by guest-kit.sh
  -o OUT        the initramfs to write (cpio, gzip)
  -r SCRIPT     shell script the guest runs once /proc, /sys and /dev are there;
                the guest prints "guest: exit N" when it ends, and powers off
  -a ARCH       amd64 (default; has lspci, setpci and pci.ids too) or arm64
  -m MODULE     take this kernel module and those it depends on along; loading
                them is up to SCRIPT (modprobe)
  -f FILE=PATH  put the host's FILE at the guest's PATH

Needs cpio, kmod, gzip and xz.
TEXT
}

fail() { echo "mkinitramfs: $*" >&2; exit 1; }

kit='' out='' script='' arch=amd64 modules=() files=()
while getopts 'k:o:r:a:m:f:h' option; do
    case $option in
        k) kit=$(realpath -- "$OPTARG") ;;
        o) out=$(realpath -m -- "$OPTARG") ;;
        r) script=$OPTARG ;;
        a) arch=$OPTARG ;;
        m) modules+=("$OPTARG") ;;
        f) files+=("$OPTARG") ;;
        h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
if [ -z "$kit" ] || [ -z "$out" ] || [ -z "$script" ]; then
    usage >&2
    exit 2
fi
source=$kit/guest/$arch
[ -e "$source/complete" ] || fail "$kit has no $arch guest; see guest-kit.sh"
PATH=$PATH:/usr/sbin:/sbin   # where kmod's tools are, not in every user's PATH
for tool in cpio depmod modprobe gzip xz; do
    command -v "$tool" >/dev/null || fail "needs $tool"
done

root=$(mktemp -d)
trap 'rm -rf -- "$root"' EXIT
mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp}
install -m 755 "$source/busybox/usr/bin/busybox" "$root/bin/busybox"
install -m 755 "$script" "$root/run"

# busybox makes its own links in the guest: the host may be unable to run it to ask
# for its list of programs.  A failing SCRIPT must still end the guest, or the host
# would wait for its time-out.
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
export PATH=/bin HOME=/root
/bin/sh /run
echo "guest: exit $?"
poweroff -f
INIT
chmod 755 "$root/init"

if [ "$arch" = amd64 ]; then
    tools=$source/tools
    libraries=$tools/usr/lib/x86_64-linux-gnu
    loader=$tools/usr/lib64/ld-linux-x86-64.so.2
    mkdir -p "$root"/{lib64,usr/lib/x86_64-linux-gnu,usr/share/misc}
    install -m 755 "$loader" "$root/lib64/"
    for name in lspci setpci; do
        program=$(find "$tools/usr" -type f -name "$name" -path '*bin/*' -print -quit)
        [ -n "$program" ] || fail "the kit has no $name"
        install -m 755 "$program" "$root/bin/"
        # The loader itself says which libraries the program needs, in any release.
        "$loader" --library-path "$libraries" --list "$program" |
            awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
            while read -r library; do
                cp -L -- "$library" "$root/usr/lib/x86_64-linux-gnu/"
            done
    done
    ln -s usr/lib "$root/lib"
    cp -L -- "$tools/usr/share/misc/pci.ids" "$root/usr/share/misc/"
else
    mkdir -p "$root/usr/lib"
    ln -s usr/lib "$root/lib"
fi

if [ ${#modules[@]} -gt 0 ]; then
    kernel=$source/kernel
    # modprobe and depmod look for lib/modules below their base folder.
    [ -e "$kernel/lib" ] || ln -s usr/lib "$kernel/lib"
    releases=("$kernel"/lib/modules/*)
    [ ${#releases[@]} -eq 1 ] || fail "$kernel has more than one set of modules"
    release=${releases[0]##*/}
    [ -e "${releases[0]}/modules.dep" ] || depmod -b "$kernel" "$release"
    target=$root/usr/lib/modules/$release
    mkdir -p "$target"
    # One request per module: --show-depends takes options after the first name.  A
    # module which is not there must fail here and not in the guest.
    for module in "${modules[@]}"; do
        modprobe -d "$kernel" -S "$release" --show-depends "$module" >>"$root/wanted" ||
            fail "no module $module in $release"
    done
    awk '$1 == "insmod" { print $2 }' "$root/wanted" | sort -u | while read -r file; do
        inside=${file#*"/modules/$release/"}
        mkdir -p "$target/${inside%/*}"
        # busybox loads plain modules only.
        case $inside in
            *.xz) xz -dc -- "$file" >"$target/${inside%.xz}" ;;
            *.ko) cp -- "$file" "$target/$inside" ;;
            *) fail "cannot unpack $file" ;;
        esac
    done
    rm -f -- "$root/wanted"
    for list in modules.order modules.builtin modules.builtin.modinfo; do
        cp -- "${releases[0]}/$list" "$target/"
    done
    depmod -b "$root" "$release"
fi

for file in "${files[@]+"${files[@]}"}"; do
    case $file in *=*) ;; *) fail "-f wants FILE=PATH: $file" ;; esac
    mkdir -p "$root/$(dirname -- "${file#*=}")"
    cp -L -- "${file%%=*}" "$root/${file#*=}"
done

(cd "$root" && find . -print | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) |
    gzip -1 >"$out"
