"""The search page and its JSON, through the front door."""

from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import event, select

from portal.attachments import extraction
from portal.extensions import db, now
from portal.knowledge import articles, files
from portal.search import log as search_log
from portal.search.current import EXTENSION
from portal.search.engine import EngineDown
from portal.search.models import SearchLog
from portal.vocabulary import categories
from tests.attachments import samples


def titles(answer) -> list[str]:
    return [hit["title"] for hit in answer.json["hits"]]


@pytest.fixture
def filled(library):
    printers = categories.create(by=library.people.dora.viewer, changes={"name": "Printers", "name_zh": "打印机"})
    library.write("Printer offline after update", "The printer shows E-1024.", category_id=printers.id, tags=["driver"])
    library.write("打印机驱动程序怎么重装", "打开设置，删除驱动，再重新安装。", language="zh", category_id=printers.id)
    library.write("Internal repair manual for printers", "Secret torque values.", audience="internal")
    library.write("Draft about printers", "Not yet.", state="draft")
    library.write("Network storage is slow", "Check the cable.")
    library.catch_up()
    return library


def test_hits_are_ranked_marked_and_counted(filled, people, client_for) -> None:
    answer = client_for(people.ann).get("/api/v1/search?q=printer+offline")
    assert titles(answer) == ["Printer offline after update", "打印机驱动程序怎么重装"], "a synonym crosses languages"
    hit = answer.json["hits"][0]
    assert hit["highlights"]["title"] == "<mark>Printer</mark> <mark>offline</mark> after update"
    assert hit["url"] == "/articles/printer-offline-after-update"
    assert answer.json["total"] == 2
    assert answer.json["facets"]["category"] == [
        {"value": "printers", "label": "Printers", "count": 2, "selected": False}
    ]


@pytest.mark.thorough
def test_chinese_traditional_fullwidth_and_codes_find(filled, people, client_for, subtests) -> None:
    ann = client_for(people.ann)
    for words in ("打印机", "打印機", "驅動程式", "ｐｒｉｎｔｅｒ", "E-1024"):
        with subtests.test(words=words):
            assert ann.get("/api/v1/search", query_string={"q": words}).json["total"] >= 1


@pytest.mark.thorough
def test_each_viewer_finds_and_counts_only_what_is_theirs(filled, people, client_for) -> None:
    def total(person) -> int:
        answer = client_for(person).get("/api/v1/search?q=printers")
        counted = sum(value["count"] for value in answer.json["facets"]["kind"])
        assert counted == answer.json["total"]
        return answer.json["total"]

    assert {p.name: total(p) for p in (people.ann, people.alice, people.carol, people.dora)} == {
        "Ann": 2,
        "Alice": 2,
        "Carol": 3,
        "Dora": 4,
    }


def test_a_withdrawn_article_disappears_before_the_index_knows(filled, people, client_for) -> None:
    article = articles.get_readable(people.dora.viewer, "printer-offline-after-update")
    articles.archive(article, by=people.dora.viewer)
    answer = client_for(people.ann).get("/api/v1/search?q=printer+offline")
    assert (answer.json["total"], titles(answer)) == (1, ["打印机驱动程序怎么重装"])


def test_the_page_keeps_words_filters_and_order_in_its_address(filled, people, client_for) -> None:
    page = client_for(people.ann).get("/search?q=printer&category=printers&sort=newest")
    assert page.status_code == 200
    assert 'value="printer"' in page.text
    assert "Category:" in page.text
    assert "<mark>Printer</mark>" in page.text
    assert 'href="/search?q=printer&amp;sort=newest"' in page.text, "the chip can be taken away"


def test_facets_are_named_in_the_readers_language(filled, people, client_for) -> None:
    assert "打印机" in client_for(people.ann).get("/search?lang=zh", follow_redirects=True).text


def test_nothing_found_says_so_and_offers_a_way_on(filled, people, client_for) -> None:
    page = client_for(people.ann).get("/search?q=xylophone")
    assert page.status_code == 200
    assert "Nothing was found" in page.text


def test_a_typing_error_is_mended_and_said(filled, people, client_for) -> None:
    answer = client_for(people.ann).get("/api/v1/search?q=pritner")
    assert answer.json["corrected_from"] == "pritner"
    assert answer.json["did_you_mean"] == "printer"
    assert answer.json["total"] == 2
    page = client_for(people.ann).get("/search?q=pritner").text
    assert "2 results for “printer”" in page
    assert "Nothing was found for “pritner”." in page


@pytest.mark.parametrize(("typed", "mended"), [("zephyrsu", "zephyrus"), ("printer zephyrsu", "printer zephyrus")])
def test_no_word_of_what_was_withdrawn_is_offered_before_the_index_knows(
    filled, people, client_for, typed, mended
) -> None:
    article = filled.write("Zephyrus is announced", "Nobody may know yet.")
    filled.catch_up()
    address = "/api/v1/search?q=" + typed.replace(" ", "+")
    assert client_for(people.ann).get(address).json["did_you_mean"] == mended
    articles.archive(article, by=people.dora.viewer)
    answer = client_for(people.ann).get(address)
    assert (answer.json["did_you_mean"], answer.json["corrected_from"]) == (None, None)
    assert "zephyrus" not in answer.text.lower()
    assert "zephyrus" not in client_for(people.ann).get(address.removeprefix("/api/v1")).text.lower()
    assert client_for(people.dora).get(address).json["did_you_mean"] == mended, "staff go on"


BAD_PARAMETERS = [
    ("q=" + "x" * 1001, "q"),
    ("page=0", "page"),
    ("page=501&size=20", "page"),
    ("page=x", "page"),
    ("size=101", "size"),
    ("kind=poem", "kind"),
    ("sort=upside", "sort"),
    ("updated=yesterday", "updated"),
    ("assignee=carol", "assignee"),
    ("q=a&q=b", "q"),
]


@pytest.mark.thorough
def test_bad_parameters_are_named(filled, people, client_for, subtests) -> None:
    browser = client_for(people.ann)
    for query, parameter in BAD_PARAMETERS:
        with subtests.test(query=query):
            answer = browser.get(f"/api/v1/search?{query}")
            assert answer.status_code == 400
            assert parameter in answer.json["error"]["fields"]
            page = browser.get(f"/search?{query}")
            assert page.status_code == 400
            assert answer.json["error"]["message"].split(":")[0] in page.text


@pytest.mark.thorough
def test_no_text_is_an_error(filled, people, client_for, subtests) -> None:
    ann = client_for(people.ann)
    for text in ("\x00", "%ff", "\ud800", "(", "a AND", '"', "-", "kind:", "*", "\\", "🙂" * 300):
        raw = text.encode("utf-8", "surrogatepass")
        with subtests.test(raw=raw):
            query = "q=" + "".join(f"%{byte:02x}" for byte in raw)
            assert ann.get(f"/search?{query}").status_code in (200, 400)


class DeadEngine:
    """An engine that nobody answers for."""

    name = "embedded"

    def __getattr__(self, name):
        def down(*_args, **_options):
            raise EngineDown("nobody answers")

        return down


@pytest.mark.thorough
def test_without_an_engine_titles_are_searched_and_it_is_said(filled, app, people, client_for) -> None:
    app.extensions[EXTENSION] = DeadEngine()
    ann = client_for(people.ann)
    answer = ann.get("/api/v1/search?q=printer")
    assert answer.json["degraded"] is True
    assert titles(answer) == ["Printer offline after update"]
    page = ann.get("/search?q=printer")
    assert page.status_code == 200
    assert "Search is limited at the moment" in page.text
    assert "Best match" not in page.text, "nothing ranks, so no order is offered"
    assert client_for(people.carol).get("/api/v1/search?q=internal+repair").json["total"] == 1
    assert ann.get("/api/v1/search?q=internal+repair").json["total"] == 0
    assert ann.get("/").status_code == 200
    offered = ann.get("/api/v1/suggest?q=pri").json
    assert (offered["query"], offered["degraded"], offered["suggestions"]) == ("pri", True, [])


def test_suggestions_are_permitted_titles(filled, people, client_for) -> None:
    def offered(person, text) -> list[str]:
        answer = client_for(person).get("/api/v1/suggest", query_string={"q": text})
        return [item["title"] for item in answer.json["suggestions"]]

    assert offered(people.ann, "print") == ["Printer offline after update"]
    assert "Internal repair manual for printers" in offered(people.carol, "internal")
    assert offered(people.ann, "internal") == []
    assert offered(people.ann, "dayinji") == ["打印机驱动程序怎么重装"]


def test_searches_are_logged_and_keystrokes_merged(filled, people, client_for) -> None:
    alice = client_for(people.alice)
    for words in ("pri", "printe", "printer"):
        alice.get("/api/v1/search", query_string={"q": words})
    client_for(people.ann).get("/search?q=storage")
    search_log.settle()
    logged = db.session.scalars(select(SearchLog).order_by(SearchLog.id)).all()
    assert [(entry.words, entry.user_id, entry.viewer_kind) for entry in logged] == [
        ("printer", people.alice.user_id, "customer"),
        ("storage", None, "anonymous"),
    ]
    assert logged[0].total == 2


def test_a_click_is_noted_once_and_only_by_its_searcher(filled, people, client_for) -> None:
    alice = client_for(people.alice)
    page = alice.get("/search?q=printer").text
    search_log.settle()
    entry = db.session.scalars(select(SearchLog)).one()
    assert f'data-search="{entry.token}"' in page
    client_for(people.bob).post(f"/api/v1/searches/{entry.token}/click?hit=article:1&rank=1")
    search_log.settle()
    db.session.refresh(entry)
    assert entry.clicked is None
    alice.csrf = False
    assert alice.post(f"/api/v1/searches/{entry.token}/click?hit=article:1&rank=3").status_code == 204
    alice.post(f"/api/v1/searches/{entry.token}/click?hit=article:2&rank=1")
    search_log.settle()
    db.session.refresh(entry)
    assert (entry.clicked, entry.clicked_rank) == ("article:1", 3)
    assert alice.post(f"/api/v1/searches/{entry.token}/click?hit=article:1&rank=0").status_code == 400


def test_the_first_page_shows_topics_with_counts_for_its_reader(filled, people, client_for) -> None:
    page = client_for(people.ann).get("/")
    assert page.status_code == 200
    assert "Printers" in page.text
    assert "Internal repair manual" not in page.text
    assert "Internal repair manual" in client_for(people.carol).get("/").text


def test_the_filter_by_time_reaches_the_engine(filled, people, client_for) -> None:
    today = now().date()
    past = f"2020-01-01..{today - timedelta(days=2)}"
    ann = client_for(people.ann)
    assert ann.get(f"/api/v1/search?updated={past}").json["total"] == 0
    assert ann.get("/api/v1/search?updated=day").json["total"] == 3


def test_typed_operators_are_chips_that_can_be_taken_away(filled, people, client_for) -> None:
    page = client_for(people.ann).get("/search", query_string={"q": "printer tag:driver kind:faq"}).text
    assert 'href="/search?q=printer++kind%3Afaq"' in page or 'href="/search?q=printer+kind%3Afaq"' in page
    assert '<span class="chip__name">tag:</span> driver' in page
    assert '<span class="chip__name">kind:</span> faq' in page
    assert '<a class="chips__clear" href="/search?q=printer" rel="nofollow">' in page


def test_partial_matches_say_which_words_they_lack(filled, people, client_for) -> None:
    ann = client_for(people.ann)
    page = ann.get("/search", query_string={"q": "printer cable"}).text
    assert "Missing: <s>cable</s>" in page
    assert "Missing: <s>printer</s>" in page
    assert "Missing:" not in ann.get("/search", query_string={"q": "printer offline"}).text


def test_pinyin_and_initials_find_titles(filled, people, client_for) -> None:
    for words in ("dayinji", "dyj", "qudong"):
        answer = client_for(people.ann).get("/api/v1/search", query_string={"q": words})
        assert titles(answer) == ["打印机驱动程序怎么重装"], words


def count_statements(client, path: str) -> int:
    """Return how many statements one page needs."""
    seen: list[str] = []

    def listen(_connection, _cursor, statement, *_more) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", listen)
    try:
        assert client.get(path).status_code == 200
    finally:
        event.remove(db.engine, "before_cursor_execute", listen)
    return len(seen)


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "most"), [("ann", 6), ("carol", 8)])
def test_the_page_needs_few_statements_however_many_hits(library, people, client_for, name, most) -> None:
    for number in range(40):
        place = categories.create(by=people.dora.viewer, changes={"name": f"Shelf {number}"})
        library.write(f"Printer {number}", tags=[f"tag {number}", "printing"], category_id=place.id)
    library.write("Only scanner", tags=["scanning"])
    library.catch_up()
    client = client_for(getattr(people, name))
    client.get("/search?q=printer")
    few, many = (count_statements(client, f"/search?q={words}") for words in ("scanner", "printer"))
    assert many <= most
    assert many - few <= 2, "categories have names and a tree, which the other hit is in none of"


@pytest.mark.thorough
def test_a_tree_shows_its_roots_and_the_branches_of_what_is_chosen(library, people, client_for) -> None:
    by = people.dora.viewer
    devices = categories.create(by=by, changes={"name": "Devices"})
    printers = categories.create(by=by, changes={"name": "Printers", "parent_id": devices.id})
    labels = categories.create(by=by, changes={"name": "Label printers", "parent_id": printers.id})
    services = categories.create(by=by, changes={"name": "Services"})
    for number, place in enumerate((devices, printers, labels, services)):
        library.write(f"Printer {number}", category_id=place.id)
    library.catch_up()
    ann = client_for(people.ann)

    def shown(path: str) -> list[str]:
        page = ann.get(path).text
        return [slug for slug in ("devices", "printers", "label-printers", "services") if f"category={slug}" in page]

    assert shown("/search?q=printer") == ["devices", "services"]
    assert shown("/search?q=printer&category=devices") == ["devices", "printers", "services"]
    page = ann.get("/search?q=printer&category=devices").text
    assert 'href="/search?q=printer&amp;category=printers"' in page, "a branch stands for itself, without its parent"
    assert "Label printers" in ann.get("/search/facets/category?q=printer").text
    assert "Label printers" not in ann.get("/search/facets/category?q=printer&find=serv").text


@pytest.mark.thorough
def test_all_values_of_a_facet_are_counted_and_narrowed(library, people, client_for) -> None:
    for number in range(120):
        library.write(f"Printer {number}", tags=[f"tag {number:03}", "printing"])
    library.write("Printer for staff", audience="internal", tags=["secret tag"])
    library.catch_up()
    ann = client_for(people.ann)
    page = ann.get("/search/facets/tag?q=printer&sort=newest").text
    assert page.count('<span class="facet__label">') == 121
    assert "secret tag" not in page
    narrowed = ann.get("/search/facets/tag?q=printer&find=TAG+11").text
    assert narrowed.count('<span class="facet__label">') == 10
    assert "No value has this" in ann.get("/search/facets/tag?q=printer&find=xyz").text
    for path in ("/search/facets/assignee", "/search/facets/updated", "/search/facets/none"):
        assert ann.get(path).status_code == 404, path
    assert ann.get("/search/facets/tag?page=0").status_code == 400


@pytest.mark.thorough
def test_a_range_of_days_has_its_own_exact_count(filled, people, client_for) -> None:
    today = now().date()
    ann = client_for(people.ann)
    for chosen, count in (([f"{today}.."], 3), ([f"..{today - timedelta(days=2)}"], 0), ([f"{today}..", "day"], 3)):
        found = ann.get("/api/v1/search", query_string={"updated": chosen}).json
        counted = {value["value"]: value["count"] for value in found["facets"]["updated"]}
        assert counted[chosen[0]] == count
    sent = ann.get(f"/search?q=printer&updated_from={today}&updated_to=&kind=faq")
    assert sent.location == f"/search?q=printer&kind=faq&updated={today}.."
    assert ann.get("/search?updated_from=&updated_to=").location == "/search"
    assert ann.get("/search?updated_from=yesterday").status_code == 400
    many = [f"2020-01-{day:02}.." for day in range(1, 13)]
    assert ann.get("/api/v1/search", query_string={"updated": many}).status_code == 400


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("training.pptx", samples.pptx("Bleed the manifold first"), "manifold"),
        ("letter.odt", samples.open_document("<text:p>先排空歧管里的空气</text:p>"), "歧管"),
    ],
)
def test_words_of_presentations_and_open_documents_are_found_with_the_file_s_name(
    library, people, client_for, name, data, words
) -> None:
    article = library.write("Maintenance")
    files.attach(article, stream=BytesIO(data), file_name=name, by=people.dora.viewer)
    assert extraction.extract_pending() == 1
    library.catch_up()
    page = client_for(people.ann).get("/search", query_string={"q": words}).text
    assert "Maintenance" in page
    assert f"Found in the file {name}" in page
