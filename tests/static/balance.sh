#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Who takes a reference or opens a section gives it back on every way out (balance.cocci). Locks and
# read-side sections are clang's affair: thread-safety.sh.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need spatch

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# spatch does not know what the guards mean, nor what src/core/guarded.h has. With a guard a
# variable closes itself, and gets a type that no rule looks for; a reference that is handed to one
# is an assignment.
without_guards() {
    sed -E -e 's/struct pcidev_ref (\w+) PCIDEV_REF = \{(\w+), .*\};/struct guarded_ref \1 = \2;/' \
        -e 's/struct pcidev_(ref|section) (\w+) PCIDEV_(REF|SECTION)/struct guarded_\1 \2/' \
        -e 's/ +(REQUIRES|EXCLUDES|ACQUIRES|ACQUIRES_IF|RELEASES|GUARDED_BY)\([^()]*\)//' \
        -e 's/ +(READ_SIDE|LOCKING_UNSEEN)\b//' "$1"
}

mapfile -t files < <(project_files 'src/*.c' 'front/*.c' 'host/*.c' 'tools/*.c' 'bench/*.c' \
    'examples/*.c')
[ ${#files[@]} -gt 0 ] || conclude 0 'C files' ''
for file in "${files[@]}"; do
    mkdir -p "$scratch/${file%/*}"
    without_guards "$file" >"$scratch/$file"
done

# spatch shows the lines that a rule marks as if they were to be deleted: a diff, hunk by hunk.
marked_lines() {
    awk '/^--- / { file = $2; next }
         /^\+\+\+ / { next }
         /^@@ / { split($2, start, ","); line = -start[1]; next }
         /^-/ { text = $0; sub(/^- */, "", text)
                printf "%s:%d: leaves with a reference or inside a section: %s\n",
                    file, line, text }
         /^[- ]/ || /^$/ { line++ }'
}

rules=$PWD/tests/static/balance.cocci
cd "$scratch" || exit
if ! spatch --very-quiet --sp-file "$rules" "${files[@]}" >marked 2>said; then
    cat said
    exit 1
fi
conclude ${#files[@]} 'C files' "$(marked_lines <marked)"
