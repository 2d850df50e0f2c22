"""The engine that needs no server: tantivy, in a folder of the data directory.

One process of the machine writes, guarded by a file lock; any number read.  A folder holds one index; the file `live`
names the one that searches read and is replaced in one step.  Readers look at two file stamps before each search and
reload when they changed, so that a commit is seen by the next search without a thread that watches.

Text is analysed here (`portal.search.analysis`) and handed to tantivy as terms with spaces between them, which its
cheapest tokenizer takes apart again: several times faster than handing over token objects.
"""

import fcntl
import json
import os
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import tantivy
from tantivy import FieldType, Occur, Order, Query

from portal.access import Viewer
from portal.search import analysis, corrections, stored, suggestions
from portal.search.document import Document, Tombstone
from portal.search.engine import BadQuery, EngineDown, EngineLocked, IndexCorrupt, IndexMissing
from portal.search.facets import (
    FACETS,
    UPDATED,
    Facet,
    Period,
    age_bounds,
    build_values,
    count_ages,
    period_of,
)
from portal.search.highlight import Marker
from portal.search.query import Query as Words
from portal.search.query import TypedWord, parse, read_words
from portal.search.ranking import Clause, Field, Plan, Synonyms, build_plan, default_synonyms, labels_of
from portal.search.request import DEEPEST_HIT, SearchRequest
from portal.search.results import (
    EngineHealth,
    Explanation,
    FacetValue,
    Hit,
    IndexedVersion,
    IndexSummary,
    MatchedField,
    Outcome,
    Presence,
    SearchResult,
    Suggestion,
    WriteOutcome,
)

FORMAT = "1"
WRITER_MEMORY = 96_000_000
WRITER_THREADS = 1
MOST_PENDING = 50_000
WALK_STEP = 5_000
SEGMENT_FILES = frozenset({".term", ".idx", ".pos", ".fieldnorm", ".fast", ".store", ".del"})
KINDS = ("article", "record", "customer")
KEY_BITS = 56
LONGEST_NUMBER = 17
HASHED = 1 << 63


def _schema() -> tantivy.Schema:
    build = tantivy.SchemaBuilder()
    build.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    build.add_unsigned_field("key", indexed=True, fast=True)
    build.add_unsigned_field("version", fast=True)
    build.add_unsigned_field("gone", indexed=True, fast=True)
    for name in ("readers", "identifiers", "title_start", "pinyin", Field.CODES.value):
        build.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in (Field.ALL.value, Field.INTERNAL.value):
        build.add_text_field(name, tokenizer_name="whitespace", index_option="position")
    for searched in (Field.TITLE, Field.LEAD, Field.WORDS, Field.CHARACTERS, Field.TITLE_CHARACTERS):
        build.add_text_field(searched.value, tokenizer_name="whitespace", index_option="freq")
    build.add_text_field("title_words", tokenizer_name="whitespace", index_option="basic")
    for facet in FACETS.values():
        if not facet.is_dates:
            build.add_text_field(_column(facet.name), tokenizer_name="raw", index_option="basic", fast=True)
    build.add_unsigned_field("updated_at", indexed=True, fast=True)
    build.add_unsigned_field("popularity", fast=True)
    build.add_bytes_field("stored", stored=True)
    return build.build()


def _column(facet: str) -> str:
    return f"facet_{facet}"


@dataclass(slots=True)
class _Reader:
    """An index opened for reading, and the stamp of the commit that it shows."""

    name: str
    index: tantivy.Index
    stamp: tuple[int, ...]
    searcher: tantivy.Searcher


@dataclass(slots=True)
class _Writer:
    """An index opened for writing; `pending` holds the versions written since the last commit."""

    index: tantivy.Index
    writer: tantivy.IndexWriter
    searcher: tantivy.Searcher
    pending: dict[int, int] = field(default_factory=dict)


# What a forked child inherits cannot be closed there (its threads are gone) and must not be dropped either.
_INHERITED: list[object] = []


class EmbeddedEngine:
    """The index in a folder.  Safe for threads; one object a process."""

    name = "embedded"

    def __init__(self, folder: Path, *, synonyms: Callable[[], Synonyms] = default_synonyms) -> None:
        self._folder = folder
        self._synonyms = synonyms
        self._schema = _schema()
        self._reader: _Reader | None = None
        self._writers: dict[str, _Writer] = {}
        self._lock_file: int | None = None
        self._reading = threading.Lock()
        self._writing = threading.RLock()
        self._pid = os.getpid()

    # Reading

    def search(self, request: SearchRequest) -> SearchResult:
        """See `SearchEngine.search`."""
        began = time.perf_counter()
        searcher = self._searcher()
        with _translated():
            search = _Search(self._schema, searcher, request, self._synonyms())
            result = search.result()
        return replace(result, took_ms=round((time.perf_counter() - began) * 1000, 2))

    def suggest(self, viewer: Viewer, text: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """See `SearchEngine.suggest`."""
        typed = suggestions.read_typed(text)
        if typed is None:
            return ()
        searcher = self._searcher()
        schema = self._schema
        with _translated():
            ways: list[tuple[Occur, Query]] = []
            if typed.words or typed.prefix:
                together = [(Occur.Must, _term(schema, "title_words", word)) for word in typed.words]
                if typed.prefix:
                    together.append((Occur.Must, Query.regex_query(schema, "title_words", _prefix(typed.prefix))))
                ways.append((Occur.Should, Query.const_score_query(Query.boolean_query(together), 1.0)))
            start = Query.regex_query(schema, "title_start", _prefix(typed.start))
            ways.append((Occur.Should, Query.const_score_query(start, 4.0)))
            if typed.pinyin:
                pinyin = Query.regex_query(schema, "pinyin", _prefix(typed.pinyin))
                ways.append((Occur.Should, Query.const_score_query(pinyin, 0.5)))
            any_way = Query.boolean_query(ways)
            query = Query.boolean_query([(Occur.Must, _rights(schema, viewer)), (Occur.Must, any_way)])
            hits = searcher.search(query, suggestions.CANDIDATES, count=False).hits
            found = [(score, *_read(searcher, address)) for score, address in hits]
        return suggestions.rank(typed, found, limit)

    def similar(
        self,
        viewer: Viewer,
        text: str,
        kinds: Collection[str] = (),
        exclude: Collection[str] = (),
        limit: int = 5,
    ) -> tuple[Hit, ...]:
        """See `SearchEngine.similar`."""
        words = read_words(text)
        plan = build_plan(words, is_staff=viewer.is_staff, synonyms=self._synonyms())
        if not plan.matching:
            return ()
        searcher = self._searcher()
        schema = self._schema
        with _translated():
            parts = [(Occur.Must, _rights(schema, viewer)), *_plan_parts(schema, plan)]
            if kinds:
                parts.append((Occur.Must, _silent(Query.term_set_query(schema, _column("kind"), list(kinds)))))
            parts += [(Occur.MustNot, _term(schema, "id", document_id)) for document_id in exclude]
            hits = searcher.search(Query.boolean_query(parts), limit, count=False).hits
            marker = Marker(plan)
            return tuple(
                stored.build_hit(document_id, data, score=score, marker=marker, is_staff=viewer.is_staff)
                for score, (document_id, data) in ((score, _read(searcher, address)) for score, address in hits)
            )

    def correct(self, request: SearchRequest) -> str | None:
        """See `SearchEngine.correct`."""
        searcher = self._searcher()
        with _translated():
            return _Search(self._schema, searcher, request, self._synonyms()).correction()

    def explain(self, request: SearchRequest, document_id: str) -> Explanation:
        """See `SearchEngine.explain`."""
        searcher = self._searcher()
        with _translated():
            return _Search(self._schema, searcher, request, self._synonyms()).explanation(document_id)

    def health(self) -> EngineHealth:
        """See `SearchEngine.health`."""
        try:
            name = self._live_name()
            documents = self.count(name)
        except EngineDown as error:
            return EngineHealth(engine=self.name, is_up=False, detail=str(error), version=version("tantivy"))
        return EngineHealth(
            engine=self.name, is_up=True, version=version("tantivy"), live_index=name, documents=documents
        )

    # The indices

    def create_index(self, name: str) -> None:
        """See `SearchEngine.create_index`."""
        with self._writing:
            self._lock()
            path = self._path(name)
            if path.exists():
                raise BadQuery(f"An index {name!r} exists already. Choose another name or drop it first.")
            path.mkdir(parents=True)
            tantivy.Index(self._schema, path=str(path))
            (path / "format").write_text(_format())

    def live_index(self) -> str | None:
        """See `SearchEngine.live_index`."""
        try:
            return (self._folder / "live").read_text().strip() or None
        except FileNotFoundError:
            return None

    def list_indices(self) -> tuple[IndexSummary, ...]:
        """See `SearchEngine.list_indices`."""
        if not self._folder.is_dir():
            return ()
        live = self.live_index()
        return tuple(
            IndexSummary(
                name=path.name,
                documents=self._count_or_zero(path.name),
                bytes=sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
                is_live=path.name == live,
            )
            for path in sorted(self._folder.iterdir())
            if path.is_dir()
        )

    def write(self, index: str, batch: Sequence[Document | Tombstone]) -> tuple[WriteOutcome, ...]:
        """See `SearchEngine.write`."""
        with self._writing, self._writing_to(index):
            opened = self._writer(index)
            keys = [_key(item.id) for item in batch]
            known = _versions_of(opened, self._schema, keys)
            outcomes = []
            for item, key in zip(batch, keys, strict=True):
                outcomes.append(self._write_one(opened, item, key, known.get(key)))
                if outcomes[-1].outcome == Outcome.DONE:
                    known[key] = item.version
            if len(opened.pending) > MOST_PENDING:
                self.commit(index)
            return tuple(outcomes)

    def _write_one(self, opened: _Writer, item: Document | Tombstone, key: int, known: int | None) -> WriteOutcome:
        if known is not None and known > item.version:
            return WriteOutcome(id=item.id, version=item.version, outcome=Outcome.SUPERSEDED)
        try:
            document = _indexed(item, key)
        except (ValueError, TypeError, OverflowError) as error:
            # The text of these errors may quote the document; its kind of error may be told.
            return WriteOutcome(
                id=item.id,
                version=item.version,
                outcome=Outcome.REFUSED,
                reason=f"cannot be indexed: {type(error).__name__}",
            )
        if known is not None:
            # By `key` it would delete nothing: the library takes every number for a signed one.
            opened.writer.delete_documents_by_term("id", item.id)
        opened.writer.add_document(document)
        opened.pending[key] = item.version
        return WriteOutcome(id=item.id, version=item.version, outcome=Outcome.DONE)

    def commit(self, index: str) -> None:
        """See `SearchEngine.commit`."""
        with self._writing, self._writing_to(index):
            opened = self._writers.get(index)
            if opened is None or not opened.pending:
                return
            opened.writer.commit()
            opened.index.reload()
            opened.searcher = opened.index.searcher()
            opened.pending.clear()

    def versions(self, index: str) -> Iterator[IndexedVersion]:
        """See `SearchEngine.versions`."""
        reader = self._open(index)
        searcher = reader.searcher
        first = 0
        while True:
            with _translated():
                rest = Query.range_query(self._schema, "key", FieldType.Unsigned, first, None)
                hits = searcher.search(rest, WALK_STEP, count=False, order_by_field="key", order=Order.Asc).hits
                addresses = [address for _, address in hits]
                versions = searcher.fast_field_values("version", addresses)
                gone = searcher.fast_field_values("gone", addresses)
                found = [
                    IndexedVersion(
                        id=_id(key) or str(searcher.doc(address).get_first("id")),
                        version=int(version or 0),
                        is_gone=bool(is_gone),
                    )
                    for (key, address), version, is_gone in zip(hits, versions, gone, strict=True)
                ]
            yield from found
            if len(hits) < WALK_STEP:
                return
            first = int(hits[-1][0]) + 1

    def count(self, index: str) -> int:
        """See `SearchEngine.count`."""
        searcher = self._open(index).searcher
        with _translated():
            return _count(searcher, Query.term_query(self._schema, "gone", 0))

    def swap(self, index: str) -> None:
        """See `SearchEngine.swap`."""
        with self._writing:
            self._lock()
            self.commit(index)
            self._open(index)
            draft = self._folder / "live.new"
            with draft.open("w") as file:
                file.write(index)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._folder / "live")
            _sync_folder(self._folder)

    def drop(self, index: str) -> None:
        """See `SearchEngine.drop`."""
        with self._writing:
            self._lock()
            if index == self.live_index():
                raise BadQuery(f"{index!r} is the live index. Swap to another one before it is dropped.")
            opened = self._writers.pop(index, None)
            if opened is not None:
                opened.writer.rollback()
                del opened
            shutil.rmtree(self._path(index), ignore_errors=True)

    def check(self, index: str) -> None:
        """See `SearchEngine.check`: compare every file with the checksum that was written behind it."""
        self._open(index)
        for path in sorted(self._path(index).iterdir()):
            if path.suffix in SEGMENT_FILES and not _is_whole(path):
                raise _corrupt(index, f"the file {path.name} is damaged")

    def close(self) -> None:
        """See `SearchEngine.close`."""
        with self._writing:
            if self._pid != os.getpid():
                return
            for name, opened in list(self._writers.items()):
                self.commit(name)
                opened.writer.wait_merging_threads()
            self._writers.clear()
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None
        with self._reading:
            self._reader = None

    # Files

    def _path(self, name: str) -> Path:
        if not name or name.startswith(".") or "/" in name or name == "live":
            raise BadQuery(f"{name!r} cannot be the name of an index. Use letters, digits, - and _.")
        return self._folder / name

    def _live_name(self) -> str:
        name = self.live_index()
        if name is None:
            raise IndexMissing("There is no search index yet. `casebook index rebuild` makes one.")
        return name

    def _searcher(self) -> tantivy.Searcher:
        """Return the newest searcher of the live index."""
        return self._open(self._live_name(), keep=True).searcher

    def _open(self, name: str, *, keep: bool = False) -> _Reader:
        path = self._path(name)
        stamp = self._stamp(name, path)
        with self._reading:
            self._leave_inherited()
            reader = self._reader
            if reader is not None and reader.name == name and reader.stamp == stamp:
                return reader
            if reader is not None and reader.name == name:
                with _opening(name):
                    reader.index.reload()
                    fresh = _Reader(name, reader.index, stamp, reader.index.searcher())
            else:
                fresh = self._opened(name, path, stamp)
            if keep:
                self._reader = fresh
            return fresh

    def _stamp(self, name: str, path: Path) -> tuple[int, ...]:
        try:
            status = (path / "meta.json").stat()
        except FileNotFoundError:
            if path.is_dir():
                raise _corrupt(name, "its meta.json is missing") from None
            raise IndexMissing(
                f"There is no search index {name!r} in {str(self._folder)!r}. `casebook index rebuild` makes one."
            ) from None
        return (status.st_mtime_ns, status.st_ino, status.st_size)

    def _opened(self, name: str, path: Path, stamp: tuple[int, ...]) -> _Reader:
        self._check_format(name, path)
        with _opening(name):
            index = tantivy.Index.open(str(path))
            index.config_reader("manual")
            index.reload()
            return _Reader(name, index, stamp, index.searcher())

    def _check_format(self, name: str, path: Path) -> None:
        try:
            written = (path / "format").read_text()
        except FileNotFoundError:
            written = ""
        if written != _format():
            raise _corrupt(name, "it was written by another version of Casebook")

    def _writer(self, name: str) -> _Writer:
        opened = self._writers.get(name)
        if opened is not None and self._pid == os.getpid():
            return opened
        self._lock()
        path = self._path(name)
        self._stamp(name, path)
        self._check_format(name, path)
        with _opening(name):
            index = tantivy.Index.open(str(path))
            index.config_reader("manual")
            try:
                writer = index.writer(WRITER_MEMORY, WRITER_THREADS)
            except ValueError as error:
                if "LockBusy" in str(error) or "lock" in str(error).lower():
                    raise self._locked() from None
                raise
            index.reload()
            opened = _Writer(index, writer, index.searcher())
        self._writers[name] = opened
        return opened

    @contextmanager
    def _writing_to(self, name: str) -> Iterator[None]:
        """Let go of a writer that failed: it is of no more use, and what it had not committed is written again."""
        try:
            yield
        except (ValueError, OSError) as error:
            self._writers.pop(name, None)
            raise EngineDown(
                f"The search index {name!r} could not be written ({str(error)[:200]}). "
                f"Is there room on the disk of {str(self._folder)!r}, and may it be written?"
            ) from error

    def _leave_inherited(self) -> None:
        if self._pid != os.getpid():
            _INHERITED.extend((self._reader, dict(self._writers), self._lock_file))
            self._reader = None
            self._writers = {}
            self._lock_file = None
            self._pid = os.getpid()

    def _lock(self) -> None:
        """Become the one writing process of this machine, until `close`."""
        self._leave_inherited()
        if self._lock_file is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._locked() from None
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._lock_file = descriptor

    def _locked(self) -> EngineLocked:
        try:
            owner = (self._folder / "writer.lock").read_text() or "?"
        except OSError:
            owner = "?"
        return EngineLocked(
            f"The search index in {str(self._folder)!r} is written by process {owner} already. "
            "Stop that process, or leave the work to it."
        )

    def _count_or_zero(self, name: str) -> int:
        try:
            return self.count(name)
        except EngineDown:
            return 0


class _Search:
    """One request on one searcher."""

    def __init__(
        self, schema: tantivy.Schema, searcher: tantivy.Searcher, request: SearchRequest, synonyms: Synonyms
    ) -> None:
        self.schema = schema
        self.searcher = searcher
        self.request = request
        self.viewer = request.viewer
        self.words: Words = request.query
        self.plan = build_plan(self.words, is_staff=self.viewer.is_staff, synonyms=synonyms)
        self.rights = _rights(schema, self.viewer)
        self.chosen = {name: self._filter(name, values) for name, values in request.filters.items()}

    def result(self) -> SearchResult:
        request = self.request
        if self.plan.finds_nothing:
            return SearchResult(
                query=request.text, engine=EmbeddedEngine.name, total=0, hits=(), page=request.page, size=request.size
            )
        # The counts take as long as the hits; tantivy needs no interpreter lock for either.
        counting = _beside().submit(self._facets) if request.with_facets else None
        order = {"newest": "updated_at", "popular": "popularity"}.get(request.effective_sort)
        query = self._query(self.chosen.values(), is_scored=order is None)
        found = self.searcher.search(
            query, request.size, count=True, order_by_field=order, offset=request.offset, order=Order.Desc
        )
        marker = Marker(self.plan) if request.with_highlights else None
        hits = tuple(self._hit(score if order is None else 0.0, address, marker) for score, address in found.hits)
        total = int(_total(found))
        missing = self._missing(marker.seen if marker else ()) if request.with_correction else []
        return SearchResult(
            query=request.text,
            engine=EmbeddedEngine.name,
            total=total,
            hits=hits,
            facets=counting.result() if counting else {},
            did_you_mean=self._correction(missing) if missing else None,
            missing_words=tuple(word.text for word in missing),
            page=request.page,
            size=request.size,
        )

    def correction(self) -> str | None:
        return self._correction(self._missing())

    def explanation(self, document_id: str) -> Explanation:
        own = _silent(_term(self.schema, "id", document_id))
        hits = self.searcher.search(own, 1, count=False).hits
        if not hits:
            return Explanation(id=document_id, presence=Presence.NOT_INDEXED)
        address = hits[0][1]
        if self.searcher.fast_field_values("gone", [address])[0]:
            return Explanation(id=document_id, presence=Presence.WITHDRAWN)

        def matches(*others: Query) -> bool:
            return _count(self.searcher, Query.boolean_query([(Occur.Must, q) for q in (own, *others)])) > 0

        if not matches(self.rights):
            return Explanation(id=document_id, presence=Presence.NOT_READABLE)
        fields = self._matched_fields(document_id)
        if self.plan.finds_nothing or not matches(self._query((), is_scored=False)):
            return Explanation(id=document_id, presence=Presence.NO_MATCH, matched_fields=fields)
        kept_out = tuple(name for name, chosen in self.chosen.items() if not matches(chosen))
        if kept_out:
            return Explanation(id=document_id, presence=Presence.FILTERED, matched_fields=fields, filters=kept_out)
        ranked = self.searcher.search(self._query(self.chosen.values()), DEEPEST_HIT, count=False).hits
        place = next(
            (n for n, (_, a) in enumerate(ranked, 1) if (a.segment_ord, a.doc) == (address.segment_ord, address.doc)), 0
        )
        return Explanation(
            id=document_id,
            presence=Presence.FOUND,
            rank=place,
            score=ranked[place - 1][0] if place else 0.0,
            matched_fields=fields,
        )

    def _query(self, filters: Iterable[Query], *, is_scored: bool = True) -> Query:
        plan = self.plan if is_scored else replace(self.plan, scoring=(), refining=())
        parts = [(Occur.Must, self.rights), *_plan_parts(self.schema, plan)]
        for name, values in self.words.operators.items():
            parts.append((Occur.Must, self._operator(name, values)))
        parts += [(Occur.Must, chosen) for chosen in filters]
        return Query.boolean_query(parts)

    def _operator(self, name: str, values: Sequence[str]) -> Query:
        if name == "id":
            return _silent(_terms(self.schema, "identifiers", [stored.identifier_key(value) for value in values]))
        return _silent(_terms(self.schema, _column(name), values))

    def _filter(self, name: str, values: Sequence[str]) -> Query:
        if name != UPDATED:
            return _silent(_terms(self.schema, _column(name), values))
        ways = [(Occur.Should, self._updated_within(period_of(value, self.request.now))) for value in values]
        return _silent(Query.boolean_query(ways))

    def _updated_within(self, period: Period) -> Query:
        return Query.range_query(
            self.schema,
            "updated_at",
            FieldType.Unsigned,
            stored.epoch(period.begins_at) if period.begins_at else None,
            stored.epoch(period.ends_at) if period.ends_at else None,
            include_upper=period.ends_at is None,
        )

    def _facets(self) -> dict[str, tuple[FacetValue, ...]]:
        counts: dict[str, Mapping[str, int]] = {}
        alike = [facet for facet in self.request.facets if facet.name not in self.chosen]
        counts |= self._counted(self._query(self.chosen.values(), is_scored=False), alike)
        for name in self.chosen:
            others = [chosen for other, chosen in self.chosen.items() if other != name]
            counts |= self._counted(self._query(others, is_scored=False), [FACETS[name]])
        return {
            facet.name: build_values(
                facet, counts[facet.name], self.request.filters.get(facet.name, ()), self.request.facet_limit
            )
            for facet in self.request.facets
        }

    def _counted(self, query: Query, facets: Sequence[Facet]) -> dict[str, dict[str, int]]:
        if not facets:
            return {}
        asked = {facet.name: _aggregation(facet, self.request.now, self.request.facet_limit) for facet in facets}
        answer = self.searcher.aggregate(query, asked)
        counts = {}
        for facet in facets:
            buckets = answer[facet.name]["buckets"]
            if facet.is_dates:
                counts[facet.name] = count_ages([bucket["doc_count"] for bucket in buckets])
            else:
                counts[facet.name] = {bucket["key"]: bucket["doc_count"] for bucket in buckets}
        return counts

    def _hit(self, score: float, address: tantivy.DocAddress, marker: Marker | None) -> Hit:
        document_id, data = _read(self.searcher, address)
        fields = self._matched_fields(document_id) if self.request.explain and self.viewer.is_staff else ()
        return stored.build_hit(
            document_id, data, score=score, marker=marker, is_staff=self.viewer.is_staff, matched_fields=fields
        )

    def _matched_fields(self, document_id: str) -> tuple[MatchedField, ...]:
        own = _silent(_term(self.schema, "id", document_id))
        scores: dict[str, float] = {}
        words: dict[str, dict[str, None]] = {}
        for clause in (*self.plan.matching, *self.plan.scoring, *self.plan.refining):
            name = clause.field.value
            for label, (_, part) in zip(labels_of(clause), _clause(self.schema, clause), strict=True):
                query = Query.boolean_query([(Occur.Must, own), (Occur.Must, part)])
                if hits := self.searcher.search(query, 1, count=False).hits:
                    scores[name] = scores.get(name, 0.0) + hits[0][0]
                    words.setdefault(name, {})[label] = None
        found = [
            MatchedField(field=name, score=round(score, 4), words=tuple(words[name])) for name, score in scores.items()
        ]
        return tuple(sorted(found, key=lambda f: -f.score))

    def _missing(self, seen: Collection[str] = ()) -> list[TypedWord]:
        return corrections.missing_words(self.words, self._readable, seen)

    def _readable(self, terms: Iterable[str]) -> set[str]:
        return {term for term in terms if self._is_readable(term)}

    def _is_readable(self, term: str) -> bool:
        fields = [Field.ALL, Field.CODES, Field.CHARACTERS, *((Field.INTERNAL,) if self.viewer.is_staff else ())]
        there = [f.value for f in fields if self.searcher.doc_freq(f.value, term)]
        if not there:
            return False
        ways = Query.boolean_query([(Occur.Should, _term(self.schema, name, term)) for name in there])
        query = Query.boolean_query([(Occur.Must, self.rights), (Occur.Must, ways)])
        return _count(self.searcher, query) > 0

    def _correction(self, missing: Sequence[TypedWord]) -> str | None:
        def near(word: str, distance: int) -> Iterator[str]:
            fuzzy = Query.fuzzy_term_query(self.schema, Field.WORDS.value, word, distance)
            query = Query.boolean_query([(Occur.Must, self.rights), (Occur.Must, fuzzy)])
            for _, address in self.searcher.search(query, corrections.LOOKED_AT, count=False).hits:
                _, data = _read(self.searcher, address)
                yield stored.searched_text(data, is_staff=False)

        text = corrections.corrected(self.request.text, missing, near)
        if text is None:
            return None
        words = parse(text)
        plan = build_plan(words, is_staff=self.viewer.is_staff)
        parts = [(Occur.Must, self.rights), *_plan_parts(self.schema, plan)]
        parts += [(Occur.Must, self._operator(name, values)) for name, values in words.operators.items()]
        parts += [(Occur.Must, chosen) for chosen in self.chosen.values()]
        return text if _count(self.searcher, Query.boolean_query(parts)) else None


@dataclass(slots=True)
class _Threads:
    """Threads beside the ones that ask; a forked process makes its own."""

    pid: int = 0
    pool: ThreadPoolExecutor | None = None


_THREADS = _Threads()


def _beside() -> ThreadPoolExecutor:
    if _THREADS.pool is None or _THREADS.pid != os.getpid():
        _THREADS.pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="facets")
        _THREADS.pid = os.getpid()
    return _THREADS.pool


# Queries


def _term(schema: tantivy.Schema, name: str, value: str) -> Query:
    return Query.term_query(schema, name, value)


def _terms(schema: tantivy.Schema, name: str, values: Iterable[str]) -> Query:
    wanted = [value[: stored.LONGEST_KEYWORD] for value in values]
    return _term(schema, name, wanted[0]) if len(wanted) == 1 else Query.term_set_query(schema, name, wanted)


def _silent(query: Query) -> Query:
    """Let a query select without adding to the score."""
    return Query.const_score_query(query, 0.0)


def _rights(schema: tantivy.Schema, viewer: Viewer) -> Query:
    """Return what every query begins with; a viewer without tokens finds nothing, and nobody finds a tombstone."""
    if not viewer.tokens:
        return Query.empty_query()
    return _silent(_terms(schema, "readers", sorted(viewer.tokens)))


def _prefix(text: str) -> str:
    escaped = "".join(ch if ch.isalnum() or ch == " " or not ch.isascii() else f"\\{ch}" for ch in text)
    return f"{escaped}.*"


def _clause(schema: tantivy.Schema, clause: Clause) -> list[tuple[Occur, Query]]:
    if clause.is_phrase:
        parts = [Query.phrase_query(schema, clause.field.value, list(clause.terms))]
    else:
        option = "basic" if clause.field == Field.CODES else "freq"
        parts = [Query.term_query(schema, clause.field.value, term, option) for term in clause.terms]
    if clause.weight != 1.0:
        parts = [_silent(p) if clause.weight == 0 else Query.boost_query(p, clause.weight) for p in parts]
    return [(Occur.Should, part) for part in parts]


def _any(schema: tantivy.Schema, clauses: Iterable[Clause]) -> Query:
    return Query.boolean_query([part for clause in clauses for part in _clause(schema, clause)])


def _plan_parts(schema: tantivy.Schema, plan: Plan) -> list[tuple[Occur, Query]]:
    if plan.finds_nothing:
        return [(Occur.Must, Query.empty_query())]
    parts: list[tuple[Occur, Query]] = []
    if plan.matching:
        parts.append((Occur.Must, _any(schema, plan.matching)))
    for clause in (*plan.scoring, *plan.refining):
        parts += _clause(schema, clause)
    parts += [(Occur.Must, _silent(_any(schema, group))) for group in plan.required]
    parts += [(Occur.MustNot, query) for clause in plan.excluded for _, query in _clause(schema, clause)]
    return parts


def _count(searcher: tantivy.Searcher, query: Query) -> int:
    return _total(searcher.search(query, 1, count=True))


def _total(found: tantivy.SearchResult) -> int:
    # The library's own annotations forget this attribute.
    return int(found.count)  # type: ignore[attr-defined]


def _aggregation(facet: Facet, now: datetime, limit: int) -> dict[str, Any]:
    if not facet.is_dates:
        return {"terms": {"field": _column(facet.name), "size": limit, "segment_size": 10 * limit}}
    bounds = [stored.epoch(moment) for moment in age_bounds(now)]
    ranges = [{"to": bounds[0]}, *({"from": a, "to": b} for a, b in pairwise(bounds))]
    return {"range": {"field": "updated_at", "ranges": [*ranges, {"from": bounds[-1]}]}}


def _read(searcher: tantivy.Searcher, address: tantivy.DocAddress) -> tuple[str, dict[str, Any]]:
    document = searcher.doc(address)
    data: dict[str, Any] = json.loads(bytes(document.get_first("stored") or b"{}"))
    return str(document.get_first("id")), data


# Documents


def _key(document_id: str) -> int:
    """Return a number for an id: reversible for the kinds the product indexes, a hash for any other."""
    kind, _, number = document_id.partition(":")
    if kind in KINDS and number.isascii() and number.isdigit() and len(number) < LONGEST_NUMBER and number[0] != "0":
        return (KINDS.index(kind) << KEY_BITS) | int(number)
    return HASHED | int.from_bytes(blake2b(document_id.encode(), digest_size=8).digest(), "big") >> 1


def _id(key: int) -> str | None:
    if key >= HASHED:
        return None
    return f"{KINDS[key >> KEY_BITS]}:{key & ((1 << KEY_BITS) - 1)}"


def _indexed(item: Document | Tombstone, key: int) -> tantivy.Document:
    document = tantivy.Document()
    document.add_text("id", item.id)
    document.add_unsigned("key", key)
    document.add_unsigned("version", item.version)
    document.add_unsigned("gone", int(isinstance(item, Tombstone)))
    if isinstance(item, Document):
        _add_terms(document, item)
        _add_values(document, item)
    return document


def _add_terms(document: tantivy.Document, item: Document) -> None:
    folded = analysis.fold("\n".join(stored.texts_of(item)))
    title = analysis.fold(item.title)
    terms, words = analysis.terms_and_words_of(folded)
    fields = {
        Field.ALL: terms,
        Field.WORDS: words,
        Field.TITLE: analysis.terms_of(title),
        Field.LEAD: analysis.terms(stored.lead_of(item)),
        Field.CHARACTERS: analysis.characters_of(folded),
        Field.TITLE_CHARACTERS: analysis.characters_of(title),
        Field.INTERNAL: analysis.terms(item.internal[: stored.LONGEST_TEXT]),
    }
    for name, found in fields.items():
        if found:
            document.add_text(name.value, " ".join(found))
    document.add_text("title_words", " ".join(stored.title_words(item.title)))
    for code in stored.codes_of(item, folded):
        document.add_text(Field.CODES.value, code)


def _add_values(document: tantivy.Document, item: Document) -> None:
    data = stored.stored_fields(item)
    values: dict[str, Iterable[str]] = {
        "readers": item.readers,
        "identifiers": stored.identifiers_of(item),
        "title_start": [stored.title_key(item.title)],
        "pinyin": stored.pinyin_of(item.title),
    }
    for facet in FACETS.values():
        if not facet.is_dates and facet.name in data:
            values[_column(facet.name)] = data[facet.name]
    for name, several in values.items():
        for value in several:
            document.add_text(name, value)
    document.add_unsigned("updated_at", stored.epoch(item.updated_at))
    document.add_unsigned("popularity", max(0, int(item.popularity * 1000)))
    document.add_bytes("stored", stored.written(data))


def _versions_of(opened: _Writer, schema: tantivy.Schema, keys: Sequence[int]) -> dict[int, int]:
    """Return the versions that the index holds of these keys, committed or not."""
    found: dict[int, int] = {}
    if keys and opened.searcher.num_docs:
        query = Query.term_set_query(schema, "key", list(set(keys)))
        addresses = [address for _, address in opened.searcher.search(query, len(keys), count=False).hits]
        held = opened.searcher.fast_field_values("key", addresses)
        versions = opened.searcher.fast_field_values("version", addresses)
        found = {int(k or 0): int(v or 0) for k, v in zip(held, versions, strict=True)}
    pending = opened.pending
    found.update((key, pending[key]) for key in keys if key in pending)
    return found


# Files and faults


def _format() -> str:
    """Return what an index must have been written with to be read: this layout and this folding table."""
    table = zlib.crc32((analysis.TABLES / "fold.txt").read_bytes())
    return f"{FORMAT} {table:08x}\n"


FOOTER_MAGIC = 1337


def _is_whole(path: Path) -> bool:
    """Compare a file with the checksum in its footer: JSON, its length, and a magic number."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < 8:
            return False
        file.seek(size - 8)
        length, magic = struct.unpack("<II", file.read(8))
        if magic != FOOTER_MAGIC or length > size - 8:
            return False
        file.seek(size - 8 - length)
        try:
            expected = json.loads(file.read(length))["crc"]
        except (ValueError, KeyError, TypeError):
            return False
        file.seek(0)
        left = size - 8 - length
        found = 0
        while left > 0:
            block = file.read(min(left, 1 << 20))
            if not block:
                return False
            found = zlib.crc32(block, found)
            left -= len(block)
    return bool(found == expected)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _corrupt(name: str, why: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"The search index {name!r} cannot be read: {why}. Nothing is lost; `casebook index rebuild` makes it again."
    )


@contextmanager
def _opening(name: str) -> Iterator[None]:
    """Say of anything that goes wrong while an index is opened that the index is corrupt."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise _corrupt(name, str(error)[:200]) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise _corrupt(name, "tantivy gave up on its files") from None


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the library's errors into the protocol's."""
    try:
        yield
    except ValueError as error:
        raise BadQuery(f"The embedded engine refused a query: {str(error)[:200]}") from error
    except OSError as error:
        raise EngineDown(f"The search index cannot be read or written: {error.strerror or error}.") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise IndexCorrupt(
            "The search index cannot be read. Nothing is lost; `casebook index rebuild` makes it again."
        ) from None
