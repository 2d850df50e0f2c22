"""The queue server is down: guesses are limited as ever, signing in works, and nobody waits for it."""

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from flask import Flask

from portal import queue
from portal.accounts.limits import PER_ACCOUNT
from portal.settings import Settings
from tests.moulds import SECRET
from tests.people import PASSWORD, People


@pytest.fixture(params=["refusing", "silent"])
def queue_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that is down: nothing listens at its port, or what listens there never says a word."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if request.param == "silent":
            held.listen()
        yield f"redis://127.0.0.1:{held.getsockname()[1]}/0"


@pytest.fixture
def settings(tmp_path: Path, queue_url: str) -> Settings:
    return Settings.from_environ(
        {"CASEBOOK_DATA_DIR": str(tmp_path), "CASEBOOK_SECRET_KEY": SECRET, "CASEBOOK_QUEUE_URL": queue_url}
    )


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connections that were tried."""
    tried: list[str] = []
    connect = redis.Connection.connect

    def counted(connection: redis.Connection) -> None:
        tried.append(f"redis://{connection.host}:{connection.port}/0")
        connect(connection)

    monkeypatch.setattr(redis.Connection, "connect", counted)
    return tried


@pytest.mark.thorough
def test_fifty_guesses_at_once(app: Flask, people: People, queue_url: str, tried: list[str]) -> None:
    assert not queue.is_up()
    assert tried == [queue_url]
    tried.clear()

    def guess(email: str, password: str, address: str) -> int:
        sent = {"email": email, "password": password}
        return app.test_client().post("/sign-in", data=sent, environ_base={"REMOTE_ADDR": address}).status_code

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(lambda n: guess(people.alice.email, "wrong", f"198.51.100.{n}"), range(50)))
    assert answers == {422: PER_ACCOUNT, 429: 50 - PER_ACCOUNT}
    assert guess(people.alice.email, PASSWORD, "198.51.100.77") == 429
    assert guess(people.bob.email, PASSWORD, "198.51.100.78") == 303
    assert tried == [], "neither a guess nor a sign-in asks the queue, so none can wait for it"
