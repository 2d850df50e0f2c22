"""Who has a record open, and who is answering it: short-lived rows that colleagues are shown.

Files whose text can be read since, presentations and OpenDocument texts, wait for the worker to read them.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "presence",
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answering_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_presence_record_id_record"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_presence_user_id_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("record_id", "user_id", name=op.f("pk_presence")),
    )
    attachment = sa.table("attachment", sa.column("file_name"), sa.column("text_state"))
    name = sa.func.lower(attachment.c.file_name)
    op.execute(
        sa.update(attachment)
        .where(attachment.c.text_state == "none", sa.or_(name.like("%.pptx"), name.like("%.odt")))
        .values(text_state="pending")
    )


def downgrade() -> None:
    op.drop_table("presence")
