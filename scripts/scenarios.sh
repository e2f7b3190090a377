#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The state of every known flaw (docs/scenarios.md): runs the tests that the table names.

. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

PYTHONDONTWRITEBYTECODE=1 exec python3 tests/scenarios/run.py "$@"
