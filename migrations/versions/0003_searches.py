"""What was searched is counted without persons; searches are saved, and popular ones offered."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "popular_search",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("audience", sa.String(length=20), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("words", sa.String(length=200), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("searches", sa.Integer(), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_popular_search")),
        sa.UniqueConstraint("audience", "language", "key", name=op.f("uq_popular_search_audience_language_key")),
    )
    with op.batch_alter_table("popular_search", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_popular_search_key"), ["key"], unique=False)
    op.create_table(
        "saved_search",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("text", sa.String(length=1000), nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.Column("every", sa.String(length=10), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("last_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_saved_search_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_search")),
    )
    with op.batch_alter_table("saved_search", schema=None) as batch_op:
        batch_op.create_index("ix_saved_search_due", ["is_paused", "next_check_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_saved_search_user_id"), ["user_id"], unique=False)
    with op.batch_alter_table("search_log", schema=None) as batch_op:
        batch_op.add_column(sa.Column("token", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("key", sa.String(length=200), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("is_reworded", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("cohort", sa.SmallInteger(), nullable=True))
        batch_op.drop_index("ix_search_log_words")
        batch_op.create_unique_constraint(batch_op.f("uq_search_log_token"), ["token"])
        batch_op.create_index("ix_search_log_key", ["key", "at"], unique=False)
    op.execute("UPDATE search_log SET key = lower(substr(words, 1, 200))")
    with op.batch_alter_table("search_log", schema=None) as batch_op:
        batch_op.alter_column("key", server_default=None)
        batch_op.alter_column("is_reworded", server_default=None)
    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.add_column(sa.Column("keeps_searches", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    # Not in a batch: SQLite would make the table anew, and what belongs to its rows would go with the old one.
    op.drop_column("user", "keeps_searches")
    with op.batch_alter_table("search_log", schema=None) as batch_op:
        batch_op.drop_index("ix_search_log_key")
        batch_op.drop_constraint(batch_op.f("uq_search_log_token"), type_="unique")
        batch_op.create_index("ix_search_log_words", ["words"], unique=False)
        batch_op.drop_column("cohort")
        batch_op.drop_column("is_reworded")
        batch_op.drop_column("key")
        batch_op.drop_column("token")
    with op.batch_alter_table("saved_search", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_saved_search_user_id"))
        batch_op.drop_index("ix_saved_search_due")
    op.drop_table("saved_search")
    with op.batch_alter_table("popular_search", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_popular_search_key"))
    op.drop_table("popular_search")
