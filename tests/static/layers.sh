#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Folders are layers, and includes point one way. This is the table.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# What each folder may include. The longest folder that fits a file counts. @compiler: headers that
# the compiler brings along, in a freestanding build too. @system: any other <header>.
allowed() {
    case $1 in
        include/berth) echo '<berth/*> @compiler' ;;
        src/core) echo '<berth/*> <berth_port.h> "src/core/*" @compiler <stdatomic.h>' ;;
        src/vpci) echo '<berth/*> <berth_port.h> "src/core/*" "src/vpci/*" @compiler <stdatomic.h>' ;;
        port) echo '<berth/*> <berth_port.h> "port/*" @compiler @system' ;;
        host) echo '<berth/*> <berth_port.h> "host/*" @compiler @system' ;;
        front) echo '<berth/*> <berth_port.h> "host/*" "front/*" @compiler @system' ;;
        tools) echo '<berth/*> <berth_port.h> "host/*" "front/*" "tools/*" "bench/*" @compiler @system' ;;
        bench) echo '<berth/*> <berth_port.h> "host/*" "bench/*" @compiler @system' ;;
        examples) echo '<berth/*> <berth_port.h> "examples/*" @compiler @system' ;;
        tests) echo '<berth/*> <berth_port.h> "*" @compiler @system' ;;
    esac
}

# Single lines that the table does not cover, each with its reason.
exceptions=(
    'include/berth/errno.h <errno.h>' # hosted builds only; elsewhere the header has the numbers
)

compiler_headers=' limits stdalign stdarg stdbool stddef stdint '

# An #if on one of these asks for the operating system or the processor: a matter for ports and hosts.
platform='__(linux|unix|APPLE|FreeBSD|NetBSD|OpenBSD|ANDROID|GLIBC|x86_64|i386|aarch64|arm|riscv)\w*'
platform+='|(^|[^A-Za-z0-9_])(linux|unix|_WIN32|_WIN64|_MSC_VER|__CYGWIN__)([^A-Za-z0-9_]|$)'

layer_of() {
    local folder=$1
    while [[ $folder == */* ]]; do
        folder=${folder%/*}
        if [ -n "$(allowed "$folder")" ]; then
            echo "$folder"
            return
        fi
    done
}

# matches INCLUDE RULE
matches() {
    local name=${1:1:-1}
    case $2 in
        @compiler) [[ $1 == '<'* && $compiler_headers == *" ${name%.h} "* ]] ;;
        @system) [[ $1 == '<'* && $name != berth* ]] ;;
        *)
            # shellcheck disable=SC2053  # the rule is a pattern
            [[ $1 == $2 ]]
            ;;
    esac
}

# permitted FILE INCLUDE RULES
permitted() {
    local rule rules
    for rule in "${exceptions[@]}"; do
        [ "$1 $2" != "$rule" ] || return 0
    done
    read -ra rules <<<"$3"
    for rule in "${rules[@]}"; do
        ! matches "$2" "$rule" || return 0
    done
    return 1
}

check_file() {
    local file=$1 layer rules line include
    layer=$(layer_of "$file")
    if [ -z "$layer" ]; then
        echo "$file:1: no layer: tell tests/static/layers.sh what this folder may include"
        return
    fi
    rules=$(allowed "$layer")
    while IFS=: read -r line include; do
        [ -n "$line" ] || continue
        if [[ $include == *..* ]]; then
            echo "$file:$line: $include: includes are written from the project's root"
        elif ! permitted "$file" "$include" "$rules"; then
            echo "$file:$line: $include: not for $layer, which may include: $rules"
        elif [[ $layer != tests && $include == '"'* && ! -f ${include:1:-1} ]]; then
            echo "$file:$line: $include: includes are written from the project's root"
        fi
    done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^">]*[">]).*/\1/;T;=;p' \
        "$file" | paste -d: - -)
    case $layer in
        include/berth|src/*)
            grep -nE "^[[:space:]]*#[[:space:]]*(if|elif).*($platform)" "$file" |
                sed -E "s|^([0-9]+):(.*)|$file:\1: asks for the platform in $layer: \2|" || true
            ;;
    esac
}

check() {
    local file
    for file in "${files[@]}"; do
        check_file "$file"
    done
}

mapfile -t files < <(project_files '*.c' '*.h')
complaints=$(check)
conclude ${#files[@]} 'C files' "$complaints"
