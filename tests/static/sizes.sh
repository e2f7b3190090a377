#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Functions of at most 60 lines, files of at most 500: longer ones are where bugs live. Exceptions
# stand in sizes.allow, with the reason.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need ctags

max_function=60
max_file=500
allow=tests/static/sizes.allow

# excused NAME: sizes.allow has it, and says why.
excused() {
    awk -v name="$1" '$1 == name && NF > 1 { found = 1 } END { exit !found }' "$allow"
}

too_long() {
    local file lines
    for file in "${files[@]}"; do
        lines=$(wc -l <"$file")
        [ "$lines" -le "$max_file" ] || echo "$file $file 1 $lines $max_file"
    done
    ctags -f - --excmd=number --fields=+ne --language-force=C --kinds-C=f "${files[@]}" |
        sed -nE 's/^([^\t]+)\t([^\t]+)\t.*\tline:([0-9]+).*\tend:([0-9]+).*/\2 \1 \3 \4/p' |
        awk -v max="$max_function" '
            $4 - $3 + 1 > max { print $1 ":" $2, $1, $3, $4 - $3 + 1, max }'
}

check() {
    local name file line lines max found
    found=$(too_long)
    while read -r name file line lines max; do
        [ -z "$name" ] || excused "$name" ||
            echo "$file:$line: ${name#"$file":}: $lines lines, at most $max"
    done <<<"$found"
    sed -E '/^(#|$)/d' "$allow" | while read -r name _; do
        awk -v name="$name" '$1 == name { found = 1 } END { exit !found }' <<<"$found" ||
            echo "$allow:1: $name needs no exception any more"
    done
}

mapfile -t files < <(project_files '*.c' '*.h')
[ ${#files[@]} -gt 0 ] || conclude 0 'C files' ''
complaints=$(check)
conclude ${#files[@]} 'C files' "$complaints"
