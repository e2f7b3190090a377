# SPDX-License-Identifier: MIT
"""`berth bench`: that it measures everything it says it does; not how fast the machine is."""

import json
import os
import unittest

import berth

TARGETS = {
    "lookup_get_put_ns": {"at_most": 25.0},
    "lookup_flatness": {"at_most": 1.3},
    "lookup_scaling_2t": {"at_least": 1.9},
    "enter_exit_ns": {"at_most": 5.0},
    "remove_under_fire_p99_us": {"at_most": 5000.0},
    "parallel_assign_ms": {"at_most": 250.0},
    "bytes_per_device": {"at_most": 512.0},
    "add_65536_s": {"at_most": 1.0},
    "add_linearity": {"at_most": 20.0},
    "config_read_ns": {"at_most": 10.0},
    "config_read_spread": {"at_most": 1.3},
    "config_read_mops_2t": {"at_least": 1.9},
    "config_write_mops_2t": {"at_least": 1.8},
    "config_read_same_device_2t": {"at_least": 1.9},
    "vpci_bytes_per_device": {"at_most": 8192.0},
}
OTHERS = {
    "remove_under_fire_p50_us", "remove_under_fire_max_us", "serial_assign_ms",
    "heap_bytes_per_device", "config_mops",
}
COMPARED = {
    "discipline_lookup_get_put_ns", "discipline_lookup_scaling_2t", "discipline_access_scaling_2t",
    "discipline_access_ns", "discipline_remove_under_fire_p50_us",
    "discipline_remove_under_fire_p99_us",
}
DISCIPLINES = {"berth", "global-lock", "domain-rwlock", "locked-refs"}
NEED_TWO_CPUS = ("_2t", "under_fire", "config_mops")


class Everything(unittest.TestCase):
    """One quick run, looked at from several sides."""

    @classmethod
    def setUpClass(cls):
        done = berth.berth("bench", "--quick", "--json")
        cls.code, cls.errors = done.returncode, done.stderr
        cls.document = json.loads(done.stdout)
        cls.figures = cls.document["figures"]

    def named(self, name):
        return [figure for figure in self.figures if figure["name"] == name]

    def test_succeeds(self):
        self.assertEqual(self.code, 0, self.errors)

    def test_names(self):
        names = {figure["name"] for figure in self.figures}
        self.assertEqual(names, set(TARGETS) | OTHERS | COMPARED)

    def test_each_figure_once(self):
        keys = [(figure["name"], json.dumps(figure["params"], sort_keys=True))
                for figure in self.figures]
        self.assertEqual(len(keys), len(set(keys)))

    def test_values(self):
        for figure in self.figures:
            if self.document["cpus"] < 2 and any(w in figure["name"] for w in NEED_TWO_CPUS):
                self.assertIsNone(figure["value"], figure)
                continue
            if figure["name"] == "heap_bytes_per_device" and figure["value"] is None:
                continue  # the allocator of a sanitizer does not tell
            self.assertGreater(figure["value"], 0, figure)
            self.assertLessEqual(figure["min"], figure["value"], figure)
            self.assertGreaterEqual(figure["max"], figure["value"], figure)
            self.assertIn(figure["unit"], ("ns", "us", "ms", "s", "bytes", "ratio", "Mops"))

    def test_targets(self):
        for figure in self.figures:
            if figure["value"] is None:
                continue
            target = TARGETS.get(figure["name"])
            self.assertEqual(figure.get("target"), target, figure)
            if target and "at_most" in target:
                self.assertEqual(figure["met"], figure["value"] <= target["at_most"], figure)
            elif target:
                self.assertEqual(figure["met"], figure["value"] >= target["at_least"], figure)

    def test_lookups_at_both_sizes(self):
        sizes = [figure["params"] for figure in self.named("lookup_get_put_ns")]
        self.assertEqual(sizes, [{"devices": 16}, {"devices": 65536}])

    def test_config_reads_at_all_sizes(self):
        sizes = [figure["params"]["devices"] for figure in self.named("config_read_ns")]
        self.assertEqual(sizes, [1, 32, 256, 4096])

    def test_virtual_cpus(self):
        rates = {(f["params"]["access"], f["params"]["vcpus"]): f["value"]
                 for f in self.named("config_mops")}
        accesses = ("read", "write", "read-same-device")
        self.assertEqual(set(rates), {(a, n) for a in accesses for n in (1, 2)})

    def test_disciplines(self):
        for name in COMPARED:
            found = {figure["params"]["discipline"] for figure in self.named(name)}
            self.assertEqual(found, DISCIPLINES, name)

    def test_resets_overlap(self):
        parallel = self.named("parallel_assign_ms")[0]["value"]
        serial = self.named("serial_assign_ms")[0]["value"]
        self.assertGreaterEqual(parallel, 100)  # a reset takes that long
        self.assertGreaterEqual(serial, 8 * 100)

    def test_walked_lists_grow(self):
        few, many = [figure["value"] for figure in self.named("discipline_lookup_get_put_ns")
                     if figure["params"]["discipline"] == "global-lock"]
        self.assertGreater(many, 100 * few)


class Choice(unittest.TestCase):
    def test_only_one(self):
        done = berth.berth("bench", "--quick", "--json", "--only", "enter_exit_ns")
        self.assertEqual(done.returncode, 0, done.stderr)
        names = [figure["name"] for figure in json.loads(done.stdout)["figures"]]
        self.assertEqual(names, ["enter_exit_ns"])

    def test_table(self):
        done = berth.berth("bench", "--quick", "--only", "bytes_per_device")
        heading, line = done.stdout.splitlines()
        self.assertEqual(heading.split(), ["FIGURE", "PARAMS", "VALUE", "UNIT", "TARGET", "MET"])
        self.assertRegex(line, r"^bytes_per_device +\d+ bytes +<= 512 +(yes|NO)$")

    def test_one_cpu(self):
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(before)})
        try:
            done = berth.berth("bench", "--quick", "--json", "--only", "lookup_scaling_2t")
        finally:
            os.sched_setaffinity(0, before)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("one CPU", done.stderr)
        self.assertEqual([figure["value"] for figure in json.loads(done.stdout)["figures"]], [None])

    def test_unknown(self):
        done = berth.berth("bench", "--only", "nonsense")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, "")
        for name in [*TARGETS, *OTHERS, *COMPARED]:
            self.assertIn(f"  {name}\n", done.stderr)

    def test_unknown_option(self):
        self.assertEqual(berth.berth("bench", "--nonsense").returncode, 2)

    def test_a_word_too_many(self):
        self.assertEqual(berth.berth("bench", "enter_exit_ns").returncode, 2)


if __name__ == "__main__":
    berth.main()
