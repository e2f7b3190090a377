#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The documents are true where a script can tell: links lead to files that exist, and the examples
# in C compile against the public headers.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need gcc

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

check_links() {
    local line target
    { grep -noE '\]\([^)# ]+' "$1" || true; } | while IFS=: read -r line target; do
        target=${target#*(}
        case $target in
            *:*) ;;
            *) [ -e "$(dirname -- "$1")/$target" ] || echo "$1:$line: dead link: $target" ;;
        esac
    done
}

# Each block of C becomes a file, with its own lines where they were, for the compiler's messages.
check_examples() {
    rm -f "$scratch"/*.c
    awk -v folder="$scratch" '
        /^```c$/ { inside = 1; out = folder "/" NR ".c"; print "#line " NR + 1 > out; next }
        /^```$/ { inside = 0 }
        inside { print > out }' "$1"
    for example in "$scratch"/*.c; do
        [ -e "$example" ] || continue
        gcc -std=gnu11 -Wall -Wextra -Werror -Wno-unused -Iinclude -I. -fsyntax-only -x c - \
            <"$example" 2>&1 | sed -E "s|^<stdin>|$1|"
    done
}

check() {
    local file
    for file in "${files[@]}"; do
        check_links "$file"
        check_examples "$file" || true
    done
}

mapfile -t files < <(project_files '*.md')
complaints=$(check)
conclude ${#files[@]} documents "$complaints"
