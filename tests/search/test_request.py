"""Requests: nothing gets in unchecked, and nobody asks without being somebody."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from portal.access import ANONYMOUS, Role, viewer_for
from portal.search.facets import FACETS, build_values, count_ages, facets_for, period_of
from portal.search.request import RequestError, SearchRequest

AGENT = viewer_for(Role.AGENT, user_id=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def read(pairs: list[tuple[str, str]], viewer: object = ANONYMOUS) -> SearchRequest:
    return SearchRequest.from_args(MultiDict(pairs), viewer)  # type: ignore[arg-type]


def test_there_is_no_request_without_a_viewer() -> None:
    with pytest.raises(TypeError):
        SearchRequest(text="x")  # type: ignore[call-arg]


def test_reads_an_address() -> None:
    request = read(
        [("q", " vpn "), ("tag", "a"), ("tag", "b"), ("tag", "a"), ("kind", "faq"), ("page", "2"), ("utm", "x")]
    )
    assert (request.text, request.page, request.size) == ("vpn", 2, 20)
    assert dict(request.filters) == {"tag": ("a", "b"), "kind": ("faq",)}
    assert SearchRequest.from_args({"q": "vpn", "tag": ["a"]}, ANONYMOUS).filters["tag"] == ("a",)


@pytest.mark.parametrize(
    ("pairs", "parameter"),
    [
        ([("q", "x" * 1001)], "q"),
        ([("q", "a"), ("q", "b")], "q"),
        ([("kind", "nonsense")], "kind"),
        ([("sort", "best")], "sort"),
        ([("page", "0")], "page"),
        ([("page", "-1")], "page"),
        ([("page", "1.5")], "page"),
        ([("page", "٣")], "page"),
        ([("page", "9" * 50)], "page"),
        ([("page", "501")], "page"),
        ([("size", "0")], "size"),
        ([("size", "101")], "size"),
        ([("updated", "yesterday")], "updated"),
        ([("updated", "2026-02-30..")], "updated"),
        ([("updated", "2026-03-01..2026-02-01")], "updated"),
        ([("updated", "9999-12-31..")], "updated"),
        ([("updated", "0001-01-01..")], "updated"),
        ([("source", "mail")], "source"),
        ([("tag", "x" * 201)], "tag"),
        ([("tag", str(n)) for n in range(101)], "tag"),
    ],
)
def test_refuses_by_name(pairs: list[tuple[str, str]], parameter: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(pairs)
    assert refused.value.parameter == parameter
    assert parameter in str(refused.value)
    assert str(refused.value).endswith(".")


def test_staff_have_more_filters() -> None:
    assert read([("source", "mail")], AGENT).filters == {"source": ("mail",)}
    assert {f.name for f in facets_for(AGENT)} - {f.name for f in facets_for(ANONYMOUS)} == {
        "source", "assignee", "priority",
    }  # fmt: skip


def test_without_words_relevance_means_newest() -> None:
    assert read([]).effective_sort == "newest"
    assert read([("q", "tag:x")]).effective_sort == "newest"
    assert read([("q", "vpn")]).effective_sort == "relevance"
    assert read([("q", ""), ("sort", "popular")]).effective_sort == "popular"


@pytest.mark.thorough
@given(st.text(max_size=50), st.text(max_size=20), st.text(max_size=20))
def test_any_parameters_are_taken_or_refused(text: str, value: str, page: str) -> None:
    for name in (*FACETS, "sort", "size"):
        try:
            request = read([("q", text), (name, value), ("page", page)], AGENT)
        except RequestError:
            continue
        request.query  # noqa: B018  Reading it is the test.
        request.text.encode()


def test_periods() -> None:
    assert period_of("day", NOW).ends_at is None
    whole_day = period_of("2026-03-01..2026-03-01", NOW)
    assert (whole_day.begins_at, whole_day.ends_at) == (
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 3, 2, tzinfo=UTC),
    )


def test_ages_are_counted_from_the_begun_minute() -> None:
    now = SearchRequest(viewer=ANONYMOUS, text="alpha").now
    assert (now.second, now.microsecond) == (0, 0)
    assert timedelta() <= datetime.now(UTC) - now < timedelta(minutes=2)


def test_ages_hold_the_younger_ones() -> None:
    assert count_ages([5, 4, 3, 2, 1]) == {"older": 5, "day": 1, "week": 3, "month": 6, "year": 10}


def test_values_are_ordered_and_the_chosen_kept() -> None:
    values = build_values(FACETS["tag"], {"b": 2, "a": 2, "c": 9, "zero": 0}, ("gone",))
    assert [(v.value, v.count, v.selected) for v in values] == [
        ("c", 9, False), ("a", 2, False), ("b", 2, False), ("gone", 0, True),
    ]  # fmt: skip
