"""Sales by hand: an account manager's deal is an order like any other, from the source ``manual``."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from licet.core.catalog import Catalog, Id
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.terms import Subscription, TrialEnd
from licet.seal.ids import new_id
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict, NotFound
from licet.services.history import load_orders
from licet.services.normal import check_duration, invalid, normal
from licet.services.orders import OrderResult, receive_order
from licet.services.ports import Tx
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
    """A subscription sold by hand. ``trial`` is a duration from its start; ``ends_at`` is exclusive."""

    items: Annotated[tuple[SoldItem, ...], Meta(min_length=1, max_length=100)]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    trial: Annotated[str, Meta(max_length=40)] | None = None
    trial_end_behavior: TrialEnd = "convert"
    period: Annotated[str, Meta(max_length=40)] = "P1M"
    zone: Annotated[str, Meta(max_length=64)] | None = None


class Cancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a subscription at an instant; now by default."""

    at: datetime | None = None


async def sell(tx: Tx, customer: str, command: Sell, catalogs: Catalogs) -> OrderResult:
    """Sell to a known customer; leaves what an order leaves. Raises NotFound (customer) or Invalid (what is sold)."""
    command = normal(command)
    catalog = (await catalogs.current(tx)).document
    await lock(tx, customer)
    for place, item in enumerate(command.items):
        _check_item(catalog, item, f"items[{place}]")
    now = business_now(tx)
    starts_at = command.starts_at or now
    trial_end = None
    if command.trial is not None:
        check_duration(command.trial, "trial")
        trial_end = later(starts_at, command.trial, command.zone or tx.workspace.zone, "trial")
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


def _check_item(catalog: Catalog, item: SoldItem, path: str) -> None:
    """Raise Invalid unless an item names exactly one thing that the catalog has."""
    named = [(kind, getattr(item, kind)) for kind in ("plan", "addon", "bundle") if getattr(item, kind) is not None]
    if len(named) != 1:
        raise invalid(path, f"exactly one of plan, addon, bundle is needed, not {len(named)}")
    kind, name = named[0]
    offered: dict[str, object] = getattr(catalog, f"{kind}s")
    if name not in offered:
        raise invalid(f"{path}.{kind}", f"the catalog has no {kind} {name!r}; it has {', '.join(sorted(offered)[:20])}")
    if item.quantity_of is not None and item.quantity_of not in catalog.features:
        raise invalid(f"{path}.quantity_of", f"the catalog has no feature {item.quantity_of!r}")
