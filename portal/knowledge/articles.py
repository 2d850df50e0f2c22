"""Operations on articles, and the ways to read them.  Every save is a revision, an outbox row and an audit entry.

An article's `version` counts its saves; a revision bears the number of the version it keeps, so whoever saves over a
newer version can be shown both, and what both began from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from flask_babel import gettext
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.exc import StaleDataError

from portal import audit, markup, outbox
from portal.access import Forbidden, Permission, Viewer
from portal.accounts.models import User
from portal.attachments import attachments
from portal.attachments.models import Attachment
from portal.errors import Conflict, Invalid
from portal.extensions import db, now
from portal.knowledge import fields
from portal.knowledge.batches import Outcome, import_batch
from portal.knowledge.findable import readable, select_readable
from portal.knowledge.models import (
    PARTS,
    STATES,
    Article,
    ArticleSlug,
    Revision,
    Vote,
    article_product,
    article_tag,
)
from portal.slugs import free_slugs, slug_for
from portal.vocabulary import products, tags
from portal.vocabulary.models import Category

__all__ = ["Outcome", "Page", "create", "import_batch", "save"]

LONGEST_NOTE = 300
LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    articles: Sequence[Article]
    total: int
    number: int
    size: int

    @property
    def count(self) -> int:
        """How many pages there are; an empty list has one."""
        return max(1, -(-self.total // self.size))


# Writing


def create(
    *,
    by: Viewer,
    kind: str,
    changes: Mapping[str, Any],
    state: str = "draft",
    source: str | None = None,
    external_id: str | None = None,
    url: str | None = None,
    note: str = "",
) -> Article:
    """Write a new article and commit it, with its first revision.  It belongs to `by` unless `owner_id` says otherwise.

    Raises:
        Forbidden: `by` may not write, or not publish, articles.
        Invalid: a value cannot be used, or another article came from the same place under the same id.
    """
    by.require(Permission.WRITE_ARTICLES)
    _check_state(state)
    if state != "draft":
        by.require(Permission.PUBLISH_ARTICLES)
    values = fields.checked(changes, kind=kind, is_new=True)
    _check_owner(values)
    article = Article(
        kind=kind,
        state=state,
        slug=free_slugs([slug_for(values["title"])], Article.slug, ArticleSlug.slug)[0],
        language="en",
        source=source,
        external_id=external_id,
        url=url,
        owner_id=by.user_id,
        published_at=now() if state == "published" else None,
        html={},
        sections=[],
    )
    if state == "published":
        _check_complete(kind, values)
    with db.session.no_autoflush:
        _apply(article, values)
        _render(article)
    db.session.add(article)
    _commit(article, by=by, action="article.create", note=note, given=values)
    return article


def save(
    article: Article,
    *,
    by: Viewer,
    changes: Mapping[str, Any],
    expected_version: int | None = None,
    note: str = "",
    state: str | None = None,
) -> None:
    """Change the given fields, and with `state` the state as well, and commit a new version: both or nothing.

    All other fields stay.  A new title gives a new address; the old one leads to it.

    Raises:
        Forbidden: `by` may not edit this article, or not publish.
        Invalid: a value cannot be used.
        Conflict: the article is no longer at `expected_version`; nothing was changed.
    """
    require_edit(article, by)
    values = fields.checked(changes, kind=article.kind, is_new=False)
    _check_owner(values)
    if state is not None:
        by.require(Permission.PUBLISH_ARTICLES)
        _check_state(state)
    _check_version(article, expected_version, values)
    if (state or article.state) == "published":
        _check_complete(article.kind, fields.described(article) | values)
    before = (article.title, article.language, *(getattr(article, part) for part in PARTS[article.kind]))
    _apply(article, values)
    if before != (article.title, article.language, *(getattr(article, part) for part in PARTS[article.kind])):
        _render(article)
    if article.title != before[0]:
        _readdress(article)
    if state is not None and state != article.state:
        _put_into(article, state)
    _commit(article, by=by, action="article.save", note=note, given=values | ({"state": state} if state else {}))


def publish(article: Article, *, by: Viewer, expected_version: int | None = None, note: str = "") -> None:
    """Let an article's audience read it, and commit.

    Raises:
        Forbidden: `by` may not publish.
        Invalid: it has no text yet.
        Conflict: the article is no longer at `expected_version`.
    """
    set_state(article, "published", by=by, expected_version=expected_version, note=note)


def archive(article: Article, *, by: Viewer, expected_version: int | None = None, note: str = "") -> None:
    """Take an article away from all but staff, and commit.  Raises as `publish` does."""
    set_state(article, "archived", by=by, expected_version=expected_version, note=note)


def withdraw(article: Article, *, by: Viewer, expected_version: int | None = None, note: str = "") -> None:
    """Make an article a draft again, and commit.  Raises as `publish` does."""
    set_state(article, "draft", by=by, expected_version=expected_version, note=note)


def set_state(article: Article, state: str, *, by: Viewer, expected_version: int | None = None, note: str = "") -> None:
    """Bring an article into a state and commit; being there already is no error and changes nothing.

    Raises:
        Forbidden: `by` may not publish.
        Invalid: there is no such state, or an article without text was to be published.
        Conflict: the article is no longer at `expected_version`.
    """
    by.require(Permission.PUBLISH_ARTICLES)
    _check_state(state)
    _check_version(article, expected_version, {"state": state})
    if article.state == state:
        return
    if state == "published":
        _check_complete(article.kind, fields.described(article))
    _put_into(article, state)
    _commit(article, by=by, action=f"article.{state}", note=note, given={"state": state})


def restore(article: Article, *, number: int, by: Viewer, expected_version: int | None = None) -> None:
    """Save the content of an earlier revision as the newest version, and commit.  State and address stay.

    Categories, products and people that are gone meanwhile are left out.

    Raises:
        Forbidden: `by` may not edit this article.
        Invalid: there is no such revision.
        Conflict: the article is no longer at `expected_version`.
    """
    revision = db.session.scalar(select(Revision).where(Revision.article_id == article.id, Revision.number == number))
    if revision is None:
        raise Invalid({"number": gettext("There is no version %(number)s.", number=number)})
    changes = {field: value for field, value in revision.content.items() if field in fields.FIELDS}
    if changes.get("category_id") and db.session.get(Category, changes["category_id"]) is None:
        changes["category_id"] = None
    changes["product_ids"] = [p.id for p in products.load_by_ids(changes.get("product_ids") or [])]
    if changes.get("owner_id") and db.session.get(User, changes["owner_id"]) is None:
        changes["owner_id"] = None
    save(
        article,
        by=by,
        changes=changes,
        expected_version=expected_version,
        note=gettext("Version %(number)s restored", number=number),
    )


def delete(article: Article, *, by: Viewer) -> None:
    """Remove an article with its revisions, votes and old addresses, for good, and commit.

    Raises:
        Forbidden: `by` may neither publish nor owns this draft.
    """
    require_delete(article, by)
    outbox.record(article, *_partners(article))
    details = {"title": article.title, "kind": article.kind, "source": article.source}
    article_id = article.id
    attachments.delete_all("article", article.id)
    db.session.delete(article)
    db.session.flush()
    audit.append("article.delete", by=by, kind="article", object_id=article_id, details=details)
    db.session.commit()
    outbox.nudge()


def link_translation(article: Article, *, of: Article | None, by: Viewer) -> None:
    """Say that an article is the translation of another, or with None of no other, and commit.

    Raises:
        Forbidden: `by` may not edit this article.
        Invalid: both are in one language, or the group has that language already.
    """
    require_edit(article, by)
    before = _partners(article)
    original = None
    if of is not None:
        original = of.translation_of or of
        group = [original, *original.translations]
        if original.id == article.id or article.translations:
            raise Invalid({"translation_of": gettext("It has translations itself. Link those to the other article.")})
        if any(other.language == article.language and other.id != article.id for other in group):
            raise Invalid({"translation_of": gettext("There is an article in this language already.")})
    article.translation_of = original
    article.updated_at = now()
    _commit(article, by=by, action="article.translation", note="", given={}, also=before)


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


# What readers say


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
    if gone.rowcount:  # type: ignore[attr-defined]  # A DELETE's result is a CursorResult.
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


# Reading


def get_readable(viewer: Viewer, key: str | int) -> Article | None:
    """Return the article of an id or a slug, present or former, if this viewer may read it."""
    query = select_readable(viewer)
    if isinstance(key, int) or (key.isascii() and key.isdigit()):
        number = int(key) if len(str(key)) < 12 else 0
        query = query.where(Article.id == (number if number < 2**31 else 0))
    elif "\0" in key:
        return None
    else:
        former = select(ArticleSlug.article_id).where(ArticleSlug.slug == key)
        query = query.where(or_(Article.slug == key, Article.id.in_(former)))
    found: Article | None = db.session.scalar(query)
    return found


def load_page(
    viewer: Viewer,
    *where: ColumnElement[bool],
    states: Sequence[str] = ("published",),
    order: str = "newest",
    number: int = 1,
    size: int = 20,
) -> Page:
    """Return one page of the readable articles that fit, and how many there are.

    `order` is newest, popular, title, due (review first due) or unhelpful (most often so).
    """
    fitting = select_readable(viewer).where(Article.state.in_(states), *where)
    total = db.session.scalar(select(func.count()).select_from(fitting.with_only_columns(Article.id).subquery())) or 0
    orders: dict[str, tuple[Any, ...]] = {
        "newest": (Article.updated_at.desc(), Article.id.desc()),
        "popular": (Article.views.desc(), Article.id.desc()),
        "title": (Article.title, Article.id),
        "due": (Article.review_at, Article.id),
        "unhelpful": (Article.unhelpful.desc(), Article.helpful, Article.id),
    }
    rows = db.session.scalars(
        fitting.options(selectinload(Article.category), selectinload(Article.tags), selectinload(Article.products))
        .order_by(*orders[order])
        .limit(size)
        .offset((number - 1) * size)
    ).all()
    return Page(rows, total, number, size)


def in_categories(category_ids: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition for articles of these categories."""
    return Article.category_id.in_(category_ids)


def with_product(product_id: int) -> ColumnElement[bool]:
    """Return the condition for articles about this product."""
    return Article.id.in_(select(article_product.c.article_id).where(article_product.c.product_id == product_id))


def with_tag(tag_id: int) -> ColumnElement[bool]:
    """Return the condition for articles that carry this tag."""
    return Article.id.in_(select(article_tag.c.article_id).where(article_tag.c.tag_id == tag_id))


def count_by_category(viewer: Viewer) -> dict[int, int]:
    """Return category id → how many published articles in it, without those below, this viewer may read."""
    return _counted(viewer, Article.category_id)


def count_by_product(viewer: Viewer) -> dict[int, int]:
    """Return product id → how many published articles about it this viewer may read."""
    return _counted(viewer, article_product.c.product_id, article_product)


def count_by_tag(viewer: Viewer) -> dict[int, int]:
    """Return tag id → how many published articles that carry it this viewer may read."""
    return _counted(viewer, article_tag.c.tag_id, article_tag)


def load_translations(viewer: Viewer, article: Article) -> list[Article]:
    """Return the readable articles that say the same in other languages."""
    ids = [other.id for other in _partners(article)]
    if not ids:
        return []
    return list(db.session.scalars(select_readable(viewer).where(Article.id.in_(ids)).order_by(Article.language)))


def find_revision(article: Article, number: int) -> Revision | None:
    """Return the revision of a number."""
    return db.session.scalar(select(Revision).where(Revision.article_id == article.id, Revision.number == number))


def may_edit(article: Article, viewer: Viewer) -> bool:
    """Say whether the viewer may change the article: editors any, agents drafts that they may read."""
    if viewer.can(Permission.PUBLISH_ARTICLES):
        return True
    return viewer.can(Permission.WRITE_ARTICLES) and article.state == "draft" and viewer.may_read(article.readers)


def require_edit(article: Article, viewer: Viewer) -> None:
    """Raise `Forbidden` unless the viewer may change the article."""
    if not may_edit(article, viewer):
        raise Forbidden(Permission.PUBLISH_ARTICLES)


def may_delete(article: Article, viewer: Viewer) -> bool:
    """Say whether the viewer may remove the article: editors any, others a draft of their own."""
    return viewer.can(Permission.PUBLISH_ARTICLES) or (article.state == "draft" and _is_owner(article, viewer))


def require_delete(article: Article, viewer: Viewer) -> None:
    """Raise `Forbidden` unless the viewer may remove the article."""
    if not may_delete(article, viewer):
        raise Forbidden(Permission.PUBLISH_ARTICLES)


def headings(article: Article) -> dict[str, str]:
    """Return part → the heading it stands under."""
    return fields.headings_for(article.kind, article.language)


def _is_owner(article: Article, viewer: Viewer) -> bool:
    return viewer.user_id is not None and article.owner_id == viewer.user_id


def _check_owner(values: Mapping[str, Any]) -> None:
    owner_id = values.get("owner_id")
    if owner_id is None:
        return
    owner = db.session.get(User, owner_id)
    if owner is None or not owner.viewer.is_staff:
        raise Invalid({"owner_id": gettext("Choose somebody of the staff.")})


def _check_state(state: str) -> None:
    if state not in STATES:
        raise Invalid({"state": gettext("Choose one of: %(choices)s.", choices=", ".join(STATES))})


def _put_into(article: Article, state: str) -> None:
    if state == "published":
        article.published_at = article.published_at or now()
    article.state = state
    article.updated_at = now()


def _check_complete(kind: str, values: Mapping[str, Any]) -> None:
    if not any((values.get(part) or "").strip() for part in PARTS[kind]):
        first = "issue" if kind == "case_study" else "body"
        raise Invalid({first: gettext("Write the text before publishing it.")})


def _check_version(article: Article, expected: int | None, given: Mapping[str, Any]) -> None:
    if expected is not None and article.version != expected:
        raise _conflict(article, given)


def _conflict(article: Article, given: Mapping[str, Any]) -> Conflict:
    return Conflict(
        gettext("Somebody has saved version %(number)s in between. Compare both and decide.", number=article.version),
        current=fields.described(article) | {"version": article.version, "state": article.state},
        given=given,
    )


def _apply(article: Article, values: Mapping[str, Any]) -> None:
    # What must be looked up or made comes first: a flush half-way would count as a save of its own.
    found: dict[str, Any] = {}
    if "tags" in values:
        found["tags"] = tags.find_or_create(values["tags"])
    if "product_ids" in values:
        found["products"] = products.load_by_ids(values["product_ids"])
    if "category_id" in values:
        found["category"] = db.session.get(Category, values["category_id"]) if values["category_id"] else None
    plain = {field: value for field, value in values.items() if field not in {"tags", "product_ids"}}
    with db.session.no_autoflush:
        for field, value in (plain | found).items():
            setattr(article, field, value)
        article.updated_at = now()


def _render(article: Article) -> None:
    rendered = markup.render(
        {part: getattr(article, part) or "" for part in PARTS[article.kind]}, headings=headings(article)
    )
    article.html, article.sections = rendered.html, rendered.sections


def _readdress(article: Article) -> None:
    """Give a new title its address, and let the old one lead there."""
    wanted = slug_for(article.title)
    old = article.slug
    if old == wanted or (old.startswith(wanted + "-") and old[len(wanted) + 1 :].isdigit()):
        return
    with db.session.no_autoflush:
        own = db.session.get(ArticleSlug, wanted)
        if own is not None and own.article_id == article.id:
            db.session.delete(own)
            article.slug = wanted
        else:
            article.slug = free_slugs([wanted], Article.slug, ArticleSlug.slug)[0]
        db.session.add(ArticleSlug(slug=old, article_id=article.id))


def _partners(article: Article) -> list[Article]:
    """Return the other articles of a group of translations: their documents and pages name this one."""
    original = article.translation_of or article
    return [other for other in (original, *original.translations) if other is not article]


def _commit(
    article: Article,
    *,
    by: Viewer,
    action: str,
    note: str,
    given: Mapping[str, Any],
    also: Sequence[Article] = (),
) -> None:
    """Write the changed article with its revision, outbox rows and audit entry, commit, and wake the indexer."""
    note = " ".join(note.split())[:LONGEST_NOTE]
    try:
        db.session.flush()
        db.session.add(
            Revision(
                article_id=article.id,
                number=article.version,
                by_id=by.user_id,
                note=note,
                content=fields.snapshot(article),
            )
        )
        outbox.record(article, *_partners(article), *also)
        audit.append(
            action,
            by=by,
            kind="article",
            object_id=article.id,
            details={"version": article.version, "fields": sorted(given)},
        )
        db.session.commit()
    except StaleDataError:
        db.session.rollback()
        raise _conflict(article, given) from None
    except IntegrityError as error:
        db.session.rollback()
        raise Invalid(
            {"": gettext("Another article was saved under the same address or id at this moment. Save again.")}
        ) from error
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


def _counted(viewer: Viewer, word: Any, through: Any = None) -> dict[int, int]:
    query = select(word, func.count()).select_from(Article).outerjoin(Category, Article.category_id == Category.id)
    if through is not None:
        query = query.join(through, through.c.article_id == Article.id)
    query = query.where(readable(viewer), Article.state == "published", word.is_not(None)).group_by(word)
    return {row[0]: row[1] for row in db.session.execute(query)}
