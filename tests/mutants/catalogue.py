# SPDX-License-Identifier: MIT
"""The mutants as they are written down, and how one is put into a source and taken out again.

A file NAME.mutants holds some of them, with an empty line in between:

    mutant: name-in-few-words
    breaks: what does not hold any more
    rules:  C3 V3
    caught: unit/registry test_C3_an_object_without_references_is_not_taken
    build:  tsan                      (where it is not debug, the explorer's: release)
    in:     src/core/device.c
     a line that stays
    -a line that goes
    +a line that comes

The lines are those of a patch without line numbers: they are found wherever they are, however they
are indented, as long as they follow one another and there is one such place. So a mutant survives
what is done to the rest of its file, and a change of its own lines is noticed. `in:` may come
several times.

`caught:` names a program of the tests and the function that has to fail; "at exit" instead of a
function is a leak that the sanitizer reports at the end; `explore NAME` is a scenario of the
explorer.
"""

import glob
import os
import re

# Rules that can be broken by a change of a few lines, and seen to be: each one needs a mutant.
# The others are of another kind: A3 and V5 are about what is written where, K3 is a table.
RULES = ("C1 C2 C3 C4 C5 C6 A1 A2 A4 R1 R2 R3 R4 R5 R6 R7 O1 O2 O3 O4 O5 O6 "
         "V1 V2 V3 V4 V6 V7 V8 K1 K2").split()
FIELDS = ("breaks", "rules", "caught", "build")


class Malformed(Exception):
    """A mutant that cannot be read, or whose place is not there any more."""


class Hunk:
    """Lines of one file that are replaced."""

    def __init__(self, path):
        self.path = path
        self.lines = []

    def old(self):
        return [line[1:].strip() for line in self.lines if line[0] != "+"]

    def place(self, text):
        """The indices of the lines that the hunk is about; empty lines do not count."""
        old = self.old()
        full = [i for i, line in enumerate(text) if line.strip()]
        found = [full[k:k + len(old)] for k in range(len(full) - len(old) + 1)
                 if [text[i].strip() for i in full[k:k + len(old)]] == old]
        if len(found) != 1:
            raise Malformed(f"{self.path}: its lines are there {len(found)} times")
        return found[0]

    def apply(self, text):
        """The lines of the file as the mutant has them."""
        place = self.place(text)
        result, done = text[:place[0]], place[0]
        for line in self.lines:
            if line[0] == "+":
                result.append(line[1:] + "\n")
                continue
            at = place.pop(0)
            result += text[done:at] if line[0] == "-" else text[done:at + 1]
            done = at + 1
        return result + text[done:]


class Mutant:
    """One breakage and who has to notice it."""

    def __init__(self, name, where):
        self.name, self.where = name, where
        self.hunks = []
        self.breaks = self.caught = ""
        self.rules, self.build = [], ""

    @property
    def program(self):
        return self.caught.partition(" ")[0]

    @property
    def function(self):
        return self.caught.partition(" ")[2]

    def fail(self, why):
        raise Malformed(f"{self.where}: {self.name}: {why}")

    def set(self, field, value):
        if field not in FIELDS or not value:
            self.fail(f"what is \"{field}: {value}\"?")
        setattr(self, field, value.split() if field == "rules" else value)

    def check(self):
        if not self.build:  # the explorer brings instruments of its own
            self.build = "debug" if "/" in self.program else "release"
        if not (self.breaks and self.rules and self.function and self.hunks):
            self.fail("breaks:, rules:, caught: and in: are needed")
        for hunk in self.hunks:
            if not any(line[0] in "+-" for line in hunk.lines) or not hunk.old():
                self.fail(f"{hunk.path}: nothing to change, or no line to find it by")

    def changes(self, root):
        """What the files become: {path: text}."""
        texts = {}
        for hunk in self.hunks:
            try:
                if hunk.path not in texts:
                    with open(os.path.join(root, hunk.path), encoding="utf-8") as source:
                        texts[hunk.path] = source.readlines()
                texts[hunk.path] = hunk.apply(texts[hunk.path])
            except (OSError, Malformed) as error:
                self.fail(error)
        return {path: "".join(lines) for path, lines in texts.items()}


def parse(path):
    """The mutants of one file."""
    mutants, mutant = [], None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file.read().splitlines(), 1):
            where = f"{os.path.relpath(path)}:{number}"
            field = re.fullmatch(r"(\w+): *(.*)", line)
            if not line or line[0] == "#":
                continue
            if field and field[1] == "mutant":
                mutant = Mutant(field[2], where)
                mutants.append(mutant)
            elif mutant is None:
                raise Malformed(f"{where}: before the first mutant")
            elif field and field[1] == "in":
                mutant.hunks.append(Hunk(field[2]))
            elif field:
                mutant.set(field[1], field[2])
            elif line[0] in " +-" and mutant.hunks:
                mutant.hunks[-1].lines.append(line)
            else:
                raise Malformed(f"{where}: no field and no line of a patch")
    for mutant in mutants:
        mutant.check()
    return mutants


def read_all():
    """All mutants, in the order of the files' names."""
    here = os.path.dirname(os.path.abspath(__file__))
    mutants = [m for path in sorted(glob.glob(os.path.join(here, "*.mutants")))
               for m in parse(path)]
    names = [m.name for m in mutants]
    for mutant in mutants:
        if names.count(mutant.name) > 1:
            mutant.fail("another one has this name")
    return mutants


def unbroken_rules(mutants):
    """Rules without a mutant."""
    return [rule for rule in RULES if not any(rule in m.rules for m in mutants)]
