#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What src/core/guarded.h says about locks holds, as clang's analysis of thread safety sees it: the
# functions as in every build with clang, and the fields that a lock guards.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need clang

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# In C, clang does not know a struct's members while it reads an attribute inside that struct. Here
# each lock that is one gets a struct of its own, which is complete by then, and goes back into its
# place without a name: pcidev.lock is still written so, and GUARDED_BY() has something to refer to.
guard='__attribute__((guarded_by(of##_##lock->lock)))'
member='^ +struct lock [a-z_]+;'

locks_of() {
    awk -v member="$member" '
        /^struct (CAPABILITY.* )?[a-z_]+ \{/ { name = $(NF - 1) }
        $0 ~ member { lock = $3; sub(/;.*/, "", lock); both = name "_" lock
                      print "extern struct " both " { struct lock " lock "; } *" both ";" }' "$@"
}

set_apart() {
    awk -v member="$member" '
        /^struct (CAPABILITY.* )?[a-z_]+ \{/ { name = $(NF - 1) }
        $0 ~ member { lock = $3; sub(/;.*/, "", lock)
                      sub("struct lock " lock ";", "struct " name "_" lock ";") }
        { print }' "$1"
}

# Not precise: of several locks of a kind it can't tell which one a local variable stands for.
options=(-std=gnu11 -fsyntax-only -ffreestanding -fms-extensions -Wno-microsoft-anon-tag
         -Wthread-safety -Wno-thread-safety-precise "-DGUARDED_BY(of, lock)=$guard"
         -I"$scratch" -Iinclude -I. -Iport/bare -include "$scratch/locks.h")

check() {
    local file checks
    for file in "${sources[@]}"; do
        mkdir -p "$scratch/${file%/*}"
        set_apart "$file" >"$scratch/$file"
    done
    { echo '#include "src/core/lock.h"'; locks_of "${sources[@]}"; } >"$scratch/locks.h"
    for file in "${files[@]}"; do
        for checks in 0 1; do
            clang "${options[@]}" -DBERTH_CHECKS="$checks" "$scratch/$file" 2>&1 || true
        done
    done | sed -nE "s,^$scratch/(.*: )(warning|(fatal )?error): ,\1,p" | sort -u
}

mapfile -t files < <(project_files 'src/*.c')
mapfile -t sources < <(project_files 'src/*.c' 'src/*.h')
[ ${#files[@]} -gt 0 ] || conclude 0 'core files' ''
complaints=$(check)
conclude ${#files[@]} 'core files' "$complaints"
