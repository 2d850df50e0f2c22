"""Editors steer the search."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "judged_set",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("viewer_kind", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judged_set")),
        sa.UniqueConstraint("name", name=op.f("uq_judged_set_name")),
    )
    op.create_table(
        "judged_query",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("text", sa.String(length=1000), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(
            ["set_id"], ["judged_set.id"], name=op.f("fk_judged_query_set_id_judged_set"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judged_query")),
        sa.UniqueConstraint("set_id", "key", name="uq_judged_query_set_id_key"),
    )
    with op.batch_alter_table("judged_query", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_judged_query_set_id"), ["set_id"], unique=False)

    op.create_table(
        "judgement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("query_id", sa.Integer(), nullable=False),
        sa.Column("document", sa.String(length=255), nullable=False),
        sa.Column("grade", sa.Integer(), nullable=False),
        sa.Column("judged_by_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["judged_by_id"], ["user.id"], name=op.f("fk_judgement_judged_by_id_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["query_id"], ["judged_query.id"], name=op.f("fk_judgement_query_id_judged_query"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgement")),
        sa.UniqueConstraint("query_id", "document", name="uq_judgement_query_id_document"),
    )
    with op.batch_alter_table("judgement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_judgement_query_id"), ["query_id"], unique=False)

    op.create_table(
        "ranking_configuration",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["user.id"], name=op.f("fk_ranking_configuration_owner_id_user"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ranking_configuration")),
        sa.UniqueConstraint("name", name=op.f("uq_ranking_configuration_name")),
    )
    with op.batch_alter_table("ranking_configuration", schema=None) as batch_op:
        batch_op.create_index(
            "uq_ranking_configuration_active",
            ["is_active"],
            unique=True,
            sqlite_where=sa.text("is_active"),
            postgresql_where=sa.text("is_active"),
        )

    op.create_table(
        "rule_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("is_undone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_rule_change_user_id_user"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_change")),
    )
    with op.batch_alter_table("rule_change", schema=None) as batch_op:
        batch_op.create_index("ix_rule_change_object", ["kind", "object_id"], unique=False)

    op.create_table(
        "rule_preview",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("searches", sa.Integer(), nullable=False),
        sa.Column("queries", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.Column("up_to_log_id", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("requested_by_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["requested_by_id"], ["user.id"], name=op.f("fk_rule_preview_requested_by_id_user"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_preview")),
    )
    with op.batch_alter_table("rule_preview", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_preview_state"), ["state"], unique=False)

    op.create_table(
        "search_rule",
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("words", sa.String(length=200), nullable=False),
        sa.Column("is_exact", sa.Boolean(), nullable=False),
        sa.Column("article_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["user.id"], name=op.f("fk_search_rule_owner_id_user"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_rule")),
    )
    with op.batch_alter_table("search_rule", schema=None) as batch_op:
        batch_op.create_index("ix_search_rule_article_id", ["article_id"], unique=False)

    op.create_table(
        "measurement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_id", sa.Integer(), nullable=True),
        sa.Column("set_name", sa.String(length=120), nullable=False),
        sa.Column("is_by_clicks", sa.Boolean(), nullable=False),
        sa.Column("configuration_id", sa.Integer(), nullable=True),
        sa.Column("configuration_name", sa.String(length=120), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("ndcg", sa.Double(), nullable=False),
        sa.Column("mrr", sa.Double(), nullable=False),
        sa.Column("recall", sa.Double(), nullable=False),
        sa.Column("queries", sa.Integer(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("unknown", sa.JSON(), nullable=False),
        sa.Column("unknown_count", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("requested_by_id", sa.Integer(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["configuration_id"],
            ["ranking_configuration.id"],
            name=op.f("fk_measurement_configuration_id_ranking_configuration"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["requested_by_id"], ["user.id"], name=op.f("fk_measurement_requested_by_id_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["set_id"], ["judged_set.id"], name=op.f("fk_measurement_set_id_judged_set"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measurement")),
    )
    with op.batch_alter_table("measurement", schema=None) as batch_op:
        batch_op.create_index("ix_measurement_set_name_at", ["set_name", "at"], unique=False)
        batch_op.create_index(batch_op.f("ix_measurement_state"), ["state"], unique=False)

    op.create_table(
        "rule_preview_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("preview_id", sa.Integer(), nullable=False),
        sa.Column("words", sa.String(length=1000), nullable=False),
        sa.Column("viewer_kind", sa.String(length=20), nullable=False),
        sa.Column("searches", sa.Integer(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["preview_id"],
            ["rule_preview.id"],
            name=op.f("fk_rule_preview_change_preview_id_rule_preview"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_preview_change")),
    )
    with op.batch_alter_table("rule_preview_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_preview_change_preview_id"), ["preview_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("rule_preview_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rule_preview_change_preview_id"))

    op.drop_table("rule_preview_change")
    with op.batch_alter_table("measurement", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_measurement_state"))
        batch_op.drop_index("ix_measurement_set_name_at")

    op.drop_table("measurement")
    with op.batch_alter_table("search_rule", schema=None) as batch_op:
        batch_op.drop_index("ix_search_rule_article_id")

    op.drop_table("search_rule")
    with op.batch_alter_table("rule_preview", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rule_preview_state"))

    op.drop_table("rule_preview")
    with op.batch_alter_table("rule_change", schema=None) as batch_op:
        batch_op.drop_index("ix_rule_change_object")

    op.drop_table("rule_change")
    with op.batch_alter_table("ranking_configuration", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_ranking_configuration_active", sqlite_where=sa.text("is_active"), postgresql_where=sa.text("is_active")
        )

    op.drop_table("ranking_configuration")
    with op.batch_alter_table("judgement", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_judgement_query_id"))

    op.drop_table("judgement")
    with op.batch_alter_table("judged_query", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_judged_query_set_id"))

    op.drop_table("judged_query")
    op.drop_table("judged_set")
