"""Why is a document not where somebody looks for it?  The first reason that keeps it away, with what to do about it.

Whoever asks must be able to read the document; they may ask as any kind of viewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from flask_babel import gettext
from sqlalchemy import select

from portal import access, outbox
from portal.access import Viewer
from portal.extensions import db
from portal.outbox import OutboxRow
from portal.search.asking import REFINED
from portal.search.engine import EngineError, SearchEngine
from portal.search.facets import FACETS
from portal.search.guidance import Rule
from portal.search.request import DEEPEST_HIT, SearchRequest
from portal.search.results import Explanation, MatchedField, Presence
from portal.search.sources import Registry, Standing

MOST_WORDS = 8


class Verdict(StrEnum):
    """What keeps a document away, in the order in which it is looked for; `shown` and `ranked` are no obstacles."""

    UNKNOWN = "unknown"
    NOT_PUBLISHED = "not_published"
    NOT_READABLE = "not_readable"
    SET_ASIDE = "set_aside"
    NOT_INDEXED = "not_indexed"
    ENGINE_DOWN = "engine_down"
    NO_MATCH = "no_match"
    FILTERED = "filtered"
    HIDDEN = "hidden"
    RANKED = "ranked"
    SHOWN = "shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field's share of the document's score beside its share of another's."""

    field: str
    own: float
    other: float
    own_words: tuple[str, ...]
    other_words: tuple[str, ...]

    @property
    def gain(self) -> float:
        """What the other has more."""
        return self.other - self.own


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The answer.

    `versions` is `(saved, indexed)`; `rule_id` is the rule that hides or pins it; `ahead` is the hit that stands before
    it by its words, for comparison.  `fields` add up to `score`, which is what it would be ranked by if it is pinned.
    """

    document_id: str
    verdict: Verdict
    sentence: str
    title: str = ""
    url: str = ""
    rank: int = 0
    page: int = 0
    score: float = 0.0
    versions: tuple[int, int] | None = None
    filters: tuple[str, ...] = ()
    missing_words: tuple[str, ...] = ()
    rule_id: int | None = None
    is_pinned: bool = False
    fields: tuple[MatchedField, ...] = ()
    ahead_title: str = ""
    ahead_rank: int = 0
    ahead_score: float = 0.0
    differences: tuple[Difference, ...] = ()


def explain_place(request: SearchRequest, text: str, *, asker: Viewer, engine: SearchEngine, registry: Registry) -> Why:
    """Say why a document stands where it does in a search, or nowhere.

    `text` is what people call it: an address, a number, a slug or an id.  `request` carries the viewer whose eyes are
    looked through, `asker` is who wants to know.
    """
    document_id = registry.look_up(text)
    standing = registry.readable(asker, document_id) if document_id else None
    if document_id is None or standing is None:
        sentence = gettext("There is no such document, or you may not read it. Give its address, number or id.")
        return Why(document_id=text, verdict=Verdict.UNKNOWN, sentence=sentence)
    # Reasons are about relevance, in whatever order the hits are shown.
    request = replace(request, sort="relevance")
    kind, _, number = document_id.partition(":")
    known: dict[str, Any] = {
        "document_id": document_id,
        "title": standing.title,
        "url": standing.url,
        "versions": outbox.version_of(kind, int(number)),
    }
    if not registry.sources[kind].readable_ids(request.viewer, [int(number)]):
        return _unreadable(request.viewer, standing, known)
    aside = db.session.execute(
        select(OutboxRow.last_error).where(
            OutboxRow.kind == kind, OutboxRow.object_id == int(number), outbox.is_pending()
        )
    ).first()
    try:
        found = engine.explain(request, document_id)
        if found.presence in (Presence.NOT_INDEXED, Presence.WITHDRAWN, Presence.NOT_READABLE):
            return _behind(aside, known)
        if found.presence == Presence.HIDDEN:
            return _hidden(request, found, engine, known)
        if found.presence == Presence.NO_MATCH:
            return _no_match(request, document_id, engine, known)
        if found.presence == Presence.FILTERED:
            return _filtered(found, known)
        return _ranked(request, found, engine, known)
    except EngineError as error:
        return Why(verdict=Verdict.ENGINE_DOWN, sentence=str(error), **known)


def _unreadable(viewer: Viewer, standing: Standing, known: dict[str, Any]) -> Why:
    if standing.state != "published":
        sentence = gettext("It is not published: its state is %(state)s.", state=repr(standing.state))
        return Why(verdict=Verdict.NOT_PUBLISHED, sentence=sentence, **known)
    sentence = gettext(
        "This kind of viewer (%(role)s) may not read it. It is for: %(readers)s.",
        role=viewer.role.value,
        readers=", ".join(_reader(token) for token in sorted(standing.readers)),
    )
    return Why(verdict=Verdict.NOT_READABLE, sentence=sentence, **known)


def _reader(token: str) -> str:
    kind, _, number = token.partition(":")
    if kind == "customer":
        return str(gettext("the accounts of customer %(number)s", number=number))
    if kind == "user":
        return str(gettext("the account %(number)s", number=number))
    names = {
        access.PUBLIC: gettext("everybody"),
        access.CUSTOMERS: gettext("everybody who is signed in"),
        access.STAFF: gettext("staff"),
        access.EDITORS: gettext("editors"),
    }
    return str(names.get(kind, token))


def _behind(aside: Any, known: dict[str, Any]) -> Why:
    versions = known["versions"]
    if aside is not None and aside[0]:
        sentence = gettext(
            "The search engine refused it (%(reason)s), and it is tried again later. `casebook index status` lists it.",
            reason=aside[0],
        )
        return Why(verdict=Verdict.SET_ASIDE, sentence=sentence, **known)
    if versions is None:
        sentence = gettext("It was never noted for the index. `casebook index verify --repair` notes it.")
    elif versions[0] > versions[1]:
        sentence = gettext(
            "The index does not hold it yet: version %(saved)s is saved, version %(indexed)s is indexed. "
            "It is written within seconds while a worker runs.",
            saved=versions[0],
            indexed=versions[1],
        )
    else:
        sentence = gettext(
            "The index should hold version %(saved)s and does not show it to this viewer. "
            "Wait a second, or run `casebook index verify --repair`.",
            saved=versions[0],
        )
    return Why(verdict=Verdict.NOT_INDEXED, sentence=sentence, **known)


def _no_match(request: SearchRequest, document_id: str, engine: SearchEngine, known: dict[str, Any]) -> Why:
    missing = []
    for word in request.query.typed[:MOST_WORDS]:
        alone = engine.explain(replace(request, text=word.text, filters={}), document_id)
        if alone.presence != Presence.FOUND:
            missing.append(word.text)
    if request.query.typed and len(missing) == len(request.query.typed[:MOST_WORDS]):
        sentence = gettext("None of the words stands in it: %(words)s.", words=", ".join(missing))
    else:
        sentence = gettext("It holds words of the query, but a phrase in quotes, a minus or an operator keeps it out.")
    return Why(verdict=Verdict.NO_MATCH, sentence=sentence, missing_words=tuple(missing), **known)


def _hidden(request: SearchRequest, found: Explanation, engine: SearchEngine, known: dict[str, Any]) -> Why:
    rule = _rule(request, found, engine)
    sentence = gettext("An editor's rule hides it for these words.")
    if rule is not None:
        sentence = gettext(
            "A rule hides it for “%(words)s”, by %(name)s: %(reason)s.",
            words=rule.words,
            name=rule.owner or gettext("somebody"),
            reason=rule.reason or gettext("no reason was given"),
        )
    return Why(
        verdict=Verdict.HIDDEN,
        sentence=sentence,
        rule_id=rule.id if rule else None,
        fields=found.matched_fields,
        **known,
    )


def _rule(request: SearchRequest, found: Explanation, engine: SearchEngine) -> Rule | None:
    """Return the rule that pins or hides what was found."""
    rules = engine.search(replace(request, page=1, size=1, with_facets=False, with_highlights=False)).rules
    return next((one for one in rules if one.is_pin is found.is_pinned and one.document_id == found.id), None)


def _filtered(found: Explanation, known: dict[str, Any]) -> Why:
    names = ", ".join(str(FACETS[name].label) for name in found.filters)
    return Why(
        verdict=Verdict.FILTERED,
        sentence=gettext("It matches the words; chosen filters keep it out: %(names)s.", names=names),
        filters=found.filters,
        fields=found.matched_fields,
        **known,
    )


def _ranked(request: SearchRequest, found: Explanation, engine: SearchEngine, known: dict[str, Any]) -> Why:
    """Compare it with the last hit of the first page, which it would have to pass, or with the one just before it.

    What is pinned stands where it stands whatever its score, so it is compared with nothing.
    """
    if not request.query.ranks:
        sentence = gettext("It is found. Without words to rank by, what was changed last stands first.")
        return Why(verdict=Verdict.RANKED, sentence=sentence, **known)
    if not found.rank:
        sentence = gettext("It matches, behind the first %(most)s hits.", most=f"{DEEPEST_HIT:,}")
        return Why(verdict=Verdict.RANKED, sentence=sentence, score=found.score, fields=found.matched_fields, **known)
    page = -(-found.rank // request.size)
    sentences = [gettext("It is found: rank %(rank)s, on page %(page)s.", rank=found.rank, page=page)]
    common = {
        "verdict": Verdict.SHOWN if page == 1 else Verdict.RANKED,
        "rank": found.rank,
        "page": page,
        "score": found.score,
        "fields": found.matched_fields,
        **known,
    }
    if found.is_pinned:
        rule = _rule(request, found, engine)
        sentences.append(pinned_sentence(found.score))
        return Why(sentence=" ".join(sentences), is_pinned=True, rule_id=rule.id if rule else None, **common)
    if not found.is_refined:
        sentences.append(
            gettext(
                "Only the best %(most)s are also ranked by the first lines, by words as they are written and by words "
                "that stand side by side. It is not among them, so these add nothing to its score.",
                most=REFINED,
            )
        )
    first = replace(request, page=1, explain=False, with_facets=False, with_highlights=False, with_correction=False)
    before = list(enumerate(engine.search(first).hits[: found.rank - 1], start=1))
    rank, ahead = next(((rank, hit) for rank, hit in reversed(before) if not hit.is_pinned), (0, None))
    if ahead is None or ahead.id == found.id:
        if before:
            sentences.append(gettext("Only what editors pinned stands before it."))
        return Why(sentence=" ".join(sentences), **common)
    other = engine.explain(request, ahead.id)
    if other.score < found.score:
        sentences.append(
            gettext(
                "Rank %(rank)s has the lower score and stands before it because it is used more, is more helpful or "
                "is fresher; near equals change places by that.",
                rank=rank,
            )
        )
    return Why(
        sentence=" ".join(sentences),
        ahead_title=ahead.title,
        ahead_rank=rank,
        ahead_score=other.score,
        differences=_differences(found.matched_fields, other.matched_fields),
        **common,
    )


def pinned_sentence(score: float) -> str:
    """Say that a pin put a hit where it is, and what it would be ranked by."""
    if not score:
        return str(gettext("A pin puts it there; its own words would not be found."))
    return str(gettext("A pin puts it there; its own score would be %(score)s.", score=f"{score:.3f}"))


def _differences(own: Sequence[MatchedField], other: Sequence[MatchedField]) -> tuple[Difference, ...]:
    mine = {field.field: field for field in own}
    theirs = {field.field: field for field in other}
    names = dict.fromkeys(name for pair in zip_longest(theirs, mine) for name in pair if name)
    none = MatchedField(field="", score=0.0)
    found = [
        Difference(
            field=name,
            own=mine.get(name, none).score,
            other=theirs.get(name, none).score,
            own_words=mine.get(name, none).words,
            other_words=theirs.get(name, none).words,
        )
        for name in names
    ]
    return tuple(sorted(found, key=lambda difference: -difference.gain))


def why_to_json(why: Why) -> dict[str, Any]:
    """Shape the answer for programs."""
    return {
        "id": why.document_id,
        "title": why.title,
        "url": why.url,
        "verdict": why.verdict.value,
        "sentence": why.sentence,
        "rank": why.rank or None,
        "page": why.page or None,
        "score": round(why.score, 4),
        "saved_version": why.versions[0] if why.versions else None,
        "indexed_version": why.versions[1] if why.versions else None,
        "filters": list(why.filters),
        "missing_words": list(why.missing_words),
        "rule_id": why.rule_id,
        "pinned": why.is_pinned,
        "fields": [{"field": f.field, "score": round(f.score, 4), "words": list(f.words)} for f in why.fields],
        "ahead": {"title": why.ahead_title, "rank": why.ahead_rank, "score": round(why.ahead_score, 4)}
        if why.ahead_rank
        else None,
        "differences": [
            {"field": d.field, "own": round(d.own, 4), "other": round(d.other, 4), "gain": round(d.gain, 4)}
            for d in why.differences
        ],
    }
