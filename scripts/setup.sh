#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Makes sure that what Berth needs is installed: by itself where it may, otherwise by telling the
# one command to run. Says nothing when nothing is missing.

set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

usage() {
    cat <<'TEXT'
usage: setup.sh [--run|--test]

  --run   what building and running Berth needs (default)
  --test  that, and what the whole test run needs
TEXT
}

# clang's sanitizers are in a package whose name has clang's version in it.
clang_runtime() {
    local release
    release=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") || release=
    case $release in
        bookworm) echo libclang-rt-14-dev ;;
        trixie) echo libclang-rt-19-dev ;;
        *)
            apt-cache depends clang 2>/dev/null |
                sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' | head -n 1
            ;;
    esac
}

# Debian's name of each package, and how to see without dpkg that its content is there.
packages_run() {
    cat <<'TEXT'
gcc               command:gcc
libc6-dev         header:pthread.h
make              command:make
meson             command:meson
ninja-build       command:ninja
pkg-config        command:pkg-config
liburcu-dev       module:liburcu
libuv1-dev        module:libuv
libjansson-dev    module:jansson
libpciaccess-dev  module:pciaccess
pci.ids           file:/usr/share/misc/pci.ids
TEXT
}

packages_test() {
    cat <<TEXT
clang                   command:clang
clang-format            command:clang-format
llvm                    command:llvm-cov
$(clang_runtime)        sanitizer:thread
libcmocka-dev           module:cmocka
g++                     command:g++
gcc-aarch64-linux-gnu   command:aarch64-linux-gnu-gcc
gcc-riscv64-linux-gnu   command:riscv64-linux-gnu-gcc
binutils                command:nm
python3                 command:python3
pciutils                command:lspci
cppcheck                command:cppcheck
coccinelle              command:spatch
shellcheck              command:shellcheck
universal-ctags         command:ctags
TEXT
}

# present KIND:NAME: is it here, whoever installed it?
present() {
    local name=${1#*:}
    case $1 in
        command:*) command -v "$name" ;;
        module:*) pkg-config --exists "$name" ;;
        header:*) echo "#include <$name>" | gcc -E -x c - ;;
        file:*) [ -e "$name" ] || [ -e /usr/share/hwdata/pci.ids ] ;;
        sanitizer:*) echo 'int main(void){}' | clang "-fsanitize=$name" -x c - -o /dev/null ;;
    esac >/dev/null 2>&1
}

# missing LIST: the packages of LIST that are not installed. One question to dpkg for all of them:
# the usual answer is "nothing", and it has to be a quick one.
missing() {
    local installed='' package probe
    if command -v dpkg-query >/dev/null; then
        # shellcheck disable=SC2016,SC2046  # the format is dpkg's; the names are one word each
        installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' \
            $(awk '{print $1}' <<<"$1") 2>/dev/null | sed -n 's/ installed$//p') || true
    fi
    while read -r package probe; do
        grep -qxF -- "$package" <<<"$installed" && continue
        present "$probe" || printf '%s\n' "$package"
    done <<<"$1"
}

# apt_get ARGUMENT...: as root, or as somebody who may become it without being asked for anything.
apt_get() {
    "${become_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Color=0 "$@" </dev/null >&2
}

have_lists() {
    compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

install_packages() {
    if ! have_lists; then
        apt_get update
    elif apt_get install -y --no-install-recommends "$@"; then
        return
    else
        # Old lists name packages that the archive has replaced since.
        apt_get update
    fi
    apt_get install -y --no-install-recommends "$@"
}

list=$(packages_run)
case ${1:---run} in
    --run) ;;
    --test) list+=$'\n'$(packages_test) ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

mapfile -t wanted < <(missing "$list")
[ ${#wanted[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup: this is no Debian, and these (by their Debian names) are missing: ${wanted[*]}" >&2
    # Without the tools of a check that check is skipped; without those of a build nothing works.
    [ -z "$(missing "$(packages_run)")" ] || exit 1
    exit 0
fi

become_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "setup: packages are missing; install them with this command, then try again:" >&2
        echo "    sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends" \
            "${wanted[*]}'" >&2
        exit 1
    fi
    become_root=(sudo -n)
fi

echo "setup: installing ${wanted[*]}" >&2
if ! install_packages "${wanted[@]}"; then
    echo "setup: apt-get could not install them; its messages are above" >&2
    exit 1
fi
