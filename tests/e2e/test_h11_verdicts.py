"""Our reader of request heads beside a second strict one, h11: what it refuses we refuse as well,
but for the reasons written here, and what both accept both read alike.

The other way round we are stricter in many ways (folded fields, bare line feeds, ...); what exactly
is refused and why is in tests/unit/test_head.c.
"""

import json
import random
import subprocess

import pytest
from lab import MLGATE

h11 = pytest.importorskip("h11", reason="skipped (no python3-h11)")

HELPER = MLGATE.parent / "tests" / "unit" / "http_verdict"
HEAD_MAX = 64 * 1024
MUTATED = 2000

pytestmark = pytest.mark.skipif(
    not HELPER.exists(), reason=f"skipped (no {HELPER.name} beside {MLGATE.name})"
)

# Why we accept what h11 refuses: reason -> whether it can apply to these bytes.
REASONS = {
    "RFC 9112 2.2: one empty line before a request is skipped": (
        lambda head: head.startswith(b"\r\n") and not head.startswith(b"\r\n\r\n")
    ),
}


# ---- requests ------------------------------------------------------------------------------------


def lines(first, *fields):
    return b"\r\n".join((first, *fields, b"", b""))


def get(*fields):
    return lines(b"GET / HTTP/1.1", b"Host: a", *fields)


def post(*fields):
    return lines(b"POST /v1/completions HTTP/1.1", b"Host: a", *fields)


def crafted():
    line_ends = [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\rHost: a\r\r",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n\r\nHost: a\r\n\r\n",
        b"\r\n" + get(),
        b"\r\n\r\n" + get(),
        b"\n" + get(),
        b"\r" + get(),
        b" \r\n" + get(),
        b"",
        b"\r\n",
        b"\r\n\r\n",
        get() + get(),
        get() + b"\r\n" + get(),
        get() + b"rest of something",
        post(b"Content-Length: 3") + b"abc" + get(),
        post(b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + get(),
    ]
    request_lines = [
        b"GET / HTTP/1.1",
        b"GET /a?b=c&d=%20 HTTP/1.1",
        b"GET /a?b?c HTTP/1.1",
        b"GET //a HTTP/1.1",
        b"GET /../a HTTP/1.1",
        b"GET /%zz HTTP/1.1",
        b"GET /a%00b HTTP/1.1",
        b"GET /a;b=c,d:e@f!g$h'i(j)k*l+m HTTP/1.1",
        b'GET /"<>[]^`{|}~\\ HTTP/1.1',
        b"GET /#a HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"OPTIONS /a HTTP/1.1",
        b"GET http://a/ HTTP/1.1",
        b"GET http://b/ HTTP/1.1",
        b"GET a:80 HTTP/1.1",
        b"CONNECT a:443 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\x80 HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / HTTP/1.1\t",
        b" GET / HTTP/1.1",
        b"GET\t/\tHTTP/1.1",
        b"GET\x0b/ HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\x01 HTTP/1.1",
        b"GET / ",
        b"GET /",
        b"GET",
        b"/",
        b" ",
        b"GET / HTTP/1.0",
        b"GET / HTTP/0.9",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"GET / HTTP/9.9",
        b"GET / HTTP/1.10",
        b"GET / HTTP/11",
        b"GET / HTTP/1",
        b"GET / HTTP/1.",
        b"GET / HTTP/.1",
        b"GET / HTTP/1,1",
        b"GET / HTTP/a.b",
        b"GET / HTTP/-1.1",
        b"GET / http/1.1",
        b"GET / HTTPS/1.1",
        b"GET / HTTP 1.1",
        b"GET / HTTP/1.1 HTTP/1.1",
        b"get / HTTP/1.1",
        b"Get / HTTP/1.1",
        b"M-SEARCH / HTTP/1.1",
        b"-GET / HTTP/1.1",
        b"G(ET / HTTP/1.1",
        b"GET: / HTTP/1.1",
        b"G\xc3\x89T / HTTP/1.1",
        b"G_E.T / HTTP/1.1",
        b"PROPFIND / HTTP/1.1",
        b"BASELINE-CONTROL / HTTP/1.1",
        b"A" * 32 + b" / HTTP/1.1",
        b"A" * 33 + b" / HTTP/1.1",
        b"GET /" + b"a" * 8000 + b" HTTP/1.1",
        b"GET /" + b"a" * HEAD_MAX + b" HTTP/1.1",
    ]
    fields = [
        b"X: a",
        b"X:a",
        b"X:",
        b"X: ",
        b"X:\t a \t",
        b"X: a  b\tc",
        b"X: \xc3\xa9\xff\x80",
        b"X: a\x00b",
        b"X: a\x01b",
        b"X: a\x0bb",
        b"X: a\x0cb",
        b"X: a\x1bb",
        b"X: a\x7fb",
        b"X: a\x85b",
        b"X: a:b: c",
        b'X: "a, b"',
        b"X : a",
        b"X\t: a",
        b" X: a",
        b"\tX: a",
        b"X Y: a",
        b"X",
        b": a",
        b":",
        b"X;: a",
        b"X(: a",
        b'X"Y: a',
        b"X\x00: a",
        b"X\xc3\xa9: a",
        b"!#$%&'*+-.^_`|~09: a",
        b"X: a\r\n b",
        b"X: a\r\n\tb",
        b"X: a\r\n ",
        b"X: a\n b",
        b"X: a\nY: b",
        b"X: a\rY: b",
        b"X: a\r\nX: b\r\nx: c",
        b"Host: b",
        b"host: a",
        b"HOST : a",
        b"Hosts: a",
        b"X: " + b"a" * 30000,
        b"X: " + b"a" * HEAD_MAX,
        b"\r\n".join([b"X: a"] * 100),
        b"\r\n".join([b"X: a"] * 1000),
        b"Connection: close",
        b"Connection: Close",
        b"Connection: keep-alive",
        b"Connection: keep-alive, close",
        b"Connection: x\r\nConnection: close",
        b"Connection:",
        b"Connection: ,,,close,,",
        b"Connection: closed",
        b"Connection: Upgrade\r\nUpgrade: websocket",
        b"Expect: 100-continue",
        b"Expect: x",
        b"TE: trailers",
    ]
    hosts = [
        b"Host:",
        b"Host: ",
        b"Host: a:80",
        b"Host: [::1]:80",
        b"Host: a b",
        b"Host: a/b",
        b"Host: a?b",
        b"Host: a#b",
        b"Host: u@a",
        b"Host: a, b",
        b"Host: \xc3\xa9",
        b"Host: a\r\nHost: a",
        b"Host: a\r\nhOST: b",
        b"Host : a",
        b"Host\r\n: a",
        b"X: Host: a",
    ]
    framing = [
        b"Content-Length: 0",
        b"Content-Length: 3",
        b"content-length:3",
        b"CONTENT-LENGTH: \t3\t ",
        b"Content-Length: 03",
        b"Content-Length: 00",
        b"Content-Length: +3",
        b"Content-Length: -3",
        b"Content-Length: 0x3",
        b"Content-Length: 3.0",
        b"Content-Length: 3e1",
        b"Content-Length: 3 3",
        b"Content-Length: 3, 3",
        b"Content-Length: 3,3",
        b"Content-Length: 3, 4",
        b"Content-Length: 3,",
        b"Content-Length: ,3",
        b"Content-Length: ",
        b"Content-Length:",
        b"Content-Length: a",
        b"Content-Length: 1_0",
        b"Content-Length: \xb2",
        b"Content-Length: \xd9\xa3",
        b"Content-Length: 9223372036854775807",
        b"Content-Length: 9223372036854775808",
        b"Content-Length: 18446744073709551616",
        b"Content-Length: 18446744073709551619",
        b"Content-Length: " + b"1" * 100,
        b"Content-Length: 3\r\nContent-Length: 3",
        b"Content-Length: 3\r\nContent-Length: 4",
        b"Content-Length: 3\r\nContent-Length:",
        b"Content-Length: 3\r\n 4",
        b"Content-Length : 3",
        b"Content-Length\t: 3",
        b"Content_Length: 3",
        b"Content-Lengt\x00h: 3",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"Transfer-Encoding: chunked",
        b"transfer-encoding:CHUNKED",
        b"Transfer-Encoding: \tchunked \t",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: ,chunked",
        b"Transfer-Encoding: chunked,",
        b"Transfer-Encoding: chunked;a=b",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunkedx",
        b"Transfer-Encoding: chunked\x0b",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chu\xc5\xbfnked",
        b"Transfer-Encoding: x\r\n chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding : chunked",
        b" Transfer-Encoding: chunked",
        b"X: a\nTransfer-Encoding: chunked",
        b"X: a\r\n\tTransfer-Encoding: chunked",
        b"Transfer_Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nConnection: transfer-encoding",
        b"Content-Length: 3\r\nConnection: content-length",
    ]
    return [
        *line_ends,
        *(lines(line, b"Host: a") for line in request_lines),
        *(get(field) for field in fields),
        *(lines(b"GET / HTTP/1.1", host, b"X: a") for host in hosts),
        lines(b"GET / HTTP/1.1", b"X: a"),
        *(post(field) for field in framing),
        *(lines(b"POST / HTTP/1.0", field) for field in framing),
        lines(b"GET / HTTP/1.0"),
        lines(b"GET / HTTP/1.0", b"Connection: keep-alive"),
        lines(b"GET / HTTP/1.0", b"Host: a", b"Host: b"),
    ]


SPLICES = [
    *(bytes([byte]) for byte in b"\x00\t\n\x0b\r :,;0/#%\x7f\x80\xff"),
    b"\r\n",
    b"\n ",
    b"\r\n\t",
    b"\r\n\r\n",
    b"chunked",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b" HTTP/1.1",
    b"HTTP/1.0",
]


def mutated(heads, rng):
    """One to three small wounds: a piece lost, put in, doubled or of another head."""
    head = bytearray(rng.choice(heads))
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(head))
        end = min(len(head), at + rng.choice((0, 1, 1, 2, 5, 20)))
        kind = rng.randrange(4)
        if kind == 0:
            head[at:end] = b""
        elif kind == 1:
            head[at:at] = rng.choice(SPLICES)
        elif kind == 2:
            head[at:at] = head[at:end]
        else:
            other = rng.choice(heads)
            start = rng.randint(0, len(other))
            head[at:end] = other[start : start + rng.randint(1, 30)]
    return bytes(head)


# ---- verdicts ------------------------------------------------------------------------------------


def ours(heads):
    """What the helper says of each head."""
    stdin = b"".join(b"%d\n%s" % (len(head), head) for head in heads)
    done = subprocess.run([HELPER], input=stdin, capture_output=True, timeout=120, check=True)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == len(heads)
    return verdicts


def framing_of(event):
    fields = dict(event.headers)  # h11 has merged what it takes for the same
    if b"transfer-encoding" in fields:
        return "chunked", 0
    if b"content-length" in fields:
        return "length", int(fields[b"content-length"])
    return "none", 0


def theirs(head):
    """What h11 makes of it, in the words of the helper; None when it refuses or wants more."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * HEAD_MAX)
    try:
        connection.receive_data(head)
        event = connection.next_event()
        if not isinstance(event, h11.Request):
            return None
        body, length = framing_of(event)
        verdict = {
            "method": event.method,
            "target": event.target,
            "minor": int(event.http_version[2:]),
            "fields": list(event.headers.raw_items()),
            "body": body,
            "body_length": length,
        }
        if (body, length) in (("none", 0), ("length", 0)):
            assert isinstance(connection.next_event(), h11.EndOfMessage)
            verdict["length"] = len(head) - len(connection.trailing_data[0])
            # DONE, or paused because somebody asks for another protocol, which it may not get
            verdict["keep_alive"] = connection.their_state is not h11.MUST_CLOSE
        return verdict
    except h11.RemoteProtocolError:
        return None


def from_hex(verdict):
    verdict["method"] = bytes.fromhex(verdict["method"])
    verdict["target"] = bytes.fromhex(verdict["target"])
    verdict["fields"] = [tuple(map(bytes.fromhex, field)) for field in verdict["fields"]]
    return verdict


def as_h11_says(fields):
    """h11 hands out codings in small letters."""
    return [
        (name, value.lower() if name.lower() == b"transfer-encoding" else value)
        for name, value in fields
    ]


def differences(head, our, their):
    our = from_hex(our)
    our["fields"] = as_h11_says(our["fields"])
    if our["minor"] == 0:
        their.pop("keep_alive", None)  # h11 never keeps HTTP/1.0 alive; clients that ask may
    for key, value in their.items():
        if our[key] != value:
            yield f"{head[:200]!r}: {key} is {our[key]!r}, h11 says {value!r}"


def compare(heads):
    """Quarrels, and how many heads were accepted by both, by us for a reason, by h11 alone."""
    quarrels, both, reasoned, h11_alone = [], 0, 0, 0
    for head, our in zip(heads, ours(heads)):
        their = theirs(head)
        if "refused" in our:
            h11_alone += their is not None
        elif their is not None:
            both += 1
            quarrels += differences(head, our, their)
        elif any(applies(head) for applies in REASONS.values()):
            reasoned += 1
        else:
            quarrels.append(f"{head[:200]!r}: accepted, and h11 refuses it")
    return quarrels, both, reasoned, h11_alone


def test_crafted():
    heads = crafted()
    assert len(heads) >= 150
    quarrels, both, reasoned, h11_alone = compare(heads)
    assert not quarrels, "\n".join(quarrels)
    # neither reader refuses everything, and each reason is needed
    assert both >= 50
    assert h11_alone >= 50
    for reason, applies in REASONS.items():
        needed = [head for head in heads if applies(head) and theirs(head) is None]
        assert any("refused" not in verdict for verdict in ours(needed)), reason
    assert reasoned >= len(REASONS)


@pytest.mark.parametrize("seed", range(4))
def test_mutated(seed):
    rng = random.Random(seed)
    heads = [head for head in crafted() if len(head) < 1000]
    quarrels, both, _, h11_alone = compare([mutated(heads, rng) for _ in range(MUTATED)])
    assert not quarrels, "\n".join(quarrels)
    assert both >= 50
    assert h11_alone >= 50
