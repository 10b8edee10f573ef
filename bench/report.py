"""Tables for people and one JSON document for programs, from the same results."""

import datetime
import os
import pathlib
import platform
import statistics

PEER_MARGIN = 0.03  # ratios closer to 1 than this are called equal
OURS = "mlgate"
ASIDE = "generator: "  # begins the title of a row that is about the bench itself


class Results:
    """values and failures of each metric of each stack."""

    def __init__(self):
        self.values = {}    # (metric key, stack name) → numbers, one per repeat
        self.failures = {}  # the same → {reason: how often}
        self.others = {}    # group → shares of the machine that other work took, one per cell

    def add(self, metric, stack, value):
        self.values.setdefault((metric.key, stack.name), []).append(value)

    def fail(self, metrics, stack, reason):
        for metric in metrics:
            reasons = self.failures.setdefault((metric.key, stack.name), {})
            reasons[reason] = reasons.get(reason, 0) + 1

    def failed(self):
        return sum(sum(reasons.values()) for reasons in self.failures.values())

    def median(self, metric, name):
        values = self.values.get((metric.key, name))
        return statistics.median(values) if values else None

    def known(self, metric, name):
        return (metric.key, name) in self.values or (metric.key, name) in self.failures


def number(value):
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}"


def cell_text(results, metric, name):
    values = results.values.get((metric.key, name), [])
    failed = sum(results.failures.get((metric.key, name), {}).values())
    if not values:
        return "FAILED" if failed else "-"
    text = number(statistics.median(values))
    if len(values) > 1:
        text += f" ({number(min(values))}-{number(max(values))})"
    return text + (f" {failed}xFAILED" if failed else "")


def aligned(rows):
    """First column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        yield "  ".join(cells).rstrip()


def ratio_text(metric, ours, theirs):
    if ours is None or theirs is None:
        return "-"
    if theirs == 0:
        return "both 0" if ours == 0 else "peer 0 -"
    ratio = ours / theirs
    if abs(ratio - 1) <= PEER_MARGIN:
        return f"{ratio:.2f} ="
    return f"{number(ratio)} {'+' if (ratio > 1) == metric.more_is_better else '-'}"


def judged(more_is_better, aim, value):
    """met, or by how much not"""
    if aim is None:
        return ""
    if value is None:
        return "no number"
    if (value >= aim) if more_is_better else (value <= aim):
        return "met"
    if aim == 0:
        return "MISSED"
    return f"MISSED by {abs(value / aim - 1):.0%}"


def verdict(metric, value):
    return judged(metric.more_is_better, metric.aim, value)


# Absolute aims were set from what the peers reached in one run on one machine; what carries over to
# another machine and another generator is the distance to them.


def best(metric, values):
    values = [v for v in values if v is not None]
    if not values:
        return None
    return max(values) if metric.more_is_better else min(values)


def best_peer(results, metric, names):
    """(the best of the peers, its name); what failed somewhere does not count."""
    values = {n: results.median(metric, n) for n in peers_of(names)
              if (metric.key, n) not in results.failures}
    value = best(metric, values.values())
    return value, next((n for n, v in values.items() if v == value and v is not None), "")


def peers_of(names):
    return [n for n in names if n not in (OURS, "direct")]


def ratio_aim(metric, names):
    """How far from the best of these peers the aim was when it was set; None: not known."""
    if metric.aim is None:
        return None
    theirs = best(metric, [metric.peers.get(n) for n in peers_of(names)])
    return metric.aim / theirs if theirs else None


def ratio_verdict(results, metric, names):
    ours, (theirs, _) = results.median(metric, OURS), best_peer(results, metric, names)
    aim = ratio_aim(metric, names)
    if aim is None or not theirs or ours is None:
        return ""
    sign = ">=" if metric.more_is_better else "<="
    return f"{sign} {number(aim)} {judged(metric.more_is_better, aim, ours / theirs)}"


def aim_text(metric):
    if metric.aim is None:
        return ""
    return f"{'>=' if metric.more_is_better else '<='} {metric.aim:g}"


def metric_title(metric):
    return f"{metric.title} [{metric.unit}]" if metric.unit else metric.title


def value_table(results, metrics, names):
    yield ["", *names]
    for metric in metrics:
        yield [metric_title(metric), *(cell_text(results, metric, n) for n in names)]


def ratio_table(results, metrics, names):
    peers = peers_of(names)
    aimed = any(ratio_aim(m, names) for m in metrics)
    yield [f"{OURS} against", *peers, *(["aim: best peer x"] if aimed else []), "aim", OURS, ""]
    for metric in metrics:
        value = results.median(metric, OURS)
        yield [metric_title(metric),
               *(ratio_text(metric, value, results.median(metric, n)) for n in peers),
               *([ratio_verdict(results, metric, names)] if aimed else []),
               aim_text(metric), number(value),
               verdict(metric, value) + ("  *" if metric.aim_of else "")]


def failure_lines(results, metrics, names):
    seen = {}
    for metric in metrics:
        for name in names:
            for reason, times in results.failures.get((metric.key, name), {}).items():
                seen.setdefault((name, reason), []).append((metric.title, times))
    for (name, reason), where in seen.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        yield f"  FAILED {name}: {where[0][0]}{more} ({where[0][1]}x): {reason}"


def others_line(results, group):
    shares = results.others.get(group)
    if not shares:
        return []
    return [f"  other work on this machine meanwhile: {statistics.mean(shares):.0%} of its cores, "
            f"{max(shares):.0%} at most"]


def group_lines(results, name, group, stacks):
    """One group: the numbers, mlgate against each peer and the aim, what failed."""
    metrics = [m for m in group.metrics if any(results.known(m, s.name) for s in stacks)]
    if not metrics:
        return
    names = [s.name for s in stacks if any(results.known(m, s.name) for m in metrics)]
    yield f"== {group.title} =="
    yield from aligned(list(value_table(results, metrics, names)))
    yield from others_line(results, name)
    yield ""
    if OURS in names:
        compared = [m for m in metrics if not m.title.startswith(ASIDE)]
        yield from aligned(list(ratio_table(results, compared, names)))
        if any(m.aim_of for m in metrics):
            yield "  * the aim is meant for the whole path, tunnel and gateway"
        yield ""
    failures = list(failure_lines(results, metrics, names))
    if failures:
        yield from failures
        yield ""


LEGEND = (
    "Medians over the repeats, (lowest-highest). Ratios are medians mlgate/peer: + better, - worse,"
    f" = within {PEER_MARGIN:.0%}.",
    "CPU is user + system time of the tunnel's processes at both ends, not of the generators.",
)


# ---- the machine ---------------------------------------------------------------------------------


def first_value(path, key):
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def machine_facts():
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": first_value("/proc/cpuinfo", "model name"),
        "memory": first_value("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "load_at_start": os.getloadavg()[0],
    }


def fact_lines(facts, stacks, absent):
    yield (f"{facts['date']}  {facts['cores']} cores {facts['cpu']}, {facts['memory']}, Linux "
           f"{facts['kernel']}, load {facts['load_at_start']:.2f} at start")
    yield "stacks: " + ", ".join(
        s.name if not s.version or s.version in s.name else f"{s.name} {s.version}" for s in stacks)
    for name, why in absent.items():
        yield f"not run: {name}: {why}"


# ---- Markdown ------------------------------------------------------------------------------------


def markdown_row(cells):
    return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"


def markdown_table(results, metrics, names):
    ours = OURS in names
    yield markdown_row(["", *names, *(["best peer, mlgate : peer", "aim", ""] if ours else [])])
    yield markdown_row(["---"] * (1 + len(names) + (3 if ours else 0)))
    for metric in metrics:
        row = [metric_title(metric), *(cell_text(results, metric, n) for n in names)]
        if ours:
            value = results.median(metric, OURS)
            theirs, who = best_peer(results, metric, names)
            row += [f"{who} {ratio_text(metric, value, theirs).rstrip(' +-=')}" if who else "-",
                    aim_text(metric), verdict(metric, value)]
        yield markdown_row(row)


def markdown_lines(facts, stacks, absent, groups, results):
    """The headline rows of all groups in one table, those of groups with stacks of their own in
    another; medians (lowest-highest)."""
    yield (f"`{facts['command']}`, {facts['date'][:10]}, {facts['cores']} cores {facts['cpu']}, "
           f"Linux {facts['kernel']}, {facts['repeats']} repeats; medians (lowest-highest).")
    for name, why in absent.items():
        yield f"Not run: {name} ({why})."
    shared = [m for g in groups.values() if not g.stacks for m in g.metrics]
    tables = [(shared, stacks)] + [(g.metrics, g.stacks) for g in groups.values() if g.stacks]
    for metrics, some in tables:
        metrics = [m for m in metrics if m.headline
                   and any(results.known(m, s.name) for s in some)]
        names = [s.name for s in some if any(results.known(m, s.name) for m in metrics)]
        if metrics:
            yield ""
            yield from markdown_table(results, metrics, names)


# ---- JSON ----------------------------------------------------------------------------------------


def as_json(facts, stacks, absent, groups, results):
    def of(metric, stack):
        values = results.values.get((metric.key, stack.name), [])
        entry = {"values": values, "failures": results.failures.get((metric.key, stack.name), {})}
        if values:
            entry |= {"median": statistics.median(values), "min": min(values), "max": max(values)}
        return entry

    def one(group, metric, some):
        aim = None
        names = [s.name for s in some]
        theirs, who = best_peer(results, metric, names)
        if metric.aim is not None:
            aim = {"at_least" if metric.more_is_better else "at_most": metric.aim,
                   "meant_for": metric.aim_of,
                   "verdict": verdict(metric, results.median(metric, OURS)),
                   "ratio": ratio_aim(metric, names),
                   "ratio_verdict": ratio_verdict(results, metric, names)}
        return {"group": group, "key": metric.key, "title": metric.title, "unit": metric.unit,
                "better": "more" if metric.more_is_better else "less", "aim": aim,
                "best_peer": {"name": who, "median": theirs} if who else None,
                "stacks": {s.name: of(metric, s) for s in some
                           if results.known(metric, s.name)}}

    return {"facts": facts, "not_run": absent,
            "stacks": {s.name: s.version for s in stacks},
            "other_work_share": results.others,
            "metrics": [one(name, m, some) for name, group in groups.items()
                        for some in [list(group.stacks) or stacks] for m in group.metrics
                        if any(results.known(m, s.name) for s in some)]}
