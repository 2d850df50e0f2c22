"""Articles, records and customers as programs see them."""

import pytest
from sqlalchemy import func, select

from portal.audit import verify
from portal.extensions import db
from portal.knowledge.models import Article
from portal.service.models import Entry, Record

ARTICLE = {"title": "Printer offline", "body": "Turn it **on**.", "tags": ["printer"], "state": "published"}


def test_an_editor_writes_reads_changes_and_removes_an_article(people, client_for) -> None:
    dora = client_for(people.dora)
    made = dora.post("/api/v1/articles", json=ARTICLE)
    assert made.status_code == 201, made.json
    assert made.location == f"/api/v1/articles/{made.json['id']}"
    read = client_for(people.ann).get(made.location)
    assert (read.json["title"], read.json["body"], read.json["tags"]) == (
        "Printer offline",
        "Turn it **on**.",
        ["printer"],
    )
    changed = dora.patch(made.location, json={"title": "Printer asleep", "version": read.json["version"]})
    assert (changed.status_code, changed.json["title"]) == (200, "Printer asleep")
    late = dora.patch(made.location, json={"title": "Printer gone", "version": read.json["version"]})
    assert late.status_code == 409
    assert late.json["error"]["current"]["title"] == "Printer asleep"
    assert late.json["error"]["given"]["title"] == "Printer gone"
    assert dora.delete(made.location).status_code == 204
    assert dora.get(made.location).status_code == 404
    assert list(verify()) == []


def test_a_token_acts_as_its_owner_and_no_more(app, people, token_for) -> None:
    client = app.test_client()
    client.csrf = False
    assert client.post("/api/v1/articles", json=ARTICLE, headers=token_for(people.dora)).status_code == 201
    refused = client.post("/api/v1/articles", json=ARTICLE, headers=token_for(people.carol))
    assert (refused.status_code, refused.json["error"]["code"]) == (403, "forbidden")
    unknown = client.post("/api/v1/articles", json=ARTICLE, headers={"Authorization": "Bearer made-up"})
    assert (unknown.status_code, unknown.json["error"]["code"]) == (401, "unauthorized")
    assert client.post("/api/v1/articles", json=ARTICLE).status_code in (400, 401)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "x", "colour": "red"}, "colour"),
        ({"title": "x", "owner_id": 1}, "owner_id"),
        ({"title": "x", "views": 1_000_000}, "views"),
        ({"title": 7}, "title"),
        ({"title": "x", "kind": "poem"}, "kind"),
        ({"title": "x", "category": "nowhere"}, "category"),
        ({"title": "x", "products": ["nothing"]}, "products"),
        ({"title": "\x00"}, "title"),
        ({"title": "x", "audience": "everybody"}, "audience"),
    ],
)
def test_bad_fields_are_named(people, client_for, body, field) -> None:
    answer = client_for(people.dora).post("/api/v1/articles", json=body)
    assert answer.status_code in (400, 422), answer.json
    assert field in answer.json["error"]["fields"]
    assert answer.json["error"]["message"]
    assert db.session.scalar(select(func.count()).select_from(Article)) == 0


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"title=x", "application/x-www-form-urlencoded", 422),
        (b'"text"', "application/json", 422),
        (b"null", "application/json", 422),
    ],
)
def test_what_is_no_object_is_refused(people, client_for, data, kind, status) -> None:
    answer = client_for(people.dora).post("/api/v1/articles", data=data, content_type=kind)
    assert 400 <= answer.status_code < 500
    assert answer.json["error"]["message"]


def test_a_repeated_write_makes_one_object(people, client_for) -> None:
    dora = client_for(people.dora)
    first, second = (dora.post("/api/v1/articles", json=ARTICLE, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json == second.json
    assert first.location == second.location
    assert second.headers["Idempotency-Replayed"] == "true"
    assert db.session.scalar(select(func.count()).select_from(Article)) == 1
    other = dora.post("/api/v1/articles", json=ARTICLE | {"title": "Other"}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 422
    mine = client_for(people.erin).post("/api/v1/articles", json=ARTICLE, headers={"Idempotency-Key": "k1"})
    assert mine.status_code == 201
    assert mine.json["id"] != first.json["id"]


def test_a_refused_write_may_be_repeated_with_its_key(people, client_for) -> None:
    dora = client_for(people.dora)
    for _ in range(2):
        refused = dora.post("/api/v1/articles", json={"title": ""}, headers={"Idempotency-Key": "k2"})
        assert refused.status_code == 422
        assert "Idempotency-Replayed" not in refused.headers


def test_a_process_that_dies_before_its_answer_leaves_enough_to_answer(people, client_for, monkeypatch) -> None:
    dora = client_for(people.dora)
    from portal.api import idempotency

    def die(*_: object) -> None:
        raise ConnectionResetError("killed between commit and answer")

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "_keep", die)
        with pytest.raises(ConnectionResetError):
            dora.post("/api/v1/articles", json=ARTICLE, headers={"Idempotency-Key": "k3"})
    again = dora.post("/api/v1/articles", json=ARTICLE, headers={"Idempotency-Key": "k3"})
    assert again.status_code == 200
    assert again.json["reference"].startswith("article:")
    assert db.session.scalar(select(func.count()).select_from(Article)) == 1


def test_customers_see_their_own_records_without_notes(people, client_for) -> None:
    alice, carol = client_for(people.alice), client_for(people.carol)
    made = alice.post("/api/v1/records", json={"subject": "Printer broken", "description": "It smokes."})
    assert made.status_code == 201, made.json
    place = made.location
    assert made.json["customer_id"] == people.company_a
    assert carol.post(f"{place}/entries", json={"kind": "note", "body": "SECRET"}).status_code == 201
    assert carol.post(f"{place}/entries", json={"kind": "reply", "body": "Unplug it."}).status_code == 201
    seen = alice.get(place)
    assert "SECRET" not in seen.text
    assert "Unplug it." in seen.text
    assert "assignee" not in seen.json
    assert "SECRET" in carol.get(place).text
    theirs, missing = client_for(people.bob).get(place), client_for(people.bob).get("/api/v1/records/999999")
    assert (theirs.status_code, theirs.json) == (missing.status_code, missing.json)
    assert theirs.status_code == 404
    assert alice.post(f"{place}/entries", json={"kind": "note", "body": "x"}).status_code == 403
    assert client_for(people.ann).get(place).status_code == 401


def test_customers_cannot_set_what_is_not_theirs(people, client_for) -> None:
    alice = client_for(people.alice)
    for field, value in (("customer_id", people.company_b), ("priority", "urgent"), ("assignee", "carol@example.com")):
        answer = alice.post("/api/v1/records", json={"subject": "x", field: value})
        assert answer.status_code == 422, (field, answer.json)
    assert db.session.scalar(select(func.count()).select_from(Record)) == 0


def test_staff_work_on_a_record(people, client_for) -> None:
    carol = client_for(people.carol)
    made = carol.post("/api/v1/records", json={"subject": "Noise", "customer_id": people.company_a, "kind": "repair"})
    place = made.location
    changed = carol.patch(
        place, json={"priority": "high", "assignee": "carol@example.com", "version": made.json["version"]}
    )
    assert (changed.status_code, changed.json["priority"], changed.json["assignee"]) == (
        200,
        "high",
        "carol@example.com",
    )
    late = carol.patch(place, json={"priority": "low", "version": made.json["version"]})
    assert late.status_code == 409
    solved = carol.patch(place, json={"resolution": "Fan replaced."})
    assert (solved.json["state"], solved.json["resolution"]) == ("resolved", "Fan replaced.")
    twice = [
        carol.post(f"{place}/entries", json={"kind": "reply", "body": "Done."}, headers={"Idempotency-Key": "e1"})
        for _ in range(2)
    ]
    assert twice[0].json["id"] == twice[1].json["id"]
    assert db.session.scalar(select(func.count()).select_from(Entry).where(Entry.kind == "reply")) == 1


def test_customer_profiles_are_for_staff(people, client_for) -> None:
    carol = client_for(people.carol)
    made = carol.post(
        "/api/v1/customers",
        json={"name": "Gamma", "kind": "company", "emails": ["Info@Gamma.example"], "tags": ["vip"]},
    )
    assert made.status_code == 201, made.json
    assert made.json["emails"] == ["info@gamma.example"]
    listed = carol.get("/api/v1/customers?size=1").json
    assert (listed["total"], listed["size"], len(listed["items"])) == (3, 1, 1)
    assert client_for(people.alice).get("/api/v1/customers").status_code == 403
    assert client_for(people.ann).get("/api/v1/customers").status_code == 401


@pytest.mark.parametrize("query", ["page=0", "size=101", "size=x", "page=" + "9" * 30, "size=-1"])
def test_bad_pages_are_refused(people, client_for, query) -> None:
    answer = client_for(people.dora).get(f"/api/v1/articles?{query}")
    assert answer.status_code in (400, 422)
    assert answer.json["error"]["fields"]


@pytest.mark.parametrize("number", ["99999999999999999999", "-1", "0x1", "٣"])
def test_numbers_that_are_no_ids_are_missing(people, client_for, number) -> None:
    assert client_for(people.dora).get(f"/api/v1/articles/{number}").status_code == 404


def test_the_description_names_every_resource(app) -> None:
    described = app.test_client().get("/api/v1/openapi.json").json
    assert {"/api/v1/search", "/api/v1/suggest", "/api/v1/articles", "/api/v1/records/{record_id}/entries"} <= set(
        described["paths"]
    )
