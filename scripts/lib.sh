# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the scripts share. Sourced by them; afterwards the working folder is the project's root.

set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C HOME=${HOME:-/} # spatch does not start without a home

# Exit code of a check that cannot run here; Meson's and Automake's test runners use the same.
EXIT_SKIP=77

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# Without git (a release archive, a checkout that belongs to another user) the rules of .gitignore
# are repeated by hand.
list_files() {
    local files
    if [ -e .git ] && files=$(git ls-files -co --exclude-standard 2>/dev/null) &&
        [ -n "$files" ]; then
        printf '%s\n' "$files"
    else
        find . \( -path ./.git -o -path './build*' -o -name __pycache__ \) -prune -o \
            -type f ! -name '*.o' -print | sed 's|^\./||'
    fi | sort -u
}

# project_files PATTERN...: the project's own files, tracked or new, whose path matches a pattern.
project_files() {
    local file pattern
    list_files | while IFS= read -r file; do
        [ -f "$file" ] || continue
        for pattern; do
            # shellcheck disable=SC2254  # the pattern is meant to be one
            case $file in
                $pattern) printf '%s\n' "$file"; break ;;
            esac
        done
    done
}

# Scripts are found by name or by their first line: .ci/run has no suffix.
project_scripts() {
    local file
    {
        project_files '*.sh'
        project_files '*' | while IFS= read -r file; do
            case $file in
                *.*/*|*.c|*.h|*.md|*.txt) [[ $file == .ci/* ]] || continue ;;
            esac
            case $(head -c 64 -- "$file" | tr -d '\0' | head -n 1) in
                '#!'*sh*) printf '%s\n' "$file" ;;
            esac
        done
    } | sort -u
}

# skip WHY: this check has no say here.
skip() {
    echo "skipped: $1"
    exit "$EXIT_SKIP"
}

# need TOOL...: skips the check where a tool is not installed.
need() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
}

# conclude COUNT WHAT COMPLAINTS: the end of every check. A check that has looked at nothing fails,
# for it would also pass when the files have moved.
conclude() {
    if [ -n "$3" ]; then
        printf '%s\n' "$3"
        exit 1
    fi
    if [ "$1" -eq 0 ]; then
        echo "nothing was checked: no $2 found"
        exit 1
    fi
    echo "$1 $2 checked"
    exit 0
}
