"""Operations on files that belong to an article or a record.

The bytes lie under made-up names in the data folder, outside everything the web serves by itself.  Who may read a file
is decided by its owner: callers check that first.  A file is written before its row is committed, so a crash leaves at
most a file without a row, which `sweep` removes a day later.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from flask import current_app
from flask_babel import gettext
from sqlalchemy import literal, select

from portal import outbox
from portal.access import Viewer
from portal.attachments.models import Attachment
from portal.attachments.types import FILE_TYPES, clean_name, recognise
from portal.errors import Invalid
from portal.extensions import db, now
from portal.settings import Settings

LARGEST_BYTES = 25 * 1024 * 1024
MOST_PER_OWNER = 50
CHUNK_BYTES = 256 * 1024
ORPHAN_AGE = timedelta(days=1)
FOLDER = "files"
"""In the data folder."""


def store(
    stream: BinaryIO,
    *,
    file_name: str,
    owner_kind: str,
    owner_id: int,
    by: Viewer,
    is_internal: bool = False,
) -> Attachment:
    """Write a file and its row inside the caller's transaction; the owner is noted for indexing.

    Its text is read out later, by the worker.  The caller checks that `by` may add files to the owner, and commits.

    Raises:
        Invalid: the field `file` says what is wrong with its kind, content, size or number.
    """
    name = clean_name(file_name)
    if len(load_for(owner_kind, owner_id)) >= MOST_PER_OWNER:
        raise Invalid({"file": gettext("There are %(most)s files already. Remove one first.", most=MOST_PER_OWNER)})
    stored_name = secrets.token_hex(24)
    path = folder() / stored_name
    try:
        size, digest = _write(stream, path, name)
        try:
            file_type = recognise(name, path)
        except ValueError as error:
            raise Invalid({"file": str(error)}) from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    attachment = Attachment(
        owner_kind=owner_kind,
        owner_id=owner_id,
        is_internal=is_internal,
        file_name=name,
        stored_name=stored_name,
        media_type=file_type.media_type,
        size=size,
        sha256=digest,
        text_state="none" if file_type.is_picture or file_type.content == "zip" else "pending",
        uploaded_by_id=by.user_id,
    )
    db.session.add(attachment)
    record_owner(attachment)
    return attachment


def load_for(owner_kind: str, owner_id: int, *, with_internal: bool = True) -> list[Attachment]:
    """Return an owner's files in the order they came; internal ones only where asked for."""
    query = select(Attachment).where(Attachment.owner_kind == owner_kind, Attachment.owner_id == owner_id)
    if not with_internal:
        query = query.where(Attachment.is_internal.is_(False))
    return list(db.session.scalars(query.order_by(Attachment.id)))


def find(attachment_id: int, *, owner_kind: str, owner_id: int, with_internal: bool = False) -> Attachment | None:
    """Return the file of this id if it belongs to this owner: somebody else's answers like a missing one."""
    if not 0 < attachment_id < 2**31:
        return None
    found = db.session.get(Attachment, attachment_id)
    if found is None or (found.owner_kind, found.owner_id) != (owner_kind, owner_id):
        return None
    return found if with_internal or not found.is_internal else None


def delete(attachment: Attachment) -> None:
    """Remove a file's row inside the caller's transaction and note its owner; `sweep` removes the bytes later.

    The bytes outlive the row for a day because the caller's transaction may yet be rolled back.
    """
    record_owner(attachment)
    db.session.delete(attachment)
    db.session.flush()


def delete_all(owner_kind: str, owner_id: int) -> None:
    """Remove the rows of all of an owner's files inside the caller's transaction."""
    for attachment in load_for(owner_kind, owner_id):
        db.session.delete(attachment)
    db.session.flush()


def record_owner(attachment: Attachment) -> None:
    """Note that the owner's document must be written again."""
    outbox.record_where(attachment.owner_kind, select(literal(attachment.owner_id)))


def path_of(attachment: Attachment) -> Path:
    """Return where the bytes lie."""
    return folder() / attachment.stored_name


def is_picture(attachment: Attachment) -> bool:
    """Say whether a browser may show it in place."""
    return any(known.media_type == attachment.media_type and known.is_picture for known in FILE_TYPES.values())


def sweep() -> int:
    """Remove files that no row names and that are older than a day; return how many.  A duty of the worker."""
    oldest = (now() - ORPHAN_AGE).timestamp()
    removed = 0
    for names in _in_groups(folder().iterdir()):
        known = set(db.session.scalars(select(Attachment.stored_name).where(Attachment.stored_name.in_(names))))
        for name in names:
            path = folder() / name
            if name not in known and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _in_groups(paths: Iterable[Path], size: int = 500) -> Iterable[list[str]]:
    group: list[str] = []
    for path in paths:
        if path.is_file():
            group.append(path.name)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def folder() -> Path:
    """Return where all files lie."""
    settings: Settings = current_app.extensions["casebook.settings"]
    place = settings.data_dir / FOLDER
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def _write(stream: BinaryIO, path: Path, name: str) -> tuple[int, str]:
    """Write a stream to a new file, never holding more than a chunk, and return its size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            if size > LARGEST_BYTES:
                raise Invalid(
                    {
                        "file": gettext(
                            "%(name)s is larger than %(most)s MB. Divide it or make it smaller.",
                            name=name,
                            most=LARGEST_BYTES // 1024 // 1024,
                        )
                    }
                )
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if size == 0:
        raise Invalid({"file": gettext("%(name)s is empty. Choose another file.", name=name)})
    return size, digest.hexdigest()
