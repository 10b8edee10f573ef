"""`mlgate run` in the file system of an MLNode image: upstream's layout with a look-alike of its app
and a real virtual environment, as a root of its own over this machine's files."""

import json
import os
import shutil
import signal
import subprocess

import pytest
from containers import Container
from harness import eventually
from lab import SLOW, TOKEN, within

VENV = "/app/packages/api/.venv"
PYTHON = "/usr/bin/python3"  # whose packages Debian's uvicorn and FastAPI are
PARTS = ("upper", "pending", "root")

# What the real one has of these: states, a second port that is bound to every address, an end of
# its own accord. It tells how it was started.
APP = """
import os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from fastapi import FastAPI

app = FastAPI()
class Engine(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
engine = HTTPServer(("0.0.0.0", int(os.environ["LOOKALIKE_PORT"])), Engine)
threading.Thread(target=engine.serve_forever, daemon=True).start()
print("look-alike is up", flush=True)

@app.get("/api/v1/state")
def state():
    return {"state": "STOPPED", "prefix": sys.prefix, "cwd": os.getcwd(), "uid": os.getuid(),
            "argv": sys.orig_argv, "environment": dict(os.environ)}
"""
# Upstream's script in our words: make group and user, activate, execute.
SCRIPT = """#!/bin/bash
set -e
getent group appgroup >/dev/null || groupadd -g "$HOST_GID" appgroup
id -u appuser >/dev/null 2>&1 || useradd -M -u "$HOST_UID" -g appgroup appuser
source /app/packages/api/.venv/bin/activate
export STARTED_BY=entrypoint
exec "$@"
"""
ENTER = """
mount --rbind /proc {base}/root/proc && mount --rbind /dev {base}/root/dev &&
mount -t tmpfs none {base}/root/run && mount --bind {shared} {base}/root{shared} &&
chroot {base}/root sh -ec "$PREPARE" && exec chroot {base}/root "$@"
"""
VENV_STEP = f"{PYTHON} -m venv --without-pip --system-site-packages {VENV}\n"


MOUNT = """
mount -t tmpfs none {base} && mkdir {parts} &&
mount -t overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/pending none {base}/root
"""


def mounts(base):
    return MOUNT.format(base=base, parts=" ".join(f"{base}/{part}" for part in PARTS)).strip()


class Image(Container):
    """A container whose files are this machine's, changed by the steps of a shell."""

    def __init__(self, lab, server=None, app=True, steps="", **changes):
        base = lab.path("image")
        base.mkdir()
        shared = lab.path("shared")  # what is seen from outside as well
        shared.mkdir()
        enter = f"{mounts(base)} && {ENTER.format(base=base, shared=shared).strip()}"
        self.second = lab.ports.take()
        source = "/app/packages/api/src/api"
        prepare = "rm -rf /app\n"
        if app:
            prepare += f"mkdir -p {source}\ncat > {source}/app.py <<'END'\n{APP}END\n"
        changes = {
            "UBUNTU_TEST": None,
            "FRP_CONFIG_DIR": str(shared / "etc-frp"),
            "HF_HOME": str(shared / "models"),
            "BIND_GUARD_PORTS": f"8080,{self.second}",
            "LOOKALIKE_PORT": str(self.second),
            "PREPARE": prepare + steps,
            **changes,
        }
        wrap = ["unshare", "-m", "sh", "-c", enter, "sh"]
        super().__init__(lab, server, "subreaper", wrap, **changes)
        self.directory = shared / "etc-frp"
        self.shared = shared

    def facts(self):
        """What the app tells about itself, once it is up."""

        def look():
            status, _, body = self.ask("GET", "/api/v1/state")
            return status == 200 and json.loads(body)

        return eventually(look, within(30), "the look-alike behind the gateway", pause=0.1)


@pytest.fixture(autouse=True)
def possible(tmp_path):
    trial = ["unshare", "-m", "sh", "-c", mounts(tmp_path)]
    if not shutil.which("unshare") or subprocess.run(trial, capture_output=True).returncode != 0:
        pytest.skip("skipped (no mount namespace with overlay here)")


def script_step(text=SCRIPT):
    return f"cat > /app/entrypoint.sh <<'END'\n{text}END\nchmod 755 /app/entrypoint.sh\n"


def check_common(c, facts):
    environment = facts["environment"]
    assert facts["prefix"] == VENV
    assert facts["cwd"] == "/app"
    assert environment["PYTHONPATH"] == "/app:/app/packages/api/src"
    assert environment["VIRTUAL_ENV"] == VENV
    assert environment["HF_HOME"] == str(c.shared / "models")
    assert (c.shared / "models").is_dir()
    assert environment["HOST_UID"] == c.environment.get("HOST_UID", "1000")
    assert environment["LD_PRELOAD"].endswith("/mlgate-bind.so")
    assert TOKEN not in json.dumps(environment)
    assert "SECRET_FRP_TOKEN" not in environment


def listening(port):
    """The addresses at which somebody listens on the port."""
    listing = subprocess.run(
        ["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    return {line.split()[3].rsplit(":", 1)[0] for line in listing.splitlines()}


def test_upstreams_script_starts_it(lab):
    server = lab.flag_server()
    # the user that Debian does not have, so that the script's useradd works
    c = Image(lab, server, steps=VENV_STEP + script_step(), HOST_UID="4711", HOST_GID="4712").start("run")
    facts = c.facts()
    check_common(c, facts)
    assert facts["environment"]["STARTED_BY"] == "entrypoint"
    assert c.process.find("starting MLNode by /app/entrypoint.sh")
    # what the app binds to every address is on loopback; both remote ports lead to it
    assert listening(c.second) == {"127.0.0.1"}
    assert listening(c.management) == {"127.0.0.1"}
    c.wait_ready()
    assert c.ask("GET", "/api/v1/state", c.port_2)[0] == 200
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0


def test_a_script_that_fails_is_not_used(lab):
    """Its useradd, because the uid is taken: as on Ubuntu 24.04, which has a user 1000."""
    c = Image(lab, steps=VENV_STEP + script_step(), HOST_UID="0", HOST_GID="4712").start("run")
    facts = c.facts()
    check_common(c, facts)
    assert "STARTED_BY" not in facts["environment"]
    assert c.process.find(r"starting MLNode by .*entrypoint.sh fails \(useradd: UID 0 is not unique")


@pytest.mark.slow_once
def test_a_script_that_hangs_is_not_used(lab):
    hangs = "#!/bin/sh\ntrap '' TERM\necho waiting for a disk\nsleep 1000 &\nwait\n"
    c = Image(lab, steps=VENV_STEP + script_step(hangs)).start("run")
    c.process.wait_line(r"starting MLNode by .* fails \(no end within 10 s, it said: waiting for a disk\)", within(20))
    check_common(c, c.facts())


def test_without_the_script(lab):
    """Also the library that Triton links against gets its second name."""
    step = VENV_STEP + "mkdir /opt/driver\ntouch /opt/driver/libcuda.so.1\n"
    # a sanitizer's runtime wants to be the first library itself
    before = None if SLOW > 1 else "libm.so.6"
    c = Image(lab, steps=step, LD_LIBRARY_PATH="/opt/driver", LD_PRELOAD=before).start("run")
    facts = c.facts()
    check_common(c, facts)
    assert before is None or facts["environment"]["LD_PRELOAD"].startswith(f"{before}:")
    assert facts["argv"][:3] == [f"{VENV}/bin/python3", "-m", "uvicorn"]
    root = f"/proc/{c.process.first()}/root"
    assert os.readlink(f"{root}/opt/driver/libcuda.so") == "/opt/driver/libcuda.so.1"


@pytest.mark.slow_once
def test_the_guard_is_why_it_is_on_loopback(lab):
    """The same with a port that the guard is not told about: there it listens on every address."""
    c = Image(lab, steps=VENV_STEP, BIND_GUARD_PORTS="8080").start("run")
    c.facts()
    assert listening(c.second) == {"0.0.0.0"}
    c.process.wait_line(rf"TCP listeners that are not on loopback: .*\b{c.second}\b", within(30))


def test_no_mlnode_is_said_once(lab):
    """The tunnel is up, the gateway says 503."""
    server = lab.flag_server()
    c = Image(lab, server, app=False).start("run")
    c.process.wait_line("no MLNode in this image: looked for /app/entrypoint.sh", within(10))
    c.process.wait_line("start proxy success", within(10))
    status, _, body = c.ask("GET", "/api/v1/state", c.port_2)
    assert status == 503 and b"error" in body
    assert c.health("--live")[0] == 0
    assert c.process.count("no MLNode in this image") == 1
    c.process.signal(signal.SIGTERM)
    assert c.process.wait_end(within(10)) == 0
