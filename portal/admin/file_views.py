"""The attached files whose text could not be read, with the reason: what is in them cannot be found."""

from collections import defaultdict
from dataclasses import dataclass

from flask import Blueprint, render_template, url_for
from sqlalchemy import select

from portal.access import Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.attachments.models import Attachment
from portal.extensions import db
from portal.knowledge.models import Article
from portal.search import sources
from portal.service.models import Record

blueprint = Blueprint("files", __name__, url_prefix="/admin/files")
MOST_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadFile:
    """A file without text, and the article or record that it belongs to."""

    file: Attachment
    title: str
    url: str


@blueprint.get("")
@needs(Permission.READ_STAFF)
def unread() -> str:
    """List the newest files that could not be read, among those whose owner the viewer may read."""
    return render_template("admin/files.html", files=load_unread(current_viewer()))


def load_unread(viewer: Viewer) -> list[UnreadFile]:
    """Return the newest files whose text could not be read, of readable owners."""
    files = db.session.scalars(
        select(Attachment).where(Attachment.text_state == "failed").order_by(Attachment.id.desc()).limit(MOST_SHOWN)
    ).all()
    wanted: dict[str, set[int]] = defaultdict(set)
    for file in files:
        wanted[file.owner_kind].add(file.owner_id)
    readable = {
        (kind, number)
        for kind, numbers in wanted.items()
        if kind in sources.registry().sources
        for number in sources.registry().sources[kind].readable_ids(viewer, numbers)
    }
    places: dict[tuple[str, int], tuple[str, str]] = {}
    for article_id, slug, title in db.session.execute(
        select(Article.id, Article.slug, Article.title).where(Article.id.in_(wanted["article"]))
    ):
        places["article", article_id] = (title, url_for("knowledge.article", slug=slug))
    for record_id, number, subject in db.session.execute(
        select(Record.id, Record.number, Record.subject).where(Record.id.in_(wanted["record"]))
    ):
        places["record", record_id] = (f"{number} {subject}", url_for("service.show", number=number))
    return [
        UnreadFile(file=file, title=place[0], url=place[1])
        for file in files
        if (owner := (file.owner_kind, file.owner_id)) in readable and (place := places.get(owner))
    ]
