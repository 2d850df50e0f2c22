"""What is linked with a record: articles that help with it, and records about the same thing."""

from typing import cast

from flask_babel import gettext as _

from portal.access import Permission, Viewer
from portal.declared import Check, whole
from portal.errors import Invalid, Missing
from portal.extensions import db
from portal.knowledge.findable import select_readable as select_readable_articles
from portal.knowledge.models import Article
from portal.service.changing import changing, commit
from portal.service.models import ArticleLink, Record, RecordLink
from portal.service.reading import get_readable


def link_article(record: Record, *, by: Viewer, article_id: int) -> Record:
    """Link an article that helps with the record.  Commits with outbox row and audit entry; twice is once.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such article for this viewer.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    check = Check()
    article = check.read("article_id", readable_article, article_id, by)
    if article is None:
        check.refuse("article_id", _("There is no such article."))
    check.finish()
    with changing(record, by) as record:
        put_link(record, by, cast("Article", article))
        commit(record, "record.article_linked", by=by, article_id=article_id)
    return record


def unlink_article(record: Record, *, by: Viewer, article_id: int) -> Record:
    """Take a linked article away.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Missing: the record is gone, or the article was not linked.
    """
    by.require(Permission.WORK_RECORDS)
    with changing(record, by) as record:
        link = db.session.get(ArticleLink, (record.id, article_id))
        if link is None:
            raise Missing(_("This article is not linked."))
        record.article_links.remove(link)
        commit(record, "record.article_unlinked", by=by, article_id=article_id)
    return record


def link_record(record: Record, *, by: Viewer, number: str) -> Record:
    """Link another record about the same thing, in both directions.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such other record.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    other = get_other(by, number)
    if other.id == record.id:
        raise Invalid({"number": _("This is the record itself; give another one's number.")})
    with changing(record, by) as record:
        for one, two in ((record.id, other.id), (other.id, record.id)):
            if db.session.get(RecordLink, (one, two)) is None:
                db.session.add(RecordLink(record_id=one, other_id=two, by_id=by.user_id))
        commit(record, "record.linked", by=by, other_id=other.id)
    return record


def get_other(viewer: Viewer, number: str) -> Record:
    """Return the record that somebody wants to link by its number, or raise `Invalid` where they may read none."""
    try:
        return get_readable(viewer, number)
    except Missing:
        raise Invalid({"number": _("There is no record %(number)s.", number=repr(number[:40]))}) from None


def unlink_record(record: Record, *, by: Viewer, number: str) -> Record:
    """Take the link between two records away, in both directions.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Missing: the record is gone, or the other one was not linked.
    """
    by.require(Permission.WORK_RECORDS)
    other = get_readable(by, number)
    with changing(record, by) as record:
        links = [db.session.get(RecordLink, pair) for pair in ((record.id, other.id), (other.id, record.id))]
        if not any(links):
            raise Missing(_("This record is not linked."))
        for link in links:
            if link is not None:
                db.session.delete(link)
        commit(record, "record.unlinked", by=by, other_id=other.id)
    return record


def put_link(record: Record, by: Viewer, article: Article) -> None:
    """Link an article with a record that is being changed, unless it is linked."""
    if db.session.get(ArticleLink, (record.id, article.id)) is None:
        db.session.add(ArticleLink(record_id=record.id, article_id=article.id, by_id=by.user_id))


def readable_article(article_id: object, by: Viewer) -> Article | None:
    """Return the article of an id that the viewer may read; None where no id was given, `Invalid` for any other."""
    wanted = whole(article_id)
    if wanted is None:
        return None
    found = db.session.scalar(select_readable_articles(by).where(Article.id == wanted))
    if found is None:
        raise Invalid({"": _("There is no such article.")})
    return cast("Article", found)
