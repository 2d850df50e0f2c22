"""What both engines do alike, said in what is found."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from portal.access import PUBLIC, Role, Viewer
from portal.search.document import Document, Tombstone
from portal.search.engine import BadQuery, EngineDown, IndexMissing, SearchEngine
from portal.search.request import SearchRequest
from portal.search.results import Presence, SearchResult
from tests.contract.conftest import ENGINES, clear, make, put
from tests.contract.corpus import ALICE, BOB, CARLA, CORPUS, NOBODY, NOW, VIEWERS, ago, document, record


@pytest.fixture(scope="module", params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    """An engine that holds the corpus; tests only read it."""
    engine, prefix = make(request, tmp_path_factory.mktemp("shop"))
    engine.create_index(f"{prefix}-1")
    put(engine, CORPUS, f"{prefix}-1")
    engine.swap(f"{prefix}-1")
    yield engine
    clear(engine, prefix)


def ask(engine: SearchEngine, text: str = "", viewer: Viewer = NOBODY, **more: object) -> SearchResult:
    return engine.search(SearchRequest(viewer=viewer, text=text, now=NOW, **more))  # type: ignore[arg-type]


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def counts(result: SearchResult, facet: str) -> dict[str, int]:
    return {value.value: value.count for value in result.facets[facet]}


# Words


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("printer does not print", "article:1"),
        ("printing", "article:1"),
        ("how do I reset my password?", "article:3"),
        ("paper jams", "article:2"),
        ("密码", "article:4"),
        ("忘記密碼", "article:4"),
        ("打印机驱动程序", "article:6"),
        ("印表機無法啟動", "article:5"),
        ("机", "article:6"),
        ("ＯＲＡ－００６００", "article:7"),
        ("ora 00600", "article:7"),
        ("KB 3089230", "article:7"),
        ("3089230", "article:7"),
        ("C++", "article:8"),
        (".NET", "article:8"),
        ("pairing button", "article:12"),
        ("重置 password", "article:4"),
    ],
)
def test_finds(shop: SearchEngine, text: str, first: str) -> None:
    assert ids(ask(shop, text))[0] == first


def test_finds_identifiers_in_every_spelling(shop: SearchEngine) -> None:
    for text in ("R-2026-0021", "r20260021", "id:R-2026-0021", "id:record:21", "SN-77-1234"):
        assert ids(ask(shop, text, CARLA))[0] == "record:21", text


def test_words_of_nowhere_find_nothing(shop: SearchEngine) -> None:
    result = ask(shop, "quetzalcoatl")
    assert (result.total, result.hits, result.missing_words) == (0, (), ("quetzalcoatl",))


def test_signs_alone_find_nothing(shop: SearchEngine) -> None:
    assert ask(shop, "???").total == 0


def test_quotes_want_the_words_together(shop: SearchEngine) -> None:
    assert ids(ask(shop, '"install the driver"')) == ["article:1"]
    assert ids(ask(shop, '"driver the install"')) == []
    assert ids(ask(shop, '"无法启动"')) == ["article:5"]
    assert ids(ask(shop, '"paper" printer')) == ["article:2"]
    assert ids(ask(shop, '"封"')) == ["article:4"]


def test_minus_leaves_out(shop: SearchEngine) -> None:
    assert "article:2" in ids(ask(shop, "printer"))
    assert "article:2" not in ids(ask(shop, "printer -jam"))
    assert "article:5" not in ids(ask(shop, "打印机 -电源线"))
    assert set(ids(ask(shop, "-printer", size=50))) == set(ids(ask(shop, size=50))) - {"article:1", "article:2"}


def test_operators_filter(shop: SearchEngine) -> None:
    assert set(ids(ask(shop, "tag:driver"))) == {"article:1", "article:5", "article:6"}
    assert ids(ask(shop, "printer product:LX-300")) == ["article:2"]
    assert set(ids(ask(shop, "kind:case-study"))) == {"article:7", "article:8"}
    assert ask(shop, "tag:nothing").total == 0


def test_synonyms_find_across_languages(shop: SearchEngine) -> None:
    assert "article:5" in ids(ask(shop, "printer"))


ODD_TEXTS = [
    *('"', '""', "-", "--", '-"', "(", "a AND b OR NOT c", "*", "?", "~2", "a:b", "kind:", "kind:x", "\\", "/x/"),
    *("[a TO b]", "\x00", "\ud800", "𠮷", "😀", "é́́", "\u200b"),
    *("a" * 1000, "汉" * 1000, "ab " * 300, "a-b " * 250, "tag:" + "x" * 500),
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_is_a_query(shop: SearchEngine, text: str) -> None:
    for viewer in (NOBODY, CARLA):
        result = ask(shop, text, viewer)
        assert result.total >= len(result.hits)
        shop.suggest(viewer, text)
        shop.similar(viewer, text)


# Browsing, order, pages


def test_an_empty_query_browses_the_newest_first(shop: SearchEngine) -> None:
    result = ask(shop)
    assert result.total == 10
    assert ids(result)[:3] == ["article:3", "article:1", "article:2"]
    assert ids(result)[-1] == "article:6"


def test_sorts(shop: SearchEngine) -> None:
    assert ids(ask(shop, "printer", sort="popular"))[:2] == ["article:2", "article:1"]
    assert ids(ask(shop, "printer", sort="newest"))[0] == "article:1"
    assert ids(ask(shop, "password", sort="newest")) == ["article:3", "article:4"]


def test_pages_show_every_hit_once(shop: SearchEngine) -> None:
    seen = [hit for page in range(1, 5) for hit in ids(ask(shop, page=page, size=3))]
    assert len(seen) == len(set(seen)) == 10
    result = ask(shop, page=2, size=3)
    assert (result.total, result.total_is_exact, result.pages) == (10, True, 4)
    assert ask(shop, page=100, size=100).hits == ()


# Facets


def test_facets_count_the_readable_hits(shop: SearchEngine) -> None:
    result = ask(shop)
    assert counts(result, "kind") == {"faq": 8, "case_study": 2}
    assert counts(result, "language") == {"en": 7, "zh": 3}
    assert counts(result, "tag") == {"driver": 3, "password": 2, "oracle": 1, "paper": 1, "usb": 1}
    assert counts(result, "category")["printers"] == 4
    assert counts(result, "updated") == {"day": 1, "week": 5, "month": 7, "year": 9, "older": 1}
    assert list(counts(result, "updated")) == ["day", "week", "month", "year", "older"]
    assert "source" not in result.facets


def test_a_facet_ignores_its_own_choice_and_respects_the_others(shop: SearchEngine) -> None:
    result = ask(shop, filters={"language": ("zh",)})
    assert counts(result, "language") == {"en": 7, "zh": 3}
    assert counts(result, "tag") == {"driver": 2, "password": 1}
    assert [v.value for v in result.facets["language"] if v.selected] == ["zh"]

    both = ask(shop, filters={"language": ("zh",), "tag": ("driver",)})
    assert both.total == 2
    assert counts(both, "language") == {"zh": 2, "en": 1}
    assert counts(both, "tag") == {"driver": 2, "password": 1}
    assert counts(both, "kind") == {"faq": 2}


def test_values_of_one_facet_widen(shop: SearchEngine) -> None:
    assert ask(shop, filters={"tag": ("driver", "password")}).total == 5
    assert ask(shop, filters={"tag": ("driver", "password"), "language": ("en",)}).total == 2


def test_a_chosen_value_is_shown_even_when_it_counts_nothing(shop: SearchEngine) -> None:
    values = {v.value: (v.count, v.selected) for v in ask(shop, "ora", filters={"tag": ("paper",)}).facets["tag"]}
    assert values["paper"] == (0, True)


def test_dates_filter(shop: SearchEngine) -> None:
    assert ids(ask(shop, filters={"updated": ("day",)})) == ["article:3"]
    assert ids(ask(shop, filters={"updated": ("older",)})) == ["article:6"]
    day = ago(days=40).date().isoformat()
    assert ids(ask(shop, filters={"updated": (f"{day}..{day}",)})) == ["article:7"]
    assert ids(ask(shop, filters={"updated": ("..2026-01-31",)})) == ["article:8", "article:6"]


def test_staff_have_facets_of_their_own(shop: SearchEngine) -> None:
    result = ask(shop, viewer=CARLA)
    assert counts(result, "priority") == {"high": 1, "low": 1}
    assert ids(ask(shop, viewer=CARLA, filters={"assignee": ("carla",)})) == ["record:21"]


# Highlights


def test_titles_are_escaped_and_marked(shop: SearchEngine) -> None:
    hit = ask(shop, "script").hits[0]
    assert hit.title_html == "&lt;<mark>script</mark>&gt;alert(1)&lt;/<mark>script</mark>&gt; in a title"
    bold = ask(shop, "bold scriptbox").hits[0].snippets[0]
    assert "&lt;b&gt;<mark>bold</mark>&lt;/b&gt; &amp; &#34;quoted&#34;" in bold
    assert "<b>" not in bold


def test_chinese_is_marked_whole_and_where_it_stands(shop: SearchEngine) -> None:
    simplified = ask(shop, "打印机无法启动").hits[0]
    assert simplified.title_html == "<mark>打印机无法启动</mark>"
    traditional = next(hit for hit in ask(shop, "驱动程序").hits if hit.id == "article:6")
    assert traditional.title_html == "印表機<mark>驅動程式</mark>安裝說明"
    assert traditional.snippets[0] == "先下載<mark>驅動程式</mark>，再重新開機。"


def test_a_hit_names_the_section_that_matched(shop: SearchEngine) -> None:
    hit = ask(shop, "tunnel certificate").hits[0]
    assert hit.section is not None
    assert (hit.section.anchor, hit.section.heading) == ("vpn", "VPN")


def test_without_a_match_in_the_text_the_first_lines_are_shown(shop: SearchEngine) -> None:
    hit = ask(shop, filters={"tag": ("paper",)}).hits[0]
    assert hit.snippets == ("Open the lid of the printer and pull the sheet out slowly.",)


# Rights


@pytest.mark.parametrize("name", VIEWERS)
def test_nobody_learns_what_they_may_not_read(shop: SearchEngine, name: str) -> None:
    viewer = VIEWERS[name]
    readable = {item.id for item in CORPUS if viewer.may_read(item.readers)}
    for text in (
        "",
        "printer",
        "zanzibar",
        "dealers",
        "invoice",
        "smoke",
        "refund",
        "R-2026-0022",
        "alice",
        "-printer",
    ):
        result = ask(shop, text, viewer, size=100)
        assert set(ids(result)) <= readable
        assert result.total == len(result.hits)
        assert sum(counts(result, "kind").values()) == result.total
        assert {hit.id for hit in shop.similar(viewer, text, limit=50)} <= readable
        assert {found.id for found in shop.suggest(viewer, text, 50)} <= readable


def test_internal_text_is_for_staff_alone(shop: SearchEngine) -> None:
    assert ids(ask(shop, "xylophone", CARLA)) == ["record:21"]
    assert "<mark>xylophone</mark>" in ask(shop, "xylophone", CARLA).hits[0].snippets[0]
    assert ask(shop, "xylophone", CARLA).hits[0].in_internal
    theirs = ask(shop, "xylophone", ALICE)
    assert (theirs.total, theirs.missing_words) == (0, ("xylophone",))
    assert ask(shop, '"xylophone discount"', ALICE).total == 0
    assert ask(shop, '"xylophone discount"', CARLA).total == 1
    assert "xylophone" not in str(ask(shop, "smoke", ALICE).hits)
    assert ids(ask(shop, "smoke -xylophone", ALICE)) == ["record:21"]
    assert shop.similar(ALICE, "xylophone furious discount") == ()
    assert shop.correct(SearchRequest(viewer=ALICE, text="xylophon")) is None


def test_internal_text_does_not_move_a_score(shop: SearchEngine) -> None:
    alone, both = ask(shop, "smoke", ALICE).hits[0], ask(shop, "smoke xylophone", ALICE).hits[0]
    assert alone.score == pytest.approx(both.score, abs=1e-5)


def test_corrections_come_from_readable_words_alone(shop: SearchEngine) -> None:
    assert ask(shop, "pasword").did_you_mean == "password"
    assert ask(shop, "how to instal the printre").did_you_mean == "how to instal the printer"
    assert ask(shop, "zanzibr", ALICE).did_you_mean is None
    assert ask(shop, "zanzibr", CARLA).did_you_mean == "zanzibar"
    assert ask(shop, "paper").did_you_mean is None


def test_a_viewer_without_tokens_finds_nothing(shop: SearchEngine) -> None:
    stranger = Viewer(role=Role.ANONYMOUS, tokens=frozenset())
    assert ask(shop, viewer=stranger).total == 0
    assert shop.suggest(stranger, "printer") == ()
    assert shop.similar(stranger, "printer") == ()


# Suggestions, likeness, reasons


def test_suggestions_complete_what_is_typed(shop: SearchEngine) -> None:
    def titles(text: str, viewer: Viewer = NOBODY) -> list[str]:
        return [found.title for found in shop.suggest(viewer, text)]

    assert titles("pap") == ["Paper jam"]
    assert titles("printer does n") == ["The printer does not print"]
    assert titles("密") == ["如何重置密码"]
    assert titles("重置密碼") == ["如何重置密码"]
    assert titles("czmm") == ["如何重置密码"]
    assert titles("dayinji") == ["打印机无法启动", "印表機驅動程式安裝說明"]
    assert titles("prices") == []
    assert titles("prices", ALICE) == ["Prices for dealers"]
    assert titles("") == titles("   ") == titles("!?") == []
    assert shop.suggest(NOBODY, "pap")[0].title_html == "<mark>Pap</mark>er jam"
    assert "&lt;<mark>script</mark>" in shop.suggest(NOBODY, "script")[0].title_html


@pytest.mark.thorough
def test_however_far_a_title_is_typed_it_comes_first(engine: SearchEngine) -> None:
    begun = "Replacing the rollers of the second tray "
    titles = [f"{begun}{words}" for words in ("in winter", "in summer", "by yourself")]
    put(engine, [document(900 + place, title, popularity=float(place)) for place, title in enumerate(titles)])
    put(engine, [document(910 + place, f"The tray {place}: replacing the rollers") for place in range(100)])
    for title in titles:
        for length in range(3, len(title) + 1):
            found = [suggestion.title for suggestion in engine.suggest(NOBODY, title[:length], 3)]
            wanted = [other for other in titles if other.startswith(title[:length].rstrip())]
            assert sorted(found[: len(wanted)]) == sorted(wanted), title[:length]


def test_similar_cases(shop: SearchEngine) -> None:
    text = "Hello, since yesterday our printer does not print any more although I did install the driver twice."
    assert shop.similar(NOBODY, text)[0].id == "article:1"
    assert "article:1" not in {hit.id for hit in shop.similar(NOBODY, text, exclude=["article:1"])}
    assert {hit.kind for hit in shop.similar(CARLA, "printer smoke", kinds=["record"])} == {"record"}
    assert shop.similar(NOBODY, "") == ()


def test_staff_see_why(shop: SearchEngine) -> None:
    hit = ask(shop, "printer", CARLA, explain=True).hits[0]
    fields = {field.field: field.score for field in hit.matched_fields}
    assert fields["all"] > 0
    assert sum(fields.values()) == pytest.approx(hit.score, rel=0.01)
    assert ask(shop, "printer", NOBODY, explain=True).hits[0].matched_fields == ()


@pytest.mark.parametrize(
    "text", ["printer", "printer does not print", "打印机 驱动", "ORA-00600", '"paper jam"', "重置 password", "log in"]
)
def test_shares_add_up_to_the_score_and_name_their_words(shop: SearchEngine, text: str) -> None:
    hits = ask(shop, text, CARLA, explain=True, size=50).hits
    for hit in hits:
        assert sum(field.score for field in hit.matched_fields) == pytest.approx(hit.score, rel=0.002, abs=0.001)
        assert all(field.words for field in hit.matched_fields)
    for hit in hits[:3]:
        why = shop.explain(SearchRequest(viewer=CARLA, text=text, now=NOW), hit.id)
        assert sum(field.score for field in why.matched_fields) == pytest.approx(why.score, rel=0.002, abs=0.001)


def test_as_many_values_are_counted_as_asked(shop: SearchEngine) -> None:
    every = counts(ask(shop, facet_limit=10_000), "tag")
    few = counts(ask(shop, facet_limit=1), "tag")
    assert len(few) == 1 < len(every)
    assert few.items() <= every.items()


def test_explains_a_document(shop: SearchEngine) -> None:
    request = SearchRequest(viewer=CARLA, text="printer", now=NOW)
    assert shop.explain(request, "article:1").presence == Presence.FOUND
    ranked = ids(ask(shop, "printer", CARLA))
    assert shop.explain(request, ranked[1]).rank == 2
    assert shop.explain(request, "article:999").presence == Presence.NOT_INDEXED
    assert shop.explain(request, "article:7").presence == Presence.NO_MATCH
    assert shop.explain(SearchRequest(viewer=BOB, text="smoke"), "record:21").presence == Presence.NOT_READABLE
    kept_out = shop.explain(replace(request, filters={"tag": ("usb",)}), "article:2")
    assert (kept_out.presence, kept_out.filters) == (Presence.FILTERED, ("tag",))


# Writing


def test_the_same_or_a_newer_version_overwrites_and_an_older_does_not(engine: SearchEngine) -> None:
    live = engine.live_index()
    assert live
    first = document(1, "alpha", version=5)
    assert [o.outcome for o in engine.write(live, [first, first])] == ["done", "done"]
    engine.commit(live)
    again = [replace(first, title="beta", version=4), replace(first, title="gamma", version=5)]
    assert [o.outcome for o in engine.write(live, again)] == ["superseded", "done"]
    engine.commit(live)
    assert [hit.title for hit in ask(engine).hits] == ["gamma"]
    put(engine, [replace(first, title="delta", version=6)])
    assert [hit.title for hit in ask(engine).hits] == ["delta"]
    assert engine.count(live) == 1


def test_a_tombstone_is_found_by_nobody_and_brought_back_by_nothing_older(engine: SearchEngine) -> None:
    live = engine.live_index()
    assert live
    put(engine, [document(1, "alpha", version=3), document(2, "alpha", version=1)])
    put(engine, [Tombstone(id="article:1", version=4)])
    assert ids(ask(engine, "alpha")) == ["article:2"]
    assert engine.write(live, [document(1, "alpha", version=3)])[0].outcome == "superseded"
    engine.commit(live)
    assert ids(ask(engine)) == ["article:2"]
    assert engine.count(live) == 1
    assert engine.explain(SearchRequest(viewer=CARLA), "article:1").presence == Presence.WITHDRAWN
    assert {(v.id, v.version, v.is_gone) for v in engine.versions(live)} == {
        ("article:1", 4, True),
        ("article:2", 1, False),
    }
    put(engine, [document(1, "alpha", version=5)])
    assert ask(engine, "alpha").total == 2


def test_a_tombstone_before_its_document(engine: SearchEngine) -> None:
    put(engine, [Tombstone(id="article:9", version=9)])
    put(engine, [document(9, "late", version=8)])
    assert ask(engine).total == 0


def test_ids_of_any_kind_are_kept(engine: SearchEngine) -> None:
    live = engine.live_index()
    assert live
    names = ["article:1", "record:1", "customer:1", "article:01", "page:x/y", "article:99999999999999999999", "日本:7"]
    put(engine, [replace(document(1, "alpha"), id=name) for name in names])
    put(engine, [replace(document(1, "alpha", version=2), id=name) for name in names])
    assert {v.id for v in engine.versions(live)} == set(names)
    assert ask(engine, "alpha").total == len(names)


def test_rights_and_words_change_with_the_document(engine: SearchEngine) -> None:
    put(engine, [document(1, "alpha", version=1)])
    put(engine, [replace(document(1, "omega", version=2), readers=frozenset({"staff"}))])
    assert ask(engine, "omega").total == ask(engine, "alpha").total == 0
    assert ask(engine, "omega", CARLA).total == 1


def test_walks_all_versions_in_steps(engine: SearchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("embedded", "opensearch"):
        monkeypatch.setattr(f"portal.search.{module}.engine.WALK_STEP", 7)
    put(engine, [document(n, f"title {n}", version=n) for n in range(1, 31)])
    live = engine.live_index()
    assert live
    walked = list(engine.versions(live))
    assert sorted((int(v.id.split(":")[1]), v.version) for v in walked) == [(n, n) for n in range(1, 31)]


def test_odd_documents_are_taken(engine: SearchEngine) -> None:
    items = [
        document(1, ""),
        document(2, "x" * 70_000, "y" * 300_000),
        document(3, "\ud800 lone", "\x00 nul"),
        document(4, "many", tags=tuple(f"t{n}" for n in range(2000))),
        document(5, "long", tags=("z" * 5000,), identifiers=("i" * 5000,), external_id="e" * 5000),
        Document(id="article:6", version=1, kind="faq", readers=frozenset({PUBLIC}), title="bare"),
    ]
    put(engine, items)
    assert ask(engine).total == 6
    assert ids(ask(engine, "bare")) == ["article:6"]


# Indices


def test_an_index_is_built_beside_the_live_one_and_swapped_in(fresh: tuple[SearchEngine, str]) -> None:
    engine, prefix = fresh
    old, new = f"{prefix}-1", f"{prefix}-2"
    engine.create_index(old)
    engine.swap(old)
    put(engine, [document(1, "alpha")], old)
    engine.create_index(new)
    put(engine, [document(1, "alpha"), document(2, "alpha")], new)
    assert ask(engine, "alpha").total == 1
    engine.swap(new)
    assert engine.live_index() == new
    assert ask(engine, "alpha").total == 2
    assert {(i.name, i.documents, i.is_live) for i in engine.list_indices()} == {(old, 1, False), (new, 2, True)}
    engine.swap(old)
    assert ask(engine, "alpha").total == 1
    engine.drop(new)
    engine.drop(new)
    assert [i.name for i in engine.list_indices()] == [old]


@pytest.mark.thorough
def test_no_search_notices_a_swap(fresh: tuple[SearchEngine, str]) -> None:
    engine, prefix = fresh
    for number in (1, 2):
        engine.create_index(f"{prefix}-{number}")
        put(engine, [document(n, "alpha") for n in range(number * 10)], f"{prefix}-{number}")
    engine.swap(f"{prefix}-1")
    totals: set[int] = set()
    errors: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                totals.add(ask(engine, "alpha").total)
            except Exception as error:
                errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in (2, 1) * 5:
        engine.swap(f"{prefix}-{number}")
    stop.set()
    reader.join()
    assert not errors
    assert totals <= {10, 20}


def test_what_is_missing_is_said(fresh: tuple[SearchEngine, str]) -> None:
    engine, prefix = fresh
    assert engine.live_index() is None
    assert engine.list_indices() == ()
    assert not engine.health().is_up
    assert "rebuild" in engine.health().detail
    with pytest.raises(IndexMissing, match="rebuild"):
        ask(engine)
    with pytest.raises(EngineDown):
        engine.write(f"{prefix}-9", [document(1, "alpha")])
    with pytest.raises(EngineDown):
        list(engine.versions(f"{prefix}-9"))
    engine.drop(f"{prefix}-9")
    with pytest.raises(BadQuery):
        engine.create_index("../x")


def test_the_live_index_is_not_dropped_nor_made_twice(engine: SearchEngine) -> None:
    live = engine.live_index()
    assert live
    with pytest.raises(BadQuery, match="live"):
        engine.drop(live)
    with pytest.raises(BadQuery, match="exists"):
        engine.create_index(live)
    assert engine.health().is_up
    assert engine.health().live_index == live
    engine.check(live)


def test_records_show_what_they_are(engine: SearchEngine) -> None:
    put(engine, [record(7, 1, "Broken", "It broke.", products=("lx-200",), source="mail", external_id="m-1")])
    hit = ask(engine, "broken", CARLA).hits[0]
    assert (hit.kind, hit.status, hit.products, hit.source, hit.external_id, hit.url) == (
        "record", "open", ("lx-200",), "mail", "m-1", "/records/7",
    )  # fmt: skip
    assert hit.updated_at == ago(days=7, hours=1)
