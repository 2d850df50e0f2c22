"""Makes the pictures of docs/degrading.md: a portal with the demo content whose parts fail one after the other.

`make degrading` runs it. PostgreSQL, OpenSearch and the portal are started in a temporary folder; between the portal
and OpenSearch lies the drills' wire, which can be cut, slow and refusing. Queue and mail server are away all the time.
A second portal stands on SQLite, whose write lock somebody holds, and which then may not grow by a page.
`make degrading ONLY=sqlite` takes the pictures of that one alone.
"""

from __future__ import annotations

import base64
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright
from sqlalchemy import event

import portal.app
from docs.screenshots import IMAGES, demo_portal, sign_in
from portal.extensions import BUSY_TIMEOUT_S, db
from portal.settings import Settings
from tests import servers
from tests.drills.wire import Mode, Wire
from tests.journeys.conftest import serving

VIEW = ViewportSize(width=1000, height=620)
FOLDER = IMAGES / "degrading"
LARGEST_BYTES = 60_000
NOWHERE = "127.0.0.1:9"


class Stage:
    """The portal and what it stands on."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.chmod(0o755)
        self.database = servers.PostgreSQL(folder / "postgresql")
        self.database.start()
        stack.callback(self.database.stop)
        node = servers.start_opensearch(folder / "opensearch")
        stack.callback(node.stop)
        self.wire = Wire(node.url)
        stack.callback(self.wire.close)
        portal = demo_portal(
            folder,
            patience_s=120,
            CASEBOOK_DATABASE_URL=self.database.create_database("casebook"),
            CASEBOOK_SEARCH_URL=self.wire.url,
            CASEBOOK_QUEUE_URL=f"redis://{NOWHERE}/0",
            CASEBOOK_MAIL_URL=f"smtp://{NOWHERE}",
        )
        self.address, self._passwords = stack.enter_context(portal)

    def sign_in(self, browser: Browser, role: str) -> Page:
        """A page of somebody with this role."""
        return page_of(browser, role, self.address, self._passwords)


class SmallStage:
    """A portal on SQLite: one that runs as ever, and one of this process on the same data."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.mkdir()
        self.address, self._passwords = stack.enter_context(demo_portal(folder, patience_s=120))
        self._file = folder / "data" / "casebook.sqlite3"
        self._app = portal.app.create_app(
            Settings.from_environ({"CASEBOOK_DATA_DIR": str(folder / "data"), "CASEBOOK_LIMITS": "off"})
        )
        self.without_room = stack.enter_context(serving(self._app))

    def sign_in(self, browser: Browser, role: str) -> Page:
        """A page of somebody with this role; the cookie is good for both portals."""
        return page_of(browser, role, self.address, self._passwords)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the write lock, as a long import by another program would."""
        with closing(sqlite3.connect(self._file, isolation_level=None, timeout=BUSY_TIMEOUT_S)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let the database of this process's portal grow by no page, as on a full disk."""
        with closing(sqlite3.connect(self._file, isolation_level=None, timeout=BUSY_TIMEOUT_S)) as other:
            other.execute("VACUUM")

        def stop_growing(connection: sqlite3.Connection, *_: Any) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count={pages}")

        with self._app.app_context():
            event.listen(db.engine, "checkout", stop_growing)
            yield
            event.remove(db.engine, "checkout", stop_growing)
            db.engine.dispose()


def page_of(browser: Browser, role: str, address: str, passwords: dict[str, str]) -> Page:
    """Open a browser of somebody with this role."""
    context: BrowserContext = browser.new_context(
        base_url=address, viewport=VIEW, locale="en-GB", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(4 * BUSY_TIMEOUT_S * 1000)
    sign_in(page, role, passwords)
    return page


def keep(page: Page, name: str) -> None:
    """Photograph what is seen, in a file that is small enough."""
    session = page.context.new_cdp_session(page)
    for quality in (70, 50, 30):
        shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": quality})
        data = base64.b64decode(shot["data"])
        if len(data) <= LARGEST_BYTES:
            break
    file = FOLDER / f"{name}.webp"
    file.write_bytes(data)
    sys.stdout.write(f"{file.relative_to(IMAGES.parent.parent)} {len(data)} bytes\n")


def photograph(stage: Stage, browser: Browser) -> None:
    """Let one part after the other fail, and look at it as those whom it concerns."""
    people = {role: stage.sign_in(browser, role) for role in ("customer", "agent", "editor", "admin")}
    anybody = stage.sign_in(browser, "")
    found = "/search?q=printer"

    people["editor"].goto("/articles/new")
    title = "What does the blue lamp mean?"
    write(people["editor"], title)
    keep(people["editor"], "queue-down-editor")

    anybody.goto("/reset")
    anybody.locator("main input[name=email]").fill("customer@demo.example")
    anybody.locator("main input[name=email]").press("Enter")
    anybody.wait_for_load_state()
    keep(anybody, "mail-down-customer")

    stage.wire.mode = Mode.FULL
    write(people["editor"], "What does the red lamp mean?")
    people["admin"].wait_for_timeout(6_000)
    people["admin"].goto("/admin/index")
    keep(people["admin"], "engine-read-only-admin")

    stage.wire.mode = Mode.REFUSE
    people["agent"].goto(found)
    keep(people["agent"], "engine-refusing-agent")

    stage.wire.mode = Mode.DELAY
    people["customer"].goto(found)
    keep(people["customer"], "engine-slow-customer")

    stage.wire.mode = Mode.CUT
    for role in ("customer", "agent", "editor"):
        people[role].goto(found)
        people[role].reload()
        keep(people[role], f"engine-down-{role}")
    write(people["editor"], "What does the green lamp mean?")
    keep(people["editor"], "engine-down-editor-saved")
    people["admin"].goto("/admin/index")
    keep(people["admin"], "engine-down-admin")
    stage.wire.mode = Mode.PASS

    people["agent"].goto("/records")
    record = people["agent"].locator("main a[href^='/records/']:not([href$='/new'])").first.get_attribute("href") or ""
    people["editor"].goto("/articles/new")
    people["editor"].locator("main input[name=title]").fill("What does the white lamp mean?")
    stage.database.stop()
    people["customer"].goto("/requests")
    keep(people["customer"], "database-away-customer")
    people["agent"].goto(record)
    keep(people["agent"], "database-away-agent")
    people["editor"].locator("main input[name=title]").press("Enter")
    people["editor"].wait_for_load_state()
    keep(people["editor"], "database-away-editor")


def photograph_small(stage: SmallStage, browser: Browser) -> None:
    """Let the database be held by somebody, and then the disk be full."""
    people = {role: stage.sign_in(browser, role) for role in ("customer", "agent", "editor")}
    customer, agent, editor = people.values()
    refused = ".error-page .lead"

    agent.goto("/records")
    record = agent.locator("main a[href^='/records/']:not([href$='/new'])").first.get_attribute("href") or ""
    agent.goto(record)
    agent.locator("#body").fill("The roller is worn. We send a new one today.")
    editor.goto("/articles/new")
    editor.locator("main input[name=title]").fill("What does the white lamp mean?")
    with stage.held():
        customer.goto("/requests")
        keep(customer, "database-slow-customer")
        agent.get_by_role("button", name="Save as internal note").click(no_wait_after=True)
        editor.locator("main input[name=title]").press("Enter", no_wait_after=True)
        for role in ("agent", "editor"):
            expect(people[role].locator(refused)).to_contain_text("busy", timeout=4 * BUSY_TIMEOUT_S * 1000)
            keep(people[role], f"database-slow-{role}")
    agent.goto(record)
    expect(agent.locator("#body")).to_have_value("The roller is worn. We send a new one today.")
    agent.locator("#body").scroll_into_view_if_needed()
    keep(agent, "database-slow-agent-again")

    long = "It smokes, and then it stops. " * 400
    customer.goto(f"{stage.without_room}/ask")
    customer.locator("#subject").fill("The printer smokes")
    customer.locator("#description").fill(long)
    agent.goto(stage.without_room + record)
    agent.locator("#body").fill(long)
    editor.goto(f"{stage.without_room}/articles/new")
    editor.locator("main input[name=title]").fill("What does the black lamp mean?")
    editor.locator("main textarea[name=body]").fill(long)
    with stage.full():
        customer.get_by_role("button", name="Send the request").click()
        agent.get_by_role("button", name="Save as internal note").click()
        editor.locator("main input[name=title]").press("Enter")
        for role, page in people.items():
            expect(page.locator(refused)).to_contain_text("no room left")
            keep(page, f"disk-full-{role}")
    customer.goto(f"{stage.without_room}/ask")
    expect(customer.locator("#description")).to_have_value(long)
    keep(customer, "disk-full-customer-again")
    customer.get_by_role("button", name="Send the request").click()
    customer.wait_for_url("**/records/*")


def write(page: Page, title: str) -> None:
    """Save an article as an editor does."""
    page.goto("/articles/new")
    page.locator("main input[name=title]").fill(title)
    page.locator("main textarea[name=body]").fill("The lamp tells that the machine is ready.")
    page.locator("main input[name=title]").press("Enter")
    page.wait_for_url(lambda url: not url.endswith("/new"))


def main() -> int:
    """Take all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    servers.find_chinese_font()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=servers.find_chromium(), args=["--no-sandbox"]) as browser,
    ):
        if "sqlite" not in sys.argv[1:]:
            photograph(Stage(Path(folder), stack), browser)
        photograph_small(SmallStage(Path(folder) / "small", stack), browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
