"""Processes that the bench starts, and what they cost: nothing outlives the runner."""

import contextlib
import ctypes
import os
import random
import resource
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 3
PORTS = range(20000, 32000)  # below the range that the kernel takes for outgoing connections
LOG_TAIL = 300

libc = ctypes.CDLL(None)


class Failed(Exception):
    """A stack or a measurement that gave no number, with the reason in words."""


def _die_with_the_runner():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def raise_file_limit():
    """2,000 connections cost a forwarding process 4,000 descriptors and more."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_ports(count):
    """Ports of loopback on which nobody listens now, all different."""
    held = []
    while len(held) < count:
        s = bound(random.choice(PORTS))
        if s:
            held.append(s)
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def is_free(port):
    s = bound(port)
    if s:
        s.close()
    return s is not None


def bound(port):
    """A socket that holds the port; None when somebody else has it."""
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", port))
        return s
    except OSError:
        s.close()
        return None


class Child:
    """One process with its log in a file. Must be started from the main thread: the kernel ends it
    together with the thread that started it."""

    all = []

    def __init__(self, command, folder, name, environment=None):
        self.environment = environment  # in place of the runner's
        self.command = [str(word) for word in command]
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.log.unlink(missing_ok=True)
        self.name = name
        self.popen = None

    def start(self, stdin=subprocess.DEVNULL):
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                self.command, cwd=self.folder, stdin=stdin, stdout=log, stderr=log,
                env=self.environment, preexec_fn=_die_with_the_runner)
        Child.all.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def kill(self):
        """Like kill -9; returns when the process is gone."""
        self.popen.kill()
        self.popen.wait()
        self._forget()

    def stop(self):
        if self.popen is None or self not in Child.all:
            return
        if self.popen.stdin:
            self.popen.stdin.close()
        self.popen.terminate()
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self._forget()

    def _forget(self):
        if self in Child.all:
            Child.all.remove(self)

    def check(self):
        if self.popen.poll() is not None:
            raise Failed(f"{self.name} ended with status {self.popen.returncode}: {self.tail()}")

    def tail(self):
        text = self.log.read_text(errors="replace").strip()[-LOG_TAIL:]
        return " | ".join(text.splitlines()[-3:]) or "nothing in its log"

    def pids(self):
        """Its own and those of what it started."""
        self.check()
        return _with_descendants(self.pid)

    def cpu_seconds(self):
        """User and system time of all threads, ended ones too, to the nanosecond."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.pids())

    def memory_kib(self):
        """(RSS, PSS)"""
        found = {"Rss": 0, "Pss": 0}
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
                for line in lines:
                    key, _, rest = line.partition(":")
                    if key in found:
                        found[key] += int(rest.split()[0])
        return found["Rss"], found["Pss"]


def _parents():
    """pid → pid of its parent, for every process of the machine"""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8",
                                                    errors="replace") as f:
                parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
    return parents


def _with_descendants(pid):
    parents = _parents()
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def stop_all():
    for child in list(Child.all):
        child.stop()


def cpu_seconds(children):
    return sum(child.cpu_seconds() for child in children)


class OtherWork:
    """What share of the machine went to processes that are not the bench's since it was made."""

    def __init__(self):
        self.begun = time.monotonic()
        self.all = self._all_seconds()
        self.own = self._own_seconds()

    @staticmethod
    def _all_seconds():
        with open("/proc/stat", encoding="ascii") as f:
            user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _own_seconds():
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime + time.process_time() + cpu_seconds(Child.all)

    def share(self):
        others = (self._all_seconds() - self.all) - (self._own_seconds() - self.own)
        room = (time.monotonic() - self.begun) * len(os.sched_getaffinity(0))
        return max(0.0, others / room)


def memory_mib(children):
    """(RSS, PSS) of all of them."""
    parts = [child.memory_kib() for child in children]
    return sum(p[0] for p in parts) / 1024, sum(p[1] for p in parts) / 1024


def output_of(command, **options):
    """What a helper program prints; Failed with its words when it does not end well."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              errors="replace", check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failed(f"{os.path.basename(str(command[0]))}: {e}") from e
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no words"]
        if done.returncode < 0:
            words = [f"ended by {signal.Signals(-done.returncode).name}"]
        raise Failed(f"{os.path.basename(str(command[0]))}: {words[0]}")
    return done.stdout
