"""The pages on which knowledge is read."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from portal.extensions import db, now
from portal.knowledge import articles, files, reads, translations
from portal.knowledge.models import Article, Vote
from portal.vocabulary import categories, products
from tests.attachments import samples
from tests.people import People

Write = Callable[..., Article]


def test_an_article_is_shown_with_all_that_belongs_to_it(people: People, client_for: Any, write: Write) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "Pumps"})
    below = categories.create(by=people.dora.viewer, changes={"name": "Large", "parent_id": top.id})
    product = products.create(by=people.dora.viewer, changes={"name": "Pump 3"})
    article = write(
        body="Intro\n\n## Why\n\nDust <b onclick=x>here</b>.\n\n## How\n\nClean it.",
        summary="In short <i>",
        category_id=below.id,
        product_ids=[product.id],
        tags=["hot"],
    )
    page = client_for(people.ann).get("/articles/reset-the-pump")
    assert page.status_code == 200
    text = page.text
    for piece in (
        "<h1",
        'href="/categories/pumps"',
        'href="/categories/large"',
        'href="/products/pump-3"',
        'href="/tags/hot"',
        '<h2 id="s-why">Why</h2>',
        'href="#s-how"',
        "In short &lt;i&gt;",
        "Version 1",
        "Was this helpful?",
    ):
        assert piece in text
    assert "onclick" not in text
    assert "Owner" not in text
    assert "Dora" in client_for(people.carol).get(f"/articles/{article.slug}").text


def test_a_case_study_stands_under_its_headings(people: People, client_for: Any, write: Write) -> None:
    write("Leak", "Drips", kind="case_study", cause="Seal", outcome="success")
    text = client_for(people.ann).get("/articles/leak").text
    assert (
        text.index('<h2 id="issue">Issue</h2>')
        < text.index("Drips")
        < text.index('<h2 id="cause">')
        < text.index("Seal")
    )
    assert "Solved" in text


@pytest.mark.parametrize("state", ["draft", "archived"])
def test_what_may_not_be_read_answers_like_what_is_not_there(
    people: People, client_for: Any, write: Write, state: str
) -> None:
    article = write(state=state)
    hidden = client_for(people.alice).get(f"/articles/{article.slug}")
    missing = client_for(people.alice).get("/articles/nothing-of-the-kind")
    assert hidden.status_code == missing.status_code == 404
    tokens = re.compile(r'(content|value)="[\w.-]{60,}"')
    hidden_text, missing_text = (tokens.sub("", answer.text) for answer in (hidden, missing))
    assert hidden_text.replace(article.slug, "x") == missing_text.replace("nothing-of-the-kind", "x")
    assert client_for(people.alice).get(f"/articles/{article.id}").status_code == 404
    assert client_for(people.dora).get(f"/articles/{article.slug}").status_code == 200


def test_an_unpublished_article_is_gone_at_once(people: People, client_for: Any, write: Write) -> None:
    article = write()
    reader = client_for(people.bob)
    assert reader.get("/articles/reset-the-pump").status_code == 200
    articles.archive(article, by=people.dora.viewer)
    assert reader.get("/articles/reset-the-pump").status_code == 404


def test_former_addresses_and_numbers_lead_to_the_present_one(people: People, client_for: Any, write: Write) -> None:
    article = write("Old name")
    articles.save(article, by=people.dora.viewer, changes={"title": "New name"})
    reader = client_for(people.ann)
    for address in ("/articles/old-name", f"/articles/{article.id}"):
        answer = reader.get(address)
        assert (answer.status_code, answer.location) == (301, "/articles/new-name")
    chinese = write("如何重置")
    assert reader.get("/articles/如何重置").status_code == 200
    assert "%E5%A6%82" in reader.get(f"/articles/{chinese.id}").location


def test_a_stale_article_says_so(people: People, client_for: Any, write: Write) -> None:
    write(review_at=now().replace(year=2020))
    assert "may be out of date" in client_for(people.ann).get("/articles/reset-the-pump").text


def test_translations_can_be_switched(people: People, client_for: Any, write: Write) -> None:
    english, chinese = write("Reset"), write("重置", language="zh")
    reader = client_for(people.ann)
    assert "not available in English" in reader.get("/articles/重置").text
    translations.link_translation(chinese, of=english, by=people.dora.viewer)
    page = reader.get("/articles/重置").text
    assert 'hreflang="en"' in page
    assert "not available in English" not in page
    articles.archive(english, by=people.dora.viewer)
    assert 'hreflang="en"' not in reader.get("/articles/重置").text.split("</header>", 1)[1]


def test_readers_say_whether_it_helped_and_take_it_back(people: People, client_for: Any, write: Write) -> None:
    article = write()
    ann, alice = client_for(people.ann), client_for(people.alice)
    for browser in (ann, alice, ann):
        answer = browser.post("/articles/reset-the-pump/vote", data={"answer": "yes"})
        assert (answer.status_code, answer.location) == (303, "/articles/reset-the-pump#helpful")
    assert (article.helpful, article.unhelpful) == (2, 0)
    assert "You said that it helped." in ann.get("/articles/reset-the-pump").text
    ann.post("/articles/reset-the-pump/vote", data={"answer": "no"})
    assert "What was missing or wrong?" in ann.get("/articles/reset-the-pump").text
    ann.post("/articles/reset-the-pump/vote", data={"answer": "no", "reason": "Which buttons?"})
    assert (article.helpful, article.unhelpful) == (1, 1)
    assert db.session.query(Vote).filter_by(is_helpful=False).one().reason == "Which buttons?"
    ann.post("/articles/reset-the-pump/vote", data={"answer": "none"})
    assert (article.helpful, article.unhelpful) == (1, 0)


def test_votes_that_are_none(people: People, client_for: Any, write: Write) -> None:
    article = write(state="draft")
    ann = client_for(people.ann)
    assert ann.post(f"/articles/{article.slug}/vote", data={"answer": "yes"}).status_code == 404
    articles.publish(article, by=people.dora.viewer)
    assert ann.post(f"/articles/{article.slug}/vote", data={"answer": "maybe"}).status_code == 400
    assert ann.post(f"/articles/{article.slug}/vote", data={}).status_code == 400
    assert ann.get(f"/articles/{article.slug}/vote").status_code == 405
    ann.post(f"/articles/{article.slug}/vote", data={"answer": "no"})
    kept = ann.post(f"/articles/{article.slug}/vote", data={"answer": "no", "reason": "long " * 300})
    assert kept.status_code == 422
    assert "long long" in kept.text
    ann.csrf = False
    assert ann.post(f"/articles/{article.slug}/vote", data={"answer": "yes"}).status_code == 400
    assert (article.helpful, article.unhelpful) == (0, 1)


def test_readings_are_counted_without_a_write_in_the_request(people: People, client_for: Any, write: Write) -> None:
    article = write()
    reader = client_for(people.ann)
    for _ in range(3):
        reader.get("/articles/reset-the-pump")
    reader.head("/articles/reset-the-pump")
    reader.get("/articles/reset-the-pump", headers={"Sec-Purpose": "prefetch"})
    assert article.views == 0
    reads.counter().write()
    db.session.refresh(article)
    assert (article.views, article.version) == (3, 1)


def test_files_of_an_article(people: People, client_for: Any, write: Write) -> None:
    article, other = write(), write("Other", state="draft")
    kept = files.attach(article, stream=io.BytesIO(samples.pdf()), file_name='蒸汽 "a".pdf', by=people.dora.viewer)
    picture = files.attach(article, stream=io.BytesIO(samples.PNG), file_name="a.png", by=people.dora.viewer)
    secret = files.attach(other, stream=io.BytesIO(b"secret"), file_name="s.txt", by=people.dora.viewer)
    reader = client_for(people.ann)
    assert f"/articles/reset-the-pump/attachments/{kept.id}" in reader.get("/articles/reset-the-pump").text
    answer = reader.get(f"/articles/reset-the-pump/attachments/{kept.id}?shown=1")
    assert answer.data == samples.pdf()
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "filename*=UTF-8''%E8%92%B8" in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    shown = reader.get(f"/articles/reset-the-pump/attachments/{picture.id}?shown=1")
    assert (shown.mimetype, shown.headers["Content-Disposition"]) == ("image/png", "inline; filename=a.png")
    for address in (
        f"/articles/reset-the-pump/attachments/{secret.id}",
        f"/articles/{other.slug}/attachments/{secret.id}",
        f"/articles/{other.slug}/attachments/{kept.id}",
        "/articles/reset-the-pump/attachments/999999999999999",
    ):
        assert reader.get(address).status_code == 404
    assert client_for(people.dora).get(f"/articles/{other.slug}/attachments/{secret.id}").data == b"secret"


@pytest.mark.thorough
def test_shelves_count_what_each_reader_may_read(people: People, client_for: Any, write: Write) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "Pumps", "name_zh": "水泵"})
    below = categories.create(by=people.dora.viewer, changes={"name": "Large", "parent_id": top.id})
    inside = categories.create(
        by=people.dora.viewer, changes={"name": "Secret", "audience": "internal", "parent_id": top.id}
    )
    write("One", category_id=top.id)
    write("Two", category_id=below.id, audience="customers")
    write("Three", category_id=inside.id)
    write("Four", category_id=below.id, state="draft")
    for person, counts, total in ((people.ann, (1, 0), 1), (people.alice, (2, 1), 2), (people.carol, (3, 1), 3)):
        text = client_for(person).get("/categories").text
        assert [
            f'Pumps</a> <span class="count">{counts[0]}<' in text,
            f'Large</a> <span class="count">{counts[1]}<' in text,
        ] == [True, True]
        assert ("Secret" in text) == (person is people.carol)
        listed = client_for(person).get("/categories/pumps").text
        assert f"{total} article" in listed
        assert ("Three" in listed) == (person is people.carol)
        assert "Four" not in listed
    assert client_for(people.alice).get("/categories/secret").status_code == 404
    assert client_for(people.carol).get("/categories/secret").status_code == 200
    assert "水泵" in client_for(people.ann).get("/categories", headers={"Accept-Language": "zh-CN"}).text


@pytest.mark.thorough
def test_products_and_tags(people: People, client_for: Any, write: Write) -> None:
    family = products.save_family(None, by=people.dora.viewer, changes={"name": "Machines"})
    product = products.create(
        by=people.dora.viewer, changes={"name": "Pump 3", "family_id": family.id, "part_number": "P-3"}
    )
    write("One", product_ids=[product.id], tags=["hot"])
    write("Two", product_ids=[product.id], audience="internal", tags=["secret"])
    reader = client_for(people.ann)
    assert 'Pump 3</a> <span class="count">1<' in reader.get("/products").text
    page = reader.get("/products/pump-3").text
    assert "One" in page
    assert "Two" not in page
    assert "P-3" in page
    tags_page = reader.get("/tags").text
    assert "hot" in tags_page
    assert "secret" not in tags_page
    assert reader.get("/tags/hot").status_code == 200
    assert reader.get("/tags/secret").status_code == 404
    assert client_for(people.carol).get("/tags/secret").status_code == 200
    assert reader.get("/knowledge").status_code == 200
    assert "Machines" in reader.get("/knowledge").text


@pytest.mark.thorough
def test_lists_have_pages_and_orders(people: People, client_for: Any, write: Write) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "Pumps"})
    for n in range(21):
        write(f"Number {n:02}", category_id=top.id)
    reader = client_for(people.ann)
    first, second = reader.get("/categories/pumps?sort=title"), reader.get("/categories/pumps?sort=title&page=2")
    assert "Number 00" in first.text
    assert "Number 20" not in first.text
    assert "Number 20" in second.text
    for page in ("3", "0", "-1", "x", "1e3", "٣", "99999999999", ""):
        assert reader.get(f"/categories/pumps?page={page}").status_code == 404
    assert reader.get("/categories/pumps?sort=nonsense").status_code == 200
    assert reader.post("/categories/pumps").status_code == 405


@pytest.mark.parametrize(
    "path",
    ["/articles/%00", "/articles/%ff%fe", "/categories/%00", "/tags/%00", "/products/%00", "/articles/" + "a" * 3000],
)
def test_bad_addresses_are_missing(people: People, client_for: Any, path: str) -> None:
    assert client_for(people.ann).get(path).status_code == 404


@pytest.fixture
def statements(app: Any) -> Any:
    """Count the statements of one request."""

    def count(ask: Callable[[], Any]) -> int:
        seen: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            if not statement.lstrip().upper().startswith("PRAGMA"):
                seen.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            assert ask().status_code == 200
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        return len(seen)

    return count


@pytest.mark.thorough
def test_no_page_asks_more_often_when_there_is_more(
    people: People, client_for: Any, write: Write, statements: Any
) -> None:
    top = categories.create(by=people.dora.viewer, changes={"name": "Pumps"})
    paths = [
        "/knowledge",
        "/categories",
        "/categories/pumps",
        "/products",
        "/tags",
        "/tags/hot",
        "/board?show=mine",
        "/articles/first",
    ]
    dora = client_for(people.dora)

    def asked() -> dict[str, int]:
        return {path: statements(lambda path=path: dora.get(path)) for path in paths}

    write("First", category_id=top.id, tags=["hot"])
    before = asked()
    for n in range(12):
        product = products.create(by=people.dora.viewer, changes={"name": f"P{n}"})
        below = categories.create(by=people.dora.viewer, changes={"name": f"C{n}", "parent_id": top.id})
        write(f"More {n}", category_id=below.id, product_ids=[product.id], tags=["hot", f"t{n}"])
    after = asked()
    # A list that was empty may need one statement more than before; it must not need one for each row.
    assert {path: after[path] for path in paths if after[path] > before[path] + 2} == {}
    assert max(after.values()) <= 20, after
