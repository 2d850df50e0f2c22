"""Making a backup, checking it, and putting it back.

A backup is a folder of plain files:

    database.sqlite3 or database.dump   the database, as SQLite and `pg_restore` read it
    files/…                             the attachments that the database names
    secret_key                          where the portal keeps its key in the data folder
    manifest.json                       what is in it: `Manifest`
    SHA256SUMS                          a digest of each, for `sha256sum --check`; written last

The database is copied first, as of one moment.  An attachment's bytes outlive their row by a day, so all that this copy
names is still there to be copied afterwards.  The index is not copied: it is made from the database.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from flask import current_app
from sqlalchemy import func, select

from portal import audit
from portal.accounts import sessions
from portal.accounts.models import User
from portal.attachments import attachments
from portal.backups.copying import copy_file, digest_of
from portal.backups.databases import FILE_NAMES, Ask, asking, copied, count_rows, put_back, tables_of
from portal.encryption import key_names
from portal.errors import OperationError
from portal.extensions import db, now
from portal.health.state import revisions
from portal.mail import messages
from portal.search import indices
from portal.settings import KEY_FILE, Settings

FORMAT = 1
MADE, RESTORED = "backup.made", "backup.restored"
"""Actions of the audit log."""
MANIFEST, SUMS, BEGUN = "manifest.json", "SHA256SUMS", "unfinished"
Tell = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is, and of how much."""


class NotABackup(OperationError):
    """A folder holds no whole backup that this portal can use; the text says why."""


class PlaceTaken(OperationError):
    """There is something already where a backup or its content should go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds.  `rows` are counted in the copy; sizes are bytes."""

    format: int
    made_at: str
    database: str
    revision: str
    rows: dict[str, int]
    files: int
    files_bytes: int
    missing_files: list[str]
    """Attachments whose bytes were not in the data folder, or were not those that were stored: `name (id)`."""
    key_name: str
    """Tells the secret key from others, and does not give it away."""
    holds_key: bool

    @property
    def row_count(self) -> int:
        """All rows of all tables."""
        return sum(self.rows.values())


def make(folder: Path, tell: Tell) -> Manifest:
    """Write a backup of the running portal into a folder; one that was stopped half-way is taken up again.

    Raises:
        PlaceTaken: the folder holds something else.
        DatabaseNotCopied: the database could not be read.
        OSError: the folder cannot be written.
    """
    settings = _settings()
    _begin(folder)
    dialect = db.engine.dialect.name
    database = folder / FILE_NAMES[dialect]
    database.unlink(missing_ok=True)
    made_at = now()
    tell("Copying the database", 0, None)
    with copied(db.engine, database) as ask:
        rows = count_rows(ask, tables_of(db.engine))
        revision = str(ask("SELECT version_num FROM alembic_version")[0][0])
        digests, size, missing = _copy_files(attachments.folder(), folder, ask, tell)
    kept_key = settings.data_dir / KEY_FILE
    holds_key = kept_key.is_file() and kept_key.read_text().strip() == settings.secret_key
    if holds_key:
        copy_file(kept_key, folder / KEY_FILE)
    manifest = Manifest(
        format=FORMAT,
        made_at=made_at.isoformat(),
        database=dialect,
        revision=revision,
        rows=rows,
        files=len(digests),
        files_bytes=size,
        missing_files=missing,
        key_name=key_names()[0],
        holds_key=holds_key,
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=2) + "\n")
    _finish(folder, digests)
    told = {"folder": str(folder), "rows": manifest.row_count, "files": manifest.files, "missing": len(missing)}
    audit.append(MADE, by=None, details={**told, "bytes": sum(path.stat().st_size for path in _paths(folder))})
    db.session.commit()
    return manifest


def check(folder: Path, tell: Tell) -> Manifest:
    """Read a backup's manifest and compare every file with its digest.

    Raises:
        NotABackup: it is not whole, or one of its files was changed.
    """
    if not (folder / SUMS).is_file():
        raise NotABackup(f"{folder} holds no whole backup: there is no {SUMS}. Take another one.")
    lines = (folder / SUMS).read_text().splitlines()
    wrong = []
    for done, line in enumerate(lines):
        digest, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file() or digest_of(path) != digest:
            wrong.append(name)
        tell("Checking", done + 1, len(lines))
    if wrong:
        raise NotABackup(f"{folder} is damaged: {', '.join(wrong[:5])} changed or went missing. Take another backup.")
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (ValueError, TypeError, OSError):
        raise NotABackup(f"{folder / MANIFEST} is not a manifest of this version.") from None
    if manifest.format != FORMAT:
        raise NotABackup(f"{folder} has format {manifest.format}; this version reads {FORMAT}.")
    return manifest


def refuse_unfit(manifest: Manifest) -> None:
    """Refuse a backup that this installation cannot take, before anything is changed.

    Raises:
        NotABackup: it is of another kind of database or of a newer version.
        PlaceTaken: there are people in the database already.
    """
    dialect = db.engine.dialect.name
    if manifest.database != dialect:
        raise NotABackup(
            f"It is a backup of {manifest.database} and CASEBOOK_DATABASE_URL names {dialect}. "
            "Change that, or carry the content over with `casebook export` and `casebook import`."
        )
    if manifest.revision not in revisions():
        raise NotABackup(f"Its tables are of a newer version ({manifest.revision}). Update Casebook first.")
    if User.__tablename__ in tables_of(db.engine) and db.session.scalar(select(func.count()).select_from(User)):
        raise PlaceTaken(
            "This portal has people already, and a backup goes into an empty place. "
            "Point CASEBOOK_DATABASE_URL and CASEBOOK_DATA_DIR elsewhere, or remove what is there."
        )
    db.session.rollback()


def take_key(folder: Path, manifest: Manifest) -> bool:
    """Put a backup's own key into the data folder; return whether it had one that this portal would read there.

    Raises:
        NotABackup: what is sealed in it cannot be opened with the key of the settings.
    """
    if manifest.key_name in key_names():
        return False
    settings = _settings()
    kept = settings.data_dir / KEY_FILE
    if not manifest.holds_key or not kept.is_file() or kept.read_text().strip() != settings.secret_key:
        raise NotABackup(
            "It was made with another secret key. Set CASEBOOK_SECRET_KEY to that one, "
            "or add it to CASEBOOK_OLD_SECRET_KEYS."
        )
    beside = kept.with_name(f"{KEY_FILE}.restoring")
    copy_file(folder / KEY_FILE, beside)
    beside.replace(kept)
    return True


def restore_content(folder: Path, manifest: Manifest, tell: Tell) -> None:
    """Put attachments and database back.  The tables are then those of the backup's version.

    Raises:
        DatabaseNotCopied: the database refused.
        NotABackup: what is in the database now is not what was backed up.
    """
    target = attachments.folder()
    for done, path in enumerate(sorted((folder / attachments.FOLDER).iterdir())):
        copy_file(path, target / path.name)
        tell("Putting attachments back", done + 1, manifest.files)
    tell("Putting the database back", 0, None)
    db.session.remove()
    db.engine.dispose()
    put_back(db.engine, folder / FILE_NAMES[manifest.database])
    with db.engine.connect() as connection:
        rows = count_rows(asking(connection), list(manifest.rows))
    if rows != manifest.rows:
        differing = [name for name, count in manifest.rows.items() if rows[name] != count]
        raise NotABackup(f"The database has not all that was backed up: {', '.join(differing)} differ.")


def settle_in(manifest: Manifest, *, sends_mails: bool) -> tuple[int, int]:
    """Let go of what belonged to the old place; return how many sessions ended and how many mails were dropped.

    Sessions end because one that was ended after the backup would live again.  Mails that waited may have been sent
    since, and go only where that is wished for.  What SQL knew of the index is void: the index is made anew.
    """
    ended = sessions.end_everybodys()
    dropped = 0 if sends_mails else messages.drop_waiting()
    indices.forget_all("The database was restored from a backup.")
    told = {"made_at": manifest.made_at, "rows": manifest.row_count, "files": manifest.files}
    audit.append(RESTORED, by=None, details={**told, "sessions_ended": ended, "mails_dropped": dropped})
    db.session.commit()
    return ended, dropped


def _settings() -> Settings:
    settings: Settings = current_app.extensions["casebook.settings"]
    return settings


def _begin(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / BEGUN).exists():
        raise PlaceTaken(f"{folder} is not empty. Name a new folder for each backup.")
    (folder / BEGUN).touch(mode=0o600)
    (folder / SUMS).unlink(missing_ok=True)
    folder.chmod(0o700)


def _copy_files(source: Path, folder: Path, ask: Ask, tell: Tell) -> tuple[dict[str, str], int, list[str]]:
    """Copy what the database names; return each copy's digest by its name, all bytes, and what could not be had."""
    target = folder / attachments.FOLDER
    target.mkdir(mode=0o700, exist_ok=True)
    named = ask("SELECT id, file_name, stored_name, sha256 FROM attachment ORDER BY id")
    digests: dict[str, str] = {}
    missing, size = [], 0
    for done, (number, file_name, stored_name, digest) in enumerate(named):
        copy = target / stored_name
        if copy.is_file() and digest_of(copy) == digest:
            digests[stored_name] = digest
        elif (source / stored_name).is_file():
            digests[stored_name] = copy_file(source / stored_name, copy)
        if digests.get(stored_name) != digest:
            missing.append(f"{file_name} ({number})")
        if stored_name in digests:
            size += copy.stat().st_size
        tell("Copying attachments", done + 1, len(named))
    for leftover in {path.name for path in target.iterdir()} - digests.keys():
        (target / leftover).unlink()
    return digests, size, missing


def _finish(folder: Path, digests: Mapping[str, str]) -> None:
    """Write the digests, and only then say that the backup is whole."""
    lines = []
    for path in _paths(folder):
        lines.append(f"{digests.get(path.name) or digest_of(path)}  {path.relative_to(folder)}\n")
        path.chmod(0o600)
    beside = folder / f"{SUMS}.new"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / SUMS)
    (folder / BEGUN).unlink()


def _paths(folder: Path) -> Iterator[Path]:
    names = (*FILE_NAMES.values(), MANIFEST, KEY_FILE)
    yield from (folder / name for name in names if (folder / name).is_file())
    yield from sorted((folder / attachments.FOLDER).iterdir())
