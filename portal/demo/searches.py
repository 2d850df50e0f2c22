"""What the demo's readers searched in the last two months, so that the report of searches has something to say.

Made by chance from a fixed seed: most find and open something near the top, some find nothing, a few ask in the end.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from portal.accounts.models import User
from portal.extensions import db
from portal.knowledge.models import Article
from portal.search.log import COHORTS, key_of
from portal.search.models import SearchLog

DAYS = 60
BUSIEST = 16
SEED = 1


@dataclass(frozen=True, slots=True)
class _Query:
    """Words that the demo's people search: how often beside others, what opens, how likely it finds and is opened."""

    words: str
    often: int
    article: str = ""
    opens: float = 0.7
    finds: bool = True


ENGLISH: Sequence[_Query] = (
    _Query("printer offline", 9, "faq-r80-network", 0.6),
    _Query("E-1024", 10, "faq-e1024", 0.9),
    _Query("cash drawer does not open", 7, "faq-drawer", 0.85),
    _Query("chinese prints as question marks", 4, "faq-chinese-garbled", 0.9),
    _Query("replace disk", 6, "faq-replace-disk", 0.8),
    _Query("copying slow", 4, "faq-slow-copy", 0.65),
    _Query("daily closing", 5, "faq-daily-closing", 0.8),
    _Query("forgot pin", 3, "faq-pin", 0.5),
    _Query("refund", 5, "faq-p5022", 0.3),
    _Query("kitchen screen", 4, "", 0.0, finds=False),
    _Query("loyalty app", 3, "", 0.0, finds=False),
    _Query("paper width 58", 3, "", 0.1),
)
CHINESE: Sequence[_Query] = (
    _Query("打印机脱机", 7, "faq-r80-network", 0.6),
    _Query("中文乱码", 6, "faq-chinese-garbled", 0.85),
    _Query("更换硬盘", 4, "faq-replace-disk", 0.8),
    _Query("钱箱打不开", 4, "faq-drawer", 0.75),
    _Query("日结", 3, "faq-daily-closing", 0.8),
    _Query("会员小程序", 3, "", 0.0, finds=False),
)


def load(*, at: datetime, requests: Sequence[int]) -> int:
    """Write the searches and commit, unless anything was searched already; return how many.

    `requests` are records that some of the searches ended in.
    """
    if db.session.scalar(select(SearchLog.id).limit(1)) is not None:
        return 0
    chance = random.Random(SEED)  # noqa: S311  Nothing secret is drawn.
    articles = {row[0]: row[1] for row in db.session.execute(select(Article.external_id, Article.id))}
    customer = db.session.scalar(select(User.id).where(User.role == "customer").limit(1))
    ended_in = list(requests)
    rows: list[SearchLog] = []
    for day in range(DAYS, -1, -1):
        for _ in range(chance.randint(3, BUSIEST)):
            moment = at - timedelta(days=day, minutes=chance.randint(1, 600))
            language = "zh" if chance.random() < 0.35 else "en"
            queries = CHINESE if language == "zh" else ENGLISH
            query = chance.choices(queries, [one.often for one in queries])[0]
            rows.append(_row(query, moment, language, chance, articles, customer, ended_in))
    db.session.add_all(rows)
    db.session.commit()
    return len(rows)


def _row(
    query: _Query,
    moment: datetime,
    language: str,
    chance: random.Random,
    articles: dict[str | None, int],
    customer: int | None,
    ended_in: list[int],
) -> SearchLog:
    kind = chance.choices(("anonymous", "customer", "agent"), (6, 3, 2))[0]
    number = articles.get(query.article)
    is_opened = number is not None and chance.random() < query.opens
    asked = not is_opened and kind == "customer" and bool(ended_in) and chance.random() < 0.35
    return SearchLog(
        at=moment,
        words=query.words,
        key=key_of(query.words),
        language=language,
        viewer_kind=kind,
        user_id=customer if kind == "customer" else None,
        cohort=chance.randrange(COHORTS) if kind == "anonymous" else None,
        filters={"kind": ["faq"]} if chance.random() < 0.1 else {},
        total=chance.randint(2, 40) if query.finds else 0,
        took_ms=round(chance.uniform(2, 9), 2),
        clicked=f"article:{number}" if is_opened else None,
        clicked_rank=min(20, 1 + int(chance.expovariate(0.55))) if is_opened else None,
        clicked_at=moment + timedelta(seconds=chance.randint(3, 60)) if is_opened else None,
        is_reworded=not is_opened and chance.random() < 0.3,
        record_id=ended_in.pop() if asked else None,
    )
