"""mlgate register: what it prints, what its command does, and where it refuses to send."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from containers import NAMESPACE, Container, namespaces_work
from harness import eventually
from lab import MLGATE, PASSED_ON, within

NODE = {
    "id": "node 42",
    "host": "frps",
    "inference_port": 10042,
    "poc_port": 20042,
    "models": {"MiniMaxAI/MiniMax-M2.7": {"args": ["--tensor-parallel-size", "4"]}},
    "max_concurrent": 500,
}
ENVIRONMENT = {
    "CLIENT_ID": "0042",
    "NODE_ID": "node 42",
    "MODEL_NAME": "MiniMaxAI/MiniMax-M2.7",
    "TENSOR_PARALLEL_SIZE": "4",
}


def register(*words, wrap=(), **changes):
    """(status, stdout, stderr); `changes` are variables, one of None is left out."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"LC_ALL": "C", **ENVIRONMENT, **changes}
    done = subprocess.run(
        [*wrap, MLGATE, "register", *words],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=within(20),
    )
    return done.returncode, done.stdout, done.stderr


class AdminApi:
    """The admin port of an API node: gives the same answer to each request, and keeps them all."""

    def __init__(self, status=200, body=b'{"id":"node 42"}'):
        self.requests = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                api.requests.append((self.requestline, self.headers, self.rfile.read(length)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@contextlib.contextmanager
def admin_api(*words):
    api = AdminApi(*words)
    try:
        yield api
    finally:
        api.close()


# ---- printing ------------------------------------------------------------------------------------


def test_json_alone():
    status, out, err = register("--json")
    assert (status, err) == (0, "")
    assert out == json.dumps(NODE, separators=(",", ":")) + "\n"


def test_flags_win_and_need_no_environment():
    nothing = dict.fromkeys(ENVIRONMENT)
    flags = ["--client-id=0007", "--node-id", "n", "--model", "m", "--host", "10.1.2.3", "--json"]
    more = ["--max-concurrent", "64", "--tensor-parallel-size", "2", "--", "-pp=2", "--seed", "1"]
    status, out, _ = register(*flags, *more, **nothing)
    args = ["--tensor-parallel-size", "2", "--pipeline-parallel-size", "2", "--seed", "1"]
    assert status == 0
    assert json.loads(out) == {
        "id": "n",
        "host": "10.1.2.3",
        "inference_port": 10007,
        "poc_port": 20007,
        "models": {"m": {"args": args}},
        "max_concurrent": 64,
    }
    assert register(*flags)[:2] == register(*flags, SECRET_FRP_TOKEN="x")[:2]


def test_text_for_people():
    """The node, then lines that a shell passes over."""
    status, out, err = register()
    assert (status, err) == (0, "")
    head, _, rest = out.partition("\n# ")
    assert json.loads(head) == NODE
    assert all(line.startswith("# ") for line in ("# " + rest).splitlines())
    assert "/v1/governance/models" in rest
    done = subprocess.run(["sh", "-n"], input="# " + rest, text=True, capture_output=True)
    assert done.returncode == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="skipped (no curl)")
def test_the_command_registers():
    """As the operator pastes it, quotes in the values included."""
    id_ = "it's \"mine\" $(id) `id` \\"
    out = register(NODE_ID=id_)[1]
    line = next(line for line in out.splitlines() if line.startswith("# curl -sS -X POST"))
    with admin_api() as api:
        command = line[2:].replace("http://127.0.0.1:9200", api.url)
        assert shlex.split(command)[0] == "curl"
        done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20)
        assert done.stdout == b'{"id":"node 42"}'
        ((request, headers, body),) = api.requests
    assert request == "POST /admin/v1/nodes HTTP/1.1"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {**NODE, "id": id_}


def test_what_cannot_be_used():
    """All problems at once, and nothing on standard output."""
    status, out, err = register(
        *("--host", "http://frps", "--max-concurrent", "0", "--", "-tp=2", "--seed=1", "--seed=2"),
        CLIENT_ID=None,
        TENSOR_PARALLEL_SIZE="5",
    )
    assert (status, out) == (2, "")
    for where in ("CLIENT_ID", "TENSOR_PARALLEL_SIZE", "--host", "--max-concurrent", "--seed"):
        assert f"{where}: " in err
    assert "without a scheme and without a port" in err
    status, out, err = register("--", "-tp", "2")
    assert (status, out) == (2, "")
    assert "is 2 in the arguments, TENSOR_PARALLEL_SIZE is 4" in err
    status, out, err = register("--nope")
    assert (status, out) == (2, "")
    assert "'--nope' is no flag" in err


def test_warnings_are_not_in_the_json():
    status, out, err = register("--json", "--", "--served-model-name", "x")
    assert status == 0
    assert json.loads(out)
    assert "warning: --served-model-name: " in err


def test_a_model_is_required():
    """The contract's default is for test servers, and no model of the network."""
    status, out, err = register("--json", MODEL_NAME=None)
    assert (status, out) == (2, "")
    assert "MODEL_NAME: is required and not set (for example --model " in err
    status, out, _ = register("--json", "--model", "org/m", MODEL_NAME=None)
    assert status == 0
    assert list(json.loads(out)["models"]) == ["org/m"]


def test_variables_of_pid_1():
    """Over SSH a shell has none of the platform's variables; PID 1 has. No token is taken."""
    if not namespaces_work():
        pytest.skip("skipped (no pid namespace here)")
    inner = f"env -i PATH=$PATH ASAN_OPTIONS=$ASAN_OPTIONS {MLGATE} register --json; exit $?"
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", inner],
        env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0", **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=within(20),
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, NODE)
    assert "4 variables came from /proc/1/environ" in done.stderr


# ---- sending -------------------------------------------------------------------------------------


def test_send():
    with admin_api() as api:
        status, out, err = register("--send", api.url)
        assert status == 0
        assert json.loads(out) == NODE  # and no command: it is done
        assert 'node node 42 is created or updated (status 200): {"id":"node 42"}' in err
        ((request, headers, body),) = api.requests
    assert request == "POST /admin/v1/nodes HTTP/1.1"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == NODE


@pytest.mark.parametrize("answer", [400, 500, 404, 201])
def test_send_is_not_accepted(answer):
    """The API node's words are shown, and cannot colour a terminal."""
    with admin_api(answer, b"model \x1b[31mnot\nfound") as api:
        status, _, err = register("--send", api.url + "/", "--json")
        assert status == 1
        assert f"is refused (status {answer}): model \\x1b[31mnot\\x0afound" in err
        assert len(api.requests) == 1


def test_send_finds_nobody(lab):
    status, _, err = register("--send", f"http://127.0.0.1:{lab.ports.take()}")
    assert status == 1
    assert "connect-refused" in err


def test_an_answer_that_does_not_end():
    with admin_api(200, b"x" * (300 * 1024)) as api:
        status, _, err = register("--send", api.url)
    assert status == 1
    assert "longer than" in err


@pytest.mark.parametrize("host", ["203.0.113.7", "[2001:db8::7]", "0.0.0.0"])
def test_no_public_address(host):
    status, out, err = register("--send", f"http://{host}:9200", "--json")
    assert status == 1
    assert json.loads(out) == NODE
    assert "not sent" in err and "strangers reach" in err


def test_no_name_with_a_public_address(tmp_path):
    """One of several addresses is enough; a resolver that changes its mind is not asked twice."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 api\n203.0.113.7 api\n")
    wrap = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*wrap, "true"]).returncode != 0:
        pytest.skip("skipped (no mount namespace here)")
    with admin_api() as api:
        url = api.url.replace("127.0.0.1", "api")
        status, _, err = register("--send", url, wrap=wrap)
        assert (status, api.requests) == (1, [])
        assert "203.0.113.7" in err
        hosts.write_text("127.0.0.1 api\n")
        assert register("--send", url, wrap=wrap)[0] == 0


@pytest.mark.parametrize("mark", ["FRP_SERVER", "RUNPOD_POD_ID", "VAST_TCP_PORT_22"])
def test_not_from_a_rented_container(mark):
    with admin_api() as api:
        status, _, err = register("--send", api.url, **{mark: "x"})
        assert (status, api.requests) == (1, [])
    assert "this is a GPU container" in err


def test_not_from_below_a_rented_pid_1():
    if not namespaces_work():
        pytest.skip("skipped (no pid namespace here)")
    environment = {"RUNPOD_POD_ID": "x", "PATH": os.environ["PATH"], **ENVIRONMENT}
    inner = f"env -i CLIENT_ID=0042 {MLGATE} register --model m --send $0; exit $?"
    with admin_api() as api:
        done = subprocess.run(
            [*NAMESPACE, "sh", "-c", inner, api.url],
            env=environment,
            capture_output=True,
            text=True,
            timeout=within(20),
        )
        assert (done.returncode, api.requests) == (1, [])
    assert "RUNPOD_" in done.stderr


def test_not_beside_a_running_container(lab):
    container = Container(lab).start("run")
    eventually(lambda: "no `mlgate run`" not in container.health()[1], within(10), "its socket")
    with admin_api() as api:
        status, _, err = register("--send", api.url, FRP_CONFIG_DIR=str(container.directory))
        assert (status, api.requests) == (1, [])
    assert "a `mlgate run` runs here" in err
