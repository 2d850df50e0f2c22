"""A portal as its operator runs it, with all it stands on, and what can be done to each of its processes.

`embedded` is `casebook up` on one machine.  `production` is two web processes, two workers, PostgreSQL, Redis and an
OpenSearch node, kept running as a service manager would; `cluster` has three nodes with a replica.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from opensearch.node.child import Child, ChildError, hold, let_go
from portal.app import ROOT
from tests import servers
from tests.drills.clock import set_clock
from tests.drills.cluster import Cluster
from tests.drills.wire import Mode, Wire
from tests.installation import Installation, wait_for

RECOVERY_S = 300.0


class Place:
    """What every setup has: processes by name, each of which can be killed, stopped for a while and restarted."""

    name = ""
    has_engine_process = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.portal = Installation(folder)
        self.ports: tuple[int, ...] = (self.portal.port,)

    @abstractmethod
    def start(self) -> None:
        """Start everything and wait until it serves."""

    @abstractmethod
    def stop(self) -> None:
        """Stop everything."""

    @abstractmethod
    def pids(self, name: str) -> list[int]:
        """The processes of this name that run now, parents first."""

    def kill(self, name: str) -> None:
        """End it as a power cut would; what keeps the place running starts it again."""
        pids = self.wait_for_pids(name)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # A process dies a moment after it was killed; until then its connections look alive.
        wait_for(lambda: not any(is_running(pid) for pid in pids), timeout_s=RECOVERY_S)

    def wait_for_pids(self, name: str) -> list[int]:
        """The processes of this name, once there are any."""
        found: list[list[int]] = []

        def are_there() -> bool:
            found.append(self.pids(name))
            return bool(found[-1])

        wait_for(are_there, timeout_s=RECOVERY_S)
        return found[-1]

    def revive(self, name: str) -> None:
        """Start again what nothing else starts."""
        raise NotImplementedError(name)

    def restart(self, name: str) -> None:
        """Ask it to end in order; it is started again."""
        pids = self.wait_for_pids(name)
        with suppress(ProcessLookupError):
            os.kill(pids[0], signal.SIGTERM)
        # Until the last of them has ended, its answers look like those of a successor.
        wait_for(lambda: not any(is_running(pid) for pid in pids), timeout_s=RECOVERY_S)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Let it hang (SIGSTOP)."""
        pids = self.wait_for_pids(name)
        hold(pids)
        try:
            yield
        finally:
            let_go(pids)

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def database_url(self) -> str:
        return self.portal.settings.get("CASEBOOK_DATABASE_URL", f"sqlite:///{self.data_dir / 'casebook.sqlite3'}")

    # What the parts answer

    def ask(self, port: int, path: str) -> tuple[int, Any]:
        """Ask one web process, patiently; status 0 when nobody answers."""
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            try:
                connection.request("GET", path, headers={"Host": f"127.0.0.1:{port}"})
                with closing(connection.getresponse()) as answer:
                    text = answer.read()
            except (OSError, http.client.HTTPException):
                return 0, None
        return answer.status, json.loads(text) if text.startswith(b"{") else None

    def wait_for_web(self) -> None:
        """Wait until every web process serves, with its database."""
        for port in self.ports:
            wait_for(lambda port=port: self.ask(port, "/readyz")[0] == 200, timeout_s=RECOVERY_S)  # type: ignore[misc]

    def wait_for_search(self, query: str) -> None:
        """Wait until no web process degrades a search, which each of its forks must say several times."""
        for port in self.ports:
            wait_for(lambda port=port: self._is_whole(port, query), timeout_s=RECOVERY_S)  # type: ignore[misc]

    def _is_whole(self, port: int, query: str) -> bool:
        for _ in range(6):
            status, found = self.ask(port, f"/api/v1/search?q={query}")
            if status != 200 or found["degraded"]:
                return False
        return True


class Embedded(Place):
    """One machine, nothing installed: `casebook up`."""

    name = "embedded"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # On two cores a second web process serves no faster; it is there to be killed beside the first.
        self.portal.set(web_workers=2)
        self._family: list[int] = []

    def start(self) -> None:
        self.portal.start(timeout_s=RECOVERY_S)

    def stop(self) -> None:
        self.portal.stop()

    def pids(self, name: str) -> list[int]:
        if name == "up":
            return [self.portal.up.pid] if self.portal.up.is_running else []
        if name == "web-fork":
            return self.portal.pids("web")[1:2]
        if name == "queue":
            return [pid for pid in children_of(self.portal.up.pid) if "valkey" in command_of(pid)]
        return self.portal.pids(name)

    def kill(self, name: str) -> None:
        if name != "up":
            return super().kill(name)
        self._family = [pid for child in children_of(self.portal.up.pid) for pid in (child, *children_of(child))]
        return self.portal.up.kill()

    def revive(self, name: str) -> None:
        assert name == "up", f"`casebook up` itself starts {name!r} again"
        # Its children are told by the kernel; the port and the lock are free when the last has gone.
        wait_for(lambda: not any(is_running(pid) for pid in self._family), timeout_s=RECOVERY_S)
        self.portal.start(timeout_s=RECOVERY_S)

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Hold SQLite's write lock, as a backup program or a slow disk does."""
        path = self.data_dir / "casebook.sqlite3"
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Let no file of the worker grow any more, as on a full disk."""
        pids = self.wait_for_pids("worker")
        for pid in pids:
            limit(pid, 16_384)
        try:
            yield
        finally:
            for pid in pids:
                limit(pid, None)

    def damage_index(self) -> None:
        """Overwrite files of the live index while its writer is dead."""
        index = self.data_dir / "index"
        self.kill("worker")
        damaged = (index / "live").read_text()
        for file in (index / damaged.strip()).glob("*.store"):
            file.write_bytes(b"x" * file.stat().st_size)
        # Readers may go on for a while with what they have open, so only another index says that it is over.
        wait_for(lambda: (index / "live").read_text() != damaged, timeout_s=RECOVERY_S)


class Production(Place):
    """PostgreSQL, Redis, OpenSearch; two web processes and two workers that are started again whenever they end."""

    name = "production"
    has_engine_process = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports = (self.portal.port, servers.free_port())
        self.postgres = servers.PostgreSQL(folder / "postgresql", durable=True)
        self.redis = servers.Redis(folder / "redis")
        self._children: dict[str, Child] = {}
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self.wires: list[Wire] = []

    # Servers

    def start(self) -> None:
        self.folder.chmod(0o755)
        self.postgres.start()
        self.redis.start()
        self.start_engine()
        self.wires = [Wire(url) for url in self.engine_urls()]
        self.portal.set(
            database_url=self.postgres.create_database("casebook"),
            queue_url=self.redis.url,
            search_url=",".join(self.engine_urls()),
            web_workers=1,
        )
        self.portal.run("init")
        for name in self._commands():
            self._launch(name)
        threading.Thread(target=self._keep_running, daemon=True, name="service manager").start()
        self.wait_for_web()

    def start_engine(self) -> None:
        self.node = servers.start_opensearch(self.folder / "opensearch")

    def engine_urls(self) -> list[str]:
        return [self.node.url]

    def stop(self) -> None:
        self._is_over.set()
        with self._lock:
            for child in self._children.values():
                child.stop(timeout_s=40)
        for wire in self.wires:
            wire.close()
        self.stop_engine()
        self.redis.stop()
        self.postgres.stop()

    def stop_engine(self) -> None:
        self.node.stop()

    def _commands(self) -> dict[str, tuple[list[str], dict[str, object]]]:
        through_wires = ",".join(wire.url for wire in self.wires)
        web = {f"web{n}": (["web"], {"port": port}) for n, port in enumerate(self.ports, 1)}
        return web | {f"worker{n}": (["worker"], {"search_url": through_wires}) for n in (1, 2)}  # type: ignore[return-value]

    def _launch(self, name: str) -> None:
        arguments, settings = self._commands()[name]
        clock = self._clock(name)
        clock.touch()
        own = {f"CASEBOOK_{key.upper()}": str(value) for key, value in settings.items()}
        variables = [f"{key}={value}" for key, value in (self.portal.settings | own).items()]
        command = ["env", *variables, sys.executable, "-m", "tests.drills.clock", str(clock), *arguments]
        self._children[name] = Child(command, log=self.folder / f"{name}.log", cwd=ROOT)

    def _clock(self, name: str) -> Path:
        return self.folder / f"{name}.clock"

    def _keep_running(self) -> None:
        while not self._is_over.wait(0.3):
            with self._lock:
                for name, child in list(self._children.items()):
                    if not child.is_running and not self._is_over.is_set():
                        self._launch(name)

    def pids(self, name: str) -> list[int]:
        if name in ("web", "worker"):
            name += "1"
        child = self._children[name]
        return [child.pid, *children_of(child.pid)] if child.is_running else []

    # The servers' own faults

    def kill(self, name: str) -> None:
        if name == "database":
            kill_all(self.postgres.child.pid)
            self.postgres.stop()
        elif name == "queue":
            self.redis.kill()
        elif name == "engine":
            self.node.kill()
        else:
            super().kill(name)

    def revive(self, name: str) -> None:
        """Start a server again that was killed or stopped in order."""
        start: Callable[[], None] = {
            "database": self.postgres.start,
            "queue": self.redis.start,
            "engine": lambda: self.node.start(timeout_s=RECOVERY_S),
        }[name]
        for tries_left in reversed(range(10)):
            try:
                return start()
            except ChildError:
                # What a killed server's last processes still hold is free a moment later.
                if not tries_left:
                    raise
                time.sleep(1)
        return None

    def end(self, name: str) -> None:
        """Stop a server in order."""
        if name == "engine":
            self.node.stop()
        else:
            {"database": self.postgres.stop, "queue": self.redis.stop}[name]()

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        server = {"database": self.postgres, "queue": self.redis, "engine": getattr(self, "node", None)}.get(name)
        if server is None:
            with super().stopped(name):
                yield
            return
        server.pause()
        try:
            yield
        finally:
            server.resume()

    @contextmanager
    def wrong_clock(self, name: str) -> Iterator[None]:
        """Let a process's clock jump an hour ahead, and later back."""
        set_clock(self._clock(name), 3600)
        try:
            yield
        finally:
            set_clock(self._clock(name), 0)

    @contextmanager
    def wired(self, mode: Mode) -> Iterator[None]:
        """Let the wires between workers and engine misbehave."""
        for wire in self.wires:
            wire.mode = mode
        try:
            yield
        finally:
            for wire in self.wires:
                wire.mode = Mode.PASS

    @contextmanager
    def read_only_engine(self) -> Iterator[None]:
        """Block writing, as OpenSearch does by itself when its disk is nearly full."""
        self.set_block(True)
        try:
            yield
        finally:
            wait_for(lambda: self.set_block(None), timeout_s=RECOVERY_S)

    def set_block(self, value: bool | None) -> bool:
        body = {"index.blocks.read_only_allow_delete": value}
        return self.ask_engine("PUT", "/casebook-*/_settings", body)[0] == 200

    def ask_engine(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask the engine itself, past the product."""
        for url in self.engine_urls():
            with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
                try:
                    content = None if body is None else json.dumps(body)
                    connection.request(method, path, content, {"Content-Type": "application/json"})
                    with closing(connection.getresponse()) as answer:
                        return answer.status, json.loads(answer.read() or b"{}")
                except (OSError, http.client.HTTPException):
                    continue
        return 0, None


class ClusterPlace(Production):
    """Production on three OpenSearch nodes; every index has a replica."""

    name = "cluster"

    def start_engine(self) -> None:
        self.cluster = Cluster(self.folder / "opensearch")
        self.cluster.start()

    def engine_urls(self) -> list[str]:
        return self.cluster.urls

    def stop_engine(self) -> None:
        self.cluster.stop()

    def kill(self, name: str) -> None:
        if name.startswith("node"):
            self.cluster.kill(int(name[4:]))
        else:
            super().kill(name)

    def end(self, name: str) -> None:
        if name.startswith("node"):
            self.cluster.end(int(name[4:]))
        else:
            super().end(name)

    def revive(self, name: str) -> None:
        if name.startswith("node"):
            self.cluster.revive(int(name[4:]))
        else:
            super().revive(name)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        if not name.startswith("node"):
            with super().stopped(name):
                yield
            return
        self.cluster.pause(int(name[4:]))
        try:
            yield
        finally:
            self.cluster.resume(int(name[4:]))


PLACES: dict[str, type[Place]] = {place.name: place for place in (Embedded, Production, ClusterPlace)}


# Processes


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def kill_all(pid: int) -> None:
    """Kill a server with its children, and wait until they are gone."""
    family: Sequence[int] = [pid, *children_of(pid)]
    for one in family:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    wait_for(lambda: not any(is_running(one) for one in family), timeout_s=RECOVERY_S)


def limit(pid: int, size: int | None) -> None:
    """Let no file that this process writes grow beyond so many bytes."""
    value = f"{size if size is not None else 'unlimited'}:unlimited"
    subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={value}"], check=False, capture_output=True)
