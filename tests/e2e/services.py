"""The service behind the tunnel and the user in front of it.

The service obeys one line of text ("get 1000", see COMMANDS), so that a test says in one place what
the far end shall do. How each connection ended is recorded: that is what half-close and reset tests
are about.
"""

import hashlib
import random
import select
import socket
import struct
import threading

from accepting import Accepting, shut
from harness import Failure, wait_on

STEP = 65536
BLOCK = random.Random(20).randbytes(STEP)
TIMEOUT = 30  # no single read or write of a test may take longer


def pattern(length, seed=0):
    """`length` bytes that differ in every block and for every seed, as chunks."""
    number = 0
    while length > 0:
        head = struct.pack(">QQ", seed, number)
        chunk = head + BLOCK[len(head) :]
        yield chunk[:length]
        length -= len(chunk)
        number += 1


def digest(chunks):
    total = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()


def close_with_reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Link:
    """One connection at the service."""

    def __init__(self, sock, peer, service):
        self.sock = sock
        self.peer = peer
        self.service = service
        self.command = None
        self.received = 0
        self.ended = None  # "eof", "reset", or "served" when the service hung up first

    def note(self, how):
        with self.service.condition:
            if self.ended is None:
                self.ended = how
            self.service.condition.notify_all()

    def recv(self, size=STEP):
        try:
            data = self.sock.recv(size)
        except ConnectionResetError:
            self.note("reset")
            return b""
        with self.service.condition:
            self.received += len(data)
            self.service.condition.notify_all()
        if not data:
            self.note("eof")
        return data

    def chunks(self, limit=None):
        left = limit
        while left is None or left > 0:
            data = self.recv(STEP if left is None else min(STEP, left))
            if not data:
                return
            yield data
            if left is not None:
                left -= len(data)

    def send(self, data):
        try:
            self.sock.sendall(data)
            return True
        except (ConnectionResetError, BrokenPipeError):
            self.note("reset")
            return False

    def send_all(self, chunks):
        return all(self.send(chunk) for chunk in chunks)

    def line(self):
        text = b""
        while not text.endswith(b"\n") and len(text) < 100:
            byte = self.recv(1)
            if not byte:
                return None
            text += byte
        return text.decode("ascii", "replace").split()


def do_echo(link):
    for data in link.chunks():
        if not link.send(data):
            return


def do_get(link, length):
    link.send_all(pattern(int(length)))


def do_put(link, length):
    link.send(digest(link.chunks(int(length))).encode() + b"\n")
    link.recv()  # the user hangs up first, so the answer cannot be cut


def do_both(link, length):
    sender = threading.Thread(target=link.send_all, args=(pattern(int(length), seed=2),))
    sender.start()
    total = digest(link.chunks(int(length)))
    sender.join()
    link.send(total.encode() + b"\n")
    link.recv()


def do_count(link):
    """Answers only after the user's end of stream: for half-close."""
    total = digest(link.chunks())
    if link.ended == "eof":
        link.send(f"{link.received} {total}\n".encode())


def do_hang(link):
    """Takes everything and says nothing."""
    for _ in link.chunks():
        pass


def do_deaf(link):
    """Neither reads nor writes until the service is closed."""
    link.service.closing.wait()


def do_reset(link, length):
    """Sends so many bytes, waits until the user has answered one byte, and resets."""
    link.send_all(pattern(int(length)))
    link.recv(1)
    link.note("served")
    close_with_reset(link.sock)


def do_finish(link, length):
    """Sends so many bytes and the end of stream, and goes on reading."""
    link.send_all(pattern(int(length)))
    link.sock.shutdown(socket.SHUT_WR)
    for _ in link.chunks():
        pass


COMMANDS = {
    "echo": do_echo,
    "get": do_get,
    "put": do_put,
    "both": do_both,
    "count": do_count,
    "hang": do_hang,
    "deaf": do_deaf,
    "reset": do_reset,
    "finish": do_finish,
}


class Service:
    """A listener with a thread per connection. `banner`: what it says first, before any command."""

    def __init__(self, port, banner=b""):
        self.port = port
        self.banner = banner
        self.links = []
        self.condition = threading.Condition()
        self.closing = threading.Event()
        self.listener = Accepting(port, self._serve, self._arrived)

    def _arrived(self, sock, peer):
        link = Link(sock, peer, self)
        with self.condition:
            self.links.append(link)
            self.condition.notify_all()
        return link

    def _serve(self, link):
        try:
            if self.banner and not link.send(self.banner):
                return
            words = link.line()
            if words is None:
                return
            link.command = words[0]
            COMMANDS[words[0]](link, *words[1:])
        except OSError:
            link.note("reset")
        finally:
            link.note("served")
            link.sock.close()

    def wait_links(self, count, seconds=10):
        return wait_on(
            self.condition,
            lambda: len(self.links) >= count and self.links,
            seconds,
            f"{count} connections at the service",
        )

    def wait_ended(self, link, seconds=10):
        return wait_on(
            self.condition, lambda: link.ended, seconds, f"the end of '{link.command}' at the service"
        )

    def wait_received(self, link, length, seconds=30):
        return wait_on(
            self.condition,
            lambda: link.received >= length,
            seconds,
            f"{length} bytes at the service",
        )

    def close(self):
        """Listener and connections, as when the service's process ends."""
        self.closing.set()
        self.listener.close()
        for link in self.links:
            shut(link.sock)


class User:
    """One connection to a remote port."""

    def __init__(
        self,
        port,
        command=None,
        timeout=TIMEOUT,
        host="127.0.0.1",
        small_buffer=False,
        source=None,  # the user's own address
    ):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if source is not None:
            self.sock.bind((source, 0))
        if small_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if command is not None:
            self.send(command.encode() + b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    @property
    def address(self):
        return "%s:%d" % self.sock.getsockname()

    def send(self, data):
        self.sock.sendall(data)

    def send_all(self, chunks):
        for chunk in chunks:
            self.sock.sendall(chunk)

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        close_with_reset(self.sock)

    def chunks(self, length=None):
        left = length
        while left is None or left > 0:
            data = self.sock.recv(STEP if left is None else min(STEP, left))
            if not data:
                if left is not None:
                    raise Failure(f"the connection ended with {left} bytes missing")
                return
            yield data
            if left is not None:
                left -= len(data)

    def read(self, length):
        return b"".join(self.chunks(length))

    def read_line(self):
        text = b""
        while not text.endswith(b"\n"):
            text += self.read(1)
        return text.decode()

    def read_rest(self):
        return b"".join(self.chunks())

    def ending(self):
        """How the connection ends when nothing more is expected: "eof" or "reset"."""
        try:
            rest = self.read_rest()
        except ConnectionResetError:
            return "reset"
        if rest:
            raise Failure(f"{len(rest)} bytes more than expected")
        return "eof"

    def quiet(self, seconds):
        """True: alive, and nothing came in that time."""
        readable, _, _ = select.select([self.sock], [], [], seconds)
        return not readable


def turned_away(port, timeout):
    """True when a user who says nothing is closed in that time, with a FIN or a reset; that may
    come before connect() has returned."""
    try:
        with User(port, timeout=timeout) as user:
            return user.ending() in ("eof", "reset")
    except ConnectionResetError:
        return True


def echo_works(port, text=b"are you there?", timeout=5, banner=b""):
    with User(port, timeout=timeout) as user:
        if banner and user.read(len(banner)) != banner:
            raise Failure("the banner differs")
        user.send(b"echo\n" + text)
        return user.read(len(text)) == text


def download(port, length, timeout=TIMEOUT):
    """Fetches `length` bytes and the end of stream; True when every byte is right."""
    with User(port, f"get {length}", timeout=timeout) as user:
        return digest(user.chunks()) == digest(pattern(length))


def upload(port, length, timeout=TIMEOUT):
    with User(port, f"put {length}", timeout=timeout) as user:
        user.send_all(pattern(length, seed=1))
        return user.read_line().strip() == digest(pattern(length, seed=1))


def both_ways(port, length, timeout=TIMEOUT):
    with User(port, f"both {length}", timeout=timeout) as user:
        sender = threading.Thread(target=user.send_all, args=(pattern(length, seed=1),))
        sender.start()
        right = digest(user.chunks(length)) == digest(pattern(length, seed=2))
        sender.join()
        return right and user.read_line().strip() == digest(pattern(length, seed=1))
