"""Makes the pictures of the README: a portal with the demo content, photographed by the system's Chromium.

`make screenshots` runs it. It starts a portal of its own in a temporary folder and touches no other.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from opensearch.node.child import Child
from tests.servers import find_chinese_font, find_chromium, free_port

IMAGES = Path(__file__).with_name("images")
CASEBOOK = Path(sys.executable).with_name("casebook")
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One page as somebody sees it."""

    name: str
    path: str
    role: str = ""
    language: str = "en"
    theme: Literal["light", "dark"] = "light"
    follow: str = ""
    """A link on that page to follow first, as a CSS selector."""

    @property
    def is_phone(self) -> bool:
        """Taken as on a phone."""
        return self.name.endswith("-phone")


PICTURES = (
    Picture(name="home", path="/"),
    Picture(name="results", path="/search?q=printer+error", role="agent"),
    Picture(name="record", path="/records", role="agent", follow="main a[href^='/records/']:not([href$='/new'])"),
    Picture(
        name="article-phone",
        path="/search?q=%E6%97%A0%E6%B3%95&kind=faq",
        language="zh",
        theme="dark",
        follow="main a[href^='/articles/']",
    ),
    Picture(name="index", path="/admin/index", role="admin"),
)


@contextmanager
def demo_portal(folder: Path, *, patience_s: float = 60, **more: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Run a portal with the demo content and more settings; gives its address and the passwords by e-mail address."""
    port = free_port()
    settings = {"CASEBOOK_DATA_DIR": str(folder / "data"), "CASEBOOK_PORT": str(port), "CASEBOOK_LIMITS": "off", **more}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CASEBOOK_")} | settings

    def casebook(*arguments: str) -> str:
        command = [str(CASEBOOK), *arguments]
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    casebook("init")
    rows = [line.split() for line in casebook("demo").splitlines()]
    passwords = {row[1]: row[2] for row in rows if len(row) == 3 and "@" in row[1]}
    variables = [f"{name}={value}" for name, value in settings.items()]
    portal = Child(["env", *variables, CASEBOOK, "up"], log=folder / "portal.log")
    try:
        portal.wait_until("casebook up", lambda: _is_ready(port), patience_s)
        while json.loads(casebook("index", "status", "--json"))["pending"]:
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}", passwords
    finally:
        portal.stop()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def sign_in(page: Page, role: str, passwords: dict[str, str]) -> None:
    """Sign in as the demo's person of this role; without a role nobody is signed in."""
    if not role:
        return
    email = f"{role}@demo.example"
    page.goto("/sign-in")
    page.locator("input[name=email]").fill(email)
    page.locator("input[name=password]").fill(passwords[email])
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def take(browser: Browser, picture: Picture, address: str, passwords: dict[str, str]) -> Path:
    """Take one picture and return its file."""
    page = browser.new_page(
        base_url=address,
        viewport=PHONE if picture.is_phone else DESKTOP,
        device_scale_factor=2 if picture.is_phone else 1,
        locale={"en": "en-GB", "zh": "zh-CN"}[picture.language],
        color_scheme=picture.theme,
        reduced_motion="reduce",
    )
    try:
        sign_in(page, picture.role, passwords)
        page.goto(picture.path)
        if picture.follow:
            page.locator(picture.follow).first.click()
        page.wait_for_load_state("networkidle")
        file = IMAGES / f"{picture.name}.png"
        page.screenshot(path=file)
        return file
    finally:
        page.close()


def main() -> int:
    """Take all pictures, or those whose names are given."""
    wanted = set(sys.argv[1:]) or {picture.name for picture in PICTURES}
    find_chinese_font()
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        demo_portal(Path(folder)) as (address, passwords),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"]) as browser,
    ):
        for picture in PICTURES:
            if picture.name in wanted:
                file = take(browser, picture, address, passwords)
                sys.stdout.write(f"{file.relative_to(IMAGES.parent.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
