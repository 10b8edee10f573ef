"""The tunnels that are compared. Each brings two ports of a service to two ports for users; `via`
puts something between the two ends of the tunnel."""

import os
import pathlib
import re
import shutil

from process import Child, Failed, free_ports, output_of

TOKEN = "bench"
FRP_VERSIONS = ("0.65.0", "0.70.1")

FRPS_INI = """[common]
bind_addr = 127.0.0.1
bind_port = {bind}
proxy_bind_addr = 127.0.0.1
token = {token}
log_level = warn
"""

FRPC_INI = """[common]
server_addr = 127.0.0.1
server_port = {server}
token = {token}
tls_enable = true
log_level = warn
login_fail_exit = false

[main]
type = tcp
local_ip = 127.0.0.1
local_port = {local_main}
remote_port = {main}

[side]
type = tcp
local_ip = 127.0.0.1
local_port = {local_side}
remote_port = {side}
"""

HAPROXY = """defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
"""


def haproxy_listen(name, port, to, bind_options="", server_options=""):
    return (f"listen {name}\n    bind 127.0.0.1:{port} {bind_options}\n"
            f"    server next 127.0.0.1:{to} {server_options}\n")


class Stack:
    """What the measurements know of a tunnel. `server` is the end that users reach, `client` the
    end beside the service; both None where there is no tunnel."""

    name = ""
    version = ""
    files = ()  # what has to be installed

    def __init__(self):
        self.server = None
        self.client = None
        self.main = None
        self.side = None

    @property
    def children(self):
        return [c for c in (self.server, self.client) if c]

    def plan_ports(self):
        """Chooses the ports of this run; what `via` needs to know is in self.link then."""
        self.main, self.side, self.link = free_ports(3)

    def start(self, folder, local, via=None):
        """`local` are the two ports of the service; `via` replaces self.link for the client."""
        raise NotImplementedError

    def stop(self):
        for child in reversed(self.children):
            child.stop()
        self.server = self.client = None

    def deaths(self):
        """Who ended without being asked to, in words."""
        return [f"{c.name} ended with status {c.popen.returncode}: {c.tail()}"
                for c in self.children if c.popen and c.popen.poll() is not None]

    def log_tail(self):
        return "; ".join(f"{c.name}: {c.tail()}" for c in self.children) or "no process"


class Direct(Stack):
    name = "direct"

    def start(self, folder, local, via=None):
        self.main, self.side = local


class Frp(Stack):
    """frps and frpc with their defaults: TLS and mux on."""

    def __init__(self, frps, frpc, version):
        super().__init__()
        self.name = f"frp {version}"
        self.version = version
        self.files = (frps, frpc)
        self.commands = ([frps, "-c", "frps.ini"], [frpc, "-c", "frpc.ini"])

    def start(self, folder, local, via=None):
        values = {"bind": self.link, "server": via or self.link, "token": TOKEN,
                  "main": self.main, "side": self.side,
                  "local_main": local[0], "local_side": local[1]}
        (folder / "frps.ini").write_text(FRPS_INI.format(**values))
        (folder / "frpc.ini").write_text(FRPC_INI.format(**values))
        self.folder = folder
        self.server = Child(self.commands[0], folder, "server")
        self.client = Child(self.commands[1], folder, "client")
        self.server.start()
        self.client.start()

    def forget_run_id(self):
        """As if the disk of the client were lost. frpc keeps nothing on it."""


class Mlgate(Frp):
    """Both ends of mlgate on the same two files."""

    def __init__(self, binary, version):
        super().__init__(binary, binary, version)
        self.name = "mlgate"
        self.files = (binary,)
        self.commands = ([binary, "server", "-c", "frps.ini"], [binary, "client", "-c", "frpc.ini"])

    def forget_run_id(self):
        (self.folder / "frpc.ini.run_id").unlink(missing_ok=True)


class Haproxy(Stack):
    """TCP from the user, TLS between two haproxies, TCP to the service. No mux: each connection of
    a user has its own through the tunnel."""

    name = "haproxy"

    def __init__(self, binary, version):
        super().__init__()
        self.version = version
        self.files = (binary,)

    def plan_ports(self):
        self.main, self.side, self.link, self.link_side = free_ports(4)

    def start(self, folder, local, via=None):
        certificate(folder)
        tls = {"server_options": "ssl verify none"}
        (folder / "server.cfg").write_text(
            HAPROXY + haproxy_listen("main", self.main, via or self.link, **tls)
            + haproxy_listen("side", self.side, self.link_side, **tls))
        tls = {"bind_options": "ssl crt both.pem"}
        (folder / "client.cfg").write_text(
            HAPROXY + haproxy_listen("main", self.link, local[0], **tls)
            + haproxy_listen("side", self.link_side, local[1], **tls))
        self.server = Child([self.files[0], "-db", "-f", "server.cfg"], folder, "server")
        self.client = Child([self.files[0], "-db", "-f", "client.cfg"], folder, "client")
        self.server.start()
        self.client.start()

    def forget_run_id(self):
        pass


def certificate(folder):
    """key.pem, cert.pem and both.pem for localhost."""
    if (folder / "both.pem").exists():
        return
    output_of(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem",
               "-out", "cert.pem"], cwd=folder)
    (folder / "both.pem").write_text((folder / "cert.pem").read_text()
                                     + (folder / "key.pem").read_text())


# ---- finding them --------------------------------------------------------------------------------


def version_of(*command):
    match = re.search(r"\d+\.\d+[-+.\w]*", output_of(command))
    return match.group() if match else "?"


def frp_folders():
    """Folders that may hold frps and frpc: PEERS_DIR and its sub-folders, then PATH."""
    peers = os.environ.get("PEERS_DIR")
    if peers:
        yield pathlib.Path(peers)
        yield from sorted(p for p in pathlib.Path(peers).iterdir() if p.is_dir())
    found = shutil.which("frps")
    if found:
        yield pathlib.Path(found).parent


def find_frp(absent):
    """version → stack"""
    stacks = {}
    for folder in frp_folders():
        frps, frpc = folder / "frps", folder / "frpc"
        if not (os.access(frps, os.X_OK) and os.access(frpc, os.X_OK)):
            continue
        try:
            version = version_of(frps, "--version")
        except Failed as e:
            absent[f"frp in {folder.name}"] = str(e)
            continue
        stacks.setdefault(version, Frp(frps, frpc, version))
    return stacks


def find_stacks(mlgate):
    """(stacks in the order of the tables, {name: why it does not run})"""
    stacks, absent = [Direct()], {}
    frp = find_frp(absent)
    for version in FRP_VERSIONS:
        if version not in frp:
            absent[f"frp {version}"] = "no frps and frpc of this version in PEERS_DIR or PATH"
    stacks += [frp[v] for v in sorted(frp)]
    haproxy = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if haproxy:
        stacks.append(Haproxy(pathlib.Path(haproxy), version_of(haproxy, "-v")))
    else:
        absent["haproxy"] = "not in PATH (Debian package haproxy)"
    absent["rathole"] = "only with HTTP: script/bench gateway"
    stacks.append(Mlgate(mlgate, version_of(mlgate, "version")))
    return stacks, absent


def choose(stacks, absent, only, others=()):
    """Those of `only` (names, or their beginnings: frp, mlgate), or all. `others` are names that
    may be meant too."""
    if not only:
        return stacks, absent
    words = [w.strip() for w in only.split(",") if w.strip()]
    names = [s.name for s in stacks] + list(absent) + list(others)
    for word in words:
        if not any(name.startswith(word) for name in names):
            raise Failed(f"--only: no stack is named {word} (there are: {', '.join(names)})")

    def wanted(name):
        return name.startswith(tuple(words))

    return ([s for s in stacks if wanted(s.name)],
            {name: why for name, why in absent.items() if wanted(name)})
