#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the tests run of the core and vPCI, and whether what they leave out is explained.

. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
usage: coverage.sh [--again]

Builds with counters into build-coverage/ (clang, with debug checks), runs the unit, scenario, sweep
and thread tests, and prints lines and branches of src/core and src/vpci by file and in total.
Exits with 1 below 95 % of the lines or 90 % of the branches, when a branch that no test takes has
no reason in tests/coverage/unreached.txt, or when something there is not so any more.

  --again  judge the last run anew, without running anything
TEXT
}

run=yes
case ${1:-} in
    '') ;;
    --again) run=no ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac
need clang llvm-cov llvm-profdata meson python3

folder=build-coverage
library=$folder/src/core/libberth.a
profile=$folder/coverage.profdata

# The tests that live in these folders of tests/: a line "NAME PROGRAM" for each.
tests() {
    meson introspect --tests "$folder" | python3 -c '
import json, os, sys
for test in json.load(sys.stdin):
    program = test["cmd"][0]
    if any(f"/tests/{home}/" in program for home in sys.argv[2:]):
        print(test["name"], os.path.relpath(program, sys.argv[1]))
' "$folder" unit scenarios sweep threads
}

# run_tests: their counters, merged. Where a test fails the figures would be of nothing.
run_tests() {
    local names programs log=$folder/tests.log raw=$PWD/$folder/raw
    mapfile -t names < <(tests | cut -d ' ' -f 1)
    mapfile -t programs < <(tests | cut -d ' ' -f 2 | sort -u)
    [ ${#names[@]} -gt 0 ] || { echo 'coverage: no tests found' >&2; return 1; }
    ninja --quiet -C "$folder" "${programs[@]}" | sed '/^ninja: no work to do\.$/d'
    rm -rf -- "$raw" "$profile"
    if ! LLVM_PROFILE_FILE=$raw/%p.profraw meson test -C "$folder" --no-rebuild --quiet \
        --timeout-multiplier 5 "${names[@]}" >"$log" 2>&1 </dev/null; then
        grep -E '(FAIL|TIMEOUT|ERROR)' "$log" >&2 || tail -n 20 -- "$log" >&2
        return 1
    fi
    llvm-profdata merge -o "$profile" "$raw"/*.profraw
    echo "${#names[@]} tests"
    echo
}

if [ "$run" = yes ]; then
    scripts/build.sh --configure coverage
    run_tests
fi
if [ ! -f "$library" ] || [ ! -f "$profile" ]; then
    echo 'coverage: there is no run to look at again; leave out --again' >&2
    exit 1
fi
python3 tests/coverage/report.py "$library" "$profile" tests/coverage/unreached.txt
