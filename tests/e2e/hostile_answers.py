"""Answers of an upstream that break HTTP, and what a client of the gateway must be told of each.

A broken head is 502 while nothing was sent to the client; behind a good head the answer is cut, so
that the client can see that it is not whole. What follows a whole answer is nobody's.
"""

from dataclasses import dataclass

CASES = {}
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVIL = OK + b"Content-Length: 4\r\n\r\nEVIL"
NO_HTTP = "upstream_protocol"
CLOSED = "upstream_closed"


@dataclass
class Case:
    name: str
    raw: bytes
    then: str  # what the upstream does next: "hold", "close", "reset", "repeat" (raw, for ever)
    method: str
    status: int  # what the client sees, 502 included
    code: str | None  # of the gateway's own answer
    body: bytes | None  # None: cut, and `begun` came
    begun: bytes
    reason: str  # in the access log
    reused: bool  # the connection may carry another request
    interim: tuple


def add(name, raw, then="hold", method="POST", status=200, code=None, body=None, begun=b"",
        reason="done", reused=False, interim=()):  # fmt: skip
    assert name not in CASES, name
    CASES[name] = Case(
        name, raw, then, method, status, code, body, begun, reason, reused, tuple(interim)
    )


def bad_head(name, raw, then="hold", code=NO_HTTP, interim=()):
    reason = code.replace("_", "-")
    add(f"head-{name}", raw, then, status=502, code=code, reason=reason, interim=interim)


def cut(name, raw, begun, then="hold", reason="upstream-protocol"):
    add(f"body-{name}", raw, then, begun=begun, reason=reason)


def whole(name, raw, body, **more):
    add(f"whole-{name}", raw, body=body, **more)


# ---- heads ---------------------------------------------------------------------------------------

for name, text in {
    "words": b"garbage",
    "words-and-lines": b"garbage\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "http-0.9": b"hello",
    "http-0.9-html": b"<html>\r\n\r\n</html>",
    "http2": b"\0\0\x12\4\0\0\0\0\0",
    "tls-alert": b"\x15\x03\x01\0\2\2\x46",
    "icy": b"ICY 200 OK\r\n\r\n",
    "lower-case": b"http/1.1 200 OK\r\n\r\n",
    "garbage-before": b"garbage\r\n" + EVIL,
    "empty-line-before": b"\r\n" + EVIL,
    "blank-before": b" " + EVIL,
    "nul-before": b"\0" + EVIL,
    "chunk-before": b"0\r\n\r\n" + EVIL,
    "version-2": b"HTTP/2 200\r\n\r\n",
    "version-0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "version-1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "version-1.10": b"HTTP/1.10 200 OK\r\n\r\n",
    "no-status": b"HTTP/1.1\r\n\r\n",
    "status-099": b"HTTP/1.1 099 Low\r\n\r\n",
    "status-600": b"HTTP/1.1 600 High\r\n\r\n",
    "status-20": b"HTTP/1.1 20 Short\r\n\r\n",
    "status-2000": b"HTTP/1.1 2000 Long\r\n\r\n",
    "status-plus": b"HTTP/1.1 +20 OK\r\n\r\n",
    "status-2x0": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "two-spaces": b"HTTP/1.1  200 OK\r\n\r\n",
    "tab": b"HTTP/1.1\t200 OK\r\n\r\n",
    "reason-with-nul": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "reason-with-cr": b"HTTP/1.1 200 O\rSet-Cookie: a=b\r\n\r\n",
    "reason-with-lf": b"HTTP/1.1 200 O\nSet-Cookie: a=b\r\n\r\n",
    "lf-everywhere": EVIL.replace(b"\r\n", b"\n"),
    "lf-ends-head": OK + b"Content-Length: 0\r\n\n",
    "cr-cr-lf": OK + b"X: y\r\r\n\r\n",
    "value-with-nul": OK + b"X: a\0b\r\n\r\n",
    "value-with-cr": OK + b"X: a\rSet-Cookie: c=d\r\n\r\n",
    "value-with-lf": OK + b"X: a\nSet-Cookie: c=d\r\n\r\n",
    "value-with-0x7f": OK + b"X: a\x7f\r\n\r\n",
    "folded": OK + b"X: a\r\n b\r\n\r\n",
    "folded-first": OK + b" X: a\r\n\r\n",
    "no-colon": OK + b"Xyz\r\n\r\n",
    "name-empty": OK + b": y\r\n\r\n",
    "name-with-space": OK + b"X Y: z\r\n\r\n",
    "space-before-colon": OK + b"Content-Length : 4\r\n\r\nEVIL",
    "two-lengths": OK + b"Content-Length: 4\r\nContent-Length: 8\r\n\r\nEVILEVIL",
    "same-length-twice": OK + b"Content-Length: 4\r\ncontent-length: 4\r\n\r\nEVIL",
    "length-list": OK + b"Content-Length: 4, 4\r\n\r\nEVIL",
    "length-plus": OK + b"Content-Length: +4\r\n\r\nEVIL",
    "length-minus": OK + b"Content-Length: -4\r\n\r\nEVIL",
    "length-hex": OK + b"Content-Length: 0x4\r\n\r\nEVIL",
    "length-padded": OK + b"Content-Length: 04\r\n\r\nEVIL",
    "length-empty": OK + b"Content-Length:\r\n\r\nEVIL",
    "length-2^63": OK + b"Content-Length: 9223372036854775808\r\n\r\nEVIL",
    "length-2^64-and-4": OK + b"Content-Length: 18446744073709551620\r\n\r\nEVIL",
    "cl-te": OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-cl": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "te-twice": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "te-identity": OK + b"Transfer-Encoding: identity\r\n\r\nEVIL",
    "te-gzip": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "te-x": OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "te-vertical-tab": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "te-http10": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "of-1-MiB": OK + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "of-70000-lines": OK + b"X: y\r\n" * 70000 + b"\r\n",
    "129-fields": OK + b"X: y\r\n" * 129 + b"Content-Length: 0\r\n\r\n",
    "65-in-connection": OK + b"Connection: " + b"a, " * 65 + b"\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nEVIL",
    "interim-with-two-lengths": b"HTTP/1.1 100 Continue\r\n"
    + b"Content-Length: 4\r\n" * 2 + b"\r\n" + EVIL,
}.items():  # fmt: skip
    bad_head(name, text)
bad_head("never-ending-line", b"HTTP/1.1 200 " + b"a" * 1000, "repeat")
bad_head("never-ending-fields", OK + b"X: y\r\n" * 50, "repeat")
HINT = b"HTTP/1.1 103 Early Hints\r\n\r\n"
bad_head("17-interim", HINT * 17 + EVIL, interim=[103] * 16)
bad_head("interim-flood", HINT, "repeat", interim=[103] * 16)
for then in ("close", "reset"):
    bad_head(f"none-{then}", b"", then, CLOSED)
    bad_head(f"half-line-{then}", b"HTTP/1.1 20", then, CLOSED)
    bad_head(f"half-{then}", OK + b"Content-Le", then, CLOSED)
    bad_head(f"not-ended-{then}", OK + b"Content-Length: 4\r\n\r", then, CLOSED)
bad_head("interim-alone-close", HINT, "close", CLOSED, [103])

# ---- bodies --------------------------------------------------------------------------------------

FIRST = b"5\r\nfirst\r\n"

for name, text in {
    "no-digits": b"x\r\nEVIL\r\n",
    "empty-size": b"\r\nEVIL\r\n",
    "minus": b"-4\r\nEVIL\r\n",
    "plus": b"+4\r\nEVIL\r\n",
    "hex-prefix": b"0x4\r\nEVIL\r\n",
    "space-before": b" 4\r\nEVIL\r\n",
    "space-behind": b"4 \r\nEVIL\r\n",
    "lf": b"4\nEVIL\n",
    "cr-alone": b"4\rEVIL\r\n",
    "17-digits": b"10000000000000004\r\nEVIL\r\n",
    "extension-of-300": b"4;" + b"a" * 300 + b"\r\nEVIL\r\n",
    "extension-with-nul": b"4;\0\r\nEVIL\r\n",
    "status-line": EVIL,
}.items():
    cut(f"chunk-{name}", CHUNKED + FIRST + text, b"first")
    cut(f"first-chunk-{name}", CHUNKED + text, b"")
for name, text in {
    "too-long": b"4\r\nEVIL!\r\n0\r\n\r\n",
    "too-short": b"4\r\nEVI\r\n0\r\n\r\n",
    "no-end": b"4\r\nEVIL0\r\n\r\n",
    "lf-end": b"4\r\nEVIL\n0\r\n\r\n",
}.items():
    cut(f"chunk-{name}", CHUNKED + text, b"EVI\r" if name == "too-short" else b"EVIL")
for name, text in {
    "no-colon": b"Xyz\r\n\r\n",
    "folded": b"X: y\r\n z\r\n\r\n",
    "nul": b"X: \0\r\n\r\n",
    "lf": b"X: y\n\r\n",
    "of-9000": b"X: " + b"y" * 9000 + b"\r\n\r\n",
    "33-fields": b"X: y\r\n" * 33 + b"\r\n",
    "status-line": EVIL,
    "last-cr-alone": b"\rX",
}.items():
    cut(f"trailer-{name}", CHUNKED + FIRST + b"0\r\n" + text, b"first")
for then in ("close", "reset"):
    for name, text, begun in (
        ("length-of-9", OK + b"Content-Length: 9\r\n\r\nfirst", b"first"),
        ("length-and-nothing", OK + b"Content-Length: 9\r\n\r\n", b""),
        ("http10-length", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nfirst", b"first"),
        ("between-chunks", CHUNKED + FIRST, b"first"),
        ("inside-chunk", CHUNKED + FIRST + b"9\r\nEV", b"firstEV"),
        ("inside-size", CHUNKED + FIRST + b"9", b"first"),
        ("before-last-crlf", CHUNKED + FIRST + b"0\r\n", b"first"),
        ("inside-trailer", CHUNKED + FIRST + b"0\r\nX: y\r\n", b"first"),
    ):
        cut(f"{name}-{then}", text, begun, then, "upstream-closed")
cut("until-reset", OK + b"\r\nfirst", b"first", "reset", "upstream-closed")

# ---- whole answers, and what comes behind them ---------------------------------------------------

for name, text in {
    "answer": EVIL,
    "garbage": b"EVIL",
    "crlf": b"\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n",
    "nul": b"\0",
}.items():
    whole(f"length-then-{name}", OK + b"Content-Length: 4\r\n\r\nGOOD" + text, b"GOOD")
    whole(f"chunks-then-{name}", CHUNKED + b"4\r\nGOOD\r\n0\r\n\r\n" + text, b"GOOD")
    whole(f"nothing-then-{name}", OK + b"Content-Length: 0\r\n\r\n" + text, b"")
    whole(f"head-then-{name}", OK + b"Content-Length: 4\r\n\r\n" + text, b"", method="HEAD")
    whole(f"204-then-{name}", b"HTTP/1.1 204 No Content\r\n\r\n" + text, b"", status=204)
    whole(f"304-then-{name}", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n" + text, b"",
          status=304)  # fmt: skip
whole("204-with-length", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nEVIL", b"", status=204)
whole("204-with-chunks", CHUNKED.replace(b"200 OK", b"204 No") + b"4\r\nEVIL\r\n0\r\n\r\n", b"",
      status=204)  # fmt: skip
whole("204-with-length-alone", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", b"",
      status=204, reused=True)  # fmt: skip
whole("head-with-chunks", CHUNKED + FIRST + b"0\r\n\r\n", b"", method="HEAD")
whole("until-close", OK + b"\r\nGOOD", b"GOOD", then="close")
whole("http10-until-close", b"HTTP/1.0 200 OK\r\n\r\nGOOD", b"GOOD", then="close")
whole("http10-length", b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nGOOD", b"GOOD")
whole("http10-keep-alive", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nGOOD",
      b"GOOD", reused=True)  # fmt: skip
whole("says-close", OK + b"Connection: close\r\nContent-Length: 4\r\n\r\nGOOD", b"GOOD")
whole("says-close-in-list", OK + b"Connection: x, Close\r\nContent-Length: 4\r\n\r\nGOOD", b"GOOD")
whole("16-interim", HINT * 16 + OK + b"Content-Length: 4\r\n\r\nGOOD",
      b"GOOD", reused=True, interim=[103] * 16)  # fmt: skip
whole("connection-names-framing", OK + b"Connection: Content-Length, Transfer-Encoding\r\n"
      b"Content-Length: 4\r\n\r\nGOOD", b"GOOD", reused=True)  # fmt: skip
whole("no-reason", b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nGOOD", b"GOOD", reused=True)
whole("status-599", b"HTTP/1.1 599 High\r\nContent-Length: 4\r\n\r\nGOOD", b"GOOD", status=599,
      reused=True)  # fmt: skip
whole("trailers", CHUNKED + b"4;x=y\r\nGOOD\r\n0\r\nX: y\r\n\r\n", b"GOOD", reused=True)
whole("padded-chunk", CHUNKED + b"0004\r\nGOOD\r\n000\r\n\r\n", b"GOOD", reused=True)
