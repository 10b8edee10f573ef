"""Bytes through the tunnel: many, in parallel, behind slow readers, and how connections end."""

import threading

import pytest
from harness import Failure, eventually, wait_on
from lab import OURS, holds_less_than, within
from services import User, both_ways, digest, download, echo_works, pattern, turned_away, upload

KIB, MIB = 1024, 1024 * 1024

SIZES = [
    pytest.param(16 * MIB, id="16-MiB"),
    pytest.param(256 * MIB, id="256-MiB", marks=pytest.mark.full),
]
DIRECTIONS = [download, upload, both_ways]


def tunnel(lab, pair, **proxy_keys):
    service = lab.service()
    proxy = lab.proxy("web", service, **proxy_keys)
    server, client, _ = lab.pair(pair, [proxy])
    return service, proxy.port, server, client


def in_parallel(calls, seconds):
    """Runs all at once, each in a thread; the first failure is this one's."""
    failures = []

    def run(call):
        try:
            if not call():
                failures.append(Failure("bytes were lost or altered"))
        except Exception as error:  # any: it is raised below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        if thread.is_alive():
            raise Failure(f"one of {len(threads)} parallel users is not done in {seconds} s")
    if failures:
        raise failures[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("direction", DIRECTIONS, ids=lambda call: call.__name__)
def test_bulk(lab, pair, direction, size):
    _, port, _, _ = tunnel(lab, pair)
    assert direction(port, size, timeout=within(60))


@pytest.mark.parametrize("size", [0, 1, 262143, 262144, 262145, 6291457])
def test_around_the_windows(lab, pair, size):
    """Lengths at the edges of yamux's windows, with the cipher of work connections."""
    _, port, _, _ = tunnel(lab, pair, use_encryption=True)
    for direction in DIRECTIONS if size else [download]:
        assert direction(port, size, timeout=within(20))


def test_eight_streams_each_way(lab, pair):
    _, port, _, _ = tunnel(lab, pair)
    calls = [
        lambda call=call: call(port, 4 * MIB, timeout=within(30))
        for call in (download, upload)
        for _ in range(8)
    ]
    in_parallel(calls, within(40))


PARALLEL = 500


def test_parallel_connections(lab, pair):
    """All connected at the same moment, then used, so that all are open at once."""
    service, port, _, _ = tunnel(lab, pair)
    users = []
    try:
        for _ in range(PARALLEL):
            users.append(User(port, "echo"))
        service.wait_links(PARALLEL, within(20))

        def talk(number):
            text = b"%d:" % number + b"x" * (number * 40)
            users[number].send(text)
            return users[number].read(len(text)) == text

        in_parallel([lambda n=n: talk(n) for n in range(PARALLEL)], within(30))
    finally:
        for user in users:
            user.sock.close()


def test_burst_of_connections(lab, pair):
    """Two hundred users that come in the same instant and want one answer each."""
    _, port, _, _ = tunnel(lab, pair)
    in_parallel([lambda: echo_works(port, timeout=within(15)) for _ in range(200)], within(20))


@pytest.mark.parametrize("which", ["user", "service"])
def test_stalled_reader_beside_fast_ones(lab, pair, which):
    """One side stops reading with everything full; the others go on, and it gets all its bytes."""
    service, port, _, _ = tunnel(lab, pair)
    size = 24 * MIB
    slow = User(port, f"get {size}" if which == "user" else "deaf", small_buffer=True)
    if which == "service":
        slow.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):  # full to the brim
            slow.send_all(pattern(size))
    try:
        for _ in range(3):
            assert download(port, 2 * MIB, timeout=within(10))
            assert upload(port, 2 * MIB, timeout=within(10))
            assert echo_works(port, timeout=within(2))
        if which == "user":
            assert digest(slow.chunks()) == digest(pattern(size))
    finally:
        slow.sock.close()
        service.closing.set()


def test_memory_of_stalled_readers(lab):
    """Twenty readers that have stopped hold a window each, not what their services would send."""
    _, port, server, client = tunnel(lab, OURS)
    slow = [User(port, f"get {64 * MIB}", small_buffer=True) for _ in range(20)]
    try:
        for _ in range(3):
            assert download(port, 8 * MIB, timeout=within(10))
        for end in (server, client):
            assert holds_less_than(end.process, 200), end.name
    finally:
        for user in slow:
            user.sock.close()
    assert echo_works(port)


# ---- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 100 * KIB, 3 * MIB])
@pytest.mark.parametrize("encryption", [False, True], ids=["", "encrypted"])
def test_service_closes_with_data_in_flight(lab, pair, size, encryption):
    """Everything that was sent before the close arrives, then the end of stream."""
    _, port, _, _ = tunnel(lab, pair, use_encryption=encryption)
    for _ in range(10):
        assert download(port, size)


@pytest.mark.parametrize("size", [10, 100 * KIB, 3 * MIB])
def test_user_closes_with_data_in_flight(lab, pair, size):
    service, port, _, _ = tunnel(lab, pair)
    for number in range(5):
        with User(port, "hang") as user:
            user.send_all(pattern(size))
        link = service.wait_links(number + 1)[-1]
        service.wait_received(link, len(b"hang\n") + size, within(10))
        assert service.wait_ended(link, within(5)) == "eof"


@pytest.mark.parametrize("size", [0, 200 * KIB])
def test_half_close_by_the_user(lab, pair, size):
    """Between two of ours a user's end of stream leaves the answer whole. Stock frp ends the whole
    connection, so with one of its ends no more is asked than an orderly end."""
    service, port, _, _ = tunnel(lab, pair)
    with User(port, "count", timeout=within(8)) as user:
        user.send_all(pattern(size))
        user.finish()
        if pair.mlgate:
            count, total = user.read_line().split()
            assert int(count) == len(b"count\n") + size
            assert user.ending() == "eof"
        else:
            list(user.chunks())
    link = service.wait_links(1)[0]
    assert service.wait_ended(link) == "eof"
    assert link.received == len(b"count\n") + size


def test_half_close_by_the_service(lab, pair):
    """The service has finished; between two of ours the user may still send."""
    service, port, _, _ = tunnel(lab, pair)
    with User(port, f"finish {100 * KIB}", timeout=within(8)) as user:
        assert digest(user.chunks()) == digest(pattern(100 * KIB))
        link = service.wait_links(1)[0]
        if pair.mlgate:
            user.send_all(pattern(300 * KIB))
            service.wait_received(link, 300 * KIB, within(5))
            assert link.ended is None
    assert service.wait_ended(link, within(5)) in ("eof", "reset")


def test_many_half_closes(lab):
    """Answers after the user's end of stream, from many at once."""
    _, port, _, _ = tunnel(lab, OURS)

    def ask():
        with User(port, "count", timeout=within(10)) as user:
            user.send_all(pattern(50 * KIB))
            user.finish()
            return int(user.read_line().split()[0]) == len(b"count\n") + 50 * KIB

    in_parallel([ask] * 100, within(20))


def test_reset_by_the_user(lab, pair):
    """Between two of ours it is a reset at the service, too; with stock frp an end."""
    service, port, _, _ = tunnel(lab, pair)
    user = User(port, "echo")
    user.send(b"hello")
    assert user.read(5) == b"hello"
    user.reset()
    link = service.wait_links(1)[0]
    ended = service.wait_ended(link, within(5))
    assert ended == "reset" if pair.mlgate else ended in ("eof", "reset")


def test_reset_by_the_service(lab, pair):
    _, port, _, _ = tunnel(lab, pair)
    with User(port, "reset 1000", timeout=within(8)) as user:
        assert user.read(1000) == b"".join(pattern(1000))
        user.send(b"!")
        ending = user.ending()
    assert ending == "reset" if pair.mlgate else ending in ("eof", "reset")


def test_reset_with_a_full_line(lab, pair):
    """A user who resets while megabytes are on their way to it; the others see nothing of it."""
    service, port, _, _ = tunnel(lab, pair)
    for number in range(5):
        user = User(port, f"get {64 * MIB}", small_buffer=True)
        user.read(100 * KIB)
        user.reset()
        link = service.wait_links(number + 1)[-1]
        # stock frp tells a reset as an end, and a writer may get all its bytes into the drain
        ended = service.wait_ended(link, within(10))
        assert ended == "reset" if pair.mlgate else ended in ("reset", "served")
    assert echo_works(port)
    assert download(port, MIB)


def test_service_ends_with_users_connected(lab, pair):
    """Its connections are closed by the kernel; every user gets an end, new ones are closed."""
    service, port, _, _ = tunnel(lab, pair)
    users = [User(port, "echo", timeout=within(5)) for _ in range(20)]
    service.wait_links(20)
    service.close()
    assert {user.ending() for user in users} <= {"eof", "reset"}
    assert turned_away(port, within(5))


def test_nothing_is_left(lab):
    """After hundreds of connections with every kind of end, no descriptor stays behind."""
    service, port, server, client = tunnel(lab, OURS)
    assert echo_works(port)
    before = {end.name: end.process.descriptors() for end in (server, client)}
    for number in range(120):
        user = User(port, ("echo", "count", "hang", f"get {MIB}")[number % 4])
        service.wait_links(number + 2)
        if number % 3 == 0:
            user.reset()
        else:
            user.sock.close()
    for link in service.links:
        service.wait_ended(link, within(10))
    for end in (server, client):
        eventually(
            lambda end=end: end.process.descriptors() <= before[end.name],
            within(10),
            f"{end.name} to close what it opened",
        )


def test_users_wait_while_the_pool_is_empty(lab, pair):
    """More users at once than work connections are kept ready."""
    service = lab.service()
    proxy = lab.proxy("web", service)
    lab.pair(pair, [proxy], {"max_pool_count": 1}, {"pool_count": 1})
    users = [User(proxy.port, "echo") for _ in range(40)]
    for number, user in enumerate(users):
        user.send(b"%04d" % number)
    assert [int(user.read(4)) for user in users] == list(range(40))
    wait_on(service.condition, lambda: len(service.links) == 40, 1, "forty connections")
    for user in users:
        user.sock.close()
