"""A portal as its operator runs it: settings, commands and `casebook up`, and nothing from inside.

For benchmarks and drills.  `up` keeps web, worker and queue running; what a test kills comes back by it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from opensearch.node.child import Child
from tests import servers

CASEBOOK = Path(sys.executable).with_name("casebook")
PASSWORD = "long enough for everybody here"
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class CommandFailed(AssertionError):
    """A command ended with an exit code other than those expected."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer and how long it took until its last byte was here."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    ms: float

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


class Client:
    """One kept-alive connection, as somebody with a token or a session."""

    def __init__(self, port: int, *, token: str = "", timeout_s: float = 30.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self.headers = {"Host": f"127.0.0.1:{port}"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def ask(self, method: str, path: str, body: object = None, **parameters: object) -> Answer:
        """Send one request.  Raises OSError or HTTPException when nobody answers."""
        if parameters:
            path = f"{path}?{urlencode(parameters, doseq=True)}"
        is_form = isinstance(body, bytes)
        headers = self.headers | ({} if body is None or is_form else {"Content-Type": "application/json"})
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        began = time.perf_counter()
        try:
            received = self._send(method, path, content, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            # The server closes what was idle for some seconds; what only reads may ask once more.
            if method != "GET":
                raise
            received = self._send(method, path, content, headers)
        ms = (time.perf_counter() - began) * 1000
        answer, text = received
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text, ms)

    def _send(
        self, method: str, path: str, content: bytes | str | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        try:
            self._connection.request(method, path, content, dict(headers))
            # A connection that is to be closed leaves its socket to the answer alone.
            with closing(self._connection.getresponse()) as answer:
                return answer, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def sign_in(self, email: str, password: str) -> None:
        """Begin a session through the form, as a browser does."""
        form = self.ask("GET", "/sign-in")
        self._keep_cookie(form)
        found = re.search(r'name="csrf_token" value="([^"]+)"', form.body.decode())
        assert found is not None, f"GET /sign-in answered {form.status} without a form"
        self.headers["Content-Type"] = "application/x-www-form-urlencoded"
        typed = urlencode({"csrf_token": found[1], "email": email, "password": password, "next": ""})
        answer = self.ask("POST", "/sign-in", typed.encode())
        del self.headers["Content-Type"]
        assert answer.status == http.HTTPStatus.SEE_OTHER, f"signing in as {email} answered {answer.status}"
        self._keep_cookie(answer)

    def _keep_cookie(self, answer: Answer) -> None:
        if cookie := answer.headers.get("set-cookie"):
            self.headers["Cookie"] = cookie.partition(";")[0]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Installation:
    """One data folder with its settings; `start()` runs `casebook up` on it."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.port = servers.free_port()
        self._up: Child | None = None
        self.settings: dict[str, str] = {
            "CASEBOOK_DATA_DIR": str(folder / "data"),
            "CASEBOOK_PORT": str(self.port),
            "CASEBOOK_LIMITS": "off",
        }
        self.set(**settings)

    def set(self, **settings: object) -> None:
        """Change settings, for what is started from now on: `set(search_url="embedded:")`."""
        self.settings |= {f"CASEBOOK_{name.upper()}": str(value) for name, value in settings.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command, free of the settings of whoever runs this."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("CASEBOOK_")}
        return own | self.settings

    def command(self, *arguments: str) -> list[str]:
        return [str(CASEBOOK), *arguments]

    def run(self, *arguments: str, typed: str = "", codes: tuple[int, ...] = (0,)) -> str:
        """Run one command to its end; what it printed."""
        result = subprocess.run(
            self.command(*arguments),
            input=typed,
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )
        if result.returncode not in codes:
            raise CommandFailed(f"casebook {' '.join(arguments)} ended with {result.returncode}:\n{result.stderr}")
        return result.stdout

    def report(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
        """Run one command with `--json`; what it reported."""
        return json.loads(self.run(*arguments, "--json", codes=codes))

    def launch(self, *arguments: str, log: Path) -> Child:
        """Start one command beside us; it ends with us."""
        settings = [f"{name}={value}" for name, value in self.settings.items()]
        return Child(["env", *settings, *self.command(*arguments)], log=log)

    def add_user(self, name: str, role: str) -> str:
        """Make an account that signs in as NAME@example.com; its API token."""
        email = f"{name.lower()}@example.com"
        self.run(
            "user", "add", name, "--email", email, "--role", role, "--password-stdin", typed=f"{PASSWORD}\n"
        )  # fmt: skip
        return str(self.report("token", "create", email)["token"])

    def client(self, token: str = "") -> Client:
        return Client(self.port, token=token)

    @property
    def up(self) -> Child:
        assert self._up is not None, "The portal was not started."
        return self._up

    def start(self, timeout_s: float = 90.0) -> None:
        """Start everything and wait until it can serve."""
        self._up = self.launch("up", log=self.folder / "up.log")
        self._up.wait_until("casebook up", self.is_ready, timeout_s)

    def stop(self) -> None:
        if self._up is not None:
            self._up.stop(timeout_s=40)
            self._up = None

    def is_ready(self) -> bool:
        client = self.client()
        try:
            return client.ask("GET", "/readyz").status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            client.close()

    def pids(self, name: str) -> list[int]:
        """The process `casebook NAME` (web, worker) that `up` keeps, and for web those that it forked."""
        for pid in children_of(self.up.pid) if self._up is not None else ():
            if f"\0{name}\0" in _command_line(pid):
                return [pid, *(child for child in children_of(pid) if f"\0{name}\0" in _command_line(child))]
        return []

    def memory_mb(self, name: str) -> tuple[float, float]:
        """The resident memory of the largest of these processes, and how much of it are files mapped into memory.

        Mapped files (the index, SQLite's pages) are shared by all processes and given back when memory is short.
        """
        return max((resident_mb(pid) for pid in self.pids(name)), default=(0.0, 0.0))

    def processor_s(self, name: str) -> float:
        """The processor time that these processes have used since they began: what load beside them changes least."""
        return sum(map(processor_s, self.pids(name)))

    def wait_until_indexed(self, token: str, timeout_s: float = 600.0) -> float:
        """Wait until nothing is pending any more; how many seconds it took.  The token belongs to somebody of staff."""
        client = self.client(token)
        began = time.monotonic()
        wait_for(lambda: pending(client) == 0, timeout_s=timeout_s, pause_s=0.1)
        client.close()
        return time.monotonic() - began


def wait_for(what: Callable[[], bool], *, timeout_s: float, pause_s: float = 0.1) -> None:
    """Ask until it is so; an AssertionError after the time."""
    deadline = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout_s:.0f} s")
        time.sleep(pause_s)


def pending(client: Client) -> float:
    """Return how many documents the index has still to catch up with; the client belongs to somebody of staff."""
    found = re.search(rb"^casebook_index_pending ([0-9.e+]+)$", client.ask("GET", "/metrics").body, re.MULTILINE)
    assert found is not None, "GET /metrics says nothing of casebook_index_pending"
    return float(found[1])


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def resident_mb(pid: int | str = "self") -> tuple[float, float]:
    """Return a process's resident memory, and how much of it are mapped files."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0, 0.0
    return int(fields[1]) * PAGE_SIZE / 1_000_000, int(fields[2]) * PAGE_SIZE / 1_000_000


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used since it began."""
    try:
        # The name in brackets may hold anything; what follows it is counted from the third field.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
