"""A stand-in for MLNode's management, as MLNODE_COMMAND: a state, and on request the endpoint for
models, which downloads with the stand-in library in a process of its own as MLNode's does.

    modelnode.py PORT [--models] [--begin MODEL] [--busy] [--late] [--uid N]

--begin: a download is under way from the start; --busy: every download is one too many; --late:
POST /api/v1/models/... is not answered until inference/up was.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "hubtool"))
import huggingface_hub as library  # noqa: E402

DOWNLOAD = "import sys; sys.path.insert(0, sys.argv[2]); import huggingface_hub as h; "
DOWNLOAD += "h.snapshot_download(sys.argv[1])"


class Task:
    def __init__(self, name):
        self.error = None
        self.ended = None  # the exit status
        self.process = subprocess.Popen(
            [sys.executable, "-c", DOWNLOAD, name, sys.path[0]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self.wait, daemon=True).start()

    def wait(self):
        said = self.process.communicate()[1].decode()
        self.error = said[:500] if self.process.returncode else None
        self.ended = self.process.returncode

    @property
    def status(self):
        if self.ended is None:
            return "DOWNLOADING"
        return "DOWNLOADED" if self.ended == 0 else "PARTIAL"


class Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tasks = {}
    busy = False
    models = False
    asked_up = threading.Event()

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return json.loads(data) if data else {}

    def do_GET(self):
        if self.path == "/api/v1/state":
            self.answer(200, {"state": "STOPPED"})
        else:
            self.answer(404, {"detail": "Not Found"})

    def do_POST(self):
        asked = self.body()
        name = asked.get("hf_repo")
        if self.path.startswith("/api/v1/inference/up"):
            self.answer(200, {"status": "OK"})
            self.asked_up.set()
            return
        self.asked_up.wait()
        if not self.models or not self.path.startswith("/api/v1/models/"):
            self.answer(404, {"detail": "Not Found"})
        elif self.path.endswith("/status"):
            self.answer(200, self.status(name))
        else:
            self.download(name)

    def status(self, name):
        task = self.tasks.get(name)
        if task:
            return {"status": task.status, "error_message": task.error}
        there = library.cache_dir() / f"models--{name.replace('/', '--')}"
        word = "NOT_FOUND"
        if there.exists():
            coming = any(there.glob("blobs/*.incomplete"))
            word = "PARTIAL" if coming else "DOWNLOADED"
        return {"status": word, "error_message": None}

    def download(self, name):
        task = self.tasks.get(name)
        if Node.busy:
            self.answer(429, {"detail": "Maximum concurrent downloads (3) reached"})
        elif task and task.status == "DOWNLOADING":
            self.answer(409, {"detail": f"Model {name} is already downloading"})
        else:
            self.tasks[name] = Task(name)
            self.answer(202, {"task_id": f"{name}:latest", "status": "DOWNLOADING"})

    def do_DELETE(self):
        task = self.tasks.pop(self.body().get("hf_repo"), None)
        if task is None:
            self.answer(404, {"detail": "not found in cache"})
            return
        os.killpg(task.process.pid, signal.SIGTERM)
        self.answer(200, {"status": "cancelled"})


def main():
    words = argparse.ArgumentParser()
    words.add_argument("port", type=int)
    words.add_argument("--models", action="store_true")
    words.add_argument("--begin")
    words.add_argument("--busy", action="store_true")
    words.add_argument("--late", action="store_true")
    words.add_argument("--uid", type=int)
    given = words.parse_args()
    Node.models, Node.busy = given.models, given.busy
    if not given.late:
        Node.asked_up.set()
    if given.begin:
        Node.tasks[given.begin] = Task(given.begin)
    if given.uid:
        os.setgid(given.uid)
        os.setuid(given.uid)
    ThreadingHTTPServer(("127.0.0.1", given.port), Node).serve_forever()


main()
