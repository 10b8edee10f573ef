"""What the tests of streams through a gateway share: events, streams under way, writers that know
when nobody takes more, and MLNodes made of testnode.
"""

import json
import select
import threading
import time

from gateways import CRLF, LAST, chunk, head_of, post
from harness import Failure, eventually
from lab import within
from services import pattern

MIB = 1024 * 1024
STREAM = head_of("200 OK", "transfer-encoding: chunked")
# How an answer tells its end: its head, what becomes of a piece, and the last bytes; None: the end.
SENT_AS = {
    "chunked": (STREAM, chunk, LAST),
    "length": (head_of("200 OK", "content-length: 1000"), lambda data: data, b""),
    "close": (head_of("200 OK", "connection: close"), lambda data: data, None),
}


def event(stream, number, size=0):
    """One server-sent event, numbered and stamped, padded to `size` bytes."""
    data = {"stream": stream, "n": number, "at": time.monotonic_ns()}
    text = b"data: " + json.dumps(data).encode()
    return text + b" " * max(0, size - len(text) - 2) + b"\n\n"


def begin(scene, request=None, head=STREAM):
    """A stream under way: its head has arrived. The reader and the upstream's side of it."""
    way, upstream = scene
    user = way.wire()
    user.send(request or post())
    hop, asked = upstream.request()
    hop.body(asked)
    hop.send(head)
    user.head()
    return user, hop


def lockstep(scene, count):
    """Events of a stream of its own, each of which must arrive before the next one leaves. The
    connection to the upstream is not used again, so that the next one begins with an accept."""
    user, hop = begin(scene, head=STREAM[:-2] + b"connection: close\r\n\r\n")
    for n in range(count):
        sent = event(1, n, 200)
        hop.send(chunk(sent))
        assert user.chunk() == sent
    hop.send(LAST)
    assert user.chunk() == b""
    user.close()


def answer_ok(hop, head=None):
    """Reads the rest of the request that `head` began, and answers it."""
    hop.body(head or hop.head())
    hop.send(head_of("200 OK", "content-length: 2") + b"ok")


class Pump(threading.Thread):
    """Writes `total` bytes of the pattern into a socket, and knows when nobody takes more."""

    def __init__(self, sock, total, prefix=b""):
        super().__init__(daemon=True)
        self.sock = sock
        self.total = total
        self.prefix = prefix
        self.moved = 0
        self.last = time.monotonic()
        self.error = None
        sock.setblocking(False)
        self.start()

    def run(self):
        try:
            for block in (self.prefix, *pattern(self.total)) if self.prefix else pattern(self.total):
                self._write(memoryview(block))
        except (OSError, ValueError) as error:
            self.error = error
        self.last = None

    def _write(self, block):
        while block:
            if not select.select([], [self.sock], [], 0.1)[1]:
                continue
            sent = self.sock.send(block)
            self.moved += sent
            self.last = time.monotonic()
            block = block[sent:]

    def wait_blocked(self, seconds=20):
        """Until not a byte has been taken for a moment."""

        def blocked():
            return self.last is None or time.monotonic() - self.last > 0.5

        eventually(blocked, within(seconds), "a line that is full")
        if self.last is None:
            raise Failure(f"all {self.moved} bytes were taken ({self.error})")

    def wait_over(self, seconds=30):
        self.join(within(seconds))
        if self.is_alive():
            raise Failure(f"the end of the pump: not within {within(seconds)} s ({self.moved} bytes)")


def length_of(head):
    """The Content-Length of a raw head."""
    return int(head.lower().split(b"content-length:")[1].split(CRLF)[0])
