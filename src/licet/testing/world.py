"""An entitlement world in memory for the vendor's own tests: real catalog, real terms, the real rules, no server.

What is said here (``subscribe``, ``allow``, ``limit`` …) becomes terms as on the server, and the client answers from
them with the evaluator that the product runs. Time stands still until the test moves it; two runs give the same bytes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog
from licet.core.orders import OrderDocument
from licet.core.terms import PaymentFact, TrialEnd
from licet.sdk.decision import Decision, Freshness
from licet.sdk.ids import read_id
from licet.sdk.usage import amount_of as number_of
from licet.testing.asked import MOST, Asked, Wanted, assert_asked, assert_not_asked, told_of
from licet.testing.world_catalog import MINIMAL, FeatureType, close_to, grown, read_any
from licet.testing.world_client import WorldAsyncClient, WorldClient
from licet.testing.world_terms import Contracts, PaymentKind, Trial, amount_of, read_order, subscription_order
from licet.testing.world_truth import WorldTruth
from licet.testing.world_usage import WorldUsage
from licet.wire.usage import ConsumeAnswer, ConsumeAsked

START: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
"""When a world begins unless told otherwise: a Tuesday, later than what a catalog of today sells from."""
SUBSCRIPTION: Final = "main"


class WorldError(ValueError):
    """What a test said about its world makes no sense; the message says what would."""


class NotInWorld(AssertionError):
    """The program asked about a customer or feature that the world does not know: most likely a misspelling."""


class World:
    """Customers, what they bought, and a clock. ``catalog`` is a file (YAML or JSON), a mapping, a document, or None.

    Without a catalog, a minimal one grows with what ``allow``, ``deny`` and ``limit`` name. ``at`` is when the world
    begins (an aware datetime or RFC 3339). ``strict`` raises :class:`NotInWorld` for customers and features that nobody
    mentioned; without it they are refused, as in production.
    """

    def __init__(
        self,
        catalog: str | Path | Mapping[str, Any] | Catalog | None = None,
        *,
        at: datetime | str = START,
        strict: bool = True,
    ) -> None:
        self.strict = strict
        self.asked: list[Asked] = []
        self._grows = catalog is None
        self._contracts = Contracts()
        self._truth = WorldTruth(_moment(at), MINIMAL if catalog is None else self._told(read_any, catalog))
        self.usage = WorldUsage(self._truth, self._contracts.terms.get)
        """What was used in it."""

    def __repr__(self) -> str:
        names = sorted(map(str, self._contracts.terms))
        known = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
        way = "" if self._truth.connected else ", offline"
        return f"<World at {_words(self.now)}{way}: {known or 'nobody yet'}>"

    # -- time

    @property
    def now(self) -> datetime:
        """What time it is in the world, in UTC."""
        return self._truth.now

    def advance(
        self, by: timedelta | None = None, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass. Trials end, ladders climb and grants expire by it, as in production."""
        self.at(self.now + (by or timedelta()) + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds))

    def at(self, instant: datetime | str) -> None:
        """Let time pass until an instant; it never goes back."""
        moment = _moment(instant)
        if moment < self.now:
            raise WorldError(
                f"time does not go back from {_words(self.now)} to {_words(moment)}; make a new World(at=…)"
            )
        self._truth.pass_time(moment)

    def offline(self, by: timedelta | None = None, *, days: float = 0, hours: float = 0) -> None:
        """Cut the client off, and let time pass. What is said from now on reaches it only after :meth:`online`.

        The truth it holds is usable for 30 days; past them each feature's ``when_unreachable`` decides.
        """
        self._truth.cut()
        self.advance(by, days=days, hours=hours)

    def empty(self) -> None:
        """Leave the client without any truth, as a first start without a server does: every check raises NoTruth."""
        self._truth.cut()
        self._truth.empty = True

    def online(self) -> None:
        """Reach the client again: it learns at once what was said meanwhile."""
        self._truth.join()

    # -- who there is

    def customer(
        self,
        customer: str,
        *,
        region: str | None = None,
        country: str | None = None,
        zone: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a customer known, with what conditions may read of it; only what is given changes."""
        self._id("customer", customer)
        given = {"region": region, "country": country, "zone": zone, "attributes": attributes}
        self._told(
            self._contracts.describe, customer, {name: value for name, value in given.items() if value is not None}
        )
        self._publish(customer)

    def user(
        self,
        customer: str,
        user: str,
        *,
        roles: Collection[str] = (),
        attributes: Mapping[str, Any] | None = None,
        active: bool = True,
    ) -> None:
        """Make a person of a customer known, with what conditions may read of it."""
        self._known(customer)
        self._id("user", user)
        self._told(self._truth.put_user, customer, user, tuple(roles), attributes or {}, active=active)

    # -- what they may

    def allow(self, customer: str, feature: str, *, value: str | None = None) -> None:
        """Give a feature from now on (without a limit, where it has one), whatever else the customer bought.

        It is an override, as the vendor's staff would give it: suspensions, policies and conditions of the feature
        still refuse. A configuration gets ``value``.
        """
        kind = self._feature(customer, feature, "switch" if value is None else "configuration")
        amount = None if kind in ("switch", "configuration") else "unlimited"
        self._say(customer, feature, effect="give", amount=amount, value=value)

    def deny(self, customer: str, feature: str) -> None:
        """Refuse a feature from now on, whatever the customer bought."""
        self._feature(customer, feature, "switch")
        self._say(customer, feature, effect="deny")

    def limit(self, customer: str, feature: str, amount: int | str) -> None:
        """Give a feature up to ``amount`` (major units: a whole number, or a decimal as text) from now on.

        Raises WorldError where the number does not come out, because the catalog merges it with what is bought.
        """
        kind = self._feature(customer, feature, "limit")
        if kind in ("switch", "configuration"):
            first = "; without a catalog, say limit before allow or deny" if self._grows else ""
            raise WorldError(f"{feature!r} is a {kind} and has no limit{first}")
        self._told(self._contracts.limit, self._truth.compiled, customer, feature, self.now, amount_of(amount))
        self._publish(customer)

    def override(self, customer: str, feature: str, **more: Any) -> str:
        """Record an override in full and return its id.

        ``effect`` (give, deny), ``amount``, ``value``, ``starts_at`` (now), ``ends_at``, ``kind``, ``when``,
        ``deployments``, ``regions``, ``window``, ``note`` are those of the terms document.
        """
        self._feature(customer, feature, "limit" if "amount" in more else "switch")
        made = self._told(self._contracts.override, customer, feature, **{"starts_at": self.now, **more})
        self._publish(customer)
        return str(made)

    def subscribe(
        self,
        customer: str,
        plan: str,
        *,
        version: str | None = None,
        addons: Sequence[str] = (),
        quantity: int = 1,
        quantity_of: str | None = None,
        trial: Trial = None,
        after_trial: TrialEnd | None = None,
        at: datetime | str | None = None,
        ends_at: datetime | str | None = None,
        period: str = "P1M",
        subscription: str = SUBSCRIPTION,
    ) -> None:
        """Let a customer have a plan and add-ons, from ``at`` (now) on; the same ``subscription`` again changes it.

        ``trial`` is True (as long as the plan says), a number of days, or a length; ``after_trial`` says what follows:
        convert, fall, pause or end. ``quantity`` multiplies, or is the amount of the feature ``quantity_of``.
        """
        self._id("customer", customer)
        self._id("subscription", subscription)
        self._plan(plan, version, addons)
        order = self._told(
            subscription_order,
            customer,
            plan,
            self.now,
            subscription=subscription,
            version=version,
            addons=addons,
            quantity=quantity,
            quantity_of=quantity_of,
            trial=trial,
            after_trial=after_trial,
            starts_at=self.now if at is None else _moment(at),
            ends_at=None if ends_at is None else _moment(ends_at),
            period=period,
        )
        self._told(self._contracts.order, self._truth.compiled, order)
        self._publish(customer)

    def order(self, document: Mapping[str, Any] | OrderDocument) -> None:
        """Place an order as a billing system sends it, prices by the catalog's ``orders``; its customer needs an id."""
        order = self._told(read_order, document)
        self._told(self._contracts.order, self._truth.compiled, order)
        self._publish(order.customer.id)

    def cancel(self, customer: str, *, at: datetime | str | None = None, subscription: str = SUBSCRIPTION) -> None:
        """End a subscription at an instant, by default now."""
        end = self.now if at is None else _moment(at)
        self._known(customer)
        self._told(self._contracts.cancel, self._truth.compiled, customer, subscription, self.now, end)
        self._publish(customer)

    def payment(
        self, customer: str, kind: PaymentKind, *, invoice: str = "invoice-1", subscription: str = SUBSCRIPTION
    ) -> None:
        """Let billing say something about an invoice, now: ``failed`` starts the plan's ladder, ``paid`` ends it."""
        self._known(customer)
        self._id("invoice", invoice)
        fact = PaymentFact(kind=kind, at=self.now, invoice=invoice)
        self._contracts.pay(self._truth.compiled, customer, subscription, fact)
        self._publish(customer)

    def suspend(self, customer: str, *, until: datetime | str | None = None) -> None:
        """Permit nothing at all to a customer from now on, or until an instant."""
        self._known(customer)
        self._contracts.suspend(customer, self.now, None if until is None else _moment(until))
        self._publish(customer)

    # -- what they use

    def grant(
        self,
        customer: str,
        feature: str,
        amount: int | str,
        *,
        expires: datetime | str | None = None,
        user: str | None = None,
        team: str | None = None,
    ) -> None:
        """Put an amount on a balance from now on, as a top-up does; ``user`` or ``team`` where each has one."""
        self._counted(customer, feature)
        moment = None if expires is None else _moment(expires)
        self._told(self.usage.grant, customer, feature, amount, moment, _holder(user, team))

    def used(self, customer: str, feature: str, *, user: str | None = None, team: str | None = None) -> int | Decimal:
        """Return how much of a feature was used in the current period, reservations among it."""
        self._counted(customer, feature)
        return number_of(self.usage.standing(customer, feature, _holder(user, team))[0])

    def remaining(
        self, customer: str, feature: str, *, user: str | None = None, team: str | None = None
    ) -> int | Decimal:
        """Return how much of a feature is left now; infinite where nothing bounds it."""
        self._counted(customer, feature)
        return number_of(self.usage.standing(customer, feature, _holder(user, team))[2])

    # -- who asks

    def client(self) -> WorldClient:
        """Return a client of this world, with the surface of :class:`licet.Client`; every one shares the world."""
        return WorldClient(self)

    def async_client(self) -> WorldAsyncClient:
        """Return a client of this world with the surface of :class:`licet.AsyncClient`."""
        return WorldAsyncClient(self)

    def assert_checked(
        self,
        customer: str | None = None,
        feature: str | None = None,
        *,
        user: str | None = None,
        team: str | None = None,
        allowed: bool | None = None,
        times: int | None = None,
    ) -> None:
        """Assert that the program asked this: at least once, or exactly ``times``; what is not given may be any."""
        wanted = Wanted(customer=customer, feature=feature, user=user, team=team, allowed=allowed)
        assert_asked(self.asked, wanted, times)

    def assert_not_checked(
        self,
        customer: str | None = None,
        feature: str | None = None,
        *,
        user: str | None = None,
        team: str | None = None,
    ) -> None:
        """Assert that the program never asked this."""
        assert_not_asked(self.asked, Wanted(customer=customer, feature=feature, user=user, team=team))

    def told(self) -> str:
        """Return what was asked and what came out, as text."""
        return f"{told_of(self.asked)}\nin {self!r}"

    def decide(self, customer: str, feature: str, **more: Any) -> Decision:
        """Return the decision on a question without remembering it; clients ask here, and a test may.

        Raises NotInWorld for a customer or feature that nobody mentioned, if the world is strict.
        """
        if self.strict:
            self._refuse_unknown("feature", feature, self._truth.catalog.features)
            self._refuse_unknown("customer", customer, self._contracts.terms)
        return self._truth.decide(customer, feature, **more)

    def consumed(self, asked: ConsumeAsked) -> ConsumeAnswer:
        """Decide and record use; clients do this. Raises NotInWorld as :meth:`decide` does."""
        if self.strict:
            for feature in (asked.feature, *(one.feature for one in asked.also)):
                self._refuse_unknown("feature", feature, self._truth.catalog.features)
            self._refuse_unknown("customer", asked.customer, self._contracts.terms)
        return self.usage.decide(asked)

    @property
    def compiled(self) -> CompiledCatalog:
        """The catalog in force; clients look here."""
        return self._truth.compiled

    @property
    def connected(self) -> bool:
        """Whether the clients reach it, see :meth:`offline`."""
        return self._truth.connected

    def entitlements(self, customer: str) -> dict[str, Decision]:
        """Return everything a customer has, by feature; clients ask here, and none of it counts as checked."""
        if self.strict:
            self._refuse_unknown("customer", customer, self._contracts.terms)
        return self._truth.entitlements(customer)

    def refuse_empty(self) -> None:
        """Raise NoTruth where the clients have none; clients do this."""
        self._truth.refuse_empty()

    @property
    def freshness(self) -> Freshness:
        """How the truth of the clients stands."""
        return self._truth.freshness()

    def note(self, asked: Asked) -> None:
        """Remember one question; clients do this."""
        if len(self.asked) >= MOST:
            raise WorldError(f"more than {MOST} questions were asked; clear world.asked in between")
        self.asked.append(asked)

    # -- inside

    def _counted(self, customer: str, feature: str) -> None:
        """Refuse a feature that has no balance."""
        self._known(customer)
        self._refuse_unknown("feature", feature, self._truth.catalog.features)
        kind = self._truth.compiled.features[feature].type
        if kind not in ("metered", "credits"):
            raise WorldError(f"{feature!r} is a {kind} and has no balance; metered features and credits have one")

    def _say(self, customer: str, feature: str, **more: Any) -> None:
        self._told(self._contracts.say, customer, feature, self.now, **more)
        self._publish(customer)

    def _feature(self, customer: str, feature: str, kind: FeatureType) -> str:
        """The type of a feature that is said of a customer; one that is new to a catalog that grows is of ``kind``."""
        self._id("customer", customer)
        self._id("feature", feature)
        features = self._truth.catalog.features
        if feature not in features:
            if not self._grows:
                raise WorldError(f"no feature {feature!r} in the catalog; {close_to(feature, features)}")
            self._truth.release(grown(self._truth.catalog, feature, kind))
        return self._truth.compiled.features[feature].type

    def _plan(self, plan: str, version: str | None, addons: Sequence[str]) -> None:
        """Refuse what the catalog does not sell."""
        catalog = self._truth.catalog
        if self._grows:
            raise WorldError(f"there is no plan {plan!r} without a catalog: World(catalog=…) takes a file or a mapping")
        if plan not in catalog.plans:
            raise WorldError(f"no plan {plan!r} in the catalog; {close_to(plan, catalog.plans)}")
        if version is not None and version not in catalog.plans[plan].versions:
            raise WorldError(f"no version {version!r} of {plan!r}; {close_to(version, catalog.plans[plan].versions)}")
        for addon in addons:
            if addon not in catalog.addons:
                raise WorldError(f"no add-on {addon!r} in the catalog; {close_to(addon, catalog.addons)}")

    def _known(self, customer: str) -> None:
        """Make sure that a customer is one of this world."""
        self._id("customer", customer)
        if customer not in self._contracts.terms:
            self.customer(customer)

    def _refuse_unknown(self, kind: str, name: str, known: Mapping[str, Any]) -> None:
        if name not in known:
            near = close_to(name, known)
            raise NotInWorld(f"no {kind} {name!r} in this world; {near} (strict=False refuses it instead)")

    def _id(self, what: str, value: str) -> None:
        """Refuse what is no id on any server, such as a number."""
        self._told(read_id, what, value)

    def _publish(self, customer: str) -> None:
        self._truth.put(self._contracts.of(customer), self._contracts.revisions[customer])

    @staticmethod
    def _told(act: Any, *arguments: Any, **more: Any) -> Any:
        """What an act returns; what it refuses, as a WorldError."""
        try:
            return act(*arguments, **more)
        except ValueError as error:
            raise WorldError(str(error)) from None


def _moment(value: datetime | str) -> datetime:
    """An instant in UTC; raises WorldError for one without a zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise WorldError(f"{value!r} is no instant ({error}); write 2030-01-01T12:00:00Z") from None
    if moment.tzinfo is None:
        raise WorldError(f"{value} has no time zone; write it with Z or an offset, or give the datetime a tzinfo")
    return moment.astimezone(UTC)


def _holder(user: str | None, team: str | None) -> str:
    return f"user:{user}" if user is not None else "" if team is None else f"team:{team}"


def _words(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
