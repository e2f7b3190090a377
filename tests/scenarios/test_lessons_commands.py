# SPDX-License-Identifier: MIT
"""A toolstack's commands, when something goes wrong: F121, F122, F124, K06, K08, K12."""

import os
import signal
import tempfile
import time
import unittest

import berth
from berth import Server, ServerTest

NVME = "0000:03:00.0"
NIC = "0000:09:00.0"


class Commands(ServerTest):
    """Devices of vm1 go back to the hardware domain between tests."""

    def setUp(self):
        self.fine("domain", "create", "vm1")

    def tearDown(self):
        self.server.run("domain", "destroy", "vm1")
        for device in self.server.json("ls")["devices"]:
            if device["owner"] == "quarantine":
                self.fine("release", device["sbdf"])

    def owner(self, device):
        return self.server.show(device)["owner"]

    def fails(self, *words):
        """Exit code 1, one line that says why, and nothing that looks like success."""
        done = self.server.run(*words)
        self.assertEqual((done.returncode, done.stdout), (1, ""), words)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_F121_a_step_that_fails_is_an_exit_code(self):
        for op, words, owner in (("attach", ("assign", NVME, "vm1"), "hwdom"),
                                 ("flush", ("assign", NVME, "vm1"), "hwdom"),
                                 ("claim", ("add", NIC), None)):
            with self.subTest(op=op):
                if not owner:
                    self.fine("remove", NIC)
                self.fine("sim", "fail", op, "1")
                self.fails(*words)
                if owner:
                    self.assertEqual(self.owner(NVME), owner)
                self.fine(*words)  # and the next one is not affected
                if owner:
                    self.fine("deassign", NVME, "vm1")
                    self.fine("release", NVME)
        self.assertEqual(self.owner(NIC), "hwdom")

    def test_F122_force_needs_no_answer(self):
        self.fine("assign", NVME, "vm1")
        self.fails("remove", NVME)
        self.fails("remove", "--graceful", "--timeout", "0.1", NVME)
        self.assertEqual(self.owner(NVME), "vm1")
        begin = time.monotonic()
        self.fine("remove", "--graceful-force", "--timeout", "0.1", NVME)
        self.assertLess(time.monotonic() - begin, 5)
        self.fine("add", NVME)
        self.assertEqual(self.owner(NVME), "hwdom")

    def test_F124_a_reset_is_not_a_farewell(self):
        seats = {}
        for device in (NVME, NIC):
            self.fine("assign", device, "vm1")
            seats[device] = self.server.show(device)["guest_address"]
        for device in (NVME, NIC, NVME):
            self.fine("reset", device)
            self.assertEqual(self.owner(device), "vm1")
            self.assertEqual(self.server.show(device)["guest_address"], seats[device])

    def test_K06_who_holds_a_device_is_told(self):
        self.fine("assign", NVME, "vm1")
        self.fine("hold", NVME)
        holders = {h["tag"]: h["count"] for h in self.server.json("refs", NVME)["holders"]}
        self.assertLessEqual({"registry": 1, "owner": 1, "handle": 1}.items(), holders.items())
        self.assertEqual(sum(holders.values()), self.server.show(NVME)["references"])
        self.assertIn("1 harmless reference left", self.fine("remove", "--force", NVME))
        self.fine("unhold", NVME)
        self.fine("add", NVME)

    def test_K12_dropped_writes_are_shown(self):
        self.fine("assign", NVME, "vm1")
        seat = self.server.show(NVME)["guest_address"]
        self.assertEqual(self.server.show(NVME)["dropped_writes"], 0)
        for _ in range(3):
            self.fine("config", "write", seat, "0xe00", "0xffffffff", "--guest", "vm1")
        self.assertEqual(self.server.show(NVME)["dropped_writes"], 3)
        self.assertEqual(self.owner(NVME), "vm1")


class Restarts(unittest.TestCase):
    """What there is today of a server that restarts: see K08 in docs/scenarios.md."""

    def test_K08_a_killed_server_is_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with Server(path=path) as server:
                server.run("domain", "create", "vm1")
                server.run("assign", NVME, "vm1")
                client = server.connect()
                server.end(signal.SIGKILL)
                self.assertIsNone(client.line())  # told, not left waiting
                client.close()
            with Server(path=path) as server:
                self.assertEqual(server.show(NVME)["owner"], "hwdom")
                self.assertEqual(server.run("domain", "create", "vm1").returncode, 0)
                self.assertEqual(server.run("assign", NVME, "vm1").returncode, 0)
                self.assertEqual(server.end(), 0)


if __name__ == "__main__":
    berth.main()
