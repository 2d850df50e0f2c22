"""Taking articles in, many at once."""

from typing import Any

import pytest
from sqlalchemy import func, select

from portal import outbox
from portal.access import Forbidden
from portal.errors import Invalid
from portal.extensions import db
from portal.knowledge import articles, batches
from portal.knowledge.models import Article, Revision
from portal.vocabulary.models import Category, Tag
from tests.people import People

pytestmark = pytest.mark.usefixtures("app")


def line(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"doc-{number}", "title": f"Title {number}", "text": f"Text *{number}*.", "lang": "en", **more}


def statuses(items: list[dict[str, Any]], **options: Any) -> list[str]:
    return [outcome.outcome for outcome in batches.import_batch(items, source="test", **options)]


def find(number: int) -> Article:
    return db.session.scalars(select(Article).where(Article.external_id == f"doc-{number}")).one()


def test_lines_become_articles_with_revisions_and_outbox_rows() -> None:
    outcomes = batches.import_batch([line(n) for n in range(30)], source="test")
    assert {outcome.outcome for outcome in outcomes} == {"created"}
    article = find(7)
    assert outcomes[7].article_id == article.id
    assert (article.title, article.slug, article.state, article.source, article.version) == (
        "Title 7", "title-7", "published", "test", 1,
    )  # fmt: skip
    assert article.html == {"body": "<p>Text <em>7</em>.</p>"}
    assert article.sections[0]["text"] == "Text 7."
    assert article.revisions[0].content["body"] == "Text *7*."
    assert db.session.scalar(select(func.count()).select_from(outbox.OutboxRow)) == 30
    assert db.session.scalar(select(outbox.OutboxRow.is_bulk)) is True


def test_the_same_file_twice_changes_nothing_and_a_changed_line_updates_its_article() -> None:
    assert statuses([line(1), line(2)]) == ["created", "created"]
    assert statuses([line(1), line(2)]) == ["unchanged", "unchanged"]
    assert statuses([line(1), line(2, text="New.")]) == ["unchanged", "updated"]
    article = find(2)
    assert (article.version, article.body, article.html["body"]) == (2, "New.", "<p>New.</p>")
    assert [revision.number for revision in article.revisions] == [2, 1]
    assert outbox.version_of("article", article.id) == (2, 0)
    assert outbox.version_of("article", find(1).id) == (1, 0)


def test_what_an_editor_changed_stays_while_the_line_is_the_same(people: People) -> None:
    statuses([line(1)])
    articles.save(find(1), by=people.dora.viewer, changes={"body": "Edited."})
    assert statuses([line(1)]) == ["unchanged"]
    assert find(1).body == "Edited."
    assert statuses([line(1, text="From the source.")]) == ["updated"]
    db.session.expire_all()
    assert [r.content["body"] for r in find(1).revisions] == ["From the source.", "Edited.", "Text *1*."]


def test_a_refused_line_says_why_and_loses_no_other() -> None:
    bad: list[dict[str, Any]] = [
        {"title": "No id", "text": "x"},
        line(2, title=["x"]),
        line(3, text="  "),
        line(4, title="x" * 301),
        line(5, text="a\0b"),
        line(6, text="\ud800"),
        line(7, lang="Klingon"),
        line(8, meta="x"),
        line(9, audience="all"),
        line(10, text=["x"]),
        line(11, meta={"a": "\ud800"}),
        line(12, updated_at="yesterday"),
        line(13, kind="poem"),
    ]
    outcomes = batches.import_batch([line(0), *bad, line(99)], source="test")
    assert [outcome.outcome for outcome in outcomes] == ["created", *["refused"] * len(bad), "created"]
    reasons = [outcome.reason or "" for outcome in outcomes[1:-1]]
    fields = [
        "id",
        "title",
        "text",
        "title",
        "text",
        "text",
        "language",
        "meta",
        "audience",
        "text",
        "meta",
        "updated_at",
        "kind",
    ]
    for reason, field in zip(reasons, fields, strict=True):
        assert reason.startswith(f"{field}: ")
    assert outcomes[3].external_id == "doc-3"


def test_words_of_the_vocabulary_are_found_or_made_once() -> None:
    statuses(
        [
            line(1, meta={"category": "Pumps > Large", "product": "P3", "tags": ["Hot", "cold"], "page": 4}),
            line(2, meta={"category": ["pumps", "Small"], "products": ["p3", "P4"], "tags": ["hot"]}),
        ]
    )
    one, two = find(1), find(2)
    assert [c.name for c in one.category.path()] == ["Pumps", "Large"]
    assert [c.name for c in two.category.path()] == ["Pumps", "Small"]
    assert ([p.name for p in one.products], [p.name for p in two.products]) == (["P3"], ["P3", "P4"])
    assert one.meta == {"page": 4}
    assert sorted(db.session.scalars(select(Tag.name))) == ["Hot", "cold"]
    assert db.session.scalar(select(func.count()).select_from(Category)) == 3
    statuses([line(1, meta={"tags": ["new"]})])
    db.session.expire_all()
    assert ([t.name for t in find(1).tags], find(1).products, find(1).category) == (["new"], [], None)


def test_an_id_that_comes_twice_in_a_batch_ends_as_the_later_line() -> None:
    assert statuses([line(1), line(2), line(1, text="Later."), line(1, text="Later.")]) == [
        "created",
        "created",
        "updated",
        "unchanged",
    ]
    assert find(1).body == "Later."


def test_equal_titles_get_addresses_of_their_own() -> None:
    statuses([line(n, title="Same") for n in range(12)])
    statuses([line(n, title="Same") for n in range(12, 15)])
    assert sorted(db.session.scalars(select(Article.slug))) == sorted(["same", *(f"same-{n}" for n in range(2, 16))])


def test_a_dry_run_writes_nothing() -> None:
    statuses([line(1)])
    assert statuses([line(1, text="x"), line(2), line(3, title="x" * 301)], dry_run=True) == [
        "updated",
        "created",
        "refused",
    ]
    assert db.session.scalar(select(func.count()).select_from(Article)) == 1
    assert db.session.scalar(select(func.count()).select_from(Revision)) == 1


def test_case_studies_keep_their_parts() -> None:
    item = {"id": "c1", "title": "Leak", "issue": "Drips", "cause": "Seal", "outcome": "success", "lang": "zh-CN"}
    statuses([item, line(2)], kind="case_study", audience="internal", state="draft")
    article = db.session.scalars(select(Article).where(Article.external_id == "c1")).one()
    assert (article.kind, article.audience, article.state, article.language) == (
        "case_study",
        "internal",
        "draft",
        "zh",
    )
    assert [section["heading"] for section in article.sections] == ["问题", "原因"]
    assert find(2).issue == "Text *2*."


def test_text_that_cannot_be_formatted_is_taken_with_a_remark() -> None:
    (outcome,) = batches.import_batch([line(1, text="[" * 5000)], source="test")
    assert outcome.outcome == "created"
    assert "brackets" in (outcome.reason or "")


def test_only_editors_import_and_only_known_choices_are_taken(people: People) -> None:
    with pytest.raises(Forbidden):
        batches.import_batch([line(1)], source="test", by=people.carol.viewer)
    with pytest.raises(Invalid):
        batches.import_batch([line(1)], source="test", state="hidden")
    assert statuses([line(1)], by=people.dora.viewer) == ["created"]
    assert find(1).owner_id == people.dora.user_id


def test_another_source_has_ids_of_its_own() -> None:
    batches.import_batch([line(1)], source="one")
    batches.import_batch([line(1, text="Other")], source="two")
    assert sorted(db.session.scalars(select(Article.body))) == ["Other", "Text *1*."]


def test_imported_html_goes_through_the_same_guard() -> None:
    html = "<h1>Reset</h1><p onclick=x>Press <b>both</b>.</p><script>alert(1)</script>"
    html += "<img src=http://x.example/p.png alt=Door>"
    statuses([line(1, text=html)])
    article = find(1)
    made = article.html["body"].replace("\n", "")
    assert made == '<h2 id="s-reset">Reset</h2><p>Press <b>both</b>.</p><p>Door</p>'
    assert article.sections == [
        {"anchor": "s-reset", "heading": "Reset", "level": "2", "text": "Press both.\nDoor"},
    ]


def test_a_text_without_a_title_is_called_by_its_first_words() -> None:
    texts = {
        1: "\n## **Reset** the printer\n\nHold the button.",
        2: "Hold the button on the back for ten seconds until the light turns green, and only then let go of it again.",
        3: "长按背面的按钮十秒钟，直到指示灯变成绿色。" * 6,
    }
    assert statuses([line(number, title="", text=text) for number, text in texts.items()]) == ["created"] * 3
    assert find(1).title == "Reset the printer"
    assert find(2).title == "Hold the button on the back for ten seconds until the light turns green, and…"
    assert find(3).title == (texts[3][:80] + "…")


def test_a_text_that_speaks_of_nul_is_no_nul() -> None:
    assert statuses([line(1, text=r"the \u0000 trick", meta={"hint": r"\ud800"})]) == ["created"]
    assert statuses([line(2, meta={"hint": "\x00"}), line(3, meta={"a": [{"\ud800": 1}]})]) == ["refused", "refused"]
