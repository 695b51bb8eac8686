"""Checks that count: where a feature has a balance and nobody says how much is used, the balance itself is asked.

So are the other balances that the use would touch: pools that its meter burns, and other limits on that meter.
"""

from collections.abc import Callable
from functools import partial

from msgspec import Struct, structs

from licet.core.case import Ask
from licet.core.catalog import Credits, Metered
from licet.core.compiled import UNBOUNDED, CompiledCatalog
from licet.core.decision import Decision, decide, joined
from licet.core.entitlement import merged_overage_limit
from licet.core.explain import Node
from licet.core.instalment import include_of
from licet.core.quantity import parse_quantity
from licet.core.question import Context, Question, UserFacts
from licet.core.snapshot import Snapshot
from licet.core.usage.desk import NO_ROOM, Desk, Planned, asked
from licet.core.usage.facts import AccountKey, Want
from licet.core.usage.metering import metering_of
from licet.core.usage.outlook import NOTHING_AHEAD, Asker, Outlook, Stake, is_short, look_ahead, with_outlook
from licet.core.usage.reach import Reach, Reaches, holder_of
from licet.core.words import amount_words, window_words
from licet.services.ports import View
from licet.services.usage.balance_views import BalanceView
from licet.services.usage.balances import Folded, Truth, balance_view, folded

_UNLIMITED = 2**62


class Counted(Struct, frozen=True):
    """A question with what its balance holds, and that balance."""

    ask: Ask
    balance: Folded


class Companion(Struct, frozen=True):
    """Another balance that a use would touch, and the decision about it."""

    decision: Decision
    cost: int
    balance: Folded
    kept: bool
    """Whether anything was ever used of it, or put on it."""


def counts(catalog: CompiledCatalog, question: Question) -> bool:
    """Return whether a balance is counted for a question: its feature has one, and the caller says no ``used``."""
    feature = catalog.document.features.get(question.feature)
    return question.used is None and isinstance(feature, Metered | Credits)


async def count(view: View, truth: Truth, question: Question, user: UserFacts | str | None) -> Counted | None:
    """Return a question with what its balance holds; None where it counts none, or nobody says whose balance it is.

    A balance of which nothing was ever used, and on which nothing was put, holds what the sources give: it is not
    counted, so that whoever holds no balances answers the same, but where they bound what may be used beyond that.
    """
    catalog = truth.catalog
    if not counts(catalog, question):
        return None
    feature = catalog.features[question.feature]
    holder = holder_of(feature.each, user, question.team)
    if holder is None:
        return None
    key = AccountKey(question.customer, question.feature, holder)
    funded = any((one.feature, one.holder) == (key.feature, key.holder) for one in truth.funding)
    if not funded and not _bounded(truth, key.feature) and await view.balance(key) is None:
        return None
    balance = await folded(view, truth, key)
    room = balance.room
    ask = Ask(
        user,
        None if question.context == Context() else question.context,
        parse_quantity(question.quantity, feature.scale),
        room.used,
        UNBOUNDED if room.granted >= _UNLIMITED else room.granted,
        None if room.overage_left is None else room.overage + room.overage_left,
        None if room.spend_left is None else room.overage + room.spend_left,
    )
    return Counted(ask, balance)


def _bounded(truth: Truth, feature: str) -> bool:
    """Whether the sources in force do not tell all of it: how much may be used beyond what they give, what of it is
    there already, what rolled over.
    """
    given = truth.snapshot.entitlements(truth.at).rights.get(feature)
    if given is None:
        return False
    sources = [one for one in given.sources if not one.blocked]
    if merged_overage_limit(truth.catalog, truth.catalog.features[feature], sources) is not None:
        return True
    includes = [include_of(truth.catalog, feature, one) for one in sources]
    return any(one is not None and (one.release is not None or one.rollover != (0, 0)) for one in includes)


def decide_counted(truth: Truth, feature: str, counted: Counted) -> Decision:
    """Return the decision about a question whose balance was counted."""
    return decide(truth.snapshot.ready(feature, truth.at).case, counted.ask)


class Counting:
    """The balances of one customer at one instant, each folded once however many questions touch it."""

    def __init__(self, view: View, truth: Truth) -> None:
        self._view = view
        self._truth = truth
        self._folded: dict[AccountKey, tuple[Folded, bool]] = {}
        self._metering = metering_of(truth.catalog)

    async def decide(
        self, question: Question, user: UserFacts | str | None, uncounted: Callable[[], Decision]
    ) -> Decision:
        """Return the decision about a question by all the balances that the use would touch.

        ``uncounted`` gives that of the rights alone. Where nothing was ever used and nothing speaks against, it counts.
        """
        counted = await count(self._view, self._truth, question, user)
        alone = uncounted() if counted is None else decide_counted(self._truth, question.feature, counted)
        companions = await self.companions(question, user)
        decision = self.joined(alone, companions)
        unnamed = self.unnamed(question, user)
        if unnamed:
            decision = structs.replace(decision, unnamed=unnamed)
        if not is_short(decision):
            return decision
        return with_outlook(decision, self.outlook(question, user, counted, companions))

    def outlook(
        self,
        question: Question,
        user: UserFacts | str | None,
        counted: Counted | None,
        companions: tuple[Companion, ...],
    ) -> Outlook:
        """Return when more comes to the balances that are against a question, and when it would be permitted."""
        truth = self._truth
        stakes = [] if counted is None else [self._stake(counted.balance, counted.ask.quantity)]
        stakes += [self._stake(one.balance, one.cost) for one in companions]
        asker = Asker(Snapshot(truth.catalog, truth.terms.terms), user, question.context)
        return look_ahead(stakes, asker, truth.at) if stakes else NOTHING_AHEAD

    def _stake(self, balance: Folded, burn: int) -> Stake:
        """A balance with what a use takes of it."""
        key, funding = balance.course.key, self._truth.funding
        return Stake(key.feature, balance.account, burn, partial(self._truth.course, key), funding)

    def unnamed(self, question: Question, user: UserFacts | str | None) -> tuple[str, ...]:
        """Return whom a question would have to name, ``team`` or ``user``, so that all it touches is counted.

        A consume that does not name them is an error. Where nothing is wanted, nobody is missed.
        """
        catalog, metering = self._truth.catalog, self._metering
        if not counts(catalog, question):
            return ()
        meter = metering.meter_of.get(question.feature)
        eaches = {metering.each_of.get(question.feature, "customer")}
        eaches.update(one.each for one in metering.burning.get(meter or "", ()))
        lacking = {one for one in eaches if holder_of(one, user, question.team) is None}
        if not lacking or not parse_quantity(question.quantity, catalog.features[question.feature].scale):
            return ()
        touched = {one.burning.each for one in self._reach(question, user).touches}
        return tuple(sorted(lacking & touched))

    def _reach(self, question: Question, user: UserFacts | str | None) -> Reach:
        """What a use of the asked feature touches."""
        truth = self._truth
        reaches = Reaches(truth.catalog, self._metering, {question.customer: truth.snapshot}.get)
        return reaches.of(question.customer, question.feature, truth.at, user, question.context)

    def joined(self, decision: Decision, companions: tuple[Companion, ...]) -> Decision:
        """Return a decision with what its companions say, where that counts."""
        if not any(one.kept or one.decision.objects for one in companions):
            return decision
        return joined(decision, tuple(one.decision for one in companions))

    async def companions(self, question: Question, user: UserFacts | str | None) -> tuple[Companion, ...]:
        """Return the other balances that a use of a feature would touch; none of a user or team that nobody named."""
        truth, metering = self._truth, self._metering
        counted = metering.meter_of.get(question.feature)
        if counted is None or len(metering.burning[counted]) < 2 or question.used is not None:
            return ()
        quantity = parse_quantity(question.quantity, truth.catalog.features[question.feature].scale)
        reach = self._reach(question, user)
        found = []
        for touch in reach.touches[1:]:
            holder = holder_of(touch.burning.each, user, question.team)
            if holder is None:
                continue
            key = AccountKey(question.customer, touch.burning.feature, holder)
            balance, kept = await self._balance(key)
            planned = Planned(Desk(key, balance.account), balance.room)
            cost = planned.cost(touch.burning, quantity, metering) if quantity else 0
            if quantity and not cost:
                # What burns nothing fits, whatever there is.
                planned.room = NO_ROOM
            ask = asked(planned, cost, user, question.context)
            want = (Want(question.feature, quantity),) if quantity else ()
            decision = structs.replace(decide(touch.verdict.case, ask), wants=want)
            found.append(Companion(decision, cost, balance, kept))
        return tuple(found)

    async def _balance(self, key: AccountKey) -> tuple[Folded, bool]:
        known = self._folded.get(key)
        if known is None:
            funded = any((one.feature, one.holder) == (key.feature, key.holder) for one in self._truth.funding)
            kept = funded or await self._view.balance(key) is not None
            known = self._folded[key] = await folded(self._view, self._truth, key), kept
        return known


def _not_known(shown: BalanceView) -> str:
    """What quota leases hold of a balance, in words."""
    said = ((shown.leased, "leased to programs"), (shown.written_off, "written off"))
    return " and ".join(f"{amount} {what}" for amount, what in said if amount not in (None, 0, "0"))


def balance_node(truth: Truth, balance: Folded, wanted: int) -> Node:
    """Return a balance as a step of an explanation: every grant with what is left of it and what was drawn."""
    shown = balance_view(truth, balance)
    feature = truth.catalog.features[shown.feature]
    whose = f" of {shown.holder}" if shown.holder else ""
    window = window_words(shown.per, shown.length)
    within = f" in the {window} window" if window else ""
    text = f"the balance{whose}: {shown.used} used of {shown.granted}{within}, {shown.remaining} left"
    if balance.held is not None and (balance.held.leased or balance.held.written_off):
        text += f"; of what is used {_not_known(shown)}: not known as use"
    if shown.resets_at is not None:
        text += f", whole again at {shown.resets_at.isoformat().replace('+00:00', 'Z')}"
    grants = tuple(
        Node("grant", f"{one.source}: {one.left} left of {one.amount}, {one.drawn} drawn", None, one.id)
        for one in shown.grants
    )
    return Node("balance", f"{text}; wanted: {amount_words(feature, wanted)}", None, children=grants)
