"""What a program that answers checks itself tells the server of them: one numbered batch of counts, records and uses.

The batch of a number is repeated as it is until it is acknowledged, so that each check counts once.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from licet.core.catalog import Id
from licet.core.question import Question
from licet.core.tally import Outcome

MAX_COUNTS: Final = 5_000
"""Counts of one batch."""
MAX_RECORDS: Final = 1_000
"""Single checks of one batch."""
MAX_SAID: Final = 1_000
"""Uses that were said, of one batch."""
MAX_BYTES: Final = 1024 * 1024
"""Bytes of one batch as JSON."""
OLDEST_DAYS: Final = 35
"""How long ago what is told may have been, in days of business time."""
AHEAD_MINUTES: Final = 10
"""How far ahead of the server's business time what is told may be: clocks differ."""
MAX_TIMES: Final = 10**9
"""How often one count may say that was asked."""

Aware = Annotated[datetime, Meta(tz=True)]
Times = Annotated[int, Meta(ge=1, le=MAX_TIMES)]
Lost = Annotated[int, Meta(ge=0, le=MAX_TIMES)]
ReasonCode = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
"""Any that looks like one: programs may know later reasons than the server does."""
Mode = Literal["enforce", "observe", "off"]


class CountTold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often was asked one thing within an hour of business time, and answered one way."""

    hour: Aware
    """The first instant of a whole hour."""
    customer: Id | None = None
    user: Id | None = None
    feature: Id | None = None
    reason: ReasonCode
    """The first; in observe mode the first with which it would have been refused."""
    outcome: Outcome
    mode: Mode | None = None
    others: Literal["user", "customer", "feature"] | None = None
    """For want of room users, then customers too, then features too were not told apart."""
    checks: Times


class CheckTold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One check of a feature with ``record: each``: its question without what no condition read, and how it went."""

    at: Aware
    """Business time."""
    question: Question
    left_out: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()
    reason: ReasonCode
    outcome: Outcome
    mode: Mode | None = None
    basis: Annotated[str, Meta(max_length=40)] = ""
    """The truth on which the answer rested, like ``1:42``."""


class UseTold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a limit a caller last said is used."""

    customer: Id
    feature: Id
    used: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    """In minor units: without the point that the feature's scale sets."""
    at: Aware
    """Business time."""


class LostChecks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was asked and could not be counted, or not be kept, since the batch before."""

    checks: Lost = 0
    records: Lost = 0


class CheckUpload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One batch of one counter. A number counts once, and none after a higher one."""

    counter: Annotated[str, Meta(pattern="^ctr_[0-9a-f]{32}$")]
    """New for each process and each start of it."""
    number: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    counts: Annotated[tuple[CountTold, ...], Meta(max_length=MAX_COUNTS)] = ()
    records: Annotated[tuple[CheckTold, ...], Meta(max_length=MAX_RECORDS)] = ()
    said: Annotated[tuple[UseTold, ...], Meta(max_length=MAX_SAID)] = ()
    lost: LostChecks = LostChecks()
