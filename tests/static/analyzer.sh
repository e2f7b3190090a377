#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gcc's analyzer follows every path through a file, with the debug checks in: no leak, no use after
# free, no NULL or uninitialised value used, no double close.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need gcc

# Versions disagree about what they are wrong about; this is the one that the exceptions are for.
version=12
[[ $(gcc -dumpversion) == "$version"* ]] || skip "needs gcc $version"

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# What it is wrong about: file, rule. Each with the reason; one that it does not find any more has
# to go.
exceptions=(
    # What is allocated belongs to an element of a table, and sim_destroy() frees it there; gcc
    # loses sight of a pointer in an array that it does not know the size of.
    'host/sim/build.c -Wanalyzer-malloc-leak'
    'host/sim/sriov.c -Wanalyzer-malloc-leak'
    # tsearch(3) keeps the entry, and gcc has not heard of it.
    'front/control/names.c -Wanalyzer-malloc-leak'
    # The list has it, which is the caller's.
    'tools/berth/serve.c -Wanalyzer-malloc-leak'
)

# analyze FILE: one line for each complaint, to a file of its own.
analyze() {
    gcc -std=gnu11 -O1 -D_GNU_SOURCE -DBERTH_CHECKS=1 -DBERTH_MEMBARRIER=1 \
        '-DBERTH_VERSION="0"' '-DBERTH_DATADIR="/"' -Iinclude -I. -Iport/posix -Iport/bare \
        -fanalyzer -fanalyzer-verbosity=0 -fdiagnostics-plain-output -c "$1" -o /dev/null 2>&1 |
        awk -v file="$1" '
            sub(/: (warning|(fatal )?error): /, ": ") {
                if (!/^[^: ]+:[0-9]/) $0 = file ":1: " $0
                print
            }'
}

check() {
    local file exception said
    # shellcheck disable=SC2016  # it is for the other shell
    printf '%s\n' "${files[@]}" |
        xargs -P 2 -I {} bash -c 'analyze "$1" >"$2/${1//\//_}"' - {} "$scratch"
    said=$(cat "$scratch"/*)
    for exception in "${exceptions[@]}"; do
        file=${exception% *}
        [ -f "$file" ] || continue
        grep -q "^$file:.*\[${exception#* }\]" <<<"$said" ||
            echo "$file:1: needs no exception from ${exception#* } any more"
        said=$(grep -v "^$file:.*\[${exception#* }\]" <<<"$said" || true)
    done
    [ -z "$said" ] || printf '%s\n' "$said"
}

export -f analyze
mapfile -t files < <(project_files 'src/*.c' 'port/posix/*.c' 'host/*.c' 'front/*.c' 'tools/*.c')
[ ${#files[@]} -gt 0 ] || conclude 0 'C files' ''
complaints=$(check)
conclude ${#files[@]} 'C files' "$complaints"
