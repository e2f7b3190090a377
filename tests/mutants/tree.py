# SPDX-License-Identifier: MIT
"""A copy of the tree in which mutants are compiled and meet their tests."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time

SANITIZERS = {
    "ASAN_OPTIONS": "halt_on_error=1:detect_stack_use_after_return=1:print_legend=0",
    "UBSAN_OPTIONS": "halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:suppressions={root}/tests/tsan.supp",
}
FOLDERS = {"release": "build", "debug": "build-debug", "tsan": "build-tsan"}
AT_EXIT = "at exit"
BUILD_SECONDS = 900
EXPLORE_SECONDS = 10  # flaws are found in the first of them, or not at all


class Stopped(Exception):
    """Somebody has pressed Ctrl-C."""


class Processes:
    """Commands that run, each in a session of its own, so that it ends with all its children."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running, self.stopped = set(), False

    def start(self, command, **options):
        with self.lock:
            if self.stopped:
                raise Stopped
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True,
                                       **options)
            self.running.add(process)
        return process

    @staticmethod
    def kill(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def run(self, command, seconds, **options):
        """Its exit code, and None where it had to be ended."""
        process = self.start(command, **options)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill(process)
            process.wait()
            with self.lock:
                self.running.discard(process)
                stopped = self.stopped
            if stopped:
                raise Stopped

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in self.running:
                self.kill(process)


class Outcome:
    """What a test program said."""

    def __init__(self, code, seconds, text):
        self.code, self.seconds, self.text = code, seconds, text
        begun = re.findall(r"^\[ RUN      \] (\w+)", text, re.M)
        self.good = set(re.findall(r"^\[       OK \] (\w+)", text, re.M))
        self.failed = sorted(set(re.findall(r"^\[  (?:FAILED|ERROR) +\] (test_\w+)", text, re.M)))
        if code != 0 and begun and begun[-1] not in self.good | set(self.failed):
            self.failed.append(begun[-1])  # it crashed, or hangs, in this one
        if code != 0 and not self.failed:
            self.failed.append(AT_EXIT)

    def how(self):
        return "hangs" if self.code is None else f"exit code {self.code}"


def target(program):
    """Where it is built; without a folder it is the explorer."""
    folder, _, name = program.partition("/")
    return f"tests/{folder}/test_{name}" if name else "tests/explore"


class Tree:
    """One copy, with a folder per build."""

    def __init__(self, root, processes):
        self.root, self.processes = root, processes
        self.log = root + ".log"
        self.env = dict(os.environ)
        for name, value in SANITIZERS.items():
            self.env.setdefault(name, value.format(root=root))

    def copy_sources(self, source):
        """What belongs to the project, as it is now, whether it is committed or not."""
        names = subprocess.run(["bash", "-c", ". scripts/lib.sh; project_files '*'"], cwd=source,
                               capture_output=True, text=True, check=True).stdout.splitlines()
        for name in names:
            target = os.path.join(self.root, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(source, name), target)

    def copy_tree(self, other):
        """A tree that was built already: whatever is newer than what it is made of stays so."""
        shutil.copytree(other.root, self.root, symlinks=True)

    def call(self, command, seconds=BUILD_SECONDS):
        with open(self.log, "w", encoding="utf-8") as log:
            return self.processes.run(command, seconds, stdout=log, stderr=log, cwd=self.root,
                                      env=self.env)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def configure(self, build):
        """Breakages leave things unused: that is no reason not to compile."""
        code = self.call(["scripts/build.sh", "--configure", build])
        if code == 0:
            code = self.call(["meson", "configure", FOLDERS[build], "-Dwerror=false"])
        return code == 0

    def compile(self, build, programs, jobs):
        targets = sorted({target(p) for p in programs})
        return self.call(["ninja", "-C", FOLDERS[build], f"-j{jobs}", *targets]) == 0

    def test(self, build, program, function, seconds):
        """Runs all of a program, or one scenario of the explorer."""
        command = [os.path.join(self.root, FOLDERS[build], target(program))]
        if "/" not in program:
            command += ["--seconds", str(EXPLORE_SECONDS), "--save", self.root, function]
        if build == "tsan":
            command = ["setarch", "-R", *command]
        begin = time.monotonic()
        code = self.call(command, seconds)
        outcome = Outcome(code, time.monotonic() - begin, self.said())
        if "/" not in program and code != 0:
            outcome.failed = [function]
        elif "/" not in program:
            outcome.good = {function}
        return outcome

    def write(self, texts):
        """New contents for some files; returns the old ones. Both times they are newer than what
        was made of them."""
        old = {}
        for path, text in texts.items():
            with open(os.path.join(self.root, path), "r+", encoding="utf-8") as file:
                old[path] = file.read()
                file.seek(0)
                file.truncate()
                file.write(text)
        return old
