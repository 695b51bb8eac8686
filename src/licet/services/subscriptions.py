"""Sales by hand: an account manager's deal is an order like any other, from the source ``manual``; and its end."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, structs

from licet.core.catalog import Id
from licet.core.instant import to_datetime, to_instant
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.terms import Terms, TrialEnd
from licet.core.upcoming import recurrences
from licet.seal.ids import new_id
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict
from licet.services.history import PlacedOrder, accepted, fold_orders
from licet.services.manual import (
    MANUAL,
    NOW,
    PERIOD_END,
    Agreed,
    ChangeResult,
    Moment,
    agreed_on,
    carry_out,
    change_result,
    check_running,
    instant_of,
    moment_of,
    told,
    whole_order,
)
from licet.services.normal import check_length, invalid, normal
from licet.services.orders import check_order, receive_order
from licet.services.ports import Tx
from licet.services.sale_check import check_names, check_rules
from licet.services.terms import later
from licet.services.truth import Catalogs


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
    dry_run: bool = False
    """Write nothing; answer what the customer would gain."""


class Cancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a subscription; now by default."""

    at: Moment | None = None
    """``now``, ``period_end`` or an instant that is not past. Exclusive: at that instant it has ended."""
    dry_run: bool = False
    """Write nothing; answer what the customer would lose."""


class Extend(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a subscription with an end, agreed or by cancellation, end later."""

    until: Moment | None
    """The new end, exclusive; null: it renews without one."""
    dry_run: bool = False
    """Write nothing; answer what becomes different at the present end."""


class Reinstate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take back a cancellation that has not happened yet."""

    dry_run: bool = False
    """Write nothing; answer what the customer would keep."""


async def sell(tx: Tx, customer: str, command: Sell, catalogs: Catalogs) -> ChangeResult:
    """Sell to a known customer; leaves what an order leaves. Raises NotFound (customer), Invalid or Unsellable."""
    command = normal(command)
    if command.trial is None and command.trial_end_behavior is not None:
        words = f"{command.trial_end_behavior} would follow a trial, and none is sold"
        raise invalid("trial_end_behavior", words, "say how long a trial lasts (trial), or leave this out")
    catalog = await catalogs.current(tx)
    row = await lock(tx, customer)
    now = business_now(tx)
    check_names(catalog, command.items, now)
    starts_at = command.starts_at or now
    if not command.accept_breaches:
        check_rules(catalog, row.terms, command.items, starts_at, trial=command.trial is not None)
    order = _sale(tx, row.terms, command, starts_at)
    check_order(tx, order)
    outlook = fold_orders(
        catalog,
        row.terms,
        [],
        PlacedOrder(order, ""),
        subscription_id=new_id("sub", tx.time.wall),
        zone=row.terms.profile.zone or tx.workspace.zone,
    )
    result = None if command.dry_run else await receive_order(tx, order, catalogs)
    foreseen = change_result(catalog, row.terms, outlook, (now, starts_at), result)
    return structs.replace(foreseen, subscription=None if result is None else result.subscription)


def _sale(tx: Tx, terms: Terms, command: Sell, starts_at: datetime) -> OrderDocument:
    """The order that sells; raises Invalid for a trial that cannot be counted."""
    trial_end = None
    if command.trial is not None:
        check_length(command.trial, "trial")
        trial_end = later(starts_at, command.trial, command.zone or terms.profile.zone or tx.workspace.zone, "trial")
    return OrderDocument(
        source=MANUAL,
        external_id=new_id("sale", tx.time.wall),
        customer=CustomerReferences(id=terms.customer),
        occurred_at=business_now(tx),
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
    )


async def cancel(tx: Tx, customer: str, subscription: str, command: Cancel, catalogs: Catalogs) -> ChangeResult:
    """End a subscription sold by hand; leaves what an order leaves.

    What is planned for later stays planned, for the case that the cancellation is taken back. Raises NotFound, Invalid
    (a past instant) or Conflict: it has ended, or ends earlier already.
    """
    command = normal(command)
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    _check_ends_later(agreed, command.at)
    check_running(agreed)
    ends_at = moment_of(agreed, command.at)
    order = whole_order(agreed, agreed.blocks, ends_at=ends_at)
    return await carry_out(tx, agreed, order, ends_at, catalogs, dry_run=command.dry_run)


def _check_ends_later(agreed: Agreed, at: str | None) -> None:
    """Raise Conflict where the subscription ends at or before the instant of a cancellation."""
    known = agreed.known
    if known.ends_at is None:
        return
    wanted = agreed.begins
    if at == PERIOD_END:
        starts = recurrences(known, to_instant(agreed.begins), agreed.zone, 1)
        wanted = to_datetime(starts[0]) if starts else known.ends_at
    elif at is not None and at != NOW:
        wanted = instant_of(at, "at")
    if known.ends_at <= wanted:
        ended = known.ends_at <= agreed.now
        raise Conflict(
            f"subscription {known.id} ends already at {told(known.ends_at)}",
            advice="sell a new one" if ended else "to let it end later, extend it",
        )


async def extend(tx: Tx, customer: str, subscription: str, command: Extend, catalogs: Catalogs) -> ChangeResult:
    """Let a subscription that was sold with an end, or cancelled, end later or never; leaves what an order leaves.

    Raises NotFound; Invalid (not after its present end); Conflict (it has ended, or has no end).
    """
    command = normal(command)
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    check_running(agreed)
    ends_at = agreed.known.ends_at
    if ends_at is None:
        raise Conflict(f"subscription {subscription} has no end; it renews", advice="nothing has to be done")
    until = None if command.until is None else instant_of(command.until, "until")
    if until is not None and until <= ends_at:
        words = f"{told(until)} is not after the present end, {told(ends_at)}"
        raise invalid("until", words, "name a later instant; cancel lets it end earlier")
    order = whole_order(agreed, agreed.blocks, ends_at=until)
    return await carry_out(tx, agreed, order, ends_at, catalogs, dry_run=command.dry_run)


async def reinstate(tx: Tx, customer: str, subscription: str, command: Reinstate, catalogs: Catalogs) -> ChangeResult:
    """Take back a cancellation that has not happened yet: it ends again as it was sold or extended to, or renews.

    Raises NotFound or Conflict: there is no cancellation, or it has happened.
    """
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    known = agreed.known
    check_running(agreed)
    agreed_ends = [placed.order.ends_at for placed in accepted(agreed.orders)]
    sold_until = None if None in agreed_ends else max(one for one in agreed_ends if one is not None)
    if known.ends_at is None or (sold_until is not None and sold_until <= known.ends_at):
        why = f": {told(known.ends_at)} is the end it was sold with or extended to" if known.ends_at else "; it renews"
        raise Conflict(
            f"subscription {subscription} is not cancelled{why}",
            advice="extend it to let it end later" if known.ends_at else "nothing has to be done",
        )
    order = whole_order(agreed, agreed.blocks, ends_at=sold_until)
    return await carry_out(tx, agreed, order, known.ends_at, catalogs, dry_run=command.dry_run)
