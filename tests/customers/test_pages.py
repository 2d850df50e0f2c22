"""The pages of customers, through the front door."""

import re

import pytest

from portal import outbox
from portal.customers import contacts, customers
from portal.customers.contacts import ContactDraft
from portal.customers.models import Customer
from portal.extensions import db
from portal.service import records

CHANGES = [
    ("/customers/new", {"name": "x"}),
    ("/customers/1/profile", {"name": "x", "version": "1"}),
    ("/customers/1/archiving", {"archived": "1"}),
]
PAGES = ["/customers", "/customers/new", "/customers/1", "/customers/1/profile"]


@pytest.fixture
def gamma(people):
    return customers.create(
        by=people.carol.viewer,
        name="Gamma <Tools>",
        region="TW",
        notes="inner words",
        contacts=[ContactDraft(name="Li Wei", emails=["li@example.com"], phones=["02 2345 6789"])],
    )


def form_of(page, **changes):
    """What a browser would send from the customer's form."""
    data = {}
    for tag in re.findall(r"<input[^>]*>", page.text):
        name = re.search(r'name="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and name[1] not in ("q", "csrf_token"):
            data[name[1]] = value[1].replace("&lt;", "<").replace("&gt;", ">") if value else ""
    for name, options in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', page.text, re.DOTALL):
        data[name] = re.search(r'<option selected value="([^"]*)"', options)[1]
    texts = re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\s*(.*?)</textarea>', page.text, re.DOTALL)
    return data | dict(texts) | changes


@pytest.mark.parametrize("path", PAGES)
def test_pages_need_a_sign_in_and_are_for_staff(people, client_for, path):
    assert "/sign-in" in client_for(people.ann).get(path).location
    assert client_for(people.alice).get(path).status_code == 403
    assert client_for(people.carol).get(path).status_code == 200


@pytest.mark.parametrize(("path", "data"), CHANGES)
def test_changes_need_a_sign_in_a_role_and_a_token(people, client_for, path, data):
    before = db.session.query(Customer).count(), outbox.version_of("customer", 1)
    assert client_for(people.ann).post(path, data=data).status_code == 303
    assert client_for(people.alice).post(path, data=data).status_code == 403
    carol = client_for(people.carol)
    carol.csrf = False
    assert carol.post(path, data=data).status_code == 400
    assert (db.session.query(Customer).count(), outbox.version_of("customer", 1)) == before


@pytest.mark.parametrize("path", ["/customers/999", "/customers/999/profile", "/customers/99999999999999999999"])
def test_missing_customers_are_missing(people, client_for, path):
    assert client_for(people.carol).get(path).status_code == 404


def test_wrong_methods(people, client_for):
    assert client_for(people.carol).get("/customers/1/archiving").status_code == 405
    assert client_for(people.carol).delete("/customers/1").status_code == 405


def test_a_profile_shows_contacts_records_and_notes(people, client_for, gamma):
    records.create(by=people.carol.viewer, subject="It rattles", customer_id=gamma.id)
    page = client_for(people.carol).get(f"/customers/{gamma.id}").text
    for words in ("Gamma &lt;Tools&gt;", "Li Wei", "li@example.com", "+886 2 2345 6789", "It rattles", "inner words"):
        assert words in page


@pytest.mark.parametrize("typed", ["gamma", "Li", "li@example.com", "0223456789"])
def test_the_list_finds_by_name_contact_address_and_number(people, client_for, gamma, typed):
    page = client_for(people.carol).get("/customers", query_string={"q": typed}).text
    assert "Gamma &lt;Tools&gt;" in page
    assert "Alpha Works" not in page


@pytest.mark.parametrize(
    "query", ["q=%00", "q=%25", "page=99999999999999", "page=x", "kind='", "tag=none", "q=" + "x" * 5000]
)
def test_odd_questions_are_answered(people, client_for, query):
    assert client_for(people.carol).get(f"/customers?{query}").status_code == 200


def test_a_customer_is_added_with_contacts(people, client_for):
    carol = client_for(people.carol)
    data = form_of(carol.get("/customers/new"), name="Delta")
    data |= {"contacts-0-name": "Eve", "contacts-0-emails": "eve@example.com, e2@example.com", "tags": "vip, key"}
    more = carol.post("/customers/new", data=data | {"more": "1"})
    assert 'name="contacts-1-name"' in more.text
    sent = carol.post("/customers/new", data=form_of(more) | {"contacts-1-phones": "+442079460958"})
    assert sent.status_code == 303, sent.text
    made = db.session.query(Customer).filter_by(name="Delta").one()
    assert contacts.emails(made) == ["eve@example.com", "e2@example.com"]
    assert contacts.phones(made) == ["+442079460958"]
    assert sorted(tag.name for tag in made.tags) == ["key", "vip"]


def test_bad_input_keeps_what_was_typed(people, client_for):
    data = {"name": "", "kind": "company", "notes": "kept", "contacts-0-name": "", "contacts-1-emails": "nonsense"}
    answer = client_for(people.carol).post("/customers/new", data=data)
    assert answer.status_code == 422
    assert "kept" in answer.text
    assert 'value="nonsense"' in answer.text
    assert 'href="#name"' in answer.text
    assert "is not an e-mail address" in answer.text
    assert "<title>Error:" in answer.text


def test_a_profile_is_changed(people, client_for, gamma):
    carol = client_for(people.carol)
    data = form_of(carol.get(f"/customers/{gamma.id}/profile"), name="Delta", region="Japan")
    assert carol.post(f"/customers/{gamma.id}/profile", data=data).status_code == 303
    made = db.session.get(Customer, gamma.id)
    assert (made.name, made.region, made.notes) == ("Delta", "Japan", "inner words")
    assert contacts.phones(made) == ["+886223456789"]
    assert contacts.emails(made) == ["li@example.com"]


def test_saving_over_a_newer_version_shows_both_and_loses_neither(people, client_for, gamma):
    carol, dora = client_for(people.carol), client_for(people.dora)
    place = f"/customers/{gamma.id}/profile"
    mine = form_of(carol.get(place), notes="Carol wrote")
    theirs = form_of(dora.get(place), notes="Dora wrote") | {"contacts-1-name": "Added by Dora"}
    assert dora.post(place, data=theirs).status_code == 303
    answer = carol.post(place, data=mine)
    assert answer.status_code == 409
    assert "Carol wrote" in answer.text
    assert "Dora wrote" in answer.text
    assert "Added by Dora" in answer.text
    assert db.session.get(Customer, gamma.id).notes == "Dora wrote"
    assert carol.post(place, data=form_of(answer)).status_code == 303
    made = db.session.get(Customer, gamma.id)
    assert made.notes == "Carol wrote"
    assert sorted(contact.name for contact in made.contacts) == ["Added by Dora", "Li Wei"]


@pytest.mark.parametrize("version", ["", "x", "9" * 30])
def test_a_broken_version_is_a_bad_request(people, client_for, gamma, version):
    answer = client_for(people.carol).post(f"/customers/{gamma.id}/profile", data={"name": "x", "version": version})
    assert answer.status_code == 400


def test_columns_that_are_not_declared_change_nothing(people, client_for, gamma):
    carol = client_for(people.carol)
    data = form_of(carol.get(f"/customers/{gamma.id}/profile"))
    names = [column.name for column in Customer.__table__.columns if column.name not in data]
    assert {"is_archived", "source", "external_id", "id", "digest"} <= set(names)
    carol.post(f"/customers/{gamma.id}/profile", data=dict.fromkeys(names, "77") | data)
    made = db.session.get(Customer, gamma.id)
    assert (made.is_archived, made.source, made.external_id) == (False, None, None)


def test_a_customer_is_put_away_and_brought_back(people, client_for, gamma):
    carol = client_for(people.carol)
    carol.post(f"/customers/{gamma.id}/archiving", data={"archived": "1"})
    assert "put away" in carol.get(f"/customers/{gamma.id}").text
    assert "Gamma" not in carol.get("/customers").text.split("<main")[1].split("</main>")[0]
    assert "Gamma" in carol.get("/customers?archived=1").text
    carol.post(f"/customers/{gamma.id}/archiving", data={"archived": "0"})
    assert "Gamma" in carol.get("/customers").text
