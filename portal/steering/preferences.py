"""Which of two configurations answers a query better: asked side by side, told blindly, counted with a sign test."""

import hashlib
import json
from dataclasses import asdict, dataclass

from flask_babel import gettext
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import QueryableAttribute

from portal import audit
from portal.access import Permission, Viewer
from portal.errors import Invalid
from portal.extensions import db, now
from portal.steering import in_force
from portal.steering.models import Configuration, JudgedQuery, Preference

ONE, OTHER, SAME = "one", "other", "same"
SURE = 0.05
"""Below this chance that nothing but luck made the difference, it counts as decided."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two configurations; None stands for the product's own weights.  Which of them comes first says nothing."""

    one: Configuration | None
    other: Configuration | None

    @classmethod
    def of(cls, one: Configuration | None, other: Configuration | None) -> "Pair":
        """Return the pair in its lasting order: the older one first, so that both ways of asking count together."""
        return cls(one, other) if _id(one) <= _id(other) else cls(other, one)

    @property
    def is_one(self) -> bool:
        """Both are the same, so there is nothing to choose."""
        return self.one is self.other

    @property
    def fingerprint(self) -> str:
        """A digest of both weights."""
        weights = [asdict(in_force.weights_of(side.weights if side else {})) for side in (self.one, self.other)]
        return hashlib.sha256(json.dumps(weights, sort_keys=True).encode()).hexdigest()

    def is_swapped(self, query: JudgedQuery, by: Viewer) -> bool:
        """Say whether the second one stands on the left: drawn anew for each query, lasting for whoever judges."""
        drawn = f"{query.id}:{by.user_id}:{_id(self.one)}:{_id(self.other)}"
        return bool(hashlib.sha256(drawn.encode()).digest()[0] % 2)

    def asked(self) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions for what was said of this pair with these weights."""
        return (
            *_is_side(Preference.one_id, Preference.one_name, self.one),
            *_is_side(Preference.other_id, Preference.other_name, self.other),
            Preference.fingerprint == self.fingerprint,
        )


def prefer(query: JudgedQuery, pair: Pair, better: str, *, by: Viewer) -> Preference:
    """Note which of a pair answers a query better, in place of what the same person said before, and commit.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: the answer is none of one, other and same, or the pair is one configuration twice.
    """
    by.require(Permission.STEER_SEARCH)
    if better not in (ONE, OTHER, SAME):
        raise Invalid({"better": gettext("Say which list is better, or that they are equally good.")})
    if pair.is_one:
        raise Invalid({"better": gettext("Both lists are of one configuration. Choose two.")})
    told = find(query, pair, by=by)
    if told is None:
        told = Preference(
            query_id=query.id,
            one_id=pair.one.id if pair.one else None,
            one_name=_name(pair.one),
            other_id=pair.other.id if pair.other else None,
            other_name=_name(pair.other),
            fingerprint=pair.fingerprint,
            by_id=by.user_id,
        )
        db.session.add(told)
    told.better, told.at = better, now()
    db.session.flush()
    details = {"query": query.key, "one": told.one_name, "other": told.other_name, "better": better}
    audit.append("judged_set.prefer", by=by, kind="judged_set", object_id=query.set_id, details=details)
    db.session.commit()
    return told


def find(query: JudgedQuery, pair: Pair, *, by: Viewer) -> Preference | None:
    """Return what somebody said of a pair for a query."""
    own = (Preference.query_id == query.id, Preference.by_id == by.user_id)
    return db.session.scalars(select(Preference).where(*own, *pair.asked()).limit(1)).first()


def find_next(query: JudgedQuery, pair: Pair, *, by: Viewer) -> JudgedQuery | None:
    """Return the next query of the set of which somebody has said nothing yet; None when there is none."""
    told = select(Preference.query_id).where(Preference.by_id == by.user_id, *pair.asked())
    others = (JudgedQuery.set_id == query.set_id, JudgedQuery.id != query.id, JudgedQuery.id.not_in(told))
    following = select(JudgedQuery).where(*others).order_by(JudgedQuery.id < query.id, JudgedQuery.id)
    return db.session.scalars(following.limit(1)).first()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How often the newer of two configurations was found better, worse and as good as the other."""

    name: str
    beside: str
    wins: int
    losses: int
    ties: int
    is_current: bool
    """The weights are still those that were judged."""

    @property
    def chance(self) -> float:
        """How likely luck alone makes such a difference."""
        return sign_test(self.wins, self.losses)

    @property
    def is_decided(self) -> bool:
        """Luck hardly made the difference."""
        return self.chance < SURE


def sign_test(wins: int, losses: int) -> float:
    """Return the two-sided p-value of the sign test: of a fair coin falling so unevenly; ties say nothing."""
    thrown = wins + losses
    tail = ways = 1
    for heads in range(min(wins, losses)):
        ways = ways * (thrown - heads) // (heads + 1)
        tail += ways
    return min(1.0, 2.0 * (tail / (1 << thrown)))


def load_outcomes() -> list[Outcome]:
    """Return the outcome of every pair that was judged, the latest first."""
    counts = (
        func.count().filter(Preference.better == better).label(name)
        for name, better in (("wins", OTHER), ("losses", ONE), ("ties", SAME))
    )
    sides = (Preference.one_id, Preference.one_name, Preference.other_id, Preference.other_name)
    pair = (*sides, Preference.fingerprint)
    rows = db.session.execute(select(*pair, *counts).group_by(*pair).order_by(func.max(Preference.at).desc())).all()
    there = {found.id: found for found in db.session.scalars(select(Configuration))}
    return [
        Outcome(
            name=row.other_name,
            beside=row.one_name,
            wins=row.wins,
            losses=row.losses,
            ties=row.ties,
            is_current=(row.one_id in there or not row.one_name)
            and (row.other_id in there or not row.other_name)
            and Pair(there.get(row.one_id), there.get(row.other_id)).fingerprint == row.fingerprint,
        )
        for row in rows
    ]


def _is_side(
    its_id: QueryableAttribute[int | None], its_name: QueryableAttribute[str], side: Configuration | None
) -> tuple[ColumnElement[bool], ...]:
    """Build the conditions for one side; one that is gone has no id either, but its name."""
    return (its_id == side.id,) if side else (its_id.is_(None), its_name == "")


def _id(side: Configuration | None) -> int:
    return side.id if side else 0


def _name(side: Configuration | None) -> str:
    return side.name if side else ""
