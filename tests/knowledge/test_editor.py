"""The pages on which knowledge is written."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from portal.extensions import db
from portal.knowledge import articles, votes
from portal.knowledge.models import Article
from portal.vocabulary import categories, products
from tests.attachments import samples
from tests.people import People

Write = Callable[..., Article]
FILLED = {
    "title": "Reset the pump",
    "language": "en",
    "summary": "Short",
    "body": "Press **both**.",
    "audience": "public",
    "tags": "hot, cold",
    "note": "First",
    "category_id": "",
    "owner_id": "",
}
PAGES = [
    "/board",
    "/articles/new",
    "/articles/new?kind=case_study",
    "/articles/reset-the-pump/edit",
    "/articles/reset-the-pump/history",
]


@pytest.mark.parametrize("path", PAGES)
def test_only_staff_come_in(people: People, client_for: Any, write: Write, path: str) -> None:
    write()
    stranger = client_for(people.ann).get(path)
    assert stranger.status_code == 303
    assert stranger.location.startswith("/sign-in?next=")
    assert client_for(people.alice).get(path).status_code == 403
    assert client_for(people.dora).get(path).status_code == 200


def test_an_agent_writes_a_draft_and_an_editor_publishes_it(people: People, client_for: Any) -> None:
    carol, dora = client_for(people.carol), client_for(people.dora)
    assert 'value="publish"' not in carol.get("/articles/new").text
    made = carol.post("/articles/new", data=FILLED | {"do": "save", "is_shared": "y"})
    assert (made.status_code, made.location) == (303, "/articles/reset-the-pump")
    article = db.session.query(Article).one()
    assert (article.state, article.is_shared, [tag.name for tag in article.tags]) == ("draft", True, ["cold", "hot"])
    assert article.revisions[0].note == "First"
    assert carol.post("/articles/new", data=FILLED | {"do": "publish"}).status_code == 403
    assert carol.post("/articles/reset-the-pump/publication").status_code == 403
    assert client_for(people.ann).get("/articles/reset-the-pump").status_code == 404
    published = dora.post("/articles/reset-the-pump/publication", data={"version": "1"}, follow_redirects=True)
    assert "Published." in published.text
    assert client_for(people.ann).get("/articles/reset-the-pump").status_code == 200
    assert carol.get("/articles/reset-the-pump/edit").status_code == 403


def test_the_form_holds_what_there_is_and_saves_what_is_changed(people: People, client_for: Any, write: Write) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "Pumps"})
    product = products.create(by=people.dora.viewer, changes={"name": "Pump 3"})
    article = write(category_id=top.id, product_ids=[product.id], tags=["hot"], body="One\n\nTwo & <b>")
    dora = client_for(people.dora)
    page = dora.get("/articles/reset-the-pump/edit").text
    for piece in (
        "Two &amp; &lt;b&gt;",
        f'<option selected value="{top.id}">',
        'checked class="form-check-input"',
        'value="hot"',
    ):
        assert piece in page
    answer = dora.post(
        "/articles/reset-the-pump/edit",
        data=FILLED
        | {
            "do": "save",
            "version": "1",
            "category_id": str(top.id),
            "review_at": "2030-01-31",
            "owner_id": str(people.carol.user_id),
        },
    )
    assert answer.location == "/articles/reset-the-pump"
    assert (article.version, article.body, article.category_id, article.owner_id) == (
        2,
        "Press **both**.",
        top.id,
        people.carol.user_id,
    )
    assert article.review_at.date().isoformat() == "2030-01-31"
    assert article.products == []


@pytest.mark.thorough
def test_bad_input_keeps_what_was_typed(people: People, client_for: Any, write: Write) -> None:
    article = write()
    dora = client_for(people.dora)
    for path in ("/articles/new", "/articles/reset-the-pump/edit"):
        answer = dora.post(path, data=FILLED | {"title": "", "body": "Precious words", "do": "save", "version": "1"})
        assert answer.status_code == 422
        assert "<title>Error:" in answer.text
        assert 'href="#title"' in answer.text
        assert "Precious words" in answer.text
    for wrong in (
        {"audience": "all"},
        {"category_id": "99"},
        {"category_id": "x"},
        {"review_at": "soon"},
        {"version": "x"},
        {"owner_id": "7777"},
    ):
        answer = dora.post("/articles/reset-the-pump/edit", data=FILLED | {"do": "save", "version": "1"} | wrong)
        assert answer.status_code == 422, wrong
        assert "Press **both**." in answer.text
    assert article.version == 1


def test_other_columns_cannot_be_posted(people: People, client_for: Any, write: Write) -> None:
    article = write()
    before = {column.name: getattr(article, column.name) for column in Article.__table__.columns}
    everything = {name: "7" for name in before if name not in FILLED} | FILLED | {"version": "1", "do": "save"}
    everything |= {
        "title": before["title"],
        "body": before["body"],
        "summary": "",
        "owner_id": str(people.dora.user_id),
    }
    assert client_for(people.dora).post("/articles/reset-the-pump/edit", data=everything).status_code in (303, 422)
    db.session.refresh(article)
    for name in (
        "id",
        "kind",
        "state",
        "slug",
        "source",
        "external_id",
        "url",
        "views",
        "helpful",
        "unhelpful",
        "html",
        "meta",
        "import_digest",
        "published_at",
        "created_at",
        "translation_of_id",
    ):
        assert getattr(article, name) == before[name], name


def test_saving_over_a_newer_version_shows_both_and_loses_neither(
    people: People, client_for: Any, write: Write
) -> None:
    article = write(body="The first line.\nThe second line.")
    dora, erin = client_for(people.dora), client_for(people.erin)
    dora.post("/articles/reset-the-pump/edit", data=FILLED | {"body": "Dora's line.", "do": "save", "version": "1"})
    answer = erin.post(
        "/articles/reset-the-pump/edit", data=FILLED | {"body": "Erin's <line>.", "do": "save", "version": "1"}
    )
    assert answer.status_code == 409
    assert "Dora&#39;s" in answer.text.replace("<del>", "").replace("</del>", "")
    assert "Erin&#39;s &lt;line&gt;.</textarea>" in answer.text
    assert 'name="version" type="hidden" value="2"' in answer.text
    assert article.body == "Dora's line."
    erin.post("/articles/reset-the-pump/edit", data=FILLED | {"body": "Both lines.", "do": "save", "version": "2"})
    assert (article.body, article.version) == ("Both lines.", 3)
    assert [r.content["body"] for r in article.revisions][1] == "Dora's line."


def test_the_preview_is_rendered_by_the_guarded_renderer(people: People, client_for: Any, write: Write) -> None:
    carol = client_for(people.carol)
    answer = carol.post("/articles/preview", data={"body": "**x** <script>alert(1)</script>"})
    assert "<strong>x</strong>" in answer.text
    assert "<script" not in answer.text
    assert "square brackets" in carol.post("/articles/preview", data={"body": "[" * 999}).text
    assert client_for(people.alice).post("/articles/preview", data={"body": "x"}).status_code == 403
    page = carol.post("/articles/new", data=FILLED | {"do": "preview"})
    assert "<strong>both</strong>" in page.text
    assert "Press **both**.</textarea>" in page.text
    assert db.session.query(Article).count() == 0


def test_states_change_and_can_be_undone(people: People, client_for: Any, write: Write) -> None:
    article = write()
    dora = client_for(people.dora)
    page = dora.post("/articles/reset-the-pump/archiving", data={"version": "1"}, follow_redirects=True).text
    assert article.state == "archived"
    assert 'action="/articles/reset-the-pump/publication"' in page
    dora.post("/articles/reset-the-pump/publication")
    assert article.state == "published"
    stale = dora.post("/articles/reset-the-pump/withdrawal", data={"version": "1"}, follow_redirects=True).text
    assert "newer version" in stale
    assert article.state == "published"
    dora.post("/articles/reset-the-pump/withdrawal", data={"version": str(article.version)})
    assert article.state == "draft"
    assert dora.get("/articles/reset-the-pump/publication").status_code == 405
    assert dora.post("/articles/nothing/publication").status_code == 404


def test_deleting_needs_the_title(people: People, client_for: Any, write: Write) -> None:
    write()
    dora = client_for(people.dora)
    assert client_for(people.carol).get("/articles/reset-the-pump/deletion").status_code == 403
    assert dora.get("/articles/reset-the-pump/deletion").status_code == 200
    assert dora.post("/articles/reset-the-pump/deletion", data={"title": "reset"}).status_code == 422
    assert dora.post("/articles/reset-the-pump/deletion", data={"title": "Reset the pump"}).status_code == 303
    assert db.session.query(Article).count() == 0


def test_history_compares_and_restores(people: People, client_for: Any, write: Write) -> None:
    article = write(body="Turn the <big> wheel.\n\nSame.")
    articles.save(
        article, by=people.erin.viewer, changes={"body": "Turn the <small> wheel.\n\nSame."}, note="Smaller & safer"
    )
    dora = client_for(people.dora)
    page = dora.get("/articles/reset-the-pump/history").text
    assert "Smaller &amp; safer" in page
    assert "Erin" in page
    assert "<del>big</del>" in page
    assert "<ins>small</ins>" in page
    assert "<big>" not in page
    dora.post("/articles/reset-the-pump/history/1/restoration", data={"version": "2"})
    assert (article.version, article.body) == (3, "Turn the <big> wheel.\n\nSame.")
    assert "do not differ" in dora.get("/articles/reset-the-pump/history?old=1&new=3").text
    dora.post("/articles/reset-the-pump/history/2/restoration", data={"version": "2"})
    assert article.version == 3
    for query in ("old=9", "new=x", "old=99999999999999"):
        assert dora.get(f"/articles/reset-the-pump/history?{query}").status_code == 404
    assert client_for(people.carol).post("/articles/reset-the-pump/history/1/restoration").status_code == 403


def test_files_are_added_and_removed(people: People, client_for: Any, write: Write) -> None:
    article = write()
    dora = client_for(people.dora)
    sent = {
        "files": [(io.BytesIO(samples.pdf()), "a.pdf"), (io.BytesIO(b"<svg/>"), "b.svg"), (io.BytesIO(b"x"), "c.txt")]
    }
    answer = dora.post("/articles/reset-the-pump/attachments", data=sent, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert "b.svg" in answer.text
    page = dora.get("/articles/reset-the-pump/edit").text
    assert "a.pdf" in page
    assert "c.txt" in page
    assert "b.svg" not in page
    assert dora.post("/articles/reset-the-pump/attachments", data={}).status_code == 422
    good = dora.post(
        "/articles/reset-the-pump/attachments",
        data={"files": (io.BytesIO(b"y"), "d.txt")},
        content_type="multipart/form-data",
    )
    assert good.status_code == 303
    assert dora.post("/articles/reset-the-pump/attachments/1/removal").status_code == 303
    assert dora.post("/articles/reset-the-pump/attachments/1/removal").status_code == 404
    assert "a.pdf" not in client_for(people.ann).get("/articles/reset-the-pump").text
    assert client_for(people.carol).post("/articles/reset-the-pump/attachments/2/removal").status_code == 403
    assert article.version == 1


def test_translations_are_written_and_linked(people: People, client_for: Any, write: Write) -> None:
    article = write(tags=["hot"])
    dora = client_for(people.dora)
    form = dora.get("/articles/new?translation_of=reset-the-pump").text
    assert '<option selected value="zh">' in form
    assert "Press *both* buttons." in form
    made = dora.post(
        "/articles/new?translation_of=reset-the-pump",
        data=FILLED | {"title": "重置水泵", "language": "zh", "do": "publish"},
    )
    assert made.status_code == 303
    chinese = db.session.query(Article).filter_by(language="zh").one()
    assert chinese.translation_of is article
    dora.post(f"/articles/{chinese.slug}/translation", data={"address": ""})
    assert chinese.translation_of is None
    dora.post(f"/articles/{chinese.slug}/translation", data={"address": "http://localhost/articles/reset-the-pump"})
    assert chinese.translation_of is article
    assert dora.post(f"/articles/{chinese.slug}/translation", data={"address": "nothing"}).status_code == 422


@pytest.mark.thorough
def test_the_board_shows_what_waits_with_exact_counts(people: People, client_for: Any, write: Write) -> None:
    write("Dora's draft", state="draft")
    articles.create(by=people.carol.viewer, kind="faq", changes={"title": "Carol's draft", "body": "x"})
    doubted = write("Doubted")
    votes.vote(doubted, voter="a", is_helpful=False)
    archived = write("Put away")
    articles.archive(archived, by=people.dora.viewer)
    dora, carol = client_for(people.dora), client_for(people.carol)
    assert "Carol&#39;s draft" in dora.get("/board").text
    page = carol.get("/board").text
    assert "Dora&#39;s draft" not in page
    assert 'Drafts <span class="count">1<' in page
    assert "Doubted" in dora.get("/board?show=unhelpful").text
    assert "Put away" in dora.get("/board?show=archived").text
    assert "Doubted" in dora.get("/board?show=loose").text
    assert dora.get("/board?show=due").status_code == 200
    assert dora.get("/board?show=mine").status_code == 200
    assert dora.get("/board?show=all").status_code == 404
    assert dora.get("/board?page=x").status_code == 404
