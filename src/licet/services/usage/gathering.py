"""Folding many balances anew together: what each of them asks next is asked for all of them by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from licet.core.instant import Instant
from licet.core.usage.course import Course
from licet.core.usage.facts import AccountKey, Fact
from licet.services.usage.many_ports import PastsReads
from licet.services.usage.ports import BalanceRow
from licet.services.usage.refolding import Past, Span, past_of

_SLICE: Final = 500
"""Facts that are looked at before others have their turn."""

T = TypeVar("T")


class Wanted(NamedTuple):
    """A balance to be folded: its course, the meter of a metered feature, and which facts must be among those read."""

    course: Course
    meter: str | None
    before: Instant


class _Question(Generic[T]):
    """What a fold waits for: something to be read, the same for all that ask the same ``kind``."""

    __slots__ = ("about", "kind", "rest")

    def __init__(self, kind: str, about: tuple[Any, ...], rest: tuple[Any, ...] = ()) -> None:
        self.kind = kind
        self.about = about
        self.rest = rest

    def __await__(self) -> "Generator[_Question[T], T, T]":
        answer = yield self
        return answer


class _Asking:
    """Reads nothing itself: says what is to be read."""

    async def checkpoint(self, key: AccountKey, before: Instant, known: datetime | None = None) -> BalanceRow | None:
        question = _Question[BalanceRow | None]("checkpoint", (key, before), (known,))
        return await question

    async def border(self, key: AccountKey) -> Instant | None:
        question = _Question[Instant | None]("border", (key,))
        return await question

    async def facts_of(
        self,
        key: AccountKey,
        *,
        after: tuple[Instant, str] | None = None,
        until: Instant | None = None,
        known: datetime | None = None,
    ) -> Sequence[Fact]:
        question = _Question[Sequence[Fact]]("facts", (key, after), (until, known))
        return await question

    async def ended_after(self, customer: str, since: Instant, until: Instant | None, known: datetime) -> Sequence[str]:
        question = _Question[Sequence[str]]("ended", (customer, since, until, known))
        return await question

    async def first_of(self, customer: str, facts: Sequence[str], since: Instant, until: Instant) -> Instant | None:
        question = _Question[Instant | None]("first", (customer, facts, since, until))
        return await question


async def pasts_of(reads: PastsReads, wanted: Sequence[Wanted], span: Span) -> list[Past]:
    """Return what balances are folded from, in their order, as :func:`past_of` does for one of them."""
    asking = _Asking()
    turns: list[Coroutine[Any, Any, Past]] = [
        past_of(asking, one.course, one.meter, one.before, span) for one in wanted
    ]
    found: dict[int, Past] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(turns)))
    try:
        while answers:
            asked: dict[tuple[str, tuple[Any, ...]], dict[int, tuple[Any, ...]]] = {}
            seen = 0
            for number, answer in answers.items():
                try:
                    question = turns[number].send(answer)
                except StopIteration as ended:
                    found[number] = ended.value
                    seen += len(found[number].facts)
                    if seen >= _SLICE:
                        await asyncio.sleep(0)
                        seen = 0
                else:
                    asked.setdefault((question.kind, question.rest), {})[number] = question.about
            answers = {}
            for (kind, rest), abouts in asked.items():
                answers |= zip(abouts, await _READ[kind](reads, list(abouts.values()), rest), strict=True)
    finally:
        for turn in turns:
            turn.close()
    return [found[number] for number in range(len(turns))]


_Read = Callable[[PastsReads, list[Any], tuple[Any, ...]], Awaitable[Sequence[Any]]]


async def _checkpoints(reads: PastsReads, about: list[Any], rest: tuple[Any, ...]) -> Sequence[Any]:
    return await reads.checkpoints(about, *rest)


async def _borders(reads: PastsReads, about: list[Any], _: tuple[Any, ...]) -> Sequence[Any]:
    return await reads.borders([key for (key,) in about])


async def _facts(reads: PastsReads, about: list[Any], rest: tuple[Any, ...]) -> Sequence[Any]:
    until, known = rest
    return await reads.facts_of_each(about, until=until, known=known)


async def _ended(reads: PastsReads, about: list[Any], _: tuple[Any, ...]) -> Sequence[Any]:
    return [await reads.ended_after(*one) for one in about]


async def _firsts(reads: PastsReads, about: list[Any], _: tuple[Any, ...]) -> Sequence[Any]:
    return [await reads.first_of(*one) for one in about]


_READ: Final[dict[str, _Read]] = {
    "checkpoint": _checkpoints,
    "border": _borders,
    "facts": _facts,
    "ended": _ended,
    "first": _firsts,
}
