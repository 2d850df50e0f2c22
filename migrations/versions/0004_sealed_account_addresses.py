"""Accounts keep their e-mail addresses sealed, and find them by a blind index.

Revision ID: 0004
Revises: 0003
"""

import uuid

import sqlalchemy as sa
from alembic import op

from portal.encryption import blind_index, seal, unseal

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PURPOSE = "account e-mail"


def upgrade() -> None:
    with op.batch_alter_table("user") as batch_op:
        batch_op.add_column(sa.Column("key", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("email_sealed", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("email_index", sa.String(length=64), nullable=True))
    connection = op.get_bind()
    user = sa.table(
        "user",
        sa.column("id"),
        sa.column("email"),
        sa.column("key"),
        sa.column("email_sealed"),
        sa.column("email_index"),
    )
    for row in connection.execute(sa.select(user.c.id, user.c.email)).all():
        key = str(uuid.uuid4())
        connection.execute(
            sa.update(user)
            .where(user.c.id == row.id)
            .values(
                key=key,
                email_sealed=seal(row.email, table="user", column="email_sealed", row=key),
                email_index=blind_index(row.email, PURPOSE),
            )
        )
    with op.batch_alter_table("user") as batch_op:
        batch_op.alter_column("key", existing_type=sa.String(length=36), nullable=False)
        batch_op.alter_column("email_sealed", existing_type=sa.LargeBinary(), nullable=False)
        batch_op.alter_column("email_index", existing_type=sa.String(length=64), nullable=False)
        batch_op.create_unique_constraint(op.f("uq_user_key"), ["key"])
        batch_op.create_unique_constraint(op.f("uq_user_email_index"), ["email_index"])
        batch_op.drop_constraint(op.f("uq_user_email"), type_="unique")
        batch_op.drop_column("email")


def downgrade() -> None:
    with op.batch_alter_table("user") as batch_op:
        batch_op.add_column(sa.Column("email", sa.String(length=254), nullable=True))
    connection = op.get_bind()
    user = sa.table("user", sa.column("id"), sa.column("email"), sa.column("key"), sa.column("email_sealed"))
    for row in connection.execute(sa.select(user.c.id, user.c.key, user.c.email_sealed)).all():
        plain = unseal(row.email_sealed, table="user", column="email_sealed", row=row.key)
        connection.execute(sa.update(user).where(user.c.id == row.id).values(email=plain))
    with op.batch_alter_table("user") as batch_op:
        batch_op.alter_column("email", existing_type=sa.String(length=254), nullable=False)
        batch_op.create_unique_constraint(op.f("uq_user_email"), ["email"])
        batch_op.drop_constraint(op.f("uq_user_email_index"), type_="unique")
        batch_op.drop_constraint(op.f("uq_user_key"), type_="unique")
        for name in ("email_index", "email_sealed", "key"):
            batch_op.drop_column(name)
