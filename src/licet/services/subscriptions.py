"""Sales by hand: an account manager's deal is an order like any other, from the source ``manual``."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from licet.core.catalog import Id
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.terms import Subscription, TrialEnd
from licet.seal.ids import new_id
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict, NotFound
from licet.services.history import load_orders
from licet.services.normal import check_duration, invalid, normal
from licet.services.orders import OrderResult, receive_order
from licet.services.ports import Tx
from licet.services.sale_check import check_names, check_rules
from licet.services.terms import later
from licet.services.truth import Catalogs

MANUAL: Final = "manual"
"""The source of sales by hand."""


class SoldItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing sold: exactly one of plan, addon, bundle. Without a version, the one on sale now."""

    plan: Id | None = None
    addon: Id | None = None
    bundle: Id | None = None
    version: Id | None = None
    quantity: Annotated[int, Meta(ge=1, le=2**53 - 1)] = 1
    quantity_of: Id | None = None


class Sell(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subscription sold by hand. What the catalog's rules forbid is refused, unless ``accept_breaches``."""

    items: Annotated[tuple[SoldItem, ...], Meta(min_length=1, max_length=100)]
    starts_at: datetime | None = None
    """When it begins; now where absent."""
    ends_at: datetime | None = None
    """When it ends, exclusive; where absent it renews until it is cancelled."""
    trial: Annotated[str, Meta(max_length=40)] | None = None
    """How long a trial from ``starts_at`` lasts, such as ``P14D``; none where absent."""
    trial_end_behavior: TrialEnd | None = None
    """What follows the trial: ``convert`` (it is paid), ``fall`` (to the plan version's ``then``, else the end),
    ``pause`` or ``end``. Where absent, ``fall`` if the plan version has a ``then``, else ``convert``."""
    period: Annotated[str, Meta(max_length=40)] = "P1M"
    """How long a billing period lasts, from ``starts_at`` on."""
    zone: Annotated[str, Meta(max_length=64)] | None = None
    """IANA time zone of the calendar; the customer's, else the workspace's, where absent."""
    accept_breaches: bool = False
    """Sell although a rule between add-ons is broken or the plan has no trial; what is broken becomes a finding."""


class Cancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a subscription at an instant; now by default."""

    at: datetime | None = None


async def sell(tx: Tx, customer: str, command: Sell, catalogs: Catalogs) -> OrderResult:
    """Sell to a known customer; leaves what an order leaves. Raises NotFound (customer), Invalid or Unsellable."""
    command = normal(command)
    catalog = await catalogs.current(tx)
    terms = (await lock(tx, customer)).terms
    check_names(catalog, command.items)
    now = business_now(tx)
    starts_at = command.starts_at or now
    if not command.accept_breaches:
        check_rules(catalog, terms, command.items, starts_at, trial=command.trial is not None)
    trial_end = None
    if command.trial is not None:
        check_duration(command.trial, "trial")
        trial_end = later(starts_at, command.trial, command.zone or terms.profile.zone or tx.workspace.zone, "trial")
    return await receive_order(
        tx,
        OrderDocument(
            source=MANUAL,
            external_id=new_id("sale", tx.time.wall),
            customer=CustomerReferences(id=customer),
            occurred_at=now,
            lines=tuple(
                OrderLine(
                    line=f"item-{place}",
                    plan=item.plan,
                    addon=item.addon,
                    bundle=item.bundle,
                    version=item.version,
                    quantity=item.quantity,
                    quantity_of=item.quantity_of,
                )
                for place, item in enumerate(command.items, start=1)
            ),
            starts_at=starts_at,
            ends_at=command.ends_at,
            trial_start=starts_at if trial_end else None,
            trial_end=trial_end,
            trial_end_behavior=command.trial_end_behavior,
            period=command.period,
            zone=command.zone,
        ),
        catalogs,
    )


async def cancel(tx: Tx, customer: str, subscription: str, command: Cancel, catalogs: Catalogs) -> OrderResult:
    """End a subscription sold by hand; leaves what an order leaves.

    Raises NotFound, Invalid (before its start) or Conflict: one that a foreign system sold is ended there, because its
    next message would bring it back.
    """
    command = normal(command)
    terms = await lock(tx, customer)
    known = next((one for one in terms.terms.subscriptions if one.id == subscription), None)
    if known is None:
        raise NotFound(f"customer {customer} has no subscription {subscription!r}", advice="read the customer's terms")
    if known.source != MANUAL or known.external_id is None:
        raise Conflict(
            f"subscription {subscription} comes from {known.source}, whose next message would bring it back",
            advice=f"cancel it in {known.source}; to take rights away at once, suspend the customer or deny a feature",
        )
    now = business_now(tx)
    ends_at = command.at or now
    _check_end(known, ends_at)
    orders = await load_orders(tx, MANUAL, known.external_id)
    newest = orders[-1].order
    later_order = structs.replace(
        newest,
        occurred_at=max(now, newest.occurred_at),
        sequence=(newest.sequence or 0) + 1,
        effective_at=None,
        ends_at=ends_at,
    )
    return await receive_order(tx, later_order, catalogs)


def _check_end(known: Subscription, ends_at: datetime) -> None:
    """Raise Invalid for an end before the start, Conflict where it has ended earlier."""
    starts_at = known.phases[0].starts_at
    if ends_at < starts_at:
        raise invalid("at", f"{ends_at.isoformat()} is before the subscription began, {starts_at.isoformat()}")
    if known.ends_at is not None and known.ends_at <= ends_at:
        raise Conflict(f"subscription {known.id} ends already at {known.ends_at.isoformat()}", advice="sell a new one")
