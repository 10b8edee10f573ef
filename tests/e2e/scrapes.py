"""Reading what a metrics page says, with Prometheus' own parser and checker where they are here."""

import http.client
import re
import shutil
import subprocess

import pytest
from harness import Failure, eventually
from lab import within


def parser():
    return pytest.importorskip(
        "prometheus_client.parser", reason="skipped (no python3-prometheus-client)"
    )


class Scrape:
    """One answer of /metrics. `types`: {family as it stands: type}."""

    def __init__(self, text):
        self.text = text
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        self.samples = {}
        for family in parser().text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                if key in self.samples:
                    raise Failure(f"two samples are one series: {key}")
                self.samples[key] = sample.value

    def get(self, name, /, **labels):
        """None when there is no such series."""
        return self.samples.get((name, frozenset(labels.items())))

    def all(self, name, /, **labels):
        """{labels: value} of the series that have these labels and maybe others."""
        wanted = labels.items()
        return {
            key: value
            for (each, key), value in self.samples.items()
            if each == name and wanted <= dict(key).items()
        }

    def sum(self, name, /, **labels):
        return sum(self.all(name, **labels).values())

    def counters(self):
        """What may only grow: counters, and all of a histogram."""
        grows = {name for name, kind in self.types.items() if kind == "counter"}
        grows |= {
            name + suffix
            for name, kind in self.types.items()
            if kind == "histogram"
            for suffix in ("_bucket", "_sum", "_count")
        }
        return {key: value for key, value in self.samples.items() if key[0] in grows}


def ask(port, path="/metrics", method="GET"):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=within(10))
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def scrape(port):
    status, headers, body = ask(port)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(body.decode("ascii"))


def until(port, what, condition, seconds=5):
    """The first scrape of which the condition is true."""

    def look():
        seen = scrape(port)
        return seen if condition(seen) else None

    return eventually(look, within(seconds), what)


def promtool(*words, text=None):
    """Its verdict: "" when it has nothing to say."""
    if shutil.which("promtool") is None:
        pytest.skip("skipped (no promtool)")
    done = subprocess.run(
        ["promtool", *map(str, words)], input=text, capture_output=True, text=True, timeout=30
    )
    return "" if done.returncode == 0 and not done.stderr else done.stdout + done.stderr
