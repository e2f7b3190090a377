# SPDX-License-Identifier: MIT
"""The control socket and its clients, most of them bad ones."""

import os
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import berth
from berth import PROGRAM, Server, ServerTest, wait_until

NVME = "0000:03:00.0"
OTHER = "0000:81:00.0"


class Protocol(ServerTest):
    """JSON-RPC 2.0, line by line."""

    def answer(self, data):
        with self.server.connect() as client:
            client.send(data)
            return client.line()

    def code(self, data):
        return self.answer(data)["error"]["code"]

    def test_call(self):
        with self.server.connect() as client:
            client.call("device.show", "an id", device=NVME)
            answer = client.line()
        self.assertEqual((answer["jsonrpc"], answer["id"]), ("2.0", "an id"))
        self.assertEqual(answer["result"]["sbdf"], NVME)

    def test_refusal(self):
        with self.server.connect() as client:
            client.call("device.show", device="0000:44:00.0")
            error = client.line()["error"]
        self.assertEqual(error["code"], -19)
        self.assertEqual(error["message"], error["data"]["text"])
        self.assertEqual(error["data"]["reason"], "no-device")

    def test_invalid_requests(self):
        for data in (b"[]\n", b"1\n", b"null\n", b"{}\n", b'{"jsonrpc":"2.0","id":1}\n',
                     b'{"jsonrpc":"1.0","id":1,"method":"watch"}\n',
                     b'{"jsonrpc":"2.0","id":{},"method":"watch"}\n',
                     b'{"jsonrpc":"2.0","id":1,"method":7}\n'):
            with self.subTest(data=data):
                self.assertEqual(self.code(data), -32600)

    def test_unknown_method(self):
        self.assertEqual(self.code(b'{"jsonrpc":"2.0","id":1,"method":"x"}\n'), -32601)

    def test_parameters(self):
        for params in ('[]', '"x"', '{}', '{"device":1}', '{"device":"x"}',
                       f'{{"device":"{NVME}","more":1}}', f'{{"device":"{NVME}","limit":1}}'):
            with self.subTest(params=params):
                request = f'{{"jsonrpc":"2.0","id":1,"method":"device.show","params":{params}}}\n'
                self.assertEqual(self.code(request.encode()), -32602)

    def test_garbage_gets_one_error(self):
        for data in (b"garbage\n", b"\n", b"\0\0\0\n", b'{"a":1,"a":2}\n', b"\xff\xfe\n",
                     b"[" * 60000 + b"\n"):
            with self.subTest(data=data[:20]), self.server.connect() as client:
                client.send(data + b'{"jsonrpc":"2.0","id":1,"method":"watch"}\n')
                self.assertEqual(client.line()["error"]["code"], -32700)
                self.assertIsNone(client.line())

    def test_notification(self):
        with self.server.connect() as client:
            client.send(b'{"jsonrpc":"2.0","method":"domain.create","params":{"domain":"n"}}\n')
            client.send(b'{"jsonrpc":"2.0","method":"nonsense"}\n')
            client.call("device.show", 5, device=NVME)
            self.assertEqual(client.line()["id"], 5)
        self.assertTrue(wait_until(lambda: "n" in [
            d["name"] for d in self.server.json("domain", "list")["domains"]]))

    def test_pieces(self):
        with self.server.connect() as client:
            for byte in b'{"jsonrpc":"2.0","id":3,"method":"device.list"}\n':
                client.send(bytes([byte]))
            self.assertEqual(client.line()["id"], 3)

    def test_many_in_one_piece(self):
        request = b'{"jsonrpc":"2.0","id":%d,"method":"device.show","params":{"device":"03:00.0"}}\n'
        with self.server.connect() as client:
            client.send(b"".join(request % i for i in range(100)))
            self.assertEqual([client.line()["id"] for _ in range(100)], list(range(100)))

    def test_answer_after_half_close(self):
        with self.server.connect() as client:
            client.call("device.reset", device=NVME)
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.line()["result"]["sbdf"], NVME)
            self.assertIsNone(client.line())

    def test_pages(self):
        seen = []
        with self.server.connect() as client:
            params = {"limit": 7}
            while params:
                client.call("device.list", **params)
                page = client.line()["result"]
                self.assertLessEqual(len(page["devices"]), 7)
                seen += [d["sbdf"] for d in page["devices"]]
                params = {"limit": 7, "after": page["next"]} if page["next"] else None
        self.assertEqual(len(seen), 36)
        self.assertEqual(seen, sorted(set(seen)))

    def test_domain_pages(self):
        for i in range(5):
            self.fine("domain", "create", f"page{i}")
        names, after = [], {}
        with self.server.connect() as client:
            while after is not None:
                client.call("domain.list", limit=2, **after)
                page = client.line()["result"]
                names += [d["name"] for d in page["domains"]]
                after = None if page["next"] is None else {"after_id": page["next"]}
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(names, [d["name"] for d in self.server.json("domain", "list")["domains"]])
        self.assertLessEqual({f"page{i}" for i in range(5)}, set(names))


class BadClients(ServerTest):
    """Whatever one client does, the others go on, and nothing is left of it."""

    options = ("--idle", "1")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.run("ls")  # the database of names stays open from here on

    def setUp(self):
        self.before = self.server.descriptors()
        self.stop = threading.Event()
        self.served = 0
        self.other = threading.Thread(target=self.keep_working)
        self.other.start()
        self.assertTrue(wait_until(lambda: self.served))

    def keep_working(self):
        with self.server.connect() as client:
            while not self.stop.is_set():
                client.call("device.show", device=OTHER)
                if client.line()["result"]["sbdf"] != OTHER:
                    return
                self.served += 1
                time.sleep(0.002)

    def tearDown(self):
        served = self.served
        self.assertTrue(wait_until(lambda: self.served > served + 5))
        self.stop.set()
        self.other.join(10)
        self.assertTrue(wait_until(lambda: self.server.descriptors() <= self.before),
                        "descriptors are left")

    def test_endless_line(self):
        with self.server.connect() as client:
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                for _ in range(1 << 14):
                    client.send(b"x" * 65536)

    def test_endless_lines_of_garbage(self):
        with self.server.connect() as client:
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                for _ in range(1 << 14):
                    client.send(b"x\n" * 32768)

    def test_silence(self):
        with self.server.connect() as client:
            start = time.monotonic()
            self.assertIsNone(client.line())
            self.assertLess(time.monotonic() - start, 5)

    def test_drops_that_never_make_a_line(self):
        with self.server.connect() as client:
            start = time.monotonic()
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                while time.monotonic() - start < 6:
                    client.send(b" ")
                    time.sleep(0.05)

    def test_watcher_may_be_silent(self):
        with self.server.connect() as client:
            client.call("watch")
            self.assertEqual(client.line()["result"], {"watching": True})
            time.sleep(2.5)
            self.fine("reset", NVME)
            self.assertEqual(client.line()["method"], "event")
            client.call("unwatch", 2)
            while "id" not in (line := client.line()):
                pass
            self.assertEqual(line["result"], {"watching": False})

    def test_reads_nothing(self):
        request = b'{"jsonrpc":"2.0","id":1,"method":"device.list"}\n'
        with self.server.connect() as client:
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                for _ in range(10000):
                    client.send(request)

    def test_watcher_that_does_not_read_loses_events(self):
        with self.server.connect() as watcher, self.server.connect() as worker:
            watcher.call("watch")
            watcher.line()
            for i in range(700):
                worker.call("device.assign", i, device=NVME, domain="nobody", test=True)
                worker.call("device.readd", i, device=NVME)
                worker.line(), worker.line()
            numbers, lost = [], 0
            worker.call("device.reset", device=NVME)
            worker.line()
            watcher.socket.settimeout(3)
            try:
                while (line := watcher.line()) is not None:
                    if line["method"] == "event":
                        numbers.append(line["params"]["sequence"])
                    else:
                        lost += line["params"]["count"]
            except TimeoutError:
                pass
            self.assertTrue(numbers)
            gaps = sum(b - a - 1 for a, b in zip(numbers, numbers[1:]))
            self.assertLessEqual(gaps, lost)
            self.assertEqual(numbers, sorted(numbers))

    def test_turns(self):
        """Thousands of requests in one piece, answers read: the others have their turns."""
        request = b'{"jsonrpc":"2.0","id":1,"method":"device.list"}\n' * 1000
        with self.server.connect() as client:
            sender = threading.Thread(target=client.send, args=(request,))
            sender.start()
            served = self.served
            for _ in range(1000):
                self.assertEqual(len(client.line()["result"]["devices"]), 36)
            self.assertGreater(self.served - served, 10)
            sender.join()

    def test_hangs_up_in_a_command(self):
        self.fine("domain", "create", "vm1")
        self.fine("assign", NVME, "vm1")
        with self.server.connect() as client:
            client.call("device.remove", device=NVME, mode="graceful", timeout=1)
            time.sleep(0.2)
        with self.server.connect() as client:
            client.call("device.deassign", device=NVME)
        self.assertTrue(wait_until(
            lambda: self.server.run("show", NVME).returncode == 1), "the command went on")
        self.fine("add", NVME)
        self.fine("domain", "destroy", "vm1")

    def test_too_many_commands(self):
        self.fine("domain", "create", "busy")
        self.fine("assign", "0000:09:00.0", "busy")
        with self.server.connect() as client:
            for i in range(20):
                client.call("device.remove", i, device="0000:09:00.0", mode="graceful", timeout=1)
            answers = [client.line() for _ in range(20)]
        reasons = [a["error"]["data"]["reason"] for a in answers]
        self.assertEqual(reasons.count("busy"), 4, reasons)
        self.fine("domain", "destroy", "busy")


class Ends(unittest.TestCase):
    """How a server starts and ends."""

    def test_mode(self):
        with Server() as server:
            status = os.lstat(server.path)
            self.assertTrue(stat.S_ISSOCK(status.st_mode))
            self.assertEqual(stat.S_IMODE(status.st_mode), 0o600)

    def test_clean_end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server() as server:
                server.run("domain", "create", "vm1")
                server.run("assign", NVME, "vm1")
                server.run("hold", "0000:09:00.0")
                self.assertEqual(server.end(number), 0, server.log())
                self.assertFalse(os.path.exists(server.path))
                self.assertNotIn("referenced", server.log())

    def test_end_while_a_removal_waits(self):
        with Server() as server:
            server.run("domain", "create", "vm1")
            server.run("assign", NVME, "vm1")
            removal = server.start("remove", "--graceful", "--timeout", "600", NVME)
            time.sleep(0.3)
            start = time.monotonic()
            self.assertEqual(server.end(), 0, server.log())
            self.assertLess(time.monotonic() - start, 10)
            removal.communicate(timeout=10)

    def test_second_signal(self):
        with Server() as server, server.connect():
            server.run("domain", "create", "vm1")
            server.run("assign", NVME, "vm1")
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)
            self.assertIn(server.end(), (0, 1))
            self.assertFalse(os.path.exists(server.path))

    def test_second_server(self):
        with Server() as server:
            done = berth.berth("serve", "--machine", berth.Q35, "--socket", server.path)
            self.assertEqual(done.returncode, 1)
            self.assertIn("another server answers", done.stderr)
            self.assertEqual(server.run("ls").returncode, 0)

    def test_stale_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with Server(path=path) as server:
                server.end(signal.SIGKILL)
            self.assertTrue(os.path.exists(path))
            done = berth.berth("ls", "--socket", path)
            self.assertIn("no server at", done.stderr)
            with Server(path=path) as server:
                self.assertEqual(server.run("ls").returncode, 0)
                self.assertEqual(server.end(), 0)
            self.assertFalse(os.path.exists(path))

    def test_no_socket_in_the_way(self):
        with tempfile.NamedTemporaryFile() as file:
            done = berth.berth("serve", "--machine", berth.Q35, "--socket", file.name)
            self.assertEqual(done.returncode, 1)
            self.assertIn("is no socket", done.stderr)
            self.assertTrue(os.path.exists(file.name))

    def test_two_servers_at_once(self):
        """Of servers that find the same stale socket, one serves and the others say so."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with Server(path=path) as server:
                server.end(signal.SIGKILL)
            rivals = [subprocess.Popen(
                [PROGRAM, "serve", "--machine", berth.Q35, "--socket", path],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
            try:
                self.assertTrue(wait_until(
                    lambda: sum(r.poll() is None for r in rivals) == 1))
                self.assertTrue(wait_until(
                    lambda: berth.berth("ls", "--socket", path).returncode == 0))
            finally:
                for rival in rivals:
                    if rival.poll() is None:
                        rival.terminate()
                    rival.communicate(timeout=30)

    def test_too_many_clients(self):
        with Server() as server:
            crowd = [server.connect() for _ in range(128)]
            crowd[-1].call("device.show", device=NVME)
            self.assertEqual(crowd[-1].line()["result"]["sbdf"], NVME)
            for _ in range(4):
                with server.connect() as client:
                    self.assertEqual(client.line()["error"]["code"], -16)
                    self.assertIsNone(client.line())
            for client in crowd:
                client.close()
            self.assertTrue(wait_until(lambda: server.run("ls").returncode == 0))

    def test_default_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            env = {k: v for k, v in os.environ.items() if k != "BERTH_SOCKET"}
            env["XDG_RUNTIME_DIR"] = folder
            done = berth.berth("ls", env=env)
            self.assertIn(f"no server at {folder}/berth.sock", done.stderr)
            env["BERTH_SOCKET"] = "/x" * 100
            self.assertEqual(berth.berth("ls", env=env).returncode, 2)
            self.assertEqual(berth.berth("serve", env=env).returncode, 2)
            done = berth.berth("ls", "--socket", f"{folder}/s", env=env)
            self.assertIn(f"no server at {folder}/s", done.stderr)

    def test_server_hangs_up(self):
        with Server() as server:
            watch = server.start("watch")
            time.sleep(0.3)
            server.end()
            _, text = watch.communicate(timeout=10)
            self.assertEqual(watch.returncode, 1)
            self.assertIn("ended", text)


if __name__ == "__main__":
    berth.main()
