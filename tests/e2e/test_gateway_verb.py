"""mlgate gateway: the verb itself, alone in front of a testnode."""

import json
import re
import subprocess

import httpx
from harness import eventually
from lab import MLGATE, within


def row_of_ports(lab, n):
    """The first of n free ports in a row."""
    while True:
        first = lab.ports.take()
        if all(lab.ports.is_free(port) for port in range(first, first + n)):
            lab.ports.used |= set(range(first, first + n))
            return first


def start_node(lab, first_engine):
    node = lab.mlgate(
        "testnode",
        "--up",
        "--print-ports",
        "--listen=127.0.0.1:0",
        "--listen-management=127.0.0.1:0",
        "--engines=2",
        f"--engine-port={first_engine}",
        name="testnode",
    )
    return json.loads(node.wait_line(r"^{.*}$", within(10))[0])


def test_its_own_listeners_are_no_engines(lab):
    """5050 lies in the range where MLNode's engines may be, and answers as one would."""
    first = row_of_ports(lab, 3)
    node = start_node(lab, first + 1)
    lab.mlgate(
        "gateway",
        f"--listen=127.0.0.1:{lab.ports.take()}",
        f"--listen-poc=127.0.0.1:{first}",
        f"--management=127.0.0.1:{node['management']}",
        f"--inference=127.0.0.1:{node['inference']}",
        f"--engine-ports={first}-{first + 2}",
        name="gateway",
    ).wait_line("2 in use", within(10))

    def second_round():
        report = httpx.get(f"http://127.0.0.1:{node['management']}/mlgate-test/engines").json()
        return all(engine["probes"] >= 3 for engine in report["engines"])

    eventually(second_round, within(15), "the end of the first round")
    status = httpx.get(f"http://127.0.0.1:{first}/mlgate/status").json()
    assert [e["port"] for e in status["mlnode"]["engines"]] == [first + 1, first + 2]
    assert status["gateway"]["requests"] == 1  # this one


def test_help_says_the_same_everywhere():
    def said(*words):
        made = subprocess.run(
            [MLGATE, *words], capture_output=True, timeout=within(10), text=True, check=True
        )
        assert made.stderr == ""
        return made.stdout

    text = said("gateway", "--help")
    assert said("help", "gateway") == text
    contract = said("help", "env")
    named = re.findall(r"^--([a-z-]+) VALUE  \(default (\S+)\)$", text, re.M)
    variables = re.findall(r"Variable: ([A-Z_]+)\.", text)
    assert len(named) == len(variables) == 11
    for (_, fallback), variable in zip(named, variables, strict=True):
        assert f"{variable}  (default {fallback})\n" in contract
