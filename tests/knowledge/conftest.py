"""Articles to try things on."""

from collections.abc import Callable
from typing import Any

import pytest

from portal.knowledge import articles
from portal.knowledge.models import Article
from tests.people import People


@pytest.fixture
def write(people: People) -> Callable[..., Article]:
    """Write an article as Dora, the editor: published for everybody unless told otherwise."""

    def make(title: str = "Reset the pump", body: str = "Press *both* buttons.", **given: Any) -> Article:
        options = {name: given.pop(name) for name in ("by", "kind", "state", "source", "external_id") if name in given}
        options = {"by": people.dora.viewer, "kind": "faq", "state": "published"} | options
        texts = {"body": body} if options["kind"] == "faq" else {"issue": body}
        return articles.create(changes={"title": title, **texts, **given}, **options)

    return make
