#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The table of known flaws has every row once, and each test that it names exists. Whether they pass
# is what scripts/scenarios.sh says.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need python3

scripts/scenarios.sh --check
