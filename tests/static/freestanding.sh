#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The core needs no operating system and no C library. It compiles with the compiler's own headers
# for each processor, and what it leaves undefined is four functions and the port's own.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# Name, compiler, linker, nm, and options: no code that the C library or libgcc would have to bring
# along, and no floating point or vector registers, which belong to the guest.
targets() {
    cat <<'TEXT'
x86_64-gcc    gcc                     ld                     -mgeneral-regs-only
x86_64-clang  clang                   ld                     -mgeneral-regs-only
aarch64       aarch64-linux-gnu-gcc   aarch64-linux-gnu-ld   -mgeneral-regs-only -mno-outline-atomics
riscv64       riscv64-linux-gnu-gcc   riscv64-linux-gnu-ld   -march=rv64gc -mabi=lp64d
TEXT
}

flags=(-std=gnu11 -O2 -Wall -Wextra -Wno-missing-field-initializers -Werror -ffreestanding
       -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables
       -nostdinc -Iinclude -I. -Iport/bare)

need gcc clang aarch64-linux-gnu-gcc riscv64-linux-gnu-gcc nm ld
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

check_target() {
    local target="$1 $4" compiler=$2 linker=$3 folder=$scratch/$1$4 options file objects=()
    read -ra options <<<"$5"
    options+=("${flags[@]}" -isystem "$("$compiler" -print-file-name=include)" "$4")
    for file in "${files[@]}"; do
        mkdir -p "$folder/${file%/*}"
        if ! "$compiler" "${options[@]}" -c "$file" -o "$folder/$file.o" 2>&1; then
            echo "$file:1: does not compile freestanding for $target"
            return
        fi
        objects+=("$folder/$file.o")
    done
    "$linker" -r -o "$folder/core" "${objects[@]}" 2>&1
    undefined "$target" "$folder"
}

# undefined TARGET FOLDER: what the linked core asks for, and which file of it does.
undefined() {
    local symbol file
    nm -u "$2/core" | awk '{ print $NF }' | sort -u |
        { grep -vxE 'memcpy|memset|memmove|memcmp|port_[a-z0-9_]+' || true; } |
        while IFS= read -r symbol; do
            for file in "${files[@]}"; do
                ! nm -u "$2/$file.o" | awk '{ print $NF }' | grep -qxF -- "$symbol" ||
                    echo "$file:1: undefined symbol for $1: $symbol"
            done
        done
}

check() {
    local target compiler linker options checks
    [ -f port/bare/berth_port.h ] || echo "port/bare/berth_port.h:1: missing: the freestanding port"
    while read -r target compiler linker options; do
        for checks in -UBERTH_CHECKS -DBERTH_CHECKS=1; do
            check_target "$target" "$compiler" "$linker" "$checks" "$options" \
                >"$scratch/said$checks" &
        done
        wait
        cat "$scratch"/said*
    done < <(targets)
}

mapfile -t files < <(project_files 'src/*.c')
[ ${#files[@]} -gt 0 ] || conclude 0 'core files' ''
complaints=$(check)
conclude ${#files[@]} 'core files, for 4 targets, with and without debug checks,' "$complaints"
