"""What readers say: "was this helpful?", once a reader, and how often an article is read."""

from collections.abc import Mapping

from flask_babel import gettext
from sqlalchemy import delete as delete_rows
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from portal import outbox
from portal.errors import Invalid
from portal.extensions import count_affected, db, now
from portal.knowledge import fields
from portal.knowledge.models import Article, Vote

LONGEST_REASON = 1000


def vote(article: Article, *, voter: str, is_helpful: bool, reason: str = "") -> None:
    """Count a reader's answer to "was this helpful?" and commit.  Another answer of the same voter replaces the first.

    Raises:
        Invalid: the reason is too long or cannot be stored.
    """
    reason = reason.replace("\r\n", "\n").strip()
    if len(reason) > LONGEST_REASON or fields.UNSTORABLE.search(reason):
        raise Invalid({"reason": gettext("Give a reason of at most %(most)s plain characters.", most=LONGEST_REASON)})
    article_id = article.id
    for last_try in (False, True):
        try:
            _put_vote(article_id, voter, is_helpful, reason)
            break
        except IntegrityError:  # The same voter pressed twice; the second press finds the first.
            db.session.rollback()
            if last_try:
                raise
    outbox.record(article)
    db.session.commit()
    outbox.nudge()


def take_back_vote(article: Article, *, voter: str) -> None:
    """Forget a voter's answer and commit; having none is no error."""
    found = find_vote(article, voter=voter)
    if found is None:
        return
    was_helpful = found.is_helpful
    gone = db.session.execute(delete_rows(Vote).where(Vote.id == found.id))
    if count_affected(gone):
        _count_votes(article.id, helpful=-int(was_helpful), unhelpful=-int(not was_helpful))
        outbox.record(article)
    db.session.commit()
    outbox.nudge()


def find_vote(article: Article, *, voter: str) -> Vote | None:
    """Return the voter's answer."""
    return db.session.scalar(select(Vote).where(Vote.article_id == article.id, Vote.voter == voter))


def add_views(counts: Mapping[int, int]) -> None:
    """Add how often articles were read, id → times, and commit.  Articles that are gone are left out."""
    for article_id, times in sorted(counts.items()):
        db.session.execute(
            update(Article)
            .where(Article.id == article_id)
            .values(views=Article.views + times)
            .execution_options(synchronize_session=False)
        )
    outbox.record_where("article", select(Article.id).where(Article.id.in_(list(counts))))
    db.session.commit()
    outbox.nudge()


def _put_vote(article_id: int, voter: str, is_helpful: bool, reason: str) -> None:
    found = db.session.scalar(select(Vote).where(Vote.article_id == article_id, Vote.voter == voter))
    if found is None:
        db.session.add(Vote(article_id=article_id, voter=voter, is_helpful=is_helpful, reason=reason))
        db.session.flush()
        _count_votes(article_id, helpful=int(is_helpful), unhelpful=int(not is_helpful))
        return
    if found.is_helpful != is_helpful:
        step = 1 if is_helpful else -1
        _count_votes(article_id, helpful=step, unhelpful=-step)
    found.is_helpful, found.at = is_helpful, now()
    found.reason = reason or found.reason
    db.session.flush()


def _count_votes(article_id: int, *, helpful: int, unhelpful: int) -> None:
    """Change the counts without touching the version: a reader's vote is no editor's conflict."""
    db.session.execute(
        update(Article)
        .where(Article.id == article_id)
        .values(helpful=Article.helpful + helpful, unhelpful=Article.unhelpful + unhelpful)
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()
