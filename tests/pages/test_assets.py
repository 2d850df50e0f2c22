"""Static files: one address an edition, compressed, kept for ever, and a first page that is light."""

import gzip
import re
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from portal import assets

BUDGET_KB = 120


def test_a_file_is_compressed_and_kept_for_ever(client: FlaskClient) -> None:
    answer = client.get(assets.asset("casebook.css"), headers={"Accept-Encoding": "gzip"}, buffered=True)
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    assert gzip.decompress(answer.data).decode() == assets.style_sheet()


def test_what_is_not_there_is_the_portals_own_404(client: FlaskClient) -> None:
    assert client.get("/static/nothing.css").status_code == 404
    assert client.get(f"/static/{assets.edition()}/vendor/VENDOR.toml").status_code == 404
    assert client.get("/static/../portal/app.py").status_code == 404


def test_a_template_that_names_a_missing_file_fails() -> None:
    with pytest.raises(FileNotFoundError, match=r"static/css/none\.css does not exist"):
        assets.asset("css/none.css")


@pytest.mark.thorough
def test_processes_that_start_together_publish_one_whole_edition(tmp_path: Path) -> None:
    threads = [threading.Thread(target=assets.publish, args=(tmp_path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == [assets.edition()]
    assert (tmp_path / assets.edition() / "casebook.css.gz").is_file()


def test_old_editions_go_but_the_last_ones_stay(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    assets.publish(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == assets.KEPT_EDITIONS
    assert assets.edition() in left


def test_modules_import_only_what_is_there() -> None:
    imported = [
        (module, name)
        for module in (assets.SOURCE / "js").rglob("*.js")
        for name in re.findall(r"""(?:from|import)\s*\(?["'](\.[^"'$`]+)["']""", module.read_text(encoding="utf-8"))
    ]
    assert imported
    assert [(module.name, name) for module, name in imported if not (module.parent / name).resolve().is_file()] == []


def test_every_behaviour_that_a_template_names_is_there() -> None:
    known = {path.stem for path in (assets.SOURCE / "js/behaviours").glob("*.js")}
    templates = Path(__file__).parents[2] / "templates"
    named = {
        (word, path.name)
        for path in templates.rglob("*.html")
        for names in re.findall(r'data-do="([^"{]*)"', path.read_text(encoding="utf-8"))
        for word in names.split()
    }
    assert {(word, where) for word, where in named if word not in known} == set()


@pytest.mark.thorough
def test_the_first_page_is_light(client: FlaskClient) -> None:
    """Everything that a first visit may load, compressed: HTML, styles, icons, all modules and what they import."""
    html = client.get("/style-guide").data
    wanted = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', html.decode()))
    wanted |= {assets.asset("js/behaviours/" + path.name) for path in (assets.SOURCE / "js/behaviours").glob("*.js")}
    wanted |= {assets.asset("vendor/" + name) for name in ("combobox-nav.js", "htmx.js")}
    size = len(gzip.compress(html))
    for address in wanted:
        answer = client.get(address, headers={"Accept-Encoding": "gzip"}, buffered=True)
        assert answer.status_code == 200, address
        size += len(answer.data)
    assert size / 1000 <= BUDGET_KB, f"{size / 1000:.0f} kB"
