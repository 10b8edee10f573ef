"""MLNode's ports as far as the tests of the tunnel need them behind the gateway: an HTTP service that
names itself, and the user who asks for it. What the gateway asks on its own account is answered as
MLNode would.
"""

import http.client
import json
from typing import NamedTuple

from harness import Failure, wait_on
from services import Service, pattern

STATE = "/api/v1/state"
MODELS = "/v1/models"


class Request(NamedTuple):
    method: str
    path: str
    fields: http.client.HTTPMessage


class WebService(Service):
    """Answers GET PATH with its name and PATH, GET /bytes/N with a pattern of N bytes. `unknown`:
    paths that are 404 here, as management's are with an engine."""

    def __init__(self, port, name):
        self.name = name
        self.unknown = set()
        self.requests = []
        super().__init__(port)

    def _serve(self, link):
        try:
            with link.sock.makefile("rb") as file:
                while words := file.readline().decode("latin-1").split():
                    self._answer(link, file, words)
                link.note("eof")
        except OSError:
            link.note("reset")
        finally:
            link.sock.close()

    def _answer(self, link, file, words):
        request = Request(words[0], words[1], http.client.parse_headers(file))
        file.read(int(request.fields.get("Content-Length", 0)))
        with self.condition:
            self.requests.append(request)
            self.condition.notify_all()
        length, chunks = self._body(request.path)
        status = "404 Not Found" if request.path in self.unknown else "200 OK"
        link.send(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode())
        link.send_all(chunks)

    def _body(self, path):
        if path.startswith("/bytes/"):
            length = int(path.removeprefix("/bytes/"))
            return length, pattern(length)
        known = {STATE: {"state": "INFERENCE"}, MODELS: {"data": [{"id": "a-model"}]}}
        text = json.dumps(known[path]) if path in known else f"{self.name} {path}"
        return len(text), [text.encode()]

    def count(self, path):
        with self.condition:
            return sum(request.path == path for request in self.requests)

    def request(self, path):
        """The last one for this path."""
        with self.condition:
            return [request for request in self.requests if request.path == path][-1]

    def wait_requests(self, path, count, seconds=10):
        wait_on(
            self.condition,
            lambda: sum(request.path == path for request in self.requests) >= count,
            seconds,
            f"{count} requests for {path} at the {self.name}",
        )


def fetch(port, path, source="127.0.0.1", timeout=5):
    """The body of GET `path` on a connection of its own, from the address `source`."""
    user = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=timeout, source_address=(source, 0)
    )
    try:
        user.request("GET", path)
        answer = user.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise Failure(f"GET {path}: {error!r}") from error
    finally:
        user.close()
    if answer.status != 200:
        raise Failure(f"GET {path}: {answer.status} {body[:200]!r}")
    return body
