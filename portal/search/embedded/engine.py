"""The engine that needs no server: tantivy, in a folder of the data directory.

One process of the machine writes, guarded by a file lock; any number read.  A folder holds one index; the file `live`
names the one that searches read and is replaced in one step.  Readers look at two file stamps before each search and
reload when they changed, so that a commit is seen by the next search without a thread that watches.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import tantivy
from tantivy import FieldType, Occur, Order, Query

from portal.access import Viewer
from portal.search import suggestions
from portal.search.asking import Found, find_alike, find_loosely, is_loose, plan_of
from portal.search.document import Document, Ready, Tombstone
from portal.search.embedded.counting import TermCounts
from portal.search.embedded.documents import make_ready, read_stored
from portal.search.embedded.faults import corrupt, opening, translated
from portal.search.embedded.folder import Folder
from portal.search.embedded.mapped import Mapped
from portal.search.embedded.queries import count_hits, has_term, plan_parts, rights_of, silent, title_parts
from portal.search.embedded.schema import NAME, build_schema, column, id_of, key_of
from portal.search.embedded.search import Search
from portal.search.engine import BadQuery, EngineDown
from portal.search.guidance import Guidance, default_guidance
from portal.search.ranking import Plan
from portal.search.rarity import Rarities
from portal.search.request import SearchRequest
from portal.search.results import (
    EngineHealth,
    Explanation,
    Hit,
    IndexedVersion,
    IndexSummary,
    Outcome,
    SearchResult,
    Suggestion,
    WriteOutcome,
)
from portal.search.stages import SecondStage

WRITER_MEMORY = 96_000_000
WRITER_THREADS = 1
RESTS_AFTER_S = 120.0
"""An index that nothing is written to is closed after so long: by then it merges no more."""
MOST_PENDING = 50_000
WALK_STEP = 5_000
LONGEST_BEGUN = 2
MOST_BEGUN = 2_000


@dataclass(slots=True)
class _Reader:
    """An index opened for reading, and the stamp of the commit that it shows.

    `begun` keeps what was suggested for the first letters until the next commit: these match most titles, so they are
    the dearest, and everybody types them.
    """

    name: str
    index: tantivy.Index
    stamp: tuple[int, ...]
    searcher: tantivy.Searcher
    begun: dict[tuple[frozenset[str], suggestions.Typed, int], tuple[Suggestion, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Writer:
    """An index opened for writing; `pending` holds the versions written since the last commit."""

    index: tantivy.Index
    writer: tantivy.IndexWriter
    searcher: tantivy.Searcher
    pending: dict[int, int] = field(default_factory=dict)
    asked_at: float = field(default_factory=time.monotonic)


# What a forked child inherits cannot be closed there (its threads are gone) and must not be dropped either.
_INHERITED: list[object] = []


class EmbeddedEngine:
    """The index in a folder.  Safe for threads; one object a process."""

    name = NAME

    def __init__(
        self,
        folder: Path,
        *,
        guidance: Callable[[], Guidance] = default_guidance,
        second: SecondStage | None = None,
    ) -> None:
        self._folder = Folder(folder)
        self._mapped = Mapped()
        self._guidance = guidance
        self._second = second or SecondStage()
        self._schema = build_schema()
        self._rarities = Rarities(index_kept_s=0.0)
        self._reader: _Reader | None = None
        self._writers: dict[str, _Writer] = {}
        self._one_search = threading.Lock()
        self._reading = threading.Lock()
        self._writing = threading.RLock()
        self._pid = os.getpid()

    # Reading

    def search(self, request: SearchRequest) -> SearchResult:
        """See `SearchEngine.search`."""
        began = time.perf_counter()
        with self._searching() as searcher:
            result = find_loosely(request, partial(self._found, searcher))
        return replace(result, took_ms=round((time.perf_counter() - began) * 1000, 2))

    def _found(self, searcher: tantivy.Searcher, request: SearchRequest, loosely: bool) -> SearchResult:
        return self._asked(searcher, request, is_loose=loosely).result()

    def _asked(self, searcher: tantivy.Searcher, request: SearchRequest, *, is_loose: bool = False) -> Search:
        guidance = request.guidance or self._guidance()
        plan = plan_of(request, guidance, partial(self._weigh, searcher), is_loose=is_loose)
        return Search(self._schema, searcher, request, plan, self._second)

    def _weigh(self, searcher: tantivy.Searcher, plan: Plan, viewer: Viewer) -> Plan:
        return self._rarities.weigh(plan, viewer, TermCounts(self._schema, searcher))

    def suggest(self, viewer: Viewer, text: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """See `SearchEngine.suggest`."""
        typed = suggestions.read_typed(viewer, text, self._second)
        if typed is None:
            return ()
        reader = self._open(self._folder.live_name(), keep=True)
        known = (viewer.tokens, typed, limit)
        if (found := reader.begun.get(known)) is None:
            parts = title_parts(self._schema, typed)
            candidates = self._documents(reader.searcher, viewer, parts, suggestions.CANDIDATES)
            found = suggestions.rank(typed, candidates, limit)
            if len(typed.start) <= LONGEST_BEGUN and len(reader.begun) < MOST_BEGUN:
                reader.begun[known] = found
        return found

    def similar(
        self,
        viewer: Viewer,
        text: str,
        kinds: Collection[str] = (),
        exclude: Collection[str] = (),
        limit: int = 5,
    ) -> tuple[Hit, ...]:
        """See `SearchEngine.similar`."""
        schema = self._schema

        def find(plan: Plan) -> list[Found]:
            parts = plan_parts(schema, plan)
            if kinds:
                parts.append((Occur.Must, silent(Query.term_set_query(schema, column("kind"), list(kinds)))))
            parts += [(Occur.MustNot, has_term(schema, "id", document_id)) for document_id in exclude]
            return self._documents(searcher, viewer, parts, limit)

        with self._searching() as searcher:
            return find_alike(viewer, text, self._guidance(), partial(self._weigh, searcher), find)

    def _documents(
        self, searcher: tantivy.Searcher, viewer: Viewer, parts: Sequence[tuple[Occur, Query]], size: int
    ) -> list[Found]:
        with translated():
            query = Query.boolean_query([(Occur.Must, rights_of(self._schema, viewer)), *parts])
            hits = searcher.search(query, size, count=False).hits
            return [(score, *read_stored(searcher, address)) for score, address in hits]

    def correct(self, request: SearchRequest) -> str | None:
        """See `SearchEngine.correct`."""
        with self._searching() as searcher:
            return self._asked(searcher, request).correction()

    def explain(self, request: SearchRequest, document_id: str) -> Explanation:
        """See `SearchEngine.explain`."""
        with self._searching() as searcher:
            loosely = is_loose(request, partial(self._found, searcher))
            return self._asked(searcher, request, is_loose=loosely).explanation(document_id)

    def health(self) -> EngineHealth:
        """See `SearchEngine.health`."""
        try:
            name = self._folder.live_name()
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
            path = self._folder.index_path(name)
            if path.exists():
                raise BadQuery(f"An index {name!r} exists already. Choose another name or drop it first.")
            path.mkdir(parents=True)
            tantivy.Index(self._schema, path=str(path))
            self._folder.mark_layout(name)

    def live_index(self) -> str | None:
        """See `SearchEngine.live_index`."""
        return self._folder.live_index()

    def list_indices(self) -> tuple[IndexSummary, ...]:
        """See `SearchEngine.list_indices`."""
        live = self.live_index()
        return tuple(
            IndexSummary(
                name=path.name,
                documents=self._count_or_zero(path.name),
                bytes=sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
                is_live=path.name == live,
            )
            for path in self._folder.index_paths()
        )

    def write(self, index: str, batch: Sequence[Document | Tombstone | Ready]) -> tuple[WriteOutcome, ...]:
        """See `SearchEngine.write`."""
        with self._writing, self._writing_to(index):
            opened = self._writer(index)
            keys = [key_of(item.id) for item in batch]
            known = _versions_of(opened, self._schema, keys)
            outcomes = []
            for item, key in zip(batch, keys, strict=True):
                outcomes.append(self._write_one(opened, item, key, known.get(key)))
                if outcomes[-1].outcome == Outcome.DONE:
                    known[key] = item.version
            if len(opened.pending) > MOST_PENDING:
                self.commit(index)
            return tuple(outcomes)

    def _write_one(
        self, opened: _Writer, item: Document | Tombstone | Ready, key: int, known: int | None
    ) -> WriteOutcome:
        if known is not None and known > item.version:
            return WriteOutcome(id=item.id, version=item.version, outcome=Outcome.SUPERSEDED)
        try:
            document = (item if isinstance(item, Ready) else make_ready(item)).body.decode()
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
        opened.writer.add_json(document)
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
            with translated():
                rest = Query.range_query(self._schema, "key", FieldType.Unsigned, first, None)
                hits = searcher.search(rest, WALK_STEP, count=False, order_by_field="key", order=Order.Asc).hits
                addresses = [address for _, address in hits]
                versions = searcher.fast_field_values("version", addresses)
                gone = searcher.fast_field_values("gone", addresses)
                found = [
                    IndexedVersion(
                        id=id_of(key) or str(searcher.doc(address).get_first("id")),
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
        with translated():
            return count_hits(searcher, Query.term_query(self._schema, "gone", 0))

    def swap(self, index: str) -> None:
        """See `SearchEngine.swap`."""
        with self._writing:
            self._lock()
            self.commit(index)
            self._open(index)
            self._folder.make_live(index)

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
            shutil.rmtree(self._folder.index_path(index), ignore_errors=True)

    def check(self, index: str) -> None:
        """See `SearchEngine.check`: compare every file with the checksum that was written behind it."""
        self._open(index)
        damaged = self._folder.damaged_file(index)
        if damaged is not None:
            raise corrupt(index, f"the file {damaged} is damaged")

    def rest(self) -> None:
        """See `SearchEngine.rest`."""
        self._end_writers(idle_s=RESTS_AFTER_S)

    def close(self) -> None:
        """See `SearchEngine.close`."""
        with self._writing:
            self._end_writers()
            self._folder.unlock()
        with self._reading:
            self._reader = None

    # Files

    @contextmanager
    def _searching(self) -> Iterator[tantivy.Searcher]:
        """Give the newest searcher of the live index, to one search at a time.

        Two at once are no faster by much, as most of a search is Python; but each would keep what it looked at of the
        index in this process's memory until the last of them is done.
        """
        with self._one_search, translated():
            yield self._open(self._folder.live_name(), keep=True).searcher

    def _open(self, name: str, *, keep: bool = False) -> _Reader:
        stamp = self._folder.stamp(name)
        with self._reading:
            self._leave_inherited()
            reader = self._reader
            is_much = keep and self._mapped.is_much()
            if reader is not None and reader.name == name and reader.stamp == stamp:
                if is_much:
                    # Who searches with the old one goes on; its files are closed with the last of them.
                    reader = replace(self._opened(name, stamp), begun=reader.begun)
                    self._reader = reader
                return reader
            if reader is not None and reader.name == name and not is_much:
                with opening(name):
                    reader.index.reload()
                    fresh = _Reader(name, reader.index, stamp, reader.index.searcher())
            else:
                fresh = self._opened(name, stamp)
            if keep:
                self._reader = fresh
            return fresh

    def _opened(self, name: str, stamp: tuple[int, ...]) -> _Reader:
        self._folder.check_layout(name)
        with opening(name):
            self._mapped.opened()
            index = tantivy.Index.open(str(self._folder.index_path(name)))
            index.config_reader("manual")
            index.reload()
            return _Reader(name, index, stamp, index.searcher())

    def _writer(self, name: str) -> _Writer:
        opened = self._writers.get(name)
        if opened is not None and self._pid == os.getpid():
            opened.asked_at = time.monotonic()
            return opened
        self._lock()
        self._folder.stamp(name)
        self._folder.check_layout(name)
        with opening(name):
            index = tantivy.Index.open(str(self._folder.index_path(name)))
            index.config_reader("manual")
            try:
                writer = index.writer(WRITER_MEMORY, WRITER_THREADS)
            except ValueError as error:
                if "LockBusy" in str(error) or "lock" in str(error).lower():
                    raise self._folder.locked() from None
                raise
            index.reload()
            opened = _Writer(index, writer, index.searcher())
        self._writers[name] = opened
        return opened

    def _end_writers(self, idle_s: float = 0.0) -> None:
        """Close the indices that nobody wrote to for so long; what they still merge is waited for."""
        with self._writing:
            self._leave_inherited()
            for name, opened in list(self._writers.items()):
                if time.monotonic() - opened.asked_at >= idle_s:
                    with self._writing_to(name):
                        self.commit(name)
                        opened.writer.wait_merging_threads()
                    del self._writers[name]

    @contextmanager
    def _writing_to(self, name: str) -> Iterator[None]:
        """Let go of a writer that failed: it is of no more use, and what it had not committed is written again."""
        try:
            yield
        except (ValueError, OSError) as error:
            self._writers.pop(name, None)
            raise EngineDown(
                f"The search index {name!r} could not be written ({str(error)[:200]}). "
                f"Is there room on the disk of {str(self._folder.path)!r}, and may it be written?"
            ) from error

    def _leave_inherited(self) -> None:
        if self._pid != os.getpid():
            _INHERITED.extend((self._reader, dict(self._writers)))
            self._reader = None
            self._writers = {}
            self._folder.leave_lock()
            self._pid = os.getpid()

    def _lock(self) -> None:
        """Become the one writing process of this machine, until `close`."""
        self._leave_inherited()
        self._folder.lock()

    def _count_or_zero(self, name: str) -> int:
        try:
            return self.count(name)
        except EngineDown:
            return 0


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
