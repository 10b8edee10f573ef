"""The preparation of the model: whoever fetches it, whatever the hub and the disk do, MLNode, tunnel
and API stay as they are. A stand-in hub and a stand-in of its tools; the real ones with --full."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from containers import Container, children_of, lives
from harness import eventually
from hub import REPOSITORY, SHA, Hub, content
from lab import MLGATE, within

HERE = Path(__file__).parent
TOOLS = HERE / "hubtool"
PYTHON = "/usr/bin/python3"
TOKEN = "hf_a-token-that-nobody-may-see"
WAYS = {"mlnode": "MLNode's own endpoint", "hf": "hf", "huggingface-cli": "huggingface-cli",
        "python": "python"}
MIB = 1 << 20


def first_ways(*names, of=WAYS):
    """As parameters: these always, the others of them with --full."""
    return [pytest.param(way, marks=[pytest.mark.full] * (way not in names)) for way in of]


def children_named(pid, word):
    """Processes below `pid` whose command line has the word."""
    found = []
    for child in children_of(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in command:
            found.append(child)
        found += children_named(child, word)
    return found


class Node(Container):
    """`mlgate run` with a stand-in for MLNode, and a hub. `way`: what there is to fetch with."""

    def __init__(self, lab, server, hub, way="hf", node=(), home=None, path=None, **changes):
        self.hub, self.way = hub, way
        self.home = home or lab.path("hf-home")
        self.bin = path or self.tools(lab, way)
        if way == "mlnode":
            node = ["--models", *node]
        environment = {
            "UBUNTU_TEST": None,
            "MODEL_NAME": REPOSITORY,
            "HF_HOME": str(self.home),
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": TOKEN,
            "HUBTOOL_SAYS": f"a line with {TOKEN} and \x1b[31mred",
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "PYTHONPATH": str(TOOLS),
            **changes,
        }
        super().__init__(lab, server, **environment)
        if environment.get("UBUNTU_TEST") is None:
            words = [PYTHON, str(HERE / "modelnode.py"), str(self.management), *node]
            self.environment["MLNODE_COMMAND"] = " ".join(words)

    @staticmethod
    def tools(lab, way):
        folder = lab.path("bin")
        folder.mkdir()
        if way in ("hf", "huggingface-cli"):
            (folder / way).symlink_to(TOOLS / "hf")
        return folder

    @property
    def model(self):
        return self.home / "hub" / f"models--{REPOSITORY.replace('/', '--')}"

    def said(self, pattern, seconds=20, after=0):
        return self.process.wait_line(rf"\[model\] {pattern}", within(seconds), after)

    def status(self):
        """The model's part of the status document."""
        done = subprocess.run(
            [MLGATE, "status", "--json"],
            env={"FRP_CONFIG_DIR": str(self.directory)},
            capture_output=True,
            text=True,
            timeout=within(10),
        )
        return json.loads(done.stdout)["model"] if done.returncode == 0 else None

    def wait_status(self, seconds=20, **wanted):
        def look():
            now = self.status()
            return now if now and all(now.get(k) == v for k, v in wanted.items()) else None

        return eventually(look, within(seconds), f"a status of the model with {wanted}", 0.1)

    def wait_bytes(self, least, seconds=20):
        """Until so much of the model is on disk."""
        eventually(lambda: self.on_disk() >= least, within(seconds), f"{least} bytes on disk")

    def on_disk(self):
        return sum(f.stat().st_size for f in self.model.glob("blobs/*"))

    def fetchers(self):
        """What fetches now, below this container."""
        return [
            pid
            for word in ("snapshot_download", "/hf\0download", "huggingface-cli\0download")
            for pid in children_named(self.process.first(), word)
        ]

    def check_whole(self):
        snapshot = self.model / "snapshots" / SHA
        for name, size in self.hub.files.items():
            assert (snapshot / name).read_bytes() == content(name, size)
        assert not list(self.model.glob("blobs/*.incomplete"))

    def check_serves(self):
        """The node is up and reached through the tunnel: nothing of this touched it."""
        assert self.state(self.port_1) == "STOPPED"
        assert self.health()[0] == 0
        assert self.process.count(r"MLNode (ended|was killed)") == 0
        assert TOKEN not in self.process.text() and "\x1b[31m" not in self.process.text()


@pytest.fixture
def hub(lab):
    made = Hub(lab)
    made.token = TOKEN
    return made


@pytest.fixture
def disk(lab):
    """A file system of 16 MiB."""
    place = lab.path("disk")
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("skipped (no tmpfs can be mounted here)")
    lab.closers.insert(0, lambda: subprocess.run(["umount", "-l", str(place)], check=True))
    return place


# ---- whoever fetches -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_it_comes_while_everything_serves(lab, server, hub, way):
    hub.rate = 400_000
    c = Node(lab, server, hub, way).start("run")
    c.said(f"fetching {REPOSITORY} by {re.escape(WAYS[way])}: 4.00 MiB, of which 0 B are here", 30)
    c.wait_ready()
    c.wait_bytes(MIB)
    now = c.wait_status(state="downloading")
    assert now["by"] == way and now["name"] == REPOSITORY and now["total_bytes"] == hub.size
    assert 0 < now["percent"] < 100
    c.check_serves()
    percent = float(c.said(rf"{REPOSITORY}: ([\d.]+) % of 4.00 MiB, \S+ \S+/s, \S+ \S+ left", 30)[1])
    assert 0 < percent < 100
    hub.rate = None
    c.said(f"{REPOSITORY} is complete", 60)
    now = c.wait_status(state="done")
    assert now["percent"] == 100
    c.check_whole()
    c.check_serves()
    assert c.process.count("preparation starts again") == 0
    for name in hub.files:  # each once
        assert len(hub.asked("GET", name)) == 1


def test_mlnode_has_it_already(lab, server, hub):
    first = Node(lab, server, hub, "mlnode").start("run")
    first.said(f"{REPOSITORY} is complete", 40)
    first.process.stop()
    asked = len(hub.asked())
    again = Node(lab, server, hub, "mlnode", home=first.home).start("run")
    again.said(f"{REPOSITORY} is complete", 40)
    assert len(hub.asked()) == asked
    assert again.process.count("fetching") == 0


def test_a_download_of_others_is_watched(lab, server, hub):
    hub.rate = 400_000
    c = Node(lab, server, hub, "mlnode", node=["--begin", REPOSITORY]).start("run")
    c.said(f"{REPOSITORY} is being downloaded by MLNode already: watching", 30)
    assert c.wait_status(state="downloading")["by"] == "mlnode"
    hub.rate = None
    c.said(f"{REPOSITORY} is complete", 60)
    for name in hub.files:
        assert len(hub.asked("GET", name)) == 1


@pytest.mark.slow_once
def test_mlnode_is_busy_with_others(lab, server, hub):
    """It is asked again; nothing is given up and nothing fetched beside it."""
    c = Node(lab, server, hub, "mlnode", node=["--busy"]).start("run")
    c.wait_status(state="waiting", text="MLNode downloads as many other models as it may")
    assert not c.fetchers()
    c.wait_ready().check_serves()


def test_the_test_servers_on_demand(lab, server, hub):
    """Through testnode's endpoint, with MODEL_PREFETCH set; without it there is nothing to do."""
    c = Node(lab, server, hub, UBUNTU_TEST="true", MODEL_PREFETCH="auto").start("run")
    c.said(f"{REPOSITORY} is complete", 30)
    assert c.wait_ready().wait_status(state="done")["by"] == "mlnode"


# ---- nothing to fetch ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"MODEL_NAME": None}, "MODEL_NAME is not set"),
        ({"MODEL_PREFETCH": "off"}, "MODEL_PREFETCH is off"),
        ({"UBUNTU_TEST": "true"}, "the test servers need no weights"),
        ({"MLNODE_MANAGEMENT": "node.invalid:8080"}, "MLNODE_MANAGEMENT names another host"),
    ],
    ids=["unset", "off", "test", "elsewhere"],
)
def test_nothing_in_advance(lab, server, hub, changes, why):
    c = Node(lab, server, hub, **changes).start("run")
    c.process.wait_line(f"no model is fetched in advance: .*{why}", within(10))
    now = c.wait_status(state="off")
    assert why in now["text"]
    assert hub.asked() == [] and not c.model.exists()


@pytest.mark.parametrize(
    "name, line, state",
    [
        ("{there}", "is complete", "done"),
        ("/not/there", "a path that is not there", "failed"),
        ("--version", "neither a repository", "failed"),
    ],
    ids=["path", "no-path", "no-name"],
)
def test_what_is_no_repository(lab, server, hub, name, line, state):
    c = Node(lab, server, hub, MODEL_NAME=name.format(there=HERE)).start("run")
    c.said(f".*{line}")
    c.wait_status(state=state)
    c.wait_ready().check_serves()
    assert hub.asked() == []


def test_offline(lab, server, hub):
    c = Node(lab, server, hub, HF_HUB_OFFLINE="1").start("run")
    c.said(".*HF_HUB_OFFLINE is set, and it is not in the cache")
    c.wait_ready().check_serves()
    assert hub.asked() == []
    first = Node(lab, server, hub).start("run")
    first.said(f"{REPOSITORY} is complete", 30)
    asked = len(hub.asked())
    again = Node(lab, server, hub, home=first.home, HF_HUB_OFFLINE="1").start("run")
    again.said(f"{REPOSITORY} is complete")
    assert "the hub was not asked" in again.wait_status(state="done")["text"]
    assert len(hub.asked()) == asked


# ---- a hub that fails ----------------------------------------------------------------------------

REFUSALS = [
    (404, "RepoNotFound", "the hub knows no such model", "failed"),
    (401, "RepoNotFound", "the hub knows no such model", "failed"),
    (401, "GatedRepo", "the hub refuses it", "failed"),
    (403, "GatedRepo", "the hub refuses it", "failed"),
    (429, None, "too many requests", "retrying"),
    (500, None, "the hub failed", "retrying"),
    (503, None, "the hub failed", "retrying"),
]


@pytest.mark.parametrize(
    "status, code, why, state",
    [pytest.param(*one, marks=[pytest.mark.full] * (one[0] in (401, 500))) for one in REFUSALS],
)
def test_a_hub_that_refuses(lab, server, hub, status, code, why, state):
    """Named, tried again or given up, and no concern of the node's."""
    hub.fail(status, code)
    c = Node(lab, server, hub).start("run")
    c.said(f"{REPOSITORY}.*{why}")
    assert why in c.wait_status(state=state)["text"]
    if state == "retrying":
        c.process.wait_line(r"the model's preparation starts again in 30\.0 s", within(5))
    else:
        c.process.wait_line("the model's preparation ended with status 0", within(5))
    c.wait_ready().check_serves()
    assert c.process.count("preparation starts again") == (state == "retrying")


def test_an_mlnode_is_not_sent_to_a_hub_that_fails(lab, server, hub):
    hub.fail(503)
    c = Node(lab, server, hub, "mlnode").start("run")
    c.wait_status(state="retrying")
    assert not c.fetchers() and not c.model.exists()


def test_nobody_is_there(lab, server, hub):
    c = Node(lab, server, hub, HF_ENDPOINT=f"http://127.0.0.1:{lab.ports.take()}").start("run")
    c.said(f"{REPOSITORY}.*the hub does not answer")
    c.wait_status(state="retrying")


@pytest.mark.slow_once
def test_retry_after(lab, server, hub):
    """The hub says when; the same process waits for that, and goes on."""
    hub.fail(429, None, Retry_After="2")
    c = Node(lab, server, hub).start("run")
    c.said(f"{REPOSITORY}.*too many requests")
    hub.heal()
    c.said(f"{REPOSITORY} is complete", 30)
    assert c.process.count("the model's preparation started") == 1


@pytest.mark.parametrize(
    "way, why",
    [
        ("hf", "a file came truncated or with the wrong size"),
        # which passes on the beginning of what its downloader said
        ("mlnode", "MLNode's download ended before it was complete"),
    ],
    ids=["hf", "mlnode"],
)
def test_a_truncated_file(lab, server, hub, way, why):
    hub.truncate = "a.safetensors"
    c = Node(lab, server, hub, way).start("run")
    c.said(f"{REPOSITORY}.*{why}", 30)
    c.wait_status(state="retrying")
    c.wait_ready().check_serves()


def test_a_tool_that_lies(lab, server, hub):
    """It ends with 0, and has less than the hub."""
    hub.truncate = "a.safetensors"
    c = Node(lab, server, hub, HUBTOOL_LIES="1").start("run")
    c.said(f"{REPOSITORY}.*the wrong size.*hf left", 30)
    c.wait_status(state="retrying")


@pytest.mark.slow_once
def test_a_download_that_stands_still(lab, server, hub):
    hub.hold = "a.safetensors"
    c = Node(lab, server, hub, MODEL_DOWNLOAD_STALL_TIMEOUT="3").start("run")
    c.said(f"{REPOSITORY}.*no byte came for too long: 3 s", 30)
    eventually(lambda: not c.fetchers(), within(10), "the end of what fetched", 0.05)
    c.wait_status(state="retrying")
    c.wait_ready().check_serves()


def test_no_tool(lab, server, hub):
    """Nothing to fetch with is said once and given up."""
    c = Node(lab, server, hub, way="none", PYTHONPATH="")
    if subprocess.run([PYTHON, "-c", "import huggingface_hub"], capture_output=True).returncode == 0:
        pytest.skip("skipped (this machine's Python has huggingface_hub)")
    c.start("run").said(".*nothing to fetch it with")
    c.wait_status(state="failed")
    c.wait_ready().check_serves()


# ---- ends in the middle --------------------------------------------------------------------------


@pytest.mark.parametrize("way", first_ways("mlnode", "hf"))
@pytest.mark.slow_once
def test_resumes_after_a_kill(lab, server, hub, way):
    """kill -9 for the whole container; the next one fetches what is missing."""
    hub.rate = 500_000
    c = Node(lab, server, hub, way).start("run")
    c.wait_bytes(MIB, 40)
    below = c.fetchers()
    assert below
    c.process.kill()
    eventually(lambda: not any(map(lives, below)), within(5), "the end of what fetched", 0.05)
    had = c.on_disk()
    hub.rate = None
    again = Node(lab, server, hub, way, home=c.home).start("run")
    again.said(f"{REPOSITORY} is complete", 40)
    again.check_whole()
    begun = [r for r in hub.asked("GET", ".safetensors") if r[2] not in (None, "bytes=0-")]
    assert begun and int(re.search(r"\d+", begun[-1][2])[0]) > 0
    here = again.process.find(r"of which (\S+) MiB are here")
    assert here and float(here[1]) * MIB >= had * 0.95


@pytest.mark.parametrize("way", ["hf", "python"])
def test_a_tool_that_is_killed(lab, server, hub, way):
    hub.rate = 200_000
    c = Node(lab, server, hub, way).start("run")
    c.wait_bytes(MIB // 4, 40)
    os.kill(c.fetchers()[0], signal.SIGKILL)
    c.said(f"{REPOSITORY}: what fetched it failed: {way} ended with status 137")
    c.process.wait_line(r"the model's preparation starts again in 30\.0 s", within(5))
    now = c.wait_status(state="retrying")
    assert now["bytes"] >= MIB // 4
    c.wait_ready().check_serves()


def test_the_preparer_is_killed(lab, server, hub):
    """Its shim ends the tool, and the status says what happened."""
    hub.rate = 200_000
    c = Node(lab, server, hub).start("run")
    c.wait_bytes(MIB // 4, 40)
    (tool,) = c.fetchers()
    (preparer,) = [
        pid
        for shim in children_of(c.process.first())
        for pid in children_of(shim)
        if Path(f"/proc/{pid}/comm").read_text().strip() == "mlgate-model"
    ]
    os.kill(preparer, signal.SIGKILL)
    eventually(lambda: not lives(tool), within(5), "the end of the tool", 0.05)
    now = c.wait_status(state="retrying")
    assert now["text"] == "the process that fetched it was ended"
    c.wait_ready().check_serves()


@pytest.mark.parametrize("way", first_ways("hf", of=["hf", "mlnode"]))
def test_a_stop_does_not_wait_for_it(lab, server, hub, way, place):
    hub.rate = 200_000
    c = Node(lab, server, hub, way, place=place).start("run").wait_ready(30)
    c.wait_bytes(MIB // 4, 40)
    below = c.fetchers()
    began = time.monotonic()
    assert c.process.stop() == 0
    assert time.monotonic() - began < within(4)
    eventually(lambda: not any(map(lives, below)), within(5), "the end of what fetched", 0.05)
    assert c.process.find("the model's preparation ended") or c.process.find("asking the model's")


@pytest.mark.parametrize("way", ["hf", "mlnode"])
@pytest.mark.slow_once
def test_another_model_is_asked_for(lab, server, hub, way):
    hub.rate = 200_000
    c = Node(lab, server, hub, way).start("run").wait_ready(30)
    c.wait_bytes(MIB // 4, 40)
    ask = "/v3.0.8/api/v1/inference/up"
    assert c.ask("POST", ask, c.port_2, json.dumps({"model": REPOSITORY}))[0] == 200
    c.process.wait_line(f"inference/up asks for the model {REPOSITORY}", within(5))
    assert c.fetchers() and c.status()["state"] == "downloading"  # the one that comes anyway
    assert c.ask("POST", ask, c.port_2, json.dumps({"model": "other/model"}))[0] == 200
    c.said(f"{REPOSITORY} is not fetched any further: .*other/model")
    eventually(lambda: not c.fetchers(), within(10), "the end of what fetched", 0.05)
    assert "other/model" in c.wait_status(state="stopped")["text"]
    c.check_serves()


def test_a_model_was_asked_for_before(lab, server, hub):
    """The worker heard it, and the preparer is told when it starts (again)."""
    c = Node(lab, server, hub, way="hf", node=["--late"]).start("run")
    c.process.wait_line(r"listening on .*GATEWAY_LISTEN_POC", within(10))
    eventually(
        lambda: c.ask("POST", "/api/v1/inference/up", c.listen_poc, '{"model":"other/model"}')[0],
        within(20),
        "an answer to inference/up",
        0.2,
    )
    c.said(f"{REPOSITORY} is not fetched any further: .*other/model", 30)


# ---- the disk ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", first_ways("hf", of=["hf", "mlnode"]))
def test_what_does_not_fit_is_not_begun(lab, server, disk, way):
    hub = Hub(lab, {"config.json": 300, "a.safetensors": 13 * MIB})  # of 16, of which 3.2 stay
    c = Node(lab, server, hub, way, home=disk / "hf").start("run")
    c.said(f"{REPOSITORY}: not enough room in HF_HOME: 13.0 MiB more are needed, 16.0 MiB are free", 30)
    assert hub.asked("GET", "a.safetensors") == []
    c.wait_status(state="retrying")
    c.wait_ready().check_serves()


def test_what_just_fits_is_fetched(lab, server, disk):
    hub = Hub(lab, {"config.json": 300, "a.safetensors": 12 * MIB})
    c = Node(lab, server, hub, home=disk / "hf").start("run")
    c.said(f"{REPOSITORY} is complete", 30)


@pytest.mark.parametrize("way", ["hf", "mlnode"])
@pytest.mark.slow_once
def test_others_fill_the_disk(lab, server, disk, way):
    """A fifth of it stays free while we fetch."""
    hub = Hub(lab, {"config.json": 300, "a.safetensors": 8 * MIB})
    hub.rate = 400_000
    c = Node(lab, server, hub, way, home=disk / "hf").start("run").wait_ready(30)
    c.wait_bytes(MIB // 2, 40)
    (disk / "others").write_bytes(bytes(13 * MIB))
    c.said(f"{REPOSITORY}: not enough room in HF_HOME: .*3.20 MiB .20 %. stay free", 20)
    eventually(lambda: not c.fetchers(), within(10), "the end of what fetched", 0.05)
    c.wait_status(state="retrying")
    c.check_serves()


@pytest.mark.slow_once
def test_the_disk_is_full(lab, server, disk):
    """The tool's own end and ours come within a second of each other; either is named."""
    hub = Hub(lab, {"config.json": 300, "a.safetensors": 8 * MIB})
    hub.rate = 400_000
    c = Node(lab, server, hub, home=disk / "hf").start("run").wait_ready(30)
    c.wait_bytes(MIB // 2, 40)
    with open(disk / "others", "wb", buffering=0) as file, pytest.raises(OSError):
        while file.write(bytes(64 * 1024)):
            pass
    c.said(f"{REPOSITORY}: (the disk of HF_HOME is full|not enough room in HF_HOME)", 20)
    c.wait_status(state="retrying")
    c.check_serves()


# ---- surroundings --------------------------------------------------------------------------------

PTY = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


@pytest.mark.slow_once
def test_a_bar_on_a_terminal(lab, server, hub):
    hub.rate = 500_000
    c = Node(lab, server, hub, wrap=[PYTHON, "-c", PTY]).start("run")
    eventually(lambda: "is complete" in c.process.text(), within(60), "the model", 0.2)
    bars = re.findall(r"\[(#*)-*\] ([\d.]+) % of 4.00 MiB", c.process.text())
    assert len(bars) >= 3
    assert [len(full) for full, _ in bars] == sorted(len(full) for full, _ in bars)
    assert all(abs(len(full) - float(percent) * 0.3) <= 1 for full, percent in bars)
    run = next(p for p in children_of(c.process.pid))
    os.kill(run, signal.SIGTERM)
    c.process.wait_end(within(10))


@pytest.mark.skipif(os.geteuid() != 0, reason="skipped (only root becomes somebody else)")
def test_under_mlnodes_user(lab, server, hub):
    """What a tool leaves belongs to the user that MLNode gave root up for."""
    uid = 23456
    place = Path(tempfile.mkdtemp(prefix="mlgate-test-"))
    lab.closers.append(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    home = place / "hf"
    home.mkdir()
    os.chown(home, uid, uid)
    shutil.copytree(TOOLS, place / "tools")
    c = Node(lab, server, hub, node=["--uid", str(uid)], home=home, path=place / "tools",
             PYTHONPATH=str(place / "tools"), PYTHONDONTWRITEBYTECODE="1")
    c.start("run").said(f"{REPOSITORY} is complete", 30)
    owners = {(f.lstat().st_uid, f.lstat().st_gid) for f in c.model.rglob("*")}
    assert owners == {(uid, uid)}


# ---- the real library ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """The bin folder of an environment with huggingface_hub from the package index."""
    place = tmp_path_factory.mktemp("real-hub") / "venv"
    made = subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True)
    if made.returncode != 0:
        pytest.skip("skipped (no virtual environment can be made here)")
    words = [place / "bin" / "pip", "install", "-q", "huggingface_hub"]
    if subprocess.run(words, capture_output=True, timeout=300).returncode != 0:
        pytest.skip("skipped (pip cannot install huggingface_hub here)")
    return place / "bin"


def real_node(lab, server, hub, real, way="hf", **changes):
    """MLNode's stand-in keeps the stand-in library; the tools get the real one."""
    folder = real
    if way == "python":
        folder = lab.path("bin")
        folder.mkdir()
        (folder / "python3").write_text(f'#!/bin/sh\nexec {real}/python3 "$@"\n', encoding="ascii")
        (folder / "python3").chmod(0o755)
    return Node(lab, server, hub, way, path=folder, PYTHONPATH=None, **changes)


@pytest.mark.full
@pytest.mark.parametrize("way", ["hf", "python"])
def test_the_real_library(lab, server, hub, real, way):
    """Fetched, killed in the middle, resumed."""
    hub.files = {"config.json": 300, "a.safetensors": 40 * MIB, "b.safetensors": MIB}
    hub.rate = 8_000_000
    c = real_node(lab, server, hub, real, way).start("run")
    c.said(f"fetching {REPOSITORY} by {way}: 41.0 MiB", 40)
    c.wait_bytes(12 * MIB, 60)
    c.wait_ready().check_serves()
    c.process.kill()
    hub.rate = None
    again = real_node(lab, server, hub, real, way, home=c.home).start("run")
    again.said(f"{REPOSITORY} is complete", 60)
    again.process.wait_line("the model's preparation ended with status 0", within(10))
    again.check_whole()  # and nothing of the one that was killed is left


@pytest.mark.full
@pytest.mark.parametrize("status, code, why, state", REFUSALS)
@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_words_of_the_real_library(lab, server, hub, real, status, code, why, state, moment):
    """What it says of a failure is understood, whether the size or the files meet it."""
    if moment == "before":
        hub.fail(status, code)
    else:
        hub.fail_files(status, code)
    c = real_node(lab, server, hub, real, HF_HUB_ETAG_TIMEOUT="2").start("run")
    c.said(f"{REPOSITORY}.*{why}", 60)
    c.wait_status(state=state)


@pytest.mark.full
def test_comes_back_after_half_a_minute(lab, server, hub):
    hub.fail(503)
    c = Node(lab, server, hub).start("run")
    c.process.wait_line(r"the model's preparation starts again in 30\.0 s", within(20))
    hub.heal()
    c.said(f"{REPOSITORY} is complete", 60)
