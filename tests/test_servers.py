"""The ground under the other tests: servers start, die with their parent, and take up their data again."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import opensearchpy
import psycopg
import pytest
import redis

from opensearch.node import recipe
from opensearch.node.child import Child, ChildError
from opensearch.node.server import Node
from tests import servers
from tests.journeys.conftest import PATIENCE_MS, serving

STARTERS = {
    "postgres": "from tests.servers import PostgreSQL as Server; server = Server(folder)",
    "redis_server": "from tests.servers import Redis as Server; server = Server(folder)",
    "opensearch_node": "from opensearch.node.server import Node as Server; server = Server(folder)",
}


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "fixture",
    [
        pytest.param("postgres", marks=[pytest.mark.servers, pytest.mark.postgresql]),
        pytest.param("redis_server", marks=[pytest.mark.servers, pytest.mark.redis]),
        pytest.param("opensearch_node", marks=[pytest.mark.servers, pytest.mark.opensearch]),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_a_server_dies_with_its_parent(fixture: str, request: pytest.FixtureRequest):
    request.getfixturevalue(fixture)  # Skips or fails by name when the server cannot be had.
    with tempfile.TemporaryDirectory() as folder:
        program = (
            "import sys, time; from pathlib import Path; folder = Path(sys.argv[1]) / 'data';"
            f"{STARTERS[fixture]}; server.start(); print(server.child.pid, flush=True); time.sleep(600)"
        )
        # The folder is entered by the server's own account.
        Path(folder).chmod(0o755)
        parent = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE)
        assert parent.stdout is not None
        with parent.stdout:
            pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 20
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_alive(pid)


def test_postgresql_keeps_what_was_committed_through_a_kill(postgres: servers.PostgreSQL):
    with tempfile.TemporaryDirectory(prefix="casebook-postgresql-") as folder:
        server = servers.PostgreSQL(Path(folder), durable=True)
        server.start()
        dsn = server.create_database("kept").replace("+psycopg", "")
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE note AS SELECT 'saved' AS text")
        server.kill()
        server.start()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT text FROM note").fetchone() == ("saved",)
        server.stop()


def test_each_test_has_a_postgresql_database_of_its_own(postgres_url: str, postgres: servers.PostgreSQL):
    assert postgres_url.startswith("postgresql+psycopg://casebook@127.0.0.1:")
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_redis_is_empty_at_the_start_and_keeps_what_was_acknowledged(redis_url: str, tmp_path: Path):
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
    server = servers.Redis(tmp_path, durable=True)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("job", "waiting")
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("job") == b"waiting"
    server.stop()


def test_opensearch_is_3_8_and_makes_indices_by_name_only(opensearch_url: str, search_prefix: str):
    with opensearchpy.OpenSearch(opensearch_url) as client:
        assert client.info()["version"]["number"] == "3.8.0"
        client.indices.create(index=f"{search_prefix}-notes")
        with pytest.raises(opensearchpy.NotFoundError):
            client.index(index=f"{search_prefix}-typo", id="1", body={"text": "lost"})


def test_opensearch_hangs_when_paused_and_keeps_its_documents_through_a_kill(tmp_path: Path, opensearch_node: Node):
    node = Node(tmp_path / "node")
    node.start()
    with opensearchpy.OpenSearch(node.url, timeout=1, max_retries=0) as client:
        client.indices.create(index="notes", body={"settings": {"number_of_replicas": 0}}, request_timeout=30)
        client.index(index="notes", id="1", body={"text": "saved"}, request_timeout=30)
        node.pause()
        with pytest.raises(opensearchpy.exceptions.ConnectionTimeout):
            client.info()
        node.resume()
        address = node.url
        node.kill()
        with pytest.raises(opensearchpy.exceptions.ConnectionError):
            client.info()
        node.start()
        assert node.url == address
        assert client.get(index="notes", id="1", request_timeout=30)["_source"] == {"text": "saved"}
    node.stop()


@pytest.mark.thorough
def test_nothing_of_a_paused_server_runs_any_more(tmp_path: Path):
    busy = "from threading import Thread as T\nfor _ in range(8): T(target=lambda: [0 for _ in iter(int, 1)]).start()"
    child = Child([sys.executable, "-c", busy], log=tmp_path / "log")
    threads = Path(f"/proc/{child.pid}/task")
    child.wait_until("It", lambda: len(list(threads.iterdir())) == 9, timeout_s=20)
    for _ in range(20):
        child.pause()
        assert {stat.read_text().rpartition(")")[2].split()[0] for stat in threads.glob("*/stat")} == {"T"}
        child.resume()
    child.stop()


def test_a_second_node_on_a_taken_port_says_so(tmp_path: Path, opensearch_node: Node):
    with pytest.raises(ChildError, match=f"Port {opensearch_node.port} of 127.0.0.1 is taken"):
        Node(tmp_path, port=opensearch_node.port).start()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(ChildError, match="no-such-server"):
        Child([tmp_path / "no-such-server"], log=tmp_path / "log").wait_until("It", lambda: False, timeout_s=5)


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path):
    child = Child([sys.executable, "-c", "print('the port is taken'); raise SystemExit(3)"], log=tmp_path / "log")
    with pytest.raises(ChildError, match=r"It ended with status 3. Its log ends:\nthe port is taken"):
        child.wait_until("It", lambda: False, timeout_s=10)


@pytest.mark.thorough
def test_a_server_that_ignores_the_stop_is_killed(tmp_path: Path):
    program = "from signal import *; import time; signal(SIGTERM, SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = Child([sys.executable, "-c", program], log=tmp_path / "log")
    child.wait_until("It", lambda: "up" in child.log_end(), timeout_s=10)
    child.stop(timeout_s=0.2)
    assert child.returncode == -signal.SIGKILL


def test_a_java_too_old_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_java(tmp_path / "jdk-17", "17.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk-17"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(recipe, "JVM_FOLDERS", ())
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    with pytest.raises(recipe.RecipeError, match="needs Java 21 or later"):
        recipe.find_java()


def test_the_newest_java_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for version in ("17.0.2", "21.0.8", "25"):
        make_java(tmp_path / f"jdk-{version}", version)
    monkeypatch.setattr(recipe, "JVM_FOLDERS", (tmp_path,))
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert recipe.find_java() == recipe.Java(tmp_path / "jdk-25" / "bin" / "java", 25)


def make_java(home: Path, version: str) -> None:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\n')
    (home / "bin" / "java").touch(mode=0o755)


def test_a_jar_with_other_contents_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sums").write_text(f"{'0' * 64}  opensearch.jar\n")
    monkeypatch.setattr(recipe, "CHECKSUMS", tmp_path / "sums")
    monkeypatch.setattr(recipe.shutil, "which", lambda name: "/usr/bin/mvn")
    monkeypatch.setattr(recipe, "_copy_with_maven", lambda maven, folder: (folder / "opensearch.jar").write_text("x"))
    with pytest.raises(recipe.RecipeError, match=r"not those of sums: opensearch\.jar"):
        recipe.fetch_jars(tmp_path / "lib")
    assert list((tmp_path / "lib").iterdir()) == []


class Answer:
    """An answer whose end waits until whoever asked is gone, and that tells when it is closed."""

    def __init__(self) -> None:
        self.begun, self.gone, self.closed = Event(), Event(), Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"words"
        self.begun.set()
        self.gone.wait()

    def close(self) -> None:
        self.closed.set()


def test_an_answer_is_closed_when_whoever_asked_went_away():
    answer = Answer()

    def portal(environ: WSGIEnvironment, start_response: StartResponse) -> Answer:
        start_response("200 OK", [("Content-Length", "9")])
        return answer

    with serving(portal) as url:
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port)) as browser:
            # Whoever closes without lingering resets the connection.
            browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            browser.sendall(b"GET / HTTP/1.1\r\nHost: portal\r\n\r\n")
            answer.begun.wait()
        answer.gone.set()
        assert answer.closed.wait(PATIENCE_MS / 1000)
