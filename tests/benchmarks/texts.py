"""Load sets of any size, varied from real texts: sentences shuffled between documents, with codes of their own.

The texts come from a folder of collections (`NAME/corpus.jsonl`) where there is one, otherwise from the demo content.
The same seed gives the same lines.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from portal.demo.content import read_articles, read_records

COLLECTIONS = ("msoffice_kb", "alchemy_zh", "debian_faq", "cmrc2018", "excavator_workorders")
MOST_LINES = 2_500
"""Of each collection: enough words, and soon read."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])|\n+")
LONGEST_SENTENCE = 400
NEWEST = datetime(2026, 11, 1, tzinfo=UTC)
KINDS = ("request", "repair", "complaint", "consultation")
PRIORITIES = ("low", "normal", "normal", "normal", "high", "urgent")
STATES = ("closed", "closed", "closed", "resolved", "open", "waiting", "new")
REGIONS = ("North", "South", "East", "West", "Overseas")
PRODUCTS = [f"{name} {number}" for name in ("Aster", "Boreal", "Cirrus", "Dorado") for number in range(10, 80, 10)]
TAGS = [f"{word}-{number}" for word in ("setup", "network", "update", "hardware", "sign-in") for number in range(8)]
CATEGORIES = [f"Area {area} > Topic {area}.{topic}" for area in range(1, 7) for topic in range(1, 9)]


@dataclass(slots=True)
class Material:
    """Titles and sentences of one language."""

    titles: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    def add(self, title: str, text: str) -> None:
        """Take a text apart."""
        self.titles.append(title)
        parts = (part.strip() for part in SENTENCE_END.split(text) if part)
        self.sentences.extend(part[:LONGEST_SENTENCE] for part in parts if len(part) > 8)


class Texts:
    """Real words to make documents of."""

    def __init__(self, folder: Path | None = None, *, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self.materials = {"en": Material(), "zh": Material()}
        self.origin = "the demo content"
        if folder is not None and folder.is_dir():
            self.origin = "real collections"
            self._read_collections(folder)
        if not all(material.sentences for material in self.materials.values()):
            self._read_demo()

    def _read_collections(self, folder: Path) -> None:
        for path in (folder / name / "corpus.jsonl" for name in COLLECTIONS):
            if not path.exists():
                continue
            with path.open(encoding="utf-8") as lines:
                for _, line in zip(range(MOST_LINES), lines, strict=False):
                    row = json.loads(line)
                    self.materials["zh" if row.get("lang") == "zh" else "en"].add(row["title"], row["text"])

    def _read_demo(self) -> None:
        for article in read_articles():
            self.materials[article.language].add(article.title, "\n".join(article.parts.values()))
        for record in read_records():
            text = "\n".join((record.description, *(step.text for step in record.steps)))
            self.materials["en"].add(record.subject, text)

    def articles(self, count: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yield import lines of articles: five to fourteen sentences, one in six Chinese."""
        for number in range(start, start + count):
            language, material = self._material()
            pick = self._random
            paragraphs = [" ".join(pick.choices(material.sentences, k=pick.randint(2, 5))) for _ in range(3)]
            yield {
                "id": f"a{number}",
                "title": self._title(material),
                "text": "\n\n".join(
                    [f"{paragraphs[0]} {self._code()}", f"## {self._title(material)}", *paragraphs[1:]]
                ),
                "lang": language,
                "meta": {
                    "category": pick.choice(CATEGORIES),
                    "product": pick.choice(PRODUCTS),
                    "tags": pick.sample(TAGS, pick.randint(0, 3)),
                },
                "updated_at": self._moment(),
            }

    def records(self, count: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yield import lines of service records: two to five sentences, now and then a reply and a note."""
        for number in range(start, start + count):
            language, material = self._material()
            pick = self._random
            at = self._moment()
            entries = []
            if pick.random() < 0.3:
                entries.append({"kind": "reply", "body": pick.choice(material.sentences), "at": at, "from": "staff"})
            if pick.random() < 0.15:
                entries.append({"kind": "note", "body": pick.choice(material.sentences), "at": at})
            yield {
                "id": f"r{number}",
                "title": self._title(material),
                "text": " ".join(pick.choices(material.sentences, k=pick.randint(2, 5))) + f" {self._code()}",
                "lang": language,
                "meta": {
                    "kind": pick.choice(KINDS),
                    "state": pick.choice(STATES),
                    "priority": pick.choice(PRIORITIES),
                    "category": pick.choice(CATEGORIES),
                    "product": pick.choice(PRODUCTS),
                    "tags": pick.sample(TAGS, pick.randint(0, 2)),
                    "serial_number": f"SN{pick.randrange(10**8):08d}",
                    "created_at": at,
                    "updated_at": at,
                    "entries": entries,
                },
            }

    def customers(self, count: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yield import lines of customer profiles."""
        for number in range(start, start + count):
            _, material = self._material()
            pick = self._random
            name = " ".join(word.strip(".,:;()").capitalize() for word in pick.choice(material.titles).split()[:2])
            yield {
                "id": f"c{number}",
                "title": f"{name} {number}",
                "text": pick.choice(material.sentences),
                "meta": {"kind": "company", "region": pick.choice(REGIONS), "emails": [f"desk@c{number}.example"]},
            }

    def queries(self, count: int) -> list[str]:
        """Return what people might type: two to four neighbouring words of titles, one in six Chinese."""
        found: list[str] = []
        while len(found) < count:
            language, material = self._material()
            title = self._random.choice(material.titles)
            if language == "zh":
                at = self._random.randrange(max(1, len(title) - 6))
                found.append(title[at : at + self._random.randint(3, 6)].strip() or title)
            else:
                words = title.split()
                at = self._random.randrange(max(1, len(words) - 3))
                found.append(" ".join(words[at : at + self._random.randint(2, 4)]))
        return found

    def _material(self) -> tuple[str, Material]:
        language = "zh" if self._random.random() < 1 / 6 else "en"
        return language, self.materials[language]

    def _title(self, material: Material) -> str:
        first, second = self._random.choices(material.titles, k=2)
        if first.isascii():
            first, second = " ".join(first.split()[:7]), " ".join(second.split()[-4:])
        return f"{first[:90]} {second[-60:]}"

    def _code(self) -> str:
        return f"E-{self._random.randrange(10_000):04d}"

    def _moment(self) -> str:
        return (NEWEST - timedelta(minutes=self._random.randrange(1_000_000))).isoformat()


def write(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    """Write import lines; the same path."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return path


def text_bytes(path: Path) -> int:
    """Return how many bytes of text an import file holds: titles, texts, and entries of a timeline."""
    total = 0
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            entries = (row.get("meta") or {}).get("entries", ())
            total += sum(len(text.encode()) for text in (row["title"], row["text"], *(e["body"] for e in entries)))
    return total
