"""`mlgate run` as a rental platform starts it: with an environment, as PID 1 or below one.

"pid1": the first process of a pid namespace of its own, as in a container. "subreaper": an ordinary
process, as from an onstart script. Where namespaces are denied the first is skipped, and said so.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache

import pytest
from harness import Process, eventually
from lab import MLGATE, PASSED_ON, TOKEN, Lab, RemotePorts, within

PLACES = ["pid1", "subreaper"]
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
STOP_SECONDS = 10  # what Docker allows
INSIDE = "E2E_INSIDE_NAMESPACES"


@cache
def namespaces_work():
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, timeout=20).returncode == 0


def in_namespaces(file, name, directory):
    """Runs one function of the test file in network and mount namespaces of its own; the file ends
    with play_scene."""
    trial = ["unshare", "-n", "-m", "sh", "-c", "ip link set lo up"]
    tools = all(map(shutil.which, ("unshare", "ip", "mount")))
    if not tools or subprocess.run(trial, capture_output=True, timeout=20).returncode != 0:
        pytest.skip("skipped (no network and mount namespaces here)")
    inner = 'ip link set lo up && exec "$@"'
    argv = ["unshare", "-n", "-m", "sh", "-c", inner, "sh", sys.executable, "-B", file]
    done = subprocess.run(
        [*argv, name, str(directory)],
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        timeout=within(120),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def play_scene(scenes):
    """The inside of it: calls the function with a lab of its own."""
    if INSIDE not in os.environ:
        sys.exit("this is a file of tests: run it with pytest")
    name, directory = sys.argv[1:]
    lab = Lab(directory)
    try:
        scenes[name](lab)
    finally:
        lab.close()


class Init(Process):
    """The process whose signals count is the one inside of the namespace."""

    inside = None

    def first(self):
        """The process id of `mlgate run`, as seen from here."""
        if self.inside is None:
            self.inside = eventually(lambda: children_of(self.pid), 10, "the process inside")[0]
        return self.inside

    def signal(self, number):
        if self.running():
            os.kill(self.first(), number)

    def stop(self, seconds=STOP_SECONDS):
        return super().stop(within(STOP_SECONDS))


class Plain(Process):
    def first(self):
        return self.pid

    def stop(self, seconds=STOP_SECONDS):
        return super().stop(within(STOP_SECONDS))


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Container(RemotePorts):
    """`changes` are variables; one of None is left out."""

    def __init__(self, lab, server=None, place="subreaper", wrap=(), **changes):
        if place == "pid1" and not namespaces_work():
            pytest.skip("skipped (no pid namespace here)")
        self.lab = lab
        self.place = place
        self.wrap = list(wrap)
        self.client_id = lab.ports.take_client_id()
        self.management, self.inference = lab.ports.take(), lab.ports.take()
        self.listen, self.listen_poc = lab.ports.take(), lab.ports.take()
        self.directory = lab.path("etc-frp")
        self.logs = lab.path("logs")
        environment = {
            "API_NODE": "203.0.113.7:8000",
            "FRP_SERVER": f"127.0.0.1:{server.port if server else lab.ports.take()}",
            "SECRET_FRP_TOKEN": TOKEN,
            "CLIENT_ID": self.client_id,
            "FRP_CONFIG_DIR": str(self.directory),
            "LOG_DIR": str(self.logs),
            "UBUNTU_TEST": "true",
            "MLNODE_MANAGEMENT": f"127.0.0.1:{self.management}",
            "MLNODE_INFERENCE": f"127.0.0.1:{self.inference}",
            "GATEWAY_LISTEN": f"127.0.0.1:{self.listen}",
            "GATEWAY_LISTEN_POC": f"127.0.0.1:{self.listen_poc}",
            "ENGINE_DIRECT": "off",
            **changes,
        }
        self.environment = {name: value for name, value in environment.items() if value is not None}
        self.process = None

    def start(self, *words):
        argv = [*self.wrap, MLGATE, *words]
        kind = Plain
        if self.place == "pid1":
            argv, kind = [*NAMESPACE, *argv], Init
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment.update(LC_ALL="C", **self.environment)
        self.process = kind(f"run ({self.place})", argv, environment, self.lab.directory)
        self.lab.processes.append(self.process)
        return self

    # what it says about itself

    def health(self, *flags):
        done = subprocess.run(
            [MLGATE, "health", *flags],
            env={"FRP_CONFIG_DIR": str(self.directory)},
            capture_output=True,
            text=True,
            timeout=10,
        )
        return done.returncode, done.stdout.strip()

    def wait_ready(self, seconds=15):
        eventually(lambda: self.health()[0] == 0, within(seconds), "mlgate health: ready")
        return self

    def wait_up(self, seconds=15):
        """Without a server to register with: worker and node serve."""
        eventually(self.state, within(seconds), "MLNode behind the gateway")
        return self

    # who is in it

    def child(self, name):
        """The process id of a child by its name, or None."""
        for pid in children_of(self.process.first()):
            if name_of(pid) == name:
                return pid
        return None

    def wait_child(self, name, other_than=None, seconds=10):
        def look():
            pid = self.child(name)
            return pid if pid != other_than else None

        return eventually(look, within(seconds), f"a process {name}", pause=0.005)

    def kill(self, name, number=signal.SIGKILL):
        pid = self.child(name)
        os.kill(pid, number)
        return pid

    def join(self, argv, **more):
        """As `docker exec` does."""
        if self.place == "pid1":
            argv = ["nsenter", "-t", str(self.process.first()), "-p", "-m", *argv]
        return subprocess.Popen(argv, start_new_session=True, **more)

    # requests

    def ask(self, method, path, port=None, body=None, timeout=10, host="127.0.0.1"):
        """(status, headers, body) of one request, to the gateway's own listener or any other."""
        connection = http.client.HTTPConnection(host, port or self.listen, timeout=timeout)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def state(self, port=None, host="127.0.0.1"):
        status, _, body = self.ask("GET", "/api/v1/state", port, host=host)
        return status == 200 and json.loads(body)["state"]

    def stream(self, tokens=100000, rate=40, port=None, host="127.0.0.1"):
        return Stream(port or self.listen, tokens, rate, host)


class Stream:
    """A completion that has begun."""

    def __init__(self, port, tokens, rate, host="127.0.0.1"):
        self.connection = http.client.HTTPConnection(host, port, timeout=20)
        ask = {
            "model": "Qwen/Qwen3-32B-FP8",
            "stream": True,
            "mlgate_test": {"tokens": tokens, "rate": rate},
            "messages": [{"role": "user", "content": "Hello"}],
        }
        self.connection.request(
            "POST", "/v1/chat/completions", json.dumps(ask), {"Content-Type": "application/json"}
        )
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        self.first = self.answer.readline()

    def rest(self):
        """All that follows; http.client.IncompleteRead when it is cut."""
        try:
            return self.answer.read()
        finally:
            self.connection.close()


def lives(pid):
    """Neither gone nor a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def timed(action):
    began = time.monotonic()
    value = action()
    return value, time.monotonic() - began
