"""What a rehearsal tells: progress, differences one by one, and at the end the sums."""

from datetime import datetime

from msgspec import Struct

from licet.core.question import Question
from licet.core.rehearsal import Likeness
from licet.core.tally import Outcome


class WasView(Struct, frozen=True, kw_only=True):
    """The answer that was given. ``outcome`` is ``would_deny`` for what only observe mode allowed."""

    allowed: bool
    outcome: Outcome
    reason: str
    """The first one; in observe mode the first with which it would have been refused."""
    mode: str | None


class WouldView(Struct, frozen=True, kw_only=True):
    """The answer that the proposed catalog gives, told like the one that was given, with all its reasons."""

    allowed: bool
    outcome: Outcome
    reason: str
    reasons: tuple[str, ...]
    mode: str | None
    message: str
    """In words for the customer."""


class Difference(Struct, frozen=True, kw_only=True):
    """A question that is answered otherwise. ``already``: the newest release answers as the proposed one would."""

    id: str
    """Of the check on record."""
    asked_at: datetime
    customer: str
    user: str | None
    feature: str
    kind: Likeness
    was: WasView
    would: WouldView
    already: bool
    question: Question
    left_out: tuple[str, ...]
    basis: str


class FeatureRehearsal(Struct, frozen=True, kw_only=True):
    """What became of the questions about one feature."""

    feature: str
    questions: int
    same: int
    differing: int
    newly_denied: int
    newly_allowed: int
    observed: int
    reason: int
    already: int
    undecided: int


class MissingFact(Struct, frozen=True, kw_only=True):
    """An attribute that was not kept and that the proposed catalog reads."""

    attribute: str
    questions: int


class Undecided(Struct, frozen=True, kw_only=True):
    """Why questions could not be asked again. They count neither as same nor as differing."""

    left_out: int
    """The proposed catalog reads an attribute of the context that was not kept, because nothing read it then."""
    basis: int
    """The truth that it was answered by is not in this log any more: it was lost by a restore."""
    amount: int
    """Its amount does not fit the feature."""


class Rehearsal(Struct, frozen=True, kw_only=True):
    """What a proposed catalog would have answered. ``questions`` = ``same`` + ``differing`` + ``undecided``."""

    base: int
    """The newest release."""
    unreleasable: tuple[str, ...]
    """Why the catalog could not be released as it is, where it could not; it was rehearsed all the same."""
    since: datetime
    until: datetime
    questions: int
    same: int
    differing: int
    newly_denied: int
    newly_allowed: int
    observed: int
    """Allowed both times, but only one of them is a refusal that observe mode lets pass."""
    reason: int
    """The same outcome for another first reason."""
    already: int
    """Of those that differ: so under the newest release too, so that this change is not why."""
    shown: int
    """Differences that were told one by one."""
    undecided: int
    undecided_for: Undecided
    missing: tuple[MissingFact, ...]
    by_feature: tuple[FeatureRehearsal, ...]
    """Those that differ most first."""


class Rehearsed(Struct, frozen=True, kw_only=True):
    """How far the work has come, in questions."""

    done: int
    of: int


class RehearsalLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the answer: progress in questions, a difference as it is found, at the end the sums."""

    progress: Rehearsed | None = None
    difference: Difference | None = None
    rehearsal: Rehearsal | None = None
