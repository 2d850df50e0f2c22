"""One run of the drill: a place is started, people write and read, faults happen, and then it is judged."""

from __future__ import annotations

import http
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from portal.accounts import tokens, users
from portal.app import create_app
from portal.extensions import db
from portal.settings import Settings
from tests.drills.caller import Caller, csrf_token, told
from tests.drills.faults import Fault, Injector, plan
from tests.drills.importer import Importer
from tests.drills.judge import Judge, SessionWatch
from tests.drills.ledger import Ledger, Thing
from tests.drills.places import PLACES, Place
from tests.drills.readers import STEADY_INTERNAL, STEADY_PUBLIC, Reader
from tests.drills.weather import Weather
from tests.drills.writers import Stage, enlist
from tests.installation import PASSWORD

CATEGORIES, CUSTOMERS = 8, 20
STALLED_S = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a run is asked to do.  The same orders give the same faults and the same plans of all writers."""

    setup: str
    seed: int
    faults: int
    writes: int
    writers: int = 5
    readers: int = 2
    import_lines: int = 1_000
    import_share: float = 0.5
    is_long: bool = False
    patience_s: float = 60.0
    """How long the index may take to equal SQL once all is quiet."""

    @property
    def command(self) -> str:
        long = " --long" if self.is_long else ""
        return (
            f"python -m tests.drills --setup {self.setup} --seed {self.seed} --faults {self.faults} "
            f"--writes {self.writes} --writers {self.writers} --import-lines {self.import_lines} "
            f"--import-share {self.import_share:g}{long}"
        )


@dataclass(slots=True)
class Verdict:
    """What came of a run."""

    orders: Orders
    ledger: Ledger
    faults: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    searches: int = 0
    took_s: float = 0.0
    judged: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not self.ledger.violations

    def to_json(self) -> dict[str, Any]:
        """What the table of several runs shows."""
        ledger, judged = self.ledger, self.judged
        return {
            "setup": self.orders.setup,
            "seed": str(self.orders.seed),
            "took_s": round(self.took_s),
            "faults": self.faults.total(),
            "faults_by_kind": dict(self.faults),
            "kills": self.kills,
            "acknowledged": ledger.acknowledged,
            "by_http": ledger.acknowledged - ledger.imported,
            "imported": ledger.imported,
            "unanswered": ledger.unanswered,
            "searches": self.searches,
            "failed_searches": ledger.failed_searches,
            "degraded": ledger.degraded,
            "violations": len(ledger.violations),
            "command": self.orders.command,
            "holds": self.holds,
            **{name: judged.get(name, -1) for name in ("lost", "doubled", "resurrected", "differences")},
            "seconds_to_equality": judged.get("seconds to equality", -1.0),
        }

    def lines(self) -> list[str]:
        """The verdict for people: what was asked, what happened, what was found."""
        ledger = self.ledger
        writes = ", ".join(f"{what} {count}" for what, count in sorted(ledger.writes.items()))
        told_faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        judged = ", ".join(f"{name} {value}" for name, value in self.judged.items())
        lines = [
            f"setup {self.orders.setup}, seed {self.orders.seed}: {self.took_s:.0f} s",
            f"faults: {self.faults.total()} ({told_faults})",
            f"kills: {self.kills}, each in the middle of an import",
            f"acknowledged writes: {ledger.acknowledged}, of these imported lines: {ledger.imported} ({writes})",
            f"repeated after no answer: {ledger.repeated}, of these answered from memory: {ledger.replayed}",
            f"requests without an answer: {ledger.unanswered}; the slowest write: {ledger.slowest_s:.1f} s",
            f"the slowest imported file: {ledger.slowest_import_s:.1f} s",
            f"reads: {ledger.reads}, of these searches: {self.searches}, failed: {ledger.failed_searches}",
            f"degraded: {ledger.degraded}",
            f"degraded without a fault of the engine: {ledger.degraded_without_fault}",
            f"degraded while one of three nodes was away: {ledger.degraded_without_node}",
            f"judged: {judged}",
        ]
        for sentence, count in Counter(ledger.violations).most_common(30):
            lines.append(f"VIOLATION{f' ({count} times)' if count > 1 else ''}: {sentence}")
        verdict = "everything held" if self.holds else f"{len(ledger.violations)} violations"
        lines.append(f"verdict: {verdict}; the same again: {self.orders.command}")
        return lines


class Drill:
    """Runs orders in a folder of its own."""

    def __init__(self, orders: Orders, folder: Path) -> None:
        self.orders = orders
        self.place: Place = PLACES[orders.setup](folder)
        self.ledger, self.weather = Ledger(), Weather()
        self.verdict = Verdict(orders, self.ledger)

    def run(self) -> Verdict:
        began = time.monotonic()
        try:
            stage, steady_slug = self._prepare()
            self._play(stage, steady_slug)
        finally:
            self.place.stop()
            self.verdict.took_s = time.monotonic() - began
        return self.verdict

    def _prepare(self) -> tuple[Stage, str]:
        """Start the place, and make what writers share and readers rely on."""
        place = self.place
        place.start()
        token = make_accounts(place)
        stage = Stage(
            place.ports, token, "ada@example.com", PASSWORD, self.ledger, self.weather, self.orders.seed
        )  # fmt: skip
        caller, pages = Caller(place.ports, token=token), Caller(place.ports)
        steady_slug = make_steady_articles(caller)
        customers = tuple(self._customer(caller, number) for number in range(CUSTOMERS))
        pages.sign_in(stage.email, stage.password)
        categories = tuple(self._category(pages, number) for number in range(CATEGORIES))
        place.portal.wait_until_indexed(token)
        caller.close()
        pages.close()
        return replace(stage, categories=categories, customers=customers), steady_slug

    def _customer(self, caller: Caller, number: int) -> Thing:
        thing = self.ledger.add(Thing("customer", f"base{number}n", fields={"name": f"base{number}n Ltd"}))
        answer = caller.ask("POST", "/api/v1/customers", {"kind": "company", **thing.fields})
        assert answer.status == http.HTTPStatus.CREATED, told(answer)
        thing.id, thing.version = answer.json["id"], answer.json["version"]
        return thing

    def _category(self, pages: Caller, number: int) -> Thing:
        name = f"shelf{number}n"
        fields = {"name": name, "audience": "public", "slug": name}
        thing = self.ledger.add(Thing("category", name, id=0, fields=fields))
        page = pages.ask("GET", "/vocabulary/categories")
        sent = {"name": name, "name_zh": "", "description": "", "parent_id": "", "position": "0", "audience": "public"}
        answer = pages.send_form("/vocabulary/categories", {"csrf_token": csrf_token(page)} | sent)
        assert answer.status == http.HTTPStatus.SEE_OTHER, told(answer)
        return thing

    def _play(self, stage: Stage, steady_slug: str) -> None:
        orders, place = self.orders, self.place
        importer = Importer(
            place, self.ledger, seed=orders.seed, lines=orders.import_lines, share=orders.import_share
        )  # fmt: skip
        injector = Injector(place, self.weather, importer)
        watch = SessionWatch(place.ports)
        writers = enlist(stage, orders.writers)
        readers = [
            Reader(stage, f"reader{n}", is_staff=n % 2 == 0, steady_slug=steady_slug) for n in range(orders.readers)
        ]
        for thread in (*writers, *readers, importer):
            thread.start()
        faults = plan(orders.setup, orders.seed, orders.faults, is_long=orders.is_long)
        try:
            for number, fault in enumerate(faults):
                self._wait_for_writes(orders.writes * (number + 1) // (len(faults) + 1), [*writers, importer])
                if number == len(faults) // 2:
                    watch.end_some()
                say(f"{self.ledger.acknowledged} writes; fault {number + 1} of {len(faults)}: {told_fault(fault)}")
                injector.do(fault)
            self._wait_for_writes(orders.writes, [*writers, importer])
        finally:
            last_fault_over = time.monotonic()
            for writer in writers:
                writer.stop(patience_s=600)
            for writer in writers:
                writer.join()
            importer.stop()
            importer.join()
            for reader in readers:
                reader.stop()
                reader.join()
        self.verdict.faults, self.verdict.kills = injector.done, injector.kills
        self.verdict.searches = sum(reader.searches for reader in readers)
        say(
            f"{self.ledger.acknowledged} writes; all is quiet, {time.monotonic() - last_fault_over:.0f} s after the end"
        )
        judge = Judge(place, self.ledger, stage, watch)
        self.verdict.judged = judge.judge(orders.patience_s)

    def _wait_for_writes(self, wanted: int, writers: list[threading.Thread]) -> None:
        """Wait until so many writes are acknowledged: faults follow what was done, not the clock."""
        seen, seen_at = -1, time.monotonic()
        while (done := self.ledger.acknowledged) < wanted:
            if done != seen:
                seen, seen_at = done, time.monotonic()
            dead = [writer.name for writer in writers if not writer.is_alive()]
            assert not dead, f"the writers {dead} ended: {self.ledger.violations[-3:]}"
            assert time.monotonic() - seen_at < STALLED_S, (
                f"no write was acknowledged for {STALLED_S:.0f} s: {self.ledger.violations[-3:]}"
            )
            time.sleep(0.05)


def make_accounts(place: Place) -> str:
    """Make an admin and a customer, as `casebook user add` does without its start; the admin's API token."""
    app = create_app(Settings.from_environ(place.portal.settings))
    with app.app_context():
        ada = users.create(name="Ada", email="ada@example.com", role="admin", password=PASSWORD, by=None)
        users.create(name="Olga", email="olga@example.com", role="customer", password=PASSWORD, by=None)
        token = tokens.create(ada, name="drill", by=None)
        db.session.remove()
        db.engine.dispose()
    return token


def make_steady_articles(caller: Caller) -> str:
    """Make what nobody changes; the address of one that anybody may read."""
    slug = ""
    for number in range(STEADY_PUBLIC + STEADY_INTERNAL):
        body = {
            "kind": "faq",
            "title": f"Lighthouse {number}: how is its lamp cleaned?",
            "body": "The lighthouse keeper cleans it in the morning.",
            "state": "published",
            "audience": "public" if number < STEADY_PUBLIC else "internal",
        }
        answer = caller.ask("POST", "/api/v1/articles", body)
        assert answer.status == http.HTTPStatus.CREATED, told(answer)
        slug = slug or answer.json["slug"]
    return slug


def told_fault(fault: Fault) -> str:
    lasts = f" for {fault.seconds:g} s" if fault.kind not in ("kill", "restart", "damage") else ""
    return fault.name + lasts


def say(sentence: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")
    sys.stderr.flush()
