"""Facets: what is counted, and how."""

from portal.search.facets import AGES, OLDER, count_ages


def test_each_age_holds_the_younger_ones():
    counts = count_ages([7, *range(len(AGES), 0, -1)])
    assert counts[OLDER] == 7
    assert [counts[age] for age in AGES] == [sum(range(1, n + 2)) for n in range(len(AGES))]


def test_an_empty_index_counts_nothing():
    assert count_ages([]) == dict.fromkeys([OLDER, *AGES], 0)


def test_the_first_page_of_an_empty_portal_answers(library, people, client_for):
    for person in people.everybody:
        assert client_for(person).get("/").status_code == 200
        assert client_for(person).get("/search?q=anything").status_code == 200
