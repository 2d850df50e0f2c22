"""On SQLite no number is given twice either: a removed object's id never names another one.

PostgreSQL counts on by itself.  Of SQLite's tables each that numbers its rows is made anew with AUTOINCREMENT, and
counts on above every number that the table, the outbox, the audit log or a kept answer has ever named.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAMED_IN = (
    "SELECT max(object_id) FROM outbox WHERE kind = :kind",
    "SELECT max(object_id) FROM audit_entry WHERE object_kind = :kind",
    """SELECT max(CAST(substr(reference, length(:kind) + 2) AS INTEGER)) FROM idempotency_key
    WHERE reference LIKE :kind || ':%'""",
)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    for name in numbered_tables(connection):
        with op.batch_alter_table(name, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
        held = connection.scalar(sa.select(sa.func.max(sa.table(name, sa.column("id")).c.id)))
        named = [connection.scalar(sa.text(question), {"kind": name}) for question in NAMED_IN]
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
        connection.execute(
            sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"),
            {"name": name, "seq": max(held or 0, *(number or 0 for number in named))},
        )


def downgrade() -> None:
    """Leave the tables as they are: that they count on does no earlier version any harm."""


def numbered_tables(connection: sa.Connection) -> list[str]:
    """Every table whose only key is a number of its own; the audit log counts its entries itself."""
    known = sa.inspect(connection)
    return [
        name
        for name in sorted(known.get_table_names())
        if known.get_pk_constraint(name)["constrained_columns"] == ["id"] and name != "audit_entry"
    ]
