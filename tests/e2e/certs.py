"""Certificates for the tests, made with the openssl program."""

import subprocess

CONFIG = """
[req]
distinguished_name = name
prompt = no
x509_extensions = {kind}
[name]
CN = {common_name}
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = {names}
"""

NAMES = "DNS:localhost, DNS:node.example, IP:127.0.0.1"


class Certificate:
    def __init__(self, directory, label):
        self.cert = directory / f"{label}.pem"
        self.key = directory / f"{label}.key"


class Certificates:
    """Two authorities that know nothing of each other, and a server and a client of each."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = self._make("ca", "ca")
        self.server = self._make("server", "leaf", self.ca)
        self.client = self._make("client", "leaf", self.ca)
        self.misnamed = self._make("misnamed", "leaf", self.ca, "DNS:elsewhere.example")
        self.other_ca = self._make("other-ca", "ca")
        self.other_server = self._make("other-server", "leaf", self.other_ca)
        self.other_client = self._make("other-client", "leaf", self.other_ca)

    def _make(self, label, kind, issuer=None, names=NAMES):
        made = Certificate(self.directory, label)
        config = self.directory / f"{label}.cnf"
        config.write_text(CONFIG.format(kind=kind, common_name=label, names=names))
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7", "-config", config,
                "-keyout", made.key, "-out", made.cert]
        if issuer is not None:
            argv += ["-CA", issuer.cert, "-CAkey", issuer.key]
        subprocess.run(argv, check=True, capture_output=True, timeout=30)
        return made
