# SPDX-License-Identifier: MIT
"""berth explain and berth assign --group: why not, and what would make it possible."""

import json

import berth
from berth import ServerTest

ALONE = "0000:03:00.0"
CARD, CARD2 = "0000:0b:00.0", "0000:0b:00.1"
PF = "0000:01:00.0"
BRIDGE = "0000:00:01.0"


class Explain(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.run("domain", "create", "vm1")
        cls.server.run("domain", "create", "vm2")

    def explained(self, code, *words):
        done = self.server.run("explain", *words)
        self.assertEqual((done.returncode, done.stderr), (code, ""), words)
        return done.stdout

    def asked(self, *words):
        done = self.server.run("explain", *words, "--json")
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if answer["possible"] else 1)
        return answer

    def test_possible(self):
        text = self.explained(0, ALONE, "vm1")
        self.assertEqual(text.splitlines()[0], f"{ALONE} can be lent to vm1")
        self.assertNotIn("Because", text)
        self.assertEqual(self.explained(0, "03:00.0").splitlines()[0],
                         f"{ALONE} can be lent to a guest")
        answer = self.asked(ALONE, "vm1")
        self.assertEqual((answer["possible"], answer["group_possible"], answer["reasons"]),
                         (True, True, []))
        self.assertEqual((answer["device"], answer["domain"]), (ALONE, "vm1"))
        self.assertEqual(answer["members"], [{"device": ALONE, "owner": "hwdom"}])

    def test_nothing_happens(self):
        before = self.server.show(CARD)
        self.explained(1, CARD, "vm1")
        self.assertEqual(self.server.show(CARD), before)

    def test_all_the_reasons(self):
        text = self.explained(1, CARD, "vm1")
        self.assertIn(f"{CARD} cannot be lent to vm1\nBecause:\n", text)
        self.assertIn(f"isolation group 21 with {CARD2}, which belongs to hwdom (O4): ", text)
        self.assertIn("without ACS", text)
        self.assertIn(f"  {CARD2}  hwdom\n", text)
        self.assertIn(f"berth assign {CARD} vm1 --group\n", text)
        reasons = self.asked(CARD, "vm1")["reasons"]
        self.assertEqual([r["reason"] for r in reasons], ["shared-group", "shared-path"])
        for reason in reasons:
            self.assertEqual((reason["rule"], reason["error"], reason["other"], reason["domain"]),
                             ("O4", "EBUSY", CARD2, "hwdom"))

    def test_reasons_of_one_device(self):
        self.assertEqual([r["reason"] for r in self.asked(PF, "vm1")["reasons"]], ["has-vfs"])
        self.assertEqual([r["reason"] for r in self.asked(BRIDGE)["reasons"]], ["bridge"])
        answer = self.asked(ALONE, "vm1", "--as", "vm2")
        self.assertEqual([r["reason"] for r in answer["reasons"]], ["not-permitted"])
        self.fine("assign", "04:00.0", "vm1")
        self.assertEqual([r["reason"] for r in self.asked("04:00.0", "vm2")["reasons"]], ["owned"])
        self.assertEqual([r["reason"] for r in self.asked("04:00.0", "vm1")["reasons"]],
                         ["already"])
        self.fine("deassign", "04:00.0")
        self.assertTrue(self.asked("04:00.0", "vm2")["possible"])

    def test_line(self):
        reasons = {r["reason"]: r for r in self.asked("0d:01.0", "vm1")["reasons"]}
        self.assertEqual(reasons["shared-line"]["number"], 10)
        notes = {n["reason"]: n for n in self.asked(ALONE, "vm1")["notes"]}
        self.assertEqual((notes["no-intx"]["number"], notes["no-intx"]["rule"]), (11, "O4"))

    def test_group(self):
        self.fine("assign", CARD, "vm1", "--group", "--test")
        self.assertEqual(self.server.show(CARD)["owner"], "hwdom")
        self.assertIn("belongs to vm1", self.fine("assign", CARD, "vm1", "--group"))
        for device in (CARD, CARD2):
            self.assertEqual(self.server.show(device)["owner"], "vm1")
        answer = self.asked(CARD, "vm2")
        self.assertFalse(answer["group_possible"])
        self.assertEqual({m["owner"] for m in answer["members"]}, {"vm1"})
        refusal = self.refused("owned", "EBUSY", "assign", CARD, "vm2", "--group")
        self.assertEqual(refusal["domain"], "vm1")
        for command in ("deassign", "release"):
            for device in (CARD, CARD2):
                self.fine(command, device)

    def test_usage(self):
        self.usage("explain")
        self.usage("explain", "nonsense")
        self.usage("explain", ALONE, "vm1", "too-much")
        self.refused("no-device", "ENODEV", "explain", "0000:55:00.0")
        done = self.server.run("explain", ALONE, "nobody")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no domain nobody", done.stderr)


if __name__ == "__main__":
    berth.main()
