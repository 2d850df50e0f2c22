"""An article's declared fields: what may be filled in, how each is checked, and what a revision keeps of them."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask_babel import gettext

from portal.access import Audience
from portal.errors import Invalid
from portal.extensions import db
from portal.knowledge.models import KINDS, PARTS, Article
from portal.vocabulary.models import Category, Product

TEXTS = ("body", "environment", "issue", "cause", "resolution", "lesson")
FIELDS = (
    "title",
    "language",
    "summary",
    *TEXTS,
    "outcome",
    "audience",
    "is_shared",
    "category_id",
    "product_ids",
    "tags",
    "owner_id",
    "review_at",
)
OUTCOMES = ("success", "failure")
LONGEST_TITLE = 300
LONGEST_SUMMARY = 2_000
LONGEST_TEXT = 1_000_000
MOST_PRODUCTS = 50
# Control characters other than tab and line feed; PostgreSQL refuses NUL, no encoding takes a lone surrogate.
UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_LANGUAGE = re.compile(r"[a-z]{2,3}")

# Headings of a case study's parts are part of the text: they follow the article's language, not the reader's.
_HEADINGS = {
    "en": {
        "environment": "Environment",
        "issue": "Issue",
        "cause": "Cause",
        "resolution": "Resolution",
        "lesson": "Lesson learned",
    },
    "zh": {"environment": "环境", "issue": "问题", "cause": "原因", "resolution": "解决办法", "lesson": "经验教训"},
}


def headings_for(kind: str, language: str) -> dict[str, str]:
    """Return part → heading; an FAQ's only part has none."""
    if len(PARTS[kind]) == 1:
        return {}
    words = _HEADINGS.get(language, _HEADINGS["en"])
    return {part: words[part] for part in PARTS[kind]}


def language_of(tag: object) -> str:
    """Return the language of a tag: `zh-CN`, `zh_TW` and `zh-Hant` are all `zh`, `en-GB` is `en`.

    Raises:
        ValueError: it is no language tag.
    """
    if not isinstance(tag, str):
        raise ValueError(gettext("Write the language as en or zh."))
    language = tag.strip().lower().replace("_", "-").split("-")[0]
    if not _LANGUAGE.fullmatch(language):
        raise ValueError(gettext("Write the language as en or zh."))
    return language


def checked(changes: Mapping[str, Any], *, kind: str, is_new: bool) -> dict[str, Any]:
    """Return the changes as they can be stored.

    Raises:
        Invalid: a field is not declared, or a value cannot be used; every field at fault is named.
    """
    if kind not in KINDS:
        raise Invalid({"kind": _choose(KINDS)})
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field, value in changes.items():
        check = _CHECKS.get(field)
        if check is None or (field in TEXTS and field not in PARTS[kind] and value):
            errors[field] = gettext("There is no field %(name)r.", name=field)
            continue
        try:
            values[field] = check(value)
        except ValueError as error:
            errors[field] = str(error)
    if kind != "case_study" and values.get("outcome"):
        errors["outcome"] = gettext("Only case studies have an outcome.")
    if is_new and "title" not in values:
        errors.setdefault("title", gettext("Give it a title."))
    if errors:
        raise Invalid(errors)
    return values


def described(article: Article) -> dict[str, Any]:
    """Return an article's declared fields as JSON values; `checked` takes them back."""
    content: dict[str, Any] = {field: getattr(article, field) for field in FIELDS if hasattr(article, field)}
    content["product_ids"] = [product.id for product in article.products]
    content["tags"] = [tag.name for tag in article.tags]
    content["review_at"] = article.review_at.isoformat() if article.review_at else None
    return content


def snapshot(article: Article) -> dict[str, Any]:
    """Return what a revision keeps: the declared fields, and the state and address it had."""
    return described(article) | {
        "kind": article.kind,
        "state": article.state,
        "slug": article.slug,
        "translation_of_id": article.translation_of_id,
    }


def _choose(choices: tuple[str, ...]) -> str:
    return str(gettext("Choose one of: %(choices)s.", choices=", ".join(choices)))


def _text(most: int, *, is_line: bool = False) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ValueError(gettext("This must be text."))
        text: str = value.replace("\r\n", "\n").replace("\r", "\n")
        if UNSTORABLE.search(text):
            raise ValueError(gettext("This holds characters that cannot be stored. Type it anew."))
        text = " ".join(text.split()) if is_line else text.strip("\n")
        if len(text) > most:
            raise ValueError(gettext("This is longer than %(most)s characters. Shorten it.", most=f"{most:,}"))
        return text

    return check


def _title(value: Any) -> str:
    title: str = _text(LONGEST_TITLE, is_line=True)(value)
    if not title:
        raise ValueError(gettext("Give it a title."))
    return title


def _audience(value: Any) -> str:
    if value not in tuple(Audience):
        raise ValueError(_choose(tuple(Audience)))
    return str(value)


def _outcome(value: Any) -> str | None:
    if value in (None, ""):
        return None
    if value not in OUTCOMES:
        raise ValueError(_choose(OUTCOMES))
    return str(value)


def _claim(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(gettext("Say yes or no."))
    return value


def _id(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise ValueError(gettext("There is no such choice."))
    return value


def _category(value: Any) -> int | None:
    category_id = _id(value)
    if category_id is not None and db.session.get(Category, category_id) is None:
        raise ValueError(gettext("There is no such category. Choose another."))
    return category_id


def _products(value: Any) -> list[int]:
    if value is None:
        return []
    if not isinstance(value, list | tuple) or len(value) > MOST_PRODUCTS:
        raise ValueError(gettext("Give a list of at most %(most)s products.", most=MOST_PRODUCTS))
    ids = list(dict.fromkeys(found for item in value if (found := _id(item)) is not None))
    for product_id in ids:
        if db.session.get(Product, product_id) is None:
            raise ValueError(gettext("There is no such product. Choose another."))
    return ids


def tag_names(value: Any) -> list[str]:
    """Return the tags of a list, or of one text with commas between them."""
    if value is None:
        return []
    if isinstance(value, str):
        value = re.split(r"[,，、;；\n]", value)
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError(gettext("Give a list of tags."))
    return [name for name in (" ".join(name.split()) for name in value) if name]


def _moment(value: Any) -> datetime | None:
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(gettext("This is not a date. Write it as 2026-01-31.")) from None
    if not isinstance(value, datetime) or value.tzinfo is None or not 1970 <= value.year <= 2200:
        raise ValueError(gettext("This is not a date. Write it as 2026-01-31."))
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "title": _title,
    "language": language_of,
    "summary": _text(LONGEST_SUMMARY),
    **dict.fromkeys(TEXTS, _text(LONGEST_TEXT)),
    "outcome": _outcome,
    "audience": _audience,
    "is_shared": _claim,
    "category_id": _category,
    "product_ids": _products,
    "tags": tag_names,
    "owner_id": _id,
    "review_at": _moment,
}
