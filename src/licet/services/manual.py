"""Subscriptions sold by hand: what was agreed on one and is planned, and how a change of it is foreseen and made.

A change is a new whole order from the source ``manual``: the lines of now, and each later state as scheduled lines.
Foreseeing it folds that order in and writes nothing; making it hands the same order to the orders' door.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, structs

from licet.core.compiled import CompiledCatalog, ItemKind
from licet.core.derive import derive
from licet.core.gains import RightChange, compare_rights
from licet.core.instant import format_instant, parse_instant, to_datetime, to_instant
from licet.core.orders import (
    MAX_LINES,
    MAX_SCHEDULED,
    FindingDraft,
    OrderDocument,
    OrderLine,
    Outcome,
    Placement,
    ScheduledLines,
)
from licet.core.placement import rank
from licet.core.succession import has_ended
from licet.core.terms import Item, Phase, Subscription, Terms
from licet.core.trail import follow, moves_of
from licet.core.trial import fallen
from licet.core.upcoming import recurrences
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.history import PlacedOrder, accepted, base_zone, fold_orders, load_orders
from licet.services.normal import invalid, utc
from licet.services.orders import OrderResult, check_order, receive_order
from licet.services.ports import Tx
from licet.services.rows import TermsRow
from licet.services.sources import BY_HAND
from licet.services.truth import Catalogs

MANUAL: Final = BY_HAND
"""The source of sales by hand."""
MAX_SEQUENCE: Final = 2**53 - 1
MOMENT: Final = timedelta(microseconds=1)
"""By so much an order is newer than one that has the highest sequence of its instant."""
NOW: Final = "now"
PERIOD_END: Final = "period_end"

Moment = Annotated[str, Meta(max_length=40)]
"""``now``, ``period_end`` (when the next billing period begins), or an instant (RFC 3339; a date is midnight UTC)."""


class HeldItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a subscription consists of, in its version."""

    kind: str
    id: str
    version: str
    quantity: int = 1
    quantity_of: str | None = None
    bundle: str | None = None


class Planned(Struct, frozen=True, kw_only=True):
    """What a subscription will consist of from a later instant on."""

    at: datetime
    items: tuple[HeldItem, ...]


class ChangeResult(Struct, frozen=True, kw_only=True):
    """What became, or would become, of a change. ``order`` is None where nothing was written."""

    order: str | None
    outcome: Outcome | Literal["foreseen"]
    """``foreseen``: by a dry run."""
    customer: str
    subscription: str | None
    findings: tuple[FindingDraft, ...] = ()
    effective_at: datetime
    """From when on it counts."""
    dry_run: bool
    changes: tuple[RightChange, ...]
    """Which rights differ at ``effective_at``, with this change and without."""
    scheduled: tuple[Planned, ...]
    """What is planned for later."""
    remarks: tuple[str, ...] = ()
    """What else is worth knowing."""


class Agreed(Struct, frozen=True):
    """What lies ready when a subscription is changed. ``blocks`` is all it ever consisted of or will, in order.

    ``fall`` is the one of them that begins when a trial falls: nobody ordered it, and no order plans it. ``tried`` are
    the plans that lapse then.
    """

    row: TermsRow
    known: Subscription
    orders: list[PlacedOrder]
    blocks: tuple[ScheduledLines, ...]
    now: datetime
    catalog: CompiledCatalog
    zone: tzinfo
    fall: ScheduledLines | None
    tried: tuple[Item, ...]

    @property
    def begins(self) -> datetime:
        """The earliest instant at which anything can change: now, or its start where that is still to come."""
        return max(self.now, self.known.phases[0].starts_at)

    @property
    def scheduled(self) -> tuple[ScheduledLines, ...]:
        """What is planned for later, before its end."""
        ends_at = self.known.ends_at
        return tuple(
            one
            for one in self.blocks
            if one.effective_at > self.begins and one != self.fall and (ends_at is None or one.effective_at < ends_at)
        )


async def agreed_on(tx: Tx, customer: str, subscription: str, catalogs: Catalogs) -> Agreed:
    """Lock a customer and return what was agreed on one of its subscriptions.

    Raises NotFound, or Conflict: one that a foreign system sold is changed there, because its next message would undo
    what was changed here.
    """
    row = await lock(tx, customer)
    known = next((one for one in row.terms.subscriptions if one.id == subscription), None)
    if known is None:
        raise NotFound(
            f"customer {customer} has no subscription {subscription!r}",
            advice=f"list them: GET /v1/customers/{customer}/subscriptions",
        )
    if known.source != MANUAL or known.external_id is None:
        raise Conflict(
            f"subscription {subscription} comes from {known.source}, whose next message would undo a change made here",
            advice=f"change or cancel it in {known.source}; to take rights away at once, suspend the customer or deny "
            "a feature",
        )
    orders = await load_orders(tx, MANUAL, known.external_id)
    catalog = await catalogs.current(tx)
    zone = catalog.zone(known.zone, row.terms.profile.zone)
    blocks = [_pinned(one, known) for one in planned_blocks(orders)]
    left = fallen(catalog, known, moves_of(row.terms, known.id))
    fall = None
    if left is not None and known.trial_end is not None:
        fall = ScheduledLines(effective_at=known.trial_end, lines=tuple(map(line_of, left.items)))
        blocks.append(fall)
    tried = () if left is None else tuple(trail.bought for trail in left.lapsed)
    found = settled(blocks, falls_at(known))
    return Agreed(row, known, orders, found, business_now(tx), catalog, zone, fall, tried)


def falls_at(known: Subscription) -> datetime | None:
    """Return when a trial falls or fell, unless something else begins just then; None where no trial falls."""
    return known.trial_end if known.trial_end_behavior == "fall" else None


def line_of(item: Item) -> OrderLine:
    """Return the line that sells an item in its version, by itself where it came in a bundle."""
    return OrderLine(
        line=item.line,
        plan=item.id if item.kind == "plan" else None,
        addon=item.id if item.kind == "addon" else None,
        version=item.version,
        quantity=item.quantity,
        quantity_of=item.quantity_of,
    )


def planned_blocks(orders: Sequence[PlacedOrder]) -> tuple[ScheduledLines, ...]:
    """Return what all orders together say the subscription consists of, each from an instant until the next."""
    blocks: tuple[ScheduledLines, ...] = ()
    newest = None
    for placed in accepted([*orders]):
        order = placed.order
        if newest is not None and rank(order) == newest:
            continue
        newest = rank(order)
        effective = order.effective_at or order.occurred_at
        kept = tuple(one for one in blocks if one.effective_at < effective)
        if not order.lines and has_ended(order):
            blocks = kept or blocks[:1]
            continue
        start = effective if kept else order.starts_at or (blocks[0].effective_at if blocks else effective)
        blocks = (*kept, ScheduledLines(effective_at=start, lines=order.lines), *order.scheduled)
    return blocks


def _pinned(block: ScheduledLines, known: Subscription) -> ScheduledLines:
    """The block with each plan and add-on in the version that it has in the terms, where its line names none."""
    begun = [phase for phase in known.phases if phase.starts_at <= block.effective_at]
    items = (begun[-1] if begun else known.phases[0]).items
    versions = {(item.kind, item.id): item.version for item in items if item.bundle is None}

    def pinned(line: OrderLine) -> OrderLine:
        named: tuple[ItemKind, str] = ("plan", line.plan) if line.plan is not None else ("addon", line.addon or "")
        return line if line.version is not None else structs.replace(line, version=versions.get(named))

    return structs.replace(block, lines=tuple(pinned(line) for line in block.lines))


def settled(blocks: Sequence[ScheduledLines], fall: datetime | None = None) -> tuple[ScheduledLines, ...]:
    """Return the blocks in order, without those that say the same as the one before: they plan nothing.

    One that begins at the very instant at which a trial would fall does: without it there would be the fall.
    """
    found: list[ScheduledLines] = []
    for one in sorted(blocks, key=lambda one: one.effective_at):
        if not found or one.effective_at == fall or _essence(found[-1]) != _essence(one):
            found.append(one)
    return tuple(found)


def same_plan(blocks: Sequence[ScheduledLines], others: Sequence[ScheduledLines]) -> bool:
    """Return whether blocks say the same of the same instants, whenever it was bought."""
    return [(one.effective_at, _essence(one)) for one in blocks] == [
        (one.effective_at, _essence(one)) for one in others
    ]


def _essence(block: ScheduledLines) -> list[OrderLine]:
    """What lines sell, whenever it was bought and wherever it is written."""
    return [structs.replace(line, line=None, bought_at=None) for line in block.lines]


def block_at(blocks: Sequence[ScheduledLines], at: datetime) -> ScheduledLines:
    """Return the block in force at an instant; before the first block that block."""
    return [blocks[0], *(one for one in blocks if one.effective_at <= at)][-1]


def check_running(agreed: Agreed) -> None:
    """Raise Conflict for a subscription that has ended."""
    held = derive(agreed.catalog, agreed.row.terms, to_instant(agreed.now)).held
    standing = next(one.standing for one in held if one.subscription.id == agreed.known.id)
    if agreed.known.final or standing.kind == "ended":
        since = format_instant(standing.since) if standing.kind == "ended" else "for good"
        raise Conflict(f"subscription {agreed.known.id} has ended ({since})", advice="sell a new one")


def moment_of(agreed: Agreed, at: str | None, path: str = "at") -> datetime:
    """Return the instant that is meant; raises Invalid for one that is past or not before the subscription's end."""
    known, begins = agreed.known, agreed.begins
    if at is None or at == NOW:
        found = begins
    elif at == PERIOD_END:
        starts = recurrences(known, to_instant(begins), agreed.zone, 1)
        if not starts:
            raise Conflict(f"subscription {known.id} has no further billing period", advice="name an instant instead")
        found = to_datetime(starts[0])
    else:
        found = instant_of(at, path)
        if found < agreed.now:
            raise invalid(path, f"{told(found)} is past; it is {told(agreed.now)}", "name now or a later instant")
        if found < begins:
            raise invalid(path, f"{told(found)} is before the subscription begins, {told(begins)}")
    if known.ends_at is not None and found >= known.ends_at:
        raise invalid(
            path,
            f"{told(found)} is not before the end of the subscription, {told(known.ends_at)}",
            "name an earlier instant, or let it end later first (reinstate what was cancelled, else extend)",
        )
    return found


def instant_of(text: str, path: str) -> datetime:
    """Read an instant; raises Invalid with what is allowed."""
    try:
        return utc(to_datetime(parse_instant(text)), path)
    except (ValueError, OverflowError):
        words = f"{text!r} is no moment; write now, period_end or an instant such as 2026-12-31T00:00:00Z"
        raise invalid(path, words) from None


def told(at: datetime) -> str:
    """Return an instant as errors name it."""
    return format_instant(to_instant(at))


def whole_order(agreed: Agreed, blocks: Sequence[ScheduledLines], **changed: Any) -> OrderDocument:
    """Return the order that wants ``blocks`` and everything else as it is, but for the fields that are ``changed``.

    Raises Invalid for more lines or later states than an order may have.
    """
    known, newest = agreed.known, agreed.orders[-1].order
    blocks = settled(blocks, falls_at(agreed.known))
    later = tuple(one for one in blocks if one.effective_at > agreed.begins and one != agreed.fall)
    if len(later) > MAX_SCHEDULED:
        raise invalid("at", f"{len(later)} changes would be scheduled; at most {MAX_SCHEDULED} are kept")
    most = max(len(one.lines) for one in blocks)
    if most > MAX_LINES:
        raise invalid("add", f"the subscription would have {most} lines; at most {MAX_LINES} are kept")
    occurred_at, sequence = max(agreed.now, newest.occurred_at), (newest.sequence or 0) + 1
    if sequence > MAX_SEQUENCE:
        occurred_at, sequence = max(agreed.now, newest.occurred_at + MOMENT), 0
    fell = agreed.fall is not None and agreed.fall.effective_at <= agreed.begins
    follows = known.trial_end_behavior if newest.trial_end is None else newest.trial_end_behavior
    whole = structs.replace(
        newest,
        occurred_at=occurred_at,
        sequence=sequence,
        message=None,
        effective_at=None if occurred_at == agreed.now else agreed.now,
        lines=block_at(blocks, agreed.begins).lines,
        scheduled=later,
        starts_at=known.phases[0].starts_at,
        ends_at=known.ends_at,
        # A trial that fell stays in the terms; an order that does not tell it sells what its lines say.
        trial_start=None if fell else known.trial_start,
        trial_end=None if fell else known.trial_end,
        trial_end_behavior=None if fell else follows,
        paused=None,
        pauses=known.pauses,
        payments=(),
        paid_up=None,
    )
    return structs.replace(whole, **changed)


async def carry_out(
    tx: Tx, agreed: Agreed, order: OrderDocument, effective_at: datetime, catalogs: Catalogs, *, dry_run: bool
) -> ChangeResult:
    """Place an order that changes a subscription, or only foresee it; leaves what an order leaves, or nothing.

    Raises Invalid for an order beyond its bounds: what is recorded can be read again.
    """
    terms = agreed.row.terms
    try:
        msgspec.convert(msgspec.to_builtins(order), OrderDocument)
    except msgspec.ValidationError as wrong:
        raise Invalid(f"the subscription as it would be is no order that can be kept: {wrong}") from None
    check_order(tx, order)
    zone = base_zone(agreed.orders, terms.profile.zone or tx.workspace.zone)
    placement = fold_orders(
        agreed.catalog, terms, agreed.orders, PlacedOrder(order, ""), subscription_id=agreed.known.id, zone=zone
    )
    result = None if dry_run else await receive_order(tx, order, catalogs)
    return change_result(agreed.catalog, terms, placement, (agreed.now, effective_at), result)


def change_result(
    catalog: CompiledCatalog,
    before: Terms,
    placement: Placement,
    times: tuple[datetime, datetime],
    result: OrderResult | None,
) -> ChangeResult:
    """Return the answer: what was foreseen, and what became of it (``result``; None: it was only foreseen).

    ``times`` are now and the instant from which on the change counts.
    """
    after, (now, effective_at) = placement.terms, times
    made = next((one for one in after.subscriptions if one.id == placement.subscription), None)
    return ChangeResult(
        order=None if result is None else result.order,
        outcome=_foreseen(placement.outcome) if result is None else result.outcome,
        customer=before.customer,
        subscription=placement.subscription,
        findings=placement.findings if result is None else result.findings,
        effective_at=effective_at,
        dry_run=result is None,
        changes=compare_rights(catalog, before, catalog, after, to_instant(effective_at)),
        scheduled=() if made is None else planned_phases(catalog, after, made, now),
        remarks=() if made is None else _remarks(catalog, after, made, now),
    )


def _foreseen(outcome: Outcome) -> Outcome | Literal["foreseen"]:
    """What a dry run answers: what would be applied is only foreseen."""
    return "foreseen" if outcome == "applied" else outcome


def _remarks(catalog: CompiledCatalog, terms: Terms, made: Subscription, now: datetime) -> tuple[str, ...]:
    """What is said about changes that are planned for when a running trial will be over."""
    ends_at, follows = made.trial_end, made.trial_end_behavior
    if ends_at is None or ends_at <= now or follows == "convert":
        return ()
    planned = [told(one.at) for one in planned_phases(catalog, terms, made, now) if one.at >= ends_at]
    if not planned:
        return ()
    word = {
        "fall": "falls then; what is planned begins all the same, and is paid from its first instant on",
        "pause": "ends in a pause then; what is planned gives nothing until it is resumed",
        "end": "ends the subscription then; what is planned for later never begins",
    }[follows]
    return (f"the trial lasts until {told(ends_at)} and {word}: {', '.join(planned[:5])}",)


def unchanged(agreed: Agreed, effective_at: datetime, *, dry_run: bool) -> ChangeResult:
    """Return the answer to a change that changes nothing: nothing is written."""
    return ChangeResult(
        order=None,
        outcome="duplicate",
        customer=agreed.row.terms.customer,
        subscription=agreed.known.id,
        effective_at=effective_at,
        dry_run=dry_run,
        changes=(),
        scheduled=planned_phases(agreed.catalog, agreed.row.terms, agreed.known, agreed.now),
    )


def planned_phases(
    catalog: CompiledCatalog, terms: Terms, subscription: Subscription, now: datetime
) -> tuple[Planned, ...]:
    """Return what a subscription is planned to consist of after ``now``, by orders and by a foreign schedule.

    Each in the version in which it is read when it begins, through the moves in the customer's terms.
    """
    moves = moves_of(terms, subscription.id)

    def read(phase: Phase) -> tuple[HeldItem, ...]:
        at = to_instant(phase.starts_at)
        return tuple(held_item(follow(catalog, moves, item, at).item) for item in phase.items)

    own, schedule = subscription.phases, subscription.schedule
    ends = [one for one in (subscription.ends_at, schedule.ends_at if schedule else None) if one is not None]
    return tuple(
        Planned(at=phase.starts_at, items=read(phase))
        for phase in sorted((*own, *(schedule.phases if schedule else ())), key=lambda one: one.starts_at)
        if now < phase.starts_at and all(phase.starts_at < end for end in ends)
    )


def held_item(item: Item) -> HeldItem:
    """Return an item of the terms as it is shown."""
    return HeldItem(
        kind=item.kind,
        id=item.id,
        version=item.version,
        quantity=item.quantity,
        quantity_of=item.quantity_of,
        bundle=item.bundle,
    )
