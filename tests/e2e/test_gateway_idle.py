"""Connections to MLNode that were idle: used again, given up before MLNode gives them up, and no
request lost between the two.
"""

import asyncio
import json
import random
import select
import time

import pytest
from gateways import CRLF, LAST, Management, get, head_of, open_gateway, open_uvicorn, post
from lab import SLOW
from streams import answer_ok, length_of

def answered(user, hop, request):
    """One exchange over a connection of the upstream's that is there already."""
    user.send(request)
    answer_ok(hop)
    return user.answer()[0].status == 200


def first_exchange(scene):
    way, upstream = scene
    user = way.wire()
    user.send(post())
    hop, head = upstream.request()
    answer_ok(hop, head)
    assert user.answer()[0].status == 200
    return user, hop


def test_connections_are_reused(alone):
    user, hop = first_exchange(alone)
    for request in (post(), get("/v1/models"), post()):
        assert answered(user, hop, request)
    assert len(alone[1].taken) == 1


def test_a_lost_post_is_not_sent_twice(alone):
    """A connection that ends just as the request is on its way: MLNode may have begun it."""
    user, hop = first_exchange(alone)
    user.send(post(body=b"once"))
    assert hop.body(hop.head()) == b"once"
    hop.close()
    head, body = user.answer()
    assert (head.status, json.loads(body)["error"]["code"]) == (502, "upstream_closed")
    user.send(post(body=b"next"))
    hop, head = alone[1].request()
    assert hop.body(head) == b"next"


def test_a_lost_get_is_asked_again(alone):
    user, hop = first_exchange(alone)
    user.send(get("/v1/models"))
    hop.head()
    hop.close()
    hop, head = alone[1].request()
    assert head.first == "GET /v1/models HTTP/1.1"
    hop.send(head_of("200 OK", "content-length: 2") + b"ok")
    assert user.answer()[0].status == 200
    user.send(get("/v1/models"))
    hop.head()
    hop.close()
    hop, _ = alone[1].request()  # the second time, on a connection of its own
    hop.close()
    assert user.answer()[0].status == 502


def test_idle_connections_end_before_mlnode_ends_them(alone):
    """MLNode closes after 5 s and may do so just as a request arrives. So the gateway hangs up well
    before, and trusts a POST only to a connection that was busy a second ago."""
    user, hop = first_exchange(alone)
    idle_since = time.monotonic()
    assert not select.select([hop.sock], [], [], 1.2)[0]
    user.send(post())
    fresh, head = alone[1].request()
    answer_ok(fresh, head)
    assert user.answer()[0].status == 200
    assert hop.gone() in ("eof", "reset")
    assert time.monotonic() - idle_since < 4.5


# ---- a real uvicorn ------------------------------------------------------------------------------


async def pausing_client(port, pauses, kinds):
    """Requests on one connection with exact pauses between them; the statuses that came."""
    statuses = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for pause, kind in zip(pauses, kinds):
        writer.write(post(body=b'{"events": 2}') if kind == "POST" else get("/v1/models"))
        head = await reader.readuntil(CRLF + CRLF)
        statuses.append(int(head.split()[1]))
        if b"chunked" in head.lower():
            await reader.readuntil(LAST)
        else:
            await reader.readexactly(length_of(head))
        await asyncio.sleep(pause)
    writer.close()
    return statuses


async def pausing_clients(port, count, rounds, limits, spread):
    """Half POST, half GET; the pauses lie around the limits, within `spread` seconds."""
    rng = random.Random(5)
    clients = []
    for number in range(count):
        kinds = ["POST" if number % 2 else "GET"] * (rounds + 1)
        limit = limits[number % len(limits)]
        pauses = [limit + rng.uniform(-spread, spread) for _ in range(rounds)] + [0]
        clients.append(pausing_client(port, pauses, kinds))
    return [status for statuses in await asyncio.gather(*clients) for status in statuses]


def test_no_502_at_the_idle_limit(lab):
    """uvicorn with an idle limit of 2 s, which the gateway's limit for POST must stay below."""
    backend = open_uvicorn(lab, "--timeout-keep-alive", "2")
    way = open_gateway(lab, Management(lab).port, backend)
    statuses = asyncio.run(pausing_clients(way.port, 200 // SLOW, 1, (0.99, 2.0, 2.0), 0.02))
    assert set(statuses) == {200}


@pytest.mark.full
def test_no_502_at_the_idle_limit_of_mlnode(lab):
    """5 s, as MLNode has it, and the gateway's own 1 s and 3 s."""
    backend = open_uvicorn(lab, "--timeout-keep-alive", "5")
    way = open_gateway(lab, Management(lab).port, backend)
    limits = (1.0, 3.0, 5.0, 5.0, 5.0)
    statuses = asyncio.run(pausing_clients(way.port, 800 // SLOW, 5, limits, 0.05))
    assert set(statuses) == {200}


