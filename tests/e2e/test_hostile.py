"""What strangers and broken clients may send to an mlgate server. It ends their connection, says so,
and its good client and that one's users notice nothing."""

import random
import resource
import socket
import struct
import threading
import time

import pytest
from harness import Failure, eventually
from lab import TOKEN, holds_less_than, within
from rawfrp import ACK, DATA, FIN, GO_AWAY, PING, RST, SYN, WINDOW, PeerClosed, RawClient, encode
from services import User, echo_works

GARBAGE = random.Random(5).randbytes(4000)


class Place:
    """A server for both plain and TLS, with a good client and its service."""

    def __init__(self, lab):
        self.lab = lab
        self.service = lab.service()
        self.proxy = lab.proxy("good", self.service)
        self.server = lab.flag_server("--allow-plain")
        self.client = lab.client(self.server, [self.proxy])
        self.pid = self.server.process.pid

    def is_well(self):
        process = self.server.process
        return (
            process.running()
            and process.pid == self.pid
            and self.client.process.running()
            and not self.client.process.find("session lost")
            and echo_works(self.proxy.port)
        )


@pytest.fixture(scope="module")
def place(shared_lab):
    return Place(shared_lab)


@pytest.fixture(autouse=True)
def unharmed(request):
    yield
    if "place" in request.fixturenames:
        assert request.getfixturevalue("place").is_well()


def ended(sock, seconds):
    """True when the server ends the connection in that time, whatever it said before."""
    sock.settimeout(seconds)
    try:
        while sock.recv(65536):
            pass
        return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def ends_it(peer, act):
    """True when the server ends the whole connection after (or during) act(peer)."""
    try:
        act(peer)
    except PeerClosed:
        return True
    return peer.wait_closed(within(3))


# ---- before anything is proven -------------------------------------------------------------------

OPENINGS = {
    "http": b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
    "http-post": b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "websocket-of-frp": b"GET /~!frp HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "frp-without-mux": encode("Login", {"version": "0.70.1"}),
    "garbage": b"\xff" + GARBAGE,
    "mux-wrong-version": bytes.fromhex("000200010000000000000000") + b"\x01" + b"\0" * 11,
    "mux-wrong-type": bytes.fromhex("000900000000000000000000"),
    "mux-data-of-4-GiB": bytes.fromhex("0001000100000001005c00000000000000000001ffffffff"),
    "tls-garbage": b"\x16\x03\x01\x02\x00" + GARBAGE,
    "tls-of-64-KiB": b"\x16\x03\x01\xff\xff" + GARBAGE,
    "tls-then-http": b"\x16GET / HTTP/1.1\r\n\r\n",
    "frp-byte-then-http": b"\x17GET / HTTP/1.1\r\n\r\n",
    "frp-byte-twice": b"\x17\x17" + GARBAGE,
    "ssl2": bytes.fromhex("802e0100020015000000100100800200") + b"\0" * 16,
}


@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS.keys())
def test_opening(place, opening):
    with socket.create_connection(("127.0.0.1", place.server.port)) as sock:
        sock.sendall(opening)
        assert ended(sock, within(2))


def test_port_scanner(place):
    """Connections that end before they have said anything, with a FIN or a reset."""
    for number in range(100):
        user = User(place.server.port)
        if number % 2:
            user.reset()
        else:
            user.sock.close()


def test_plain_where_tls_is_demanded(lab):
    server = lab.flag_server()
    for opening in (OPENINGS["http"], OPENINGS["mux-wrong-version"]):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(opening)
            assert ended(sock, within(2))
    server.process.wait_line(r"refused: .*HTTP.*tls-required")
    server.process.wait_line(r"refused: .*without TLS.*tls-required")


# ---- with a mux, before the login ----------------------------------------------------------------


def first(data):
    """A first stream with these bytes as its beginning."""
    return lambda peer: peer.write(peer.open(), data)


def login_body(size):
    return b'{"version":"' + b"x" * (size - 14) + b'"}'


def syn_twice(peer):
    stream = peer.open()
    peer.frame(WINDOW, SYN, stream, 0)


def beyond_the_window(peer):
    stream = peer.open()
    peer.frame(DATA, 0, stream, 262145, b"x" * 262145)


def fin_twice(peer):
    """In one write: apart, the stream may be closed on both sides, and forgotten, before the second."""
    stream = peer.open()
    peer.send_raw(struct.pack(">BBHII", 0, WINDOW, FIN, stream, 0) * 2)


BEFORE_LOGIN = {
    "length-2^62": first(b"o\x40" + b"\0" * 7),
    "length-2^63-1": first(b"o\x7f" + b"\xff" * 7),
    "length-negative": first(b"o" + b"\xff" * 8),
    "length-10241": first(encode("Login", login_body(10241))),
    "length-0": first(encode("Login", b"")),
    "unknown-type": first(encode("Z", b"{}")),
    "no-json": first(encode("Login", b"hello there")),
    "json-cut": first(encode("Login", b'{"version":"0.70.1"')),
    "json-deep": first(encode("Login", b"[" * 10000)),
    "json-null": first(encode("Login", b"null")),
    "json-wrong-kind": first(encode("Login", b'{"pool_count":"five"}')),
    "number-too-long": first(encode("Login", b'{"timestamp":99999999999999999999999999}')),
    "ping-first": first(encode("Ping", b"{}")),
    "new-proxy-first": first(encode("NewProxy", b'{"proxy_name":"x"}')),
    "wire-v2": first(bytes.fromhex("46525000020d0a")),
    "login-without-key": first(encode("Login", b"{}")),
    "syn-twice": syn_twice,
    "beyond-the-window": beyond_the_window,
    "go-away-1": lambda peer: peer.frame(GO_AWAY, 0, 0, 1),
    "version-1": lambda peer: peer.send_raw(b"\x01" + b"\0" * 11),
}


@pytest.mark.parametrize("tls", [True, "first-byte", False], ids=["tls", "tls-0x17", "plain"])
@pytest.mark.parametrize("act", BEFORE_LOGIN.values(), ids=BEFORE_LOGIN.keys())
def test_before_login(place, act, tls):
    assert ends_it(RawClient(place.server.port, tls), act)


def test_streams_without_a_login(place):
    """More streams than a login needs are refused, and cost nobody anything."""
    peer = RawClient(place.server.port)
    streams = [peer.open() for _ in range(200)]
    peer.pump_until(lambda: len(peer.ended) >= 190, within(3), "refusals")
    assert streams[0] not in peer.ended
    peer.close()


def test_logins_of_the_shapes_that_are_allowed(place):
    """Unknown keys, any order, escapes, 10240 bytes, and answers in the same segment."""
    for more in ({"unknown": [1, {"a": None}]}, {"hostname": "h<&>\u2028\u00e9\U0001f600"},
                 {"metas": {"a": "b"}, "pool_count": -50}, {"pool_count": 10**6},
                 {"hostname": "x" * 9800}):  # fmt: skip
        peer = RawClient(place.server.port)
        assert "error" not in peer.login(TOKEN, **more)
        peer.close()


@pytest.mark.parametrize("skew", [-1200, 1200, -(2**62), 2**62, -600, 600])
def test_clock(place, skew):
    """A login twenty minutes off is refused with the skew in seconds; ten minutes are honest."""
    peer = RawClient(place.server.port)
    error = peer.login(TOKEN, timestamp=int(time.time()) + skew).get("error", "")
    if abs(skew) < 900:
        assert error == ""
        peer.close()
        return
    assert "clock" in error
    if abs(skew) == 1200:
        assert any(str(1200 + off) in error for off in (-1, 0, 1)), error
    assert peer.wait_closed(within(3))


def test_clock_unchecked(lab):
    server = lab.flag_server("--login-max-skew", "0")
    assert "error" not in RawClient(server.port).login(TOKEN, timestamp=12345)


def test_wrong_token_costs_only_its_own(place):
    """Dozens of failures from this address, and the next good login is not delayed."""
    for _ in range(60):
        peer = RawClient(place.server.port)
        assert "token" in peer.login("wrong")["error"]
        peer.close()
    began = time.monotonic()
    peer = RawClient(place.server.port)
    assert "error" not in peer.login(TOKEN)
    assert time.monotonic() - began < within(0.5)
    peer.close()


def test_refusal_is_not_cut_off(place):
    """frps closes the refused stream and leaves the connection to the client. Go's yamux may lose
    an answer whose connection ends right behind it, and frpc would not say why it was refused."""
    peer = RawClient(place.server.port)
    assert "token" in peer.login("wrong")["error"]
    with pytest.raises(Failure, match="not within"):
        peer.wait_closed(0.2)
    peer.close()


# ---- openings that take their time ---------------------------------------------------------------

HALF_OPEN = 2000
LIMIT = 10  # seconds from accept to login


def slow_openings(port):
    """Every stage at which a client may fall silent, one connection each."""
    socks = []
    for head in (b"", b"\x16", b"\x17", b"\x16\x03\x01\x02\x00\x01\x00", b"\x00\x01"):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(head)
        socks.append(sock)
    for data in (None, b"", b"o", b"o\0\0\0\0\0\0\0\x20{"):
        peer = RawClient(port)
        if data is not None:
            peer.write(peer.open(), data)
        socks.append(peer.sock)
    return socks


@pytest.mark.slow_once
def test_slow_and_half_open(lab):
    """Two thousand silent connections: a good client logs in at once among them, the users of the
    other are served, and after ten seconds the silent ones are gone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < HALF_OPEN + 500:
        pytest.skip(f"skipped (only {hard} descriptors)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    place = Place(lab)  # of its own: a source that has failed before is given less room
    before = place.server.process.descriptors()
    began = time.monotonic()
    slow = slow_openings(place.server.port)
    silent = [socket.create_connection(("127.0.0.1", place.server.port)) for _ in range(HALF_OPEN)]
    try:
        login = time.monotonic()
        peer = RawClient(place.server.port)
        assert "error" not in peer.login(TOKEN)
        assert time.monotonic() - login < within(1)
        peer.close()
        assert echo_works(place.proxy.port)
        for sock in slow:
            assert ended(sock, LIMIT + within(2) - (time.monotonic() - began))
        assert time.monotonic() - began > LIMIT - 2
        eventually(
            lambda: place.server.process.descriptors() <= before + 5, within(5), "the silent ones"
        )
    finally:
        for sock in silent + slow:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"], ids=["elsewhere", "same-address"])
def test_good_logins_during_a_flood(lab, source):
    """Strangers open connections as fast as they can, each one a failure; good clients log in."""
    place = Place(lab)
    stop = threading.Event()
    floods = [threading.Thread(target=flood, args=(place, source, stop)) for _ in range(2)]
    for thread in floods:
        thread.start()
    try:
        place.server.process.wait_line("refused: ")
        for number in range(3):
            client = lab.client(place.server, [lab.proxy(f"p{number}", place.service)], wait=False)
            client.wait_ready(within(2))
            assert echo_works(client.proxies[0].port)
    finally:
        stop.set()
        for thread in floods:
            thread.join()


def flood(place, source, stop):
    held = []
    while not stop.is_set():
        sock = socket.socket()
        sock.bind((source, 0))
        try:
            sock.connect(("127.0.0.1", place.server.port))
            sock.sendall((b"GET / HTTP/1.1\r\n\r\n", b"\x16")[len(held) % 2])
        except OSError:
            pass
        held.append(sock)
        if len(held) > 100:
            held.pop(0).close()
    for sock in held:
        sock.close()


# ---- with a login --------------------------------------------------------------------------------


def garbage_control(peer):
    peer.write(peer.control, GARBAGE[:200])


def control(name, body):
    return lambda peer: peer.send(peer.control, name, body)


AFTER_LOGIN_FATAL = {
    "garbage": garbage_control,
    "unknown-type": control("Z", b"{}"),
    "not-json": control("NewProxy", b"{"),
    "length-10241": control("NewProxy", b" " * 10241),
    "port-is-text": control("NewProxy", {"proxy_name": "x", "remote_port": "22"}),
    "control-ended": lambda peer: peer.finish(peer.control),
    "control-reset": lambda peer: peer.frame(WINDOW, RST, peer.control, 0),
    "fin-twice": fin_twice,
    "go-away-2": lambda peer: peer.frame(GO_AWAY, 0, 0, 2),
}


@pytest.mark.parametrize("act", AFTER_LOGIN_FATAL.values(), ids=AFTER_LOGIN_FATAL.keys())
def test_after_login_fatal(place, act):
    """The session ends, and its ports come free."""
    peer = RawClient(place.server.port)
    port = place.lab.ports.take()
    peer.login(TOKEN)
    assert "error" not in peer.new_proxy("raw", port)
    assert ends_it(peer, act)
    eventually(lambda: place.lab.ports.is_free(port), within(2), "the port")


def test_window_overrun(place):
    """More on a user's stream than any window allows ends the session, not the memory."""
    peer = RawClient(place.server.port)
    peer.login(TOKEN)
    port = place.lab.ports.take()
    peer.new_proxy("raw", port)
    stream = peer.work_conn()
    with User(port, timeout=within(3)) as user:
        peer.receive(stream, "StartWorkConn")
        data = b"y" * (7 << 20)
        assert ends_it(peer, lambda _: peer.frame(DATA, 0, stream, len(data), data))
        assert ended(user.sock, within(3))


def test_talk_on_an_idle_work_connection(place):
    """Nobody has a user there yet: the stream is reset and the session goes on."""
    peer = RawClient(place.server.port)
    peer.login(TOKEN)
    stream = peer.work_conn()
    peer.send(peer.control, "Ping", {})
    peer.receive(peer.control, "Pong")
    peer.write(stream, b"hello?")
    assert peer.wait_stream_ended(stream, within(3)) == RST
    peer.send(peer.control, "Ping", {})
    assert peer.receive(peer.control, "Pong") == {}
    peer.close()


REFUSED_PROXIES = {
    "port-negative": ({"remote_port": -1}, "port not allowed"),
    "port-65536": ({"remote_port": 65536}, "port not allowed"),
    "port-2^40": ({"remote_port": 2**40}, "port not allowed"),
    "port-22": ({"remote_port": 22}, "port not allowed"),
    "no-name": ({"proxy_name": ""}, "name"),
    "long-name": ({"proxy_name": "n" * 5000}, "name"),
    "udp": ({"proxy_type": "udp"}, "unknown proxy type"),
    "http": ({"proxy_type": "http", "custom_domains": ["example.org"]}, "unknown proxy type"),
    "stcp": ({"proxy_type": "stcp", "sk": "x"}, "unknown proxy type"),
    "xtcp": ({"proxy_type": "xtcp"}, "unknown proxy type"),
    "odd-type": ({"proxy_type": "\x1b[31m\nowned"}, "unknown proxy type"),
    "compression": ({"use_compression": True}, "compression"),
    "group": ({"group": "g", "group_key": "k"}, "group"),
    "taken-name": ({"proxy_name": "good"}, "already exists"),
}


@pytest.mark.parametrize("keys, error", REFUSED_PROXIES.values(), ids=REFUSED_PROXIES.keys())
def test_refused_proxy(place, keys, error):
    """An answer with an error; the session goes on."""
    peer = RawClient(place.server.port)
    peer.login(TOKEN)
    body = {"proxy_name": "raw", "proxy_type": "tcp", "remote_port": place.lab.ports.take(), **keys}
    peer.send(peer.control, "NewProxy", body)
    assert error in peer.receive(peer.control, "NewProxyResp")["error"]
    peer.send(peer.control, "Ping", {})
    assert peer.receive(peer.control, "Pong") == {}
    peer.close()


def test_messages_without_a_meaning_here(place):
    """frps ignores known messages that it does not wait for."""
    peer = RawClient(place.server.port)
    peer.login(TOKEN)
    for name in ("LoginResp", "NewProxyResp", "ReqWorkConn", "StartWorkConn", "Pong", "UDPPacket",
                 "NatHoleVisitor", "Login", "NewWorkConn"):  # fmt: skip
        peer.send(peer.control, name, {})
    peer.send(peer.control, "CloseProxy", {"proxy_name": "never heard of"})
    peer.send(peer.control, "CloseProxy", {"proxy_name": "good"})
    peer.send(peer.control, "Ping", {})
    assert peer.receive(peer.control, "Pong") == {}
    peer.close()


def test_work_connection_for_another_client(place):
    """Whoever knows a run_id must not get its users: work connections count only on the connection
    of the login."""
    run_id = place.client.run_id_file.read_text().strip()
    stranger = RawClient(place.server.port)
    stream = stranger.work_conn(run_id)
    stranger.pump_until(lambda: stranger.streams[stream] or stream in stranger.ended, 5, "refusal")
    known = RawClient(place.server.port)
    known.login(TOKEN)
    stream = known.work_conn(run_id)
    assert "no client control found" in known.receive(stream, "StartWorkConn")["error"]
    for _ in range(30):
        assert echo_works(place.proxy.port)
    stranger.close()
    known.close()


def test_rapid_reset(place):
    """Streams that are opened and reset at once, twenty thousand of them."""
    peer = RawClient(place.server.port, timeout=30)
    peer.login(TOKEN)
    batch = b""
    for _ in range(20000):
        stream = peer.next_id
        peer.next_id += 2
        batch += bytes.fromhex("00010001%08x00000000" % stream)
        batch += bytes.fromhex("00010008%08x00000000" % stream)
    peer.send_raw(batch)
    peer.send(peer.control, "Ping", {})
    assert peer.receive(peer.control, "Pong", seconds=within(10)) == {}
    peer.close()


def test_ping_flood(place):
    """Answers are bounded, and the session lives or ends, but nothing piles up."""
    peer = RawClient(place.server.port, timeout=30)
    peer.login(TOKEN)
    peer.send_raw(bytes.fromhex("000200010000000000000007") * 200000)
    peer.frame(PING, ACK, 0, 99)
    peer.close()
    assert place.is_well()
    assert holds_less_than(place.server.process, 60)


def test_no_control_characters_in_the_log(place):
    """What a client calls itself cannot write lines or colours into the operator's log."""
    marker = "\n2026-01-01 00:00:00.000 [I] [frps] forged\x1b[31m"
    for keys in ({"hostname": marker}, {"user": marker}, {"version": marker},
                 {"run_id": "\n\x1b[3"}, {"metas": {"mlgate": marker}}):  # fmt: skip
        peer = RawClient(place.server.port)
        answer = peer.login(TOKEN, **keys)
        if not answer.get("error"):
            peer.new_proxy(f"name{marker}", place.lab.ports.take())
        peer.close()
    peer = RawClient(place.server.port)
    peer.login("wrong", hostname=marker)
    peer.close()
    assert place.is_well()
    for line in place.server.process.lines:
        assert line[:2] == "20" and "\x1b" not in line, repr(line)
        assert "forged" not in line or line.index("forged") > 50, repr(line)


def test_half_message_then_end(place):
    """Ends in the middle of every part of the conversation."""
    login = encode("Login", b'{"version":"0.70.1"}')
    for cut in (1, 5, 9, 15, len(login) - 1):
        peer = RawClient(place.server.port)
        stream = peer.open()
        peer.write(stream, login[:cut])
        if cut % 2:
            peer.finish(stream)
            assert peer.wait_stream_ended(stream, within(3)) in (FIN, RST)
        peer.close()
