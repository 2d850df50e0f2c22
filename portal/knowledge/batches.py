"""Articles from imports: many at once, each line created, updated, left alone or refused, in one transaction a batch.

The same line again is recognised by its digest and changes nothing, not even what an editor changed here meanwhile; a
changed line becomes the article's newest revision, with the earlier ones kept.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast

from flask_babel import gettext
from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from portal import audit, markup, outbox
from portal.access import Audience, Permission, Viewer
from portal.errors import Invalid
from portal.extensions import db, now
from portal.knowledge import fields
from portal.knowledge.models import (
    KINDS,
    PARTS,
    STATES,
    Article,
    ArticleSlug,
    Revision,
    article_product,
    article_tag,
)
from portal.slugs import free_slugs, slug_for
from portal.vocabulary import categories, tags, words
from portal.vocabulary.models import Product, Tag

_PATH = re.compile(r"\s+[>/›]\s+")
_LONGEST_ID = 200
_LONGEST_URL = 1000
_CHUNK = 400
# What a line of Markdown may begin or end with and is no part of its words.
_SIGNS = "#*_>-=`|~ \t"
_LONGEST_BEGINNING = 80
_KNOWN = ("category", "product", "products", "tags")
"""The keys of `meta` that are used; all others are kept as they are."""


_articles = cast("Table", Article.__table__)
_revisions = cast("Table", Revision.__table__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one line: created, updated, unchanged or refused; `reason` says why, or what is to be known."""

    outcome: str
    external_id: str
    article_id: int | None = None
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class _Line:
    """One checked line on its way into the tables."""

    at: int
    external_id: str
    digest: str
    values: dict[str, Any]
    category: tuple[str, ...]
    products: list[str]
    tags: list[str]
    rendered: markup.Rendered | None = None
    article_id: int = 0
    version: int = 1


class _Mark:
    """Stands for an article in the outbox where no object was loaded."""

    indexed_kind: ClassVar[str] = "article"

    def __init__(self, article_id: int) -> None:
        self.id = article_id


def import_batch(
    items: Sequence[Mapping[str, Any]],
    *,
    source: str,
    by: Viewer | None = None,
    kind: str = "faq",
    audience: str = "public",
    state: str = "published",
    dry_run: bool = False,
) -> list[Outcome]:
    """Take lines into the articles of a source and commit them together; the outcomes keep the lines' order.

    A line holds `external_id` (or `id`), `title`, `text`, and may hold `lang`, `url`, `meta`, `summary`, `kind`,
    `audience`, `state`, `outcome`, a case study's parts, `category`, `products`, `tags`, `created_at`, `updated_at`.
    A case study without parts keeps its text as its issue.  `by` is None for the operator at the command line.
    A dry run says what would become of each line and writes nothing.

    Raises:
        Forbidden: `by` may not publish.
        Invalid: the kind, audience or state given for all lines does not exist.
    """
    if by is not None:
        by.require(Permission.PUBLISH_ARTICLES)
    defaults = {"kind": kind, "audience": audience, "state": state}
    _check_choices(defaults)
    outcomes: dict[int, Outcome] = {}
    lines: list[_Line] = []
    for at, item in enumerate(items):
        try:
            lines.append(_checked(at, item, defaults))
        except ValueError as refusal:
            external_id = item.get("external_id", item.get("id"))
            outcomes[at] = Outcome("refused", str(external_id or "")[:_LONGEST_ID], reason=str(refusal))
    for turn in _without_doubles(lines):
        _take(turn, source=source, by=by, dry_run=dry_run, outcomes=outcomes)
    return [outcomes[at] for at in range(len(items))]


def _take(lines: list[_Line], *, source: str, by: Viewer | None, dry_run: bool, outcomes: dict[int, Outcome]) -> None:
    for last_try in (False, True):
        known = _known_articles(source, lines)
        new, changed = [], []
        for line in lines:
            found = known.get(line.external_id)
            if found is None:
                new.append(line)
                continue
            line.article_id, line.version = found[0], found[1] + 1
            if found[2] == line.digest:
                outcomes[line.at] = Outcome("unchanged", line.external_id, line.article_id)
            else:
                changed.append(line)
        if not dry_run and (new or changed):
            _render([line for line in new + changed if line.rendered is None])
            try:
                _write(new, changed, source=source, by=by)
            except IntegrityError:
                # Somebody took in the same lines, or a title, at this moment: look again, once.
                db.session.rollback()
                if last_try:
                    raise
                continue
        break
    for outcome, written in (("created", new), ("updated", changed)):
        for line in written:
            reason = line.rendered.reason if line.rendered else None
            outcomes[line.at] = Outcome(outcome, line.external_id, line.article_id or None, reason)


def _write(new: list[_Line], changed: list[_Line], *, source: str, by: Viewer | None) -> None:
    at = now()
    lines = new + changed
    # The vocabulary first: its inserts are the write that takes SQLite's lock before addresses are chosen.
    paths = categories.find_or_create_paths(line.category for line in lines)
    products = words.find_or_create(Product, (name for line in lines for name in line.products))
    carried = words.find_or_create(Tag, (name for line in lines for name in line.tags))
    for line in lines:
        line.values |= {
            "category_id": paths[line.category].id if line.category else None,
            "import_digest": line.digest,
            "html": line.rendered.html if line.rendered else {},
            "sections": line.rendered.sections if line.rendered else [],
            "updated_at": line.values.get("updated_at") or at,
        }
    if new:
        slugs = free_slugs((slug_for(line.values["title"]) for line in new), Article.slug, ArticleSlug.slug)
        rows = [
            line.values
            | {
                "slug": slug,
                "source": source,
                "external_id": line.external_id,
                "version": 1,
                "is_shared": False,
                "owner_id": by.user_id if by else None,
                "created_at": line.values.get("created_at") or line.values["updated_at"],
                "published_at": line.values["updated_at"] if line.values["state"] == "published" else None,
                "views": 0,
                "helpful": 0,
                "unhelpful": 0,
            }
            for line, slug in zip(new, slugs, strict=True)
        ]
        statement = insert(_articles).returning(Article.id, sort_by_parameter_order=True)
        for line, slug, article_id in zip(new, slugs, db.session.scalars(statement, rows), strict=True):
            line.article_id = article_id
            line.values["slug"] = slug
    if changed:
        # In the order of their ids, so that two imports of one source wait for each other and never in a circle.
        _update(sorted(changed, key=lambda line: line.article_id))
    ids = [line.article_id for line in lines]
    product_ids = {line.article_id: [products[name].id for name in line.products] for line in lines}
    tag_ids = {line.article_id: list({carried[name].id: None for name in line.tags}) for line in lines}
    _replace(article_product, "product_id", product_ids, old=[line.article_id for line in changed])
    _replace(article_tag, "tag_id", tag_ids, old=[line.article_id for line in changed])
    note = gettext("Imported from %(source)s", source=source)
    db.session.execute(
        insert(_revisions),
        [
            {
                "article_id": line.article_id,
                "number": line.version,
                "at": at,
                "by_id": by.user_id if by else None,
                "note": note,
                "content": _content(line, product_ids[line.article_id]),
            }
            for line in lines
        ],
    )
    outbox.record(*(_Mark(article_id) for article_id in ids), bulk=True)
    audit.append(
        "article.import",
        by=by,
        kind="article",
        details={"source": source, "created": len(new), "updated": len(changed)},
    )
    db.session.commit()
    outbox.nudge()


def _update(changed: list[_Line]) -> None:
    """Overwrite articles, each only if it is still at the version that was seen."""
    table = _articles
    rows = db.session.execute(select(Article.id, Article.slug).where(Article.id.in_([x.article_id for x in changed])))
    present = {row[0]: row[1] for row in rows}
    columns = [name for name in changed[0].values if name not in {"created_at", "slug"}]
    statement = (
        update(table)
        .where(table.c.id == bindparam("b_id"), table.c.version == bindparam("b_version"))
        .values({name: bindparam(f"v_{name}", type_=table.c[name].type) for name in (*columns, "version")})
    )
    values = [
        {f"v_{name}": line.values.get(name) for name in columns}
        | {"v_version": line.version, "b_id": line.article_id, "b_version": line.version - 1}
        for line in changed
    ]
    done = db.session.connection().execute(statement, values)
    if done.rowcount not in (-1, len(changed)):
        raise IntegrityError("articles were saved in between", None, Exception("version"))
    for line in changed:
        line.values["slug"] = present[line.article_id]


def _replace(table: Any, column: str, wanted: Mapping[int, Iterable[int]], *, old: Sequence[int]) -> None:
    if old:
        db.session.execute(table.delete().where(table.c.article_id.in_(old)))
    rows = [
        {"article_id": article_id, column: word_id}
        for article_id, ids in wanted.items()
        for word_id in dict.fromkeys(ids)
    ]
    if rows:
        db.session.execute(insert(table), rows)


def _content(line: _Line, product_ids: list[int]) -> dict[str, Any]:
    values = line.values
    content: dict[str, Any] = {field: values.get(field) for field in fields.FIELDS}
    content |= {
        "is_shared": False,
        "product_ids": product_ids,
        "tags": line.tags,
        "kind": values["kind"],
        "state": values["state"],
        "slug": values["slug"],
        "translation_of_id": None,
    }
    return content


def _render(lines: Sequence[_Line]) -> None:
    sources = [
        markup.Source(
            texts={part: line.values[part] for part in PARTS[line.values["kind"]]},
            headings=fields.headings_for(line.values["kind"], line.values["language"]),
        )
        for line in lines
    ]
    for line, rendered in zip(lines, markup.render_many(sources), strict=True):
        line.rendered = rendered


def _known_articles(source: str, lines: Sequence[_Line]) -> dict[str, tuple[int, int, str | None]]:
    """Return external id → `(id, version, digest)` of the articles that are there."""
    known: dict[str, tuple[int, int, str | None]] = {}
    wanted = [line.external_id for line in lines]
    for start in range(0, len(wanted), _CHUNK):
        rows = db.session.execute(
            select(Article.external_id, Article.id, Article.version, Article.import_digest).where(
                Article.source == source, Article.external_id.in_(wanted[start : start + _CHUNK])
            )
        )
        known.update({str(row[0]): (row[1], row[2], row[3]) for row in rows})
    return known


def _without_doubles(lines: Iterable[_Line]) -> Iterator[list[_Line]]:
    """Cut the lines where an id comes again, so that the later line updates what the earlier one made."""
    turn: list[_Line] = []
    seen: set[str] = set()
    for line in lines:
        if line.external_id in seen:
            yield turn
            turn, seen = [], set()
        seen.add(line.external_id)
        turn.append(line)
    if turn:
        yield turn


def _check_choices(chosen: Mapping[str, Any]) -> None:
    for name, choices in (("kind", KINDS), ("audience", tuple(Audience)), ("state", STATES)):
        if chosen[name] not in choices:
            raise Invalid({name: gettext("Choose one of: %(choices)s.", choices=", ".join(choices))})


def _checked(at: int, item: Mapping[str, Any], defaults: Mapping[str, str]) -> _Line:
    """Return a line as it can be stored.

    Raises:
        ValueError: the sentence names the field and says what is wrong.
    """
    external_id = _line(item, "external_id" if "external_id" in item else "id", _LONGEST_ID)
    if not external_id:
        raise ValueError(gettext("id: the line has none."))
    chosen = {name: item.get(name) or default for name, default in defaults.items()}
    meta = item.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise ValueError(gettext("meta: an object was expected."))
    changes = {
        "title": item.get("title") or _beginning(item),
        "language": item.get("lang") or item.get("language") or "en",
    }
    changes |= {name: item[name] for name in ("summary", "outcome") if item.get(name)}
    changes |= _parts(item, chosen["kind"])
    try:
        _check_choices(chosen)
        values = fields.checked(changes, kind=chosen["kind"], is_new=True)
    except Invalid as invalid:
        named = {
            ("text" if name in {"body", "issue"} and "text" in item else name): s for name, s in invalid.fields.items()
        }
        raise ValueError(" ".join(f"{name}: {sentence}" for name, sentence in named.items())) from None
    values |= chosen
    for part in fields.TEXTS:
        values.setdefault(part, "")
    values.setdefault("summary", "")
    values.setdefault("outcome", None)
    values["url"] = _line(item, "url", _LONGEST_URL) or None
    values["meta"] = {str(key): value for key, value in meta.items() if key not in _KNOWN}
    for name in ("created_at", "updated_at"):
        values[name] = _moment(item, name)
    line = _Line(
        at=at,
        external_id=external_id,
        digest="",
        values=values,
        category=tuple(_path(item.get("category", meta.get("category")))),
        products=_names(
            "products", [item.get("products"), meta.get("products"), meta.get("product")], fields.MOST_PRODUCTS
        ),
        tags=_names("tags", [item.get("tags", meta.get("tags"))], tags.MOST, tags.LONGEST),
    )
    line.digest = _digest(line)
    return line


def _digest(line: _Line) -> str:
    told = [line.values, line.category, line.products, line.tags]
    try:
        text = json.dumps(told, sort_keys=True, ensure_ascii=True, default=str)
    except (TypeError, ValueError):
        raise ValueError(gettext("meta: it holds what JSON cannot hold.")) from None
    if any(fields.UNSTORABLE.search(text) for text in _texts_in(line.values["meta"])):
        raise ValueError(gettext("meta: it holds characters that cannot be stored."))
    return hashlib.sha256(text.encode()).hexdigest()


def _texts_in(value: object) -> Iterator[str]:
    """Yield every text of a JSON value, the names of fields among them."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, Mapping):
            waiting += [*here.keys(), *here.values()]
        elif isinstance(here, list | tuple):
            waiting += here


def _beginning(item: Mapping[str, Any]) -> str | None:
    """Return what a text without a title is called: its first words, without Markdown's signs."""
    text = item.get("text")
    if not isinstance(text, str):
        return None
    first = next((line for line in text.splitlines() if line.strip(_SIGNS)), "")
    first = first.replace("**", "").replace("`", "").strip(_SIGNS)
    if len(first) <= _LONGEST_BEGINNING:
        return first
    cut = first[:_LONGEST_BEGINNING]
    return cut[: cut.rfind(" ")] + "…" if " " in cut[_LONGEST_BEGINNING // 2 :] else cut + "…"


def _parts(item: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if kind not in PARTS:
        return {}
    named = {part: item[part] for part in PARTS[kind] if item.get(part)}
    text = item.get("text")
    if text is not None and not named:
        named["body" if kind == "faq" else "issue"] = text
    if not any(value.strip() if isinstance(value, str) else value for value in named.values()):
        raise ValueError(gettext("text: the line has none."))
    return named


def _line(item: Mapping[str, Any], name: str, most: int) -> str:
    value = item.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    try:
        return words.checked_line(value, most=most)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _moment(item: Mapping[str, Any], name: str) -> datetime | None:
    value = item.get(name)
    if value in (None, ""):
        return None
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(gettext("%(name)s: this is not a date.", name=name)) from None
    if at.tzinfo is None or not 1970 <= at.year <= 2200:
        raise ValueError(gettext("%(name)s: give a date from 1970 to 2200 with its time zone.", name=name))
    return at


def _path(value: Any) -> list[str]:
    """Return a category's path from `A > B`, `A / B` or a list from the root down."""
    parts = _PATH.split(value) if isinstance(value, str) else value
    if not parts:
        return []
    return _names("category", [parts], categories.DEEPEST)


def _names(field: str, given: Iterable[Any], most: int, longest: int = words.LONGEST_NAME) -> list[str]:
    """Return names from texts and lists of texts, each once; long names, and long lists of them, are cut.

    How others classified a text is no reason to refuse it.
    """
    names: dict[str, str] = {}
    for value in given:
        for name in [value] if isinstance(value, str) else (value or []):
            # A classification that is too long for a name must not keep the text itself out.
            is_long = isinstance(name, str) and len(name) > longest
            try:
                line = words.checked_line(name[: longest - 1].rstrip() + "…" if is_long else name, most=longest)
            except ValueError as error:
                raise ValueError(f"{field}: {error}") from None
            if line:
                names.setdefault(line.lower(), line)
    return list(names.values())[:most]
