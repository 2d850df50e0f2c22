"""Which codes of the second factor were used is kept by name, so that a clock that was wrong locks nobody out."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "used_code",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_used_code_user_id_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "step", name=op.f("pk_used_code")),
    )
    # The last used one is known for each account.
    op.execute(
        sa.text(
            'INSERT INTO used_code (user_id, step) SELECT id, totp_last_step FROM "user"'
            " WHERE totp_last_step IS NOT NULL"
        )
    )


def downgrade() -> None:
    op.drop_table("used_code")
