#!/bin/bash
# SPDX-License-Identifier: MIT
#
# cppcheck finds no error and nothing suspicious, with and without debug checks.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need cppcheck

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# Loops that headers of libraries bring along, which cppcheck does not read.
cat >"$scratch/library.cfg" <<'XML'
<?xml version="1.0"?>
<def format="2">
  <define name="json_object_foreach(object, key, value)"
          value="for (key = first(object); key &amp;&amp; (value = get(object, key)); key = next(key))"/>
  <define name="json_array_foreach(array, index, value)"
          value="for (index = 0; (value = get(array, index)); index++)"/>
</def>
XML

# Rules that are wrong too often in this version, and have better guards: a compound literal is no
# second side effect, a pointer in a local struct does not point at the struct.
options=(--quiet -j 2 --std=c11 "--enable=warning,portability" --inline-suppr
         --template='{file}:{line}: {severity}: {message} [{id}]'
         --library="$scratch/library.cfg" --suppress=missingIncludeSystem
         --suppress=unknownEvaluationOrder --suppress=returnDanglingLifetime)

check() {
    local checks
    for checks in 0 1; do
        cppcheck "${options[@]}" -DBERTH_CHECKS="$checks" -D__STDC_HOSTED__=1 \
            -Iinclude -I. -Iport/posix "${files[@]}" 2>&1
    done | sort -u
}

mapfile -t files < <(project_files 'src/*.c' 'port/*.c' 'host/*.c' 'front/*.c' 'tools/*.c' \
    'bench/*.c' 'examples/*.c')
[ ${#files[@]} -gt 0 ] || conclude 0 'C files' ''
complaints=$(check)
conclude ${#files[@]} 'C files' "$complaints"
