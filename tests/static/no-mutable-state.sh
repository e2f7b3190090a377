#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The core keeps everything in the machine that it is given: its object files have no variable. Two
# machines in one process share nothing, and a hypervisor can put the core's code and tables into
# read-only memory.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need gcc nm objdump

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# Sections of an object file that are written at run time. .data.rel.ro is not among them: constant
# tables of pointers, read-only once the program is loaded.
mutable='^([.](data|bss|tdata|tbss|sdata|sbss)([.].*)?|[*]COM[*])$'
# And those with code for before main() or after it, which a core without variables has no use for.
early='[.](preinit_array|init_array|fini_array|ctors|dtors)([.].*)?'

check() {
    local file checks
    for file in "${files[@]}"; do
        for checks in -UBERTH_CHECKS -DBERTH_CHECKS=1; do
            gcc -std=gnu11 -O1 -g -ffreestanding -fno-common "$checks" -Iinclude -I. -Iport/bare \
                -c "$file" -o "$scratch/object.o" 2>&1 || { echo "$file:1: does not compile"; break; }
            nm -l -f sysv "$scratch/object.o" |
                awk -F'|' -v file="$file" -v mutable="$mutable" -v root="$PWD/" '
                    function trim(s) { gsub(/^[ ]+|[ ]+$/, "", s); return s }
                    NF >= 7 {
                        split(trim($7), where, "\t")
                        section = trim(where[1]); place = where[2]
                        sub("^" root, "", place)
                        if (section !~ mutable || section ~ /^\.data\.rel\.ro/ ||
                            trim($4) == "SECTION")
                            next
                        printf "%s: mutable state in the core: %s in %s\n",
                            place != "" ? place : file ":1", trim($1), section
                    }'
            objdump -h "$scratch/object.o" | { grep -owE -- "$early" || true; } |
                sed "s|^|$file:1: code outside of calls in the core: |"
        done
    done | sort -u
}

mapfile -t files < <(project_files 'src/*.c')
complaints=$(check)
conclude ${#files[@]} 'object files' "$complaints"
