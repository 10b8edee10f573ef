"""What the benches share: building what is measured, taking turns, recording, ending everything."""

import argparse
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import report
from metric import Bench
from process import Child, Failed, OtherWork, output_of, raise_file_limit, stop_all

ROOT = pathlib.Path(__file__).resolve().parent.parent
GENERATORS = ROOT / "build" / "bench"
LOAD = GENERATORS / "bench" / "load"
REPEATS, QUICK_REPEATS = 5, 3


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass(frozen=True)
class Group:
    """Measurements that share their running stacks."""

    title: str
    cells: tuple
    stacks: tuple = ()  # other ones than those of the run

    @property
    def metrics(self):
        return [metric for cell in self.cells for metric in cell.metrics]


def arguments(name, about, groups=()):
    """Of one bench; `groups` are the names of its groups, none where they cannot be chosen."""
    p = argparse.ArgumentParser(prog=f"script/bench {name}", description=about)
    p.add_argument("--quick", action="store_true", help="less data and fewer repeats")
    p.add_argument("--repeat", type=int, metavar="N",
                   help=f"repeats of each measurement ({REPEATS}; {QUICK_REPEATS} with --quick)")
    p.add_argument("--only", metavar="STACK,...", help="only these stacks (a beginning is enough)")
    if groups:
        p.add_argument("--groups", metavar="GROUP,...", default=",".join(groups),
                       help="only these groups of measurements: %(default)s")
    p.add_argument("--json", metavar="FILE", help="the numbers as JSON too")
    p.add_argument("--markdown", metavar="FILE", help="the short table as Markdown too")
    args = p.parse_args()
    args.groups = [g.strip() for g in args.groups.split(",")] if groups else []
    args.command = command_of(name, args, groups)
    for group in args.groups:
        if group not in groups:
            p.error(f"no group is named {group}")
    if args.repeat is not None and not 1 <= args.repeat <= 100:
        p.error("--repeat takes 1 to 100")
    args.repeat = args.repeat or (QUICK_REPEATS if args.quick else REPEATS)
    return args


def command_of(name, args, groups):
    """The command as somebody else would type it to get these numbers."""
    words = ["script/bench", name]
    words += ["--quick"] if args.quick else []
    words += [f"--repeat {args.repeat}"] if args.repeat else []
    words += [f"--only {args.only}"] if args.only else []
    words += [f"--groups {','.join(args.groups)}"] if args.groups != list(groups) else []
    return " ".join(words)


def release_binary():
    given = os.environ.get("MLGATE")
    if not given:
        say("building build/mlgate")
        output_of([ROOT / "script" / "build"])
        given = ROOT / "build" / "mlgate"
    binary = pathlib.Path(given).resolve()
    if not os.access(binary, os.X_OK):
        raise Failed(f"{given} is no program")
    return binary


def build_generators(*programs):
    GENERATORS.parent.mkdir(exist_ok=True)
    with open(GENERATORS.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two benches may begin at the same time
        if not (GENERATORS / "build.ninja").exists():
            say("configuring build/bench")
            output_of(["meson", "setup", GENERATORS, ROOT, "--buildtype=release", "-Dbench=true",
                       "-Dtests=false"])
        output_of(["ninja", "-C", GENERATORS, *(f"bench/{p}" for p in programs)])


class Runner:
    """Within each repeat the stacks take turns at every measurement, in an order that rotates, so
    that what else the machine does hits all of them."""

    def __init__(self, args, folder, sizes):
        self.args = args
        self.folder = folder
        self.results = report.Results()
        self.bench = Bench(str(LOAD), sizes)
        self.running = set()
        self.local = ()

    # -- for the benches to fill in

    def wait_until_up(self, stack):
        raise NotImplementedError

    # -- stacks

    def start_helper(self, name, *command):
        """A process that lives until its stdin closes."""
        child = Child(command, self.folder, name)
        child.start(stdin=-1)
        return child

    def folder_of(self, stack):
        folder = self.folder / stack.name.replace(" ", "-").replace("'", "")
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, stack):
        if stack in self.running:
            return
        stack.plan_ports()
        self.running.add(stack)
        stack.start(self.folder_of(stack), self.local)
        self.wait_until_up(stack)

    def stop(self, stack):
        stack.stop()
        self.running.discard(stack)

    # -- measurements

    def record(self, cell, stack, found):
        for metric in cell.metrics:
            if metric.key in found and (stack.children or not metric.key.endswith("_cpu")):
                self.results.add(metric, stack, found[metric.key])

    def failed(self, cell, stack, why):
        say(f"  {cell.name}, {stack.name}: FAILED: {why}")
        self.results.fail(cell.metrics, stack, str(why))
        self.stop(stack)

    def measure(self, group, cell, stack):
        try:
            if cell.fresh:
                self.stop(stack)
            self.start(stack)
            other_work = OtherWork()
            found = cell.run(self.bench, stack, **cell.options)
            self.results.others.setdefault(group, []).append(other_work.share())
        except (Failed, OSError, ValueError, KeyError) as e:
            self.failed(cell, stack, "; ".join([str(e), *stack.deaths()]))
            return
        self.record(cell, stack, found)
        self.say_found(cell, stack, found)

    def say_found(self, cell, stack, found):
        parts = ", ".join(f"{k} {v if isinstance(v, str) else report.number(v)}"
                          for k, v in found.items() if v != "")
        say(f"  {cell.name}, {stack.name}: {parts}")

    def in_turn(self, repeat, stacks):
        shift = repeat % len(stacks)
        return stacks[shift:] + stacks[:shift]

    def run_group(self, name, cells, stacks):
        for repeat in range(self.args.repeat):
            say(f"{name}, repeat {repeat + 1} of {self.args.repeat}")
            for cell in cells:
                for stack in self.in_turn(repeat, stacks):
                    if (stack.name != "direct" or cell.direct) and stack.name not in cell.skip:
                        self.measure(name, cell, stack)
            for stack in stacks:
                self.stop(stack)


def print_results(args, groups, stacks, absent, run_group, results):
    """Runs the groups and prints each one's tables when it is done; the document of the run."""
    facts = report.machine_facts() | {"repeats": args.repeat, "quick": args.quick,
                                      "command": args.command}
    print("\n".join(report.fact_lines(facts, stacks, absent)))
    print("\n".join(report.LEGEND) + "\n", flush=True)
    begun = time.monotonic()
    shown = {name: groups[name] for name in args.groups}
    for name, group in shown.items():
        some = list(group.stacks) or stacks
        started = time.monotonic()
        run_group(name, group, some)
        print("\n".join(report.group_lines(results, name, group, some)), flush=True)
        say(f"{name}: {time.monotonic() - started:.0f} s")
    facts["seconds"] = round(time.monotonic() - begun)
    facts["load_at_end"] = os.getloadavg()[0]
    facts["failed"] = results.failed()
    print(f"{facts['seconds']} s, load {facts['load_at_end']:.2f} at the end, "
          f"{facts['failed']} numbers failed")
    if args.json:
        document = report.as_json(facts, stacks, absent, shown, results)
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if args.markdown:
        text = "\n".join(report.markdown_lines(facts, stacks, absent, shown, results))
        pathlib.Path(args.markdown).write_text(text + "\n", encoding="utf-8")
    return 1 if facts["failed"] else 0


def run_bench(args, bench):
    """bench(args, folder) is the run; the exit status of the program."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored when a shell left it so
    raise_file_limit()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mlgate-bench-"))
    try:
        return bench(args, folder)
    except Failed as e:
        print(f"script/bench: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        stop_all()
        shutil.rmtree(folder, ignore_errors=True)
