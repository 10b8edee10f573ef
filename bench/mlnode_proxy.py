"""A proxy of the kind that MLNode has on port 5000: one uvicorn process, one catch-all route, httpx
streaming both ways. For measuring what stands behind it; not a copy of MLNode's.

    mlnode_proxy.py PORT ENGINE-PORT      until it is ended
    mlnode_proxy.py --check               whether the packages it needs are there
"""

import sys

import httpx
import uvicorn

DROPPED = (b"content-length", b"transfer-encoding", b"connection")
LIMITS = httpx.Limits(max_connections=20000, max_keepalive_connections=5000)
TIMEOUT = httpx.Timeout(None, read=900)
MARK = (b"x-bench-proxy", b"1")  # tells the engine who asks


class Proxy:
    def __init__(self, port):
        self.engine = f"http://127.0.0.1:{port}"
        self.client = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        elif scope["type"] == "http":
            await self.forward(scope, receive, send)

    async def lifespan(self, receive, send):
        await receive()
        self.client = httpx.AsyncClient(base_url=self.engine, limits=LIMITS, timeout=TIMEOUT)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.client.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def forward(self, scope, receive, send):
        query = scope["query_string"].decode()
        url = scope["path"] + ("?" + query if query else "")
        headers = [(k, v) for k, v in scope["headers"]
                   if k not in (b"host", b"content-length", b"transfer-encoding")]
        request = self.client.build_request(
            scope["method"], url, headers=[*headers, MARK], content=body_of(receive))
        try:
            answer = await self.client.send(request, stream=True)
        except httpx.TransportError as e:
            await send_error(send, e)
            return
        try:
            kept = [(k.lower(), v) for k, v in answer.headers.raw if k.lower() not in DROPPED]
            await send({"type": "http.response.start", "status": answer.status_code,
                        "headers": kept})
            async for data in answer.aiter_raw():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()


async def body_of(receive):
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def send_error(send, error):
    text = f'{{"detail": "{type(error).__name__}"}}'.encode()
    await send({"type": "http.response.start", "status": 502,
                "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": text})


if __name__ == "__main__" and sys.argv[1:] != ["--check"]:
    uvicorn.run(Proxy(int(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]),
                log_level="warning", timeout_keep_alive=300)
