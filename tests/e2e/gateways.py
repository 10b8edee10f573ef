"""What stands around a gateway under test: a scripted upstream that the test itself plays, a stub of
MLNode's management, the two ways to the gateway, and HTTP/1.1 written and read by hand, because a
library would hide the very bytes that these tests are about.
"""

import contextlib
import json
import socket
import sys
from pathlib import Path

import pytest
from accepting import Accepting, shut
from harness import Failure, eventually
from lab import within
from services import STEP, TIMEOUT, User

HERE = Path(__file__).parent
CRLF = b"\r\n"
LAST = b"0\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CHAT = "/v1/chat/completions"


def head_of(status="200 OK", *fields):
    lines = [f"HTTP/1.1 {status}".encode(), b"content-type: text/event-stream"]
    return CRLF.join([*lines, *[field.encode() for field in fields]]) + CRLF + CRLF


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def post(path=CHAT, body=b"{}", version="1.1", **fields):
    """A whole request. A field of the value None is left out."""
    lines = {"host": "gw", "content_type": "application/json", "content_length": len(body), **fields}
    text = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in lines.items() if v is not None)
    return f"POST {path} HTTP/{version}\r\n{text}\r\n".encode() + body


def get(path, version="1.1", **fields):
    text = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in {"host": "gw", **fields}.items())
    return f"GET {path} HTTP/{version}\r\n{text}\r\n".encode()


class Head:
    """A request's or an answer's head, as it came."""

    def __init__(self, raw):
        self.raw = raw
        first, *rest = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.first = first
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in rest]

    @property
    def status(self):
        return int(self.first.split()[1])

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name):
        return next(iter(self.all(name)), None)


class Wire(User):
    """One end of a connection that carries HTTP/1.1, read piece by piece."""

    def __init__(self, port=None, sock=None, **more):
        self.buffer = b""
        if sock is None:
            super().__init__(port, **more)
        else:
            self.sock = sock
            sock.settimeout(within(TIMEOUT))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def more(self):
        data = self.sock.recv(STEP)
        if not data:
            raise Failure(f"the connection ended after {self.buffer!r}")
        self.buffer += data

    def take(self, length):
        while len(self.buffer) < length:
            self.more()
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        return self.take(self.buffer.index(mark) + len(mark))

    def head(self):
        return Head(self.until(CRLF + CRLF))

    def chunk(self):
        """The next chunk's data; b"" is the last one."""
        size = int(self.until(CRLF), 16)
        data = self.take(size)
        assert self.take(2) == CRLF
        return data

    def body(self, head):
        """All of a framed body."""
        if head.get("transfer-encoding"):
            return b"".join(iter(self.chunk, b""))
        return self.take(int(head.get("content-length") or 0))

    def answer(self):
        head = self.head()
        return head, self.body(head)

    def rest(self):
        """What is left until the end of the connection, and how it ended: "eof" or "reset"."""
        while True:
            try:
                data = self.sock.recv(STEP)
            except ConnectionResetError:
                return self.buffer, "reset"
            if not data:
                return self.buffer, "eof"
            self.buffer += data

    def gone(self, seconds=5):
        """Waits for the other side's end or reset; bytes that come before it are dropped."""
        self.sock.settimeout(within(seconds))
        return self.rest()[1]

    def close(self):
        self.sock.close()


def ask_once(port, request, seconds=TIMEOUT):
    """One request on a connection of its own, and its whole answer. (httpx would make a TLS context
    each time, which costs more than the answer.)"""
    with Wire(port, timeout=within(seconds)) as user:
        user.send(request)
        return user.answer()


class Upstream:
    """MLNode's port 5000, or 8080, played by the test: accept() gives the next connection."""

    def __init__(self, lab):
        self.listener = socket.create_server(("127.0.0.1", lab.ports.take()), backlog=1024)
        self.listener.settimeout(within(TIMEOUT))
        self.port = self.listener.getsockname()[1]
        self.taken = []
        lab.closers.append(self.close)

    def accept(self):
        wire = Wire(sock=self.listener.accept()[0])
        self.taken.append(wire)
        return wire

    def request(self):
        """The next connection and the head of the first request on it; bodies are left to read."""
        wire = self.accept()
        return wire, wire.head()

    def close(self):
        self.listener.close()
        for wire in self.taken:
            wire.close()


class Stub:
    """A server with one answer per path, on connections that it keeps; what is not in `answers` is
    404. `asked`: the paths, in the order they came."""

    def __init__(self, lab, answers, port=None):
        self.answers = answers
        self.asked = []
        self.wires = []
        self.port = port or lab.ports.take()
        self.listener = Accepting(self.port, self._serve, self._arrived)
        lab.closers.append(self.close)

    def close(self):
        """Refuses from now on, and hangs up on everybody."""
        self.listener.close()
        for wire in self.wires:
            shut(wire.sock)

    def _arrived(self, sock, _):
        wire = Wire(sock=sock)
        self.wires.append(wire)
        return wire

    def _serve(self, wire):
        with contextlib.suppress(OSError, Failure), wire:
            while True:
                head = wire.head()
                wire.body(head)
                path = head.first.split()[1]
                self.asked.append(path)
                self._answer(wire, self.answer(path))

    def answer(self, path):
        return self.answers.get(path)

    @staticmethod
    def _answer(wire, answer):
        body = json.dumps(answer or {}).encode()
        status = "404 Not Found" if answer is None else "200 OK"
        wire.send(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n" % (status.encode(), len(body)) + body)


class Management(Stub):
    """As much of MLNode's 8080 as the gateway asks on its own account, whatever is asked."""

    def __init__(self, lab, state="INFERENCE"):
        self.state = state
        super().__init__(lab, {})

    def answer(self, path):
        return {"state": self.state}


class Way:
    """The way to a gateway: `port` is what 1{CLIENT_ID} is registered as, `poc` what 2{…} is."""

    def __init__(self, port, poc, gateway, processes):
        self.port = port
        self.poc = poc
        self.gateway = gateway  # the process that has it
        self.processes = processes

    def wire(self, **more):
        return Wire(self.port, **{"timeout": within(TIMEOUT), **more})

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def status(self):
        return json.loads(ask_once(self.poc, get("/mlgate/status"), 5)[1])

    def count(self, name):
        return self.status()["gateway"][name]

    def wait_live(self, ports, seconds=10):
        """Until the gateway chooses among exactly the engines on these ports."""

        def live():
            return {e["port"] for e in self.status()["mlnode"]["engines"] if e["live"]}

        eventually(lambda: live() == set(ports), within(seconds), f"the engines {set(ports)}")

    def wait_idle(self, seconds=5):
        """Until no exchange is under way but the one that asks."""
        eventually(lambda: self.count("exchanges") <= 1, within(seconds), "the end of all exchanges")


def flags_of(management, inference, engine_ports, direct, policy):
    return {
        "MLNODE_MANAGEMENT": f"127.0.0.1:{management}",
        "MLNODE_INFERENCE": f"127.0.0.1:{inference}",
        "ENGINE_DIRECT": direct or ("auto" if engine_ports else "off"),
        "ENGINE_PORTS": "{}-{}".format(*(engine_ports or (1, 1))),
        "GATEWAY_POLICY": policy,
        "LOG_LEVEL": "debug",
    }


def open_gateway(
    lab, management, inference, engine_ports=None, direct=None, policy="guard", **variables
):
    """mlgate gateway, alone."""
    port, poc = lab.ports.take(), lab.ports.take()
    words = ["gateway", "--listen", f"127.0.0.1:{port}", "--listen-poc", f"127.0.0.1:{poc}"]
    env = {**flags_of(management, inference, engine_ports, direct, policy), **variables}
    process = lab.mlgate(*words, env=env, name="gateway")
    for each in (port, poc):
        process.wait_line(rf"listening on 127.0.0.1:{each} ", within(5) * lab.patience)
    return Way(port, poc, process, [process])


def open_tunnel(
    lab, management, inference, engine_ports=None, direct=None, policy="guard", **variables
):
    """mlgate server, and mlgate client with tunnel and gateway in one process."""
    token = "a-token-for-the-gateway"
    server = lab.flag_server(token=token)
    client_id = lab.ports.take_client_id()
    env = {
        "API_NODE": "203.0.113.7:8000",
        "FRP_SERVER": f"127.0.0.1:{server.port}",
        "SECRET_FRP_TOKEN": token,
        "CLIENT_ID": client_id,
        "FRP_CONFIG_DIR": str(lab.path("etc")),
        "GATEWAY_LISTEN": f"127.0.0.1:{lab.ports.take()}",
        "GATEWAY_LISTEN_POC": f"127.0.0.1:{lab.ports.take()}",
        **flags_of(management, inference, engine_ports, direct, policy),
        **variables,
    }
    process = lab.mlgate("client", env=env, name="client with gateway")
    ports = int(f"1{client_id}"), int(f"2{client_id}")
    for port in ports:
        process.wait_line(rf"start proxy success: :{port} ", within(10) * lab.patience)
    return Way(*ports, process, [server.process, process])


def open_uvicorn(lab, *flags):
    """uvicorn with fastapi_app.py, answering; its port. Without both the test is skipped, and that is
    said."""
    for module in ("uvicorn", "fastapi"):
        pytest.importorskip(module, reason=f"skipped (no python3-{module})")
    port = lab.ports.take()
    words = ["-m", "uvicorn", "fastapi_app:app", "--port", port, "--log-level", "warning"]
    process = lab.spawn("uvicorn", [sys.executable, *words, *flags], cwd=HERE)
    eventually(
        lambda: process.running() and Wire(port).close() is None, within(20), "uvicorn", pause=0.1
    )
    return port


WAYS = {"gateway": open_gateway, "tunnel": open_tunnel}


def peak_mib(process):
    """The most memory a process ever had resident."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024
