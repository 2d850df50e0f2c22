"""The servers that tests run on: what they need, how they are installed, how they are started.

`python -m tests.servers` says which can be had here; with `--install` it installs what is missing (Debian, as root)
and fetches OpenSearch's jars. The classes start a server on a free port of 127.0.0.1 in a folder that the caller
gives; it dies with the process that started it, and can be killed, paused and started again on the same data.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis as redis_client
from psycopg import sql

from opensearch.node.child import Child, ChildError, Server
from opensearch.node.recipe import RecipeError, fetch_jars, find_java
from opensearch.node.server import Node

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".local/share/fonts")


class MissingError(RuntimeError):
    """A server cannot be had on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Need:
    """Something that tests need from the machine: a name for people, how to find it, Debian's packages for it."""

    name: str
    find: Callable[[], str]
    debian_packages: tuple[str, ...]


def find_postgresql() -> Path:
    """The folder of PostgreSQL's newest programs (`initdb`, `postgres`)."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").glob("*/bin")]
    folders.sort(key=lambda folder: int(folder.parent.name) if folder.parent.name.isdigit() else 0, reverse=True)
    on_path = shutil.which("initdb")
    for folder in (*folders, *([Path(on_path).resolve().parent] if on_path else [])):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise MissingError("PostgreSQL's initdb was not found")


def find_redis() -> Path:
    """The program `redis-server`, or Valkey's."""
    for name in ("redis-server", "valkey-server"):
        if program := shutil.which(name):
            return Path(program)
    raise MissingError("redis-server was not found")


def find_chromium() -> Path:
    """The system's Chromium; Playwright's own browsers are not used."""
    for name in CHROMIUM_NAMES:
        if program := shutil.which(name):
            return Path(program)
    raise MissingError("chromium was not found")


def find_chinese_font() -> Path:
    """A font with Chinese characters, without which pictures of pages show boxes."""
    for folder in FONT_FOLDERS:
        for pattern in ("*CJK*.ttc", "*CJK*.otf", "*CJK*.ttf", "wqy-*.ttc"):
            for font in folder.rglob(pattern):
                return font
    raise MissingError("no font with Chinese characters was found")


def find_opensearch() -> Path:
    """The folder of OpenSearch's jars, fetched when they are missing, given that a Java can run them."""
    try:
        find_java()
        return fetch_jars()
    except RecipeError as error:
        raise MissingError(str(error)) from error


NEEDS = (
    Need("PostgreSQL", lambda: str(find_postgresql()), ("postgresql",)),
    Need("Redis", lambda: str(find_redis()), ("redis-server",)),
    Need("Chromium", lambda: str(find_chromium()), ("chromium",)),
    Need("a Chinese font", lambda: str(find_chinese_font()), ("fonts-noto-cjk",)),
    Need("OpenSearch", lambda: str(find_opensearch()), ("maven",)),
)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgreSQL(Server):
    """One PostgreSQL cluster. `durable=False` trades safety against power cuts for speed, which tests want."""

    name = "PostgreSQL"
    user = "casebook"

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        super().__init__()
        self.folder = folder.resolve()
        self.port = free_port()
        self._durable = durable
        self._programs = find_postgresql()

    def start(self, timeout_s: float = 60.0) -> None:
        """Make the cluster at the first start, start the server, wait until it takes connections."""
        data = self.folder / "data"
        if not data.exists():
            self._initdb(data)
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        options |= {"max_connections": 200, "timezone": "UTC", "log_timezone": "UTC"}
        if not self._durable:
            options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        self._child = Child(
            [self._programs / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())],
            log=self.folder / "postgresql.log",
            cwd=self.folder,
            user=_unprivileged_user(),
            death_signal=signal.SIGINT,  # The fast shutdown: it does not wait for the clients to leave.
        )
        self._child.wait_until("PostgreSQL", self._answers, timeout_s)

    def _initdb(self, data: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        as_user: list[str] = []
        if user := _unprivileged_user():
            shutil.chown(self.folder, user)
            as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        initdb = [str(self._programs / "initdb"), "-D", str(data), "-U", self.user, "--auth=trust", "--no-sync"]
        initdb += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        result = subprocess.run(
            [*as_user, *initdb], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder, check=False
        )
        if result.returncode != 0:
            raise ChildError(f"initdb failed with status {result.returncode}:\n{result.stderr}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _dsn(self, database: str) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    def url(self, database: str = "postgres") -> str:
        """The address of a database for SQLAlchemy, as `CASEBOOK_DATABASE_URL` takes it."""
        return self._dsn(database).replace("postgresql://", "postgresql+psycopg://")

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database, a copy of `template`, and return its address."""
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and whatever connections to it are still open."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class Redis(Server):
    """One Redis. With `durable=True` every write is on disk before it is acknowledged."""

    name = "Redis"

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        super().__init__()
        self.folder = folder.resolve()
        self.port = free_port()
        self._durable = durable
        self._program = find_redis()

    @property
    def url(self) -> str:
        """What `CASEBOOK_QUEUE_URL` is set to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, timeout_s: float = 20.0) -> None:
        """Start the server and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keep = ["--appendonly", "yes", "--appendfsync", "always"] if self._durable else ["--appendonly", "no"]
        command: list[str | Path] = [
            self._program,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
        ]
        self._child = Child(
            [*command, "--save", "", "--daemonize", "no", *keep], log=self.folder / "redis.log", cwd=self.folder
        )
        self._child.wait_until("Redis", self._answers, timeout_s)

    def _answers(self) -> bool:
        with redis_client.Redis.from_url(self.url, socket_timeout=2) as client:
            try:
                return bool(client.info("server")["process_id"] == self.child.pid)
            except redis_client.ConnectionError:
                return False

    def clear(self) -> None:
        """Forget every key."""
        with redis_client.Redis.from_url(self.url) as client:
            client.flushall()


def start_opensearch(folder: Path) -> Node:
    """One node of OpenSearch, started quickly; it has kill, pause and the rest as the other servers have."""
    find_opensearch()
    node = Node(folder)
    node.start()
    return node


def _unprivileged_user() -> str | None:
    """The account for servers that refuse to run as root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    accounts = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in accounts else "nobody"


def install(needs: Iterable[Need]) -> None:
    """Install Debian's packages for what is missing; says so when it cannot."""
    packages = [package for need in needs for package in need.debian_packages if not _is_installed(package)]
    if not packages:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        sys.stderr.write(f"Not installed, for want of apt-get or of root's rights: {' '.join(packages)}\n")
        return
    sys.stderr.write(f"Installing {' '.join(packages)}\n")
    # RUNLEVEL=1 keeps Debian from starting the servers itself: the tests start their own.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        result = subprocess.run(
            ["apt-get", "--quiet=2", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment,
            check=False,
        )
        if result.returncode != 0:
            sys.stderr.write(f"apt-get {command[0]} failed with status {result.returncode}.\n")


def _is_installed(package: str) -> bool:
    if package == "maven":
        return shutil.which("mvn") is not None
    result = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Status}", package], capture_output=True, text=True, check=False
    )
    return result.returncode == 0 and result.stdout.endswith(" installed")


def missing(needs: Iterable[Need]) -> dict[str, str]:
    """The names of what cannot be had, each with the reason."""
    reasons = {}
    for need in needs:
        try:
            need.find()
        except MissingError as error:
            reasons[need.name] = str(error)
    return reasons


def main() -> int:
    """Say which servers can be had. Exit 1 when one is missing under CI=true, where nothing may be skipped."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=main.__doc__)
    parser.add_argument("--install", action="store_true", help="install what is missing (Debian, as root)")
    if parser.parse_args().install:
        absent = missing(NEEDS)
        install(need for need in NEEDS if need.name in absent)
    absent = missing(NEEDS)
    for need in NEEDS:
        state = f"missing: {absent[need.name]}" if need.name in absent else need.find()
        sys.stdout.write(f"{need.name:15} {state}\n")
    return 1 if absent and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
