"""The pages of the vocabulary."""

from typing import Any

import pytest

from portal.extensions import db
from portal.knowledge import articles
from portal.vocabulary import categories, products, tags
from portal.vocabulary.models import Category, Product, ProductFamily, Tag
from tests.people import People

PAGES = ["", "/categories", "/products", "/families", "/tags"]


@pytest.mark.parametrize("place", PAGES)
def test_only_editors_come_in(people: People, client_for: Any, place: str) -> None:
    path = "/vocabulary" + place
    assert client_for(people.ann).get(path).status_code == 303
    for person in (people.alice, people.carol):
        assert client_for(person).get(path).status_code == 403
    assert client_for(people.dora).get(path).status_code == 200
    assert client_for(people.dora).delete(path).status_code == 405


def test_categories_are_made_moved_and_removed(people: People, client_for: Any) -> None:
    dora = client_for(people.dora)
    filled = {"name": "Pumps", "name_zh": "水泵", "audience": "public", "position": "1", "parent_id": ""}
    assert dora.post("/vocabulary/categories", data=filled).status_code == 303
    top = db.session.query(Category).one()
    assert (
        dora.post("/vocabulary/categories", data=filled | {"name": "Large", "parent_id": str(top.id)}).status_code
        == 303
    )
    large = categories.find("large", viewer=people.dora.viewer)
    page = dora.get("/vocabulary/categories/pumps").text
    assert 'value="Pumps"' in page
    assert f'<option value="{large.id}"' not in page
    assert (
        dora.post("/vocabulary/categories/pumps", data=filled | {"audience": "internal", "version": "1"}).status_code
        == 303
    )
    assert large.effective_audience == "internal"
    stale = dora.post("/vocabulary/categories/pumps", data=filled | {"name": "Mine", "version": "1"})
    assert stale.status_code == 409
    assert 'value="Mine"' in stale.text
    assert "Staff only" in stale.text
    assert dora.post("/vocabulary/categories/pumps", data=filled | {"name": "Mine", "version": "2"}).status_code == 303
    wrong = dora.post("/vocabulary/categories/pumps", data=filled | {"name": "", "description": "Kept", "version": "3"})
    assert wrong.status_code == 422
    assert "Kept" in wrong.text
    assert (
        dora.post(
            "/vocabulary/categories/pumps", data=filled | {"parent_id": str(large.id), "version": "3"}
        ).status_code
        == 422
    )
    dora.post("/vocabulary/categories/pumps/deletion")
    assert db.session.query(Category).count() == 2
    dora.post("/vocabulary/categories/large/deletion")
    assert db.session.query(Category).count() == 1
    assert dora.get("/vocabulary/categories/large").status_code == 404


def test_products_and_families(people: People, client_for: Any) -> None:
    dora = client_for(people.dora)
    assert dora.post("/vocabulary/families", data={"name": "Machines"}).status_code == 303
    family = db.session.query(ProductFamily).one()
    assert (
        dora.post(
            "/vocabulary/products", data={"name": "Pump", "family_id": str(family.id), "part_number": "P1"}
        ).status_code
        == 303
    )
    assert "P1" in dora.get("/vocabulary/products").text
    again = dora.post("/vocabulary/products", data={"name": "pump", "family_id": "", "part_number": "P2"})
    assert again.status_code == 422
    assert 'value="P2"' in again.text
    assert (
        dora.post(
            "/vocabulary/products/pump", data={"name": "Pump 2", "family_id": "", "is_discontinued": "y"}
        ).status_code
        == 303
    )
    product = db.session.query(Product).one()
    assert (product.name, product.family_id, product.is_discontinued) == ("Pump 2", None, True)
    assert dora.post("/vocabulary/families/machines", data={"name": ""}).status_code == 422
    assert dora.post("/vocabulary/families/machines/deletion").status_code == 303
    assert dora.post("/vocabulary/products/pump/deletion").status_code == 303
    assert db.session.query(Product).count() == db.session.query(ProductFamily).count() == 0


def test_tags_are_renamed_and_merged(people: People, client_for: Any) -> None:
    dora = client_for(people.dora)
    article = articles.create(by=people.dora.viewer, kind="faq", changes={"title": "A", "tags": ["hot", "warm"]})
    assert dora.post("/vocabulary/tags", data={"name": "cold"}).status_code == 303
    assert dora.post("/vocabulary/tags/cold", data={"name": "HOT"}).status_code == 422
    assert dora.post("/vocabulary/tags/cold", data={"name": "cool", "name_zh": "凉"}).status_code == 303
    hot = tags.find("hot")
    assert dora.post("/vocabulary/tags/warm/merger", data={"into": str(hot.id)}).status_code == 303
    assert [tag.name for tag in article.tags] == ["hot"]
    dora.post("/vocabulary/tags/hot/merger", data={"into": str(hot.id)})
    dora.post("/vocabulary/tags/hot/merger", data={"into": "x"})
    assert db.session.query(Tag).count() == 2
    assert dora.post("/vocabulary/tags/hot/deletion").status_code == 303
    assert article.tags == []


def test_products_module_and_pages_agree_on_fields(people: People, client_for: Any) -> None:
    product = products.create(by=people.dora.viewer, changes={"name": "Pump", "name_zh": "泵"})
    page = client_for(people.dora).get(f"/vocabulary/products/{product.slug}").text
    for field in products.FIELDS:
        assert f'name="{field}"' in page
