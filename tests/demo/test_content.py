"""The demo's files: how much there is, that everything named exists, and that it reads like what it claims to be."""

import re
from collections import Counter

import phonenumbers
import pytest

from portal.demo import load, timeline
from portal.demo.content import WrittenArticle, read_articles, read_catalogue, read_customers, read_records
from portal.knowledge.fields import OUTCOMES
from portal.knowledge.models import PARTS
from portal.service.models import KINDS, PRIORITIES

ARTICLES = {article.id: article for article in read_articles()}
RECORDS = {record.id: record for record in read_records()}
CUSTOMERS = {customer["id"]: customer for customer in read_customers()}
CATALOGUE = read_catalogue()
CATEGORIES = {category["id"]: category for category in CATALOGUE["category"]}
PRODUCTS = {product["id"] for product in CATALOGUE["product"]}
NARROWNESS = {"public": 0, "customers": 1, "internal": 2}


def narrowness(article: WrittenArticle) -> int:
    return max(NARROWNESS[article.audience], NARROWNESS[CATEGORIES[article.category].get("audience", "public")])


def words(article: WrittenArticle) -> int:
    """A Chinese character counts as a word."""
    return len(re.findall(r"[\w'-]+?(?=[\u3400-\u9fff])|[\u3400-\u9fff]|[\w'-]+", " ".join(article.parts.values())))


def test_there_is_as_much_as_promised():
    published = [article for article in ARTICLES.values() if article.state == "published"]
    kinds = Counter(article.kind for article in published)
    assert kinds["faq"] >= 60
    assert kinds["case_study"] >= 25
    assert len(RECORDS) >= 120
    assert len(CUSTOMERS) == 40
    assert 8 <= len(CATEGORIES) <= 12
    assert 10 <= len(PRODUCTS) <= 16
    assert {article.state for article in ARTICLES.values()} == {"draft", "published", "archived"}
    assert {article.audience for article in ARTICLES.values()} == set(NARROWNESS)


def test_ids_are_unique():
    assert len(ARTICLES) == len(read_articles())
    assert len(RECORDS) == len(read_records())
    assert len(CUSTOMERS) == len(read_customers())


def test_both_languages_are_at_home():
    languages = Counter(article.language for article in ARTICLES.values())
    assert languages["en"] >= 40
    assert languages["zh"] >= 40
    pairs = [article for article in ARTICLES.values() if article.translation_of]
    assert len(pairs) >= 15
    for article in pairs:
        original = ARTICLES[article.translation_of]
        assert original.translation_of is None
        assert (article.language, original.language) == ("zh", "en")
        assert (article.kind, article.category, article.products) == (
            original.kind,
            original.category,
            original.products,
        )


@pytest.mark.parametrize("article", ARTICLES.values(), ids=lambda article: article.id)
def test_an_article_is_whole(article: WrittenArticle):
    assert set(article.parts) == set(PARTS[article.kind])
    assert all(article.parts.values())
    assert 70 <= words(article) <= 1000
    assert 0 < len(article.summary) <= 200
    assert article.category in CATEGORIES
    assert set(article.products) <= PRODUCTS
    assert set(article.tags) <= set(CATALOGUE["tags"])
    assert (article.outcome in OUTCOMES) == (article.kind == "case_study")
    assert (article.published is None) == (article.state == "draft")
    assert article.published is None or article.published >= article.updated
    text = "\n".join(article.parts.values())
    for why, present, _before in article.earlier:
        assert why
        assert text.count(present) == 1, present


def test_links_lead_to_what_their_readers_may_read():
    for article in ARTICLES.values():
        for target in map(ARTICLES.__getitem__, article.links()):
            assert narrowness(target) <= narrowness(article), (article.id, target.id)
            assert target.state == "published" or article.state != "published", (article.id, target.id)


def test_records_name_only_what_there_is():
    for record in RECORDS.values():
        customer = CUSTOMERS[record.customer]
        assert record.contact < len(customer["contacts"]), record.id
        assert record.product in {product for product, _serial in customer["owns"]}, record.id
        assert record.category in CATEGORIES
        assert record.kind in KINDS
        assert record.priority in PRIORITIES
        assert set(record.tags) <= set(CATALOGUE["tags"])
        assert set(record.articles) <= set(ARTICLES)
        assert set(record.related) <= set(RECORDS)
        people = {person.key for person in load.PEOPLE}
        assert {step.who for step in record.steps} <= people
        assert {step.what for step in record.steps} <= {"reply", "note", "waiting", "resolved"}
        assert all(step.text for step in record.steps if step.what != "waiting"), record.id
    texts = Counter(step.text for record in RECORDS.values() for step in record.steps if len(step.text) > 12)
    assert [text for text, count in texts.items() if count > 1] == []


def test_customers_can_be_reached_and_are_nobody():
    for customer in CUSTOMERS.values():
        assert customer["region"].split(" / ")[0] in timeline.ZONES
        assert {product for product, _serial in customer["owns"]} <= PRODUCTS
        assert set(customer["tags"]) <= set(CATALOGUE["tags"])
        for _name, _job, email, phone in customer["contacts"]:
            assert email.endswith(".example")
            assert phonenumbers.is_valid_number(phonenumbers.parse(phone)), phone
    kinds = Counter(customer["kind"] for customer in CUSTOMERS.values())
    assert min(kinds["company"], kinds["person"]) >= 8


def test_every_behaviour_of_search_has_something_to_show():
    text = "\n".join("\n".join(article.parts.values()) for article in ARTICLES.values())
    text += "\n".join(record.description for record in RECORDS.values())
    for code in ("E-1024", "KB2041302", "5x25-40", "ORA-00600", "10.0.0.1", "C++", "192.168.1.57", "3.20"):
        assert code in text, code
    for word in ("韌體", "固件", "firmware", "亂碼", "乱码"):
        assert word in text, word
