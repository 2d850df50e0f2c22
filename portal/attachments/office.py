"""The words of presentations and OpenDocument files: ZIP archives of XML, read piece by piece without a tree.

Runs in the reader's confined process.  A document type declaration, which no such file needs, ends the reading:
entities that grow without end are declared there.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from portal.attachments.reasons import Reason, Unreadable

CHUNK_BYTES = 64 * 1024
LARGEST_PART_BYTES = 64 * 1024 * 1024
LONGEST_LINE = 100_000
LONGEST_MANIFEST = 1024 * 1024
MANIFEST = "META-INF/manifest.xml"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main "
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0 "
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0 "
_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which elements of a format are lines of text, hold words, stand for blanks, or are passed over."""

    lines: frozenset[str]
    words: frozenset[str]
    blanks: frozenset[str]
    passed: frozenset[str] = frozenset()


SLIDES = Dialect(
    lines=frozenset({_DRAWING + "p"}),
    words=frozenset({_DRAWING + "t"}),
    blanks=frozenset({_DRAWING + "br", _DRAWING + "tab"}),
)
_PARAGRAPHS = frozenset({_TEXT + "p", _TEXT + "h"})
OPEN_DOCUMENT = Dialect(
    lines=_PARAGRAPHS,
    words=_PARAGRAPHS,
    blanks=frozenset({_TEXT + "s", _TEXT + "tab", _TEXT + "line-break"}),
    # What was struck out, and what was remarked beside the text.
    passed=frozenset({_TEXT + "tracked-changes", _OFFICE + "annotation"}),
)


def read_slides(path: Path, *, most: int) -> Iterator[str]:
    """Yield the lines of each slide in their order, and of its notes."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        numbers = sorted(int(found[1]) for name in names if (found := _SLIDE.fullmatch(name)) and len(found[1]) < 10)
        for number in numbers[:most]:
            for name in (f"ppt/slides/slide{number}.xml", f"ppt/notesSlides/notesSlide{number}.xml"):
                if name in names:
                    yield from _read_part(archive, name, SLIDES)


def read_open_document(path: Path) -> Iterator[str]:
    """Yield the paragraphs and headings of a document's content."""
    with zipfile.ZipFile(path) as archive:
        refuse_locked(archive)
        yield from _read_part(archive, "content.xml", OPEN_DOCUMENT)


def refuse_locked(archive: zipfile.ZipFile) -> None:
    """Raise for an OpenDocument file whose manifest names a key: its parts are noise without it."""
    if MANIFEST not in archive.namelist():
        return
    with archive.open(MANIFEST) as manifest:
        if b"encryption-data" in manifest.read(LONGEST_MANIFEST):
            raise Unreadable(Reason.PASSWORD)


@dataclass(slots=True)
class _Words:
    """Collects words while the parser goes through a part."""

    dialect: Dialect
    ready: list[str] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    length: int = 0
    in_words: int = 0
    in_passed: int = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.in_passed += name in self.dialect.passed
        self.in_words += name in self.dialect.words
        if name in self.dialect.blanks:
            self.add(" ")

    def end(self, name: str) -> None:
        self.in_passed -= name in self.dialect.passed
        self.in_words -= name in self.dialect.words
        if name in self.dialect.lines and not self.in_passed:
            self.finish_line()

    def data(self, text: str) -> None:
        if self.in_words:
            self.add(text)

    def add(self, text: str) -> None:
        if self.in_passed:
            return
        self.line.append(text)
        self.length += len(text)
        if self.length > LONGEST_LINE:
            self.finish_line()

    def finish_line(self) -> None:
        joined = " ".join("".join(self.line).split())
        if joined:
            self.ready.append(joined)
        self.line, self.length = [], 0


def _read_part(archive: zipfile.ZipFile, name: str, dialect: Dialect) -> Iterator[str]:
    if archive.getinfo(name).file_size > LARGEST_PART_BYTES:
        raise Unreadable(Reason.TOO_LARGE, name)
    words = _Words(dialect)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = words.start, words.end
    parser.CharacterDataHandler = words.data
    parser.StartDoctypeDeclHandler = _refuse
    with archive.open(name) as part:
        while chunk := part.read(CHUNK_BYTES):
            parser.Parse(chunk, False)
            yield from words.ready
            words.ready.clear()
    parser.Parse(b"", True)
    words.finish_line()
    yield from words.ready


def _refuse(*_declared: Any) -> None:
    raise Unreadable(Reason.FORBIDDEN)
