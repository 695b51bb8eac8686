"""Episodes of non-payment: from the first missed payment until every missed one is settled."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from licet.core.instant import FOREVER, Instant, to_instant
from licet.core.terms import PaymentFact

_WEIGHT: Final = {"due": 0, "failed": 1, "disputed": 1, "uncollectible": 1, "voided": 2, "paid": 3}
"""Which of two facts of one invoice at one instant counts: the heavier one."""
OPEN: Final = frozenset({"due", "failed", "disputed", "uncollectible"})
"""After these an invoice is owed."""


class Episode(Struct, frozen=True):
    """A time ``[start, end)`` in which at least one invoice was owed; ``end`` is FOREVER while one still is."""

    start: Instant
    end: Instant


def read_episodes(payments: Iterable[PaymentFact]) -> tuple[Episode, ...]:
    """Return the episodes in order; they neither touch nor overlap unless one begins where another ends.

    The order of the facts does not matter. A fact supersedes the earlier ones of its invoice; of several at one
    instant paid beats voided beats every way of owing. Of several due dates of one invoice the one stated last counts,
    and it opens nothing that was settled by then.
    """
    owed: list[tuple[Instant, Instant]] = []
    for facts in _by_invoice(payments).values():
        since: Instant | None = None
        for at, kind in _settled(facts):
            if kind in OPEN and since is None:
                since = at
            elif kind not in OPEN and since is not None:
                owed.append((since, at))
                since = None
        if since is not None:
            owed.append((since, FOREVER))
    episodes: list[Episode] = []
    for start, end in sorted(owed):
        if episodes and start < episodes[-1].end:
            episodes[-1] = Episode(episodes[-1].start, max(end, episodes[-1].end))
        else:
            episodes.append(Episode(start, end))
    return tuple(episodes)


def open_invoices(payments: Iterable[PaymentFact], now: Instant) -> tuple[str, ...]:
    """Return the invoices owed at ``now``, sorted."""
    owed = []
    for invoice, facts in _by_invoice(payments).items():
        passed = [kind for at, kind in _settled(facts) if at <= now]
        if passed and passed[-1] in OPEN:
            owed.append(invoice)
    return tuple(sorted(owed))


def _by_invoice(payments: Iterable[PaymentFact]) -> dict[str, list[PaymentFact]]:
    """The facts of each invoice."""
    found: dict[str, list[PaymentFact]] = {}
    for fact in payments:
        found.setdefault(fact.invoice, []).append(fact)
    return found


def _settled(facts: list[PaymentFact]) -> list[tuple[Instant, str]]:
    """One kind for each instant, in order of time."""
    heaviest: dict[Instant, str] = {}
    for fact in facts:
        at = to_instant(fact.at)
        if fact.kind != "due" and (at not in heaviest or _WEIGHT[fact.kind] > _WEIGHT[heaviest[at]]):
            heaviest[at] = fact.kind
    due = _due(facts)
    if due is not None and all(at > due or kind in OPEN for at, kind in heaviest.items()):
        heaviest.setdefault(due, "due")
    return sorted(heaviest.items())


def _due(facts: list[PaymentFact]) -> Instant | None:
    """The due date that was stated last; of several stated at once, the latest."""
    stated = [
        (to_instant(fact.at if fact.stated_at is None else fact.stated_at), to_instant(fact.at))
        for fact in facts
        if fact.kind == "due"
    ]
    return max(stated)[1] if stated else None
