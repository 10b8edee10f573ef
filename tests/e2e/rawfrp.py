"""A small frp peer that can be told to misbehave: TLS, yamux, messages, the control cipher.

Standard library only and one thread: every wait reads frames until something is there. It answers
pings and returns no credit unless asked, so it is for conversations, not for traffic.
"""

import hashlib
import json
import os
import socket
import ssl
import struct
import time

from accepting import Accepting
from harness import Failure

DATA, WINDOW, PING, GO_AWAY = 0, 1, 2, 3
SYN, ACK, FIN, RST = 1, 2, 4, 8
DELTA = 0x5C0000  # what frp adds to the initial window of 256 KiB
INITIAL_WINDOW = 262144

TYPES = {
    "Login": "o", "LoginResp": "1", "NewProxy": "p", "NewProxyResp": "2", "CloseProxy": "c",
    "NewWorkConn": "w", "ReqWorkConn": "r", "StartWorkConn": "s", "NewVisitorConn": "v",
    "Ping": "h", "Pong": "4", "UDPPacket": "u", "NatHoleVisitor": "i",
}  # fmt: skip
NAMES = {letter: name for name, letter in TYPES.items()}


class PeerClosed(Failure):
    """The other end closed or reset the connection."""


# ---- AES-128 in CFB, enough for control messages ------------------------------------------------


def _make_sbox():
    def times(a, b):
        product = 0
        while b:
            if b & 1:
                product ^= a
            a = (a << 1) ^ (0x11B if a & 0x80 else 0)
            b >>= 1
        return product

    box = []
    for value in range(256):
        inverse = next((i for i in range(256) if times(value, i) == 1), 0)
        turned = inverse
        for shift in range(1, 5):
            turned ^= ((inverse << shift) | (inverse >> (8 - shift))) & 0xFF
        box.append(turned ^ 0x63)
    return box


SBOX = _make_sbox()


def _double(value):
    return ((value << 1) ^ 0x1B) & 0xFF if value & 0x80 else value << 1


def _expand(key):
    words = [list(key[i : i + 4]) for i in range(0, 16, 4)]
    factor = 1
    for i in range(4, 44):
        word = list(words[i - 1])
        if i % 4 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= factor
            factor = _double(factor)
        words.append([a ^ b for a, b in zip(words[i - 4], word)])
    return [sum(words[i : i + 4], []) for i in range(0, 44, 4)]


def _mix(column):
    every = column[0] ^ column[1] ^ column[2] ^ column[3]
    return [column[i] ^ every ^ _double(column[i] ^ column[(i + 1) % 4]) for i in range(4)]


def aes_block(round_keys, block):
    state = [a ^ b for a, b in zip(block, round_keys[0])]
    for number in range(1, 11):
        state = [SBOX[b] for b in state]
        state = [state[(i + 4 * (i % 4)) % 16] for i in range(16)]
        if number < 10:
            state = sum((_mix(state[i : i + 4]) for i in range(0, 16, 4)), [])
        state = [a ^ b for a, b in zip(state, round_keys[number])]
    return bytes(state)


class Cfb:
    """One direction of the control stream. The IV travels in clear before the first byte."""

    def __init__(self, token):
        key = hashlib.pbkdf2_hmac("sha1", token.encode(), b"frp", 64, 16)
        self.keys = _expand(key)
        self.iv = b""
        self.secret = b""  # ciphertext since the last keystream block
        self.stream = b""

    def _key_byte(self):
        if not self.stream:
            self.stream = aes_block(self.keys, self.secret or self.iv)
            self.secret = b""
        byte, self.stream = self.stream[0], self.stream[1:]
        return byte

    def encrypt(self, data):
        head = b""
        if not self.iv:
            head = self.iv = os.urandom(16)
        out = bytearray()
        for byte in data:
            out.append(byte ^ self._key_byte())
            self.secret += out[-1:]
        return head + bytes(out)

    def decrypt(self, data):
        need = 16 - len(self.iv)
        self.iv += data[:need]
        out = bytearray()
        for byte in data[need:]:
            out.append(byte ^ self._key_byte())
            self.secret += bytes([byte])
        return bytes(out)


# ---- messages -----------------------------------------------------------------------------------


def encode(name, body):
    """name: a message's name, or one raw type letter. body: a dict, or raw bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    return TYPES.get(name, name).encode() + struct.pack(">q", len(raw)) + raw


def privilege_key(token, timestamp):
    return hashlib.md5(f"{token}{timestamp}".encode()).hexdigest()


# ---- the mux and the connection -----------------------------------------------------------------


class RawPeer:
    """A yamux end over an open socket. `first_id`: 1 for clients, 2 for servers."""

    def __init__(self, sock, first_id=1, timeout=10):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.timeout = timeout
        self.next_id = first_id
        self.pending = b""
        self.streams = {}  # id -> bytes received and not taken
        self.ended = {}  # id -> FIN or RST
        self.credit = {}  # id -> bytes the peer granted
        self.opened = []  # ids the peer opened
        self.gone_away = None
        self.ciphers = {}  # id -> (reader, writer)
        self.clear = {}  # id -> bytes decrypted and not taken
        self.pings = 0

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise PeerClosed(f"sending: {error}") from error

    def frame(self, kind, flags, stream, length, payload=b""):
        self.send_raw(struct.pack(">BBHII", 0, kind, flags, stream, length) + payload)

    def open(self, delta=DELTA):
        stream = self.next_id
        self.next_id += 2
        self.streams[stream] = b""
        self.frame(WINDOW, SYN, stream, delta)
        return stream

    def write(self, stream, data):
        self.frame(DATA, 0, stream, len(data), data)

    def finish(self, stream):
        self.frame(WINDOW, FIN, stream, 0)

    def _fill(self, size):
        while len(self.pending) < size:
            try:
                data = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise PeerClosed(f"reading: {error}") from error
            if not data:
                raise PeerClosed("reading: end of stream")
            self.pending += data

    def _take(self, size):
        self._fill(size)
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken

    def pump(self):
        """Reads one frame and does what must be done about it."""
        version, kind, flags, stream, length = struct.unpack(">BBHII", self._take(12))
        if version != 0:
            raise Failure(f"yamux version {version}")
        if kind == PING:
            if flags & SYN:
                self.pings += 1
                self.frame(PING, ACK, 0, length)
        elif kind == GO_AWAY:
            self.gone_away = length
        else:
            self._stream_frame(kind, flags, stream, length)

    def _stream_frame(self, kind, flags, stream, length):
        if flags & SYN:
            self.opened.append(stream)
            self.streams[stream] = b""
            self.frame(WINDOW, ACK, stream, DELTA)
        if kind == WINDOW:
            self.credit[stream] = self.credit.get(stream, 0) + length
        else:
            self.streams[stream] = self.streams.get(stream, b"") + self._take(length)
        if flags & (FIN | RST):
            self.ended[stream] = flags & (FIN | RST)

    def pump_until(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"{what}: not within {seconds:g} s")
            self.sock.settimeout(left)
            try:
                self.pump()
            except TimeoutError as error:
                raise Failure(f"{what}: not within {seconds:g} s") from error
            finally:
                self.sock.settimeout(self.timeout)

    def wait_closed(self, seconds):
        """Until the peer ends the whole connection."""
        try:
            self.pump_until(lambda: False, seconds, "the end of the connection")
        except PeerClosed:
            return True

    def wait_stream_ended(self, stream, seconds=10):
        self.pump_until(lambda: stream in self.ended, seconds, f"the end of stream {stream}")
        return self.ended[stream]

    # messages

    def encrypt_from_here(self, stream, token):
        """What is not taken yet is ciphertext already."""
        self.ciphers[stream] = (Cfb(token), Cfb(token))
        self.clear[stream] = b""

    def send(self, stream, name, body):
        data = encode(name, body)
        if stream in self.ciphers:
            data = self.ciphers[stream][1].encrypt(data)
        self.write(stream, data)

    def _message(self, stream):
        held = self.streams
        if stream in self.ciphers:
            held = self.clear
            held[stream] += self.ciphers[stream][0].decrypt(self.streams[stream])
            self.streams[stream] = b""
        data = held[stream]
        if len(data) < 9:
            return None
        length = struct.unpack(">q", data[1:9])[0]
        if len(data) < 9 + length:
            return None
        held[stream] = data[9 + length :]
        return NAMES.get(chr(data[0]), chr(data[0])), json.loads(data[9 : 9 + length])

    def receive(self, stream, name=None, seconds=10):
        """The next message of that name (others are skipped) as a dict."""
        deadline = time.monotonic() + seconds
        while True:
            message = self._message(stream)
            if message and (name is None or message[0] == name):
                return message[1]
            if message:
                continue
            if stream in self.ended:
                raise PeerClosed(f"stream {stream} ended before {name}")
            size = len(self.streams[stream])
            self.pump_until(
                lambda: len(self.streams[stream]) > size or stream in self.ended,
                max(0.001, deadline - time.monotonic()),
                f"message {name}",
            )


def client_tls(sock, first_byte=False, certificate=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate.cert, certificate.key)
    if first_byte:
        sock.sendall(b"\x17")
    return context.wrap_socket(sock)


class RawClient(RawPeer):
    """A client of an frp server. `tls`: True, False, or "first-byte"."""

    def __init__(self, port, tls=True, timeout=10, certificate=None):
        sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            sock = client_tls(sock, tls == "first-byte", certificate)
        super().__init__(sock, first_id=1, timeout=timeout)
        self.control = None
        self.run_id = None

    def login(self, token, run_id="", timestamp=None, **more):
        """The server's LoginResp; on success the control stream is encrypted from here on."""
        now = int(time.time()) if timestamp is None else timestamp
        body = {
            "version": "0.70.1", "hostname": "raw", "os": "linux", "arch": "amd64",
            "privilege_key": privilege_key(token, now), "timestamp": now, "run_id": run_id,
            "client_spec": {}, "pool_count": 1, **more,
        }  # fmt: skip
        self.control = self.open()
        self.send(self.control, "Login", body)
        answer = self.receive(self.control, "LoginResp")
        if not answer.get("error"):
            self.run_id = answer["run_id"]
            self.encrypt_from_here(self.control, token)
        return answer

    def new_proxy(self, name, remote_port, **more):
        body = {"proxy_name": name, "proxy_type": "tcp", "remote_port": remote_port, **more}
        self.send(self.control, "NewProxy", body)
        return self.receive(self.control, "NewProxyResp")

    def work_conn(self, run_id=None):
        """A work connection: its stream; StartWorkConn comes when a user does."""
        stream = self.open()
        self.send(stream, "NewWorkConn", {"run_id": run_id or self.run_id})
        return stream


class RawServer:
    """Listens like an frp server and runs `talk(peer)` for each connection, in a thread of its own.

    tls: a Certificate (then `talk` gets a RawPeer), or None (then it gets the bare socket)."""

    def __init__(self, port, talk, tls=None):
        self.port = port
        self.talk = talk
        self.context = None
        self.connections = 0
        if tls is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls.cert, tls.key)
        self.listener = Accepting(port, self._serve, self._arrived)

    def _arrived(self, sock, _):
        self.connections += 1
        return sock

    def _serve(self, sock):
        try:
            if self.context is None:
                self.talk(sock)
            else:
                sock = self.context.wrap_socket(sock, server_side=True)
                self.talk(RawPeer(sock, first_id=2))
        except (OSError, Failure):
            pass
        finally:
            sock.close()

    def close(self):
        self.listener.close()


def answer_login(peer, token, run_id="0123456789abcdef"):
    """The server's side of a login that succeeds; the control stream's id."""
    peer.pump_until(lambda: peer.opened, 10, "the control stream")
    control = peer.opened[0]
    peer.receive(control, "Login")
    peer.send(control, "LoginResp", {"version": "0.70.1", "run_id": run_id})
    peer.encrypt_from_here(control, token)
    return control
