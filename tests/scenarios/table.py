# SPDX-License-Identifier: MIT
"""docs/scenarios.md, as data, and where the tests are that it names."""

import collections
import glob
import os
import re

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
TABLE = "docs/scenarios.md"
IDS = "tests/scenarios/ids.txt"
EXPLORATIONS = "tests/explore/*.c"

ROW = re.compile(r"^\| ([A-Z]\d+) \|([^|]*)\|(.*)\|$")
TEST = re.compile(r"`(test_\w+)`")
EXPLORATION = re.compile(r"`explore: ([\w-]+)`")
REASON = re.compile(r"by construction: (.+)$")
FUNCTION = {".c": re.compile(r"^static void (test_\w+)\(void \*\*\w+\)", re.MULTILINE),
            ".py": re.compile(r"^    def (test_\w+)\(self\)", re.MULTILINE)}

# A reason is a sentence; less than this is none.
REASON_LEAST = 30

Row = collections.namedtuple("Row", "id line flaw tests explorations reason")


def path(name):
    return os.path.join(ROOT, name)


def read():
    rows = []
    with open(path(TABLE), encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            match = ROW.match(line.rstrip())
            if match:
                state = match[3].strip()
                reason = REASON.search(state)
                rows.append(Row(match[1], number, match[2].strip(), TEST.findall(state),
                                EXPLORATION.findall(state), reason[1] if reason else ""))
    return rows


def read_ids():
    with open(path(IDS), encoding="utf-8") as lines:
        return lines.read().split()


def is_test_source(name):
    return re.match(r"tests/\w+/test_\w+\.(c|py)$", name) is not None


def test_sources():
    """Test function -> the files that have one of this name."""
    found = {}
    for file in sorted(glob.glob(path("tests/*/test_*"))):
        name = os.path.relpath(file, ROOT)
        if is_test_source(name):
            with open(file, encoding="utf-8") as source:
                for function in FUNCTION[os.path.splitext(name)[1]].findall(source.read()):
                    found.setdefault(function, []).append(name)
    return found


def explorations_in_sources():
    found = set()
    for file in glob.glob(path(EXPLORATIONS)):
        with open(file, encoding="utf-8") as source:
            found.update(re.findall(r'"([\w-]+)"', source.read()))
    return found


# ---- what is wrong with it ----

def complaints_of_row(row, sources, explorations):
    where = f"{TABLE}:{row.line}: {row.id}"
    for name in row.tests:
        if name not in sources:
            yield f"{where}: there is no {name}"
    for name in row.explorations:
        if name not in explorations:
            yield f"{where}: there is no exploration {name}"
    if not row.flaw:
        yield f"{where}: does not say what went wrong"
    if not (row.tests or row.explorations) and len(row.reason) < REASON_LEAST:
        yield f"{where}: neither a test nor a reason"


def complaints(rows, ids, sources):
    seen = collections.Counter(row.id for row in rows)
    explorations = explorations_in_sources()
    found = [f"{TABLE}: {i} is missing" for i in ids if not seen[i]]
    found += [f"{TABLE}: {i} is there {n} times" for i, n in seen.items() if n > 1]
    found += [f"{TABLE}: {i} is not in {IDS}" for i in seen if i not in ids]
    for row in rows:
        found += complaints_of_row(row, sources, explorations)
    return found
