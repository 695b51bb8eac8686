"""What the customers of a world have agreed on: terms documents, changed by the rules that the server has."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import structs

from licet.core.catalog import Amount
from licet.core.compiled import CompiledCatalog, parse_amount
from licet.core.instant import to_instant
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine, PaymentNotice
from licet.core.placement import place_order, record_payments
from licet.core.snapshot import Truth
from licet.core.terms import Override, PaymentFact, Profile, Suspension, Terms, TrialEnd
from licet.core.views import wire_amount

SOURCE: Final = "world"
"""The seller of everything that is subscribed to in a world."""
Trial = bool | int | timedelta | None
"""True: as long as the plan's version says; a number of days; a length of time."""
PaymentKind = Literal["due", "failed", "disputed", "uncollectible", "voided", "paid"]


class Contracts:
    """The terms of every customer, with ids that are the same in every run. Instants are aware datetimes."""

    def __init__(self) -> None:
        self.terms: dict[str, Terms] = {}
        self.revisions: dict[str, int] = {}
        self._said: dict[tuple[str, str], str] = {}
        self._orders: dict[tuple[str, str], OrderDocument] = {}
        self._numbers = 0

    def keep(self, terms: Terms) -> None:
        """Take a customer's newer terms."""
        if self.terms.get(terms.customer) != terms:
            self.terms[terms.customer] = terms
            self.revisions[terms.customer] = self.revisions.get(terms.customer, 0) + 1

    def of(self, customer: str) -> Terms:
        """Return a customer's terms, or those of somebody who has nothing yet."""
        return self.terms.get(customer) or Terms(customer=customer)

    def describe(self, customer: str, facts: Mapping[str, Any]) -> None:
        """Change what conditions and calendars read of a customer; raises ValueError where it does not fit."""
        before = self.of(customer)
        given = {**msgspec.to_builtins(before.profile), **facts}
        try:
            profile = msgspec.convert(given, Profile)
        except msgspec.ValidationError as error:
            raise ValueError(f"what is said of {customer!r} does not fit: {error}") from None
        self.keep(structs.replace(before, profile=profile))

    def say(self, customer: str, feature: str, now: datetime, *, effect: Literal["give", "deny"], **more: Any) -> None:
        """Give or deny a feature from now on; what was said about it before ends now."""
        said = self._said.pop((customer, feature), None)
        if said is not None:
            self.keep(_ended(self.of(customer), said, now))
        self._said[customer, feature] = self.override(customer, feature, effect=effect, starts_at=now, **more)

    def limit(self, catalog: CompiledCatalog, customer: str, feature: str, now: datetime, amount: Amount) -> None:
        """Give a feature up to an amount from now on; refuses with ValueError what would not come out."""
        wanted = parse_amount(amount, catalog.features[feature].scale)
        before, said = self.of(customer), self._said.get((customer, feature))
        self.say(customer, feature, now, effect="give", amount=amount)
        given = (
            Truth(catalog, [self.of(customer)]).check(customer, feature, to_instant(now), quantity=0).judgement.amount
        )
        if given is None or given == wanted:
            return
        self.keep(before)
        if said is None:
            del self._said[customer, feature]
        else:
            self._said[customer, feature] = said
        told = wire_amount(given, catalog.features[feature].scale)
        raise ValueError(
            f"{feature!r} of {customer!r} would be {told}, not {amount}: the catalog merges a limit with what is "
            "bought, in production too. Subscribe to another plan, or limit a customer who bought nothing"
        )

    def override(self, customer: str, feature: str, **more: Any) -> str:
        """Record one override and return its id; raises ValueError where it does not fit."""
        before = self.of(customer)
        made = {"id": self._next("ovr"), "feature": feature, **more}
        try:
            override = msgspec.convert(made, Override)
        except msgspec.ValidationError as error:
            raise ValueError(f"the override of {feature!r} for {customer!r} does not fit: {error}") from None
        self.keep(structs.replace(before, overrides=(*before.overrides, override)))
        return override.id

    def suspend(self, customer: str, starts_at: datetime, ends_at: datetime | None) -> None:
        """Permit nothing at all for a time."""
        before = self.of(customer)
        added = Suspension(starts_at=starts_at, ends_at=ends_at)
        self.keep(structs.replace(before, suspensions=(*before.suspensions, added)))

    def order(self, catalog: CompiledCatalog, document: OrderDocument) -> str:
        """Place the whole desired state of one subscription; return its id. Raises ValueError if nothing came of it."""
        customer = document.customer.id or ""
        placed = place_order(catalog, self.of(customer), document, subscription_id=self._next("sub"), newer=True)
        told = "; ".join(finding.words for finding in placed.findings)
        if placed.subscription is None or placed.outcome not in ("applied", "duplicate"):
            raise ValueError(
                f"nothing came of the order for {customer!r} ({placed.outcome}): {told or 'no reason told'}"
            )
        self.keep(placed.terms)
        self._orders[customer, document.external_id] = document
        return placed.subscription

    def cancel(
        self, catalog: CompiledCatalog, customer: str, subscription: str, now: datetime, ends_at: datetime
    ) -> None:
        """End a subscription as it is; raises ValueError for one that does not exist."""
        placed = self._orders.get((customer, subscription))
        if placed is None:
            raise ValueError(f"{customer!r} has no subscription {subscription!r} to cancel; subscribe first")
        self.order(catalog, structs.replace(placed, occurred_at=now, ends_at=ends_at))

    def pay(self, catalog: CompiledCatalog, customer: str, subscription: str, fact: PaymentFact) -> None:
        """Record what billing says about an invoice of a subscription."""
        references = CustomerReferences(id=customer)
        notice = PaymentNotice(source=SOURCE, external_id=subscription, customer=references, payments=(fact,))
        self.keep(record_payments(catalog, self.of(customer), notice).terms)

    def _next(self, prefix: str) -> str:
        """A fresh id: the same in every run."""
        self._numbers += 1
        return f"{prefix}_{self._numbers:06}"


def subscription_order(
    customer: str,
    plan: str,
    now: datetime,
    *,
    subscription: str,
    version: str | None,
    addons: Sequence[str],
    quantity: int,
    quantity_of: str | None,
    trial: Trial,
    after_trial: TrialEnd | None,
    starts_at: datetime,
    ends_at: datetime | None,
    period: str,
) -> OrderDocument:
    """Return the order with which a customer has a plan from ``starts_at`` on; what it does not name is not wanted.

    A later order of the same ``subscription`` changes it: its start stays that of the first.
    """
    main = OrderLine(plan=plan, version=version, quantity=quantity, quantity_of=quantity_of)
    trial_end = None
    if trial is not None and not isinstance(trial, bool):
        trial_end = starts_at + (trial if isinstance(trial, timedelta) else timedelta(days=trial))
    return OrderDocument(
        source=SOURCE,
        external_id=subscription,
        customer=CustomerReferences(id=customer),
        occurred_at=min(now, starts_at),
        lines=(main, *(OrderLine(addon=addon) for addon in addons)),
        effective_at=starts_at,
        ends_at=ends_at,
        trial_start=starts_at if trial else None,
        trial_end=trial_end,
        trial_end_behavior=after_trial,
        period=period,
    )


def read_order(document: Mapping[str, Any] | OrderDocument) -> OrderDocument:
    """Return an order with a customer's id; raises ValueError with what does not fit."""
    try:
        order = document if isinstance(document, OrderDocument) else msgspec.convert(dict(document), OrderDocument)
    except msgspec.ValidationError as error:
        raise ValueError(f"the order does not fit: {error}") from None
    if order.customer.id is None:
        raise ValueError('the order names no customer; a world needs its id: "customer": {"id": "acme"}')
    return order


def amount_of(value: object) -> Amount:
    """Return an amount as documents have it: a whole number, or a decimal as text; raises TypeError for a float."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{value!r} is no amount; write a whole number, a decimal as text ('1.5'), or 'unlimited'")
    return value


def _ended(terms: Terms, override: str, now: datetime) -> Terms:
    """The terms with one override ended; one that begins only now never was."""
    kept = []
    for one in terms.overrides:
        if one.id != override:
            kept.append(one)
        elif one.starts_at < now:
            kept.append(structs.replace(one, ends_at=now))
    return structs.replace(terms, overrides=tuple(kept))
