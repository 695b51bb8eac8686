"""Quota leases between an evaluator and its hub: what is asked, told and answered. ``POST /v1/quota-leases``.

Quantities are whole minor units of the feature's meter or credit. ``seconds`` are real seconds from when the call was
sent that is answered, so that nobody needs another's clock. Every message may be repeated, late or lost.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from licet.core.catalog import Id

MAX_ASKS: Final = 100
"""Leases asked for in one call."""
MAX_TOLD: Final = 1_000
"""Leases told of in one call."""

BOUNDLESS: Final = 2**53 - 1
"""Said to be left where nothing bounds it; no slice makes it less."""

LeaseId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
"""128 bits, made by whoever asks: the id of a lease is that of the first request for it."""
Units = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class LeaseAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Ask for a slice under an id; the same id is answered with the same lease, however often it is asked."""

    id: LeaseId
    customer: Id
    feature: Id
    wanted: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    least: Annotated[int, Meta(ge=1, le=2**53 - 1)] = 1
    """With less than this nothing can be begun; then nothing is issued."""


class LeaseTold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What became of a slice. ``used`` is everything that is known to have been spent of it.

    ``closed``: nothing more will be spent, whatever happens; it was written down before it was said.
    """

    id: LeaseId
    used: Units
    closed: bool = False
    lost: Units = 0
    """Of a closed one whose process crashed: so much more may have been spent, and nobody knows."""
    longer: bool = False
    """Whether an open one shall last longer."""


class LeaseClaim(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What was used of a lease that the hub does not know: issued after the copy that it was restored from.

    Or of none: what came to more than was reserved, beyond all that was owned, under a fresh id.
    """

    id: LeaseId
    customer: Id
    feature: Id
    used: Units
    lost: Units = 0
    epoch: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    """That under which the lease was given; 0 of what was never leased. Of the hub's own epoch it knew every lease: one
    that it does not know any more was settled, and is charged nothing."""


class QuotaCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What one evaluator asks and tells."""

    owner: LeaseId
    """The evaluator: another one after each start of its process, and in each child of it."""
    number: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    """Another one for each call, also where it says the same again: times in the answer count from when it was sent."""
    epoch: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    """The newest that it knows; 0 before the first answer. What is asked under another one than the hub's is denied."""
    asks: Annotated[tuple[LeaseAsk, ...], Meta(max_length=MAX_ASKS)] = ()
    told: Annotated[tuple[LeaseTold, ...], Meta(max_length=MAX_TOLD)] = ()
    claims: Annotated[tuple[LeaseClaim, ...], Meta(max_length=MAX_TOLD)] = ()


class LeaseGiven(Struct, frozen=True, kw_only=True, gc=False):
    """A slice that belongs to whoever asked for it, from the commit before this was said."""

    id: LeaseId
    epoch: int
    amount: Units
    seconds: float
    """So long it may be spent."""
    left: int
    """What was left to be issued after it; below 0 is a deficit. 2^53 - 1: nothing bounds it."""


class LeaseDenied(Struct, frozen=True, kw_only=True, gc=False):
    """Nothing was issued: ``epoch_over``, ``lease_closed``, ``lease_of_another``, or the reason of a decision."""

    id: LeaseId
    code: str
    left: int


LeaseState = Literal["open", "settled", "escheated", "unknown"]


class LeaseHeard(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the hub holds of a lease after it was told of: ``used`` as it stands there.

    ``open``: tell again when it is closed. Any other state is final for its owner: it may forget the lease.
    """

    id: LeaseId
    state: LeaseState
    used: Units
    seconds: float = 0.0
    """Of an open lease that was asked to last longer: how long it does; 0 where it does not."""


class QuotaAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What came of a call. An answer of an older epoch than one knows is not to be used."""

    number: int
    """That of the call."""
    epoch: int
    given: tuple[LeaseGiven, ...] = ()
    denied: tuple[LeaseDenied, ...] = ()
    heard: tuple[LeaseHeard, ...] = ()
    recalled: tuple[str, ...] = ()
    """Open leases of this owner that shall be closed and told of now."""
