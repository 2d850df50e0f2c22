"""A backup of a portal that people write to, restored into an empty place, on SQLite and on PostgreSQL.

Whatever was acknowledged before the backup began is in it, and the restored portal signs people in, finds what was
written, and equals its index.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests import servers
from tests.installation import PASSWORD, Client, Installation, wait_for

WRITERS = 4
BEFORE = 60
"""So many writes are acknowledged before the backup begins; the writers go on until it has ended."""


class Author(threading.Thread):
    """Somebody who opens requests and answers them, one after the other, until told to stop."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.client = client
        self.acknowledged: list[tuple[int, str]] = []
        self.refused: list[int] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if self.stopping.is_set():
                break
            subject = f"pump {self.name}{number:04}"
            made = self.client.ask("POST", "/api/v1/records", {"subject": subject, "description": "It leaks."})
            if made.status != HTTPStatus.CREATED:
                self.refused.append(made.status)
                continue
            answered = self.client.ask("POST", f"{made.headers['location']}/entries", {"kind": "reply", "body": "Yes."})
            if answered.status != HTTPStatus.CREATED:
                self.refused.append(answered.status)
            self.acknowledged.append((made.json["id"], subject))
        self.client.close()


@pytest.fixture
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The addresses of two databases: one to back up, an empty one to restore into."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'from.db'}", f"sqlite:///{tmp_path / 'to.db'}"
    server: servers.PostgreSQL = request.getfixturevalue("postgres")
    return server.create_database("backed_up"), server.create_database("restored")


@pytest.fixture
def places(addresses: tuple[str, str], tmp_path: Path) -> Iterator[tuple[Installation, Installation]]:
    """Two installations, neither of which runs yet."""
    # A key of the settings, as in production: no backup holds it.
    both = [
        Installation(tmp_path / name, database_url=url, secret_key="a key for tests that is long enough")
        for name, url in zip(("from", "to"), addresses, strict=True)
    ]
    for place in both:
        place.folder.mkdir()
    yield both[0], both[1]
    for place in both:
        place.stop()


@pytest.mark.drill
@pytest.mark.parametrize("addresses", ["sqlite", "postgresql"], indirect=True)
def test_a_backup_under_writes_holds_all_that_was_acknowledged(
    places: tuple[Installation, Installation], tmp_path: Path
) -> None:
    busy, empty = places
    busy.run("init")
    token = busy.add_user("Dora", "agent")
    busy.start()
    authors = [Author(busy.client(token), f"w{number}x") for number in range(WRITERS)]
    for author in authors:
        author.start()
    wait_for(lambda: sum(len(author.acknowledged) for author in authors) >= BEFORE, timeout_s=120)

    before = [written for author in authors for written in list(author.acknowledged)]
    began = time.monotonic()
    manifest = busy.report("backup", str(tmp_path / "copy"))
    took_s = time.monotonic() - began
    since = sum(len(author.acknowledged) for author in authors) - len(before)

    for author in authors:
        author.stopping.set()
        author.join()
    assert [status for author in authors for status in author.refused] == []
    assert since > 0, "nobody wrote while the backup was made"
    assert manifest["rows"]["record"] >= len(before)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "copy", check=True)
    busy.stop()

    report = empty.report("restore", str(tmp_path / "copy"))
    empty.start()
    reader = empty.client()
    reader.sign_in("dora@example.com", PASSWORD)
    found = [reader.ask("GET", f"/api/v1/records/{number}").json["subject"] for number, _ in before]
    last = reader.ask("GET", "/api/v1/search", q=before[-1][1]).json["hits"]
    reader.close()
    checked = empty.report("index", "verify")
    looked = {finding["name"]: finding for finding in empty.report("doctor", codes=(0, 1))["findings"]}

    assert found == [subject for _, subject in before]
    assert before[-1][1] in [hit["title"] for hit in last]
    assert (checked["missing"], checked["stale"], checked["orphaned"]) == (0, 0, 0)
    assert report["rows"] == sum(manifest["rows"].values())
    assert looked["audit log"]["is_well"], looked["audit log"]
    assert looked["encryption"]["is_well"], looked["encryption"]
    print(
        f"\nbackup of {report['rows']} rows in {took_s:.1f} s beside {WRITERS} writers, "
        f"{len(before)} writes before it and {since} during it: {json.dumps(checked)}"
    )
