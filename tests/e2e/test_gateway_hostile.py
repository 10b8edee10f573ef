"""Requests that try to be read in two ways. Each is refused with an answer and the end of its
connection, or reaches an upstream framed once; nobody else's request is touched by it."""

import itertools
import socket
import time

import pytest
from gateways import open_gateway
from hostile_requests import CASES, HOST
from lab import within
from rawhttp import Client, Truncated, request
from recorder import Gate

# Where the bytes come in, and which upstream the paths lead to.
WAYS = {
    "management": ("socket", 0, "/api/v1/h"),
    "inference": ("socket", 1, "/v1/h"),
    "tunnel": ("tunnel", 1, "/api/v1/h"),
}


class Place:
    """A gateway with a neighbour: a user of the same port, who keeps his connection all the time."""

    def __init__(self, lab, tunnel):
        self.gate = Gate(lab, tunnel=tunnel)
        self.neighbours = {}
        self.expected = []  # (target, body) of all that may have arrived anywhere

    @property
    def record(self):
        return self.gate.record

    def neighbour(self, port):
        if port not in self.neighbours:
            self.neighbours[port] = Client(port)
        return self.neighbours[port]

    def honest(self, client, base):
        target = self.gate.honest(client, base)
        self.expected.append((target, b""))
        return target

    def arrived(self, mark):
        return [(request.target, request.body) for request in self.record.since(mark)]

    def close(self):
        """All that ever arrived, to the byte, is what was expected: nothing came in late."""
        for client in self.neighbours.values():
            client.sock.close()
        self.gate.stop_and_audit()
        found = [(request.target, request.body) for request in self.record.requests]
        assert sorted(found) == sorted(self.expected)


@pytest.fixture(scope="module")
def places(shared_lab):
    made = {"socket": Place(shared_lab, False), "tunnel": Place(shared_lab, True)}
    yield made
    for place in made.values():
        place.close()


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request, places):
    kind, number, base = request.param
    place = places[kind]
    return place, place.gate.ports[number], base


def whole(client, raw):
    client.send(raw)


def byte_by_byte(client, raw):
    """What comes back may end the sending early."""
    try:
        for at in range(len(raw)):
            client.sock.send(raw[at : at + 1])
    except (BrokenPipeError, ConnectionResetError):
        pass


def check_answers(case, client):
    for status in case.statuses:
        answer = client.answer()
        assert answer is not None, f"no answer where {status} should be"
        assert answer.status == status, (answer.start, answer.body)
        if status >= 400:
            assert answer.code
            assert answer.get("connection") == "close"
            assert answer.get("content-type") == "application/json"
            return


def play(place, port, base, case, send):
    mark = place.record.mark()
    expected = [(target or case.target(base), body) for target, body in case.upstream]
    neighbour = place.neighbour(port)
    before = place.honest(neighbour, base)
    with Client(port, timeout=within(10)) as client:
        began = time.monotonic()
        send(client, case.bytes_for(base))
        check_answers(case, client)
        if case.closes:
            assert client.ending() == "eof"
    place.expected += expected
    after = place.honest(neighbour, base)
    took = time.monotonic() - began
    with Client(port) as another:
        last = place.honest(another, base)
    assert place.arrived(mark) == [
        (before, b""), *expected, (after, b""), (last, b""),
    ]  # fmt: skip
    if not case.begins and took < 0.5:  # younger than any limit on idle connections
        assert len({request.link for request in place.record.since(mark)}) == 1


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_request(way, case):
    """In one write; the neighbour's next request runs over the same upstream connection."""
    play(*way, case, whole)


SMALL = {name: case for name, case in CASES.items() if len(case.raw) < 500}


@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL.keys())
def test_byte_by_byte(places, case):
    """The verdict does not depend on how the bytes arrive."""
    place = places["socket"]
    play(place, place.gate.port, "/api/v1/b", case, byte_by_byte)


def test_the_table_is_large():
    assert len(CASES) > 250
    assert sum(1 for case in CASES.values() if case.closes) > 150


# ---- what needs more than one write --------------------------------------------------------------


@pytest.mark.parametrize("text", [b"GET /\r\n", b"GET /api/v1/x HTTP/1.1\r\nHost: a\r\n", b"GE", b""])
def test_half_a_head_and_the_end(way, text):
    """HTTP/0.9, and whoever hangs up: no answer, and no upstream hears of it."""
    place, port, base = way
    mark = place.record.mark()
    with Client(port) as client:
        client.send(text)
        client.finish()
        assert client.ending() == "eof"
    honest = place.honest(place.neighbour(port), base)
    assert place.arrived(mark) == [(honest, b"")]


WHOLE = request("/api/v1/cut", "POST", b"0123456789")
IN_CHUNKS = b"POST /v1/cut HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize("raw", [WHOLE, IN_CHUNKS], ids=["length", "chunks"])
def test_disconnect_at_every_byte(way, raw):
    """With a FIN and with a reset by turns; an upstream never sees a whole request."""
    place, port, base = way
    mark = place.record.mark()
    for length, reset in zip(range(len(raw)), itertools.cycle([False, True]), strict=False):
        client = Client(port)
        client.send(raw[:length])
        if reset:
            client.reset()
        else:
            client.sock.close()
    honest = place.honest(place.neighbour(port), base)
    assert place.arrived(mark) == [(honest, b"")]


def test_disconnect_reaches_the_upstream(way):
    """A body that stops in the middle is a connection that ends there, soon."""
    place, port, base = way
    for number, reset in enumerate([False, True]):
        target = f"{base}/stops-{number}-{port}"
        with Client(port) as client:
            client.send(request(target, "POST", b"x" * 100)[:-1])
            link = place.record.wait_reading(target).link
            assert not link.ended
            if reset:
                client.reset()
        place.record.wait_ended(link, within(2))
        assert link.ended in ("cut", "reset")


def test_length_of_2_63(way):
    """The longest length there is: streamed, and given up with its client."""
    place, port, base = way
    target = f"{base}/longest-{port}"
    with Client(port) as client:
        head = f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {2**63 - 1}\r\n\r\n"
        client.send(head.encode() + b"x" * 100000)
        link = place.record.wait_reading(target).link
        assert link.reading.get("content-length") == str(2**63 - 1)
    place.record.wait_ended(link, within(2))


def test_slow_heads(way):
    """Fifty heads that stop half-way hold nobody up; one that goes on is served."""
    place, port, base = way
    mark = place.record.mark()
    target = f"{base}/slow-{port}"
    raw = request(target)
    slow = [Client(port) for _ in range(50)]
    for number, client in enumerate(slow):
        client.send(raw[: 1 + number % (len(raw) - 1)])
    honest = place.honest(place.neighbour(port), base)
    slow[7].send(raw[8:])
    assert slow[7].answer().json()["target"] == target
    for client in slow:
        client.sock.close()
    place.expected.append((target, b""))
    assert place.arrived(mark) == [(honest, b""), (target, b"")]


def test_refused_before_the_rest_came(way):
    """An answer to a head that cannot become good does not wait for its end."""
    _, port, _ = way
    for raw in (b"GET / HTTP/1.1\r\nX : y\n", b"\x16\x03\x01\0", b"GET / HTTP/1.1\r\nHost: a\0"):
        with Client(port) as client:
            client.send(raw)
            assert client.answer().status == 400
            assert client.ending() == "eof"


def test_refused_while_the_body_still_comes(way):
    """A megabyte behind a refused head does not turn the answer into a reset."""
    place, port, base = way
    with Client(port) as client:
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +1000000\r\n\r\n"
        client.send(head + b"x" * 100000)
        answer = client.answer()
        assert (answer.status, answer.code) == (400, "bad_request")
        assert client.ending() == "eof"
    place.honest(place.neighbour(port), base)


def test_many_refusals_on_one_port(way):
    """Nothing is left of five hundred of them."""
    place, port, base = way
    before = place.gate.process.descriptors()
    for _ in range(500):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            sock.settimeout(within(5))
            while sock.recv(65536):
                pass
    place.honest(place.neighbour(port), base)
    assert place.gate.process.descriptors() < before + 50


def test_answer_of_a_refused_pipeline(way):
    """What was accepted before a bad request is answered before it is refused."""
    place, port, base = way
    targets = [f"{base}/pipeline-{port}-{number}" for number in range(5)]
    with Client(port) as client:
        client.send(b"".join(map(request, targets)) + b"BAD\r\n\r\n")
        for target in targets:
            assert client.answer().json()["target"] == target
        assert client.answer().status == 400
        assert client.ending() == "eof"
    place.expected += [(target, b"") for target in targets]


FAULTS = {
    "both Content-Length and Transfer-Encoding":
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    "bad Host": b"GET /v1/x HTTP/1.1\r\nHost: a b\r\n\r\n",
    "control byte in head": b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    "folded field": b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "CONNECT is not served": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "more than one Host": b"GET /v1/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("why", FAULTS)
def test_the_log_names_the_fault(lab, why):
    """On a gateway of its own: after a flood such lines are held back."""
    gate = open_gateway(lab, lab.ports.take(), lab.ports.take())
    with socket.create_connection(("127.0.0.1", gate.port), 5) as sock:
        sock.sendall(FAULTS[why])
        port = sock.getsockname()[1]
        client = rf"client 127\.0\.0\.1:{port}, upstream -"
        gate.gateway.wait_line(rf" 400, [1-9]\d+ bytes, .*, {client}, bad-request: {why}")


def test_truncation_is_told_apart(places):
    """The reader that judges here sees a cut message as one."""
    place = places["socket"]
    gate = place.gate
    target = "/api/v1/short"
    gate.management.scripts[target] = lambda link, _: (
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345") and False
    )
    place.expected.append((target, b""))
    with Client(gate.port) as client, pytest.raises(Truncated):
        client.ask(target)
