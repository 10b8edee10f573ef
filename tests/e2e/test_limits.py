"""Times and budgets that hold by themselves: idle halves, waiting users, heartbeats, memory, and two
clients that fight for one place."""

import shutil
import socket

import pytest
from harness import eventually
from lab import OURS, TOKEN, holds_less_than, within
from rawfrp import RawClient
from services import User, download, echo_works, pattern
from test_traffic import MIB, tunnel


def test_user_without_a_work_connection(lab):
    """The client never brings one: its user is closed after the time that was set."""
    server = lab.flag_server("--user-conn-timeout", "1")
    peer = RawClient(server.port)
    peer.login(TOKEN)
    port = lab.ports.take()
    peer.new_proxy("raw", port)
    with User(port, timeout=within(4)) as user:
        assert user.quiet(0.8)
        assert user.ending() in ("eof", "reset")
    server.process.wait_line(rf"user \S+ of :{port} closed: .*no work connection")


def test_user_leaves_while_waiting(lab):
    """Its place is not given to anybody, and the next one gets the work connection."""
    server = lab.flag_server()
    peer = RawClient(server.port)
    peer.login(TOKEN)
    port = lab.ports.take()
    peer.new_proxy("raw", port)
    for _ in range(20):
        User(port).reset()
    with User(port) as user:
        host, number = user.address.split(":")
        start, stream = {}, None
        while (start.get("src_addr"), start.get("src_port")) != (host, int(number)):
            stream = peer.work_conn()  # those before are for users that are gone
            start = peer.receive(stream, "StartWorkConn")
        peer.write(stream, b"welcome")
        assert user.read(7) == b"welcome"


def test_heartbeat_timeout(lab):
    """A set limit ends a session without frp's heartbeats, and only that one."""
    server = lab.server(heartbeat_timeout=2)
    proxy = lab.proxy("web", lab.service())
    client = lab.client(server, [proxy], heartbeat_interval=1)
    peer = RawClient(server.port)
    peer.login(TOKEN)
    assert peer.wait_closed(within(5))
    server.process.wait_line("heartbeat-timeout")
    assert echo_works(proxy.port) and not client.process.find("session lost")


def test_memory_limit(lab):
    """Readers that have stopped are reset, the largest first, when the budget is spent; the others
    get their bytes."""
    service = lab.service()
    proxy = lab.proxy("web", service)
    server = lab.flag_server("--memory-limit", "16M")
    lab.client(server, [proxy])
    slow = [User(proxy.port, f"get {64 * MIB}", small_buffer=True) for _ in range(100)]
    try:
        service.wait_links(100)
        for _ in range(3):
            assert download(proxy.port, 4 * MIB, timeout=within(20))
        assert holds_less_than(server.process, 100)
        assert echo_works(proxy.port)
    finally:
        for user in slow:
            user.sock.close()


def test_two_holders_of_one_run_id(lab):
    """A copied disk: the two displace each other; the one that notices steps back and says so."""
    service = lab.service()
    proxy = lab.proxy("web", service)
    server = lab.server()
    first = lab.client(server, [proxy])
    second = lab.client(server, [proxy], wait=False, name="second")
    second.process.kill()
    shutil.copy(first.run_id_file, second.run_id_file)
    second.start()

    def stepped_back():
        return any(
            end.process.find(r"\[W\].*(replaced|displaced|same run_id|another).*next try in [3-9]\d")
            for end in (first, second)
        )

    eventually(stepped_back, within(10), "one of the two to step back")
    eventually(lambda: echo_works(proxy.port), within(3), "the other one's service")


@pytest.mark.parametrize("place", ["127.0.0.1", "lo", "127.0.0.0/8", "::1"])
def test_proxy_bind(lab, place):
    """An address, an interface, a network; and nowhere else."""
    proxy = lab.proxy("web", lab.service())
    lab.client(lab.flag_server("--proxy-bind", place), [proxy])
    host = "::1" if ":" in place else "127.0.0.1"
    with socket.create_connection((host, proxy.port), timeout=5) as sock:
        sock.sendall(b"echo\nhello")
        assert sock.recv(5) == b"hello"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", proxy.port), timeout=1)


WIDE = r"\[W\].*the clients' ports are open on 0\.0\.0\.0"


def test_proxy_bind_for_strangers(lab):
    """Said once, in the server's log; a server whose ports are not open to them says nothing."""
    wide = lab.flag_server("--proxy-bind", "0.0.0.0").process  # noqa: S104
    wide.wait_line(WIDE, within(5))
    assert wide.count(WIDE) == 1
    inner = lab.flag_server("--proxy-bind", "127.0.0.1").process
    assert inner.count("the clients' ports are open") == 0


def test_proxy_bind_that_follows(lab):
    """The look at frps's file on another port opens less than the file does, and says so."""
    server = lab.server(proxy_bind_addr="")
    server.process.wait_line("proxies listen on 127.0.0.1, which is bind_addr", within(5))
    server.process.wait_line("proxy_bind_addr is not set: the clients' ports", within(5))


def test_silence_on_encrypted_streams(lab, pair):
    """A direction that never carries a byte never sends its IV: an end is a clean end. The service
    speaks first, the user says nothing and finishes."""
    greeter = lab.service(banner=b"welcome\r\n")
    proxy = lab.proxy("web", greeter, use_encryption=True)
    lab.pair(pair, [proxy])
    with User(proxy.port, timeout=within(5)) as user:
        assert user.read(9) == b"welcome\r\n"
        user.finish()
        assert user.ending() == "eof"
    assert greeter.wait_ended(greeter.wait_links(1)[0]) == "eof"


@pytest.mark.full
def test_half_closed_and_idle(lab):
    """Half-closed relays are bounded (120 s): gonka's API node leaves its side open for many
    minutes. One that still moves bytes is not idle."""
    service, port, _, _ = tunnel(lab, OURS)
    with User(port, "deaf") as idle, User(port, "finish 10") as busy:
        assert len(busy.read_rest()) == 10
        idle.finish()
        for _ in range(26):
            assert idle.quiet(5) or idle.ending() in ("eof", "reset")
            busy.send_all(pattern(10))
        link = next(link for link in service.links if link.command == "finish")
        service.wait_received(link, 26 * 10)
        assert link.ended is None
        assert idle.ending() in ("eof", "reset")
