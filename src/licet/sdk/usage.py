"""What a client says about use, and what it hears: quantities, requests and answers as values. No I/O, no clock."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec
from msgspec import Struct

from licet.core.instant import FOREVER, Instant
from licet.core.quantity import parse_quantity
from licet.core.question import Context
from licet.core.views import DecisionView, Number
from licet.sdk.errors import NotEntitled
from licet.sdk.ids import plain, read_id
from licet.wire.usage import (
    DEFAULT_LASTS,
    MAX_ALSO,
    MAX_DIMENSIONS,
    ClosingAnswer,
    ConsumeAnswer,
    ConsumeAsked,
    ReserveAsked,
    SettleAsked,
    TakeView,
    WantAsked,
)

if TYPE_CHECKING:
    from licet.sdk.decision import Decision

Quantity = int | str | Decimal
"""In major units of the feature's meter or credit; never a float."""
_MOST_INT: Final = 2**53 - 1
_MOST_LASTS: Final = timedelta(days=1)
_KEY: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")


class Wanted(Struct, frozen=True, kw_only=True):
    """What a program asks for, read and found to be well-formed. ``key`` is what makes a repetition count once."""

    customer: str
    feature: str
    quantity: int | str
    key: str
    user: str | None = None
    team: str | None = None
    context: Context = Context()
    also: tuple[WantAsked, ...] = ()
    partial: bool = False
    dimensions: dict[str, str] = {}

    def consume(self) -> bytes:
        """Return the body of ``POST /v1/consume``."""
        return msgspec.json.encode(ConsumeAsked(**_fields(self)), enc_hook=plain)

    def reserve(self, lasts: str) -> bytes:
        """Return the body of ``POST /v1/reservations``."""
        return msgspec.json.encode(ReserveAsked(**_fields(self), lasts=lasts), enc_hook=plain)


class Certain(Struct, frozen=True, kw_only=True):
    """What is certain of a balance in a process that owns a part of it, without asking anybody."""

    at_least: int | Decimal
    """Owned by this process: so much it can use whatever happens elsewhere."""
    at_most: int | Decimal | None
    """With what the server had left besides when it last said so; None where it never did. Others own more."""
    age_seconds: float | None
    """How old that word is; None where there is none."""


class Spent(Protocol):
    """Where a use was taken that this process decided by itself: it says the rest when somebody looks."""

    def answer(self, units: int) -> ConsumeAnswer:
        """Return what a server would say of so many minor units."""
        ...

    def certain(self) -> Certain:
        """Return what is certain now."""
        ...


class Usage(Struct, frozen=True, eq=False):
    """What came of ``consume``; truthy when allowed. A refusal is a value: nothing was taken then."""

    customer: str
    feature: str
    told: "ConsumeAnswer | Spent"
    """What the server said, or where it was taken in this process; see ``answer``."""
    key: str = ""
    """The idempotency key: asking again with it counts nothing again. Empty where this process decided."""
    units: int = 0
    """Minor units that this process took by itself."""
    decision: "Decision | None" = None
    """The decision on the first feature that refuses; None where it was allowed."""
    assumed: bool = False
    """Nobody could be asked: it is what the client was told to assume (``unreachable``). Allowed, it is told later."""
    locally: bool = False
    """It was refused by what this process knows, and the server could not be asked."""

    def __bool__(self) -> bool:
        return self.allowed

    def __repr__(self) -> str:
        word = f"took {self.taken} of" if self.allowed else "refused"
        return f"<Usage {word} {self.feature!r} for {self.customer!r} ({self.reason})>"

    @property
    def allowed(self) -> bool:
        """Whether the program should go on."""
        told = self.told
        return told.allowed if isinstance(told, ConsumeAnswer) else True

    @property
    def answer(self) -> ConsumeAnswer:
        """What the server said, as over HTTP; of a use that this process decided the same as far as it knows."""
        told = self.told
        return told if isinstance(told, ConsumeAnswer) else told.answer(self.units)

    @property
    def decided(self) -> Literal["local", "hub"]:
        """Who decided: this process, of quota that it owns or by what it knows, or the server."""
        by_itself = self.assumed or self.locally or not isinstance(self.told, ConsumeAnswer)
        return "local" if by_itself else "hub"

    @property
    def certain(self) -> Certain | None:
        """What is certain of what is left, now, where this process owns a part of it; None where the server decided."""
        told = self.told
        return None if isinstance(told, ConsumeAnswer) else told.certain()

    @property
    def reason(self) -> str:
        """The first reason: stable, for programs."""
        return self.answer.reason

    @property
    def id(self) -> str | None:
        """Of what was recorded, ``use_…`` or ``res_…``; None where nothing was, or is not yet."""
        return self.answer.id

    @property
    def taken(self) -> int | Decimal:
        """What was taken of the feature; less than asked for only with ``partial``."""
        return amount_of(self.answer.quantity)

    @property
    def remaining(self) -> int | Decimal | None:
        """What is left of the feature; infinite where nothing bounds it, None where nobody said.

        Where this process decided: what it owns and what the server had left when it last said so. See ``certain``.
        """
        sure = self.certain
        if sure is not None:
            return sure.at_least if sure.at_most is None else sure.at_most
        for take in self.takes:
            if take.feature == self.feature:
                return amount_of(take.remaining)
        for one in self.answer.refusals:
            if one.feature == self.feature and one.limit is not None:
                return amount_of(one.limit.remaining)
        return None

    @property
    def takes(self) -> tuple[TakeView, ...]:
        """Every balance that it took from, and how each stands after it."""
        return self.answer.takes

    @property
    def would_deny(self) -> tuple[str, ...] | None:
        """In observe mode: the reasons with which it would have been refused."""
        return self.answer.would_deny

    def require(self) -> "Usage":
        """Return itself; raises NotEntitled, with the decision in it, for a refusal."""
        if self.decision is not None and not self.allowed:
            raise NotEntitled(self.decision)
        return self

    def __reduce__(self) -> tuple[Callable[..., "Usage"], tuple[Any, ...]]:
        """To other processes goes a copy of all that it says; what is owned stays here."""
        told = self.told
        if not isinstance(told, ConsumeAnswer):
            told = Remembered(told.answer(self.units), told.certain())
        facts = (self.customer, self.feature, told, self.key, self.units, self.decision, self.assumed, self.locally)
        return Usage, facts


class Remembered(Struct, frozen=True):
    """What was certain of a use when it was copied."""

    said: ConsumeAnswer
    sure: Certain

    def answer(self, units: int) -> ConsumeAnswer:  # noqa: ARG002 it says so of the units already
        """Return what was said."""
        return self.said

    def certain(self) -> Certain:
        """Return what was certain then."""
        return self.sure


class Settled(Struct, frozen=True, kw_only=True, eq=False):
    """How a reservation ended. ``later``: the server could not be reached, and is told as soon as it can be."""

    reservation: str
    answer: ClosingAnswer | None = None
    """What the server said; None where it is told later."""
    later: bool = False

    @property
    def used(self) -> int | Decimal | None:
        """What it came to of its first feature; None where it is told later."""
        return None if self.answer is None else amount_of(self.answer.used)

    @property
    def exceeded(self) -> bool:
        """Whether it came to more than was reserved and there was."""
        return self.answer is not None and self.answer.exceeded


class Reports(Struct, frozen=True, kw_only=True):
    """How the reports of this process stand."""

    waiting: int
    """They are kept and not told yet."""
    bytes: int
    durable: bool
    """Whether they lie on a disk, so that the end of this process loses none."""
    dropped: int
    """Not kept because as many waited as may, or the disk took no more (``report_full="drop"``)."""
    refused: int
    """The server will never take them; the log names the first."""
    last_error: str | None = None
    """Why what waits was not taken when it was told last, in words; None where nothing went wrong since."""


def read_wanted(
    customer: str,
    feature: str,
    quantity: Quantity,
    *,
    key: str,
    user: str | None = None,
    team: str | None = None,
    context: Context | Mapping[str, Any] | None = None,
    also: Mapping[str, Quantity] | None = None,
    partial: bool = False,
    dimensions: Mapping[str, str] | None = None,
) -> Wanted:
    """Return what is asked for; raises ValueError with what cannot be read."""
    if context is not None and type(context) is not Context:
        from licet.sdk.asking import read_context

        context = read_context(context)
    dims = {read_id("dimension", name): str.__str__(value) for name, value in (dimensions or {}).items()}
    if len(dims) > MAX_DIMENSIONS:
        raise ValueError(f"{len(dims)} dimensions are given; a request has at most {MAX_DIMENSIONS}")
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"key={key[:40]!a} of {len(key)} characters is none: it has 1 to 255, none of them control ones"
        )
    return Wanted(
        customer=read_id("customer", customer),
        feature=read_id("feature", feature),
        quantity=read_quantity(quantity, zero=False),
        key=key,
        user=None if user is None else read_id("user", user),
        team=None if team is None else read_id("team", team),
        context=context or Context(),
        also=read_also(also, zero=False),
        partial=partial,
        dimensions=dims,
    )


def settle_body(used: Quantity, also: Mapping[str, Quantity] | None, key: str) -> bytes:
    """Return the body with which a reservation is settled."""
    asked = SettleAsked(used=read_quantity(used), also=read_also(also), key=key)
    return msgspec.json.encode(asked, enc_hook=plain)


def read_also(also: Mapping[str, Quantity] | None, *, zero: bool = True) -> tuple[WantAsked, ...]:
    """Return the further features of a request; raises ValueError for what is none, and for too many."""
    if also is None:
        return ()
    if len(also) > MAX_ALSO:
        raise ValueError(f"also= names {len(also)} features; a request has at most {MAX_ALSO} besides the first")
    return tuple(
        WantAsked(feature=read_id("feature", name), quantity=read_quantity(amount, zero=zero))
        for name, amount in also.items()
    )


def read_quantity(value: object, *, zero: bool = True) -> int | str:
    """Return a quantity as it is told: an integer, or a decimal text; raises ValueError for anything else."""
    if isinstance(value, float):
        raise ValueError(f"{value!r} is a float; quantities are exact: write an int, a Decimal, or a text like '12.5'")
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is no quantity; write a finite number")
        value = format(value, "f")
    if not isinstance(value, int | str):
        raise ValueError(f"{value!a} is no quantity; write an int, a Decimal, or a text like '12.5'")
    text = value.rstrip("0").rstrip(".") if isinstance(value, str) and "." in value else value
    minor = parse_quantity(text, len(text.partition(".")[2]) if isinstance(text, str) else 0)
    if minor == 0 and not zero:
        raise ValueError("the quantity is 0; at least something is consumed or reserved")
    return str(text) if isinstance(text, str) or text > _MOST_INT else int(text)


def read_lasts(lasts: timedelta | str | None) -> str:
    """Return how long a reservation lasts, as an ISO 8601 duration; raises ValueError beyond a second to a day."""
    if lasts is None:
        return DEFAULT_LASTS
    if isinstance(lasts, str):
        return lasts
    if not timedelta(seconds=1) <= lasts <= _MOST_LASTS:
        raise ValueError(f"lasts={lasts} is not possible; a reservation lasts from a second to a day")
    return f"PT{-(-lasts // timedelta(seconds=1))}S"


def amount_of(number: Number) -> int | Decimal:
    """Return a number from the wire as one to count with; ``unlimited`` is infinite."""
    if isinstance(number, int):
        return number
    return Decimal("Infinity") if number == "unlimited" else Decimal(number)


def moment_of(text: str | None) -> datetime | None:
    """Return an instant from the wire."""
    return None if text is None else datetime.fromisoformat(text)


def usage_of(wanted: Wanted, answer: ConsumeAnswer, wall: Instant) -> Usage:
    """Return what came of a request. ``wall`` is real time."""
    decision = None
    if not answer.allowed:
        told = answer.refusals[0] if answer.refusals else _bare(wanted, answer.reason)
        decision = decision_of(told, wall)
    return Usage(customer=wanted.customer, feature=wanted.feature, told=answer, key=wanted.key, decision=decision)


def decision_of(told: DecisionView, wall: Instant) -> "Decision":
    """Return a decision that came over the wire as one to look at."""
    from licet.core.case import Case
    from licet.core.decision import Decision as Ruled
    from licet.core.instant import BEGINNING
    from licet.core.reason import Reason
    from licet.sdk.carried import Carried
    from licet.sdk.decision import Page, nothing

    # A reason of a later version is kept in ``told``.
    known = Reason(told.reason) if told.reason in {one.value for one in Reason} else Reason.NOT_ENTITLED
    ruled = Ruled(told.allowed, known, Case(nothing(), told.customer, told.feature, BEGINNING, FOREVER))
    page = Page(basis=told.basis or "", issued_at=wall, fresh_until=FOREVER, usable_until=FOREVER)
    return Carried(ruled=ruled, wall=wall, page=page, told=told, helps="")


def _bare(wanted: Wanted, reason: str) -> DecisionView:
    """The decision of a server that gives a reason and no more."""
    return DecisionView(
        allowed=False,
        reason=reason,
        reasons=(reason,),
        would_deny=None,
        customer=wanted.customer,
        feature=wanted.feature,
        type=None,
        mode=None,
        value=None,
        limit=None,
        sources=(),
        message=f"{wanted.feature} is not available ({reason}).",
        remedy=None,
        valid_until=None,
        missing=(),
    )


def _fields(wanted: Wanted) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in wanted.__struct_fields__}
