"""Documents made by processes beside: the same as those made here, whatever becomes of the processes."""

import pytest

from indexer import rebuild, shaping
from indexer.documents import build_batch
from indexer.rebuild import Rebuild
from indexer.shaping import ShaperDied, Shapers
from portal.access import Role, viewer_for
from portal.extensions import db
from portal.search import indices
from portal.search.embedded.documents import make_ready
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.request import SearchRequest
from tests.indexer.conftest import build_index, remove, save_article, save_articles

STAFF = viewer_for(Role.AGENT, user_id=1)


@pytest.fixture
def shapers(app):
    made = Shapers(engine="embedded", database_url=str(db.engine.url), count=1)
    yield made
    made.close()


@pytest.fixture
def embedded(app, settings):
    engine = EmbeddedEngine(settings.data_dir / "index")
    build_index(engine)
    yield engine
    engine.close()


@pytest.fixture
def two_processors(monkeypatch):
    monkeypatch.setattr(rebuild, "SHAPED_BESIDE", 1)
    monkeypatch.setattr(rebuild, "LOADED_ROWS", 4)
    monkeypatch.setattr(rebuild, "processors", lambda: 2)


@pytest.mark.thorough
def test_a_process_makes_the_same_documents_names_what_it_cannot_make_and_is_replaced_when_killed(app, shapers):
    first, second = save_article("Drucker", summary="Papierstau"), save_article("打印机卡纸")
    broken, gone = save_article("broken", sections=["no section"]), save_article("gone")
    gone_id = gone.id
    remove(gone)
    found = dict(shapers.shape("article", {first.id: 1, second.id: 3, broken.id: 1, gone_id: 2}).result())
    here = {item.id: make_ready(item) for item in build_batch("article", {first.id: 1, second.id: 3})}
    assert found == {
        first.id: here[f"article:{first.id}"],
        second.id: here[f"article:{second.id}"],
        broken.id: "no document could be made of it (AttributeError)",
        gone_id: None,
    }
    shapers._processes[0].end()
    with pytest.raises(ShaperDied):
        shapers.shape("article", {first.id: 1}).result()
    assert dict(shapers.shape("article", {first.id: 1}).result())[first.id].version == 1


@pytest.mark.thorough
def test_a_rebuild_by_several_processes_is_let_go_of_taken_up_and_outlives_them(embedded, two_processors, monkeypatch):
    save_articles(30)
    name = indices.request_build(engine=embedded.name, prefix="test").name
    work = Rebuild(embedded, "builder", "test")
    work.step()
    work.step()
    children = [process._child for process in work._ahead._shapers._processes]
    assert len(children) == 2
    work.let_go()
    assert all(child.poll() is not None for child in children)
    monkeypatch.setattr(shaping, "MOST_REPLACEMENTS", 0)
    work.step()
    for process in work._ahead._shapers._processes:
        process.end()
    while work.step():
        pass
    assert embedded.live_index() == name
    assert embedded.search(SearchRequest(viewer=STAFF, text="number")).total == 30


def test_one_processor_does_the_work_here(embedded, two_processors, monkeypatch):
    monkeypatch.setattr(rebuild, "processors", lambda: 1)
    monkeypatch.setattr(rebuild, "Shapers", None)
    save_articles(10)
    name = indices.request_build(engine=embedded.name, prefix="test").name
    build_index(embedded)
    assert embedded.live_index() == name
