"""What a viewer is answered does not depend on what they may not read.

Generated requests are answered from the whole corpus and from one without everything that the viewer may not read:
hits, totals, facets, suggestions, corrections and marks must be the same.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portal.access import Viewer
from portal.search import analysis
from portal.search.asking import order_of
from portal.search.document import Document
from portal.search.engine import SearchEngine
from portal.search.request import SearchRequest
from portal.search.stored import texts_of
from tests.contract.conftest import ENGINES, clear, make, put
from tests.contract.corpus import ALICE, BOB, CARLA, CORPUS, NOBODY, NOW, VIEWERS, document, record

pytestmark = pytest.mark.thorough

# For each viewer; a long run sets LEAK_REQUESTS=2000.
ASKED = {
    "embedded": int(os.environ.get("LEAK_REQUESTS", "60")),
    "opensearch": int(os.environ.get("LEAK_REQUESTS", "30")),
}
SECRETS = [
    record(
        41, 1, "Water damage", "The LX-300 stood in water.", internal="quicksilver invoice dispute", tags=("water",)
    ),
    record(42, 2, "Water bill", "Wrong watermeter number.", internal="marzipan bribe suspected", tags=("billing",)),
    document(
        43,
        "打印机内部维修手册",
        "仅供内部使用：更换主板。",
        readers=frozenset({"staff"}),
        language="zh",
        tags=("repair",),
    ),
    document(44, "Unreleased printer LX-900", "Secret printer with laser.", readers=frozenset({"editors"})),
]
EVERYTHING = CORPUS + SECRETS
OPERATORS = [
    "kind:faq", "kind:record", "kind:customer", "tag:driver", "tag:water", "tag:internal-only", "product:lx-300",
    "product:lx-200", "id:R-000041", "id:R-000022", "id:article:43", "id:article:1", "id:SN-77-1234",
]  # fmt: skip


def visible_to(viewer: Viewer) -> list[Document]:
    """Return the corpus as if nothing existed that this viewer may not read."""
    readable = [item for item in EVERYTHING if viewer.may_read(item.readers)]
    return readable if viewer.is_staff else [replace(item, internal="") for item in readable]


@pytest.fixture(scope="module", params=ENGINES)
def engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SearchEngine, dict[str, SearchEngine]]]:
    """One engine with everything, and one for each viewer with what they may read."""
    made: list[tuple[SearchEngine, str]] = []

    def filled(name: str, items: list[Document]) -> SearchEngine:
        engine, prefix = make(request, Path(tmp_path_factory.mktemp(name)))
        made.append((engine, prefix))
        engine.create_index(f"{prefix}-1")
        put(engine, items, f"{prefix}-1")
        engine.swap(f"{prefix}-1")
        return engine

    whole = filled("whole", EVERYTHING)
    yield whole, {name: filled(name, visible_to(viewer)) for name, viewer in VIEWERS.items()}
    for engine, prefix in made:
        clear(engine, prefix)


def words() -> list[str]:
    found: dict[str, None] = {}
    for item in EVERYTHING:
        for text in [*texts_of(item), item.internal]:
            found |= dict.fromkeys(analysis.cut(analysis.fold(text)))
    return list(found)


def generate(chance: random.Random, vocabulary: list[str], viewer: Viewer) -> SearchRequest:
    """Make up a request: words of the corpus, secret ones too, misspelt, quoted, excluded, with filters."""
    parts = []
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        word = chance.choice(vocabulary)
        slip = chance.random()
        if slip < 0.15 and len(word) > 4:
            at = chance.randrange(1, len(word) - 1)
            word = word[:at] + word[at + 1 :]
        elif slip < 0.25:
            word = f'"{word}"'
        elif slip < 0.3:
            word = f"-{word}"
        parts.append(word)
    if chance.random() < 0.15:
        parts.append(chance.choice(OPERATORS))
    filters = {}
    if chance.random() < 0.3:
        filters["tag"] = (chance.choice(["driver", "password", "internal-only", "water", "repair", "prices"]),)
    if chance.random() < 0.2:
        filters["language"] = (chance.choice(["en", "zh"]),)
    sort = chance.choice(["relevance", "newest", "popular"])
    is_in_pages = sort != "relevance" and chance.random() < 0.5
    return SearchRequest(
        viewer=viewer,
        text=" ".join(parts),
        filters=filters,
        page=chance.choice([1, 2, 3]) if is_in_pages else 1,
        size=3 if is_in_pages else 100,
        sort=sort,
        now=NOW,
    )


def answers(engine: SearchEngine, request: SearchRequest) -> dict[str, object]:
    result = engine.search(request)
    typed = request.text[: max(3, len(request.text) // 2)]
    hits = [(hit.id, hit.title_html, hit.snippets, hit.in_internal, hit.section) for hit in result.hits]
    return {
        # How long hidden documents are moves what is nearly equal; `test_words_of_hidden…` looks at order and scores.
        "hits": hits if order_of(request) else set(hits),
        "total": result.total,
        "facets": result.facets,
        "missing": result.missing_words,
        "correction": result.did_you_mean,
        "suggestions": {(s.id, s.title_html) for s in engine.suggest(request.viewer, typed, 50)},
        "similar": {hit.id for hit in engine.similar(request.viewer, request.text, limit=50)},
    }


@pytest.mark.parametrize("name", VIEWERS)
def test_the_unreadable_might_as_well_not_exist(
    engines: tuple[SearchEngine, dict[str, SearchEngine]], name: str
) -> None:
    whole, reduced = engines
    viewer = VIEWERS[name]
    chance = random.Random(f"leaks {name}")
    vocabulary = words()
    for _ in range(ASKED[whole.name]):
        request = generate(chance, vocabulary, viewer)
        assert answers(whole, request) == answers(reduced[name], request), request


def test_the_comparison_would_notice(engines: tuple[SearchEngine, dict[str, SearchEngine]]) -> None:
    whole, reduced = engines
    asked = SearchRequest(viewer=CARLA, text="quicksilver", now=NOW)
    assert answers(whole, asked) == answers(reduced["carla"], asked)
    assert answers(whole, asked) != answers(reduced["nobody"], asked)
    assert {viewer.role for viewer in (NOBODY, ALICE, BOB)} == {"anonymous", "customer"}


WORDS = ("merger", "harbour", "合并", "港口")


@pytest.fixture(params=ENGINES)
def two_engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SearchEngine, SearchEngine]]:
    """The same open documents beside as many and as long hidden ones, which hold other words of `WORDS`."""
    visible = [
        document(n, f"Notes {n}", " ".join([WORDS[n % 4]] * (1 + n % 3) + ["paper"] * 6), language="en")
        for n in range(1, 13)
    ]
    visible += [record(21, 1, "About the merger", "paper " * 6), record(22, 1, "About the harbour", "paper " * 6)]
    made = []
    for number, (frequent, rare) in enumerate(((0, 1), (1, 0))):
        engine, prefix = make(request, tmp_path / str(number))
        made.append((engine, prefix))
        hidden = [
            document(100 + n, f"{WORDS[frequent]} {WORDS[frequent + 2]}", "paper " * 6, readers=frozenset({"staff"}))
            for n in range(60)
        ]
        hidden += [record(300 + n, 2, f"{WORDS[frequent]} {n}", f"{WORDS[rare]}" if n < 2 else "x") for n in range(20)]
        engine.create_index(f"{prefix}-1")
        put(engine, visible + hidden, f"{prefix}-1")
        engine.swap(f"{prefix}-1")
    yield made[0][0], made[1][0]
    for engine, prefix in made:
        clear(engine, prefix)


def ranked(engine: SearchEngine, viewer: Viewer, text: str) -> list[list[tuple[float, str]]]:
    """Return what is found and what is alike, best first, to four digits; what is equal so far is in any order."""
    found = engine.search(SearchRequest(viewer=viewer, text=text, size=100, now=NOW)).hits
    alike = engine.similar(viewer, text, limit=100)
    return [sorted(((round(hit.score, 3), hit.id) for hit in hits), reverse=True) for hits in (found, alike)]


@pytest.mark.parametrize(
    "text", ["merger harbour", "harbour", "合并 港口", '"merger paper" harbour', "merger paper 港口"]
)
def test_words_of_hidden_documents_move_no_hit(two_engines: tuple[SearchEngine, SearchEngine], text: str) -> None:
    """Who could compare scores or order would learn how often a word stands in what they may not read."""
    one, other = two_engines
    for viewer in (NOBODY, ALICE):
        assert all(ranked(one, viewer, text))
        assert ranked(one, viewer, text) == ranked(other, viewer, text)
    assert ranked(one, CARLA, text) != ranked(other, CARLA, text), "the words do weigh for whoever may read them"
