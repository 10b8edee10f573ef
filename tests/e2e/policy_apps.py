"""Programs of the kind that stands behind the gateway, with a handler for every path that the policy
refuses: an engine (FastAPI, as vLLM), management (FastAPI with a middleware that hands everything
under /v1 to the engine, as MLNode's 8080) and the proxy of port 5000, which pastes the path it
decoded into a URL of its own. Whatever reaches a handler is written down.
"""

import re
import socket
import threading
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
POLICY = Path(__file__).resolve().parents[2] / "src" / "gateway" / "policy.c"
DOCS = ("/docs", "/redoc", "/openapi.json")  # FastAPI makes their handlers itself


def rules():
    """[(method or None, path)] that are refused, as the source has them."""
    table = re.search(r"forbidden_rules\[\] = \{(.*?)\n\};", POLICY.read_text(), re.S).group(1)
    return [
        (method if method != "NULL" else None, path)
        for method, path in re.findall(r'\{"?(\w+)"?, "([^"]+)"\}', table)
    ]


class Hits:
    def __init__(self):
        self.all = []

    def add(self, where, scope):
        self.all.append((where, scope["method"], scope["path"], scope["raw_path"]))

    def take(self):
        taken, self.all = self.all, []
        return taken


def watched(app, where, hits):
    """FastAPI's own pages are noted too, when they were found."""

    @app.middleware("http")
    async def note(request, call_next):
        answer = await call_next(request)
        if answer.status_code < 300 and request.scope["path"].startswith(DOCS):
            hits.add(where, request.scope)
        return answer

    def handler(request: Request):
        hits.add(where, request.scope)
        return Response(b"forbidden", 200)

    for method, path in rules():
        if path not in DOCS:
            methods = [method] if method else METHODS
            app.add_api_route(path, handler, methods=methods, include_in_schema=False)
            app.add_api_route(f"{path}/{{rest:path}}", handler, methods=methods, include_in_schema=False)
    return app


def hand_on_with(client):
    async def hand_on(request, url):
        """As MLNode does it: a new request to a URL made of text."""
        answer = await client.request(request.method, url, content=await request.body())
        return Response(answer.content, answer.status_code)

    return hand_on


def engine(hits):
    return watched(FastAPI(), "engine", hits)


def management(hits, engine_port):
    app = watched(FastAPI(), "management", hits)
    hand_on = hand_on_with(httpx.AsyncClient(verify=False))

    @app.middleware("http")
    async def proxy(request, call_next):
        path = request.url.path
        if path.startswith("/v1"):
            return await hand_on(request, f"http://127.0.0.1:{engine_port}{path}")
        return await call_next(request)

    @app.get("/api/v1/state")
    def state():
        return {"state": "INFERENCE"}

    return app


def port_5000(engine_port):
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    hand_on = hand_on_with(httpx.AsyncClient(verify=False))

    @app.api_route("/{path:path}", methods=METHODS)
    async def everything(path: str, request: Request):
        return await hand_on(request, f"http://127.0.0.1:{engine_port}/{path}")

    return app


class Server:
    """uvicorn in a thread, on a port of its own."""

    def __init__(self, app, http):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        config = uvicorn.Config(app, log_level="critical", http=http, lifespan="off")
        self.server = uvicorn.Server(config)
        self.server.install_signal_handlers = lambda: None
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],), daemon=True)
        self.thread.start()

    def close(self):
        self.server.should_exit = True
        self.thread.join(10)
        self.listener.close()
