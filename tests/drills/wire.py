"""A wire between a worker and the engine that can be cut, and can do to a request whatever networks do.

It understands just enough HTTP to take a request whole.  In the modes `full` and `refuse` it answers in the engine's
place, as OpenSearch does when its disk is full or its queue is.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import closing, suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Mode(StrEnum):
    """What the wire does to each request."""

    PASS = "pass"
    CUT = "cut"
    """The connection is closed before the request reaches the engine."""
    DEAF = "deaf"
    """The request is done, and its answer is lost."""
    DELAY = "delay"
    """Every request takes two seconds longer."""
    TRUNCATE = "truncate"
    """The answer breaks off in its middle."""
    DOUBLE = "double"
    """Every request is delivered twice."""
    LATE = "late"
    """The connection is closed, and what it carried is delivered some seconds later."""
    REFUSE = "refuse"
    """429: the engine's queue is full."""
    FULL = "full"
    """Each document is refused, because the engine's disk is full."""


DELAY_S = 2.0
LATE_S = 4.0
QUEUE_FULL = {
    "error": {"root_cause": [{"type": "rejected_execution_exception"}], "type": "rejected_execution_exception"},
    "status": 429,
}
DISK_FULL = {
    "type": "cluster_block_exception",
    "reason": "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];",
}


class Wire:
    """A port of 127.0.0.1 that leads to a server's."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.host, self.port = address.hostname or "127.0.0.1", address.port or 9200
        self.mode = Mode.PASS
        self.counts: dict[Mode, int] = dict.fromkeys(Mode, 0)
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                wire.carry(self)

            # The names are the base class's.
            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def handle(self) -> None:
                with suppress(OSError):
                    super().handle()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # What a client hung up on is no news here.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, daemon=True, name="wire").start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def carry(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one request, and do with it what the mode says."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        mode = self.mode
        self.counts[mode] += 1
        is_bulk = "_bulk" in handler.path
        if mode is Mode.CUT:
            return hang_up(handler)
        if mode is Mode.REFUSE:
            return answer(handler, 429, json.dumps(QUEUE_FULL).encode())
        if mode is Mode.FULL and is_bulk:
            items = [{"index": {"status": 429, "error": DISK_FULL}} for _ in range(body.count(b"\n") // 2)]
            return answer(handler, 200, json.dumps({"errors": True, "items": items}).encode())
        if mode is Mode.LATE and is_bulk:
            threading.Timer(LATE_S, self._deliver_late, (handler.command, handler.path, body)).start()
            return hang_up(handler)
        if mode is Mode.DELAY:
            time.sleep(DELAY_S)
        try:
            status, text = self._ask(handler.command, handler.path, body)
            if mode is Mode.DOUBLE and is_bulk:
                status, text = self._ask(handler.command, handler.path, body)
        except (OSError, http.client.HTTPException):
            return hang_up(handler)
        if mode is Mode.DEAF:
            return hang_up(handler)
        return answer(handler, status, text, is_cut=mode is Mode.TRUNCATE)

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=60)) as connection:
            connection.request(method, path, body or None, {"Content-Type": "application/json"})
            with closing(connection.getresponse()) as answered:
                return answered.status, answered.read()

    def _deliver_late(self, method: str, path: str, body: bytes) -> None:
        with suppress(OSError, http.client.HTTPException):
            self._ask(method, path, body)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)


def answer(handler: BaseHTTPRequestHandler, status: int, text: bytes, *, is_cut: bool = False) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json; charset=UTF-8")
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(text[: len(text) // 2] if is_cut else text)
    if is_cut:
        hang_up(handler)
