"""The files of an article."""

from typing import BinaryIO

from portal import audit, outbox
from portal.access import Viewer
from portal.attachments import attachments
from portal.attachments.models import Attachment
from portal.extensions import db
from portal.knowledge.models import Article
from portal.knowledge.rights import require_edit


def attach(article: Article, *, stream: BinaryIO, file_name: str, by: Viewer) -> Attachment:
    """Add a file to an article and commit.

    Raises:
        Forbidden: `by` may not edit this article.
        Invalid: such a file is not taken.
    """
    require_edit(article, by)
    kept = attachments.store(stream, file_name=file_name, owner_kind="article", owner_id=article.id, by=by)
    details = {"file": kept.file_name, "sha256": kept.sha256}
    audit.append("article.attach", by=by, kind="article", object_id=article.id, details=details)
    db.session.commit()
    outbox.nudge()
    return kept


def detach(article: Article, attachment: Attachment, *, by: Viewer) -> None:
    """Remove a file from an article and commit.

    Raises:
        Forbidden: `by` may not edit this article.
    """
    require_edit(article, by)
    details = {"file": attachment.file_name, "sha256": attachment.sha256}
    attachments.delete(attachment)
    audit.append("article.detach", by=by, kind="article", object_id=article.id, details=details)
    db.session.commit()
    outbox.nudge()
