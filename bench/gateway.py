"""script/bench gateway: tunnel and gateway of mlgate and the chains of tunnel and proxy they are
measured against, side by side in one run."""

import http.client
import sys
import time

import web
import web_stacks
from process import Failed, free_ports
from runner import (GENERATORS, Group, Runner, arguments, build_generators, print_results,
                    release_binary, run_bench)
from stacks import choose

START_SECONDS = 25  # an mlgate that goes to the engines looks for them first
LOOK_SECONDS = 0.05
NAMES = ("requests", "streams", "company", "memory", "leave", "bulk", "many", "engines", "alone")


class GatewayRunner(Runner):
    def start_engines(self):
        """Two, so that bulk beside the streams does not pass through the same process."""
        self.local = free_ports(2)
        for port in self.local:
            self.start_helper(f"engine-{port}", GENERATORS / "bench" / "engine", port)

    def wait_until_up(self, stack):
        limit = time.monotonic() + START_SECONDS
        wanted = b'"proxied":' + (b"true" if getattr(stack, "proxied", False) else b"false")
        while True:
            try:
                for port, path in ((stack.main, "/v1/ping"), (stack.side, "/api/v1/ping")):
                    answer = get(port, path)
                    if path == "/v1/ping" and wanted not in answer:
                        raise Failed(f"{path} answers {answer}")
                return
            except (OSError, http.client.HTTPException, Failed) as e:
                for child in stack.children:
                    child.check()
                if time.monotonic() > limit:
                    raise Failed(f"did not start: {e or type(e).__name__}; "
                                 f"{stack.log_tail()}") from e
            time.sleep(LOOK_SECONDS)

    def run(self, name, group, stacks):
        self.run_group(name, group.cells, stacks)


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Failed(f"{path} answers status {answer.status}")
        return text
    finally:
        connection.close()


def groups_of(runner, proxies, behind):
    def engine():
        return runner.local[0]

    return {
        "requests": Group("requests and answers", web.request_cells()),
        "streams": Group(f"streams of events of {web.EVENT_SIZE} B", web.stream_cells()),
        "company": Group(f"{web.FEW_STREAMS} streams x 40/s in company", web.company_cells()),
        "memory": Group(f"memory ({web.IDLE_STREAMS} silent streams; the original holds "
                        f"{web.OF_ORIGINAL})", web.memory_cells()),
        "leave": Group("a reader leaves", web.leave_cells(engine)),
        "bulk": Group("bulk", web.bulk_cells()),
        "many": Group("5,000 streams at once (the original cannot)", web.many_cells()),
        "engines": Group("with a proxy of MLNode's kind before the engine; mlgate goes past it",
                         web.behind_mlnode_cells(), tuple(behind)),
        "alone": Group("the proxies without a tunnel", web.alone_cells(), tuple(proxies)),
    }


def bench(args, folder):
    build_generators("load", "engine")
    binary = release_binary()
    found, absent = web_stacks.find_chains(binary)
    behind, proxies = web_stacks.find_behind_mlnode(binary), web_stacks.find_proxies(binary)
    chosen, absent = choose(found, absent, args.only, [s.name for s in behind])
    if args.only:
        behind, proxies = only_named(behind, args.only), only_named(proxies, args.only)
    if not web_stacks.can_run_mlnode_proxy():
        absent["engines"] = "no uvicorn and httpx (Debian packages python3-uvicorn, python3-httpx)"
        behind = []
    runner = GatewayRunner(args, folder, web.QUICK if args.quick else web.Sizes())
    groups = groups_of(runner, proxies, behind)
    args.groups = [g for g in args.groups if g not in ("engines", "alone") or groups[g].stacks]
    runner.start_engines()
    return print_results(args, groups, chosen, absent, runner.run, runner.results)


def only_named(stacks, only):
    words = tuple(w.strip() for w in only.split(",") if w.strip())
    return [s for s in stacks if s.name.startswith(words)]


if __name__ == "__main__":
    sys.exit(run_bench(arguments("gateway", __doc__, NAMES), bench))
