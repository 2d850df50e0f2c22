"""Why a file could not be read is kept as a reason, so that each reader is told in their own language.

The sentences of earlier versions become reasons; one that is not known stays as it is and is shown so.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TOO_MUCH = "Reading the file takes too much time or memory. Divide it or make it simpler."
CRASHED = "The file broke its reader. Save it anew and attach that."
DAMAGED = "The file cannot be read: "

attachment = sa.table("attachment", sa.column("text_reason", sa.String), sa.column("text_error", sa.Text))


def upgrade() -> None:
    with op.batch_alter_table("attachment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("text_reason", sa.String(length=20), nullable=True))
    said = attachment.c.text_error
    for sentence, reason in ((TOO_MUCH, "too_much"), (CRASHED, "crashed")):
        op.execute(attachment.update().where(said == sentence).values(text_reason=reason, text_error=None))
    for words, reason in (("document type", "forbidden"), ("assword", "password"), ("", "damaged")):
        known = (attachment.c.text_reason.is_(None), said.startswith(DAMAGED), said.contains(words))
        rest = sa.func.substr(said, len(DAMAGED) + 1)
        op.execute(attachment.update().where(*known).values(text_reason=reason, text_error=rest))


def downgrade() -> None:
    reason, said = attachment.c.text_reason, attachment.c.text_error
    for sentence, code in ((TOO_MUCH, "too_much"), (CRASHED, "crashed")):
        op.execute(attachment.update().where(reason == code).values(text_error=sentence))
    others = (reason.is_not(None), reason.not_in(["too_much", "crashed"]))
    written = sa.literal(DAMAGED).concat(sa.func.coalesce(said, reason))
    op.execute(attachment.update().where(*others).values(text_error=written))
    with op.batch_alter_table("attachment", schema=None) as batch_op:
        batch_op.drop_column("text_reason")
