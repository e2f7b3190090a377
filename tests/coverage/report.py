# SPDX-License-Identifier: MIT
"""What the tests ran of the core and vPCI, and whether the rest is explained.

llvm-cov counts the conditions of the source, each of them true and false. Branches that only a
compiler knows (a switch that becomes jumps, an inlined call) are not in its data, and it leaves out
conditions that are constant in this build.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
AREAS = {"core": "src/core/", "vpci": "src/vpci/"}
LEAST = {"lines": 95, "branches": 90}

# One way of one condition, named by what stays when lines move.
Way = collections.namedtuple("Way", "file function kind text")


class File:
    """The counts of one source file; a header's functions are counted over all of their copies."""

    def __init__(self, name):
        self.name = name
        self.lines = {}      # number -> how often
        self.branches = {}   # (place, function, true or false) -> how often
        self.functions = {}  # name -> (first line, how often)
        with open(os.path.join(ROOT, name), encoding="utf-8") as source:
            self.text = source.read().splitlines()

    def between(self, place):
        """The source text of a place, on one line."""
        first, left, last, right = place
        rows = self.text[first - 1:last]
        rows[-1] = rows[-1][:right - 1]
        rows[0] = rows[0][left - 1:]
        return " ".join(" ".join(rows).split())

    def totals(self):
        """Lines run, lines, branches run, branches."""
        return (sum(map(bool, self.lines.values())), len(self.lines),
                sum(map(bool, self.branches.values())), len(self.branches))

    def unreached(self):
        """Line and Way of what never happened. A function that nobody called is one entry, which
        stands for all that is in it."""
        for name, (line, count) in self.functions.items():
            if not count:
                yield line, Way(self.name, name, "called", name)
        for (place, function, kind), count in self.branches.items():
            if not count and self.functions[function][1]:
                yield place[0], Way(self.name, function, kind, self.between(place))

    def ways(self):
        """All that could happen."""
        return {Way(self.name, function, kind, self.between(place))
                for place, function, kind in self.branches}


def export(library, profile, form):
    """llvm-cov's own data about the library. It warns of functions of a header that one of two
    sources with the same name does not use; nothing is lost by that."""
    command = ["llvm-cov", "export", f"-format={form}", f"-instr-profile={profile}", library]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    bad = [row for row in done.stderr.splitlines() if "mismatched data" not in row]
    if done.returncode or bad:
        sys.exit("\n".join(["coverage: llvm-cov failed", *bad]))
    return done.stdout


def check_names(functions):
    """Profiles know a static function by its name and the last part of its file's path: two that
    share both would share their counts."""
    places = {}
    for function in functions:
        place = relative(function["filenames"][0]), function["regions"][0][:2]
        if places.setdefault(function["name"], place) != place:
            sys.exit(f"coverage: {place[0]}: the name {function['name']} is taken twice")


def relative(path):
    """The path from the project's root; sources are named from the build folder."""
    return os.path.relpath(os.path.realpath(path), ROOT)


def read_lines(files, text):
    """Line counts, out of the lcov form."""
    file = None
    for row in text.splitlines():
        key, _, value = row.partition(":")
        if key == "SF":
            file = files.get(relative(value))
        elif key == "DA" and file:
            line, count = value.split(",")[:2]
            file.lines[int(line)] = int(count)


def add_function(files, function):
    """Adds the counts of one function, which a header gives to several sources."""
    homes = [files.get(relative(name)) for name in function["filenames"]]
    name = function["name"].rpartition(":")[2]
    if homes[0]:
        count = homes[0].functions.get(name, (0, 0))[1]
        homes[0].functions[name] = (function["regions"][0][0], count + function["count"])
    for *place, true, false, home, _, _ in function["branches"]:
        file = homes[home]
        for kind, count in ("true", true), ("false", false):
            if file:
                key = (tuple(place), name, kind)
                file.branches[key] = file.branches.get(key, 0) + count


def measure(library, profile):
    """The files of all areas, by name."""
    data = json.loads(export(library, profile, "text"))["data"][0]
    names = sorted(relative(file["filename"]) for file in data["files"])
    files = {name: File(name) for name in names if name.startswith(tuple(AREAS.values()))}
    for name in files:
        if os.path.getmtime(os.path.join(ROOT, name)) > os.path.getmtime(library):
            sys.exit(f"coverage: {name} has changed since the tests ran")
    read_lines(files, export(library, profile, "lcov"))
    check_names(data["functions"])
    for function in data["functions"]:
        add_function(files, function)
    return {name: file for name, file in files.items() if file.lines}


def read_reasons(path):
    """Way -> (line, never or seldom) of the list, and what is wrong with the list itself."""
    reasons, complaints, where, reason = {}, [], None, None
    with open(path, encoding="utf-8") as listed:
        for number, row in enumerate(listed, 1):
            row = row.rstrip("\n")
            if not row or row.startswith("#"):
                continue
            head = re.fullmatch(r"(\S+) (\w+): (\S.*)", row)
            entry = re.fullmatch(r"    (never|seldom) (true|false|called): (\S.*)", row)
            if head:
                where, reason = head.group(1, 2), head.group(3)
            elif entry and reason:
                way = Way(*where, *entry.group(2, 3))
                if way in reasons:
                    complaints.append(f"{path}:{number}: stands here twice")
                reasons[way] = number, entry.group(1)
            elif row.startswith("  ") and not entry and reason:
                continue
            else:
                complaints.append(f"{path}:{number}: cannot read this line")
    return reasons, complaints


def percent(part, whole):
    """With one digit, rounded down: 100.0 means all."""
    return part * 1000 // whole / 10 if whole else 100.0


def row_of(name, totals):
    """One line of the table."""
    lines, all_lines, branches, all_branches = totals
    return (f"{name:<28} {lines:>5} of {all_lines:<5} {percent(lines, all_lines):>5} %"
            f"   {branches:>5} of {all_branches:<5} {percent(branches, all_branches):>5} %")


def print_table(files):
    """Prints the table; returns what is below the least that is allowed."""
    complaints = []
    print(f"{'file':<28} {'lines':>16}      {'branches':>18}")
    for name, file in files.items():
        print(row_of(name, file.totals()))
    print()
    for area, folder in AREAS.items():
        inside = [file.totals() for name, file in files.items() if name.startswith(folder)]
        sums = [sum(column) for column in zip(*inside)] or [0] * 4
        print(row_of(area, sums))
        for what, part, whole in ("lines", *sums[:2]), ("branches", *sums[2:]):
            if not whole or part * 100 < whole * LEAST[what]:
                complaints.append(f"{area}: less than {LEAST[what]} % of the {what}")
    return complaints


def judge(files, path):
    """Every way that was not taken has a reason, and every reason a way."""
    reasons, complaints = read_reasons(path)
    missed = {way: line for file in files.values() for line, way in sorted(file.unreached())}
    known = set().union(*(file.ways() for file in files.values()))
    for way, line in missed.items():
        if way not in reasons:
            complaints.append(f"{way.file}:{line}: {way.function}: never {way.kind}: {way.text}")
    for way, (number, how) in reasons.items():
        if way not in (missed if how == "never" else known):
            complaints.append(f"{path}:{number}: not so any more: {way.function}: "
                              f"{how} {way.kind}: {way.text}")
    print(f"\nnever taken: {len(missed)}; with a reason: {len(missed.keys() & reasons.keys())}")
    return complaints


def main():
    """Prints the table and what is wrong; the exit code says whether something is."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("library")
    words.add_argument("profile")
    words.add_argument("reasons")
    given = words.parse_args()
    files = measure(given.library, given.profile)
    complaints = print_table(files) + judge(files, given.reasons)
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
