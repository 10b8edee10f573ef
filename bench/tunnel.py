"""script/bench tunnel: the tunnel of mlgate and those it is measured against, side by side in one
run."""

import asyncio
import os
import sys

import measure
import recovery
import stacks as known_stacks
from metric import Cell, Metric
from process import free_ports
from runner import (GENERATORS, Group, Runner, arguments, build_generators, print_results,
                    release_binary, run_bench)

SLOW_REPEATS, QUICK_SLOW_REPEATS = 3, 1  # where the peers take minutes
FILES = Metric("files", "files to install", "MB", aim=7)
GROUPS = {
    "bulk": Group("bulk", measure.GROUPS["bulk"]),
    "exchange": Group("requests and answers", measure.GROUPS["exchange"]),
    "connect": Group("new connections", measure.GROUPS["connect"]),
    "events": Group(f"token-like streams: {measure.STREAMS} x {measure.EVENTS_PER_SECOND}/s x "
                    f"{measure.EXCHANGE_SIZE} B", measure.GROUPS["events"]),
    "memory": Group(f"memory ({measure.IDLE_CONNECTIONS} idle connections)",
                    measure.GROUPS["memory"]),
    "recovery": Group("fault to first good request (silent faults: all stacks at the same time; a "
                      "tunnel without mux has no shared connection to lose)", recovery.CELLS),
    "files": Group("files to install", (Cell("files", None, (FILES,)),)),
}
NAMES = tuple(GROUPS)


class TunnelRunner(Runner):
    def start_services(self):
        """Two, so that bulk beside the events does not pass through the same process."""
        self.local = free_ports(2)
        for port in self.local:
            self.start_helper(f"service-{port}", GENERATORS / "bench" / "service", port)

    def wait_until_up(self, stack):
        asyncio.run(recovery.wait_until_up(stack))

    def run_recovery(self, stacks):
        slow = QUICK_SLOW_REPEATS if self.args.quick else SLOW_REPEATS
        for repeat in range(self.args.repeat):
            for cell in recovery.CELLS:
                if not cell.options["slow"]:
                    for stack in self.in_turn(repeat, stacks):
                        self.recover(cell, [stack])
                elif repeat < min(slow, self.args.repeat):
                    self.recover(cell, stacks)

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

    def weigh_files(self, stacks):
        for stack in stacks:
            if stack.files:
                size = sum(os.path.getsize(f) for f in set(stack.files))
                self.results.add(FILES, stack, size / 1e6)

    def run(self, name, group, stacks):
        if name == "files":
            self.weigh_files(stacks)
        elif name == "recovery":
            self.run_recovery(stacks)
        else:
            self.run_group(name, group.cells, stacks)


def bench(args, folder):
    build_generators("load", "service")
    found, absent = known_stacks.find_stacks(release_binary())
    chosen, absent = known_stacks.choose(found, absent, args.only)
    runner = TunnelRunner(args, folder, measure.QUICK if args.quick else measure.Sizes())
    runner.start_services()
    return print_results(args, GROUPS, chosen, absent, runner.run, runner.results)


if __name__ == "__main__":
    sys.exit(run_bench(arguments("tunnel", __doc__, NAMES), bench))
