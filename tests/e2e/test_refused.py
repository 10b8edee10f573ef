"""Logins and handshakes that must fail: each end says which peer, why, and goes on or exits."""

import re

import pytest
from harness import eventually
from lab import within
from services import echo_works, turned_away
from test_transport import CA, CLIENT_CERT, SERVER_CERT, with_files

NOT_A_CLIENT_CERT = {"tls_cert_file": "@other-client.cert", "tls_key_file": "@other-client.key"}
MISNAMED = {"tls_cert_file": "@misnamed.cert", "tls_key_file": "@misnamed.key"}


class Refusal:
    """client_says: in the line of an mlgate client; server_says: of an mlgate server;
    frpc_says: of the real client."""

    def __init__(self, name, server, client, client_says, server_says, frpc_says):
        self.name = name
        self.server = server
        self.client = client
        self.client_says = client_says
        self.server_says = server_says
        self.frpc_says = frpc_says


WRONG_TOKEN = "token in login doesn't match token from configuration"

# What Go's frpc says depends on which of its goroutines meets the end first.
HUNG_UP = r"connect to server error: .*(session shutdown|EOF|closed|reset|certificate)"

REFUSALS = [
    Refusal("wrong-token", {}, {"token": "another"},
            rf"{WRONG_TOKEN}.*SECRET_FRP_TOKEN", r"auth-failed", WRONG_TOKEN),
    Refusal("no-token", {}, {"token": None},
            rf"{WRONG_TOKEN}.*SECRET_FRP_TOKEN", r"auth-failed", WRONG_TOKEN),
    Refusal("token-not-detailed", {"detailed_errors_to_client": False}, {"token": "another"},
            r"register control error", r"auth-failed", r"register control error"),
    Refusal("plain-where-tls-is-demanded", {"tls_only": True}, {"tls_enable": False},
            r"TLS", r"tls-required", HUNG_UP),
    Refusal("certificate-missing", {**SERVER_CERT, **CA}, CA,
            r"certificate", r"certificate", HUNG_UP),
    Refusal("certificate-of-others", {**SERVER_CERT, **CA}, {**NOT_A_CLIENT_CERT, **CA},
            r"certificate|unknown ca", r"certificate", HUNG_UP),
    Refusal("server-of-others", SERVER_CERT, {"tls_trusted_ca_file": "@other-ca.cert"},
            r"certificate.*(FRP_TLS_CA_FILE|tls_trusted_ca_file)", r"alert|tls-failed|unknown ca",
            HUNG_UP),
    Refusal("server-misnamed", MISNAMED, CA,
            r"(name|host|IP).*mismatch|does not match", None, HUNG_UP),
    Refusal("server-generated-certificate", {}, CA,
            r"self-signed|certificate", r"alert|tls-failed|unknown ca", HUNG_UP),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.name)
def test_refusal(lab, pair, row, certificates):
    """Says why, stays alive, tries again, and the port stays shut."""
    proxy = lab.proxy("web", lab.service())
    server = lab.server(pair.server, **with_files(row.server, certificates))
    client = lab.client(
        server, [proxy], pair.client, wait=False, **with_files(row.client, certificates)
    )
    if client.mlgate:
        line = rf"\[W\] \[frpc\] server 127\.0\.0\.1:{server.port}: .*next try in"
        first = client.process.wait_line(line, within(5))
        assert re.search(row.client_says, first.string), first.string
        client.process.wait_line(line, within(5), after=client.process.mark())
    else:
        client.process.wait_line(row.frpc_says, within(5))
    if server.mlgate and row.server_says:
        server.process.wait_line(row.server_says, within(5))
    assert lab.ports.is_free(proxy.port)
    assert server.process.running() and client.process.running()


@pytest.mark.parametrize("row", REFUSALS[:4], ids=lambda row: row.name)
def test_login_fail_exit(lab, pair, row, certificates):
    """frp's default: the first login fails, the client exits with 1."""
    server = lab.server(pair.server, **with_files(row.server, certificates))
    client = lab.client(server, [lab.proxy("web", lab.service())], pair.client, wait=False,
                        login_fail_exit=True, **with_files(row.client, certificates))  # fmt: skip
    assert client.process.wait_end(within(5)) == 1


def retry_delays(client, count, seconds):
    """The waits that an mlgate client announced."""
    pattern = r"next try in ([\d.]+) s"

    def announced():
        found = [re.search(pattern, line) for line in list(client.process.lines)]
        delays = [float(match[1]) for match in found if match]
        return len(delays) >= count and delays

    return eventually(announced, seconds, f"{count} announced retries")


@pytest.mark.ours_is_enough
def test_wrong_token_is_retried_slowly(lab, server_kind):
    server = lab.server(server_kind)
    client = lab.client(server, [], wait=False, token="another")
    delays = retry_delays(client, 5, within(8))
    assert all(later > 1.1 * before for before, later in zip(delays, delays[1:])), delays


def test_good_client_beside_a_refused_one(lab, pair):
    """A wrong token is nobody else's trouble."""
    service = lab.service()
    proxy = lab.proxy("web", service)
    server, _, _ = lab.pair(pair, [proxy])
    bad = lab.client(server, [lab.proxy("bad", service)], pair.client, wait=False, token="no")
    bad.process.wait_line("token")
    assert echo_works(proxy.port)


def test_heartbeat_scope_only_at_the_server(lab, pair):
    """frp: the client must ask for the same scope, else its heartbeats are refused."""
    keys = {"heartbeat_interval": 1, "heartbeat_timeout": 5}
    server = lab.server(pair.server, authenticate_heartbeats=True)
    client = lab.client(server, [lab.proxy("web", lab.service())], pair.client, wait=False, **keys)
    client.process.wait_line("token in heartbeat doesn't match", within(5))


def test_work_conn_scope_only_at_the_server(lab, pair):
    """The proxy is up, yet no work connection is taken: the user is closed, the client says why."""
    proxy = lab.proxy("web", lab.service())
    server = lab.server(pair.server, authenticate_new_work_conns=True, user_conn_timeout=1)
    client = lab.client(server, [proxy], pair.client)
    assert turned_away(proxy.port, within(4))
    if client.mlgate:
        client.process.wait_line("token in NewWorkConn doesn't match", within(2))


def test_pin(lab):
    """FRP_TLS_PIN as the server prints it, kept over a restart by --state-dir; any other fails."""
    state = lab.directory / "state"
    server = lab.flag_server("--state-dir", state)
    pin = server.process.wait_line(r"FRP_TLS_PIN=(\S{44})")[1]
    proxy = lab.proxy("web", lab.service())
    client = lab.client(server, [proxy], wait=False)
    client.process.kill()
    for pins, good in ((pin, True), (f"{'A' * 43}=,{pin}", True), (f"{'A' * 43}=", False)):
        client.env = {"FRP_TLS_PIN": pins}
        client.start()
        if good:
            client.wait_ready()
            assert echo_works(proxy.port)
        else:
            client.process.wait_line(r"tls-untrusted.*FRP_TLS_PIN", within(5))
        assert client.process.stop(within(3)) == 0
    server.restart().wait_ready()
    assert server.process.wait_line(r"FRP_TLS_PIN=(\S{44})")[1] == pin
    assert (state / "server.key").stat().st_mode & 0o777 == 0o600
