"""Articles: writing, changing, publishing and removing them, and reading one."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext
from sqlalchemy import or_, select

from portal import audit, markup, outbox
from portal.access import Permission, Viewer
from portal.accounts.models import User
from portal.attachments import attachments
from portal.errors import Invalid
from portal.extensions import db, now
from portal.knowledge import fields
from portal.knowledge.findable import select_readable
from portal.knowledge.models import PARTS, STATES, Article, ArticleSlug, Revision
from portal.knowledge.revisions import commit, conflict
from portal.knowledge.rights import require_delete, require_edit
from portal.slugs import free_slugs, slug_for
from portal.vocabulary import products, tags
from portal.vocabulary.models import Category


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
    commit(article, by=by, action="article.create", note=note, given=values)
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
    commit(article, by=by, action="article.save", note=note, given=values | ({"state": state} if state else {}))


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
    commit(article, by=by, action=f"article.{state}", note=note, given={"state": state})


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
    outbox.record(article, *article.partners)
    details = {"title": article.title, "kind": article.kind, "source": article.source}
    article_id = article.id
    attachments.delete_all("article", article.id)
    db.session.delete(article)
    db.session.flush()
    audit.append("article.delete", by=by, kind="article", object_id=article_id, details=details)
    db.session.commit()
    outbox.nudge()


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


def headings(article: Article) -> dict[str, str]:
    """Return part → the heading it stands under."""
    return fields.headings_for(article.kind, article.language)


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
        raise conflict(article, given)


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
