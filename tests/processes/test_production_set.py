"""The processes of production, each its own: what somebody saves on the web is found, and survives its servers."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opensearch.node.child import Child
from opensearch.node.server import Node
from tests import servers

CASEBOOK = Path(sys.executable).with_name("casebook")
HOST = "kb.example.com"


class Production:
    """A portal run as compose.yaml runs it, by commands and settings alone."""

    def __init__(self, folder: Path, database_url: str, queue_url: str, search_url: str, search_prefix: str) -> None:
        self.folder = folder
        self.port = servers.free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CASEBOOK_")} | {
            "CASEBOOK_ENV": "production",
            "CASEBOOK_DATA_DIR": str(folder / "data"),
            "CASEBOOK_PORT": str(self.port),
            "CASEBOOK_SECRET_KEY": "a secret of this test that is long enough",
            "CASEBOOK_BASE_URL": f"https://{HOST}",
            "CASEBOOK_TRUSTED_HOSTS": HOST,
            "CASEBOOK_DATABASE_URL": database_url,
            "CASEBOOK_QUEUE_URL": queue_url,
            "CASEBOOK_SEARCH_URL": search_url,
            "CASEBOOK_SEARCH_PREFIX": search_prefix,
            "CASEBOOK_WEB_WORKERS": "1",
        }
        self.processes: dict[str, Child] = {}
        self.token = ""

    def run(self, *arguments: str, typed: str = "") -> str:
        """Run one command to its end; what it printed."""
        result = subprocess.run(
            [CASEBOOK, *arguments], input=typed, capture_output=True, text=True, env=self.environment, check=False
        )
        assert result.returncode == 0, f"casebook {' '.join(arguments)}: {result.stderr}"
        return result.stdout

    def start(self, name: str) -> None:
        """Start the process `casebook NAME`."""
        # `env` gives the child its settings without changing ours.
        settings = [f"{key}={value}" for key, value in self.environment.items() if key.startswith("CASEBOOK_")]
        self.processes[name] = Child(["env", *settings, CASEBOOK, name], log=self.folder / f"{name}.log")

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """One request as the proxy would send it; status and JSON."""
        status, answer = self.fetch(method, path, body)
        return status, json.loads(answer or b"{}")

    def fetch(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """One request as the proxy would send it; status and bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Host": HOST, "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def is_up(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == http.HTTPStatus.OK
        except (OSError, ValueError):
            return False

    def save(self, title: str) -> int:
        """Publish an FAQ; its id."""
        status, article = self.ask(
            "POST", "/api/v1/articles", {"kind": "faq", "title": title, "body": "Hold it down.", "state": "published"}
        )
        assert status == http.HTTPStatus.CREATED, article
        return int(article["id"])

    def finds(self, words: str) -> list[str]:
        """The ids of what a search finds in the engine itself."""
        status, answer = self.ask("GET", f"/api/v1/search?q={words}")
        assert status == http.HTTPStatus.OK, answer
        return [] if answer["degraded"] else [hit["id"] for hit in answer["hits"]]


def wait_for(what: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, f"not so after {timeout_s:.0f} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def production(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: servers.PostgreSQL,
    redis_server: servers.Redis,
    opensearch_node: Node,
) -> Iterator[Production]:
    """One portal for all tests here, as its processes take seconds to start."""
    folder = tmp_path_factory.mktemp("production")
    database_url = postgres.create_database("production")
    made = Production(folder, database_url, redis_server.url, opensearch_node.url, "production")
    made.run("init")
    made.run(
        "user",
        "add",
        "Erin",
        "--email",
        "erin@example.com",
        "--role",
        "editor",
        "--password-stdin",
        typed="plenty of toner for Erin\n",
    )
    made.token = json.loads(made.run("token", "create", "erin@example.com", "--json"))["token"]
    try:
        made.start("web")
        made.start("worker")
        made.processes["web"].wait_until("casebook web", made.is_up, 60)
        yield made
    finally:
        made.stop()
        postgres.drop_database("production")


def test_what_is_saved_is_found_through_all_servers(production: Production):
    article = production.save("How is the projector reset?")
    wait_for(lambda: production.finds("projector") == [f"article:{article}"])
    assert production.ask("GET", "/api/v1/search?q=projector")[1]["engine"] == "opensearch"
    assert json.loads(production.run("index", "verify", "--json"))["missing"] == 0


def test_any_web_process_tells_the_figures_of_all(production: Production):
    def answered() -> float:
        text = production.fetch("GET", "/metrics")[1].decode()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("casebook_requests_total{")
        )

    before = answered()
    for _ in range(40):
        production.ask("GET", "/healthz")
    told = [answered() for _ in range(10)]
    assert told == sorted(told)
    assert told[0] >= before + 40


def test_opensearch_away_costs_search_and_no_save(production: Production, opensearch_node: Node):
    opensearch_node.kill()
    try:
        article = production.save("How is the scanner calibrated?")
        status, answer = production.ask("GET", "/api/v1/search?q=scanner")
        assert status == http.HTTPStatus.OK
        assert answer["degraded"] is True
        assert [hit["id"] for hit in answer["hits"]] == [f"article:{article}"]
    finally:
        opensearch_node.start()
    wait_for(lambda: production.finds("scanner") == [f"article:{article}"], timeout_s=60)


def test_redis_away_costs_nothing(production: Production, redis_server: servers.Redis):
    redis_server.kill()
    try:
        article = production.save("How is the shredder oiled?")
        wait_for(lambda: production.finds("shredder") == [f"article:{article}"], timeout_s=60)
    finally:
        redis_server.start()


def test_a_killed_worker_is_made_up_for_by_the_next(production: Production):
    production.processes["worker"].kill()
    articles = [production.save(f"How is plotter {number} cleaned?") for number in range(5)]
    production.start("worker")
    wait_for(lambda: set(production.finds("plotter")) == {f"article:{article}" for article in articles}, timeout_s=60)


def test_the_database_away_is_said_and_comes_back(production: Production, postgres: servers.PostgreSQL):
    postgres.stop()
    try:
        assert production.ask("GET", "/healthz")[0] == http.HTTPStatus.OK
        assert production.ask("GET", "/readyz")[0] == http.HTTPStatus.SERVICE_UNAVAILABLE
    finally:
        postgres.start()
    article = production.save("How is the laminator threaded?")
    wait_for(lambda: production.finds("laminator") == [f"article:{article}"], timeout_s=60)


def test_processes_stop_in_order_when_asked(production: Production):
    for name in ("web", "worker"):
        production.processes[name].stop()
        assert production.processes[name].returncode == 0, production.processes[name].log_end()
