"""mlgate demo: what it shows, what it leaves behind (nothing), and how it fails."""

import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import time

import httpx
import pytest
from harness import SANITIZER, Failure, Process, eventually
from lab import MLGATE, SLOW

TOKENS = 32
LIMIT = 15  # seconds, for all of it; a promise also where everything is slow
CHILDREN = {"testnode", "server", "client"}


def state(pid):
    """(state letter, parent) from /proc; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        return fields[0], int(fields[1])
    except OSError:
        return None


def alive(pid):
    found = state(pid)
    return found is not None and found[0] != "Z"


def verb(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
        return f.read().split("\0")[1]


def children(parent):
    """pid by verb, once all have become what they are to be."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = {}
    for pid in pids:
        if (state(pid) or ("", 0))[1] == parent and alive(pid):
            found[verb(pid)] = pid
    return found if set(found) == CHILDREN else None


class Demo(Process):
    def __init__(self, tmp_path, *flags, **more):
        env = {**os.environ, "TMPDIR": str(tmp_path), **more}
        super().__init__("demo", [MLGATE, "demo", *flags], env=env)
        self.place = tmp_path
        self.began = time.monotonic()

    def family(self):
        return eventually(lambda: children(self.pid), 5 * SLOW, "the three children")

    def directory(self):
        return next(self.place.iterdir())

    def assert_nothing_left(self, family=()):
        for name, pid in dict(family).items():
            eventually(lambda pid=pid: not alive(pid), 5, f"the end of the {name}")
        assert list(self.place.iterdir()) == []
        assert not self.sanitizer_findings()


@pytest.fixture
def demo(tmp_path):
    started = []

    def start(*flags, **more):
        started.append(Demo(tmp_path, *flags, **more))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def test_shows_the_whole_story(demo):
    shown = demo()
    assert shown.wait_end(LIMIT) == 0
    assert time.monotonic() - shown.began < LIMIT
    assert shown.err == []
    text = "\n".join(shown.out)
    assert [int(n) for n in re.findall(r"[A-Za-z]-(\d+) ", text.split("not streamed")[0])] == list(
        range(TOKENS)
    )
    assert re.search(rf"{TOKENS} tokens: first after \d+\.\d ms, then \d+\.\d a second", text)
    assert re.search(r"8 tokens: all after \d+\.\d ms", text)
    assert re.search(r"GET /health +on 1\d{4}  200 to an engine, :\d+\n", text)
    assert re.search(r"GET /health +on 2\d{4}  200 to management, :\d+\n", text)
    assert re.search(r"POST /api/v1/train/start +on 1\d{4}  404 not_served\n", text)
    assert re.search(r"POST /v1/chat/completions +on 1\d{4}  400 bad_request: two lengths", text)
    assert re.search(r"latency +-?\d+ us added to GET /v1/models: \d+ at an engine itself, \d+", text)
    assert re.search(r"first token after \d+\.\d ms, \d+\.\d at an engine itself; longest pause", text)
    assert re.search(r"bytes +[\d.]+ kB to the model and [\d.]+ kB back through 1\d{4} and 2", text)
    assert re.search(r"memory +testnode \d+\.\d MB, server \d+\.\d MB, client \d+\.\d MB", text)
    assert "curl http" not in text and "\033" not in text
    shown.assert_nothing_left()


def test_prints_tokens_when_they_arrive(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([MLGATE, "demo"], stdout=subprocess.PIPE, env=env) as process:
        arrivals = []
        while piece := os.read(process.stdout.fileno(), 65536):
            arrivals += [time.monotonic()] * len(re.findall(rb"[a-zA-Z]-\d+ ", piece))
    assert process.returncode == 0
    stream = arrivals[:TOKENS]
    assert stream[-1] - stream[0] > (TOKENS - 1) / 40 * 0.8
    assert len(set(stream)) > TOKENS // 2  # a busy machine may join some


ROUTED = [  # leading digit of the port, path, where it goes
    (1, "/api/v1/state", "management"),
    (2, "/api/v1/state", "management"),
    (1, "/v1/models", "engine"),
    (2, "/v3.0.8/v1/models", "engine"),
    (1, "/health", "engine"),
    (2, "/health", "management"),
    (2, "/mlgate-test/source?bytes=9", "inference"),
    (2, "/mlgate/status", "gateway"),
]
REFUSED = [
    (1, "/api/v1/train/start", 404, "not_served"),
    (2, "/api/v1/tra%69n/start", 404, "not_served"),
    (1, "/v1/chat/completions", 400, "bad_request"),
]


def test_what_is_routed_and_refused(demo):
    shown = demo("--json")
    assert shown.wait_end(LIMIT) == 0
    report = json.loads(shown.out[0])
    ports = report["ports"]
    places = {
        "management": [ports["testnode_management"]],
        "inference": [ports["testnode_inference"]],
        "engine": ports["engines"],
        "gateway": [None],
    }
    assert [(c["port"] // 10000, c["path"], c["to"]) for c in report["routed"]] == ROUTED
    for call in report["routed"]:
        assert call["status"] == 200 and call.get("to_port") in places[call["to"]], call
    refused = [(c["port"] // 10000, c["path"], c["status"], c["code"]) for c in report["refused"]]
    assert refused == REFUSED
    assert not any("to_port" in call for call in report["refused"])
    shown.assert_nothing_left()


def test_the_engines_say_the_same(demo):
    """What the summary tells of the way is what the other end saw."""
    shown = demo("--keep", "--json")
    eventually(lambda: shown.out, LIMIT, "the summary")
    report = json.loads(shown.out[0])
    base = f"http://127.0.0.1:{report['ports']['testnode_management']}"
    engines = httpx.get(f"{base}/mlgate-test/engines", timeout=10).json()
    assert [e["port"] for e in engines["engines"]] == report["ports"]["engines"]
    assert engines["proxied"] <= 2  # the one routed there, and what the gateway compares with
    # two streams, one completion, one request through the inference port; nothing that was refused
    assert sum(e["requests"] for e in engines["engines"]) == 4
    shown.signal(signal.SIGINT)
    assert shown.wait_end(5 * SLOW) == 0


def test_json(demo):
    shown = demo("--json")
    assert shown.wait_end(LIMIT) == 0
    assert len(shown.out) == 1 and shown.err == []
    report = json.loads(shown.out[0])
    number = int(report["client_id"])
    assert report["ports"]["inference"] == 10000 + number
    assert report["ports"]["poc"] == 20000 + number
    assert report["stream"]["tokens"] == TOKENS
    assert 0 < report["stream"]["first_token_ms"] < 5000 * SLOW
    assert 5 < report["stream"]["tokens_per_second"] < 60
    assert 0 < report["stream"]["longest_gap_ms"] < 5000 * SLOW
    assert report["stream"]["glued"] < TOKENS / 2  # none, unless the machine is busy
    assert report["stream_direct"]["tokens"] == TOKENS
    assert 0 < report["stream_direct"]["first_token_ms"] < 5000 * SLOW
    assert report["completion"]["tokens"] == 8
    latency = report["latency"]
    assert latency["rounds"] >= 20
    added = latency["tunnel_us"] - latency["direct_us"]
    assert latency["added_us"] == pytest.approx(added, rel=0.01)
    # each round sends a request of some 60 bytes, and the stream has more than 200 bytes a token
    assert report["bytes"]["sent"] > 40 * latency["rounds"]
    assert report["bytes"]["received"] > 200 * TOKENS
    assert set(report["processes"]) == CHILDREN
    for process in report["processes"].values():
        assert process["resident_bytes"] > 1_000_000
        assert not alive(process["pid"])
    assert "directory" not in report and "commands" not in report
    shown.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_keep_stays_until_asked(demo, number):
    shown = demo("--keep", "--json")
    eventually(lambda: shown.out, LIMIT, "the summary")
    report = json.loads(shown.out[0])
    directory = shown.directory()
    family = shown.family()
    assert report["directory"] == str(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {f"{name}.log" for name in CHILDREN} < {path.name for path in directory.iterdir()}

    base = f"http://127.0.0.1:{report['ports']['inference']}"
    asked = {"stream": True, "messages": [{"role": "user", "content": "go on"}]}
    with httpx.stream("POST", f"{base}/v1/chat/completions", json=asked, timeout=10) as answer:
        events = [line.strip() for line in answer.iter_lines() if line.startswith("data: ")]
    assert events[-1] == "data: [DONE]" and len(events) > TOKENS
    assert httpx.get(f"http://127.0.0.1:{report['ports']['poc']}/health").status_code == 200
    listener = f"http://127.0.0.1:{report['ports']['gateway']}"
    assert httpx.get(f"{listener}/v1/models").status_code == 200

    shown.signal(number)
    assert shown.wait_end(5 * SLOW) == 0
    assert shown.err == []
    shown.assert_nothing_left(family)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", report["ports"]["server"]), 1)


def test_the_printed_commands_work(demo):
    if not any(os.access(f"{d}/curl", os.X_OK) for d in os.environ["PATH"].split(":")):
        pytest.skip("skipped (no curl)")
    shown = demo("--keep")
    shown.wait_line("Ctrl-C stops everything", LIMIT)
    lines = [line.strip() for line in shown.out if line.startswith("  curl ")]
    assert len(lines) == 4
    for line in lines:
        made = subprocess.run(
            ["sh", "-c", f"{line} -sSf"], capture_output=True, timeout=10, check=False
        )
        assert made.returncode == 0 and made.stdout, line
    shown.signal(signal.SIGINT)
    assert shown.wait_end(5 * SLOW) == 0


def test_the_token_is_on_no_command_line(demo):
    shown = demo("--keep", "--json")
    eventually(lambda: shown.out, LIMIT, "the summary")
    ini = shown.directory() / "frp" / "frpc.ini"
    assert stat.S_IMODE(ini.stat().st_mode) == 0o600
    token = re.search(r"^token *= *(\S+)", ini.read_text(), re.M).group(1).strip("`\"'")
    assert len(token) >= 32
    for pid in [shown.pid, *shown.family().values()]:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
            assert token not in f.read()
    for log in shown.directory().glob("*.log"):
        assert token not in log.read_text()
    assert token not in shown.text()


def test_children_end_when_the_demo_is_killed(demo):
    shown = demo("--keep", "--json")
    eventually(lambda: shown.out, LIMIT, "the summary")
    family = shown.family()
    os.kill(shown.pid, signal.SIGKILL)
    for name, pid in family.items():
        eventually(lambda pid=pid: not alive(pid), 5, f"the end of the {name}")


@pytest.mark.parametrize("name", sorted(CHILDREN))
@pytest.mark.parametrize("kept", [False, True], ids=["streaming", "kept"])
def test_a_child_that_dies_is_named(demo, name, kept):
    shown = demo(*(["--keep"] if kept else []))
    shown.wait_line("Ctrl-C stops" if kept else "streamed through the tunnel", LIMIT)
    family = shown.family()
    os.kill(family[name], signal.SIGKILL)
    assert shown.wait_end(LIMIT) == 1
    step = "staying up" if kept else "streaming a chat completion through the tunnel"
    assert shown.err[0] == (
        f"mlgate demo: failed while {step}: the {name} was killed by signal 9 (Killed)"
    )
    assert shown.err[1] == f"  the last lines of the {name}:"
    assert len(shown.err) > 2
    shown.assert_nothing_left(family)


@pytest.mark.slow_once
def test_a_child_that_hangs_is_killed_in_the_end(demo):
    shown = demo()
    shown.wait_line("streamed through the tunnel", LIMIT)
    family = shown.family()
    os.kill(family["client"], signal.SIGSTOP)
    assert shown.wait_end(LIMIT + 1) == 1
    assert time.monotonic() - shown.began < LIMIT
    assert "streaming a chat completion" in shown.err[0] and "not done" in shown.err[0]
    shown.assert_nothing_left(family)


def test_interrupted_early(demo):
    shown = demo()
    shown.wait_line("streamed through the tunnel", LIMIT)
    family = shown.family()
    shown.signal(signal.SIGINT)
    assert shown.wait_end(5 * SLOW) == 1
    step = "streaming a chat completion through the tunnel"
    assert shown.err == [f"mlgate demo: interrupted while {step}"]
    shown.assert_nothing_left(family)


def test_configuration_for_other_instances_does_not_count(demo):
    shown = demo(
        "--json",
        CLIENT_ID="0000",
        FRP_SERVER="nowhere",
        FRP_TLS_PIN="wrong",
        LOG_LEVEL="error",
        MEMORY_LIMIT="none",
        GATEWAY_LISTEN="wrong",
        GATEWAY_POLICY="none",
        ENGINE_PORTS="1-1",
        ENGINE_DIRECT="off",
        MLGATE_BIND="wrong",
        MLGATE_ALLOW_PORTS="1",
        SECRET_FRP_TOKEN_FILE="/nonexistent",
    )
    assert shown.wait_end(LIMIT) == 0
    shown.assert_nothing_left()


def test_two_at_once(demo):
    both = [demo("--json"), demo("--json")]
    assert [shown.wait_end(LIMIT) for shown in both] == [0, 0]
    both[0].assert_nothing_left()


def test_output_that_cannot_be_written(tmp_path):
    for flags in ([], ["--json"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            made = subprocess.run(
                [MLGATE, "demo", *flags],
                stdout=full,
                stderr=subprocess.PIPE,
                env={**os.environ, "TMPDIR": str(tmp_path)},
                timeout=LIMIT,
                text=True,
                check=False,
            )
        assert made.returncode == 1
        assert "standard output cannot be written" in made.stderr
        assert list(tmp_path.iterdir()) == []


def test_no_place_for_its_files(tmp_path):
    missing = tmp_path / "missing"
    env = {**os.environ, "TMPDIR": str(missing)}
    made = subprocess.run(
        [MLGATE, "demo"], capture_output=True, env=env, timeout=LIMIT, text=True, check=False
    )
    assert made.returncode == 1 and made.stdout == ""
    assert re.fullmatch(
        rf"mlgate demo: cannot make a directory like {missing}/\S+: No such file or directory\n",
        made.stderr,
    )


@pytest.mark.parametrize("words", [["--wrong"], ["word"], ["--keep=yes"], ["--json", "-x"], [""]])
def test_bad_arguments(words):
    made = subprocess.run(
        [MLGATE, "demo", *words], capture_output=True, timeout=LIMIT, text=True, check=False
    )
    assert made.returncode == 2 and made.stdout == ""
    assert f"unknown argument '{words[-1]}'" in made.stderr
    assert "usage: mlgate demo" in made.stderr


def test_help():
    made = subprocess.run(
        [MLGATE, "demo", "--help"], capture_output=True, timeout=LIMIT, text=True, check=False
    )
    assert made.returncode == 0 and made.stderr == ""
    for flag in ("--keep", "--json", "--help"):
        assert flag in made.stdout


def on_terminal(tmp_path, **more):
    """What a terminal of the demo's own gets to see."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm", **more}
    env = {name: value for name, value in env.items() if value is not None}
    process = subprocess.Popen([MLGATE, "demo"], stdout=theirs, env=env)
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + LIMIT
    while True:
        if not select.select([ours], [], [], max(0, deadline - time.monotonic()))[0]:
            process.kill()
            raise Failure("the demo did not end")
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the last of the other end's descriptors is closed
            piece = b""
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert process.wait(LIMIT) == 0
    return seen


@pytest.mark.parametrize(
    ("more", "colour"),
    [({"NO_COLOR": None}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["terminal", "NO_COLOR", "dumb"],
)
def test_colour(tmp_path, more, colour):
    assert (b"\033[" in on_terminal(tmp_path, **more)) == colour


def test_without_a_network(tmp_path):
    """A loopback interface is all it needs; without even that it says what went wrong."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("skipped (no network namespaces)")
    inside = f"ip link set lo up && exec {MLGATE} demo --json"
    made = subprocess.run(
        ["unshare", "-rn", "sh", "-c", inside],
        capture_output=True,
        env=env,
        timeout=LIMIT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["stream"]["tokens"] == TOKENS
    assert not SANITIZER.search(made.stderr)
