"""`casebook backup` and `casebook restore` on one machine: what travels, what does not, and what is refused."""

import io
import json
import os
import subprocess

import pytest
from sqlalchemy import func, select

from portal import audit, migrating
from portal.access import Role
from portal.accounts import sessions, users
from portal.accounts.models import User, UserSession
from portal.app import create_app
from portal.attachments import attachments
from portal.attachments.models import Attachment
from portal.backups import backups
from portal.backups.copying import digest_of
from portal.commands.processes import hold_lock
from portal.customers import customers, points
from portal.customers.models import ContactPoint, Customer
from portal.extensions import db
from portal.health.state import LAST_BACKUP
from portal.knowledge import articles
from portal.mail import messages
from portal.mail.models import Message
from portal.search.models import IndexBuild
from portal.settings import Settings
from tests.people import PASSWORD, Browser

pytestmark = pytest.mark.thorough


@pytest.fixture
def held(app, people):
    """An article with a file, a customer with an address, somebody's session, and a mail that waits."""
    article = articles.create(
        by=people.erin.viewer,
        kind="faq",
        changes={"title": "Why does the pump leak?", "body": "A gasket."},
        state="published",
    )
    kept = attachments.store(
        io.BytesIO(b"Torque: 12 Nm"), file_name="torque.txt", owner_kind="article", owner_id=article.id,
        by=people.erin.viewer,
    )  # fmt: skip
    customer = customers.create(by=people.erin.viewer, kind="company", name="Ada Works", emails=["ada@works.example"])
    sessions.start(people.alice.user)
    messages.queue("alice@example.com", "password_changed")
    db.session.commit()
    return article.id, kept.id, customer.id


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Make another, empty data folder the one of the commands that follow; returns its settings."""

    def move(**settings):
        place = tmp_path / "elsewhere"
        monkeypatch.setenv("CASEBOOK_DATA_DIR", str(place))
        for name, value in settings.items():
            monkeypatch.setenv(f"CASEBOOK_{name.upper()}", value)
        return place

    return move


@pytest.fixture
def copy(casebook, held, tmp_path):
    """A backup of the portal."""
    folder = tmp_path / "copy"
    assert casebook("backup", str(folder))[0] == 0
    return folder


def test_what_was_backed_up_is_there_again(casebook, held, copy, elsewhere, client_for, people):
    article_id, file_id, customer_id = held
    assert client_for(people.alice).get("/me").status_code == 200
    place = elsewhere()

    code, said, _ = casebook("restore", str(copy), "--json")

    assert code == 0
    report = json.loads(said)
    assert (report["files"], report["mails_dropped"], report["index"]) == (1, 1, "live")
    assert report["sessions_ended"] >= 1
    with create_app(Settings.from_environ()).app_context():
        assert db.session.scalar(select(func.count()).select_from(UserSession)) == 0
        assert db.session.scalar(select(func.count()).select_from(Message)) == 0
        file = db.session.get_one(Attachment, file_id)
        assert attachments.path_of(file).read_bytes() == b"Torque: 12 Nm"
        assert attachments.path_of(file).is_relative_to(place)
        assert [points.opened(point) for point in db.session.scalars(select(ContactPoint))] == ["ada@works.example"]
        assert db.session.get_one(Customer, customer_id).name == "Ada Works"
        assert list(audit.verify()) == []
        assert db.session.scalars(select(audit.AuditEntry.action).order_by(audit.AuditEntry.id.desc())).first() == (
            "backup.restored"
        )
    visitor = create_app(Settings.from_environ())
    visitor.test_client_class = Browser
    signed_in = visitor.test_client().post("/sign-in", data={"email": people.alice.email, "password": PASSWORD})
    assert signed_in.status_code == 303
    found = json.loads(casebook("search", "leaking pump", "--json")[1])
    assert [hit["id"] for hit in found["hits"]] == [f"article:{article_id}"]
    assert casebook("index", "verify")[0] == 0


def test_mails_that_waited_go_out_only_where_that_is_wished_for(casebook, copy, elsewhere):
    elsewhere()
    assert json.loads(casebook("restore", str(copy), "--send-mails", "--json")[1])["mails_dropped"] == 0
    with create_app(Settings.from_environ()).app_context():
        assert messages.waiting_count() == 1


def test_it_is_closed_to_others_and_says_when_it_was_made(casebook, settings, copy):
    modes = {path.relative_to(copy): path.stat().st_mode & 0o777 for path in [copy, *copy.rglob("*")]}
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
    assert (settings.data_dir / LAST_BACKUP).exists()
    assert "backup: The last backup was noted 0 hours ago." in casebook("doctor")[1]
    told = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=copy, capture_output=True, check=False)
    assert (told.returncode, told.stdout) == (0, b"")


def test_the_key_travels_where_the_data_folder_keeps_it(casebook, held, settings, tmp_path, elsewhere, monkeypatch):
    without, with_key = tmp_path / "without", tmp_path / "with"
    assert "It does not hold CASEBOOK_SECRET_KEY" in casebook("backup", str(without))[1]
    (settings.data_dir / "secret_key").write_text(settings.secret_key)
    assert casebook("backup", str(with_key))[0] == 0
    monkeypatch.delenv("CASEBOOK_SECRET_KEY")
    place = elsewhere()

    code, _, said = casebook("restore", str(without))
    assert (code, "another secret key. Set CASEBOOK_SECRET_KEY" in said) == (1, True)

    assert casebook("restore", str(with_key))[0] == 0
    assert (place / "secret_key").read_text() == settings.secret_key
    assert (place / "secret_key").stat().st_mode & 0o777 == 0o600
    assert "encryption: What is encrypted can be read" in casebook("doctor")[1]


def test_the_key_of_a_setting_is_never_replaced(casebook, copy, elsewhere):
    elsewhere(secret_key="another secret that is long enough for anybody")
    code, _, said = casebook("restore", str(copy))
    assert (code, "another secret key" in said) == (1, True)


def test_a_key_that_was_changed_since_still_opens_it(casebook, settings, copy, elsewhere):
    elsewhere(secret_key="another secret that is long enough for anybody", old_secret_keys=settings.secret_key)
    assert casebook("restore", str(copy))[0] == 0
    assert "rows are sealed with an old secret key" in casebook("doctor")[1]


def test_a_backup_that_was_stopped_is_no_backup_and_is_taken_up_again(casebook, held, tmp_path, monkeypatch, elsewhere):
    folder = tmp_path / "copy"

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backups, "_finish", stop)
        code, _, said = casebook("backup", str(folder))
    assert (code, said.splitlines()[-1]) == (130, "Stopped. The same command goes on from here.")
    code, _, said = casebook("restore", str(folder))
    assert (code, "holds no whole backup" in said) == (1, True)

    (folder / "files" / "leftover").write_bytes(b"of a file that was deleted meanwhile")
    assert casebook("backup", str(folder))[0] == 0
    assert not (folder / "files" / "leftover").exists()
    elsewhere()
    assert casebook("restore", str(folder))[0] == 0


def test_a_folder_with_something_else_in_it_is_left_alone(casebook, held, copy, tmp_path):
    before = (copy / "SHA256SUMS").read_bytes()
    code, _, said = casebook("backup", str(copy))
    assert (code, "is not empty. Name a new folder" in said) == (1, True)
    assert (copy / "SHA256SUMS").read_bytes() == before


@pytest.mark.parametrize("harm", ["change", "remove"])
@pytest.mark.parametrize("name", ["database.sqlite3", "manifest.json", "files"])
def test_a_damaged_backup_is_refused_before_anything_is_changed(casebook, copy, elsewhere, name, harm):
    path = next((copy / name).iterdir()) if name == "files" else copy / name
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    place = elsewhere()
    code, _, said = casebook("restore", str(copy))
    assert (code, f"{path.name} changed or went missing" in said) == (1, True)
    assert not (place / "casebook.sqlite3").exists()


def _resum(copy, **changes):
    """Write a manifest that says something else, and its digest: what is tested is not the digest."""
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))
    sums = [line for line in (copy / "SHA256SUMS").read_text().splitlines() if not line.endswith("manifest.json")]
    (copy / "SHA256SUMS").write_text("\n".join([*sums, f"{digest_of(manifest)}  manifest.json", ""]))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "has format 2; this version reads 1"),
        ({"revision": "9999"}, "of a newer version (9999). Update Casebook first"),
        ({"database": "postgresql"}, "It is a backup of postgresql and CASEBOOK_DATABASE_URL names sqlite"),
        ({"surprise": 1}, "is not a manifest of this version"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(casebook, copy, elsewhere, changes, sentence):
    _resum(copy, **changes)
    elsewhere()
    code, _, said = casebook("restore", str(copy))
    assert (code, sentence in said) == (1, True), said


def test_fewer_rows_than_were_backed_up_are_noticed(casebook, copy, elsewhere):
    rows = json.loads((copy / "manifest.json").read_text())["rows"]
    _resum(copy, rows=rows | {"article": rows["article"] + 1})
    elsewhere()
    code, _, said = casebook("restore", str(copy))
    assert (code, "not all that was backed up: article differ" in said) == (1, True), said


def test_nobody_is_written_over(casebook, copy):
    people = db.session.scalar(select(func.count()).select_from(User))
    code, _, said = casebook("restore", str(copy))
    assert (code, "This portal has people already" in said) == (1, True)
    assert db.session.scalar(select(func.count()).select_from(User)) == people


def test_a_portal_that_was_only_just_made_is_empty(casebook, copy, elsewhere):
    elsewhere()
    assert casebook("init")[0] == 0
    assert casebook("restore", str(copy))[0] == 0


def test_nothing_is_restored_below_a_portal_that_runs(casebook, copy, elsewhere):
    place = elsewhere()
    place.mkdir(mode=0o700)
    lock = hold_lock(place / "up.lock")
    try:
        code, _, said = casebook("restore", str(copy))
    finally:
        os.close(lock)
    assert (code, "Stop it first" in said) == (1, True)


def test_bytes_that_are_gone_or_changed_are_named_and_the_rest_is_saved(casebook, held, people, tmp_path):
    gone = attachments.path_of(db.session.get_one(Attachment, held[1]))
    changed = attachments.store(
        io.BytesIO(b"Bolts: M8"), file_name="bolts.txt", owner_kind="article", owner_id=held[0], by=people.erin.viewer
    )
    db.session.commit()
    gone.unlink()
    attachments.path_of(changed).write_bytes(b"Bolts: M9")

    code, _, said = casebook("backup", str(tmp_path / "copy"))

    assert code == 1
    assert "Missing or changed in the data folder: torque.txt" in said
    assert "Missing or changed in the data folder: bolts.txt" in said
    assert backups.check(tmp_path / "copy", lambda *_: None).files == 1


def test_an_index_that_was_being_built_is_begun_anew(casebook, held, tmp_path, elsewhere):
    db.session.add(
        IndexBuild(name="casebook-half", engine="embedded", state="loading", cursor={"after": {"article": 9}})
    )
    db.session.commit()
    assert casebook("backup", str(tmp_path / "copy"))[0] == 0
    elsewhere()
    assert casebook("restore", str(tmp_path / "copy"))[0] == 0
    with create_app(Settings.from_environ()).app_context():
        states = dict(db.session.execute(select(IndexBuild.name, IndexBuild.state)).all())
    assert states.pop("casebook-half") == "failed"
    assert list(states.values()).count("live") == 1


def test_a_backup_of_an_earlier_version_is_brought_up_to_date(casebook, tmp_path, elsewhere, monkeypatch):
    (tmp_path / "earlier").mkdir(mode=0o700)
    monkeypatch.setenv("CASEBOOK_DATA_DIR", str(tmp_path / "earlier"))
    with create_app(Settings.from_environ()).app_context():
        migrating.upgrade("0006")
        users.create(name="Ada", email="ada@example.com", role=Role.ADMIN, password=PASSWORD, by=None)
    assert casebook("backup", str(tmp_path / "copy"))[0] == 0
    assert json.loads((tmp_path / "copy" / "manifest.json").read_text())["revision"] == "0006"
    elsewhere()

    assert casebook("restore", str(tmp_path / "copy"))[0] == 0

    assert "sqlite answers and has this version's tables" in casebook("doctor")[1]
    assert "Ada" in casebook("user", "list")[1]
