"""What a program gets: a decision, how fresh the truth behind it is, and what is told before there is any truth."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, structs

from licet.core.case import Case
from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.decision import Decision as Ruled
from licet.core.instant import BEGINNING, FOREVER, SECOND, Instant, to_datetime
from licet.core.reason import Reason
from licet.core.remedy import remedy_view
from licet.core.views import DecisionView, LimitView, RemedyView, SourceView, WarningView
from licet.sdk.ids import plain

State = Literal["fresh", "stale", "expired", "empty"]


class Page(Struct, frozen=True, kw_only=True, eq=False):
    """What is known of the truth since the newest head; replaced as a whole. Instants are real time."""

    basis: str
    """``1:42``: the truth that answers rest on."""
    issued_at: Instant
    fresh_until: Instant
    usable_until: Instant
    offset: int | None = 0
    """Microseconds from real to business time; None while the business clock stands."""
    frozen_at: Instant = 0

    def business(self, wall: Instant) -> Instant:
        """Return the business time at a real one."""
        return self.frozen_at if self.offset is None else wall + self.offset


class Freshness(Struct, frozen=True, kw_only=True):
    """How the truth of a client stands, and the way to it."""

    state: State
    """``fresh``; ``stale`` past the head's ``fresh_until``; ``expired`` past its ``usable_until``, where each
    feature's ``when_unreachable`` decides; ``empty`` before the first truth."""
    age_seconds: float | None
    """Since the server issued the newest head; None while empty."""
    cursor: str | None
    """``epoch:seq``, the basis of decisions."""
    connected: bool
    last_error: str | None
    """Why it last did not work, and what to do; None while it works."""


class Decision(Struct, frozen=True, eq=False, gc=False):
    """The answer to one question; truthy when allowed. Everything but that is worked out when somebody looks."""

    ruled: Ruled
    wall: Instant
    """When it was asked, real time."""
    page: Page

    def __bool__(self) -> bool:
        return self.ruled.allowed

    def __repr__(self) -> str:
        word = "allowed" if self.allowed else "refused"
        return f"<Decision {word} {self.reason}: {self.feature!r} for {self.customer!r}>"

    @property
    def allowed(self) -> bool:
        """Whether the program should go on."""
        return self.ruled.allowed

    @property
    def reason(self) -> str:
        """The first of ``reasons``: stable, for programs."""
        return str(self.ruled.reason)

    @property
    def reasons(self) -> tuple[str, ...]:
        """All reasons, the first in precedence first."""
        return tuple(str(one) for one in self.ruled.reasons)

    @property
    def would_deny(self) -> tuple[str, ...] | None:
        """In observe mode: the reasons with which it would have been refused."""
        found = self.ruled.would_deny
        return None if found is None else tuple(str(one) for one in found)

    @property
    def customer(self) -> str:
        """About whom."""
        return self.ruled.case.customer

    @property
    def feature(self) -> str:
        """About what."""
        return self.ruled.case.feature

    @property
    def message(self) -> str:
        """One sentence for the customer."""
        return self.ruled.message

    @property
    def support(self) -> str:
        """What the catalog tells support about the feature."""
        return self.ruled.support

    @property
    def remedy(self) -> RemedyView | None:
        """The cheapest known change with which the same question is permitted; searched when read, for milliseconds."""
        found = self.ruled.remedy(self.page.business(self.wall))
        return None if found is None else remedy_view(found)

    @property
    def resets_at(self) -> datetime | None:
        """Where a balance is against it: when more comes to that, if it is known. The server alone counts balances."""
        found = self.ruled.resets_at
        return None if found is None else to_datetime(found)

    @property
    def remedies(self) -> tuple[RemedyView, ...]:
        """The remedy, and where more comes to a balance in time, waiting for that besides (of the kind ``wait``)."""
        return tuple(map(remedy_view, self.ruled.remedies(self.page.business(self.wall))))

    @property
    def value(self) -> bool | str | None:
        """A switch's state or a configuration's value."""
        return self.ruled.value

    @property
    def limit(self) -> LimitView | None:
        """The number that applies, where one does."""
        return self.ruled.limit

    @property
    def sources(self) -> tuple[SourceView, ...]:
        """Every source of the right, and why it does or does not permit."""
        return self.ruled.sources

    @property
    def missing(self) -> tuple[str, ...]:
        """Facts that conditions asked for and the question did not give."""
        return self.ruled.missing

    @property
    def warnings(self) -> tuple[WarningView, ...]:
        """What policies warn the customer of."""
        return self.ruled.warnings

    @property
    def basis(self) -> str | None:
        """The truth it rests on, ``1:42``; ``licet explain --basis`` takes it."""
        return self.page.basis or None

    @property
    def stale(self) -> bool:
        """Whether the truth was past its ``fresh_until`` when this was asked."""
        return self.wall >= self.page.fresh_until

    @property
    def age_seconds(self) -> float:
        """How old the truth was when this was asked: seconds since the server issued its newest head."""
        return max(0, self.wall - self.page.issued_at) / SECOND

    def view(self) -> DecisionView:
        """Return the whole decision, as over HTTP."""
        return self.ruled.view(self.page.business(self.wall), basis=self.page.basis or None)

    def document(self) -> bytes:
        """Return it as JSON: for equal question, truth and time the very bytes of ``POST /v1/check``.

        But for what has a balance, unless the question says how much is used: the server alone counts it.
        """
        return msgspec.json.encode(self.view(), enc_hook=plain)

    def __reduce__(self) -> tuple[Callable[..., "Decision"], tuple[Any, ...]]:
        """To other processes goes a copy of all that it says; the truth that it rests on stays here."""
        from licet.sdk.carried import carried

        return carried, (self.document(), self.support, self.wall, self.page)


class Assumed(Decision, frozen=True, eq=False, gc=False):
    """An answer without any truth: what the client was told to assume where nobody can be asked."""

    assumed: bool = False

    def __bool__(self) -> bool:
        return self.assumed

    @property
    def allowed(self) -> bool:
        """What was to be assumed."""
        return self.assumed

    @property
    def reason(self) -> str:
        """``not_enforced`` or ``snapshot_expired``."""
        return str(Reason.NOT_ENFORCED if self.assumed else Reason.SNAPSHOT_EXPIRED)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The one reason."""
        return (self.reason,)

    @property
    def message(self) -> str:
        """One sentence for the customer."""
        if self.assumed:
            return f"{self.feature} is available; what you have could not be looked up yet."
        return f"What you have could not be looked up yet, so {self.feature} is not available. Try again in a minute."

    @property
    def support(self) -> str:
        """What to do."""
        return "the client has no truth yet; its freshness says why"

    @property
    def remedy(self) -> RemedyView | None:
        """None: no purchase helps here."""
        return None

    @property
    def stale(self) -> bool:
        """True: there is nothing fresh about it."""
        return True

    @property
    def age_seconds(self) -> float:
        """Infinite: it rests on nothing."""
        return float("inf")

    def view(self) -> DecisionView:
        """Return the whole answer, in the shape of a decision."""
        told = self.ruled.view(self.wall, basis=None)
        return structs.replace(
            told,
            allowed=self.assumed,
            reason=self.reason,
            reasons=self.reasons,
            message=self.message,
            remedy=None,
            type=None,
            mode=None,
            value=None,
        )

    def __reduce__(self) -> tuple[Callable[..., Decision], tuple[Any, ...]]:
        """It rests on nothing, so that it is made anew from the same."""
        return partial(assume, self.customer, self.feature, self.wall, allowed=self.assumed), ()


NOWHERE: Final = Page(basis="", issued_at=BEGINNING, fresh_until=BEGINNING, usable_until=FOREVER)
"""The page before the first truth."""


def assume(customer: str, feature: str, wall: Instant, *, allowed: bool) -> Assumed:
    """Return an answer that rests on nothing but what the client was told to assume."""
    case = Case(nothing(), customer, feature, BEGINNING, FOREVER)
    return Assumed(Ruled(allowed, Reason.SNAPSHOT_EXPIRED, case), wall, NOWHERE, allowed)


@cache
def nothing() -> CompiledCatalog:
    """Return a catalog without features, made when it is first needed."""
    return compile_catalog(Catalog(version=1, products={}, features={}, plans={}), 0, lambda _: UTC, UTC)
