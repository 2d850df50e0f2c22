"""What the demo holds, read from the files in `content/`.

An article is a Markdown file with a TOML head between lines of `+++`; the parts of a case study stand under
`# Environment`, `# Issue` and so on, in both languages.  A link to another article is `[words](article:ITS-ID)`.
Everything else is TOML.  Days count back from the moment of loading, so that the demo never grows old.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTENT = Path(__file__).parent / "content"
LINK = re.compile(r"\(article:([a-z0-9-]+)\)")
_PART = re.compile(r"^# (Environment|Issue|Cause|Resolution|Lesson)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenArticle:
    """One article as its file tells it; `parts` is part → Markdown, days are before the load."""

    id: str
    language: str
    kind: str
    title: str
    summary: str
    category: str
    products: tuple[str, ...]
    tags: tuple[str, ...]
    parts: dict[str, str]
    audience: str = "public"
    state: str = "published"
    outcome: str | None = None
    translation_of: str | None = None
    published: int | None = None
    updated: int
    views: int = 0
    helpful: tuple[int, int] = (0, 0)
    earlier: tuple[tuple[str, str, str], ...] = ()
    """Former wordings, the oldest first: (what the change was for, what it says now, what it said before)."""

    def links(self) -> set[str]:
        """Return the ids of the articles that this one links to."""
        return {found for text in self.parts.values() for found in LINK.findall(text)}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a record's timeline: `after` counts from the step before."""

    after: str
    who: str
    what: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRecord:
    """One service record as its file tells it."""

    id: str
    customer: str
    contact: int = 0
    product: str
    category: str
    kind: str = "request"
    priority: str = "normal"
    opened: str
    subject: str
    description: str
    tags: tuple[str, ...] = ()
    articles: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


def read_catalogue() -> dict[str, Any]:
    """Return `{"category": […], "families": {…}, "product": […], "tags": {…}, "synonym": […]}`."""
    return _read(CONTENT / "catalogue.toml")


def read_steering() -> dict[str, Any]:
    """Return `{"rule": […], "configuration": […], "set": […]}`."""
    return _read(CONTENT / "steering.toml")


def read_customers() -> list[dict[str, Any]]:
    """Return the customers, with `contacts` as [name, job, e-mail, phone] and `owns` as [product, serial number]."""
    found: list[dict[str, Any]] = _read(CONTENT / "customers.toml")["customer"]
    return found


def read_articles() -> list[WrittenArticle]:
    """Return all articles, originals before their translations."""
    found = [_read_article(path) for path in sorted(CONTENT.glob("articles/*/*.md"))]
    return sorted(found, key=lambda article: article.translation_of is not None)


def read_records() -> list[WrittenRecord]:
    """Return all service records, file by file."""
    return [
        _shape_record(fields) for path in sorted(CONTENT.glob("records/*.toml")) for fields in _read(path)["record"]
    ]


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _read_article(path: Path) -> WrittenArticle:
    _, head, text = path.read_text(encoding="utf-8").split("+++\n", 2)
    fields = tomllib.loads(head)
    for name in ("products", "tags", "helpful"):
        fields[name] = tuple(fields.get(name, ()))
    fields["helpful"] = fields["helpful"] or (0, 0)
    fields["earlier"] = tuple((str(why), str(now), str(before)) for why, now, before in fields.get("earlier", ()))
    parts = {"body": text.strip()}
    if fields["kind"] == "case_study":
        _, *pieces = _PART.split(text)
        parts = {name.lower(): part.strip() for name, part in zip(pieces[::2], pieces[1::2], strict=True)}
    return WrittenArticle(language=path.parent.name, parts=parts, **fields)


def _shape_record(fields: dict[str, Any]) -> WrittenRecord:
    steps = tuple(Step(*step) for step in fields.pop("timeline", ()))
    for name in ("tags", "articles", "related"):
        fields[name] = tuple(fields.get(name, ()))
    return WrittenRecord(steps=steps, **(fields | {"description": fields["description"].strip()}))
