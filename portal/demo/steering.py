"""How the demo's editors steer its search, so that a newcomer sees rules act and a set to measure by.

A rule is recognised by its words and article, a set and a configuration by their names; what is there stays as it is.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from portal.access import Viewer
from portal.demo.content import read_steering
from portal.knowledge.models import Article
from portal.steering import configurations, judgements, rules


def load(articles: Mapping[str, Article], *, by: Viewer, at: datetime) -> dict[str, int]:
    """Load what is missing and commit it, piece by piece; returns how many rules and judged queries were added.

    `articles` are the demo's, by their ids; what speaks of one that is gone is left out.
    """
    written = read_steering()
    named = {found.name for found in configurations.load_all()}
    for one in written["configuration"]:
        if one["name"] not in named:
            configurations.save(None, by=by, changes=one)
    return {
        "rules": sum(_load_rule(one, articles, by=by, at=at) for one in written["rule"]),
        "judged queries": sum(_load_set(one, articles, by=by) for one in written["set"]),
    }


def _load_rule(one: Mapping[str, Any], articles: Mapping[str, Article], *, by: Viewer, at: datetime) -> int:
    article = articles.get(one["article"])
    if article is None or article.state != "published":
        return 0
    if any((rule.words, rule.article_id) == (one["words"], article.id) for rule in rules.load_all()):
        return 0
    given = {name: one[name] for name in ("action", "words", "reason")}
    until = at + timedelta(days=one["until"]) if "until" in one else None
    rules.save(None, by=by, changes={**given, "article": article.id, "expires_at": until})
    return 1


def _load_set(one: Mapping[str, Any], articles: Mapping[str, Article], *, by: Viewer) -> int:
    if any(found.name == one["name"] for found in judgements.load_sets()):
        return 0
    made = judgements.create_set(by=by, changes={"name": one["name"], "viewer_kind": one["viewer"]})
    for words, language, relevance in one["queries"]:
        query = judgements.add_query(made, by=by, text=words, language=language)
        grades = {f"article:{articles[key].id}": grade for key, grade in relevance.items() if key in articles}
        judgements.judge(query, by=by, grades=grades)
    return len(one["queries"])
