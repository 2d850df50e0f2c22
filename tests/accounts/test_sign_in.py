"""Signing in and out."""

from urllib.parse import parse_qs, urlsplit

import pytest

from portal.accounts import guard
from portal.accounts.models import UserSession
from portal.accounts.views import safe_target
from portal.extensions import db
from tests.people import PASSWORD


def sign_in(client, email, password=PASSWORD, **more):
    return client.post("/sign-in", data={"email": email, "password": password, **more})


def session_count():
    return db.session.query(UserSession).count()


def test_the_page_has_what_programs_and_password_managers_look_for(app):
    page = app.test_client().get("/sign-in").text
    for part in ('name="email"', 'type="password"', 'type="submit"', 'autocomplete="current-password"'):
        assert part in page


def test_alice_signs_in_and_is_known(app, people):
    client = app.test_client()
    answer = sign_in(client, " Alice@Example.com ")
    assert (answer.status_code, answer.location) == (303, "/")
    assert session_count() == 1
    assert client.get("/me").status_code == 200
    assert "no-store" in client.get("/me").headers["Cache-Control"]


def test_the_form_alone_is_enough_without_javascript(app, people):
    client = app.test_client()
    client.csrf = False
    page = client.get("/sign-in").text
    token = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
    answer = sign_in(client, people.alice.email, csrf_token=token)
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("alice@example.com", "wrong"),
        ("nobody@example.com", PASSWORD),
        ("not an address", PASSWORD),
        ("alice@example.com\0", PASSWORD),
        ("alice@example.com", "x" * 100_000),
    ],
)
def test_a_wrong_guess_is_answered_alike_whatever_was_wrong(app, people, email, password):
    answer = sign_in(app.test_client(), email, password)
    assert answer.status_code == 422
    assert "do not belong together" in answer.text
    assert session_count() == 0


def test_empty_fields_are_named_and_what_was_typed_stays(app, people):
    answer = sign_in(app.test_client(), "alice@example.com", "")
    assert answer.status_code == 422
    assert "Type your password." in answer.text
    assert 'value="alice@example.com"' in answer.text


def test_a_disabled_user_is_a_wrong_guess(app, people):
    people.alice.user.is_active = False
    db.session.commit()
    assert sign_in(app.test_client(), people.alice.email).status_code == 422


def test_signing_out_kills_a_copied_cookie(app, people, client_for):
    client = client_for(people.alice)
    copied = client.get_cookie("casebook").value
    assert client.post("/sign-out").status_code == 303
    thief = app.test_client()
    thief.set_cookie("casebook", copied)
    assert thief.get("/me").status_code == 303
    assert session_count() == 0


def test_signing_in_leaves_nothing_of_the_old_cookie(app, people):
    client = app.test_client()
    client.get("/sign-in")
    before = client.csrf_token()
    sign_in(client, people.alice.email)
    first = client.get_cookie("casebook").value
    sign_in(client, people.alice.email)
    assert session_count() == 1
    client.csrf = False
    assert client.post("/sign-out", headers={"X-CSRFToken": before}).status_code == 400
    thief = app.test_client()
    thief.set_cookie("casebook", first)
    assert thief.get("/me").status_code == 303


def test_the_cookie_holds_a_token_and_nothing_of_the_user(app, people):
    client = app.test_client()
    sign_in(client, people.alice.email)
    client.get("/me")
    with client.session_transaction() as session:
        assert set(session) <= {"_user_id", "csrf_token", "_permanent"}
        assert len(session["_user_id"]) == 43


def test_keep_me_signed_in_is_the_same_session_for_longer(app, people):
    client = app.test_client()
    sign_in(client, people.alice.email, is_remembered="y")
    row = db.session.query(UserSession).one()
    assert row.is_remembered
    assert (row.expires_at - row.created_at).days >= 59
    assert client.get_cookie("casebook").expires is not None
    assert client.get_cookie("remember_token") is None


@pytest.mark.parametrize(
    ("target", "goes_to"),
    [
        ("/records/7?x=1", "/records/7?x=1"),
        ("", "/"),
        (None, "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\t/evil.example", "/"),
        ("\t//evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("evil.example", "/"),
    ],
)
def test_only_plain_paths_are_gone_on_to(target, goes_to):
    assert safe_target(target) == goes_to


def test_next_is_kept_through_the_form(app, people):
    client = app.test_client()
    asked = client.get("/me?tab=1")
    assert asked.location == "/sign-in?next=/me?tab%3D1"
    assert 'value="/me?tab=1"' in client.get(asked.location).text
    assert sign_in(client, people.alice.email, next="/me?tab=1").location == "/me?tab=1"
    assert sign_in(client, people.alice.email, next="//evil.example").location == "/"


@pytest.mark.parametrize(
    ("sent_from", "leads_back_to"),
    [
        ("/records/R-000001?caller=ada", "/records/R-000001?caller=ada"),
        # A refused form stands at the address that it was sent to.
        ("/records/R-000001/entries", "/records/R-000001"),
        ("/vocabulary/tags/pumps/merger", "/vocabulary/tags/pumps"),
        ("/no/such/page", "/"),
    ],
)
def test_who_was_signed_out_under_a_form_comes_back_to_its_page(app, people, sent_from, leads_back_to):
    client = app.test_client()
    client.csrf = False
    refused = client.post(
        "/records/R-000001/entries", data={"body": "typed"}, headers={"Referer": f"http://localhost{sent_from}"}
    )
    assert parse_qs(urlsplit(refused.location).query) == {"next": [leads_back_to]}


def test_a_long_claim_of_where_a_form_was_sent_from_costs_little(app, monkeypatch):
    looked_at = []
    monkeypatch.setattr(guard, "is_page", lambda path: looked_at.append(path) or path == "/")
    with app.test_request_context(headers={"Referer": "http://localhost" + "/a" * 2000}):
        assert guard.page_before() == "/"
    assert 1 < len(looked_at) < 10
