"""What was said and measured of a configuration follows it through every name.

Preferences went by names.  Which configuration bore a name at that time is told by the audit log, and where that holds
nothing, by the names of today.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SIDES = ("one", "other")
moment = sa.DateTime(timezone=True)
preference = sa.table(
    "preference",
    *(sa.column(name) for name in ("id", "one_id", "one_name", "other_id", "other_name")),
    sa.column("at", moment),
)
configuration = sa.table("ranking_configuration", sa.column("id"), sa.column("name"), sa.column("created_at", moment))
measurement = sa.table("measurement", sa.column("configuration_id"), sa.column("configuration_name"))
audit = sa.table(
    "audit_entry",
    *(sa.column(name) for name in ("id", "action", "object_id")),
    sa.column("at", moment),
    sa.column("details", sa.JSON),
)


def upgrade() -> None:
    with op.batch_alter_table("preference", schema=None) as batch_op:
        for side in SIDES:
            batch_op.add_column(sa.Column(f"{side}_id", sa.Integer(), nullable=True))
            batch_op.create_foreign_key(
                batch_op.f(f"fk_preference_{side}_id_ranking_configuration"),
                "ranking_configuration",
                [f"{side}_id"],
                ["id"],
                ondelete="SET NULL",
            )
    connection = op.get_bind()
    there = {row.id: row for row in connection.execute(sa.select(configuration))}
    saved = sa.select(audit.c.at, audit.c.object_id, audit.c.details).where(audit.c.action == "configuration.save")
    borne = [(row.at, row.details.get("name"), row.object_id) for row in connection.execute(saved.order_by(audit.c.id))]
    for told in connection.execute(sa.select(preference)).all():
        values: dict[str, object] = {}
        for side in SIDES:
            name = getattr(told, f"{side}_name")
            bore = [number for at, called, number in borne if called == name and at <= told.at] or [
                row.id for row in there.values() if row.name == name and row.created_at <= told.at
            ]
            if name and bore and bore[-1] in there:
                values |= {f"{side}_id": bore[-1], f"{side}_name": there[bore[-1]].name}
        if values:
            connection.execute(preference.update().where(preference.c.id == told.id).values(values))
    present = sa.select(configuration.c.name).where(configuration.c.id == measurement.c.configuration_id)
    known = measurement.c.configuration_id.is_not(None)
    op.execute(measurement.update().where(known).values(configuration_name=present.scalar_subquery()))


def downgrade() -> None:
    with op.batch_alter_table("preference", schema=None) as batch_op:
        for side in SIDES:
            batch_op.drop_constraint(batch_op.f(f"fk_preference_{side}_id_ranking_configuration"), type_="foreignkey")
            batch_op.drop_column(f"{side}_id")
