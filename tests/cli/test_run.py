# SPDX-License-Identifier: MIT
"""berth run and berth torture: what they show, how they end, and that they can fail."""

import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

import berth
from berth import PROGRAM

# One function, a host bridge: nothing to lend.
BRIDGE_ONLY = """00:00.0 0600: 8086:29c0
00: 86 80 c0 29 06 00 00 00 00 00 00 06 00 00 00 00
10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
20: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
30: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
"""


def start(*words):
    return subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


class Run(unittest.TestCase):
    def passed(self, result):
        lines = result.stdout.splitlines()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(result.stderr, "")
        self.assertTrue(lines[-1].startswith("PASS: "), lines[-1])
        self.assertEqual([l for l in lines if l.startswith(("PASS", "FAIL"))], lines[-1:])
        return lines

    def test_q35(self):
        lines = self.passed(berth.berth("run", "--seconds", "2", "--machine", "q35"))
        self.assertEqual(lines[0], "q35 capture: 36 PCI functions")
        header = next(i for i, line in enumerate(lines) if line.startswith("ADDRESS"))
        self.assertIn("touches after removal", lines[header - 1])
        rows = [line for line in lines[header + 1:] if line.startswith("0000:")]
        self.assertEqual(len(rows), 11)
        self.assertTrue(any(row.startswith("0000:03:00.0") for row in rows))
        for row in rows:
            self.assertEqual(row.split()[-2:], ["0", "0"], row)
            self.assertGreater(int(row.split()[-6]), 0, row)

    def test_default_machine(self):
        lines = self.passed(berth.berth("run", "--seconds", "1"))
        self.assertRegex(lines[0], r"^(this machine: \d+ PCI functions?|q35 capture: .*because .*)$")

    def test_json(self):
        result = berth.berth("run", "--seconds", "1", "--machine", "q35", "--json", "--seed", "5")
        report = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertTrue(report["passed"])
        self.assertEqual((report["seed"], report["flaws"], report["interrupted"]), (5, [], False))
        devices = report["devices"]
        for key in ("accesses", "assigns", "removals"):
            self.assertEqual(report["totals"][key], sum(d[key] for d in devices))
            self.assertGreater(report["totals"][key], 0)
        for device in devices:
            self.assertEqual((device["references_left"], device["touches_after_removal"]), (0, 0))
        self.assertEqual(report["totals"]["longest_removal_ns"],
                         max(d["longest_removal_ns"] for d in devices))

    def interrupted(self, number, *words):
        process = start(*words)
        time.sleep(1)
        begin = time.monotonic()
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, out + errors)
        self.assertRegex(out.splitlines()[-1], r"^PASS: .*\(interrupted\)$")
        return time.monotonic() - begin

    def test_interrupt(self):
        slow = 5 if os.environ.get("ASAN_OPTIONS") else 1
        for number in (signal.SIGINT, signal.SIGTERM):
            took = self.interrupted(number, "run", "--seconds", "100", "--machine", "q35")
            self.assertLess(took, 2 * slow)

    def test_nothing_to_lend(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as capture:
            capture.write(BRIDGE_ONLY)
            capture.flush()
            result = berth.berth("run", "--seconds", "1", "--machine", capture.name)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stdout.splitlines()[-1],
                             r"^FAIL: no device of this machine can be lent: 0000:00:00\.0 .*\(O4\)")
            result = berth.berth("run", "--machine", capture.name, "--json")
            self.assertEqual(result.returncode, 1)
            self.assertIn("can be lent", json.loads(result.stdout)["verdict"])

    def test_no_machine(self):
        for command in ("run", "torture"):
            result = berth.berth(command, "--machine", "/nowhere/at/all.txt", "--seconds", "1")
            self.assertEqual(result.returncode, 1)
            self.assertTrue(result.stdout.splitlines()[-1].startswith("FAIL: /nowhere/at/all.txt"))

    def test_usage(self):
        for words in (["run", "--seconds", "0"], ["run", "--seconds", "soon"], ["run", "more"],
                      ["run", "--seed", "-1"], ["run", "--threads", "2"], ["run", "--fail"],
                      ["torture", "--threads", "0"], ["torture", "--threads", "65"],
                      ["torture", "--seed", "x"]):
            result = berth.berth(*words)
            self.assertEqual(result.returncode, 2, words)
            self.assertEqual(result.stdout, "")
            self.assertTrue(result.stderr.startswith("berth " + words[0]), result.stderr)

    def test_help(self):
        for command in ("run", "torture"):
            result = berth.berth(command, "--help")
            self.assertEqual(result.returncode, 0)
            self.assertIn("--machine=MACHINE", result.stdout)
            self.assertIn("exit code", result.stdout)


class Torture(unittest.TestCase):
    def passed(self, *words):
        result = berth.berth("torture", "--machine", "q35", *words)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout.splitlines()

    def test_plain(self):
        lines = self.passed("--seconds", "3", "--seed", "1")
        self.assertEqual(lines[:2], ["seed 1", "q35 capture: 36 PCI functions"])
        self.assertTrue(lines[-1].startswith("PASS: "))
        self.assertTrue(any(line.startswith("OPERATION") for line in lines))
        self.assertFalse(any(line.startswith("inject") for line in lines))
        for word in ("guests: ", "virtual CPUs: ", "interrupts: "):
            self.assertEqual(len([line for line in lines if line.startswith(word)]), 1, word)

    def test_fail(self):
        lines = self.passed("--seconds", "3", "--seed", "1", "--fail")
        self.assertTrue(lines[-1].startswith("PASS: "))
        self.assertTrue(any(line.startswith("inject a failure") for line in lines))

    def test_json(self):
        report = json.loads("\n".join(self.passed("--seconds", "3", "--threads", "3", "--json",
                                                  "--seed", "7")))
        self.assertEqual((report["seed"], report["threads"], report["fail"]), (7, 3, False))
        done = {o["operation"]: o["done"] for o in report["operations"]}
        for operation in ("add", "remove by force", "assign", "DMA", "walk", "bring up",
                          "read registers", "place BARs"):
            self.assertGreater(done[operation], 0, operation)
        guests = report["guests"]
        self.assertGreater(guests["config_accesses"], 0)
        self.assertEqual(guests["maps"], guests["unmaps"])
        self.assertEqual(set(guests), {
            "config_accesses", "bar_accesses", "table_writes", "vcpus_held", "vcpus_stopped",
            "maps", "unmaps", "interrupts_injected", "interrupts_intx", "interrupts_pending",
            "interrupts_dropped", "errors"})

    def test_interrupt(self):
        process = start("torture", "--machine", "q35", "--seconds", "100")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, out)
        self.assertRegex(out.splitlines()[-1], r"^PASS: .*\(interrupted\)$")


if __name__ == "__main__":
    berth.main()
