"""Ends of streams through the gateway: a reader who leaves frees the engine, and an engine that dies
leaves an answer that is seen to be incomplete.
"""

import json

import pytest
from gateways import Upstream, chunk, get, head_of, open_gateway, post
from harness import eventually
from lab import within
from services import close_with_reset
from streams import MIB, SENT_AS, Pump, begin, event

# ---- who leaves ----------------------------------------------------------------------------------

LEAVING = {"end": lambda user: user.close(), "reset": lambda user: user.reset()}


@pytest.mark.parametrize("how", LEAVING)
def test_a_reader_who_leaves_frees_the_engine(scene, how):
    user, hop = begin(scene)
    hop.send(chunk(event(0, 0)))
    user.chunk()
    LEAVING[how](user)
    assert hop.gone() == "reset"


@pytest.mark.parametrize("how", LEAVING)
def test_leaving_before_the_first_token(scene, how):
    way, upstream = scene
    user = way.wire()
    user.send(post())
    hop, head = upstream.request()
    hop.body(head)
    LEAVING[how](user)
    assert hop.gone() in ("reset", "eof")


def test_half_closing_is_leaving(scene):
    """A FIN on an inference path ends it: nobody sends that and then reads."""
    user, hop = begin(scene)
    user.finish()
    assert hop.gone() == "reset"


@pytest.mark.parametrize("how", LEAVING)
def test_leaving_within_the_request_body(scene, how):
    way, upstream = scene
    user = way.wire()
    user.send(post(content_length=1000))
    hop, _ = upstream.request()
    hop.take(2)
    LEAVING[how](user)
    assert hop.gone() in ("reset", "eof")


def test_leaving_with_a_full_line(scene):
    """A reader that took nothing for a while, and goes."""
    user, hop = begin(scene, head=head_of("200 OK", f"content-length: {256 * MIB}"))
    pump = Pump(hop.sock, 256 * MIB)
    pump.wait_blocked()
    user.reset()
    pump.wait_over()
    assert isinstance(pump.error, OSError)


@pytest.mark.parametrize("how", LEAVING)
def test_management_runs_to_its_end(lab, how):
    """What MLNode was told to do is not undone by an API node that hangs up."""
    management = Upstream(lab)
    way = open_gateway(lab, management.port, Upstream(lab).port)
    user = way.wire()
    user.send(post("/api/v1/models/download"))
    while True:  # the gateway's own questions come to this port too
        hop, head = management.request()
        if head.first.startswith("POST"):
            break
    hop.body(head)
    LEAVING[how](user)
    if how == "reset":
        eventually(lambda: way.count("clients") == 1, within(5), "the client to be forgotten")
    assert hop.quiet(0.2)
    hop.send(head_of("200 OK", "content-length: 2") + b"ok")
    written = 0 if how == "reset" else 2  # who only ended his side may still be reading
    way.gateway.wait_line(rf"POST /api/v1/models/download 200, {written} bytes, .* done$")


# ---- an engine that dies -------------------------------------------------------------------------

DYING = {"end": lambda hop: hop.close(), "reset": lambda hop: close_with_reset(hop.sock)}


@pytest.mark.parametrize("how", DYING)
@pytest.mark.parametrize("framing", SENT_AS)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_engine_that_dies_leaves_a_truncated_answer(scene, framing, how, version):
    """All that it sent, and no sign of an orderly end, except where its end was the end."""
    head, frame, _ = SENT_AS[framing]
    user, hop = begin(scene, post(version=version), head)
    sent = event(0, 0, 100)
    hop.send(frame(sent))
    in_chunks = version == "1.1" and framing != "length"
    assert (user.chunk() if in_chunks else user.take(100)) == sent
    DYING[how](hop)
    rest, ending = user.rest() if version == "1.0" or framing != "close" else (None, None)
    if framing == "close" and how == "end":
        if version == "1.1":
            assert user.chunk() == b""
        else:
            assert (rest, ending) == (b"", "eof")
    elif framing == "close" and version == "1.1":
        assert user.rest()[0] == b""
    else:
        assert rest == b""
        if version == "1.0" and framing != "length":
            assert ending == "reset"  # there, an orderly end would say that all has come


def test_death_within_a_chunk(scene):
    user, hop = begin(scene)
    hop.send(b"100\r\nhalf a chu")
    assert user.until(b"chu") == b"100\r\nhalf a chu"
    hop.close()
    assert user.rest()[0] == b""


@pytest.mark.parametrize("how", DYING)
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-"])
def test_death_before_the_head(scene, how, said):
    """An error of the gateway's own, on a connection that lives on."""
    way, upstream = scene
    with way.wire() as user:
        user.send(post())
        hop, asked = upstream.request()
        hop.body(asked)
        hop.send(said)
        DYING[how](hop)
        head, body = user.answer()
        assert head.status == 502
        assert json.loads(body)["error"]["code"] == "upstream_closed"
        user.send(get("/api/v1/state"))
        assert user.answer()[0].status == 200


