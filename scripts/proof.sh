#!/bin/bash
# SPDX-License-Identifier: MIT
#
# All of the proof (docs/proof.md), one part after the other, and one table of what was found.

. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
usage: proof.sh [--seconds N] [--fuzz-seconds N] [PART...]

  --seconds N       for each scenario of the explorer that is too large to be gone through (30)
  --fuzz-seconds N  for each fuzz target (45)

Parts (default: all of them, in this order):
  explore     every interleaving of small scenarios, by the controlled scheduler (P1)
  sweep       every failure of every operation, twice, and with the device gone (P2)
  scenarios   every known flaw of docs/scenarios.md (P3)
  mutants     every protection taken out once (P4)
  fuzz        hostile input
  coverage    lines and branches of src/core and src/vpci
  sanitizers  the test run with address, undefined behaviour and thread sanitizers
  static      rules, analysers, lock annotations

Prints what each part says of itself, then the table. Exits with 1 where a part failed.
TEXT
}

all_parts=(explore sweep scenarios mutants fuzz coverage sanitizers static)
seconds=30 fuzz_seconds=45 parts=()
while [ $# -gt 0 ]; do
    case $1 in
        --seconds|--fuzz-seconds)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
            if [ "$1" = --seconds ]; then seconds=$2; else fuzz_seconds=$2; fi
            shift ;;
        -h|--help) usage; exit 0 ;;
        *)
            [[ " ${all_parts[*]} " == *" $1 "* ]] || { usage >&2; exit 2; }
            parts+=("$1") ;;
    esac
    shift
done
[ ${#parts[@]} -gt 0 ] || parts=("${all_parts[@]}")

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
trap 'echo "interrupted" >&2; exit 130' INT TERM

# Failing schedules land in the build folder, where `explore --replay` finds them.
part_explore() {
    build/tests/explore --seconds "$seconds" --save build &&
        build/tests/explore --rate config-read-remove | sed -n 's/.*  \([0-9]* schedules\/s\)/\1/p'
}

part_sweep() {
    local log=build/meson-logs/testlog.txt
    BERTH_SWEEP=full meson test -C build --no-rebuild --quiet --suite sweep \
        --timeout-multiplier 10 || return
    awk '/ cases/ { print } { for (i = 2; i <= NF; i++) if ($i ~ /^cases/) sum += $(i - 1) }
         END { printf "%d cases, 0 failed\n", sum }' "$log"
}

part_scenarios() { scripts/scenarios.sh; }
part_mutants() { scripts/mutants.sh; }
part_fuzz() { scripts/fuzz.sh --seconds "$fuzz_seconds"; }
part_coverage() { scripts/coverage.sh; }
part_sanitizers() { scripts/test.sh --only debug/ && scripts/test.sh --only tsan/; }
part_static() { scripts/test.sh --only static/; }

# What a part says of itself at its end, in one line.
summary() {
    case $1 in
        explore) grep -E ' scenarios, |schedules/s' ;;
        coverage) grep -E '^(core|vpci) ' ;;
        fuzz) awk '/ new inputs, / { targets++; runs += $2; found += !/nothing found/ }
                   END { printf "%d targets, %d inputs, %d with findings\n", targets, runs, found }' ;;
        sanitizers) grep -E '^[0-9]+ passed' ;;
        *) tail -n 1 ;;
    esac <"$2" | paste -s -d ';' | sed 's/;/; /g; s/  */ /g'
}

what_is() {
    case $1 in
        explore) echo 'every interleaving (P1)' ;;
        sweep) echo 'every failure (P2)' ;;
        scenarios) echo 'every known flaw (P3)' ;;
        mutants) echo 'it can fail (P4)' ;;
        fuzz) echo 'hostile input' ;;
        coverage) echo 'lines and branches' ;;
        sanitizers) echo 'memory and races' ;;
        static) echo 'rules and analysers' ;;
    esac
}

scripts/build.sh release
rows=() failed=0 begin=$SECONDS
for part in "${parts[@]}"; do
    from=$SECONDS result=ok
    echo "---- $part: $(what_is "$part")"
    if ! "part_$part" </dev/null 2>&1 | tee "$scratch/$part"; then
        result=FAILED failed=$((failed + 1))
    fi
    rows+=("$(printf '%-24s %-6s %5d s  %s' "$(what_is "$part")" "$result" $((SECONDS - from)) \
        "$(summary "$part" "$scratch/$part")")")
    echo
done

echo '---- the proof'
printf '%s\n' "${rows[@]}"
echo "${#parts[@]} parts, $failed failed, $(((SECONDS - begin + 59) / 60)) minutes"
[ "$failed" -eq 0 ]
