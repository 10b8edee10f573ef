"""Upstreams that break HTTP: the client is told the truth at once, the log says why, and the next
user of the gateway gets his own answer."""

import os
import re
import signal
import threading

import pytest
from hostile_answers import CASES, EVIL, OK
from lab import within
from rawhttp import Client, Truncated, ask, request
from recorder import Gate, echo

# Where the bytes come in, and which upstream the paths lead to.
WAYS = {
    "management": ("socket", 0, "/api/v1/a"),
    "inference": ("socket", 1, "/v1/a"),
    "tunnel": ("tunnel", 0, "/v1/a"),
}


@pytest.fixture(scope="module")
def gates(shared_lab):
    made = {"socket": Gate(shared_lab), "tunnel": Gate(shared_lab, tunnel=True)}
    yield made
    for gate in made.values():
        gate.stop_and_audit()


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request, gates):
    kind, number, base = request.param
    gate = gates[kind]
    recorder = gate.management if base.startswith("/api") else gate.inference
    return gate, gate.ports[number], base, recorder


def play(case, arrived):
    """The upstream's part: says its lines, then holds the connection, or ends it once `arrived`."""

    def script(link, _):
        link.send(case.raw)
        while case.then == "repeat":
            link.send(case.raw * 20)
        if case.then == "hold":
            if case.reused:
                return True
            link.wait_ended(within(10))
        elif case.body is None and case.status == 200:
            arrived.wait(within(10))
        if case.then == "reset":
            link.reset()
        return False

    return script


def wait_begun(client, case):
    """Until the last bytes that the upstream sent are here."""
    last = case.raw[-2:]
    while True:
        head, end, body = bytes(client.reader.data).partition(b"\r\n\r\n")
        if end and (last in body or case.raw.endswith(b"\r\n\r\n")):
            return
        assert client.reader.more(), head + end + body


def check_cut(client, case, arrived):
    if case.then != "hold":
        wait_begun(client, case)
        arrived.set()
    with pytest.raises(Truncated):
        client.answer(case.method)
    assert client.partial.status == case.status
    assert client.partial.body == case.begun


def check_answer(client, case):
    for status in case.interim:
        assert client.answer(case.method).status == status
    answer = client.answer(case.method)
    assert answer is not None, "no answer"
    assert answer.status == case.status, answer.lines
    if case.code:
        assert answer.code == case.code
        assert answer.get("content-type") == "application/json"
    else:
        assert answer.body == case.body


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answer(way, case):
    gate, port, base, recorder = way
    target = f"{base}/{case.name}-{port}"
    arrived = threading.Event()
    recorder.scripts[target] = play(case, arrived)
    mark = gate.process.mark()
    with Client(port, timeout=within(10)) as client:
        gate.honest(client, base)
        client.send(request(target, case.method))
        if case.body is None and case.code is None:
            check_cut(client, case, arrived)
        else:
            check_answer(client, case)
            gate.honest(client, base)
    with Client(port) as another:
        gate.honest(another, base)
    links = [each.link for each in gate.record.of(target)]
    assert len(links) == 1, "sent more than once"
    if not case.reused:
        gate.record.wait_ended(links[0], within(5))
    fault = r": \w.*" if case.reason == "upstream-protocol" else ""
    gate.process.wait_line(
        rf"{case.method} {re.escape(target)} {case.status}, .*, {case.reason}{fault}$",
        within(5),
        mark,
    )


def test_the_table_is_large():
    assert len(CASES) > 150


# ---- what needs more than one move ---------------------------------------------------------------


def answer_of(body):
    return OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_late_extra_bytes(way):
    """A second answer that comes when nobody asked ends the connection it came on."""
    gate, port, base, recorder = way
    target = f"{base}/late-{port}"
    heard = threading.Event()

    def script(link, _):
        link.send(answer_of(b"GOOD"))
        heard.wait(within(10))
        link.send(EVIL)
        link.wait_ended()
        return False

    recorder.scripts[target] = script
    with Client(port) as client:
        assert client.ask(target).body == b"GOOD"
        heard.set()
        gate.record.wait_ended(gate.record.wait_request(target).link, within(5))
        gate.honest(client, base)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_extra_bytes_beside_the_next_request(gates, method):
    """They lie in the socket when the next user's request arrives, and the gateway sees both at
    once: it stood still meanwhile. Whoever comes first in its list of events, the user gets his
    own answer, or none when the request cannot be sent twice."""
    gate = gates["socket"]
    target = f"/v1/a/beside-{method}"
    gate.inference.scripts[target] = lambda link, _: link.send(answer_of(b"GOOD"))
    with Client(gate.poc) as first, Client(gate.poc) as second:
        gate.honest(second, "/v1/a")
        assert first.ask(target).body == b"GOOD"
        link = gate.record.of(target)[0].link
        os.kill(gate.process.pid, signal.SIGSTOP)
        try:
            own = f"/v1/a/own-{method}"
            second.send(request(own, method))
            link.send(EVIL)
        finally:
            os.kill(gate.process.pid, signal.SIGCONT)
        answer = second.answer()
        assert b"EVIL" not in answer.body
        if method == "GET":
            assert answer.json()["target"] == own
        else:
            assert answer.status == 502 or answer.json()["target"] == own


def test_closed_pooled_connection(way):
    """A GET that meets the end of its pooled connection is sent once more, and only once."""
    gate, port, base, recorder = way
    target = f"{base}/stale-{port}"
    recorder.scripts[target] = lambda link, _: False
    with Client(port) as client:
        gate.honest(client, base)
        answer = client.ask(target)
        assert (answer.status, answer.code) == (502, "upstream_closed")
        assert len(gate.record.of(target)) == 2
        recorder.scripts[target] = (
            lambda link, asked: len(gate.record.of(target)) > 3 and echo(link, asked)
        )
        gate.honest(client, base)
        assert client.ask(target).json()["target"] == target


@pytest.mark.parametrize("then", ["hold", "close"])
@pytest.mark.parametrize("coded", [False, True], ids=["length", "chunks"])
def test_answer_before_the_request_is_finished(way, then, coded):
    """Goes to the client as it is; neither connection carries another message."""
    gate, port, base, recorder = way
    target = f"{base}/early-{then}-{coded}-{port}"

    def early(link, _):
        link.send(b"HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nFULL")
        if then == "hold":
            link.wait_ended()
        return False

    recorder.early[target] = early
    fields = "Transfer-Encoding: chunked" if coded else "Content-Length: 1000000"
    start = b"fffff\r\n" if coded else b""
    with Client(port, timeout=within(10)) as client:
        head = f"POST {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"
        client.send(head.encode() + start + b"x" * 1000)
        answer = client.answer()
        assert (answer.status, answer.body) == (413, b"FULL")
        gate.record.wait_ended(gate.record.wait_reading(target).link, within(5))
        assert client.gone()
    with Client(port) as another:
        gate.honest(another, base)


def test_http_1_0_client(way):
    """Where only the end of the connection tells the end of a body, a cut is a reset."""
    gate, port, base, recorder = way
    for name, raw in {
        "chunks": b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "close": b"\r\nfirst",
    }.items():
        target = f"{base}/old-{name}-{port}"
        arrived = threading.Event()

        def script(link, _, raw=raw, arrived=arrived):
            link.send(OK + raw)
            arrived.wait(within(10))
            link.reset()
            return False

        recorder.scripts[target] = script
        with Client(port, timeout=within(10)) as client:
            client.send(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            with pytest.raises(ConnectionResetError):
                while client.reader.more():
                    if client.reader.data.endswith(b"first"):
                        arrived.set()
                raise AssertionError(bytes(client.reader.data))


@pytest.mark.parametrize("path", ["/api/v1/stop", "/api/v1/inference/up"])
@pytest.mark.parametrize("raw", [b"", b"garbage\r\n\r\n", EVIL.replace(b"4", b"+4")])
def test_no_answer_of_ours_to_these(gates, path, raw):
    """The API node takes any answer for success, so a broken one is none at all."""
    gate = gates["socket"]
    gate.management.scripts[path] = lambda link, _: link.send(raw) and False
    with Client(gate.poc) as client:
        client.send(request(path, "POST"))
        assert client.ending() == "eof"


def test_trickled_answer(way):
    """Byte by byte, the head included, and split anywhere it is the same answer."""
    gate, port, base, recorder = way
    target = f"{base}/trickled-{port}"
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Transfer-Encoding: chunked\r\n\r\n"
    raw += b"5;a=b\r\nfirst\r\n6\r\nsecond\r\n0\r\nX: y\r\n\r\n"
    recorder.scripts[target] = lambda link, _: all(
        link.send(raw[at : at + 1]) for at in range(len(raw))
    )
    with Client(port, timeout=within(10)) as client:
        client.send(request(target))
        assert client.answer().status == 103
        answer = client.answer()
        assert (answer.body, answer.trailers) == (b"firstsecond", [b"X: y"])
        gate.honest(client, base)


def test_nothing_is_left(gates):
    """Of all this: both gateways run, and hold no more connections than their idle ones."""
    for gate in gates.values():
        assert gate.is_well()
        status = ask(gate.poc, "/mlgate/status").json()
        assert status["gateway"]["exchanges"] <= 1, status
