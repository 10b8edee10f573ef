"""`mlgate run`: children that die, stops at every stage, and surroundings that are hostile."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from containers import Container, children_of, lives, name_of, timed
from harness import eventually
from lab import MLGATE, SLOW, TOKEN, within

STOPPING = '"code":"stopping"'


def messages(process):
    return [re.sub(r"^\S+ \S+ \[.\] \[\w+\] ", "", line) for line in process.out]


def python_node(lab, text, *words):
    """A program in the place of MLNode, as MLNODE_COMMAND and the rest of its environment."""
    file = lab.path("node.py")
    file.write_text(text, encoding="utf-8")
    command = " ".join([sys.executable, str(file), *map(str, words)])
    return {"UBUNTU_TEST": None, "MLNODE_COMMAND": command}


# ---- serving -------------------------------------------------------------------------------------


def test_serves_and_stops(lab, server, place):
    """From the documented environment to answers at both remote ports, the logs, and the end."""
    c = Container(lab, server, place).start("run").wait_ready()
    said = messages(c.process)
    file = c.directory / "frpc.ini"
    writing = said.index(f"Writing {file} for server 127.0.0.1:{server.port}...")
    assert said.index(f"Starting frpc with config {file}...") == writing + 1
    assert c.state(c.port_1) == "INFERENCE"
    assert c.ask("GET", "/v1/models", c.port_2)[0] == 200
    assert c.health() == (0, "ready: the tunnel is registered, MLNode answers")
    assert c.health("--live") == (0, "live")
    assert "/api/v1/state" in (c.logs / "http_server_8080.log").read_text()
    assert "/v1/models" in (c.logs / "http_server_5000.log").read_text()
    both = (c.logs / "http_server_*.log").read_text()
    assert "/api/v1/state" in both and "/v1/models" in both
    c.process.signal(signal.SIGTERM)
    status, seconds = timed(lambda: c.process.wait_end(within(10)))
    assert status == 0
    assert seconds < within(3)  # nothing to wait for
    assert c.process.err == []
    for port in (c.port_1, c.port_2):  # given back, not left to a time limit
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
    assert not (c.directory / "mlgate.sock").exists()


def test_the_tunnel_is_found_by_its_word(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    assert any("frpc" in line and "login to server" in line for line in c.process.out)


def test_every_problem_at_once(lab):
    """Exit 2, each on stderr, nothing written and nothing started."""
    c = Container(lab, API_NODE="nowhere", CLIENT_ID="42", STOP_GRACE="-1", MLNODE_COMMAND="a 'b")
    c.start("run")
    assert c.process.wait_end(within(5)) == 2
    for name in ("API_NODE", "CLIENT_ID", "STOP_GRACE", "MLNODE_COMMAND"):
        assert sum(line.startswith(f"{name}: ") for line in c.process.err) == 1
    assert c.process.out == [] and not c.directory.exists()


def test_health_of_nobody(lab):
    c = Container(lab)
    assert c.health() == (1, "no `mlgate run` is here (for this FRP_CONFIG_DIR)")
    c.directory.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(c.directory / "mlgate.sock"))
    assert c.health("--live")[0] == 1  # a file of a former life
    c.start("run").wait_up()
    assert c.health("--live") == (0, "live")
    assert c.health() == (1, "not ready: the tunnel is not registered with the server")


def test_health_is_for_root(lab):
    c = Container(lab).start("run").wait_up()
    # the directory would keep others away already
    os.chmod(c.directory, 0o711)
    os.chmod(lab.directory, 0o711)
    os.chmod(c.directory / "mlgate.sock", 0o777)
    done = subprocess.run(
        [MLGATE, "health"],
        env={"FRP_CONFIG_DIR": str(c.directory)},
        capture_output=True,
        text=True,
        user=65534,
        timeout=10,
    )
    assert done.returncode == 1 and "ready:" not in done.stdout


# ---- the dead come back --------------------------------------------------------------------------


def test_a_killed_worker_is_back_at_once(lab, server, place):
    c = Container(lab, server, place).start("run").wait_ready()
    before = c.kill("mlgate-worker")
    _, seconds = timed(lambda: c.wait_child("mlgate-worker", other_than=before))
    print(f"worker back after {seconds:.3f} s")
    c.wait_ready()
    assert c.state(c.port_1) == "INFERENCE"
    assert c.process.count(r"MLNode started") == 1  # what is loaded stays


@pytest.mark.slow_once
def test_a_worker_without_heartbeat(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    before = c.kill("mlgate-worker", signal.SIGSTOP)
    c.process.wait_line("no sign of life from the worker", within(15))
    c.wait_child("mlgate-worker", other_than=before)
    c.wait_ready()


@pytest.mark.parametrize("victim", ["shim", "node"])
def test_a_killed_node_is_back(lab, server, place, victim):
    c = Container(lab, server, place).start("run").wait_ready()
    shim = c.child("mlgate-shim")
    node = children_of(shim)[0]
    os.kill(shim if victim == "shim" else node, signal.SIGKILL)
    eventually(lambda: not lives(node), 5, "the end of the node")
    c.wait_child("mlgate-shim", other_than=shim)
    c.wait_ready()
    assert c.process.count("the worker started") == 1


NODE_WITH_GRANDCHILD = """
import os, socket, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"state": "STOPPED"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass

engine, management = int(sys.argv[1]), int(sys.argv[2])
ready, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:  # an engine: a session of its own, a parent that is gone
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", engine))
        holder.listen()
        open(sys.argv[3], "a").write(f"{os.getpid()}\\n")
        os.write(tell, b".")
        while True:
            time.sleep(3600)
    os._exit(0)
os.read(ready, 1)
print("engine holds its port", flush=True)
HTTPServer(("127.0.0.1", management), Answer).serve_forever()
"""


@pytest.mark.parametrize("victim", ["shim", "node", "engine-ignores-term", "shim-of-named-engine"])
def test_a_setsid_grandchild_is_ended_before_a_restart(lab, place, victim):
    """It would hold port 5001 and the GPU; the restarted node binds the same port."""
    c = Container(lab, place=place)
    engine, pids = lab.ports.take(), lab.path("pids")
    text = NODE_WITH_GRANDCHILD
    if victim == "engine-ignores-term":
        text = text.replace("import os, ", "import signal; signal.signal(15, signal.SIG_IGN)\nimport os, ")
    if victim == "shim-of-named-engine":  # as vLLM's are; their names lie where environments were
        named = "setproctitle.setproctitle('VLLM::EngineCore')"
        text = text.replace("holder = ", f"{named}\n        holder = ", 1)
        text = text.replace("import os, ", "import setproctitle\nimport os, ", 1)
    c.environment.update(
        {k: v for k, v in python_node(lab, text, engine, c.management, pids).items() if v}
    )
    del c.environment["UBUNTU_TEST"]
    c.start("run")
    c.process.wait_line("engine holds its port", within(15))
    c.wait_up()
    mark = c.process.mark()
    shim = c.child("mlgate-shim")
    node = next(pid for pid in children_of(shim) if str(c.management) in cmdline(pid))
    os.kill(shim if victim.startswith("shim") else node, signal.SIGKILL)
    c.process.wait_line("engine holds its port", within(20), after=mark)
    c.wait_up()
    assert len(pids.read_text().split()) == 2
    assert c.process.stop() == 0
    with socket.socket() as probe:  # and at the end nobody holds it
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", engine))


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_storms_are_slowed_and_said(lab):
    c = Container(lab, **python_node(lab, "import sys; sys.exit(3)")).start("run")
    c.process.wait_line(r"MLNode ended with status 3", within(5))
    for pause in ("1.0", "2.0"):
        c.process.wait_line(rf"MLNode starts again in {pause} s", within(10))
    c.process.wait_line(r"\(GATEWAY_LISTEN\)", within(5))
    assert c.ask("GET", "/v1/models")[0] == 503  # the gateway serves on


def test_a_configuration_that_only_the_worker_can_judge(lab):
    """Found unusable before the first record: status 2, and nothing is left."""
    c = Container(lab, FRP_TLS_CA_FILE="/nowhere/ca.pem").start("run")
    assert c.process.wait_end(within(10)) == 2
    assert c.process.find("/nowhere/ca.pem")


def silent_node(lab, server, answers=0):
    """As MLNode for 33 s after a crash of vLLM; so many questions are answered before."""
    c = Container(lab, server)
    body = '{"state":"STOPPED"}'
    head = f"HTTP/1.1 200 OK\\r\\nContent-Length: {len(body)}\\r\\nConnection: close\\r\\n\\r\\n"
    text = (
        "import socket\n"
        f"s = socket.create_server(('127.0.0.1', {c.management}))\n"
        f"for n in range({answers}):\n"
        "    asked, _ = s.accept()\n"
        "    asked.recv(65536)\n"
        f"    asked.sendall(b'{head}{body}')\n"
        "    asked.close()\n"
        "kept = []\n"
        "while True: kept.append(s.accept())\n"
    )
    c.environment.update({k: v for k, v in python_node(lab, text).items() if v})
    del c.environment["UBUNTU_TEST"]
    c.start("run")
    c.process.wait_line("MLNode accepts connections and does not answer", within(15))
    return c


@pytest.mark.slow_once
def test_accepts_and_never_answers(lab, server):
    """Shown, and left alone."""
    c = silent_node(lab, server)
    assert c.health() == (1, "not ready: MLNode accepts connections and does not answer")
    assert c.health("--live") == (0, "live")
    assert c.process.count("MLNode started") == 1


@pytest.mark.full
def test_a_paused_container(lab, server):
    """As `docker pause` does it, for longer than a heartbeat may be missing."""
    c = Container(lab, server).start("run").wait_ready()
    worker = c.child("mlgate-worker")
    everybody = [c.process.pid, worker, c.child("mlgate-shim")]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(12)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    c.wait_ready()
    assert c.child("mlgate-worker") == worker
    assert c.process.count("no sign of life") == 0


@pytest.mark.full
def test_silent_for_two_minutes(lab, server):
    """A node that answered once has crashed; it is not waited for longer."""
    c = silent_node(lab, server, answers=2)
    shim = c.child("mlgate-shim")
    c.process.wait_line("did not answer for 120 s: killing it", 150)
    c.wait_child("mlgate-shim", other_than=shim)
    assert c.process.count("the worker started") == 1


def test_a_log_whose_reader_is_gone(lab):
    """Nothing is left to say it to; the writer that stands in for a socket does not storm."""
    c = Container(lab)
    left, right = socket.socketpair()
    with left, right:
        run = subprocess.Popen(
            [MLGATE, "run"],
            stdout=right,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], **c.environment},
        )
    try:
        c.wait_up()
        writer = [pid for pid in children_of(run.pid) if name_of(pid) == "mlgate-writer"]
        for _ in range(50):
            assert c.ask("GET", "/api/v1/state")[0] == 200
        assert len(writer) == 1 and lives(writer[0])
        os.kill(writer[0], signal.SIGKILL)
        eventually(lambda: "mlgate-writer" in map(name_of, children_of(run.pid)), 5, "another writer")
        assert c.state() == "INFERENCE"
        run.send_signal(signal.SIGTERM)
        assert run.wait(within(10)) == 0
    finally:
        run.kill()
        run.wait()


def test_a_program_that_is_not_there(lab):
    c = Container(lab, UBUNTU_TEST=None, MLNODE_COMMAND="/nowhere/server --port 1").start("run")
    c.process.wait_line("cannot execute /nowhere/server: No such file", within(5))
    c.process.wait_line(r"\(GATEWAY_LISTEN\)", within(5))
    assert c.ask("GET", "/api/v1/state")[0] == 503


# ---- PID 1 ---------------------------------------------------------------------------------------

# A thousand children of a shell that does not wait for them.
ORPHANS = "i=0; while [ $i -lt 1000 ]; do (: &); i=$((i+1)); done"


def zombies_below(pid):
    return [child for child in children_of(pid) if not lives(child)]


def test_zombies_by_the_thousand(lab):
    """As PID 1, of whoever leaves them; who came by `docker exec` is otherwise left alone."""
    c = Container(lab, place="pid1").start("run").wait_up()
    guest = c.join(["sleep", "1000"])
    try:
        assert c.join(["sh", "-c", ORPHANS]).wait(60) == 0
        first = c.process.first()
        eventually(lambda: not zombies_below(first), within(10), "all reaped")
        c.kill("mlgate-worker")
        c.kill("mlgate-shim")
        c.process.wait_line("MLNode started", within(10), after=c.process.mark())
        c.wait_up()
        assert guest.poll() is None
    finally:
        guest.kill()
        guest.wait()


def test_zombies_of_the_node(lab, place):
    """The shim's, while MLNode lives and after."""
    words = ["sh", "-c", f"'{ORPHANS}; echo all forked; exec sleep 1000'"]
    c = Container(lab, place=place, UBUNTU_TEST=None, MLNODE_COMMAND=" ".join(words)).start("run")
    c.process.wait_line("all forked", within(30))
    shim = c.wait_child("mlgate-shim")
    eventually(lambda: not zombies_below(shim), within(10), "all reaped")


@pytest.mark.slow_once
def test_a_stranger_on_the_gateways_port(lab, server):
    """As the original image's nginx, on every address: the gateway's own port is no excuse."""
    c = Container(lab, server)
    with socket.socket() as stranger:
        stranger.bind(("0.0.0.0", c.listen))
        stranger.listen()
        c.start("run")
        c.process.wait_line("cannot listen on", within(10))
        c.process.wait_line(rf"TCP listeners that are not on loopback: .*\b{c.listen}\b", within(30))


def test_run_is_what_pid_1_does_without_arguments(lab, server):
    c = Container(lab, server, "pid1").start().wait_ready()
    assert c.process.stop() == 0
    below = Container(lab, server, "subreaper").start()
    assert below.process.wait_end(5) == 2
    assert any("usage: mlgate VERB" in line for line in below.process.err)


def test_a_program_in_the_place_of_a_verb(lab):
    c = Container(lab, place="pid1")
    c.start("sh", "-c", "echo $$ here; exit 7")
    assert c.process.wait_end(10) == 7
    assert c.process.out == ["1 here"]
    c.start("no-such-program")
    assert c.process.wait_end(10) == 2
    assert any("unknown verb 'no-such-program'" in line for line in c.process.err)


def test_variables_of_pid_1(lab, server):
    """Over SSH a shell has none of the platform's variables; PID 1 has."""
    c = Container(lab, server, "pid1")
    inner = (
        "env -i PATH=$PATH FRP_CONFIG_DIR=$FRP_CONFIG_DIR ASAN_OPTIONS=$ASAN_OPTIONS "
        f"{MLGATE} run & trap 'kill $!; wait $!; exit $?' TERM; while :; do wait; done"
    )
    c.start("sh", "-c", inner)
    c.process.wait_line("variables that were missing here came from /proc/1/environ", within(10))
    c.wait_ready()
    assert TOKEN not in c.process.text()


# ---- stops ---------------------------------------------------------------------------------------


def test_streams_may_finish(lab, server, place):
    c = Container(lab, server, place).start("run").wait_ready()
    stream = c.stream(tokens=60, rate=40, port=c.port_1)  # a second and a half
    c.process.signal(signal.SIGTERM)
    c.process.wait_line("new requests are refused", within(5))
    status, headers, body = c.ask("GET", "/v1/models")
    assert status == 503 and STOPPING in body.decode() and int(headers["Retry-After"]) > 0
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        c.ask("POST", "/api/v1/stop", body="{}")
    assert stream.rest().rstrip().endswith(b"data: [DONE]")
    assert c.process.wait_end(within(10)) == 0


def test_streams_that_do_not_finish_are_cut(lab, server, place):
    c = Container(lab, server, place, STOP_GRACE="1").start("run").wait_ready()
    streams = [c.stream() for _ in range(20)]
    c.process.signal(signal.SIGTERM)
    status, seconds = timed(lambda: c.process.wait_end(within(10)))
    assert status == 0 and seconds < within(4)
    for stream in streams:
        with pytest.raises(http.client.IncompleteRead):
            stream.rest()
    assert c.process.find("20 answers did not finish and are cut")


def test_two_hundred_streams_and_the_default_grace(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    streams = [c.stream(rate=2) for _ in range(200)]
    c.process.signal(signal.SIGTERM)
    status, seconds = timed(lambda: c.process.wait_end(within(10)))
    print(f"stopped after {seconds:.2f} s")
    assert status == 0
    assert SLOW > 1 or seconds < 10
    for stream in streams:
        stream.connection.close()


def test_a_second_signal_does_not_wait(lab):
    c = Container(lab, STOP_GRACE="600").start("run").wait_up()
    stream = c.stream()
    c.process.signal(signal.SIGTERM)
    c.process.wait_line("new requests are refused", within(5))
    c.process.signal(signal.SIGINT)
    assert c.process.wait_end(within(10)) == 0
    with pytest.raises(http.client.IncompleteRead):
        stream.rest()


STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("stubborn", flush=True)
while True:
    time.sleep(3600)
"""


def test_a_node_that_ignores_sigterm(lab, place):
    c = Container(lab, place=place, **python_node(lab, STUBBORN)).start("run")
    c.process.wait_line("stubborn", within(10))
    shim = c.wait_child("mlgate-shim")
    family = [shim, *children_of(shim)]
    family += [pid for child in family[1:] for pid in children_of(child)]
    c.process.signal(signal.SIGTERM)
    status, seconds = timed(lambda: c.process.wait_end(within(10)))
    assert status == 0 and seconds < within(6)
    assert not any(lives(pid) for pid in family)


STAGES = {
    "first line": r"Starting frpc",
    "worker started": r"the worker started",
    "node started": r"MLNode started",
    "listening": r"listening on",
    "login": r"login to server .*success",
    "ready": r"start proxy success",
}


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_at_every_stage(lab, server, place, stage):
    c = Container(lab, server, place).start("run")
    c.process.wait_line(STAGES[stage], within(15))
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0
    assert not c.process.sanitizer_findings()


@pytest.mark.parametrize("stage", ["worker dead", "node dead", "draining", "worker frozen"])
def test_sigterm_in_the_middle_of_trouble(lab, place, stage):
    c = Container(lab, place=place, STOP_GRACE="1").start("run").wait_up()
    if stage == "worker dead":
        c.kill("mlgate-worker")
    elif stage == "node dead":
        c.kill("mlgate-shim")
    elif stage == "worker frozen":
        c.kill("mlgate-worker", signal.SIGSTOP)
    else:
        c.stream()
        c.process.signal(signal.SIGTERM)
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0


def test_nothing_outlives_a_killed_supervisor(lab):
    """kill -9 of `mlgate run` where it is not PID 1: the kernel tells the children."""
    c = Container(lab).start("run").wait_up()
    family = [c.child("mlgate-worker"), c.child("mlgate-shim")]
    family += children_of(family[1])
    os.kill(c.process.pid, signal.SIGKILL)
    eventually(lambda: not any(lives(pid) for pid in family), 10, "the end of all children")
    c.process.wait_end()


# ---- hostile surroundings ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_log_that_nobody_reads(lab, kind):
    """The work goes on, whatever is said meanwhile."""
    c = Container(lab, LOG_LEVEL="debug")
    if kind == "pipe":
        read_end, write_end = os.pipe()
    else:
        left, right = socket.socketpair()
        read_end, write_end = left.detach(), right.detach()
    run = subprocess.Popen(
        [MLGATE, "run"],
        stdout=write_end,
        stderr=write_end,
        env={"PATH": os.environ["PATH"], **c.environment},
    )
    os.close(write_end)
    try:
        c.wait_up()
        for _ in range(3000):  # each a line of the access log
            assert c.ask("GET", "/api/v1/state")[0] == 200
        assert c.health("--live") == (0, "live")
        run.send_signal(signal.SIGTERM)
        assert run.wait(within(10)) == 0
    finally:
        run.kill()
        run.wait()
        os.close(read_end)


def limited(**limits):
    words = [f"--{name}={value}" for name, value in limits.items()]
    return ["prlimit", *words]


def test_few_open_files(lab, server):
    c = Container(lab, server, wrap=limited(nofile=64)).start("run").wait_ready()
    c.process.wait_line("only 64 open files are allowed")
    for _ in range(100):
        assert c.state() == "INFERENCE"
    assert c.process.stop() == 0


MOUNT = "mount -t tmpfs -o {options} none {path} && exec \"$@\""


def mounted(options, path):
    return ["unshare", "--mount", "sh", "-c", MOUNT.format(options=options, path=path), "sh"]


def can_mount():
    trial = [*mounted("size=64k", "/mnt"), "true"]
    return subprocess.run(trial, capture_output=True, timeout=10).returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="skipped (no mount namespace here)")


@needs_mounts
@pytest.mark.parametrize("state", ["ro", "size=4k,nr_inodes=1"])
def test_a_directory_that_takes_nothing(lab, server, state):
    c = Container(lab, server)
    c.directory.mkdir()
    c.logs.mkdir()
    both = f"{c.logs} && mount -t tmpfs -o {state} none {c.directory}"
    c.wrap = mounted(state, both)
    c.start("run").wait_ready()
    c.process.wait_line(r"frpc.ini could not be written \(.*\); going on from memory")
    c.process.wait_line(r"no request log .*http_server_8080.log")
    assert c.state(c.port_1) == "INFERENCE"
    assert c.process.stop() == 0


# A sanitizer reads even its options there.
@pytest.mark.skipif(SLOW > 1, reason="skipped (a sanitizer needs /proc)")
@needs_mounts
def test_without_proc(lab, server):
    c = Container(lab, server, wrap=["unshare", "--mount", "sh", "-c", HIDE, "sh"]).start("run")
    c.process.wait_line("start proxy success", within(15))
    eventually(lambda: c.state(c.port_1) == "INFERENCE", within(10), "an answer")
    status, seconds = timed(c.process.stop)
    assert status == 0 and seconds < within(10)


HIDE = 'mount -t tmpfs none /proc && exec "$@"'
