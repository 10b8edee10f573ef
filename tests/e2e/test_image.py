"""The images, built by buildah and run by runc, which need no engine: the documented lines, word for
word, in a network namespace that stands for the rented machine. The network node is outside of it.

The base image comes from a registry where one is reachable, else mmdebstrap makes it from Debian's
packages. Where neither works, or containers cannot be run here, this is skipped, and said so."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from deployment import compose
from harness import Process, eventually
from lab import MLGATE, TOKEN, within

pytestmark = pytest.mark.full

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("buildah", "runc", "mmdebstrap", "ip")
DEBIAN = "docker.io/library/debian:bookworm-slim"
HOST, INSIDE = "198.51.100.1", "198.51.100.2"  # the two ends of the wire
NAMESPACE = "mlgate-image"
BASE_TAG = "ghcr.io/your-org/gonka-mlnode-public-base:latest"
TAG = "ghcr.io/your-org/gonka-mlnode-public:latest"
# What a container has unless told otherwise.
DOCKERS_CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
        "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
]
# Upstream's image in small: its script, and an app that needs nothing but Python and listens on
# every address.
MLNODE = """FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends python3 >/dev/null
RUN mkdir /app && cd /app && printf '%s\\n' '#!/bin/sh' 'exec "$@"' > entrypoint.sh && \
    printf '%s\\n' '#!/bin/sh' 'exec python3 -m http.server 8080' > /usr/local/bin/uvicorn && \
    chmod 755 entrypoint.sh /usr/local/bin/uvicorn
"""


class Store:
    """buildah with a storage of its own, whose images are there again next time."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.options = ["--root", directory / "images", "--runroot", directory / "run"]
        self.base = None

    def __call__(self, *words, check=True, timeout=900, cwd=ROOT):
        done = subprocess.run(
            ["buildah", *map(str, [*self.options, *words])],
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
            capture_output=True, text=True, timeout=timeout, cwd=cwd,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip() if check else done.returncode == 0

    def debian(self):
        """The name of a Debian image."""
        if self("inspect", "--type", "image", "localhost/debian", check=False):
            return "localhost/debian"
        if self("pull", "--quiet", "--retry", 0, DEBIAN, check=False, timeout=300):
            return DEBIAN
        tree = self.directory / "debian.tar"
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", tree],
            capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        if made.returncode != 0:
            pytest.skip("skipped (no registry, and no Debian packages for a base image)")
        blank = self("from", "scratch")
        self("add", "--quiet", blank, tree, "/")
        self("commit", "--quiet", "--rm", blank, "localhost/debian")
        tree.unlink()
        return "localhost/debian"

    def build(self, *words, cwd=ROOT):
        """What `docker build` is to the documents."""
        self("bud", "--layers", "--format", "docker", *words, cwd=cwd)

    def config(self, tag):
        return json.loads(self("inspect", "--type", "image", tag))["Docker"]["config"]

    def tree(self, tag):
        """Where the files of a new container of this image lie."""
        return Path(self("mount", self("from", "--pull-never", tag)))

    def close(self):
        self("rm", "--all", check=False)
        self("rmi", "--prune", check=False)


def runs_containers():
    if not all(shutil.which(program) for program in PROGRAMS):
        return False
    return subprocess.run(["unshare", "-mpfn", "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def store():
    if not runs_containers():
        pytest.skip(f"skipped (not all of {', '.join(PROGRAMS)}, or no namespaces here)")
    made = Store(ROOT / "build" / "images")
    made.base = made.debian()
    yield made
    made.close()


@pytest.fixture(scope="module")
def test_image(store):
    words = ["--build-arg", f"BASE_IMAGE={store.base}", "--build-arg", f"BUILD_IMAGE={store.base}"]
    store.build(*words, "-f", "Dockerfile.test", "-t", "mlgate-test", ".")
    return "localhost/mlgate-test"


@pytest.fixture(scope="module")
def main_image(store, test_image, tmp_path_factory):
    """Both documented lines; arguments stand in for the two images that are not ours."""
    there = tmp_path_factory.mktemp("upstream")
    (there / "Dockerfile").write_text(MLNODE.format(base=store.base), encoding="utf-8")
    store.build("-t", "localhost/mlnode", ".", cwd=there)
    argument = ["--build-arg", "MLNODE_IMAGE=localhost/mlnode"]
    store.build(*argument, "-f", "Dockerfile.base", "-t", BASE_TAG, ".")
    store.build("--build-arg", f"BUILD_IMAGE={store.base}", "-t", TAG, ".")
    return TAG


@pytest.fixture(scope="module")
def wire():
    """A namespace that can reach this machine by one address, and nothing else."""

    def ip(*words, check=True):
        subprocess.run(["ip", *words], check=check, capture_output=True, timeout=20)

    ip("netns", "delete", NAMESPACE, check=False)
    ip("netns", "add", NAMESPACE)
    ip("link", "add", "mlgate-out", "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
    ip("addr", "add", f"{HOST}/30", "dev", "mlgate-out")
    ip("link", "set", "mlgate-out", "up")
    ip("-n", NAMESPACE, "addr", "add", f"{INSIDE}/30", "dev", "eth0")
    for device in ("lo", "eth0"):
        ip("-n", NAMESPACE, "link", "set", device, "up")
    yield f"/var/run/netns/{NAMESPACE}"
    ip("netns", "delete", NAMESPACE)


@pytest.fixture
def server(lab, wire):
    """The network node: the frp port where the container reaches it, the proxies on loopback."""
    port = lab.ports.take()
    argv = [MLGATE, "server", "--bind", f"{HOST}:{port}", "--proxy-bind", "127.0.0.1"]
    started = Process("server", argv, {"SECRET_FRP_TOKEN": TOKEN})
    lab.processes.append(started)
    started.wait_line("frp server listens", within(10))
    started.port = port
    return started


class Running:
    """A container as `docker run -e …` would make it: the image's own command and environment."""

    def __init__(self, lab, store, wire, tag, variables, *command, adjust=lambda spec: None):
        config = store.config(tag)
        self.id = f"mlgate-{os.getpid()}-{time.monotonic_ns()}"
        self.bundle = lab.path("bundle")
        self.state = ["runc", "--root", str(lab.path("runc"))]
        self.bundle.mkdir()
        subprocess.run(["runc", "spec"], check=True, cwd=self.bundle, timeout=20)
        spec = json.loads((self.bundle / "config.json").read_text())
        spec["root"] = {"path": str(store.tree(tag)), "readonly": False}
        spec["process"]["terminal"] = False
        spec["process"]["cwd"] = config.get("WorkingDir") or "/"
        spec["process"]["args"] = [*config["Entrypoint"], *(command or config["Cmd"])]
        given = [f"{name}={value}" for name, value in variables.items()]
        spec["process"]["env"] = [*config["Env"], *given]
        for kind in ("bounding", "effective", "permitted"):
            spec["process"]["capabilities"][kind] = DOCKERS_CAPABILITIES
        spec["process"]["rlimits"] = []  # as they are here
        for namespace in spec["linux"]["namespaces"]:
            if namespace["type"] == "network":
                namespace["path"] = wire
        adjust(spec)
        (self.bundle / "config.json").write_text(json.dumps(spec))
        argv = [*self.state, "run", "--bundle", self.bundle, self.id]
        self.process = Process(f"container {tag}", argv, {"PATH": os.environ["PATH"]})
        lab.processes.append(self.process)
        lab.closers.append(self.remove)

    def execute(self, *words):
        argv = [*self.state, "exec", self.id, *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=20)

    def signal(self, name):
        subprocess.run([*self.state, "kill", self.id, name], check=True, timeout=20)

    def remove(self):
        subprocess.run([*self.state, "delete", "--force", self.id], capture_output=True, timeout=20)

    def wait_ready(self):
        """As HEALTHCHECK asks."""
        ask = ("/usr/local/bin/mlgate", "health")
        eventually(lambda: self.execute(*ask).returncode == 0, within(20), "mlgate health")


def documented(server, **more):
    return {
        "API_NODE": "api.example.com:8080",
        "FRP_SERVER": f"{HOST}:{server.port}",
        "SECRET_FRP_TOKEN": TOKEN,
        "CLIENT_ID": "0001",
        **more,
    }


def fetch(port, path):
    """(status, body) of a request to a port of the network node."""
    done = subprocess.run(
        ["curl", "-s", "-m", "10", "-w", "\n%{http_code}", f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def stop(running):
    began = time.monotonic()
    running.signal("TERM")
    assert running.process.wait_end(within(10)) == 0
    assert time.monotonic() - began < within(10)


def test_test_mode_as_documented(lab, store, test_image, wire, server):
    running = Running(lab, store, wire, test_image, documented(server, UBUNTU_TEST="true"))
    running.wait_ready()
    out = running.process
    where = f"server {HOST}:{server.port}"
    assert out.find(rf"frpc.*Writing /etc/frp/frpc\.ini for {where}\.\.\.$")
    assert out.find(r"frpc.*Starting frpc with config /etc/frp/frpc\.ini\.\.\.$")
    assert json.loads(fetch(10001, "/api/v1/state")[1])["state"] == "INFERENCE"
    assert fetch(20001, "/v1/models")[0] == 200
    # the documented name reaches tail with its star
    argv = [*running.state, "exec", running.id, "tail", "-n", "+1", "-f", "/tmp/logs/http_server_*.log"]
    tail = Process("tail", argv, {"PATH": os.environ["PATH"]})
    lab.processes.append(tail)
    tail.wait_line("/v1/models", within(10))
    assert fetch(20001, "/health")[0] == 200
    tail.wait_line("GET /health", within(10))
    # nothing is reachable from outside but through the tunnel
    listing = running.execute("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    listeners = [line.split()[1] for line in listing.splitlines() if " 0A " in line]
    assert listeners and all(where.startswith("0100007F:") for where in listeners)
    assert running.execute("stat", "-c", "%a", "/etc/frp/frpc.ini").stdout == "600\n"
    stop(running)
    assert TOKEN not in out.text()


def test_without_its_variables(lab, store, test_image, wire):
    running = Running(lab, store, wire, test_image, {"CLIENT_ID": "1"})
    assert running.process.wait_end(within(10)) == 2
    for name in ("API_NODE", "FRP_SERVER", "SECRET_FRP_TOKEN", "CLIENT_ID"):
        assert sum(line.startswith(f"{name}") or f" {name}" in line
                   for line in running.process.err) >= 1  # fmt: skip


def test_another_program(lab, store, test_image, wire):
    running = Running(lab, store, wire, test_image, {}, "sh", "-c", "echo $((6 * 7)); exit 3")
    assert running.process.wait_end(within(10)) == 3
    assert running.process.out == ["42"]


def test_what_the_images_say(store, test_image, main_image):
    for tag in (test_image, main_image):
        config = store.config(tag)
        assert config["Entrypoint"] == ["/usr/local/bin/mlgate"] and config["Cmd"] == ["run"]
        assert not config.get("ExposedPorts")
        assert config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/mlgate", "health"]
        assert not any("TOKEN" in line for line in config["Env"])


@pytest.fixture(scope="module")
def server_image(store):
    words = ["--build-arg", f"BUILD_IMAGE={store.base}", "-f", "Dockerfile.server"]
    store.build(*words, "-t", "mlgate-server", ".")
    return "localhost/mlgate-server"


def test_the_server_image(store, server_image):
    """The binary and a place for its state, no shell and no root."""
    config = store.config(server_image)
    assert config["Entrypoint"] == ["/usr/local/bin/mlgate"] and config["Cmd"][0] == "server"
    assert config["User"] == "64973:64973" and not config.get("ExposedPorts")
    tree = store.tree(server_image)
    files = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()]
    assert files == ["usr/local/bin/mlgate"]
    state = (tree / "var/lib/mlgate").stat()
    assert (state.st_uid, state.st_mode & 0o022) == (64973, 0)  # the key in it is its owner's alone

def test_the_server_as_compose_runs_it(lab, store, server_image, wire):
    """Its command, its rights, its files and its health check, on an address of its network."""
    pytest.importorskip("yaml", reason="skipped (no python3-yaml)")
    service = compose("compose.yml")["services"]["frps"]
    subprocess.run(
        ["ip", "-n", NAMESPACE, "addr", "add", "172.30.77.2/24", "dev", "lo"], timeout=20
    )
    token, state = lab.path("token"), lab.path("state")
    token.write_text(TOKEN + "\n")
    token.chmod(0o400)
    state.mkdir()
    for path in (token, state):
        os.chown(path, 64973, 64973)

    def adjust(spec):
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        spec["root"]["readonly"] = True
        spec["process"]["capabilities"] = {}
        spec["process"]["noNewPrivileges"] = True
        spec["process"]["user"] = {"uid": 64973, "gid": 64973}
        for source, at, mode in (
            (token, f"/run/secrets/{service['secrets'][0]}", "ro"),
            (state, service["volumes"][0].split(":")[1], "rw"),
        ):
            spec["mounts"].append(
                {"destination": at, "type": "bind", "source": str(source), "options": ["bind", mode]}
            )

    running = Running(lab, store, wire, server_image, {}, *service["command"], adjust=adjust)
    running.process.wait_line("proxies listen on 172.30.77.2", within(20))
    done = running.execute(*service["healthcheck"]["test"][1:])
    assert (done.returncode, done.stdout) == (0, "live\n"), done
    assert {path.name for path in state.iterdir()} >= {"server.crt", "server.key"}
    stop(running)


def test_the_main_image_starts_mlnode(lab, store, main_image, wire, server):
    running = Running(lab, store, wire, main_image, documented(server))
    running.process.wait_line("starting MLNode by /app/entrypoint.sh", within(20))
    # what it answers is not MLNode's, which is enough to know that it is asked
    eventually(lambda: fetch(20001, "/api/v1/state")[0] == 404, within(20), "the app's own answer")
    loaded = running.execute("sh", "-c", "cat /proc/[0-9]*/maps").stdout
    assert "/usr/local/lib/mlgate/mlgate-bind.so" in loaded
    assert not any(Path(store.tree(main_image) / name).exists() for name in ("src", "run/mlgate-lib"))
    running.signal("TERM")
    assert running.process.wait_end(within(10)) == 0
