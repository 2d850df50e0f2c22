"""Marks: in the right place, escaped, and never breaking a text."""

import html

from hypothesis import given
from hypothesis import strategies as st

from portal.search.highlight import Marker, Part, mark_places
from portal.search.query import parse
from portal.search.ranking import build_plan


def marker(text: str, *, is_staff: bool = False) -> Marker:
    return Marker(build_plan(parse(text), is_staff=is_staff))


def plain(marked: str) -> str:
    return html.unescape(marked.replace("<mark>", "").replace("</mark>", ""))


def test_marks_whole_words_by_their_stems() -> None:
    assert marker("printing").title("Printers print; sprint, PRINTED prints") == (
        "Printers <mark>print</mark>; sprint, <mark>PRINTED</mark> <mark>prints</mark>"
    )


def test_function_words_are_not_marked() -> None:
    assert marker("how to reset the password").title("How to reset the password") == (
        "How to <mark>reset</mark> the <mark>password</mark>"
    )


def test_words_that_end_otherwise_than_their_stem() -> None:
    for query, text in (("happy", "happiness"), ("die", "dying"), ("sky", "skies"), ("studies", "studying")):
        assert marker(query).title(text) == f"<mark>{text}</mark>", query


def test_traditional_text_is_marked_by_simplified_words() -> None:
    assert marker("程序员").title("資深程式設計師招聘") == "資深<mark>程式設計師</mark>招聘"
    assert marker("用户").title("所有使用者必讀") == "所有<mark>使用者</mark>必讀"
    assert marker("809").title("錯誤ＥＲＲ－８０９！") == "錯誤ＥＲＲ－<mark>８０９</mark>！"


def test_touching_pairs_are_one_mark() -> None:
    assert marker("打印机无法启动").title("打印机无法启动了") == "<mark>打印机无法启动</mark>了"


def test_a_single_character() -> None:
    assert marker("机").title("打印机") == "打印<mark>机</mark>"


def test_snippets_come_from_where_the_words_meet() -> None:
    filler = "Nothing of interest stands here at all. " * 30
    text = f"The tunnel is long. {filler} Ask the desk for a tunnel certificate today. {filler}"
    found = marker("tunnel certificate").snippets([Part(text)])
    assert any("<mark>tunnel</mark> <mark>certificate</mark>" in passage for passage in found.passages)
    assert len(found.passages) == 2
    assert all(len(plain(passage)) < 260 for passage in found.passages)
    assert all(passage.startswith(("…", "The")) for passage in found.passages)


def test_internal_parts_are_not_shown_as_first_lines() -> None:
    found = marker("absent").snippets([Part("secret", None, is_internal=True), Part("public")])
    assert found.passages == ("public",)


def test_mark_places() -> None:
    assert mark_places("<a&b>", [(1, 2), (0, 2)]) == "<mark>&lt;a</mark>&amp;b&gt;"


@given(st.text(max_size=80), st.text(max_size=400))
def test_marking_changes_nothing_but_adds_marks(query: str, text: str) -> None:
    found = marker(query, is_staff=True)
    title = found.title(text)
    assert " ".join(plain(title).split()) == " ".join(text.split())
    assert title.count("<mark>") == title.count("</mark>")
    for passage in found.snippets([Part(text), Part(text[::-1], 0)]).passages:
        rest = passage.replace("<mark>", "").replace("</mark>", "")
        assert "<" not in rest
        assert ">" not in rest
