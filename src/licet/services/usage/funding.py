"""What commands put on balances or say about them: grants, voids, resets, spend limits, rules of automatic top-ups.

Each is a command like any other: it locks its customer, leaves an event, and counts from an instant. A grant is an
amount, never a right: whether a feature may be used at all is for subscriptions and overrides to say.
"""

from typing import Final, Protocol

from msgspec import Struct, structs

from licet.core.catalog import Credits, Metered
from licet.core.compiled import CompiledCatalog
from licet.core.instant import (
    FOREVER,
    Duration,
    Instant,
    add_duration,
    instant_words,
    parse_duration,
    to_datetime,
    to_instant,
)
from licet.core.orders import subject_of
from licet.core.quantity import parse_quantity
from licet.core.spelling import nearest
from licet.core.usage.course import course_of
from licet.core.usage.facts import (
    AccountKey,
    BalanceReset,
    Funding,
    FundingDoc,
    GrantGiven,
    GrantVoided,
    SpendLimit,
    TopUpRule,
)
from licet.seal.ids import new_id
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict, NotFound
from licet.services.normal import check_length, clean_id, invalid, normal
from licet.services.ports import Tx, View
from licet.services.rows import Draft, TermsRow
from licet.services.terms import get_terms
from licet.services.truth import Catalogs
from licet.services.usage.funding_views import (
    FundingView,
    GiveGrant,
    LimitSpend,
    ResetBalance,
    RuleTopUp,
    VoidGrant,
    funding_view,
    recorded,
)
from licet.services.usage.ports import FundingWrites, UsageReads

MAX_FUNDING: Final = 10_000
"""How much may be put on, or said about, the balances of one customer by commands."""
_WHO: Final = "name the user or the team whose balance is meant"


class FundingTx(Tx, UsageReads, FundingWrites, Protocol):
    """A writing transaction that knows balances."""


class FundingReads(View, UsageReads, Protocol):
    """A reading one."""


class _Desk(Struct):
    """What every command about one balance begins with: the customer locked, its feature known."""

    tx: FundingTx
    customer: str
    terms: TermsRow
    catalog: CompiledCatalog
    feature: Metered | Credits
    name: str
    scale: int
    holder: str
    now: Instant

    def minor(self, amount: int | str, path: str) -> int:
        """Return an amount in minor units; raises Invalid."""
        try:
            return parse_quantity(amount, self.scale)
        except ValueError as wrong:
            raise invalid(path, str(wrong)) from None

    async def put(self, doc: FundingDoc, event: str, effective: Instant, prefix: str = "fnd") -> Funding:
        """Append it with its event."""
        funding = Funding(id=new_id(prefix, self.tx.time.wall), feature=self.name, holder=self.holder, doc=doc)
        await self.tx.put_funding(self.customer, funding)
        await self.tx.record(
            Draft(
                type=event,
                subject=subject_of("customer", self.customer),
                after=recorded(self.customer, funding, self.scale),
                effective_at=to_datetime(effective),
            )
        )
        return funding

    def view(self, funding: Funding) -> FundingView:
        """Return it as it is shown."""
        return funding_view(self.customer, funding, self.scale)


async def give_grant(tx: FundingTx, customer: str, command: GiveGrant, catalogs: Catalogs) -> FundingView:
    """Put an amount on a balance; leaves ``balance.granted``.

    Raises NotFound (customer), Invalid (no such balance, an amount that does not fit, an instant before now), Conflict.
    """
    command = normal(command)
    desk = await _open(tx, customer, command.feature, (command.user, command.team), catalogs)
    effective = desk.now if command.effective_at is None else to_instant(command.effective_at)
    if effective < desk.now:
        raise invalid(
            "effective_at",
            f"{instant_words(to_datetime(effective))} has passed; it is {instant_words(to_datetime(desk.now))}",
            "the past stays as it was: leave it out, and the grant begins now",
        )
    amount = desk.minor(command.amount, "amount")
    if amount <= 0:
        raise invalid("amount", "a grant of nothing is none", "write an amount above 0")
    doc = GrantGiven(
        amount=amount,
        effective=effective,
        priority=command.priority,
        expires=_expiry(desk, command, effective),
        every=_every(command),
        rollover_min=desk.minor(command.rollover.min, "rollover.min") if command.rollover else 0,
        rollover_max=desk.minor(command.rollover.max, "rollover.max") if command.rollover else 0,
        cause=command.cause,
        note=command.note,
    )
    return desk.view(await desk.put(doc, "balance.granted", effective, "grt"))


async def void_grant(tx: FundingTx, customer: str, grant: str, command: VoidGrant, catalogs: Catalogs) -> FundingView:
    """Let a grant count no longer; leaves ``balance.grant_voided``. The view is of the grant, with ``voided_at``.

    Raises NotFound (customer, grant), Invalid (an instant before now) or Conflict (voided or expired already).
    """
    command = normal(command)
    await lock(tx, customer)
    known = await tx.funding(customer)
    found = next((one for one in known if one.id == grant), None)
    if found is None or not isinstance(found.doc, GrantGiven):
        raise NotFound(f"customer {customer} has no grant {grant!r}", advice="list what was put on its balances")
    desk = await _open(tx, customer, found.feature, _holder_parts(found.holder), catalogs)
    at = desk.now if command.at is None else to_instant(command.at)
    if at < desk.now:
        raise invalid("at", f"{instant_words(to_datetime(at))} has passed", "the past stays as it was")
    before = min(
        (one.doc.at for one in known if isinstance(one.doc, GrantVoided) and one.doc.grant == grant), default=FOREVER
    )
    over = min(before, FOREVER if found.doc.expires is None else found.doc.expires)
    if over <= at:
        raise Conflict(
            f"grant {grant} counts only until {instant_words(to_datetime(over))} already",
            advice="nothing is left to void",
        )
    await desk.put(GrantVoided(grant=grant, at=at, note=command.note), "balance.grant_voided", at)
    return structs.replace(desk.view(found), voided_at=to_datetime(at))


async def reset_balance(tx: FundingTx, customer: str, command: ResetBalance, catalogs: Catalogs) -> FundingView:
    """Make allowances whole again; leaves ``balance.reset``. What was put on by hand once stays as it is.

    A window is emptied, an open session ends. Raises NotFound (customer), Invalid for an instant in the future, before
    the balance opens or before the period that is in, and for a level that lasts until another is reported; Conflict
    for a second reset at one instant.
    """
    command = normal(command)
    desk = await _open(tx, customer, command.feature, (command.user, command.team), catalogs)
    if isinstance(desk.feature, Metered) and desk.catalog.document.meters[desk.feature.meter].aggregate == "latest":
        words = f"{desk.name} holds the level that was reported last, and no reset changes what is so"
        raise invalid("feature", words, "report the level it has now, or grant more")
    known = await tx.funding(customer)
    at = desk.now if command.at is None else to_instant(command.at)
    said = instant_words(to_datetime(at))
    if at > desk.now:
        raise invalid("at", f"{said} is still to come; it is {instant_words(to_datetime(desk.now))}", "reset it then")
    key = AccountKey(customer, desk.name, desk.holder)
    course = course_of(desk.catalog, desk.terms.terms, known, key, desk.now + 1)
    begins = max(course.opens, course.period_at(desk.now)[0])
    if course.opens > at:
        raise invalid("at", f"the balance holds nothing yet at {said}", "put something on it first")
    if at < begins:
        words = f"{said} is before the period that is in, which began at {instant_words(to_datetime(begins))}"
        raise invalid("at", words, "the periods before stay as they were")
    for one in known:
        same = (one.feature, one.holder) == (desk.name, desk.holder)
        if same and isinstance(one.doc, BalanceReset) and one.doc.at == at:
            raise Conflict(f"{desk.name} was reset at {said} already", advice="nothing is left to reset")
    doc = BalanceReset(at=at, anchor=command.anchor, note=command.note)
    return desk.view(await desk.put(doc, "balance.reset", at))


async def limit_spend(tx: FundingTx, customer: str, command: LimitSpend, catalogs: Catalogs) -> FundingView:
    """Bound what may be used beyond what there is, from now on; leaves ``balance.spend_limited``."""
    command = normal(command)
    desk = await _open(tx, customer, command.feature, (command.user, command.team), catalogs)
    amount = None if command.amount is None else desk.minor(command.amount, "amount")
    doc = SpendLimit(at=desk.now, amount=amount, note=command.note)
    return desk.view(await desk.put(doc, "balance.spend_limited", desk.now))


async def rule_top_up(tx: FundingTx, customer: str, command: RuleTopUp, catalogs: Catalogs) -> FundingView:
    """Let a balance be topped up by itself from now on, or no more; leaves ``balance.top_up_ruled``.

    Raises Invalid where one top-up is more than a month may bring, or would not lift the balance to ``below``.
    """
    command = normal(command)
    desk = await _open(tx, customer, command.feature, (command.user, command.team), catalogs)
    below, amount, most = (desk.minor(getattr(command, name), name) for name in ("below", "amount", "most"))
    if amount > most:
        raise invalid("most", "one top-up is more than a month may bring", "write most as amount or more")
    if amount and not below:
        raise invalid("below", "less than 0 is never left", "write how much must be left at least, above 0")
    consented = desk.now if command.consented_at is None else to_instant(command.consented_at)
    if consented > desk.now:
        raise invalid("consented_at", "consent is given before it counts, not later", "leave it out for now")
    if command.expires_after is not None:
        check_length(command.expires_after, "expires_after")
    doc = TopUpRule(
        at=desk.now,
        below=below,
        amount=amount,
        most=most,
        consented_by=command.consented_by,
        consented_at=consented,
        expires_after=command.expires_after,
        note=command.note,
    )
    return desk.view(await desk.put(doc, "balance.top_up_ruled", desk.now))


async def list_funding(
    view: FundingReads, customer: str, catalogs: Catalogs, *, feature: str | None = None
) -> list[FundingView]:
    """Return all that was put on a customer's balances, by id; raises NotFound for an unknown customer."""
    await get_terms(view, customer)
    catalog = await catalogs.current(view)
    known = await view.funding(customer)
    voided: dict[str, Instant] = {}
    for one in known:
        if isinstance(one.doc, GrantVoided):
            voided[one.doc.grant] = min(one.doc.at, voided.get(one.doc.grant, FOREVER))
    shown = []
    for one in known:
        if feature is not None and one.feature != feature:
            continue
        made = catalog.features.get(one.feature)
        made_view = funding_view(customer, one, 0 if made is None else made.scale)
        if one.id in voided:
            made_view = structs.replace(made_view, voided_at=to_datetime(voided[one.id]))
        shown.append(made_view)
    return shown


def counted_feature(catalog: CompiledCatalog, name: str, path: str = "feature") -> Metered | Credits:
    """Return a feature that has a balance; raises Invalid for an unknown one or one of another type."""
    feature = catalog.document.features.get(name)
    if feature is None:
        close = nearest(name, catalog.features)
        raise invalid(path, f"the catalog has no feature {name!r}", f"write {close}" if close else "")
    if not isinstance(feature, Metered | Credits):
        kind = catalog.features[name].type
        raise invalid(
            path, f"{name} is a feature of type {kind}, which has no balance", "name a metered or credits one"
        )
    return feature


def holder_of(feature: Metered | Credits, name: str, user: str | None, team: str | None) -> str:
    """Return the holder of the balance that is meant; raises Invalid where a user or team lacks or is too many."""
    named = {"customer": None, "user": user, "team": team}[feature.each]
    for kind, given in (("user", user), ("team", team)):
        if given is not None and feature.each != kind:
            raise invalid(kind, f"{name} has one balance per {feature.each}", f"leave {kind} out")
    if feature.each == "customer":
        return ""
    if named is None:
        raise invalid(feature.each, f"{name} has one balance per {feature.each}", _WHO)
    return f"{feature.each}:{clean_id(named, feature.each)}"


def check_holder(feature: Metered | Credits, key: AccountKey) -> None:
    """Raise Invalid, saying whom to name, where no balance of a feature can be held by the holder of a key."""
    kind = key.holder.partition(":")[0] or "customer"
    if kind == feature.each:
        return
    advice = {
        "customer": "leave holder out",
        "user": "name whose: holder=user:ann, on the command line --holder user:ann",
        "team": "name whose: holder=team:design, on the command line --holder team:design",
    }[feature.each]
    said = f"not per {kind}" if key.holder else "and none of the customer as a whole"
    raise invalid("holder", f"{key.feature} has one balance per {feature.each}, {said}", advice)


async def _open(
    tx: FundingTx,
    customer: str,
    feature: str,
    whose: tuple[str | None, str | None],
    catalogs: Catalogs,
) -> _Desk:
    catalog = await catalogs.current(tx)
    made = counted_feature(catalog, feature)
    holder = holder_of(made, feature, *whose)
    terms = await lock(tx, customer)
    known = await tx.funding(customer)
    if len(known) >= MAX_FUNDING:
        raise Conflict(
            f"{len(known)} grants, limits and rules were given to customer {customer}; no more are taken",
            advice="use grants that recur (every) instead of many single ones",
        )
    scale = catalog.features[feature].scale
    return _Desk(tx, customer, terms, catalog, made, feature, scale, holder, to_instant(business_now(tx)))


def _expiry(desk: _Desk, command: GiveGrant, effective: Instant) -> Instant | None:
    """When a grant ends; raises Invalid for an end that is said twice or lies before the beginning."""
    if command.expires_at is not None and command.expires_after is not None:
        raise invalid("expires_after", "an end is said twice", "say expires_at or expires_after")
    if command.expires_after is not None:
        zone = desk.catalog.zone(desk.terms.terms.profile.zone)
        end = add_duration(effective, _duration(command.expires_after, "expires_after"), zone)
        if end <= effective:
            raise invalid("expires_after", f"{command.expires_after} is no time at all", "write a duration like P30D")
        return None if end >= FOREVER else end
    if command.expires_at is None:
        return None
    end = to_instant(command.expires_at)
    if end <= effective:
        words = (
            f"{instant_words(command.expires_at)} is not after its beginning, {instant_words(to_datetime(effective))}"
        )
        raise invalid("expires_at", words)
    return end


def _every(command: GiveGrant) -> str | None:
    """How often a grant recurs; raises Invalid for less than an hour, and for a rollover of one that does not."""
    if command.every is None:
        if command.rollover is not None:
            raise invalid("rollover", "what is given once has nothing to roll over", "say every, or leave it out")
        return None
    check_length(command.every, "every")
    return command.every


def _duration(text: str, path: str) -> Duration:
    """Return a duration; raises Invalid."""
    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise invalid(path, str(wrong)) from None


def _holder_parts(holder: str) -> tuple[str | None, str | None]:
    kind, _, name = holder.partition(":")
    return (name if kind == "user" else None), (name if kind == "team" else None)
