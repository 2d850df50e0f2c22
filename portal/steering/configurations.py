"""Named configurations of the ranking: weights that differ from the product's own, and the gate before they are used.

A configuration is switched to only after it and the one in use were measured on every judged set.  When it loses on one
of them it is refused, with the queries that got worse, unless somebody gives a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from flask_babel import gettext
from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload

from portal import audit, declared
from portal.access import Permission, Viewer
from portal.declared import Check
from portal.errors import Invalid, OperationError
from portal.extensions import db
from portal.search.ranking import WEIGHTS, Weights
from portal.steering import judgements, measurements
from portal.steering.models import Configuration, JudgedSet, Measurement, Preference, Preview

FIELDS = ("name", "note", "weights")
WEIGHT_NAMES = tuple(field.name for field in fields(Weights))
HEAVIEST = 20.0
TOLERANCE = 0.005
"""A set may lose so much nDCG@10 before a configuration counts as worse: as much as the product's own gate allows."""
MOST_NAMED = 20


class Loses(OperationError):
    """The configuration is worse, or nothing says that it is not; a reason would let it pass."""

    code = "loses"


def save(configuration: Configuration | None, *, by: Viewer, changes: Mapping[str, Any]) -> Configuration:
    """Make or change a configuration and commit.  `weights` holds those that differ from the product's own.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: a name or a weight cannot be used, or the weights in use would change without being measured.
    """
    by.require(Permission.STEER_SEARCH)
    if unknown := sorted(set(changes) - set(FIELDS)):
        raise Invalid({name: gettext("There is no field %(name)r.", name=name) for name in unknown})
    check = Check()
    values: dict[str, Any] = {}
    if configuration is None or "name" in changes:
        values["name"] = _checked_name(check, changes.get("name"), configuration)
    if "note" in changes:
        values["note"] = check.read("note", declared.text, changes["note"], most=1_000)
    if "weights" in changes:
        values["weights"] = _checked_weights(check, changes["weights"])
    check.finish()
    in_use = configuration.weights if configuration is not None and configuration.is_active else None
    if in_use is not None and values.get("weights", in_use) != in_use:
        raise Invalid(
            {"": gettext("The weights in use change only by switching. Make a copy, measure it and switch to it.")}
        )
    if configuration is None:
        configuration = Configuration(owner_id=by.user_id, weights={})
        db.session.add(configuration)
    for field, value in values.items():
        setattr(configuration, field, value)
    db.session.flush()
    _rename_outcomes(configuration)
    details = {"name": configuration.name, "weights": configuration.weights}
    audit.append("configuration.save", by=by, kind="configuration", object_id=configuration.id, details=details)
    db.session.commit()
    return configuration


def _rename_outcomes(configuration: Configuration) -> None:
    """Let what was judged, measured and tried bear the present name, inside the caller's transaction."""
    for model, its_id, its_name in (
        (Measurement, Measurement.configuration_id, Measurement.configuration_name),
        (Preference, Preference.one_id, Preference.one_name),
        (Preference, Preference.other_id, Preference.other_name),
    ):
        stale = (its_id == configuration.id, its_name != configuration.name)
        db.session.execute(update(model).where(*stale).values({its_name: configuration.name}))
    tried = (Preview.kind == "configuration", Preview.object_id == configuration.id)
    db.session.execute(update(Preview).where(*tried).values(name=configuration.name))


def delete(configuration: Configuration, *, by: Viewer) -> None:
    """Remove a configuration that is not in use and commit; what was measured of it stays.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: it is in use.
    """
    by.require(Permission.STEER_SEARCH)
    if configuration.is_active:
        raise Invalid({"": gettext("This configuration is in use. Switch to another one first.")})
    configuration_id, details = configuration.id, {"name": configuration.name, "weights": configuration.weights}
    db.session.delete(configuration)
    db.session.flush()
    audit.append("configuration.delete", by=by, kind="configuration", object_id=configuration_id, details=details)
    db.session.commit()


def load_all() -> list[Configuration]:
    """Return all configurations by name."""
    wanted = select(Configuration).options(joinedload(Configuration.owner))
    return list(db.session.scalars(wanted.order_by(Configuration.name)))


def find_active() -> Configuration | None:
    """Return the configuration in use; None when the product's own weights are."""
    return db.session.scalar(select(Configuration).where(Configuration.is_active.is_(True)))


def request_comparison(configuration: Configuration | None, *, engine_name: str, by: Viewer) -> int:
    """Ask for whatever is not measured yet of a configuration and the one in use; returns how many measurements.

    Raises:
        Forbidden: `by` may not steer the search.
    """
    by.require(Permission.STEER_SEARCH)
    waiting = {measurement.fingerprint for measurement in measurements.load_open()}
    count = 0
    judged_sets: list[JudgedSet | None] = [*judgements.load_sets(), None]
    for judged_set in judged_sets:
        for side in (find_active(), configuration):
            digest = measurements.fingerprint(side, judged_set, engine_name=engine_name)
            if digest in waiting or measurements.find_done(side, judged_set, engine_name=engine_name):
                continue
            measurements.request(side, judged_set, engine_name=engine_name, by=by)
            waiting.add(digest)
            count += 1
    return count


@dataclass(frozen=True, slots=True)
class QueryChange:
    """One query's nDCG with the configuration in use and with another one."""

    text: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class SetComparison:
    """One set measured with the configuration in use and with another one."""

    name: str
    is_by_clicks: bool
    before: Measurement | None
    after: Measurement | None
    worse: Sequence[QueryChange] = ()
    better: Sequence[QueryChange] = ()

    @property
    def is_measured(self) -> bool:
        """Both sides are known."""
        return self.before is not None and self.after is not None

    @property
    def is_lower(self) -> bool:
        """It is worse by more than the tolerance."""
        return self.before is not None and self.after is not None and self.after.ndcg < self.before.ndcg - TOLERANCE

    @property
    def loses(self) -> bool:
        """It is worse by what was judged; clicks are an estimate and refuse nothing."""
        return self.is_lower and not self.is_by_clicks


def compare(configuration: Configuration | None, *, engine_name: str) -> list[SetComparison]:
    """Return every judged set, and the clicks, measured with a configuration beside the one in use."""
    active = find_active()
    found = []
    judged_sets: list[JudgedSet | None] = [*judgements.load_sets(), None]
    for judged_set in judged_sets:
        before, after = (
            measurements.find_done(side, judged_set, engine_name=engine_name) for side in (active, configuration)
        )
        worse, better = _changed(before, after, judged_set) if before and after else ([], [])
        found.append(
            SetComparison(judged_set.name if judged_set else "", judged_set is None, before, after, worse, better)
        )
    return found


def _changed(
    before: Measurement, after: Measurement, judged_set: JudgedSet | None
) -> tuple[list[QueryChange], list[QueryChange]]:
    texts = {query.key: query.text for query in judged_set.queries} if judged_set else {}
    changes = [
        QueryChange(texts.get(key, key), row[0], after.scores[key][0])
        for key, row in before.scores.items()
        if key in after.scores and abs(after.scores[key][0] - row[0]) > 1e-4
    ]
    changes.sort(key=lambda change: change.after - change.before)
    return (
        [change for change in changes if change.after < change.before][:MOST_NAMED],
        [change for change in reversed(changes) if change.after > change.before][:MOST_NAMED],
    )


def activate(configuration: Configuration | None, *, by: Viewer, engine_name: str, reason: object = "") -> None:
    """Use a configuration, or with None the product's own weights, from now on, and commit.

    Raises:
        Forbidden: `by` may not steer the search.
        Loses: it is not measured, or worse on a judged set, and no reason is given.
        Invalid: the reason cannot be stored.
    """
    by.require(Permission.STEER_SEARCH)
    check = Check()
    given = check.read("reason", declared.text, reason, most=500, is_line=True)
    check.finish()
    active = find_active()
    if active is configuration:
        return
    if not given:
        _refuse_worse(compare(configuration, engine_name=engine_name))
    if active is not None:
        active.is_active = False
        # The database allows one in use, so the old one goes before the new one comes.
        db.session.flush()
    if configuration is not None:
        configuration.is_active = True
    db.session.flush()
    audit.append(
        "configuration.activate",
        by=by,
        kind="configuration",
        object_id=configuration.id if configuration else None,
        details={
            "name": configuration.name if configuration else "",
            "before": active.name if active else "",
            "reason": given,
        },
    )
    db.session.commit()


def _refuse_worse(compared: Sequence[SetComparison]) -> None:
    judged = [comparison for comparison in compared if not comparison.is_by_clicks]
    if not judged:
        raise Loses(
            gettext("Nothing is judged yet, so nothing says that it is no worse. Judge some queries, or give a reason.")
        )
    unmeasured = [comparison.name for comparison in judged if not comparison.is_measured]
    if unmeasured:
        raise Loses(
            gettext(
                "It is not measured yet on: %(sets)s. Compare it first, or give a reason.", sets=", ".join(unmeasured)
            )
        )
    sentences = [
        gettext(
            "It loses on %(set)s: nDCG@10 falls from %(before)s to %(after)s. Worse: %(queries)s.",
            set=comparison.name,
            before=f"{comparison.before.ndcg:.4f}",
            after=f"{comparison.after.ndcg:.4f}",
            queries="; ".join(change.text[:80] for change in comparison.worse),
        )
        for comparison in judged
        if comparison.loses and comparison.before and comparison.after
    ]
    if sentences:
        raise Loses(" ".join([*sentences, gettext("Give a reason to use it nevertheless.")]))


def _checked_name(check: Check, value: object, configuration: Configuration | None) -> str | None:
    name = check.read("name", declared.text, value, most=120, required=True, is_line=True)
    if name:
        same = select(Configuration.id).where(func.lower(Configuration.name) == name.lower())
        if configuration is not None:
            same = same.where(Configuration.id != configuration.id)
        if db.session.scalar(same):
            check.refuse("name", gettext("There is a configuration of this name already."))
    return name


def _checked_weights(check: Check, given: object) -> dict[str, float]:
    if not isinstance(given, Mapping):
        check.refuse("weights", gettext("This must be an object."))
        return {}
    standard = asdict(WEIGHTS)
    weights: dict[str, float] = {}
    for name, value in given.items():
        if name not in WEIGHT_NAMES:
            check.refuse(str(name), gettext("There is no weight %(name)r.", name=str(name)))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= HEAVIEST:
            check.refuse(name, gettext("A weight is a number from 0 to %(most)s.", most=int(HEAVIEST)))
        elif name == "all" and not value:
            check.refuse(name, gettext("This weight decides what is found at all; it must be more than 0."))
        elif float(value) != standard[name]:
            weights[name] = float(value)
    return weights
