"""A model hub on localhost, in the hub's URL layout: what the published path is tested against.

It answers HEAD with the headers that name a large file's sha256 and size, and GET with ranges; it can hang up in the
middle, be away, or send other bytes than it promised. What it serves is a small CLIP in the published key layout.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from torch import nn

from core.backbones.clip_model import ClipSize, build

COMMIT = "0123456789abcdef0123456789abcdef01234567"

SMALL = ClipSize(
    embed_dim=16,
    image_size=32,
    vision_layers=1,
    vision_width=64,
    patch_size=16,
    text_width=64,
    text_layers=1,
)


@dataclass(kw_only=True)
class Hub:
    """The files of a hub by 'organisation/model/file', how it behaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)  # other bytes arrive than HEAD promised
    plain: set[str] = field(default_factory=set)  # without a sha256, as small text files
    refused: int | None = None  # a status for every request
    hang_up_after: int | None = None  # bytes of the next body; then the connection is cut
    away: bool = False  # every connection is cut at once
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, file, range

    def gets(self, name: str) -> list[str | None]:
        """Return the ranges that were asked for of one file; None for the whole."""
        return [span for method, path, span in self.asked if method == "GET" and path == name]


def small_clip(seed: int = 0, *, quick_gelu: bool = True) -> nn.Module:
    """Return a small CLIP in evaluation mode with seeded random weights."""
    torch.manual_seed(seed)
    return build(SMALL, quick_gelu=quick_gelu).eval()


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, folder: str) -> Iterator[Hub]:
    """Serve a hub, and let downloads go there and nowhere else, into `folder`."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("CLIP_FAMILY_WEIGHTS", folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)  # so that a cut body leaves something
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)  # between its retries
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answer as the hub does for /ORGANISATION/MODEL/resolve/main/FILE."""

    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        name = self.path.lstrip("/").replace("/resolve/main/", "/")
        span = self.headers.get("Range")
        self.hub.asked.append((self.command, name, span))
        if self.hub.away:
            self.close_connection = True
        elif self.hub.refused or name not in self.hub.files:
            self.send_response(self.hub.refused or 404)
            if not self.hub.refused:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(name, int(span.removeprefix("bytes=").rstrip("-")) if span else 0, with_body)

    def _send(self, name: str, start: int, with_body: bool) -> None:
        data = self.hub.files[name]
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        if name not in self.hub.plain:
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if with_body:
            body = bytes(255 - byte for byte in data) if name in self.hub.damaged else data
            cut, self.hub.hang_up_after = self.hub.hang_up_after, None
            self.wfile.write(body[start:] if cut is None else body[start : start + cut])
            self.close_connection = cut is not None
