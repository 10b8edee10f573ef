"""Tests that play in namespaces of their own: a function of a test file, run as a program."""

import os
import subprocess
import sys

INSIDE = "E2E_INSIDE_NAMESPACE"


def works(prefix, trial):
    """Whether what the scene needs is allowed here."""
    done = subprocess.run([*prefix, "sh", "-c", trial], capture_output=True, timeout=20)
    return done.returncode == 0


def run_inside(prefix, file, *words):
    """Runs `file` with these words behind `prefix`, which makes the namespaces."""
    argv = [*prefix, sys.executable, "-B", file, *map(str, words)]
    done = subprocess.run(
        argv, env={**os.environ, INSIDE: "1"}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def is_inside():
    return INSIDE in os.environ
