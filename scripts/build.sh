#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The builds that Berth is developed with, each in a folder of its own.

. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
usage: build.sh [--configure] release|debug|clang|tsan|coverage|fuzz [TARGET...]

  release   build/           gcc, optimised
  debug     build-debug/     gcc, debug checks, address and undefined behaviour sanitizers
  clang     build-clang/     clang, optimised
  tsan      build-tsan/      clang, debug checks, thread sanitizer
  coverage  build-coverage/  clang, debug checks, counters of lines and branches
  fuzz      build-fuzz/      clang, debug checks, sanitizers, the targets of scripts/fuzz.sh as well

  --configure  stop before compiling
TEXT
}

compile=yes
if [ "${1:-}" = --configure ]; then
    compile=no
    shift
fi

# b_lundef: the sanitizers' symbols are found at run time. membarrier: the thread sanitizer does not
# know what membarrier(2) orders, and would report races that are none.
case ${1:-} in
    release)
        folder=build compiler=gcc
        options=(--buildtype=release) ;;
    debug)
        folder=build-debug compiler=gcc
        options=(--buildtype=debug -Dchecks=true "-Db_sanitize=address,undefined" -Db_lundef=false) ;;
    clang)
        folder=build-clang compiler=clang
        options=(--buildtype=release) ;;
    tsan)
        folder=build-tsan compiler=clang
        options=(--buildtype=debugoptimized -Dchecks=true -Dmembarrier=false
                 -Db_sanitize=thread -Db_lundef=false) ;;
    coverage)
        folder=build-coverage compiler=clang
        options=(--buildtype=debugoptimized -Dchecks=true -Dcoverage=true) ;;
    fuzz)
        folder=build-fuzz compiler=clang
        options=(--optimization=1 --debug -Dchecks=true -Dfuzz=true
                 "-Db_sanitize=address,undefined" -Db_lundef=false) ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

# A folder that another version of Meson left behind cannot be configured again, only anew.
configure() {
    local log
    log=$(mktemp)
    if [ -f "$folder/build.ninja" ]; then
        if meson setup --reconfigure "${options[@]}" "$folder" >"$log" 2>&1; then
            rm -f -- "$log"
            return
        fi
        rm -rf -- "$folder"
    fi
    if ! CC=$compiler meson setup "${options[@]}" "$folder" >"$log" 2>&1; then
        cat -- "$log" >&2
        rm -f -- "$log"
        return 1
    fi
    rm -f -- "$log"
}

configure
if [ "$compile" != no ]; then
    ninja --quiet -C "$folder" "${@:2}" | sed '/^ninja: no work to do\.$/d'
fi
