#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each public header compiles alone: as C11 and C++17, with gcc and clang, on an operating system
# and without one. Included twice, it does no harm either. (The typedef
# behind it is for a header of macros alone: ISO C wants a declaration.)

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need gcc clang g++ clang++

warnings=(-pedantic -Wall -Wextra -Wshadow -Wundef -Wcast-qual -Werror)
languages=(
    'gcc -x c -std=c11 -Wstrict-prototypes'
    'clang -x c -std=c11 -Wstrict-prototypes'
    'g++ -x c++ -std=c++17'
    'clang++ -x c++ -std=c++17'
)

check() {
    local header language environment words options
    for header in "${headers[@]}"; do
        for language in "${languages[@]}"; do
            read -ra words <<<"$language"
            for environment in hosted freestanding; do
                options=("${warnings[@]}")
                [ "$environment" = hosted ] || options+=(-ffreestanding)
                printf '#include <%s>\n' "${header#include/}" "${header#include/}" |
                    sed '$a typedef int not_empty;' |
                    "${words[@]}" "${options[@]}" -Iinclude -fsyntax-only - 2>&1 ||
                    echo "$header:1: does not compile alone: $language $environment"
            done
        done
    done
}

mapfile -t headers < <(project_files 'include/*.h')
complaints=$(check)
conclude ${#headers[@]} 'public headers' "$complaints"
