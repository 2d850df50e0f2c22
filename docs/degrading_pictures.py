"""Makes the pictures of docs/degrading.md: a portal with the demo content whose parts fail one after the other.

`make degrading` runs it. PostgreSQL, OpenSearch and the portal are started in a temporary folder; between the portal
and OpenSearch lies the drills' wire, which can be cut, slow and refusing. Queue and mail server are away all the time.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from docs.screenshots import IMAGES, demo_portal, sign_in
from tests import servers
from tests.drills.wire import Mode, Wire

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
        context: BrowserContext = browser.new_context(
            base_url=self.address, viewport=VIEW, locale="en-GB", reduced_motion="reduce"
        )
        page = context.new_page()
        sign_in(page, role, self._passwords)
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
        photograph(Stage(Path(folder), stack), browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
