"""`mlgate client` without -c: the environment contract, its files, its log lines, its secret, and the
way of a request through tunnel and gateway to MLNode's two ports."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess

import pytest
from harness import eventually
from lab import FRPC, MLGATE, TOKEN, RemotePorts, holds_less_than, within
from services import User
from test_traffic import KIB, MIB
from webservice import MODELS, fetch

SECRET = "s3cret-Zq9-unlikely-anywhere-else"


class Node(RemotePorts):
    """A rented container: its environment, its two MLNode ports, and the client in it."""

    def __init__(self, lab, server, token=TOKEN, **changes):
        self.lab = lab
        self.client_id = lab.ports.take_client_id()
        self.management, self.inference = map(lab.web_service, ("management", "inference"))
        self.gateway_ports = (lab.ports.take(), lab.ports.take())
        self.directory = lab.directory / "etc-frp"
        self.environment = {
            "API_NODE": "203.0.113.7:8000",
            "FRP_SERVER": f"127.0.0.1:{server.port}",
            "SECRET_FRP_TOKEN": token,
            "CLIENT_ID": self.client_id,
            "FRP_CONFIG_DIR": str(self.directory),
            "MLNODE_MANAGEMENT": f"127.0.0.1:{self.management.port}",
            "MLNODE_INFERENCE": f"127.0.0.1:{self.inference.port}",
            "GATEWAY_LISTEN": f"127.0.0.1:{self.gateway_ports[0]}",
            "GATEWAY_LISTEN_POC": f"127.0.0.1:{self.gateway_ports[1]}",
            "ENGINE_DIRECT": "off",
            "LOG_LEVEL": "debug",
            **changes,
        }
        self.process = None

    def start(self, wrap=()):
        argv = [*wrap, MLGATE, "client"]
        self.process = self.lab.spawn("client (environment)", argv, self.environment)
        return self

    def wait_ready(self, seconds=10):
        for port in (self.port_1, self.port_2):
            self.process.wait_line(rf"start proxy success: :{port} ", seconds)
        return self

    def works(self):
        """1{CLIENT_ID} leads to management and 2{CLIENT_ID} to inference, where the path says
        nothing else."""
        return (fetch(self.port_1, "/who"), fetch(self.port_2, "/who")) == (
            b"management /who",
            b"inference /who",
        )


@pytest.fixture
def server(lab):
    return lab.flag_server(token=SECRET)


def messages(process):
    """The log without times and tags."""
    return [re.sub(r"^\S+ \S+ \[.\] \[[\w-]+\] ", "", line) for line in process.out]


def test_documented_lines(lab, server):
    """The two lines of the original's log, verbatim, in this order, before anything is dialled."""
    node = Node(lab, server, SECRET).start().wait_ready()
    said = messages(node.process)
    file = node.directory / "frpc.ini"
    writing = said.index(f"Writing {file} for server 127.0.0.1:{server.port}...")
    assert said.index(f"Starting frpc with config {file}...") == writing + 1
    assert not any("login" in line for line in said[:writing])
    assert node.works()


def test_every_line_can_be_found(lab, server):
    """docker logs | grep frpc shows all of the tunnel, and grep gateway all of the requests; stderr
    stays empty."""
    node = Node(lab, server, SECRET).start().wait_ready()
    assert node.works()
    node.process.signal(signal.SIGTERM)
    assert node.process.wait_end(within(3)) == 0
    gateway = [line for line in node.process.out if "[gateway]" in line]
    tunnel = [line for line in node.process.out if line not in gateway]
    assert all("frpc" in line for line in tunnel), tunnel
    assert sum("GET /who 200" in line for line in gateway) == 2
    assert not any("login" in line or "proxy" in line for line in gateway)
    assert node.process.err == []


# ---- what the ports lead to ----------------------------------------------------------------------


def test_paths_come_before_ports(lab, server):
    """The API node's calls find their service on both ports: it registers them the other way round
    than the image's documentation."""
    node = Node(lab, server, SECRET).start().wait_ready()
    for port in (node.port_1, node.port_2):
        for path in (MODELS, "/v3.0.8/tokenize"):
            before = len(node.inference.requests)
            assert fetch(port, path)
            assert len(node.inference.requests) == before + 1
        assert fetch(port, "/api/v1/versions") == b"management /api/v1/versions"


def test_the_address_of_the_user_arrives(lab, server):
    """As the service's headers and in the access log, through the tunnel; what a user claims to be
    stands before it."""
    node = Node(lab, server, SECRET).start().wait_ready()
    for number, source in enumerate(("127.0.0.9", "127.0.0.77")):
        assert fetch(node.port_2, f"/from/{number}", source)
        fields = node.inference.request(f"/from/{number}").fields
        assert fields.get_all("X-Forwarded-For") == [source]
        assert fields.get_all("X-Real-IP") == [source]
        assert fields["Host"] == f"127.0.0.1:{node.port_2}"
        node.process.wait_line(rf"GET /from/{number} 200, .*client {source}:\d+, ")


def test_another_nodes_gateway_is_no_engine(lab, server):
    """Two nodes on one machine: the listeners of one lie among the engines' ports of the other, and
    answer all that engines are asked. Its users would be served by the wrong node."""
    first = lab.ports.take_row(3)
    engine = lab.web_service("engine", first + 1)
    engine.unknown.add("/api/v1/state")
    other = Node(
        lab,
        server,
        SECRET,
        GATEWAY_LISTEN=f"127.0.0.1:{first}",
        GATEWAY_LISTEN_POC=f"127.0.0.1:{first + 2}",
        FRP_CONFIG_DIR=str(lab.directory / "other"),
    )
    other.start().wait_ready()
    row = f"{first}-{first + 2}"
    node = Node(lab, server, SECRET, ENGINE_DIRECT="auto", ENGINE_PORTS=row)
    node.start().wait_ready()
    eventually(
        lambda: fetch(node.port_1, "/tokenize") == b"engine /tokenize",
        within(20),
        "an answer of the engine",
    )
    engine.wait_requests("/health", 4, within(20))  # and so rounds of questions to all of them
    status = json.loads(fetch(node.port_2, "/mlgate/status"))
    assert [known["port"] for known in status["mlnode"]["engines"]] == [engine.port]


def test_the_gateway_is_no_engine(lab, server):
    """Its own listeners may lie among the engines' ports and answer as engines do; a request that
    went there would come round again."""
    first = lab.ports.take_row(3)
    among, last = first + 1, first + 2
    engine = lab.web_service("engine", among)
    engine.unknown.add("/api/v1/state")
    node = Node(
        lab,
        server,
        SECRET,
        GATEWAY_LISTEN=f"127.0.0.1:{first}",
        GATEWAY_LISTEN_POC=f"127.0.0.1:{last}",
        ENGINE_DIRECT="auto",
        ENGINE_PORTS=f"{first}-{last}",
    )
    node.start().wait_ready()
    engine.wait_requests("/health", 2, within(20))  # so the first round of questions is over
    # whoever answers in that round is asked more before requests go to it
    eventually(
        lambda: fetch(node.port_1, "/tokenize") == b"engine /tokenize",
        within(10),
        "an answer of the engine",
    )
    status = json.loads(fetch(node.port_2, "/mlgate/status"))
    assert [known["port"] for known in status["mlnode"]["engines"]] == [engine.port]


def test_listeners_that_are_taken(lab, server):
    """Two lines, and the tunnel serves as before."""
    node = Node(lab, server, SECRET)
    takers = [socket.create_server(("127.0.0.1", port)) for port in node.gateway_ports]
    node.start().wait_ready()
    for name, port in zip(("GATEWAY_LISTEN", "GATEWAY_LISTEN_POC"), node.gateway_ports):
        line = rf"\[E\] \[gateway\] cannot listen on 127.0.0.1:{port}: .*with {name}$"
        node.process.wait_line(line)
    assert node.works()
    for taker in takers:
        taker.close()


def test_memory_limit_of_the_node(lab, server):
    """Users who have stopped reading are reset, the largest first, when the budget is spent. Those
    with little under way get their bytes, also when they read late."""
    node = Node(lab, server, SECRET, MEMORY_LIMIT="16M").start().wait_ready()
    late = [User(node.port_2) for _ in range(5)]
    large = [User(node.port_2, small_buffer=True) for _ in range(60)]
    try:
        for users, length in ((late, 64 * KIB), (large, 64 * MIB)):
            for user in users:
                user.send(f"GET /bytes/{length} HTTP/1.1\r\nHost: gw\r\n\r\n".encode())
        node.process.wait_line(rf"GET /bytes/{64 * MIB} 200, .*, memory$", within(20))
        for _ in range(20):
            assert len(fetch(node.port_2, f"/bytes/{64 * KIB}", timeout=within(10))) == 64 * KIB
        assert all(len(user.read(64 * KIB)) == 64 * KIB for user in late)
        assert holds_less_than(node.process, 100)
        assert node.works()
        assert not node.process.find(rf"GET /bytes/{64 * KIB} 200, .*, memory$")
    finally:
        for user in (*late, *large):
            user.sock.close()


def visible_places(process):
    with open(f"/proc/{process.pid}/cmdline", "rb") as file:
        yield "the command line", file.read().decode()
    yield "the log", process.text()


def test_secret_is_not_shown(lab, server):
    """Neither in the log at its most talkative, nor in the arguments of either end."""
    node = Node(lab, server, SECRET, LOG_LEVEL="trace").start().wait_ready()
    assert node.works()
    wrong = Node(lab, server, SECRET + "-wrong", LOG_LEVEL="trace")
    wrong.directory = lab.directory / "other"
    wrong.environment["FRP_CONFIG_DIR"] = str(wrong.directory)
    wrong.start().process.wait_line("token.*next try")
    for process in (node.process, wrong.process, server.process):
        for place, text in visible_places(process):
            assert SECRET not in text, f"{process.name} shows it in {place}"


def test_files(lab, server):
    """The directory 0700, all in it 0600, and nothing left there that is not documented."""
    node = Node(lab, server, SECRET).start().wait_ready()
    assert stat.S_IMODE(node.directory.stat().st_mode) == 0o700
    assert sorted(os.listdir(node.directory)) == ["frpc.ini", "run_id", "status.sock"]
    for file in node.directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    run_id = (node.directory / "run_id").read_text().strip()
    assert re.fullmatch(r"[0-9a-f]{32}", run_id)
    assert node.client_id not in run_id and SECRET not in run_id
    assert run_id not in node.process.text() + server.process.text()


def test_an_old_file_is_replaced(lab, server):
    """Whatever stands there, also with open permissions or as a link to another file."""
    node = Node(lab, server, SECRET)
    node.directory.mkdir(mode=0o755)
    victim = lab.directory / "victim"
    victim.write_text("untouched")
    (node.directory / "frpc.ini").symlink_to(victim)
    node.start().wait_ready()
    assert victim.read_text() == "untouched"
    file = node.directory / "frpc.ini"
    assert not file.is_symlink() and stat.S_IMODE(file.stat().st_mode) == 0o600


TOKENS = [SECRET, "with blanks inside", 'quo"te', "semi;colon # hash", "ünïcødé", "=equals=", "%d%s"]


@pytest.mark.every_version
@pytest.mark.parametrize("token", TOKENS)
def test_real_frpc_runs_with_the_file(lab, client_kind, token):
    """An operator may start the original against frpc.ini: the same ports, the same token, and the
    gateway's listeners as its local services."""
    server = lab.flag_server(token=token)
    node = Node(lab, server, token).start().wait_ready()
    assert node.works()
    assert node.process.stop(within(3)) == 0
    lab.mlgate("gateway", env=node.environment, name="gateway")
    program = [MLGATE, "client"] if client_kind == "mlgate" else [FRPC[client_kind]]
    argv = [*program, "-c", node.directory / "frpc.ini"]
    lab.spawn(f"client ({client_kind})", argv)
    eventually(node.works, within(5), "both ports through the file")


def test_restart_takes_the_ports_back(lab, server):
    """Killed, and started again with the disk kept; and a fresh one beside a live one is told."""
    node = Node(lab, server, SECRET).start().wait_ready()
    node.process.kill()
    node.start()
    eventually(node.works, within(1), "both ports")
    second = Node(lab, server, SECRET)
    second.client_id = node.client_id
    second.environment.update(CLIENT_ID=node.client_id, FRP_CONFIG_DIR=str(lab.directory / "two"))
    second.start()
    second.process.wait_line(r"refused remote port .*is online", within(5))
    assert node.works()


def test_second_process_with_the_same_directory(lab, server):
    """Two at once must not share a run_id: the second uses a fresh one and says so."""
    node = Node(lab, server, SECRET).start().wait_ready()
    other = Node(lab, server, SECRET, FRP_CONFIG_DIR=str(node.directory)).start()
    other.process.wait_line("another process uses it.*fresh run_id", within(3))
    other.wait_ready()
    assert node.works() and other.works()


# ---- fate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", ["port_1", "port_2"])
def test_both_ports_or_none(lab, server, blocked):
    """Half a tunnel makes the API node reload a good model: one port refused closes the other."""
    node = Node(lab, server, SECRET)
    other = node.port_2 if blocked == "port_1" else node.port_1
    with socket.create_server(("127.0.0.1", getattr(node, blocked))):
        node.start()
        node.process.wait_line("the server refused remote port", within(3))
        eventually(lambda: lab.ports.is_free(other), within(3), "the other port's end")
        assert node.process.running()
    eventually(node.works, within(10), "both ports")


def test_server_away_never_ends_the_process(lab):
    """Whatever is wrong with the server, the environment form goes on trying."""
    class Away:
        port = lab.ports.take()

    node = Node(lab, Away).start()
    node.process.wait_line("next try in", within(3))
    server = lab.flag_server("--bind", f"127.0.0.1:{Away.port}", token="another")
    node.process.wait_line("token.*next try in", within(5))
    server.process.stop()
    assert node.process.running()


def test_several_servers(lab, server):
    """Each server of a list gets its file, and two lines that say so."""
    servers = f"127.0.0.1:{server.port},frp.example.org:7000,[::1]:7001"
    node = Node(lab, server, SECRET, FRP_SERVER=servers).start().wait_ready()
    said = messages(node.process)
    for name, address in (("frpc.ini", f"127.0.0.1:{server.port}"),
                          ("frpc-2.ini", "frp.example.org:7000"),
                          ("frpc-3.ini", "[::1]:7001")):  # fmt: skip
        file = node.directory / name
        assert f"Writing {file} for server {address}..." in said
        assert f"Starting frpc with config {file}..." in said
    assert node.works()


# ---- directories that cannot be written ----------------------------------------------------------


def full_filesystem(directory):
    """A command prefix that runs in a mount namespace with a full file system there, or None."""
    script = (
        'mount -t tmpfs -o size=4k,mode=0700 none "$0" && { cat /dev/zero >"$0/fill" 2>/dev/null; '
        'exec "$@"; }'
    )
    for unshare in (["unshare", "-m"], ["unshare", "-rm"]):
        if shutil.which("unshare") is None:
            return None
        wrap = [*unshare, "sh", "-c", script, str(directory)]
        done = subprocess.run([*wrap, "true"], capture_output=True, timeout=10)
        if done.returncode == 0:
            return wrap
    return None


@pytest.mark.parametrize("trouble", ["below-a-file", "a-file", "full", "read-only"])
def test_config_dir_cannot_be_written(lab, server, trouble):
    """A warning, and on from memory."""
    node = Node(lab, server, SECRET)
    wrap = ()
    if trouble == "below-a-file":
        node.directory.write_text("")
        node.environment["FRP_CONFIG_DIR"] = f"{node.directory}/below"
    elif trouble == "a-file":
        node.directory.write_text("")
    elif trouble == "read-only":
        node.environment["FRP_CONFIG_DIR"] = "/proc/self/fd"
    else:
        node.directory.mkdir()
        wrap = full_filesystem(node.directory)
        if wrap is None:
            pytest.skip("skipped (no mount namespace here)")
    node.start(wrap).wait_ready()
    assert node.process.find(r"\[W\].*frpc\.ini could not be written")
    assert node.process.find(r"\[W\].*run_id.*fresh run_id")
    assert node.works()


# ---- problems ------------------------------------------------------------------------------------


def problems_of(lab, environment):
    process = lab.spawn("client", [MLGATE, "client"], environment)
    status = process.wait_end(5)
    return status, process.err, process.out


def test_all_problems_at_once(lab):
    environment = {
        "API_NODE": "no-port",
        "FRP_SERVER": "host:65536",
        "CLIENT_ID": "7",
        "SECRET_FRP_TOKEN": SECRET + "{{x",
        "TENSOR_PARALLEL_SIZE": "5",
        "UBUNTU_TEST": "perhaps",
        "HOST_UID": "-1",
        "FRP_CONFIG_DIR": "not/absolute",
        "HF_HOME": "/with/a\ttab",
        "LOG_LEVEL": "loud",
    }
    status, err, out = problems_of(lab, environment)
    assert status == 2 and out == []
    assert len(err) == len(environment)
    for name, value in environment.items():
        (line,) = [line for line in err if line.startswith(f"{name}: ")]
        assert name == "SECRET_FRP_TOKEN" or value.split("\t")[0] in line
    assert SECRET not in "\n".join(err)
    assert not any(lab.directory.iterdir()), "nothing is written"


def test_nothing_is_set(lab):
    status, err, _ = problems_of(lab, {"API_NODE": "", "CLIENT_ID": ""})
    assert status == 2
    names = [line.split(":")[0] for line in err]
    assert names == ["API_NODE", "FRP_SERVER", "SECRET_FRP_TOKEN", "CLIENT_ID"]
    assert all("required" in line for line in err)


BAD_FILES = {
    "missing": (None, "No such file"),
    "not-ini": ("serverAddr: toml?\n", "frpc.ini"),
    "toml": ('serverAddr = "x"\nserverPort = 7000\n', r"\[common\]"),
    "bad-port": ("[common]\nserver_port = 70000\n", "server_port"),
    "bad-proxy": ("[common]\n[a]\nlocal_port = x\nremote_port = 1\n", "local_port"),
    "udp": ("[common]\n[a]\ntype = udp\nlocal_port = 1\nremote_port = 1\n", "type"),
    "compression": ("[common]\n[a]\nlocal_port=1\nuse_compression = true\n", "use_compression"),
    "no-mux": ("[common]\ntcp_mux = false\n", "tcp_mux"),
    "ca-missing": ("[common]\ntls_trusted_ca_file = /nowhere/ca.pem\n", "/nowhere/ca.pem"),
    "cert-without-key": ("[common]\ntls_cert_file = /nowhere/c.pem\n", "tls_key_file"),
}


@pytest.mark.parametrize("text, expected", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_file(lab, text, expected):
    """-c FILE: what is wrong, where, exit 2, and nothing is started."""
    file = lab.path("frpc.ini")
    if text is not None:
        file.write_text(text)
    process = lab.mlgate("client", "-c", file)
    assert process.wait_end(5) == 2
    assert re.search(expected, process.text()), process.text()


def test_server_problems(lab):
    """The same for the server's flags, its environment, and a port that is taken."""
    process = lab.mlgate("server", "--bind", "nonsense", "--allow-ports", "9-1", "--token-file",
                         "/nowhere", "--max-pool-count", "-1")  # fmt: skip
    assert process.wait_end(5) == 2
    for word in ("bind", "allow-ports", "token-file", "max-pool-count"):
        assert any(word in line for line in process.err), process.err
    server = lab.flag_server()
    second = lab.mlgate("server", "--bind", f"127.0.0.1:{server.port}",
                        env={"SECRET_FRP_TOKEN": TOKEN})  # fmt: skip
    assert second.wait_end(5) == 1
    assert second.find(rf"cannot listen on 127\.0\.0\.1 port {server.port}.*in use")


def test_standard_descriptors_that_are_closed(lab):
    """No socket gets their numbers, and with them what is written there."""
    port = lab.ports.take()
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    argv = [*closed, MLGATE, "server", "--bind", f"127.0.0.1:{port}"]
    server = lab.spawn("server", argv, {"SECRET_FRP_TOKEN": TOKEN})

    def connected():
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1)
        except ConnectionRefusedError:
            return None

    eventually(connected, within(10), "the server listens").close()
    for fd in range(3):
        assert os.readlink(f"/proc/{server.pid}/fd/{fd}") == "/dev/null"


def test_help_and_version(lab):
    for words, expected in ((["version"], r"^mlgate \d"), (["help", "env"], "SECRET_FRP_TOKEN"),
                            (["help", "server"], "--proxy-bind"), (["client", "--help"], "-c"),
                            (["server", "--help"], "--bind"), (["help"], "client")):  # fmt: skip
        process = lab.mlgate(*words)
        assert process.wait_end(5) == 0
        assert re.search(expected, process.text(), re.M) and process.err == []
    for words in ([], ["nonsense"], ["client", "extra"], ["server", "--nonsense"]):
        process = lab.mlgate(*words)
        assert process.wait_end(5) == 2
        assert process.err


def verbs(lab):
    process = lab.mlgate("help")
    assert process.wait_end(5) == 0
    return re.findall(r"^  (\w+)", process.text(), re.M)


def test_help_of_each_verb_is_its_own(lab):
    """`help VERB` and `VERB -h` say what `VERB --help` says."""
    assert {"status", "check", "health", "run", "testnode", "demo", "register"} <= set(verbs(lab))
    for verb in verbs(lab):
        said = []
        for words in (["help", verb], [verb, "--help"], [verb, "-h"]):
            process = lab.mlgate(*words)
            assert process.wait_end(5) == 0 and process.err == [], words
            said.append(process.out)
        assert said[0] == said[1] == said[2] != [], verb


@pytest.mark.parametrize("word, meant", [("statsu", "status"), ("chek", "check"), ("rn", "run")])
def test_a_verb_that_is_nearly_one(lab, word, meant):
    process = lab.mlgate(word)
    assert process.wait_end(5) == 2
    assert process.err == [f"mlgate: unknown verb '{word}': did you mean {meant}?"]


@pytest.mark.parametrize("verb", ["check", "server", "gateway", "register"])
def test_a_wrong_flag_stays_in_sight(lab, verb):
    words = [verb, "--server"] if verb == "check" else [verb]
    process = lab.mlgate(*words, "--nonsense")
    assert process.wait_end(5) == 2
    assert "'--nonsense' is no flag" in process.err[0]
    assert process.err[1:] == [f"mlgate {verb} --help lists the flags"]


def test_a_variable_that_is_nearly_one(lab, server):
    """It would otherwise pass in silence, and the default hold."""
    warning = "GATEWAY_POLCY: is no variable of mlgate: did you mean GATEWAY_POLICY?"
    node = Node(lab, server, SECRET, GATEWAY_POLCY="strict").start().wait_ready()
    assert any(line.endswith(warning) and "[W]" in line for line in node.process.out)
    wrong = lab.mlgate("client", env={"FRP_SERVR": "127.0.0.1:7000"})
    assert wrong.wait_end(5) == 2
    assert any(line.startswith("FRP_SERVER: is required") for line in wrong.err)
    assert "warning: FRP_SERVR: is no variable of mlgate: did you mean FRP_SERVER?" in wrong.err
    wrong = lab.mlgate("server", env={"MLGATE_PROXYBIND": "0.0.0.0"})
    assert wrong.wait_end(5) == 2
    meant = "did you mean MLGATE_PROXY_BIND?"
    assert f"warning: MLGATE_PROXYBIND: is no variable of mlgate: {meant}" in wrong.err
