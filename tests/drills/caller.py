"""Somebody who speaks to the portal over HTTP: by a token or in a session, through any of its web processes."""

from __future__ import annotations

import html
import http.client
import itertools
import json
import re
import select
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from tests.installation import Answer

FORM_TYPE = "application/x-www-form-urlencoded"
IDLE_S = 3.0
"""A server closes what has been idle for five seconds; a connection that might be one of those is not used again."""


class NoAnswer(Exception):
    """The connection was refused, cut or timed out: whether the request was done is unknown."""


class Caller:
    """Kept-alive connections of one person.  A port that refuses is passed over for the next, as a proxy would."""

    def __init__(self, ports: Sequence[int], *, token: str = "", timeout_s: float = 150.0) -> None:
        self._ports = tuple(ports)
        self._turn = itertools.cycle(range(len(ports)))
        self._timeout_s = timeout_s
        self._connections: dict[int, http.client.HTTPConnection] = {}
        self._used_at: dict[int, float] = {}
        self._cookie = ""
        self._token = token

    def ask(self, method: str, path: str, body: object = None, *, key: str = "") -> Answer:
        """Send one request once.

        Raises:
            NoAnswer: nobody answered it.
        """
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if self._cookie:
            headers["Cookie"] = self._cookie
        if key:
            headers["Idempotency-Key"] = key
        content: bytes | None = None
        if isinstance(body, bytes):
            content, headers["Content-Type"] = body, FORM_TYPE
        elif body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        first = next(self._turn)
        for step in range(len(self._ports)):
            port = self._ports[(first + step) % len(self._ports)]
            try:
                return self._send(port, method, path, content, headers | {"Host": f"127.0.0.1:{port}"})
            except ConnectionRefusedError as error:
                if step == len(self._ports) - 1:
                    raise NoAnswer(f"{method} {path}: nobody listens") from error
            except (OSError, http.client.HTTPException) as error:
                raise NoAnswer(f"{method} {path}: {type(error).__name__}: {error}") from error
        raise AssertionError("a caller without ports")

    def _send(self, port: int, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        began = time.monotonic()
        connection = self._connections.get(port)
        if connection is not None and (began - self._used_at[port] > IDLE_S or is_hung_up(connection)):
            connection.close()
            connection = None
        is_repeatable = connection is not None and (method == "GET" or "Idempotency-Key" in headers)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=self._timeout_s)
            self._connections[port] = connection
        try:
            connection.request(method, path, content, dict(headers))
            # A connection that is to be closed leaves its socket to the answer alone.
            with closing(connection.getresponse()) as answer:
                text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connections.pop(port).close()
            # A server may close a kept connection at the very moment when it is used again: clients begin a new one.
            if is_repeatable and isinstance(error, ConnectionResetError | BrokenPipeError):
                return self._send(port, method, path, content, headers)
            raise
        self._used_at[port] = time.monotonic()
        if cookie := answer.getheader("set-cookie"):
            self._cookie = cookie.partition(";")[0]
        # A server that closes says so; what would be sent next would otherwise be lost.
        if answer.getheader("connection", "").lower() == "close":
            self._connections.pop(port).close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, text, (time.monotonic() - began) * 1000)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # Pages

    def sign_in(self, email: str, password: str) -> None:
        """Begin a session, as a browser does."""
        answer = self.post("/sign-in", "/sign-in", {"email": email, "password": password, "next": ""})
        assert answer.status == http.HTTPStatus.SEE_OTHER, f"signing in as {email} answered {answer.status}"

    def post(self, page: str, path: str, fields: Mapping[str, object]) -> Answer:
        """Fill in the form on a page and send it."""
        shown = self.ask("GET", page)
        if shown.status != http.HTTPStatus.OK:
            return shown
        return self.send_form(path, {"csrf_token": csrf_token(shown)} | dict(fields))

    def send_form(self, path: str, fields: Mapping[str, object]) -> Answer:
        """Send a form whose token is known."""
        return self.ask("POST", path, urlencode(fields).encode())


def is_hung_up(connection: http.client.HTTPConnection) -> bool:
    """Say whether the other end has closed an idle connection, on which nothing can have been lost."""
    return connection.sock is not None and bool(select.select([connection.sock], [], [], 0)[0])


def csrf_token(page: Answer) -> str:
    """The token of a page's form, or nothing."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.body.decode())
    return html.unescape(found[1]) if found else ""


def value_of(page: Answer, name: str) -> str:
    """What a form's field holds."""
    for tag in re.findall(rf'<input[^>]*\bname="{name}"[^>]*>', page.body.decode()):
        if 'type="radio"' in tag and "checked" not in tag:
            continue
        if found := re.search(r'value="([^"]*)"', tag):
            return html.unescape(found[1])
    return ""


def option_named(page: Answer, select: str, label: str) -> str | None:
    """The value of the choice of this name in a form's list."""
    text = page.body.decode()
    block = re.search(rf'<select[^>]*\bname="{select}"[^>]*>(.*?)</select>', text, re.DOTALL)
    pattern = rf'<option[^>]*value="([^"]*)"[^>]*>\s*{re.escape(html.escape(label))}\s*</option>'
    found = re.search(pattern, block[1]) if block else None
    return found[1] if found else None


def told(answer: Answer) -> str:
    """An answer in a line, for a report."""
    text: Any = answer.body[:300].decode(errors="replace")
    return f"{answer.status} {text!r}"
