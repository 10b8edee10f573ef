"""Proxies: the original image's two, many of them, conflicts, limits, ports chosen by the server."""

import re
import socket

import pytest
from harness import Failure, eventually
from lab import Proxy, wait_echo, within
from services import User, echo_works, turned_away


def test_two_proxies_as_the_original_image_writes_them(lab, pair):
    """1{ID} and 2{ID}, each to a local port of its own."""
    client_id = lab.ports.take_client_id()
    inference, poc = lab.service(banner=b"inference\r\n"), lab.service(banner=b"poc\r\n")
    proxies = [
        Proxy(f"client-mlnode-{client_id}-inference", inference.port, int(f"1{client_id}")),
        Proxy(f"client-mlnode-{client_id}-poc", poc.port, int(f"2{client_id}")),
    ]
    lab.pair(pair, proxies)
    assert echo_works(int(f"1{client_id}"), banner=b"inference\r\n")
    assert echo_works(int(f"2{client_id}"), banner=b"poc\r\n")


def test_forty_proxies(lab, pair):
    service = lab.service()
    proxies = [lab.proxy(f"p{number}", service) for number in range(40)]
    lab.pair(pair, proxies)
    for proxy in proxies:
        assert echo_works(proxy.port, proxy.name.encode())


def test_one_port_asked_for_twice_by_one_client(lab, pair):
    service = lab.service()
    proxies = [lab.proxy("first", service)]
    proxies += [Proxy("second", service.port, proxies[0].port), lab.proxy("third", service)]
    server = lab.server(pair.server)
    client = lab.client(server, proxies, pair.client, wait=False)
    # frps takes them in the order of its goroutines, so either may win
    eventually(lambda: client.process.find(r"\[(first|second)\] start proxy success"), 10, "one")
    refusal = eventually(
        lambda: client.process.find(r"\[(first|second)\] (start error|the server refused).*"),
        10, "a refusal",
    )  # fmt: skip
    assert re.search(r"port already used|port unavailable", refusal.string)
    client.wait_proxy("third")
    assert echo_works(proxies[0].port) and echo_works(proxies[2].port)


@pytest.mark.parametrize("what", ["port", "name"])
def test_taken_by_another_client(lab, pair, what):
    """The holder keeps it; the newcomer is told, and its other proxy works."""
    held, other = lab.service(), lab.service(banner=b"other\r\n")
    mine = lab.proxy("mine", held)
    server, _, _ = lab.pair(pair, [mine])
    wanted = (
        Proxy("wanted", other.port, mine.port) if what == "port" else lab.proxy("mine", other)
    )
    free = lab.proxy("free", other)
    newcomer = lab.client(server, [wanted, free], pair.client, wait=False, name="newcomer")
    newcomer.wait_proxy("free")
    refusal = newcomer.wait_refused(wanted.name)
    assert re.search(r"already (used|exists)|already in use", refusal.string)
    if pair.mlgate:
        assert re.search(r"is online", refusal.string), "the newcomer is told who is online"
    assert echo_works(mine.port)
    assert echo_works(free.port, banner=other.banner)


def test_newcomer_gets_the_port_when_the_holder_leaves(lab, server_kind):
    """A refused proxy of ours is asked for again without a restart."""
    service = lab.service()
    mine = lab.proxy("mine", service)
    server = lab.server(server_kind)
    holder = lab.client(server, [mine])
    newcomer = lab.client(server, [Proxy("wanted", service.port, mine.port)], wait=False,
                          name="newcomer")  # fmt: skip
    newcomer.wait_refused("wanted")
    holder.process.stop()
    newcomer.wait_proxy("wanted", within(6))
    assert echo_works(mine.port)


def test_port_not_allowed(lab, pair):
    service = lab.service()
    good, bad = lab.proxy("good", service), lab.proxy("bad", service)
    server = lab.server(pair.server, allow_ports=f"1000-1003,{good.port}")
    client = lab.client(server, [bad, good], pair.client, wait=False)
    assert "port not allowed" in client.wait_refused("bad").string
    client.wait_proxy("good")
    assert echo_works(good.port) and lab.ports.is_free(bad.port)


def test_default_ports_of_the_flags_form(lab):
    """By flags only those of a CLIENT_ID may be claimed."""
    service = lab.service()
    server = lab.flag_server()
    ports = [9999, 10000, 20000, 30000, 443]
    proxies = [Proxy(f"p{port}", service.port, port) for port in ports]
    good = lab.proxy("good", service)
    client = lab.client(server, [*proxies, good], wait=False)
    for proxy in proxies:
        assert "port not allowed" in client.wait_refused(proxy.name).string
    client.wait_proxy("good")


def test_port_that_something_else_holds(lab, pair):
    service = lab.service()
    proxy, good = lab.proxy("web", service), lab.proxy("good", service)
    with socket.create_server(("127.0.0.1", proxy.port)):
        server = lab.server(pair.server)
        client = lab.client(server, [proxy, good], pair.client, wait=False)
        assert re.search("port (unavailable|already used)", client.wait_refused("web").string)
        client.wait_proxy("good")
    if client.mlgate:
        client.wait_proxy("web", within(6))


def test_max_ports_per_client(lab, pair):
    service = lab.service()
    proxies = [lab.proxy(f"p{number}", service) for number in range(4)]
    server = lab.server(pair.server, max_ports_per_client=2)
    client = lab.client(server, proxies, pair.client, wait=False)
    refused = r"(start error|the server refused).*exceed the max_ports_per_client"
    eventually(lambda: client.process.count(refused) >= 2, 10, "two refusals")
    works = [proxy for proxy in proxies if not lab.ports.is_free(proxy.port)]
    assert len(works) == 2 and all(echo_works(proxy.port) for proxy in works)


def chosen_port(server, client, name, after=0):
    """The port behind remote_port 0, as the log of one of the two ends tells."""
    if client.mlgate:
        return int(client.wait_proxy(name).string.split(": :")[1].split()[0])
    client.wait_proxy(name)
    if server.mlgate:
        line = rf"proxy \[{name}\] .* listens on :(\d+)"
    else:
        line = rf"\[{name}\] tcp proxy listen port \[(\d+)\]"
    return int(server.process.wait_line(line, after=after)[1])


def test_remote_port_0(lab, pair):
    """The server picks one that is allowed, and the same again when the client comes back."""
    service = lab.service()
    proxy = Proxy("any", service.port, 0)
    allowed = sorted(lab.ports.take() for _ in range(3))
    server = lab.server(pair.server, allow_ports=",".join(map(str, allowed)))
    client = lab.client(server, [proxy], pair.client)
    port = chosen_port(server, client, "any")
    assert port in allowed and echo_works(port)
    before = server.process.mark()
    client.process.kill()
    eventually(lambda: lab.ports.is_free(port), 5, "the port's release")
    client.start().wait_ready()
    assert chosen_port(server, client, "any", before) == port


def test_remote_port_0_without_a_free_one(lab, pair):
    taken = lab.ports.take()
    with socket.create_server(("127.0.0.1", taken)):
        server = lab.server(pair.server, allow_ports=str(taken))
        proxies = [Proxy("any", lab.service().port, 0)]
        client = lab.client(server, proxies, pair.client, wait=False)
        refusal = client.wait_refused("any")
    assert re.search(r"no available port|port unavailable", refusal.string)


def test_user_connects_at_once(lab, pair):
    """A user in the gap between the server's listening and the client's reading of the answer is
    served by ours; frpc drops those."""
    proxy = lab.proxy("web", lab.service())
    server = lab.server(pair.server)
    client = lab.client(server, [proxy], pair.client, wait=False)
    if client.mlgate:
        user = eventually(lambda: User(proxy.port, "echo"), 10, "the open port", pause=0.0005)
        with user:
            user.send(b"early")
            assert user.read(5) == b"early"
    else:
        wait_echo(proxy.port, 10)


def test_local_service_down(lab, pair):
    """The user is closed at once, the client says which service, and it works when that is up."""
    port = lab.ports.take()
    proxy = Proxy("web", port, lab.ports.take())
    _, client, _ = lab.pair(pair, [proxy])
    assert turned_away(proxy.port, within(2))
    if client.mlgate:
        line = rf"web: the local service 127\.0\.0\.1:{port} cannot be reached"
        client.process.wait_line(line, within(2))
    with socket.create_server(("127.0.0.1", port)) as late:
        with User(proxy.port) as user:
            user.send(b"hi")
            late.settimeout(5)
            link, _ = late.accept()
            with link:
                assert link.recv(2) == b"hi"


def test_local_service_down_many_times(lab):
    """Each user is counted, and the log does not get a line for each."""
    proxy = Proxy("web", lab.ports.take(), lab.ports.take())
    client = lab.client(lab.server(), [proxy])
    for _ in range(50):
        assert turned_away(proxy.port, 5)
    assert client.process.stop() == 0
    assert client.process.find(r"stopped; .*users: .*local-refused 50"), client.process.lines[-1]
    if client.process.count(r"\[W\].*cannot be reached") > 10:
        raise Failure("a line for each of 50 users")
