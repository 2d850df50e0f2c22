"""The audit log as managers read it."""

import pytest

from portal import audit
from portal.extensions import db


@pytest.fixture
def log(app, people):
    for number in range(60):
        audit.append("article.saved", by=people.dora.viewer, kind="article", object_id=number, details={"n": number})
    audit.append("user.disabled", by=people.fred.viewer, kind="user", object_id=people.bob.user_id)
    audit.append("index.rebuilt", by=None)
    db.session.commit()


@pytest.fixture
def erin(people, client_for):
    return client_for(people.erin)


def rows(page):
    return page.text.split("<tbody")[1].split("</tbody>")[0].count("<tr>") if "<tbody" in page.text else 0


def test_the_newest_come_first_page_by_page(log, erin):
    page = erin.get("/admin/audit")
    assert rows(page) == 50
    assert page.text.index("index.rebuilt</code>") < page.text.index("user.disabled</code>")
    older = page.text.split('href="/admin/audit?before=')[1].split('"')[0]
    assert rows(erin.get(f"/admin/audit?before={older}")) == 12


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("action=user.disabled", 1),
        ("kind=article&object=7", 1),
        ("who=fred", 1),
        ("who=dora@example.com", 50),
        ("who=nobody", 0),
        ("since=2020-01-01&until=2020-02-01", 0),
        ("since=2020-01-01", 50),
        ("object=x", 0),
        ("object=99999999999999", 0),
        ("since=nonsense&before=x&who=%00", 0),
        ("until=9999-12-31", 50),
    ],
)
def test_it_is_filtered(log, erin, query, count):
    page = erin.get(f"/admin/audit?{query}")
    assert page.status_code == 200
    assert rows(page) == count


def test_the_system_and_people_are_named(log, erin):
    page = erin.get("/admin/audit").text
    assert "the system" in page
    assert "Fred" in page


def test_the_start_page_leads_there(erin, people, client_for):
    page = erin.get("/admin").text
    assert "/admin/audit" in page
    assert "/admin/users" not in page
    assert "/admin/users" in client_for(people.fred).get("/admin").text
