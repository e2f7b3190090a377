#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every C file is laid out as .clang-format says. With --fix: lays them out.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# Versions of clang-format disagree in details; this is the one that the tree was written with.
version=14
tool=clang-format-$version
command -v "$tool" >/dev/null || tool=clang-format
need "$tool"
[[ $("$tool" --version) == *"version $version."* ]] || skip "needs clang-format $version"

mapfile -t files < <(project_files '*.c' '*.h')
if [ "${1:-}" = --fix ]; then
    [ ${#files[@]} -eq 0 ] || "$tool" -i "${files[@]}"
    exit 0
fi
[ ${#files[@]} -gt 0 ] || conclude 0 'C files' ''
complaints=$("$tool" --dry-run -Werror "${files[@]}" 2>&1 | grep -E '^[^ ]+:[0-9]+:' || true)
conclude ${#files[@]} 'C files' "$complaints"
