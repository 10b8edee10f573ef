"""mlgate-bind.so inside real programs, in a network namespace that has an address besides loopback.

Each refusal is tried without the guard too: there the same program has to be reachable."""

import json
import os
import re
import shutil
import subprocess

import pytest
from lab import MLGATE, within

PYTHON = "/usr/bin/python3"  # the one that Debian's uvicorn belongs to
OUTSIDE = {"4": "192.0.2.7", "6": "2001:db8::7"}
SURROUNDINGS = (
    "ip link set lo up && ip addr add 192.0.2.7/32 dev lo && "
    'ip -6 addr add 2001:db8::7/128 dev lo && exec "$@"'
)
# What any C library since 2.17 has, and nothing that allocates or locks.
ALLOWED = {"bind", "getenv", "syscall", "__errno_location", "__cxa_finalize", "memcpy", "memcmp"}


def find_guard():
    for file in (MLGATE.parent / "mlgate-bind.so", MLGATE.parent / "src/guard/mlgate-bind.so"):
        if file.exists():
            return file
    raise AssertionError(f"no mlgate-bind.so near {MLGATE}")


GUARD = find_guard()


@pytest.fixture(scope="module")
def namespace():
    prefix = ["unshare", "-n", "sh", "-c", SURROUNDINGS, "sh"]
    if not all(shutil.which(program) for program in ("unshare", "ip")):
        pytest.skip("skipped (no unshare or ip)")
    if subprocess.run([*prefix, "true"], capture_output=True, timeout=20).returncode != 0:
        pytest.skip("skipped (no network namespace here)")
    return prefix


def inside(namespace, argv, guarded=True, **variables):
    """Runs a program in a namespace of its own and returns what it prints, as JSON."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", **variables}
    if guarded:
        env["GUARD"] = str(GUARD)
    done = subprocess.run(
        [*namespace, *argv], env=env, capture_output=True, text=True, timeout=within(60)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def python(text):
    return [PYTHON, "-c", text]


# ---- servers ---------------------------------------------------------------------------------------

# Starts the server under the guard, waits until it listens, and tells at which addresses.
REACHED = """
import json, os, socket, subprocess, sys, time
port, argv = int(sys.argv[1]), sys.argv[2:]
env = dict(os.environ)
if "GUARD" in env:
    env["LD_PRELOAD"] = env.pop("GUARD")
server = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def answers(address):
    try:
        with socket.create_connection((address, port), timeout=5) as user:
            user.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            return user.recv(4) == b"HTTP"
    except OSError:
        return False
names = ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"]
for _ in range(3000):
    if any(map(answers, names)) or server.poll() is not None:
        break
    time.sleep(0.01)
print(json.dumps([name for name in names if answers(name)]))
server.kill()
"""
APP = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})
"""
SERVERS = {
    "http.server, both families": (["-m", "http.server", "{port}"], ["127.0.0.1"]),
    "http.server, IPv4": (["-m", "http.server", "-b", "0.0.0.0", "{port}"], ["127.0.0.1"]),
    "uvicorn, IPv4": (
        ["-m", "uvicorn", "--app-dir", "{dir}", "--host", "0.0.0.0", "--port", "{port}", "app:app"],
        ["127.0.0.1"],
    ),
    "uvicorn, IPv6": (
        ["-m", "uvicorn", "--app-dir", "{dir}", "--host", "::", "--port", "{port}", "app:app"],
        None,
    ),
    "uvicorn with uvloop": (
        ["-m", "uvicorn", "--loop", "uvloop", "--app-dir", "{dir}", "--host", "0.0.0.0", "--port",
         "{port}", "app:app"],
        ["127.0.0.1"],
    ),
}  # fmt: skip


def reached(namespace, tmp_path, words, port, guarded=True, **variables):
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    server = [PYTHON, *(word.format(port=port, dir=tmp_path) for word in words)]
    return inside(namespace, [*python(REACHED), str(port), *server], guarded, **variables)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_on_every_address_is_on_loopback(namespace, tmp_path, name):
    words, expected = SERVERS[name]
    found = reached(namespace, tmp_path, words, 5001)
    assert found and set(found) <= {"127.0.0.1", "::1"}
    assert expected is None or found == expected
    assert set(OUTSIDE.values()) & set(reached(namespace, tmp_path, words, 5001, guarded=False))


@pytest.mark.parametrize("port", [5000, 5128, 8080])
def test_the_ports_that_count(namespace, tmp_path, port):
    words, expected = SERVERS["http.server, IPv4"]
    assert reached(namespace, tmp_path, words, port) == expected


@pytest.mark.parametrize("port", [4999, 5129, 8081, 29500])
def test_other_ports_are_left_alone(namespace, tmp_path, port):
    """torch's store, NCCL and whatever else listens on purpose."""
    words, _ = SERVERS["http.server, IPv4"]
    assert OUTSIDE["4"] in reached(namespace, tmp_path, words, port)


@pytest.mark.parametrize(
    "ports, port, guarded",
    [
        ("29500", 29500, True),
        ("29500", 5001, False),
        ("1-4,29000-29500,7", 29250, True),
        # what cannot be read counts as not given: better the usual ports than none
        ("nonsense", 5001, True),
        ("29500,", 5001, True),
        ("29500-29499", 5001, True),
        ("70000", 5001, True),
        ("", 5001, True),
    ],
)
def test_ports_by_the_variable(namespace, tmp_path, ports, port, guarded):
    words, _ = SERVERS["http.server, IPv4"]
    found = reached(namespace, tmp_path, words, port, BIND_GUARD_PORTS=ports)
    assert (OUTSIDE["4"] not in found) == guarded


# ---- single calls ----------------------------------------------------------------------------------

# kind, options, address → where it is bound with the guard.
CALLS = """
import ctypes, json, os, socket, sys
if "GUARD" in os.environ and "LD_PRELOAD" not in os.environ:
    os.environ["LD_PRELOAD"] = os.environ["GUARD"]
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
out = []
for family, kind, v6only, address, port in json.loads(sys.argv[1]):
    with socket.socket(getattr(socket, family), getattr(socket, kind)) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if v6only is not None:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        try:
            s.bind((address, port))
            out.append(s.getsockname()[0])
        except OSError as error:
            out.append(error.errno)
print(json.dumps(out))
"""
ROWS = [
    (("AF_INET", "SOCK_STREAM", None, "0.0.0.0", 5001), "127.0.0.1"),
    (("AF_INET6", "SOCK_STREAM", 1, "::", 5001), "::1"),
    (("AF_INET6", "SOCK_STREAM", 0, "::", 5001), "::ffff:127.0.0.1"),
    (("AF_INET6", "SOCK_STREAM", None, "::", 5001), "::ffff:127.0.0.1"),
    (("AF_INET6", "SOCK_STREAM", 0, "::ffff:0.0.0.0", 5001), "::ffff:127.0.0.1"),
    # an address that was chosen, as torch's store has it
    (("AF_INET", "SOCK_STREAM", None, "192.0.2.7", 5001), "192.0.2.7"),
    (("AF_INET6", "SOCK_STREAM", 1, "2001:db8::7", 5001), "2001:db8::7"),
    (("AF_INET", "SOCK_STREAM", None, "127.0.0.5", 5001), "127.0.0.5"),
    # UDP, as DNS has it
    (("AF_INET", "SOCK_DGRAM", None, "0.0.0.0", 5001), "0.0.0.0"),
    (("AF_INET6", "SOCK_DGRAM", 1, "::", 5001), "::"),
    (("AF_INET", "SOCK_STREAM", None, "0.0.0.0", 0), "0.0.0.0"),
    (("AF_INET6", "SOCK_STREAM", 0, "::", 0), "::"),
    (("AF_INET", "SOCK_STREAM", None, "0.0.0.0", 29500), "0.0.0.0"),
    (("AF_INET6", "SOCK_STREAM", 0, "::", 29500), "::"),
]


def test_where_each_kind_of_socket_is_bound(namespace):
    asked = json.dumps([row for row, _ in ROWS])
    assert inside(namespace, [*python(CALLS), asked]) == [bound for _, bound in ROWS]


# asyncio with no host: both families, and neither may be refused before Python 3.13.
WITHOUT_IPV6 = """
import asyncio, json, os, socket, sys
if "LD_PRELOAD" not in os.environ:
    os.environ["LD_PRELOAD"] = os.environ["GUARD"]
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), None, 5001)
    reader, writer = await asyncio.open_connection("127.0.0.1", 5001)
    assert await reader.read() == b""
    return [[s.getsockname()[0], device(s)] for s in server.sockets]
def device(s):
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).decode().strip(chr(0))
print(json.dumps(sorted(asyncio.run(main()))))
"""


def test_without_an_ipv6_loopback_it_is_the_device(namespace):
    """As in containers of Docker whose network has no IPv6."""
    gone = ["sh", "-c", 'ip -6 addr del ::1/128 dev lo && exec "$@"', "sh"]
    bound = inside([*namespace, *gone], python(WITHOUT_IPV6))
    assert bound == [["127.0.0.1", ""], ["::", "lo"]]


STORE = """
import json, os, socket, sys, threading
if "LD_PRELOAD" not in os.environ:
    os.environ["LD_PRELOAD"] = os.environ["GUARD"]
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
def store(address, port):
    s = socket.create_server((address, port))
    threading.Thread(target=lambda: s.accept()[0].sendall(b"kept"), daemon=True).start()
    with socket.create_connection(("192.0.2.7", s.getsockname()[1]), timeout=5) as user:
        return user.recv(4).decode()
def name_server():
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there.bind(("0.0.0.0", 5001))
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here.bind(("", 0))
    here.settimeout(5)
    here.sendto(b"question", ("192.0.2.7", 5001))
    question, whose = there.recvfrom(64)
    there.sendto(b"answer to " + question, whose)
    return here.recv(64).decode()
print(json.dumps([store("192.0.2.7", 5001), store("0.0.0.0", 29500), store("0.0.0.0", 0),
                  name_server()]))
"""


def test_a_store_and_name_service_work(namespace):
    assert inside(namespace, python(STORE)) == ["kept"] * 3 + ["answer to question"]


# ---- as the C library's own ------------------------------------------------------------------------

CAREFUL = r"""
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int allocations;
void *__libc_malloc(size_t);
void *malloc(size_t size) { allocations++; return __libc_malloc(size); }

static int bound(int family, socklen_t len, const void *addr)
{
    int fd = socket(family, SOCK_STREAM, 0), one = 1, code;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    errno = 4242;
    code = bind(fd, addr, len) == 0 ? (errno == 4242 ? 0 : -1) : errno;
    close(fd);
    return code;
}
static struct sockaddr_in any(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    return a;
}
static int in_handler = -1;
static void handler(int n)
{
    struct sockaddr_in a = any(5003);
    in_handler = bound(AF_INET, sizeof(a), &a);
}
static void *many(void *failures)
{
    for (int i = 0; i < 2000; i++) {
        struct sockaddr_in a = any(5010 + i % 50), got;
        socklen_t len = sizeof(got);
        int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (void *)&a, sizeof(a)) != 0 || getsockname(fd, (void *)&got, &len) != 0 ||
            got.sin_addr.s_addr != htonl(INADDR_LOOPBACK))
            __atomic_fetch_add((int *)failures, 1, __ATOMIC_RELAXED);
        close(fd);
    }
    return NULL;
}
int main(void)
{
    struct sockaddr_in a = any(5001), unspecified = any(5001);
    struct sockaddr_storage large = {.ss_family = AF_INET};
    char unix_name[] = {1, 0, 0, 'm', 'l', 'g'};
    pthread_t threads[4];
    int failures = 0, status = 0, taken, before = allocations;

    unspecified.sin_family = AF_UNSPEC;
    printf("{\"good\":%d", bound(AF_INET, sizeof(a), &a));
    fflush(stdout);
    before = allocations;
    status = bound(AF_INET, sizeof(a), &a);
    printf(",\"allocations\":%d", allocations - before);
    printf(",\"no family\":%d", bound(AF_INET, sizeof(a), &unspecified));
    printf(",\"no family on IPv6\":%d", bound(AF_INET6, sizeof(a), &unspecified) != 0);
    printf(",\"short\":%d", bound(AF_INET, 4, &a));
    printf(",\"no length\":%d", bound(AF_INET, 0, &a));
    printf(",\"long\":%d", bound(AF_INET, 4000, &large));
    printf(",\"null\":%d", bound(AF_INET, sizeof(a), NULL));
    printf(",\"wrong family\":%d", bound(AF_INET6, sizeof(a), &a));
    printf(",\"unix\":%d", bound(AF_UNIX, sizeof(unix_name), unix_name));
    printf(",\"no descriptor\":%d", bind(-1, (void *)&a, sizeof(a)) == -1 ? errno : 0);
    printf(",\"no socket\":%d", bind(0, (void *)&a, sizeof(a)) == -1 ? errno : 0);
    taken = socket(AF_INET, SOCK_STREAM, 0);
    bind(taken, (void *)&a, sizeof(a));
    listen(taken, 1);
    printf(",\"taken\":%d", bound(AF_INET, sizeof(a), &a));
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    printf(",\"handler\":%d", in_handler);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, many, &failures);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf(",\"threads\":%d", failures);
    fflush(stdout);
    if (fork() == 0)
        _exit(bound(AF_INET, sizeof(a), &a) == EADDRINUSE ? 0 : 1);
    wait(&status);
    printf(",\"child\":%d}\n", status);
    return 0;
}
"""


def test_it_behaves_as_the_c_librarys_own(namespace, tmp_path):
    """Errors, errno, threads, signal handlers, forks, and no allocation: with the guard as without."""
    source, program = tmp_path / "careful.c", tmp_path / "careful"
    source.write_text(CAREFUL, encoding="utf-8")
    subprocess.run(
        ["cc", "-D_GNU_SOURCE", "-w", "-pthread", "-o", program, source], check=True, timeout=60
    )
    bare = inside(namespace, [str(program)], guarded=False)
    run = ["sh", "-c", f'LD_PRELOAD="$GUARD" exec {program}']
    kept = inside(namespace, run)
    assert bare.pop("threads") == 4 * 2000  # none was on loopback
    assert kept.pop("threads") == 0
    assert kept == bare
    assert kept["allocations"] == 0 and kept["good"] == 0


# ---- the file --------------------------------------------------------------------------------------


def test_it_loads_into_old_images():
    table = subprocess.run(
        ["objdump", "-T", GUARD], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    versions = [tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([\d.]+)", table)]
    assert versions and max(versions) <= (2, 17)
    names = {line.split()[-1] for line in table.splitlines() if "*UND*" in line or "Base" in line}
    unusual = {n for n in names - ALLOWED if not re.match(r"_ITM_|__gmon_start__", n)}
    assert unusual == set()
    dynamic = subprocess.run(
        ["objdump", "-p", GUARD], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    assert re.findall(r"NEEDED +(\S+)", dynamic) == ["libc.so.6"]


def test_the_binary_carries_the_same_file():
    assert GUARD.read_bytes() in MLGATE.read_bytes()
