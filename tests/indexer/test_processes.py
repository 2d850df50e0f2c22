"""The real processes: `casebook up` and its children, killed and damaged as happens in life."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from portal.app import ROOT, create_app
from portal.extensions import db
from portal.search.current import make_engine
from portal.search.engine import EngineError
from portal.settings import Settings
from tests.indexer.conftest import save_article, save_articles

CASEBOOK = [sys.executable, "-c", "import sys; from portal.cli import main; sys.exit(main())"]
PATIENCE_S = 60.0


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"in vain waited for {what}"
        time.sleep(0.1)


def children_of(pid: int) -> dict[int, str]:
    """The children of a process, with their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def is_running(pid: int) -> bool:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


class Portal:
    """A data folder, and the commands on it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.environ = {
            "CASEBOOK_DATA_DIR": str(folder / "data"),
            "CASEBOOK_PORT": str(self.port),
            "CASEBOOK_SECRET_KEY": "a secret for tests that is long enough",
            "CASEBOOK_WEB_WORKERS": "1",
        }
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*CASEBOOK, *command], env=os.environ | self.environ, cwd=ROOT, stdout=log, stderr=log
            )
        self.started.append(process)
        return process

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CASEBOOK, *command],
            env=os.environ | self.environ | environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def is_ready(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def found(self) -> int:
        engine = make_engine(Settings.from_environ(self.environ))
        try:
            return engine.count(engine.live_index() or "")
        except EngineError:
            return -1
        finally:
            engine.close()

    def is_building(self) -> bool:
        with closing(sqlite3.connect(Path(self.environ["CASEBOOK_DATA_DIR"]) / "casebook.sqlite3")) as connection:
            asked = "SELECT count(*) FROM index_build WHERE state IN ('loading', 'draining', 'verifying')"
            return bool(connection.execute(asked).fetchone()[0])

    def save(self, how_many: int, title: str = "") -> None:
        with create_app(Settings.from_environ(self.environ)).app_context():
            if how_many == 1:
                save_article(title, slug=title)
            else:
                save_articles(how_many)
            db.session.remove()
            db.engine.dispose()


pytestmark = pytest.mark.servers
"""They start servers of our own, which takes longer than the quick part of the suite may."""


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    made = Portal(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait()


def the_one(children: dict[int, str], word: str) -> int | None:
    return next((pid for pid, command in children.items() if word in command), None)


def test_a_life_of_casebook_up(portal):
    up = portal.start("up")
    wait_for(portal.is_ready, "the first page")
    assert "Casebook answers at" in portal.log()
    portal.save(20)
    wait_for(lambda: portal.found() == 20, "what was saved")

    again = portal.run("up")
    assert (again.returncode, again.stdout) == (1, "")
    assert f"already, as process {up.pid}. Stop it first." in again.stderr
    other = portal.run("up", CASEBOOK_DATA_DIR=str(portal.folder / "other"))
    assert other.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {portal.port}" in other.stderr
    assert "Traceback" not in again.stderr + other.stderr

    first_worker = the_one(children_of(up.pid), " worker")
    os.kill(first_worker, signal.SIGKILL)
    portal.save(1, "saved while nobody worked")
    wait_for(lambda: portal.found() == 21, "a new worker")
    assert "worker ended unexpectedly (signal SIGKILL)" in portal.log()

    children = children_of(up.pid)
    assert len(children) == 3
    up.send_signal(signal.SIGTERM)
    assert up.wait(PATIENCE_S) == 0
    assert not any(map(is_running, children))
    assert "Traceback" not in portal.log()


def test_children_die_with_a_parent_that_was_killed_and_a_damaged_index_is_made_again(portal):
    up = portal.start("up")
    wait_for(portal.is_ready, "the first page")
    portal.save(30)
    wait_for(lambda: portal.found() == 30, "what was saved")
    children = children_of(up.pid)
    assert len(children) == 3
    up.kill()
    up.wait()
    wait_for(lambda: not any(map(is_running, children)), "the children's end")

    data = Path(portal.environ["CASEBOOK_DATA_DIR"])
    live = data / "index" / (data / "index" / "live").read_text().strip()
    for file in live.glob("*.store"):
        file.write_bytes(b"x" * file.stat().st_size)
    up = portal.start("up")
    wait_for(lambda: "is being built anew from the database" in portal.log(), "the word about it")
    wait_for(lambda: portal.found() == 30, "the new index")
    found = portal.run("index", "verify", "--json")
    assert (found.returncode, json.loads(found.stdout)["missing"]) == (0, 0)
    wait_for(lambda: not live.exists(), "the damaged index's removal")
    up.terminate()
    assert up.wait(PATIENCE_S) == 0


def test_a_rebuild_that_is_killed_is_taken_up_again(portal):
    assert portal.run("init").returncode == 0
    portal.save(400)
    assert portal.run("index", "verify", "--repair").returncode == 0
    for seconds in (0.0, 0.2, 0.6):
        rebuild = portal.start("index", "rebuild")
        wait_for(portal.is_building, "the beginning")
        time.sleep(seconds)
        rebuild.kill()
        rebuild.wait()
        found = portal.run("index", "verify", "--json")
        assert found.returncode == 0, "searches go on with the whole old index"
    done = portal.run("index", "rebuild", "--json")
    assert json.loads(done.stdout)["documents"] == 400, done.stderr
    assert portal.run("index", "verify").returncode == 0
    folders = [path for path in (Path(portal.environ["CASEBOOK_DATA_DIR"]) / "index").iterdir() if path.is_dir()]
    assert len(folders) == 2, "the new one and the one before it; nothing is left over"


def test_a_data_folder_that_cannot_be_made_is_said_in_a_sentence(portal, tmp_path):
    (tmp_path / "file").write_text("")
    refused = portal.run("init", CASEBOOK_DATA_DIR=str(tmp_path / "file" / "data"))
    assert refused.returncode == 1
    assert "CASEBOOK_DATA_DIR" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ["worker", "web"])
def test_without_tables_they_say_what_to_do(portal, command):
    refused = portal.run(command)
    assert (refused.returncode, "casebook init" in refused.stderr) == (1, True)
