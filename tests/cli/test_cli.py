# SPDX-License-Identifier: MIT
"""The berth command: what people type, what they see, and every way to be refused."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import berth
from berth import Q35, Server, ServerTest

NVME = "0000:03:00.0"
GUESTS_DEVICES = ["0000:01:10.0", "0000:01:10.2", "0000:01:10.4", "0000:03:00.0",
                  "0000:04:00.0", "0000:05:00.0", "0000:09:00.0", "0000:81:00.0"]


class Lending(ServerTest):
    """One life of a device, from the list to the end of its guest."""

    def test_life(self):
        self.assertEqual(self.server.ready, f"serving 36 PCI functions on {self.server.path}\n")
        devices = self.server.json("ls")["devices"]
        self.assertEqual(len(devices), 36)
        self.assertEqual([d["sbdf"] for d in devices], sorted(d["sbdf"] for d in devices))
        self.assertEqual({d["owner"] for d in devices}, {"hwdom"})

        self.assertIn("domain vm1 is live", self.fine("domain", "create", "vm1"))
        self.assertIn("belongs to vm1", self.fine("assign", NVME, "vm1"))
        self.assertEqual(self.server.show(NVME)["owner"], "vm1")
        holders = {h["tag"]: h["count"] for h in self.server.json("refs", NVME)["holders"]}
        self.assertEqual((holders["registry"], holders["owner"]), (1, 1))

        refusal = self.refused("guest-owns", "EBUSY", "remove", NVME)
        self.assertEqual((refusal["device"], refusal["domain"], refusal["rule"]),
                         (NVME, "vm1", "R1"))
        self.assertEqual(self.server.show(NVME)["owner"], "vm1")

        self.assertIn("is removed", self.fine("remove", "--force", NVME))
        self.refused("no-device", "ENODEV", "show", NVME)
        self.assertEqual(len(self.server.json("ls")["devices"]), 35)
        self.assertIn("belongs to hwdom", self.fine("add", NVME))
        self.assertIn("domain vm1 is dead", self.fine("domain", "destroy", "vm1"))
        counters = self.server.json("sim", "counters")
        self.assertEqual(counters["touches_after_release"], 0)

    def test_tables(self):
        lines = self.fine("ls").splitlines()
        self.assertTrue(lines[0].startswith("ADDRESS"))
        self.assertEqual(len(lines), 37)
        column = lines[0].index("OWNER")
        self.assertTrue(all(line[column - 1] == " " for line in lines))
        text = self.fine("show", "09:00.0")
        self.assertRegex(text, r"(?m)^Address +0000:09:00\.0$")
        self.assertRegex(text, r"(?m)^Bridge above +0000:07:01\.0$")
        self.assertRegex(text, r"(?m)^Ids +0x8086:0x10d3 ")
        self.assertIn("registry", self.fine("refs", "09:00.0"))
        self.assertRegex(self.fine("domain", "list"), r"(?m)^ *\d+ +hwdom +hwdom +live +\d+$")

    def test_names(self):
        device = self.server.show("0000:01:00.0")
        self.assertEqual(device["vendor_name"], "Intel Corporation")
        self.assertIn("82576", device["device_name"])
        self.assertEqual(device["class_name"], "Ethernet controller")
        unknown = self.server.show("0000:0d:02.0")
        self.assertIn(f"Device {unknown['device']}", self.fine("show", "0000:0d:02.0"))

    def test_tree(self):
        text = self.fine("tree")
        self.assertEqual(len(re.findall(r"0000:|bus ", text)), 36 + 2 * 2)
        depth = {m[1]: m.start(1) - text.rindex("\n", 0, m.start(1))
                 for m in re.finditer(r"(\S+:\S+\.\d)", text)}
        self.assertGreater(depth["0000:08:00.0"], depth["0000:07:00.0"])
        self.assertGreater(depth["0000:07:00.0"], depth["0000:06:00.0"])
        self.assertGreater(depth["0000:01:10.0"], depth["0000:01:00.0"])
        self.assertEqual(depth["0000:07:00.0"], depth["0000:07:01.0"])

    def test_short_address(self):
        self.assertEqual(self.server.show("81:00.0")["sbdf"], "0000:81:00.0")
        self.assertEqual(self.server.show("81:00.0")["numa_node"], 1)


class Refusals(ServerTest):
    """Each refusal names the device, the rule and the way out, and changes nothing."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("vm1", "vm2"):
            cls.server.run("domain", "create", name)

    def setUp(self):
        self.before = self.server.json("ls")

    def tearDown(self):
        after = self.server.json("ls")
        for old, new in zip(self.before["devices"], after["devices"]):
            old.pop("generation"), new.pop("generation")
            self.assertEqual(old, new)
        self.assertEqual(len(self.before["devices"]), len(after["devices"]))

    def test_unknown_device(self):
        for words in (["show"], ["refs"], ["remove"], ["readd"], ["reset"], ["deassign"],
                      ["hold"], ["release"]):
            refusal = self.refused("no-device", "ENODEV", *words, "0000:44:00.0")
            self.assertEqual(refusal["device"], "0000:44:00.0")
        self.refused("no-device", "ENODEV", "assign", "0000:44:00.0", "vm1")
        self.refused("no-device", "ENODEV", "sriov", "0000:44:00.0", "2")

    def test_nothing_there(self):
        self.refused("nothing-there", "ENODEV", "add", "0000:44:00.0")

    def test_exists(self):
        self.refused("exists", "EEXIST", "add", NVME)

    def test_unknown_domain(self):
        refusal = self.refused("no-domain", "ENOENT", "assign", NVME, "nobody")
        self.assertIn("nobody", refusal["text"])
        self.assertIn("berth domain list", refusal["text"])
        self.refused("no-domain", "ENOENT", "domain", "destroy", "nobody")
        self.refused("no-domain", "ENOENT", "deassign", NVME, "nobody")
        self.refused("no-domain", "ENOENT", "remove", NVME, "--as", "nobody")

    def test_not_permitted(self):
        for words in (["remove", NVME], ["assign", NVME, "vm2"], ["reset", NVME]):
            self.refused("not-permitted", "EPERM", *words, "--as", "vm1")
        refusal = self.refused("domain-denied", "EPERM", "domain", "destroy", "vm2", "--as", "vm1")
        self.assertIn("vm1 may not", refusal["text"])

    def test_self_assign(self):
        self.refused("self-assign", "EINVAL", "assign", NVME, "vm1", "--as", "vm1")

    def test_not_owned(self):
        self.refused("not-lent", "EINVAL", "deassign", NVME, "vm1")
        self.refused("not-lent", "EINVAL", "deassign", NVME)

    def test_pf_with_vfs(self):
        refusal = self.refused("has-vfs", "EBUSY", "remove", "0000:01:00.0")
        self.assertEqual(refusal["number"], 3)
        self.refused("has-vfs", "EBUSY", "assign", "0000:01:00.0", "vm1")

    def test_bridge(self):
        refusal = self.refused("has-children", "EBUSY", "remove", "0000:00:03.0")
        self.assertEqual(refusal["other"], NVME)
        self.refused("bridge", "EINVAL", "assign", "0000:00:03.0", "vm1")

    def test_sriov(self):
        self.refused("not-a-pf", "ENOTTY", "sriov", NVME, "2")
        self.refused("vf-count", "ERANGE", "sriov", "0000:02:00.0", "99")

    def test_domain_names(self):
        self.refused("domain-exists", "EEXIST", "domain", "create", "vm1")
        self.refused("domain-exists", "EEXIST", "domain", "create", "hwdom")
        self.refused("bad-argument", "EINVAL", "domain", "create", "a/b")

    def test_not_held(self):
        self.refused("not-held", "ENOENT", "unhold", NVME)


class States(ServerTest):
    """What depends on what was done before."""

    def setUp(self):
        for name in ("vm1", "vm2"):
            self.fine("domain", "create", name)

    def tearDown(self):
        for name in ("vm1", "vm2"):
            self.server.run("domain", "destroy", name)
        for device in self.server.json("ls")["devices"]:
            if device["owner"] == "quarantine":
                self.fine("release", device["sbdf"])

    def test_only_the_owner_gives_back(self):
        self.fine("assign", NVME, "vm1")
        self.refused("not-owner", "EINVAL", "deassign", NVME, "vm2")
        self.fine("deassign", NVME, "vm1")

    def test_assign_twice(self):
        self.fine("assign", NVME, "vm1")
        self.refused("owned", "EBUSY", "assign", NVME, "vm2")
        self.refused("not-owner", "EINVAL", "deassign", NVME, "vm2")
        self.assertIn("belongs to quarantine", self.fine("deassign", NVME))
        self.assertIn("belongs to vm2", self.fine("assign", NVME, "vm2"))

    def test_release(self):
        self.fine("assign", NVME, "vm1")
        self.fine("deassign", NVME, "vm1")
        self.assertIn("belongs to hwdom", self.fine("release", NVME))

    def test_dry_run(self):
        self.assertIn("could be assigned to vm1", self.fine("assign", NVME, "vm1", "--test"))
        self.assertEqual(self.server.show(NVME)["owner"], "hwdom")
        self.refused("bridge", "EINVAL", "assign", "0000:00:03.0", "vm1", "--test")

    def test_guest_teardown(self):
        self.fine("assign", NVME, "vm1")
        self.fine("assign", "0000:09:00.0", "vm1")
        self.fine("domain", "destroy", "vm1")
        self.assertEqual(self.server.show(NVME)["owner"], "quarantine")
        self.assertEqual(self.server.show("0000:09:00.0")["owner"], "quarantine")
        self.refused("no-domain", "ENOENT", "assign", NVME, "vm1")

    def test_strict_with_handle(self):
        self.fine("hold", NVME)
        refusal = self.refused("referenced", "EBUSY", "remove", "--strict", NVME)
        self.assertIn("handle", [h["tag"] for h in refusal["holders"]])
        self.assertEqual(self.server.show(NVME)["state"], "present")
        self.fine("unhold", NVME)
        self.fine("remove", "--strict", NVME)
        self.fine("add", NVME)

    def test_handle_outlives_device(self):
        self.fine("hold", NVME)
        self.assertIn("1 harmless reference left", self.fine("remove", NVME))
        self.fine("add", NVME)
        self.assertNotIn("handle", [h["tag"] for h in self.server.json("refs", NVME)["holders"]])
        self.fine("unhold", NVME)
        self.refused("not-held", "ENOENT", "unhold", NVME)

    def test_vf_without_pf(self):
        self.fine("remove", "--force", "0000:01:00.0")
        refusal = self.refused("no-pf", "ENODEV", "add", "0000:01:10.0", "--vf-of", "01:00.0")
        self.assertEqual(refusal["other"], "0000:01:00.0")
        self.refused("no-pf", "ENODEV", "add", "0000:01:10.0")
        self.fine("add", "0000:01:00.0")
        self.fine("add", "0000:01:10.0", "--vf-of", "01:00.0")
        self.fine("add", "0000:01:10.2")
        self.fine("add", "0000:01:10.4")
        self.assertEqual(self.server.show("0000:01:10.2")["pf"], "0000:01:00.0")

    def test_sriov(self):
        pf = "0000:02:00.0"
        self.assertIn("has 4 virtual functions", self.fine("sriov", pf, "4"))
        vfs = [d for d in self.server.json("ls")["devices"] if d["pf"] == pf]
        self.assertEqual(len(vfs), 4)
        self.fine("assign", vfs[2]["sbdf"], "vm1")
        refusal = self.refused("guest-owns", "EBUSY", "sriov", pf, "0")
        self.assertEqual(refusal["device"], vfs[2]["sbdf"])
        self.assertEqual(len([d for d in self.server.json("ls")["devices"] if d["pf"] == pf]), 4)
        self.fine("deassign", vfs[2]["sbdf"])
        self.assertIn("has 0 virtual functions", self.fine("sriov", pf, "0"))
        self.assertEqual([d for d in self.server.json("ls")["devices"] if d["pf"] == pf], [])

    def test_sriov_unwinds(self):
        pf = "0000:02:00.0"
        self.fine("sim", "fail", "claim", "3")
        self.refused_once("host-claim", "EBUSY", "sriov", pf, "4")
        device = self.server.show(pf)
        self.assertEqual((device["vfs"], device["children"]), (0, 0))

    def test_reset(self):
        self.assertIn("was reset", self.fine("reset", NVME))
        self.fine("sim", "hang-reset", NVME)
        self.refused("reset-failed", "EIO", "reset", NVME)
        self.assertIn("broken", self.server.show(NVME)["flags"])
        self.fine("sim", "hang-reset", NVME, "--off")
        self.fine("remove", NVME)
        self.fine("sim", "pull", NVME)
        self.fine("sim", "return", NVME)
        self.fine("add", NVME)
        self.assertEqual(self.server.show(NVME)["flags"], [])

    def test_pull(self):
        self.fine("assign", NVME, "vm1")
        self.assertIn("pulled out", self.fine("sim", "pull", NVME))
        self.assertIn("disconnected", self.server.show(NVME)["flags"])
        self.refused("guest-owns", "EBUSY", "remove", NVME)
        self.fine("remove", "--force", NVME)
        self.refused("nothing-there", "ENODEV", "add", NVME)
        self.assertIn("plugged in", self.fine("sim", "return", NVME))
        self.fine("add", NVME)

    def test_pull_card(self):
        self.fine("sim", "pull", "0000:0b:00.0")
        for function in ("0000:0b:00.0", "0000:0b:00.1"):
            self.assertIn("disconnected", self.server.show(function)["flags"])
            self.fine("remove", function)
        self.fine("sim", "return", "0000:0b:00.0")
        self.fine("add", "0000:0b:00.0")
        self.fine("add", "0000:0b:00.1")

    def test_dma(self):
        self.fine("assign", NVME, "vm1")
        self.server.run("sim", "dma", NVME, "0x1000", "--write", "0xfeedfacecafebeef")
        done = self.server.json("sim", "dma", NVME, "0x1000")
        if done["result"] == "domain":
            self.assertEqual((done["domain"], done["data"]), ("vm1", "0xfeedfacecafebeef"))
        else:
            self.assertEqual(done["result"], "silent")
        self.fine("deassign", NVME)
        self.assertNotEqual(self.server.json("sim", "dma", NVME, "0x1000")["result"], "domain")

    def test_dma_reaches_the_owner_and_nobody_else(self):
        self.fine("assign", NVME, "vm1")
        self.assertIn("silent", self.fine("sim", "dma", NVME, "0x1000"))
        self.assertIn("on", self.fine("sim", "master", NVME))
        self.assertEqual(self.server.json("sim", "dma", NVME, "0x1000")["domain"], "vm1")
        self.fine("deassign", NVME)
        self.fine("sim", "master", NVME)
        self.assertIn("fault", self.fine("sim", "dma", NVME, "0x1000"))

    def test_failure_is_undone(self):
        self.fine("sim", "fail", "attach", "1")
        self.refused_once("iommu-failed", "EIO", "assign", NVME, "vm1")
        self.assertEqual(self.server.show(NVME)["owner"], "hwdom")
        self.fine("assign", NVME, "vm1")

    def refused_once(self, reason, error, *words):
        done = self.server.run(*words, "--json")
        self.assertEqual(done.returncode, 1)
        refusal = json.loads(done.stdout)
        self.assertEqual((refusal["reason"], refusal["error"]), (reason, error))


class Deadlines(ServerTest):
    """R4, K1: removals that wait for guests end by their deadlines, and nobody else waits."""

    def test_eight_stuck_removals(self):
        self.fine("domain", "create", "vm1")
        for device in GUESTS_DEVICES:
            self.fine("assign", device, "vm1")
        start = time.monotonic()
        stuck = [self.server.start("remove", "--graceful", "--timeout", "3", device)
                 for device in GUESTS_DEVICES]
        self.assertTrue(berth.wait_until(lambda: self.server.threads() >= 8, 2))
        others = time.monotonic()
        self.assertEqual(len(self.server.json("ls")["devices"]), 36)
        self.fine("domain", "create", "vm2")
        self.fine("assign", "0000:0a:00.0", "vm2")
        self.fine("remove", "--force", "0000:0a:00.0")
        self.fine("add", "0000:0a:00.0")
        self.assertLess(time.monotonic() - others, 2.5)
        self.assertTrue(all(removal.poll() is None for removal in stuck))
        for removal in stuck:
            _, text = removal.communicate(timeout=10)
            self.assertEqual(removal.returncode, 1)
            self.assertIn("did not let go of", text)
        self.assertGreaterEqual(time.monotonic() - start, 2.9)
        self.assertLess(time.monotonic() - start, 6)
        for device in GUESTS_DEVICES:
            self.assertEqual(self.server.show(device)["owner"], "vm1")
        for device in GUESTS_DEVICES:
            self.fine("remove", "--graceful-force", "--timeout", "0.05", device)
            self.refused("no-device", "ENODEV", "show", device)

    def test_owner_lets_go(self):
        self.fine("domain", "create", "vm3")
        self.fine("assign", "0000:0a:00.0", "vm3")
        removal = self.server.start("remove", "--graceful", "--timeout", "20", "0000:0a:00.0")
        time.sleep(0.3)
        self.assertIsNone(removal.poll())
        self.fine("deassign", "0000:0a:00.0", "vm3")
        text, _ = removal.communicate(timeout=10)
        self.assertEqual((removal.returncode, "is removed" in text), (0, True))


class Watching(ServerTest):
    """The trace, live."""

    def test_watch(self):
        watch = self.server.start("watch", "--json", "--count", "3")
        self.wait_for_watcher()
        self.fine("reset", NVME)
        text, _ = watch.communicate(timeout=10)
        self.assertEqual(watch.returncode, 0)
        events = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(len(events), 3)
        self.assertEqual(events[0]["event"], "begin")
        self.assertEqual(events[0]["transition"], "reset")
        self.assertEqual({e["device"] for e in events}, {NVME})
        numbers = [e["sequence"] for e in events]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + 3)))

    def test_watch_for_people(self):
        watch = self.server.start("watch", "--count", "2")
        self.wait_for_watcher()
        self.fine("reset", NVME)
        text, _ = watch.communicate(timeout=10)
        self.assertRegex(text.splitlines()[0], rf"^ *\d+\.\d{{6}}  {NVME}  reset +begin ")

    def wait_for_watcher(self):
        before = self.server.descriptors()
        # The watcher has connected when its descriptor is there, and asked soon after.
        berth.wait_until(lambda: self.server.descriptors() > before, 1)
        time.sleep(0.2)


class Usage(ServerTest):
    """Exit code 2, and a word about what is wrong."""

    def test_usage(self):
        for words in (["show"], ["show", "zz"], ["show", "0000:03:00.8"], ["show", "0:3:0.0.0"],
                      ["show", "00000:03:00.0"], ["show", NVME, NVME], ["assign", NVME],
                      ["remove", NVME, "--force", "--strict"], ["remove", NVME, "--timeout", "x"],
                      ["remove", NVME, "--timeout", "0"], ["remove", NVME, "--timeout", "1e9"],
                      ["remove", NVME, "--bogus"], ["sriov", NVME, "-1"], ["sriov", NVME, "70000"],
                      ["domain", "create", "x" * 32], ["domain", "create", ""],
                      ["sim", "fail", "nonsense", "1"], ["sim", "fail", "attach", "1", "EWHAT"],
                      ["sim", "dma", NVME, "0x1ffffffffffffffff"], ["domain", "what"], ["domain"],
                      ["nonsense"], ["ls", "word"], ["watch", "--count", "-3"]):
            with self.subTest(words=words):
                self.usage(*words)

    def test_no_command(self):
        self.assertEqual(berth.berth().returncode, 2)
        self.assertEqual(berth.berth("--nonsense").returncode, 2)

    def test_help(self):
        for words in (["--help"], ["help"], ["help", "remove"], ["remove", "--help"],
                      ["help", "domain", "create"], ["serve", "--help"], ["help", "version"],
                      ["--version"], ["version"]):
            with self.subTest(words=words):
                done = berth.berth(*words)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout)

    def test_help_lists_what_there_is(self):
        text = berth.berth("--help").stdout
        for word in ("serve", "ls", "tree", "show BDF", "assign BDF DOMAIN", "watch"):
            self.assertIn(f"  {word}", text)

    def test_socket_before_command(self):
        done = berth.berth("--socket", self.server.path, "ls", "--json")
        self.assertEqual(len(json.loads(done.stdout)["devices"]), 36)
        env = dict(os.environ, BERTH_SOCKET=self.server.path)
        self.assertEqual(berth.berth("ls", env=env).returncode, 0)

    def test_no_server(self):
        done = berth.berth("ls", "--socket", "/nonexistent/s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no server at /nonexistent/s", done.stderr)
        self.assertIn("berth serve --socket /nonexistent/s", done.stderr)


class Policies(unittest.TestCase):
    """Options of serve that change what is refused."""

    def test_hidden_and_read_only(self):
        with Server("--hide", NVME, "--read-only", "09:00.0", "--phantom", "04:00.0=4") as server:
            server.run("domain", "create", "vm1")
            self.assertEqual(server.show(NVME)["owner"], "hidden")
            self.assertEqual(server.json("assign", NVME, "vm1")["reason"], "hidden")
            self.assertEqual(server.json("assign", "09:00.0", "vm1")["reason"], "read-only")
            device = server.show("04:00.0")
            self.assertEqual(device["phantom_stride"], 4)
            self.assertEqual(device["rids"], ["0000:04:00.0", "0000:04:00.4"])

    def test_quarantine_off(self):
        with Server("--quarantine", "off") as server:
            server.run("domain", "create", "vm1")
            server.run("assign", NVME, "vm1")
            server.run("deassign", NVME)
            self.assertEqual(server.show(NVME)["owner"], "hwdom")

    def test_timeout(self):
        with Server("--timeout", "0.2") as server:
            server.run("domain", "create", "vm1")
            server.run("assign", NVME, "vm1", "--timeout", "5")
            start = time.monotonic()
            self.assertEqual(server.json("remove", "--graceful", NVME)["reason"], "owner-keeps")
            self.assertLess(time.monotonic() - start, 1.5)

    def test_require_reset(self):
        with Server("--require-reset") as server:
            server.run("domain", "create", "vm1")
            without = [d["sbdf"] for d in server.json("ls")["devices"]
                       if not d["reset_methods"] and "endpoint" in d["type"]]
            for device in server.json("ls")["devices"]:  # groups and lines out of the way
                if "endpoint" in device["type"]:
                    server.run("quarantine", device["sbdf"])
            for device in without:
                self.assertEqual(server.json("assign", device, "vm1")["reason"], "no-reset")

    def test_groups(self):
        first, second = "0000:0b:00.0", "0000:0b:00.1"
        with Server() as server:
            server.run("domain", "create", "vm1")
            refusal = server.json("assign", first, "vm1")
            self.assertEqual((refusal["reason"], refusal["other"], refusal["domain"]),
                             ("shared-group", second, "hwdom"))
            self.assertEqual(server.run("quarantine", second).returncode, 0)
            for device in (first, second):
                self.assertEqual(server.run("assign", device, "vm1").returncode, 0)
                self.assertEqual(server.show(device)["owner"], "vm1")
        with Server("--shared-groups") as server:
            server.run("domain", "create", "vm1")
            self.assertEqual(server.run("assign", first, "vm1").returncode, 0)

    def test_fault_injection(self):
        with Server("--fault-injection", "claim=4,ENODEV") as server:
            self.assertEqual(server.ready, f"serving 35 PCI functions on {server.path}\n")
            self.assertIn("not added: ", server.log())

    def test_wrong_options(self):
        for words in (["--quarantine", "maybe"], ["--hide", "x"], ["--phantom", "04:00.0"],
                      ["--phantom", "04:00.0=3"], ["--timeout", "0"], ["--idle", "never"],
                      ["--fault-injection", "claim"], ["--fault-injection", "nonsense=1"],
                      ["--socket", "x" * 200], ["word"]):
            with self.subTest(words=words):
                self.assertEqual(berth.berth("serve", *words).returncode, 2)


class Machines(unittest.TestCase):
    """Where the machine comes from."""

    def test_standard_input(self):
        with open(Q35, encoding="utf-8") as text, Server(machine="-", stdin=text) as server:
            self.assertTrue(server.ready.startswith("serving 36 PCI functions"), server.log())

    def test_shipped(self):
        if not os.path.exists(os.path.join(os.path.dirname(berth.PROGRAM), "..", "data")):
            self.skipTest("the build folder is not in the source tree")
        with Server(machine="q35") as server:
            self.assertTrue(server.ready.startswith("serving 36 PCI functions"), server.log())

    def test_lspci(self):
        if not shutil.which("lspci") or not os.path.isdir("/sys/bus/pci/devices"):
            self.skipTest("no lspci, or no PCI")
        text = subprocess.run(["lspci", "-xxxx"], capture_output=True, check=False).stdout
        if not text.strip():
            self.skipTest("no PCI function")
        with tempfile.TemporaryFile() as file:
            file.write(text)
            file.seek(0)
            with Server(machine="-", stdin=file) as server:
                self.assertRegex(server.ready, r"^serving [1-9]\d* PCI functions", server.log())

    def refuse(self, text, place):
        with tempfile.NamedTemporaryFile("wb", suffix=".txt") as file:
            file.write(text)
            file.flush()
            socket = f"{file.name}.socket"
            done = berth.berth("serve", "--machine", file.name, "--socket", socket)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertRegex(done.stderr, rf"^berth: {re.escape(file.name)}{place}: ")
            self.assertFalse(os.path.exists(socket))

    def test_wrong_captures(self):
        row = b"00: 86 80 d3 10 07 04 10 00 00 00 00 02 00 00 00 00\n"
        self.refuse(b"00:01.0 Something\n" + row.replace(b"d3", b"zz"), r":2:\d+")
        self.refuse(b"00:01.0 Something\n" + row, r":\d+:\d+")
        self.refuse(b"", "")
        rows = b"".join(b"%02x:" % i + b" 00" * 16 + b"\n" for i in range(0, 64, 16))
        twice = b"00:01.0 Something\n" + row + rows.split(b"\n", 1)[1] + b"\n"
        self.refuse(twice + twice, r":7:\d+")
        self.refuse(os.urandom(1 << 20), r":\d+:\d+")

    def test_no_file(self):
        done = berth.berth("serve", "--machine", "/nonexistent", "--socket", "/tmp/berth-none")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent", done.stderr)
        self.assertFalse(os.path.exists("/tmp/berth-none"))


if __name__ == "__main__":
    berth.main()
