# SPDX-License-Identifier: MIT
"""The state of every known flaw: runs the tests that docs/scenarios.md names."""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys

import table

CONSTRUCTION, TESTED, MISSING, FAILED = "by construction", "tested", "missing", "failed"
WORKERS = os.cpu_count() or 1
PATIENCE = 3  # times the limit that Meson knows: several programs share a processor here

# What cmocka and unittest say of a test.
BEGUN = re.compile(r"^\[ RUN +\] (test_\w+)$", re.MULTILINE)
CMOCKA = re.compile(r"^\[ +(OK|FAILED|SKIPPED|ERROR) +\] (test_\w+)$", re.MULTILINE)
UNITTEST = re.compile(r"^(test_\w+) \(\S+\)(?:\n[^\n]*)?? \.\.\. (\w+)", re.MULTILINE)


def options():
    parser = argparse.ArgumentParser(prog="scenarios.sh", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the table, and run nothing")
    parser.add_argument("--check", action="store_true",
                        help="only see that table and tests agree; print what does not")
    parser.add_argument("--json", action="store_true", help="one object in place of the table")
    parser.add_argument("--build", metavar="FOLDER", help="a build folder, which is not made anew")
    parser.add_argument("--only", metavar="ID", action="append", help="this row; may be repeated")
    return parser.parse_args()


# ---- the programs ----

def introspect(folder, what):
    done = subprocess.run(["meson", "introspect", folder, "--" + what], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)


def executables_in(folder):
    """Path of an executable -> what it is built of."""
    return {target["filename"][0]:
            [s for part in target["target_sources"] for s in part.get("sources", [])]
            for target in introspect(folder, "targets") if target["type"] == "executable"}


def programs_by_source(folder, executables):
    """Source file of a test -> the Meson tests that are built of it, or are it."""
    found = {}
    for test in introspect(folder, "tests"):
        for source in executables.get(test["cmd"][0], test["cmd"][1:]):
            name = os.path.relpath(source, table.ROOT)
            if table.is_test_source(name):
                found.setdefault(name, []).append(test)
    return found


def run(test):
    """Test function -> whether it passed."""
    try:
        done = subprocess.run(test["cmd"], env={**os.environ, **test["env"]}, cwd=test["workdir"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                              timeout=PATIENCE * test["timeout"])
    except subprocess.TimeoutExpired:
        return {}
    said = dict.fromkeys(BEGUN.findall(done.stdout), False)  # it may end in the middle of one
    said.update((name, word == "OK") for word, name in CMOCKA.findall(done.stdout))
    said.update((name, word == "ok") for name, word in UNITTEST.findall(done.stdout))
    if done.returncode and all(said.values()):  # nobody knows which one it was
        said = dict.fromkeys(said, False)
    return said


def explore(executables, name):
    explorer = [path for path in executables if os.path.basename(path) == "explore"]
    done = subprocess.run(explorer[:1] + [name], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def run_all(rows, sources, folder):
    """(Source, test) -> passed, and exploration -> passed."""
    wanted = {source for row in rows for name in row.tests for source in sources.get(name, [])}
    executables = executables_in(folder)
    by_source = programs_by_source(folder, executables)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        jobs = {(source, test["name"]): pool.submit(run, test)
                for source in wanted for test in by_source.get(source, [])}
        explored = {name: pool.submit(explore, executables, name)
                    for row in rows for name in row.explorations}
        verdicts = {}
        for (source, _), job in jobs.items():
            for name, passed in job.result().items():
                verdicts[source, name] = passed and verdicts.get((source, name), True)
        return verdicts, {name: job.result() for name, job in explored.items()}


# ---- the rows ----

def state_of(row, sources, results):
    if row is None or not (row.tests or row.explorations or row.reason):
        return MISSING
    if any(name not in sources for name in row.tests):
        return MISSING
    if results:
        verdicts, explored = results
        if not all(verdicts.get((source, name)) for name in row.tests for source in sources[name]):
            return FAILED
        if not all(explored[name] for name in row.explorations):
            return FAILED
    return TESTED if row.tests or row.explorations else CONSTRUCTION


def describe(row):
    if row is None:
        return "no such row"
    names = row.tests + ["explore " + name for name in row.explorations]
    return ", ".join(names) or row.reason or "no test"


def print_table(states, by_id, as_json):
    counts = {state: list(states.values()).count(state)
              for state in (TESTED, CONSTRUCTION, MISSING, FAILED)}
    if as_json:
        rows = [{"id": i, "state": s, "tests": by_id[i].tests if i in by_id else [],
                 "explorations": by_id[i].explorations if i in by_id else [],
                 "reason": by_id[i].reason if i in by_id else ""} for i, s in states.items()]
        print(json.dumps({"rows": rows, **counts}, indent=1))
    else:
        for i, state in states.items():
            print(f"{i:<5} {state:<16} {describe(by_id.get(i))}")
        print(f"{len(states)} rows: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    return counts


def check(rows, ids, sources):
    complaints = table.complaints(rows, ids, sources)
    for line in complaints:
        print(line)
    if not complaints:
        print(f"{len(rows)} rows checked")
    return 1 if complaints else 0


def main():
    opt = options()
    rows, ids, sources = table.read(), table.read_ids(), table.test_sources()
    if opt.check:
        return check(rows, ids, sources)
    for i in opt.only or []:
        if i not in ids:
            print(f"scenarios.sh: there is no row {i}", file=sys.stderr)
            return 2
    ids = opt.only or ids
    by_id = {row.id: row for row in rows if row.id in ids}
    results = None
    if not opt.list:
        if not opt.build:
            subprocess.run(["scripts/build.sh", "release"], check=True)
        results = run_all(list(by_id.values()), sources, os.path.abspath(opt.build or "build"))
    states = {i: state_of(by_id.get(i), sources, results) for i in ids}
    counts = print_table(states, by_id, opt.json)
    return 1 if counts[MISSING] or counts[FAILED] or not ids else 0


if __name__ == "__main__":
    sys.exit(main())
