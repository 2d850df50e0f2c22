"""Judged sets: queries, and how relevant which documents are to them; by hand or from files, and back into files."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from portal import audit, declared
from portal.access import Permission, Role, Viewer, viewer_for
from portal.declared import Check
from portal.errors import Invalid
from portal.extensions import db, now
from portal.knowledge.models import Article
from portal.search import evaluation
from portal.search.request import LONGEST_TEXT
from portal.search.results import Hit
from portal.search.sources import registry
from portal.service.models import Record
from portal.steering.models import VIEWERS, JudgedQuery, JudgedSet, Judgement

HIGHEST = 3
LONGEST_NAME = 120
LONGEST_KEY = 200
LONGEST_DOCUMENT = 255
MOST_QUERIES = 20_000
MOST_LISTED = 100
_DOCUMENT_ID = re.compile(r"[a-z]+:[1-9][0-9]{0,14}")


def create_set(*, by: Viewer, changes: Mapping[str, Any]) -> JudgedSet:
    """Make an empty set and commit.  `viewer_kind` says through whose eyes its queries are searched.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: the name is missing or taken, or the viewer is none.
    """
    by.require(Permission.STEER_SEARCH)
    check = Check()
    name = check.read("name", declared.text, changes.get("name"), most=LONGEST_NAME, required=True, is_line=True)
    source = check.read("source", declared.text, changes.get("source"), most=60, is_line=True)
    kind = check.read("viewer_kind", declared.choice, changes.get("viewer_kind", "anonymous"), VIEWERS)
    if name and db.session.scalar(select(JudgedSet.id).where(func.lower(JudgedSet.name) == name.lower())):
        check.refuse("name", gettext("There is a set of this name already."))
    if source and kind != "agent":
        check.refuse("viewer_kind", gettext("Only staff can search one source alone. Choose staff."))
    check.finish()
    made = JudgedSet(name=name, source=source, viewer_kind=kind)
    db.session.add(made)
    db.session.flush()
    audit.append("judged_set.create", by=by, kind="judged_set", object_id=made.id, details={"name": made.name})
    db.session.commit()
    return made


def delete_set(judged_set: JudgedSet, *, by: Viewer) -> None:
    """Remove a set with its queries and judgements and commit; what was measured on it stays.

    Raises:
        Forbidden: `by` may not steer the search.
    """
    by.require(Permission.STEER_SEARCH)
    set_id, details = judged_set.id, {"name": judged_set.name}
    db.session.delete(judged_set)
    db.session.flush()
    audit.append("judged_set.delete", by=by, kind="judged_set", object_id=set_id, details=details)
    db.session.commit()


def add_query(judged_set: JudgedSet, *, by: Viewer, text: object, language: object = "") -> JudgedQuery:
    """Add a query without judgements and commit; its key is the next free number.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: there are no words, or the set has this query.
    """
    by.require(Permission.STEER_SEARCH)
    words = _own_field("text", declared.text, text, most=LONGEST_TEXT, required=True, is_line=True)
    language = _own_field("language", declared.text, language, most=10, is_line=True)
    own = (JudgedQuery.set_id == judged_set.id,)
    if db.session.scalar(select(JudgedQuery.id).where(*own, JudgedQuery.text == words)):
        raise Invalid({"text": gettext("The set has this query already.")})
    taken = set(db.session.scalars(select(JudgedQuery.key).where(*own)))
    number = len(taken) + 1
    while f"q{number}" in taken:
        number += 1
    made = JudgedQuery(set_id=judged_set.id, key=f"q{number}", text=words, language=language)
    db.session.add(made)
    db.session.flush()
    details = {"query": made.key}
    audit.append("judged_set.query", by=by, kind="judged_set", object_id=judged_set.id, details=details)
    db.session.commit()
    return made


def judge(query: JudgedQuery, *, by: Viewer, grades: Mapping[str, object]) -> None:
    """Set how relevant documents are to a query and commit; the grade None takes a judgement back.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: a grade is not one of 0 to 3.
    """
    by.require(Permission.STEER_SEARCH)
    there = {judgement.document: judgement for judgement in query.judgements}
    for document, grade in grades.items():
        if grade is None:
            if document in there:
                query.judgements.remove(there[document])
            continue
        if isinstance(grade, bool) or not isinstance(grade, int) or not 0 <= grade <= HIGHEST:
            raise Invalid({"grade": gettext("A grade is a whole number from 0 to %(most)s.", most=HIGHEST)})
        if not 0 < len(document) <= LONGEST_DOCUMENT:
            raise Invalid({"document": gettext("This is not a document.")})
        judgement = there.get(document) or Judgement(document=document)
        judgement.grade, judgement.judged_by_id, judgement.at = grade, by.user_id, now()
        if document not in there:
            query.judgements.append(judgement)
    db.session.flush()
    details = {"query": query.key, "judgements": len(grades)}
    audit.append("judged_set.judge", by=by, kind="judged_set", object_id=query.set_id, details=details)
    db.session.commit()


def load_sets() -> list[JudgedSet]:
    """Return all sets by name."""
    return list(db.session.scalars(select(JudgedSet).order_by(JudgedSet.name)))


def count_queries() -> dict[int, tuple[int, int]]:
    """Return set id → how many queries it has, and how many judgements."""
    rows = db.session.execute(
        select(JudgedQuery.set_id, func.count(JudgedQuery.id.distinct()), func.count(Judgement.id))
        .outerjoin(Judgement)
        .group_by(JudgedQuery.set_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def load_judged(judged_set: JudgedSet) -> tuple[list[evaluation.JudgedQuery], int]:
    """Return the queries with a relevant document, as `evaluation` takes them, and how many have none."""
    wanted = select(JudgedQuery).where(JudgedQuery.set_id == judged_set.id).order_by(JudgedQuery.id)
    judged, unjudged = [], 0
    for query in db.session.scalars(wanted.options(selectinload(JudgedQuery.judgements))):
        relevance = {judgement.document: judgement.grade for judgement in query.judgements}
        if any(relevance.values()):
            judged.append(evaluation.JudgedQuery(query.key, query.text, relevance))
        else:
            unjudged += 1
    return judged, unjudged


def name_of(hit: Hit, relevance: Collection[str], *, has_source: bool) -> str:
    """Return what a hit is called among judgements: by whichever of its names it was judged."""
    if hit.id in relevance or not hit.external_id:
        return hit.id
    return hit.external_id if has_source or hit.external_id in relevance else hit.id


# Files


@dataclass(slots=True)
class Report:
    """What became of files that were read."""

    queries: int = 0
    judgements: int = 0
    unknown_queries: list[str] = field(default_factory=list)
    """Queries that are judged and in no line of the queries; their judgements are left out."""
    unknown_documents: list[str] = field(default_factory=list)
    """Judged documents that the portal does not hold; they are kept, and nobody finds them."""


def read_files(judged_set: JudgedSet, *, by: Viewer, queries: str, qrels: str) -> Report:
    """Take queries and judgements in the formats of `casebook evaluate` and commit; what is there is overwritten.

    Either text may be empty: judgements alone are about the queries that the set has.

    Raises:
        Forbidden: `by` may not steer the search.
        JudgementError: a line has not the promised shape; nothing is saved.
    """
    by.require(Permission.STEER_SEARCH)
    written = list(evaluation.read_queries(queries.splitlines(), "queries.jsonl"))
    relevance = evaluation.read_qrels(qrels.splitlines(), "qrels.tsv")
    if len(written) > MOST_QUERIES or len(relevance) > MOST_QUERIES:
        raise evaluation.JudgementError(gettext("At most %(most)s queries are possible.", most=f"{MOST_QUERIES:,}"))
    loaded = select(JudgedQuery).where(JudgedQuery.set_id == judged_set.id)
    there = {q.key: q for q in db.session.scalars(loaded.options(selectinload(JudgedQuery.judgements)))}
    for key, text, language in written:
        query = there.get(key)
        if query is None:
            query = there[key] = JudgedQuery(set_id=judged_set.id, key=key[:LONGEST_KEY])
            db.session.add(query)
        query.text, query.language = text[:LONGEST_TEXT], language[:10]
    report = Report(queries=len(written), unknown_queries=[key for key in relevance if key not in there])
    for key, grades in relevance.items():
        if (query := there.get(key)) is None:
            continue
        known = {judgement.document: judgement for judgement in query.judgements}
        for document, grade in grades.items():
            judgement = known.get(document)
            if judgement is None:
                judgement = Judgement(document=document[:LONGEST_DOCUMENT])
                query.judgements.append(judgement)
            judgement.grade, judgement.judged_by_id = min(grade, HIGHEST), by.user_id
            report.judgements += 1
    documents = {document for key, grades in relevance.items() if key in there for document in grades}
    report.unknown_documents = find_unknown(documents, source=judged_set.source)
    db.session.flush()
    details = {"queries": report.queries, "judgements": report.judgements}
    audit.append("judged_set.import", by=by, kind="judged_set", object_id=judged_set.id, details=details)
    db.session.commit()
    return report


def find_unknown(documents: Collection[str], *, source: str = "") -> list[str]:
    """Return those of the judged documents that the portal does not hold, sorted."""
    unknown = set(documents)
    for model in (Article, Record):
        for chunk in _chunks(sorted(unknown)):
            held = select(model.external_id).where(model.external_id.in_(chunk))
            if source:
                held = held.where(model.source == source)
            unknown.difference_update(name for name in db.session.scalars(held) if name)
    by_kind: dict[str, list[int]] = {}
    for name in unknown:
        if _DOCUMENT_ID.fullmatch(name):
            kind, _, number = name.partition(":")
            if int(number) <= declared.LARGEST_ID:
                by_kind.setdefault(kind, []).append(int(number))
    everything = viewer_for(Role.ADMIN)
    for kind, numbers in by_kind.items():
        if kind in registry().sources:
            for chunk_of_ids in _chunks(numbers):
                held_ids = registry().sources[kind].readable_ids(everything, chunk_of_ids)
                unknown.difference_update(f"{kind}:{number}" for number in held_ids)
    return sorted(unknown)


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), 500):
        yield values[start : start + 500]


def write_queries(judged_set: JudgedSet) -> Iterator[str]:
    """Yield the lines of `queries.jsonl`."""
    for query in judged_set.queries:
        yield json.dumps({"id": query.key, "text": query.text, "lang": query.language}, ensure_ascii=False) + "\n"


def write_qrels(judged_set: JudgedSet) -> Iterator[str]:
    """Yield the lines of `qrels.tsv`."""
    yield "query_id\tdoc_id\trelevance\n"
    wanted = select(JudgedQuery).where(JudgedQuery.set_id == judged_set.id).order_by(JudgedQuery.id)
    for query in db.session.scalars(wanted.options(selectinload(JudgedQuery.judgements))):
        for judgement in sorted(query.judgements, key=lambda j: (-j.grade, j.document)):
            yield f"{query.key}\t{judgement.document}\t{judgement.grade}\n"


def _own_field(name: str, check: Any, value: object, **options: Any) -> str:
    try:
        checked: str = check(value, **options)
    except Invalid as refused:
        raise Invalid({name: next(iter(refused.fields.values()))}) from None
    return checked


def listed(names: Iterable[str]) -> list[str]:
    """Return the first of many names, as many as a page or a message can bear."""
    return sorted(names)[:MOST_LISTED]
