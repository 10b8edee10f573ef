"""What one request through the gateway becomes and what comes back: framing without a body, heads,
addresses, paths, and the answers that are the gateway's own.
"""

import json
import socket
import threading
import time

import pytest
from gateways import (
    CHAT,
    LAST,
    WAYS,
    Management,
    Upstream,
    Wire,
    chunk,
    get,
    head_of,
    open_gateway,
    post,
)
from harness import eventually
from lab import within
from streams import STREAM, answer_ok, begin


def exchange(scene, request, answer=head_of("200 OK", "content-length: 2") + b"ok"):
    """One request on a connection of its own: the user's side, and the head that the upstream got.
    Its body was read, and it has answered."""
    way, upstream = scene
    user = way.wire()
    user.send(request)
    hop, head = upstream.request()
    hop.body(head)
    hop.send(answer)
    return user, head


def still_works(user):
    """The connection carries another request: the end of the answer before was seen."""
    user.send(get("/api/v1/state"))
    return user.answer()[0].status == 200


# ---- answers without a body ----------------------------------------------------------------------


def test_head_has_a_length_and_no_body(scene):
    request = b"HEAD /v1/models HTTP/1.1\r\nhost: gw\r\n\r\n"
    user, seen = exchange(scene, request, head_of("200 OK", "content-length: 1234"))
    assert seen.first == "HEAD /v1/models HTTP/1.1"
    assert user.head().get("content-length") == "1234"
    assert still_works(user)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_a_body(scene, status):
    """A length that comes with one all the same announces nothing."""
    fields = ["content-length: 55"] if status.startswith("304") else []
    user, _ = exchange(scene, get("/v1/models"), head_of(status, *fields))
    head = user.head()
    assert head.first == f"HTTP/1.1 {status}"
    assert head.get("content-length") == ("55" if fields else None)
    assert still_works(user)


def test_an_error_of_ours_to_head_has_no_body(lab):
    way = open_gateway(lab, lab.ports.take(), lab.ports.take())
    user = way.wire()
    for _ in range(2):
        user.send(b"HEAD /v1/models HTTP/1.1\r\nhost: gw\r\n\r\n")
        head = user.head()
        assert head.status == 503 and int(head.get("content-length")) > 0
    assert user.quiet(0)


# ---- heads ---------------------------------------------------------------------------------------


def test_response_fields_pass_as_they_are(scene):
    """Repeated ones too (MLNode sends date and server twice), and nothing is added: the API node
    copies every field to its public client."""
    fields = [
        "date: Mon, 01 Jan 2029 00:00:00 GMT",
        "server: uvicorn",
        "Date: Mon, 01 Jan 2029 00:00:01 GMT",
        "server: uvicorn",
        "X-Odd-Case:  two  blanks",
        "set-cookie: a=1",
        "set-cookie: b=2",
        "content-length: 2",
    ]
    user, _ = exchange(scene, get("/v1/models"), head_of("200 Fine Indeed", *fields) + b"ok")
    sent = [tuple(part.strip() for part in field.split(":", 1)) for field in fields]
    head = user.head()
    assert head.first == "HTTP/1.1 200 Fine Indeed"
    got = [field for field in head.fields if field[0].lower() != "content-length"]
    assert got == [("content-type", "text/event-stream"), *sent[:-1]]


def test_hop_by_hop_fields_end_here(scene):
    asked = {"connection": "keep-alive, x-mine", "x_mine": "1", "te": "trailers", "x_other": "2"}
    offer = {"upgrade": "h2c", "http2_settings": "AAMAAABkAAQAAP__", "keep_alive": "timeout=5"}
    answer = ["connection: x-yours", "x-yours: 1", "keep-alive: timeout=5", "content-length: 2"]
    user, seen = exchange(scene, post(**asked, **offer), head_of("200 OK", *answer) + b"ok")
    names = {name.lower() for name, _ in seen.fields}
    gone = {"x-mine", "te", "upgrade", "http2-settings", "keep-alive"}
    assert not names & gone and seen.get("x-other") == "2"
    head = user.head()
    assert not {name.lower() for name, _ in head.fields} & {"x-yours", "keep-alive", "connection"}


CONTENT_TYPES = {
    "absent": (None, "application/json"),
    "present": ("text/plain; charset=latin-1", "text/plain; charset=latin-1"),
    "empty": ("", ""),
}


@pytest.mark.parametrize("given", CONTENT_TYPES)
def test_content_type_of_a_post(scene, given):
    """The API node sends none, which newer FastAPI refuses; a present one is never changed."""
    before, after = CONTENT_TYPES[given]
    _, seen = exchange(scene, post(content_type=before))
    assert seen.all("content-type") == [after]


def test_a_get_gets_no_content_type(scene):
    assert exchange(scene, get("/v1/models"))[1].get("content-type") is None


def test_the_clients_address(scene):
    """In the head and in the log, also through the tunnel, and behind what the client claims."""
    way, upstream = scene
    with way.wire(source="127.0.0.77") as user:
        user.send(post(x_forwarded_for="203.0.113.9", x_real_ip="203.0.113.9", path=f"{CHAT}?key=1"))
        hop, head = upstream.request()
        answer_ok(hop, head)
        user.answer()
        assert head.get("x-real-ip") == "127.0.0.77"
        assert head.all("x-forwarded-for") == ["203.0.113.9, 127.0.0.77"]
        assert head.get("x-forwarded-proto") == "http"
        assert head.get("host") == "gw"
        way.gateway.wait_line(rf"POST {CHAT} 200, 2 bytes, .* client {user.address}, .* done$")
        assert "key=1" not in way.gateway.text()


PATHS = {
    "/v0.2.14/v1/models": "/v1/models",
    "/v0.2.13-post2/v1/models/a%252Fb?x=%252F&y=a+b": "/v1/models/a%252Fb?x=%252F&y=a+b",
    "/v0.2.14/v1/v0.2.14/x": "/v1/v0.2.14/x",
    "/v1/models/%7Euser/%2e%2e%2e": "/v1/models/%7Euser/%2e%2e%2e",
    "/v1/models?": "/v1/models?",
    "/v1/a:b@c;d=e,f": "/v1/a:b@c;d=e,f",
}


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_forwarded_byte_for_byte(scene, path):
    """Except one version prefix, which goes once."""
    _, seen = exchange(scene, get(path))
    assert seen.first == f"GET {PATHS[path]} HTTP/1.1"


def test_a_second_version_prefix_stays(lab):
    """It is no path of the engine's any more: it goes where the port belongs."""
    management = Upstream(lab)
    way = open_gateway(lab, management.port, Upstream(lab).port)
    way.wire().send(get("/v0.2.14/v0.2.13/v1/models"))
    firsts = [management.request()[1].first for _ in range(2)]  # the gateway asks here too
    assert "GET /v0.2.13/v1/models HTTP/1.1" in firsts


# ---- bodies --------------------------------------------------------------------------------------


def test_expect_100_continue(scene):
    """The upstream decides: its 100 comes through before the body leaves the client."""
    way, upstream = scene
    with way.wire() as user:
        user.send(post(body=b"", content_length=5, expect="100-continue"))
        hop, head = upstream.request()
        assert head.get("expect") == "100-continue"
        assert hop.quiet(0)
        hop.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert user.head().status == 100
        user.send(b"after")
        assert hop.take(5) == b"after"
        hop.send(head_of("200 OK", "content-length: 2") + b"ok")
        assert user.answer()[1] == b"ok"
        assert still_works(user)


def test_expect_that_is_not_met(scene):
    """A final answer instead of the 100, and no body: the connection cannot go on."""
    way, upstream = scene
    with way.wire() as user:
        user.send(post(body=b"", content_length=5, expect="100-continue"))
        hop, _ = upstream.request()
        hop.send(head_of("413 Too Large", "content-length: 2") + b"no")
        head, body = user.answer()
        assert (head.status, body) == (413, b"no")
        assert user.rest()[0] == b""
        assert hop.gone() in ("eof", "reset")


def test_expect_while_the_engine_is_down(lab):
    way = open_gateway(lab, Management(lab, "STOPPED").port, lab.ports.take())
    with way.wire() as user:
        user.send(post(body=b"", content_length=1 << 30, expect="100-continue"))
        assert user.head().status == 503


def test_an_old_client_expects_nothing(scene):
    _, seen = exchange(scene, post(version="1.0", expect="100-continue"))
    assert seen.get("expect") is None


def test_trailers_of_an_answer_pass(scene):
    """With the chunked coding as it came, extensions included."""
    coded = b"4;x=y\r\nlast\r\n0\r\nX-Checksum: 1\r\nx-more: 2\r\n\r\n"
    user, _ = exchange(scene, post(), STREAM + coded)
    user.head()
    assert user.take(len(coded)) == coded
    assert still_works(user)


def test_trailers_of_an_answer_end_at_an_old_client(scene):
    user, _ = exchange(scene, post(version="1.0"), STREAM + b"4\r\nlast\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert user.head().get("transfer-encoding") is None
    assert user.rest() == (b"last", "eof")


def test_trailers_of_a_request_end_here(scene):
    """Some servers merge them into the head (RFC 9110 6.5.1)."""
    way, upstream = scene
    with way.wire() as user:
        more = {"content_length": None, "transfer_encoding": "chunked", "trailer": "x-sum"}
        user.send(post(body=b"4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n", **more))
        hop, head = upstream.request()
        assert head.get("trailer") is None
        assert hop.take(14) == b"4\r\nbody\r\n0\r\n\r\n"
        hop.send(head_of("200 OK", "content-length: 2") + b"ok")
        assert user.answer()[1] == b"ok"
        assert hop.quiet(0)


def test_an_old_client_may_keep_its_connection(scene):
    way, upstream = scene
    with way.wire() as user:
        user.send(post(version="1.0", connection="keep-alive"))
        hop, head = upstream.request()
        answer_ok(hop, head)
        head, body = user.answer()
        assert (head.get("connection"), body) == ("keep-alive", b"ok")
        user.send(post(version="1.0"))
        answer_ok(hop)
        assert user.answer()[1] == b"ok"
        assert user.rest() == (b"", "eof")


def test_close_is_obeyed_after_the_answer(scene):
    user, seen = exchange(scene, post(connection="close"))
    assert seen.get("connection") is None
    head, body = user.answer()
    assert (head.get("connection"), body) == ("close", b"ok")
    assert user.rest() == (b"", "eof")


# ---- while MLNode does not answer ----------------------------------------------------------------


def error_of(body):
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", ["STOPPED", "INFERENCE"])
def test_503_while_the_engine_is_down(lab, way, state):
    """At once, in OpenAI's shape, with Retry-After, and the connection lives on."""
    way = WAYS[way](lab, Management(lab, state).port, lab.ports.take())
    with way.wire() as user:
        for request in (post(), get("/v1/models"), post("/tokenize", b"x" * 100000)):
            user.send(request)
            head, body = user.answer()
            assert (head.status, error_of(body)) == (503, "engine_unavailable")
            assert int(head.get("retry-after")) > 0
            assert head.get("content-type") == "application/json"
        assert still_works(user)


def test_503_while_management_is_down(lab):
    way = open_gateway(lab, lab.ports.take(), lab.ports.take())
    with way.wire() as user:
        for request in (get("/api/v1/state"), post("/api/v1/models/status")):
            user.send(request)
            head, body = user.answer()
            assert (head.status, error_of(body)) == (503, "management_unavailable")


SILENT = ["/api/v1/stop", "/api/v1/inference/up", "/v0.2.14/api/v1/stop", "/api/v1/inference%2Fup"]


@pytest.mark.parametrize("path", SILENT)
@pytest.mark.parametrize("way", WAYS)
def test_stop_and_up_that_cannot_be_delivered(lab, way, path):
    """The API node takes any answer for success: so there is none."""
    way = WAYS[way](lab, lab.ports.take(), lab.ports.take())
    with way.wire() as user:
        user.send(post(path, body=b"", content_type=None))
        assert user.rest()[0] == b""
    way.gateway.wait_line(r"POST \S+ 0, 0 bytes, .* upstream-down$")


def wait_for(upstream, method):
    """The next request of that method; the gateway's own questions come to management too."""
    while True:
        hop, head = upstream.request()
        if head.first.startswith(method):
            hop.body(head)
            return hop


@pytest.mark.parametrize("ending", ["upstream", "gateway"])
def test_stop_that_was_begun_and_not_answered(lab, ending):
    """MLNode dies, or we are told to stop while it works: no answer of ours either."""
    management = Upstream(lab)
    way = open_gateway(lab, management.port, lab.ports.take())
    with way.wire() as user:
        user.send(post("/api/v1/stop", body=b""))
        hop = wait_for(management, "POST")
        if ending == "upstream":
            hop.close()
        else:
            assert way.gateway.stop(within(5)) == 0
        assert user.rest()[0] == b""


def test_mlnodes_own_answer_to_stop_passes(lab):
    management = Upstream(lab)
    way = open_gateway(lab, management.port, lab.ports.take())
    with way.wire() as user:
        user.send(post("/api/v1/stop", body=b""))
        hop = wait_for(management, "POST")
        hop.send(head_of("409 Conflict", "content-length: 2") + b"no")
        assert user.answer()[0].status == 409


# ---- the damped /health --------------------------------------------------------------------------

BUDGET = 5  # seconds that the API node gives a question about health


def health(way):
    with way.wire() as user:
        user.send(get("/health"))
        return user.answer()


def reserved(lab):
    """A port that is bound and refuses connections until listen() is called."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", lab.ports.take()))
    lab.closers.append(sock.close)
    return sock, sock.getsockname()[1]


def known_state(lab, state, port, open_way=open_gateway):
    """A gateway that has heard MLNode's state."""
    way = open_way(lab, Management(lab, state).port, port)
    way.gateway.wait_line(rf"MLNode says {state}", within(5))
    return way


def serve_health(sock, status="200 OK"):
    """A thread that answers every connection's first request with this."""

    def run():
        with sock.accept()[0] as one:
            wire = Wire(sock=one)
            wire.head()
            wire.send(head_of(status, "content-length: 0"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("way", WAYS)
def test_health_waits_for_an_engine_that_comes_back(lab, way):
    sock, port = reserved(lab)
    way = known_state(lab, "INFERENCE", port, WAYS[way])
    with way.wire() as user:
        user.send(get("/health"))
        eventually(lambda: way.count("exchanges") > 1, within(5), "the question to be under way")
        sock.listen()
        serve_health(sock)
        assert user.answer()[0].status == 200


def test_health_is_never_200_without_an_engine(lab):
    """Nobody listens: 503, inside what the API node waits."""
    _, port = reserved(lab)
    way = known_state(lab, "INFERENCE", port)
    began = time.monotonic()
    head, body = health(way)
    assert (head.status, error_of(body)) == (503, "engine_unavailable")
    assert time.monotonic() - began < within(BUDGET)


def test_health_does_not_wait_while_no_model_is_loaded(lab):
    """MLNode says so, and so does the answer: there was one attempt, and no pause."""
    _, port = reserved(lab)
    way = known_state(lab, "STOPPED", port)
    assert health(way)[0].status == 503
    took = way.gateway.wait_line(r"GET /health 503, .* all ([\d.]+) ms")[1]
    assert float(took) < within(1000)


def test_health_of_an_engine_that_accepts_and_is_silent(alone):
    way, _ = alone
    way.gateway.wait_line("MLNode says INFERENCE", within(5))
    began = time.monotonic()
    head, body = health(way)
    assert (head.status, error_of(body)) == (503, "engine_unavailable")
    assert time.monotonic() - began < within(BUDGET)


def test_health_of_an_engine_that_is_sick_for_a_moment(alone):
    """A 503 of port 5000 is asked again; the 200 after it is the answer."""
    way, upstream = alone
    way.gateway.wait_line("MLNode says INFERENCE", within(5))
    with way.wire() as user:
        user.send(get("/health"))
        for status in ("503 Service Unavailable", "503 Service Unavailable", "200 OK"):
            hop, head = upstream.request()
            assert head.first == "GET /health HTTP/1.1"
            hop.send(head_of(status, "content-length: 0"))
        assert user.answer()[0].status == 200


def test_health_on_the_other_port_is_mlnodes_own(lab):
    """On 2{ID} the question is for management, and is asked once."""
    way = open_gateway(lab, Management(lab).port, lab.ports.take())
    with Wire(way.poc, timeout=within(5)) as user:
        user.send(get("/health"))
        head, body = user.answer()
        assert (head.status, json.loads(body)) == (200, {"state": "INFERENCE"})


# ---- both ports ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_both_readings_of_the_ports_work(lab, way):
    """Inference and management paths are served on both, whichever the operator registered."""
    upstream = Upstream(lab)
    way = WAYS[way](lab, Management(lab).port, upstream.port)
    for port in (way.port, way.poc):
        with Wire(port, timeout=within(5)) as user:
            user.send(post())
            hop, head = upstream.request()
            answer_ok(hop, head)
            assert user.answer()[1] == b"ok"
            assert still_works(user)
            hop.close()


def test_a_stream_is_cut_when_the_gateway_stops(scene):
    """Told by a missing last chunk."""
    user, hop = begin(scene)
    hop.send(chunk(b"data: 1\n\n"))
    user.chunk()
    assert scene[0].gateway.stop(within(5)) == 0
    assert LAST not in user.rest()[0]
    assert hop.gone() == "reset"
