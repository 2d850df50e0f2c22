"""All hostile text on every surface that shows what people wrote, in a real browser: nothing acts.

Each field that the database has for people's words holds payloads, and every page that shows one of them is opened,
moved over and clicked.  Pictures, scripts and frames that a payload brought in would ask a foreign host, break the
policy or open a window; a page without a guard does all three.  In the suite each field has its share of the payloads,
and all fields together all of them; with HOSTILE_SHARE=1 each field has all.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, Request
from sqlalchemy import String, Text

from portal import audit, outbox
from portal.attachments.models import Attachment
from portal.customers.models import Contact, Customer
from portal.extensions import db
from portal.knowledge.models import Article
from portal.search.models import IndexCheck, SavedSearch, SearchLog
from portal.service.models import Record
from portal.steering.models import JudgedQuery
from portal.vocabulary.models import Category
from tests import hostile
from tests.journeys.conftest import serving
from tests.journeys.test_hostile_text import provoke, watched
from tests.leaks.house import COMMON, build
from tests.library import Library
from tests.people import PASSWORD, People

Open = Callable[..., Page]
PAYLOADS = [payload.replace("\0", "") for payload in hostile.PAYLOADS]
SHARE = int(os.environ.get("HOSTILE_SHARE", "16"))
SHARES = [f"{COMMON} " + "\n".join(PAYLOADS[start::SHARE]) for start in range(SHARE)]
LONGEST_QUERY = 900
QUERIES = {"text", "words"}
"""What is searched for again, and may be no longer than that."""
KEPT = {
    "kind", "state", "role", "language", "locale", "audience", "effective_audience", "action", "viewer_kind", "every",
    "engine", "text_state", "owner_kind", "priority", "slug", "number", "key", "hash", "previous_hash", "digest", "at",
    "email_index", "password_hash", "token_hash", "stored_name", "sha256", "media_type", "blind_index", "fingerprint",
    "message_id", "template", "import_digest", "submission", "bucket", "code_hash", "purpose", "voter", "token",
    "outcome", "old_state", "new_state", "object_kind", "worker", "leased_by", "owner", "reference",
}  # fmt: skip
"""Columns that the product fills in itself, from its own lists."""
FOR_STAFF = [
    "/board", "/desk?queue=all", "/customers", "/vocabulary/categories", "/vocabulary/products",
    "/vocabulary/tags", "/vocabulary/families", "/vocabulary/categories/shelf-public",
    "/vocabulary/products/product-x", "/steering", "/steering/synonyms", "/steering/rules",
    "/steering/synonyms/1", "/steering/rules/1", "/steering/sets", "/steering/sets/1", "/steering/previews/1",
    "/steering/configurations", "/steering/configurations/1", "/me", "/steering/measurements",
    "/steering/judging/1", "/me/searches", "/reports/searches", "/admin/audit", "/admin/files", "/admin/users",
    "/admin/users/1", "/admin/index", "/callers?caller=" + COMMON, "/records/new", "/articles/new", "/knowledge",
    "/categories", "/categories/shelf-public", "/products", "/tags", f"/search?q={COMMON}", "/customers/1",
    f"/search?q={COMMON}&kind=record", "/search?kind=customer", "/search/facets/tag", "/customers/1/profile",
    "/records/R-000001", "/records/R-000001/details", "/records/R-000001/similar",
]  # fmt: skip
FOR_CUSTOMERS = [
    "/requests?queue=all",
    "/requests",
    "/ask",
    "/records/R-000001",
    f"/ask/answers?subject={COMMON}",
    "/",
    "/me",
]


@pytest.fixture
def poisoned(library: Library, people: People) -> Library:
    """A portal whose every written field holds all payloads."""
    build(people)
    shares = itertools.cycle(SHARES)
    for mapper in db.Model.registry.mappers:
        columns = [
            column.key
            for column in mapper.columns
            if isinstance(column.type, String | Text) and column.key not in KEPT and not column.primary_key
        ]
        if mapper.class_ in (audit.AuditEntry, audit.AuditHead, outbox.OutboxRow) or not columns:
            continue
        for number, row in enumerate(db.session.query(mapper.class_)):
            for name in columns:
                unique = mapper.columns[name].unique or name in ("external_id", "source")
                # What must differ differs at its end; SQLite takes more than the column promises.
                most = LONGEST_QUERY if name in QUERIES else None
                setattr(row, name, next(shares)[:most] + (f" {number}" if unique else ""))
    for article in db.session.query(Article):
        article.sections = [{"anchor": "s-x", "heading": next(shares), "text": next(shares), "level": "2"}]
        article.html = dict.fromkeys(article.html, "<p>x</p>")
    for log in db.session.query(SearchLog):
        log.key = next(shares)[:200]
    for judged in db.session.query(JudgedQuery):
        # It is searched for as it stands, in the source that its set names.
        judged.text, judged.judged_set.source = f"{COMMON} {PAYLOADS[0]}", ""
    details = {"key": SHARES[0]}
    audit.append("thing.done", by=people.fred.viewer, kind="record", object_id=1, details=details)
    outbox.record(*db.session.query(Article), *db.session.query(Record), *db.session.query(Customer))
    db.session.commit()
    for row, name in [
        *((row, "name") for kind in (Contact, Customer, SavedSearch) for row in db.session.query(kind)),
        *((row, "file_name") for row in db.session.query(Attachment)),
        *((row, "description") for row in db.session.query(Category)),
        *((row, "error") for row in db.session.query(IndexCheck)),
    ]:
        assert getattr(row, name).startswith(tuple(SHARES)), (row, name)
    library.catch_up()
    return library


@pytest.fixture
def signed_in(app: Flask, poisoned: Library, open_page: Open) -> Iterator[Callable[[str], tuple[Page, str]]]:
    """Sign in by mail address; what the pages ask of foreign hosts and which windows they open fails the test."""
    foreign: list[str] = []
    dialogs: list[list[str]] = []

    with serving(app) as url:

        def note(request: Request) -> None:
            if not request.url.startswith((url, "data:", "blob:", "about:", "mailto:", "tel:")):
                foreign.append(request.url)

        def sign_in(email: str) -> tuple[Page, str]:
            page = open_page(f"{url}/sign-in")
            dialogs.append(watched(page))
            page.on("request", note)
            page.fill("#email", email)
            page.fill("#password", PASSWORD)
            page.click("main button[type=submit]")
            page.wait_for_url(lambda address: "/sign-in" not in address)
            return page, url

        yield sign_in
    assert foreign == []
    assert [each for each in dialogs if each] == []


def walk(page: Page, url: str, paths: list[str]) -> int:
    """Open each page and do there what a reader might; returns how often the payloads stand in them."""
    shown = 0
    for path in paths:
        answer = page.goto(url + path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        provoke(page)
        shown += page.evaluate("document.documentElement.textContent.split('alert(1)').length - 1")
        # Nothing that a payload names became an element: only what the product's own templates write is there.
        assert (
            page.locator("main script, main iframe, main object, main embed, main math, [onerror], [onload]").count()
            == 0
        )
    return shown


def test_nothing_acts_on_staff_pages(signed_in: Callable[[str], tuple[Page, str]], people: People) -> None:
    page, url = signed_in(people.fred.email)
    slugs = [f"/articles/{article.slug}" for article in db.session.query(Article).filter_by(state="published").limit(2)]
    db.session.rollback()
    shown = walk(
        page, url, [*FOR_STAFF, *slugs, *(f"{slug}/{part}" for slug in slugs[:1] for part in ("edit", "history"))]
    )
    print(f"{len(PAYLOADS)} payloads, shown {shown} times to staff")
    assert shown > 40 * len(PAYLOADS) / SHARE


def test_nothing_acts_on_customers_pages(signed_in: Callable[[str], tuple[Page, str]], people: People) -> None:
    page, url = signed_in(people.alice.email)
    shown = walk(page, url, FOR_CUSTOMERS)
    assert shown > 5 * len(PAYLOADS) / SHARE
    queries, part = [], ""
    for payload in PAYLOADS[:: max(1, SHARE // 2)]:
        if len(part) + len(payload) > LONGEST_QUERY:
            queries.append(part)
            part = ""
        part += payload + " "
    assert len(queries) >= 5
    walk(page, url, [f"/search?q={quote(query)}" for query in queries[:: max(1, SHARE // 4)]])
    # Suggestions are written into the page by a script of ours.
    page.goto(url)
    page.locator("#q-large").press_sequentially(COMMON[:8])
    page.wait_for_selector("[role=option]")
    provoke(page)


def test_the_same_payloads_do_act_without_a_guard(browser: Browser) -> None:
    """The control: each payload in a frame of its own, as it is."""
    page = browser.new_page()
    page.add_init_script("window.alert = () => { top.fired = top.fired || new Set(); top.fired.add(window.name); }")
    page.route("**", lambda route: route.abort())
    page.set_content("<!doctype html><main></main>")
    fired = page.evaluate(
        """async (payloads) => {
          for (let start = 0; start < payloads.length; start += 60) {
            const frames = payloads.slice(start, start + 60).map((payload, place) => {
              const frame = document.createElement("iframe");
              frame.name = `p${start + place}`;
              const loaded = new Promise((done) => { frame.onload = done; setTimeout(done, 2000); });
              frame.srcdoc = `<!doctype html><body>${payload}`;
              document.body.append(frame);
              return [frame, loaded];
            });
            await Promise.all(frames.map(([, loaded]) => loaded));
            for (const [frame] of frames) frame.remove();
          }
          return top.fired?.size ?? 0;
        }""",
        PAYLOADS[::SHARE],
    )
    page.close()
    print(f"{fired} of {len(PAYLOADS[::SHARE])} payloads act by themselves without a guard")
    assert len(PAYLOADS) >= 1300
    assert fired >= 40 / SHARE
