"""Files that are two things at once, stored and opened in a real browser: none is a page, a script or a style."""

import io
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Error, expect

from portal.attachments import attachments
from portal.extensions import db
from portal.service import records
from tests.attachments import polyglots
from tests.journeys.conftest import PATIENCE_MS, serving
from tests.people import PASSWORD, People

TRY_AS_PARTS = """async (addresses) => {
  const make = (tag, values) => Object.assign(document.createElement(tag), values);
  const tried = addresses.flatMap((at) => [
    make("script", { src: at }),
    make("script", { src: at, type: "module" }),
    make("link", { rel: "stylesheet", href: at }),
  ]);
  return (await Promise.all(tried.map((part) => new Promise((tell) => {
    part.onerror = () => tell("");
    part.onload = () => tell(`${part.tagName} ${part.src ?? part.href}`);
    document.head.append(part);
  })))).filter(Boolean);
}"""


@pytest.fixture
def url(app: Flask, people: People) -> Iterator[str]:
    record = records.create(by=people.alice.viewer, subject="Files", description="See below.")
    for name, (data, _) in polyglots.TAKEN.items():
        attachments.store(
            io.BytesIO(data), file_name=name, owner_kind="record", owner_id=record.id, by=people.alice.viewer
        )
    db.session.commit()
    with serving(app) as address:
        yield address


def test_no_stored_file_is_a_page_a_script_or_a_style(url: str, people: People, browser: Browser) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{url}/sign-in?next=/records/R-000001")
    page.fill("#email", people.alice.email)
    page.fill("#password", PASSWORD)
    page.locator("#password").press("Enter")
    expect(page.locator("h1")).to_contain_text("Files")
    fired: list[str] = []
    page.context.on("request", lambda request: fired.append(request.url) if "/fired" in request.url else None)
    page.on("dialog", lambda dialog: (fired.append(dialog.message), dialog.dismiss()))
    with page.expect_request("**/fired"):
        page.evaluate(polyglots.SCRIPT)
    assert fired == [f"{url}/fired"], "the listener hears it"
    fired.clear()
    addresses = [f"{url}/records/R-000001/attachments/{n}" for n in range(1, len(polyglots.TAKEN) + 1)]
    assert page.evaluate(TRY_AS_PARTS, [at + query for at in addresses for query in ("", "?show=1")]) == []
    opened = []
    for address, (name, (_, media_type)) in zip(addresses, polyglots.TAKEN.items(), strict=True):
        if media_type.startswith("image/"):
            page.goto(f"{address}?show=1")
            opened.append(name)
            assert page.evaluate("document.contentType") == media_type, name
        with page.expect_download() as begun, pytest.raises(Error, match="Download is starting"):
            page.goto(address)
        assert begun.value.suggested_filename == name
        begun.value.cancel()
    assert len(opened) == 8
    assert fired == []
    page.context.close()
