"""What the measurements are made of: a Metric is one row of a table, a Cell one thing done to a
running stack, a Bench what it may use for that."""

import dataclasses
import json
import subprocess

from process import Failed, output_of

LOAD_SECONDS = 130  # beyond the generator's own limit
GIB = 1 << 30
SETTLE_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Metric:
    key: str
    title: str
    unit: str
    more_is_better: bool = False
    aim: float | None = None  # at least this, or at most when less is better
    aim_of: str = ""          # where the aim is not meant for the tunnel alone
    peers: dict = dataclasses.field(default_factory=dict)  # what they reached when the aim was set
    headline: bool = False    # belongs into the short table


@dataclasses.dataclass(frozen=True)
class Cell:
    """One thing done to one stack, and what it tells."""

    name: str
    run: object
    metrics: tuple
    options: dict = dataclasses.field(default_factory=dict)
    fresh: bool = False   # needs processes that have done nothing yet
    direct: bool = True   # has a meaning without a tunnel
    skip: tuple = ()      # names of stacks that it is not done to


@dataclasses.dataclass
class Bench:
    """What a measurement may use."""

    load: str
    sizes: object

    def ask(self, verb, port, *numbers):
        text = output_of([self.load, verb, port, *numbers], timeout=LOAD_SECONDS)
        return json.loads(text.splitlines()[-1])


class Company:
    """A generator that runs until it is told to stop: it closes with its stdin."""

    def __init__(self, bench, verb, port, *numbers):
        self.popen = subprocess.Popen(
            [str(w) for w in (bench.load, verb, port, *numbers)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.first = self.popen.stdout.readline().strip()
        self.last = ""

    def __enter__(self):
        if not self.first:
            self.__exit__()
            raise Failed(f"load: {self.words or 'ended at once'}")
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.stdin.close()
        try:
            self.last = self.popen.stdout.read().strip()
            self.words = self.popen.stderr.read().strip()
            self.popen.wait(LOAD_SECONDS)
        finally:
            self.popen.kill()
            self.popen.wait()
