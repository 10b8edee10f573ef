"""HTTP/1.1 as bytes: a reader that is strict about framing, and a client that sends what it is told.

Nothing is normalised: a message keeps its lines as they came, so that a test can compare them.
"""

import json
import re
import socket
from dataclasses import dataclass, field

from harness import Failure
from services import User

FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
REQUEST = re.compile(rb"([A-Z-]+) ([\x21-\x7e]+) HTTP/1\.1")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
CHUNK = re.compile(rb"[0-9a-fA-F]{1,16}")
STEP = 65536


class Broken(Failure):
    """Bytes that are not HTTP/1.1, or that two readers could frame in two ways."""


class Truncated(Failure):
    """The connection ended inside a message."""


@dataclass
class Message:
    start: bytes
    lines: list  # field lines without CRLF
    body: bytes = b""
    sizes: list = field(default_factory=list)  # of its chunks
    trailers: list = field(default_factory=list)
    by_close: bool = False

    @property
    def fields(self):
        return [FIELD.fullmatch(line).groups() for line in self.lines]

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower().encode()]

    def get(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise Broken(f"{name} is repeated: {values}")
        return values[0].decode("latin-1") if values else None

    @property
    def status(self):
        return int(STATUS.fullmatch(self.start).group(1))

    @property
    def method(self):
        return REQUEST.fullmatch(self.start).group(1).decode()

    @property
    def target(self):
        return REQUEST.fullmatch(self.start).group(2).decode()

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The stable word of an answer that the gateway made itself, in OpenAI's shape."""
        error = self.json()["error"]
        assert set(error) >= {"message", "type", "code"}, error
        return error["code"]


class Reader:
    """Messages out of a socket; `data` keeps every byte that came."""

    extensions = False  # whether chunks may have them

    def __init__(self, sock):
        self.sock = sock
        self.data = bytearray()
        self.at = 0

    def more(self):
        """False at the end of stream."""
        data = self.sock.recv(STEP)
        self.data += data
        return bool(data)

    def exactly(self, length, into=None):
        """`into` sees what arrived, also when the rest never comes."""
        end = self.at + length
        while len(self.data) < end:
            if not self.more():
                if into is not None:
                    into.body += bytes(self.data[self.at :])
                raise Truncated(f"{end - len(self.data)} bytes are missing")
        taken = bytes(self.data[self.at : end])
        self.at = end
        return taken

    def line(self):
        while (end := self.data.find(b"\r\n", self.at)) < 0:
            if not self.more():
                raise Truncated(f"inside the line {bytes(self.data[self.at : self.at + 99])!r}")
        text = bytes(self.data[self.at : end])
        if re.search(rb"[\r\n\0]", text):
            raise Broken(f"control bytes in {text!r}")
        self.at = end + 2
        return text

    def field_lines(self):
        lines = []
        while line := self.line():
            if not FIELD.fullmatch(line):
                raise Broken(f"no field: {line!r}")
            lines.append(line)
        return lines

    def head(self, start):
        """None when the connection ended between two messages. `start`: what the first line is."""
        if self.at == len(self.data) and not self.more():
            return None
        line = self.line()
        if not start.fullmatch(line):
            raise Broken(f"no start line: {line!r}")
        return Message(line, self.field_lines())

    def chunked(self, message):
        while True:
            size, more, _ = self.line().partition(b";")
            if more and not self.extensions:
                raise Broken("a chunk with an extension")
            if not CHUNK.fullmatch(size):
                raise Broken(f"no chunk size: {size!r}")
            if int(size, 16) == 0:
                break
            message.body += self.exactly(int(size, 16), message)
            message.sizes.append(int(size, 16))
            if self.exactly(2) != b"\r\n":
                raise Broken("a chunk without its end")
        message.trailers = self.field_lines()

    def take_body(self, message, bodiless=False):
        lengths, codings = message.all("content-length"), message.all("transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise Broken(f"framed more than once: {message.lines}")
        if bodiless:
            return message
        if codings:
            if codings[0] != b"chunked":
                raise Broken(f"coding {codings[0]!r}")
            self.chunked(message)
        elif lengths:
            if not LENGTH.fullmatch(lengths[0]):
                raise Broken(f"length {lengths[0]!r}")
            message.body += self.exactly(int(lengths[0]), message)
        elif message.start.startswith(b"HTTP/"):
            message.by_close = True
            while self.more():
                pass
            message.body += bytes(self.data[self.at :])
            self.at = len(self.data)
        return message


class Client(User):
    """One connection to the gateway, or past it to an upstream."""

    def __init__(self, port, timeout=20, **more):
        super().__init__(port, timeout=timeout, **more)
        self.reader = Reader(self.sock)
        self.reader.extensions = True  # an answer's chunks come as the upstream sent them
        self.partial = None  # the message that was being read when it broke off

    def answer(self, method="GET"):
        """The next whole answer, interim ones included; None when the connection ends instead."""
        self.partial = message = self.reader.head(STATUS)
        if message is None:
            return None
        none = method == "HEAD" or message.status < 200 or message.status in (204, 304)
        return self.reader.take_body(message, none)

    def ask(self, target, method="GET", body=b"", fields=()):
        self.send(request(target, method, body, fields))
        return self.answer(method)

    def ending(self):
        if self.reader.at < len(self.reader.data):
            raise Failure(f"more than expected: {bytes(self.reader.data[self.reader.at :])!r}")
        return super().ending()

    def gone(self):
        """The connection is over, in whatever way, and nothing more came."""
        try:
            return self.ending() in ("eof", "reset")
        except TimeoutError:
            return False


def request(target, method="GET", body=b"", fields=()):
    lines = [f"{method} {target} HTTP/1.1", "Host: gate.example", *fields]
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ask(port, target, method="GET", body=b"", fields=(), timeout=20):
    """One request on a connection of its own."""
    with Client(port, timeout) as client:
        answer = client.ask(target, method, body, fields)
        if answer is None:
            raise Failure(f"{method} {target}: no answer")
        return answer
