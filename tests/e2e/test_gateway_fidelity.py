"""Streams of tokens through the gateway, alone and behind the tunnel: what the engine wrote is what
the reader gets, piece by piece and in order, and nothing waits for what follows it.

Most tests go in lockstep: the test plays both ends, and writes the next piece only when the one
before has arrived. A gateway that held anything back would stand still there.
"""

import asyncio
import contextlib
import json
import random
import threading

import pytest
from gateways import (
    CHAT,
    CHUNKED,
    CRLF,
    LAST,
    Management,
    chunk,
    get,
    head_of,
    open_tunnel,
    post,
)
from harness import eventually
from lab import SLOW, within
from streams import MIB, SENT_AS, STREAM, begin, event, length_of

# ---- many streams at once ------------------------------------------------------------------------


class StampingSource:
    """An engine of coroutines. Each event is numbered and stamped, and kept as it was written; the
    first one leaves when all streams have begun."""

    def __init__(self, streams, events):
        self.events = events
        self.left = streams
        self.all_here = asyncio.Event()
        self.wrote = {}

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                head = await reader.readuntil(CRLF + CRLF)
                asked = json.loads(await reader.readexactly(length_of(head)))
                await self.stream(asked["stream"], writer)
        writer.close()

    async def stream(self, number, writer):
        rng = random.Random(number)
        wrote = self.wrote[number] = []
        writer.write(STREAM)
        self.left -= 1
        if self.left == 0:
            self.all_here.set()
        await self.all_here.wait()
        for n in range(self.events):
            wrote.append(chunk(event(number, n, rng.randrange(0, 2500))))
            writer.write(wrote[-1])
            await writer.drain()
            await asyncio.sleep(rng.choice((0, 0.001, 0.02)))
        wrote.append(LAST)
        writer.write(LAST)
        await writer.drain()


async def read_stream(port, number):
    """The chunks of one stream, each with its framing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MIB)
    writer.write(post(body=json.dumps({"stream": number}).encode()))
    head = await reader.readuntil(CRLF + CRLF)
    assert head.startswith(b"HTTP/1.1 200 ") and CHUNKED in head.lower()
    chunks = []
    while not chunks or chunks[-1] != LAST:
        size = await reader.readuntil(CRLF)
        chunks.append(size + await reader.readexactly(int(size, 16) + 2))
    writer.close()
    return chunks


async def run_streams(way, port, count, events):
    source = StampingSource(count, events)
    server = await asyncio.start_server(source.serve, "127.0.0.1", port, backlog=2048)
    try:
        readers = [read_stream(way.port, number) for number in range(count)]
        return source.wrote, await asyncio.wait_for(asyncio.gather(*readers), within(60))
    finally:
        server.close()


@pytest.mark.parametrize("count", [1, 32, 200, 1000 // SLOW])
def test_streams_arrive_as_they_were_written(lab, count):
    """Chunk by chunk and byte by byte, so none is lost, merged, split, altered or out of order."""
    port = lab.ports.take()
    way = open_tunnel(lab, Management(lab).port, port)
    wrote, got = asyncio.run(run_streams(way, port, count, 200 if count < 100 else 20))
    assert len(got) == len(wrote) == count
    for number, chunks in enumerate(got):
        assert chunks == wrote[number], f"stream {number} differs"
    line = rf"POST {CHAT} 200, .* done$"
    eventually(lambda: way.gateway.count(line) >= count, within(5), "a line for each stream")
    assert way.gateway.count(line) == count


# ---- nothing is held back ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("framing", SENT_AS)
def test_lockstep(scene, framing, version):
    """Each event is with the reader before the next is written, whatever tells the body's end."""
    head, frame, last = SENT_AS[framing]
    user, hop = begin(scene, post(version=version), head)
    in_chunks = version == "1.1" and framing != "length"
    for n in range(10):
        sent = event(0, n, 100)
        hop.send(frame(sent))
        assert (user.chunk() if in_chunks else user.take(100)) == sent
    if last is None:
        hop.close()
    else:
        hop.send(last)
    if in_chunks:
        assert user.chunk() == b""
    elif version == "1.0":
        assert user.rest() == (b"", "eof")
    if version == "1.1":
        user.send(get("/api/v1/state"))
        assert user.answer()[0].status == 200  # the end was seen, and the connection lives


def test_lockstep_byte_by_byte(scene):
    """Not even a part of a chunk waits for the rest of it."""
    user, hop = begin(scene)
    for byte in chunk(event(0, 0)) + chunk(bytes(range(256))) + LAST:
        hop.send(bytes([byte]))
        assert user.take(1) == bytes([byte])


def test_interim_answers_and_heads_in_pieces(scene):
    way, upstream = scene
    with way.wire() as user:
        user.send(post())
        hop, _ = upstream.request()
        hop.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        assert user.head().first == "HTTP/1.1 103 Early Hints"
        for byte in head_of("200 OK", "content-length: 2") + b"ok":
            hop.send(bytes([byte]))
        assert user.answer()[1] == b"ok"


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_request_body_streams(scene, framing):
    """MLNode has the first part of a body before the reader has sent the second."""
    way, upstream = scene
    parts = [bytes([65 + n]) * 1000 for n in range(5)]
    fields = {"content_length": 5000}
    if framing == "chunked":
        fields = {"content_length": None, "transfer_encoding": "chunked"}
    with way.wire() as user:
        user.send(post(body=b"", **fields))
        hop, head = upstream.request()
        for part in parts:
            user.send(chunk(part) if framing == "chunked" else part)
            assert (hop.chunk() if framing == "chunked" else hop.take(1000)) == part
        if framing == "chunked":
            user.send(LAST)
            assert hop.chunk() == b""
        else:
            assert head.get("content-length") == "5000"
        hop.send(head_of("200 OK", "content-length: 2") + b"ok")
        assert user.answer()[1] == b"ok"


def test_answer_before_the_request_is_complete(scene):
    """A stream may begin while its prompt is still coming."""
    way, upstream = scene
    with way.wire() as user:
        user.send(post(content_length=10))
        hop, _ = upstream.request()
        hop.send(STREAM)
        user.head()
        for n in range(4):
            user.send(b"xx")
            hop.take(2)
            hop.send(chunk(event(0, n)))
            assert json.loads(user.chunk()[6:])["n"] == n
        hop.send(LAST)
        assert user.chunk() == b""


def test_lines_of_a_mebibyte(scene):
    user, hop = begin(scene)
    sent = [event(0, n, MIB) for n in range(4)] + [b"data: [DONE]\n\n"]
    sender = threading.Thread(target=hop.send_all, args=([chunk(e) for e in sent] + [LAST],))
    sender.start()
    assert list(iter(user.chunk, b"")) == sent
    sender.join()


def test_pipelined_requests_are_answered_in_order(scene):
    way, upstream = scene
    with way.wire() as user:
        user.send(b"".join(post(body=b"%d" % n) for n in range(20)))
        hop, head = upstream.request()
        for n in range(20):
            body = hop.body(head)
            hop.send(head_of("200 OK", f"content-length: {len(body)}") + body)
            assert user.answer()[1] == b"%d" % n
            if n < 19:
                head = hop.head()
        assert len(upstream.taken) == 1


