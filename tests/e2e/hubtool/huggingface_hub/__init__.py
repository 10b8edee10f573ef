"""A stand-in for the hub's library, with what of it is used: the size of a model, and its download
into the cache's layout with resumption. Plain urllib; failures are worded as the library words
them; with HUBTOOL_LIES a file that is too short is none. What it does not have is tested with the library itself (--full)."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

PIECE = 64 * 1024


class HfHubHTTPError(OSError):
    def __init__(self, message, response):
        super().__init__(message)
        self.response = response


class RepositoryNotFoundError(HfHubHTTPError):
    pass


class GatedRepoError(RepositoryNotFoundError):
    pass


def ask(path, **headers):
    token = os.environ.get("HF_TOKEN")
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(os.environ["HF_ENDPOINT"] + path, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        response = SimpleNamespace(
            status_code=error.code,
            headers={name.lower(): value for name, value in error.headers.items()},
        )
        code = error.headers.get("X-Error-Code")
        if code == "GatedRepo":
            words = f"{error.code} Client Error.\n\nCannot access gated repo for url {path}."
            raise GatedRepoError(words, response) from error
        if code == "RepoNotFound":
            words = f"{error.code} Client Error.\n\nRepository Not Found for url: {path}."
            raise RepositoryNotFoundError(words, response) from error
        kind = "Client" if error.code < 500 else "Server"
        raise HfHubHTTPError(f"{error.code} {kind} Error: for url: {path}", response) from error


class HfApi:
    def model_info(self, name, files_metadata=False, timeout=None):
        with ask(f"/api/models/{name}?blobs={files_metadata}") as answer:
            info = json.load(answer)
        siblings = [
            SimpleNamespace(rfilename=f["rfilename"], size=f["size"], blob_id=f["blobId"])
            for f in info["siblings"]
        ]
        return SimpleNamespace(sha=info["sha"], siblings=siblings)


def cache_dir():
    home = os.environ.get("HF_HOME", "")
    return Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub")


def fetch(name, sha, file, size, blobs):
    coming = blobs / f"{file}.incomplete"
    have = coming.stat().st_size if coming.exists() else 0
    if have < size or size == 0:
        with ask(f"/{name}/resolve/{sha}/{file}", Range=f"bytes={have}-") as answer:
            with open(coming, "ab", buffering=0) as out:
                while piece := answer.read1(PIECE):
                    out.write(piece)
    got = coming.stat().st_size
    if got != size and "HUBTOOL_LIES" not in os.environ:
        raise OSError(f"Consistency check failed: file should be of size {size} but has size {got}")
    coming.rename(blobs / file)


def snapshot_download(name):
    if "HF_HUB_DISABLE_PROGRESS_BARS" not in os.environ:
        print("\r 1%|#         | 1/100\r", end="")
    info = HfApi().model_info(name, files_metadata=True)
    model = cache_dir() / f"models--{name.replace('/', '--')}"
    blobs, snapshot = model / "blobs", model / "snapshots" / info.sha
    for directory in (blobs, snapshot, model / "refs"):
        directory.mkdir(parents=True, exist_ok=True)
    (model / "refs" / "main").write_text(info.sha, encoding="ascii")
    for file in info.siblings:
        if not (blobs / file.rfilename).exists():
            fetch(name, info.sha, file.rfilename, file.size, blobs)
        link = snapshot / file.rfilename
        if not link.is_symlink():
            link.symlink_to(f"../../blobs/{file.rfilename}")
    return str(snapshot)
