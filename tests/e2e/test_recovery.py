"""What comes back, and how soon, when an end or the line between them fails."""

import shutil
import signal
import threading
import time

import pytest
from harness import eventually
from lab import MLGATE, OURS, SLOW, TOKEN, gives_way, is_static, wait_echo, within
from rawfrp import RawClient
from services import User, digest, download, echo_works, pattern, upload
from test_traffic import MIB

FROZEN = 10  # seconds: what a network may freeze without a lost stream


def start(lab, pair, names=("web",), client_keys=None):
    """A tunnel with a forwarder between its ends, in use once."""
    service = lab.service()
    proxies = [lab.proxy(name, service) for name in names]
    server, client, line = lab.pair(pair, proxies, client_keys=client_keys, via=True)
    assert all(echo_works(proxy.port) for proxy in proxies)
    return service, [proxy.port for proxy in proxies], server, client, line


def kind_pair(server_kind):
    return OURS._replace(server=server_kind)


# ---- ends that die -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_client_restarted(lab, pair, number):
    _, ports, _, client, _ = start(lab, pair, ("web", "ssh"))
    client.process.signal(number)
    status = client.process.wait_end()
    assert number == signal.SIGKILL or not client.mlgate or status == 0
    client.start()
    for port in ports:
        wait_echo(port, within(1.5))


@pytest.mark.parametrize("run_id", ["kept", "lost"])
def test_client_host_gone(lab, pair, run_id):
    """The client dies unheard: no end of stream reaches the server. The next one, on a fresh
    connection, gets the ports: at once with the run_id, else after one ping unanswered for 1 s."""
    if not gives_way(pair.server) or (run_id == "lost" and pair.server != "mlgate"):
        pytest.skip("this frps keeps the ports for its 40 s of detection")
    if pair.client != "mlgate" and run_id == "kept":
        pytest.skip("frpc keeps no run_id")
    _, ports, _, client, line = start(lab, pair, ("web", "ssh"))
    line.cut(new="work")
    client.process.kill()
    if run_id == "lost":
        client.run_id_file.unlink(missing_ok=True)
    client.start()
    # frpc asks again for a refused port after 30 s only, so it must not have been refused
    limit = within(1.0 if run_id == "kept" else 1.6)
    for port in ports:
        wait_echo(port, limit)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_server_restarted(lab, pair, number):
    _, ports, server, client, _ = start(lab, pair, ("web", "ssh"))
    server.process.signal(number)
    server.process.wait_end(5)
    server.start().wait_ready()
    for port in ports:
        wait_echo(port, within(1.0) if client.mlgate else 20)


def test_server_away_for_a_while(lab, server_kind):
    """Refused connections are tried again soon: the port answers, so nobody is blocked by them."""
    _, ports, server, client, line = start(lab, kind_pair(server_kind))
    server.process.kill()
    line.cut(new="refuse")
    line.reset()
    client.process.wait_line(r"connect-refused.*next try in 0\.[12]")
    eventually(lambda: client.process.count("connect-refused") >= 5, 5, "five tries")
    server.start().wait_ready()
    line.mend()
    wait_echo(ports[0], within(1.0))


def test_users_at_the_end_of_a_session(lab, pair):
    """When a session ends every user of it gets an end, and nobody hangs."""
    _, ports, server, client, _ = start(lab, pair)
    users = [User(ports[0], "echo", timeout=within(5)) for _ in range(20)]
    for user in users:
        user.send(b"x")
        assert user.read(1) == b"x"
    client.process.kill()
    assert {user.ending() for user in users} <= {"eof", "reset"}
    assert server.process.running()


@pytest.mark.parametrize("end", ["server", "client"])
def test_stop_with_users(lab, end):
    """SIGTERM with users connected and megabytes under way: exit 0, quickly."""
    _, ports, server, client, _ = start(lab, OURS)
    users = [User(ports[0], "echo") for _ in range(10)]
    users += [User(ports[0], f"get {64 * MIB}", small_buffer=True) for _ in range(5)]
    for user in users[10:]:
        user.read(1000)
    began = time.monotonic()
    stopped = (server if end == "server" else client).process
    assert stopped.stop(within(3)) == 0
    assert time.monotonic() - began < within(1)
    for user in users[:10]:
        user.sock.settimeout(within(5))
        assert user.ending() in ("eof", "reset")
    for user in users:
        user.sock.close()


@pytest.mark.parametrize("end", ["server", "client"])
def test_stop_on_a_dead_line(lab, end):
    """SIGTERM while the peer takes no bytes and megabytes are queued for it."""
    service, ports, server, client, line = start(lab, OURS)
    with User(ports[0], "hang" if end == "server" else f"get {64 * MIB}") as user:
        threading.Thread(target=send_for_ever, args=(user,), daemon=True).start()
        service.wait_received(service.wait_links(2)[1], 5)
        line.cut(new="stall")
        began = time.monotonic()
        assert (server if end == "server" else client).process.stop(within(3)) == 0
        assert time.monotonic() - began < within(1)


# ---- lines that fail -----------------------------------------------------------------------------


def test_line_reset(lab, pair):
    _, ports, _, client, line = start(lab, pair, ("web", "ssh"))
    for _ in range(3):
        line.reset()
        for port in ports:
            wait_echo(port, within(1.5) if client.mlgate else 20)


SILENT = 7  # about five seconds are announced; 1 + 3 + 1 and the logins


FULL = pytest.mark.full


@pytest.mark.parametrize(
    "load", ["idle", pytest.param("download", marks=FULL), pytest.param("upload", marks=FULL)]
)
@pytest.mark.slow_once
def test_silent_cut(lab, server_kind, load):
    """The line swallows everything, new connections work: the client logs in on a new one."""
    if not gives_way(server_kind):
        pytest.skip("this frps keeps the client waiting for its 40 s of detection")
    service, ports, _, client, line = start(lab, kind_pair(server_kind))
    if load == "download":
        busy = User(ports[0], f"get {256 * MIB}")
        busy.read(MIB)
    elif load == "upload":
        busy = User(ports[0], "hang")
        threading.Thread(target=send_for_ever, args=(busy,), daemon=True).start()
        service.wait_received(service.wait_links(2)[1], MIB)
    line.cut(new="work")
    took = wait_echo(ports[0], within(SILENT))
    assert took > 2, "it cannot be known that soon"
    client.process.wait_line(r"session lost: .*\(ping-timeout\)", 1)
    if load != "idle":
        busy.sock.close()


def send_for_ever(user):
    try:
        while True:
            user.send_all(pattern(MIB))
    except OSError:
        pass


@pytest.mark.full
def test_silent_cut_with_stock_frpc(lab, client_kind):
    """What an frpc needs against our server: its own detection, and no "already exists" after it."""
    _, ports, _, _, line = start(lab, OURS._replace(client=client_kind))
    line.cut(new="work")
    wait_echo(ports[0], 60)


@pytest.mark.full
def test_silent_cut_with_stock_frps(lab, server_kind):
    """However the server takes a second login with the same run_id, it ends well."""
    _, ports, _, _, line = start(lab, kind_pair(server_kind))
    for _ in range(2):
        line.cut(new="work")
        wait_echo(ports[0], 60)


@pytest.mark.ours_is_enough
@pytest.mark.slow_once
def test_silent_cut_and_no_new_connection(lab, server_kind):
    """Nothing works: the old connection is kept until FRP_DEAD_AFTER, then dialled anew until the
    network is back."""
    service = lab.service()
    proxy = lab.proxy("web", service)
    server = lab.server(server_kind)
    line = lab.forwarder(server.port)
    client = lab.client(server, [proxy], via=line)
    client.process.kill()
    client.env = {"FRP_DEAD_AFTER": "5"}
    client.start().wait_ready()
    with User(proxy.port, "echo") as user:
        user.send(b"x")
        assert user.read(1) == b"x"
        line.cut(new="stall")
        client.process.wait_line("the server is silent", within(6))
        lost = client.process.wait_line("session lost.*no new connection", within(8))
        assert lost
    line.mend(old=False)
    wait_echo(proxy.port, within(6) if gives_way(server_kind) else 60)


class Streams:
    """Users in the middle of something while the network freezes."""

    def __init__(self, port):
        self.port = port
        self.idle = User(port, "echo")
        self.idle.send(b"before")
        assert self.idle.read(6) == b"before"
        self.download = User(port, f"get {8 * MIB}", small_buffer=True)
        self.head = self.download.read(MIB)
        self.upload = User(port, f"put {8 * MIB}")
        self.upload.send_all(list(pattern(8 * MIB, seed=1))[:16])
        self.during = []

    def while_frozen(self):
        """Bytes go in on an open stream, and users arrive; nothing can come out."""
        self.idle.send(b"frozen")
        self.during = [User(self.port, "echo") for _ in range(5)]
        for user in self.during:
            user.send(b"hello?")

    def finish(self):
        assert self.idle.read(6) == b"frozen"
        rest = b"".join(self.download.chunks())
        assert digest([self.head, rest]) == digest(pattern(8 * MIB))
        self.upload.send_all(list(pattern(8 * MIB, seed=1))[16:])
        assert self.upload.read_line().strip() == digest(pattern(8 * MIB, seed=1))
        for user in self.during:
            assert user.read(6) == b"hello?"


@pytest.mark.parametrize("new", ["stall", pytest.param("refuse", marks=FULL)])
@pytest.mark.slow_once
def test_frozen_network(lab, new):
    """Ten seconds without a byte in either direction, then everything arrives: no stream is lost.
    `refuse`: new connections fail at once, as behind a router that lost its uplink."""
    _, ports, _, client, line = start(lab, OURS)
    streams = Streams(ports[0])
    line.cut(new=new)
    frozen = time.monotonic()
    streams.while_frozen()
    client.process.wait_line("the server is silent", within(6))
    time.sleep(max(0, FROZEN - (time.monotonic() - frozen)))  # the freeze itself
    line.mend()
    streams.finish()
    assert not client.process.find("session lost"), "the session outlives the freeze"
    assert echo_works(ports[0])


@pytest.mark.parametrize("end", [pytest.param("server", marks=FULL), "client"])
@pytest.mark.slow_once
def test_frozen_process(lab, end):
    """An end that gets no processor for five seconds (a suspended container) loses nothing."""
    _, ports, server, client, _ = start(lab, OURS)
    streams = Streams(ports[0])
    frozen = (server if end == "server" else client).process
    frozen.signal(signal.SIGSTOP)
    streams.during = []
    streams.idle.send(b"frozen")
    time.sleep(5)  # the suspension itself
    frozen.signal(signal.SIGCONT)
    streams.finish()
    assert not client.process.find("session lost")


def close_in_turn(users):
    """Half of them with a reset, half with an end."""
    for number, user in enumerate(users):
        if number % 2:
            user.reset()
        else:
            user.sock.close()


def test_reconnects_leave_nothing(lab):
    """Lost sessions with users on them, and a client that slows down when they are short."""
    _, ports, server, client, line = start(lab, OURS)
    before = {end.name: end.process.descriptors() for end in (server, client)}
    for limit in (1, 1, 1.5, 2.5):
        users = [User(ports[0], "echo") for _ in range(20)]
        line.reset()
        wait_echo(ports[0], within(limit))
        close_in_turn(users)
    for end in (server, client):
        eventually(
            lambda end=end: end.process.descriptors() <= before[end.name],
            within(5),
            f"{end.name} to close what it opened",
        )
    assert download(ports[0], MIB)


VALGRIND = ["valgrind", "-q", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect",
            "--error-exitcode=99", "--num-callers=25"]  # fmt: skip


@pytest.mark.full
def test_no_leak(lab):
    """A thousand users, a thousand logins and a dozen lost sessions under valgrind; what it finds
    makes an end exit with 99 at the end of the test."""
    if shutil.which("valgrind") is None or SLOW > 1 or is_static(MLGATE):
        pytest.skip("skipped (needs valgrind and a dynamic, not instrumented binary)")
    lab.wrap = VALGRIND
    service = lab.service()
    proxy = lab.proxy("web", service, use_encryption=True)
    server = lab.server()
    line = lab.forwarder(server.port)
    client = lab.client(server, [proxy], via=line)
    for _ in range(12):
        for _ in range(4):
            users = [User(proxy.port, "echo") for _ in range(21)]
            service.wait_links(1)
            close_in_turn(users)
        for _ in range(84):
            log_in_and_out(lab, server)
        assert download(proxy.port, MIB) and upload(proxy.port, MIB)
        line.reset()
        wait_echo_slowly(proxy.port)
    assert client.process.running() and server.process.running()


def log_in_and_out(lab, server):
    peer = RawClient(server.port)
    assert "error" not in peer.login(TOKEN)
    peer.send(peer.control, "NewProxy", {"proxy_name": "raw", "remote_port": lab.ports.take()})
    peer.work_conn()
    peer.close()


def wait_echo_slowly(port):
    eventually(lambda: echo_works(port, timeout=10), 60, "the way through the tunnel")
