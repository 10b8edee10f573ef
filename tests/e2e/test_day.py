"""A day in the life of a rented node: a container in test mode, a network node, and an API node
that asks all day, while one part after the other is killed. At the end every request is accounted
for.

--full: ten such days in a row, one below another PID 1, and one with each real frps.
"""

import contextlib
import json
import os
import re
import signal
import time

import apinode
import pytest
from apinode import ANSWERED, CLOSED, LATE, REFUSED, TRUNCATED, ApiNode
from containers import Container, children_of, lives, namespaces_work
from harness import eventually
from lab import FRPS, is_mlgate, within

CHATS = 8
UNSTOPPABLE = 20  # streams that no grace is long enough for
STOPPABLE = 5
GRACE = 2
# Seconds until there is a good answer again, and until everybody has one. A real frps needs some
# forty to see that a connection is dead, and tells the users of that one no sooner, also where it
# has given their port to a new login before.
BACK, BACK_LATE = 15, 75


class Trouble:
    """From `began` to `ended` requests may fail, if they do it truthfully. `silent`: nobody is
    there to tell it, so that polls may also wait for nothing."""

    def __init__(self, name, silent=False):
        self.name = name
        self.silent = silent
        self.began = time.monotonic()
        self.ended = None
        self.seconds = None  # until the first good answer

    def meets(self, record):
        return (self.ended is None or record.began < self.ended) and record.ended > self.began

    def excuses(self, record):
        truthful = record.outcome in (REFUSED, CLOSED, TRUNCATED)
        late = record.outcome == LATE and (self.silent or record.kind == "probe")
        return self.meets(record) and (truthful or late)


class Day:
    def __init__(self, lab, kind, place):
        self.lab = lab
        self.kind = kind
        self.server = lab.flag_server() if is_mlgate(kind) else lab.server(kind)
        self.line = lab.forwarder(self.server.port)
        self.back = within(BACK if is_mlgate(kind) else BACK_LATE)
        self.troubles = []
        self.container = Container(lab, self.line, place, STOP_GRACE=str(GRACE))
        self.container.start("run").wait_ready()
        self.node = ApiNode(self.container.port_1, self.container.port_2, within(10) + self.back)
        self.node.start(CHATS)
        self.steady()

    @property
    def book(self):
        return self.node.book

    def steady(self):
        """Until everybody who asks has been answered since now."""
        now = time.monotonic()
        for kind, count in (("chat", 2 * CHATS), ("state", 1), ("health", 1), ("models", 1)):
            self.book.wait(count, self.back, kind=kind, outcome=ANSWERED, since=now)

    @contextlib.contextmanager
    def trouble(self, name, silent=False):
        """Ends with the first good answer after what was done inside, which is timed from
        `since`, and the trouble is over."""
        trouble = Trouble(name, silent)
        self.troubles.append(trouble)
        trouble.since = trouble.began
        yield trouble
        trouble.seconds = self.node.recovered(trouble.since, self.back)
        self.container.wait_ready(self.back)
        trouble.ended = time.monotonic()
        self.steady()

    # what happens

    def reload(self):
        """`stop`, and `inference/up`, whose answer takes as long as the load."""
        with self.trouble("model stopped and loaded") as trouble:
            assert self.node.order("stop", apinode.STOP).outcome == ANSWERED
            up = self.node.order("up", apinode.UP, {"model": apinode.MODEL})
            assert up.outcome == ANSWERED and up.ended - up.began >= 1, up
            trouble.since = up.ended
        self.polls_were_answered(trouble)

    def prove(self):
        """Proof of compute: chats are refused meanwhile, with the time to come back."""
        order = self.node.order
        with self.trouble("proof of compute") as trouble:
            init = order("init", apinode.POW + "init/generate", {"url": "http://203.0.113.7:9100"})
            assert init.outcome == ANSWERED, init
            assert order("status", apinode.POW + "status").detail == "GENERATING"
            self.book.wait(CHATS, self.back, outcome=REFUSED, since=trouble.began)
            self.book.wait(2, self.back, kind="state", since=trouble.began)
            assert order("stop", apinode.POW + "stop").outcome == ANSWERED
            assert order("status", apinode.POW + "status").detail == "IDLE"
            trouble.since = time.monotonic()
        self.polls_were_answered(trouble)

    def polls_were_answered(self, trouble):
        """MLNode's management was there all the time."""
        polls = [r for r in self.book.find("state") if trouble.meets(r)]
        assert polls and all(r.outcome == ANSWERED for r in polls), list(map(str, polls))

    def kill_worker(self):
        with self.trouble("worker killed"):
            gone(self.container.kill("mlgate-worker"))

    def kill_mlnode(self):
        with self.trouble("MLNode killed"):
            (pid,) = children_of(self.container.child("mlgate-shim"))
            os.kill(pid, signal.SIGKILL)
            gone(pid)

    def kill_server(self):
        with self.trouble("server killed, started again") as trouble:
            self.server.process.kill()
            trouble.since = time.monotonic()
            self.server.start()

    def cut_line(self):
        """The connection is dead and nobody is told; a new one would work."""
        with self.trouble("connection silently dead", silent=True):
            self.line.cut(new="work")

    def freeze_network(self):
        """Nothing moves until the container has noticed; then everything does, and no chat is lost,
        only polls whose time ran out."""
        process = self.container.process
        mark = process.mark()
        with self.trouble("network frozen, thawed", silent=True) as trouble:
            self.line.cut(new="stall")
            process.wait_line("the server is silent", within(15), after=mark)
            self.line.mend()
            trouble.since = time.monotonic()
        posts = self.book.find("chat") + self.book.find("tokenize")
        lost = [str(r) for r in posts if trouble.meets(r) and r.outcome != ANSWERED]
        assert not lost, lost
        assert not process.find("session lost", after=mark)

    def stop(self):
        """SIGTERM with streams under way: those that can finish do, the others are cut."""
        trouble = Trouble("SIGTERM to exit")
        long = [self.node.begin_stream("long", 100000) for _ in range(UNSTOPPABLE)]
        short = [self.node.begin_stream("short", 40) for _ in range(STOPPABLE)]
        trouble.began = time.monotonic()
        self.troubles.append(trouble)
        self.container.process.signal(signal.SIGTERM)
        assert self.container.process.wait_end(within(10)) == 0
        trouble.seconds = time.monotonic() - trouble.began
        self.node.close()
        for chats, outcome in ((short, ANSWERED), (long, TRUNCATED)):
            others = [str(chat.record) for chat in chats if chat.record.outcome != outcome]
            assert not others, others
        refused = self.book.find(outcome=REFUSED, since=trouble.began)
        assert any("stopping" in record.detail for record in refused), list(map(str, refused))

    # what is left of it

    def account(self):
        """Each request was answered, or failed in a trouble and said so; none came twice."""
        begun = self.begun()
        for record in self.book.records:
            assert record.ended, f"{record}: nobody waits for it, and it did not end"
            excused = any(trouble.excuses(record) for trouble in self.troubles)
            assert record.outcome == ANSWERED or excused, self.told(record)
            if record.kind == "state" and record.outcome == ANSWERED:
                disturbed = any(trouble.meets(record) for trouble in self.troubles)
                assert record.detail == "INFERENCE" or disturbed, self.told(record)
            if record.kind in ("chat", "long", "short", "up"):
                least = int(record.outcome in (ANSWERED, TRUNCATED))
                assert least <= begun.get(record.id, 0) <= 1, self.told(record)

    def begun(self):
        """{id: how often MLNode began to work on it}"""
        count = {}
        for number in (5000, 8080):
            text = (self.container.logs / f"http_server_{number}.log").read_text(encoding="utf-8")
            for found in re.findall(r'\?id=(\w+) HTTP/1\.1" begins$', text, re.MULTILINE):
                count[found] = count.get(found, 0) + 1
        return count

    def told(self, record):
        then = [f"{t.name}: {t.began:.3f} to {t.ended or 0:.3f}" for t in self.troubles]
        return f"{record}, began at {record.began:.3f}, ended at {record.ended:.3f}; {then}"

    def result(self):
        outcomes = {}
        for record in self.book.records:
            outcomes[record.outcome] = outcomes.get(record.outcome, 0) + 1
        seconds = {trouble.name: round(trouble.seconds, 3) for trouble in self.troubles}
        return {
            "server": self.kind,
            "place": self.container.place,
            "recovery_s": seconds,
            "requests": outcomes,
        }


def gone(pid):
    eventually(lambda: not lives(pid), 5, "the end of a killed process", pause=0.001)


def live(lab, kind="mlgate", place=None):
    """As PID 1 where that is possible."""
    day = Day(lab, kind, place or ("pid1" if namespaces_work() else "subreaper"))
    day.reload()
    day.prove()
    day.kill_worker()
    day.kill_server()
    day.cut_line()
    day.freeze_network()
    day.kill_mlnode()
    day.stop()
    day.account()
    return day.result()


def show(capsys, result):
    with capsys.disabled():
        print(f"\n\na day with {result['server']} as the server, `mlgate run` as {result['place']}")
        print("seconds to the first good answer; for SIGTERM, to the end")
        for name, seconds in result["recovery_s"].items():
            print(f"    {name:<30}{seconds:>8.3f}")
        counts = ", ".join(f"{count} {outcome}" for outcome, count in result["requests"].items())
        print(f"requests: {counts}\n{json.dumps(result)}")


def test_a_day(lab, capsys):
    show(capsys, live(lab))


@pytest.mark.full
def test_a_day_below_another_init(lab, capsys):
    show(capsys, live(lab, place="subreaper"))


@pytest.mark.full
def test_ten_days_in_a_row(lab, capsys):
    for _ in range(10):
        show(capsys, live(lab))


no_frps = pytest.param("frps", marks=pytest.mark.skip(reason="skipped (no frps)"))


@pytest.mark.full
@pytest.mark.parametrize("kind", sorted(FRPS) or [no_frps])
def test_a_day_with_a_real_frps(lab, capsys, kind):
    show(capsys, live(lab, kind))
