"""What operators and their programs read: lines of JSON that stay whole, floods that are counted."""

import concurrent.futures
import contextlib
import json
import re
import signal
import socket
import time

from containers import Container
from gateways import ask_once, open_gateway
from harness import eventually
from lab import TOKEN, Proxy, within
from rawfrp import RawClient, RawServer, answer_login

EVIL = '"\\\n{"time":"2026-01-01T00:00:00.000Z"}\x1b[31m\x7f\u20ac\u202e'
MEMBERS = {"time", "level", "tag", "text"}
LEVELS = {"debug", "info", "warn", "error"}
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def unique(pairs):
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def objects(process):
    """Every line of standard output, each of which has to be an object of ours."""
    found = []
    for line in process.out:
        entry = json.loads(line, object_pairs_hook=unique)
        assert entry.keys() >= MEMBERS, line
        assert re.fullmatch(MOMENT, entry["time"]) and entry["level"] in LEVELS, line
        assert all("\x20" <= c <= "\x7e" for c in line), repr(line)
        found.append(entry)
    return found


def request(target, method="GET"):
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


# ---- JSON ----------------------------------------------------------------------------------------


def test_a_whole_container(lab, server):
    """Test mode from start to stop: supervisor, tunnel, gateway and test servers."""
    c = Container(lab, server, LOG_FORMAT="json", LOG_LEVEL="debug").start("run").wait_ready()
    assert ask_once(c.port_1, request("/v1/models"), 10)[0].status == 200
    assert ask_once(c.port_1, request('/sleep/"%22'), 10)[0].status == 404
    assert ask_once(c.port_1, b"GET / HTTP/1.1\r\n" + EVIL.encode() + b"\r\n\r\n", 10)[0].status == 400
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0
    assert c.process.err == []
    said = objects(c.process)
    assert {entry["tag"] for entry in said} == {"mlgate", "frpc", "gateway", "testnode"}
    texts = [entry["text"] for entry in said if entry["tag"] == "frpc"]
    file = c.directory / "frpc.ini"
    writing = texts.index(f"Writing {file} for server 127.0.0.1:{server.port}...")
    assert texts[writing + 1] == f"Starting frpc with config {file}..."
    for entry, line in zip(said, c.process.out):  # docker logs | grep frpc
        assert entry["tag"] != "frpc" or "frpc" in line
    access = {entry["path"]: entry for entry in said if "path" in entry}
    good = access["/v1/models"]
    assert (good["method"], good["status"], good["end"]) == ("GET", 200, "done")
    assert good["text"] == "GET /v1/models 200"
    assert good["bytes"] > 0 and 0 < good["first_ms"] <= good["duration_ms"]
    assert good["upstream"] == f"127.0.0.1:{c.inference}"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", good["client"])
    assert access['/sleep/"%22']["upstream"] is None
    bad = next(entry for entry in said if "fault" in entry)
    assert (bad["status"], bad["end"]) == (400, "bad-request")


def test_a_client_with_a_file_and_a_bad_server(lab, certificates):
    """frpc.ini takes the variable; what the server says is escaped."""

    def talk(peer):
        control = answer_login(peer, TOKEN)
        asked = peer.receive(control, "NewProxy")
        body = {"proxy_name": asked["proxy_name"], "remote_addr": "", "error": EVIL}
        peer.send(control, "NewProxyResp", body)
        peer.pump_until(lambda: False, 10, "the end")

    server = RawServer(lab.ports.take(), talk, certificates.server)
    lab.closers.append(server.close)
    file = lab.path("frpc.ini")
    file.write_text(
        f"[common]\nserver_addr = 127.0.0.1\nserver_port = {server.port}\ntoken = {TOKEN}\n"
        "login_fail_exit = false\n[web]\ntype = tcp\nlocal_port = 1\nremote_port = 2\n",
        encoding="utf-8",
    )
    process = lab.mlgate("client", "-c", str(file), env={"LOG_FORMAT": "json"})
    process.wait_line("refused remote port", within(10))
    refusal = next(e for e in objects(process) if "refused remote port" in e["text"])
    assert refusal["tag"] == "frpc" and refusal["level"] == "warn"
    assert r"\x0a{" in refusal["text"] and '"time"' in refusal["text"]


def test_a_server_and_strangers(lab):
    server = lab.flag_server("--log-format", "json")
    RawClient(server.port).login(TOKEN, hostname=EVIL, version=EVIL, user=EVIL)
    assert RawClient(server.port).login(TOKEN + "wrong", hostname=EVIL)["error"]
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.sendall(EVIL.encode() * 20)
    server.process.wait_line("client login", within(10))
    server.process.wait_line("refused", within(10))
    assert {entry["tag"] for entry in objects(server.process)} == {"frps"}


# ---- floods --------------------------------------------------------------------------------------


def counted(process, pattern, what):
    """(lines about it, how many events they stand for)"""
    texts = "\n".join(process.out)
    lines = re.findall(rf"{pattern}.*", texts)
    own = re.findall(rf"(\d+) more lines were held back: {what}", texts)
    more = [int(n) for line in lines for n in re.findall(r"; (\d+) more such lines", line)]
    return len(lines) + len(own), len(lines) + sum(more) + sum(map(int, own))


def turned_away(port, said=b""):
    """A reset may be there before connect has looked."""
    with contextlib.suppress(ConnectionResetError):
        with socket.create_connection(("127.0.0.1", port), within(10)) as sock:
            sock.sendall(said)
            while sock.recv(100):
                pass


def test_a_flood_of_bad_heads(lab):
    gate = open_gateway(lab, lab.ports.take(), lab.ports.take())
    began = time.monotonic()
    for _ in range(300):
        with socket.create_connection(("127.0.0.1", gate.port), 5) as sock:
            sock.sendall(b"nonsense\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 400 ")
    for number in range(50):
        assert ask_once(gate.port, request(f"/sleep/{number}"), 5)[0].status == 404

    def numbers():
        return counted(gate.gateway, ", bad-request: ", "request heads refused")

    eventually(lambda: numbers()[1] == 300, within(10), "300 refused heads in the log")
    assert numbers()[0] <= 10 + 1 + time.monotonic() - began
    served = [line for line in gate.gateway.out if re.search(r" GET /sleep/\d+ 404, ", line)]
    assert len(served) == 50


def test_a_flood_of_strangers(lab):
    server = lab.flag_server()
    began = time.monotonic()
    for _ in range(60):
        turned_away(server.port, b"GET / HTTP/1.1\r\n\r\n")

    def numbers():
        return counted(server.process, "connection from .* refused: ", "connections refused")

    eventually(lambda: numbers()[1] == 60, within(10), "60 refused connections in the log")
    assert numbers()[0] <= 2 + time.monotonic() - began


def test_a_flood_of_refused_proxies(lab):
    """However often a client logs in for it: a login buys no further lines."""
    server = lab.flag_server()
    began = time.monotonic()
    for _ in range(200):
        client = RawClient(server.port)
        client.login(TOKEN)
        for number in range(2):
            assert client.new_proxy(f"web-{number}", server.port)["error"]
        client.close()

    def numbers():
        return counted(server.process, r"proxy \[.*\] of .* refused: ", "proxies refused")

    eventually(lambda: numbers()[1] == 400, within(10), "400 refused proxies in the log")
    assert numbers()[0] <= 300 + 1 + time.monotonic() - began


def test_a_flood_of_users_without_work_connections(lab):
    server = lab.flag_server("--user-conn-timeout", "1")
    client = RawClient(server.port)
    client.login(TOKEN)
    port = lab.ports.take()
    assert not client.new_proxy("web", port).get("error")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        list(pool.map(turned_away, [port] * 40))

    def numbers():
        pattern = "user .* closed: the client sent no work connection in time"
        return counted(server.process, pattern, "users without a work connection")

    eventually(lambda: numbers()[1] == 40, within(10), "40 users in the log")
    assert numbers()[0] <= 2 + time.monotonic() - began
    client.close()


def test_a_flood_of_users_for_a_service_that_is_away(lab):
    proxy = Proxy("web", lab.ports.take(), lab.ports.take())
    client = lab.client(lab.server(), [proxy])
    began = time.monotonic()
    for _ in range(40):
        turned_away(proxy.port)

    def numbers():
        pattern = "the local service .* cannot be reached"
        return counted(client.process, pattern, "local services that cannot be reached")

    eventually(lambda: numbers()[1] == 40, within(10), "40 users in the log")
    assert numbers()[0] <= 2 + time.monotonic() - began


def test_a_flood_of_refused_work_connections(lab, certificates):
    def talk(peer):
        control = answer_login(peer, TOKEN)
        for _ in range(40):
            seen = len(peer.opened)
            peer.send(control, "ReqWorkConn", {})
            peer.pump_until(lambda: len(peer.opened) > seen, 10, "a work connection")  # noqa: B023
            stream = peer.opened[-1]
            peer.receive(stream, "NewWorkConn")
            peer.send(stream, "StartWorkConn", {"error": EVIL})
        peer.pump_until(lambda: False, 60, "the end")

    server = RawServer(lab.ports.take(), talk, certificates.server)
    lab.closers.append(server.close)
    began = time.monotonic()
    client = lab.client(server, [Proxy("web", 1, lab.ports.take())], wait=False)

    def numbers():
        pattern = "the server refused a work connection: "
        return counted(client.process, pattern, "work connections the server refused")

    eventually(lambda: numbers()[1] == 40, within(20), "40 refusals in the log")
    assert numbers()[0] <= 2 + time.monotonic() - began
