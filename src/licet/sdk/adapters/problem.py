"""What a refused web request is answered: an RFC 9457 problem in words for customers, without internal rules."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import Meta, Struct

from licet.core.question import Context
from licet.core.reason import Reason
from licet.core.views import LimitView
from licet.sdk.errors import NeverHeld, NotEntitled, NoTruth

if TYPE_CHECKING:
    from licet.sdk.decision import Decision

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5
"""When to come back after a question that could not be answered: the client goes on trying by itself."""
UNANSWERED: Final = "What your plan includes cannot be looked up at the moment. Please try again shortly."
MISUSED: Final = (
    "What your plan includes cannot be looked up here. The mistake is ours, and trying again will not help."
)
"""For a customer whom the program's client never holds: only whoever runs the program can mend that."""
_UNSURE: Final = frozenset({Reason.SNAPSHOT_EXPIRED, Reason.CLOCK_ROLLED_BACK})
"""Refusals that say nothing about the customer's rights, only that what is known about them is too old."""
_SPENT: Final = frozenset({Reason.LIMIT_REACHED, Reason.CREDIT_EXHAUSTED, Reason.SPEND_LIMIT_REACHED})
_log: Final = logging.getLogger("licet")


class Asks(Protocol):
    """What a gate needs of a client; :class:`licet.Client`, ``AsyncClient`` and a test world's client all have it."""

    def require(
        self,
        customer: str,
        feature: str,
        *,
        user: str | None = None,
        context: Context | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
    ) -> "Decision":
        """Return the decision that allows; raises NotEntitled for a refusal, NoTruth where there is no answer."""


class Denial(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a refused web request (RFC 9457), for the vendor's own customers and their programs."""

    type: str
    """``urn:licet:problem:`` and the code."""
    title: str
    """The same for every problem of this code."""
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    """One sentence for the customer."""
    code: str
    """``not_entitled``, ``allowance_spent`` or ``no_truth``; stable."""
    reason: str | None = None
    """The first reason of the decision; one of the documented list."""
    feature: str | None = None
    remedy: str | None = None
    """What would change the answer, in words for the customer."""
    limit: LimitView | None = None
    """The number that applies, where one does."""


class Answer(NamedTuple):
    """A whole HTTP answer, for any framework."""

    status: int
    headers: dict[str, str]
    body: bytes


Status = Callable[["Decision"], int]
"""Which status a refusal has; :func:`status_of` unless a vendor wants another."""
_TITLES: Final = {
    "not_entitled": "This is not included",
    "allowance_spent": "The allowance is used up for now",
    "no_truth": "This could not be decided",
}


def status_of(decision: "Decision") -> int:
    """Return the HTTP status of a refusal.

    403 where something must change before the same request is allowed. 429 where waiting is enough: an allowance that
    comes back by itself is spent. 503 where the truth about the customer is too old to say. Never 402: RFC 9110
    reserves it, and a refusal is not always about money.
    """
    if decision.reason in _UNSURE:
        return 503
    limit = decision.limit
    return 429 if decision.reason in _SPENT and limit is not None and limit.per not in (None, "lifetime") else 403


def answer_to(error: NotEntitled | NoTruth, status: Status = status_of) -> Answer:
    """Return what a request is answered that ended with this error; ``Retry-After`` stands beside 503.

    A question that this program's client can never answer is a mistake of the program: 500.
    """
    if isinstance(error, NeverHeld):
        _log.error("a request asked what this program's client cannot answer (%s): %s", error.code, error)
        return _answer(_denial("no_truth", 500, MISUSED), None)
    if isinstance(error, NoTruth):
        _log.error("a request could not be decided (%s): %s", error.code, error)
        return _answer(_denial("no_truth", 503, UNANSWERED), RETRY_SECONDS)
    decision = error.decision
    chosen = status(decision)
    if chosen == 503:
        return _answer(_about(decision, "no_truth", chosen), RETRY_SECONDS)
    return _answer(_about(decision, "allowance_spent" if chosen == 429 else "not_entitled", chosen), None)


def _about(decision: "Decision", code: str, status: int) -> Denial:
    """The problem of one decision."""
    remedy = decision.remedy
    return _denial(
        code,
        status,
        decision.message,
        reason=str(decision.reason),
        feature=decision.feature,
        remedy=None if remedy is None else remedy.words,
        limit=decision.limit,
    )


def _denial(code: str, status: int, detail: str, **more: Any) -> Denial:
    return Denial(
        type=f"urn:licet:problem:{code}", title=_TITLES[code], status=status, detail=detail, code=code, **more
    )


def _answer(denial: Denial, wait: int | None) -> Answer:
    headers = {"Content-Type": PROBLEM_TYPE} | ({} if wait is None else {"Retry-After": str(wait)})
    return Answer(denial.status, headers, msgspec.json.encode(denial))
