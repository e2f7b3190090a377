#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each mutant still finds the lines that it is about, and the test that has to catch it; and each
# rule that can be broken has one.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need python3

exec scripts/mutants.sh --check
