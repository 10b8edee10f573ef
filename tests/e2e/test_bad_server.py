"""What an mlgate client may meet where an frp server should be. It says what is wrong in one line,
waits, tries again, and is well as soon as a real server is there."""

import re

import pytest
from accepting import full_queue
from harness import eventually
from lab import TOKEN, holds_less_than, wait_echo, within
from rawfrp import RawServer, answer_login, encode
from services import User, echo_works

MARKER = "\n2026-01-01 00:00:00.000 [I] [frpc] forged\x1b[31m"


class Address:
    def __init__(self, port):
        self.port = port


def run_client(lab, port, proxies=(), **common):
    keys = {"dial_server_timeout": 2, **common}
    return lab.client(Address(port), list(proxies), wait=False, **keys)


def failure_line(client, seconds, after=0):
    """What the client says when an attempt has failed."""
    line = r"\[W\] \[frpc\] server \S+:\d+: (.*); next try in [\d.]+ s$"
    return client.process.wait_line(line, seconds, after)[1]


# ---- addresses -----------------------------------------------------------------------------------


def test_name_without_an_address(lab):
    client = run_client(lab, 7000, server_addr="nowhere.invalid")
    said = failure_line(client, within(5))
    assert re.search("resolve-failed.*DNS", said), said


def test_nobody_listens(lab):
    client = run_client(lab, lab.ports.take())
    said = failure_line(client, within(2))
    assert "connect-refused" in said and "nothing listens there" in said, said


def test_connection_is_not_accepted(lab):
    """A full queue, as a firewall that drops: the dial's own limit counts."""
    port = lab.ports.take()
    with full_queue(port):
        client = run_client(lab, port)
        said = failure_line(client, within(4))
        assert "connect-timeout" in said and "firewall" in said, said


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_addresses_of_the_server(lab, host):
    """A name with several addresses, of which one may refuse; IPv6 as frp writes it."""
    proxy = lab.proxy("web", lab.service())
    server = lab.server(bind_addr="::1" if host == "::1" else "127.0.0.1")
    lab.client(server, [proxy], server_addr=host)
    assert echo_works(proxy.port)


# ---- programs that are no frp server -------------------------------------------------------------


def says(data):
    def talk(sock):
        sock.recv(65536)
        sock.sendall(data)

    return talk


def is_silent(sock):
    while sock.recv(65536):
        pass


STRANGERS = {
    "closes": (lambda sock: None, "TLS"),
    "closes-later": (lambda sock: sock.recv(1), "TLS"),
    "http": (says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "TLS"),
    "ssh": (says(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "TLS"),
    "plain-frps": (says(bytes.fromhex("0001000200000001005c0000")), "TLS"),
    "garbage": (says(bytes(range(256)) * 20), "TLS"),
    "alert": (says(bytes.fromhex("15030300020228")), "TLS|handshake"),
    "silent": (is_silent, "timeout|TLS"),
}


@pytest.mark.parametrize("talk, expected", STRANGERS.values(), ids=STRANGERS.keys())
def test_server_without_tls(lab, talk, expected):
    stranger = RawServer(lab.ports.take(), talk)
    lab.closers.append(stranger.close)
    client = run_client(lab, stranger.port)
    said = failure_line(client, within(5))
    assert re.search(expected, said), said
    failure_line(client, within(5), client.process.mark())


def test_stranger_gives_way_to_a_server(lab):
    stranger = RawServer(lab.ports.take(), says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    proxy = lab.proxy("web", lab.service())
    client = run_client(lab, stranger.port, [proxy])
    failure_line(client, within(5))
    stranger.close()
    lab.server(bind_port=stranger.port)
    wait_echo(proxy.port, within(5))


# ---- frp servers that misbehave ------------------------------------------------------------------


def answers(data):
    """These bytes in place of the LoginResp."""

    def talk(peer):
        peer.pump_until(lambda: peer.opened, 10, "a stream")
        peer.receive(peer.opened[0], "Login")
        peer.write(peer.opened[0], data)
        peer.pump_until(lambda: False, 20, "the client's reaction")

    return talk


def after_login(act):
    def talk(peer):
        control = answer_login(peer, TOKEN)
        act(peer, control)
        peer.pump_until(lambda: False, 20, "the client's reaction")

    return talk


def sends(data):
    """These bytes of a mux at once."""

    def talk(peer):
        peer.send_raw(data)
        peer.pump_until(lambda: False, 20, "the client's reaction")

    return talk


def hangs_up_at_login(peer):
    peer.pump_until(lambda: peer.opened, 10, "a stream")
    peer.receive(peer.opened[0], "Login")


REFUSAL = encode("LoginResp", {"error": f"no{MARKER} entry"})
LONG_REFUSAL = encode("LoginResp", {"error": "e" * 10000})

MISBEHAVIOUR = {
    "hangs-up": (hangs_up_at_login, "login"),
    "mux-version": (sends(b"HTTP/1.1 400"), "mux|version"),
    "mux-type": (sends(b"\0\x07" + b"\0" * 10), "mux"),
    "go-away": (sends(bytes.fromhex("000300000000000000000002")), "go-away"),
    "refusal": (answers(REFUSAL), r"refused the login: no\\x0a2026"),
    "long-refusal": (answers(LONG_REFUSAL), "refused the login: eeee"),
    "length-2^62": (answers(b"1\x40" + b"\0" * 7), "not an frp message"),
    "length-negative": (answers(b"1" + b"\xff" * 8), "not an frp message"),
    "length-10241": (answers(encode("LoginResp", b" " * 10241)), "not an frp message"),
    "not-json": (answers(encode("LoginResp", b"welcome")), "not an frp message"),
    "other-message": (answers(encode("Pong", {})), "login"),
    "null": (answers(encode("LoginResp", b"null")), "login"),
    "long-run-id": (answers(encode("LoginResp", {"run_id": "a" * 5000})), "run_id"),
    "garbage-control": (after_login(lambda peer, control: peer.write(control, b"?" * 99)), "token"),
    "other-token": (lambda peer: peer.send(answer_login(peer, "x"), "Pong", {}), "token"),
    "ends-control": (after_login(lambda peer, control: peer.finish(control)), "closed"),
    "resets-control": (after_login(lambda peer, control: peer.frame(1, 8, control, 0)), "reset"),
    "pong-error": (after_login(lambda peer, control: peer.send(control, "Pong",
                   {"error": f"bad{MARKER}"})), r"refused a heartbeat: bad\\x0a2026"),
}  # fmt: skip


@pytest.mark.parametrize("talk, expected", MISBEHAVIOUR.values(), ids=MISBEHAVIOUR.keys())
def test_misbehaving_server(lab, certificates, talk, expected):
    """Named in one clean line; the client lives, waits and tries again."""
    server = RawServer(lab.ports.take(), talk, certificates.server)
    lab.closers.append(server.close)
    client = run_client(lab, server.port)
    said = failure_line(client, within(5))
    assert re.search(expected, said), said
    eventually(lambda: server.connections >= 2, within(5), "another try")
    assert client.process.running()
    for line in client.process.lines:
        assert line.startswith("20") and "\x1b" not in line and len(line) < 2100, repr(line)


@pytest.mark.full
def test_login_is_never_answered(lab, certificates):
    def talk(peer):
        peer.pump_until(lambda: False, 30, "an end")

    server = RawServer(lab.ports.take(), talk, certificates.server)
    lab.closers.append(server.close)
    client = run_client(lab, server.port)
    assert "does not answer the login" in failure_line(client, 12 + within(2))


# ---- things a server may do that a client must bear ----------------------------------------------


def bears(lab, certificates, act, proxies=()):
    """A client whose server does `act` after the login; it must keep the session."""
    done = []

    def talk(peer):
        control = answer_login(peer, TOKEN)
        act(peer, control)
        peer.send(control, "Pong", {})
        done.append(peer)
        peer.pump_until(lambda: False, 20, "the test's end")

    server = RawServer(lab.ports.take(), talk, certificates.server)
    lab.closers.append(server.close)
    client = run_client(lab, server.port, proxies)
    client.wait_login()
    eventually(lambda: done, within(10), "the server's part")
    assert server.connections == 1
    return client


def test_flood_of_requests_for_work_connections(lab, certificates):
    """More than anybody needs: bounded, and the session goes on."""

    def act(peer, control):
        for _ in range(5000):
            peer.send(control, "ReqWorkConn", {})
        peer.pump_until(lambda: len(peer.opened) > 200, within(8), "work connections")

    client = bears(lab, certificates, act)
    assert holds_less_than(client.process, 40)


def test_answers_nobody_waits_for(lab, certificates):
    def act(peer, control):
        for name in ("NewProxyResp", "StartWorkConn", "Pong", "NatHoleVisitor", "Login"):
            peer.send(control, name, {"proxy_name": f"unknown{MARKER}"})
        peer.send(control, "NewProxyResp", {"proxy_name": "web", "error": f"no{MARKER}"})

    proxy = lab.proxy("web", lab.service())
    client = bears(lab, certificates, act, [proxy])
    assert r"no\x0a2026" in client.wait_refused("web").string


def test_user_of_a_proxy_that_is_not_ours(lab, certificates):
    """StartWorkConn with an unknown name, an error, hostile addresses, or after garbage."""
    starts = [
        {"proxy_name": "not ours"},
        {"error": f"refused{MARKER}"},
        {"proxy_name": "web", "src_addr": MARKER, "src_port": 65535},
        {},
    ]

    def act(peer, control):
        for start in starts:
            seen = len(peer.opened)
            peer.send(control, "ReqWorkConn", {})
            peer.pump_until(lambda: len(peer.opened) > seen, 5, "a work connection")  # noqa: B023
            stream = peer.opened[-1]
            peer.receive(stream, "NewWorkConn")
            peer.send(stream, "StartWorkConn", start)
            if start.get("proxy_name") != "web":
                peer.wait_stream_ended(stream)

    client = bears(lab, certificates, act, [lab.proxy("web", lab.service())])
    for line in client.process.lines:
        assert line.startswith("20") and "\x1b" not in line, repr(line)


def test_client_stopped_with_a_user(lab, server_kind):
    """A user who is connected when the client is stopped gets an end; the client exits with 0."""
    proxy = lab.proxy("web", lab.service())
    client = lab.client(lab.server(server_kind), [proxy])
    with User(proxy.port, "echo", timeout=within(5)) as user:
        user.send(b"x")
        assert user.read(1) == b"x"
        assert client.process.stop(within(2)) == 0
        assert user.ending() in ("eof", "reset")
