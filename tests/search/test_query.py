"""What people's words mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.search.query import parse, read_words


def test_function_words_do_not_score() -> None:
    query = parse("How do I reset the password of my account, please?")
    assert query.terms == ("reset", "password", "account")
    assert query.words == ("reset", "password", "account")
    assert query.sequence[:4] == ("how", "do", "i", "reset")


def test_a_query_of_function_words_alone_keeps_them() -> None:
    assert parse("who is it").terms == ("who", "is", "it")


def test_a_name_in_capitals_stays() -> None:
    assert "it" in parse("who leads IT").terms
    assert "it" not in parse("who leads it").terms


def test_pairs_hold_a_content_word() -> None:
    assert parse("what is the sign in page").pairs == (("the", "sign"), ("sign", "in"), ("in", "page"))
    assert parse("打印机 printer").pairs == ()


def test_quotes_minus_and_operators() -> None:
    query = parse('printer "paper jam" -colour -"no ink" kind:faq TAG:VPN product:"LX 200" id：R-1')
    assert query.phrases == (("paper", "jam"),)
    assert query.negations == (("colour",), ("no", "ink"))
    assert dict(query.operators) == {"kind": ("faq",), "tag": ("vpn",), "product": ("lx 200",), "id": ("R-1",)}
    assert query.terms == ("printer", "paper", "jam")


@pytest.mark.parametrize("text", ["“蓝屏” 怎么办", "「蓝屏」怎么办", '"蓝屏"怎么办', "＂蓝屏＂怎么办"])
def test_quotes_of_every_keyboard(text: str) -> None:
    assert parse(text).phrases == (("蓝屏",),)


def test_what_only_looks_like_an_operator_is_words() -> None:
    assert parse("kind:nonsense").operators == {}
    assert parse("kind:").operators == {}
    assert parse('a "b').phrases == ()
    assert parse("error -1073741819").negations == ()
    assert parse("well-known state-of-the-art").negations == ()
    assert parse("a - b -- c").negations == ()
    assert parse("AND OR NOT").negations == ()


def test_a_pasted_text_has_no_operators() -> None:
    text = "Hello, " + 'the printer stopped -- and "this" -flag kind:faq ' * 6
    query = parse(text)
    assert query.phrases == query.negations == ()
    assert query.operators == {}


def test_characters_and_pairs_of_chinese() -> None:
    query = parse("印表機 driver")
    assert query.terms == ("打印", "印机", "driver")
    assert query.characters == ("打", "印", "机")
    assert [word.text for word in query.typed] == ["打印机", "driver"]


def test_codes_are_kept_whole() -> None:
    assert parse("ORA-00600").codes == ("ora-00600", "ora00600", "00600")
    assert parse("why does C++ fail").codes == ("c++",)
    assert parse("plain words").codes == ()


def test_emptiness() -> None:
    assert parse("").is_empty
    assert parse("?!").is_empty
    assert not parse("-word").is_empty
    assert not parse("-word").ranks
    assert not parse("tag:x").is_empty


def test_a_long_text_is_read_as_words() -> None:
    query = read_words('My "printer" -jams ' + "very often " * 1000)
    assert query.phrases == query.negations == query.pairs == ()
    assert query.terms[:2] == ("printer", "jam")


@given(st.text(max_size=300))
def test_every_text_is_a_query(text: str) -> None:
    query = parse(text)
    assert all(query.terms)
    assert all(phrase for phrase in (*query.phrases, *query.negations, *query.pairs))
    assert len(query.terms) <= 120
    read_words(text)


@given(st.text(alphabet='"-:“”「 kindtag\u3000：\n', max_size=60))
def test_every_mixture_of_signs_is_a_query(text: str) -> None:
    parse(text)
