"""What leaves by other ways than pages holds nothing that `access` keeps from its reader: mails, jobs, and the files.

The portal is asked on both databases, as each keeps what it is given in files of its own.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text, update

from portal import outbox
from portal.accounts import users
from portal.extensions import db, now
from portal.search import saved
from portal.search.models import SavedSearch
from portal.settings import Settings
from tests.indexer.test_queue import FakeQueue
from tests.leaks.house import COMMON


@pytest.fixture
def settings(database_settings: Settings) -> Settings:
    return database_settings


def kept(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yield all that lies on the disk and its name: every file, and what a server keeps of each table, unpacked."""
    if settings.is_sqlite:
        db.session.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    else:
        with psycopg.connect(settings.database_url.replace("+psycopg", "")) as server:
            for table in db.metadata.tables:
                with server.cursor().copy(f'COPY "{table}" TO STDOUT (FORMAT binary)') as rows:
                    yield table, b"".join(rows)
    for path in settings.data_dir.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


@pytest.mark.thorough
def test_mails_jobs_and_files_hold_only_what_their_readers_may_read(app, people, house, outgoing):
    jobs = FakeQueue()
    app.extensions["casebook.nudge"]._queue = jobs
    app.extensions["casebook.nudge"]._quiet_until = 0.0
    db.session.execute(
        update(SavedSearch).values(next_check_at=now(), changed_since=now() - timedelta(days=1), text=COMMON)
    )
    db.session.commit()
    assert saved.write_news() == len(people.everybody) - 1
    users.ask_reset(people.alice.email)
    outbox.nudge()

    letters = outgoing()
    readers = {person.email: person.viewer for person in people.everybody}
    wrong = [
        f"{letter.subject}: {house.place_of(word)} to {letter.recipient}"
        for letter in letters
        for word in house.found_in(f"{letter.subject}\n{letter.text}")
        if not house.may_meet(readers[letter.recipient], word)
    ]
    assert wrong == []
    told = defaultdict(set)
    for letter in letters:
        told[letter.recipient] |= house.found_in(letter.text)
    assert told[people.alice.email]
    assert len(told[people.alice.email]) < len(told[people.dora.email])

    assert jobs.jobs
    assert house.found_in(repr(jobs.jobs)) == set()

    sealed = {word for word, canary in house.canaries.items() if canary.place.startswith("address of")} | set(
        house.phones
    )
    assert len(sealed) == 4
    everything = dict(kept(app.extensions["casebook.settings"]))
    assert any(
        b"internal" in held for name, held in everything.items() if name in db.metadata.tables or name.endswith(".db")
    )
    for name, held in everything.items():
        assert not sealed & house.found_in(held.decode("latin-1")), name
