"""Words of asking leave a question, general words count for less, and what was typed is kept for messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.search.query import parse
from portal.search.ranking import WEIGHTS, Field, build_plan


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("请问怎么样才能重置密码呢", "重置密码"),
        ("請問如何申請退款嗎", "申请退款"),
        ("为什么打印机不打印", "打印机不"),
        ("什么是汇率", "汇率"),
        ("网吧", "网吧"),
        ("申请", "申请"),
        ("怎么办", "怎么办"),
        ("有没有发票", "发票"),
    ],
)
def test_chinese_questions_keep_their_subject(text: str, characters: str) -> None:
    found = parse(text).characters
    assert set(found) >= set(characters) if len(characters) > 2 else set(found) == set(characters)


def test_words_of_asking_tear_no_pair_into_the_query() -> None:
    assert parse("怎么修改密码").terms == ("修改", "改密", "密码")


def test_general_words_count_half() -> None:
    plan = build_plan(parse("problem with the gasket"), is_staff=False)
    weights = {
        clause.terms: clause.weight for clause in plan.matching if clause.field == Field.ALL and not clause.is_phrase
    }
    assert weights[("gasket",)] == WEIGHTS.all
    assert weights[("problem",)] == WEIGHTS.all * WEIGHTS.weak


def test_general_words_alone_count_whole() -> None:
    plan = build_plan(parse("change time"), is_staff=False)
    assert plan.matching[0].terms == ("chang", "time")
    assert plan.matching[0].weight == WEIGHTS.all


def test_a_sentence_in_quotes_is_a_quotation() -> None:
    query = parse('"What happens to the body when there is not enough pressure in the air?"')
    assert query.phrases == ()
    assert "pressur" in query.terms


def test_neighbours_are_sought_as_one_word() -> None:
    assert parse("wi-fi").joined == ("wifi",)
    assert "login" in parse("log in").joined
    assert parse("one two three four five six seven eight nine").joined == ()


def test_operators_know_their_place() -> None:
    text = "printer tag:usb jam id:R-1"
    assert [(mark.name, mark.value, text[mark.start : mark.end]) for mark in parse(text).marks] == [
        ("tag", "usb", "tag:usb"),
        ("id", "R-1", "id:R-1"),
    ]


@given(st.text(max_size=400))
def test_any_text_makes_a_plan(text: str) -> None:
    query = parse(text)
    for is_staff in (True, False):
        for is_loose in (True, False):
            plan = build_plan(query, is_staff=is_staff, is_loose=is_loose)
            clauses = (*plan.matching, *plan.scoring, *plan.refining, *plan.excluded)
            assert all(clause.terms and all(clause.terms) for clause in clauses)
    assert all(text[mark.start : mark.end].lower().startswith(mark.name) for mark in query.marks)
