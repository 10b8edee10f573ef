"""No spelling of a refused path reaches the handler that it names, however the programs behind the
gateway read it: uvicorn, Starlette's router, and a proxy that decodes once more."""

import itertools
import re

import httpx
import pytest
from harness import eventually
from lab import within
from policy_apps import DOCS, Hits, Server, engine, management, port_5000, rules
from rawhttp import Client

HOST = "Host: gate.example\r\nContent-Length: 0\r\n"


class Chain:
    def __init__(self, lab, http):
        self.hits = Hits()
        self.engine = Server(engine(self.hits), http)
        self.management = Server(management(self.hits, self.engine.port), http)
        self.inference = Server(port_5000(self.engine.port), http)
        lab.closers += [s.close for s in (self.engine, self.management, self.inference)]
        self.lab = lab
        self.gates = {}

    def ports(self, policy):
        """The two ports of a gateway with that policy."""
        if policy not in self.gates:
            ports = [self.lab.ports.take(), self.lab.ports.take()]
            words = ["--listen", f"127.0.0.1:{ports[0]}", "--listen-poc", f"127.0.0.1:{ports[1]}"]
            env = {
                "MLNODE_MANAGEMENT": f"127.0.0.1:{self.management.port}",
                "MLNODE_INFERENCE": f"127.0.0.1:{self.inference.port}",
                "GATEWAY_POLICY": policy,
                "ENGINE_DIRECT": "off",
            }
            process = self.lab.mlgate("gateway", *words, env=env, name=f"gateway with {policy}")
            process.wait_line(rf"listening on 127.0.0.1:{ports[1]}", within(10))
            self.gates[policy] = ports
        return self.gates[policy]


def started(lab, http):
    chain = Chain(lab, http)
    for server in (chain.management, chain.inference, chain.engine):
        eventually(lambda port=server.port: httpx.get(f"http://127.0.0.1:{port}/none"), 10, "uvicorn")
    chain.hits.take()
    return chain


@pytest.fixture(scope="module")
def chains(shared_lab):
    """By the parser that uvicorn uses."""
    return {http: started(shared_lab, http) for http in ("h11", "httptools")}


@pytest.fixture(params=["h11", "httptools"])
def chain(chains, request):
    return chains[request.param]


# ---- spellings -----------------------------------------------------------------------------------


def encoded(path, places, depth=1, upper=False):
    """The bytes at `places` as escapes of escapes."""
    form = "%%%s%02X" if upper else "%%%s%02x"
    return "".join(
        form % ("25" * (depth - 1), ord(c)) if at in places else c for at, c in enumerate(path)
    )


def escapes(path):
    last, middle = len(path) - 1, len(path) // 2
    slashes = {at for at, c in enumerate(path) if c == "/"}
    for depth, places in itertools.product(
        range(1, 6), ({1}, {middle}, {last}, slashes - {0}, set(range(1, last + 1)))
    ):
        yield encoded(path, places, depth)
    yield encoded(path, set(range(1, last + 1)), upper=True)
    yield encoded(path, {0})
    yield "/" + encoded(path, {0})
    yield path.replace("/", "%2F").replace("%2F", "/", 1)
    yield path[:middle] + "%%%02x" % ord("%") + "%02x" % ord(path[middle]) + path[middle + 1 :]
    yield path[:middle] + "%%u00%02x" % ord(path[middle]) + path[middle + 1 :]


def dots(path):
    head, _, tail = path[1:].partition("/")
    for dot, slash in itertools.product(
        (".", "%2E", "%c0%ae"),
        ("/", "%2f", "%5c", "%c0%af"),
    ):
        yield f"/{dot}{slash}{path[1:]}"
        yield f"/x{slash}{dot}{dot}{slash}{path[1:]}"
        yield f"/v1{slash}{dot}{dot}{slash}{path[1:]}"
        yield f"/api/v1/state{slash}{dot}{dot}{slash * 2}{dot}{dot}{slash}{dot}{dot}{path}"
        yield f"/{head}{slash}{dot}/{tail}" if tail else f"{path}{slash}{dot}"
    yield f"/..;{path}"
    yield f"/v1/..;{path}"
    yield f"/;x{path}"


def around(path):
    for end in ("/", "//", "/x", "/.", "/..", "?", "?x", "?/../x", ";", ";x=y", ";/", "#", "#x", "%23",
                "%3f", "%3Fx", "%3b", "%2523", "%253f", "%20", "%09", "%0a", "%0d%0a", "%00", "%00.html",
                ".", ".json", "~", "*", "%", "%2", "+", "&", ":", ":80", "@x", "\\", "%5c", "%2f", "%ff",
                "%c2%a0", "%e2%80%8b", "%ad", "%25%32%33", "%25%33%66x"):  # fmt: skip
        yield path + end
    for begin in ("/", "//", "/.", "/%2f", "/%5c", "\\", "/;", "/*", "/v1", "/v1.0", "/v0.2.13-post2",
                  "/v1.0/v2.0", "/v1.0/v2.0/v3.0", "/v1.0//v2.0", "/%761.0", "/v1%2e0", "/v1.0%2fv2.0",
                  "/v1.0/%761.0", "/v1.0/%25761.0", "/v1.", "/V1.0", "/v1.0;x", "/x", "/api", "/api/v1",
                  "/v1/v1", "/mlgate", "/health", "/%3f", "/%23", "/?", "/#", "http://gate.example",
                  "http://127.0.0.1", "//127.0.0.1", "/http://127.0.0.1", "http:", "*", "x@y"):  # fmt: skip
        yield begin + path
    yield path.upper()
    yield path.title()
    yield path.replace("e", "\u0435").replace("o", "\u043e").encode().decode("latin-1")
    yield "".join(f"%ef%bc%{ord(c) + 0x60:02x}" if c.isalpha() and c < "`" else c for c in path)
    yield path.replace("s", "%c5%bf")  # a long s, which some upper-case to S
    yield path.replace("k", "%e2%84%aa")
    yield path.replace("/", "//")
    yield path.replace("_", "-")


def spellings(path):
    found = dict.fromkeys([path, *escapes(path), *dots(path), *around(path)])
    return [each for each in found if not re.search(r"[ \r\n]", each)]


# ---- senders -------------------------------------------------------------------------------------


class Sender:
    """Requests one after another on a connection, which is opened again when it was closed."""

    def __init__(self, port):
        self.port = port
        self.client = None

    def status(self, method, target):
        if self.client is None:
            self.client = Client(self.port, timeout=within(20))
        self.client.send(f"{method} {target} HTTP/1.1\r\n{HOST}\r\n".encode("latin-1"))
        answer = self.client.answer(method)
        if answer.get("connection") == "close":
            self.close()
        return answer.status

    def close(self):
        if self.client:
            self.client.sock.close()
        self.client = None


def reached(chain, port, method, targets):
    """The spellings on which a handler ran."""
    sender = Sender(port)
    found = []
    for target in targets:
        status = sender.status(method, target)
        found += [(method, target, status, hit) for hit in chain.hits.take()]
    sender.close()
    return found


RULES = rules()


@pytest.mark.parametrize(
    ("http", "policy", "role"),
    [("h11", "guard", 0), ("httptools", "guard", 1), ("httptools", "strict", 0)],
)
@pytest.mark.parametrize("rule", RULES, ids=[path for _, path in RULES])
def test_no_spelling_reaches_it(chains, http, policy, role, rule):
    chain = chains[http]
    method, path = rule
    targets = spellings(path)
    assert len(targets) > 150
    port = chain.ports(policy)[role]
    assert not reached(chain, port, method or ("GET" if path in DOCS else "POST"), targets)


@pytest.mark.parametrize("rule", RULES, ids=[path for _, path in RULES])
def test_no_method_reaches_it(chain, rule):
    """Nor do methods that some programs take for others; each with the fields that claim to be one."""
    method, path = rule
    methods = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "PRI")
    for port in chain.ports("guard"):
        for each in [method] if method else methods:
            assert not reached(chain, port, each, [path, path + "/", path + "/x", path + "?x"])


@pytest.mark.parametrize("rule", RULES, ids=[path for _, path in RULES])
def test_the_handlers_are_there(chain, rule):
    """With the policy open each of them runs: what the tests above see is the policy's work."""
    method, path = rule
    port = chain.ports("open")[1 if path.startswith("/v1/") else 0]
    assert reached(chain, port, method or "GET", [path])
    assert reached(chain, port, method or "GET", [encoded(path, {1})])


def test_asterisk(chain):
    for policy, role in itertools.product(("guard", "strict"), (0, 1)):
        assert not reached(chain, chain.ports(policy)[role], "OPTIONS", ["*"])


FIELDS = (
    "X-Original-URL: {}",
    "X-Rewrite-URL: {}",
    "X-Forwarded-Prefix: {}",
    "X-Forwarded-Path: {}",
    "X-Forwarded-Uri: {}",
    "X-Forwarded-Host: 127.0.0.1{}?",
    "Forwarded: for=127.0.0.1;host=127.0.0.1{}",
    "X-HTTP-Method: DELETE",
    "X-Script-Name: {}",
    "Script-Name: {}",
    "Root-Path: {}",
    "Referer: {}",
    "Location: {}",
)


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_leads_there(chain, field):
    """Fields that some programs let choose another path."""
    for port in chain.ports("guard"):
        with Client(port, timeout=within(20)) as client:
            for _, path in RULES:
                text = f"GET /none HTTP/1.1\r\n{HOST}{field.format(path)}\r\n\r\n"
                client.send(text.encode())
                assert client.answer().status == 404
        assert not chain.hits.take()


def test_no_host_leads_there(chain):
    """Starlette pastes the Host in front of the path and reads the outcome as a URL."""
    for port, (_, path) in itertools.product(chain.ports("guard"), RULES):
        for host in ("a{}?", "a{}#", "a{}/x", "a{}\\", "a@b{}?", "{}", "a:1{}?", "[::1]{}?"):
            with Client(port, timeout=within(20)) as client:
                client.send(f"GET /v1/none HTTP/1.1\r\nHost: {host.format(path)}\r\n\r\n".encode())
                assert client.answer().status == 400
    assert not chain.hits.take()
