# SPDX-License-Identifier: MIT
"""What the words of --quarantine make of a device that leaves its guest: F51."""

import unittest

import berth
from berth import Server

NVME = "0000:03:00.0"


class Quarantine(unittest.TestCase):
    """Each word does what it says, and no other word is one."""

    def after_a_guest(self, *options):
        """The owner of a device that has left its guest, and what its DMA hits."""
        with Server(*options) as server:
            server.run("domain", "create", "vm1")
            self.assertEqual(server.run("assign", NVME, "vm1").returncode, 0)
            self.assertEqual(server.run("deassign", NVME).returncode, 0)
            server.run("sim", "master", NVME)
            hit = server.json("sim", "dma", NVME, "0x1000")["result"]
            return server.show(NVME)["owner"], hit

    def test_F51_each_word_of_quarantine(self):
        for options, expected in (((), ("quarantine", "fault")),
                                  (("--quarantine", "block"), ("quarantine", "fault")),
                                  (("--quarantine", "scratch"), ("quarantine", "scratch")),
                                  (("--quarantine", "off"), ("hwdom", "domain"))):
            with self.subTest(options=options):
                self.assertEqual(self.after_a_guest(*options), expected)

    def test_F51_no_other_word(self):
        for word in ("", "Scratch", "scratch-page", "blocks", "1", "off,scratch"):
            with self.subTest(word=word):
                self.assertEqual(berth.berth("serve", "--quarantine", word).returncode, 2)


if __name__ == "__main__":
    berth.main()
