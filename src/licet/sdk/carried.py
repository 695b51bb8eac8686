"""A decision that left its process: a copy of all that it said, without the truth that it rested on."""

from datetime import datetime

import msgspec
from msgspec import UNSET

from licet.core.case import Case
from licet.core.decision import Decision as Ruled
from licet.core.instant import BEGINNING, FOREVER, Instant, parse_instant, to_datetime
from licet.core.reason import Reason
from licet.core.views import DecisionView, LimitView, RemedyView, SourceView, WarningView
from licet.sdk.decision import Decision, Page, nothing


class Carried(Decision, frozen=True, eq=False, gc=False, kw_only=True):
    """What a decision is after pickling: it reads the same, and asks nothing any more."""

    told: DecisionView
    helps: str

    @property
    def reasons(self) -> tuple[str, ...]:
        """All reasons, the first in precedence first."""
        return self.told.reasons

    @property
    def would_deny(self) -> tuple[str, ...] | None:
        """In observe mode: the reasons with which it would have been refused."""
        return self.told.would_deny

    @property
    def message(self) -> str:
        """One sentence for the customer."""
        return self.told.message

    @property
    def support(self) -> str:
        """What the catalog tells support about the feature."""
        return self.helps

    @property
    def remedy(self) -> RemedyView | None:
        """The cheapest known change with which the same question was permitted."""
        return self.told.remedy

    @property
    def remedies(self) -> tuple[RemedyView, ...]:
        """The remedy, and waiting for a balance where that helped."""
        told = self.told
        if told.remedies is not UNSET:
            return told.remedies
        return () if told.remedy is None else (told.remedy,)

    @property
    def resets_at(self) -> datetime | None:
        """Where a balance was against it: when more comes to that, if it is known."""
        told = self.told.resets_at
        return None if told is UNSET else to_datetime(parse_instant(told))

    @property
    def value(self) -> bool | str | None:
        """A switch's state or a configuration's value."""
        return self.told.value

    @property
    def limit(self) -> LimitView | None:
        """The number that applied, where one did."""
        return self.told.limit

    @property
    def sources(self) -> tuple[SourceView, ...]:
        """Every source of the right, and why it did or did not permit."""
        return self.told.sources

    @property
    def missing(self) -> tuple[str, ...]:
        """Facts that conditions asked for and the question did not give."""
        return self.told.missing

    @property
    def warnings(self) -> tuple[WarningView, ...]:
        """What policies warn the customer of."""
        return self.told.warnings

    def view(self) -> DecisionView:
        """Return the whole decision, as over HTTP."""
        return self.told


def carried(document: bytes, support: str, wall: Instant, page: Page) -> Carried:
    """Return the copy of a decision from its document and the page that it rested on."""
    told = msgspec.json.decode(document, type=DecisionView)
    case = Case(nothing(), told.customer, told.feature, BEGINNING, FOREVER)
    ruled = Ruled(told.allowed, Reason(told.reason), case)
    return Carried(ruled=ruled, wall=wall, page=page, told=told, helps=support)
