"""The list of files whose text could not be read, as staff see it."""

import re
from io import BytesIO

import pytest
from sqlalchemy import select

from portal.attachments.models import Attachment
from portal.attachments.reasons import Reason
from portal.extensions import db

CHINESE = {"Accept-Language": "zh-CN"}


def attach(owner, name, *, state="failed", reason=None, error=None, owner_kind="article"):
    db.session.add(
        Attachment(
            owner_kind=owner_kind, owner_id=owner.id, file_name=name, stored_name=f"stored-{name}", size=2048,
            media_type="application/pdf", sha256="0" * 64, text_state=state, text_reason=reason, text_error=error,
        )
    )  # fmt: skip
    db.session.commit()


@pytest.fixture
def guide(library, people):
    return library.write("Guide to the pump", "See the file.")


@pytest.fixture
def files(library, guide):
    draft = library.write("Secret plans", "Not yet.", state="draft")
    attach(guide, "pump.pdf", reason="password", error="PdfiumError: Incorrect password")
    attach(guide, "fine.pdf", state="done")
    attach(draft, "plans.pdf", reason="damaged")
    return library


def test_staff_see_each_file_with_its_reason_and_owner(files, people, client_for):
    page = client_for(people.carol).get("/admin/files").text
    assert "pump.pdf" in page
    assert "protected by a password" in page
    assert "PdfiumError: Incorrect password" in page
    assert 'href="/articles/guide-to-the-pump"' in page
    assert "fine.pdf" not in page


def words(html):
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_told_in_the_reader_s_language_wherever_the_file_is_shown(guide, people, client_for, reason):
    attach(guide, "pump.pdf", reason=reason)
    dora = client_for(people.dora)
    told = {}
    for language, headers in (("en", {}), ("zh", CHINESE)):
        listed = dora.get("/admin/files", headers=headers).text
        told[language] = words(re.search(r'data-label="(?:Reason|原因)">(.*?)</td>', listed, re.DOTALL)[1])
        edited = dora.get("/articles/guide-to-the-pump/edit", headers=headers).text
        assert told[language] in words(edited.partition("pump.pdf</a>")[2].partition("</li>")[0])
    assert re.fullmatch(r"[A-Z][ -~]*file[ -~]*\.", told["en"])
    assert re.fullmatch(r"[^A-Za-z]*文件[^A-Za-z]*。", told["zh"])
    assert told["en"] != "Its text could not be read."


def test_both_languages_say_the_same_of_a_locked_file(files, people, client_for):
    carol = client_for(people.carol)
    assert "The file is protected by a password. Attach a copy without one." in carol.get("/admin/files").text
    page = carol.get("/admin/files", headers=CHINESE).text
    assert "文件受密码保护" in page
    assert "protected by a password" not in page


def test_what_was_said_before_reasons_were_kept_is_still_shown(guide, people, client_for):
    attach(guide, "old.pdf", error="Something that an earlier version wrote.")
    attach(guide, "older.pdf")
    page = client_for(people.carol).get("/admin/files").text
    assert "Something that an earlier version wrote." in page
    assert "Its text could not be read." in page


def test_staff_read_the_reason_beside_a_request_s_file_and_customers_do_not(app, people, client_for):
    alice = client_for(people.alice)
    place = alice.post("/ask", data={"subject": "It beeps", "files": (BytesIO(b"a log"), "log.txt")}).location
    file = db.session.scalars(select(Attachment)).one()
    file.text_state, file.text_reason = "failed", "too_large"
    db.session.commit()
    carol = client_for(people.carol)
    assert "One part of the file is too large to be read." in carol.get(place).text
    assert "文件中有一部分过大" in carol.get(place, headers=CHINESE).text
    assert "too large" not in alice.get(place).text


def test_nobody_sees_a_file_of_what_they_may_not_read(files, people, client_for):
    assert "plans.pdf" not in client_for(people.carol).get("/admin/files").text
    assert "plans.pdf" in client_for(people.dora).get("/admin/files").text


def test_it_is_no_page_for_customers(files, people, client_for):
    assert client_for(people.bob).get("/admin/files").status_code == 403


def test_nothing_to_show_says_so(app, people, client_for):
    assert "Every file could be read" in client_for(people.carol).get("/admin/files").text
