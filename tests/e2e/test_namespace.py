"""A line that nftables cuts, in a network namespace: real lost packets, no resets, retransmissions.

Where a process may not make a namespace, or there is no nft, these are skipped, and that is said."""

import shutil
import subprocess
import sys
import time

import pytest
from harness import eventually
from lab import Lab, gives_way, wait_echo
from namespaces import is_inside, run_inside, works
from services import User

pytestmark = pytest.mark.full

CHAIN = "add table inet cut; add chain inet cut in { type filter hook input priority 0 ; }"


def namespace_command():
    """A prefix that runs a program in a network namespace of its own, or None."""
    if not all(shutil.which(program) for program in ("unshare", "nft", "ip", "ss")):
        return None
    for unshare in (["unshare", "-n"], ["unshare", "-rn"]):
        trial = "ip link set lo up && nft add table inet trial"
        if works(unshare, trial):
            return [*unshare, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    return None


def nft(text):
    subprocess.run(["nft", text], check=True, capture_output=True, timeout=10)


def drop(*matches):
    rules = (f"add rule inet cut in {match} drop" for match in matches)
    nft(f"{CHAIN}; {'; '.join(rules)}")


def mend():
    nft("delete table inet cut")


def start(lab, kind):
    proxy = lab.proxy("web", lab.service())
    server = lab.server(kind)
    client = lab.client(server, [proxy])
    wait_echo(proxy.port, 5)
    return proxy.port, server, client


def client_port(server):
    """The local port of the client's connection to the server."""
    listing = subprocess.run(
        ["ss", "-Htn", "state", "established", "dport", "=", f":{server.port}"],
        capture_output=True, text=True, check=True, timeout=10,
    ).stdout  # fmt: skip
    return int(listing.split()[2].rsplit(":", 1)[1])


def cut_one_connection(lab, kind):
    """Packets of the present connection vanish both ways; new connections work."""
    port, server, client = start(lab, kind)
    old = client_port(server)
    drop(f"tcp sport {old}", f"tcp dport {old}")
    took = wait_echo(port, 7)
    assert took > 2
    assert client.process.find(r"session lost: .*\(ping-timeout\)")


def freeze_all(lab, kind):
    """Every packet to and from the server vanishes for ten seconds; TCP's own retransmission brings
    back what was sent, and no stream is lost."""
    port, server, client = start(lab, kind)
    with User(port, "echo") as user:
        user.send(b"before")
        assert user.read(6) == b"before"
        drop(f"tcp dport {server.port}", f"tcp sport {server.port}")
        user.send(b"frozen")
        time.sleep(10)  # the freeze itself
        mend()
        assert user.read(6) == b"frozen"
    assert not client.process.find("session lost")
    wait_echo(port, 5)


def server_unreachable(lab, kind):
    """Nothing works until the connection has been given up (30 s), then it does again."""
    port, server, client = start(lab, kind)
    drop(f"tcp dport {server.port}", f"tcp sport {server.port}")
    client.process.wait_line("session lost", 40)
    mend()
    eventually(lambda: wait_echo(port, 1), 60, "the way back")


@pytest.mark.parametrize("name", ["cut_one_connection", "freeze_all", "server_unreachable"])
def test_dropped_packets(name, server_kind, tmp_path):
    if name == "cut_one_connection" and not gives_way(server_kind):
        pytest.skip("this frps keeps the client waiting for its 40 s of detection")
    prefix = namespace_command()
    if prefix is None:
        pytest.skip("skipped (no network namespace with nftables here)")
    run_inside(prefix, __file__, name, server_kind, tmp_path)


if __name__ == "__main__" and is_inside():
    scene, kind, directory = sys.argv[1:]
    lab = Lab(directory)
    try:
        globals()[scene](lab, kind)
    finally:
        lab.close()
