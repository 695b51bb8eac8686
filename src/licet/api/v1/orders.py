"""Orders over HTTP: the whole desired state of one foreign subscription, never a delta."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from licet.api.call import Call
from licet.api.contract import operation
from licet.api.v1.customers import ACME
from licet.core.orders import OrderDocument
from licet.core.terms import Override, Terms
from licet.services import bound, overrides, suspensions
from licet.services.orders import OrderResult
from licet.services.overrides import AddOverride, EndOverride
from licet.services.rows import TermsRow
from licet.services.suspensions import Suspend

TAG: Final = "Orders and contracts"
RESULT: Final = {
    "order": "evt_0198f3a2c4d17c3e9a51b2c3d4e5f607",
    "outcome": "applied",
    "customer": "acme",
    "subscription": "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608",
    "findings": [],
}
OVERRIDE: Final = {
    "id": "ovr_0198f3a2c4d37c3e9a51b2c3d4e5f609",
    "feature": "projects",
    "amount": 50,
    "starts_at": "2026-03-01T09:00:00Z",
    "ends_at": "2026-06-01T00:00:00Z",
    "note": "while they migrate",
    "event": "evt_0198f3a2c4d47c3e9a51b2c3d4e5f60a",
}
SUSPENDED: Final = {
    "revision": 3,
    "recorded_at": "2026-03-01T09:00:00Z",
    "terms": {
        "customer": "acme",
        "suspensions": [{"starts_at": "2026-03-01T09:00:00Z", "note": "chargeback"}],
    },
}


class OverrideAnswer(Struct, frozen=True, kw_only=True):
    """An override as it stands in the terms."""

    override: Override


class SuspensionAnswer(Struct, frozen=True, kw_only=True):
    """The terms of a customer with its suspensions, as they are after the command."""

    revision: int
    recorded_at: datetime
    terms: Terms


@operation(
    "POST",
    "/v1/orders",
    tag=TAG,
    scopes=("orders",),
    binding=lambda body: [body.customer.id],
    writes=True,
    example={
        "source": "crm",
        "external_id": "deal-4711",
        "customer": {"id": "acme"},
        "occurred_at": "2026-03-01T09:00:00Z",
        "lines": [{"line": "1", "plan": "team", "quantity": 12, "quantity_of": "editor"}],
        "starts_at": "2026-03-01T00:00:00Z",
        "period": "P1M",
    },
    answer=RESULT,
    problems=("conflict", "no_catalog", "unprocessable"),
)
async def place_order(call: Call, body: OrderDocument) -> OrderResult:
    """Place an order: the whole desired state of one subscription of a foreign system.

    `source` and `external_id` name the subscription for ever. The newest `occurred_at` (then `sequence`) wins, in
    whatever order orders arrive; the same order again changes nothing. What is odd but can be applied is applied, with
    findings. A key that is bound to a customer orders from the source `customer:` and its customer's id, and names the
    customer by `id` alone: other sources and foreign ids belong to the whole workspace.
    """
    return await bound.place_order(call.tx, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/overrides",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    status=201,
    example_path=ACME,
    example={"feature": "projects", "amount": 50, "ends_at": "2026-06-01T00:00:00Z", "note": "while they migrate"},
    answer={"override": OVERRIDE},
    problems=("conflict", "no_catalog"),
)
async def add_override(call: Call, customer: str, body: AddOverride) -> OverrideAnswer:
    """Give or deny one feature to one customer, dated; from now on where nothing else is said."""
    return OverrideAnswer(override=await overrides.add_override(call.tx, customer, body, call.parts.snapshots.catalogs))


@operation(
    "POST",
    "/v1/customers/{customer}/overrides/{override}/end",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ACME | {"override": "ovr_0198f3a2c4d37c3e9a51b2c3d4e5f609"},
    example={"at": "2026-05-01T00:00:00Z"},
    answer={"override": OVERRIDE | {"ends_at": "2026-05-01T00:00:00Z"}},
    problems=("conflict",),
)
async def end_override(call: Call, customer: str, override: str, body: EndOverride) -> OverrideAnswer:
    """End an override, now or at an instant."""
    return OverrideAnswer(override=await overrides.end_override(call.tx, customer, override, body))


@operation(
    "POST",
    "/v1/customers/{customer}/suspend",
    tag=TAG,
    scopes=("admin",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ACME,
    example={"note": "chargeback"},
    answer=SUSPENDED,
    problems=("conflict",),
)
async def suspend_customer(call: Call, customer: str, body: Suspend) -> SuspensionAnswer:
    """Permit nothing at all to a customer from now on, whatever was bought."""
    return _suspensions(await suspensions.suspend(call.tx, customer, body))


@operation(
    "POST",
    "/v1/customers/{customer}/resume",
    tag=TAG,
    scopes=("admin",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ACME,
    example={"note": "paid"},
    answer=SUSPENDED,
    problems=("conflict",),
)
async def resume_customer(call: Call, customer: str, body: Suspend) -> SuspensionAnswer:
    """End a suspension now."""
    return _suspensions(await suspensions.resume(call.tx, customer, body))


def _suspensions(row: TermsRow) -> SuspensionAnswer:
    return SuspensionAnswer(revision=row.revision, recorded_at=row.recorded_at, terms=row.terms)
