"""The measurements of a running chain of tunnel and gateway, in the same form as measure.py."""

import dataclasses
import json
import time

from metric import GIB, SETTLE_SECONDS, Cell, Company, Metric
from process import Failed, cpu_seconds, memory_mib

CONNECTIONS = 64
BODY = 2048
EVENT_SIZE = 200
IDLE_STREAMS = 1000
MANY_STREAMS = 5000
FEW_STREAMS = 32      # beside an upload
OF_ORIGINAL = 200     # streams that the original can hold at all

# One event in a thousand: the generator itself, kept from its core, reads that many together.
GLUED = {"aim": 0.1}

PEERS = ("original", "repaired", "haproxy", "rathole")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is moved: chosen so that a cell takes seconds, not minutes."""

    request_ms: int = 3000
    first: int = 300
    first_ms: int = 4000
    stream_seconds: int = 6
    leaves: int = 100
    leave_ms: int = 5000
    bulk: int = 2 * GIB
    flood: int = GIB


QUICK = Sizes(request_ms=1500, first=100, first_ms=2000, stream_seconds=3, leaves=40, leave_ms=2000,
              bulk=GIB // 2)


def reached(*values):
    """What the peers reached when the aims were set (None: not measured)."""
    return {name: value for name, value in zip(PEERS, values) if value is not None}


# ---- requests ------------------------------------------------------------------------------------


def requests(bench, stack, key, connections, body=0):
    before = cpu_seconds(stack.children)
    got = bench.ask("http-requests", stack.main, connections, bench.sizes.request_ms, body)
    spent = cpu_seconds(stack.children) - before
    if got["failed"]:
        raise Failed(f"{got['failed']} requests failed (last status {got['status']})")
    # the warm-up costs too and does not count as answers
    whole = got["count"] / got["seconds"] * bench.sizes.request_ms / 1000
    return {f"{key}_rate": got["count"] / got["seconds"], f"{key}_p50": got["p50_us"] / 1000,
            f"{key}_p99": got["p99_us"] / 1000, f"{key}_cpu": spent / whole * 10000}


def requests_cell(key, title, connections, body=0, rate=None, p50=None, cpu=None):
    rate, p50, cpu = rate or {}, p50 or {}, cpu or {}
    metrics = (Metric(f"{key}_rate", f"{title}: requests", "1/s", more_is_better=True, **rate),
               Metric(f"{key}_p50", f"{title}: p50", "ms", **p50),
               Metric(f"{key}_p99", f"{title}: p99", "ms"),
               Metric(f"{key}_cpu", f"{title}: CPU per 10,000", "s", **cpu))
    return Cell(title, requests, metrics,
                {"key": key, "connections": connections, "body": body})


# ---- streams -------------------------------------------------------------------------------------


def streams(bench, stack, key, count, rate, ramp):
    """`count` streams of `rate` events a second, begun evenly over `ramp` seconds. The transit is
    that of events that were due when all streams were open, as long as that happened."""
    events = rate * (bench.sizes.stream_seconds + ramp)
    before = cpu_seconds(stack.children)
    got = bench.ask("http-streams", stack.main, count, events, 1_000_000 // rate, EVENT_SIZE,
                    ramp * 1_000_000 // count)
    spent = cpu_seconds(stack.children) - before
    if got["p50_us"] is None:
        raise Failed(f"no event came through: {got['why']}")
    transit = "steady_" if got["steady"] else ""
    return {f"{key}_p50": got[transit + "p50_us"] / 1000,
            f"{key}_p99": got[transit + "p99_us"] / 1000,
            f"{key}_max": got[transit + "max_us"] / 1000,
            f"{key}_opening": got["p99_us"] / 1000,
            f"{key}_glued": got["glued_share"] * 100,
            f"{key}_failed": got["failed_streams"], f"{key}_disorder": got["disorder"],
            f"{key}_first_p50": got["first_p50_us"] / 1000,
            f"{key}_first_p99": got["first_p99_us"] / 1000,
            f"{key}_first_max": got["first_max_us"] / 1000,
            f"{key}_cpu": spent / got["expected"] * 10000,
            f"{key}_source_late": got["source_late_p99_us"] / 1000,
            f"{key}_begin_late": got["begin_late_p99_us"] / 1000,
            f"{key}_turn": got["turn_p99_us"] / 1000,
            f"{key}_own": got["own_cpu_share"] * 100,
            "why": got["why"]}


def stream_metrics(key, title, p99=None, failed=None, glued_headline=False):
    """p99 and failed are what else is known of these two metrics."""
    return (
        Metric(f"{key}_p50", f"{title}: transit p50", "ms"),
        Metric(f"{key}_p99", f"{title}: transit p99", "ms", **(p99 or {})),
        Metric(f"{key}_max", f"{title}: transit max", "ms"),
        Metric(f"{key}_opening", f"{title}: transit p99, while they open too", "ms"),
        Metric(f"{key}_glued", f"{title}: glued events", "%", **GLUED, headline=glued_headline),
        Metric(f"{key}_failed", f"{title}: failed streams", "", **(failed or {"aim": 0})),
        Metric(f"{key}_disorder", f"{title}: lost or reordered events", "", aim=0))


def first_metrics(key, title, headline=False):
    return (Metric(f"{key}_first_p50", f"{title}: first event p50", "ms"),
            Metric(f"{key}_first_p99", f"{title}: first event p99", "ms", headline=headline),
            Metric(f"{key}_first_max", f"{title}: first event max", "ms"))


def aside_metrics(key, title):
    """About the bench itself: where these are large, its numbers are not the chain's."""
    return (Metric(f"{key}_source_late", f"generator: {title}: events written late, p99", "ms"),
            Metric(f"{key}_begin_late", f"generator: {title}: streams begun late, p99", "ms"),
            Metric(f"{key}_turn", f"generator: {title}: turn of its loop, p99", "ms"),
            Metric(f"{key}_own", f"generator: {title}: of one core", "%"))


def first(bench, stack):
    got = bench.ask("http-first", stack.main, bench.sizes.first, bench.sizes.first_ms)
    if got["failed"] or got["p50_us"] is None:
        raise Failed(f"{got['failed']} streams without a first event")
    return {"one_first_p50": got["p50_us"] / 1000, "one_first_p99": got["p99_us"] / 1000,
            "one_first_max": got["max_us"] / 1000}


# ---- streams in company --------------------------------------------------------------------------


def beside_upload(bench, stack, key):
    with Company(bench, "http-flood", stack.side, bench.sizes.flood) as flood:
        found = streams(bench, stack, key, FEW_STREAMS, 40, 0)
    if not flood.last:
        raise Failed(f"the upload beside it broke: {flood.words}")
    got = json.loads(flood.last)
    return found | {f"{key}_gbit": got["bytes"] * 8 / got["seconds"] / 1e9}


def beside_stalled(bench, stack, key):
    with Company(bench, "http-stall", stack.main):
        return beside_upload(bench, stack, key)


# ---- memory --------------------------------------------------------------------------------------


def roles(stack):
    return {"server": stack.server, "client": stack.client,
            "nginx": getattr(stack, "front", None)}


def rss_of(stack):
    found = {role: memory_mib([child])[0] for role, child in roles(stack).items() if child}
    return found | {"all": sum(found.values()), "pss": memory_mib(stack.children)[1]}


def at_rest(bench, stack):
    time.sleep(SETTLE_SECONDS)
    return {f"rest_{role}": mib for role, mib in rss_of(stack).items()}


def idle_streams(bench, stack):
    """What each process holds more with silent streams open than before, shared by their number."""
    # the original keeps an event back that does not fill its buffer
    wanted, size = (OF_ORIGINAL, 8000) if stack.name == "original" else (IDLE_STREAMS, EVENT_SIZE)
    before = rss_of(stack)
    with Company(bench, "http-hold", stack.main, wanted, size) as hold:
        opened = json.loads(hold.first)
        if opened["failed"]:
            raise Failed(f"{opened['failed']} of {wanted} silent streams: {opened['why']}")
        time.sleep(SETTLE_SECONDS)
        after = rss_of(stack)
    return {f"idle_{role}": (after[role] - before[role]) * 1024 / wanted for role in before}


def memory_metrics(key, title, unit, **known):
    return (Metric(f"{key}_all", f"{title}, all processes: RSS", unit, headline=True, **known),
            Metric(f"{key}_pss", f"{title}, all processes: PSS", unit),
            *(Metric(f"{key}_{role}", f"{title}, {what}: RSS", unit) for role, what in (
                ("server", "server end"), ("client", "client end"), ("nginx", "nginx"))))


# ---- the rest ------------------------------------------------------------------------------------


def leave(bench, stack, engine):
    got = bench.ask("http-leave", stack.main, bench.sizes.leaves, bench.sizes.leave_ms, engine())
    if got["p50_us"] is None or got["failed"]:
        raise Failed(f"the engine did not see {got['failed']} of the readers leave")
    return {"leave_p50": got["p50_us"] / 1000, "leave_p99": got["p99_us"] / 1000}


def bulk(bench, stack, verb):
    before = cpu_seconds(stack.children)
    got = bench.ask(f"http-{verb}", stack.main, bench.sizes.bulk)
    spent = cpu_seconds(stack.children) - before
    return {f"bulk_{verb}_gbit": got["bytes"] * 8 / got["seconds"] / 1e9,
            f"bulk_{verb}_cpu": spent / (got["bytes"] / GIB)}


def bulk_cell(verb, title):
    return Cell(title, bulk, (
        Metric(f"bulk_{verb}_gbit", title, "Gbit/s", more_is_better=True, aim=7,
               peers=reached(3.5, 3.0, 6.9, 5.0)),
        Metric(f"bulk_{verb}_cpu", f"{title}: CPU per GiB", "s", aim=1.5, headline=True,
               peers=reached(3.5, 3.8, 1.7, 2.4))), {"verb": verb})


# ---- the tables ----------------------------------------------------------------------------------


def request_cells():
    return (
        requests_cell("get64", f"{CONNECTIONS} connections", CONNECTIONS,
                      rate={"aim": 45000, "headline": True,
                            "peers": reached(7900, 15100, 30200, 26500)},
                      cpu={"headline": True}),
        requests_cell("get1", "one connection", 1,
                      p50={"aim": 0.13, "headline": True,
                           "peers": reached(0.29, 0.22, 0.16, 0.15)}),
        requests_cell("post64", f"{CONNECTIONS} connections, {BODY // 1024} KiB body", CONNECTIONS,
                      BODY, rate={"headline": True}),
        requests_cell("post1", f"one connection, {BODY // 1024} KiB body", 1, BODY))


def stream_cells():
    return (
        Cell("first event", first, first_metrics("one", "one stream at a time", headline=True)),
        Cell("1 stream", streams, stream_metrics("s1", "1 x 40/s")[:3],
             {"key": "s1", "count": 1, "rate": 40, "ramp": 0}),
        Cell("200 streams", streams,
             stream_metrics("s200", "200 x 40/s",
                            {"aim": 0.8, "headline": True,
                             "peers": reached(525, 1.7, 1.2, 1.7)},
                            glued_headline=True)
             + first_metrics("s200", "200 x 40/s", headline=True)
             + aside_metrics("s200", "200 x 40/s"),
             {"key": "s200", "count": 200, "rate": 40, "ramp": 1}),
        Cell("1,000 streams", streams,
             stream_metrics("s1000", "1,000 x 10/s",
                            {"aim": 0.6, "headline": True,
                             "peers": reached(400, 7.6, 2.6, 1.9)},
                            failed={"aim": 0, "headline": True})
             + first_metrics("s1000", "1,000 x 10/s", headline=True)
             + (Metric("s1000_cpu", "1,000 x 10/s: CPU per 10,000 events", "s", aim=0.5,
                       headline=True, peers=reached(0.92, 1.19, 0.94, 0.89)),)
             + aside_metrics("s1000", "1,000 x 10/s"),
             {"key": "s1000", "count": 1000, "rate": 10, "ramp": 2}))


def many_cells():
    title = "5,000 x 2/s"
    return (Cell("5,000 streams", streams,
                 stream_metrics("s5000", title, {"headline": True},
                                failed={"aim": 0, "headline": True})
                 + first_metrics("s5000", title) + aside_metrics("s5000", title),
                 {"key": "s5000", "count": MANY_STREAMS, "rate": 2, "ramp": 5},
                 skip=("original",)),)


def company_cells():
    def metrics(key, title, peers):
        return stream_metrics(key, title, {"aim": 3, "headline": True, "peers": peers}) + (
            Metric(f"{key}_gbit", f"{title}: the upload", "Gbit/s", more_is_better=True),
            ) + aside_metrics(key, title)

    return (
        Cell("beside an upload", beside_upload,
             metrics("upload", "beside an upload", reached(525, 12.6, 15.5, 12.0)),
             {"key": "upload"}),
        Cell("and a stalled reader", beside_stalled,
             metrics("stalled", "and a stalled reader", reached(528, 41.8, 10.4, 14.1)),
             {"key": "stalled"}))


def memory_cells():
    return (
        Cell("at rest", at_rest, memory_metrics(
            "rest", "at rest", "MiB", aim=12, peers=reached(55, 68, 64, 52)),
            fresh=True, direct=False),
        Cell("silent streams", idle_streams, memory_metrics(
            "idle", "per silent stream", "KiB", aim=2, peers=reached(72, 75, 63, 80)),
            direct=False))


def leave_cells(engine):
    # the peers' numbers were taken with an engine that needed 0.45 ms by itself, this one 0.05
    return (Cell("reader leaves", leave, (
        Metric("leave_p50", "reader leaves, engine sees it: p50", "ms", aim=0.65, headline=True,
               peers=reached(0.87, 0.83, 0.77, 0.73)),
        Metric("leave_p99", "reader leaves, engine sees it: p99", "ms")), {"engine": engine}),)


def bulk_cells():
    return (bulk_cell("down", "answer of one stream"), bulk_cell("up", "body of one stream"))


def behind_mlnode_cells():
    return (
        requests_cell("mln64", f"{CONNECTIONS} connections", CONNECTIONS,
                      rate={"aim": 45000, "headline": True}),
        Cell("200 streams", streams,
             stream_metrics("mln200", "200 x 40/s", {"aim": 0.8, "headline": True})
             + first_metrics("mln200", "200 x 40/s"),
             {"key": "mln200", "count": 200, "rate": 40, "ramp": 1}))


def alone_cells():
    return (
        requests_cell("alone64", f"{CONNECTIONS} connections", CONNECTIONS),
        requests_cell("alone1", "one connection", 1),
        Cell("200 streams", streams, stream_metrics("alone200", "200 x 40/s") + (
            Metric("alone200_cpu", "200 x 40/s: CPU per 10,000 events", "s"),),
            {"key": "alone200", "count": 200, "rate": 40, "ramp": 1}))
