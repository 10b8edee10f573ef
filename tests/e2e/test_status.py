"""`mlgate status`: what an operator sees of a container through a day, and of what is not there."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from containers import Container, namespaces_work
from harness import Failure, eventually
from lab import MLGATE, TOKEN, Proxy, within
from test_environment import Node

NOBODY = 65534
UNKNOWN_PATH = "/v1/load_lora_adapter?secret=in-the-query"


def run_status(directory, *flags, wrap=(), **more):
    environment = {"LC_ALL": "C"} | ({"FRP_CONFIG_DIR": str(directory)} if directory else {})
    done = subprocess.run(
        [*wrap, MLGATE, "status", *flags],
        env=environment,
        capture_output=True,
        text=True,
        timeout=within(15),
        **more,
    )
    return done.returncode, done.stdout, done.stderr


def document(directory, *flags):
    status, out, err = run_status(directory, "--json", *flags)
    assert (status, err) == (0, ""), (status, out, err)
    return json.loads(out)


def wait_document(directory, predicate, what, seconds=15, flags=()):
    """The first document for which the predicate is true."""

    def look():
        status, out, _ = run_status(directory, "--json", *flags)
        found = json.loads(out) if status == 0 else None
        return found if found and predicate(found) else None

    return eventually(look, within(seconds), what)


def server_of(found):
    return found["servers"][0]


def report(directory):
    status, out, err = run_status(directory)
    assert (status, err) == (0, "")
    assert all(len(line) <= 80 for line in out.split("\n")), out
    return out


# ---- through a day -------------------------------------------------------------------------------


def test_registered(lab, server, place):
    c = Container(lab, server, place, NODE_ID="rig-7").start("run").wait_ready()
    found = document(c.directory)
    assert (found["role"], found["client_id"], found["node_id"]) == (
        "container",
        c.client_id,
        "rig-7",
    )
    link = server_of(found)
    assert link["address"] == f"127.0.0.1:{server.port}"
    assert (link["state"], link["sessions"]) == ("registered", 1)
    assert [(p["remote"], p["state"], p["to"]) for p in link["ports"]] == [
        (c.port_1, "confirmed", f"127.0.0.1:{c.listen}"),
        (c.port_2, "confirmed", f"127.0.0.1:{c.listen_poc}"),
    ]
    assert found["mlnode"]["manner"] == "answers"
    wait_document(c.directory, lambda d: d.get("container"), "the facts of PID 1")
    found = document(c.directory)["container"]
    assert found["phase"] == "serving" and found["restarts"] == []
    assert found["worker"]["state"] == found["mlnode"]["state"] == "running"
    said = report(c.directory)
    assert said.startswith(f"mlgate 0.1.0, container {c.client_id}, node rig-7, up ")
    assert f"server    127.0.0.1:{server.port}: registered for" in said
    assert "\n!" not in said and "\x1b" not in said
    wait_document(c.directory, lambda d: "round_trip_ms" in server_of(d), "a round trip")


def test_requests_and_refusals(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    c.stream(tokens=3, rate=1000, port=c.port_1).rest()
    for _ in range(20):
        assert c.ask("POST", UNKNOWN_PATH, c.port_1)[0] == 404
    found = wait_document(
        c.directory, lambda d: d["gateway"]["refused_by_policy"] == 20, "what was refused"
    )["gateway"]
    assert found["outcomes"]["refused"] == 20
    assert found["classes"]["inference"]["outcomes"]["ok"] == 1
    assert found["first_byte_ms"]["count"] == 1 and found["first_byte_ms"]["p50"] > 0
    assert len(found["last_refusals"]) == 16
    last = found["last_refusals"][0]
    assert (last["method"], last["path"]) == ("POST", "/v1/load_lora_adapter")
    assert last["from"] == "127.0.0.1" and "GATEWAY_POLICY" in last["why"]
    found = document(c.directory)
    assert "in-the-query" not in json.dumps(found)
    assert server_of(found)["users"] == 21 and server_of(found)["bytes_out"] > 0
    said = report(c.directory)
    assert re.search(r"^  answers ok 1; first byte p50 .* ms, p99 .* ms$|first byte", said, re.M)
    assert "POST /v1/load_lora_adapter" in said


def test_a_day_of_trouble(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    server.process.kill()
    found = wait_document(
        c.directory, lambda d: server_of(d)["state"] == "waiting", "a server that is away"
    )
    assert server_of(found)["last_end"]["reason"] in ("connect-refused", "peer-closed")
    assert {p["state"] for p in server_of(found)["ports"]} == {"waiting"}
    assert f"\n!         127.0.0.1:{server.port}: not registered, " in report(c.directory)
    server.start().wait_ready()
    c.wait_ready(within(30))
    assert server_of(document(c.directory))["sessions"] == 2

    killed = c.kill("mlgate-worker")
    c.wait_child("mlgate-worker", other_than=killed)
    found = wait_document(c.directory, lambda d: d.get("container"), "the facts of PID 1")
    assert found["container"]["worker"]["starts"] == 2
    restart = found["container"]["restarts"][0]
    assert (restart["who"], restart["why"]) == ("worker", "was killed by signal 9 (Killed)")

    c.kill("mlgate-shim")
    found = wait_document(
        c.directory,
        lambda d: d["container"]["mlnode"]["starts"] == 2,
        "MLNode's second start",
        seconds=20,
    )
    who = [restart["who"] for restart in found["container"]["restarts"]]
    assert who == ["mlnode", "worker"]
    c.wait_ready(within(30))
    assert re.search(r"^restarts  (\d+|less than 1) s ago: mlnode was killed by signal 9", report(c.directory), re.M)


@pytest.mark.slow_once
def test_a_listener_that_strangers_reach(lab, server):
    with socket.socket() as stranger:
        stranger.bind(("0.0.0.0", lab.ports.take()))
        stranger.listen()
        port = stranger.getsockname()[1]
        own = lab.ports.take()  # the gateway's own is no exception
        wide = {"GATEWAY_LISTEN": f"0.0.0.0:{own}", "METRICS_LISTEN": f"127.0.0.1:{port}"}
        c = Container(lab, server, **wide).start("run").wait_ready()
        assert "listeners" not in document(c.directory).get("container", {})  # nobody looked yet
        found = wait_document(
            c.directory,
            lambda d: {own, port} <= set(d["container"].get("listeners", [])),
            "the audit of listeners",
            seconds=30,
        )
        public = json.loads(c.ask("GET", "/mlgate/status", c.listen_poc)[2])
        for problems in found["problems"], public["problems"]:
            assert [p["subject"] for p in problems] == ["container", "metrics"]
            assert str(own) in problems[0]["what"] and "mlgate check" in problems[0]["remedy"]
        assert f"cannot listen on 127.0.0.1:{port}: " in found["problems"][1]["detail"]
        assert "detail" not in public["problems"][1]
        assert found["container"]["listeners"] == sorted(found["container"]["listeners"])
    assert "reachable from outside where the platform publishes them: ports" in " ".join(
        report(c.directory).split()
    )


def test_who_comes_between_two_workers_waits(lab, server):
    """PID 1 holds the door: nobody is refused while the worker is started again."""
    c = Container(lab, server).start("run").wait_ready()
    for _ in range(3):
        killed = c.kill("mlgate-worker")
        found = document(c.directory)
        assert found["role"] == "container"
        c.wait_child("mlgate-worker", other_than=killed)
        c.wait_ready()


@pytest.mark.slow_once
def test_a_worker_that_hangs(lab, server, place):
    """What PID 1 knows is printed, and said to be all."""
    c = Container(lab, server, place).start("run").wait_ready()
    hung = c.kill("mlgate-worker", signal.SIGSTOP)
    status, out, _ = run_status(c.directory)
    assert status == 1
    assert out.startswith("the worker does not answer; PID 1 says: ")
    assert "\nprocesses worker running" in out
    c.process.wait_line("no sign of life from the worker", within(20))
    c.wait_child("mlgate-worker", other_than=hung)
    document(c.directory)
    wait_document(c.directory, lambda d: d.get("container"), "the facts of PID 1")
    assert "worker gave no sign of life and was killed" in report(c.directory)


@pytest.mark.slow_once
def test_a_hanging_worker_as_json(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    c.kill("mlgate-worker", signal.SIGSTOP)
    status, out, _ = run_status(c.directory, "--json")
    assert status == 1
    found = json.loads(out)
    assert "does not answer" in found["error"]
    assert found["container"]["worker"] == {"state": "running", "starts": 1}


# ---- what strangers see --------------------------------------------------------------------------


def test_the_public_page_keeps_addresses_and_paths_in(lab, server):
    """Everything that the environment says, and everybody's address, but for words that are meant
    to be seen."""
    c = Container(lab, server, NODE_ID="rig-7", MODEL_NAME=str(lab.path("model")))
    c.start("run").wait_ready()
    c.stream(tokens=3, rate=1000, port=c.port_1).rest()
    c.ask("POST", UNKNOWN_PATH, c.port_1)
    server.process.kill()
    # not the end of the session itself, which the next try is about to replace
    found = wait_document(
        c.directory,
        lambda d: "refused" in str(server_of(d).get("last_end")) and d.get("container"),
        "an end that stays the last one's",
        seconds=30,
    )
    page = c.ask("GET", "/mlgate/status", c.listen_poc)[2].decode()
    public = json.loads(page)
    inside = {TOKEN, "127.0.0.1", str(lab.directory), str(c.directory), str(server.port)}
    inside |= {value for value in c.environment.values() if len(value) > 5}
    for word in inside:
        assert word not in page, word
    assert "127.0.0.1" in json.dumps(found)  # the operator on the machine sees it
    assert TOKEN not in json.dumps(found)
    assert public["servers"][0]["last_end"]["reason"] == server_of(found)["last_end"]["reason"]
    assert public["gateway"]["last_refusals"][0]["path"] == "/v1/load_lora_adapter"
    assert public["container"]["phase"] == "serving"
    for key in ("version", "uptime_s", "mlnode", "gateway"):  # of the page before this one
        assert key in public
    assert public["mlnode"]["state"] == "inference" and public["gateway"]["requests"] >= 2


# ---- who may ask, and who is there ---------------------------------------------------------------


def test_nobody_is_there(lab):
    status, out, err = run_status(lab.path("nowhere"))
    assert (status, out) == (1, "")
    assert re.fullmatch(r"`mlgate run` is not running here: nobody listens on \S+/status.sock; .*\n", err)
    status, out, _ = run_status(lab.path("nowhere"), "--json")
    assert status == 1 and "is not running here" in json.loads(out)["error"]


def test_a_stale_socket(lab):
    directory = lab.path("etc-frp")
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(directory / "status.sock"))
    status, out, err = run_status(directory)
    assert (status, out) == (1, "")
    assert "left" in err and "behind and is gone" in err


def test_a_killed_container_leaves_nothing_that_lies(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    c.process.kill()
    status, _, err = run_status(c.directory)
    assert status == 1 and "behind and is gone" in err
    c.start("run").wait_ready()
    document(c.directory)
    assert c.process.stop() == 0
    assert not (c.directory / "status.sock").exists()


def as_nobody(directory, *flags):
    return run_status(
        directory, *flags, wrap=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="skipped (not root)")
def test_another_user(lab, server, tmp_path_factory):
    """Not even by a name without a file, where no file's mode stands in the way."""
    open_place = tmp_path_factory.mktemp("open")
    for folder in (open_place, *open_place.parents[:2]):
        folder.chmod(0o755)
    c = Container(lab, server, FRP_CONFIG_DIR=str(open_place / ("long-" * 30)))
    c.directory = c.environment["FRP_CONFIG_DIR"]
    c.start("run").wait_ready()
    document(c.directory)
    status, out, err = as_nobody(c.directory)
    assert (status, out) == (1, "")
    assert "answers root and its own user only" in err
    c.process.stop()

    c = Container(lab, server)
    lab.directory.chmod(0o755)
    c.start("run").wait_ready()
    c.directory.chmod(0o755)
    status, out, err = as_nobody(c.directory)
    assert (status, out) == (1, "") and "answers root and its own user only" in err


def test_askers_that_read_nothing_keep_nobody_waiting(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    slow = []
    for _ in range(40):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(c.directory / "status.sock"))
        slow.append(s)
    began = time.monotonic()
    document(c.directory)
    assert c.ask("GET", "/api/v1/state", c.port_1)[0] == 200
    assert time.monotonic() - began < within(3)
    for s in slow:
        s.close()


# ---- where it is found ---------------------------------------------------------------------------


def joined(c, *words):
    process = c.join(
        ["env", "-i", "LC_ALL=C", str(MLGATE), *words], stdout=subprocess.PIPE, text=True
    )
    out = process.communicate(timeout=within(15))[0]
    return process.returncode, out


def test_the_directory_of_pid_1(lab, server):
    """As over SSH, which has none of the container's variables."""
    c = Container(lab, server, "pid1").start("run").wait_ready()
    assert joined(c, "health") == (0, "ready: the tunnel is registered, MLNode answers\n")
    status, out = joined(c, "status", "--json")
    assert status == 0 and json.loads(out)["client_id"] == c.client_id


@pytest.mark.skipif(not namespaces_work(), reason="skipped (no namespaces here)")
def test_the_directory_of_the_socket(lab):
    """Where PID 1 shows its environment to nobody, or is somebody else."""
    c = Container(lab, wrap=["unshare", "--net"])
    c.start("run")
    eventually(lambda: c.health("--live")[0] == 0, within(15), "a live container")
    wrap = ["nsenter", "-t", str(c.process.first()), "-n"]
    status, out, err = run_status(None, "--json", wrap=wrap)
    assert status == 0, err
    assert json.loads(out)["client_id"] == c.client_id


# ---- again and again -----------------------------------------------------------------------------


class Screen:
    """`mlgate status --watch` on a terminal of its own."""

    def __init__(self, directory):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)  # a shell's background job ignores some
            environment = {"FRP_CONFIG_DIR": str(directory), "LC_ALL": "C", "TERM": "xterm"}
            os.execve(MLGATE, ["mlgate", "status", "--watch"], environment)

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other end of a terminal is gone
            return False
        self.text += data
        return bool(data)

    def wait(self, pattern, count=1, seconds=10):
        deadline = time.monotonic() + within(seconds)
        while len(re.findall(pattern, self.text)) < count:
            if time.monotonic() > deadline or not self._read(1) and not self.lives():
                raise Failure(f"no {pattern!r} on the screen: {self.text!r}")

    def lives(self):
        return os.waitpid(self.pid, os.WNOHANG)[0] == 0

    def end(self):
        """The exit status, once everything that it draws is read."""
        deadline = time.monotonic() + within(10)
        while self._read(within(5)):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_watch_on_a_terminal(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    screen = Screen(c.directory)
    screen.wait(rb"\x1b\[H", 3)  # drawn three times in the same place
    server.process.kill()
    screen.wait(rb"not registered")
    assert screen.text.startswith(b"\x1b[?1049h\x1b[?25l")
    os.write(screen.fd, b"\x03")  # Ctrl-C
    assert screen.end() == 0
    assert screen.text.endswith(b"\x1b[?25h\x1b[?1049l")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_watch_leaves_the_terminal_as_it_was(lab, number):
    screen = Screen(lab.path("nobody-is-here"))
    screen.wait(rb"is not running here")
    os.kill(screen.pid, number)
    assert screen.end() == 1
    assert screen.text.endswith(b"\x1b[?25h\x1b[?1049l")


def test_watch_goes_on_without_an_instance(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    screen = Screen(c.directory)
    screen.wait(rb"registered for")
    c.process.stop()
    screen.wait(rb"is not running here")
    os.write(screen.fd, b"\x03")
    assert screen.end() == 1


def test_watch_as_lines(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    process = lab.spawn(
        "watch", [MLGATE, "status", "--json", "--watch"], {"FRP_CONFIG_DIR": str(c.directory)}
    )
    eventually(lambda: len(process.out) >= 3, within(10), "three lines")
    process.signal(signal.SIGTERM)
    assert process.wait_end(within(5)) == 0
    assert {json.loads(line)["client_id"] for line in process.out} == {c.client_id}


def test_watch_ends_when_nobody_reads(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    with subprocess.Popen(
        [MLGATE, "status", "--watch"],
        env={"FRP_CONFIG_DIR": str(c.directory)},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline().startswith(b"mlgate ")
        process.stdout.close()
        assert process.wait(within(10)) == 0


# ---- a client alone ------------------------------------------------------------------------------


def test_a_client_with_a_file(lab):
    server = lab.server()
    proxy = Proxy("web", lab.ports.take(), lab.ports.take())
    client = lab.client(server, [proxy])
    file = str(client.argv[-1])
    found = document(None, "-c", file)
    assert found["role"] == "client" and "gateway" not in found and "container" not in found
    assert [(p["name"], p["remote"]) for p in server_of(found)["ports"]] == [("web", proxy.port)]
    assert oct(os.stat(f"{file}.sock").st_mode)[-3:] == "600"
    assert client.process.stop() == 0
    assert not os.path.exists(f"{file}.sock")
    status, _, err = run_status(None, "-c", file)
    assert status == 1 and f"nobody listens on {file}.sock" in err


def test_a_client_of_the_environment(lab, server):
    node = Node(lab, server).start().wait_ready()
    found = document(node.directory)
    assert (found["role"], found["client_id"]) == ("client", node.client_id)
    assert found["mlnode"] and found["gateway"] and "container" not in found
    second = lab.spawn("second client", [MLGATE, "client"], node.environment)
    second.wait_line(r"another client listens on \S+/status.sock: `mlgate status` asks that one")
    assert document(node.directory)["started"] == found["started"]


def test_a_door_that_cannot_be_made_is_one_warning(lab, server):
    """Another file stands in its place: the name without a file is taken, so nothing is missing."""
    directory = lab.path("etc-frp")
    directory.mkdir()
    (directory / "status.sock").write_text("somebody's", encoding="utf-8")
    c = Container(lab, server, FRP_CONFIG_DIR=str(directory))
    c.directory = directory
    c.start("run").wait_ready()
    assert document(directory)["client_id"] == c.client_id
    assert (directory / "status.sock").read_text(encoding="utf-8") == "somebody's"


# ---- the network node ----------------------------------------------------------------------------


def wait_server(predicate, what, *flags):
    return wait_document(None, predicate, what, flags=("--server", *flags))


def test_a_server(lab, tmp_path):
    """Who is logged in, and who was not let in, with its sentence."""
    state = tmp_path / "state"
    server = lab.flag_server("--state-dir", str(state))
    flags = ("--state-dir", str(state))
    found = wait_server(lambda d: True, "a server", *flags)
    assert (found["role"], found["clients"], found["refused_logins"]) == ("server", [], [])
    assert found["bind"] == f"127.0.0.1:{server.port}"
    status, out, _ = run_status(None, "--server", *flags)
    assert status == 0 and "\n!         no client is logged in\n" in out

    c = Container(lab, server).start("run").wait_ready()
    c.stream(tokens=3, rate=1000, port=c.port_1).rest()
    found = wait_server(lambda d: d["bytes_out"] > 0, "bytes", *flags)
    (client,) = found["clients"]
    assert client["program"] == "mlgate" and len(client["run_id"]) == 4
    assert client["address"].startswith("127.0.0.1:")
    assert [p["remote"] for p in client["ports"]] == [c.port_1, c.port_2]
    assert all(c.client_id in p["name"] for p in client["ports"])
    assert client["ports"][0]["bytes_out"] > 0 and found["all_users"] == 1

    stranger = Container(lab, server, SECRET_FRP_TOKEN="not-the-token").start("run")
    found = wait_server(lambda d: d["refused_logins"], "a refused login", *flags)
    refused = found["refused_logins"][0]
    assert refused["reason"] == "auth-failed" and "token" in refused["text"]
    assert refused["from"].startswith("127.0.0.1:")
    assert "not-the-token" not in json.dumps(found) and TOKEN not in json.dumps(found)
    status, out, _ = run_status(None, "--server", *flags)
    assert status == 0 and all(len(line) <= 80 for line in out.split("\n")), out
    assert re.search(r"^refused   (\d+|less than 1) s ago from 127.0.0.1:\d+: ", out, re.M)
    assert re.search(rf"^  ports   {c.port_1} \S+: 0 now, in ", out, re.M)
    assert stranger.process.running()

    # who has no state directory in his words is told where a server listens
    err = run_status(None, "--server", "--bind", "127.0.0.1:1")[2]
    assert "; but somebody does on /" in err and "with --server --state-dir DIR" in err
    # the same ports once more, and one that comes and goes
    Container(lab, server, CLIENT_ID=c.client_id).start("run")
    found = wait_server(lambda d: d["refused_proxies"], "a refused port", *flags)
    assert c.client_id in found["refused_proxies"][0]["text"]
    with socket.create_connection(("127.0.0.1", server.port)) as visitor:
        where = "127.0.0.1:%d" % visitor.getsockname()[1]
    wait_server(
        lambda d: where in [o["from"] for o in d["ended_openings"]], "who left", *flags
    )

    assert server.process.stop() == 0
    assert not (state / "status.sock").exists()
    status, _, err = run_status(None, "--server", *flags)
    assert status == 1 and "`mlgate server` is not running here" in err


def test_a_server_without_a_state_directory(lab):
    """It is found by its port, and by the variables that it has itself."""
    server = lab.flag_server()
    found = wait_server(lambda d: True, "a server", "--bind", f":{server.port}")
    assert found["bind"] == f"127.0.0.1:{server.port}"
    done = subprocess.run(
        [MLGATE, "status", "--server", "--json"],
        env={"MLGATE_BIND": f"127.0.0.1:{server.port}"},
        capture_output=True,
        timeout=within(15),
    )
    assert json.loads(done.stdout)["bind"] == found["bind"]
    second = lab.flag_server()  # another port is another server
    found = wait_server(lambda d: True, "a server", "--bind", f"127.0.0.1:{second.port}")
    assert found["bind"] == f"127.0.0.1:{second.port}"


@pytest.mark.skipif(os.geteuid() != 0, reason="skipped (not root)")
def test_a_server_of_another_user(lab, tmp_path_factory):
    """As systemd runs it: root asks the user who alone can put files into the state directory; what
    anybody may have put elsewhere is not believed."""
    place = tmp_path_factory.mktemp("server")
    for folder in (place, *place.parents[:2]):
        folder.chmod(0o755)
    state = place / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    lab.wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    server = lab.flag_server("--state-dir", str(state))
    flags = ("--server", "--state-dir", str(state))
    found = wait_document(None, lambda d: True, "a server", flags=flags)
    assert found["bind"] == f"127.0.0.1:{server.port}"
    assert as_nobody(None, *flags)[0] == 0
    state.chmod(0o777)
    status, _, err = run_status(None, *flags)
    assert status == 1 and "ask as one of them" in err


@pytest.mark.parametrize(
    "words",
    [
        ("--server", "-c", "x"),
        ("--state-dir", "x"),
        ("--bind", ":7000"),
    ],
)
def test_flags_that_do_not_go_together(words):
    status, out, err = run_status("/nowhere", *words)
    assert (status, out) == (2, "") and "for --server" in err


def test_a_wrong_port(lab):
    status, out, err = run_status(None, "--server", "--bind", "nonsense")
    assert (status, out) == (2, "") and "bind" in err


@pytest.mark.parametrize("words", [("--nonsense",), ("word",), ("-c",)])
def test_usage(words):
    status, out, err = run_status("/nowhere", *words)
    assert (status, out) == (2, "") and "usage: mlgate status" in err


DOORS = """
import os, signal, socket, subprocess, sys
def door(directory, user):
    here, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setuid(user)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(directory + "/mlgate.sock")
            s.listen()
            os.write(told, b"x")
            signal.pause()
    os.read(here, 1)
    return pid
mlgate, *doors = sys.argv[1:]
pids = [door(which.split("=")[0], int(which.split("=")[1])) for which in doors]
done = subprocess.run([mlgate, "status"], stdin=subprocess.DEVNULL)
for pid in pids:
    os.kill(pid, signal.SIGKILL)
sys.exit(done.returncode)
"""


@pytest.mark.skipif(not namespaces_work(), reason="skipped (no namespaces here)")
def test_a_door_of_a_stranger_is_not_found():
    """Where FRP_CONFIG_DIR is nowhere, the kernel's list of sockets tells; any user can be in it."""
    with contextlib.suppress(OSError):  # PID 1 may be a stranger too
        if b"FRP_CONFIG_DIR=" in Path("/proc/1/environ").read_bytes():
            pytest.skip("skipped (PID 1 has an FRP_CONFIG_DIR)")
    for owners in ([NOBODY], [NOBODY, 0]):
        with tempfile.TemporaryDirectory() as top:
            Path(top).chmod(0o755)
            for owner in owners:
                (Path(top) / str(owner)).mkdir()
                os.chown(Path(top) / str(owner), owner, owner)
            doors = [f"{top}/{owner}={owner}" for owner in owners]
            argv = ["unshare", "--net", sys.executable, "-c", DOORS, MLGATE, *doors]
            done = subprocess.run(
                argv, env={"LC_ALL": "C"}, capture_output=True, text=True, timeout=30, check=False
            )
            assert done.returncode == 1, done.stderr
            ours = f"{top}/0" if 0 in owners else "/etc/frp"
            assert f"nobody listens on {ours}/status.sock" in done.stderr
