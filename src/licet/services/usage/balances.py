"""Balances as they stand at any instant: folded from the facts known then over the terms known then.

What is kept of a balance is a cache. It is used for now; every other instant is folded from the facts themselves.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct, structs

from licet.core.catalog import Credits, Metered
from licet.core.compiled import CompiledCatalog, CompiledFeature
from licet.core.instant import FOREVER, SECOND, Instant, instant_words, to_datetime, to_instant
from licet.core.snapshot import Snapshot
from licet.core.usage.account import Account, BalanceNumbers, Room
from licet.core.usage.balance import Grant, Late, Refund
from licet.core.usage.course import Bound, Course, Origin, course_of
from licet.core.usage.facts import AccountKey, Fact, Funding, Reservation
from licet.core.usage.grant import COUNTED_AS
from licet.core.views import Number, wire_amount
from licet.core.words import window_length
from licet.services.customers import unknown_customer
from licet.services.normal import invalid
from licet.services.past import Known, known_of, moment_of
from licet.services.ports import View
from licet.services.rows import Page, TermsRow
from licet.services.truth import Snapshots
from licet.services.usage.answers import boundless
from licet.services.usage.balance_views import (
    BalancesView,
    BalanceView,
    GrantLeft,
)
from licet.services.usage.funding import check_holder, counted_feature, holder_of
from licet.services.usage.hourly import by_the_hour, told_by_the_hour
from licet.services.usage.lease_ports import LeaseSum
from licet.services.usage.parts import parts_of, released_until, whole_at
from licet.services.usage.refolding import NotKept, Past, Span, past_of

MAX_ENTRIES: Final = 1_000
"""Facts of one page of a statement."""
_PAGE: Final = 500
_LAST: Final = "f" * 32


class When(Struct, frozen=True, kw_only=True):
    """Which instant is asked about, and by what was known when; as everywhere, a basis beats ``known``."""

    at: datetime | None = None
    known: datetime | None = None
    basis: str | None = None


NOW: Final = When()


class Truth(Struct, frozen=True, kw_only=True):
    """What was known of a customer's balances: catalog, terms, funding, and facts recorded by ``recorded``."""

    known: Known
    terms: TermsRow
    funding: tuple[Funding, ...]
    recorded: datetime | None
    """Facts recorded later do not count; None: all of them."""
    snapshot: Snapshot
    newest: bool
    """Whether everything counts that is recorded: of several at one instant the later ones count a little after it."""

    @property
    def at(self) -> Instant:
        """The instant asked about."""
        return self.known.at

    @property
    def catalog(self) -> CompiledCatalog:
        """The catalog that counts."""
        return self.known.catalog

    def course(self, key: AccountKey, until: Instant | None = None) -> Course:
        """Return the course of a balance up to just after the instant asked about."""
        end = self.at + (SECOND if self.newest else 1) if until is None else until
        return course_of(self.catalog, self.terms.terms, self.funding, key, end)


class Folded(Struct, frozen=True):
    """A balance at an instant: its course, its numbers, and how much there is; and the account they were read from."""

    course: Course
    numbers: BalanceNumbers
    room: Room
    account: Account
    precision: Literal["exact", "hour"] = "exact"
    """``hour``: as of the end of the last whole hour, because the single facts are not kept any more."""
    held: LeaseSum | None = None
    """What quota leases hold of it; None: nobody asked, or of a past instant nobody can say."""


async def newest_truth(view: View, known: Known, snapshots: Snapshots) -> Truth | None:
    """Return what is known of a customer now, from what was read already; None for an unknown customer."""
    if known.terms is None:
        return None
    return Truth(
        known=known,
        terms=known.terms,
        funding=tuple(await view.funding(known.terms.terms.customer)),
        recorded=None,
        snapshot=snapshots.of(view, known.catalog, known.terms),
        newest=True,
    )


async def truth_of(view: View, customer: str, snapshots: Snapshots, when: When = NOW) -> Truth:
    """Return what was known of a customer; raises NotFound, NoCatalogThen, and Invalid for an instant in the future."""
    now = view.time.business
    if when.at is not None and to_instant(when.at) > now:
        words = f"{instant_words(when.at)} is still to come; it is {instant_words(to_datetime(now))}"
        raise invalid("at", words, "a balance can be told of now and of the past")
    moment = await moment_of(view, when.at, when.known, when.basis)
    known = await known_of(view, moment, customer, snapshots)
    if known.terms is None:
        raise unknown_customer(customer)
    funding = await view.funding(customer, None if moment.newest else moment.seq)
    recorded = min(moment.at if when.known is None else to_instant(when.known), now)
    newest = recorded >= now and moment.at >= now
    return Truth(
        known=known,
        terms=known.terms,
        funding=tuple(funding),
        recorded=None if recorded >= now else to_datetime(recorded),
        snapshot=snapshots.of(view, known.catalog, known.terms),
        newest=newest,
    )


async def folded(view: View, truth: Truth, key: AccountKey) -> Folded:
    """Return how a balance stood: from what is kept of it where that serves, else from its facts."""
    course = truth.course(key)
    if truth.recorded is None:
        kept = await _kept(view, truth, course)
        if kept is not None:
            return _standing(course, kept, truth)
    account = (await past(view, truth, course)).account()
    return _standing(course, account, truth)


async def folded_or_by_hours(view: View, truth: Truth, key: AccountKey) -> Folded:
    """Return how a balance stood, by the hour where its facts are not kept any more.

    Raises Invalid where hours do not say enough: of credits, of each user or team, and of sessions.
    """
    try:
        return await folded(view, truth, key)
    except NotKept:
        course, meter = truth.course(key), meter_of(truth.catalog, key.feature)
        if meter is None or not told_by_the_hour(course, meter):
            raise
        account, at = await by_the_hour(view, course, meter, truth.at)
        return Folded(course, account.standing(at), account.room(at), account, "hour")


def _standing(course: Course, account: Account, truth: Truth) -> Folded:
    at = max(truth.at, account.newest)
    room = account.room(at)
    return Folded(course, account.standing(at), room, account)


async def past(view: View, truth: Truth, course: Course, since: Instant = FOREVER) -> Past:
    """Return what a balance is folded from: a checkpoint of before ``since`` and of before the instant asked about."""
    before = min(since, truth.at + 1)
    meter = meter_of(truth.catalog, course.feature)
    span = Span(
        truth.at,
        None if truth.newest else truth.at + 1,
        truth.recorded,
        unended=tuple(one.fact for one in await _ended(view, course.key, truth.at)),
    )
    return await past_of(view, course, meter, before, span)


async def get_balance(view: View, key: AccountKey, snapshots: Snapshots, when: When = NOW) -> BalanceView:
    """Return one balance at an instant (now by default), by what was known then.

    Raises NotFound (customer), Invalid for a feature without a balance, a holder that has none, or an instant in the
    future.
    """
    truth = await truth_of(view, key.customer, snapshots, when)
    check_holder(counted_feature(truth.catalog, key.feature), key)
    (balance,) = await with_leases(view, truth, [await folded_or_by_hours(view, truth, key)])
    return balance_view(truth, balance)


async def list_balances(view: View, customer: str, snapshots: Snapshots, page: Page, when: When = NOW) -> BalancesView:
    """List a customer's balances by (feature, holder): those with an allowance, with funding, or with use.

    ``after`` of the page is ``feature/holder``. Raises as :func:`get_balance` does.
    """
    truth = await truth_of(view, customer, snapshots, when)
    feature, _, holder = page.after.rpartition("/")
    rows = await view.balances(customer, page)
    beyond = (rows[-1].key.feature, rows[-1].key.holder) if len(rows) >= page.limit else None
    found = {row.key for row in rows}
    for key in _keys(truth):
        place = (key.feature, key.holder)
        if (not page.after or place > (feature, holder)) and (beyond is None or place <= beyond):
            found.add(key)
    chosen = sorted(key for key in found if _counted(truth.catalog, key.feature))[: page.limit]
    told = await with_leases(view, truth, [await folded_or_by_hours(view, truth, key) for key in chosen])
    shown = tuple(balance_view(truth, one) for one in told)
    return BalancesView(customer=customer, at=to_datetime(truth.at), balances=shown)


async def with_leases(view: View, truth: Truth, balances: Sequence[Folded]) -> list[Folded]:
    """Return balances with what quota leases hold of each now, read at once; those of the past as they are."""
    begins = {one.course.feature: one.course.period_at(truth.at)[0] for one in balances if not one.course.holder}
    if not truth.newest or not begins:
        return [*balances] if not truth.newest else [_with(one, {}) for one in balances]
    sums = {one.feature: one for one in await view.lease_sums(truth.terms.terms.customer, begins)}
    return [_with(one, sums) for one in balances]


def _with(balance: Folded, sums: dict[str, LeaseSum]) -> Folded:
    feature, nothing = balance.course.feature, LeaseSum(feature=balance.course.feature, leased=0, written_off=0)
    return structs.replace(balance, held=nothing if balance.course.holder else sums.get(feature, nothing))


def account_key(
    catalog: CompiledCatalog, customer: str, feature: str, user: str | None, team: str | None
) -> AccountKey:
    """Return the key of a balance; raises Invalid for a feature without one, or where the user or team lacks."""
    return AccountKey(customer, feature, holder_of(counted_feature(catalog, feature), feature, user, team))


def meter_of(catalog: CompiledCatalog, feature: str) -> str | None:
    """Return the meter of a metered feature."""
    found = catalog.document.features.get(feature)
    return found.meter if isinstance(found, Metered) else None


def balance_view(truth: Truth, balance: Folded) -> BalanceView:
    """Return a balance as it is shown."""
    course, numbers, held = balance.course, balance.numbers, balance.held
    feature = truth.catalog.features[course.feature]

    bound, spend = course.bound_at(numbers.at), course.spend_limit_at(numbers.at)
    beyond = bound.overage_limit if bound.at_limit == "overage" else None

    def units(minor: int) -> Number:
        return wire_amount(minor, feature.scale)

    return BalanceView(
        customer=course.key.customer,
        feature=course.feature,
        holder=course.holder,
        at=to_datetime(numbers.at),
        used=units(numbers.used),
        granted=units(boundless(numbers.granted, numbers.granted)),
        remaining=units(boundless(numbers.remaining, numbers.granted)),
        overage=units(numbers.overage),
        leased=None if held is None else units(held.leased),
        written_off=None if held is None else units(held.written_off),
        deficit=units(_deficit(numbers, bound, spend)),
        per=_per(course, numbers, feature),
        resets_at=None if numbers.resets_at is None else to_datetime(numbers.resets_at),
        at_limit=bound.at_limit,
        overage_limit=None if beyond is None else units(beyond),
        spend_limit=None if spend is None else units(spend),
        length=window_length(truth.catalog, course.feature),
        unit=None if feature.unit is None else feature.unit.many,
        grants=_lefts(truth, course, numbers, feature),
        crossed=numbers.crossed,
        basis=truth.known.basis,
        precision=balance.precision,
    )


def _deficit(numbers: BalanceNumbers, bound: Bound, spend: int | None) -> int:
    """What of the use is beyond all that may be used."""
    if bound.at_limit == "warn":
        return 0
    allowed = [0] if bound.at_limit == "block" else [one for one in (bound.overage_limit, spend) if one is not None]
    return max(0, numbers.overage - min(allowed)) if allowed else 0


async def _kept(view: View, truth: Truth, course: Course) -> Account | None:
    """The account that is kept, with what ended by itself since; None where it must be folded anew."""
    row = await view.balance(course.key)
    late = row is not None and row.as_of > truth.at and not truth.newest
    account = None if row is None or late else Account.load(course, row.state)
    if account is None:
        return None
    try:
        for one in await _ended(view, course.key, truth.at):
            fact = one.fact
            account.refund(
                Refund(
                    id=fact.id,
                    effective=fact.until or FOREVER,
                    use=fact.id,
                    amount=fact.burns.get(course.feature, 0),
                ),
                one.draws.get(course.feature, ()),
                fact.effective,
            )
    except Late:
        return None
    return account


async def _ended(view: View, key: AccountKey, at: Instant) -> list[Reservation]:
    """The reservations of a balance that ended by themselves and that nobody noted, in the order of their ends."""
    found: list[Reservation] = []
    page = Page(limit=_PAGE)
    while True:
        rows = await view.open_reservations(key.customer, page, by=at)
        found += [one for one in rows if _touches(one.fact, key)]
        if len(rows) < _PAGE:
            return sorted(found, key=lambda one: (one.fact.until or FOREVER, one.fact.id))
        page = structs.replace(page, after=rows[-1].fact.id)


def _touches(fact: Fact, key: AccountKey) -> bool:
    return key.feature in fact.burns and key.holder in ("", f"user:{fact.user}", f"team:{fact.team}")


def _keys(truth: Truth) -> Iterable[AccountKey]:
    """The balances that a customer has by its rights and by what was put on them."""
    customer = truth.terms.terms.customer
    rights = truth.snapshot.entitlements(truth.at).rights
    for name, feature in truth.catalog.document.features.items():
        if isinstance(feature, Metered | Credits) and feature.each == "customer":
            given = rights.get(name)
            if given is not None and given.sources:
                yield AccountKey(customer, name)
    for one in truth.funding:
        yield AccountKey(customer, one.feature, one.holder)


def _counted(catalog: CompiledCatalog, feature: str) -> bool:
    return isinstance(catalog.document.features.get(feature), Metered | Credits)


def _lefts(truth: Truth, course: Course, numbers: BalanceNumbers, feature: CompiledFeature) -> tuple[GrantLeft, ...]:
    """The grants that count, in the order in which they burn."""
    at = numbers.at
    ahead = released_until(course, at)
    parts = {} if ahead is None else parts_of(truth.course(course.key, ahead), at, feature.scale)
    burning = sorted(
        (one for one in course.grants if one.id in numbers.lefts),
        key=lambda one: (one.priority, whole_at(one, at), one.effective, one.id),
    )
    return tuple(structs.replace(_left(one, course, numbers, feature), parts=parts.get(one.id)) for one in burning)


def _left(grant: Grant, course: Course, numbers: BalanceNumbers, feature: CompiledFeature) -> GrantLeft:
    worth = _worth(grant, numbers.at)
    left = numbers.lefts[grant.id]
    ends = whole_at(grant, numbers.at)
    return GrantLeft(
        id=grant.id,
        amount=wire_amount(boundless(worth, worth), feature.scale),
        left=wire_amount(boundless(left, worth), feature.scale),
        priority=grant.priority,
        effective_at=to_datetime(grant.effective),
        expires_at=None if ends >= FOREVER else to_datetime(ends),
        drawn=wire_amount(max(0, min(worth, COUNTED_AS) - left), feature.scale),
        source=origin_words(course.origins.get(grant.id)),
    )


def _worth(grant: Grant, at: Instant) -> int:
    """What a grant is worth at an instant, in minor units."""
    return next((mark.amount for mark in reversed(grant.marks) if mark.at <= at), grant.amount)


def _per(course: Course, numbers: BalanceNumbers, feature: CompiledFeature) -> str | None:
    """How often the allowances in force are whole again, where all of them agree; else as the feature says.

    One that a plan change has put another in the place of is in force no more.
    """
    counting = {one.id for one in course.grants if _worth(one, numbers.at) or numbers.lefts.get(one.id)}
    origins = [course.origins.get(one) for one in numbers.lefts if one in counting]
    said = {origin.per for origin in origins if origin is not None and origin.per}
    return said.pop() if len(said) == 1 else feature.per


def origin_words(origin: Origin | None) -> str:
    """Return in a few words where a grant comes from."""
    if origin is None:
        return ""
    if origin.kind == "funding":
        return f"put on: {origin.id}"
    windowed = origin.per in ("rolling", "session", "lifetime")
    per = "" if origin.per is None else f", {origin.per}" if windowed else f", per {origin.per}"
    return f"{origin.kind} {origin.id}{per}" + (", of the trial" if origin.trialing else "")
