"""Files from elsewhere, line by line: JSONL, CSV and XLSX, in whatever encoding they come.

Reading is streaming: memory does not grow with the file.  A line that cannot be read is reported with its number and
the reason, and the next one is read.
"""

import codecs
import csv
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import charset_normalizer
from flask_babel import gettext
from python_calamine import CalamineError, CalamineWorkbook

SAMPLE_BYTES = 256 * 1024
LONGEST_LINE_BYTES = 4 * 1024 * 1024
LARGEST_SHEET_BYTES = 512 * 1024 * 1024
MOST_ZIP_RATIO = 200
CHINESE_ENCODINGS = ["gb18030", "big5"]
LEGACY_ENCODINGS = [*CHINESE_ENCODINGS, "cp1252"]
SEPARATORS = ",;\t|"
FIELDS = ("id", "title", "text", "lang", "url")
csv.field_size_limit(LONGEST_LINE_BYTES)


class UnreadableError(Exception):
    """The file as a whole cannot be read; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file, numbered as an editor numbers it: an item, or the reason why there is none."""

    number: int
    item: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None


def read(path: Path) -> Iterator[Line]:
    """Read a file by its ending.

    Raises:
        UnreadableError: the ending is unknown, or the file as a whole cannot be read.
    """
    readers = {".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".csv": _read_csv, ".tsv": _read_csv, ".xlsx": _read_xlsx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnreadableError(
            gettext("%(name)s ends in none of %(known)s.", name=path.name, known=", ".join(sorted(readers)))
        )
    try:
        yield from reader(path)
    except OSError as error:
        raise UnreadableError(
            gettext("%(name)s cannot be read: %(reason)s.", name=path.name, reason=error.strerror or str(error))
        ) from None


def detect_encoding(sample: bytes) -> str:
    """Tell the encoding of a text by its first bytes: a byte order mark, valid UTF-8, else the likeliest legacy one."""
    if sample.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(sample, final=False)
    except UnicodeDecodeError:
        return "utf-8" if _is_mostly_utf8(sample) else _legacy_encoding(sample)
    return "utf-8"


def _is_mostly_utf8(sample: bytes) -> bool:
    """Say whether at least half of the lines beyond ASCII are UTF-8: then the others are damaged, not foreign."""
    telling = [line for line in sample.splitlines() if not line.isascii()]
    return 2 * sum(_decodes(line, "utf-8") for line in telling) >= len(telling)


def _legacy_encoding(sample: bytes) -> str:
    # A sample cut inside a character must not count against its encoding.
    whole = sample[: sample.rfind(b"\n") + 1] or sample
    best = charset_normalizer.from_bytes(whole, cp_isolation=LEGACY_ENCODINGS, preemptive_behaviour=False).best()
    if best is not None and best.encoding not in CHINESE_ENCODINGS and _decodes(whole, "gb18030"):
        # Western text seldom decodes as GB18030; where it does, Chinese is meant far more often than accents.
        return "gb18030"
    return best.encoding if best is not None else "gb18030"


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _read_jsonl(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        encoding = detect_encoding(file.read(SAMPLE_BYTES))
        file.seek(0)
        if encoding == "utf-16":
            with path.open(encoding=encoding, newline="\n") as text:
                yield from _json_lines(text, "utf-8")
        else:
            yield from _json_lines(file, encoding)


def _json_lines(file: BinaryIO | TextIO, encoding: str) -> Iterator[Line]:
    number = 0
    while raw := file.readline(LONGEST_LINE_BYTES):
        number += 1
        if len(raw) >= LONGEST_LINE_BYTES and raw[-1:] not in ("\n", b"\n"):
            while (rest := file.readline(LONGEST_LINE_BYTES)) and rest[-1:] not in ("\n", b"\n"):
                pass
            yield Line(number, refused=gettext("The line is longer than %(most)s MB.", most=LONGEST_LINE_BYTES >> 20))
            continue
        if raw.strip():
            yield _json_line(number, raw, encoding if number == 1 or encoding != "utf-8-sig" else "utf-8")


def _json_line(number: int, raw: bytes | str, encoding: str) -> Line:
    try:
        text = raw if isinstance(raw, str) else raw.decode(encoding)
        item = json.loads(text.strip(), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return Line(number, refused=gettext("The line is not %(encoding)s text.", encoding=encoding))
    except json.JSONDecodeError as error:
        return Line(
            number,
            refused=gettext(
                "The line is not JSON: %(reason)s at column %(column)s.", reason=error.msg, column=error.colno
            ),
        )
    except (ValueError, RecursionError) as error:
        return Line(number, refused=gettext("The line cannot be used: %(reason)s.", reason=str(error)[:200]))
    if not isinstance(item, dict):
        return Line(number, refused=gettext("The line is not a JSON object."))
    return Line(number, item)


def _refuse_constant(name: str) -> float:
    raise ValueError(gettext("%(name)s is not a number", name=name))


def _read_csv(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    encoding = detect_encoding(sample)
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as text:
        head = text.readline()
        separator = max(SEPARATORS, key=head.count)
        text.seek(0)
        rows = csv.reader(text, delimiter=separator)
        names = [name.strip() for name in next(rows, [])]
        _check_header(names, path)
        while True:
            number = rows.line_num + 1
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield Line(number, refused=gettext("The row cannot be read: %(reason)s.", reason=str(error)))
                continue
            if row is None:
                return
            if row:
                yield _row(number, names, row, encoding)


def _row(number: int, names: Sequence[str], row: Sequence[str], encoding: str) -> Line:
    if len(row) != len(names):
        return Line(
            number,
            refused=gettext(
                "The row has %(found)s columns, the first one has %(wanted)s.", found=len(row), wanted=len(names)
            ),
        )
    if any("\udc80" <= character <= "\udcff" for value in row for character in value):
        return Line(number, refused=gettext("The row is not %(encoding)s text.", encoding=encoding))
    return Line(number, _item(dict(zip(names, row, strict=True))))


def _read_xlsx(path: Path) -> Iterator[Line]:
    _check_zip(path)
    try:
        with CalamineWorkbook.from_path(str(path)) as book:
            rows = iter(book.get_sheet_by_index(0).iter_rows())
            names = [str(name).strip() for name in next(rows, [])]
            _check_header(names, path)
            for number, row in enumerate(rows, start=2):
                values = [_cell(value) for value in row]
                if any(values):
                    yield Line(number, _item(dict(zip(names, values, strict=False))))
    except CalamineError as error:
        raise UnreadableError(
            gettext("%(name)s is not a workbook that can be read: %(reason)s.", name=path.name, reason=str(error))
        ) from None


def _check_zip(path: Path) -> None:
    """Refuse a workbook that would unpack to far more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile:
        raise UnreadableError(gettext("%(name)s is not an XLSX workbook.", name=path.name)) from None
    if unpacked > LARGEST_SHEET_BYTES or unpacked > MOST_ZIP_RATIO * max(path.stat().st_size, 1):
        raise UnreadableError(
            gettext(
                "%(name)s would unpack to %(size)s MB. Split it or save it as CSV.", name=path.name, size=unpacked >> 20
            )
        )


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if value is not None else ""


def _check_header(names: Sequence[str], path: Path) -> None:
    if not {"title", "name", "subject"} & set(names):
        raise UnreadableError(
            gettext(
                "The first row of %(name)s must name the columns; title, name or subject is missing.", name=path.name
            )
        )
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UnreadableError(
            gettext("%(name)s has the column %(column)s twice.", name=path.name, column=repr(doubled[0]))
        )


def _item(row: Mapping[str, str]) -> dict[str, Any]:
    """Shape a table's row like a line of JSONL: columns that are no field of their own go to `meta`.

    A column may be called `meta.region` or `region`; several tags stand in one cell, separated by `;`.
    """
    item: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    for name, value in row.items():
        if name in FIELDS:
            item[name] = value
        elif name in ("name", "subject"):
            item["title"] = value
        elif value != "":
            key = name.removeprefix("meta.")
            meta[key] = [part.strip() for part in value.split(";") if part.strip()] if key in PLURAL else value
    item["meta"] = meta
    return item


PLURAL = frozenset({"tags", "products", "emails", "phones"})
