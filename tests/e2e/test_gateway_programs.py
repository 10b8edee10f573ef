"""Programs that other people wrote, on both sides of the gateway: uvicorn with FastAPI's
StreamingResponse as the engine; httpx, curl, the OpenAI client and a client that leaks its
connections as the users.
"""

import asyncio
import hashlib
import json
import subprocess
import sys

import httpx
import pytest
from gateways import CHAT, WAYS, Management, open_uvicorn, post
from harness import eventually
from lab import SLOW, holds_less_than, within
from services import TIMEOUT, pattern

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def uvicorn(shared_lab):
    return open_uvicorn(shared_lab)


@pytest.fixture(scope="module", params=WAYS)
def way(shared_lab, uvicorn, request):
    """A way to a gateway in front of uvicorn with FastAPI."""
    return WAYS[request.param](shared_lab, Management(shared_lab).port, uvicorn)


def events(count):
    return "".join(f'data: {{"n": {n}}}\n\n' for n in range(count)) + "data: [DONE]\n\n"


# ---- httpx ---------------------------------------------------------------------------------------


def test_httpx_streams_and_plain_answers(way):
    with httpx.Client(base_url=way.base, timeout=TIMEOUT) as client:
        for count in (0, 1, 50):
            assert client.post(CHAT, json={"events": count}).text == events(count)
        whole = client.post(CHAT, json={"stream": False})
        assert whole.headers["content-type"] == "application/json"
        assert whole.json()["choices"][0]["message"]["content"] == "all at once"
        asked = client.get("/v0.2.14/v1/some/path%2Fhere", params={"a": "1 2"}).json()
        assert (asked["path"], asked["query"]) == ("/v1/some/path%2Fhere", "a=1+2")
        assert client.head("/v1/anything").content == b""
        assert client.put("/v1/anything", content=b"put").json()["method"] == "PUT"


def test_httpx_without_a_content_type(way):
    """FastAPI reads the body as JSON only where the head says so: the gateway adds what is missing,
    and does not touch what is there."""
    body = json.dumps({"events": 1})
    request = httpx.Request("POST", way.base + CHAT, content=body)
    assert "content-type" not in request.headers
    with httpx.Client(timeout=TIMEOUT) as client:
        assert client.send(request).text == events(1)
        wrong = client.post(way.base + CHAT, content=body, headers={"content-type": "text/plain"})
        assert wrong.status_code == 422


async def many_streams(base, users, rounds):
    limits = httpx.Limits(max_connections=users, max_keepalive_connections=users)
    async with httpx.AsyncClient(base_url=base, timeout=within(60), limits=limits) as client:

        async def one(n):
            answers = []
            for _ in range(rounds):
                answer = await client.post(CHAT, json={"events": 5 + n, "pause": 0.001})
                answers.append(answer.text == events(5 + n))
            return all(answers)

        return await asyncio.gather(*[one(n) for n in range(users)])


def test_httpx_many_at_once(way):
    assert all(asyncio.run(many_streams(way.base, 32 // SLOW, 3)))


def test_httpx_leaves_a_stream(way):
    """Starlette's task is cancelled: the engine would stop generating."""
    with httpx.Client(base_url=way.base, timeout=TIMEOUT) as client:
        name = f"left {way.port}"
        asked = {"events": 1000000, "pause": 0.01, "name": name}
        with client.stream("POST", CHAT, json=asked) as answer:
            assert next(answer.iter_lines()).startswith("data: ")
        eventually(
            lambda: name in client.get("/v1/left").json(),
            within(10),
            "the end of the application's stream",
        )


def test_httpx_uploads_in_chunks(way):
    """A generator as the body: chunked coding, piece by piece."""
    digest = hashlib.sha256()
    for block in pattern(4 * MIB):
        digest.update(block)
    answer = httpx.post(way.base + "/v1/sink", content=pattern(4 * MIB), timeout=TIMEOUT)
    assert answer.json() == {"bytes": 4 * MIB, "sha256": digest.hexdigest()}


# ---- curl ----------------------------------------------------------------------------------------


def curl(way, path, *words, data=None, fails=False):
    """What curl wrote to its standard output: with --include the heads, too."""
    command = ["curl", "--silent", "--show-error", "--max-time", str(within(20)), *words]
    done = subprocess.run([*command, way.base + path], input=data, capture_output=True, check=False)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stdout.decode()


@pytest.fixture
def body(tmp_path):
    """A file larger than what makes curl ask before it sends (1 MiB)."""
    path = tmp_path / "body"
    path.write_bytes(b"".join(pattern(3 * MIB)))
    return path


def sunk(body):
    data = body.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


ASK = ["--json", '{"events": 3}']
OFFERS = {
    "plain": [],
    "http2": ["--http2"],  # Upgrade: h2c, which nobody takes
    "http1.0": ["--http1.0"],
    "unbuffered": ["--no-buffer"],
    "compressed": ["--compressed"],
    "close": ["--header", "Connection: close"],
}


@pytest.mark.parametrize("offer", OFFERS)
def test_curl_streams(way, offer):
    text = curl(way, CHAT, *OFFERS[offer], *ASK, "--include")
    head, answer = text.split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200 ") and "upgrade" not in head.lower()
    assert answer == events(3)


def test_curl_on_one_connection(way):
    """Ten requests one after another, the connection made once."""
    urls = [way.base + CHAT] * 9
    made = curl(way, CHAT, *ASK, "--write-out", "%{num_connects} ", "--output", "-", *urls)
    assert made.count("data: [DONE]") == 10
    assert sum(int(line) for line in made.split() if line in "01") == 1


def test_curl_asks_before_it_sends(way, body):
    """Expect: 100-continue, answered by uvicorn as the application begins to read."""
    words = ["--data-binary", f"@{body}", "--header", "Expect: 100-continue", "--include"]
    text = curl(way, "/v1/sink", *words, "--expect100-timeout", str(within(15)))
    interim, _, answer = text.split("\r\n\r\n", 2)
    assert interim.startswith("HTTP/1.1 100 ")
    assert json.loads(answer) == sunk(body)


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_uploads(way, body, version):
    words = [version, "--upload-file", body, "--request", "POST"]
    assert json.loads(curl(way, "/v1/sink", *words)) == sunk(body)


def test_curl_uploads_in_chunks(way, body):
    """From a pipe: the length is not known, and nobody asks for it."""
    words = ["--upload-file", "-", "--request", "POST", "--header", "Transfer-Encoding: chunked"]
    assert json.loads(curl(way, "/v1/sink", *words, data=body.read_bytes())) == sunk(body)


def test_curl_asks_for_the_head(way):
    assert curl(way, "/v1/models", "--head").startswith("HTTP/1.1 200 ")


def test_curl_insists_on_http2(way):
    """Without asking first: refused, and the next user is served."""
    curl(way, CHAT, "--http2-prior-knowledge", *ASK, fails=True)
    assert curl(way, CHAT, *ASK) == events(3)


# ---- a client that leaks -------------------------------------------------------------------------

LEAKED = 300 // SLOW


def test_leaked_connections(way):
    """As the API node does (its Go code drops answers without closing their bodies): connections
    whose answer nobody reads, and that nobody closes. All others are served, little is held, and
    when the process is gone nothing is left."""
    eventually(lambda: way.count("clients") == 1, within(10), "the tests before this to be over")
    before = way.gateway.descriptors()
    leaked = []
    for n in range(LEAKED):
        user = way.wire()
        # some answers fit into the socket's buffer, some would go on for ever
        asked = {"events": 1000000} if n % 3 == 0 else {"events": 3}
        user.send(post("/api/v1/state" if n % 3 == 1 else CHAT, json.dumps(asked).encode()))
        leaked.append(user)
    for _ in range(10):
        answer = httpx.post(way.base + CHAT, json={"events": 2}, timeout=within(20))
        assert answer.text == events(2)
    for process in way.processes:
        assert process.running() and holds_less_than(process, 96)
    assert way.count("clients") > LEAKED
    for user in leaked:
        user.close()
    eventually(lambda: way.count("clients") == 1, within(20), "all clients to be forgotten")
    eventually(
        lambda: way.gateway.descriptors() <= before + 10, within(20), "all connections to be closed"
    )


# ---- the OpenAI client ---------------------------------------------------------------------------

OPENAI = """
import sys
from openai import OpenAI, APIStatusError

client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=60)
ask = {"model": "m", "messages": [{"role": "user", "content": "alpha beta gamma"}]}

text = client.chat.completions.create(**ask).choices[0].message.content
pieces = client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
streamed, usage = "", None
for piece in pieces:
    streamed += "".join(choice.delta.content or "" for choice in piece.choices)
    usage = piece.usage or usage
assert streamed == text, (streamed, text)
assert usage.completion_tokens == 32, usage
assert [model.id for model in client.models.list()] == ["Qwen/Qwen3-32B-FP8"]

with client.chat.completions.create(**ask, stream=True) as pieces:
    next(iter(pieces))
try:
    client.post("/sleep", cast_to=object, body={})
except APIStatusError as error:
    print(error.status_code, error.code)
print("done", len(text.split()))
"""


@pytest.fixture(scope="module")
def openai_python(tmp_path_factory):
    """A Python with the OpenAI client in an environment of its own."""
    folder = tmp_path_factory.mktemp("openai") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "openai"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.skip("skipped (no package index: pip could not install openai)")
    return python


@pytest.mark.full
@pytest.mark.parametrize("open_way", WAYS)
def test_openai_client(lab, openai_python, open_way):
    words = ["--listen", "127.0.0.1:0", "--listen-management", "127.0.0.1:0", "--print-ports"]
    node = lab.mlgate("testnode", *words, "--up", "--token-rate", "1000", name="testnode")
    ports = json.loads(node.wait_line(r"^\{.*\}$")[0])
    way = WAYS[open_way](lab, ports["management"], ports["inference"])
    script = lab.path("openai.py")
    script.write_text(OPENAI, encoding="utf-8")
    command = [openai_python, script, way.base + "/v1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    refused, closing = done.stdout.splitlines()
    assert refused.startswith("404 ") and closing == "done 32"
