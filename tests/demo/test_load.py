"""Loading: everything arrives, twice is once, production refuses."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.accounts import passwords
from portal.accounts.sign_in import find_user
from portal.cli import main
from portal.customers import contacts, customers
from portal.demo.content import read_articles, read_records
from portal.demo.load import PEOPLE, SOURCE, load_demo
from portal.errors import OperationError
from portal.extensions import Base, db, now
from portal.knowledge import articles
from portal.knowledge.models import Article
from portal.outbox import OutboxRow
from portal.reports.searches import Scope, load_counts
from portal.service import reading
from portal.service.models import Record
from portal.settings import Settings
from portal.steering import configurations, judgements, rules

WRITTEN = read_articles()


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    return {
        table.name: sorted((tuple(row) for row in db.session.execute(select(table))), key=repr)
        for table in Base.metadata.sorted_tables
    }


def by_id(external_id: str) -> Article:
    return db.session.scalars(select(Article).where(Article.external_id == external_id)).one()


@pytest.mark.thorough
def test_the_demo_is_loaded_once(app: Flask, settings: Settings):
    loaded = load_demo(settings=settings)
    assert loaded.added.pop("searches") > 300
    assert loaded.added == {
        "users": 5,
        "customers": 40,
        "articles": len(WRITTEN),
        "records": len(read_records()),
        "rules": 3,
        "judged queries": 12,
    }
    check_people()
    check_articles()
    check_records()
    check_searches()
    check_steering()

    before = everything()
    again = load_demo(settings=settings, at=now() + timedelta(days=3))
    assert not again.is_new
    assert [one.password for one in again.sign_ins] == [person.password for person in PEOPLE]
    assert everything() == before


def check_searches() -> None:
    counts = load_counts(Scope(days=90, until=now()))
    assert counts.select_through is not None
    assert 0.3 < counts.select_through < 0.8
    assert counts.empty
    assert counts.reworded
    assert counts.requests


def check_steering() -> None:
    found = {(rule.action, rule.words): rule for rule in rules.load_all()}
    assert set(found) == {("pin", "refund"), ("pin", "保修"), ("hide", "daily closing")}
    assert found["hide", "daily closing"].expires_at is not None
    assert all(rule.is_in_force and rule.reason and rule.owner for rule in found.values())
    (judged_set,) = judgements.load_sets()
    judged, unjudged = judgements.load_judged(judged_set)
    assert (len(judged), unjudged) == (12, 0)
    assert {query.language for query in judged_set.queries} == {"en", "zh"}
    assert judgements.find_unknown({name for query in judged for name in query.relevance}) == []
    assert configurations.find_active() is None
    assert [one.name for one in configurations.load_all()] == ["Titles count more"]


def check_people() -> None:
    for person in PEOPLE:
        user = find_user(person.email)
        assert user is not None
        assert user.role == person.role
        assert passwords.is_right(person.password, user.password_hash)
        assert passwords.complaint(person.password, email=person.email, name=person.name) is None
    customer = find_user("customer@demo.example")
    assert customer is not None
    company = customers.own(customer.viewer)
    assert company is not None
    assert "customer@demo.example" in contacts.emails(company)
    own = db.session.scalars(select(Record).where(Record.customer_id == company.id)).all()
    assert len(own) >= 8
    assert {"open", "waiting", "closed"} <= {record.state for record in own}


def check_articles() -> None:
    titles = {one.id: one.title for one in WRITTEN}
    for article in db.session.scalars(select(Article).where(Article.source == SOURCE)):
        written = next(one for one in WRITTEN if one.id == article.external_id)
        assert (article.title, article.state, article.views) == (written.title, written.state, written.views)
        assert article.created_at <= article.updated_at <= now()
        assert (article.published_at is not None) == (written.state != "draft")
        assert article.translation_of is None or article.translation_of.title == titles[written.translation_of]
        assert article.revisions[0].number == article.version == len(written.earlier) + 1
        assert "article:" not in "".join(article.html.values())
        assert "as-written" not in "".join(article.html.values())
    editor = find_user("editor@demo.example")
    assert editor is not None
    linked = by_id("faq-cellar-setup")
    address = linked.html["body"].split('href="/articles/')[1].split('"')[0]
    target = articles.get_readable(editor.viewer, address)
    assert target is not None
    assert target.external_id == "faq-volume-modes"


def check_records() -> None:
    agent = find_user("agent@demo.example")
    assert agent is not None
    found = db.session.scalars(select(Record).where(Record.external_id == "rec-t01")).one()
    assert found.contact is not None
    assert found.contact.name == "Jana Krüger"
    assert found.serial_number.startswith("CT-")
    assert [article.external_id for article in reading.load_articles(agent.viewer, found)]
    assert any(entry.is_internal for entry in found.entries)
    assert any(entry.is_from_customer for entry in found.entries)
    numbers = db.session.scalars(select(Record.number).order_by(Record.created_at)).all()
    assert numbers == sorted(numbers)
    indexed = db.session.scalar(select(func.count()).select_from(OutboxRow).where(OutboxRow.kind == "record"))
    assert indexed == len(numbers)


def test_production_refuses_it(app: Flask, settings: Settings):
    before = everything()
    with pytest.raises(OperationError, match="production"):
        load_demo(settings=replace(settings, env="production"))
    assert everything() == before


def test_the_command_says_in_a_sentence_that_production_refuses(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CASEBOOK_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CASEBOOK_ENV", "production")
    monkeypatch.setenv("CASEBOOK_SECRET_KEY", "a secret for tests that is long enough")
    monkeypatch.setenv("CASEBOOK_TRUSTED_HOSTS", "desk.example")
    monkeypatch.setenv("CASEBOOK_BASE_URL", "https://desk.example")
    monkeypatch.setenv("CASEBOOK_MAIL_URL", "smtp://mail.example")
    assert main(["demo"]) == 1
    said = capsys.readouterr()
    assert "not loaded in production" in said.err
    assert said.out == ""
