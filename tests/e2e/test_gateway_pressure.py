"""Who reads or writes slowly is alone in that: bulk, full lines and stalled readers beside streams
and small questions, in constant memory.
"""

import array
import contextlib
import hashlib
import json
import select
import socket
import sys
import threading

import pytest
from gateways import LAST, ask_once, chunk, get, head_of, open_tunnel, peak_mib, post
from harness import eventually
from lab import SLOW, holds_less_than, within
from services import pattern
from streams import MIB, STREAM, Pump, lockstep

# ---- who reads slowly ----------------------------------------------------------------------------


def test_a_stalled_reader_holds_nobody_up(scene):
    """Its own engine is stopped, memory stays small, everybody else goes on, and nothing is lost
    when it reads again."""
    way, upstream = scene
    total = 64 * MIB
    stalled = way.wire(small_buffer=True)
    stalled.send(post())
    hop, asked = upstream.request()
    hop.body(asked)
    pump = Pump(hop.sock, total, head_of("200 OK", f"content-length: {total}"))
    pump.wait_blocked()
    assert pump.moved < total / 2
    for process in way.processes:
        assert holds_less_than(process, 32)
    for _ in range(3):
        lockstep(scene, 50)
    stalled.head()
    digest = hashlib.blake2b(digest_size=16)
    while total > 0:
        stalled.more() if not stalled.buffer else None
        total -= len(stalled.buffer)
        digest.update(stalled.buffer)
        stalled.buffer = b""
    wanted = hashlib.blake2b(digest_size=16)
    for block in pattern(pump.total):
        wanted.update(block)
    assert digest.digest() == wanted.digest()
    stalled.close()


def test_many_stalled_readers(scene):
    """Their sources stop, and a new reader is served at once."""
    way, upstream = scene
    pumps, users = [], []
    for _ in range(20):
        user = way.wire(small_buffer=True)
        user.send(post())
        hop, asked = upstream.request()
        hop.body(asked)
        users.append(user)
        pumps.append(Pump(hop.sock, 64 * MIB, STREAM[:-2] + b"connection: close\r\n\r\n"))
    # the pattern is no chunked coding: such a stream is cut, which must not disturb the others
    users.append(way.wire())
    lockstep(scene, 50)
    for user in users:
        user.close()
    for pump in pumps:
        pump.wait_over()
        assert pump.error is not None


@pytest.mark.parametrize("reader", ["deaf", "greedy"])
def test_an_upload_does_not_hold_tokens_back(scene, reader):
    """While one fills the way towards MLNode, events come the other way; and the other way round:
    the tokens' requests get through."""
    way, upstream = scene
    user = way.wire()
    user.send(post("/tokenize", b"", content_length=1 << 40))
    hop, _ = upstream.request()
    pump = Pump(user.sock, 1 << 40)
    moved = [0]

    def drain():
        with contextlib.suppress(OSError):
            while data := hop.sock.recv(MIB):
                moved[0] += len(data)

    if reader == "deaf":
        pump.wait_blocked()
        assert pump.moved < 48 * MIB
    else:
        threading.Thread(target=drain, daemon=True).start()
        eventually(lambda: moved[0] > MIB, within(10), "an upload under way")
    before = pump.moved
    for _ in range(4):
        lockstep(scene, 100)
    if reader == "greedy":
        eventually(lambda: pump.moved > before, within(10), "the upload's progress")
    for process in way.processes:
        assert holds_less_than(process, 48)
    user.sock.shutdown(socket.SHUT_RDWR)
    pump.wait_over()


# ---- bulk ----------------------------------------------------------------------------------------


def bulk_node(lab, open_way):
    """A testnode, whose management port takes and gives any number of bytes, and a way to it."""
    words = ["--listen", "127.0.0.1:0", "--listen-management", "127.0.0.1:0", "--up"]
    process = lab.mlgate("testnode", *words, "--print-ports", name="testnode")
    ports = json.loads(process.wait_line(r"^\{.*\}$")[0])
    return open_way(lab, ports["management"], ports["inference"])


def offsets(length):
    """The bytes of testnode's source: each run of 8 holds its own offset."""
    for start in range(0, length, MIB):
        words = array.array("Q", range(start, min(start + MIB, length), 8))
        if sys.byteorder == "little":
            words.byteswap()
        yield words.tobytes()


SIZES = [32, pytest.param(512, marks=pytest.mark.full)]


@pytest.mark.parametrize("mib", SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_uploads_in_constant_memory(lab, framing, mib):
    way = bulk_node(lab, open_tunnel)
    fields = {"content_length": mib * MIB}
    if framing == "chunked":
        fields = {"content_length": None, "transfer_encoding": "chunked"}
    digest = hashlib.sha256()
    with way.wire() as user:
        user.send(post("/mlgate-test/sink", b"", **fields))
        for block in pattern(mib * MIB):
            digest.update(block)
            user.send(chunk(block) if framing == "chunked" else block)
        user.send(LAST if framing == "chunked" else b"")
        answer = json.loads(user.answer()[1])
    assert answer == {"bytes": mib * MIB, "sha256": digest.hexdigest()}
    assert all(SLOW > 1 or peak_mib(process) < 48 for process in way.processes)


@pytest.mark.parametrize("mib", SIZES)
def test_large_downloads_in_constant_memory(lab, mib):
    way = bulk_node(lab, open_tunnel)
    with way.wire() as user:
        user.send(get(f"/mlgate-test/source?bytes={mib * MIB}", connection="close"))
        head = user.head()
        assert head.status == 200
        for wanted in offsets(mib * MIB):
            assert user.take(len(wanted)) == wanted
        assert user.rest() == (b"", "eof")
    assert all(SLOW > 1 or peak_mib(process) < 48 for process in way.processes)


class Bulk(threading.Thread):
    """Endless uploads and downloads on given connections, and how far each has come."""

    def __init__(self, down, up):
        super().__init__(daemon=True)
        self.down, self.up = down, up
        self.moved = {sock: 0 for sock in (*down, *up)}
        self.over = threading.Event()
        self.block = chunk(b"\0" * 65536)
        for sock in self.moved:
            sock.setblocking(False)
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while not self.over.is_set():
                readable, writable, _ = select.select(self.down, self.up, [], 0.1)
                for sock in readable:
                    self.moved[sock] += len(sock.recv(MIB))
                for sock in writable:
                    self._upload(sock)

    def _upload(self, sock):
        at = self.moved[sock] % len(self.block)
        with contextlib.suppress(BlockingIOError):
            self.moved[sock] += sock.send(self.block[at:])

    def snapshot(self):
        return dict(self.moved)

    def all_moved_since(self, before):
        return all(self.moved[sock] > before[sock] for sock in self.moved)


def test_small_questions_pass_bulk(lab):
    """State, health and models answer inside the API node's 5 s while 50 transfers run."""
    way = bulk_node(lab, open_tunnel)
    users = [way.wire() for _ in range(50)]
    for user in users[:25]:
        user.send(get(f"/mlgate-test/source?bytes={1 << 40}"))
        user.head()
    for user in users[25:]:
        more = {"content_length": None, "transfer_encoding": "chunked"}
        user.send(post("/mlgate-test/sink", b"", **more))
    bulk = Bulk([user.sock for user in users[:25]], [user.sock for user in users[25:]])
    nothing = bulk.snapshot()
    eventually(lambda: bulk.all_moved_since(nothing), within(20), "50 transfers under way")
    before = bulk.snapshot()
    for _ in range(10):
        for path in ("/api/v1/state", "/health", "/v1/models"):
            assert ask_once(way.port, get(path), 5)[0].status == 200, path
    eventually(lambda: bulk.all_moved_since(before), within(20), "all transfers go on")
    bulk.over.set()
    bulk.join()
    for user in users:
        user.close()
