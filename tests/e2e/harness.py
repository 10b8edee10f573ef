"""Processes, ports and waits: what every end-to-end test stands on.

Nothing here sleeps for a guessed time: a wait names what it waits for and has a deadline.
"""

import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

# What goes wrong inside a process built with sanitizers ends up as one of these.
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error: ")
# Ports 1{NUMBER} and 2{NUMBER}, from 0001: below the kernel's ephemeral ports, so that no outgoing
# connection takes one in between.
NUMBERS = 9999


class Failure(AssertionError):
    """A wait that ran out, or a process that did not do what it should."""


def wait_on(condition, predicate, seconds, what):
    """Waits under a threading.Condition (not held by the caller) until predicate() is true."""
    deadline = time.monotonic() + seconds
    with condition:
        while True:
            value = predicate()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"{what}: not within {seconds:g} s")
            condition.wait(left)


def eventually(attempt, seconds, what, pause=0.02):
    """Calls attempt() until it returns something true; OSError and Failure count as "not yet".

    For what cannot announce itself, such as a port that opens. Returns the value."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            value = attempt()
            if value:
                return value
        except (OSError, Failure) as error:
            last = error
        time.sleep(pause)
    raise Failure(f"{what}: not within {seconds:g} s (last: {last})")


class Ports:
    """Loopback ports that nobody listens on, each handed out once.

    `share` (I, N): only the Ith of N parts of the numbers 0001 to 9999, as ports 1{NUMBER} and
    2{NUMBER}, so that N of these, each in a process of its own, never hand out the same port."""

    def __init__(self):
        self.used = set()
        self.random = random.Random()
        self.share = (1, 1)

    @staticmethod
    def is_free(port):
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")):
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError:
                    return False
        return True

    def _number(self, count):
        """The first of so many numbers in a row, all in this share."""
        which, of = self.share
        first, end = ((NUMBERS * part // of) + 1 for part in (which - 1, which))
        return self.random.randint(first, end - count)

    def _takes(self, ports):
        """True, and they are taken, when all of them can be."""
        if any(port in self.used for port in ports) or not all(map(self.is_free, ports)):
            return False
        self.used.update(ports)
        return True

    def take(self):
        return self.take_row(1)

    def take_neighbours(self, count):
        """`count` ports in a row."""
        first = self.take_row(count)
        return list(range(first, first + count))

    def take_row(self, count):
        """The first of so many ports in a row."""
        while True:
            first = self.random.choice((10000, 20000)) + self._number(count)
            if self._takes(range(first, first + count)):
                return first

    def take_client_id(self):
        """Four digits whose ports 1{ID} and 2{ID} are both free."""
        while True:
            number = self._number(1)
            if self._takes((10000 + number, 20000 + number)):
                return f"{number:04d}"


class Process:
    """A program under test, alone in its process group, with every line it prints kept."""

    def __init__(self, name, argv, env=None, cwd=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.lines = []  # both streams, in the order of arrival
        self.out = []
        self.err = []
        self.condition = threading.Condition()
        self.popen = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.popen.stdout, self.out), (self.popen.stderr, self.err))
        ]
        for reader in self.readers:
            reader.start()
        threading.Thread(target=self._reap, daemon=True).start()

    def _read(self, pipe, into):
        for raw in pipe:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self.condition:
                into.append(line)
                self.lines.append(line)
                self.condition.notify_all()

    def _reap(self):
        self.popen.wait()
        for reader in self.readers:
            reader.join()
        with self.condition:
            self.condition.notify_all()

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def text(self):
        with self.condition:
            return "\n".join(self.lines)

    def mark(self):
        """The place in the log from where a later wait_line should look."""
        with self.condition:
            return len(self.lines)

    def find(self, pattern, after=0):
        regex = re.compile(pattern)
        for line in self.lines[after:]:
            match = regex.search(line)
            if match:
                return match
        return None

    def count(self, pattern, after=0):
        regex = re.compile(pattern)
        with self.condition:
            return sum(1 for line in self.lines[after:] if regex.search(line))

    def _over(self):
        return not self.running() and not any(reader.is_alive() for reader in self.readers)

    def wait_line(self, pattern, seconds=10, after=0):
        """The match of the first line that the pattern is found in; fails when the process ends."""

        def look():
            match = self.find(pattern, after)
            return match or (self._over() and "over")

        found = wait_on(self.condition, look, seconds, f"{self.name}: a line with {pattern!r}")
        if found == "over":
            raise Failure(
                f"{self.name} ended with {self.popen.returncode} and no line with {pattern!r}"
            )
        return found

    def wait_end(self, seconds=10):
        """The exit status, negative for a signal."""
        wait_on(self.condition, self._over, seconds, f"{self.name}: the end of the process")
        return self.popen.returncode

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def stop(self, seconds=10):
        self.signal(signal.SIGTERM)
        return self.wait_end(seconds)

    def kill(self):
        """kill -9 for it and whatever it started."""
        if self.running():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended in between
        self.wait_end()

    def resident_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def sanitizer_findings(self):
        return [line for line in self.lines if SANITIZER.search(line)]


def write_ini(path, common, sections):
    """frp's INI: [common] and one section per proxy; values as they are, booleans in its words."""

    def spelled(value):
        return str(value).lower() if isinstance(value, bool) else str(value)

    lines = ["[common]"]
    lines += [f"{key} = {spelled(value)}" for key, value in common.items()]
    for name, keys in sections:
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {spelled(value)}" for key, value in keys.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
