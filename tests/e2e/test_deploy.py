"""What stands in deploy/: every file parsed, every variable and flag known to the binary."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess

import pytest
from deployment import DEPLOY, ROOT, UNIT, compose, documents, unit_command, unit_settings
from harness import eventually
from lab import MLGATE, is_instrumented, wait_echo, within

yaml = pytest.importorskip("yaml", reason="skipped (no python3-yaml)")

EXPOSURE_MAX = 20  # tenths; what systemd calls OK ends at 40
HEALTH = ["/usr/local/bin/mlgate", "health", "--server", "127.0.0.1:9181"]
LIVENESS = ["/usr/local/bin/mlgate", "status", "--server", "--state-dir", "/var/lib/mlgate"]
# Words in capitals that belong to others, or to compose.yml alone.
FOREIGN = {
    "CONTAINER_API_KEY",
    "INFERENCE_PORT",
    "MLNODE_IMAGE",
    "MLGATE_PORT",
    "MLGATE_SUBNET",
    "MLGATE_TOKEN_FILE",
    "OFFER_ID",
    "PIN",
    "TOKEN",
}


def said(*words):
    done = subprocess.run(
        [MLGATE, *words], capture_output=True, text=True, timeout=within(10), check=True
    )
    return done.stdout


def server_variables():
    return set(re.findall(r"Variable: ([A-Z_]+)\.", said("help", "server"))) | {"SECRET_FRP_TOKEN"}


def contract():
    return set(re.findall(r"^([A-Z][A-Z0-9_]+)(?:\s|$)", said("help", "env"), re.M))


def check_server_command(words):
    flags = set(re.findall(r"^--([a-z-]+)", said("help", "server"), re.M))
    assert words[0] == "server"
    given = [word[2:].partition("=")[0] for word in words[1:] if word.startswith("--")]
    assert set(given) <= flags and len(set(given)) == len(given)
    # none of them is left to a default that a reader would have to know
    assert {"token-file", "state-dir"} <= set(given)


# ---- compose -------------------------------------------------------------------------------------


def test_compose():
    project = compose("compose.yml")
    service = project["services"]["frps"]
    check_server_command(service["command"])
    assert "--proxy-bind=172.30.77.0/24" in service["command"]
    assert project["networks"]["mlgate"]["ipam"]["config"] == [{"subnet": "172.30.77.0/24"}]
    assert service["ports"] == ["7000:7000"]
    assert "--bind=0.0.0.0:7000" in service["command"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["networks"] == ["mlgate"] and "network_mode" not in service
    assert service["secrets"] == list(project["secrets"]) == ["frp_token"]
    assert "--token-file=/run/secrets/frp_token" in service["command"]
    (volume,) = service["volumes"]
    assert volume.split(":")[0] in project["volumes"]
    assert f"--state-dir={volume.split(':')[1]}" in service["command"]
    assert service["healthcheck"]["test"] == ["CMD", *HEALTH]
    assert f"--metrics={HEALTH[-1]}" in service["command"]
    assert (ROOT / "deploy" / service["build"]["context"] / "Dockerfile.server").exists()


def test_compose_takes_its_variables():
    changed = {"MLGATE_SUBNET": "10.9.0.0/24", "MLGATE_PORT": "7200", "MLGATE_TOKEN_FILE": "/t"}
    text = json.dumps(compose("compose.yml", **changed))
    assert "172.30.77" not in text and "${" not in text
    assert '"7200:7000"' in text and '"file": "/t"' in text


def test_the_api_node_joins():
    """Both of its services, each on its own network too, and on the very network of the server."""
    project = compose("compose.api-node.yml")
    assert set(project["services"]) == {"api", "versiond"}
    for service in project["services"].values():
        assert set(service["networks"]) == {"default", "mlgate"}
    theirs, ours = project["networks"]["mlgate"], compose("compose.yml")["networks"]["mlgate"]
    assert theirs == {"name": ours["name"], "external": True}


@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0,
    reason="skipped (no docker compose)",
)
def test_compose_reads_it():
    command = ["docker", "compose", "-f", DEPLOY / "compose.yml", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_dockerfile():
    text = (ROOT / "Dockerfile.server").read_text(encoding="utf-8")
    lines = dict(line.split(" ", 1) for line in re.findall(r"^[A-Z]+ .+$", text, re.M))
    assert "EXPOSE" not in lines
    assert json.loads(lines["ENTRYPOINT"]) == HEALTH[:1]
    command = json.loads(lines["CMD"])
    assert command[0] == "server"
    assert lines["USER"] == "64973:64973" and f"--chown={lines['USER']} /state" in text
    assert json.loads(lines["HEALTHCHECK"].split(" CMD ")[1]) == HEALTH
    assert lines["ENV"] == f"MLGATE_METRICS={HEALTH[-1]}"


def health(*words):
    done = subprocess.run(
        [MLGATE, "health", "--server", *words], capture_output=True, text=True, timeout=within(20)
    )
    return done.returncode, done.stdout + done.stderr


def test_health_of_a_server(lab):
    """Of one that hangs the kernel still accepts connections; no question is a failed login."""
    port = str(lab.ports.take())
    server = lab.flag_server("--metrics", port)
    server.process.wait_line("metrics on http")
    for words in ([port], [f"127.0.0.1:{port}"]):
        assert health(*words) == (0, "live\n")
    assert not server.process.find("login|refused|TLS failed")
    server.process.signal(signal.SIGSTOP)
    try:
        status, said_ = health(port)
    finally:
        server.process.signal(signal.SIGCONT)
    assert status == 1 and "no answer within" in said_
    assert health(str(server.port))[0] == 1  # that port speaks frp
    server.process.stop()
    status, said_ = health(port)
    assert status == 1 and "connect-refused" in said_
    for word in ("x", "off", "0", ""):
        assert health(word)[0] == 2


def test_a_server_without_descriptors_lives(lab, tmp_path):
    """A restart would cost every node its session, and change nothing about who holds them."""
    metrics = str(lab.ports.take())
    server = lab.flag_server("--metrics", metrics, "--state-dir", str(tmp_path))
    live = [MLGATE, *LIVENESS[1:-1], str(tmp_path)]
    server.process.wait_line("metrics on http")
    eventually((tmp_path / "status.sock").exists, within(10), "its door")
    assert subprocess.run(live, capture_output=True, timeout=within(20), check=False).returncode == 0
    taken = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (taken, taken))
    for _ in range(3):
        done = subprocess.run(live, capture_output=True, timeout=within(20), check=False)
        assert done.returncode == 0
    assert health(metrics)[0] == 1


# ---- systemd -------------------------------------------------------------------------------------


def test_unit():
    words, environment = unit_command()
    check_server_command(words)
    assert set(environment) <= server_variables()
    # what an operator may want to change is no flag, which would win over server.env
    assert not any(word.startswith(("--bind", "--proxy-bind", "--metrics")) for word in words)
    names = [name for name, _ in unit_settings()]
    assert names.index("Environment") < names.index("EnvironmentFile")


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="skipped (no systemd-analyze)"
)


def analyze(*words):
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=within(60)
    )


def age_of_systemd():
    found = re.search(r"systemd (\d+)", analyze("--version").stdout)
    return int(found[1]) if found else 0


@needs_systemd
def test_unit_is_verified(tmp_path):
    """With a program and without a manual, which are not installed where this runs."""
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8").replace("/usr/local/bin/mlgate", str(MLGATE))
    unit.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M), encoding="utf-8")
    done = analyze("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_unit_is_hardened():
    if age_of_systemd() < 250:
        pytest.skip("skipped (this systemd-analyze looks at no files)")
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", UNIT)
    assert done.returncode == 0, done.stdout[-2000:]


def calls_of(group):
    """The names in a group of systemd's, groups within it resolved."""
    names = set()
    for word in analyze("syscall-filter", group).stdout.split("\n")[1:]:
        word = word.strip()
        if word.startswith("@"):
            names |= calls_of(word)
        elif word and not word.startswith("#"):
            names.add(word)
    return names


def traced(trace):
    """(calls, families of sockets) of a file that strace wrote."""
    lines = [line.split(None, 1)[1] for line in trace.read_text().splitlines()]
    calls = {found[1] for line in lines if (found := re.match(r"(\w+)\(", line))}
    return calls, {found[1] for line in lines if (found := re.match(r"socket\((AF_\w+)", line))}


@needs_systemd
@pytest.mark.skipif(is_instrumented(MLGATE), reason="skipped (a sanitizer's calls are not ours)")
def test_unit_allows_what_the_server_does(lab):
    """From the start over a session, its users and its status to the stop."""
    trace = lab.path("strace")
    strace = ["strace", "-D", "-f", "-o", trace]  # the server stays the process that is signalled
    trial = [*strace, "true"]
    if not shutil.which("strace") or subprocess.run(trial, capture_output=True).returncode != 0:
        pytest.skip("skipped (no strace, or it may not trace here)")
    lab.wrap = strace
    state = lab.path("state")
    metrics = str(lab.ports.take())
    server = lab.flag_server(
        *("--state-dir", state, "--metrics", metrics, "--proxy-bind", "127.0.0.0/8")
    )
    lab.wrap = []
    proxy = lab.proxy("echo", lab.service())
    lab.client(server, [proxy])
    wait_echo(proxy.port, 10)
    assert health(metrics)[0] == 0
    assert "echo" in said("status", "--server", "--state-dir", state)
    server.process.stop()
    eventually(lambda: "+++ exited" in trace.read_text(), 10, "the end of the trace")
    settings = dict(unit_settings())
    filters = [value for name, value in unit_settings() if name == "SystemCallFilter"]
    allowed, denied = filters[0].split(), filters[1].lstrip("~").split()
    may = set().union(*map(calls_of, allowed)) - set().union(*map(calls_of, denied))
    calls, families = traced(trace)
    assert {"accept4", "fsync"} <= calls and {"AF_INET", "AF_NETLINK", "AF_UNIX"} <= families
    assert calls <= may, calls - may
    assert families <= set(settings["RestrictAddressFamilies"].split())


# ---- kubernetes ----------------------------------------------------------------------------------

FILES = ["server.yaml", "gpu-node.yaml"]


@pytest.mark.parametrize("name", FILES)
def test_kubernetes(name):
    """Every object is whole, and what it refers to is there."""
    objects = documents(name)
    for item in objects:
        assert item["apiVersion"] and item["kind"] and item["metadata"]["name"]
    kinds = [item["kind"] for item in objects]
    assert "Secret" not in kinds  # a token that stands in a file would be used
    claims = {i["metadata"]["name"] for i in objects if i["kind"] == "PersistentVolumeClaim"}
    (deployment,) = (item["spec"] for item in objects if item["kind"] == "Deployment")
    assert deployment["replicas"] == 1 and deployment["strategy"] == {"type": "Recreate"}
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim")
        assert claim is None or claim["claimName"] in claims
    assert volumes["token"]["secret"]["secretName"] == "mlgate-frp-token"
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert pod["enableServiceLinks"] is False
    for item in objects:
        if item["kind"] == "NetworkPolicy":
            assert item["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        if item["kind"] == "Service":
            assert item["spec"]["selector"].items() <= labels.items()


def container_of(name):
    (deployment,) = (item for item in documents(name) if item["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    return pod, pod["containers"][0]


def test_kubernetes_server():
    pod, container = container_of("server.yaml")
    check_server_command(container["args"])
    assert "--proxy-bind=$(POD_IP)" in container["args"]
    assert [entry["name"] for entry in container["env"]] == ["POD_IP"]
    assert f"--metrics={HEALTH[-1]}" in container["args"]
    assert container["readinessProbe"]["exec"]["command"] == HEALTH
    assert container["livenessProbe"]["exec"]["command"] == LIVENESS
    assert f"--state-dir={LIVENESS[-1]}" in container["args"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    (policy,) = (i["spec"] for i in documents("server.yaml") if i["kind"] == "NetworkPolicy")
    world = [rule["ports"] for rule in policy["ingress"] if "from" not in rule]
    assert world == [[{"port": 7000, "protocol": "TCP"}]]
    (closed,) = (rule["ports"] for rule in policy["ingress"] if "from" in rule)
    spans = [(span["port"], span["endPort"]) for span in closed]
    assert spans == [(10001, 19999), (20001, 29999)]
    headless = [i for i in documents("server.yaml") if i["kind"] == "Service"
                and i["spec"].get("clusterIP") == "None"]  # fmt: skip
    assert [service["metadata"]["name"] for service in headless] == ["frps"]


def test_kubernetes_gpu_node():
    """Only --live may restart a container that has loaded a model."""
    pod, container = container_of("gpu-node.yaml")
    assert container["readinessProbe"]["exec"]["command"] == HEALTH[:2]
    assert container["livenessProbe"]["exec"]["command"] == [*HEALTH[:2], "--live"]
    assert "startupProbe" not in container and "ports" not in container
    names = {entry["name"] for entry in container["env"]}
    assert names <= contract()
    assert {"API_NODE", "FRP_SERVER", "CLIENT_ID", "SECRET_FRP_TOKEN_FILE"} <= names
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
    assert container["resources"]["limits"]["nvidia.com/gpu"] >= 1
    values = {entry["name"]: entry["value"] for entry in container["env"]}
    assert values["SECRET_FRP_TOKEN_FILE"].startswith(f"{list(mounts)[0]}/")
    assert pod["terminationGracePeriodSeconds"] > 9


@pytest.mark.parametrize("program", [("kubeconform", "-strict"), ("kubernetes-validate", "--strict")])
def test_kubernetes_schema(program):
    if shutil.which(program[0]) is None:
        pytest.skip(f"skipped (no {program[0]})")
    files = [DEPLOY / "kubernetes" / name for name in FILES]
    done = subprocess.run([*program, *files], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- the guide -----------------------------------------------------------------------------------


def all_texts():
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file():
            yield path, path.read_text(encoding="utf-8")


def test_variables_are_known():
    """Whatever is set, in an example or a file, is a variable of ours."""
    known = contract() | server_variables() | FOREIGN
    seen = set()
    for path, text in all_texts():
        found = set(re.findall(r"(?:^|[\s`'\"-]|-e |name: |Environment=)([A-Z][A-Z_]{3,})=", text))
        found |= set(re.findall(r"\bname: ([A-Z][A-Z_]{3,}),", text))
        found |= set(re.findall(r"`([A-Z]+_[A-Z_]+)`", text))
        assert found <= known, (path, found - known)
        seen |= found
    assert {"FRP_SERVER", "MLNODE_MANAGEMENT", "MLGATE_PROXY_BIND", "FRP_CONFIG_DIR"} <= seen


def code_in(text):
    """What stands in fences and between backticks."""
    fences = re.findall(r"^```\n(.*?)^```", text, re.S | re.M)
    rest = re.sub(r"^```\n.*?^```", "", text, flags=re.S | re.M)
    return "\n".join(fences + re.findall(r"`([^`]+)`", rest))


def test_flags_and_verbs_are_known():
    verbs = set(re.findall(r"^  (\w+)", said("help"), re.M))
    shown = set()
    for path, text in all_texts():
        command = r"(?<![\w/-])(?<!connect )(?<!--network )mlgate ([a-z]+)((?: [^\n|>#)]*)?)"
        for verb, rest in re.findall(command, code_in(text)):
            assert verb in verbs, (path, verb)
            if verb == "help":
                continue
            shown.add(verb)
            known = said(verb, "--help")
            if verb == "check":
                known += said("help", "server")
            for flag in re.findall(r"(?:^|\s)(--[a-z][a-z-]+)", rest.split(" -- ")[0]):
                assert re.search(rf"{flag}\b", known), (path, verb, flag)
    assert {"run", "register", "check", "health"} <= shown


def test_the_files_it_names_are_there():
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"(?<![\w/.-])((?:deploy/[\w/.-]+|Dockerfile[\w.]*|script/\w+))", text):
        assert (ROOT / name.rstrip(".")).exists() or name == "deploy/.env", name
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name != "README.md":
            assert f"`{path.relative_to(ROOT)}`" in text, path


def test_the_check_that_it_names():
    """It sees the certificate that the server keeps, else it would call it one of this start."""
    text = (DEPLOY / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    calls = re.findall(r"^sudo mlgate check --server .*$", text, re.M)
    assert len(calls) == 2  # noqa: PLR2004
    for call in calls:
        assert {"--token-file", "--state-dir", "--proxy-bind"} <= set(call.split()), call
    project = compose("compose.yml")
    (volume,) = project["volumes"]
    assert f"docker volume inspect -f '{{{{.Mountpoint}}}}' {project['name']}_{volume})" in calls[1]
    assert f"--proxy-bind {project['networks']['mlgate']['ipam']['config'][0]['subnet']}" in calls[1]
