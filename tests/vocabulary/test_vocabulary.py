"""Operations on categories, products and tags."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from portal import outbox
from portal.access import ANONYMOUS, Forbidden
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.knowledge import articles
from portal.knowledge.models import Article
from portal.vocabulary import categories, products, tags
from portal.vocabulary.models import Category, Tag
from tests.knowledge.conftest import write
from tests.people import People

__all__ = ["write"]

Write = Callable[..., Article]


def versions() -> dict[int, int]:
    rows = db.session.execute(
        select(outbox.OutboxRow.object_id, outbox.OutboxRow.version).where(outbox.OutboxRow.kind == "article")
    )
    return {row[0]: row[1] for row in rows}


def test_an_audience_reaches_down_the_tree_and_everything_there_is_indexed_again(people: People, write: Write) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "Pumps"})
    middle = categories.create(by=people.dora.viewer, changes={"name": "Large", "parent_id": top.id})
    leaf = categories.create(
        by=people.dora.viewer, changes={"name": "Old", "parent_id": middle.id, "audience": "internal"}
    )
    one, two, other = write("One", category_id=top.id), write("Two", category_id=leaf.id), write("Other")
    categories.save(top, by=people.dora.viewer, changes={"audience": "customers"}, expected_version=1)
    assert [c.effective_audience for c in (top, middle, leaf)] == ["customers", "customers", "internal"]
    assert versions() == {one.id: 2, two.id: 2, other.id: 1}
    assert articles.get_readable(ANONYMOUS, one.slug) is None
    categories.save(top, by=people.dora.viewer, changes={"audience": "public", "name": "All pumps"})
    assert [c.effective_audience for c in (top, middle, leaf)] == ["public", "public", "internal"]
    assert (top.slug, top.version) == ("pumps", 3)
    categories.move(leaf, by=people.dora.viewer, parent_id=None)
    assert versions() == {one.id: 3, two.id: 4, other.id: 1}


def test_a_category_never_lies_below_itself(people: People) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "A"})
    below = categories.create(by=people.dora.viewer, changes={"name": "B", "parent_id": top.id})
    for parent_id in (top.id, below.id, 99, "x"):
        with pytest.raises(Invalid) as refused:
            categories.move(top, by=people.dora.viewer, parent_id=parent_id)
        assert set(refused.value.fields) == {"parent_id"}
    assert (top.parent_id, top.version) == (None, 1)


def test_two_editors_of_one_category(people: People) -> None:
    category = categories.create(by=people.dora.viewer, changes={"name": "A"})
    categories.save(category, by=people.dora.viewer, changes={"name": "B"}, expected_version=1)
    with pytest.raises(Conflict) as conflict:
        categories.save(category, by=people.erin.viewer, changes={"name": "C"}, expected_version=1)
    assert (conflict.value.current["name"], conflict.value.given["name"]) == ("B", "C")


def test_a_deleted_category_opens_nothing(people: People, write: Write) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "A"})
    inside = categories.create(
        by=people.dora.viewer, changes={"name": "B", "parent_id": top.id, "audience": "internal"}
    )
    article = write(category_id=inside.id)
    with pytest.raises(Invalid):
        categories.delete(top, by=people.dora.viewer)
    categories.delete(inside, by=people.dora.viewer)
    db.session.expire_all()
    assert (article.category_id, article.audience, article.version) == (top.id, "internal", 2)
    assert articles.get_readable(ANONYMOUS, article.slug) is None
    assert versions() == {article.id: 2}


def test_each_viewer_knows_the_categories_of_their_audience(people: People) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "A", "position": 2})
    categories.create(by=people.dora.viewer, changes={"name": "B", "parent_id": top.id})
    categories.create(by=people.dora.viewer, changes={"name": "C", "audience": "customers", "position": 1})
    categories.create(by=people.dora.viewer, changes={"name": "D", "audience": "internal", "parent_id": top.id})
    seen = {p.name: [c.name for c in categories.load_all(p.viewer)] for p in (people.ann, people.bob, people.carol)}
    assert seen == {"Ann": ["A", "B"], "Bob": ["C", "A", "B"], "Carol": ["C", "A", "B", "D"]}
    assert categories.find("d", viewer=people.bob.viewer) is None


def test_renaming_a_product_indexes_what_carries_it_and_keeps_its_slug(people: People, write: Write) -> None:
    product = products.create(by=people.dora.viewer, changes={"name": "Pump 3"})
    article, other = write(product_ids=[product.id]), write("Other")
    products.save(product, by=people.dora.viewer, changes={"name": "Pump 3000", "part_number": "P-3"})
    assert product.slug == "pump-3"
    assert versions() == {article.id: 2, other.id: 1}
    with pytest.raises(Invalid):
        products.create(by=people.dora.viewer, changes={"name": "pump 3000"})
    family = products.save_family(None, by=people.dora.viewer, changes={"name": "Pumps"})
    products.save(product, by=people.dora.viewer, changes={"family_id": family.id})
    products.save_family(family, by=people.dora.viewer, changes={"name": "All pumps"})
    assert versions() == {article.id: 4, other.id: 1}
    with pytest.raises(Invalid):
        products.delete_family(family, by=people.dora.viewer)


def test_merging_tags_moves_every_use_once(people: People, write: Write) -> None:
    both, first, second = write("1", tags=["hot", "warm"]), write("2", tags=["warm"]), write("3", tags=["hot"])
    hot, warm = tags.find("hot"), tags.find("warm")
    tags.merge(warm, into=hot, by=people.dora.viewer)
    assert [[t.name for t in a.tags] for a in (both, first, second)] == [["hot"], ["hot"], ["hot"]]
    assert db.session.scalar(select(func.count()).select_from(Tag)) == 1
    assert versions() == {both.id: 2, first.id: 2, second.id: 1}
    with pytest.raises(Invalid):
        tags.merge(hot, into=hot, by=people.dora.viewer)


def test_renaming_and_deleting_tags(people: People, write: Write) -> None:
    article = write(tags=["hot", "cold"])
    hot = tags.find("hot")
    tags.save(hot, by=people.dora.viewer, changes={"name": "warm", "name_zh": "热"})
    assert (hot.label("zh_Hans"), hot.label("en"), hot.slug) == ("热", "warm", "hot")
    with pytest.raises(Invalid):
        tags.save(hot, by=people.dora.viewer, changes={"name": "Cold"})
    tags.delete(hot, by=people.dora.viewer)
    assert [tag.name for tag in article.tags] == ["cold"]
    assert versions() == {article.id: 3}


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"name": "x" * 121}, {"name": "a\0"}, {"name": 5}, {"slug": "x"}, {}]
)
def test_names_that_cannot_be_used(people: People, changes: dict[str, object]) -> None:
    for module in (categories, products, tags):
        with pytest.raises(Invalid):
            module.create(by=people.dora.viewer, changes=changes)
    assert db.session.scalar(select(func.count()).select_from(Category)) == 0


def test_only_editors_write_the_vocabulary(people: People) -> None:
    for person in (people.alice, people.carol):
        for module in (categories, products, tags):
            with pytest.raises(Forbidden):
                module.create(by=person.viewer, changes={"name": "X"})
