"""The measurements of a running tunnel: each is a function of a Cell's surroundings that returns
{key of a metric: number}, and a table says which metrics it gives."""

import dataclasses
import json
import time

from metric import GIB, SETTLE_SECONDS, Cell, Company, Metric
from process import Failed, cpu_seconds, memory_mib

EXCHANGE_SIZE = 200
CONNECTIONS = 64
CROWD = 300
IDLE_CONNECTIONS = 2000
STREAMS, EVENTS_PER_SECOND = 200, 40


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is moved: chosen so that a cell takes seconds, not minutes."""

    bulk_one: int = 2 * GIB
    bulk_eight: int = 4 * GIB
    round_trips: int = 20000
    exchanges: int = 100000
    connects: int = 1000
    event_seconds: int = 8


QUICK = Sizes(bulk_one=GIB // 2, bulk_eight=GIB // 2, exchanges=40000, connects=300,
              event_seconds=4)


# ---- bulk ----------------------------------------------------------------------------------------


def bulk(bench, stack, verb, streams):
    size = bench.sizes.bulk_one if streams == 1 else bench.sizes.bulk_eight
    before = cpu_seconds(stack.children)
    got = bench.ask(verb, stack.main, streams, size)
    spent = cpu_seconds(stack.children) - before
    key = f"bulk_{verb}_{streams}"
    return {f"{key}_gbit": got["bytes"] * 8 / got["seconds"] / 1e9,
            f"{key}_cpu": spent / (got["bytes"] / GIB)}


def bulk_cell(verb, streams, aim):
    name = f"{'one stream' if streams == 1 else 'eight streams'} {verb}"
    key = f"bulk_{verb}_{streams}"
    return Cell(name, bulk, (
        Metric(f"{key}_gbit", name, "Gbit/s", more_is_better=True, aim=aim),
        Metric(f"{key}_cpu", f"{name}, CPU of both ends", "s/GiB", aim=1.5)),
        {"verb": verb, "streams": streams})


# ---- exchanges -----------------------------------------------------------------------------------


def round_trip(bench, stack):
    got = bench.ask("rtt", stack.main, bench.sizes.round_trips, EXCHANGE_SIZE)
    return {"rtt_p50": got["p50_us"], "rtt_p99": got["p99_us"]}


def exchanges(bench, stack):
    before = cpu_seconds(stack.children)
    got = bench.ask("exchanges", stack.main, CONNECTIONS, bench.sizes.exchanges, EXCHANGE_SIZE)
    spent = cpu_seconds(stack.children) - before
    return {"exchange_rate": got["count"] / got["seconds"],
            "exchange_cpu": spent / got["count"] * 1e6}


# ---- connections ---------------------------------------------------------------------------------


def connects(bench, stack):
    got = bench.ask("connects", stack.main, bench.sizes.connects)
    return {"connect_p50": got["p50_us"], "connect_p99": got["p99_us"]}


def burst(bench, stack):
    got = bench.ask("burst", stack.main, CROWD)
    if got["max_us"] is None:
        raise Failed(f"none of {CROWD} connections was answered")
    return {"burst_last": got["max_us"] / 1000, "burst_failed": got["failed"]}


# ---- token-like streams --------------------------------------------------------------------------


def events(bench, stack, key):
    count = EVENTS_PER_SECOND * bench.sizes.event_seconds
    before = cpu_seconds(stack.children)
    got = bench.ask("events", stack.main, STREAMS, 1_000_000 // EVENTS_PER_SECOND, EXCHANGE_SIZE,
                    count)
    spent = cpu_seconds(stack.children) - before
    if got["p50_us"] is None:
        raise Failed("no event came through")
    return {f"{key}_p50": got["p50_us"] / 1000, f"{key}_p99": got["p99_us"] / 1000,
            f"{key}_max": got["max_us"] / 1000, f"{key}_glued": got["glued_share"] * 100,
            f"{key}_missing": got["missing"], f"{key}_cpu": spent / got["expected"] * 10000}


def events_alone(bench, stack):
    return events(bench, stack, "events")


def events_beside_upload(bench, stack):
    with Company(bench, "flood", stack.side) as flood:
        found = events(bench, stack, "upload")
    del found["upload_cpu"]
    if not flood.last:
        raise Failed(f"the upload beside it broke: {flood.words}")
    got = json.loads(flood.last)
    return found | {"upload_gbit": got["bytes"] * 8 / got["seconds"] / 1e9}


def events_beside_stalled(bench, stack):
    with Company(bench, "stall", stack.side), Company(bench, "flood", stack.side):
        found = events(bench, stack, "stalled")
    del found["stalled_cpu"]
    return found


def event_metrics(key, title, p99_aim):
    aim_of = "tunnel and gateway"
    return (Metric(f"{key}_p50", f"{title}: transit p50", "ms"),
            Metric(f"{key}_p99", f"{title}: transit p99", "ms", aim=p99_aim, aim_of=aim_of),
            Metric(f"{key}_max", f"{title}: transit max", "ms"),
            Metric(f"{key}_glued", f"{title}: glued events", "%", aim=0, aim_of=aim_of),
            Metric(f"{key}_missing", f"{title}: missing events", "", aim=0))


# ---- memory --------------------------------------------------------------------------------------


def at_rest(bench, stack):
    time.sleep(SETTLE_SECONDS)
    rss, pss = memory_mib(stack.children)
    return {"rest_rss": rss, "rest_pss": pss,
            "rest_server": memory_mib([stack.server])[0],
            "rest_client": memory_mib([stack.client])[0]}


def per_connection(bench, stack):
    """What each end holds more with idle connections open than before, shared by their number."""
    ends = {"server": [stack.server], "client": [stack.client], "both": stack.children}
    before = {end: memory_mib(children) for end, children in ends.items()}
    with Company(bench, "idle", stack.main, IDLE_CONNECTIONS) as idle:
        opened = json.loads(idle.first)
        if opened["failed"]:
            raise Failed(f"{opened['failed']} of {IDLE_CONNECTIONS} idle connections failed")
        time.sleep(SETTLE_SECONDS)
        after = {end: memory_mib(children) for end, children in ends.items()}
    per = 1024 / IDLE_CONNECTIONS
    return {f"idle_{end}": (after[end][0] - before[end][0]) * per for end in ends} | {
        "idle_pss": (after["both"][1] - before["both"][1]) * per}


# ---- the table -----------------------------------------------------------------------------------

GROUPS = {
    "bulk": (
        bulk_cell("down", 1, 7), bulk_cell("up", 1, 7),
        bulk_cell("down", 8, 8), bulk_cell("up", 8, 8)),
    "exchange": (
        Cell("round trip", round_trip, (
            Metric("rtt_p50", "200 B round trip, one connection: p50", "us", aim=130,
                   aim_of="tunnel and gateway"),
            Metric("rtt_p99", "200 B round trip, one connection: p99", "us"))),
        Cell("exchanges", exchanges, (
            Metric("exchange_rate", "64 connections: exchanges", "1/s", more_is_better=True,
                   aim=45000, aim_of="tunnel and gateway"),
            Metric("exchange_cpu", "64 connections: CPU per exchange", "us")))),
    "connect": (
        Cell("new connections", connects, (
            Metric("connect_p50", "connect to first byte: p50", "us"),
            Metric("connect_p99", "connect to first byte: p99", "us"))),
        Cell("300 at once", burst, (
            Metric("burst_last", "300 at once: last first byte", "ms"),
            Metric("burst_failed", "300 at once: failed", "", aim=0)))),
    "events": (
        Cell("events", events_alone, event_metrics("events", "alone", 0.8) + (
            Metric("events_cpu", "alone: CPU per 10,000 events", "s", aim=0.5,
                   aim_of="tunnel and gateway"),)),
        Cell("events beside an upload", events_beside_upload,
             event_metrics("upload", "beside an upload", 3) + (
                 Metric("upload_gbit", "beside an upload: the upload", "Gbit/s",
                        more_is_better=True),)),
        Cell("events beside a stalled reader", events_beside_stalled,
             event_metrics("stalled", "and a stalled reader", 3))),
    "memory": (
        Cell("at rest", at_rest, (
            Metric("rest_rss", "at rest, all processes: RSS", "MiB", aim=12),
            Metric("rest_pss", "at rest, all processes: PSS", "MiB"),
            Metric("rest_server", "at rest, server end: RSS", "MiB"),
            Metric("rest_client", "at rest, client end: RSS", "MiB")),
            fresh=True, direct=False),
        Cell("idle connections", per_connection, (
            Metric("idle_both", "per idle connection, both ends: RSS", "KiB", aim=2),
            Metric("idle_pss", "per idle connection, both ends: PSS", "KiB"),
            Metric("idle_server", "per idle connection, server end: RSS", "KiB"),
            Metric("idle_client", "per idle connection, client end: RSS", "KiB")),
            direct=False)),
}
