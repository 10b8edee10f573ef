"""What the worker gives up, what becomes of the token, and surroundings that do not allow it."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys

import pytest
from containers import Container, children_of, in_namespaces, name_of, play_scene
from dns import NameServer
from harness import eventually
from lab import MLGATE, SLOW, TOKEN, Lab, within

ID = 64973  # SANDBOX_ID
# Built with sanitizers it has no filter, and says so.
FILTERED = SLOW == 1
# They also map terabytes, set the limit of core files, and keep what is freed.
plain_memory = pytest.mark.skipif(not FILTERED, reason="skipped (built with sanitizers)")


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def family_of(pid):
    """It and all below it."""
    return [pid, *(each for child in children_of(pid) for each in family_of(child))]


def assert_sandboxed(pid):
    status = status_of(pid)
    assert status["Uid"].split() == [str(ID)] * 4
    assert status["Gid"].split() == [str(ID)] * 4
    assert status["Groups"].split() == []
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == ("2" if FILTERED else "0")


# ---- the worker ----------------------------------------------------------------------------------


def test_the_worker_from_outside(lab, server, place):
    c = Container(lab, server, place).start("run").wait_ready()
    assert_sandboxed(c.child("mlgate-worker"))
    said = c.process.find(rf"sandbox: uid {ID}, no new privileges.*").group()
    if FILTERED:
        assert re.search(r", seccomp \d+ calls$", said)
    else:
        assert c.process.find("built with sanitizers, so without")
    for pid in (c.process.first(), c.child("mlgate-shim")):  # nothing of it reaches the others
        status = status_of(pid)
        assert status["Uid"].split() == ["0"] * 4 and status["NoNewPrivs"] == "0"
        assert status["Seccomp"] == "0" and int(status["CapEff"], 16) != 0


def restarts(c, times):
    for _ in range(times):
        mark = c.process.mark()
        before = c.kill("mlgate-worker")
        worker = c.wait_child("mlgate-worker", other_than=before, seconds=15)
        c.process.wait_line("sandbox: uid", within(10), after=mark)
        assert_sandboxed(worker)
        c.wait_ready()
        assert c.state(c.port_1) == "INFERENCE"


def test_killed_again_and_again(lab, server):
    restarts(Container(lab, server).start("run").wait_ready(), 4)


@pytest.mark.full
def test_killed_twenty_times(lab, server):
    """The pauses between short lives grow to ten seconds."""
    restarts(Container(lab, server).start("run").wait_ready(), 20)


def test_off_is_loud(lab, server):
    c = Container(lab, server, SANDBOX="off").start("run").wait_ready()
    assert c.process.find(r"\[W\] \[frpc\] SANDBOX=off: the worker.* runs as uid 0")
    assert not c.process.find(r"sandbox: ")
    status = status_of(c.child("mlgate-worker"))
    assert status["Uid"].split() == ["0"] * 4 and status["Seccomp"] == "0"
    assert c.state(c.port_1) == "INFERENCE"


# ---- the token -----------------------------------------------------------------------------------

SHOWS_ITSELF = """
import os, resource, sys, time
from pathlib import Path
Path(sys.argv[1]).write_text(repr(dict(os.environ)) + repr(resource.getrlimit(resource.RLIMIT_CORE)))
print("shown", flush=True)
time.sleep(1000)
"""


def environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()


def memory_has(pid, word):
    """Whether the private memory of a process has it."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            span, flags = line.split()[:2]
            if not flags.startswith("rw") or "[v" in line:
                continue
            first, last = (int(edge, 16) for edge in span.split("-"))
            mem.seek(first)
            if word in mem.read(last - first):
                return True
    return False


def descriptors(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def test_mlnode_inherits_no_descriptor(lab, server, place):
    """Neither the status socket nor the worker's, nor a log: what it opens begins at 3."""
    c = Container(lab, server, place, UBUNTU_TEST=None, MLNODE_COMMAND="sleep 1000").start("run")
    c.process.wait_line("login to server .*success", within(15))
    (node,) = eventually(lambda: children_of(c.child("mlgate-shim")), within(10), "the node")
    eventually(lambda: name_of(node) == "sleep", within(10), "its own program")
    assert descriptors(node) == {0, 1, 2}
    assert os.readlink(f"/proc/{node}/fd/0") == "/dev/null"
    assert len(descriptors(c.process.first())) > 5  # or there would be nothing to inherit


def core_limit(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        return re.search(r"^Max core file size +(\S+)", file.read(), re.M).group(1)


@pytest.mark.parametrize("by_file", [False, True], ids=["variable", "file"])
def test_no_environment_shows_the_token(lab, server, place, by_file):
    shown, script, token = lab.path("shown"), lab.path("show.py"), lab.path("token")
    script.write_text(SHOWS_ITSELF, encoding="utf-8")
    token.write_text(TOKEN, encoding="ascii")
    changes = {"SECRET_FRP_TOKEN": None, "SECRET_FRP_TOKEN_FILE": str(token)} if by_file else {}
    c = Container(
        lab,
        server,
        place,
        UBUNTU_TEST=None,
        MLNODE_COMMAND=f"{sys.executable} {script} {shown}",
        OTHER="still there",
        **changes,
    ).start("run")
    c.process.wait_line("shown", within(15))
    c.process.wait_line("login to server .*success", within(15))
    family = family_of(c.process.first())
    assert len(family) >= 4  # PID 1, worker, shim, node
    for pid in family:
        assert TOKEN.encode() not in environment_of(pid)
        assert b"OTHER=still there" in environment_of(pid)
    said = shown.read_text(encoding="utf-8")
    assert "SECRET_FRP_TOKEN" not in said and "still there" in said


@plain_memory
def test_no_core_files(lab, server):
    """PID 1 and worker leave none; MLNode gets the limit back that was there."""
    wrap = ["prlimit", "--core=4096:8192", "--"]
    c = Container(lab, server, wrap=wrap, UBUNTU_TEST=None, MLNODE_COMMAND="sleep 1000")
    c.start("run")
    c.process.wait_line("login to server .*success", within(15))
    assert core_limit(c.process.first()) == core_limit(c.child("mlgate-worker")) == "0"
    node = eventually(lambda: children_of(c.child("mlgate-shim")), within(10), "the node")[0]
    eventually(lambda: core_limit(node) == "4096", within(10), "the limit is back")


@plain_memory
def test_the_test_servers_do_not_keep_the_token(lab, server):
    c = Container(lab, server).start("run").wait_ready()
    node = children_of(c.child("mlgate-shim"))[0]
    assert memory_has(c.child("mlgate-worker"), TOKEN.encode())  # or this would find nothing at all
    assert not memory_has(node, TOKEN.encode())


READ_MEMORY = "import sys; open(f'/proc/{sys.argv[1]}/mem', 'rb')"


def may_read_memory(pid, wrap=(), **how):
    argv = [*wrap, sys.executable, "-c", READ_MEMORY, str(pid)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, **how)
    assert done.returncode == 0 or "PermissionError" in done.stderr, done.stderr
    return done.returncode == 0


def test_nobody_reads_the_memory(lab, server):
    """Neither another user nor, without CAP_SYS_PTRACE, the same one."""
    wrap = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all", "--"]
    c = Container(lab, server, wrap=wrap).start("run").wait_ready()
    first, worker = c.process.first(), c.child("mlgate-worker")
    assert may_read_memory(first) and may_read_memory(worker)  # root may do everything
    for pid in (first, worker):
        assert not may_read_memory(pid, user=65534, group=65534, extra_groups=[])
    if FILTERED:
        assert not may_read_memory(first, wrap)
        assert not may_read_memory(worker, user=ID, group=ID, extra_groups=[])


# ---- surroundings that do not allow it -----------------------------------------------------------

# Answers EPERM to seccomp and to prctl(PR_SET_SECCOMP), as a container's own filter may.
DENY = """
import ctypes, os, struct, sys
seccomp, prctl = map(int, sys.argv[1:3])
EPERM, ALLOW = 0x50001, 0x7FFF0000
LOAD, SAME, ANSWER = 0x20, 0x15, 0x06
program = [
    (LOAD, 0, 0, 0), (SAME, 3, 0, seccomp), (SAME, 0, 3, prctl),
    (LOAD, 0, 0, 16), (SAME, 0, 1, 22), (ANSWER, 0, 0, EPERM), (ANSWER, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
filter = struct.pack("HL", len(program), ctypes.addressof(code))
if ctypes.CDLL(None, use_errno=True).prctl(22, 2, filter, 0, 0) != 0:
    sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[3], sys.argv[3:])
"""
CALLS = {"x86_64": (317, 157), "aarch64": (277, 167)}  # seccomp, prctl


def serves(c):
    c.start("run").wait_ready()
    assert c.state(c.port_1) == "INFERENCE"
    assert b"data: " in c.stream(tokens=3, port=c.port_1).first
    return c


@pytest.mark.skipif(not FILTERED, reason="skipped (built with sanitizers: no filter to deny)")
def test_seccomp_denied(lab, server):
    script = lab.path("deny.py")
    script.write_text(DENY, encoding="utf-8")
    wrap = [sys.executable, str(script), *map(str, CALLS[platform.machine()])]
    c = serves(Container(lab, server, wrap=wrap))
    denied = r"\[W\] .*system calls are not filtered \(seccomp: Operation not permitted\)"
    assert c.process.find(denied)
    assert c.process.find(rf"\[I\] .*sandbox: uid {ID}, no new privileges")


def test_without_setuid(lab, server):
    wrap = ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-all", "--"]
    c = serves(Container(lab, server, wrap=wrap))
    assert c.process.find(r"\[W\] .*the worker keeps uid 0, without capabilities: Operation not")
    status = status_of(c.child("mlgate-worker"))
    assert status["Uid"].split() == ["0"] * 4 and int(status["CapEff"], 16) == 0
    assert status["Seccomp"] == ("2" if FILTERED else "0")


def test_an_id_that_is_not_mapped(lab, server):
    wrap = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*wrap, "true"], capture_output=True, timeout=20).returncode != 0:
        pytest.skip("skipped (no user namespace here)")
    c = serves(Container(lab, server, wrap=wrap))
    assert c.process.find(r"\[W\] .*the worker keeps uid 0")


# ---- everything a worker does, by names ----------------------------------------------------------


def upload(c, size):
    """A body that the model server reads whole."""
    ask = {
        "model": "Qwen/Qwen3-32B-FP8",
        "mlgate_test": {"tokens": 2},
        "messages": [{"role": "user", "content": "x" * size}],
    }
    status, _, body = c.ask("POST", "/v1/chat/completions", c.port_1, json.dumps(ask), timeout=60)
    return status == 200 and "choices" in json.loads(body)


def all_by_names(lab):
    """SSE, an upload, a server that comes back, and each name from a real name server over UDP."""
    resolver = lab.path("resolv.conf")
    resolver.write_text("nameserver 127.0.0.1\n", encoding="ascii")
    subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)
    hosts = ("frp.test", "management.test", "inference.test")
    names = NameServer(dict.fromkeys(hosts, "127.0.0.1"))
    server = lab.flag_server()
    c = Container(lab, server)
    c.environment.update(
        FRP_SERVER=f"frp.test:{server.port}",
        MLNODE_MANAGEMENT=f"management.test:{c.management}",
        MLNODE_INFERENCE=f"inference.test:{c.inference}",
    )
    c.start("run").wait_ready()
    worker = c.child("mlgate-worker")
    assert {name for name, _ in names.asked} >= set(hosts)
    for _ in range(2):
        text = c.stream(tokens=40, rate=400, port=c.port_1).rest()
        assert text.rstrip().endswith(b"data: [DONE]")
        assert upload(c, 1 << 20)
        mark, asked = c.process.mark(), len(names.asked)
        server.restart()
        c.process.wait_line("login to server .*success", within(20), after=mark)
        c.wait_ready()
        assert "frp.test" in {name for name, _ in names.asked[asked:]}
    assert c.child("mlgate-worker") == worker
    assert_sandboxed(worker)
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0


def test_all_by_names(tmp_path):
    in_namespaces(__file__, "all_by_names", tmp_path)


if __name__ == "__main__":
    play_scene(globals())
