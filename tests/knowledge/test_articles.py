"""Operations on articles."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select, update

from portal import audit, outbox
from portal.access import ANONYMOUS, Forbidden
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.knowledge import articles, lists, translations, votes
from portal.knowledge.models import Article, Revision
from portal.vocabulary import categories, products
from tests.people import People

Write = Callable[..., Article]


def test_a_new_article_is_rendered_recorded_revised_and_audited(people: People) -> None:
    article = articles.create(
        by=people.dora.viewer,
        kind="faq",
        state="published",
        changes={
            "title": "  Reset  the pump ",
            "body": "## Why\n\nIt is **stuck**.",
            "tags": ["pump", "Pump", "reset"],
        },
    )
    assert (article.title, article.slug, article.version, article.owner_id) == (
        "Reset the pump",
        "reset-the-pump",
        1,
        people.dora.user_id,
    )
    assert article.published_at is not None
    assert article.html["body"] == '<h2 id="s-why">Why</h2>\n<p>It is <strong>stuck</strong>.</p>'
    assert article.sections[-1]["text"] == "It is stuck."
    assert [tag.name for tag in article.tags] == ["pump", "reset"]
    assert [revision.number for revision in article.revisions] == [1]
    assert article.revisions[0].content["tags"] == ["pump", "reset"]
    assert outbox.version_of("article", article.id) == (1, 0)
    assert [entry.action for entry in db.session.scalars(select(audit.AuditEntry))] == ["article.create"]
    assert list(audit.verify()) == []


def test_agents_write_drafts_and_editors_publish(people: People) -> None:
    draft = articles.create(by=people.carol.viewer, kind="faq", changes={"title": "Mine", "body": "x"})
    articles.save(draft, by=people.carol.viewer, changes={"body": "y"})
    for forbidden in (
        lambda: articles.publish(draft, by=people.carol.viewer),
        lambda: articles.create(by=people.carol.viewer, kind="faq", changes={"title": "X"}, state="published"),
        lambda: articles.create(by=people.alice.viewer, kind="faq", changes={"title": "X"}),
    ):
        with pytest.raises(Forbidden):
            forbidden()
    articles.publish(draft, by=people.dora.viewer)
    with pytest.raises(Forbidden):
        articles.save(draft, by=people.carol.viewer, changes={"body": "z"})
    with pytest.raises(Forbidden):
        articles.delete(draft, by=people.carol.viewer)
    assert db.session.get_one(Article, draft.id).body == "y"


def test_every_field_at_fault_is_named_and_nothing_is_stored(people: People) -> None:
    with pytest.raises(Invalid) as refused:
        articles.create(
            by=people.dora.viewer,
            kind="faq",
            changes={
                "title": " ",
                "body": "a\0b",
                "audience": "all",
                "language": "English",
                "outcome": "success",
                "category_id": 99,
                "product_ids": [99],
                "cause": "x",
                "version": 7,
                "views": 10**6,
                "html": {},
                "review_at": "soon",
                "is_shared": "yes",
                "owner_id": "1",
            },
        )
    assert set(refused.value.fields) == {
        "title", "body", "audience", "language", "outcome", "category_id", "product_ids", "cause", "version", "views",
        "html", "review_at", "is_shared", "owner_id",
    }  # fmt: skip
    assert db.session.scalar(select(func.count()).select_from(Article)) == 0


def test_an_owner_is_somebody_of_the_staff(people: People, write: Write) -> None:
    article = write()
    with pytest.raises(Invalid):
        articles.save(article, by=people.dora.viewer, changes={"owner_id": people.alice.user_id})
    articles.save(article, by=people.dora.viewer, changes={"owner_id": people.carol.user_id})
    assert article.owner_id == people.carol.user_id


def test_a_save_changes_what_is_given_and_leaves_the_rest(people: People, write: Write) -> None:
    article = write(summary="Short", tags=["a"])
    articles.save(article, by=people.erin.viewer, changes={"body": "New."}, note="Clearer")
    assert (article.summary, article.version, article.html["body"]) == ("Short", 2, "<p>New.</p>")
    assert [tag.name for tag in article.tags] == ["a"]
    assert (article.revisions[0].number, article.revisions[0].note, article.revisions[0].by_id) == (
        2,
        "Clearer",
        people.erin.user_id,
    )


def test_one_save_is_one_version_even_with_new_tags_and_a_new_title(people: People, write: Write) -> None:
    article = write()
    articles.save(article, by=people.dora.viewer, changes={"title": "Other", "tags": ["new", "newer"], "body": "b"})
    assert article.version == 2
    articles.save(article, by=people.dora.viewer, changes={"tags": ["third"]})
    assert article.version == 3
    assert [r.number for r in article.revisions] == [3, 2, 1]


def test_saving_over_a_newer_version_shows_both_and_loses_neither(people: People, write: Write) -> None:
    article = write()
    articles.save(article, by=people.dora.viewer, changes={"body": "Dora's"}, expected_version=1)
    with pytest.raises(Conflict) as conflict:
        articles.save(article, by=people.erin.viewer, changes={"body": "Erin's"}, expected_version=1)
    assert conflict.value.current["body"] == "Dora's"
    assert conflict.value.current["version"] == 2
    assert conflict.value.given["body"] == "Erin's"
    assert article.body == "Dora's"


def test_a_save_that_is_overtaken_between_reading_and_writing_is_a_conflict(
    people: People, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    article = write()
    settle = articles._render

    def overtaken(changed: Article) -> None:
        settle(changed)
        with db.engine.begin() as other:
            other.execute(update(Article.__table__).where(Article.__table__.c.id == 1).values(version=9, body="Theirs"))

    monkeypatch.setattr(articles, "_render", overtaken)
    with pytest.raises(Conflict) as conflict:
        articles.save(article, by=people.dora.viewer, changes={"body": "Mine"}, expected_version=1)
    assert conflict.value.current["body"] == "Theirs"
    assert conflict.value.given["body"] == "Mine"


def test_a_new_title_gives_a_new_address_and_the_old_one_leads_there(people: People, write: Write) -> None:
    article = write("Reset the pump")
    articles.save(article, by=people.dora.viewer, changes={"title": "Restart the pump"})
    assert article.slug == "restart-the-pump"
    assert articles.get_readable(ANONYMOUS, "reset-the-pump") is article
    assert write("Reset the pump").slug == "reset-the-pump-2"
    articles.save(article, by=people.dora.viewer, changes={"title": "Reset the pump"})
    assert article.slug == "reset-the-pump"
    assert articles.get_readable(ANONYMOUS, "restart-the-pump") is article


def test_addresses_keep_chinese_and_are_never_numbers(write: Write) -> None:
    assert write("如何重置密码？").slug == "如何重置密码"
    assert write("2024").slug == "n-2024"
    assert write("???").slug.startswith("n-")


def test_states(people: People, write: Write) -> None:
    article = write(state="draft")
    assert articles.get_readable(ANONYMOUS, article.slug) is None
    articles.publish(article, by=people.dora.viewer)
    first = article.published_at
    assert articles.get_readable(ANONYMOUS, article.slug) is article
    articles.publish(article, by=people.dora.viewer)
    assert article.version == 2
    articles.archive(article, by=people.dora.viewer, note="Superseded")
    assert articles.get_readable(people.alice.viewer, article.slug) is None
    assert articles.get_readable(people.carol.viewer, article.slug) is article
    articles.withdraw(article, by=people.dora.viewer)
    articles.publish(article, by=people.dora.viewer)
    assert article.published_at == first
    assert [r.content["state"] for r in article.revisions] == ["published", "draft", "archived", "published", "draft"]


def test_nothing_empty_is_published(people: People, write: Write) -> None:
    empty = write(body="  ", state="draft")
    with pytest.raises(Invalid):
        articles.publish(empty, by=people.dora.viewer)
    full = write("Full")
    with pytest.raises(Invalid):
        articles.save(full, by=people.dora.viewer, changes={"body": ""})


def test_restoring_makes_a_new_version_of_the_old_words(people: People, write: Write) -> None:
    product = products.create(by=people.dora.viewer, changes={"name": "Pump 3"})
    article = write(product_ids=[product.id], tags=["a"])
    articles.save(
        article, by=people.dora.viewer, changes={"body": "Other", "product_ids": [], "tags": [], "title": "T"}
    )
    products.delete(product, by=people.dora.viewer)
    articles.restore(article, number=1, by=people.dora.viewer, expected_version=2)
    assert (article.body, article.title, article.version) == ("Press *both* buttons.", "Reset the pump", 3)
    assert [tag.name for tag in article.tags] == ["a"]
    assert article.products == []
    with pytest.raises(Invalid):
        articles.restore(article, number=77, by=people.dora.viewer)


def test_deleting_leaves_a_tombstone_in_the_outbox(people: People, write: Write) -> None:
    article = write()
    article_id = article.id
    articles.delete(article, by=people.dora.viewer)
    assert db.session.get(Article, article_id) is None
    assert db.session.scalar(select(func.count()).select_from(Revision)) == 0
    assert outbox.version_of("article", article_id) == (2, 0)


def test_translations_know_one_another(people: People, write: Write) -> None:
    english, chinese = write("Reset"), write("重置", language="zh-CN")
    assert chinese.language == "zh"
    translations.link_translation(chinese, of=english, by=people.dora.viewer)
    assert translations.load_translations(ANONYMOUS, english) == [chinese]
    assert translations.load_translations(ANONYMOUS, chinese) == [english]
    before = outbox.version_of("article", chinese.id)
    articles.save(english, by=people.dora.viewer, changes={"title": "Restart"})
    assert outbox.version_of("article", chinese.id) > before
    second = write("Nochmal", language="zh")
    with pytest.raises(Invalid):
        translations.link_translation(second, of=chinese, by=people.dora.viewer)
    articles.archive(chinese, by=people.dora.viewer)
    assert translations.load_translations(ANONYMOUS, english) == []
    articles.delete(english, by=people.dora.viewer)
    assert chinese.translation_of is None


def test_a_vote_counts_once_can_change_and_can_be_taken_back(write: Write) -> None:
    article = write()
    votes.vote(article, voter="a", is_helpful=True)
    votes.vote(article, voter="a", is_helpful=True)
    votes.vote(article, voter="b", is_helpful=False, reason="Too short")
    assert (article.helpful, article.unhelpful, article.version) == (1, 1, 1)
    votes.vote(article, voter="a", is_helpful=False)
    assert (article.helpful, article.unhelpful) == (0, 2)
    votes.take_back_vote(article, voter="b")
    votes.take_back_vote(article, voter="b")
    assert (article.helpful, article.unhelpful) == (0, 1)
    with pytest.raises(Invalid):
        votes.vote(article, voter="c", is_helpful=False, reason="x" * 1001)


def test_views_are_added_without_a_new_version(write: Write) -> None:
    article = write()
    votes.add_views({article.id: 3, 999: 5})
    db.session.refresh(article)
    assert (article.views, article.version) == (3, 1)
    assert outbox.version_of("article", article.id) == (2, 0)
    assert outbox.version_of("article", 999) is None


def test_lists_hold_what_each_viewer_may_read(people: People, write: Write) -> None:
    hidden = categories.create(by=people.dora.viewer, changes={"name": "Inside", "audience": "internal"})
    write("Public")
    write("For customers", audience="customers")
    write("Kept inside by its category", category_id=hidden.id)
    write("Draft", state="draft")
    seen = {
        person.name: [a.title for a in lists.load_page(person.viewer, order="title").articles]
        for person in people.everybody
    }
    assert seen["Ann"] == ["Public"]
    assert seen["Alice"] == seen["Bob"] == ["For customers", "Public"]
    assert seen["Carol"] == seen["Dora"] == ["For customers", "Kept inside by its category", "Public"]
    assert lists.count_by_category(people.alice.viewer) == {}
    assert lists.count_by_category(people.carol.viewer) == {hidden.id: 1}
    page = lists.load_page(people.carol.viewer, order="title", number=2, size=2)
    assert ([a.title for a in page.articles], page.total, page.count) == (["Public"], 3, 2)


@pytest.mark.parametrize("key", ["nothing", "0", "99999999999999999999", "1\0", "-1", "", "%", "²"])
def test_keys_that_lead_nowhere(people: People, write: Write, key: str) -> None:
    write()
    assert articles.get_readable(people.dora.viewer, key) is None
