"""The numbers for Prometheus: that they are right, that they only grow where they must, and that
their format stands whatever peers call themselves."""

import re
import threading

import pytest
from containers import Container
from gateways import Management, Stub, Wire, ask_once, get, open_gateway, open_tunnel, post
from harness import eventually
from lab import ROOT, TOKEN, within
from rawfrp import RawClient
from scrapes import Scrape, ask, promtool, scrape, until
from services import User

CLASSES = ("inference", "management", "poll", "other")
# An address of its own: thousands of ports there are in nobody's way.
ELSEWHERE = "127.0.0.77"


def metrics_gateway(lab, management, inference, **variables):
    port = lab.ports.take()
    way = open_gateway(lab, management, inference, METRICS_LISTEN=str(port), **variables)
    way.gateway.wait_line(rf"metrics on http://127.0.0.1:{port}/metrics", within(5))
    return way, port


def known_load(way):
    """Requests whose numbers are known."""
    for _ in range(3):
        assert ask_once(way.poc, get("/api/v1/state"))[0].status == 200
    for _ in range(2):
        assert ask_once(way.port, post("/v1/chat/completions"))[0].status == 200
    assert ask_once(way.port, post("/v1/none"))[0].status == 404
    assert ask_once(way.port, get("/sleep"))[0].status == 404  # GATEWAY_POLICY
    assert ask_once(way.poc, post("/api/v1/pow/phase", body=b"{}"))[0].status == 200
    assert ask_once(way.port, b"nonsense\r\n\r\n")[0].status == 400


def check_known_load(before, after):
    def grown(name, **labels):
        return after.sum(name, **labels) - before.sum(name, **labels)

    name = "mlgate_gateway_requests_total"
    assert grown(name, **{"class": "poll", "outcome": "ok"}) == 3
    assert grown(name, **{"class": "poll", "outcome": "refused"}) == 1
    assert grown(name, **{"class": "inference", "outcome": "ok"}) == 2
    assert grown(name, **{"class": "inference", "outcome": "client_error"}) == 1
    assert grown(name, **{"class": "management", "outcome": "ok"}) == 1
    assert grown(name, **{"class": "other", "outcome": "client_error"}) == 1
    assert grown(name) == 9
    first = "mlgate_gateway_first_byte_seconds"
    counts = [grown(f"{first}_count", **{"class": name}) for name in CLASSES]
    assert counts == [3, 1, 3, 0]  # what the gateway answered itself has none
    assert grown("mlgate_gateway_request_body_bytes_total") == 4 * len("{}")
    assert grown("mlgate_gateway_response_body_bytes_total") > 0
    assert after.get("mlgate_gateway_exchanges") == 0


def only_grew(before, after):
    for key, value in before.counters().items():
        assert after.samples.get(key, -1) >= value, key


def whole_histograms(seen):
    """Buckets only rise, and the last one is the count."""
    name = "mlgate_gateway_first_byte_seconds"
    for label in CLASSES:
        buckets = seen.all(f"{name}_bucket", **{"class": label})
        rising = sorted((float(dict(key)["le"]), value) for key, value in buckets.items())
        values = [value for _, value in rising]
        assert len(values) == 20 and values == sorted(values)
        assert values[-1] == seen.get(f"{name}_count", **{"class": label})


# ---- the gateway ---------------------------------------------------------------------------------


def stub_inference(lab):
    return Stub(lab, {"/v1/chat/completions": {"choices": []}})


def test_gateway_counts_exactly(lab):
    way, port = metrics_gateway(lab, Management(lab).port, stub_inference(lab).port)
    before = until(port, "MLNode's state", lambda s: s.sum("mlgate_mlnode_state", state="inference"))
    known_load(way)
    after = until(port, "idle", lambda s: s.get("mlgate_gateway_exchanges") == 0)
    check_known_load(before, after)
    only_grew(before, after)
    whole_histograms(after)
    assert after.sum("mlgate_mlnode_state") == 1
    assert 0 <= after.get("mlgate_mlnode_silence_seconds") < 60
    assert after.get("mlgate_memory_limit_bytes") == 256 << 20
    assert re.fullmatch(r"\d+\.\d+\.\d+", dict(*after.all("mlgate_build_info"))["version"])


def test_gateway_without_mlnode(lab):
    way, port = metrics_gateway(lab, lab.ports.take(), lab.ports.take())
    assert ask_once(way.poc, post("/api/v1/pow/phase"))[0].status == 503
    seen = scrape(port)
    labels = {"class": "management", "outcome": "upstream_down"}
    assert seen.get("mlgate_gateway_requests_total", **labels) == 1
    assert seen.get("mlgate_mlnode_state", state="unknown") == 1
    assert seen.get("mlgate_mlnode_silence_seconds") is None  # it never answered


def test_counters_only_grow_under_load(lab):
    way, port = metrics_gateway(lab, Management(lab).port, stub_inference(lab).port)
    stop = threading.Event()

    def load():
        while not stop.is_set():
            known_load(way)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        seen = [scrape(port) for _ in range(30)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for before, after in zip(seen, seen[1:], strict=False):
        only_grew(before, after)
        whole_histograms(after)
    assert seen[-1].sum("mlgate_gateway_requests_total") > 0


# ---- the tunnel, both ends -----------------------------------------------------------------------


def with_metrics(end, port):
    """A server or a client with a file, started again with the flag."""
    end.process.stop()
    end.argv += ["--metrics", str(port)]
    return end.start().wait_ready()


def test_tunnel_counts_exactly(lab):
    """The same users seen from both ends, through a file's proxy."""
    ports = lab.ports.take(), lab.ports.take()
    server = lab.flag_server("--metrics", ports[0], "--allow-ports", "1-65535")
    service = lab.service()
    proxy = lab.proxy("node.inference", service)
    with_metrics(lab.client(server, [proxy]), ports[1])
    with User(proxy.port, "echo"), User(proxy.port, "echo") as user:
        user.send(b"x" * 100_000)
        assert user.read(100_000) == b"x" * 100_000
        for port, name, labels in (
            (ports[0], "frp_server_connection_counts", {"name": "node.inference", "type": "tcp"}),
            (ports[1], "mlgate_tunnel_streams", {"server": "1"}),
        ):
            until(port, name, lambda s, n=name, own=labels: s.sum(n, **own) == 2)
    into = 100_000 + 2 * len("echo\n")
    labels = {"name": "node.inference", "type": "tcp"}
    there = until(ports[0], "no users", lambda s: s.get("mlgate_server_users") == 0)
    here = until(ports[1], "no users", lambda s: s.sum("mlgate_tunnel_streams") == 0)
    for seen, name, own in (
        (there, "mlgate_server_proxy_traffic", labels),
        (there, "mlgate_server_traffic", {}),
        (here, "mlgate_tunnel_traffic", {}),
    ):
        assert seen.sum(f"{name}_in_bytes_total", **own) == into
        assert seen.sum(f"{name}_out_bytes_total", **own) == 100_000
    address = {"server": "1", "address": f"127.0.0.1:{server.port}"}
    assert here.get("mlgate_tunnel_up", **address) == 1
    assert here.get("mlgate_tunnel_state", state="registered", **address) == 1
    assert here.sum("mlgate_tunnel_state") == 1
    assert here.get("mlgate_tunnel_users_total", **address) == 2
    assert there.get("frp_server_client_counts") == 1
    assert there.get("frp_server_proxy_counts", type="tcp") == 1
    assert there.get("mlgate_server_users_total") == 2

    server.restart()
    away = until(ports[1], "the end", lambda s: s.sum("mlgate_tunnel_sessions_ended_total") > 0, 10)
    only_grew(here, away)
    until(ports[1], "a second session", lambda s: s.sum("mlgate_tunnel_sessions_total") == 2, 20)


def test_closed_proxies_vanish_and_totals_stay(lab):
    port = lab.ports.take()
    server = lab.flag_server("--metrics", port, "--allow-ports", "1-65535")
    proxies = [lab.proxy(name, lab.service()) for name in ("first", "second")]
    one = lab.client(server, proxies[:1], name="one")
    two = lab.client(server, proxies[1:], name="two")
    for proxy in proxies:
        with User(proxy.port, "echo") as user:
            user.send(b"y" * 1000)
            assert user.read(1000) == b"y" * 1000
    into, out = ("mlgate_server_traffic_in_bytes_total", "mlgate_server_traffic_out_bytes_total")
    before = until(port, "the bytes", lambda s: s.get(out) == 2000 and s.get(into) > 2000)
    assert len(before.all("frp_server_connection_counts")) == 2
    one.process.stop()
    after = until(port, "one client", lambda s: s.get("frp_server_client_counts") == 1)
    for name in (
        "frp_server_connection_counts",
        "mlgate_server_proxy_traffic_in_bytes_total",
        "mlgate_server_proxy_traffic_out_bytes_total",
    ):
        assert {dict(key)["name"] for key in after.all(name)} == {"second"}
    assert after.get(into) == before.get(into)
    assert after.get(out) == before.get(out)
    assert after.sum("mlgate_server_sessions_ended_total") == 1
    assert two.process.running()


def test_a_user_that_outlives_its_proxy_is_not_the_next_ones(lab):
    """Its bytes go on into the totals alone."""
    port = lab.ports.take()
    server = lab.flag_server("--metrics", port, "--allow-ports", "1-65535")
    remote = lab.ports.take()
    peer = RawClient(server.port)
    assert not peer.login(TOKEN).get("error")
    assert not peer.new_proxy("first", remote).get("error")
    stream = peer.work_conn()
    with User(remote) as user:
        peer.receive(stream, "StartWorkConn")
        user.send(b"x" * 1000)
        total = "mlgate_server_traffic_in_bytes_total"
        each = "mlgate_server_proxy_traffic_in_bytes_total"
        until(port, "the first bytes", lambda s: s.get(each, name="first", type="tcp") == 1000)
        peer.send(peer.control, "CloseProxy", {"proxy_name": "first"})
        assert not peer.new_proxy("second", remote).get("error")
        user.send(b"x" * 500)
        seen = until(port, "the others", lambda s: s.get(total) == 1500)
        assert seen.get(each, name="second", type="tcp") == 0
        assert seen.get("frp_server_connection_counts", name="second", type="tcp") == 0
        assert seen.get("mlgate_server_users") == 1
    until(port, "no users", lambda s: s.get("mlgate_server_users") == 0)
    seen = scrape(port)
    assert seen.get("frp_server_connection_counts", name="second", type="tcp") == 0
    assert seen.get(total) == 1500
    peer.close()


def test_refused_logins_have_their_reason(lab):
    port = lab.ports.take()
    server = lab.flag_server("--metrics", port)
    for _ in range(3):
        peer = RawClient(server.port)
        assert peer.login("another token")["error"]
        peer.close()
    seen = until(
        port,
        "three refusals",
        lambda s: s.get("mlgate_server_openings_ended_total", reason="auth-failed") == 3,
    )
    assert seen.get("mlgate_server_logins_total") == 0
    good = RawClient(server.port)
    assert not good.login(TOKEN, run_id="the-same").get("error")
    assert not RawClient(server.port).login(TOKEN, run_id="the-same").get("error")
    seen = scrape(port)
    assert seen.get("mlgate_server_sessions_ended_total", reason="replaced") == 1
    assert seen.get("mlgate_server_logins_total") == 2
    good.close()


HOSTILE = [
    'a"} 1\nup 0\n',
    "\\",
    "\\\\x01",
    "\\x01",
    "\x01",
    "{}",
    "# TYPE x counter",
    "\x7f\x1b[31m",
    "Ünïcödé",
    "名" * 80,
    "x" * 255,
    "x" * 254 + "\n",
]


def test_hostile_names_stay_labels(lab):
    port = lab.ports.take()
    server = with_metrics(lab.server(proxy_bind_addr=ELSEWHERE), port)
    peer = RawClient(server.port)
    assert not peer.login(TOKEN).get("error")
    first = lab.ports.take_row(len(HOSTILE))
    for i, name in enumerate(HOSTILE):
        assert not peer.new_proxy(name, first + i).get("error"), name
    seen = scrape(port)
    named = {dict(key)["name"] for key in seen.all("frp_server_connection_counts")}
    assert len(named) == len(HOSTILE)  # different names stay different
    assert all(" " <= c < "\x7f" for name in named for c in name)
    assert seen.get("up") is None
    peer.close()


MANY = 2100
LISTED = 2000  # SERVER_METRICS_PROXIES_MAX


def crowded_server(lab):
    """With more proxies than are listed by name; (metrics port, the client that has them)."""
    port = lab.ports.take()
    server = with_metrics(lab.server(proxy_bind_addr=ELSEWHERE), port)
    peer = RawClient(server.port)
    assert not peer.login(TOKEN).get("error")
    for i in range(MANY):
        assert not peer.new_proxy(f"proxy-{i:04d}-{'x' * 100}", 10000 + i).get("error")
    return port, peer


def test_series_are_bounded_and_a_stalled_reader_costs_nobody(lab):
    port, peer = crowded_server(lab)
    seen = scrape(port)
    assert seen.get("frp_server_proxy_counts", type="tcp") == MANY
    assert seen.get("mlgate_server_proxies_not_listed") == MANY - LISTED
    users = seen.all("frp_server_connection_counts")
    assert len(users) == LISTED + 1
    assert users[frozenset({"name": "", "type": "tcp"}.items())] == 0
    assert len(seen.all("mlgate_server_proxy_traffic_in_bytes_total")) == LISTED
    last = User(10000 + MANY - 1, host=ELSEWHERE)
    until(port, "a user", lambda s: s.get("frp_server_connection_counts", name="", type="tcp") == 1)
    last.sock.close()

    size = len(seen.text)
    assert size > 500_000
    stalled = [User(port, small_buffer=True) for _ in range(80)]  # more than there are places
    for user in stalled:
        user.send(get("/metrics"))
    again = scrape(port)  # once the kernel has their answers, or they have been given up
    assert len(again.samples) == len(seen.samples)
    assert again.get("mlgate_memory_held_bytes") <= 64 * 2 * size
    for user in stalled:
        user.sock.close()
    peer.close()


# ---- the page ------------------------------------------------------------------------------------


def test_page_answers(lab):
    _, port = metrics_gateway(lab, lab.ports.take(), lab.ports.take())
    status, headers, body = ask(port)
    assert (status, headers["Connection"]) == (200, "close")
    assert int(headers["Content-Length"]) == len(body)
    with Wire(port) as user:
        user.send(b"HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
        head = user.head()
        assert head.status == 200 and int(head.get("content-length")) > 5000
        assert user.rest() == (b"", "eof")
    assert ask(port, "/metrics?a=b")[0] == 200
    for path in ("/", "/metric", "/metrics/", "/metrics/x", "/%6detrics", "/mlgate/status"):
        assert ask(port, path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, _ = ask(port, method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD"), method
    for request, status in (
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /metrics HTTP/3.0\r\nHost: h\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 9000, 431),
        (b"GET /metrics HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    ):
        assert ask_once(port, request)[0].status == status, request[:40]


def test_requests_in_pieces_and_beyond_their_end(lab):
    _, port = metrics_gateway(lab, lab.ports.take(), lab.ports.take())
    with Wire(port) as user:
        for byte in b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n":
            user.send(bytes([byte]))
        assert user.answer()[0].status == 200
    with Wire(port) as user:  # a second request is not answered, and does not spoil the first
        user.send(get("/metrics") + get("/metrics") + b"x" * 50_000)
        head, body = user.answer()
        assert head.status == 200 and Scrape(body.decode()).samples
        assert user.rest()[0] == b""


def test_two_hundred_at_once(lab):
    _, port = metrics_gateway(lab, lab.ports.take(), lab.ports.take())
    users = [Wire(port, timeout=within(20)) for _ in range(200)]
    for user in users:
        user.send(get("/metrics"))
    for user in reversed(users):  # those that had to wait for a place first
        head, body = user.answer()
        assert head.status == 200 and body.endswith(b"\n")
    for user in users:
        user.close()


@pytest.mark.slow_once
def test_slow_heads_make_room(lab):
    """All places are taken by heads that never end; the gateway is served as ever, and so is a scrape
    when they have been given up."""
    way, port = metrics_gateway(lab, Management(lab).port, stub_inference(lab).port)
    slow = [Wire(port) for _ in range(100)]
    for user in slow:
        user.send(b"GET /metrics HTTP/1.1\r\nHost: ")
    assert ask_once(way.poc, get("/api/v1/state"))[0].status == 200
    with Wire(port, timeout=within(30)) as user:
        user.send(get("/metrics"))
        assert user.answer()[0].status == 200
    assert {user.gone(within(30)) for user in slow[:64]} == {"reset"}
    for user in slow:
        user.close()


def test_a_taken_port_is_a_warning(lab):
    first, port = metrics_gateway(lab, Management(lab).port, stub_inference(lab).port)
    second = open_gateway(
        lab, Management(lab).port, stub_inference(lab).port, METRICS_LISTEN=str(port)
    )
    line = rf"\[W\].*no metrics: cannot listen on 127.0.0.1:{port}: .*address already in use"
    second.gateway.wait_line(line, within(5))
    known_load(second)
    assert scrape(port).sum("mlgate_gateway_requests_total") == 0
    assert first.gateway.running()


def test_an_open_address_is_a_warning(lab):
    port = lab.ports.take()
    way = open_gateway(lab, lab.ports.take(), lab.ports.take(), METRICS_LISTEN=f":{port}")
    way.gateway.wait_line(
        rf"\[W\].*METRICS_LISTEN: 0.0.0.0 is not a loopback address: .* port {port} ", within(5)
    )
    assert scrape(port).types
    _, own = metrics_gateway(lab, lab.ports.take(), lab.ports.take())
    assert own and "is not a loopback" not in lab.processes[-1].text()


def test_off_by_default(lab):
    way = open_gateway(lab, lab.ports.take(), lab.ports.take())
    assert ask_once(way.port, get("/metrics"))[0].status != 200
    assert "metrics" not in way.gateway.text()


def test_flag_wins_over_variable(lab):
    ports = lab.ports.take(), lab.ports.take()
    words = ["--listen", f":{lab.ports.take()}", "--listen-poc", f":{lab.ports.take()}"]
    process = lab.mlgate(
        "gateway", *words, f"--metrics={ports[0]}", env={"METRICS_LISTEN": str(ports[1])}
    )
    process.wait_line(rf"metrics on http://127.0.0.1:{ports[0]}/", within(5))
    assert scrape(ports[0]).types
    assert lab.ports.is_free(ports[1])


# ---- the container, and the list -----------------------------------------------------------------


def documented():
    """{name: type} of doc/METRICS.md's tables."""
    text = (ROOT / "doc" / "METRICS.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `((?:mlgate|frp)_\w+)` \| (\w+) \|", text, re.M))


def test_container_and_the_whole_list(lab):
    """Restarts are counted, and doc/METRICS.md names each metric that there is, and no other."""
    ports = lab.ports.take(), lab.ports.take()
    server = lab.flag_server("--metrics", ports[0])
    box = Container(lab, server, METRICS_LISTEN=str(ports[1])).start("run").wait_ready()
    starts = "mlgate_container_child_starts_total"
    seen = until(ports[1], "PID 1's word", lambda s: s.get(starts, child="worker") == 1)
    assert seen.get("mlgate_container_child_up", child="mlnode") == 1
    assert seen.get("mlgate_tunnel_up", server="1", address=f"127.0.0.1:{server.port}") == 1
    there = scrape(ports[0])
    assert {**seen.types, **there.types} == documented()
    old = box.child("mlgate-worker")
    box.kill("mlgate-worker")
    box.wait_child("mlgate-worker", other_than=old)

    def again():
        return scrape(ports[1]).get(starts, child="worker") == 2

    eventually(again, within(10), "the second start")


def test_each_server_by_itself(lab):
    """One that is away, beside one that serves."""
    port = lab.ports.take()
    server = lab.flag_server()
    addresses = f"127.0.0.1:{lab.ports.take()}", f"127.0.0.1:{server.port}"
    box = Container(lab, FRP_SERVER=",".join(addresses), METRICS_LISTEN=str(port)).start("run")
    labels = [{"server": f"{i + 1}", "address": each} for i, each in enumerate(addresses)]
    name = "mlgate_tunnel_sessions_ended_total"

    def both(seen):
        away = seen.get(name, reason="connect-refused", **labels[0])
        return seen.get("mlgate_tunnel_up", **labels[1]) == 1 and away

    eventually(lambda: box.state(box.port_1), within(15), "the way through the second")
    seen = until(port, "one up and one refused", both, 15)
    assert seen.get("mlgate_tunnel_up", **labels[0]) == 0
    assert seen.sum("mlgate_tunnel_port_open", **labels[0]) == 0
    assert seen.sum("mlgate_tunnel_port_open", **labels[1]) == 2
    assert seen.sum(name, **labels[1]) == 0
    assert seen.get("mlgate_tunnel_state", state="registered", **labels[1]) == 1


def test_promtool_has_nothing_to_say(lab):
    server_port, client_port = lab.ports.take(), lab.ports.take()
    server = lab.flag_server("--metrics", server_port)
    box = Container(lab, server, METRICS_LISTEN=str(client_port)).start("run").wait_ready()
    ask_once(box.port_1, get("/api/v1/state"))
    for port in (server_port, client_port):
        assert promtool("check", "metrics", text=ask(port)[2].decode()) == ""


def test_tunnel_with_gateway(lab):
    """What came through the tunnel is counted by both."""
    port = lab.ports.take()
    way = open_tunnel(
        lab, Management(lab).port, stub_inference(lab).port, METRICS_LISTEN=str(port)
    )
    before = until(port, "MLNode's state", lambda s: s.sum("mlgate_mlnode_state", state="inference"))
    known_load(way)
    after = until(port, "idle", lambda s: s.sum("mlgate_tunnel_streams") == 0)
    check_known_load(before, after)
    assert after.sum("mlgate_tunnel_users_total") == 9
    bodies = after.get("mlgate_gateway_response_body_bytes_total")
    assert after.sum("mlgate_tunnel_traffic_out_bytes_total") > bodies + 9 * len("HTTP/1.1 200")
    assert after.sum("mlgate_tunnel_port_open") == 2


# ---- deploy/prometheus ---------------------------------------------------------------------------

DEPLOYED = ROOT / "deploy" / "prometheus"


def test_alerts_ask_for_what_there_is():
    text = (DEPLOYED / "alerts.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:mlgate|frp)_\w+", text))
    assert len(named) > 8
    assert named <= set(documented())


def test_promtool_takes_the_alerts():
    for words in (
        ("check", "rules", DEPLOYED / "alerts.yml"),
        ("check", "config", DEPLOYED / "prometheus.yml"),
        ("test", "rules", ROOT / "tests" / "e2e" / "alerts_test.yml"),
    ):
        assert promtool(*words) == ""
