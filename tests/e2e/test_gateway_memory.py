"""The gateway under valgrind, alone and behind the tunnel: requests of every kind and every end."""

import contextlib
import shutil

import pytest
from gateways import CHAT, WAYS, get, post
from lab import MLGATE, SLOW, is_static
from test_testnode import Node

VALGRIND = ["valgrind", "-q", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect",
            "--error-exitcode=99", "--num-callers=25"]  # fmt: skip
ROUNDS = 20
ASK = b'{"messages": [{"role": "user", "content": "one two"}], "stream": true}'

# Each ends its connection, or has the gateway end it.
WHOLE = [
    get("/v1/models", connection="close"),
    get("/health", connection="close"),
    get("/v1/models", version="1.0"),
    get("/v3.0.8/v1/models") + get("/api/v1/state") + get("/sleep", connection="close"),
    post(CHAT, ASK, connection="close"),
    post(CHAT, ASK, version="1.0"),
    post("/sleep", b"x" * 5000) + get("/v1/models", connection="close"),
    b"POST %s HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    b"%x\r\n%s\r\n0\r\n\r\n" % (CHAT.encode(), len(ASK), ASK),
    b"nonsense\r\n\r\n",
    get("/v1//models"),
    post(CHAT, b"", **{"content-length": "5, 5"}),
    b"POST /v1/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
    b"GET / HTTP/1.1\r\nhost: h\r\nx: %s\r\n\r\n" % (b"y" * 70000),
]


def whole(way, request):
    """Sends it, and reads until the connection ends."""
    with way.wire() as wire:
        wire.send(request)
        wire.rest()


def left_in_the_middle(way):
    """A stream whose reader goes after its first event, and an upload that stops."""
    with way.wire() as wire:
        wire.send(post(CHAT, ASK))
        assert wire.head().status == 200
        wire.chunk()
        wire.reset()
    with way.wire() as wire:
        wire.send(post(CHAT, ASK, **{"content-length": 100000}))
        wire.reset()
    with way.wire() as wire:
        wire.send(b"GET /v1/mod")
        wire.reset()


@pytest.mark.full
@pytest.mark.parametrize("kind", WAYS)
def test_no_leak(lab, kind):
    """Some hundred requests, cancelled streams, refusals, engines that die and come back, MLNode
    stopped and started; what valgrind finds makes the gateway exit with 99 at the end."""
    if shutil.which("valgrind") is None or SLOW > 1 or is_static(MLGATE):
        pytest.skip("skipped (needs valgrind and a dynamic, not instrumented binary)")
    first = lab.ports.take_row(2)
    node = Node(lab, 2, "--engine-port", first)
    lab.wrap, lab.patience = VALGRIND, 10
    ports = node.ports
    way = WAYS[kind](lab, ports["management"], ports["inference"], (first, first + 1))
    way.wait_live((first, first + 1), 20)
    for turn in range(ROUNDS):
        for request in WHOLE:
            with contextlib.suppress(ConnectionError):  # what is refused may end with a reset
                whole(way, request)
        left_in_the_middle(way)
        if turn == ROUNDS // 2:
            node.do(0, "crash")
    node.down()
    for request in WHOLE:
        with contextlib.suppress(ConnectionError):
            whole(way, request)
    assert way.count("requests") > ROUNDS * len(WHOLE)
    assert all(process.running() for process in way.processes)
