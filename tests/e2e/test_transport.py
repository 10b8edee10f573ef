"""How two ends may be connected: every way must carry users, in every pair of programs."""

import pytest
from lab import Proxy, wait_echo
from services import User, download, echo_works, upload

pytestmark = pytest.mark.every_version

KIB = 1024


class Way:
    """Keys of both ends' [common] and of the proxy. A value "@x.cert" is a certificate's file."""

    def __init__(self, name, server=None, client=None, proxy=None):
        self.name = name
        self.server = server or {}
        self.client = client or {}
        self.proxy = proxy or {}


SERVER_CERT = {"tls_cert_file": "@server.cert", "tls_key_file": "@server.key"}
CLIENT_CERT = {"tls_cert_file": "@client.cert", "tls_key_file": "@client.key"}
CA = {"tls_trusted_ca_file": "@ca.cert"}
CUSTOM_BYTE = {"disable_custom_tls_first_byte": False}
SCOPES = {"authenticate_heartbeats": True, "authenticate_new_work_conns": True}
ENCRYPTED = {"use_encryption": True}

WAYS = [
    Way("tls-0x16"),
    Way("tls-0x17", client=CUSTOM_BYTE),
    Way("plain", client={"tls_enable": False}),
    Way("tls-only", {"tls_only": True}),
    Way("tls-only-0x17", {"tls_only": True}, CUSTOM_BYTE),
    Way("ca", SERVER_CERT, CA),
    Way("ca-name", SERVER_CERT, {**CA, "tls_server_name": "node.example"}),
    Way("mutual-tls", {**SERVER_CERT, **CA}, {**CLIENT_CERT, **CA}),
    Way("mutual-tls-0x17", {**SERVER_CERT, **CA}, {**CLIENT_CERT, **CA, **CUSTOM_BYTE}),
    Way("pool-0", client={"pool_count": 0}),
    Way("pool-1", client={"pool_count": 1}),
    Way("pool-5", client={"pool_count": 5}),
    Way("pool-above-limit", {"max_pool_count": 2}, {"pool_count": 50}),
    Way("encryption", proxy=ENCRYPTED),
    Way("encryption-plain", client={"tls_enable": False}, proxy=ENCRYPTED),
    Way("scopes", SCOPES, {**SCOPES, "heartbeat_interval": 1, "heartbeat_timeout": 10}),
    Way("scope-heartbeats", {"authenticate_heartbeats": True},
        {"authenticate_heartbeats": True, "heartbeat_interval": 1, "heartbeat_timeout": 10}),
    Way("scope-new-work-conns", {"authenticate_new_work_conns": True},
        {"authenticate_new_work_conns": True}),
    Way("empty-token", {"token": ""}, {"token": ""}),
    Way("empty-token-encryption", {"token": ""}, {"token": ""}, ENCRYPTED),
    Way("long-token", {"token": "x" * 2000}, {"token": "x" * 2000}),
    Way("user", client={"user": "alice"}),
]  # fmt: skip


def with_files(keys, certificates):
    def value_of(value):
        if not str(value).startswith("@"):
            return value
        owner, part = value[1:].split(".")
        return getattr(getattr(certificates, owner.replace("-", "_")), part)

    return {key: value_of(value) for key, value in keys.items()}


def connect(lab, pair, way, certificates, proxies):
    for proxy in proxies:
        proxy.keys.update(way.proxy)
    return lab.pair(
        pair, proxies, with_files(way.server, certificates), with_files(way.client, certificates)
    )


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_way(lab, pair, way, certificates):
    """Client-first and server-first services, both directions, several users one after another."""
    service, greeter = lab.service(), lab.service(banner=b"SSH-2.0-test\r\n")
    first, second = lab.proxy("web", service), lab.proxy("ssh", greeter)
    connect(lab, pair, way, certificates, [first, second])
    for number in range(4):
        assert echo_works(first.port, b"request %d" % number)
        assert echo_works(second.port, b"after the banner", banner=greeter.banner)
    assert download(first.port, 700 * KIB)
    assert upload(first.port, 700 * KIB)


@pytest.mark.parametrize("chop", [1, 13], ids=["one-byte-segments", "thirteen-byte-segments"])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_split_everywhere(lab, pair, tls, chop):
    """Openings, logins and frames may arrive in pieces of any size."""
    service = lab.service()
    proxy = lab.proxy("web", service, use_encryption=True)
    server = lab.server(pair.server)
    line = lab.forwarder(server.port, chop=chop)
    lab.client(server, [proxy], pair.client, via=line, tls_enable=tls)
    assert echo_works(proxy.port, b"x" * 3000, timeout=20)


def test_real_address_is_carried(lab, server_kind):
    """The user's own address is in the client's debug log."""
    proxy = lab.proxy("web", lab.service())
    client = lab.client(lab.server(server_kind), [proxy])
    with User(proxy.port, "echo") as user:
        address = user.address
    client.process.wait_line(rf"user {address} over")


def test_server_late(lab, server_kind):
    """A client that starts before its server waits for it."""
    proxy = Proxy("web", lab.service().port, lab.ports.take())
    port = lab.ports.take()

    class Later:
        pass

    Later.port = port
    client = lab.client(Later, [proxy], wait=False)
    client.process.wait_line(r"connect-refused.*next try in")
    lab.server(server_kind, bind_port=port)
    client.wait_ready(5)
    wait_echo(proxy.port, 5)
