"""What goes in and out as JSON.  Undeclared fields are refused by name; operations check the values themselves."""

from typing import Any, ClassVar

from marshmallow import RAISE, Schema, fields, validate

from portal.declared import LARGEST_ID


class Strict(Schema):
    """Refuses what it does not know, by name."""

    class Meta:
        """marshmallow reads its options here."""

        unknown: ClassVar[str] = RAISE


class PageArgs(Schema):
    """Which part of a list."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, 100_000))
    size = fields.Integer(load_default=20, validate=validate.Range(1, 100))


def page_of(item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of such items."""
    return Schema.from_dict(
        {
            "total": fields.Integer(),
            "page": fields.Integer(),
            "size": fields.Integer(),
            "items": fields.List(fields.Nested(item)),
        },
        name=f"PageOf{item.__name__.removesuffix('Schema')}",
    )


class SourcedArgs(PageArgs):
    """Which objects, by their kind and by where they came from."""

    kind = fields.String()
    source = fields.String()
    external_id = fields.String()


class Patch(Strict):
    """What to change, and the version that was read: an older one is answered 409 with both."""

    version = fields.Integer()


class Stored(Schema):
    """What is told of everything that is kept."""

    id = fields.Integer()
    version = fields.Integer()
    path = fields.String()
    kind = fields.String()
    external_id = fields.String(allow_none=True)
    source = fields.String(allow_none=True)
    created_at = fields.String()
    updated_at = fields.String()


class ArticleArgs(SourcedArgs):
    """Which articles."""

    state = fields.String()
    language = fields.String()


class ArticleFields(Schema):
    """What goes in and comes out alike."""

    title = fields.String()
    outcome = fields.String(allow_none=True)
    summary = fields.String()
    language = fields.String()
    audience = fields.String()
    state = fields.String()
    category = fields.String(allow_none=True, metadata={"description": "A category's slug."})
    products = fields.List(fields.String(), metadata={"description": "Products' slugs."})
    tags = fields.List(fields.String())
    url = fields.String(allow_none=True)
    review_at = fields.String(allow_none=True)


class ArticleIn(Strict, ArticleFields):
    """The fields of an article that may be written.  A case study has its own parts instead of `body`."""

    kind = fields.String(validate=validate.OneOf(["faq", "case_study"]))
    body = fields.String()
    environment = fields.String()
    issue = fields.String()
    cause = fields.String()
    resolution = fields.String()
    lesson = fields.String()
    is_shared = fields.Boolean()
    external_id = fields.String(allow_none=True)
    source = fields.String(allow_none=True)
    note = fields.String(metadata={"description": "Why; kept with the revision."})


class ArticlePatch(Patch, ArticleIn):
    """What to change, and the version that was read: an older one is answered 409 with both."""

    class Meta:
        """What makes an article the same one cannot change."""

        unknown: ClassVar[str] = RAISE
        exclude = ("kind", "external_id", "source", "url")


class ArticleOut(Stored, ArticleFields):
    """An article."""

    slug = fields.String()
    body = fields.String(allow_none=True)
    environment = fields.String(allow_none=True)
    issue = fields.String(allow_none=True)
    cause = fields.String(allow_none=True)
    resolution = fields.String(allow_none=True)
    lesson = fields.String(allow_none=True)
    published_at = fields.String(allow_none=True)


class RecordArgs(SourcedArgs):
    """Which records."""

    state = fields.String()
    customer_id = fields.Integer(validate=validate.Range(1, LARGEST_ID))


class RecordFields(Schema):
    """What goes in and comes out alike."""

    kind = fields.String()
    subject = fields.String()
    description = fields.String()
    language = fields.String()
    customer_id = fields.Integer(allow_none=True)
    product = fields.String(allow_none=True, metadata={"description": "A product's slug."})
    serial_number = fields.String()
    category = fields.String(allow_none=True, metadata={"description": "A category's slug."})
    priority = fields.String()
    tags = fields.List(fields.String())


class RecordIn(Strict, RecordFields):
    """The fields of a service record that may be written; customers set fewer of them than staff."""

    contact_id = fields.Integer(allow_none=True)
    assignee = fields.String(allow_none=True, metadata={"description": "The e-mail address of a member of staff."})


class RecordPatch(Patch, RecordIn):
    """What to change, and the version that was read: an older one is answered 409 with both."""

    state = fields.String()
    resolution = fields.String(metadata={"description": "Resolves the record when it is not resolved yet."})


class EntryIn(Strict):
    """A public reply or an internal note."""

    kind = fields.String(required=True, validate=validate.OneOf(["reply", "note"]))
    body = fields.String(required=True)


class EntryOut(Schema):
    """One step of a record's timeline."""

    id = fields.Integer()
    kind = fields.String()
    body = fields.String()
    old_state = fields.String(allow_none=True)
    new_state = fields.String(allow_none=True)
    by = fields.String(allow_none=True)
    at = fields.String()


class RecordOut(Stored, RecordFields):
    """A service record; `entries` only where one record is asked for."""

    number = fields.String()
    state = fields.String()
    assignee = fields.String(allow_none=True, metadata={"description": "Staff only."})
    resolution = fields.String()
    resolved_at = fields.String(allow_none=True)
    entries = fields.List(fields.Nested(EntryOut))


class CustomerArgs(SourcedArgs):
    """Which customers."""


class CustomerFields(Schema):
    """What goes in and comes out alike."""

    kind = fields.String()
    name = fields.String()
    language = fields.String()
    region = fields.String()
    segment = fields.String()
    notes = fields.String()
    tags = fields.List(fields.String())
    products = fields.List(fields.String())
    emails = fields.List(fields.String())
    phones = fields.List(fields.String())


class CustomerIn(Strict, CustomerFields):
    """The fields of a customer profile that may be written."""


class CustomerPatch(Patch, CustomerIn):
    """What to change, and the version that was read: an older one is answered 409 with both."""


class CustomerOut(Stored, CustomerFields):
    """A customer profile."""


class ErrorBody(Schema):
    """What went wrong."""

    code = fields.String()
    message = fields.String()
    fields_: Any = fields.Dict(keys=fields.String(), values=fields.String(), data_key="fields")


class ErrorOut(Schema):
    """The one shape of all errors."""

    error = fields.Nested(ErrorBody)
