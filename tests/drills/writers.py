"""People who write: each makes, changes and deletes objects of its own, and repeats what was not answered.

A write is repeated under the same `Idempotency-Key` until it is acknowledged; meanwhile the writer goes on with other
objects.  What a writer does next depends on the seed and on what was acknowledged, never on the time.
"""

from __future__ import annotations

import http
import random
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.drills.caller import Caller, NoAnswer, csrf_token, option_named, told, value_of
from tests.drills.ledger import Ledger, Thing
from tests.drills.weather import Effect, Weather
from tests.installation import Answer

AGAIN_S = 0.4
IN_PROGRESS_AGAIN_S = 2.0
MOST_ALIVE = 250
"""Beyond so many objects a writer deletes more than it makes, so that a long run judges a corpus of bounded size."""
WORDS = ("printer", "router", "invoice", "sensor", "battery", "licence", "backup", "motor", "display", "firewall")
TRANSITIONS = {
    "new": ("open", "waiting"),
    "open": ("waiting", "closed"),
    "waiting": ("open", "closed"),
    "closed": ("open",),
}
ENTITIES = {"article": "articles", "record": "records", "customer": "customers"}


@dataclass(eq=False)
class Write:
    """Something a writer wants done.  `send` sends it once; `apply` notes in the ledger that it was done."""

    what: str
    thing: Thing
    send: Callable[[Write], Answer]
    apply: Callable[[Any], None]
    key: str
    tries: int = 0
    began: float = field(default_factory=time.monotonic)
    again_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What all writers and readers share."""

    ports: tuple[int, ...]
    token: str
    email: str
    password: str
    ledger: Ledger
    weather: Weather
    seed: int
    categories: tuple[Thing, ...] = ()
    customers: tuple[Thing, ...] = ()


class Writer(threading.Thread):
    """Writes until told to stop, then brings what is open to its end."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.stage = stage
        self.ledger = stage.ledger
        self.random = random.Random(f"{stage.seed}/{name}")
        self.caller = Caller(stage.ports, token=stage.token)
        self.alive: list[Thing] = []
        self._waiting: list[Write] = []
        self._over = threading.Event()
        self._give_up_at = float("inf")
        self._made = 0

    @abstractmethod
    def next_write(self) -> Write:
        """Decide what to write next."""

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self._attempt(self._due() or self.next_write())
            while self._waiting and time.monotonic() < self._give_up_at:
                if write := self._due():
                    self._attempt(write)
                else:
                    time.sleep(0.05)
            for write in self._waiting:
                self.ledger.violate(f"{write.what} {write.thing.marker} was never answered, {write.tries} tries long")
        except Exception as error:
            self.ledger.violate(f"the writer {self.name} failed: {type(error).__name__}: {error}")
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Hang up."""
        self.caller.close()

    def stop(self, patience_s: float) -> None:
        self._give_up_at = time.monotonic() + patience_s
        self._over.set()

    # What the kinds of writers use

    def make(self, kind: str, **fields: Any) -> Thing:
        self._made += 1
        marker = f"{self.name}n{self._made:06d}"
        return self.ledger.add(Thing(kind, marker, fields=dict(fields)))

    def words(self) -> str:
        return " ".join(self.random.sample(WORDS, 3))

    def pick(self, kind: str | None = None) -> Thing | None:
        """One of the living that no write is under way to."""
        idle = [thing for thing in self.alive if not thing.is_busy and kind in (None, thing.kind)]
        return self.random.choice(idle) if idle else None

    def create(self, thing: Thing, fields: dict[str, Any], **more: Any) -> Write:
        """Make an object with these fields, and with more that nobody looks at again."""
        return self.api("create", thing, "POST", f"/api/v1/{ENTITIES[thing.kind]}", more | fields, fields)

    def patch(self, thing: Thing, body: dict[str, Any], what: str = "change") -> Write:
        """Change fields; the version goes along where it is known."""
        sent = body | ({"version": thing.version} if thing.version is not None else {})
        return self.api(what, thing, "PATCH", f"/api/v1/{ENTITIES[thing.kind]}/{thing.id}", sent, body)

    def delete(self, thing: Thing) -> Write:
        self.alive.remove(thing)

        def gone(_: Any) -> None:
            thing.is_deleted = True

        return self.api("delete", thing, "DELETE", f"/api/v1/{ENTITIES[thing.kind]}/{thing.id}", None, {}, gone)

    def api(
        self,
        what: str,
        thing: Thing,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        expected: dict[str, Any],
        also: Callable[[Any], None] = lambda _: None,
    ) -> Write:
        def send(write: Write) -> Answer:
            return self.caller.ask(method, path, body, key=write.key)

        def apply(answered: Any) -> None:
            is_new = thing.id is None
            if is_new:
                # A repetition may be answered with nothing but the name of what was made.
                thing.id = answered.get("id") or int(answered["reference"].rpartition(":")[2])
            if path.endswith("/entries"):
                thing.version = None
            else:
                thing.version = answered.get("version")
            thing.fields.update(expected)
            also(answered)
            if is_new:
                self.alive.append(thing)

        return self.write(f"{thing.kind}.{what}", thing, send, apply)

    def write(self, what: str, thing: Thing, send: Callable[[Write], Answer], apply: Callable[[Any], None]) -> Write:
        thing.is_busy = True
        key = f"{self.stage.seed}-{self.name}-{self.random.getrandbits(64):x}"
        return Write(what, thing, send, apply, key)

    # Sending

    def _due(self) -> Write | None:
        for write in self._waiting:
            if write.again_at <= time.monotonic():
                self._waiting.remove(write)
                return write
        return None

    def _again(self, write: Write, pause_s: float) -> None:
        write.again_at = time.monotonic() + pause_s
        self._waiting.append(write)
        # With every object busy there would be nothing left to do but make new ones.
        if len(self._waiting) > 3:
            time.sleep(pause_s)

    def _attempt(self, write: Write) -> None:
        write.tries += 1
        began = time.monotonic()
        try:
            answer = write.send(write)
        except NoAnswer as error:
            self.ledger.note_unanswered()
            if not self.stage.weather.allows(Effect.WEB_AWAY, began, time.monotonic()):
                self.ledger.violate(f"no answer without a fault: {error}")
            self._again(write, AGAIN_S)
            return
        except Untimely:
            self._again(write, AGAIN_S)
            return
        self._judge(write, answer, began)

    def _judge(self, write: Write, answer: Answer, began: float) -> None:
        ended = time.monotonic()
        is_gone_already = (
            write.what.endswith(".delete") and write.tries > 1 and answer.status == http.HTTPStatus.NOT_FOUND
        )
        if answer.status < 400 or is_gone_already:
            write.apply(answer.json if answer.body.startswith(b"{") else {})
            write.thing.is_busy = False
            self.ledger.acknowledge(
                write.what,
                tries=write.tries,
                was_replayed="idempotency-replayed" in answer.headers,
                took_s=ended - write.began,
            )
        elif answer.status == http.HTTPStatus.CONFLICT and b'"in_progress"' in answer.body:
            self._again(write, IN_PROGRESS_AGAIN_S)
        elif answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE and self.stage.weather.allows(
            Effect.DATABASE_AWAY, began, ended
        ):
            self._again(write, AGAIN_S)
        else:
            self.ledger.violate(f"{write.what} {write.thing.marker}, try {write.tries}: {told(answer)}")
            if answer.status >= 500:
                self._again(write, AGAIN_S)


class Untimely(Exception):
    """A page was not as a form needs it, because a fault lasts; the write is tried again."""


class Articles(Writer):
    """An editor: articles come, change, are published, narrowed, archived and removed."""

    def next_write(self) -> Write:
        thing = self.pick("article")
        choice = self.random.random()
        if thing is None or choice < (0.3 if len(self.alive) < MOST_ALIVE else 0.02):
            return self._new()
        if choice < 0.55:
            title = f"{thing.marker} {self.words()}"
            return self.patch(thing, {"title": title, "body": f"About the {self.words()}."})
        if choice < 0.7:
            return self.patch(thing, {"audience": self.random.choice(("public", "customers", "internal"))}, "audience")
        if choice < 0.78:
            return self.patch(thing, {"category": self.random.choice(self.stage.categories).fields["slug"]}, "move")
        if choice < 0.9:
            # Text and state at once: one write, which is done whole or not at all.
            state = "archived" if thing.fields["state"] == "published" else "published"
            return self.patch(thing, {"summary": self.words(), "state": state}, "state")
        return self.delete(thing)

    def _new(self) -> Write:
        thing = self.make("article")
        fields = {
            "title": f"{thing.marker} {self.words()}",
            "body": f"First the {self.words()}, then the {self.words()}.",
            "state": self.random.choice(("published", "published", "draft")),
            "audience": self.random.choice(("public", "public", "customers", "internal")),
            "category": self.random.choice(self.stage.categories).fields["slug"],
            "tags": sorted(self.random.sample([f"steady {word}" for word in WORDS], 2)),
        }
        return self.create(thing, fields, kind="faq")


class Records(Writer):
    """An agent: records are opened, answered, noted, moved, and now and then removed."""

    def next_write(self) -> Write:
        thing = self.pick("record")
        choice = self.random.random()
        if thing is None or choice < (0.25 if len(self.alive) < MOST_ALIVE else 0.02):
            return self._new()
        if choice < 0.65:
            return self._entry(thing)
        if choice < 0.8:
            fields = {"subject": f"{thing.marker} {self.words()}", "priority": self.random.choice(("low", "high"))}
            return self.patch(thing, fields)
        if choice < 0.92:
            state = self.random.choice(TRANSITIONS[thing.fields["state"]])
            return self.patch(thing, {"serial_number": f"SN{self.random.randrange(10**6)}", "state": state}, "state")
        return self.delete(thing)

    def _new(self) -> Write:
        thing = self.make("record", state="new")
        fields = {
            "subject": f"{thing.marker} {self.words()}",
            "description": f"The {self.words()} fail.",
            "priority": "normal",
            "customer_id": self.random.choice(self.stage.customers).id,
        }
        return self.create(thing, fields, kind="request")

    def _entry(self, thing: Thing) -> Write:
        kind = self.random.choice(("reply", "note"))
        body = f"{thing.marker}e{len(thing.entries):03d} {self.words()}"

        def noted(_: Any) -> None:
            thing.entries.append(body)
            if kind == "reply" and thing.fields["state"] == "new":
                thing.fields["state"] = "open"

        path = f"/api/v1/records/{thing.id}/entries"
        return self.api(kind, thing, "POST", path, {"kind": kind, "body": body}, {}, noted)


class Customers(Writer):
    """Sales: profiles come, change their name (and with it every record of theirs), and go."""

    def next_write(self) -> Write:
        choice = self.random.random()
        thing = self.pick("customer")
        if thing is None or choice < (0.4 if len(self.alive) < MOST_ALIVE else 0.02):
            thing = self.make("customer")
            fields = {"name": f"{thing.marker} Ltd", "region": self.random.choice(("North", "South"))}
            emails = [f"{thing.marker}@example.org"]
            return self.create(thing, fields, kind="company", emails=emails)
        if choice < 0.45:
            named = self.random.choice(self.stage.customers)
            if not named.is_busy:
                return self.patch(named, {"name": f"{named.marker} {self.words()}"}, "rename")
        if choice < 0.85:
            return self.patch(thing, {"name": f"{thing.marker} {self.words()}", "region": self.words()})
        return self.delete(thing)


class Vocabulary(Writer):
    """An editor on the pages: renames categories and changes who may read them, renames and merges tags.

    Forms carry no idempotency key: after an unanswered sending the page is looked at before it is sent again.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self._page = Caller(stage.ports)
        self._is_signed_in = False

    def close(self) -> None:
        self._page.close()
        super().close()

    def next_write(self) -> Write:
        choice = self.random.random()
        tags = [thing for thing in self.alive if thing.kind == "tag" and not thing.is_busy]
        tagged = self.pick("article")
        if len(tags) > 3 and choice < 0.08:
            old, new = self.random.sample(tags, 2)
            return self._merge(old, new)
        if tags and choice < 0.14:
            return self._rename_tag(self.random.choice(tags))
        if choice < 0.2:
            category = self.random.choice(self.stage.categories)
            if not category.is_busy:
                return self._change_category(category)
        if tagged is not None and choice < (0.4 if len(self.alive) < MOST_ALIVE else 0.9):
            return self.delete(tagged)
        return self._new_article(tags)

    def _new_article(self, tags: list[Thing]) -> Write:
        """Write an article with a tag of ours; every now and then with a new one."""
        tag = self.random.choice(tags) if len(tags) > 6 else self.make("tag")
        thing = self.make("article", carries=tag)
        if tag.id is None:
            tag.fields.update(name=f"tag {tag.marker}", slug=f"tag-{tag.marker}")
        fields = {"title": f"{thing.marker} {self.words()}", "body": "Tagged.", "state": "published"}
        # Nobody may rename or merge the tag while an article that names it is on its way.
        tag.is_busy = True

        def made(_: Any) -> None:
            tag.is_busy = False
            if tag.id is None:
                tag.id = -1
                self.alive.append(tag)

        body = {"kind": "faq", "tags": [tag.fields["name"]], **fields}
        return self.api("create", thing, "POST", "/api/v1/articles", body, dict(fields), made)

    def _change_category(self, category: Thing) -> Write:
        if self.random.random() < 0.5:
            changed = {"name": f"{category.marker} {self.words()}"}
        else:
            changed = {"audience": self.random.choice(("public", "public", "customers"))}
        wanted = {"name": category.fields["name"], "audience": category.fields["audience"]} | changed
        path = f"/vocabulary/categories/{category.fields['slug']}"

        def send(write: Write) -> Answer:
            page = self._form(path)
            if write.tries > 1 and {name: value_of(page, name) for name in wanted} == wanted:
                return page
            version = value_of(page, "version")
            more = {"name_zh": "", "description": "", "parent_id": "", "position": "0", "version": version}
            return self._page.send_form(path, {"csrf_token": csrf_token(page)} | more | wanted)

        what = "category.rename" if "name" in changed else "category.audience"
        return self.write(what, category, send, lambda _: category.fields.update(changed))

    def _rename_tag(self, tag: Thing) -> Write:
        name = f"tag {tag.marker} {self.random.choice(WORDS)}"
        path = f"/vocabulary/tags/{tag.fields['slug']}"

        def send(write: Write) -> Answer:
            page = self._form(path)
            if write.tries > 1 and value_of(page, "name") == name:
                return page
            return self._page.send_form(path, {"csrf_token": csrf_token(page), "name": name, "name_zh": ""})

        return self.write("tag.rename", tag, send, lambda _: tag.fields.update(name=name))

    def _merge(self, old: Thing, new: Thing) -> Write:
        path = f"/vocabulary/tags/{old.fields['slug']}"
        new.is_busy = True
        self.alive.remove(old)

        def send(write: Write) -> Answer:
            page = self._form(path, may_be_missing=write.tries > 1)
            if page.status == http.HTTPStatus.NOT_FOUND:
                return Answer(200, {}, b"", 0.0)
            into = option_named(page, "into", new.fields["name"])
            assert into is not None, f"the tag {new.fields['name']!r} is not offered to merge into"
            return self._page.send_form(f"{path}/merger", {"csrf_token": csrf_token(page), "into": into})

        def merged(_: Any) -> None:
            new.is_busy = False
            old.is_deleted = True
            old.fields["into"] = new

        return self.write("tag.merge", old, send, merged)

    def _form(self, path: str, *, may_be_missing: bool = False) -> Answer:
        """A page with a form, in a session that is begun when it is needed."""
        began = time.monotonic()
        page = self._page.ask("GET", path) if self._is_signed_in else self._sign_in()
        if not self._is_signed_in and page.status == http.HTTPStatus.SEE_OTHER:
            self._is_signed_in = True
            page = self._page.ask("GET", path)
        if page.status == http.HTTPStatus.OK or (may_be_missing and page.status == http.HTTPStatus.NOT_FOUND):
            return page
        if page.status == http.HTTPStatus.SERVICE_UNAVAILABLE and self.stage.weather.allows(
            Effect.DATABASE_AWAY, began, time.monotonic()
        ):
            raise Untimely
        raise AssertionError(f"GET {path}: {told(page)}")

    def _sign_in(self) -> Answer:
        fields = {"email": self.stage.email, "password": self.stage.password, "next": ""}
        return self._page.post("/sign-in", "/sign-in", fields)


KINDS: tuple[type[Writer], ...] = (Articles, Records, Customers, Vocabulary)


def enlist(stage: Stage, count: int) -> list[Writer]:
    """So many writers of all kinds; never more than one for the vocabulary and the customers, who share objects."""
    kinds = [KINDS[number % 4] if number < 4 else KINDS[number % 2] for number in range(count)]
    return [kind(stage, f"{kind.__name__[:3].lower()}{number}") for number, kind in enumerate(kinds)]
