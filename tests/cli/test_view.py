# SPDX-License-Identifier: MIT
"""What a guest sees: dumps that lspci decodes, registers, BARs, interrupts, errors."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import berth
from berth import Server, ServerTest

NVME = "0000:03:00.0"  # FLR, MSI-X with 65 vectors behind BAR 0
NIC = "0000:09:00.0"  # an 82574L: MSI, MSI-X, AER, an I/O BAR
VF = "0000:01:10.0"
TABLE = 0x2000  # of the NVMe's BAR 0


class ViewTest(ServerTest):
    """Devices of vm1 go back to the hardware domain between tests."""

    def setUp(self):
        self.fine("domain", "create", "vm1")

    def tearDown(self):
        self.server.run("domain", "destroy", "vm1")
        for device in self.server.json("ls")["devices"]:
            if device["owner"] == "quarantine":
                self.fine("release", device["sbdf"])

    def lend(self, device, *options, guest="vm1"):
        """Lends a device, and returns where the guest sees it."""
        self.fine("assign", device, guest, *options)
        return self.server.show(device)["guest_address"]

    def read(self, at, reg, guest="vm1"):
        return int(self.fine("config", "read", at, reg, "--guest", guest), 16)

    def write(self, at, reg, value, guest="vm1"):
        """Returns what it reads afterwards."""
        return int(self.fine("config", "write", at, reg, hex(value), "--guest", guest), 16)

    def capability(self, at, wanted):
        """The offset of a capability in a guest's config space, or None."""
        where = self.read(at, "0x34.b")
        for _ in range(48):
            if not where:
                return None
            header = self.read(at, f"{where:#x}.w")
            if header & 0xff == wanted:
                return where
            where = header >> 8
        self.fail("the list of capabilities has no end")

    def place(self, at, address):
        """BAR 0 of 64 bits and all decoding on."""
        self.write(at, "0x10", address & 0xffffffff)
        self.write(at, "0x14", address >> 32)
        self.assertEqual(self.write(at, "4.w", 6), 6)


class Addresses(ViewTest):
    def test_chosen_and_shown(self):
        self.assertIn("belongs to vm1, as 0000:00:05.0",
                      self.fine("assign", NVME, "vm1", "--at", "00:05.0"))
        device = self.server.show(NVME)
        self.assertEqual((device["guest_address"], device["guest"]["domain"]),
                         ("0000:00:05.0", "vm1"))
        self.assertIn("as 0000:00:05.0 in vm1", self.fine("show", NVME))
        line = next(l for l in self.fine("ls").splitlines() if l.startswith(NVME))
        self.assertRegex(line, r" vm1 +0000:00:05\.0 ")
        self.assertIsNone(self.server.show(NIC)["guest_address"])
        self.assertIsNone(self.server.show(NIC)["guest"])

    def test_refused_places(self):
        self.lend(NVME, "--at", "00:05.0")
        refusal = self.refused("slot-taken", "EBUSY", "assign", NIC, "vm1", "--at", "00:05.0")
        self.assertEqual(refusal["other"], "0000:00:05.0")
        for at in ("44:00.0", "00:06.3", "0001:00:01.0"):
            self.refused("bad-slot", "EINVAL", "assign", NIC, "vm1", "--at", at)
        self.assertEqual(self.server.show(NIC)["owner"], "hwdom")

    def test_functions_of_one_slot(self):
        self.lend(NVME, "--at", "00:05.0")
        self.lend(NIC, "--at", "00:05.1")
        self.assertEqual(self.read("00:05.0", "0xe.b") & 0x80, 0x80)
        self.fine("deassign", NIC)
        self.assertEqual(self.read("00:05.0", "0xe.b") & 0x80, 0)

    def test_buses_and_ports(self):
        self.fine("domain", "create", "vm2", "--buses", "2", "--ports", "3")
        at = self.lend(NVME, guest="vm2")
        self.assertEqual(at, "0000:02:00.0")  # behind the first port
        self.assertEqual(self.read("00:01.0", "0xa.w", "vm2"), 0x604)
        self.assertEqual(self.read("00:04.0", "0.w", "vm2"), 0xffff)
        self.fine("domain", "destroy", "vm2")

    def test_after_removal(self):
        at = self.lend(NVME)
        self.assertNotEqual(self.read(at, "0.l"), 0xffffffff)
        self.fine("remove", "--force", NVME)
        self.assertEqual(self.read(at, "0.l"), 0xffffffff)
        self.fine("add", NVME)


class Registers(ViewTest):
    def test_widths(self):
        at = self.lend(NVME)
        whole = self.fine("config", "read", at, "0.q", "--guest", "vm1").strip()
        self.assertRegex(whole, r"^0x[0-9a-f]{16}$")
        self.assertEqual(self.fine("config", "read", at, "0", "--guest", "vm1").strip(),
                         "0x" + whole[-8:])
        self.assertEqual(self.fine("config", "read", at, "2.w", "--guest", "vm1").strip(),
                         "0x" + whole[-8:-4])
        self.assertEqual(self.fine("config", "read", at, "1.w", "--guest", "vm1").strip(),
                         "0x" + whole[-6:-2])  # not aligned
        self.assertEqual(self.fine("config", "read", at, "0x0.b", "--guest", "vm1").strip(),
                         "0x" + whole[-2:])

    def test_nothing_there(self):
        for width, digits in (("b", 2), ("w", 4), ("l", 8), ("q", 16)):
            ones = "0x" + "f" * digits + "\n"
            self.assertEqual(self.fine("config", "read", "44:00.0", f"0.{width}"), ones)
            self.assertEqual(self.fine("config", "read", "01:1f.0", f"8.{width}",
                                       "--guest", "vm1"), ones)
        self.assertEqual(self.fine("config", "write", "44:00.0", "0", "1"), "0xffffffff\n")

    def test_table(self):
        at = self.lend(NVME)
        lines = self.fine("config", "read", at, "0x0", "--count", "6",
                          "--guest", "vm1").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], r"^000:( [0-9a-f]{8}){4}$")
        self.assertRegex(lines[1], r"^010:( [0-9a-f]{8}){2}$")
        values = self.server.json("config", "read", at, "0.b", "--count", "64",
                                  "--guest", "vm1")["values"]
        self.assertEqual(len(values), 64)
        self.assertEqual(int(values[3] + values[2][2:], 16), self.read(at, "2.w"))

    def test_guest_and_host_differ(self):
        at = self.lend(NVME)
        host = int(self.fine("config", "read", NVME, "0x10"), 16)
        self.assertNotEqual(host & ~0xf, 0)
        self.assertEqual(self.read(at, "0x10") & ~0xf, 0)  # power-on
        self.write(at, "0x10", 0xffffffff)
        self.assertEqual(self.read(at, "0x10"), 0xffffc004)  # 16 KiB
        self.assertEqual(int(self.fine("config", "read", NVME, "0x10"), 16), host)
        self.assertEqual(self.write(at, "0x3c.b", 0x5a), 0x5a)
        self.assertEqual(self.read(at, "8"), int(self.fine("config", "read", NVME, "8"), 16))

    def test_host_of_the_hardware_domain(self):
        before = self.fine("config", "read", NVME, "0x3c.b").strip()
        self.assertEqual(self.fine("config", "write", NVME, "0x3c.b", "0x33"), "0x33\n")
        self.assertEqual(self.fine("config", "read", NVME, "0x3c.b"), "0x33\n")
        self.fine("config", "write", NVME, "0x3c.b", before)
        answer = self.server.json("config", "read", NVME, "0x3c.b")
        self.assertEqual((answer["device"], answer["domain"], answer["reg"], answer["width"],
                          answer["values"]), (NVME, None, "0x03c", 1, [before]))

    def test_read_only_and_reserved(self):
        at = self.lend(NVME)
        identity = self.read(at, "0")
        self.assertEqual(self.write(at, "0", 0), identity)
        self.assertEqual(self.read(at, "0xff0"), 0)  # V7: unlisted

    def test_refused(self):
        self.refused("no-domain", "ENOENT", "config", "read", NVME, "0", "--guest", "nobody")
        self.refused("no-domain", "ENOENT", "dump", "--guest", "nobody")
        for words in (["config", "read", NVME, "0", "--guest", "hwdom"],
                      ["dump", "--guest", "quarantine"],
                      ["config", "write", NVME, "4.w", "0x10000"],
                      ["config", "write", NVME, "4.b", "256"],
                      ["config", "read", NVME, "0xffc", "--count", "2"]):
            self.refused("bad-argument", "EINVAL", *words)

    def test_usage(self):
        for words in (["config", "read", NVME], ["config", "read", NVME, "4096"],
                      ["config", "read", NVME, "0xffe.l"], ["config", "read", NVME, "4.x"],
                      ["config", "read", NVME, "4."], ["config", "read", NVME, "-4"],
                      ["config", "read", NVME, "4.ww"], ["config", "read", NVME, ".w"],
                      ["config", "read", "zz", "4"], ["config", "read", NVME, "4", "5"],
                      ["config", "read", NVME, "4", "--count", "0"],
                      ["config", "read", NVME, "4", "--count", "5000"],
                      ["config", "write", NVME, "4.w"], ["config", "write", NVME, "4.w", "x"],
                      ["config", "write", NVME, "4.q", "0x10000000000000000"],
                      ["config"], ["config", "erase"], ["dump", "zz"], ["dump", NVME, "zz"],
                      ["dump", "--guest", ""], ["assign", NVME, "vm1", "--at", "zz"],
                      ["domain", "create", "vm3", "--ports", "32"],
                      ["domain", "create", "vm3", "--buses", "0"],
                      ["domain", "create", "vm3", "--buses", "129"],
                      ["sim", "irq", NVME, "4096"], ["sim", "irq", NVME, "x"],
                      ["sim", "bar", NVME, "7", "0"], ["sim", "bar", NVME, "0"],
                      ["sim", "error", NVME, "terrible"], ["sim", "error", NVME]):
            with self.subTest(words=words):
                self.usage(*words)


@unittest.skipUnless(shutil.which("lspci"), "no lspci")
class Dumps(ViewTest):
    """pciutils decodes what the guest sees, without a complaint."""

    def lspci(self, text, *options):
        done = subprocess.run(["lspci", "-F", "/dev/stdin", *options], input=text,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        # Of a machine whose kernel has no modules; -F has nothing to do with it.
        errors = [l for l in done.stderr.splitlines() if "libkmod" not in l]
        self.assertEqual(errors, [], text[:200])
        return done.stdout

    def decoded(self, *words):
        """By address: what lspci -vv prints of each function."""
        text = self.lspci(self.fine("dump", *words), "-vv", "-D")
        parts = [part for part in text.split("\n\n") if part.strip()]
        return {part.split()[0]: part for part in parts}

    def test_guest(self):
        at = self.lend(NVME, "--at", "00:05.0")
        self.lend(VF, "--at", "01:00.0")
        self.place(at, 0xc0000000)
        msix = self.capability(at, 0x11)
        self.write(at, f"{msix + 2:#x}.w", 0x8000)
        functions = self.decoded("--guest", "vm1")
        self.assertEqual(sorted(functions), ["0000:00:00.0", "0000:00:05.0", "0000:01:00.0"])
        nvme = functions["0000:00:05.0"]
        self.assertIn("Region 0: Memory at c0000000 (64-bit, non-prefetchable)", nvme)
        self.assertNotIn("disabled", nvme.split("Region 0")[1].splitlines()[0])
        self.assertIn("Control: I/O- Mem+ BusMaster+", nvme)
        self.assertIn("MSI-X: Enable+ Count=65 Masked-", nvme)
        self.assertIn("Vector table: BAR=0 offset=00002000", nvme)
        self.assertIn("Express (v2)", nvme)
        self.assertIn("FLReset+", nvme)
        self.assertIn("Power Management", nvme)
        self.assertIn("MSI-X: Enable-", functions["0000:01:00.0"])
        self.assertIn("Host bridge", functions["0000:00:00.0"])

    def test_conventional_capabilities(self):
        self.lend(NIC, "--at", "00:03.0")
        nic = self.decoded("--guest", "vm1")["0000:00:03.0"]
        self.assertIn("MSI: Enable- Count=1/1", nic)
        self.assertIn("MSI-X: Enable- Count=5", nic)
        self.assertIn("Advanced Error Reporting", nic)
        self.assertIn("I/O ports at <unassigned>", nic)  # what else is 0 lspci leaves out
        self.assertNotIn("Device Serial Number", nic)  # V7: it has no view

    def test_ports(self):
        self.fine("domain", "create", "vm2", "--ports", "2", "--buses", "1")
        self.lend(NVME, guest="vm2")
        functions = self.decoded("--guest", "vm2")
        self.assertEqual(sorted(functions), ["0000:00:00.0", "0000:00:01.0", "0000:00:02.0",
                                             "0000:01:00.0"])
        port = functions["0000:00:01.0"]
        self.assertIn("Root Port (Slot+)", port)
        self.assertIn("PresDet+", port)
        self.assertIn("secondary=01", port)
        self.fine("domain", "destroy", "vm2")

    def test_host(self):
        functions = self.decoded()
        self.assertEqual(len(functions), len(self.server.json("ls")["devices"]))
        self.assertIn("Region 0: Memory at", functions[NVME])
        self.assertRegex(self.fine("dump", VF), r"^01:10\.0 Ethernet controller .*82576.*\n00: ff ff")
        some = self.decoded(NVME, "09:00.0")
        self.assertEqual(sorted(some), [NVME, NIC])
        self.assertEqual(some[NVME], functions[NVME])

    def test_one_of_a_guest(self):
        self.lend(NVME, "--at", "00:05.0")
        self.assertEqual(list(self.decoded("00:05.0", "--guest", "vm1")), ["0000:00:05.0"])
        self.refused("nothing-there", "ENODEV", "dump", "00:06.0", "--guest", "vm1")
        self.refused("nothing-there", "ENODEV", "dump", "44:00.0")

    def test_empty(self):
        self.assertEqual(list(self.decoded("--guest", "vm1")), ["0000:00:00.0"])
        self.assertIn("Host bridge", self.fine("dump", "--guest", "vm1"))

    def test_json(self):
        at = self.lend(NVME)
        functions = {f["sbdf"]: f for f in self.server.json("dump", "--guest", "vm1")["functions"]}
        nvme = functions[at]
        self.assertEqual((nvme["vendor"], nvme["device"], nvme["class"]),
                         ("0x1b36", "0x0010", "0x010802"))
        self.assertEqual(nvme["class_name"], "NVMe controller")
        self.assertEqual(len(nvme["config"]), 2 * 4096)
        self.assertEqual(nvme["config"][:8], "361b1000")
        self.assertEqual(len(functions["0000:00:00.0"]["config"]), 2 * 256)

    def test_many(self):
        """More than one page of the server's answers."""
        self.fine("sriov", "0000:02:00.0", "7")
        vfs = [d["sbdf"] for d in self.server.json("ls")["devices"] if d["pf"] == "0000:02:00.0"]
        self.fine("domain", "create", "vm2", "--ports", "31")
        for vf in vfs:
            self.fine("assign", vf, "vm2")
        functions = self.decoded("--guest", "vm2")
        self.assertEqual(len(functions), 1 + 31 + 7)
        self.fine("domain", "destroy", "vm2")
        self.fine("sriov", "0000:02:00.0", "0")

    def test_own_parser(self):
        """A machine can be built out of what a guest sees."""
        at = self.lend(NVME)
        self.place(at, 0xc0000000)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(self.fine("dump", "--guest", "vm1"))
            file.flush()
            with Server(machine=file.name) as inner:
                self.assertRegex(inner.ready, r"^serving 2 PCI functions", inner.log())
                self.assertEqual(inner.show(at)["vendor"], "0x1b36")


class Drivers(ViewTest):
    """What a driver does with its device, and the device with its driver."""

    def entry(self, vector, address, data, control=0):
        for i, value in enumerate((address & 0xffffffff, address >> 32, data, control)):
            answer = self.fine("sim", "bar", NVME, "0", hex(TABLE + 16 * vector + 4 * i),
                               hex(value))
            self.assertTrue(answer.startswith("trapped "), answer)

    def irq(self, vector, device=NVME):
        answer = self.server.json("sim", "irq", device, str(vector))
        return answer["result"]

    def test_bars(self):
        at = self.lend(NVME)
        self.assertTrue(self.fine("sim", "bar", NVME, "0", "0").startswith("nothing "))
        self.place(at, 0x1_8000_0000_00)
        bar = self.server.show(NVME)["guest"]["bars"][0]
        self.assertEqual((bar["address"], bar["size"], bar["decoded"], bar["mapped"]),
                         ("0x0000018000000000", 16384, True, 8192))
        self.assertTrue(self.fine("sim", "bar", NVME, "0", "0x14").startswith("mapped "))
        self.assertEqual(self.fine("sim", "bar", NVME, "0", hex(TABLE), "0xfee01000"),
                         "trapped 0xfee01000\n")
        self.assertEqual(self.fine("sim", "bar", NVME, "0", hex(TABLE)), "trapped 0xfee01000\n")
        self.write(at, "4.w", 0)
        self.assertFalse(self.server.show(NVME)["guest"]["bars"][0]["decoded"])
        self.assertEqual(self.server.show(NVME)["guest"]["bars"][0]["mapped"], 0)
        self.assertTrue(self.fine("sim", "bar", NVME, "0", "0").startswith("nothing "))
        self.assertEqual(self.server.json("sim", "counters")["bar_decode_off"], 0)

    def test_outside_of_the_windows(self):
        at = self.lend(NVME)
        self.write(at, "0x10", 0x1000000)
        self.write(at, "0x14", 0)
        self.assertEqual(self.write(at, "4.w", 6) & 2, 0)
        self.assertFalse(self.server.show(NVME)["guest"]["bars"][0]["decoded"])

    def test_bar_of_the_host(self):
        self.assertTrue(self.fine("sim", "bar", NVME, "0", "0").startswith("host "))
        self.refused("bad-argument", "EINVAL", "sim", "bar", NVME, "0", "0x4000")
        self.refused("bad-argument", "EINVAL", "sim", "bar", NVME, "0", "2")
        self.refused("nothing-there", "ENOENT", "sim", "bar", NVME, "3", "0")
        self.refused("nothing-there", "ENODEV", "sim", "bar", "44:00.0", "0", "0")

    def test_msix(self):
        at = self.lend(NVME)
        self.place(at, 0xc0000000)
        control = f"{self.capability(at, 0x11) + 2:#x}.w"
        self.entry(0, 0xfee03000, 0x41)
        self.entry(2, 0xfee03000, 0x42, 1)
        self.write(at, control, 0x8000)
        answer = self.server.json("sim", "irq", NVME, "0")
        self.assertEqual((answer["result"], answer["domain"], answer["message"]["address"],
                          answer["message"]["data"]),
                         ("injected", "vm1", "0xfee03000", "0x00000041"))
        self.assertEqual(self.irq(2), "pending")
        injected = self.server.show(NVME)["guest"]["injected"]
        self.entry(2, 0xfee03000, 0x43)  # unmasked: what was pending comes
        self.assertEqual(self.server.show(NVME)["guest"]["injected"], injected + 1)
        self.write(at, control, 0xc000)
        self.assertEqual(self.irq(0), "pending")
        self.write(at, control, 0)
        irqs = {i["kind"]: i for i in self.server.show(NVME)["guest"]["interrupts"]}
        self.assertEqual((irqs["msix"]["vectors"], irqs["msix"]["enabled"]), (65, False))
        self.write(at, control, 0x8000)
        refusal = self.refused("bad-argument", "EINVAL", "sim", "irq", NVME, "65")
        self.assertIn("no vector 65", refusal["text"])
        self.fine("deassign", NVME)
        counters = self.server.json("sim", "counters")
        self.assertEqual((counters["bindings"], counters["bindings_misused"],
                          counters["interrupts_forged"]), (0, 0, 0))

    def test_msi(self):
        at = self.lend(NIC)
        msi = self.capability(at, 5)
        self.write(at, "4.w", 4)
        self.write(at, f"{msi + 4:#x}", 0xfee02000)
        self.write(at, f"{msi + 8:#x}", 0)
        self.write(at, f"{msi + 12:#x}.w", 0x61)
        self.write(at, f"{msi + 2:#x}.w", 1)
        self.assertIn("injected vm1 as 0x00000061 at 0xfee02000", self.fine("sim", "irq", NIC))

    def test_master(self):
        at = self.lend(NVME)
        self.assertIn("of vm1 has bus mastering on", self.fine("sim", "master", NVME))
        self.assertEqual(self.read(at, "4.w") & 4, 4)
        self.assertIn("of vm1 has bus mastering off", self.fine("sim", "master", NVME, "--off"))
        self.assertEqual(self.read(at, "4.w") & 4, 0)

    def test_interrupt_of_nobody(self):
        self.refused("nothing-there", "ENODEV", "sim", "irq", "44:00.0")
        self.refused("nothing-there", "ENODEV", "sim", "error", "44:00.0", "fatal")

    def test_error(self):
        at = self.lend(NVME)
        self.place(at, 0xc0000000)
        for kind in ("correctable", "nonfatal", "fatal", "dpc"):
            with self.subTest(kind=kind):
                self.assertIn(f"had a {kind} error", self.fine("sim", "error", NVME, kind))
                self.assertEqual(self.server.show(NVME)["owner"], "vm1")
                self.assertEqual(self.read(at, "4.w") & 2, 2)  # as the guest had it
                self.assertEqual(self.server.show(NVME)["guest"]["bars"][0]["mapped"], 8192)

    def test_reset_by_the_guest(self):
        at = self.lend(NVME)
        self.place(at, 0xc0000000)
        generation = self.server.show(NVME)["generation"]
        control = f"{self.capability(at, 0x10) + 8:#x}.w"
        self.write(at, control, 0x8000)
        self.assertGreater(self.server.show(NVME)["generation"], generation)
        self.assertEqual(self.read(at, "4.w") & 7, 0)
        self.assertEqual(self.server.show(NVME)["guest"]["bars"][0]["mapped"], 0)


class HostInterrupts(ServerTest):
    def test_line(self):
        """The hardware domain's own: nothing is bound, and it is told who would have it."""
        answer = self.server.json("sim", "irq", NVME)
        self.assertIn(answer["result"], ("none", "delivered", "blocked"))
        self.assertIsNone(answer["message"])


if __name__ == "__main__":
    berth.main()
