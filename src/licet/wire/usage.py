"""Usage between processes: what is asked of ``consume``, reservations and events, and what is answered.

Quantities are integers or decimal strings in major units of the feature's meter or credit, at its scale. Times are
RFC 3339 with a zone; business time of the workspace.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from licet.core.catalog import Amount, DurationText, Id
from licet.core.question import Context
from licet.core.views import DecisionView, Number

MAX_EVENTS: Final = 10_000
"""Events of one request."""
MAX_ALSO: Final = 20
"""Features of one request besides the first."""
MAX_DIMENSIONS: Final = 20
"""Dimensions of one request or event."""
MAX_LASTS: Final = "P1D"
"""The longest a reservation may last."""
DEFAULT_LASTS: Final = "PT15M"

Key = Annotated[str, Meta(min_length=1, max_length=255)]
"""An idempotency key: the same request with the same key is done once and answered the same."""
Dimensions = Annotated[dict[Id, Annotated[str, Meta(max_length=256)]], Meta(max_length=MAX_DIMENSIONS)]
FactId = Annotated[str, Meta(pattern="^(use|res)_[0-9a-f]{32}$")]


class WantAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """So much of a feature."""

    feature: Id
    quantity: Amount = 1


class ConsumeAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Decide and record together. All features or none, unless ``partial``: then as much of each as there is."""

    customer: Id
    feature: Id
    quantity: Amount = 1
    also: Annotated[tuple[WantAsked, ...], Meta(max_length=MAX_ALSO)] = ()
    user: Id | None = None
    team: Id | None = None
    context: Context = Context()
    partial: bool = False
    dimensions: Dimensions = {}
    key: Key | None = None
    """Beats the header ``Idempotency-Key``; without either a repetition counts again."""


class ReserveAsked(ConsumeAsked, frozen=True, kw_only=True):
    """Set aside until it is settled or released, at most for ``lasts``."""

    lasts: DurationText = DEFAULT_LASTS


class SettleAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a reservation came to: ``used`` of its first feature, ``also`` of the others; those not named as reserved.

    0 is a release. More than was reserved is taken at the instant of the settle, and may exceed.
    """

    used: Amount
    also: Annotated[tuple[WantAsked, ...], Meta(max_length=MAX_ALSO)] = ()
    key: Key | None = None


class TakeView(Struct, frozen=True, kw_only=True):
    """What a request took from one balance, and how that stands after it."""

    feature: str
    holder: str
    taken: Number
    used: Number
    granted: Number
    remaining: Number
    resets_at: str | None


class ConsumeAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it; answered with 200 also where it is refused."""

    allowed: bool
    reason: str
    """The first reason; that of the first refused feature where it is refused."""
    id: str | None = None
    """``use_…``, or ``res_…`` of a reservation; none where nothing was recorded: it was refused, or it is of a customer
    that is not known and a feature that is only observed, or off."""
    quantity: Number = 0
    """What was taken of the first feature, less than asked only with ``partial``."""
    expires_at: str | None = None
    """Of a reservation: from then on it is released, exclusive."""
    takes: tuple[TakeView, ...] = ()
    """Every balance that it took from: of what was asked, and of every pool and limit on the same meter."""
    refusals: tuple[DecisionView, ...] = ()
    """The decisions of the features that refuse, each with all its reasons and its remedy."""
    would_deny: tuple[str, ...] | None = None
    """In observe mode: the reasons with which it would have been refused."""


class ClosingAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a reservation ended."""

    id: str
    closed: Literal["settled", "released"]
    used: Number = 0
    """Of its first feature."""
    exceeded: bool = False
    """Whether it came to more than was reserved and there was."""
    takes: tuple[TakeView, ...] = ()
    """What it came to in all, balance by balance."""


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A CloudEvents 1.0 event of usage. ``subject`` is the customer; extension attributes are ignored.

    ``data`` holds the meter's field (``quantity`` by default), its filters' fields and dimensions, and who used it
    (``user``, ``team``).
    """

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=255)]
    source: Annotated[str, Meta(min_length=1, max_length=255)]
    type: Id
    subject: Id
    time: Annotated[datetime, Meta(tz=True)] | None = None
    datacontenttype: Annotated[str, Meta(max_length=64)] | None = None
    dataschema: Annotated[str, Meta(max_length=2000)] | None = None
    data: dict[str, str | int | float | bool | list[str] | None] = {}


class EventsAnswer(Struct, frozen=True, kw_only=True):
    """What came of a batch of events: each is in exactly one of these."""

    recorded: int
    duplicates: int
    """They came before, with the same content."""
    ignored: int
    """No meter counts events of their type and data; nothing of them is kept."""


class CorrectionAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Give back a part of what was consumed or reported: a fact of its own. Exactly one of ``id``, ``event``."""

    customer: Id
    id: FactId | None = None
    event: "EventName | None" = None
    quantity: Amount | None = None
    """How much to give back; all that is left of it where absent."""
    note: Annotated[str, Meta(max_length=2000)] = ""
    key: Key | None = None


class EventName(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which event: its source and its id there."""

    source: Annotated[str, Meta(min_length=1, max_length=255)]
    id: Annotated[str, Meta(min_length=1, max_length=255)]
