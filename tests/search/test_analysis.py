"""Folding, cutting and stemming, and that the fast way equals the exact one."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portal.search import analysis
from portal.search.stored import pinyin_of, title_key

MIXED = st.text(alphabet="abZ09_'’.:,;· 中文あアー程使用者🙂®é-\n+한ñд★々", max_size=30)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ＡＢＣ－１２３", "ABC-123"),
        ("café Ünïcode ﬁle Straße", "cafe Unicode file Strasse"),
        ("cafe\u0301", "cafe"),
        ("й и\u0306 ё", "й й ё"),
        ("驅動程式", "驱动程序"),
        ("驱动程序 文件 建立 支援 社群", "驱动程序 文件 建立 支援 社群"),
        ("什么 怎么", "什么 怎么"),
        ("乾隆 乾燥 頭髮 發展", "乾隆 干燥 头发 发展"),
        ("ｶﾞｷﾞ", "ガギ"),
        ("plain ASCII", "plain ASCII"),
    ],
)
def test_folds(text: str, folded: str) -> None:
    assert analysis.fold(text) == folded


@given(st.text(max_size=60))
@example("程式設計師½使用者ﬁ")
def test_offsets_point_at_what_was_folded(text: str) -> None:
    folded, origins = analysis.fold_with_offsets(text)
    assert folded == analysis.fold(text)
    if origins is None:
        assert len(folded) == len(text)
    else:
        assert len(origins) == len(folded) + 1
        assert origins == sorted(origins)
        assert origins[-1] == len(text)


@pytest.mark.thorough
@given(MIXED)
@settings(max_examples=500)
def test_the_fast_way_cuts_like_the_exact_one(text: str) -> None:
    folded = analysis.fold(text)
    exact = [word for word in analysis._cut_exactly(folded) if word.strip("_")]
    assert analysis.cut(folded) == exact


@given(st.text(max_size=200))
def test_any_text_has_terms(text: str) -> None:
    terms = analysis.terms(text)
    words = analysis.words(text)
    assert all(terms)
    assert all(words)
    assert all(" " not in term and "\n" not in term for term in terms)
    assert analysis.terms_and_words_of(analysis.fold(text)) == (terms, words)


def test_stems() -> None:
    assert analysis.terms("The printers' drivers weren't added") == ["the", "printer", "driver", "weren't", "add"]
    assert analysis.terms("organization's emergencies") == ["organ", "emerg"]


def test_chinese_in_pairs() -> None:
    assert analysis.terms("打印机,机 ABC打印") == ["打印", "印机", "机", "abc", "打印"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("see KB3089230.", ["kb3089230", "3089230"]),
        ("at 10.0.0.1:8080", ["10.0.0.1:8080"]),
        ("(0x80070005)", ["0x80070005", "80070005"]),
        ("in 2019, 11 items", []),
        ("C#, C++ and .NET", ["c#", "c++", ".net"]),
        ("e-mail opt-in", []),
        ("型号LX-200的打印机", ["lx-200", "lx200"]),
    ],
)
def test_codes(text: str, codes: list[str]) -> None:
    found = analysis.codes(text)
    assert [code for code in codes if code not in found] == []
    assert bool(found) == bool(codes)


def test_pinyin() -> None:
    spellings = pinyin_of("如何重置密码 (VPN)")
    assert {"ruhechongzhimima", "rhczmm", "czmm", "mima"} <= set(spellings)
    assert "lvse" in pinyin_of("綠色")
    assert pinyin_of("plain") == ()


def test_title_keys() -> None:
    assert title_key("  How  to: RESET, 密碼?") == "how to reset 密码"
