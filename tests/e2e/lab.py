"""Servers, clients, services and forwarders of one test, on loopback, and their orderly end.

A `kind` says which program plays an end: "mlgate", or the version of a real frp such as "0.70.1".
Both are given the same INI file, so that a test is written once for every pair of kinds.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from forwarder import Forwarder
from harness import Failure, Ports, Process, eventually, write_ini
from services import Service, echo_works
from webservice import WebService

ROOT = Path(__file__).resolve().parents[2]
MLGATE = Path(os.environ.get("MLGATE") or ROOT / "build" / "mlgate")
# Nothing else of the caller's environment reaches a program under test.
PASSED_ON = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
TOKEN = "a-token-for-tests-7f3a"
PORTS = Ports()


def is_instrumented(binary):
    """Built with AddressSanitizer: everything is some times slower."""
    return binary.exists() and b"__asan_init" in binary.read_bytes()


def is_static(binary):
    return binary.exists() and b"/ld-linux" not in binary.read_bytes()


SLOW = 4 if is_instrumented(MLGATE) else 1


def within(seconds):
    """A limit that is part of what is tested, widened for an instrumented binary."""
    return seconds * SLOW


def version_of(program):
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    return done.stdout.strip() or program.parent.name


def holds_less_than(process, mib):
    """Its resident memory. A sanitizer keeps what is freed, so there it says nothing."""
    return SLOW > 1 or process.resident_kib() < mib * 1024


def find_peers(program):
    """{version: path} of the real frps or frpc; PEERS_DIR may hold one folder per version."""
    folder = os.environ.get("PEERS_DIR")
    if folder:
        places = [Path(folder), *sorted(Path(folder).iterdir())]
        found = [place / program for place in places if os.access(place / program, os.X_OK)]
    else:
        found = [Path(name) for name in (shutil.which(program),) if name]
    return {version_of(path): path for path in found}


FRPS = find_peers("frps")
FRPC = find_peers("frpc")


def is_mlgate(kind):
    return kind == "mlgate"


def version_number(kind):
    return tuple(map(int, re.findall(r"\d+", kind)))[:3]


def gives_way(kind):
    """A server whose half-open old session yields to a login with the same run_id. Before 0.70.1
    frps holds the answer to that login until its own detection, some forty seconds."""
    return is_mlgate(kind) or version_number(kind) >= (0, 70, 1)


class RemotePorts:
    """Of whoever has a client_id: where the server leads to its gateway."""

    @property
    def port_1(self):
        return int(f"1{self.client_id}")

    @property
    def port_2(self):
        return int(f"2{self.client_id}")


class Pair(NamedTuple):
    """The kinds of both ends of a tunnel."""

    server: str
    client: str

    @property
    def mlgate(self):
        return is_mlgate(self.server) and is_mlgate(self.client)


OURS = Pair("mlgate", "mlgate")


class Proxy:
    """One tcp proxy; `more` are further keys of its section."""

    def __init__(self, name, local_port, remote_port, **more):
        self.name = name
        self.keys = {
            "type": "tcp",
            "local_ip": "127.0.0.1",
            "local_port": local_port,
            "remote_port": remote_port,
            **more,
        }

    @property
    def port(self):
        return self.keys["remote_port"]

    def section(self):
        return self.name, self.keys


class End:
    """A server or a client as a process that can be killed and started again."""

    def __init__(self, lab, name, kind, argv, env=None):
        self.lab = lab
        self.name = name
        self.kind = kind
        self.argv = argv
        self.env = env
        self.process = None

    @property
    def mlgate(self):
        return is_mlgate(self.kind)

    def start(self):
        self.process = self.lab.spawn(f"{self.name} ({self.kind})", self.argv, self.env)
        return self

    def restart(self):
        self.process.kill()
        return self.start()


class Server(End):
    port = None

    def wait_ready(self, seconds=10):
        """Until the port for clients is open."""
        seconds *= self.lab.patience
        started = r"frp server listens on" if self.mlgate else r"frps started successfully"
        self.process.wait_line(started, seconds)
        return self


class Client(End):
    proxies = ()

    def wait_login(self, seconds=10, after=0):
        self.process.wait_line(r"login to server .*success", seconds, after)
        return self

    def wait_proxy(self, name, seconds=10, after=0):
        pattern = rf"\[([\w.]+\.)?{re.escape(name)}\] start proxy success"
        return self.process.wait_line(pattern, seconds, after)

    def wait_refused(self, name, seconds=10, after=0):
        refused = "the server refused" if self.mlgate else "start error"
        pattern = rf"\[([\w.]+\.)?{re.escape(name)}\] {refused}.*"
        return self.process.wait_line(pattern, seconds, after)

    def wait_ready(self, seconds=10, after=0):
        for proxy in self.proxies:
            self.wait_proxy(proxy.name, seconds, after)
        return self


class Lab:
    """Owner of everything that a test (or a module) starts. close() is the only end."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.ports = PORTS
        self.processes = []
        self.closers = []
        self.files = 0
        self.wrap = []  # a command that runs mlgate under observation
        self.patience = 1  # how many times longer things take under it

    def path(self, name):
        self.files += 1
        return self.directory / f"{self.files:02d}-{name}"

    def spawn(self, name, argv, env=None, cwd=None):
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment.update(LC_ALL="C", **(env or {}))
        if argv[0] == MLGATE:
            argv = [*self.wrap, *argv]
        process = Process(name, argv, environment, cwd or self.directory)
        self.processes.append(process)
        return process

    def mlgate(self, *words, env=None, name="mlgate"):
        return self.spawn(name, [MLGATE, *words], env)

    # the two ends

    def server(self, kind="mlgate", ini=None, **common):
        """A server that is ready. `common`: keys of [common] beside the usual ones."""
        port = common.pop("bind_port", None) or self.ports.take()
        keys = {
            "bind_addr": "127.0.0.1",
            "bind_port": port,
            "proxy_bind_addr": "127.0.0.1",
            "token": TOKEN,
            "log_level": "debug" if is_mlgate(kind) else "info",
            "disable_log_color": True,
            **common,
        }
        file = write_ini(ini or self.path("frps.ini"), keys, [])
        program = [MLGATE, "server"] if is_mlgate(kind) else [FRPS[kind]]
        end = Server(self, "server", kind, [*program, "-c", file])
        end.port = port
        return end.start().wait_ready()

    def flag_server(self, *flags, token=TOKEN):
        """`mlgate server` by flags and environment, as an operator starts it."""
        port = self.ports.take()
        argv = [MLGATE, "server", "--bind", f"127.0.0.1:{port}", "--log-level", "debug", *flags]
        end = Server(self, "server", "mlgate", argv, {"SECRET_FRP_TOKEN": token})
        end.port = port
        return end.start().wait_ready()

    def client(self, server, proxies, kind="mlgate", via=None, wait=True, name="client", **common):
        """A client of `server` (or of the forwarder `via` in front of it); `wait`: until ready."""
        keys = {
            "server_addr": "127.0.0.1",
            "server_port": (via or server).port,
            "token": TOKEN,
            "login_fail_exit": False,
            "log_level": "debug" if is_mlgate(kind) else "info",
            "disable_log_color": True,
            **common,
        }
        keys = {key: value for key, value in keys.items() if value is not None}
        file = write_ini(self.path("frpc.ini"), keys, [proxy.section() for proxy in proxies])
        program = [MLGATE, "client"] if is_mlgate(kind) else [FRPC[kind]]
        end = Client(self, name, kind, [*program, "-c", file])
        end.proxies = proxies
        end.run_id_file = Path(f"{file}.run_id")
        end.start()
        return end.wait_ready() if wait else end

    def pair(self, pair, proxies, server_keys=None, client_keys=None, via=False):
        """Both ends of a Pair, ready; a third result is the forwarder between them, or None."""
        server = self.server(pair.server, **(server_keys or {}))
        line = self.forwarder(server.port) if via else None
        client = self.client(server, proxies, pair.client, via=line, **(client_keys or {}))
        return server, client, line

    # what stands around them

    def service(self, banner=b""):
        service = Service(self.ports.take(), banner)
        self.closers.append(service.close)
        return service

    def web_service(self, name, port=None):
        service = WebService(port or self.ports.take(), name)
        self.closers.append(service.close)
        return service

    def forwarder(self, target, chop=None):
        line = Forwarder(self.ports.take(), target, chop)
        self.closers.append(line.close)
        return line

    def proxy(self, name, service, **more):
        return Proxy(name, service.port, self.ports.take(), **more)

    # the end

    def close(self):
        """Stops everything; an mlgate that does not end well is the test's failure."""
        faults = []
        for process in reversed(self.processes):
            faults += self._end(process)
        for close in reversed(self.closers):
            close()
        if faults:
            raise Failure("; ".join(faults))

    @staticmethod
    def _end(process):
        """Why the end of a process was not as it should be: a list, empty when it was."""
        faults = []
        mlgate = str(MLGATE) in process.argv
        if process.running() and mlgate:
            began = time.monotonic()
            try:
                status = process.stop(within(3) if process.argv[0] == str(MLGATE) else 60)
                if status != 0:
                    faults.append(f"{process.name} ended with {status} on SIGTERM")
            except Failure:
                took = time.monotonic() - began
                faults.append(f"{process.name} still runs {took:.1f} s after SIGTERM")
        process.kill()
        if process.sanitizer_findings():
            faults.append(f"{process.name}: {process.sanitizer_findings()[0]}")
        return faults


def wait_echo(port, seconds, what="the way through the tunnel"):
    """Until an echo through `port` works; the seconds it took. Each try is short, because a user who
    came too early may have been given to a session that is dead."""
    began = time.monotonic()
    eventually(lambda: echo_works(port, timeout=within(0.3)), seconds, what)
    return time.monotonic() - began
