"""A list in FRP_SERVER: several doors to one network node. Each has its own session, files, run_id and
troubles; one that is away is nobody else's.

Here all doors stand on one machine, so each server opens its proxies on a loopback address of its
own.
"""

import signal
import socket
import subprocess

import pytest
from containers import Container, in_namespaces, play_scene
from dns import NameServer
from harness import eventually
from lab import FRPC, MLGATE, within
from test_status import wait_document

REGISTERED = r"\[frpc-{}\] \[client-mlnode-\d+-{}\] start proxy success"


class Door:
    """A server, and the address that its users come to."""

    def __init__(self, lab, number, kind="mlgate", **keys):
        self.number = number
        self.host = f"127.0.0.{number}"
        self.server = lab.server(kind, proxy_bind_addr=self.host, **keys)
        self.address = f"127.0.0.1:{self.server.port}"

    def serves(self, c):
        return all(c.state(port, self.host) == "INFERENCE" for port in (c.port_1, c.port_2))

    def is_left(self, port):
        try:
            socket.create_connection((self.host, port), 5).close()
        except ConnectionRefusedError:
            return True
        return False

    def wait_registered(self, c, after=0, seconds=10):
        for role in ("inference", "poc"):
            c.process.wait_line(REGISTERED.format(self.number, role), within(seconds), after)

    def wait_serves(self, c, seconds=10):
        eventually(lambda: self.serves(c), within(seconds), f"users by server {self.number}")


def container(lab, *addresses, **changes):
    return Container(lab, FRP_SERVER=",".join(addresses), **changes)


def is_whole(text):
    return text.rstrip().endswith(b"data: [DONE]")


# ---- side by side --------------------------------------------------------------------------------


def test_users_by_every_door(lab, server_kind):
    """At the same time, the second being any server; each line of the tunnel says which."""
    doors = [Door(lab, 1), Door(lab, 2, server_kind)]
    c = container(lab, *(door.address for door in doors)).start("run")
    for door in doors:
        door.wait_registered(c)
        door.wait_serves(c)
    streams = [c.stream(tokens=50, rate=100, port=c.port_1, host=door.host) for door in doors]
    assert all(is_whole(stream.rest()) for stream in streams)
    c.wait_ready()
    for number, name in enumerate(("frpc.ini", "frpc-2.ini")):
        said = rf"\[frpc\] Writing {c.directory}/{name} for server {doors[number].address}\.\.\.$"
        assert c.process.count(said) == 1
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0
    for door in doors:
        assert c.process.count(rf"\[frpc-{door.number}\] stopped; 1 sessions") == 1
        for port in (c.port_1, c.port_2):
            eventually(lambda: door.is_left(port), within(3), f"port {port} given back")


def test_one_dies_and_comes_back(lab):
    """Streams by the other one do not notice."""
    away, other = Door(lab, 1), Door(lab, 2)
    c = container(lab, away.address, other.address).start("run").wait_ready()
    away.wait_registered(c)
    other.wait_registered(c)
    mark = c.process.mark()
    streams = [c.stream(tokens=1200, rate=300, port=c.port_1, host=other.host) for _ in range(8)]
    away.server.process.kill()
    c.process.wait_line(r"\[frpc-1\] session lost", within(5), mark)
    assert c.health()[0] == 0
    back = c.process.mark()
    away.server.start().wait_ready()
    away.wait_registered(c, after=back)
    away.wait_serves(c)
    assert all(is_whole(stream.rest()) for stream in streams)
    assert c.process.count(r"\[frpc-2\]", after=mark) == 0


def test_ready_with_one_of_two(lab):
    doors = [Door(lab, 1), Door(lab, 2)]
    c = container(lab, *(door.address for door in doors)).start("run").wait_ready()
    for door in doors:
        door.wait_registered(c)
    for door in doors:
        assert c.health()[0] == 0
        mark = c.process.mark()
        door.server.process.kill()
        c.process.wait_line(rf"\[frpc-{door.number}\] session lost", within(5), mark)
    not_ready = (1, "not ready: the tunnel is not registered with the server")
    eventually(lambda: c.health() == not_ready, within(5), "mlgate health: not ready")
    doors[1].server.start().wait_ready()
    c.wait_ready()


# ---- doors with troubles of their own ------------------------------------------------------------


class Deaf:
    """Accepts and never answers."""

    def __init__(self, lab):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        lab.closers.append(self.listener.close)


def another_token(lab):
    return Door(lab, 3, token="another").address


def no_port_for_us(lab):
    return Door(lab, 3, allow_ports="1-2").address


TROUBLES = {
    "wrong-token": (another_token, r"token.*SECRET_FRP_TOKEN.*next try in"),
    "port-refused": (no_port_for_us, r"the server refused remote port 1\d+: port not allowed; all"),
    "no-such-name": (lambda lab: "nowhere.invalid:7000", r"server nowhere\.invalid:7000: .*try in"),
    "deaf": (lambda lab: Deaf(lab).address, r"nobody answers the TLS handshake.*next try in"),
    "nobody": (lambda lab: f"127.0.0.1:{lab.ports.take()}", r"connect-refused.*next try in"),
}


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize(
    "trouble",
    [pytest.param(name, marks=[pytest.mark.slow_once] * (name == "deaf")) for name in TROUBLES],
)
def test_one_with_troubles(lab, trouble, first):
    """It says so with its number; the other serves meanwhile, and the end comes as fast as ever."""
    make, line = TROUBLES[trouble]
    good = Door(lab, 2 if first else 1)
    addresses = [make(lab), good.address]
    c = container(lab, *(addresses if first else reversed(addresses))).start("run")
    good.wait_registered(c, seconds=3)
    good.wait_serves(c)
    stream = c.stream(tokens=400, rate=100, port=c.port_1, host=good.host)
    c.process.wait_line(rf"\[frpc-{1 if first else 2}\] .*{line}", within(15))
    assert is_whole(stream.rest())
    assert c.health()[0] == 0
    assert c.process.count(rf"\[frpc-{good.number}\] .*(lost|next try)") == 0
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(5)) == 0


def test_status_tells_them_apart(lab):
    """One that serves, one that does not know the token, one that gives no ports."""
    good, stranger, closed = Door(lab, 1), Door(lab, 2, token="another"), Door(lab, 3, allow_ports="1-2")
    c = container(lab, good.address, stranger.address, closed.address).start("run").wait_ready()
    assert good.serves(c)

    def states(found):
        return [server["state"] for server in found["servers"]]

    settled = ["registered", "waiting", "registering"]
    found = wait_document(c.directory, lambda found: states(found) == settled, "three states")
    doors = found["servers"]
    assert [server["address"] for server in doors] == [good.address, stranger.address, closed.address]
    assert [server["sessions"] for server in doors] == [1, 0, 1]
    ports = [c.port_1, c.port_2]
    assert [(port["remote"], port["state"]) for port in doors[0]["ports"]] == [
        (port, "confirmed") for port in ports
    ]
    assert doors[0]["bytes_in"] > 0 and doors[0]["bytes_out"] > 0
    assert doors[1]["last_end"]["reason"] == "auth-failed"
    assert "SECRET_FRP_TOKEN" in doors[1]["last_end"]["text"]
    assert doors[1]["next_try_s"] >= 0
    assert {port["remote"]: port["state"] for port in doors[2]["ports"]}[c.port_1] == "refused"
    assert doors[2]["ports"][0]["error"] == "port not allowed"
    assert all(server["bytes_in"] == 0 for server in doors[1:])


def silent_names(lab):
    """A resolver that never answers for most of the names."""
    resolver = lab.path("resolv.conf")
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n", encoding="ascii")
    subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)
    silent = [f"silent-{number}.test" for number in range(1, 6)]
    names = NameServer({"frp.test": "127.0.0.1"}, silent=set(silent))
    good = Door(lab, len(silent) + 1)
    c = container(lab, *(f"{name}:7000" for name in silent), f"frp.test:{good.server.port}",
                  LOG_LEVEL="debug")  # fmt: skip
    c.start("run")
    good.wait_registered(c, seconds=3)
    good.wait_serves(c)
    for number in range(len(silent)):  # each has given up once and asks again
        line = rf"\[frpc-{number + 1}\] .*the resolver does not answer.*next try in"
        c.process.wait_line(line, within(20))
    c.process.wait_line(r"\[frpc-1\] dialling", within(5), after=c.process.mark())
    asked, mark = len(names.asked), c.process.mark()
    good.server.process.kill()
    c.process.wait_line(rf"\[frpc-{good.number}\] session lost", within(5), after=mark)
    good.server.start().wait_ready()
    good.wait_registered(c, after=mark, seconds=5)
    assert "frp.test" in {name for name, _ in names.asked[asked:]}
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(5)) == 0
    c.start("client")  # nobody kills this one when it does not end
    c.process.wait_line(rf"\[frpc-{good.number}\] login", within(5))
    assert {name for name, _ in names.asked} == {*silent, "frp.test"}
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(5)) == 0


@pytest.mark.slow_once
def test_names_that_hang(tmp_path):
    in_namespaces(__file__, "silent_names", tmp_path)


# ---- what is kept --------------------------------------------------------------------------------


def run_ids(c):
    files = [c.directory / name for name in ("run_id", "run_id-2")]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    return [file.read_text() for file in files]


def test_run_ids_are_kept(lab):
    """Each server has its own. The next container takes its ports over at once from connections
    that went silent, from which the servers hear nothing."""
    doors = [Door(lab, 1), Door(lab, 2)]
    lines = [lab.forwarder(door.server.port) for door in doors]
    c = container(lab, *(f"127.0.0.1:{line.port}" for line in lines)).start("run").wait_ready()
    for door in doors:
        door.wait_registered(c)
    kept = run_ids(c)
    assert len(set(kept)) == 2
    for line in lines:
        line.cut(new="work")
    c.process.kill()
    c.start("run")
    for door in doors:
        door.wait_registered(c)
        door.wait_serves(c)
    assert run_ids(c) == kept
    assert c.process.count("refused remote port") == 0


def test_the_second_file_is_for_the_original_client(lab, client_kind):
    """frpc-2.ini leads to the second server."""
    doors = [Door(lab, 1), Door(lab, 2)]
    c = container(lab, *(door.address for door in doors)).start("run").wait_ready()
    doors[1].wait_registered(c)
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0
    gateway = lab.web_service("gateway", c.listen_poc)
    program = [MLGATE, "client"] if client_kind == "mlgate" else [FRPC[client_kind]]
    client = lab.spawn(f"client ({client_kind})", [*program, "-c", c.directory / "frpc-2.ini"])
    client.wait_line(r"client-mlnode-\d+-poc\] start proxy success", within(10))
    status, _, body = c.ask("GET", "/who", c.port_2, host=doors[1].host)
    assert (status, body) == (200, b"gateway /who")
    with pytest.raises(ConnectionRefusedError):
        c.ask("GET", "/who", c.port_2, host=doors[0].host)
    assert gateway.count("/who") == 1


# ---- two names of one server ---------------------------------------------------------------------

REFUSED = r"\[frpc-{}\] .*refused remote port.*already.*do both lead to the same server\?"


def holder(c, after=0):
    """Which of two sessions at one server got the ports, and which did not."""

    def look():
        has = [n for n in (1, 2) if c.process.count(REGISTERED.format(n, "poc"), after=after)]
        return len(has) == 1 and has[0]

    found = eventually(look, within(10), "one of the two sessions with both ports")
    return found, 3 - found


@pytest.mark.slow_once
def test_two_names_of_one_server(lab, server_kind):
    """The first to ask has the ports and keeps them; the other one says what it is, more and more
    rarely, and would take over. A restart of the server settles the same way."""
    one = Door(lab, 1, server_kind)
    c = container(lab, one.address, f"localhost:{one.server.port}").start("run")
    for _ in range(2):
        mark = c.process.mark()
        has, other = holder(c, mark)
        stream = c.stream(tokens=900, rate=100, port=c.port_1)
        for _ in range(3):  # 1, 2 and 4 seconds apart
            last = c.process.mark()
            c.process.wait_line(REFUSED.format(other), within(12), last)
        assert is_whole(stream.rest())
        assert one.serves(c) and c.health()[0] == 0
        for role in ("inference", "poc"):
            assert c.process.count(REGISTERED.format("[12]", role), after=mark) == 1
        assert c.process.count(r"session lost|next try", after=mark) == 0
        one.server.restart().wait_ready()


if __name__ == "__main__":
    play_scene(globals())
