"""Files that are two things at once, sent the way people send them."""

import io
from collections.abc import Callable

import pytest

from portal.attachments import attachments, extraction
from portal.attachments.models import Attachment
from portal.extensions import db
from portal.service import records
from tests.attachments import polyglots
from tests.people import Browser, People, Person

pytestmark = pytest.mark.thorough

Clients = Callable[[Person], Browser]


@pytest.fixture
def alice(people: People, client_for: Clients) -> Browser:
    records.create(by=people.alice.viewer, subject="A file", description="See below.")
    return client_for(people.alice)


def send(alice: Browser, name: str, data: bytes) -> tuple[int, str]:
    sent = {"body": "Here it is.", "files": (io.BytesIO(data), name)}
    answer = alice.post("/records/R-000001/entries", data=sent, content_type="multipart/form-data")
    return answer.status_code, answer.text


def test_what_is_taken_is_given_back_as_a_download_of_its_own_kind(people: People, alice: Browser) -> None:
    wrong = {}
    for name, (data, media_type) in polyglots.TAKEN.items():
        assert send(alice, name, data)[0] == 303, name
        kept = db.session.query(Attachment).order_by(Attachment.id.desc()).first()
        assert kept is not None
        for query in ("", "?show=1"):
            answer = alice.get(f"/records/R-000001/attachments/{kept.id}{query}")
            headers = answer.headers
            shown = bool(query) and media_type.startswith("image/")
            seen = (
                answer.mimetype,
                headers["Content-Disposition"].partition(";")[0],
                headers["X-Content-Type-Options"],
                headers["Content-Security-Policy"],
                headers["X-Frame-Options"],
                answer.data == data,
            )
            place = "inline" if shown else "attachment"
            if seen != (media_type, place, "nosniff", "default-src 'none'; sandbox", "DENY", True):
                wrong[name + query] = seen
    assert wrong == {}


def test_what_is_not_what_its_name_says_is_refused_and_leaves_nothing(people: People, alice: Browser) -> None:
    taken = {}
    for name, data in polyglots.REFUSED.items():
        status, page = send(alice, name, data)
        is_told = f"{name}: files of this kind are not taken" in page or f"{name}: its content is not" in page
        if (status, is_told, "Here it is." in page) != (422, True, True):
            taken[name] = status
    assert taken == {}
    assert db.session.query(Attachment).count() == 0
    assert list(attachments.folder().iterdir()) == []


def test_an_archive_is_not_unpacked_and_what_stands_behind_a_document_is_not_read(
    people: People, alice: Browser
) -> None:
    for name in ("nested-bomb.zip", "docx-page.docx", "pdf-page.pdf"):
        assert send(alice, name, polyglots.TAKEN[name][0])[0] == 303
    extraction.extract_pending()
    kept = db.session.query(Attachment).order_by(Attachment.id).all()
    assert [(one.text_state, one.text) for one in kept] == [
        ("none", ""),
        ("done", "The valve leaks."),
        ("done", "Torque table"),
    ]
