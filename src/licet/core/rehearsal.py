"""Rehearsal: a question of the past asked again under another catalog, and how its answer differs from the one given.

Answers are alike where outcome and first reason are. Where a condition reads a fact that was not kept, nothing is said.
"""

from typing import Literal

from msgspec import Struct, structs

from licet.core.case import Case
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.question import Context, Question, UserFacts
from licet.core.reason import Reason
from licet.core.recorded import attributes_read
from licet.core.snapshot import Snapshot, check, prepare_case
from licet.core.tally import Outcome

Likeness = Literal["same", "newly_denied", "newly_allowed", "observed", "reason"]
"""How two answers compare. ``observed``: allowed both times, but only one of them is a refusal that observe mode lets
pass. ``reason``: the same outcome for another first reason.
"""
Doubt = Literal["left_out", "basis", "amount"]
"""Why a question cannot be asked again: a fact that was not kept would be read; the truth that it was answered by
cannot be found any more; its amount does not fit the feature.
"""
_NOTHING = Context()


class Given(Struct, frozen=True, kw_only=True):
    """An answer as checks are counted: in observe mode ``would_deny`` with the first reason that would have refused."""

    outcome: Outcome
    reason: str
    mode: str | None

    @property
    def allowed(self) -> bool:
        """What the caller was told."""
        return self.outcome != "denied"


class Again(Struct, frozen=True):
    """A question asked again: its decision, or why there is none; with ``left_out`` the attributes that are missing."""

    decision: Decision | None
    doubt: Doubt | None = None
    missing: tuple[str, ...] = ()


def ask_again(
    catalog: CompiledCatalog,
    snapshot: Snapshot | None,
    question: Question,
    at: Instant,
    *,
    user: UserFacts | str | None = None,
    left_out: tuple[str, ...] = (),
) -> Again:
    """Ask a recorded question at an instant; ``snapshot`` is the customer's under ``catalog``, None for no customer.

    ``left_out`` names the attributes of its context that were not kept.
    """
    context = None if question.context == _NOTHING else question.context
    try:
        if snapshot is None:
            prepared = prepare_case(Case(catalog, question.customer, question.feature, BEGINNING, FOREVER))
            decision = prepared.ruling(prepared.case, question.quantity, question.used, user, context)
        else:
            decision = check(
                snapshot,
                question.feature,
                at,
                user=user,
                context=context,
                quantity=question.quantity,
                used=question.used,
            )
    except ValueError:
        return Again(None, "amount")
    missing = _missing(decision, left_out)
    return Again(None, "left_out", missing) if missing else Again(decision)


def given_by(decision: Decision) -> Given:
    """Return a decision as checks are counted."""
    feature = decision.case.catalog.features.get(decision.case.feature)
    mode = None if feature is None else feature.mode
    if decision.reason is Reason.OBSERVED:
        refusing = decision.would_deny
        if refusing is not None:
            return Given(outcome="would_deny", reason=str(refusing[0]), mode=mode)
    return Given(outcome="allowed" if decision.allowed else "denied", reason=str(decision.reason), mode=mode)


def compare(was: Given, would: Given) -> Likeness:
    """Return how an answer compares with the one that was given; the mode alone makes no difference."""
    if was.outcome == would.outcome:
        return "same" if was.reason == would.reason else "reason"
    if was.allowed == would.allowed:
        return "observed"
    return "newly_denied" if was.allowed else "newly_allowed"


def _missing(decision: Decision, left_out: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes left out that conditions read; none where no condition can matter."""
    feature = decision.case.catalog.features.get(decision.case.feature)
    if not left_out or feature is None or feature.mode == "off" or decision.case.terms is None:
        return ()
    return attributes_read(decision, left_out)


class Counts(Struct, kw_only=True):
    """How many questions were asked again, and with what result; all but ``already`` add up to ``questions``."""

    questions: int = 0
    same: int = 0
    newly_denied: int = 0
    newly_allowed: int = 0
    observed: int = 0
    reason: int = 0
    undecided: int = 0
    already: int = 0
    """Of those that differ: the newest release answers as the proposed one would, so that this change is not why."""

    @property
    def differing(self) -> int:
        """Those with another outcome or another first reason."""
        return self.newly_denied + self.newly_allowed + self.observed + self.reason


class Reckoning:
    """Adds up a rehearsal, whole and by feature. As large as there are features and attributes in conditions."""

    def __init__(self) -> None:
        self.whole = Counts()
        self.features: dict[str, Counts] = {}
        self.doubts: dict[Doubt, int] = {"left_out": 0, "basis": 0, "amount": 0}
        self.missing: dict[str, int] = {}
        """By attribute that was not kept, how many questions could not be decided for want of it."""

    def compared(self, feature: str, likeness: Likeness, *, already: bool = False) -> None:
        """Count an answer."""
        for counts in (self.whole, self._of(feature)):
            counts.questions += 1
            counts.already += already
            setattr(counts, likeness, getattr(counts, likeness) + 1)

    def doubted(self, feature: str, doubt: Doubt, missing: tuple[str, ...] = ()) -> None:
        """Count a question that could not be asked again."""
        for counts in (self.whole, self._of(feature)):
            counts.questions += 1
            counts.undecided += 1
        self.doubts[doubt] += 1
        for name in missing:
            self.missing[name] = self.missing.get(name, 0) + 1

    def by_feature(self) -> list[tuple[str, Counts]]:
        """Return the features asked about, those that differ most first."""
        rows = ((feature, structs.replace(counts)) for feature, counts in self.features.items())
        return sorted(rows, key=lambda row: (-row[1].differing, -row[1].undecided, row[0]))

    def _of(self, feature: str) -> Counts:
        return self.features.setdefault(feature, Counts())
