"""`mlgate check`: each problem made on purpose and found under its id, with a remedy; nothing that
runs is disturbed by it; it ends in time, whatever does not answer."""

import email.utils
import http.server
import json
import os
import pty
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from accepting import full_queue
from containers import NAMESPACE, Container, in_namespaces, namespaces_work, play_scene
from dns import NameServer
from gateways import Management
from harness import eventually
from lab import MLGATE, PASSED_ON, TOKEN, is_mlgate, within
from rawfrp import RawServer

WORDS = {"ok", "warn", "fail", "skip"}
LIMIT = 15  # what a whole check may take
NOBODY = 65534
OTHER_PIN = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


class Report:
    """What one `mlgate check --json` said."""

    def __init__(self, done, seconds):
        self.done = done
        self.status = done.returncode
        self.seconds = seconds
        self.all = json.loads(done.stdout)
        self.findings = self.all["findings"]

    def of(self, name, subject=None):
        return [
            f
            for f in self.findings
            if f["id"] == name and (subject is None or subject in (f["subject"] or ""))
        ]

    def the(self, name, subject=None):
        (only,) = self.of(name, subject)
        return only

    def result(self, name, subject=None):
        return self.the(name, subject)["result"]

    def failed(self):
        return {f["id"] for f in self.findings if f["result"] == "fail"}


def run(words, env, prefix=(), **more):
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment.update(LC_ALL="C", **env)
    return subprocess.run(
        [*prefix, MLGATE, "check", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


def check(env, *words, **more):
    began = time.monotonic()
    done = run([*words, "--json"], env, **more)
    took = time.monotonic() - began
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return Report(done, took)


class ApiNode:
    """Answers everything with 404, at a clock that is `ahead` seconds off ours."""

    def __init__(self, lab, ahead=0, host="127.0.0.1"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                self.send_error(404)

            def date_time_string(self, _=None):
                return email.utils.formatdate(time.time() + ahead, usegmt=True)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((host, lab.ports.take()), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        lab.closers.append(self.server.shutdown)
        lab.closers.append(self.server.server_close)


def settings(lab, server=None, **changes):
    """An environment in which nothing fails, as far as this machine allows; a change of None takes
    a variable out."""
    container = Container(lab, server)
    env = dict(container.environment)
    env["API_NODE"] = f"127.0.0.1:{ApiNode(lab).port}"
    env.update({name: value for name, value in changes.items() if value is not None})
    return {name: value for name, value in env.items() if changes.get(name, "") is not None}


def pin_of(server):
    return server.process.wait_line(r"FRP_TLS_PIN=(\S+)")[1]


def spoken(sock):
    """A service that is no frp server: it says something at once, and hangs up."""
    sock.sendall(b"220 smtp.example ESMTP\r\n")


# ---- where nothing is wrong ----------------------------------------------------------------------


def test_all_is_well(lab):
    """Beside a `mlgate run` that is ready: nothing fails, and what should be ok is."""
    server = lab.flag_server("--state-dir", str(lab.path("state")))
    api = ApiNode(lab)
    c = Container(lab, server, API_NODE=f"127.0.0.1:{api.port}", FRP_TLS_PIN=pin_of(server))
    c.start("run").wait_ready()
    report = check(c.environment)
    assert report.failed() == set(), report.done.stdout
    assert report.status == 0
    for name in ("config", "instance", "dns", "tcp", "tls", "tls.pin", "tls.expiry", "clock.server",
                 "login", "round_trip", "api.tcp", "api.http", "clock.api", "mlnode.management",
                 "mlnode.inference", "disk.frp_config_dir", "disk.log_dir"):  # fmt: skip
        assert report.result(name) == "ok", report.of(name)
    assert [f["result"] for f in report.of("gateway.listen")] == ["ok", "ok"]
    assert all("held by mlgate" in f["found"] for f in report.of("gateway.listen"))
    assert report.result("gpu") == "skip"  # UBUNTU_TEST
    assert "INFERENCE" in report.the("mlnode.management")["found"]


def test_client_alone(lab):
    """`mlgate client` has no PID 1 that answers, and a status of its own."""
    server = lab.flag_server()
    c = Container(lab, server, API_NODE=f"127.0.0.1:{ApiNode(lab).port}").start("client")
    eventually(lambda: c.process.count("start proxy success") == 2, within(20), "both ports")
    instance = check(c.environment).the("instance")
    assert instance["result"] == "ok" and "mlgate client" in instance["found"]


def test_killed(lab):
    """PID 1 was killed: what it left behind is no instance, and nothing to be silent about."""
    c = Container(lab, lab.flag_server(), API_NODE=f"127.0.0.1:{ApiNode(lab).port}")
    c.start("run").wait_ready()
    c.process.kill()
    report = check(c.environment)
    gone = report.the("instance")
    assert gone["result"] == "warn" and f"it left {c.directory}/mlgate.sock behind" in gone["found"]
    assert "mlgate run" in gone["remedy"]


def test_platform_without_run(lab):
    """PID 1 has the variables and is another program, as in a platform's SSH mode."""
    if not namespaces_work():
        pytest.skip("skipped (no pid namespace here)")
    words = [*NAMESPACE, "sh", "-c", '"$@"; exit $?', "sh"]
    report = check(settings(lab, lab.flag_server()), prefix=words)
    instance = report.the("instance")
    assert instance["result"] == "warn" and "PID 1 has its variables" in instance["found"]
    assert "mlgate run" in instance["remedy"] and report.status == 0


def test_before_anything_runs(lab, server_kind):
    server = lab.server(server_kind, tls_only=True)
    report = check(settings(lab, server, FRP_SERVER=f"127.0.0.1:{server.port}"))
    assert report.failed() == set(), report.done.stdout
    assert report.status == 0
    assert report.result("instance") == "skip"
    assert report.result("mlnode.management") == "skip"
    assert report.result("login") == "ok"
    assert report.the("login")["found"].startswith("the token is accepted by")
    assert re.search(r"\d+\.\d{3} ms", report.the("round_trip")["found"])
    pin = report.the("tls.pin")
    assert ("tls_cert_file" in pin["remedy"]) != is_mlgate(server_kind)
    assert pin["result"] == "warn" and re.search(r"FRP_TLS_PIN=[\w+/]{43}=", pin["remedy"])
    assert [f["result"] for f in report.of("gateway.listen")] == ["ok", "ok"]


# ---- nothing is disturbed ------------------------------------------------------------------------


def listeners():
    """Of this machine, less those that may come and go beside the test."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        return {line.split()[1] for line in file if line.split()[3] == "0A"}


def files_below(directory):
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_mode)
        for path in Path(directory).rglob("*")
    }


def test_nothing_is_disturbed(lab, server_kind):
    """A live session under traffic: it stays the same session, its streams lose nothing, no port is
    claimed, no file changes."""
    server = lab.server(server_kind, tls_only=True)
    c = Container(lab, server, API_NODE=f"127.0.0.1:{ApiNode(lab).port}").start("run").wait_ready()
    run_id = (c.directory / "run_id").read_text()
    streams = [c.stream(tokens=300, rate=100, port=c.port_1) for _ in range(10)]
    before, marks = files_below(c.directory), (c.process.mark(), server.process.mark())
    held = {f"0100007F:{port:04X}" for port in (c.port_1, c.port_2, c.listen, c.listen_poc)}
    assert held <= listeners()
    for _ in range(5):
        report = check(c.environment)
        assert report.result("login") == "ok" and report.result("instance") == "ok"
    for stream in streams:
        text = stream.rest()
        assert text.rstrip().endswith(b"data: [DONE]")
    assert files_below(c.directory) == before
    assert (c.directory / "run_id").read_text() == run_id
    assert held <= listeners()
    assert c.process.count(r"\[W\]|login to server|session lost", after=marks[0]) == 0
    said = server.process.lines[marks[1] :]
    claims = re.compile(r"new proxy|\[client-mlnode|replaced|displac")
    assert not list(filter(claims.search, said))
    logins = [line for line in said if "(mlgate check)" in line and "login" in line]
    assert len(logins) == 5, said
    assert run_id not in "\n".join(said)
    assert c.health()[0] == 0


# ---- problems made on purpose --------------------------------------------------------------------


def test_configuration(lab):
    """All of its problems at once; what needs no configuration is looked at all the same."""
    report = check(settings(lab, CLIENT_ID="42", HF_HOME="relative", TENSOR_PARALLEL_SIZE="9",
                            SECRET_FRP_TOKEN="{{ bad-secret }}"))  # fmt: skip
    assert report.status == 2
    found = {f["subject"]: f for f in report.of("config")}
    assert set(found) == {"CLIENT_ID", "HF_HOME", "TENSOR_PARALLEL_SIZE", "SECRET_FRP_TOKEN"}
    assert all(f["result"] == "fail" and f["remedy"] for f in found.values())
    assert "bad-secret" not in report.done.stdout
    assert report.result("login") == "skip" and "config" in report.the("login")["found"]
    assert report.result("open_files") in ("ok", "warn")
    assert report.of("ports.listening") and report.of("bind_guard") and report.of("sandbox")


def test_nothing_configured(lab):
    report = check({"FRP_CONFIG_DIR": str(lab.path("nothing"))})  # whoever else runs here
    assert report.status == 2
    required = {"API_NODE", "FRP_SERVER", "SECRET_FRP_TOKEN", "CLIENT_ID"}
    assert required <= {f["subject"] for f in report.of("config")}


def test_server_is_away(lab):
    report = check(settings(lab))
    assert report.status == 1
    tcp = report.the("tcp")
    assert tcp["result"] == "fail" and "connect-refused" in tcp["found"]
    assert "FRP_SERVER" in tcp["remedy"]
    for name in ("tls", "tls.pin", "tls.expiry", "login", "clock.server", "round_trip"):
        assert report.result(name) == "skip" and "tcp" in report.the(name)["found"]


def test_no_frp_server(lab, certificates):
    """Plain words, HTTPS, and one that takes TLS and never answers."""
    plain = RawServer(lab.ports.take(), spoken)
    talks = {
        "https": lambda peer: peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "silent": lambda peer: peer.sock.recv(1 << 16) and peer.sock.recv(1 << 16),
    }
    others = {name: RawServer(lab.ports.take(), talk, certificates.server)
              for name, talk in talks.items()}  # fmt: skip
    for server in (plain, *others.values()):
        lab.closers.append(server.close)
    ports = {"plain": plain.port, **{name: server.port for name, server in others.items()}}
    report = check(settings(lab, FRP_SERVER=",".join(f"127.0.0.1:{p}" for p in ports.values())))
    assert report.status == 1
    tls = report.the("tls", str(ports["plain"]))
    assert tls["result"] == "fail" and "bind_port" in tls["remedy"]
    for name in others:
        assert report.result("tls", str(ports[name])) == "ok"
        login = report.the("login", str(ports[name]))
        assert login["result"] == "fail" and "bind_port" in login["remedy"]
    assert "no frp server" in report.the("login", str(ports["https"]))["found"]
    assert "does not answer" in report.the("login", str(ports["silent"]))["found"]


def test_pins(lab):
    server = lab.flag_server("--state-dir", str(lab.path("state")))
    real = pin_of(server)
    report = check(settings(lab, server, FRP_TLS_PIN=OTHER_PIN))
    assert report.status == 1
    pin = report.the("tls.pin")
    assert pin["result"] == "fail" and real in pin["remedy"]
    assert report.result("login") == "skip" and "tls.pin" in report.the("login")["found"]
    server.process.wait_line("ended before a login", within(5))
    assert server.process.count("client login") == 0  # whom we do not know gets no proof
    good = check(settings(lab, server, FRP_TLS_PIN=f"{OTHER_PIN},{real}"))
    assert good.result("tls.pin") == "ok" and good.result("login") == "ok"


def test_one_server_twice(lab):
    """Two entries of FRP_SERVER, one key; another server is another one."""
    server, other = lab.flag_server(), lab.flag_server()
    names = [f"127.0.0.1:{server.port}", f"127.0.0.1:{other.port}", f"localhost:{server.port}"]
    report = check(settings(lab, FRP_SERVER=",".join(names)))
    twice = [f for f in report.of("tls.pin") if "both are one server" in f["found"]]
    assert [f["subject"] for f in twice] == [names[2]], twice
    assert names[0] in twice[0]["found"] and "FRP_SERVER" in twice[0]["remedy"]


def test_authorities(lab, certificates):
    files = {"tls_cert_file": certificates.server.cert, "tls_key_file": certificates.server.key}
    server = lab.server(**files)

    def asked(ca):
        return check(settings(lab, server, FRP_TLS_CA_FILE=str(ca)))

    good = asked(certificates.ca.cert)
    assert good.result("tls.ca") == "ok" and good.result("login") == "ok"
    assert good.of("tls.pin") == []
    assert good.result("tls.expiry") == "warn"  # 7 days
    other = asked(certificates.other_ca.cert)
    assert other.result("tls.ca") == "fail" and other.result("login") == "skip"
    missing = asked("/nowhere/ca.pem")
    assert missing.result("tls.ca") == "fail" and "/nowhere" in missing.the("tls.ca")["found"]


@pytest.mark.parametrize("detailed", [True, False])
def test_wrong_token(lab, server_kind, detailed):
    server = lab.server(server_kind, tls_only=True, detailed_errors_to_client=detailed)
    report = check(settings(lab, server, SECRET_FRP_TOKEN="another-secret-1234"))
    assert report.status == 1
    login = report.the("login")
    assert login["result"] == "fail" and login["remedy"]
    if detailed:
        assert "SECRET_FRP_TOKEN" in login["remedy"]
    assert "another-secret" not in report.done.stdout and TOKEN not in report.done.stdout


def test_client_certificates(lab, certificates):
    """A server that demands them cannot be reached with the environment."""
    pair = certificates.server
    server = lab.server(tls_cert_file=pair.cert, tls_key_file=pair.key,
                        tls_trusted_ca_file=certificates.ca.cert)  # fmt: skip
    login = check(settings(lab, server)).the("login")
    assert login["result"] == "fail" and "tls_trusted_ca_file" in login["remedy"]


def refuses_clock(peer):
    peer.pump_until(lambda: peer.opened, 10, "the control stream")
    control = peer.opened[0]
    peer.receive(control, "Login")
    said = "the login's clock is 7200 s behind the server's, \x1b[31mmore than the 900 s allowed"
    peer.send(control, "LoginResp", {"error": said})
    peer.pump_until(lambda: False, 10, "the end")


def test_server_refuses_our_clock(lab, certificates):
    server = RawServer(lab.ports.take(), refuses_clock, certificates.server)
    lab.closers.append(server.close)
    report = check(settings(lab, FRP_SERVER=f"127.0.0.1:{server.port}"))
    assert report.status == 1
    clock = report.the("clock.server")
    assert clock["result"] == "fail" and "7200 s behind" in clock["found"]
    assert "\x1b" not in report.done.stdout and "\\x1b[31m" in clock["found"]
    assert report.result("login") == "skip" and "clock.server" in report.the("login")["found"]


def test_api_node(lab):
    server = lab.flag_server()

    def asked(port):
        return check(settings(lab, server, API_NODE=f"127.0.0.1:{port}"))

    away = asked(lab.ports.take())
    assert away.result("api.tcp") == "fail" and away.result("api.http") == "skip"
    late = asked(ApiNode(lab, ahead=120).port)
    assert late.result("api.http") == "ok" and late.result("clock.api") == "warn"
    assert re.search(r"1(19|2\d) s behind", late.the("clock.api")["found"])
    early = asked(ApiNode(lab, ahead=-7200).port)
    assert early.result("clock.api") == "fail" and early.status == 1
    other = RawServer(lab.ports.take(), spoken)
    lab.closers.append(other.close)
    strange = asked(other.port)
    assert strange.result("api.tcp") == "ok" and strange.result("api.http") == "warn"


class Jupyter(Management):
    def answer(self, path):
        return None  # 404


def test_mlnode(lab):
    server = lab.flag_server()

    def asked(management):
        return check(settings(lab, server, MLNODE_MANAGEMENT=f"127.0.0.1:{management.port}"))

    foreign = asked(Jupyter(lab))
    assert foreign.result("mlnode.management") == "fail"
    assert "Jupyter" in foreign.the("mlnode.management")["remedy"]
    stopped = asked(Management(lab, "STOPPED"))
    assert stopped.result("mlnode.management") == "ok"
    inference = stopped.the("mlnode.inference")
    assert inference["result"] == "ok" and "normal while no model is loaded" in inference["found"]
    loaded = asked(Management(lab, "INFERENCE"))
    assert loaded.result("mlnode.inference") == "warn"


def test_ports_of_the_gateway(lab):
    with socket.create_server(("127.0.0.1", lab.ports.take())) as other:
        port = other.getsockname()[1]
        report = check(settings(lab, lab.flag_server(), GATEWAY_LISTEN=f"127.0.0.1:{port}"))
    taken = report.the("gateway.listen", "GATEWAY_LISTEN_POC")
    assert taken["result"] == "ok"
    (taken,) = (f for f in report.of("gateway.listen") if f["subject"] == "GATEWAY_LISTEN")
    assert taken["result"] == "fail" and "pytest" in taken["found"] or "python" in taken["found"]
    assert report.status == 1


def test_platform(lab):
    """A published port that listens for strangers, one that does not, and no secret of theirs."""
    server = lab.flag_server()
    port = ApiNode(lab, host="0.0.0.0").port  # noqa: S104
    env = settings(lab, server, MLNODE_INFERENCE=f"127.0.0.1:{port}", CLIENT_ID="6656",
                   CONTAINER_API_KEY="platform-secret", RUNPOD_TCP_PORT_22="40022",
                   VAST_TCP_PORT_5001="40001", **{f"VAST_TCP_PORT_{port}": "40002"})  # fmt: skip
    report = check(env)
    assert report.result("ports.published", str(port)) == "fail"
    assert report.result("ports.published", "5001") == "warn"
    assert len(report.of("ports.published")) == 2
    listening = report.the("ports.listening")
    assert listening["result"] == "warn" and str(port) in listening["found"]
    chain = report.the("ports.client_id")
    assert chain["result"] == "warn" and "26656" in chain["found"]
    assert "platform-secret" not in report.done.stdout and "40002" not in report.done.stdout


def test_what_the_container_lacks(lab):
    server = lab.flag_server()
    file = lab.path("file")
    file.write_text("")
    real = {"UBUNTU_TEST": None, "FRP_CONFIG_DIR": f"{file}/below", "SANDBOX": "off"}
    report = check(settings(lab, server, HF_HOME=str(file), **real),
                   prefix=["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh"])  # fmt: skip
    assert report.result("disk.hf_home") == "fail"
    assert report.result("disk.frp_config_dir") in ("warn", "fail")
    assert report.result("open_files") == "warn"
    assert report.result("sandbox") == "warn" and "SANDBOX=off" in report.the("sandbox")["found"]
    if not Path("/dev/nvidia0").exists():
        assert report.result("gpu") == "fail" and "--gpus all" in report.the("gpu")["remedy"]


def test_model_without_room(lab):
    """A name that says how much it needs; the file system of /dev/shm is never that large."""
    env = settings(lab, lab.flag_server(), UBUNTU_TEST=None, HF_HOME="/dev/shm/mlgate-hf",
                   MODEL_NAME="org/huge-99999B")  # fmt: skip
    report = check(env)
    room = report.the("disk.hf_home")
    assert room["result"] == "fail" and "org/huge-99999B" in room["found"]
    assert "HF_HOME" in room["remedy"]
    assert not Path("/dev/shm/mlgate-hf").exists()


def test_not_registered(lab):
    """The one thing that a check which claims no port sees only from the instance: the ports belong
    to somebody else."""
    server = lab.flag_server()
    holder = Container(lab, server).start("run").wait_ready()
    c = Container(lab, server, CLIENT_ID=holder.client_id, FRP_CONFIG_DIR=str(lab.path("second")))
    c.start("run")
    c.process.wait_line("the server refused remote port", within(15))
    report = check(c.environment)
    instance = report.the("instance")
    assert instance["result"] == "fail" and "already exists" in instance["found"]
    assert "CLIENT_ID" in instance["remedy"]
    assert report.result("login") == "ok"
    assert report.status == 1
    assert holder.health()[0] == 0


# ---- where it runs -------------------------------------------------------------------------------


def test_as_nobody(lab, tmp_path_factory):
    """Sees less and says so; nothing of it is an error of the program."""
    server = lab.flag_server()
    env = settings(lab, server, FRP_CONFIG_DIR="/etc/frp-of-nobody", LOG_DIR="/logs-of-nobody")
    probe = subprocess.run([MLGATE, "version"], user=NOBODY, group=NOBODY, capture_output=True)
    if probe.returncode != 0:
        pytest.skip("skipped (nobody may not run the binary here)")
    report = check(env, user=NOBODY, group=NOBODY, extra_groups=[])
    assert report.status in (0, 1)
    assert report.result("login") == "ok"
    assert report.result("disk.frp_config_dir") == "warn"
    with socket.create_server(("127.0.0.1", lab.ports.take())) as other:
        env["GATEWAY_LISTEN"] = f"127.0.0.1:{other.getsockname()[1]}"
        report = check(env, user=NOBODY, group=NOBODY, extra_groups=[])
    (taken,) = (f for f in report.of("gateway.listen") if f["subject"] == "GATEWAY_LISTEN")
    assert taken["result"] == "skip" and "root" in taken["found"]


def test_borrows_what_it_lacks(lab):
    """In a session beside PID 1, which has the variables and has overwritten the token."""
    server = lab.flag_server()
    c = Container(lab, server, "pid1", API_NODE=f"127.0.0.1:{ApiNode(lab).port}")
    c.start("run").wait_ready()
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    words = [MLGATE, "check", "--json"]
    argv = ["env", f"FRP_CONFIG_DIR={c.directory}", *map(str, words)]
    done = c.join(argv, env=env, stdout=subprocess.PIPE, text=True)
    said = json.loads(done.communicate(timeout=60)[0])
    results = {f["id"]: f for f in said["findings"]}
    assert results["config"]["result"] == "ok", results["config"]
    assert "/proc/1/environ" in results["config"]["found"]
    assert "frpc.ini" in results["config"]["found"]
    assert results["login"]["result"] == "ok"
    assert results["instance"]["result"] == "ok"
    assert done.returncode == 0
    assert TOKEN not in json.dumps(said)


# ---- time ----------------------------------------------------------------------------------------


@pytest.mark.slow_once
def test_black_holes(lab):
    """Servers, API node and MLNode that accept nothing, or everything and never answer."""
    full = lab.ports.take()
    with full_queue(full), socket.create_server(("127.0.0.1", lab.ports.take())) as mute:
        hole, dumb = f"127.0.0.1:{full}", f"127.0.0.1:{mute.getsockname()[1]}"
        report = check(settings(lab, FRP_SERVER=f"{hole},{dumb}", API_NODE=hole,
                                MLNODE_MANAGEMENT=dumb, MLNODE_INFERENCE=hole))  # fmt: skip
    assert report.seconds < LIMIT
    assert report.status == 1
    assert report.result("tcp", hole) == "fail" and "firewall" in report.the("tcp", hole)["remedy"]
    assert report.result("tcp", dumb) == "ok" and report.result("tls", dumb) == "fail"
    assert report.result("api.tcp") == "fail"
    assert report.result("mlnode.management") == "fail"


def silent_names(lab):
    """A resolver that never answers, for several servers and the API node."""
    resolver = lab.path("resolv.conf")
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n", encoding="ascii")
    subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)
    silent = [f"silent-{number}.test" for number in range(6)]
    NameServer({"frp.test": "127.0.0.1", "gone.test": None}, silent=set(silent))
    server = lab.flag_server()
    names = [f"{name}:7000" for name in silent[:5]] + [f"frp.test:{server.port}", "gone.test:7000"]
    report = check(settings(lab, FRP_SERVER=",".join(names), API_NODE=f"{silent[5]}:9000"))
    assert report.seconds < LIMIT, report.seconds
    for name in silent[:5]:
        dns = report.the("dns", name)
        assert dns["result"] == "fail" and "no answer" in dns["found"]
        assert report.result("login", name) == "skip"
    assert report.result("dns", "gone.test") == "fail"
    assert report.the("dns", "frp.test")["found"] == "127.0.0.1"
    assert report.result("login", "frp.test") == "ok"
    assert report.result("api.tcp") == "fail"
    assert report.status == 1


@pytest.mark.slow_once
def test_names_that_hang(tmp_path):
    in_namespaces(__file__, "silent_names", tmp_path)


def dropped_packets(lab):
    """A firewall that drops: nftables in a namespace of its own."""
    server = lab.flag_server()
    chain = "add table inet cut; add chain inet cut in { type filter hook input priority 0 ; }"
    rule = f"add rule inet cut in tcp dport {server.port} drop"
    subprocess.run(["nft", f"{chain}; {rule}"], check=True)
    report = check(settings(lab, server))
    assert report.seconds < LIMIT
    assert report.result("tcp") == "fail" and "firewall" in report.the("tcp")["remedy"]


@pytest.mark.slow_once
def test_dropped_packets(tmp_path):
    if subprocess.run(["which", "nft"], capture_output=True).returncode != 0:
        pytest.skip("skipped (no nft)")
    in_namespaces(__file__, "dropped_packets", tmp_path)


# ---- how it looks --------------------------------------------------------------------------------


def test_schema(lab):
    report = check(settings(lab, lab.flag_server()))
    helped = run(["--help"], {}).stdout.split("The ids of the findings:")[1]
    ids = set(re.findall(r"^  (\S+)", helped, re.M))
    assert set(report.all) == {"version", "side", "result", "counts", "findings"}
    assert report.all["side"] == "container"
    assert report.all["result"] in WORDS - {"skip"}
    assert set(report.all["counts"]) == WORDS
    for word in WORDS:
        assert report.all["counts"][word] == sum(f["result"] == word for f in report.findings)
    for f in report.findings:
        assert set(f) == {"id", "subject", "result", "found", "remedy"}
        assert f["id"] in ids and f["result"] in WORDS and f["found"]
        assert f["subject"] is None or isinstance(f["subject"], str)
        assert bool(f["remedy"]) == (f["result"] in ("warn", "fail")), f


def test_plain_text(lab):
    """One line a finding and one a remedy, without a terminal's signs."""
    done = run([], settings(lab))
    assert done.returncode == 1
    assert done.stdout.isascii() and "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    summary = re.fullmatch(r"(\d+) ok, (\d+) warn, (\d+) FAIL, (\d+) skip", lines[-1])
    for word, count in zip(("ok", "warn", "FAIL", "skip"), summary.groups(), strict=True):
        assert sum(line.startswith(f"{word:<4} ") for line in lines) == int(count)
    assert lines[lines.index("") - 1] != ""
    (at,) = (n for n, line in enumerate(lines) if line.startswith("FAIL tcp "))
    assert lines[at + 1].startswith("     nothing listens there")


def on_terminal(env, **more):
    """All that it writes to a terminal, and its status."""
    control, terminal = pty.openpty()
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment.update(TERM="xterm", LC_ALL="C", **env, **more)
    process = subprocess.Popen([MLGATE, "check"], env=environment, stdout=terminal)
    os.close(terminal)
    said = b""
    while True:
        try:
            data = os.read(control, 1 << 16)
        except OSError:
            break
        if not data:
            break
        said += data
    os.close(control)
    return said.decode(), process.wait(60)


@pytest.mark.slow_once
def test_terminal(lab):
    """Ticks and colours, and a line while answers are waited for, which is gone at the end."""
    mute = socket.create_server(("127.0.0.1", lab.ports.take()))
    lab.closers.append(mute.close)
    env = settings(lab, FRP_SERVER=f"127.0.0.1:{mute.getsockname()[1]}")
    said, status = on_terminal(env)
    assert status == 1
    assert "\x1b[32m\N{CHECK MARK}" in said and "\x1b[31m\N{BALLOT X}" in said
    assert re.search(r"\r\x1b\[K\d of \d answers, \d s", said)
    assert said.rindex("answers, ") < said.rindex("\r\x1b[K") < said.index("config")
    plain, _ = on_terminal(settings(lab), NO_COLOR="1")
    assert "\x1b" not in plain and "FAIL tcp " in plain


@pytest.mark.parametrize("words", [["--nope"], ["word"], ["--api", "x"], ["--server", "--nope"],
                                   ["--server", "--api", "a b"], ["--server", "--public-address"],
                                   ["--server", "--public-address", "host"]])  # fmt: skip
def test_usage(words):
    done = run(words, {"SECRET_FRP_TOKEN": TOKEN})
    assert done.returncode == 2 and done.stdout == "" and "mlgate check" in done.stderr


def test_a_client_with_a_file_is_not_checked():
    done = run(["-c", "/etc/frp/frpc.ini"], {"SECRET_FRP_TOKEN": TOKEN})
    assert done.returncode == 2 and "`mlgate status -c FILE` says how it is" in done.stderr


def test_help():
    done = run(["--help"], {})
    assert done.returncode == 0 and "--server" in done.stdout and done.stderr == ""


# ---- the network node ----------------------------------------------------------------------------


def node(lab, *flags, **env):
    """A check of the network node with safe flags; "--bind" may be among `flags`."""
    words = ["--server", *flags]
    if "--bind" not in flags and "-c" not in flags:
        words += ["--bind", f"127.0.0.1:{lab.ports.take()}"]
    return check({"SECRET_FRP_TOKEN": "3f9c1d2e8b7a60543f9c1d2e8b7a6054", **env}, *words)


def test_node_is_well(lab):
    state = lab.path("state")
    token = lab.path("token")
    token.write_text("3f9c1d2e8b7a60543f9c1d2e8b7a6054\n")
    token.chmod(0o600)
    report = node(lab, "--state-dir", state, "--token-file", token, SECRET_FRP_TOKEN="")
    # What other tests open on every address meanwhile is theirs.
    assert report.failed() <= {"exposed"}, report.done.stdout
    assert report.status == len(report.failed())
    assert report.all["side"] == "network-node"
    for name in ("config", "server.proxy_bind", "server.ports", "server.tls",
                 "server.state_dir", "token.file", "token.strength"):  # fmt: skip
        # one with a port as subject is of a known port that another test has just taken
        mine = [f["result"] for f in report.of(name) if not (f["subject"] or "").isdigit()]
        assert mine == ["ok"], report.of(name)
    bind = report.the("server.bind")
    assert bind["result"] == "warn" and "mlgate server" in bind["remedy"]
    assert not state.exists()  # looked at, not made


def test_node_beside_its_server(lab, server_kind):
    """It knows who has the port, and disturbs him not: not even a connection comes."""
    server = lab.server(server_kind, tls_only=True)
    mark = server.process.mark()
    file = server.argv[-1]
    report = node(lab, "-c", file)
    bind = report.the("server.bind")
    assert bind["result"] == "ok" and str(server.process.pid) in bind["found"]
    assert server.process.count(r"127.0.0.1:\d+|login|connection", after=mark) == 0
    report = node(lab, "-c", file, "--bind", f"127.0.0.1:{lab.ports.take()}")
    assert report.the("server.bind")["found"].startswith("is free")


def test_node_port_is_taken(lab):
    with socket.create_server(("127.0.0.1", lab.ports.take())) as other:
        report = node(lab, "--bind", f"127.0.0.1:{other.getsockname()[1]}")
    bind = report.the("server.bind")
    assert bind["result"] == "fail" and str(os.getpid()) in bind["found"]
    assert "--bind" in bind["remedy"] and report.status == 1


def test_node_proxy_ports_for_strangers(lab):
    report = node(lab, "--proxy-bind", "0.0.0.0", "--public-address", "127.0.0.1")  # noqa: S104
    bind = report.the("server.proxy_bind")
    assert bind["result"] == "fail" and "127.0.0.1" in bind["found"] and report.status == 1
    nowhere = node(lab, "--proxy-bind", "198.51.100.0/24")
    assert nowhere.result("server.proxy_bind") == "fail"


def test_node_secrets(lab, certificates):
    token = lab.path("token")
    token.write_text("short-secret\n")
    token.chmod(0o644)
    pair = ["--tls-cert", certificates.server.cert, "--tls-key", certificates.server.key]
    report = node(lab, "--token-file", token, *pair, SECRET_FRP_TOKEN="")
    assert report.result("token.file") == "fail"
    assert f"chmod 600 {token}" in report.the("token.file")["remedy"]
    assert report.result("token.strength") == "warn"
    assert report.result("server.tls") == "warn"  # 7 days
    assert report.result("server.state_dir") == "ok"
    assert "short-secret" not in report.done.stdout
    mixed = ["--tls-cert", certificates.server.cert, "--tls-key", certificates.client.key]
    report = node(lab, *mixed)
    assert report.result("server.tls") == "fail"
    assert report.result("token.file") == "skip"


def test_node_state_dir(lab):
    """The certificate of a server that ran is found, with its pin; a directory that cannot be one
    fails."""
    state = lab.path("state")
    server = lab.flag_server("--state-dir", str(state))
    report = node(lab, "--state-dir", state)
    assert pin_of(server) in report.the("server.tls")["found"]
    file = lab.path("file")
    file.write_text("")
    report = node(lab, "--state-dir", file)
    assert report.result("server.state_dir") == "fail" and report.status == 1


def test_node_api(lab):
    """9100 and 9200 of an API node that stands on an address of its own, and is open there."""
    name = "127.9.1.7"
    with socket.create_server((name, 9100)), socket.create_server((name, 9200)):
        report = node(lab, "--api", name, "--public-address", name)
    assert report.result("api.callback") == "ok" and report.result("api.admin") == "ok"
    for port in ("9100", "9200"):
        exposed = report.the("exposed", port)
        assert exposed["result"] == "fail" and name in exposed["found"]
        assert "firewall" in exposed["found"]
    assert report.result("exposed", "26657") == "ok"
    away = node(lab, "--api", "127.9.1.8")
    assert away.result("api.callback") == "warn" and "--api" in away.the("api.callback")["remedy"]


def test_node_says_each_looseness_once(lab):
    """A file of frps that leaves all open: one finding each, with what to write."""
    file = lab.path("frps.ini")
    file.write_text("[common]\ntoken = 3f9c1d2e8b7a60543f9c1d2e8b7a6054\n")
    report = check({}, "--server", "-c", file, "--bind", f"127.0.0.1:{lab.ports.take()}")
    loose = [f for f in report.of("config") if f["result"] != "ok"]
    assert ["tls_only" in f["found"] for f in loose] == [True], loose
    assert "write tls_only = true" in loose[0]["remedy"]
    assert "allow_ports" in report.the("server.ports")["remedy"]
    assert "follows bind_addr (--bind)" in report.the("server.proxy_bind")["found"]


def test_node_token_of_root(lab):
    """Asked by somebody else: the file cannot be read, which is all that is wrong with the token."""
    token = lab.path("token")
    token.write_text("3f9c1d2e8b7a60543f9c1d2e8b7a6054\n")
    token.chmod(0o600)
    report = check({}, "--server", "--token-file", token, user=NOBODY, group=NOBODY,
                   extra_groups=[])  # fmt: skip
    (only,) = report.of("config")
    assert only["subject"] == "--token-file" and "ermission denied" in only["found"]


def test_node_configuration(lab):
    file = lab.path("frps.ini")
    file.write_text("[common]\nbind_port = 99999\ntcp_mux = false\ntoken = file-secret\n")
    report = check({}, "--server", "-c", file)
    assert report.status == 2
    assert len([f for f in report.of("config") if f["result"] == "fail"]) == 2
    assert report.result("server.bind") == "skip"
    assert report.of("clock.ntp") and report.of("exposed")
    assert "file-secret" not in report.done.stdout


if __name__ == "__main__":
    play_scene({"silent_names": silent_names, "dropped_packets": dropped_packets})
