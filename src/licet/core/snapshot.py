"""What an evaluator holds: one customer's terms, and the decisions made ready for whoever has been asked about."""

from collections.abc import Iterable

from msgspec import Struct

from licet.core.case import Case
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.derive import Entitlements, Holdings, Memo
from licet.core.entitlement import Entitlement
from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.question import Context, UserFacts
from licet.core.reason import Reason
from licet.core.ruling import Ruling, is_restrained, make_ruling, reads_profile
from licet.core.terms import Terms


class Prepared(Struct, frozen=True, gc=False):
    """One customer's answer about one feature, ready. ``fixed`` where it depends on nothing that is asked.

    ``ruling`` is shared by customers with the same rights.
    """

    good_from: Instant
    good_until: Instant
    fixed: Decision | None
    ruling: Ruling
    case: Case


class Shared(Struct, frozen=True):
    """One ruling and the entitlement it is for, kept alive so that its identity stays its own."""

    given: Entitlement | None
    ruling: Ruling
    fixed: Reason | None
    """The reason of the one allowing decision, where nothing asked matters."""
    reads: bool
    """Whether the ruling reads the customer's profile."""


class Snapshot:
    """One customer's terms under one catalog. Builds nothing for features that nobody asks about."""

    __slots__ = ("_entitlements", "_ready", "catalog", "memo", "terms")

    def __init__(self, catalog: CompiledCatalog, terms: Terms, memo: Memo | None = None) -> None:
        self.catalog = catalog
        self.terms = terms
        self.memo = memo
        self._ready: dict[str, Prepared] | None = None
        self._entitlements: Entitlements | None = None

    def ready(self, feature: str, now: Instant) -> Prepared:
        """Return the answer about one feature, made ready again only past a boundary."""
        if self._ready is None:
            self._ready = {}
        known = self._ready.get(feature)
        if known is None or not known.good_from <= now < known.good_until:
            known = self.prepare(feature, now)
            if feature in self.catalog.features:
                self._ready[feature] = known
        return known

    def entitlements(self, now: Instant) -> Entitlements:
        """Return the entitlements at ``now``, derived again only past a boundary."""
        known = self._entitlements
        if known is None or not known.good_from <= now < known.good_until:
            known = self._entitlements = Holdings(self.catalog, self.terms).entitlements(now, self.memo)
        return known

    def prepare(self, feature: str, now: Instant, usable_until: Instant = FOREVER) -> Prepared:
        """Return the answer about one feature made ready for ``now``; keeps nothing but the entitlements.

        It is never good beyond ``usable_until``, from where on each feature's ``when_unreachable`` has a say.
        """
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
            expired=now >= usable_until,
        )
        prepared = prepare_case(case, self.memo)
        if usable_until == FOREVER:
            return prepared
        start, end = (usable_until, FOREVER) if case.expired else (BEGINNING, usable_until)
        bounds = max(case.good_from, start), min(case.good_until, end)
        return Prepared(*bounds, prepared.fixed, prepared.ruling, prepared.case)


class Truth:
    """All customers an evaluator knows, under one catalog; snapshots come to be when somebody is asked about.

    From ``usable_until`` on each feature's ``when_unreachable`` has a say.
    """

    __slots__ = ("_ready", "_snapshots", "_terms", "catalog", "memo", "usable_until")

    def __init__(
        self, catalog: CompiledCatalog, terms: Iterable[Terms] = (), *, usable_until: Instant = FOREVER
    ) -> None:
        self.usable_until = usable_until
        self._terms = {one.customer: one for one in terms}
        self.release(catalog)

    def put(self, terms: Terms) -> None:
        """Take a customer's newer terms; what was prepared for it is forgotten."""
        self._terms[terms.customer] = terms
        self._forget(terms.customer)

    def drop(self, customer: str) -> None:
        """Forget a customer."""
        self._terms.pop(customer, None)
        self._forget(customer)

    def release(self, catalog: CompiledCatalog) -> None:
        """Take a newer catalog for all customers at once; everything prepared is forgotten, the terms stay."""
        self.catalog = catalog
        self.memo = Memo(catalog)
        self._snapshots: dict[str, Snapshot] = {}
        # By feature first: a process asks about few features of many customers, and every look-up is a cache miss.
        self._ready: dict[str, dict[str, Prepared]] = {feature: {} for feature in catalog.features}

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
            prepared = self._ready[feature][customer]
        except KeyError:
            prepared = self._prepare(customer, feature, now)
        else:
            if not prepared.good_from <= now < prepared.good_until:
                prepared = self._prepare(customer, feature, now)
        fixed = prepared.fixed
        if fixed is not None:
            return fixed
        return prepared.ruling(prepared.case, quantity, used, user, context)

    def _prepare(self, customer: str, feature: str, now: Instant) -> Prepared:
        """What was not ready, made ready; nothing is kept for customers and features that are not known."""
        snapshot = self.snapshot(customer)
        if snapshot is None:
            expired = now >= self.usable_until
            return prepare_case(Case(self.catalog, customer, feature, BEGINNING, FOREVER, expired=expired))
        prepared = snapshot.prepare(feature, now, self.usable_until)
        if feature in self._ready:
            self._ready[feature][customer] = prepared
        return prepared

    def _forget(self, customer: str) -> None:
        """Nothing prepared for a customer stays."""
        self._snapshots.pop(customer, None)
        for known in self._ready.values():
            known.pop(customer, None)


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
    prepared = snapshot.ready(feature, now)
    if prepared.fixed is not None:
        return prepared.fixed
    return prepared.ruling(prepared.case, quantity, used, user, context)


def prepare_case(case: Case, memo: Memo | None = None) -> Prepared:
    """Return the ready answer of a case; with a memo, cases of the same rights share one ruling."""
    entitlements = case.entitlements
    if memo is None or entitlements is None or case.feature not in case.catalog.features:
        ruling, fixed = make_ruling(case)
        return Prepared(case.good_from, case.good_until, fixed, ruling, case)
    known = shared_ruling(case, entitlements, memo)
    fixed = None if known.fixed is None else Decision(True, known.fixed, case)
    return Prepared(case.good_from, case.good_until, fixed, known.ruling, case)


def shared_ruling(case: Case, entitlements: Entitlements, memo: Memo) -> Shared:
    """Return the ruling of a case of a known feature, the same object for all cases of the same rights."""
    given = entitlements.rights.get(case.feature)
    restrained = is_restrained(case.feature, entitlements)
    key = (case.feature if given is None else id(given), entitlements.suspended, restrained, case.expired)
    known = memo.rulings.get(key)
    if known is None:
        ruling, fixed = make_ruling(case)
        memo.rulings[key] = known = Shared(given, ruling, None if fixed is None else fixed.reason, reads_profile(case))
    return known
