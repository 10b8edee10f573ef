"""A stand-in for the model hub over HTTP on loopback: one model, and the failures of a real hub.

    hub = Hub(lab, files={"config.json": 300, "model.safetensors": 8 << 20})
    hub.fail(503)               every answer, until hub.heal()
    hub.rate = 200_000          bytes a second of all downloads together
    hub.truncate = "model.safetensors"    its downloads end in the middle, orderly to look at
    hub.hold = "model.safetensors"        ... stop coming and stay open
    hub.fail_files(503)         as fail, but only for the files
"""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REPOSITORY = "an-org/a-model"
SHA = "5b6a4f1d3c2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a"
PIECE = 16 * 1024
SMALL = 4096  # smaller files are no LFS files


def content(name, size):
    seed = hashlib.sha256(name.encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def hub(self):
        return self.server.hub

    def refuse(self, status, code=None, **fields):
        body = b"refused\n"
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", f"made up: {code}")
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refused(self, path):
        """Whether the answer was a failure that the test asked for."""
        hub = self.hub
        hub.note(self.command, path, self.headers.get("Range"), self.headers.get("Authorization"))
        failure = hub.failure or ("/resolve/" in path and hub.file_failure)
        if failure:
            status, code, fields = failure
            self.refuse(status, code, **fields)
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.refuse(401, "GatedRepo")
        elif not path.startswith((f"/api/models/{REPOSITORY}", f"/{REPOSITORY}/resolve/")):
            self.refuse(404, "RepoNotFound")
        else:
            return False
        return True

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urlsplit(self.path).path
        if self.refused(path):
            return
        if path.startswith("/api/"):
            self.describe(path)
        else:
            self.deliver(path.rpartition("/")[2])

    def describe(self, path):
        files = [self.hub.entry(name) for name in self.hub.files]
        answer = {
            "_id": "1",
            "id": REPOSITORY,
            "modelId": REPOSITORY,
            "sha": SHA,
            "private": False,
            "siblings": [
                {
                    "rfilename": f["path"],
                    "size": f["size"],
                    "blobId": f["oid"],
                    **({"lfs": {**f["lfs"], "sha256": f["lfs"]["oid"]}} if "lfs" in f else {}),
                }
                for f in files
            ],
        }
        body = json.dumps(files if "/tree/" in path else answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def deliver(self, name):
        hub = self.hub
        if name not in hub.files:
            self.refuse(404, "EntryNotFound")
            return
        data, entry = hub.data(name), hub.entry(name)
        begin = 0
        range_ = self.headers.get("Range", "")
        if range_.startswith("bytes="):
            begin = int(range_[6:].partition("-")[0])
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]}"')
        self.send_header("X-Repo-Commit", SHA)
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        if self.command == "GET":
            self.pieces(name, data, begin)

    def pieces(self, name, data, begin):
        hub = self.hub
        stop = len(data)
        if name in (hub.truncate, hub.hold):
            stop = begin + (stop - begin) // 2
        for at in range(begin, stop, PIECE):
            piece = data[at : min(at + PIECE, stop)]
            hub.pace(len(piece))
            try:
                self.wfile.write(piece)
            except OSError:
                return
        if name == hub.hold:
            hub.released.wait()
        if stop < len(data):
            self.close_connection = True


class Hub:
    def __init__(self, lab, files=None):
        self.files = files or {"config.json": 300, "a.safetensors": 3 << 20, "b.safetensors": 1 << 20}
        self.failure = None
        self.file_failure = None
        self.token = None
        self.rate = None
        self.truncate = None
        self.hold = None
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.free_at = 0.0
        self.requests = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.hub = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        lab.closers.append(self.close)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def size(self):
        return sum(self.files.values())

    def data(self, name):
        return content(name, self.files[name])

    def entry(self, name):
        data = self.data(name)
        entry = {
            "type": "file",
            "path": name,
            "size": len(data),
            "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
        }
        if len(data) >= SMALL:
            digest = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
        return entry

    def note(self, *request):
        with self.lock:
            self.requests.append(request)

    def asked(self, method=None, ending=""):
        with self.lock:
            return [r for r in self.requests if method in (None, r[0]) and r[1].endswith(ending)]

    def fail(self, status, code=None, **fields):
        self.failure = (status, code, fields)

    def fail_files(self, status, code=None, **fields):
        self.file_failure = (status, code, fields)

    def heal(self):
        self.failure = None

    def pace(self, size):
        if not self.rate:
            return
        with self.lock:
            begin = max(self.free_at, time.monotonic())
            self.free_at = begin + size / self.rate
            wait = self.free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
