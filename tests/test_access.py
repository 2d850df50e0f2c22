"""The rule of reading is written as tokens and as SQL; both say the same for every viewer and every object."""

from itertools import product

import pytest
from flask import Flask
from sqlalchemy import select

from portal import outbox
from portal.access import (
    PERMISSIONS,
    STAFF_ROLES,
    Audience,
    Forbidden,
    Permission,
    Role,
    Viewer,
    article_tokens,
    narrowest,
    viewer_for,
)
from portal.extensions import db
from portal.knowledge import findable as articles
from portal.knowledge.models import STATES, Article
from portal.service import findable as records
from portal.service.models import Record
from portal.vocabulary.models import Category
from tests.people import People


def viewers(people: People) -> list[Viewer]:
    return [person.viewer for person in people.everybody]


@pytest.mark.thorough
def test_articles_are_readable_by_tokens_exactly_where_they_are_by_sql(app: Flask, people: People) -> None:
    categories = [None] + [
        Category(slug=f"c-{audience}", name=audience, audience=audience, effective_audience=audience)
        for audience in Audience
    ]
    owners = [None, people.alice.user_id, people.carol.user_id, people.dora.user_id]
    made = []
    for number, (state, audience, category, owner, is_shared) in enumerate(
        product(STATES, Audience, categories, owners, [False, True])
    ):
        made.append(
            Article(
                kind="faq",
                title=str(number),
                slug=f"a-{number}",
                state=state,
                audience=audience,
                category=category,
                owner_id=owner,
                is_shared=is_shared,
                html={},
                sections=[],
            )
        )
    db.session.add_all(made)
    outbox.record(*made)
    db.session.commit()
    readable = {}
    for viewer in viewers(people):
        by_tokens = {article.id for article in made if viewer.may_read(article.readers)}
        by_sql = set(db.session.scalars(articles.select_readable(viewer, Article.id)))
        assert by_sql == by_tokens, viewer.role
        readable[viewer.role] = len(by_sql)
    assert readable[Role.ANONYMOUS] < readable[Role.CUSTOMER] < readable[Role.AGENT] < readable[Role.EDITOR]
    assert readable[Role.EDITOR] == readable[Role.ADMIN] == len(made)


def test_records_are_readable_by_tokens_exactly_where_they_are_by_sql(app: Flask, people: People) -> None:
    made = [
        Record(number=f"R-{number}", subject="x", customer_id=customer, requester_id=requester)
        for number, (customer, requester) in enumerate(
            product(
                [None, people.company_a, people.company_b],
                [None, people.alice.user_id, people.bob.user_id, people.carol.user_id],
            )
        )
    ]
    db.session.add_all(made)
    outbox.record(*made)
    db.session.commit()
    for viewer in viewers(people):
        by_tokens = {record.id for record in made if viewer.may_read(record.readers)}
        assert set(db.session.scalars(records.select_readable(viewer, Record.id))) == by_tokens, viewer.role
    assert db.session.scalars(select(Record.id)).all(), "there are records at all"


@pytest.mark.parametrize("role", Role)
def test_later_roles_of_the_staff_may_do_all_that_the_earlier_may(role: Role) -> None:
    order = [Role.ANONYMOUS, Role.CUSTOMER, Role.AGENT, Role.EDITOR, Role.MANAGER, Role.ADMIN]
    for earlier in order[: order.index(role)]:
        assert PERMISSIONS[earlier] <= PERMISSIONS[role]


def test_a_viewer_without_a_permission_is_refused() -> None:
    viewer = viewer_for(Role.CUSTOMER, user_id=1, customer_id=2)
    viewer.require(Permission.ASK)
    with pytest.raises(Forbidden, match="write_articles"):
        viewer.require(Permission.WRITE_ARTICLES)


def test_only_customers_hold_the_token_of_a_company() -> None:
    assert "customer:2" in viewer_for(Role.CUSTOMER, user_id=1, customer_id=2).tokens
    for role in STAFF_ROLES:
        assert "customer:2" not in viewer_for(role, user_id=1, customer_id=2).tokens


def test_the_narrowest_audience_wins() -> None:
    assert narrowest("public", "internal", None) == Audience.INTERNAL
    assert narrowest("customers", "public") == Audience.CUSTOMERS
    assert narrowest(None) == Audience.PUBLIC
    assert article_tokens(
        state="published", audience="public", category_audience="internal", owner_id=7, is_shared=True
    ) == {"staff"}
