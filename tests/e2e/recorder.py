"""Stand-ins for MLNode's two ports that keep every byte they are sent, and the gateway before them.

A recorder reads strictly, answers each request with what it was, and keeps connections alive. What
it kept is read again by h11 at the end: two readers must find the same requests in the same bytes.
"""

import hashlib
import json
import threading

import h11
from accepting import Accepting, shut
from harness import Failure, eventually, wait_on
from lab import MLGATE, TOKEN
from rawhttp import REQUEST, Broken, Client, Reader, Truncated
from services import close_with_reset

STATE = "/api/v1/state"


class Request:
    def __init__(self, link, message):
        self.link = link
        self.message = message
        self.method = message.method
        self.target = message.target

    @property
    def body(self):
        return self.message.body

    def get(self, name):
        return self.message.get(name)

    def __repr__(self):
        return f"<{self.method} {self.target} with {len(self.body)} bytes>"


class Link:
    """One connection of the gateway."""

    def __init__(self, sock, recorder):
        self.sock = sock
        self.recorder = recorder
        self.record = recorder.record
        self.reader = Reader(sock)
        self.requests = []
        self.reading = None  # a request whose body is not complete
        self.ended = None  # "eof", "cut" (inside a request), "reset", "served"

    @property
    def raw(self):
        return bytes(self.reader.data)

    def note(self, how):
        with self.record.condition:
            self.ended = self.ended or how
            self.record.condition.notify_all()

    def send(self, data):
        self.sock.sendall(data)
        return True

    def reset(self):
        self.note("served")
        close_with_reset(self.sock)

    def wait_ended(self, seconds=10):
        """Until the other side ended it; for use inside a script."""
        try:
            while self.reader.more():
                pass
            self.note("eof")
        except ConnectionResetError:
            self.note("reset")


class Record:
    """What all recorders of a place saw, in the order in which requests were complete."""

    def __init__(self):
        self.condition = threading.Condition()
        self.requests = []
        self.links = []
        self.broken = []

    def mark(self):
        with self.condition:
            return len(self.requests)

    def since(self, mark):
        with self.condition:
            return self.requests[mark:]

    def of(self, target):
        with self.condition:
            return [request for request in self.requests if request.target == target]

    def wait_request(self, target, seconds=10):
        return wait_on(
            self.condition, lambda: self.of_now(target), seconds, f"{target} at an upstream"
        )

    def of_now(self, target):
        return next((request for request in self.requests if request.target == target), None)

    def wait_reading(self, target, seconds=10):
        """Until the head of a request was read whose body is still to come."""

        def look():
            heads = (link.reading for link in self.links)
            return next((head for head in heads if head and head.target == target), None)

        return wait_on(self.condition, look, seconds, f"the head of {target} at an upstream")

    def wait_ended(self, link, seconds=10):
        return wait_on(self.condition, lambda: link.ended, seconds, "the end of a connection")

    def wait_all_ended(self, seconds=10):
        wait_on(
            self.condition,
            lambda: all(link.ended for link in self.links),
            seconds,
            "the end of all connections",
        )

    def audit(self):
        """Every byte that arrived, read by a second parser. Only when all connections have ended."""
        if self.broken:
            raise Failure(f"not HTTP/1.1 reached an upstream: {self.broken}")
        for link in self.links:
            ours = [(request.method, request.target, request.body) for request in link.requests]
            theirs = h11_requests(link.raw)
            if ours != theirs:
                raise Failure(f"h11 reads {theirs} where the recorder read {ours}")


def h11_requests(raw):
    """The complete requests in these bytes, as h11 frames them; it raises where it would refuse."""
    if not raw:  # h11 takes no bytes for the end of the connection
        return []
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(raw)
    found, head, body = [], None, b""
    while (event := connection.next_event()) is not h11.NEED_DATA:
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            found.append((head.method.decode(), head.target.decode(), body))
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                break
            connection.start_next_cycle()
        else:
            raise Broken(f"h11 says {event}")
    if connection.our_state is h11.MUST_CLOSE and connection.trailing_data[0]:
        raise Broken(f"behind the last request: {connection.trailing_data[0]!r}")
    return found


def echo(link, request):
    """Names the request, so that nobody can take it for another one's answer."""
    body = json.dumps(
        {
            "at": link.recorder.name,
            "method": request.method,
            "target": request.target,
            "marker": request.get("x-marker"),
            "body": hashlib.sha256(request.body).hexdigest(),
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return link.send(head.encode() + (b"" if request.method == "HEAD" else body))


class Recorder:
    """A listener with a thread per connection.

    scripts: target -> function(link, request), after the whole request; true keeps the connection.
    early:   the same before its body is read.
    state:   what GET /api/v1/state says, which the gateway asks on its own account."""

    def __init__(self, name, port, record):
        self.name = name
        self.port = port
        self.record = record
        self.scripts = {}
        self.early = {}
        self.state = "INFERENCE"
        self.listener = Accepting(port, self._serve, self._arrived)

    def _arrived(self, sock, _):
        link = Link(sock, self)
        with self.record.condition:
            self.record.links.append(link)
        return link

    def _serve(self, link):
        try:
            while self._serve_one(link):
                pass
        except Truncated:
            link.note("cut")
        except Broken as error:
            with self.record.condition:
                self.record.broken.append((link.raw, str(error)))
            link.note("broken")
        except OSError:
            link.note("reset")
        finally:
            link.note("served")
            shut(link.sock)
            link.sock.close()

    def _serve_one(self, link):
        message = link.reader.head(REQUEST)
        if message is None:
            link.note("eof")
            return False
        request = Request(link, message)
        with self.record.condition:
            link.reading = request
            self.record.condition.notify_all()
        early = self.early.get(request.target)
        if early and not early(link, request):
            return False
        link.reader.take_body(message)
        with self.record.condition:
            link.reading = None
            link.requests.append(request)
            if not self._is_probe(request):
                self.record.requests.append(request)
            self.record.condition.notify_all()
        return self.scripts.get(request.target, self._default)(link, request)

    @staticmethod
    def _is_probe(request):
        """What the gateway asks on its own account. Nobody's request comes like this: without the
        gateway's own fields, and alone on its connection."""
        return (
            request.target == STATE
            and not request.message.all("x-forwarded-for")
            and request.get("connection") == "close"
            and len(request.link.requests) == 1
        )

    def _default(self, link, request):
        if request.target != STATE or request.get("x-marker"):
            return echo(link, request)
        body = json.dumps({"state": self.state}).encode()
        return link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def close(self):
        self.listener.close()
        for link in self.record.links:
            shut(link.sock)


class Gate:
    """A gateway between its users and two recorders: on its own, or at the end of a tunnel."""

    def __init__(self, lab, policy="guard", tunnel=False, inference_port=None):
        self.lab = lab
        self.record = Record()
        self.management = Recorder("management", lab.ports.take(), self.record)
        lab.closers.append(self.management.close)
        self.inference = None
        if inference_port is None:
            self.inference = Recorder("inference", lab.ports.take(), self.record)
            lab.closers.append(self.inference.close)
            inference_port = self.inference.port
        self.settings = {
            "MLNODE_MANAGEMENT": f"127.0.0.1:{self.management.port}",
            "MLNODE_INFERENCE": f"127.0.0.1:{inference_port}",
            "GATEWAY_POLICY": policy,
            "ENGINE_DIRECT": "off",
            "LOG_LEVEL": "debug",
        }
        self.markers = 0
        self.ports = self._tunnel() if tunnel else self._alone()

    def _alone(self):
        ports = [self.lab.ports.take(), self.lab.ports.take()]
        words = ["--listen", f"127.0.0.1:{ports[0]}", "--listen-poc", f"127.0.0.1:{ports[1]}"]
        self.process = self.lab.mlgate("gateway", *words, env=self.settings, name="gateway")
        self.process.wait_line(rf"listening on 127.0.0.1:{ports[1]}")
        return ports

    def _tunnel(self):
        server = self.lab.flag_server()
        client_id = self.lab.ports.take_client_id()
        environment = {
            **self.settings,
            "API_NODE": "203.0.113.7:8000",
            "FRP_SERVER": f"127.0.0.1:{server.port}",
            "SECRET_FRP_TOKEN": TOKEN,
            "CLIENT_ID": client_id,
            "FRP_CONFIG_DIR": str(self.lab.path("frp")),
            "GATEWAY_LISTEN": f"127.0.0.1:{self.lab.ports.take()}",
            "GATEWAY_LISTEN_POC": f"127.0.0.1:{self.lab.ports.take()}",
        }
        self.process = self.lab.spawn("client with gateway", [MLGATE, "client"], environment)
        ports = [int(f"1{client_id}"), int(f"2{client_id}")]
        for port in ports:
            self.process.wait_line(rf"start proxy success: :{port} ")
        return ports

    @property
    def port(self):
        """Role inference: the documented 8081."""
        return self.ports[0]

    @property
    def poc(self):
        """Role POC: the documented 5050."""
        return self.ports[1]

    def marker(self):
        self.markers += 1
        return f"m{self.markers}"

    def honest(self, client, base="/api/v1/honest"):
        """A request like any other, on this connection; fails unless it gets its own answer."""
        marker = self.marker()
        target = f"{base}/{marker}"
        answer = client.ask(target, fields=[f"X-Marker: {marker}"])
        assert answer is not None and answer.status == 200, (target, answer)
        said = answer.json()
        assert (said["target"], said["marker"]) == (target, marker), said
        return target

    def is_well(self):
        """A new user is served, on both ports and by both upstreams."""
        for port in self.ports:
            with Client(port) as client:
                self.honest(client)
                if self.inference:
                    self.honest(client, "/v1/honest")
        return self.process.running()

    def stop_and_audit(self):
        """The end of the gateway ends all connections; then what arrived is read once more."""
        assert self.process.stop() == 0
        eventually(lambda: self.record.wait_all_ended(10) or True, 20, "all connections ended")
        self.record.audit()
