# SPDX-License-Identifier: MIT
"""A berth server of one's own on a temporary socket, and ways to talk to it."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
Q35 = os.path.join(HERE, "..", "..", "data", "machines", "q35.txt")
PROGRAM = os.environ.get("BERTH", "build/berth")
START_SECONDS = 20


def berth(*words, stdin=subprocess.DEVNULL, timeout=60, env=None):
    """Runs the command to its end."""
    return subprocess.run([PROGRAM, *words], stdin=stdin, capture_output=True, text=True,
                          timeout=timeout, env=env, check=False)


class Server:
    """`berth serve`, ended by its process id."""

    def __init__(self, *options, machine=Q35, stdin=subprocess.DEVNULL, path=None):
        self.folder = tempfile.TemporaryDirectory(prefix="berth-")
        self.path = path or os.path.join(self.folder.name, "s")
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--machine", machine, "--socket", self.path, *options],
            stdin=stdin, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.ready = self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.forget()

    def forget(self):
        """Nothing is left of the server but its socket, if it did not clean up."""
        self.process.stdout.close()
        self.errors.close()
        self.folder.cleanup()

    def end(self, number=15):
        """Ends the server and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return code

    def log(self):
        """What the server said on standard error."""
        self.errors.seek(0)
        return self.errors.read()

    def run(self, *words):
        """Runs a command against this server."""
        return berth(*words, "--socket", self.path)

    def start(self, *words):
        """The same, without waiting for its end."""
        return subprocess.Popen([PROGRAM, *words, "--socket", self.path],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def json(self, *words):
        """Runs a command with --json and returns what it printed."""
        done = self.run(*words, "--json")
        return json.loads(done.stdout)

    def show(self, device):
        return self.json("show", device)

    def connect(self):
        return Client(self.path)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))


class Client:
    """A bare connection, for what the command would not send."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(timeout)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, method, number=1, **params):
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.send(json.dumps(request).encode() + b"\n")

    def line(self):
        """The next line as an object, or None where the server has hung up."""
        while b"\n" not in self.rest:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)


class ServerTest(unittest.TestCase):
    """Tests that share one server, which has to end cleanly."""

    options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.end()
        log = cls.server.log()
        cls.server.forget()
        if code != 0:
            raise AssertionError(f"the server ended with {code}: {log}")

    def fine(self, *words):
        done = self.server.run(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def refused(self, reason, error, *words):
        """The command is refused: one line for people, an object for programs."""
        people = self.server.run(*words)
        self.assertEqual(people.returncode, 1, words)
        self.assertEqual(people.stdout, "")
        self.assertEqual(people.stderr.count("\n"), 1, people.stderr)
        self.assertTrue(people.stderr.startswith("berth: "), people.stderr)

        programs = self.server.run(*words, "--json")
        self.assertEqual(programs.returncode, 1, words)
        refusal = json.loads(programs.stdout)
        self.assertEqual((refusal["reason"], refusal["error"]), (reason, error), refusal)
        self.assertTrue(refusal["text"])
        return refusal

    def usage(self, *words):
        done = self.server.run(*words)
        self.assertEqual(done.returncode, 2, words)
        self.assertTrue(done.stderr.startswith("berth"), done.stderr)


def wait_until(condition, seconds=10):
    """Waits for something that other processes bring about; says whether it came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def main():
    unittest.main(verbosity=2, argv=sys.argv[:1])
