"""Customers over HTTP."""

from typing import Final

from licet.api.call import Call
from licet.api.contract import AtLeast, Listing, Paging, operation
from licet.services import bound
from licet.services import customers as use
from licet.services.customers import ChangeCustomer, CreateCustomer
from licet.services.errors import NotFound
from licet.services.known import near_customer
from licet.services.rows import CustomerRow, TermsRow

TAG: Final = "Customers"
ACME: Final = {"customer": "acme"}
EXAMPLE: Final = {
    "id": "acme",
    "revision": 1,
    "name": "Acme Industries",
    "email": "it@acme.example",
    "external_ids": {"stripe": "cus_NffrFeUfNV2Hib"},
    "profile": {"region": "eu", "country": "DE", "zone": "Europe/Berlin"},
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}


@operation(
    "POST",
    "/v1/customers",
    tag=TAG,
    scopes=("orders", "admin"),
    writes=True,
    status=201,
    example={name: EXAMPLE[name] for name in ("id", "name", "email", "external_ids", "profile")},
    answer=EXAMPLE,
    problems=("conflict",),
)
async def create_customer(call: Call, body: CreateCustomer) -> CustomerRow:
    """Create a customer.

    Without an id one is given. `external_ids` maps a source to the id by which that system knows the customer. Name
    and email are personal: the log holds only commitments of them.
    """
    return await use.create_customer(call.tx, body)


@operation(
    "GET",
    "/v1/customers",
    tag=TAG,
    scopes=("orders", "admin"),
    answer={"items": [EXAMPLE], "next": None},
    sensitive=True,
)
async def list_customers(call: Call, query: Paging) -> Listing[CustomerRow]:
    """List customers by id."""
    async with call.read() as view:
        rows = await use.list_customers(view, query.page)
    return query.listing(rows, lambda row: row.id)


@operation(
    "GET",
    "/v1/customers/{customer}",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME,
    answer=EXAMPLE,
    sensitive=True,
)
async def get_customer(call: Call, customer: str, query: AtLeast) -> CustomerRow:  # noqa: ARG001 read by the runner
    """Return one customer. Where there is none, the refusal names the nearest id."""
    async with call.read() as view:
        try:
            return await use.get_customer(view, customer)
        except NotFound:
            if call.caller.customer is not None:
                raise
            raise await near_customer(view, customer) from None


@operation(
    "PATCH",
    "/v1/customers/{customer}",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    writes=True,
    example_path=ACME,
    example={"profile": {"region": "us", "country": "US"}, "external_ids": {"crm": "0015g00000XyZ"}},
    answer=EXAMPLE | {"revision": 2},
    problems=("conflict",),
)
async def change_customer(call: Call, customer: str, body: ChangeCustomer) -> CustomerRow:
    """Change a customer.

    What is left out stays; null removes a name, an email or one external id from the record. The log's side table
    keeps earlier names and emails until the customer is erased, and messages of foreign systems are kept as they came.
    A profile is replaced whole. A key that is bound to the customer may not change external ids.
    """
    bound.check_change(call.tx, body)
    return await use.change_customer(call.tx, customer, body)


@operation(
    "GET",
    "/v1/customers/{customer}/terms",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME,
    answer={
        "revision": 1,
        "seq": 7,
        "recorded_at": "2026-03-01T09:00:00Z",
        "terms": {"customer": "acme", "profile": {"region": "eu"}},
    },
)
async def get_terms(call: Call, customer: str, query: AtLeast) -> TermsRow:  # noqa: ARG001 read by the runner
    """Return the newest terms of a customer: everything agreed, dated. Rights are derived from them, never stored."""
    async with call.read() as view:
        row = await view.terms(customer)
    if row is None:
        raise use.unknown_customer(customer)
    return row
