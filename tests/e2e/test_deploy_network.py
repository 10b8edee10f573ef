"""The network node as deploy/ sets it up, in namespaces: the API node's containers reach a GPU
node's ports, the world reaches the port for clients and nothing else. The servers' command lines are
those of compose.yml and of the unit, word for word, with the user and the rights that they get there.

          api, versiond ── mlgate0 ── host ── world0 ── gpu (mlgate run), stranger
                 (frps)  ──┘

With Compose the server is a container in the API node's network, and the host forwards one port to
it, as Docker does. With systemd it is the host's own process. Where namespaces are denied this is
skipped, and that is said."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deployment import compose, unit_command
from harness import eventually
from lab import MLGATE, TOKEN, Lab, within
from namespaces import is_inside, run_inside, works

pytest.importorskip("yaml", reason="skipped (no python3-yaml)")

PROGRAMS = ("unshare", "ip", "nft", "setpriv", "curl")
# Files that services see in /run and /var/lib are made there for this test alone.
SURROUNDINGS = (
    "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && "
    'ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward && exec "$@"'
)
PREFIX = ["unshare", "--net", "--mount", "sh", "-c", SURROUNDINGS, "sh"]

SUBNET = "172.30.77.0/24"  # of compose.yml
HOST_INSIDE, FRPS, API, VERSIOND = (f"172.30.77.{n}" for n in (1, 2, 3, 4))
HOST, GPU, STRANGER = "198.51.100.1", "198.51.100.10", "198.51.100.20"
CLIENT_ID = "0042"
INFERENCE, POC, FRP, METRICS = 10042, 20042, 7000, 9181
PROGRAM = "/run/mlgate"  # where every user can reach it
CONTAINER_USER, DYNAMIC_USER = 64973, 61184
# What Docker does for `ports: 7000:7000`: that port goes to the container, and nothing else is
# forwarded into its network.
FORWARDING = f"""
table ip docker {{
  chain in {{
    type nat hook prerouting priority dstnat
    ip daddr {HOST} tcp dport {FRP} dnat to {FRPS}:{FRP}
  }}
  chain through {{
    type filter hook forward priority filter; policy drop
    ct state established,related accept
    ct status dnat accept
    iifname mlgate0 accept
  }}
}}
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


def bridge(name, address):
    ip("link", "add", name, "type", "bridge")
    ip("addr", "add", f"{address}/24", "dev", name)
    ip("link", "set", name, "up")


def join(name, bridge_name, address, gateway):
    """A namespace with one interface, like a container or a machine."""
    ip("netns", "add", name)
    ip("link", "add", f"{name}-v", "type", "veth", "peer", "name", "eth0", "netns", name)
    ip("link", "set", f"{name}-v", "master", bridge_name, "up")
    ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        ip("-n", name, "link", "set", device, "up")
    ip("-n", name, "route", "add", "default", "via", gateway)


def inside(name, *words):
    return ["ip", "netns", "exec", name, *map(str, words)] if name else [*map(str, words)]


def make_networks():
    bridge("mlgate0", HOST_INSIDE)
    bridge("world0", HOST)
    for name, address in (("frps", FRPS), ("api", API), ("versiond", VERSIOND)):
        join(name, "mlgate0", address, HOST_INSIDE)
    for name, address in (("gpu", GPU), ("stranger", STRANGER)):
        join(name, "world0", address, HOST)


# ---- the network node ----------------------------------------------------------------------------


def as_user(user):
    """Without any right, as `cap_drop` and CapabilityBoundingSet leave it."""
    ids = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return ["setpriv", *ids, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


def give(path, user, text=None):
    """A file, or a directory, that `user` alone may use."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        path.mkdir(mode=0o700)
    else:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o400)
    os.chown(path, user, user)


def compose_server(lab):
    """The server's container; its address in the API node's network."""
    subprocess.run(["nft", FORWARDING], check=True, capture_output=True, timeout=10)
    service = compose("compose.yml")["services"]["frps"]
    give("/run/secrets/frp_token", CONTAINER_USER, TOKEN + "\n")
    give("/var/lib/mlgate", CONTAINER_USER)
    argv = inside("frps", *as_user(CONTAINER_USER), PROGRAM, *service["command"])
    server = lab.spawn("frps (compose)", argv, cwd="/")
    server.wait_line(f"proxies listen on {FRPS}", within(10))
    server.wait_line("metrics on http://127.0.0.1:9181/metrics", within(10))
    health = service["healthcheck"]["test"]
    asked = inside("frps", *as_user(CONTAINER_USER), PROGRAM, *health[2:])
    assert health[:2] == ["CMD", "/usr/local/bin/mlgate"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=within(10))
    assert (done.returncode, done.stdout) == (0, "live\n"), done
    return FRPS


def unit_server(lab):
    """The host's service, with what the guide puts into server.env."""
    words, environment = unit_command()
    give("/run/credentials/mlgate-server.service/frp_token", DYNAMIC_USER, TOKEN + "\n")
    give("/var/lib/mlgate", DYNAMIC_USER)
    environment |= {"MLGATE_PROXY_BIND": SUBNET}
    argv = [*as_user(DYNAMIC_USER), PROGRAM, *words]
    server = lab.spawn("frps (systemd)", argv, environment, cwd="/")
    server.wait_line(f"proxies listen on {HOST_INSIDE}", within(10))
    return HOST_INSIDE


# ---- who reaches what ----------------------------------------------------------------------------


def fetch(name, host, port, path, *more):
    """(status, body) as the machine `name` gets them; status 0: no connection."""
    words = ("curl", "-s", "-m", within(5), "-w", "\n%{http_code}", *more)
    argv = inside(name, *words, f"http://{host}:{port}{path}")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=within(20))
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def connects(name, host, port):
    probe = f"import socket; socket.create_connection(('{host}', {port}), 1).close()"
    argv = inside(name, sys.executable, "-c", probe)
    return subprocess.run(argv, capture_output=True, timeout=within(20)).returncode == 0


def start_gpu_node(lab):
    environment = {
        "API_NODE": f"{HOST}:9000",
        "FRP_SERVER": f"{HOST}:{FRP}",
        "SECRET_FRP_TOKEN": TOKEN,
        "CLIENT_ID": CLIENT_ID,
        "UBUNTU_TEST": "true",
        "FRP_CONFIG_DIR": "/run/etc-frp",
        "LOG_DIR": "/run/logs",
    }
    node = lab.spawn("gpu node", inside("gpu", PROGRAM, "run"), environment)
    for _ in range(2):
        node.wait_line("start proxy success", within(15))
    return node


def registered(host):
    """The node as the API node gets to know it."""
    words = ["register", "--json", "--client-id", CLIENT_ID, "--model", "m", "--host", host]
    done = subprocess.run([PROGRAM, *words], capture_output=True, check=True, timeout=within(10))
    return json.loads(done.stdout)


def api_node_reaches_it(host):
    """`api` polls and manages on one port and checks on the other."""
    node = registered(host)
    assert (node["inference_port"], node["poc_port"]) == (INFERENCE, POC)

    def state():
        status, body = fetch("api", node["host"], node["poc_port"], "/api/v1/state")
        return status == 200 and json.loads(body)["state"] == "INFERENCE"

    eventually(state, within(15), "MLNode's state by 2{CLIENT_ID}")
    for path in ("/health", "/v1/models"):
        assert fetch("api", node["host"], node["inference_port"], path)[0] == 200
    assert fetch("api", node["host"], node["poc_port"], "/v3.0.8/api/v1/state")[0] == 200
    # the other reading of the two ports
    assert fetch("api", node["host"], node["inference_port"], "/api/v1/state")[0] == 200
    assert fetch("api", node["host"], node["poc_port"], "/v1/models")[0] == 200


def versiond_reaches_inference(host):
    chat = json.dumps({"stream": True, "messages": [{"role": "user", "content": "Hello"}]})
    path = "/v1/chat/completions"
    status, body = fetch("versiond", host, INFERENCE, path, "--data-raw", chat)
    assert status == 200 and body.rstrip().endswith("data: [DONE]"), body


def strangers_reach_one_port(host):
    assert connects("stranger", HOST, FRP)
    for port in (INFERENCE, POC, METRICS):
        assert not connects("stranger", HOST, port), port
    if host == FRPS:  # a neighbour who takes the host for a router
        for port in (INFERENCE, POC, FRP, METRICS):
            assert not connects("stranger", FRPS, port), port
    # the API node's side has no business with the numbers either
    assert not connects("api", host, METRICS)
    # and the rented machine itself has nothing open
    for port in (5000, 5001, 5050, 8080, 8081):
        assert not connects("stranger", GPU, port), port


def scene(lab, kind):
    shutil.copy(MLGATE, PROGRAM)
    make_networks()
    host = {"compose": compose_server, "systemd": unit_server}[kind](lab)
    start_gpu_node(lab)
    api_node_reaches_it(host)
    versiond_reaches_inference(host)
    strangers_reach_one_port(host)


@pytest.mark.parametrize("kind", ["compose", "systemd"])
def test_who_reaches_what(kind, tmp_path):
    trial = "ip netns add trial && nft add table inet trial && setpriv --reuid=1 true"
    if not all(map(shutil.which, PROGRAMS)) or not works(PREFIX, trial):
        pytest.skip(f"skipped (not all of {', '.join(PROGRAMS)}, or no namespaces here)")
    run_inside(PREFIX, __file__, kind, tmp_path)


if __name__ == "__main__" and is_inside():
    made = Lab(sys.argv[2])
    try:
        scene(made, sys.argv[1])
    finally:
        made.close()
