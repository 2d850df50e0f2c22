"""Fixtures for the servers of tests/servers.py, started at first use and ended with the session.

A test gets what it asks for or is skipped with the server's name as the reason; with CI=true it fails instead.
Every test that may touch a server is marked by it, so that `pytest -m "not servers"` is the fast suite and
`pytest -m opensearch` the one of a single server.

For contract suites: `database_url` runs a test on SQLite and PostgreSQL, `search_url` on both engines; a module whose
`settings` are `database_settings` has its portals on both databases.
For what is asked of the whole product: a module whose `settings` are `production_settings`, or `postgres_settings`
where no search is asked, has its portals on the servers of production.
"""

from __future__ import annotations

import http.client
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

from opensearch.node.server import Node
from portal.settings import Settings
from tests import servers
from tests.moulds import settings_in
from tests.skips import NO_SERVER

# The fixture that a test asks for, directly or through another one, and the marker it earns.
MARKERS = {
    "postgres": "postgresql",
    "redis_server": "redis",
    "opensearch_node": "opensearch",
    "chromium_path": "chromium",
}
# What a parametrised fixture starts only for one of its values.
PARAMETER_MARKERS = {"postgresql", "opensearch"}


def pytest_configure(config: pytest.Config) -> None:
    for marker in sorted(set(MARKERS.values())):
        config.addinivalue_line("markers", f"{marker}: needs this server; set by the fixtures a test asks for")
    config.addinivalue_line("markers", "servers: needs a server of any kind")


def pytest_itemcollected(item: pytest.Item) -> None:
    fixtures = getattr(item, "fixturenames", ())
    names = {marker for fixture, marker in MARKERS.items() if fixture in fixtures}
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    names |= {value for value in parameters.values() if isinstance(value, str)} & PARAMETER_MARKERS
    for name in sorted(names | ({"servers"} if names else set())):
        item.add_marker(name)
    # Where tests run on several cores, those of one server run on one of them: it is started once.
    if "opensearch" in names:
        item.add_marker(pytest.mark.xdist_group("opensearch"))
    elif names & {"postgresql", "redis"}:
        item.add_marker(pytest.mark.xdist_group("databases"))


def _go_without(name: str, error: Exception) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is missing, and with CI=true nothing is skipped: {error}", pytrace=False)
    pytest.skip(f"{NO_SERVER}{name} ({error})")


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgreSQL]:
    """A running PostgreSQL shared by the session; make a database of your own in it."""
    try:
        servers.find_postgresql()
    except servers.MissingError as error:
        _go_without("PostgreSQL", error)
    # Not below pytest's own folder, which only root may enter when root runs the tests.
    with tempfile.TemporaryDirectory(prefix="casebook-postgresql-") as folder:
        server = servers.PostgreSQL(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres: servers.PostgreSQL) -> Iterator[str]:
    """The address of an empty PostgreSQL database of this test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def postgres_settings(tmp_path: Path, postgres_url: str) -> Settings:
    """Settings of a portal on PostgreSQL, with the embedded engine."""
    return settings_in(tmp_path, database_url=postgres_url)


@pytest.fixture
def production_settings(tmp_path: Path, postgres_url: str, opensearch_url: str, search_prefix: str) -> Settings:
    """Settings of a portal on the servers of production, PostgreSQL and OpenSearch."""
    return settings_in(tmp_path, database_url=postgres_url, search_url=opensearch_url, search_prefix=search_prefix)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite file of this test's own, not made yet."""
    return f"sqlite:///{tmp_path / 'casebook.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of this test's own, once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def database_settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of a portal with the embedded engine, once on SQLite and once on PostgreSQL."""
    return settings_in(tmp_path, database_url=database_url)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Redis]:
    """A running Redis shared by the session."""
    try:
        server = servers.Redis(tmp_path_factory.mktemp("redis"))
    except servers.MissingError as error:
        _go_without("Redis", error)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: servers.Redis) -> str:
    """The address of a Redis that is empty when the test begins."""
    redis_server.clear()
    return redis_server.url


@pytest.fixture(scope="session")
def opensearch_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running OpenSearch node shared by the session; prefix your indices with `search_prefix`."""
    try:
        node = servers.start_opensearch(tmp_path_factory.mktemp("opensearch"))
    except servers.MissingError as error:
        _go_without("OpenSearch", error)
    yield node
    node.stop()


@pytest.fixture
def opensearch_url(opensearch_node: Node, search_prefix: str) -> Iterator[str]:
    """The address of OpenSearch; this test's own indices are removed after it."""
    yield opensearch_node.url
    address = urlsplit(opensearch_node.url)
    if opensearch_node.is_running:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        connection.request("DELETE", f"/{search_prefix}*?expand_wildcards=all")
        connection.getresponse().read()
        connection.close()


@pytest.fixture
def search_prefix() -> str:
    """What the names of this test's indices begin with."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["embedded", "opensearch"])
def search_url(request: pytest.FixtureRequest) -> str:
    """`CASEBOOK_SEARCH_URL`, once for the embedded engine and once for OpenSearch."""
    if request.param == "embedded":
        return "embedded:"
    url: str = request.getfixturevalue("opensearch_url")
    return url


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """The system's Chromium, with a font that has Chinese characters."""
    try:
        servers.find_chinese_font()
        return servers.find_chromium()
    except servers.MissingError as error:
        _go_without("Chromium", error)


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium_path: Path) -> dict[str, object]:
    """What pytest-playwright starts its browser with: the system's, which as root has no sandbox."""
    return {"executable_path": str(chromium_path), "args": ["--no-sandbox", "--disable-dev-shm-usage"]}
