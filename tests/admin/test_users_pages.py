"""Other people's accounts, through the pages of administrators."""

import pytest

from portal import outbox
from portal.accounts import users
from portal.accounts.models import User
from portal.customers.models import Customer
from portal.extensions import db


@pytest.fixture
def fred(people, client_for):
    return client_for(people.fred)


def test_the_list_shows_searches_and_filters(fred, people):
    everybody = fred.get("/admin/users").text
    for person in people.everybody[1:]:
        assert person.email in everybody
    found = fred.get("/admin/users?q=car&role=agent&state=active").text
    assert people.carol.email in found
    assert people.alice.email not in found
    assert "Nobody fits these filters" in fred.get("/admin/users?q=zzz").text


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=99999999999999999999", "q=%00", "q=%25%5C", "role=x"]
)
def test_odd_filters_are_harmless(fred, people, query):
    assert fred.get(f"/admin/users?{query}").status_code == 200


def test_somebody_is_invited(fred, people, outgoing):
    data = {"name": "Zoe", "email": "zoe@example.com", "role": "customer", "customer_id": "alpha works", "locale": "zh"}
    answer = fred.post("/admin/users/new", data=data)
    assert answer.status_code == 303
    zoe = db.session.query(User).filter(User.with_email("zoe@example.com")).one()
    assert (zoe.role, zoe.customer_id, zoe.locale) == ("customer", people.company_a, "zh")
    assert answer.location == f"/admin/users/{zoe.id}"
    assert "An invitation to zoe@example.com is on its way" in fred.get(answer.location).text
    assert fred.post(f"/admin/users/{zoe.id}/invitation").status_code == 303
    assert [letter.recipient for letter in outgoing()] == ["zoe@example.com"] * 2


def test_a_bad_invitation_keeps_what_was_typed(fred, people):
    data = {"name": "Zoe Q", "email": "alice@example.com", "role": "agent", "customer_id": "", "locale": ""}
    answer = fred.post("/admin/users/new", data=data)
    assert answer.status_code == 422
    assert "Somebody has this e-mail address already." in answer.text
    assert 'value="Zoe Q"' in answer.text
    refused = fred.post("/admin/users/new", data={**data, "email": "z@example.com", "customer_id": "Nobody Ltd"})
    assert "There is no customer" in refused.text


def test_a_company_of_two_is_asked_for_by_number(fred, people):
    twin = Customer(kind="company", name="Alpha Works")
    db.session.add(twin)
    db.session.flush()
    outbox.record(twin)
    db.session.commit()
    data = {"role": "customer", "customer_id": "Alpha Works"}
    assert "Several customers" in fred.post(f"/admin/users/{people.bob.user_id}/role", data=data).text
    data["customer_id"] = str(twin.id)
    assert fred.post(f"/admin/users/{people.bob.user_id}/role", data=data).status_code == 303
    assert people.bob.user.customer_id == twin.id


def test_a_new_role_signs_out(fred, people, client_for):
    carol = client_for(people.carol)
    answer = fred.post(f"/admin/users/{people.carol.user_id}/role", data={"role": "editor", "customer_id": ""})
    assert answer.status_code == 303
    assert people.carol.user.role == "editor"
    assert carol.get("/me").status_code == 303


def test_the_last_administrator_cannot_step_down(fred, people):
    answer = fred.post(f"/admin/users/{people.fred.user_id}/role", data={"role": "agent", "customer_id": ""})
    assert answer.status_code == 422
    assert "Nobody would be left to administer" in answer.text
    answer = fred.post(f"/admin/users/{people.fred.user_id}/disablement", data={"typed": people.fred.email})
    assert "Nobody would be left to administer" in answer.text
    assert people.fred.user.is_active


def test_disabling_asks_for_the_address(fred, people, client_for):
    bob = client_for(people.bob)
    place = f"/admin/users/{people.bob.user_id}"
    assert fred.post(f"{place}/disablement", data={"typed": "bob"}).status_code == 422
    assert people.bob.user.is_active
    assert fred.post(f"{place}/disablement", data={"typed": " BOB@example.com "}).status_code == 303
    assert not people.bob.user.is_active
    assert bob.get("/me").status_code == 303
    assert "Open the account again" in fred.get(place).text
    assert fred.post(f"{place}/enablement").status_code == 303
    assert people.bob.user.is_active


def test_a_lost_second_factor_is_taken_away(fred, people):
    place = f"/admin/users/{people.carol.user_id}/second-factor/removal"
    assert fred.post(place, data={"typed": "x"}).status_code == 422
    assert fred.post(place, data={"typed": people.carol.email}).status_code == 303


def test_somebody_is_signed_out_everywhere(fred, people, client_for):
    carol = client_for(people.carol)
    assert fred.post(f"/admin/users/{people.carol.user_id}/sessions/end").status_code == 303
    assert carol.get("/me").status_code == 303


def test_who_has_a_password_is_not_invited_again(fred, people):
    assert fred.post(f"/admin/users/{people.carol.user_id}/invitation").status_code == 400


@pytest.mark.parametrize("number", ["999", "0", "2147483647"])
def test_a_missing_account_is_404(fred, number):
    assert fred.get(f"/admin/users/{number}").status_code == 404


def test_the_account_shows_what_happened(fred, people):
    users.set_role(people.carol.user, "editor", customer_id=None, by=people.fred.viewer)
    assert "user.role_set" in fred.get(f"/admin/users/{people.carol.user_id}").text
