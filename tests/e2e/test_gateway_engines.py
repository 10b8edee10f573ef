"""Engines that come and go behind the gateway, past MLNode's port 5000 (ENGINE_DIRECT=auto) and
through it (off): a request that had not begun is not lost, one that had is seen to be incomplete.

MLNode is `mlgate testnode` with engines, which a test can crash, slow down or freeze, and which
counts what it began.
"""

import asyncio
import collections
import json
import re

import pytest
from gateways import (
    CHAT,
    CRLF,
    LAST,
    Management,
    Stub,
    ask_once,
    get,
    open_gateway,
    open_tunnel,
    post,
)
from harness import eventually
from lab import within
from streams import length_of

FOREVER = {"tokens": 100000, "rate": 50}
SHORT = {"tokens": 3, "rate": 0}


def ask(**vendor):
    """The body of a completion; `vendor`: what the testnode's own field sets."""
    words = [{"role": "user", "content": "one two"}]
    return json.dumps({"messages": words, "stream": True, "mlgate_test": vendor}).encode()


def tokens_of(text):
    return [int(number) for number in re.findall(rb'"content":"(?:one|two)-(\d+) "', text)]


class Fleet:
    """A testnode with engines, and a gateway that has found them."""

    def __init__(self, lab, engines, direct, open_way=open_gateway):
        first = lab.ports.take_row(engines)
        self.ports = list(range(first, first + engines))
        words = ["--listen", "127.0.0.1:0", "--listen-management", "127.0.0.1:0", "--print-ports"]
        words += ["--load-delay", "0", "--engines", engines, "--engine-port", first, "--up"]
        self.node = lab.mlgate("testnode", *words, name="testnode")
        ports = json.loads(self.node.wait_line(r"^\{.*\}$")[0])
        self.management = ports["management"]
        row = self.ports[0], self.ports[-1]
        self.way = open_way(lab, ports["management"], ports["inference"], row, direct)
        self.direct = direct
        self.wait_found(self.ports)

    def wait_found(self, ports):
        """Until the gateway chooses among these engines; where it does not look for engines, until
        it knows MLNode's state."""
        if self.direct == "auto":
            self.way.wait_live(ports, 20)
        else:
            eventually(
                lambda: self.way.status()["mlnode"]["state"] == "inference",
                within(20),
                "the gateway to hear MLNode's state",
            )

    # what a test does to MLNode, past the gateway

    def do(self, index, what, **more):
        words = {"port": self.ports[index], "do": what, **more}
        query = "&".join(f"{key}={value}" for key, value in words.items())
        self.manage(f"/mlgate-test/engine?{query}")

    def down(self):
        self.manage("/api/v1/inference/down")

    def up(self):
        self.manage("/api/v1/inference/up")

    def manage(self, path, port=None):
        head, body = ask_once(port or self.management, post(path, b'{"model": "m"}'))
        assert head.status == 200, body

    def report(self):
        return json.loads(ask_once(self.management, get("/mlgate-test/engines"))[1])

    def count(self, name):
        return [engine[name] for engine in self.report()["engines"]]

    def wait_count(self, name, counts):
        eventually(lambda: self.count(name) == counts, within(10), f"{name} of {counts}")

    # what users do

    def begin(self, **vendor):
        user = self.way.wire()
        user.send(post(body=ask(**vendor)))
        return user

    def stream(self):
        """A stream under way: its first event is here."""
        user = self.begin(**FOREVER)
        head = user.head()
        assert head.status == 200, head.first
        user.chunk()
        return user

    def answer(self, request=None):
        return ask_once(self.way.port, request or post(body=ask(**SHORT)))

    def works(self, times=1):
        """Short requests are answered, each in full."""
        for _ in range(times):
            head, body = self.answer()
            assert head.status == 200, (head.raw, body)
            assert tokens_of(body) == [0, 1, 2] and body.endswith(b"data: [DONE]\n\n")
        return True

    def is_down(self):
        """Refused at once, and said so."""
        head, body = self.answer()
        assert head.status == 503 and int(head.get("retry-after")) > 0
        return json.loads(body)["error"]["code"] == "engine_unavailable"


FLEETS = {
    "auto": ("auto", open_gateway),
    "off": ("off", open_gateway),
    "tunnel": ("auto", open_tunnel),
}


@pytest.fixture(params=["auto", "off"])
def fleet(lab, request):
    direct, open_way = FLEETS[request.param]
    return Fleet(lab, 2, direct, open_way)


everywhere = pytest.mark.parametrize("fleet", FLEETS, indirect=True)


@pytest.fixture
def auto(lab):
    return Fleet(lab, 2, "auto")


def open_streams(fleet, count):
    """Streams that both engines share, in two lists: each goes to the one that has fewer."""
    users = [[], []]
    for _ in range(count):
        before = fleet.count("active")
        user = fleet.stream()
        after = fleet.count("active")
        users[0 if after[0] > before[0] else 1].append(user)
    assert fleet.count("active") == [count // 2, count // 2]
    return users


def goes_on(user):
    """Tokens come, none is missing."""
    tokens = tokens_of(b"".join(user.chunk() for _ in range(5)))
    return tokens == list(range(tokens[0], tokens[0] + len(tokens)))


def assert_truncated(users):
    """Each connection ends without a last chunk, behind tokens of which none is missing."""
    for user in users:
        rest, _ = user.rest()
        tokens = tokens_of(rest)
        assert not rest.endswith(LAST) and b"[DONE]" not in rest
        assert tokens == list(range(tokens[0], tokens[0] + len(tokens))) if tokens else True


# ---- which way requests go -----------------------------------------------------------------------


def test_past_mlnodes_proxy_or_through_it(fleet):
    """The gateway takes turns among equals; MLNode's proxy takes the first of them."""
    before = fleet.report()["proxied"]
    assert fleet.works(10)
    if fleet.direct == "auto":
        assert fleet.way.count("direct") == 10
        assert fleet.count("requests") == [5, 5]
    else:
        assert (fleet.way.count("direct"), fleet.report()["proxied"] - before) == (0, 10)
        assert fleet.count("requests") == [10, 0]


def test_one_engine_is_slow(fleet):
    """Who waits there is alone in that: all others go to its neighbour."""
    fleet.do(0, "slow", delay_ms=3600000)
    waiting = []
    while fleet.count("active") != [1, 0]:
        assert len(waiting) < 3
        waiting.append(fleet.begin(**SHORT))
        began = len(waiting)
        eventually(lambda: sum(fleet.count("requests")) == began, within(10), "its beginning")
    assert fleet.works(20)
    assert fleet.count("active") == [1, 0]
    for user in waiting:
        user.close()
    fleet.wait_count("active", [0, 0])  # who leaves before the first byte frees it


def test_who_serves_something_else_is_no_engine(lab):
    """A healthy server on a port of the range, with other models than MLNode's; and one with
    MLNode's, which is an engine."""
    models = {"data": [{"id": "served"}]}
    said = {"/health": {}, "/v1/models": models}
    first = lab.ports.take_row(2)
    proxy = Stub(lab, {**said, CHAT: {"from": "5000"}})
    engine = Stub(lab, {**said, CHAT: {"from": "engine"}}, first)
    other = Stub(lab, {"/health": {}, "/v1/models": {"data": [{"id": "x"}]}}, first + 1)
    way = open_gateway(lab, Management(lab).port, proxy.port, (first, first + 1))
    way.wait_live([first])
    eventually(lambda: "/v1/models" in other.asked, within(20), "the comparison of models")
    for _ in range(5):
        assert ask_once(way.port, post())[1] == b'{"from": "engine"}'
    assert set(other.asked) == {"/health", "/v1/models"}
    engine.close()
    for _ in range(5):  # and at last there is port 5000
        assert ask_once(way.port, post())[1] == b'{"from": "5000"}'


# ---- each change of the set ----------------------------------------------------------------------


@everywhere
def test_one_engine_crashes_and_comes_back(fleet):
    users = open_streams(fleet, 6)
    assert fleet.works(4)  # leaves idle connections to both
    fleet.do(0, "crash")
    assert fleet.works(10)  # at once, before any question about health
    assert_truncated(users[0])
    assert all(goes_on(user) for user in users[1])
    fleet.wait_found(fleet.ports[1:])
    fleet.do(0, "back")
    fleet.wait_found(fleet.ports)
    before = fleet.count("requests")[0]
    assert fleet.works(4)
    assert fleet.count("requests")[0] > before
    assert all(goes_on(user) for user in users[1])


def test_all_engines_crash_and_one_comes_back(fleet):
    users = open_streams(fleet, 4)
    for index in range(2):
        fleet.do(index, "crash")
    assert fleet.is_down()
    assert_truncated([*users[0], *users[1]])
    fleet.wait_found([])
    fleet.do(1, "back")
    assert fleet.works(5)
    fleet.wait_found(fleet.ports[1:])
    assert fleet.works(5)


@everywhere
def test_down_and_up(fleet):
    users = open_streams(fleet, 4)
    fleet.down()
    assert fleet.is_down()
    assert_truncated([*users[0], *users[1]])
    fleet.up()
    assert fleet.works(10)  # before the gateway knows
    fleet.wait_found(fleet.ports)
    assert fleet.works(2)


def test_stop_and_up_through_the_gateway(fleet):
    """The gateway has seen both, and looks at once."""
    users = open_streams(fleet, 2)
    fleet.manage("/api/v1/stop", fleet.way.port)
    assert fleet.is_down()
    assert_truncated([*users[0], *users[1]])
    fleet.manage("/v0.2.14/api/v1/inference/up", fleet.way.port)
    assert fleet.works(5)
    fleet.wait_found(fleet.ports)


@pytest.mark.slow_once
def test_a_sick_engine_keeps_its_streams(auto):
    """It gets no new ones once two questions about its health have failed."""
    users = open_streams(auto, 4)
    auto.do(0, "sick")
    auto.wait_found(auto.ports[1:])
    before = auto.count("requests")[0]
    assert auto.works(6)
    assert auto.count("requests")[0] == before
    assert all(goes_on(user) for user in [*users[0], *users[1]])
    auto.do(0, "well")
    auto.wait_found(auto.ports)


@pytest.mark.slow_once
def test_an_engine_freezes_and_thaws(auto):
    """It accepts, and says nothing: /health asks the other one, and what waits is not lost."""
    users = open_streams(auto, 2)
    auto.do(0, "freeze")
    for _ in range(3):
        assert auto.answer(get("/health"))[0].status == 200
    auto.wait_found(auto.ports[1:])
    assert auto.works(6)
    assert goes_on(users[1][0])
    auto.do(0, "back")
    assert goes_on(users[0][0])
    auto.wait_found(auto.ports)


# ---- the same under load -------------------------------------------------------------------------


async def one_request(reader, writer, body):
    """How a request ended: "whole", "truncated", or a status of which the answer is whole."""
    writer.write(post(body=body))
    try:
        head = await reader.readuntil(CRLF + CRLF)
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return "no answer"
    status = int(head.split()[1])
    if status != 200:
        await reader.readexactly(length_of(head))
        return status
    try:
        return "whole" if b"data: [DONE]" in await reader.readuntil(LAST) else "no end"
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return "truncated"


class Load:
    """Users that ask again and again until they are told to stop; `ends` counts how it ended."""

    def __init__(self, port, users):
        self.port = port
        self.over = asyncio.Event()
        self.ends = collections.Counter()
        self.tasks = [asyncio.create_task(self._user(n)) for n in range(users)]

    async def _user(self, n):
        body = ask(tokens=5 + n, rate=n % 2 * 400)
        while not self.over.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            end = "whole"
            while end == "whole" and not self.over.is_set():
                end = await one_request(reader, writer, body)
                self.ends[end] += 1
            writer.close()

    async def more(self, count):
        """Until so many more requests were answered in full."""
        goal = self.ends["whole"] + count
        async with asyncio.timeout(within(30)):
            while self.ends["whole"] < goal:
                await asyncio.sleep(0.005)

    async def stop(self):
        self.over.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), within(30))
        return self.ends


USERS = 16


async def change(call, *words):
    await asyncio.get_running_loop().run_in_executor(None, call, *words)


async def crashes_under_load(fleet, times):
    load = Load(fleet.way.port, USERS)
    for n in range(times):
        await load.more(200)
        await change(fleet.do, n % 2, "crash")
        await load.more(100)
        await change(fleet.do, n % 2, "back")
        await change(fleet.wait_found, fleet.ports)
    await load.more(100)
    return await load.stop()


@everywhere
def test_crashes_under_load(fleet):
    """One engine always lives, so that nobody is refused; only who was at the other one loses."""
    ends = asyncio.run(crashes_under_load(fleet, 2))
    assert set(ends) <= {"whole", "truncated", 502}, ends
    assert ends["truncated"] + ends[502] <= 2 * USERS
    # and nothing was sent twice
    assert ends["whole"] <= sum(fleet.count("requests")) <= sum(ends.values())
    assert fleet.count("active") == [0, 0]


async def ups_and_downs_under_load(fleet, times):
    load = Load(fleet.way.port, USERS)
    for _ in range(times):
        await load.more(200)
        await change(fleet.down)
        await change(fleet.up)
    await load.more(200)
    return await load.stop()


def test_ups_and_downs_under_load(fleet):
    """Refused is only who comes while nothing runs; nobody hangs, nothing looks complete that is
    not."""
    ends = asyncio.run(ups_and_downs_under_load(fleet, 4))
    assert set(ends) <= {"whole", "truncated", 502, 503}, ends
    assert ends["truncated"] <= 4 * USERS
    assert fleet.count("active") == [0, 0]
