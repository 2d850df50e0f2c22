"""Tables out, as CSV, XLSX or JSONL.  A cell that a spreadsheet would run as a formula is written as text."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
FORMATS = ("jsonl", "csv", "xlsx")


def neutral(value: object) -> str:
    """Return a value as text that no spreadsheet takes for a formula."""
    text = flat(value)
    if text.startswith(FORMULA_STARTS) and not _is_number(text):
        return "'" + text
    return text


def flat(value: object) -> str:
    """Return a value as the text of one cell: lists joined by `; `, mappings as JSON."""
    if value is None:
        return ""
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write(path: Path, form: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write the rows beside the target and put the file in its place when it is whole.  Returns how many there were."""
    count = 0

    def counted() -> Iterator[Mapping[str, Any]]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    draft = path.with_name(path.name + ".part")
    try:
        {"jsonl": _write_jsonl, "csv": _write_csv, "xlsx": _write_xlsx}[form](draft, columns, counted())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _write_jsonl(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            json.dump({name: row.get(name) for name in columns}, file, ensure_ascii=False, default=str)
            file.write("\n")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    # The mark lets spreadsheet programs know that it is UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([neutral(row.get(name)) for name in columns] for row in rows)


def _write_xlsx(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    import xlsxwriter  # A process that only serves does without.

    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "constant_memory": True,
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, list(columns))
        for number, row in enumerate(rows, start=1):
            for at, name in enumerate(columns):
                sheet.write_string(number, at, neutral(row.get(name))[:32_767])
