"""The pages of service, through the front door: everybody, right and wrong."""

import re
from io import BytesIO

import pytest
from sqlalchemy import select

from portal import outbox
from portal.customers import customers
from portal.customers.contacts import ContactDraft
from portal.extensions import db
from portal.knowledge.models import Article
from portal.search import log as search_log
from portal.search.current import EXTENSION
from portal.search.models import SearchLog
from portal.service import records, states
from portal.service.models import Entry, Record
from tests.attachments.samples import PNG
from tests.service.engines import DeadEngine, QuietEngine


@pytest.fixture(autouse=True)
def engine(app):
    app.extensions[EXTENSION] = QuietEngine()


@pytest.fixture
def asked(people):
    """A record that Alice opened."""
    return records.create(by=people.alice.viewer, subject="It does not print", description="Since <b>Monday</b>.")


@pytest.fixture
def at(asked):
    return f"/records/{asked.number}"


def token_of(page):
    return re.search(r'name="submission"[^>]*value="([^"]+)"', page.text)[1]


def plain(answer):
    """A page without the address it was asked at and without the form tokens, which hold the time."""
    return re.sub(r'(name="csrf[-_]token"|csrf-token") (?:content|value)="[^"]*"', "", answer.text).replace(
        "000001", "999999"
    )


# Every view: sign-in, outsiders, missing, methods

STAFF_PAGES = ["/desk", "/records/new", "/callers?caller=x", "/records/R-000001/similar", "/records/R-000001/details"]
STAFF_CHANGES = [
    ("/records/new", {"subject": "x"}),
    ("/records/R-000001/state", {"state": "open"}),
    ("/records/R-000001/assignee", {"assignee_id": ""}),
    ("/records/R-000001/articles", {"article_id": "1"}),
    ("/records/R-000001/articles/1/removal", {}),
    ("/records/R-000001/links", {"number": "R-000002"}),
    ("/records/R-000001/links/R-000002/removal", {}),
    ("/records/R-000001/details", {"subject": "x", "version": "1"}),
]
SHARED_PAGES = ["/ask", "/ask/answers?subject=x", "/requests", "/records", "/records/R-000001"]
SHARED_CHANGES = [
    ("/ask", {"subject": "x"}),
    ("/records/R-000001/entries", {"body": "x"}),
    ("/records/R-000001/resolution", {"resolution": "x"}),
]


def test_pages_need_a_sign_in(people, client_for, asked, subtests):
    ann = client_for(people.ann)
    for path in STAFF_PAGES + SHARED_PAGES:
        with subtests.test(path=path):
            answer = ann.get(path)
            assert answer.status_code == 303
            assert "/sign-in" in answer.location


def test_changes_need_a_sign_in(people, client_for, asked, subtests):
    ann = client_for(people.ann)
    for path, data in STAFF_CHANGES + SHARED_CHANGES:
        with subtests.test(path=path):
            answer = ann.post(path, data=data)
            assert answer.status_code == 303
            assert "/sign-in" in answer.location
            assert db.session.scalars(select(Entry)).all() == []


def test_customers_do_not_see_the_desk(people, client_for, asked, subtests):
    alice = client_for(people.alice)
    for path in STAFF_PAGES:
        with subtests.test(path=path):
            assert alice.get(path).status_code == 403


def test_customers_do_not_work_on_records(people, client_for, asked, subtests):
    alice, before = client_for(people.alice), outbox.version_of("record", asked.id)
    for path, data in STAFF_CHANGES:
        with subtests.test(path=path):
            assert alice.post(path, data=data).status_code == 403
            assert outbox.version_of("record", asked.id) == before


def test_others_records_answer_like_missing_ones(people, client_for, asked, subtests):
    bob = client_for(people.bob)
    for path, data in SHARED_CHANGES[1:]:
        with subtests.test(path=path):
            theirs, missing = bob.post(path, data=data), bob.post(path.replace("000001", "999999"), data=data)
            assert theirs.status_code == missing.status_code == 404
            assert plain(theirs) == plain(missing)
    theirs, missing = bob.get("/records/R-000001"), bob.get("/records/R-999999")
    assert theirs.status_code == missing.status_code == 404
    assert plain(theirs) == plain(missing)


def test_missing_records_are_missing_for_staff(people, client_for, asked, subtests):
    carol = client_for(people.carol)
    data = {"number": "x", "article_id": "1", "state": "open", "version": "1", "subject": "x"}
    for path, _ in STAFF_CHANGES[1:]:
        with subtests.test(path=path):
            assert carol.post(path.replace("000001", "999999"), data=data).status_code == 404


def test_changes_are_posted(people, client_for, asked, subtests):
    carol = client_for(people.carol)
    for path in (path for path, _ in STAFF_CHANGES[1:] + SHARED_CHANGES[1:] if "details" not in path):
        with subtests.test(path=path):
            assert carol.get(path).status_code == 405


@pytest.mark.thorough
def test_changes_need_the_forms_token(people, client_for, asked, subtests):
    carol = client_for(people.carol)
    carol.csrf = False
    for path, data in STAFF_CHANGES + SHARED_CHANGES:
        with subtests.test(path=path):
            assert carol.post(path, data=data).status_code == 400


# Asking


def test_a_customer_asks_and_is_told_the_number(people, client_for):
    alice = client_for(people.alice)
    page = alice.get("/ask?subject=paper+jam")
    assert 'value="paper jam"' in page.text
    sent = alice.post("/ask", data={"submission": token_of(page), "subject": "Paper jam", "description": "Every day."})
    record = db.session.scalars(select(Record)).one()
    assert sent.location == f"/records/{record.number}"
    shown = alice.get(sent.location)
    assert record.number in shown.text
    assert "Every day." in shown.text
    assert "We have your request" in shown.text


def test_words_of_a_search_are_kept_and_the_search_knows_its_request(people, client_for):
    alice = client_for(people.alice)
    alice.get("/search?q=squeaky+roller")
    page = alice.get("/ask?subject=squeaky+roller")
    assert 'value="squeaky roller"' in page.text
    alice.post("/ask", data={"submission": token_of(page), "subject": "squeaky roller"})
    search_log.settle()
    searched = db.session.scalars(select(SearchLog)).one()
    assert searched.record_id == db.session.scalars(select(Record.id)).one()


def test_a_form_sent_twice_makes_one_record_and_one_reply(people, client_for):
    alice = client_for(people.alice)
    data = {"submission": token_of(alice.get("/ask")), "subject": "Paper jam"}
    places = {alice.post("/ask", data=data).location for _ in range(2)}
    assert len(places) == 1
    place = places.pop()
    data = {"submission": token_of(alice.get(place)), "body": "Still there."}
    assert len({alice.post(f"{place}/entries", data=data).location for _ in range(2)}) == 1
    assert db.session.query(Record).count() == 1
    assert db.session.query(Entry).count() == 1


def taken(client):
    """Which forms a page calls taken, so that the browser drops its drafts of them."""
    return re.search(r'data-sent="([^"]*)"', client.get("/help").text)[1].split()


@pytest.mark.thorough
def test_pages_name_the_forms_that_were_taken_and_no_others(people, client_for):
    alice, ann = client_for(people.alice), client_for(people.ann)
    ids = [f"{number:016x}" for number in range(7)]
    alice.post("/ask", data={"subject": "", "draft": ids[0]})
    ann.post("/ask", data={"subject": "Paper jam", "draft": ids[0]})
    alice.post("/search", data={"draft": ids[0]})
    alice.post("/ask", data={"subject": "Paper jam", "draft": '"><script>'})
    alice.post("/ask", data={"subject": "Paper jam", "draft": "a" * 5000})
    assert taken(alice) == taken(ann) == []
    for sent in ids:
        alice.post("/ask", data={"subject": "Paper jam", "draft": sent})
    assert taken(alice) == ids[-5:]
    assert taken(client_for(people.bob)) == []


def test_a_refused_request_keeps_what_was_typed(people, client_for):
    answer = client_for(people.alice).post(
        "/ask", data={"subject": "  ", "description": "Typed <long>", "kind": "repair"}
    )
    assert answer.status_code == 422
    assert "Typed &lt;long&gt;" in answer.text
    assert '<option selected value="repair">' in answer.text
    assert 'href="#subject"' in answer.text
    assert "<title>Error:" in answer.text
    assert db.session.query(Record).count() == 0


@pytest.mark.parametrize(
    "data",
    [
        {"subject": "x", "product_id": "999"},
        {"subject": "x", "category_id": "'"},
        {"subject": "x", "kind": "nonsense"},
        {"subject": "x\x00"},
        {"subject": "x" * 301},
        {"subject": "x", "serial_number": "y" * 101},
    ],
)
def test_bad_input_is_refused_in_words(people, client_for, data):
    answer = client_for(people.alice).post("/ask", data=data)
    assert answer.status_code == 422
    assert "error-summary" in answer.text


def test_columns_that_are_not_declared_change_nothing(people, client_for):
    alice = client_for(people.alice)
    names = [column.name for column in Record.__table__.columns if column.name not in {"subject", "submission"}]
    alice.post(
        "/ask",
        data={
            **dict.fromkeys(names, str(people.company_b)),
            "kind": "",
            "product_id": "",
            "category_id": "",
            "subject": "x",
        },
    )
    record = db.session.scalars(select(Record)).one()
    assert (record.customer_id, record.requester_id) == (people.company_a, people.alice.user_id)
    assert (record.state, record.priority, record.assignee_id, record.source) == ("new", "normal", None, None)


def test_without_scripts_answers_are_looked_for_by_a_button(people, client_for):
    page = client_for(people.alice).post("/ask", data={"subject": "Paper jam", "description": "kept", "look": "1"})
    assert page.status_code == 200
    assert "kept" in page.text
    assert db.session.query(Record).count() == 0


def test_titles_answer_while_the_engine_is_down(app, people, client_for):
    made = Article(kind="faq", title="Paper jam in tray 2", slug="jam", state="published")
    inner = Article(kind="faq", title="Paper jam inside", slug="jam2", state="published", audience="internal")
    db.session.add_all([made, inner])
    outbox.record(made, inner)
    db.session.commit()
    app.extensions[EXTENSION] = DeadEngine()
    page = client_for(people.alice).get("/ask/answers?subject=paper+jam")
    assert "Paper jam in tray 2" in page.text
    assert "inside" not in page.text
    assert "limited" in page.text


def test_own_requests_are_listed_and_staff_go_to_the_desk(people, client_for, asked):
    page = client_for(people.alice).get("/requests")
    assert "It does not print" in page.text
    assert "It does not print" not in client_for(people.bob).get("/requests").text
    assert "No requests here" in client_for(people.alice).get("/requests?queue=finished").text
    assert client_for(people.carol).get("/requests").location == "/desk"
    assert client_for(people.carol).get("/records").location == "/desk"
    assert client_for(people.alice).get("/records").location == "/requests"


# The conversation


def test_what_was_written_is_shown_and_not_interpreted(people, client_for, asked, at):
    for person in (people.alice, people.carol):
        page = client_for(person).get(at)
        assert "Since &lt;b&gt;Monday&lt;/b&gt;." in page.text
        assert "<b>Monday" not in page.text


def test_a_canary_in_internal_notes_reaches_no_customer(people, client_for, asked, at):
    carol, alice = client_for(people.carol), client_for(people.alice)
    assert carol.post(f"{at}/entries", data={"body": "CANARY", "kind": "note"}).status_code == 303
    # What staff send without saying which is a note: it may never slip out.
    assert carol.post(f"{at}/entries", data={"body": "CANARY"}).status_code == 303
    assert "CANARY" in carol.get(at).text
    for path in (at, "/requests", "/ask", "/requests?queue=all", f"{at}?x=1"):
        assert "CANARY" not in alice.get(path).text
    from portal.mail import messages
    from portal.mail.models import Message

    letters = [messages.open_letter(message) for message in db.session.scalars(select(Message))]
    assert "CANARY" not in str(letters)


def test_staff_reply_and_the_asker_gets_a_mail(people, client_for, asked, at):
    from portal.mail import messages
    from portal.mail.models import Message

    carol = client_for(people.carol)
    sent = carol.post(f"{at}/entries", data={"body": "Is it on?", "kind": "reply", "state": "waiting"})
    assert sent.status_code == 303
    assert "#entry-" in sent.location
    letter = messages.open_letter(db.session.scalars(select(Message)).one())
    assert letter.recipient == people.alice.email
    assert asked.number in letter.subject
    assert "Is it on?" in letter.text
    assert f"/records/{asked.number}" in letter.text
    assert "Is it on?" in client_for(people.alice).get(at).text
    assert db.session.get(Record, asked.id).state == "waiting"
    client_for(people.alice).post(f"{at}/entries", data={"body": "Yes.", "kind": "note", "state": "closed"})
    assert db.session.get(Record, asked.id).state == "open"
    assert db.session.query(Message).count() == 1


def test_a_contact_without_account_gets_the_mail(people, client_for):
    from portal.mail import messages
    from portal.mail.models import Message

    made = customers.create(
        by=people.carol.viewer, name="Gamma", contacts=[ContactDraft(name="Li", emails=["li@example.com"])]
    )
    record = records.create(
        by=people.carol.viewer, subject="x", customer_id=made.id, contact_id=made.contacts[0].id, language="zh"
    )
    states.resolve(record, by=people.carol.viewer, resolution="Done.")
    letter = messages.open_letter(db.session.scalars(select(Message)).one())
    assert letter.recipient == "li@example.com"
    assert "已解决" in letter.subject


@pytest.mark.parametrize("data", [{"body": " "}, {"body": "a\x00b"}, {"body": "x" * 100_001}])
def test_a_refused_reply_keeps_what_was_typed(people, client_for, asked, at, data):
    answer = client_for(people.alice).post(f"{at}/entries", data=data)
    assert answer.status_code == 422
    assert 'href="#body"' in answer.text
    assert db.session.query(Entry).count() == 0


def test_a_refused_state_is_said_beside_it(people, client_for, asked, at):
    answer = client_for(people.carol).post(f"{at}/entries", data={"body": "typed", "kind": "reply", "state": "godlike"})
    assert answer.status_code == 422
    assert "typed</textarea>" in answer.text
    assert db.session.query(Entry).count() == 0


def test_a_record_is_worked_on_without_leaving_it(people, client_for, asked, at):
    made = Article(kind="faq", title="How to print", slug="how-to-print", state="published")
    db.session.add(made)
    outbox.record(made)
    db.session.commit()
    carol = client_for(people.carol)
    other = records.create(by=people.bob.viewer, subject="Same here")
    for path, data in [
        ("/assignee", {"assignee_id": str(people.dora.user_id)}),
        ("/state", {"state": "open"}),
        ("/articles", {"article_id": str(made.id)}),
        ("/links", {"number": other.number.lower()}),
        ("/resolution", {"resolution": "Turn it on."}),
    ]:
        assert carol.post(at + path, data=data).location == at, path
    page = carol.get(at)
    for words in ("Dora", "How to print", "Same here", "Turn it on.", "Resolved"):
        assert words in page.text
    seen = client_for(people.alice).get(at).text
    assert "How to print" in seen
    assert "Same here" not in seen
    carol.post(f"{at}/articles/{made.id}/removal")
    carol.post(f"{at}/links/{other.number}/removal")
    assert "Same here" not in carol.get(at).text
    assert carol.post(f"{at}/articles/{made.id}/removal").status_code == 404


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/state", {"state": "new"}),
        ("/state", {}),
        ("/assignee", {"assignee_id": "1"}),
        ("/assignee", {"assignee_id": "x"}),
        ("/articles", {"article_id": "77"}),
        ("/articles", {"article_id": "9" * 40}),
        ("/links", {"number": "R-000001"}),
        ("/links", {"number": "\x00"}),
    ],
)
def test_refused_small_changes_are_told_on_the_page(people, client_for, asked, at, path, data):
    assert people.alice.user_id == 1
    carol = client_for(people.carol)
    answer = carol.post(at + path, data=data)
    assert answer.status_code == 303
    assert "flash--danger" in carol.get(answer.location).text


def test_a_customer_says_solved(people, client_for, asked, at):
    alice = client_for(people.alice)
    assert "It is solved" in alice.get(at).text
    assert alice.post(f"{at}/resolution", data={"resolution": "mine"}).location == at
    record = db.session.get(Record, asked.id)
    assert (record.state, record.resolution) == ("resolved", "")
    assert "It is solved" not in alice.get(at).text


def test_a_resolution_needs_words_and_keeps_them(people, client_for, asked, at):
    answer = client_for(people.carol).post(f"{at}/resolution", data={"resolution": "typed", "article_id": "4711"})
    assert answer.status_code == 422
    assert "typed</textarea>" in answer.text
    assert db.session.get(Record, asked.id).state == "new"


def test_similar_cases_are_a_part_and_a_page(people, client_for, asked, at):
    carol = client_for(people.carol)
    page = carol.get(at)
    assert f'hx-get="{at}/similar"' in page.text
    assert f'<a href="{at}/similar">' in page.text
    assert "<html" in carol.get(f"{at}/similar").text
    part = carol.get(f"{at}/similar", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "Similar past cases" in part


def test_a_dead_engine_is_told_and_stops_nothing(app, people, client_for, asked, at):
    app.extensions[EXTENSION] = DeadEngine()
    carol = client_for(people.carol)
    assert carol.get(at).status_code == 200
    assert "does not answer" in carol.get(f"{at}/similar").text
    assert carol.post(f"{at}/entries", data={"body": "works", "kind": "reply"}).status_code == 303


# Files


def test_files_come_with_a_request_and_replies(people, client_for):
    alice, carol = client_for(people.alice), client_for(people.carol)
    sent = alice.post(
        "/ask", data={"subject": "x", "files": [(BytesIO(PNG), "photo.png"), (BytesIO(b"a log"), "a.txt")]}
    )
    page = alice.get(sent.location)
    places = re.findall(r'href="(/records/R-000001/attachments/\d+)"', page.text)
    assert len(places) == 2
    photo = alice.get(places[0])
    assert (photo.data, photo.headers["Content-Disposition"]) == (PNG, "attachment; filename=photo.png")
    assert "inline" in alice.get(places[0] + "?show=1").headers["Content-Disposition"]
    assert alice.get(places[1] + "?show=1").headers["Content-Disposition"].startswith("attachment")
    alone = carol.post(f"{sent.location}/entries", data={"kind": "reply", "files": (BytesIO(b"try"), "try.txt")})
    assert alone.status_code == 303
    assert "try.txt" in alice.get(sent.location).text


def test_files_of_notes_and_of_others_are_like_missing_ones(people, client_for, asked, at):
    carol, alice = client_for(people.carol), client_for(people.alice)
    carol.post(f"{at}/entries", data={"body": "see", "kind": "note", "files": (BytesIO(b"CANARY"), "inner.txt")})
    place = re.search(rf'href="({at}/attachments/\d+)"', carol.get(at).text)[1]
    assert carol.get(place).data == b"CANARY"
    assert "inner.txt" not in alice.get(at).text
    missing = alice.get(f"{at}/attachments/4711")
    hidden = alice.get(place)
    assert hidden.status_code == missing.status_code == 404
    assert client_for(people.bob).get(place).status_code == 404
    assert "/sign-in" in client_for(people.ann).get(place).location
    # Nested under another record the same file does not exist.
    other = records.create(by=people.alice.viewer, subject="other")
    assert carol.get(place.replace(asked.number, other.number)).status_code == 404


@pytest.mark.parametrize("name", ["page.html", "picture.svg", "run.exe", "fake.png", "empty.txt"])
def test_files_that_are_not_taken_are_named_and_nothing_is_lost(people, client_for, asked, at, name):
    content = b"" if name == "empty.txt" else b"<script>alert(1)</script>"
    answer = client_for(people.alice).post(f"{at}/entries", data={"body": "typed", "files": (BytesIO(content), name)})
    assert answer.status_code == 422
    assert "typed</textarea>" in answer.text
    assert name in answer.text
    assert db.session.query(Entry).count() == 0
    refused = client_for(people.alice).post("/ask", data={"subject": "new", "files": (BytesIO(content), name)})
    assert refused.status_code == 422
    assert db.session.query(Record).count() == 1


# Details


def form_of(page, **changes):
    """What a browser would send from the details form."""
    data = dict(re.findall(r'<input[^>]*name="(version|subject|serial_number|tags)"[^>]*value="([^"]*)"', page.text))
    for name, options in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', page.text, re.DOTALL):
        chosen = re.search(r'<option selected value="([^"]*)"', options)
        data[name] = chosen[1] if chosen else ""
    return data | changes


def test_details_are_changed(people, client_for, asked, at):
    carol = client_for(people.carol)
    sent = carol.post(
        f"{at}/details",
        data=form_of(
            carol.get(f"{at}/details"),
            priority="urgent",
            tags="printer, tray",
            serial_number="SN 1",
            description="better",
        ),
    )
    assert sent.location == at, sent.text
    record = db.session.get(Record, asked.id)
    assert (record.priority, record.serial_number, record.description) == ("urgent", "SN 1", "better")
    assert sorted(tag.name for tag in record.tags) == ["printer", "tray"]
    assert record.customer_id == people.company_a


def test_saving_details_over_a_newer_version_shows_both(people, client_for, asked, at):
    carol, dora = client_for(people.carol), client_for(people.dora)
    old = form_of(carol.get(f"{at}/details"), description="Carol's words")
    dora.post(f"{at}/details", data=form_of(dora.get(f"{at}/details"), description="Dora's words"))
    answer = carol.post(f"{at}/details", data=old)
    assert answer.status_code == 409
    assert "Carol&#39;s words" in answer.text
    assert "Dora&#39;s words" in answer.text
    assert db.session.get(Record, asked.id).description == "Dora's words"
    again = form_of(answer, description="both")
    assert carol.post(f"{at}/details", data=again).status_code == 303
    assert db.session.get(Record, asked.id).description == "both"


def test_the_customer_of_a_record_is_exchanged_by_looking_them_up(people, client_for, asked, at):
    carol = client_for(people.carol)
    page = carol.get(f"{at}/details?caller=beta")
    assert f"{at}/details?customer={people.company_b}" in page.text.replace("&amp;", "&")
    page = carol.get(f"{at}/details?customer={people.company_b}")
    carol.post(f"{at}/details", data=form_of(page, description=""))
    assert db.session.get(Record, asked.id).customer_id == people.company_b


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 30])
def test_a_broken_version_is_a_bad_request(people, client_for, asked, at, version):
    assert client_for(people.carol).post(f"{at}/details", data={"version": version}).status_code == 400


# The desk and new records


@pytest.mark.thorough
def test_the_desk_shows_queues_with_counts(people, client_for, asked):
    records.create(by=people.carol.viewer, subject="Mine", assignee_id=people.carol.user_id, priority="urgent")
    carol = client_for(people.carol)
    page = carol.get("/desk")
    assert "It does not print" in page.text
    assert ">Mine</a>" not in page.text
    page = carol.get("/desk?queue=mine")
    assert ">Mine</a>" in page.text
    for query in (
        "queue=nonsense",
        "queue=all&sort=-priority",
        "sort=nonsense",
        "page=99999999999",
        "page=0",
        "product=x",
    ):
        assert carol.get(f"/desk?{query}").status_code == 200
    listed = carol.get("/desk?queue=all&sort=-priority").text
    assert listed.index(">Mine</a>") < listed.index("It does not print")


@pytest.mark.thorough
def test_a_queue_has_pages(people, client_for):
    for n in range(27):
        records.create(by=people.carol.viewer, subject=f"case {n}")
    carol = client_for(people.carol)
    assert len(re.findall(r">case \d+</a>", carol.get("/desk").text)) == 25
    assert len(re.findall(r">case \d+</a>", carol.get("/desk?page=2").text)) == 2


@pytest.mark.thorough
def test_a_record_is_opened_for_a_caller(people, client_for):
    made = customers.create(
        by=people.carol.viewer,
        name="Gamma",
        contacts=[ContactDraft(name="Li Wei", emails=["li@example.com"], phones=["+886223456789"])],
    )
    carol = client_for(people.carol)
    for typed in ("gam", "li wei", "li@example.com", "02-2345-6789"):
        page = carol.get("/records/new", query_string={"caller": typed})
        assert f"/records/new?customer={made.id}" in page.text
        assert "Gamma" in carol.get("/callers", query_string={"caller": typed}).text
    page = carol.get(f"/records/new?customer={made.id}")
    assert "Li Wei" in page.text
    sent = carol.post(
        "/records/new",
        data=form_of(page, subject="Broken", submission=token_of(page), contact_id=str(made.contacts[0].id)),
    )
    record = db.session.scalars(select(Record)).one()
    assert sent.location == f"/records/{record.number}"
    assert (record.customer_id, record.contact_id) == (made.id, made.contacts[0].id)
    assert record.number in carol.get("/callers", query_string={"caller": record.number}).text


def test_a_refused_new_record_keeps_what_was_typed(people, client_for):
    answer = client_for(people.carol).post(
        "/records/new", data={"subject": "", "description": "typed", "customer_id": "77"}
    )
    assert answer.status_code == 422
    assert "typed" in answer.text
    assert db.session.query(Record).count() == 0


@pytest.mark.thorough
def test_pages_cost_no_more_with_more_records(people, client_for, query_count):
    carol = client_for(people.carol)
    for n in range(3):
        records.create(by=people.carol.viewer, subject=f"case {n}", customer_id=people.company_a)
    with query_count() as few:
        carol.get("/desk")
    for n in range(20):
        records.create(
            by=people.carol.viewer,
            subject=f"more {n}",
            customer_id=people.company_b,
            assignee_id=people.dora.user_id if n % 2 else None,
        )
    with query_count() as many:
        carol.get("/desk")
    assert many.value <= few.value
