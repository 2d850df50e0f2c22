"""The judgement, when all is quiet: SQL against the ledger, the index against SQL, and nothing left hanging.

SQL is read past the product.  The index is compared twice: by the product's own command and by lists taken here.
"""

from __future__ import annotations

import http
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from portal.search.current import make_engine
from portal.settings import Settings
from tests.drills.caller import Caller, told
from tests.drills.ledger import Ledger, Thing
from tests.drills.places import Place, Production
from tests.drills.writers import Stage
from tests.installation import PASSWORD, wait_for

SAMPLED = 100
DIFFERENCES = ("missing", "stale", "orphaned")
LISTED = 5_000
PENDING = "version > indexed_version"


class SessionWatch:
    """Three sessions: one that stays, one that signs out, one that is ended from elsewhere."""

    def __init__(self, ports: tuple[int, ...]) -> None:
        self.kept, self.left, self.ended = (Caller(ports) for _ in range(3))
        self._other = Caller(ports)
        self.kept.sign_in("ada@example.com", PASSWORD)
        self.left.sign_in("ada@example.com", PASSWORD)
        self.ended.sign_in("olga@example.com", PASSWORD)
        self._other.sign_in("olga@example.com", PASSWORD)
        self.are_ended = False

    def end_some(self) -> None:
        """Sign one out, and end the other from a second session of the same person."""
        cookie = self.left._cookie
        assert self.left.post("/me", "/sign-out", {}).status == http.HTTPStatus.SEE_OTHER
        self.left._cookie = cookie
        assert self._other.post("/me", "/me/sessions/end", {}).status == http.HTTPStatus.SEE_OTHER
        self.are_ended = True

    def close(self) -> None:
        for caller in (self.kept, self.left, self.ended, self._other):
            caller.close()

    def wrong(self) -> Iterator[str]:
        """What is not as it should be."""
        if self.kept.ask("GET", "/me").status != http.HTTPStatus.OK:
            yield "a session that nobody ended is gone"
        if self.are_ended and self.left.ask("GET", "/me").status == http.HTTPStatus.OK:
            yield "a session lives on after its sign-out"
        if self.are_ended and self.ended.ask("GET", "/me").status == http.HTTPStatus.OK:
            yield "a session lives on that was ended from another one"


class Judge:
    """Looks at everything; whatever is wrong becomes a violation in the ledger."""

    def __init__(self, place: Place, ledger: Ledger, stage: Stage, watch: SessionWatch) -> None:
        self._place, self._ledger, self._stage = place, ledger, stage
        self._watch = watch
        self._sql = create_engine(place.database_url, poolclass=NullPool)
        self.lost = self.doubled = self.resurrected = 0

    def judge(self, patience_s: float) -> dict[str, Any]:
        """Judge; the figures."""
        took_s, verified = self._wait_for_equality(patience_s)
        with self._sql.connect() as connection:
            self._compare_articles(connection)
            self._compare_records(connection)
            self._compare_imported(connection)
            self._compare_customers(connection)
            self._compare_vocabulary(connection)
            self._look_for_the_stuck(connection)
            self._compare_audit(connection)
            own = self._compare_index(connection)
        self._sample_searches()
        for sentence in self._watch.wrong():
            self._ledger.violate(sentence)
        self._watch.close()
        doctor = self._place.portal.report("doctor", codes=(0, 1))
        broken = [finding for finding in findings(doctor) if "chain is broken" in str(finding)]
        if broken:
            self._ledger.violate(f"the audit log is not whole: {broken}")
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "resurrected": self.resurrected,
            "compared": verified["checked"],
            "differences": sum(verified[name] for name in DIFFERENCES),
            "differences by our own lists": own,
            "seconds to equality": round(took_s, 1),
        }

    # The index

    def _wait_for_equality(self, patience_s: float) -> tuple[float, dict[str, int]]:
        began = time.monotonic()
        self._wait_until_nothing_is_pending(patience_s)
        while True:
            found: dict[str, int] = self._place.portal.report("index", "verify", codes=(0, 1))
            took_s = time.monotonic() - began
            if not any(found[name] for name in (*DIFFERENCES, "pending", "set_aside")):
                return took_s, found
            if took_s > patience_s:
                self._ledger.violate(f"after {took_s:.0f} s the index still differs from SQL: {found}")
                return took_s, found
            time.sleep(0.2)

    def _wait_until_nothing_is_pending(self, patience_s: float) -> None:
        """Ask SQL itself, which costs less than a command; whatever is still pending then, the command counts."""

        def is_settled() -> bool:
            with self._sql.connect() as connection:
                return not connection.execute(
                    text("SELECT count(*) FROM outbox WHERE version > indexed_version")
                ).scalar()

        with suppress(AssertionError):
            wait_for(is_settled, timeout_s=patience_s)

    def _compare_index(self, connection: Connection) -> int:
        """Compare `(id, version)` both ways, with lists of our own; how many differ."""
        wanted: dict[str, int] = {}
        versions = {
            (row.kind, row.object_id): row.version
            for row in connection.execute(text("SELECT kind, object_id, version FROM outbox"))
        }
        for kind in ("article", "record", "customer"):
            for (number,) in connection.execute(text(f"SELECT id FROM {kind}")):
                wanted[f"{kind}:{number}"] = versions.get((kind, number), -1)
        held = dict(self._held())
        differing = [
            f"{name}: SQL has version {wanted.get(name)}, the index {held.get(name)}"
            for name in wanted.keys() | held.keys()
            if wanted.get(name) != held.get(name)
        ]
        for sentence in differing[:5]:
            self._ledger.violate(sentence)
        return len(differing)

    def _held(self) -> Iterator[tuple[str, int]]:
        """What the index holds without its tombstones: from OpenSearch past the product."""
        if isinstance(self._place, Production):
            after: list[Any] | None = None
            self._place.ask_engine("POST", "/casebook/_refresh")
            while True:
                body: dict[str, Any] = {"size": LISTED, "version": True, "_source": False, "sort": [{"id": "asc"}]}
                body["query"] = {"term": {"gone": False}}
                if after:
                    body["search_after"] = after
                status, answer = self._place.ask_engine("POST", "/casebook/_search", body)
                assert status == http.HTTPStatus.OK, f"{status} {answer}"
                hits = answer["hits"]["hits"]
                for hit in hits:
                    yield hit["_id"], hit["_version"]
                if len(hits) < LISTED:
                    return
                after = hits[-1]["sort"]
        engine = make_engine(Settings.from_environ(self._place.portal.settings))
        try:
            for item in engine.versions(engine.live_index() or ""):
                if not item.is_gone:
                    yield item.id, item.version
        finally:
            engine.close()

    def _sample_searches(self) -> None:
        """Ask for some objects by their own word: those that live are found with their last title, the others not."""
        staff = Caller(self._place.ports, token=self._stage.token)
        things = [thing for thing in self._ledger.things if thing.kind in ("article", "record", "customer", "import")]
        for thing in things[:: max(1, len(things) // SAMPLED)]:
            answer = staff.ask("GET", f"/api/v1/search?q={thing.marker}")
            assert answer.status == http.HTTPStatus.OK, told(answer)
            hits = [hit for hit in answer.json["hits"] if hit["title"].split(" ")[0] == thing.marker]
            if thing.is_deleted and hits:
                self.resurrected += 1
                self._ledger.violate(f"{thing.kind} {thing.marker} was deleted and is found")
            elif not thing.is_deleted and not hits:
                self._ledger.violate(f"{thing.kind} {thing.marker} is not found by its own word: {told(answer)}")
            elif hits and hits[0]["title"] != title_of(thing):
                self._ledger.violate(f"{thing.marker} is found as {hits[0]['title']!r}, not as {title_of(thing)!r}")
        staff.close()

    # SQL

    def _compare(self, kind: str, rows: dict[int, dict[str, Any]], name: str) -> None:
        """Compare what SQL holds with what was acknowledged."""
        things = self._ledger.all_of(kind)
        for thing in things:
            row = rows.get(thing.id or 0)
            if row is not None and str(row[name]).split(" ")[0] != thing.marker:
                self._ledger.violate(f"{kind} {thing.id} was {thing.marker} and is {row[name]!r}: a number given twice")
                row = None
            if thing.is_deleted:
                if row is not None:
                    self.resurrected += 1
                    self._ledger.violate(f"{kind} {thing.marker} was deleted and is in SQL")
            elif row is None:
                self.lost += 1
                self._ledger.violate(f"{kind} {thing.marker} was acknowledged and is not in SQL")
            else:
                self._compare_fields(thing, row)
        known = {thing.marker for thing in things}
        markers = Counter(str(row[name]).split(" ")[0] for row in rows.values())
        for marker, count in markers.items():
            if marker in known and count > 1:
                self.doubled += count - 1
                self._ledger.violate(f"{kind} {marker} was made {count} times")

    def _compare_fields(self, thing: Thing, row: dict[str, Any]) -> None:
        differing = {
            field: (row[field], value) for field, value in thing.fields.items() if field in row and row[field] != value
        }
        if differing:
            self.lost += 1
            self._ledger.violate(f"{thing.kind} {thing.marker} is not as acknowledged (SQL, ledger): {differing}")

    def _compare_articles(self, connection: Connection) -> None:
        rows = {
            row.id: dict(row._mapping)
            for row in connection.execute(
                text(
                    "SELECT a.id, a.title, a.body, a.summary, a.state, a.audience, c.slug AS category FROM article a "
                    "LEFT JOIN category c ON c.id = a.category_id"
                )
            )
        }
        tags: defaultdict[int, list[str]] = defaultdict(list)
        carried = "SELECT l.article_id, t.name FROM article_tag l JOIN tag t ON t.id = l.tag_id ORDER BY t.name"
        for number, name in connection.execute(text(carried)):
            tags[number].append(name)
        for number, row in rows.items():
            row["tags"] = sorted(tags[number])
        for thing in self._ledger.all_of("article"):
            if (tag := thing.fields.get("carries")) is not None:
                while "into" in tag.fields:
                    tag = tag.fields["into"]
                thing.fields["tags"] = [tag.fields["name"]]
        self._compare("article", rows, "title")

    def _compare_records(self, connection: Connection) -> None:
        columns = "id, subject, description, priority, state, serial_number, customer_id"
        rows = {
            row.id: dict(row._mapping)
            for row in connection.execute(text(f"SELECT {columns} FROM record WHERE source IS NULL"))
        }
        self._compare("record", rows, "subject")
        held: defaultdict[int, Counter[str]] = defaultdict(Counter)
        query = text("SELECT record_id, body FROM entry WHERE kind IN ('reply', 'note')")
        for number, body in connection.execute(query):
            held[number][body] += 1
        for thing in self._ledger.all_of("record"):
            if thing.is_deleted or thing.id is None:
                continue
            for body in thing.entries:
                count = held[thing.id][body]
                self.lost += count == 0
                self.doubled += max(0, count - 1)
                if count != 1:
                    self._ledger.violate(f"the entry {body!r} stands {count} times in its record")

    def _compare_imported(self, connection: Connection) -> None:
        """Compare every line whose import ended well: its record is there once, as it was last taken."""
        columns = "id, external_id, subject, description, kind, state, priority, serial_number"
        query = text(f"SELECT {columns} FROM record WHERE source IS NOT NULL")
        rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in connection.execute(query):
            rows[row.external_id].append(dict(row._mapping))
        held: defaultdict[int, Counter[str]] = defaultdict(Counter)
        query = text(
            "SELECT record_id, body FROM entry WHERE record_id IN (SELECT id FROM record WHERE source IS NOT NULL)"
        )
        for number, body in connection.execute(query):
            held[number][body] += 1
        things = self._ledger.all_of("import")
        for thing in things:
            found = rows.pop(thing.marker, [])
            self.doubled += max(0, len(found) - 1)
            if len(found) != 1:
                self.lost += not found
                self._ledger.violate(f"the imported line {thing.marker} stands {len(found)} times in SQL")
                continue
            self._compare_fields(thing, found[0])
            if held[found[0]["id"]] != Counter(thing.entries):
                self._ledger.violate(
                    f"the imported line {thing.marker} has the entries {held[found[0]['id']]}, not {thing.entries}"
                )
        if rows:
            self.doubled += len(rows)
            self._ledger.violate(f"{len(rows)} imported records are in SQL that nobody sent: {sorted(rows)[:3]}")

    def _compare_customers(self, connection: Connection) -> None:
        found = connection.execute(text("SELECT id, name, region FROM customer"))
        self._compare("customer", {row.id: dict(row._mapping) for row in found}, "name")

    def _compare_vocabulary(self, connection: Connection) -> None:
        held = {
            row.slug: dict(row._mapping)
            for row in connection.execute(text("SELECT slug, name, audience FROM category"))
        }
        for thing in self._ledger.all_of("category"):
            self._compare_fields(thing, held[thing.fields["slug"]])
        names = {row.slug: row.name for row in connection.execute(text("SELECT slug, name FROM tag"))}
        for thing in self._ledger.all_of("tag"):
            if thing.id is None:
                continue
            wanted = None if thing.is_deleted else thing.fields["name"]
            if names.get(thing.fields["slug"]) != wanted:
                self.lost += 1
                self._ledger.violate(f"the tag {thing.marker} is {names.get(thing.fields['slug'])!r}, not {wanted!r}")

    # What must not be left over

    def _look_for_the_stuck(self, connection: Connection) -> None:
        questions = {
            "outbox rows are pending": f"SELECT count(*) FROM outbox WHERE {PENDING}",
            "outbox rows are leased": f"SELECT count(*) FROM outbox WHERE leased_by IS NOT NULL AND {PENDING}",
            "index builds are under way": "SELECT count(*) FROM index_build WHERE state IN "
            "('requested', 'loading', 'draining', 'verifying', 'dropping')",
            "mails are not sent": "SELECT count(*) FROM message WHERE sent_at IS NULL",
        }
        for what, question in questions.items():
            if count := connection.execute(text(question)).scalar_one():
                self._ledger.violate(f"{count} {what}")
        if isinstance(self._place, Production):
            import redis

            with redis.Redis.from_url(self._place.redis.url) as client:
                try:
                    wait_for(lambda: client.llen("rq:queue:casebook") == 0, timeout_s=60)
                except AssertionError:
                    self._ledger.violate(f"{client.llen('rq:queue:casebook')} jobs are stuck in the queue")

    def _compare_audit(self, connection: Connection) -> None:
        """Every object that was made is in the audit log as made, exactly once."""
        actions = {"article": "article.create", "record": "record.created", "customer": "customer.created"}
        for kind, action in actions.items():
            query = text("SELECT object_id FROM audit_entry WHERE action = :action")
            made = Counter(connection.execute(query, {"action": action}).scalars())
            wanted = Counter(thing.id for thing in self._ledger.all_of(kind) if thing.id is not None)
            for number, count in wanted.items():
                if made[number] != count:
                    self._ledger.violate(f"{kind} {number} stands {made[number]} times in the audit log as made")


def findings(report: Any) -> list[Any]:
    return report if isinstance(report, list) else report.get("findings", [report])


def title_of(thing: Thing) -> str:
    for name in ("title", "subject", "name"):
        if name in thing.fields:
            return str(thing.fields[name])
    return ""
