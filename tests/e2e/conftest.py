"""End-to-end tests of the mlgate binary: against itself and against the real frps and frpc.

    /usr/bin/python3 -m pytest tests/e2e [--full] [--frp] [--interop-table FILE]
                                         [--shard I/N --claims FOLDER]

Most of their time is waiting, so N shards run beside each other, each with ports of its own. Which
one takes a test is not settled before: whoever is free claims the next one in a folder of all.

MLGATE      the binary (default build/mlgate)
PEERS_DIR   a folder with frps and frpc, or with one folder per version; else they are looked for
            on PATH. Without them the interop tests are skipped, and that is said.
"""

import hashlib
import itertools
from pathlib import Path

import lab as lab_module
import pytest
from certs import Certificates
from containers import PLACES
from gateways import WAYS, Management, Upstream, open_gateway
from lab import FRPC, FRPS, MLGATE, Lab, Pair, version_number


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="also the long tests")
    parser.addoption("--frp", action="store_true", help="also frps with frpc, to learn from them")
    parser.addoption("--shard", metavar="I/N", help="the Ith of N runs beside each other")
    parser.addoption("--claims", metavar="FOLDER", help="only what no other run claimed there")
    parser.addoption("--interop-table", metavar="FILE", help="write the results as a table")


def pytest_configure(config):
    for marker in (
        "full: long; runs with --full",
        "older: with a real peer that is not the newest one found; without --full only where ...",
        "every_version: ... a module asks for all of them",
        "ours_is_enough: with real peers only in --full",
        "slow_once: waits for a deadline; without --full only against the instrumented binary",
    ):
        config.addinivalue_line("markers", marker)
    config.results = {}
    shard, shards = map(int, (config.getoption("--shard") or "1/1").split("/"))
    lab_module.PORTS.share = (shard, shards)
    if not MLGATE.exists():
        raise pytest.UsageError(f"{MLGATE} does not exist: build it, or set MLGATE")


def left_out(item):
    """Why a test is not of the quick set, or None."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    kinds = {value for value in params.values() if isinstance(value, str)}
    if item.get_closest_marker("full"):
        return "long"
    if item.get_closest_marker("older") and not item.get_closest_marker("every_version"):
        return "an older version"
    if item.get_closest_marker("ours_is_enough") and kinds & {*FRPS, *FRPC}:
        return "with real peers"
    if item.get_closest_marker("slow_once") and lab_module.SLOW == 1:
        return "waits, and runs against the instrumented binary"
    return None


def pytest_collection_modifyitems(config, items):
    if config.getoption("--full"):
        return
    for item in items:
        reason = left_out(item)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"skipped ({reason}; runs with --full)"))


# ---- shards --------------------------------------------------------------------------------------


def shares_something(item):
    fixtures = itertools.chain.from_iterable(item._fixtureinfo.name2fixturedefs.values())
    return any(fixture.scope == "module" for fixture in fixtures)


def units_of(items):
    """What is claimed as a whole: a test, or all tests of a module that share something of it.
    Modules and what waits longest come first, so that all shards end at about the same time."""
    units = {}
    for item in items:
        name = str(item.path) if shares_something(item) else item.nodeid
        units.setdefault(name, []).append(item)

    def late(name):
        first = units[name][0]
        return not (shares_something(first) or first.get_closest_marker("slow_once"))

    return [(name, units[name]) for name in sorted(units, key=late)]


def claimed(items, folder):
    """The items that are this run's: of each unit, whoever makes its folder first."""
    for name, unit in units_of(items):
        try:
            (folder / hashlib.sha256(name.encode()).hexdigest()).mkdir()
        except FileExistsError:
            continue
        yield from unit


def pytest_runtestloop(session):
    """pytest's own loop, over a list that the other shards shorten."""
    folder = session.config.getoption("--claims")
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None
    mine = claimed(session.items, Path(folder))
    item = next(mine, None)
    while item:
        following = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


# ---- which program plays which end ---------------------------------------------------------------


def missing(program):
    return pytest.mark.skip(reason=f"skipped (no {program})")


def peers(found, program):
    """The kinds of one end that are real frp, or one skipped stand-in for them."""
    newest = max(found, key=version_number, default=None)
    return [(kind, () if kind == newest else (pytest.mark.older,)) for kind in found] or [
        (program, (missing(program),))
    ]


def all_pairs(config):
    servers, clients = peers(FRPS, "frps"), peers(FRPC, "frpc")
    ours = [("mlgate", ())]
    pairs = list(itertools.product(ours, ours + clients)) + list(itertools.product(servers, ours))
    if config.getoption("--frp"):
        pairs += [pair for pair in itertools.product(servers, clients) if pair[0][0] == pair[1][0]]
    return [
        pytest.param(
            Pair(server, client), marks=[*server_marks, *client_marks], id=f"{server}+{client}"
        )
        for (server, server_marks), (client, client_marks) in pairs
    ]


def pytest_generate_tests(metafunc):
    """pair: both ends; server_kind: any server for our client; client_kind: the other way round."""
    if "pair" in metafunc.fixturenames:
        metafunc.parametrize("pair", all_pairs(metafunc.config))
    for fixture, found, program in (
        ("server_kind", FRPS, "frps"),
        ("client_kind", FRPC, "frpc"),
    ):
        if fixture in metafunc.fixturenames:
            kinds = [("mlgate", ()), *peers(found, program)]
            metafunc.parametrize(
                fixture, [pytest.param(kind, marks=marks, id=kind) for kind, marks in kinds]
            )


# ---- fixtures ------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path, request):
    made = Lab(tmp_path)
    request.node.labs = [made]
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    """One for all tests of a module; they must leave it as they found it."""
    made = Lab(tmp_path_factory.mktemp("shared"))
    yield made
    made.close()


@pytest.fixture(params=WAYS)
def scene(lab, request):
    """A way to the gateway, and the upstream behind it that the test plays."""
    upstream = Upstream(lab)
    return WAYS[request.param](lab, Management(lab).port, upstream.port), upstream


@pytest.fixture
def alone(lab):
    """The same with the gateway alone."""
    upstream = Upstream(lab)
    return open_gateway(lab, Management(lab).port, upstream.port), upstream


@pytest.fixture(params=PLACES)
def place(request):
    """Where `mlgate run` stands: as PID 1, or below one."""
    return request.param


@pytest.fixture
def server(lab):
    """One with flags, for a container to log in to."""
    return lab.flag_server()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


# ---- reports -------------------------------------------------------------------------------------


def labs_of(item):
    labs = list(getattr(item, "labs", []))
    shared = getattr(item, "funcargs", {}).get("shared_lab")
    return labs + ([shared] if shared else [])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its processes printed."""
    outcome = yield
    report = outcome.get_result()
    note_result(item, report)
    if not report.failed:
        return
    for lab in labs_of(item):
        for process in lab.processes:
            text = "\n".join(process.lines[-150:])
            report.sections.append((f"{process.name}: {' '.join(process.argv)}", text))


def note_result(item, report):
    params = getattr(getattr(item, "callspec", None), "params", {})
    if "pair" not in params or (report.when != "call" and report.passed):
        return
    pair = f"{params['pair'].server}+{params['pair'].client}"
    case = item.name.split("[")[0].removeprefix("test_").replace("_", " ")
    detail = item.callspec.id.replace(pair, "").strip("-")
    row = item.config.results.setdefault(f"{case}: {detail}" if detail else case, {})
    row[pair] = report.outcome


MARKS = {"passed": "yes", "failed": "**no**", "skipped": "–"}


def write_table(path, results):
    pairs = sorted({pair for row in results.values() for pair in row})
    lines = ["| server + client | " + " | ".join(pairs) + " |", "| --- |" + " --- |" * len(pairs)]
    for case, row in results.items():
        cells = [MARKS.get(row.get(pair, ""), "") for pair in pairs]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    with open(path, "w", encoding="utf-8") as table:
        table.write("\n".join(lines) + "\n")


def pytest_sessionfinish(session):
    path = session.config.getoption("--interop-table")
    if path and session.config.results:
        write_table(path, session.config.results)


def pytest_report_header(config):
    def named(found, program):
        return ", ".join(found) if found else f"none: its tests are skipped (no {program})"

    return [
        f"mlgate: {MLGATE}{' (instrumented)' if lab_module.SLOW > 1 else ''}",
        f"real frps: {named(FRPS, 'frps')}",
        f"real frpc: {named(FRPC, 'frpc')}",
    ]
