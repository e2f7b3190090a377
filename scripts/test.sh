#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The whole test run: what has to pass before a push, and what CI runs.

. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
usage: test.sh [--quick] [--only NAME]

  --quick      the static checks and the release build only
  --only NAME  what has NAME in its name: static/format, release, threads, ...

Runs, in this order:
  static   each script of tests/static
  release  the unit and command tests of the release build (gcc)
  debug    all tests with debug checks, address and undefined behaviour sanitizers (gcc)
  clang    the unit tests, compiled by clang
  tsan     the unit and thread tests with the thread sanitizer (clang)
  fuzz     hostile input: every corpus, and a few seconds of libFuzzer for each target (clang)
Each check, build and test counts as one. Ends with "N passed, N failed", and exits with 1 where
something failed or nothing ran.
TEXT
}

quick=no only=''
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=yes ;;
        --only) [ $# -ge 2 ] || { usage >&2; exit 2; }; only=$2; shift ;;
        -h|--help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
trap 'echo "interrupted" >&2; exit 130' INT TERM

passed=0 failed=0 skipped=0 failures=()

# A sanitizer that only prints is no test: what it finds ends the program with an error.
export ASAN_OPTIONS=${ASAN_OPTIONS:-halt_on_error=1:detect_stack_use_after_return=1:print_legend=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp}

# The sanitizers of this compiler generation cannot place their shadow memory under the widest
# address randomisation that kernels offer.
steady=()
if setarch -R true 2>/dev/null; then
    steady=(setarch -R)
fi

wanted() {
    [[ $1 == *"$only"* ]]
}

# count RESULT NAME SECONDS LOG: one test is done.
count() {
    case $1 in
        passed) passed=$((passed + 1)); printf 'ok    %s (%s s)\n' "$2" "$3" ;;
        skipped) skipped=$((skipped + 1)); printf 'skip  %s: %s\n' "$2" "$(tail -n 1 -- "$4")" ;;
        failed)
            failed=$((failed + 1))
            failures+=("$2")
            printf 'FAIL  %s (%s s)\n' "$2" "$3"
            tail -n 40 -- "$4" | sed 's/^/      /'
            ;;
    esac
}

# run NAME COMMAND...: one test that is a command. Its exit code is kept in $status.
run() {
    local name=$1 begin=${EPOCHREALTIME/./} result=failed
    shift
    status=0
    "$@" >"$scratch/log" 2>&1 </dev/null || status=$?
    case $status in
        0) result=passed ;;
        "$EXIT_SKIP") result=skipped ;;
    esac
    count "$result" "$name" "$(seconds_since "$begin")" "$scratch/log"
}

seconds_since() {
    local tenths=$(((${EPOCHREALTIME/./} - $1) / 100000))
    echo "$((tenths / 10)).$((tenths % 10))"
}

static_checks() {
    local check name
    for check in tests/static/*.sh; do
        name=static/$(basename "$check" .sh)
        ! wanted "$name" || run "$name" bash "$check"
    done
}

# tests_of FOLDER SUITE...: the names of the tests in these suites (none given: all of them). A test
# belongs to the folder of tests/ that it is built in, and to the suites that it names.
tests_of() {
    meson introspect --tests "$1" | python3 -c '
import json, sys
suites = sys.argv[1:]
for test in json.load(sys.stdin):
    homes = [s.rpartition(":")[2] for s in test["suite"]]
    if not suites or any(s in homes or f"/tests/{s}/" in test["cmd"][0] for s in suites):
        print(test["name"])' "${@:2}"
}

# programs_of FOLDER NAME...: what these tests run, as targets of the build.
programs_of() {
    meson introspect --tests "$1" | python3 -c '
import json, os, sys
folder = os.path.realpath(sys.argv[1])
for test in json.load(sys.stdin):
    program = os.path.realpath(test["cmd"][0])
    if test["name"] in sys.argv[2:] and program.startswith(folder + "/"):
        print(os.path.relpath(program, folder))' "$@"
}

# results_of FOLDER: a line "RESULT SECONDS NAME" for each test that Meson has run, and for each one
# a file with what it said.
results_of() {
    python3 - "$1/meson-logs/testlog.json" "$scratch" <<'PYTHON'
import json, sys

verdicts = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
with open(sys.argv[1], encoding="utf-8") as log:
    for number, line in enumerate(log):
        test = json.loads(line)
        with open(f"{sys.argv[2]}/said{number}", "w", encoding="utf-8") as said:
            said.write("".join(test.get(stream) or "" for stream in ("stdout", "stderr")))
            if test["result"] not in ("OK", "SKIP"):
                said.write(f"\n{test['result']}, exit code {test['returncode']}\n")
        name = test["name"].rpartition(" / ")[2]
        print(verdicts.get(test["result"], "failed"), f"{test['duration']:.1f}", name)
PYTHON
}

# meson_tests STAGE FOLDER TIMES NAME...: TIMES stretches the tests' time limits.
meson_tests() {
    local stage=$1 folder=$2 times=$3 result seconds name number=0
    shift 3
    rm -f -- "$folder/meson-logs/testlog.json"
    "${steady[@]}" meson test -C "$folder" --no-rebuild --quiet --timeout-multiplier "$times" \
        "$@" >"$scratch/meson" 2>&1 </dev/null || true
    if ! results_of "$folder" >"$scratch/results" 2>>"$scratch/meson"; then
        count failed "$stage/meson" 0 "$scratch/meson"
        return
    fi
    while read -r result seconds name; do
        count "$result" "$stage/$name" "$seconds" "$scratch/said$number"
        number=$((number + 1))
    done <"$scratch/results"
    if [ "$number" -ne $# ]; then
        echo "$# tests were to run, and $number did" >>"$scratch/meson"
        count failed "$stage/meson" 0 "$scratch/meson"
    fi
}

# stage NAME FOLDER TIMES SUITE...: builds and runs the tests of these suites (none: all).
stage() {
    local name=$1 folder=$2 times=$3 test names=() all=() programs=()
    shift 3
    if ! scripts/build.sh --configure "$name" >"$scratch/log" 2>&1; then
        count failed "$name/configure" 0 "$scratch/log"
        return
    fi
    mapfile -t all < <(tests_of "$folder" "$@")
    for test in "${all[@]}"; do
        ! wanted "$name/$test" || names+=("$test")
    done
    if [ ${#names[@]} -eq 0 ]; then
        [ -n "$only" ] || { echo "no tests in: ${*:-any suite}" >"$scratch/log"
                            count failed "$name/tests" 0 "$scratch/log"; }
        return 0
    fi
    # the rest of the tree was compiled by clang before
    [ "$name" != tsan ] || mapfile -t programs < <(programs_of "$folder" "${names[@]}")
    run "$name/build" scripts/build.sh "$name" "${programs[@]}"
    [ "$status" -ne 0 ] || meson_tests "$name" "$folder" "$times" "${names[@]}"
}

# Hostile input: the corpora, and a few seconds of what libFuzzer makes of them.
fuzz_stage() {
    wanted fuzz/smoke || return 0
    run fuzz/build scripts/fuzz.sh --build
    [ "$status" -ne 0 ] || run fuzz/smoke scripts/fuzz.sh --smoke
}

begin=${EPOCHREALTIME/./}
static_checks
[[ $only == static/* ]] || stage release build 1
if [ "$quick" = no ] && [[ $only != static/* ]]; then
    stage debug build-debug 5
    stage clang build-clang 1 unit
    stage tsan build-tsan 10 unit threads
    fuzz_stage
fi

if [ $((passed + failed)) -eq 0 ]; then
    echo "no test${only:+ with $only in its name}" >"$scratch/log"
    count failed 'any test' 0 "$scratch/log"
fi
echo
[ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
echo "$(seconds_since "$begin") seconds"
verdict="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || verdict+=", $skipped skipped"
echo "$verdict"
[ ${#failures[@]} -eq 0 ]
