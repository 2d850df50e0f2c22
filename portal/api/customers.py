"""`/api/v1/customers`, for staff."""

from typing import Any

from flask import url_for
from flask.views import MethodView
from flask_smorest import Blueprint
from sqlalchemy.orm import selectinload

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.api.idempotency import idempotent
from portal.api.resources import load_list, text_of
from portal.api.schemas import CustomerArgs, CustomerIn, CustomerOut, CustomerPatch, page_of
from portal.customers import contacts, customers
from portal.customers.findable import select_readable
from portal.customers.models import Contact, Customer

blueprint = Blueprint("customers_api", __name__, url_prefix="/api/v1/customers", description="Customers")
CustomerPage = page_of(CustomerOut)


def shape(customer: Customer) -> dict[str, Any]:
    """Shape a customer for JSON; its contact data is opened here, for staff alone."""
    return {
        "id": customer.id,
        "version": customer.version,
        "path": f"/customers/{customer.id}",
        "kind": customer.kind,
        "name": customer.name,
        "language": customer.language,
        "region": customer.region,
        "segment": customer.segment,
        "notes": customer.notes,
        "tags": [tag.name for tag in customer.tags],
        "products": [product.slug for product in customer.products],
        "emails": contacts.emails(customer),
        "phones": contacts.phones(customer),
        "external_id": customer.external_id,
        "source": customer.source,
        "created_at": text_of(customer.created_at),
        "updated_at": text_of(customer.updated_at),
    }


@blueprint.route("")
class Customers(MethodView):
    """All customer profiles."""

    @blueprint.arguments(CustomerArgs, location="query")
    @blueprint.response(200, CustomerPage)
    @needs(Permission.READ_CUSTOMERS)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List customers, newest first."""
        wanted = select_readable(current_viewer()).options(
            selectinload(Customer.tags),
            selectinload(Customer.products),
            selectinload(Customer.contacts).selectinload(Contact.points),
        )
        return load_list(wanted, Customer, args, shape)

    @blueprint.arguments(CustomerIn)
    @blueprint.response(201, CustomerOut)
    @needs(Permission.WRITE_CUSTOMERS)
    @idempotent
    def post(self, given: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Make a customer."""
        customer = customers.create(by=current_viewer(), **given)
        return shape(customer), 201, {"Location": url_for("customers_api.OneCustomer", customer_id=customer.id)}


@blueprint.route("/<int:customer_id>", endpoint="OneCustomer")
class OneCustomer(MethodView):
    """One customer profile."""

    @blueprint.response(200, CustomerOut)
    @needs(Permission.READ_CUSTOMERS)
    def get(self, customer_id: int) -> dict[str, Any]:
        """Read a customer."""
        return shape(customers.get_readable(current_viewer(), customer_id))

    @blueprint.arguments(CustomerPatch)
    @blueprint.response(200, CustomerOut)
    @needs(Permission.WRITE_CUSTOMERS)
    @idempotent
    def patch(self, given: dict[str, Any], customer_id: int) -> tuple[dict[str, Any], int]:
        """Change the given fields of a customer."""
        viewer = current_viewer()
        customer = customers.get_readable(viewer, customer_id)
        version = given.pop("version", customer.version)
        return shape(customers.save(customer, by=viewer, version=version, **given)), 200

    @blueprint.response(204)
    @needs(Permission.WRITE_CUSTOMERS)
    @idempotent
    def delete(self, customer_id: int) -> tuple[None, int]:
        """Remove a customer for good; its records remain."""
        viewer = current_viewer()
        customers.delete(customers.get_readable(viewer, customer_id), by=viewer)
        return None, 204
