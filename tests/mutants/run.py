# SPDX-License-Identifier: MIT
"""Breaks Berth in small ways and sees whether the tests notice (P4)."""

import argparse
import collections
import concurrent.futures
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time

import catalogue
import tree

WORKERS = 2
OUTPUT_MAX = 1 << 28  # of a mutant that prints without end, and of what is linked
# What can become of a mutant, and how that is said.
CAUGHT, SURVIVED, ELSEWHERE, NO_BUILD, NO_TEST = (
    "caught", "survived", "caught elsewhere", "does not compile", "no test")
SAID = {
    CAUGHT: "caught by {test}",
    SURVIVED: "SURVIVED {test}",
    ELSEWHERE: "CAUGHT by {detail}, but NOT by {test}",
    NO_BUILD: "DOES NOT COMPILE: {detail}",
    NO_TEST: "NO TEST: {test}: {detail}",
}


def options():
    parser = argparse.ArgumentParser(prog="mutants.sh", description=__doc__)
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--check", action="store_true",
                        help="only see that each mutant still finds its place and its test")
    parser.add_argument("--only", metavar="NAME", default="",
                        help="those with NAME in their name, their test, or as a rule")
    parser.add_argument("--json", action="store_true", help="one object at the end, and no lines")
    return parser.parse_args()


def selected(mutants, only):
    return [m for m in mutants if only in m.name or only in m.caught or only in m.rules]


def list_mutants(mutants):
    for m in mutants:
        print(f"{m.name}\n    {' '.join(m.rules)}: {m.breaks}\n    {m.caught}"
              f"{'' if m.build == 'debug' else f' ({m.build})'}")
    print(f"{len(mutants)} mutants")


def test_exists(mutant):
    """Whether its function is in the sources of the program. The explorer knows its own."""
    if "/" not in mutant.program or mutant.function == tree.AT_EXIT:
        return True
    path = tree.target(mutant.program) + ".c"
    if not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as source:
        return mutant.function in source.read()


def check(mutants):
    complaints = []
    for mutant in mutants:
        try:
            mutant.changes(".")
        except catalogue.Malformed as error:
            complaints.append(str(error))
        if not test_exists(mutant):
            complaints.append(f"{mutant.where}: {mutant.name}: there is no {mutant.caught}")
    complaints += [f"no mutant breaks {rule}" for rule in catalogue.unbroken_rules(mutants)]
    print("\n".join(complaints) if complaints else f"{len(mutants)} mutants checked")
    return 1 if complaints else 0


class Run:
    """All of it: two copies of the tree, and a mutant at a time in each."""

    def __init__(self, mutants, scratch, quiet):
        self.mutants, self.quiet = mutants, quiet
        self.processes = tree.Processes()
        self.trees = [tree.Tree(os.path.join(scratch, str(i)), self.processes)
                      for i in range(WORKERS)]
        self.seconds = {}   # by build and program: how long it takes when nothing is broken
        self.untested = {}  # and what is wrong with a test then
        self.results = []
        self.lock = threading.Lock()

    def say(self, text):
        if not self.quiet:
            print(text, flush=True)

    # ---- without a mutant: a test that always fails would catch everything ----

    def prepare(self):
        first = self.trees[0]
        first.copy_sources(os.getcwd())
        programs = collections.defaultdict(set)
        for m in self.mutants:
            programs[m.build].add(m.program)
        for build, names in sorted(programs.items()):
            self.say(f"{build}: {len(names)} test programs")
            if not first.configure(build):
                raise SystemExit(first.said())
            self.compile_all(first, build, names)
        for other in self.trees[1:]:
            other.copy_tree(first)
        self.each_tree(collections.deque(self.baselines()), self.baseline)

    def compile_all(self, first, build, names):
        if first.compile(build, names, WORKERS):
            return
        for name in sorted(names):  # one that is not there is no reason to leave the others out
            if not first.compile(build, [name], WORKERS):
                self.untested[build, name] = "it cannot be built"

    def baselines(self):
        keys = {(m.build, m.program, m.function if "/" not in m.program else "")
                for m in self.mutants}
        return sorted(key for key in keys if key[:2] not in self.untested)

    def baseline(self, where, key):
        build, program, function = key
        outcome = where.test(build, program, function, 300)
        self.seconds[key] = outcome.seconds
        for m in self.mutants:
            if (m.build, m.program) != key[:2] or function not in ("", m.function):
                continue
            if outcome.code != 0 or m.function not in outcome.good | {tree.AT_EXIT}:
                self.untested[build, program, m.function] = f"it fails anyway, {outcome.how()}"

    # ---- with one ----

    def jobs(self):
        """Those of one file together: what includes a header is compiled once less often."""
        files = collections.defaultdict(list)
        for m in self.mutants:
            files[m.build, m.hunks[0].path].append(m)
        return collections.deque(sorted(files.values(), key=lambda job: (
            not job[0].hunks[0].path.endswith(".h"), -len(job))))

    def do_job(self, where, job):
        for mutant in job:
            begin = time.monotonic()
            verdict, detail = self.judge(where, mutant)
            with self.lock:
                self.report(mutant, verdict, detail, time.monotonic() - begin)

    def judge(self, where, m):
        why = (self.untested.get((m.build, m.program)) or
               self.untested.get((m.build, m.program, m.function)))
        if why:
            return NO_TEST, why
        old = where.write(m.changes(where.root))
        try:
            if not where.compile(m.build, [m.program], 1):
                return NO_BUILD, first_error(where.said())
            usual = self.seconds[m.build, m.program, m.function if "/" not in m.program else ""]
            outcome = where.test(m.build, m.program, m.function, 10 + 4 * usual)
        finally:
            where.write(old)
        if m.function in outcome.failed:
            return CAUGHT, outcome.how()
        if outcome.failed:
            return ELSEWHERE, ", ".join(outcome.failed)
        return SURVIVED, ""

    def report(self, m, verdict, detail, seconds):
        self.results.append({"name": m.name, "rules": m.rules, "breaks": m.breaks,
                             "test": m.caught, "build": m.build, "verdict": verdict,
                             "detail": detail, "seconds": round(seconds, 1)})
        said = SAID[verdict].format(test=m.caught, detail=detail)
        self.say(f"{len(self.results):3} of {len(self.mutants)}  {m.name} ({' '.join(m.rules)}): "
                 f"{said} in {seconds:.1f} s")

    # ---- both ----

    def each_tree(self, work, do):
        def worker(where):
            while True:
                try:
                    item = work.popleft()
                except IndexError:
                    return
                do(where, item)

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            workers = [pool.submit(worker, where) for where in self.trees]
            try:
                for done in concurrent.futures.as_completed(workers):
                    done.result()
            except BaseException:
                self.processes.stop()
                raise

    def all(self):
        self.prepare()
        self.each_tree(self.jobs(), self.do_job)


def first_error(text):
    errors = [line for line in text.splitlines() if "error:" in line]
    return errors[0] if errors else "see the compiler"


def interrupted(*_):
    raise KeyboardInterrupt


def run(mutants, as_json):
    begin = time.monotonic()
    scratch = tempfile.mkdtemp(prefix="berth-mutants-")
    everything = Run(mutants, scratch, as_json)
    try:
        everything.all()
    finally:
        everything.processes.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    caught = sum(r["verdict"] == CAUGHT for r in everything.results)
    seconds = time.monotonic() - begin
    if as_json:
        json.dump({"caught": caught, "mutants": len(mutants), "seconds": round(seconds),
                   "results": everything.results}, sys.stdout, indent=2)
        print()
    else:
        for result in everything.results:
            if result["verdict"] != CAUGHT:
                print(f"{result['verdict']}: {result['name']} ({result['breaks']})")
        print(f"{caught} of {len(mutants)} caught, {seconds:.0f} s")
    return 0 if caught == len(mutants) else 1


def main():
    chosen = options()
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_MAX, OUTPUT_MAX))
    try:
        mutants = catalogue.read_all()
        if chosen.check:
            return check(mutants)
        mutants = selected(mutants, chosen.only)
        if chosen.list:
            list_mutants(mutants)
            return 0
        if not mutants:
            print(f"no mutant has {chosen.only} in its name", file=sys.stderr)
            return 2
        return run(mutants, chosen.json)
    except catalogue.Malformed as error:
        print(error, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, tree.Stopped):
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
