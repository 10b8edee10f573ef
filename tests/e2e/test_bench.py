"""script/bench: it gives numbers, says what did not run, and leaves nothing behind."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from harness import eventually
from lab import MLGATE

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "script" / "bench"
LIMIT = 150  # seconds; the first run builds the generators


@pytest.fixture
def bench(tmp_path):
    """bench(ARGUMENTS…): the started process; its own folder for temporary files, no peers."""
    def start(*words):
        env = {**os.environ, "MLGATE": str(MLGATE), "TMPDIR": str(tmp_path),
               "PEERS_DIR": str(tmp_path)}
        started.append(subprocess.Popen([BENCH, *words], env=env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    started = []
    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def left_behind(folder):
    """Command lines of processes that work in a folder below this one."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd").startswith(str(folder)):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_numbers_of_the_gateway_bench(bench, tmp_path):
    process = bench("gateway", "--quick", "--repeat", "1", "--only", "direct,mlgate,rathole",
                    "--groups", "leave,bulk", "--json", tmp_path / "n.json", "--markdown",
                    tmp_path / "n.md")
    out, err = process.communicate(timeout=LIMIT)

    assert process.returncode == 0, out + err
    assert ("not run: rathole: " in out) == (shutil.which("rathole") is None)
    document = json.loads((tmp_path / "n.json").read_text())
    metrics = {m["key"]: m for m in document["metrics"]}
    for key in ("leave_p50", "bulk_up_gbit", "bulk_down_cpu"):
        assert metrics[key]["stacks"]["mlgate"]["median"] > 0
    assert metrics["leave_p50"]["aim"]["verdict"]
    assert metrics["bulk_up_gbit"]["stacks"]["direct"]["median"] > 0
    table = (tmp_path / "n.md").read_text().splitlines()
    assert table[0].startswith("`script/bench gateway --quick ")
    assert len({line.count(" | ") for line in table if line.startswith("| ")}) == 1
    assert left_behind(tmp_path) == []
    assert list(tmp_path.glob("mlgate-bench-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_bench_leaves_nothing(bench, tmp_path, number):
    process = bench("gateway", "--quick", "--only", "direct,mlgate", "--groups", "requests")
    eventually(lambda: any("mlgate client" in line for line in left_behind(tmp_path)), LIMIT,
               "a client of the bench")
    time.sleep(0.5)
    process.send_signal(number)

    assert process.wait(20) == 128 + number
    assert left_behind(tmp_path) == []
    assert list(tmp_path.glob("mlgate-bench-*")) == []


@pytest.mark.parametrize("words", [["gateway", "--groups", "none"], ["gateway", "--repeat", "0"],
                                   ["nonsense"], []])
def test_wrong_arguments(bench, words):
    process = bench(*words)
    _, err = process.communicate(timeout=LIMIT)

    assert process.returncode == 2
    assert "script/bench" in err
