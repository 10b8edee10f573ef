"""A FastAPI application in the place of an engine, served by uvicorn: streams with the framework's
own StreamingResponse, and tells what reached it and who left early.
"""

import asyncio
import hashlib

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
left = []  # streams whose reader went away, by the name the request gave


async def events(asked):
    try:
        for number in range(asked.get("events", 10)):
            yield 'data: {"n": %d}\n\n' % number
            await asyncio.sleep(asked.get("pause", 0))
        yield "data: [DONE]\n\n"
    except asyncio.CancelledError:
        left.append(asked.get("name"))
        raise


@app.post("/v1/chat/completions")
async def chat(asked: dict):
    """A body of another Content-Type than JSON is FastAPI's own 422."""
    if asked.get("stream", True):
        return StreamingResponse(events(asked), media_type="text/event-stream")
    return {"object": "chat.completion", "choices": [{"message": {"content": "all at once"}}]}


@app.get("/health")
async def health():
    return {}


@app.get("/v1/left")
async def who_left():
    return left


@app.post("/v1/sink")
async def sink(request: Request):
    """Takes a body piece by piece."""
    digest, length = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        length += len(piece)
    return {"bytes": length, "sha256": digest.hexdigest()}


@app.api_route("/v1/{rest:path}", methods=["GET", "HEAD", "PUT"])
async def echo(request: Request):
    """What the request's head was when it came here."""
    return {
        "method": request.method,
        "path": request.scope["raw_path"].decode("latin-1"),
        "query": request.url.query,
        "headers": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in request.headers.raw],
        "client": request.client.host,
    }
