#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each script, as shellcheck sees it.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need shellcheck

mapfile -t files < <(project_scripts)
[ ${#files[@]} -gt 0 ] || conclude 0 scripts ''
complaints=$(shellcheck -f gcc -e SC1090,SC1091 "${files[@]}" 2>&1 || true)
conclude ${#files[@]} scripts "$complaints"
