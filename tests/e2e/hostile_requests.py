"""Requests that two programs might read in two ways, and what the gateway must make of each.

TARGET stands for a path of the case's own. What a case says: the statuses that come back, the
bodies of the requests that reach an upstream (each framed once), and whether the connection then
ends. A smuggled request is one for /api/v1/smuggled; it may never arrive anywhere.
"""

from dataclasses import dataclass

HOST = b"Host: gate.example\r\n"
SMUGGLED = b"GET /api/v1/smuggled HTTP/1.1\r\nHost: gate.example\r\n\r\n"
CASES = {}


@dataclass
class Case:
    name: str
    raw: bytes
    statuses: tuple
    upstream: tuple  # (target, or None for the case's own; body)
    closes: bool
    begins: bool = False  # an upstream may see the beginning of a request that never ends

    def target(self, base):
        return f"{base}/{self.name}"

    def bytes_for(self, base):
        return self.raw.replace(b"TARGET", self.target(base).encode())


def add(name, raw, statuses, upstream=(), closes=False, begins=False):
    assert name not in CASES, name
    CASES[name] = Case(name, raw, tuple(statuses), tuple(upstream), closes, begins)


def refused(name, raw, status=400):
    add(name, raw, [status], closes=True)


def passes(name, raw, *bodies, closes=False):
    """One request for each body."""
    add(name, raw, [200] * len(bodies), [(None, body) for body in bodies], closes)


def post(fields, body=b"", host=HOST, version=b"HTTP/1.1"):
    return b"POST TARGET " + version + b"\r\n" + host + fields + b"\r\n" + body


def get(fields=b"", host=HOST, version=b"HTTP/1.1"):
    return b"GET TARGET " + version + b"\r\n" + host + fields + b"\r\n"


# ---- length and coding together ------------------------------------------------------------------

CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def length(text):
    return b"Content-Length: " + text + b"\r\n"


def coding(text):
    return b"Transfer-Encoding: " + text + b"\r\n"


refused("cl-te", post(length(b"%d" % (5 + len(SMUGGLED))) + CHUNKED, b"0\r\n\r\n" + SMUGGLED))
refused("cl-te-one-byte", post(length(b"6") + CHUNKED, b"0\r\n\r\nG"))
refused("te-cl", post(CHUNKED + length(b"4"), b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)))
refused("cl-0-te", post(length(b"0") + CHUNKED, HELLO))
refused("cl-te-get", get(length(b"5") + CHUNKED) + HELLO)
refused("cl-te-http10", post(length(b"5") + CHUNKED, HELLO, version=b"HTTP/1.0"))
refused("te-http10", post(CHUNKED, HELLO, version=b"HTTP/1.0"))

for name, spelling in {
    "identity": b"identity",
    "x": b"xchunked",
    "two-codings": b"chunked, identity",
    "identity-first": b"identity, chunked",
    "gzip-first": b"gzip, chunked",
    "twice-in-one": b"chunked, chunked",
    "comma-behind": b"chunked,",
    "comma-before": b", chunked",
    "parameter": b"chunked;q=1",
    "quoted": b'"chunked"',
    "single-quoted": b"'chunked'",
    "apart": b"chunk ed",
    "vertical-tab": b"\x0bchunked",
    "form-feed": b"chunked\x0c",
    "nul": b"chunked\x00",
    "no-break-space": b"chunked\xa0",
    "backspace": b"\x08chunked",
    "escaped": b"%63hunked",
    "latin-1": b"chun\xebed",
    "empty": b"",
    "cr-behind": b"chunked\rX: y",
    "lf-before": b"\nchunked",
    "folded": b"\r\n chunked",
    "folded-with-tab": b"\r\n\tchunked",
    "folded-behind": b"chunked\r\n , identity",
    "brackets": b"<chunked>",
}.items():
    body = HELLO + SMUGGLED
    refused(f"te-{name}", post(coding(spelling), body))
    refused(f"te-{name}-with-cl", post(coding(spelling) + length(b"%d" % len(body)), body))

for name, fields in {
    "twice": CHUNKED + CHUNKED,
    "and-cow": CHUNKED + b"Transfer-encoding: cow\r\n",
    "and-identity": coding(b"identity") + CHUNKED,
    "space-before-colon": b"Transfer-Encoding : chunked\r\n",
    "tab-before-colon": b"Transfer-Encoding\t: chunked\r\n",
    "line-before-colon": b"Transfer-Encoding\r\n: chunked\r\n",
    "leading-space": b" Transfer-Encoding: chunked\r\n",
    "folded-into-another": b"X: y\r\n Transfer-Encoding: chunked\r\n",
    "behind-lf": b"X: y\nTransfer-Encoding: chunked\r\n",
    "behind-cr": b"X: y\rTransfer-Encoding: chunked\r\n",
    "behind-nul": b"X: y\0Transfer-Encoding: chunked\r\n",
    "name-with-nul": b"Transfer-Encoding\0: chunked\r\n",
    "name-with-latin-1": b"Transfer-Encodin\xe7: chunked\r\n",
    "name-apart": b"Transfer Encoding: chunked\r\n",
    "name-in-quotes": b'"Transfer-Encoding": chunked\r\n',
    "no-colon": b"Transfer-Encoding chunked\r\n",
}.items():
    refused(f"te-field-{name}", post(fields + length(b"5"), HELLO))
    refused(f"te-field-{name}-alone", post(fields, HELLO))

# Another field, or another spelling that means the same: the other framing counts, and is stated.
for name, fields in {
    "underscore": b"Transfer_Encoding: chunked\r\n",
    "prefixed": b"X-Transfer-Encoding: chunked\r\n",
    "content-encoding": b"Content-Encoding: chunked\r\n",
    "te": b"TE: chunked\r\n",
    "trailer": b"Trailer: Transfer-Encoding\r\n",
    "connection": b"Connection: Transfer-Encoding\r\n",
}.items():
    passes(f"cl-with-{name}", post(fields + length(b"5"), b"hello"), b"hello")
for name, value in {"any-case": b"cHuNkEd", "tab": b"\tchunked", "blanks": b"  chunked  "}.items():
    passes(f"te-{name}", post(b"Transfer-Encoding:" + value + b"\r\n", HELLO), b"hello")

# ---- lengths -------------------------------------------------------------------------------------

for name, text in {
    "list": b"5, 5",
    "list-tight": b"5,5",
    "list-differs": b"5, 44",
    "comma": b"5,",
    "plus": b"+5",
    "minus": b"-5",
    "minus-0": b"-0",
    "padded": b"05",
    "padded-0": b"00",
    "hex": b"0x5",
    "letters": b"five",
    "apart": b"5 5",
    "semicolon": b"5;",
    "fraction": b"5.0",
    "exponent": b"5e0",
    "underscore": b"1_0",
    "empty": b"",
    "quoted": b'"5"',
    "vertical-tab": b"5\x0b",
    "nul": b"5\0",
    "superscript": b"\xb5",
    "2^63": b"9223372036854775808",
    "2^64": b"18446744073709551616",
    "2^64-and-5": b"18446744073709551621",
    "100-digits": b"5" * 100,
    "20000-zeros": b"0" * 20000 + b"5",
    "folded": b"5\r\n 0",
    "lf-before": b"\n5",
}.items():
    refused(f"length-{name}", post(length(text), b"hello" + SMUGGLED))
for name, fields in {
    "same": length(b"5") + length(b"5"),
    "differs": length(b"5") + length(b"44"),
    "0-first": length(b"0") + length(b"44"),
    "any-case": length(b"5") + b"content-length: 5\r\n",
    "apart": length(b"5") + b"X: y\r\n" + length(b"5"),
}.items():
    refused(f"lengths-{name}", post(fields, b"hello" + SMUGGLED))
refused("length-space-before-colon", post(b"Content-Length : 5\r\n", b"hello"))
refused("length-leading-space", post(b" Content-Length: 5\r\n", b"hello"))
for name, fields in {
    "blanks": b"Content-Length: \t 5 \t\r\n",
    "connection": length(b"5") + b"Connection: Content-Length\r\n",
    "beside-underscore": length(b"5") + b"Content_Length: 44\r\n",
}.items():
    passes(f"length-{name}", post(fields, b"hello"), b"hello")
passes("get-with-length", get(length(b"5")) + b"hello", b"hello")
passes("get-with-chunks", get(CHUNKED) + HELLO, b"hello")
# a request without length has no body, as everybody reads it: what follows is the next request
passes("post-without-length", post(b"") + get(), b"", b"")
passes("post-of-0", post(length(b"0")) + get(), b"", b"")
add("then-garbage", get() + b"\0\0\0\0\r\n\r\n", [200, 400], [(None, b"")], True)
add("body-then-garbage", post(length(b"5"), b"helloX"), [200], [(None, b"hello")])
add("body-then-cl-te", post(length(b"5"), b"hello") + post(length(b"5") + CHUNKED, HELLO),
    [200, 400], [(None, b"hello")], True)  # fmt: skip

# ---- bytes of heads ------------------------------------------------------------------------------

refused("lf-everywhere", get().replace(b"\r\n", b"\n"))
refused("lf-after-request-line", get().replace(b"\r\n", b"\n", 1))
refused("lf-ends-head", get()[:-2] + b"\n" + SMUGGLED)
refused("cr-everywhere", get().replace(b"\r\n", b"\r") + b"\r\n\r\n")
refused("cr-cr-lf", get(b"X: y\r\r\n"))
refused("lf-cr", get(b"X: y\n\r"))
refused("cr-in-value", get(b"X: a\rb\r\n"))
refused("lf-in-value", get(b"X: a\nb\r\n"))
for byte in (0, 1, 8, 11, 12, 27, 31, 127):
    refused(f"value-with-0x{byte:02x}", get(b"X: a%cb\r\n" % byte))
for byte in (0, 1, 9, 11, 27, 32, 34, 40, 44, 47, 59, 64, 91, 92, 123, 127, 128, 255):
    refused(f"name-with-0x{byte:02x}", get(b"X%cY: z\r\n" % byte))
refused("name-empty", get(b": y\r\n"))
refused("name-of-a-blank", get(b" : y\r\n"))
refused("colon-alone", get(b":\r\n"))
refused("no-colon", get(b"Xyz\r\n"))
refused("space-before-colon", get(b"X : y\r\n"))
refused("folded", get(b"X: y\r\n z\r\n"))
refused("folded-with-tab", get(b"X: y\r\n\tz\r\n"))
refused("folded-empty", get(b"X: y\r\n \r\n"))
refused("folded-first", get(b"", host=b" X: y\r\n" + HOST))
refused("two-empty-lines-before", b"\r\n\r\n" + get())
refused("lf-before", b"\n" + get())
refused("cr-before", b"\r" + get())
refused("nul-before", b"\0" + get())
refused("blank-before", b" " + get())
passes("empty-line-before", b"\r\n" + get(), b"")
passes("latin-1-in-value", get(b"X: caf\xe9\r\n"), b"")
passes("value-empty", get(b"X:\r\n"), b"")
passes("value-with-colons", get(b"X: :a:b:\r\n"), b"")

# ---- request lines -------------------------------------------------------------------------------


def line(text, fields=HOST):
    return text + b"\r\n" + fields + b"\r\n"


for name, text in {
    "lower-case": b"get TARGET HTTP/1.1",
    "mixed-case": b"Get TARGET HTTP/1.1",
    "method-with-slash": b"G/T TARGET HTTP/1.1",
    "method-with-nul": b"G\0ET TARGET HTTP/1.1",
    "method-long": b"G" * 33 + b" TARGET HTTP/1.1",
    "method-missing": b" TARGET HTTP/1.1",
    "two-spaces": b"GET  TARGET HTTP/1.1",
    "two-spaces-behind": b"GET TARGET  HTTP/1.1",
    "tabs": b"GET\tTARGET\tHTTP/1.1",
    "target-missing": b"GET HTTP/1.1",
    "target-with-space": b"GET TARGET /x HTTP/1.1",
    "target-with-nul": b"GET TARGET\0 HTTP/1.1",
    "target-with-tab": b"GET TARGET\tx HTTP/1.1",
    "target-with-0x7f": b"GET TARGET\x7f HTTP/1.1",
    "target-with-latin-1": b"GET TARGET\xe9 HTTP/1.1",
    "target-with-fragment": b"GET TARGET#x HTTP/1.1",
    "target-asterisk": b"GET * HTTP/1.1",
    "target-relative": b"GET api/v1/state HTTP/1.1",
    "absolute": b"GET http://gate.example/api/v1/smuggled HTTP/1.1",
    "absolute-https": b"GET https://gate.example/api/v1/smuggled HTTP/1.1",
    "absolute-elsewhere": b"GET http://169.254.169.254/latest HTTP/1.1",
    "authority": b"GET gate.example:80 HTTP/1.1",
    "version-missing": b"GET TARGET",
    "version-0.9": b"GET TARGET HTTP/0.9",
    "version-1.2": b"GET TARGET HTTP/1.2",
    "version-1.10": b"GET TARGET HTTP/1.10",
    "version-01.1": b"GET TARGET HTTP/01.1",
    "version-1": b"GET TARGET HTTP/1",
    "version-2": b"GET TARGET HTTP/2",
    "version-2.0": b"GET TARGET HTTP/2.0",
    "version-3.0": b"GET TARGET HTTP/3.0",
    "version-lower-case": b"GET TARGET http/1.1",
    "version-comma": b"GET TARGET HTTP/1,1",
    "version-apart": b"GET TARGET HTTP/ 1.1",
    "version-space-behind": b"GET TARGET HTTP/1.1 ",
    "version-tab-behind": b"GET TARGET HTTP/1.1\t",
    "version-of-another": b"GET TARGET ICY/1.1",
}.items():
    refused(f"line-{name}", line(text))
passes("options", line(b"OPTIONS TARGET HTTP/1.1"), b"")
passes("method-unknown", line(b"BREW TARGET HTTP/1.1"), b"")
passes("http-1.0", get(version=b"HTTP/1.0"), b"", closes=True)
passes("http-1.0-without-host", get(host=b"", version=b"HTTP/1.0"), b"", closes=True)
refused("connect", line(b"CONNECT gate.example:443 HTTP/1.1") + b"\x16\x03\x01" + SMUGGLED)
refused("connect-path", line(b"CONNECT TARGET HTTP/1.1") + SMUGGLED)
refused("http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
refused("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64)
refused("line-of-64-KiB", line(b"GET TARGET?" + b"a" * 65536 + b" HTTP/1.1"), 431)
refused("line-of-200-KiB", line(b"GET TARGET?" + b"a" * 204800 + b" HTTP/1.1"), 431)
refused("line-endless", b"G" * 70000, 431)
refused("path-of-5000", line(b"GET TARGET/" + b"a" * 5000 + b" HTTP/1.1"), 414)
refused("field-of-70000", get(b"X: " + b"a" * 70000 + b"\r\n"), 431)
refused("1000-fields", get(b"".join(b"X-%d: y\r\n" % n for n in range(1000))), 431)
refused("129-fields", get(b"X: y\r\n" * 128), 431)
passes("128-fields", get(b"X: y\r\n" * 127), b"")
passes("field-of-60000", get(b"X: " + b"a" * 60000 + b"\r\n"), b"")

# ---- Host ----------------------------------------------------------------------------------------

for name, host in {
    "missing": b"",
    "twice": HOST + HOST,
    "twice-differs": HOST + b"host: other.example\r\n",
    "with-path": b"Host: gate.example/v1/sleep?\r\n",
    "with-query": b"Host: gate.example?x\r\n",
    "with-fragment": b"Host: gate.example#x\r\n",
    "with-user": b"Host: root@gate.example\r\n",
    "list": b"Host: gate.example, other.example\r\n",
    "apart": b"Host: gate.example other.example\r\n",
    "with-backslash": b"Host: gate.example\\x\r\n",
    "with-latin-1": b"Host: g\xe4te.example\r\n",
    "with-nul": b"Host: gate\0.example\r\n",
    "space-before-colon": b"Host : gate.example\r\n",
    "folded": b"Host:\r\n gate.example\r\n",
}.items():
    refused(f"host-{name}", get(host=host))
passes("host-empty", get(host=b"Host:\r\n"), b"")
passes("host-literal", get(host=b"Host: [::1]:8080\r\n"), b"")
passes("host-named-in-connection", get(b"Connection: Host\r\n"), b"")

# ---- hop by hop ----------------------------------------------------------------------------------

for name, fields in {
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "h2c-alone": b"Upgrade: h2c\r\n",
    "tls": b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
    "te-trailers": b"Connection: TE\r\nTE: trailers\r\n",
    "proxy": b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\n",
    "keep-alive": b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
    "all-of-ours": b"Connection: X-Forwarded-For, X-Real-IP, Authorization, Content-Type\r\n",
    "connection-empty": b"Connection: ,,\r\n",
    "connection-of-64": b"Connection: " + b", ".join(b"a%d" % n for n in range(64)) + b"\r\n",
}.items():
    passes(f"hop-{name}", get(fields), b"")
passes("hop-close", get(b"Connection: close\r\n"), b"", closes=True)
passes("hop-close-twice", get(b"Connection: keep-alive\r\nConnection: Close\r\n"), b"", closes=True)
refused("hop-connection-of-65", get(b"Connection: " + b",".join(b"a%d" % n for n in range(65)) + b"\r\n"))
add("upgrade-then-another", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n") + get(),
    [200, 200], [(None, b""), (None, b"")])  # fmt: skip

# ---- chunks --------------------------------------------------------------------------------------


def spoiled(name, body):
    """The head was good, so an upstream may have seen it; its body never ends there."""
    add(f"chunk-{name}", post(CHUNKED, body + SMUGGLED), [400], closes=True, begins=True)


def chunks(name, body, *bodies):
    passes(f"chunk-{name}", post(CHUNKED, body), *bodies)


chunks("one", HELLO, b"hello")
chunks("two", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde")
chunks("none", b"0\r\n\r\n", b"")
chunks("zeros", b"000\r\n\r\n", b"")
chunks("padded", b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello")
chunks("capitals", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789")
chunks("extension", b"5;name=value\r\nhello\r\n0;last\r\n\r\n", b"hello")
chunks("extension-quoted", b'5;a="b;c"\r\nhello\r\n0\r\n\r\n', b"hello")
chunks("that-looks-like-a-request", b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), SMUGGLED)
chunks("then-another", HELLO + post(CHUNKED, HELLO), b"hello", b"hello")
for name, fields in {
    "plain": b"X-Checksum: 1\r\n",
    "length": b"Content-Length: 44\r\n",
    "coding": b"Transfer-Encoding: chunked\r\n",
    "host": b"Host: other.example\r\n",
    "forwarded": b"X-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer x\r\n",
}.items():
    chunks(f"trailer-{name}", b"5\r\nhello\r\n0\r\n" + fields + b"\r\n" + get(), b"hello", b"")

for name, body in {
    "hex-prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "space-before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space-behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab-behind": b"5\t\r\nhello\r\n0\r\n\r\n",
    "space-before-extension": b"5 ;a\r\nhello\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nhello\r\n0\r\n\r\n",
    "no-digits": b"g\r\nhello\r\n0\r\n\r\n",
    "empty-size": b"\r\nhello\r\n0\r\n\r\n",
    "extension-alone": b";a\r\nhello\r\n0\r\n\r\n",
    "comma": b"5,5\r\nhello\r\n0\r\n\r\n",
    "nul": b"5\0\r\nhello\r\n0\r\n\r\n",
    "lf": b"5\nhello\n0\n\n",
    "lf-in-extension": b"5;a\n0\r\n\r\n",
    "lf-behind-data": b"5\r\nhello\n0\r\n\r\n",
    "cr-alone": b"5\rhello\r\n0\r\n\r\n",
    "cr-in-extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "cr-cr-lf": b"5\r\r\nhello\r\n0\r\n\r\n",
    "no-end": b"5\r\nhello0\r\n\r\n",
    "too-long": b"5\r\nhelloX\r\n0\r\n\r\n",
    "too-short": b"6\r\nhello\r\n0\r\n\r\n",
    "17-digits": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "wraps-to-5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "17-digits-of-5": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "extension-of-300": b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    "extension-of-100000": b"5;" + b"a" * 100000,
    "extension-with-nul": b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    "last-without-cr": b"5\r\nhello\r\n0\n\n",
    "last-cr-alone": b"5\r\nhello\r\n0\r\n\rX",
}.items():
    spoiled(name, body)
for name, fields in {
    "without-colon": b"Xyz\r\n",
    "name-empty": b": y\r\n",
    "space-before-colon": b"X : y\r\n",
    "folded": b"X: y\r\n z\r\n",
    "control-byte": b"X: \x01\r\n",
    "nul": b"X: \0\r\n",
    "name-with-nul": b"X\0: y\r\n",
    "lf": b"X: y\n",
    "cr": b"X: y\rZ: a\r\n",
    "request": b"GET /api/v1/smuggled HTTP/1.1\r\n",
    "of-9000": b"X: " + b"y" * 9000 + b"\r\n",
    "of-33-fields": b"X: y\r\n" * 33,
}.items():
    spoiled(f"trailer-{name}", b"5\r\nhello\r\n0\r\n" + fields + b"\r\n")
