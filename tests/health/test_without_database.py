"""A database that does not answer: pages and the API say so with 503 and a sentence, and nothing fails with 500."""

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from portal.app import create_app
from portal.errors import Invalid
from portal.knowledge import articles
from tests.moulds import settings_in
from tests.servers import free_port


@pytest.fixture
def client(tmp_path):
    settings = settings_in(tmp_path, database_url=f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing")
    return create_app(settings).test_client()


@pytest.mark.thorough
@pytest.mark.parametrize("path", ["/articles/some", "/sign-in?next=/", "/search?q=x", "/knowledge"])
def test_pages_say_that_the_database_is_away(client, path):
    answer = client.get(path)
    assert answer.status_code in (200, 503), "what needs no database is shown, and the rest says what is the matter"
    if answer.status_code == 503:
        assert "The database cannot be reached" in answer.text
        assert answer.headers["Retry-After"] == "5"


@pytest.mark.thorough
def test_somebody_signed_in_sees_the_same_page(client):
    with client.session_transaction() as session:
        session["_user_id"] = "a session that cannot be looked up"
    answer = client.get("/articles/some")
    assert (answer.status_code, "The database cannot be reached" in answer.text) == (503, True)


def test_the_api_says_it_in_its_one_shape(client):
    answer = client.post("/api/v1/articles", json={"kind": "faq"}, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 503
    assert answer.json["error"]["code"] == "unavailable"
    assert "The database cannot be reached" in answer.json["error"]["message"]
    assert client.get("/readyz").status_code == 503


def test_a_connection_that_was_closed_costs_nobody_a_finished_answer(app, monkeypatch):
    """PostgreSQL restarts between the last query of a request and the end of its connection."""
    gone = OperationalError("ROLLBACK", {}, Exception("terminating connection due to administrator command"))
    closed = []

    def close(session):
        closed.append(session)
        raise gone

    client = app.test_client()
    monkeypatch.setattr(Session, "close", close)
    answer = client.get("/api/v1/suggest?q=light")
    assert (answer.status_code, bool(closed)) == (200, True)
    monkeypatch.undo()
    assert client.get("/api/v1/suggest?q=light").status_code == 200


def test_a_refusal_while_the_database_goes_away_is_no_fault(app, people, token_for, monkeypatch):
    """The connection is closed between an operation's refusal and the end of its transaction."""
    gone = OperationalError("ROLLBACK", {}, Exception("server closed the connection unexpectedly"))
    rollback, headers = Session.rollback, token_for(people.erin)

    def refuse(**_):
        monkeypatch.setattr(Session, "rollback", close)
        raise Invalid({"title": "Type a title."})

    def close(_session):
        monkeypatch.setattr(Session, "rollback", rollback)
        raise gone

    monkeypatch.setattr(articles, "create", refuse)
    answer = app.test_client().post("/api/v1/articles", json={"kind": "faq", "title": "x"}, headers=headers)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5")
    assert Session.rollback is rollback
