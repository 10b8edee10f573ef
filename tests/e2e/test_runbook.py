"""doc/OPERATING.md, held against the product: each of the ten things is broken as the runbook says,
the one call that it names is made, and what it quotes must be in the output; after the remedy it
must be gone, and the runbook's last line be there.

The document has example names where a test has ports of its own (Stage.names), and … where words
differ from case to case. Lines are compared without regard to where they wrap."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from accepting import full_queue
from containers import Container, children_of, name_of
from harness import eventually
from hub import REPOSITORY, Hub
from lab import MLGATE, PASSED_ON, ROOT, TOKEN, Server, within
from rawfrp import RawClient, RawServer
from test_check import ApiNode, pin_of

DOCUMENT = ROOT / "doc" / "OPERATING.md"
PART = "## Ten things to break on purpose"
TEN = 10
SERVER, API_NODE, CLIENT_ID = "frp.example.org:7000", "203.0.113.7:8000", "0042"
SKEW = 1200
TOOLS = Path(__file__).resolve().parent / "hubtool"

# ---- the document --------------------------------------------------------------------------------


def part_of(heading):
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.split(r"^## ", text.split(heading + "\n", 1)[1], maxsplit=1, flags=re.M)[0]


class Entry:
    """A title and what follows: the call, what it says, and what it says after the remedy."""

    def __init__(self, text):
        self.title, self.body = text.split("\n", 1)
        blocks = re.findall(r"^```\n(.*?)^```$", self.body, re.S | re.M)
        calls = [block for block in blocks if re.match(r"\$ mlgate (check|status)", block)]
        assert len(calls) == 1, f"{self.title}: one call, not {len(calls)}"
        line, said = calls[0].split("\n", 1)
        self.call = shlex.split(line)[2:]
        self.said = re.split(r"^…\n", said, flags=re.M)
        (self.then,) = re.findall(r"^Then: `([^`]+)`$", self.body, re.M)

    def __repr__(self):
        return self.title


def entries():
    return [Entry(text) for text in re.split(r"^### \d+\. ", part_of(PART), flags=re.M)[1:]]


ENTRIES = {entry.title: entry for entry in entries()}
BREAKERS = {}


def breaks(title):
    def note(function):
        BREAKERS[title] = function
        return function

    return note


def flat(text):
    """Each finding with its remedy, or line of the status, as one line."""
    joined = re.sub(r"\n {5,}", " ", text)
    return "\n".join(" ".join(line.split()) for line in joined.strip().split("\n"))


def pattern_of(words, names):
    """A regular expression for words of the document, with the names of this test. What … stands
    for never reaches into the next line."""
    words = flat(words)
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    found = []
    for piece in re.split(rf"({known}|…)", words):
        found.append(".*?" if piece == "…" else names.get(piece, re.escape(piece)))
    return "".join(found)


def line_of(words):
    """The line of the table "More lines" that begins so, as a pattern."""
    lines = re.findall(r"^\| `([^`]+)` \|", part_of("## More lines"), re.M)
    (line,) = (line for line in lines if line.startswith(words))
    return pattern_of(line, {})


class Call:
    """What one call said."""

    def __init__(self, stage, words):
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment.update(stage.container.environment, LC_ALL="C")
        done = subprocess.run(
            [MLGATE, *words], env=environment, capture_output=True, text=True, timeout=within(20)
        )
        assert done.stderr == "", done.stderr
        self.text = done.stdout

    def says(self, pattern):
        return re.search(pattern, flat(self.text)) is not None


class Stage:
    """Both sides, and the names that the document has for them."""

    def __init__(self, lab, entry):
        self.lab = lab
        self.entry = entry
        self.state = lab.path("state")
        self.server = None
        self.api = ApiNode(lab)
        self.container = None

    def start_server(self):
        self.server = self.lab.flag_server("--state-dir", str(self.state))
        return self.server

    def make(self, server=None, **changes):
        """The container, not started."""
        changes.setdefault("API_NODE", f"127.0.0.1:{self.api.port}")
        self.container = Container(self.lab, server or self.server, **changes)
        return self.container

    def run(self, **changes):
        return self.make(**changes).start("run")

    def again(self, **changes):
        """The same container, made anew with other variables."""
        self.container.process.stop()
        self.container.environment.update(changes)
        self.container.start("run")

    def names(self):
        c = self.container
        plain = {
            SERVER: c.environment["FRP_SERVER"],
            API_NODE: c.environment["API_NODE"],
            "127.0.0.1:8080": c.environment["MLNODE_MANAGEMENT"],
            "8081": str(c.listen),
            "5050": str(c.listen_poc),
            f"1{CLIENT_ID}": str(c.port_1),
            f"2{CLIENT_ID}": str(c.port_2),
            CLIENT_ID: c.client_id,
            "an-org/a-model": REPOSITORY,
        }
        names = {name: re.escape(value) for name, value in plain.items()}
        return names | {f"{SKEW} s": rf"(?:{SKEW - 1}|{SKEW}|{SKEW + 1}) s"}

    def found(self):
        """The one call; all that the document quotes is in its output."""
        call = Call(self, self.entry.call)
        for words in self.entry.said:
            pattern = pattern_of(words, self.names())
            assert call.says(pattern), f"{pattern!r} is not in:\n{call.text}"
        assert not call.says(pattern_of(self.entry.then, self.names())), call.text

    def gone(self):
        call = Call(self, self.entry.call)
        said = pattern_of(self.entry.said[0].split("\n")[0], self.names())
        assert not call.says(said), f"{said!r} is still in:\n{call.text}"
        then = pattern_of(self.entry.then, self.names())
        assert call.says(then), f"{then!r} is not in:\n{call.text}"


# ---- the ten -------------------------------------------------------------------------------------


@breaks("A wrong token")
def wrong_token(s):
    s.start_server()
    s.run(SECRET_FRP_TOKEN="another-token-of-somebody").wait_up()
    s.found()
    s.again(SECRET_FRP_TOKEN=TOKEN)
    s.container.wait_ready()
    s.gone()


@breaks("The server is stopped")
def server_stopped(s):
    s.start_server()
    c = s.run().wait_ready()
    s.server.process.stop(within(5))
    c.process.wait_line("connect-refused", within(10))
    s.found()
    s.server.start().wait_ready()
    c.wait_ready(within(15))
    s.gone()


@breaks("A firewall drops the packets")
def packets_dropped(s):
    """Played by a listener whose queue is full: the kernel drops what else wants to connect."""
    port = s.lab.ports.take()
    with full_queue(port):
        s.make(FRP_SERVER=f"127.0.0.1:{port}").start("run").wait_up()
        s.found()
    s.lab.server(bind_port=port, tls_only=True)
    s.container.wait_ready(within(15))
    s.gone()


@breaks("The server has a new key")
def new_key(s):
    s.start_server()
    c = s.run(FRP_TLS_PIN=pin_of(s.server)).wait_ready()
    s.server.process.stop(within(5))
    for file in s.state.glob("server.*"):
        file.unlink()
    s.server.start().wait_ready()
    c.process.wait_line("matches none of the pins", within(10))
    s.found()
    s.again(FRP_TLS_PIN=pin_of(s.server))
    c.wait_ready()
    s.gone()


@breaks("A clock that is wrong")
def wrong_clock(s, certificates):
    """The real server judges a login as it comes from such a machine, and its answer is given to the
    check; the API node's clock is ahead by as much."""
    s.start_server()
    late = RawClient(s.server.port)
    refusal = late.login(TOKEN, timestamp=int(time.time()) - SKEW)["error"]
    late.close()

    def refuse(peer):
        peer.pump_until(lambda: peer.opened, 10, "the control stream")
        peer.receive(peer.opened[0], "Login")
        peer.send(peer.opened[0], "LoginResp", {"error": refusal})
        peer.pump_until(lambda: False, 10, "the end")

    double = RawServer(s.lab.ports.take(), refuse, certificates.server)
    s.lab.closers.append(double.close)
    ahead = ApiNode(s.lab, ahead=SKEW)
    s.make(double, API_NODE=f"127.0.0.1:{ahead.port}").start("run").wait_up()
    s.found()
    right = {"FRP_SERVER": f"127.0.0.1:{s.server.port}", "API_NODE": f"127.0.0.1:{s.api.port}"}
    s.again(**right)
    s.container.wait_ready()
    s.gone()


@breaks("A second container with the same CLIENT_ID")
def second_container(s):
    s.start_server()
    first = s.run().wait_ready()
    second = s.make(CLIENT_ID=first.client_id)
    second.client_id = first.client_id
    second.start("run").process.wait_line("the server refused remote port", within(15))
    s.found()
    call = Call(s, ["check"])
    assert call.says(line_of("the server refuses it port") + ".* is online another client"), call.text
    assert first.health()[0] == 0
    first.process.stop()
    second.wait_ready(within(15))
    s.gone()


@breaks("Another program has MLNode's port")
def port_taken(s):
    s.start_server()
    c = s.make()
    server = s.lab.spawn(
        "http.server",
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(c.management)],
    )
    eventually(lambda: c.ask("GET", "/", c.management)[0] == 200, 10, "http.server")
    c.start("run").process.wait_line("MLNode ended with status 1", within(10))
    s.found()
    assert c.health()[0] == 1
    assert server.running()
    s.again(MLNODE_MANAGEMENT=f"127.0.0.1:{s.lab.ports.take()}")
    c.wait_ready()
    s.gone()


@breaks("MLNode accepts and does not answer")
def mlnode_stuck(s):
    s.start_server()
    c = s.run().wait_ready()
    (node,) = children_of(c.child("mlgate-shim"))
    assert name_of(node) == "mlgate-test"
    os.kill(node, signal.SIGSTOP)
    c.process.wait_line("MLNode accepts connections and does not answer", within(15))
    s.found()
    mark = c.process.mark()
    os.kill(node, signal.SIGCONT)
    c.process.wait_line("MLNode answers", within(15), mark)
    c.wait_ready()
    s.gone()


@breaks("A model that does not exist")
def no_model(s):
    s.start_server()
    hub = Hub(s.lab)
    c = s.run(
        MODEL_NAME="an-org/no-such-model",
        MODEL_PREFETCH="auto",
        HF_ENDPOINT=hub.endpoint,
        HF_HOME=str(s.lab.path("hf")),
        PATH=f"{TOOLS}:{os.environ['PATH']}",
        PYTHONPATH=str(TOOLS),
    )
    c.process.wait_line("the hub knows no such model", within(15))
    c.wait_ready()
    s.found()
    s.again(MODEL_NAME=REPOSITORY)
    c.process.wait_line("is complete", within(30))
    c.wait_ready()
    s.gone()


@breaks("A port that strangers reach")
def port_open(s):
    s.start_server()
    c = s.make()
    variable = f"VAST_TCP_PORT_{c.listen}"
    c.environment |= {"GATEWAY_LISTEN": f"0.0.0.0:{c.listen}", variable: "43210"}
    c.start("run").wait_ready()
    s.found()
    del c.environment[variable]
    s.again(GATEWAY_LISTEN=f"127.0.0.1:{c.listen}")
    c.wait_ready()
    s.gone()


# ---- every day -----------------------------------------------------------------------------------


def labels(text):
    """What stands before the tenth column, where a report of the status begins a line."""
    return {line[:10].strip() for line in text.splitlines()[1:] if line[:10].strip()}


def test_every_day(lab):
    """What the document shows of a node that is well has the shape of what is said."""
    s = Stage(lab, None)
    s.start_server()
    c = s.run(FRP_TLS_PIN=pin_of(s.server)).wait_ready()
    c.stream(tokens=3, rate=1000, port=c.port_1).rest()
    assert c.ask("GET", "/api/v1/state", c.port_2)[0] == 200
    assert c.ask("POST", "/v1/load_lora_adapter", c.port_1)[0] == 404
    shown = dict(re.findall(r"^\$ mlgate ([^\n]+)\n(.*?)^```$", part_of("## Every day"), re.S | re.M))
    status = eventually(
        lambda: re.search(r"^processes ", (call := Call(s, ["status"])).text, re.M) and call.text,
        within(10),
        "the facts of PID 1",
    )
    assert labels(shown.pop("status")) <= labels(status), status
    found = Call(s, ["check"]).text
    for line in shown.pop("check").splitlines():
        kind = re.match(r"(ok|warn|FAIL|skip) +[\w.]+|", line)[0]
        assert kind in found, (kind, found)
    ((words, said),) = shown.items()
    assert words.startswith("status --server ")
    server = Call(s, ["status", "--server", "--state-dir", str(s.state)]).text
    assert labels(said) <= labels(server), server


# ---- more lines, and planned work ----------------------------------------------------------------


def test_a_port_of_another_program(lab):
    s = Stage(lab, None)
    s.start_server()
    c = s.make()
    with socket.create_server(("127.0.0.1", c.port_1)):
        c.start("run").process.wait_line("port unavailable", within(15))
        call = Call(s, ["status"])
        assert call.says(line_of("another program on the network node")), call.text
    c.wait_ready(within(15))
    assert "!" not in Call(s, ["status"]).text


@pytest.mark.slow_once
def test_a_server_that_falls_silent(lab):
    """Seen while the session still counts as one, and gone when the network thaws."""
    s = Stage(lab, None)
    line = lab.forwarder(s.start_server().port)
    c = s.make(line).start("run").wait_ready()
    mark = c.process.mark()
    line.cut(new="stall")
    c.process.wait_line("the server is silent", within(15), mark)
    call = Call(s, ["status"])
    assert call.says(line_of("nothing heard for")), call.text
    line.mend()
    c.process.wait_line("the server answers again", within(15), mark)
    assert not Call(s, ["status"]).says(line_of("nothing heard for"))


def test_mistakes_of_a_network_node(lab):
    """All of them in one call."""
    token = lab.path("token")
    token.write_text("3f9c1d2e8b7a60543f9c1d2e8b7a6054\n", encoding="ascii")
    token.chmod(0o644)
    with socket.create_server(("127.0.0.1", lab.ports.take())) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        said = subprocess.run(
            [MLGATE, "check", "--server", "--bind", bind, "--token-file", token]
            + ["--proxy-bind", "0.0.0.0", "--public-address", "127.0.0.1"],  # noqa: S104
            env={"LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=within(20),
        ).stdout
    for words in ("it means every address", "may read it", "is held by"):
        assert re.search(line_of(words), flat(said)), said


def test_a_worker_that_ends_again_and_again(lab):
    s = Stage(lab, None)
    s.start_server()
    c = s.run().wait_ready()
    for count in range(3):
        assert not Call(s, ["status"]).says(line_of("ended")), count
        killed = c.kill("mlgate-worker")
        c.wait_child("mlgate-worker", other_than=killed)
        c.wait_ready()
    eventually(lambda: Call(s, ["status"]).says(line_of("ended")), within(10), "the storm")


def test_a_key_is_changed_and_nobody_is_away(lab):
    """As "Planned work" says: made aside, its pin given to the node beside the old one."""
    s = Stage(lab, None)
    s.start_server()
    old, new_state = pin_of(s.server), lab.path("state-new")
    aside = lab.flag_server("--state-dir", str(new_state))
    new = pin_of(aside)
    aside.process.stop(within(5))
    assert new != old
    c = s.run(FRP_TLS_PIN=f"{old},{new}").wait_ready()
    s.server.process.stop(within(5))
    s.server.argv[s.server.argv.index(str(s.state))] = str(new_state)
    mark = c.process.mark()
    s.server.start().wait_ready()
    c.process.wait_line(f"start proxy success: :{c.port_2} ", within(15), mark)
    assert pin_of(s.server) == new
    assert Call(s, ["check"]).says(r"ok tls\.pin")


# ---- the ten, one after the other ----------------------------------------------------------------


def test_ten_are_listed():
    assert len(ENTRIES) == TEN
    assert set(ENTRIES) == set(BREAKERS)


@pytest.mark.parametrize("title", BREAKERS)
@pytest.mark.slow_once
def test_found_in_one_call(lab, title, request):
    stage = Stage(lab, ENTRIES[title])
    more = [request.getfixturevalue("certificates")] if title == "A clock that is wrong" else []
    BREAKERS[title](stage, *more)
