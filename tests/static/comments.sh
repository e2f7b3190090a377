#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each function of a public header is documented: it stands behind a comment, itself or with its
# group (declarations without an empty line between them), and the comment says in which context
# the function may be called.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need ctags

# check_file FILE: ctags tells in which lines the functions are.
check_file() {
    ctags -f - --excmd=number --fields=+n --language-force=C --kinds-C=pf "$1" |
        sed -nE 's/^([^\t]+)\t.*\tline:([0-9]+).*/\2 \1/p' |
        awk -v file="$1" '
            NR == FNR { function_at[$1] = $2; next }
            { text[FNR] = $0 }
            # A comment covers what follows it, up to an empty line or the next comment.
            /^[ \t]*\/\*/ { comment = ""; inside = 1 }
            inside { comment = comment " " $0 }
            /\*\/[ \t]*$/ { inside = 0; next }
            inside { next }
            /^[ \t]*$/ { comment = "" }
            FNR in function_at {
                if (comment == "")
                    printf "%s:%d: not documented: %s\n", file, FNR, function_at[FNR]
                else if (comment !~ /Context:/)
                    printf "%s:%d: no \"Context:\" in the comment of %s\n", file, FNR,
                        function_at[FNR]
                functions++
            }
            END { print functions + 0 > "/dev/stderr" }' - "$1"
}

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
mapfile -t files < <(project_files 'include/*.h')
complaints=$(for file in "${files[@]}"; do check_file "$file"; done 2>"$scratch/counts")
conclude "$(awk '{ n += $1 } END { print n + 0 }' "$scratch/counts")" 'public functions' "$complaints"
