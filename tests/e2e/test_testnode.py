"""mlgate testnode with engines: what it shows a gateway that goes past MLNode's proxy."""

import contextlib
import hashlib
import json
import re
import socket
import time

import httpx
import pytest
from harness import Failure, eventually
from lab import within
from services import TIMEOUT, User

ASK = {"messages": [{"role": "user", "content": "one two"}], "stream": True}


class Node:
    """A testnode on free ports, with the model up unless told otherwise."""

    def __init__(self, lab, engines, *flags, up=True):
        words = ["--listen", "127.0.0.1:0", "--listen-management", "127.0.0.1:0", "--print-ports"]
        words += ["--load-delay", "0", "--engines", engines, "--engine-port", "0", *flags]
        self.process = lab.mlgate("testnode", *words, *(["--up"] if up else []), name="testnode")
        self.ports = json.loads(self.process.wait_line(r"^\{.*\}$")[0])
        self.inference = f"http://127.0.0.1:{self.ports['inference']}"
        self.management = f"http://127.0.0.1:{self.ports['management']}"
        self.engines = [f"http://127.0.0.1:{port}" for port in self.ports.get("engines", [])]

    def post(self, path, **more):
        return httpx.post(self.management + path, timeout=TIMEOUT, **more)

    def control(self, index, do, **more):
        words = {"port": self.ports["engines"][index], "do": do, **more}
        return self.post("/mlgate-test/engine", params=words)

    def do(self, index, do, **more):
        answer = self.control(index, do, **more)
        assert answer.status_code == 200, answer.text

    def report(self):
        return httpx.get(self.management + "/mlgate-test/engines", timeout=TIMEOUT).json()

    def count(self, name):
        return [engine[name] for engine in self.report()["engines"]]

    def state(self):
        return httpx.get(self.management + "/api/v1/state", timeout=TIMEOUT).json()["state"]

    def down(self, path="/api/v1/inference/down"):
        assert self.post(path).status_code == 200

    def up(self):
        assert self.post("/api/v1/inference/up", json={"model": "m"}).status_code == 200


@pytest.fixture
def node(lab):
    return Node(lab, 2)


def ask(base, **more):
    vendor = {"mlgate_test": more} if more else {}
    return httpx.post(f"{base}/v1/chat/completions", json={**ASK, **vendor}, timeout=TIMEOUT)


@contextlib.contextmanager
def streaming(base, tokens=100000, rate=20):
    """A completion under way: its first piece has come."""
    asked = {**ASK, "mlgate_test": {"tokens": tokens, "rate": rate}}
    url = f"{base}/v1/chat/completions"
    with httpx.stream("POST", url, json=asked, timeout=TIMEOUT) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        yield pieces


def refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def health(base):
    return httpx.get(f"{base}/health", timeout=TIMEOUT)


def words_of(text):
    return re.findall(r'"content":"(one|two)-(\d+) "', text)


def assert_truncated(pieces):
    """The stream broke off: an end of the connection without the last chunk."""
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        for _ in pieces:
            pass


def raw_get(port, path, more=""):
    """The whole answer as it came, until the connection ends."""
    with User(port) as user:
        user.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n".encode())
        return user.read_rest().decode()


# ---- the engines themselves ----------------------------------------------------------------------


def test_without_engines_the_inference_port_answers(lab):
    node = Node(lab, 0)
    assert set(node.ports) == {"inference", "management"}
    assert len(words_of(ask(node.inference, tokens=3, rate=0).text)) == 3
    assert node.report() == {"proxied": 1, "engines": []}
    answer = node.post("/mlgate-test/engine", params={"port": 5001, "do": "crash"})
    assert answer.status_code == 404


def test_engines_answer_as_vllm(node):
    for base in node.engines:
        answer = health(base)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers.get_list("server") == ["uvicorn"]
        assert answer.headers["content-length"] == "0"
        streamed = ask(base, tokens=5, rate=0)
        assert streamed.headers["transfer-encoding"] == "chunked"
        assert [int(n) for _, n in words_of(streamed.text)] == list(range(5))
        tokens = httpx.post(f"{base}/tokenize", json={"prompt": "a b c"}, timeout=TIMEOUT)
        assert tokens.json()["count"] == 3
        assert httpx.get(f"{base}/api/v1/state", timeout=TIMEOUT).status_code == 404
    assert node.count("requests") == [2, 2]
    assert node.count("probes") == [2, 2]  # for health, and for a path that no engine has
    assert node.report()["proxied"] == 0


def test_models_agree_but_not_in_bytes(node):
    """As with vLLM: comparing two answers byte by byte never works, comparing the ids does."""
    answers = [
        httpx.get(f"{base}/v1/models", timeout=TIMEOUT)
        for base in (*node.engines, node.inference, node.engines[0])
    ]
    assert len({answer.content for answer in answers}) == 4
    assert len({answer.json()["data"][0]["permission"][0]["id"] for answer in answers}) == 4
    assert {answer.json()["data"][0]["id"] for answer in answers} == {"Qwen/Qwen3-32B-FP8"}
    assert abs(answers[0].json()["data"][0]["created"] - time.time()) < within(30)


def test_fixed_ports_follow_each_other(lab):
    free = lab.ports.is_free
    first = next(p for p in iter(lab.ports.take, None) if free(p + 1) and free(p + 2))
    node = Node(lab, 3, "--engine-port", first)
    assert node.ports["engines"] == [first, first + 1, first + 2]
    node.process.wait_line(rf"engines on ports {first}, {first + 1}, {first + 2}$")
    assert [health(base).status_code for base in node.engines] == [200] * 3


@pytest.mark.parametrize(
    "flags",
    [
        ("--engines", "129"),
        ("--engines", "-1"),
        ("--engine-port", "65536"),
        ("--engine-idle-ms", "0"),
        ("--engine-idle-ms", "3600001"),
    ],
)
def test_bad_flags(lab, flags):
    process = lab.mlgate("testnode", *flags)
    assert process.wait_end(within(5)) == 2
    assert f"bad value for {flags[0]}: {flags[1]}" in process.text()


def test_ports_beyond_the_last(lab):
    process = lab.mlgate("testnode", "--engines", "2", "--engine-port", "65535")
    assert process.wait_end(within(5)) == 1
    assert "out of range" in process.text()


def test_a_taken_engine_port_ends_it(lab):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["--listen", "127.0.0.1:0", "--listen-management", "127.0.0.1:0"]
        process = lab.mlgate("testnode", *words, "--engines", "1", "--engine-port", str(port))
        assert process.wait_end(within(5)) == 1
    process.wait_line(rf"cannot bind the port of engine 1 \({port}\)")


def test_idle_connections_are_closed(lab):
    node = Node(lab, 1, "--engine-idle-ms", "300")
    with User(node.ports["engines"][0]) as user:
        for _ in range(2):
            user.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            while user.read_line() != "\r\n":
                pass
        began = time.monotonic()
        assert user.ending() == "eof"
        assert 0.2 < time.monotonic() - began < within(2)


# ---- the proxy on the inference port -------------------------------------------------------------


def test_proxy_streams(node):
    with streaming(node.inference, tokens=4, rate=8) as pieces:
        arrivals = [time.monotonic() for _ in pieces]
    assert arrivals[-1] - arrivals[0] > 0.2  # one by one, not at the end
    answer = ask(node.inference, tokens=50, rate=0, event_bytes=2000)
    assert [int(n) for _, n in words_of(answer.text)] == list(range(50))
    assert node.report()["proxied"] == 2
    assert sum(node.count("requests")) == 2


def test_proxy_drops_lengths_and_doubles_identity(node):
    answer = httpx.get(f"{node.inference}/v1/models", timeout=TIMEOUT)
    assert "content-length" not in answer.headers
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers.get_list("date")) == 2
    assert answer.headers.get_list("server") == ["uvicorn", "uvicorn"]
    # an answer without a body is chunked as well
    assert raw_get(node.ports["inference"], "/health").endswith("\r\n\r\n0\r\n\r\n")
    assert httpx.head(f"{node.inference}/health", timeout=TIMEOUT).status_code == 405


def test_proxy_ends_http_1_0_answers_by_closing(node):
    with User(node.ports["inference"]) as user:
        user.send(b"GET /v1/models HTTP/1.0\r\n\r\n")
        head, _, body = user.read_rest().partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert json.loads(body)["object"] == "list"


def test_proxy_keeps_client_connections(node):
    with httpx.Client(base_url=node.inference, timeout=TIMEOUT) as client:
        for _ in range(20):
            assert client.get("/health").status_code == 200
            assert client.post("/tokenize", json={"prompt": "a"}).json()["count"] == 1
    assert node.report()["proxied"] == 40


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_proxy_carries_large_bodies(node, chunked):
    block = b"0123456789abcdef" * 4096
    count = 200

    def blocks():
        for _ in range(count):
            yield block

    headers = {} if chunked else {"content-length": str(len(block) * count)}
    url = f"{node.inference}/mlgate-test/sink"
    answer = httpx.post(url, content=blocks(), headers=headers, timeout=TIMEOUT).json()
    assert answer["bytes"] == len(block) * count
    assert answer["sha256"] == hashlib.sha256(block * count).hexdigest()


def test_proxy_waits_for_a_slow_reader(node):
    total = 64 * 1024 * 1024
    before = node.process.resident_kib()
    digests = []
    for base in (node.engines[0], node.inference):
        digest = hashlib.sha256()
        url = f"{base}/mlgate-test/source?bytes={total}"
        with httpx.stream("GET", url, timeout=TIMEOUT) as answer:
            for number, piece in enumerate(answer.iter_raw()):
                if number == 0:
                    time.sleep(0.3)  # what the reader does not take must not pile up
                    grown = node.process.resident_kib() - before
                digest.update(piece)
        digests.append(digest.digest())
    assert digests[0] == digests[1]
    assert grown < within(16 * 1024)


def test_proxy_chooses_the_least_busy(node):
    with streaming(node.inference), streaming(node.inference), streaming(node.inference):
        assert node.count("active") == [2, 1]
        with streaming(node.inference):
            assert node.count("active") == [2, 2]
        eventually(lambda: sum(node.count("active")) == 3, within(5), "the end of the fourth")
    eventually(lambda: node.count("active") == [0, 0], within(5), "the end of all")
    assert node.count("max_active") == [2, 2]
    assert node.count("requests") == [2, 2]
    assert node.count("aborted") == [2, 2]


def test_finished_requests_no_longer_count_for_the_choice(node):
    with streaming(node.inference):
        for _ in range(3):
            ask(node.inference, tokens=1, rate=0)
    assert node.count("requests") == [1, 3]


def test_management_passes_v1_on(node):
    assert len(words_of(ask(node.management, tokens=2, rate=0).text)) == 2
    assert sum(node.count("requests")) == 1
    assert node.report()["proxied"] == 0


def test_half_closed_request_is_dropped(node):
    with User(node.ports["inference"]) as user:
        user.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        user.finish()
        assert user.ending() in ("eof", "reset")


# ---- crash and back ------------------------------------------------------------------------------


def test_crash_resets_the_engine(node):
    port = node.ports["engines"][0]
    with User(port) as idle, User(port) as busy:
        asked = json.dumps({**ASK, "mlgate_test": {"tokens": 1000}}).encode()
        busy.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        busy.send(b"Content-Length: %d\r\n\r\n%s" % (len(asked), asked))
        busy.read_line()
        node.do(0, "crash")
        with pytest.raises(ConnectionResetError):
            busy.read_rest()
        assert idle.ending() == "reset"
    assert refused(port)
    assert node.count("alive") == [False, True]
    assert node.count("active") == [0, 0]
    assert node.count("aborted") == [0, 0]  # it was not the client's doing
    assert node.state() == "INFERENCE"
    assert health(node.inference).status_code == 200  # by the other one
    node.do(0, "back")
    assert health(node.engines[0]).status_code == 200


def test_crash_truncates_a_stream_of_the_proxy(node):
    with streaming(node.inference) as pieces:
        node.do(0, "crash")
        assert_truncated(pieces)
    assert len(words_of(ask(node.inference, tokens=2, rate=0).text)) == 2


def test_crash_before_the_head_is_502(node):
    node.do(0, "slow", delay_ms=60000)
    with User(node.ports["inference"]) as user:
        user.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: node.count("probes") == [1, 0], within(5), "the request at the engine")
        node.do(0, "crash")
        assert user.read_line() == "HTTP/1.1 502 Bad Gateway\r\n"
        # the connection lives on, and the other engine answers
        user.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        rest = user.read_rest().decode()
    assert '{"detail":"the backend did not answer"}HTTP/1.1 200 OK' in rest


def test_the_last_crash_closes_the_inference_port(node):
    port = node.ports["inference"]
    with User(port) as idle, streaming(node.inference) as pieces:
        node.do(1, "crash")
        assert idle.quiet(0.1)
        node.do(0, "crash")
        assert idle.ending() == "eof"
        assert_truncated(pieces)
    assert refused(port)
    assert node.state() == "INFERENCE"
    answer = ask(node.management)
    assert answer.status_code == 503
    assert answer.json() == {"detail": "no backend is available"}
    node.do(1, "back")
    assert len(words_of(ask(node.inference, tokens=2, rate=0).text)) == 2
    assert node.count("requests") == [1, 1]


# ---- slow, sick, frozen --------------------------------------------------------------------------


def test_slow_engine(node):
    node.do(0, "slow", delay_ms=400)
    began = time.monotonic()
    health(node.engines[1])
    normal = time.monotonic() - began
    health(node.engines[0])
    assert time.monotonic() - began - normal > 0.39
    node.do(0, "slow", delay_ms=0)
    assert node.count("delay_ms") == [0, 0]


def test_sick_engine(node):
    node.do(0, "sick")
    assert health(node.engines[0]).status_code == 500
    assert len(words_of(ask(node.engines[0], tokens=2, rate=0).text)) == 2  # it still works
    assert len(words_of(ask(node.inference, tokens=2, rate=0).text)) == 2  # and is not chosen
    assert node.count("requests") == [1, 1]
    node.do(1, "sick")
    answer = health(node.inference)
    assert answer.status_code == 503
    assert answer.json() == {"detail": "no backend is available"}
    node.do(0, "well")
    assert health(node.engines[0]).status_code == 200
    assert health(node.inference).status_code == 200


def test_frozen_engine(node):
    port = node.ports["engines"][0]
    with streaming(node.engines[0], tokens=8, rate=10) as pieces, User(port) as before:
        node.do(0, "freeze")
        with User(port) as after:  # it still accepts
            for user in (before, after):
                user.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert before.quiet(0.4) and after.quiet(0.1)
            assert node.count("frozen") == [True, False]
            assert health(node.engines[1]).status_code == 200
            node.do(0, "back")
            for user in (before, after):
                assert user.read_line() == "HTTP/1.1 200 OK\r\n"
        assert b"[DONE]" in b"".join(pieces)


def test_frozen_engine_keeps_idle_connections(lab):
    node = Node(lab, 1, "--engine-idle-ms", "100")
    with User(node.ports["engines"][0]) as user:
        user.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        while user.read_line() != "\r\n":
            pass
        node.do(0, "freeze")
        if user.quiet(0):  # the freeze came in time
            assert user.quiet(0.3)
        node.do(0, "back")
        assert user.ending() == "eof"


def test_client_of_a_frozen_engine_leaves(node):
    node.do(0, "freeze")
    with User(node.ports["engines"][0]) as user:
        user.send(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        eventually(lambda: node.count("active") == [1, 0], within(5), "the request at the engine")
    eventually(lambda: node.count("aborted") == [1, 0], within(5), "the abort at the engine")
    assert node.count("active") == [0, 0]
    node.do(0, "crash")
    node.do(0, "back")
    assert health(node.engines[0]).status_code == 200


# ---- who left ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["engine", "inference"])
def test_aborted_requests_are_counted(node, way):
    with streaming(node.engines[0] if way == "engine" else node.inference):
        assert node.count("active") == [1, 0]
    eventually(lambda: node.count("aborted") == [1, 0], within(5), "the abort at the engine")
    assert node.count("active") == [0, 0]
    ask(node.engines[0], tokens=2, rate=0)
    assert node.count("aborted") == [1, 0]


def test_leaving_in_the_request_body_reaches_the_engine(node):
    with User(node.ports["inference"]) as user:
        user.send(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        eventually(lambda: node.count("active") == [1, 0], within(5), "the request at the engine")
    eventually(lambda: node.count("aborted") == [1, 0], within(5), "the abort at the engine")


def test_crash_in_the_request_body(node):
    with User(node.ports["inference"]) as user:
        user.send(b"POST /mlgate-test/sink HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        eventually(lambda: node.count("active") == [1, 0], within(5), "the request at the engine")
        node.do(0, "crash")
        user.send(b"b")
        assert user.read_line() == "HTTP/1.1 502 Bad Gateway\r\n"


# ---- up, down, stop ------------------------------------------------------------------------------


def test_proof_of_compute_has_priority(node):
    """Streams under way break off, new completions are refused, until it is stopped."""
    start, stop = ("/api/v1/inference/pow/" + word for word in ("init/generate", "stop"))
    with streaming(node.inference) as pieces:
        begun = node.post(start, json={"url": "http://203.0.113.7:9100"})
        assert begun.status_code == 200 and begun.json()["backends"] == 2
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    status = httpx.get(node.management + "/api/v1/inference/pow/status", timeout=TIMEOUT)
    assert status.json()["status"] == "GENERATING" and node.state() == "INFERENCE"
    answer = ask(node.inference)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert node.post(stop).status_code == 200
    assert ask(node.inference).status_code == 200
    node.down()
    assert node.post(start).status_code == 503


@pytest.mark.parametrize("path", ["/api/v1/inference/down", "/api/v1/stop"])
def test_down_ends_all_engines(node, path):
    ports = [*node.ports["engines"], node.ports["inference"]]
    with contextlib.ExitStack() as stack:
        bases = (*node.engines, node.inference, node.management)
        live = [stack.enter_context(streaming(base)) for base in bases]
        node.down(path)
        for pieces in live:
            assert_truncated(pieces)
    assert [refused(port) for port in ports] == [True] * 3
    assert node.count("alive") == [False, False]
    assert node.count("active") == [0, 0]
    assert node.state() == "STOPPED"
    node.up()
    assert [health(base).status_code for base in (*node.engines, node.inference)] == [200] * 3


def test_down_is_502_on_the_management_port_before_the_head(node):
    node.do(0, "slow", delay_ms=60000)
    with User(node.ports["management"]) as user:
        user.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: node.count("probes") == [1, 0], within(5), "the request at the engine")
        node.down()
        assert user.read_line() == "HTTP/1.1 502 Bad Gateway\r\n"


def test_not_before_up(lab):
    node = Node(lab, 2, up=False)
    assert [refused(p) for p in (*node.ports["engines"], node.ports["inference"])] == [True] * 3
    assert node.count("alive") == [False, False]
    node.up()
    assert health(node.engines[1]).status_code == 200


def test_a_new_process_is_neither_crashed_nor_frozen(node):
    node.do(0, "crash")
    node.do(1, "freeze")
    node.down()
    node.do(0, "sick")
    node.do(1, "slow", delay_ms=1)
    node.up()
    assert node.count("alive") == [True, True]
    assert node.count("frozen") == [False, False]
    assert [health(base).status_code for base in node.engines] == [500, 200]  # settings stay
    assert node.count("delay_ms") == [0, 1]


# ---- nonsense ------------------------------------------------------------------------------------


def test_nonsense_is_refused_in_json(node):
    port = node.ports["engines"][0]
    for words, status in (
        ({}, 400),
        ({"port": port}, 400),
        ({"port": port, "do": "dance"}, 400),
        ({"port": "x", "do": "crash"}, 400),
        ({"port": port, "do": "slow"}, 400),
        ({"port": port, "do": "slow", "delay_ms": 10**9}, 400),
        ({"port": node.ports["inference"], "do": "crash"}, 404),
        ({"port": port, "do": "back"}, 409),
    ):
        answer = node.post("/mlgate-test/engine", params=words)
        assert (answer.status_code, list(answer.json())) == (status, ["detail"]), words
    node.do(0, "crash")
    assert node.control(0, "crash").status_code == 409
    assert node.control(0, "freeze").status_code == 409
    node.down()
    for do in ("crash", "back", "freeze"):
        assert node.control(1, do).status_code == 409
    wrong = httpx.get(f"{node.management}/mlgate-test/engine", timeout=TIMEOUT)
    assert wrong.status_code == 405


def test_many_at_once(lab):
    """More connections than fit into one turn, over all engines, and a crash in the middle."""
    node = Node(lab, 8)
    asked = json.dumps({**ASK, "mlgate_test": {"tokens": 20, "rate": 10}}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(User(node.ports["inference"])) for _ in range(160)]
        for user in users:
            user.send(head + b"Content-Length: %d\r\n\r\n%s" % (len(asked), asked))
        eventually(lambda: sum(node.count("requests")) == 160, within(10), "all at the engines")
        node.do(3, "crash")
        answers = [user.read_rest() for user in users]
    whole = [answer for answer in answers if answer.endswith(b"0\r\n\r\n")]
    assert len(whole) == 140
    assert all(answer.count(b'"content":"one-') == 10 for answer in whole)
    assert node.count("max_active") == [20] * 8


def test_stops_while_everything_is_busy(node):
    node.do(1, "freeze")
    with streaming(node.inference), streaming(node.engines[0]), User(node.ports["engines"][1]):
        assert node.process.stop(within(3)) == 0
    with pytest.raises(Failure):
        eventually(lambda: not refused(node.ports["inference"]), 0.1, "a port that stays closed")
