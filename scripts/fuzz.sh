#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Hostile input: the targets of tests/fuzz, run by libFuzzer. What an input finds is told by its
# target; here it is counted.

. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
usage: fuzz.sh [--seconds N] [--target NAME]
       fuzz.sh --smoke | --build | --merge | --list

  --seconds N    for each target (default: 60)
  --target NAME  one of them only: registers, view, ...
  --smoke        the corpora, and three seconds for each target from a fixed seed
  --build        compile only
  --merge        add to tests/fuzz/corpus what runs have found since, and drop what adds nothing
  --list         the names of the targets

Compiles into build-fuzz/; corpora grow and findings land in build-fuzz-kept/. Exits with 1 where
there is one.
Again with one input: build-fuzz/tests/fuzz/fuzz_NAME FILE
TEXT
}

mode=run seconds=60 only=''
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) [ $# -ge 2 ] || { usage >&2; exit 2; }; seconds=$2; shift ;;
        --target) [ $# -ge 2 ] || { usage >&2; exit 2; }; only=$2; shift ;;
        --smoke|--build|--merge|--list) mode=${1#--} ;;
        -h|--help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz.sh: --seconds: expected a number" >&2; exit 2; }

# A large quarantine would make every piece of memory a fresh one, and half the speed.
export ASAN_OPTIONS=quarantine_size_mb=8
export UBSAN_OPTIONS=print_stacktrace=1

# As in test.sh: the shadow memory has to find a place.
steady=()
if setarch -R true 2>/dev/null; then
    steady=(setarch -R)
fi

folder=build-fuzz
# Not in Meson's folder, which is made anew where it cannot be configured again.
kept=build-fuzz-kept
# Bounded: memory in all and at once, and the seconds that one input may take.
bounds=(-rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=30)

targets() {
    local file
    for file in tests/fuzz/fuzz_*.c; do
        file=${file#*/fuzz_}
        [ -n "$only" ] && [ "${file%.c}" != "$only" ] || echo "${file%.c}"
    done
}

build() {
    echo 'int LLVMFuzzerTestOneInput(void){return 0;}' |
        clang -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null ||
        skip "clang is not installed, or not its fuzzer runtime"
    scripts/build.sh --configure fuzz
    ninja --quiet -C "$folder" fuzz-targets | sed '/^ninja: no work to do\.$/d'
}

# fuzz TARGET LOG OPTION...: its corpus, then whatever comes to libFuzzer's mind. The first folder
# is where it keeps what is new.
fuzz() {
    local target=$1 log=$2 dictionary=()
    shift 2
    mkdir -p "$kept/corpus/$target" "$kept/findings"
    [ ! -f "tests/fuzz/$target.dict" ] || dictionary=("-dict=tests/fuzz/$target.dict")
    "${steady[@]}" "$folder/tests/fuzz/fuzz_$target" "${bounds[@]}" "${dictionary[@]}" -print_final_stats=1 \
        "-artifact_prefix=$kept/findings/$target-" "$@" "$kept/corpus/$target" \
        "tests/fuzz/corpus/$target" >"$log" 2>&1
}

# stat LOG NAME: one of libFuzzer's final figures.
stat() {
    sed -n "s/^stat::$2: *//p" "$1"
}

# report TARGET STATUS LOG
report() {
    local found
    found=$(sed -n 's/.*Test unit written to //p' "$3")
    if [ "$2" -eq 0 ]; then
        printf '%-10s %9s runs, %s/s, %s new inputs, nothing found\n' "$1" \
            "$(stat "$3" number_of_executed_units)" "$(stat "$3" average_exec_per_sec)" \
            "$(stat "$3" new_units_added)"
    else
        sed '/^#\|^INFO:/d' "$3"
        printf '%-10s FOUND: %s\n' "$1" "${found:-see above}"
    fi
}

# The lines by which libFuzzer shows that it gets on.
progress() {
    sed -un "s/^#\([0-9]*\)\s*pulse *cov: \([0-9]*\).*exec\/s: \([0-9]*\).*/$1: \1 runs, \2 places, \3\/s/p"
}

run() {
    local target status failed=0 log follower
    for target in $(targets); do
        log=$scratch/$target
        echo "$target: for $seconds seconds"
        : >"$log"
        tail -n +1 -f -- "$log" 2>/dev/null > >(progress "$target") &
        follower=$!
        status=0
        fuzz "$target" "$log" "-max_total_time=$seconds" || status=$?
        kill "$follower" 2>/dev/null || true
        wait "$follower" 2>/dev/null || true
        report "$target" "$status" "$log"
        [ "$status" -eq 0 ] || failed=1
    done
    return "$failed"
}

# As many at a time as there are processors; each ends with its status in a file.
smoke() {
    local target status failed=0
    for target in $(targets); do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
            wait -n || true
        done
        (status=0
         fuzz "$target" "$scratch/$target" -seed=1 -max_total_time=3 || status=$?
         echo "$status" >"$scratch/$target.status") &
    done
    wait
    for target in $(targets); do
        status=$(cat "$scratch/$target.status")
        report "$target" "$status" "$scratch/$target"
        [ "$status" -eq 0 ] || failed=1
    done
    return "$failed"
}

# Inputs with a name that somebody gave them stay, whatever they add.
merge() {
    local target input
    for target in $(targets); do
        mkdir -p "$scratch/$target" "tests/fuzz/corpus/$target" "$kept/corpus/$target"
        "${steady[@]}" "$folder/tests/fuzz/fuzz_$target" -set_cover_merge=1 -use_counters=0 \
            "${bounds[@]}" "$scratch/$target" \
            "tests/fuzz/corpus/$target" "$kept/corpus/$target" 2>/dev/null
        for input in "tests/fuzz/corpus/$target"/*; do
            if [ -f "$input" ] && [[ $(basename "$input") =~ ^[0-9a-f]{40}$ ]]; then
                rm -f -- "$input"
            elif [ -f "$input" ]; then
                rm -f -- "$scratch/$target/$(sha1sum <"$input" | cut -d ' ' -f 1)"
            fi
        done
        find "$scratch/$target" -type f -exec mv -t "tests/fuzz/corpus/$target" -- {} +
        printf '%-10s %s inputs, %s\n' "$target" "$(find "tests/fuzz/corpus/$target" -type f | wc -l)" \
            "$(du -sh --apparent-size "tests/fuzz/corpus/$target" | cut -f 1)"
    done
}

[ -n "$(targets)" ] || { echo "fuzz.sh: no such target: $only" >&2; exit 2; }
if [ "$mode" = list ]; then
    targets
    exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
build
[ "$mode" = build ] || "$mode"
