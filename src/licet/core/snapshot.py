"""What an evaluator holds: one customer's terms, and the decisions made ready for whoever has been asked about."""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from licet.core.case import Ask, Case, judge
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.derive import Entitlements, Holdings, Memo
from licet.core.entitlement import Entitlement
from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.quantity import parse_quantity
from licet.core.question import Context, UserFacts
from licet.core.terms import Terms

Answer = Callable[[int | str, int | str | None, UserFacts | str | None, Context | None], Decision]
"""From quantity, used, user and context to a decision; raises ValueError for a quantity that is none."""
_MAX_INT: Final = 2**63 - 1


class Prepared(Struct, frozen=True, gc=False):
    """One customer's answer about one feature, ready. ``fixed`` where it depends on nothing that is asked."""

    good_from: Instant
    good_until: Instant
    fixed: Decision | None
    answer: Answer


class Snapshot:
    """One customer's terms under one catalog. Builds nothing for features that nobody asks about."""

    __slots__ = ("_entitlements", "catalog", "memo", "ready", "terms")

    def __init__(self, catalog: CompiledCatalog, terms: Terms, memo: Memo | None = None) -> None:
        self.catalog = catalog
        self.terms = terms
        self.memo = memo
        self.ready: dict[str, Prepared] = {}
        self._entitlements: Entitlements | None = None

    def entitlements(self, now: Instant) -> Entitlements:
        """Return the entitlements at ``now``, derived again only past a boundary."""
        known = self._entitlements
        if known is None or not known.good_from <= now < known.good_until:
            known = self._entitlements = Holdings(self.catalog, self.terms).entitlements(now, self.memo)
        return known

    def prepare(self, feature: str, now: Instant) -> Prepared:
        """Return the answer about one feature made ready for ``now``; features without a right share nothing."""
        entitlements = self.entitlements(now)
        span = entitlements.span(feature)
        case = Case(
            catalog=self.catalog,
            customer=self.terms.customer,
            feature=feature,
            good_from=span.start,
            good_until=span.end,
            terms=self.terms,
            entitlements=entitlements,
        )
        prepared = prepare_case(case)
        if feature in self.catalog.features:
            self.ready[feature] = prepared
        return prepared


class Truth:
    """All customers an evaluator knows, under one catalog; snapshots come to be when somebody is asked about."""

    __slots__ = ("_snapshots", "_terms", "catalog", "memo")

    def __init__(self, catalog: CompiledCatalog, terms: Iterable[Terms] = ()) -> None:
        self.catalog = catalog
        self.memo = Memo(catalog)
        self._terms = {one.customer: one for one in terms}
        self._snapshots: dict[str, Snapshot] = {}

    def put(self, terms: Terms) -> None:
        """Take a customer's newer terms; what was prepared for it is forgotten."""
        self._terms[terms.customer] = terms
        self._snapshots.pop(terms.customer, None)

    def drop(self, customer: str) -> None:
        """Forget a customer."""
        self._terms.pop(customer, None)
        self._snapshots.pop(customer, None)

    def release(self, catalog: CompiledCatalog) -> None:
        """Take a newer catalog for all customers at once; everything prepared is forgotten, the terms stay."""
        self.catalog = catalog
        self.memo = Memo(catalog)
        self._snapshots = {}

    def snapshot(self, customer: str) -> Snapshot | None:
        """Return the customer's snapshot; None for an unknown customer."""
        found = self._snapshots.get(customer)
        if found is None and customer in self._terms:
            found = self._snapshots[customer] = Snapshot(self.catalog, self._terms[customer], self.memo)
        return found

    def check(
        self,
        customer: str,
        feature: str,
        now: Instant,
        *,
        user: UserFacts | str | None = None,
        context: Context | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
    ) -> Decision:
        """Return the decision about one feature of one customer at ``now``. Never writes to anything that is stored.

        ``quantity`` is wanted on top of ``used``, which counts as 0 where the caller does not say; both in major
        units, an integer or a decimal string. Raises ValueError for a quantity that is none.
        """
        try:
            prepared = self._snapshots[customer].ready[feature]
        except KeyError:
            prepared = self._prepare(customer, feature, now)
        else:
            if not prepared.good_from <= now < prepared.good_until:
                prepared = self._prepare(customer, feature, now)
        fixed = prepared.fixed
        if fixed is not None:
            return fixed
        return prepared.answer(quantity, used, user, context)

    def _prepare(self, customer: str, feature: str, now: Instant) -> Prepared:
        """What was not ready, made ready."""
        snapshot = self.snapshot(customer)
        if snapshot is not None:
            return snapshot.prepare(feature, now)
        return prepare_case(Case(self.catalog, customer, feature, BEGINNING, FOREVER))


def check(
    snapshot: Snapshot,
    feature: str,
    now: Instant,
    *,
    user: UserFacts | str | None = None,
    context: Context | None = None,
    quantity: int | str = 1,
    used: int | str | None = None,
) -> Decision:
    """Return the decision about one feature at ``now``, as :meth:`Truth.check` does for one of many customers."""
    prepared = snapshot.ready.get(feature)
    if prepared is None or not prepared.good_from <= now < prepared.good_until:
        prepared = snapshot.prepare(feature, now)
    if prepared.fixed is not None:
        return prepared.fixed
    return prepared.answer(quantity, used, user, context)


def prepare_case(case: Case) -> Prepared:
    """Return the ready answer of a case: one object where nothing asked can matter, else a closure.

    A refusal keeps what was asked, since its remedy depends on it.
    """
    feature = case.catalog.features.get(case.feature)
    given = None if case.entitlements is None else case.entitlements.rights.get(case.feature)
    if given is not None and feature is not None and _asks(case, given):
        return Prepared(case.good_from, case.good_until, None, _general(case))
    verdict = judge(case, Ask())
    if verdict.amount is not None:
        return Prepared(case.good_from, case.good_until, None, _counting(case))
    bare = Decision(verdict.allowed, verdict.reasons[0], case)
    if verdict.allowed and verdict.would_deny is None:
        return Prepared(case.good_from, case.good_until, bare, _general(case))
    return Prepared(case.good_from, case.good_until, None, _refusing(case, bare))


def _asks(case: Case, given: Entitlement) -> bool:
    """Whether any part of the answer depends on user or context."""
    return (
        case.catalog.features[case.feature].gate.asks
        or any(one.gate.asks for one in given.sources)
        or any(one.gate.asks for one in given.denials)
    )


def minor_units(quantity: int | str, scale: int) -> int:
    """Return a quantity in minor units; raises ValueError for what is none."""
    if quantity.__class__ is int and not scale and 0 <= quantity <= _MAX_INT:
        return quantity
    return parse_quantity(quantity, scale)


def _general(case: Case) -> Answer:
    """Judges each question anew."""
    feature = case.catalog.features.get(case.feature)
    scale = 0 if feature is None else feature.scale

    def answer(
        quantity: int | str, used: int | str | None, user: UserFacts | str | None, context: Context | None
    ) -> Decision:
        ask = Ask(user, context, minor_units(quantity, scale), None if used is None else minor_units(used, scale))
        verdict = judge(case, ask)
        return Decision(verdict.allowed, verdict.reasons[0], case, ask.quantity, ask.used, user, context)

    return answer


def _refusing(case: Case, bare: Decision) -> Answer:
    """Refuses whatever is asked; remembers what was."""
    feature = case.catalog.features.get(case.feature)
    counted, scale = feature is not None and feature.counted, 0 if feature is None else feature.scale

    def answer(
        quantity: int | str, used: int | str | None, user: UserFacts | str | None, context: Context | None
    ) -> Decision:
        if user is None and context is None and not counted:
            return bare
        wanted = minor_units(quantity, scale) if counted else 1
        had = None if used is None or not counted else minor_units(used, scale)
        return Decision(bare.allowed, bare.reason, case, wanted, had, user, context)

    return answer


def _counting(case: Case) -> Answer:
    """Compares a count with a known amount: all that is left where neither user nor context matters."""
    feature = case.catalog.features[case.feature]
    scale = feature.scale
    low, high = judge(case, Ask(quantity=0)), judge(case, Ask(quantity=_MAX_INT, used=_MAX_INT))
    amount = low.amount or 0
    low_allowed, low_reason = low.allowed, low.reasons[0]
    high_allowed, high_reason = high.allowed, high.reasons[0]

    def answer(
        quantity: int | str, used: int | str | None, user: UserFacts | str | None, context: Context | None
    ) -> Decision:
        if scale or quantity.__class__ is not int or not 0 <= quantity <= _MAX_INT:
            quantity = parse_quantity(quantity, scale)
        counted = 0 if used is None else minor_units(used, scale)
        had = None if used is None else counted
        if counted + quantity <= amount:
            return Decision(low_allowed, low_reason, case, quantity, had, user, context)
        return Decision(high_allowed, high_reason, case, quantity, had, user, context)

    return answer
