"""The files of deploy/ as the programs that they are for would read them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "mlgate-server.service"
# Where systemd has them for a service of the system.
SPECIFIERS = {"%d": "/run/credentials/mlgate-server.service", "%S": "/var/lib"}


def expanded(value, variables=None):
    """${NAME:-default}, as Compose reads it."""
    if isinstance(value, dict):
        return {key: expanded(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: (variables or {}).get(m[1], m[2]), value)


def compose(name, **variables):
    import yaml

    return expanded(yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8")), variables)


def documents(name):
    import yaml

    text = (DEPLOY / "kubernetes" / name).read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def unit_settings():
    """[(name, value)] of all sections, in order."""
    pairs = []
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            pairs.append((name, value))
    return pairs


def unit_command():
    """(words, environment) of the unit's ExecStart, the program left out."""
    settings = unit_settings()
    (line,) = (value for name, value in settings if name == "ExecStart")
    for specifier, value in SPECIFIERS.items():
        line = line.replace(specifier, value)
    environment = dict(value.split("=", 1) for name, value in settings if name == "Environment")
    return shlex.split(line)[1:], environment
