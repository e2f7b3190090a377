#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Breaks Berth's protections one by one, in copies of the tree, and expects the tests to notice.

. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

PYTHONDONTWRITEBYTECODE=1 exec python3 tests/mutants/run.py "$@"
