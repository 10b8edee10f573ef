"""The chains that are compared: a tunnel with an HTTP proxy in front of MLNode. `main` is the port
that users reach for inference, `side` the one for management; MLNode is two of bench/engine."""

import os
import pathlib
import random
import re
import shutil
import sys

from process import PORTS, Child, Failed, free_ports, is_free, output_of
from stacks import (FRP_VERSIONS, TOKEN, Direct, Haproxy, Stack, certificate, find_frp, version_of)

# As the original image configures it: HTTP/1.0 without keep-alive to MLNode, bodies buffered both
# ways, the default 512 connections.
ORIGINAL = """worker_processes 1;
events {{}}
http {{
    access_log access.log;
{temporary}
    client_max_body_size 0;
    proxy_connect_timeout 24h;
    proxy_send_timeout 24h;
    proxy_read_timeout 24h;
    send_timeout 24h;
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    upstream main {{ server 127.0.0.1:{main_upstream}; }}
    upstream side {{ server 127.0.0.1:{side_upstream}; }}
{servers}}}
"""

# What an operator who knows nginx makes of it.
REPAIRED = """worker_processes auto;
worker_rlimit_nofile {files};
events {{ worker_connections 16384; }}
http {{
    access_log access.log combined buffer=64k flush=1s;
{temporary}
    client_max_body_size 0;
    keepalive_requests 1000000;
    keepalive_timeout 300s;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_connect_timeout 24h;
    proxy_send_timeout 24h;
    proxy_read_timeout 24h;
    send_timeout 24h;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    upstream main {{
        server 127.0.0.1:{main_upstream};
        keepalive 1024;
        keepalive_requests 1000000;
    }}
    upstream side {{
        server 127.0.0.1:{side_upstream};
        keepalive 1024;
        keepalive_requests 1000000;
    }}
{servers}}}
"""

NGINX_SERVER = """    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://{name}; }}
    }}
"""

RATHOLE_SERVER = """[server]
bind_addr = "127.0.0.1:{bind}"
default_token = "{token}"
[server.transport]
type = "tls"
[server.transport.tls]
pkcs12 = "identity.pfx"
pkcs12_password = "bench"
[server.services.main]
bind_addr = "127.0.0.1:{main}"
[server.services.side]
bind_addr = "127.0.0.1:{side}"
"""

RATHOLE_CLIENT = """[client]
remote_addr = "localhost:{bind}"
default_token = "{token}"
[client.transport]
type = "tls"
[client.transport.tls]
trusted_root = "cert.pem"
hostname = "localhost"
[client.services.main]
local_addr = "127.0.0.1:{local_main}"
[client.services.side]
local_addr = "127.0.0.1:{local_side}"
"""

HERE = pathlib.Path(__file__).resolve().parent
MLNODE_PROXY = HERE / "mlnode_proxy.py"


class Rathole(Stack):
    """With TLS; a connection of its own through the tunnel for each of a user's."""

    name = "rathole"

    def __init__(self, binary, version):
        super().__init__()
        self.version = version
        self.files = (binary,)

    def start(self, folder, local, via=None):
        certificate(folder)
        output_of(["openssl", "pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-out",
                   "identity.pfx", "-passout", "pass:bench"], cwd=folder)
        values = {"bind": self.link, "token": TOKEN, "main": self.main, "side": self.side,
                  "local_main": local[0], "local_side": local[1]}
        (folder / "server.toml").write_text(RATHOLE_SERVER.format(**values))
        (folder / "client.toml").write_text(RATHOLE_CLIENT.format(**values))
        self.server = Child([self.files[0], "server.toml"], folder, "server")
        self.client = Child([self.files[0], "client.toml"], folder, "client")
        self.server.start()
        self.client.start()


class Fronted(Stack):
    """A tunnel that ends at an nginx."""

    def __init__(self, name, tunnel, nginx, style):
        super().__init__()
        self.name = name
        self.tunnel = tunnel
        self.version = f"({tunnel.name} {tunnel.version}".replace(
            f"{tunnel.version} {tunnel.version}", tunnel.version) + f", nginx {nginx[1]})"
        self.binary = nginx[0]
        self.style = style
        self.front = None

    @property
    def children(self):
        return [c for c in (self.server, self.client, self.front) if c]

    def plan_ports(self):
        self.tunnel.plan_ports()
        self.main, self.side = self.tunnel.main, self.tunnel.side
        self.inner = free_ports(2)

    def start(self, folder, local, via=None):
        self.front = start_nginx(self.binary, self.style, folder, self.inner, local)
        self.tunnel.start(folder, self.inner)
        self.server, self.client = self.tunnel.server, self.tunnel.client

    def stop(self):
        super().stop()
        self.front = None


class Nginx(Fronted):
    """Without a tunnel: what the proxy alone costs."""

    def __init__(self, name, nginx, style):
        Stack.__init__(self)
        self.name = name
        self.version = nginx[1]
        self.binary = nginx[0]
        self.style = style
        self.front = None

    def plan_ports(self):
        self.main, self.side = free_ports(2)

    def start(self, folder, local, via=None):
        self.front = start_nginx(self.binary, self.style, folder, (self.main, self.side), local)


def start_nginx(binary, style, folder, ports, upstreams):
    temporary = "".join(f"    {kind}_temp_path {kind};\n" for kind in (
        "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    servers = "".join(NGINX_SERVER.format(port=port, name=name)
                      for port, name in zip(ports, ("main", "side")))
    head = "pid nginx.pid;\n" + ("user root;\n" if os.geteuid() == 0 else "")
    (folder / "nginx.conf").write_text(head + style.format(
        main_upstream=upstreams[0], side_upstream=upstreams[1], servers=servers,
        temporary=temporary, files=os.sysconf("SC_OPEN_MAX")))
    front = Child([binary, "-p", folder, "-c", "nginx.conf", "-g", "daemon off;"], folder, "nginx")
    front.start()
    return front


class Gateway(Stack):
    """mlgate: server, and client with the gateway in process, both as in the product."""

    def __init__(self, binary, version, name="mlgate", **environment):
        super().__init__()
        self.name = name
        self.version = version
        self.files = (binary,)
        self.environment = environment

    def plan_ports(self):
        """The users' ports follow from the client's id."""
        self.link, *self.listen = free_ports(3)
        for _ in range(100):
            number = random.randrange(1, 9999)
            self.side, self.main = 10000 + number, 20000 + number
            if self.main in PORTS and self.main not in (self.link, *self.listen) \
                    and is_free(self.side) and is_free(self.main):
                break
        self.id = f"{number:04}"

    def start(self, folder, local, via=None):
        (folder / "frps.ini").write_text(
            f"[common]\nbind_addr = 127.0.0.1\nbind_port = {self.link}\n"
            f"proxy_bind_addr = 127.0.0.1\ntoken = {TOKEN}\n")
        environment = {
            "PATH": os.environ.get("PATH", ""), "API_NODE": "127.0.0.1:9", "CLIENT_ID": self.id,
            "FRP_SERVER": f"127.0.0.1:{self.link}", "SECRET_FRP_TOKEN": TOKEN,
            "FRP_CONFIG_DIR": str(folder), "ENGINE_DIRECT": "off",
            "MLNODE_INFERENCE": f"127.0.0.1:{local[0]}",
            "MLNODE_MANAGEMENT": f"127.0.0.1:{local[1]}",
            "GATEWAY_LISTEN": f"127.0.0.1:{self.listen[0]}",
            "GATEWAY_LISTEN_POC": f"127.0.0.1:{self.listen[1]}"} | self.environment
        self.server = Child([self.files[0], "server", "-c", "frps.ini"], folder, "server")
        self.client = Child([self.files[0], "client"], folder, "client", environment)
        self.server.start()
        self.client.start()


class GatewayAlone(Stack):
    """`mlgate gateway` without a tunnel."""

    name = "mlgate"

    def __init__(self, binary, version):
        super().__init__()
        self.version = version
        self.files = (binary,)

    def plan_ports(self):
        self.side, self.main = free_ports(2)

    def start(self, folder, local, via=None):
        self.client = Child([
            self.files[0], "gateway", "--listen", f"127.0.0.1:{self.side}", "--listen-poc",
            f"127.0.0.1:{self.main}", "--management", f"127.0.0.1:{local[1]}", "--inference",
            f"127.0.0.1:{local[0]}", "--engine-direct", "off"], folder, "gateway")
        self.client.start()


class BehindMlnode(Stack):
    """A chain with a proxy of MLNode's kind between it and the engine. `inside` is None when users
    come straight to that proxy; `engines` tells an mlgate where to look for engines."""

    def __init__(self, name, inside=None, engines=False, proxied=True):
        super().__init__()
        self.name = name
        self.inside = inside
        self.engines = engines
        self.proxied = proxied  # what the engine must see before anything is measured
        self.proxy = None

    @property
    def children(self):
        return [c for c in (*(self.inside.children if self.inside else ()), self.proxy) if c]

    def plan_ports(self):
        self.port, = free_ports(1)
        self.main = self.port
        if self.inside:
            self.inside.plan_ports()
            self.main, self.side = self.inside.main, self.inside.side

    def start(self, folder, local, via=None):
        self.proxy = Child([sys.executable, MLNODE_PROXY, self.port, local[0]], folder, "proxy")
        self.proxy.start()
        if not self.inside:
            self.side = local[1]
            return
        if self.engines:
            self.inside.environment["ENGINE_DIRECT"] = "auto"
            self.inside.environment["ENGINE_PORTS"] = f"{local[0]}-{local[0]}"
        self.inside.start(folder, (self.port, local[1]))

    def stop(self):
        if self.inside:
            self.inside.stop()
        if self.proxy:
            self.proxy.stop()
        self.proxy = None


# ---- finding them --------------------------------------------------------------------------------


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    return pathlib.Path(found) if found else None


def find_nginx():
    binary = program("nginx")
    if not binary:
        return None
    # the version is said on stderr
    return binary, version_of("sh", "-c", f"exec '{binary}' -v 2>&1")


def find_rathole():
    peers = pathlib.Path(os.environ.get("PEERS_DIR") or "/nowhere")
    found = [p for p in (peers / "rathole", *sorted(peers.glob("*/rathole"))) if p.is_file()]
    binary = found[0] if found else program("rathole")
    if not binary:
        return None
    words = re.search(r"Build Version:\s*(\S+)", output_of([binary, "--version"]))
    return Rathole(binary, words.group(1) if words else "?")


def find_chains(mlgate):
    """(chains in the order of the tables, {name: why it does not run})"""
    nginx, frp, absent, fronted = find_nginx(), find_frp({}), {}, []
    haproxy = program("haproxy")
    found = {"original": frp.get(FRP_VERSIONS[0]), "repaired": frp.get(FRP_VERSIONS[1]),
             "haproxy": haproxy and Haproxy(haproxy, version_of(haproxy, "-v")),
             "rathole": find_rathole()}
    needs = {"original": f"frps and frpc {FRP_VERSIONS[0]} in PEERS_DIR or PATH",
             "repaired": f"frps and frpc {FRP_VERSIONS[1]} in PEERS_DIR or PATH",
             "haproxy": "haproxy in PATH (Debian package haproxy)",
             "rathole": "rathole in PEERS_DIR or PATH"}
    for name, tunnel in found.items():
        if not tunnel:
            absent[name] = f"no {needs[name]}"
        elif not nginx:
            absent[name] = "no nginx in PATH (Debian package nginx-light)"
        else:
            style = ORIGINAL if name == "original" else REPAIRED
            fronted.append(Fronted(name, tunnel, nginx, style))
    ours = Gateway(mlgate, version_of(mlgate, "version"))
    return [Direct(), *fronted, ours], absent


def find_proxies(mlgate):
    """The HTTP proxies without their tunnels."""
    nginx = find_nginx()
    some = [Direct(), GatewayAlone(mlgate, version_of(mlgate, "version"))]
    return some[:1] + [Nginx("repaired", nginx, REPAIRED)] + some[1:] if nginx else some


def can_run_mlnode_proxy():
    try:
        output_of([sys.executable, MLNODE_PROXY, "--check"])
        return True
    except Failed:
        return False


def find_behind_mlnode(mlgate):
    """Chains with a proxy of MLNode's kind; empty when its Python packages are not there."""
    nginx, frp = find_nginx(), find_frp({})
    some = [BehindMlnode("MLNode's proxy")]
    if nginx and FRP_VERSIONS[1] in frp:
        chain = Fronted("repaired", frp[FRP_VERSIONS[1]], nginx, REPAIRED)
        some.append(BehindMlnode("repaired", chain))
    version = version_of(mlgate, "version")
    some.append(BehindMlnode("mlgate, direct off", Gateway(mlgate, version)))
    some.append(BehindMlnode("mlgate", Gateway(mlgate, version), engines=True, proxied=False))
    return some
