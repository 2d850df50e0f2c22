"""Named people whom the tests speak of, and browsers in their hands.

    def test_…(people, client_for):
        alice = client_for(people.alice)
        assert alice.get("/records/7").status_code == 404     # it is Bob's

A browser sends the CSRF token by itself (`client.csrf = False` stops it), and each request runs in an application
context of its own, as it does in production.  What the test holds from `db.session` is read again after each request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask, has_app_context
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import delete

from portal import outbox
from portal.access import ANONYMOUS, Role, Viewer
from portal.accounts import sessions, tokens
from portal.accounts.models import UsedCode, User
from portal.customers.models import Customer
from portal.extensions import db
from portal.mail.messages import Letter, open_letter
from portal.mail.models import Message

PASSWORD = "correct horse battery"
PASSWORD_HASH = "$argon2id$v=19$m=8,t=1,p=1$W6QTpwnOt4IsV2T0X3NcqQ$VAc61Mfr+v1Hg12zfHVhTmGuZDqNd3+P0p3aDQeYg/k"
"""Everybody's password, hashed at next to no cost."""


@dataclass(frozen=True)
class Person:
    """Somebody in a test."""

    name: str
    role: Role
    viewer: Viewer
    email: str = ""
    user_id: int | None = None
    customer_id: int | None = None

    @property
    def user(self) -> User:
        """The person's account, as it is now."""
        return db.session.get_one(User, self.user_id)


@dataclass(frozen=True)
class People:
    """One of each kind; Alice and Bob are customers of two different companies."""

    ann: Person
    alice: Person
    bob: Person
    carol: Person
    dora: Person
    erin: Person
    fred: Person
    company_a: int
    company_b: int

    @property
    def everybody(self) -> tuple[Person, ...]:
        """All of them, from the least to the most trusted."""
        return (self.ann, self.alice, self.bob, self.carol, self.dora, self.erin, self.fred)


def forget_used_codes(user: User) -> None:
    """Make it, in the caller's transaction, as if the codes of the second factor had been given a while ago."""
    user.totp_last_step = None
    db.session.execute(delete(UsedCode).where(UsedCode.user_id == user.id))


class Browser(FlaskClient):
    """A client that keeps cookies and sends the CSRF token with every unsafe request."""

    csrf = True
    _token: tuple[object, str] | None = None

    def open(self, *args: Any, **kwargs: Any) -> Any:
        method = str(kwargs.get("method", "GET")).upper()
        if self.csrf and method not in {"GET", "HEAD", "OPTIONS"}:
            headers = dict(kwargs.pop("headers", None) or {})
            headers.setdefault("X-CSRFToken", self.csrf_token())
            kwargs["headers"] = headers
        kwargs.setdefault("buffered", True)
        with self.application.app_context():
            response = super().open(*args, **kwargs)
        if has_app_context():
            db.session.expire_all()
        return response

    def csrf_token(self) -> str:
        """Return a token that this browser's session accepts; the same one as long as its cookie stays the same."""
        cookie = self.get_cookie("casebook")
        state = (cookie and cookie.value, self.application.secret_key)
        if cookie is not None and self._token is not None and self._token[0] == state:
            return self._token[1]
        with self.application.app_context(), self.session_transaction() as session:
            raw = session.setdefault("csrf_token", "0" * 40)
        token = str(URLSafeTimedSerializer(self.application.secret_key or "", salt="wtf-csrf-token").dumps(raw))
        cookie = self.get_cookie("casebook")
        self._token = ((cookie and cookie.value, self.application.secret_key), token)
        return token


def make_people() -> People:
    """Put the named people into the database."""
    companies = [Customer(kind="company", name="Alpha Works"), Customer(kind="company", name="Beta Mills")]
    db.session.add_all(companies)
    db.session.flush()
    outbox.record(*companies)
    one, other = (company.id for company in companies)
    staff = {"Carol": Role.AGENT, "Dora": Role.EDITOR, "Erin": Role.MANAGER, "Fred": Role.ADMIN}
    made = {
        name: User(
            name=name,
            email=f"{name.lower()}@example.com",
            role=role.value,
            customer_id=customer_id,
            password_hash=PASSWORD_HASH,
        )
        for name, role, customer_id in [
            ("Alice", Role.CUSTOMER, one),
            ("Bob", Role.CUSTOMER, other),
            *((name, role, None) for name, role in staff.items()),
        ]
    }
    db.session.add_all(made.values())
    db.session.commit()
    persons = {
        name.lower(): Person(
            name=name,
            role=Role(user.role),
            viewer=user.viewer,
            email=user.email,
            user_id=user.id,
            customer_id=user.customer_id,
        )
        for name, user in made.items()
    }
    ann = Person(name="Ann", role=Role.ANONYMOUS, viewer=ANONYMOUS)
    return People(ann=ann, company_a=one, company_b=other, **persons)


@pytest.fixture
def client_for(app: Flask) -> Callable[[Person], Browser]:
    """Give a person a browser in which they are signed in; Ann's is anonymous."""

    def browser_of(person: Person) -> Browser:
        client = app.test_client()
        assert isinstance(client, Browser)
        if person.user_id is not None:
            token = sessions.start(person.user, agent="tests")
            db.session.commit()
            with app.app_context(), client.session_transaction() as session:
                session["_user_id"] = token
        return client

    return browser_of


@pytest.fixture
def token_for(app: Flask) -> Callable[[Person], dict[str, str]]:
    """Give the headers with which a program acts as a person."""

    def headers_of(person: Person) -> dict[str, str]:
        return {"Authorization": f"Bearer {tokens.create(person.user, name='tests', by=None)}"}

    return headers_of


@pytest.fixture
def outgoing(app: Flask) -> Callable[[], list[Letter]]:
    """Return the mails that wait to be handed over, the oldest first."""

    def waiting() -> list[Letter]:
        rows = db.session.query(Message).filter(Message.sent_at.is_(None)).order_by(Message.id).all()
        return [letter for letter in map(open_letter, rows) if letter is not None]

    return waiting
