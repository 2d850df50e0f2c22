"""The judged collections: one written for this project, and open ones where they lie beside the checkout.

`documents.tsv` holds articles of an invented maker of household devices: id, kind, language, product, tag, title, text.
`queries.tsv` holds what people type: the behaviour that it shows, the words, and how relevant which documents are (3
answers, 2 helps, 1 touches).  An open collection is a folder with `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portal.access import PUBLIC
from portal.search.document import Document
from portal.search.evaluation import JudgedQuery, load_judged

HERE = Path(__file__).resolve().parent
OWN = "own"
# Every so manieth query of an open collection is asked: enough to see a fall, few enough for every run of the tests.
ASKED = {"mtrag_un": 2, "msoffice_kb": 16, "xquad_mixed": 16, "cmrc2018": 24}


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents and judged queries; hits are named by `external_id` and found by `source`."""

    name: str
    documents: tuple[Document, ...]
    queries: tuple[JudgedQuery, ...]


def open_folder() -> Path | None:
    """Return where the open collections lie; None where they are not there."""
    folder = Path(os.environ.get("RELEVANCE_DATA", HERE.parents[2] / "shared" / "data"))
    return folder if all((folder / name / "qrels.tsv").is_file() for name in ASKED) else None


def own_collection() -> Collection:
    """Read the collection that was written for this project."""
    documents = []
    for number, line in enumerate(_lines(HERE / "documents.tsv"), start=1):
        external_id, kind, language, product, tag, title, text = line
        documents.append(
            Document(
                id=f"article:{number}", version=1, kind=kind, readers=frozenset({PUBLIC}), title=title, body=text,
                language=language, products=(product,), tags=(tag,), external_id=external_id, source=OWN,
            )
        )  # fmt: skip
    queries = []
    for behaviour, words, judged in _lines(HERE / "queries.tsv"):
        relevance = {name: int(grade) for name, grade in (one.split(":") for one in judged.split())}
        queries.append(JudgedQuery(f"{behaviour}: {words}", words, relevance))
    return Collection(OWN, tuple(documents), tuple(queries))


def open_collections(folder: Path, *, ask_all: bool = False) -> list[Collection]:
    """Read the open collections; their documents are numbered on, so that one index can hold them all."""
    found = []
    number = 0
    for name, every in ASKED.items():
        documents = []
        with (folder / name / "corpus.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                number += 1
                documents.append(
                    Document(
                        id=f"article:{number}", version=1, kind="faq", readers=frozenset({PUBLIC}), title=row["title"],
                        body=row["text"], language=row.get("lang", ""), external_id=row["id"], source=name,
                    )
                )  # fmt: skip
        judged, _ = load_judged(folder / name / "queries.jsonl", folder / name / "qrels.tsv")
        found.append(Collection(name, tuple(documents), tuple(judged if ask_all else judged[::every])))
    return found


def _lines(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n").split("\t")
