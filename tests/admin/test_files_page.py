"""The list of files whose text could not be read, as staff see it."""

import pytest

from portal.attachments.models import Attachment
from portal.extensions import db


@pytest.fixture
def files(library, people):
    guide = library.write("Guide to the pump", "See the file.")
    draft = library.write("Secret plans", "Not yet.", state="draft")
    for number, (owner, name, state, error) in enumerate(
        [
            (guide, "pump.pdf", "failed", "The file is protected by a password."),
            (guide, "fine.pdf", "done", None),
            (draft, "plans.pdf", "failed", "The file is damaged."),
        ]
    ):
        db.session.add(
            Attachment(
                owner_kind="article", owner_id=owner.id, file_name=name, stored_name=f"stored-{number}", size=2048,
                media_type="application/pdf", sha256="0" * 64, text_state=state, text_error=error,
            )
        )  # fmt: skip
    db.session.commit()
    return library


def test_staff_see_each_file_with_its_reason_and_owner(files, people, client_for):
    page = client_for(people.carol).get("/admin/files").text
    assert "pump.pdf" in page
    assert "protected by a password" in page
    assert 'href="/articles/guide-to-the-pump"' in page
    assert "fine.pdf" not in page


def test_nobody_sees_a_file_of_what_they_may_not_read(files, people, client_for):
    assert "plans.pdf" not in client_for(people.carol).get("/admin/files").text
    assert "plans.pdf" in client_for(people.dora).get("/admin/files").text


def test_it_is_no_page_for_customers(files, people, client_for):
    assert client_for(people.bob).get("/admin/files").status_code == 403


def test_nothing_to_show_says_so(app, people, client_for):
    assert "Every file could be read" in client_for(people.carol).get("/admin/files").text
