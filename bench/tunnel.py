"""script/bench tunnel: the tunnel of mlgate and those it is measured against, side by side in one
run. Within each repeat the stacks take turns at every measurement, in an order that rotates, so
that what else the machine does hits all of them."""

import argparse
import asyncio
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import measure
import recovery
import report
import stacks as known_stacks
from process import (Child, Failed, OtherWork, free_ports, output_of, raise_file_limit,
                     stop_all)

ROOT = pathlib.Path(__file__).resolve().parent.parent
GENERATORS = ROOT / "build" / "bench"
REPEATS, QUICK_REPEATS = 5, 3
SLOW_REPEATS, QUICK_SLOW_REPEATS = 3, 1  # where the peers take minutes
GROUP_TITLES = {
    "bulk": "bulk", "exchange": "requests and answers", "connect": "new connections",
    "events": f"token-like streams: {measure.STREAMS} x {measure.EVENTS_PER_SECOND}/s x "
              f"{measure.EXCHANGE_SIZE} B",
    "memory": f"memory ({measure.IDLE_CONNECTIONS} idle connections)",
    "recovery": "fault to first good request (silent faults: all stacks at the same time; a tunnel "
                "without mux has no shared connection to lose)",
    "files": "files to install",
}
FILES = measure.Metric("files", "files to install", "MB", aim=7)


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(prog="script/bench tunnel", description=__doc__)
    p.add_argument("--quick", action="store_true", help="less data and fewer repeats")
    p.add_argument("--repeat", type=int, metavar="N",
                   help=f"repeats of each measurement ({REPEATS}; {QUICK_REPEATS} with --quick)")
    p.add_argument("--only", metavar="STACK,...", help="only these stacks (a beginning is enough)")
    p.add_argument("--groups", metavar="GROUP,...", default=",".join(GROUP_TITLES),
                   help="only these groups of measurements: %(default)s")
    p.add_argument("--json", metavar="FILE", help="the numbers as JSON too")
    args = p.parse_args()
    args.groups = [g.strip() for g in args.groups.split(",")]
    for group in args.groups:
        if group not in GROUP_TITLES:
            p.error(f"no group is named {group}")
    if args.repeat is not None and not 1 <= args.repeat <= 100:
        p.error("--repeat takes 1 to 100")
    return args


# ---- what is measured and with what ---------------------------------------------------------------


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


def build_generators():
    if not (GENERATORS / "build.ninja").exists():
        say("configuring build/bench")
        output_of(["meson", "setup", GENERATORS, ROOT, "--buildtype=release", "-Dbench=true",
                   "-Dtests=false"])
    output_of(["ninja", "-C", GENERATORS, "bench/load", "bench/service"])


class Runner:
    def __init__(self, args, chosen, folder):
        self.args = args
        self.stacks = chosen
        self.folder = folder
        self.results = report.Results()
        self.bench = measure.Bench(str(GENERATORS / "bench" / "load"),
                                   measure.QUICK if args.quick else measure.Sizes())
        self.running = set()
        self.services = []

    # -- services and stacks

    def start_services(self):
        """Two, so that bulk beside the events does not pass through the same process."""
        self.local = free_ports(2)
        for port in self.local:
            service = Child([GENERATORS / "bench" / "service", port], self.folder, f"service-{port}")
            service.start(stdin=subprocess.PIPE)
            self.services.append(service)

    def folder_of(self, stack):
        folder = self.folder / stack.name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, stack):
        if stack in self.running:
            return
        stack.plan_ports()
        self.running.add(stack)
        stack.start(self.folder_of(stack), self.local)
        asyncio.run(recovery.wait_until_up(stack))

    def stop(self, stack):
        stack.stop()
        self.running.discard(stack)

    def stop_stacks(self):
        for stack in self.stacks:
            self.stop(stack)

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
        parts = ", ".join(f"{k} {report.number(v)}" for k, v in found.items())
        say(f"  {cell.name}, {stack.name}: {parts}")

    def in_turn(self, repeat):
        shift = repeat % len(self.stacks)
        return self.stacks[shift:] + self.stacks[:shift]

    def run_group(self, name, cells):
        for repeat in range(self.args.repeat):
            say(f"{name}, repeat {repeat + 1} of {self.args.repeat}")
            for cell in cells:
                for stack in self.in_turn(repeat):
                    if stack.children or stack.name != "direct" or cell.direct:
                        self.measure(name, cell, stack)
            self.stop_stacks()

    def run_recovery(self):
        slow = QUICK_SLOW_REPEATS if self.args.quick else SLOW_REPEATS
        for repeat in range(self.args.repeat):
            for cell in recovery.CELLS:
                if not cell.options["slow"]:
                    for stack in self.in_turn(repeat):
                        self.recover(cell, [stack])
                elif repeat < min(slow, self.args.repeat):
                    self.recover(cell, self.stacks)

    def recover(self, cell, some):
        some = [s for s in some if s.name != "direct"]
        found = asyncio.run(recovery.recover_all(some, self.folder_of, self.local, cell.run))
        for stack, value in zip(some, found):
            if isinstance(value, Exception):
                self.failed(cell, stack, value)
            else:
                result = {cell.metrics[0].key: value}
                self.record(cell, stack, result)
                self.say_found(cell, stack, result)

    def weigh_files(self):
        for stack in self.stacks:
            if stack.files:
                size = sum(os.path.getsize(f) for f in set(stack.files))
                self.results.add(FILES, stack, size / 1e6)

    def run(self, group):
        if group == "files":
            self.weigh_files()
        elif group == "recovery":
            self.run_recovery()
        else:
            self.run_group(group, measure.GROUPS[group])


def metrics_of(group):
    if group == "files":
        return [FILES]
    cells = recovery.CELLS if group == "recovery" else measure.GROUPS[group]
    return [metric for cell in cells for metric in cell.metrics]


def run_all(args, chosen, absent, folder):
    runner = Runner(args, chosen, folder)
    facts = report.machine_facts() | {"repeats": args.repeat, "quick": args.quick}
    print("\n".join(report.fact_lines(facts, chosen, absent)))
    print("\n".join(report.LEGEND) + "\n", flush=True)
    runner.start_services()
    begun = time.monotonic()
    for group in args.groups:
        runner.run(group)
        lines = report.group_lines(runner.results, group, GROUP_TITLES[group], metrics_of(group),
                                   chosen)
        print("\n".join(lines), flush=True)
    facts["seconds"] = round(time.monotonic() - begun)
    facts["load_at_end"] = os.getloadavg()[0]
    facts["failed"] = runner.results.failed()
    print(f"{facts['seconds']} s, load {facts['load_at_end']:.2f} at the end, "
          f"{facts['failed']} numbers failed")
    groups = {group: metrics_of(group) for group in args.groups}
    return report.as_json(facts, chosen, absent, groups, runner.results)


def main():
    args = arguments()
    args.repeat = args.repeat or (QUICK_REPEATS if args.quick else REPEATS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_file_limit()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mlgate-bench-"))
    try:
        build_generators()
        found, absent = known_stacks.find_stacks(release_binary())
        chosen, absent = known_stacks.choose(found, absent, args.only)
        document = run_all(args, chosen, absent, folder)
        if args.json:
            pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
        return 1 if document["facts"]["failed"] else 0
    except Failed as e:
        print(f"script/bench: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        stop_all()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
