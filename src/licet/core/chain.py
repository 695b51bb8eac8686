"""Orders of one rank put in sequence by what the seller says of its states: each follows the state another left.

An order is a step from the state before it to the state after it; a history is a trail that takes every step once: a
step that several messages tell, each of them a change of its own, as often as there are messages.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import structs

from licet.core.orders import CustomerReferences, OrderDocument

MAX_CHAIN: Final = 50
"""How many orders of one rank are put in sequence; more of one instant are a finding."""

Step = tuple[str | None, str]
"""The states before and after."""


class Chain(NamedTuple):
    """Places in a list of orders. ``sure`` are oldest first; for ``torn`` ones no chain says where they belong."""

    sure: tuple[int, ...]
    torn: tuple[int, ...] = ()


class _Fragment(NamedTuple):
    """Orders that follow one another without a gap."""

    places: tuple[int, ...]
    rooted: bool = False
    """It begins with the state before all of them, so that every other fragment is newer."""
    chained: bool = False
    """The seller said what it follows."""


def read_chain(orders: Sequence[OrderDocument], before: str | None = None) -> Chain:
    """Return the sequence of orders of one rank, given in order of arrival; ``before`` is the state they began with.

    Linked orders are in sequence; a fragment that begins with the state before all comes before another one. What
    remains is torn: of that, the fragment that arrived first counts. So are orders of one step that want different
    things: the first to arrive counts.
    """
    if len(orders) > MAX_CHAIN:
        return Chain((0,), tuple(range(1, len(orders))))
    contrary = _contrary(orders)
    fragments = sorted(_fragments(orders, before, contrary), key=lambda one: min(one.places))
    rooted = [one for one in fragments if one.rooted]
    rest = [one for one in fragments if not one.rooted]
    if len(rooted) == 1 and len(rest) == 1 and rest[0].chained:
        return Chain((*rooted[0].places, *rest[0].places), tuple(sorted(contrary)))
    torn = sorted([*contrary, *(place for one in fragments[1:] for place in one.places)])
    return Chain(fragments[0].places, tuple(torn))


def _contrary(orders: Sequence[OrderDocument]) -> frozenset[int]:
    """The places of orders that tell of a step what the first one that tells of it does not."""
    first: dict[Step, OrderDocument] = {}
    found = set()
    for place, order in enumerate(orders):
        if order.state is not None:
            told = first.setdefault((order.follows, order.state), order)
            if told is not order and _wanted(told) != _wanted(order):
                found.add(place)
    return frozenset(found)


def _wanted(order: OrderDocument) -> OrderDocument:
    """What an order wants of its subscription, whoever tells it of whom, and whatever else it knows."""
    return structs.replace(
        order,
        message=None,
        customer=CustomerReferences(),
        lines=tuple(structs.replace(line, money=None) for line in order.lines),
        payments=(),
        paid_up=None,
        unplanned=False,
        region=None,
        country=None,
        attributes={},
    )


def _fragments(orders: Sequence[OrderDocument], before: str | None, contrary: frozenset[int]) -> list[_Fragment]:
    """The orders that hang together, each list in its sequence; orders that say nothing stand alone."""
    places: dict[Step, list[int]] = {}
    found: list[_Fragment] = []
    for place, order in enumerate(orders):
        if order.state is None:
            found.append(_Fragment((place,)))
        elif place not in contrary:
            places.setdefault((order.follows, order.state), []).append(place)
    for steps in _components(sorted(places, key=lambda step: (step[0] or "", step[1]))):
        turns = {step: _turns(orders, places[step]) for step in steps}
        trail = _trail([step for step in steps for _ in turns[step]], before)
        if trail is None and any(len(turns[step]) > 1 for step in steps):
            # Not all are heard yet, or two messages tell of one change.
            turns = {step: [places[step]] for step in steps}
            trail = _trail(steps, before)
        if trail is None:
            found += [_Fragment((place,)) for step in steps for place in places[step]]
            continue
        rooted = trail[0][0] is None or trail[0][0] == before
        taken = tuple(place for step in trail for place in turns[step].pop(0))
        found.append(_Fragment(taken, rooted=rooted, chained=trail[0][0] is not None))
    return found


def _turns(orders: Sequence[OrderDocument], places: list[int]) -> list[list[int]]:
    """The orders of one step by change: one for each message; who names none speaks of the first."""
    messages = dict.fromkeys(orders[place].message for place in places if orders[place].message is not None)
    if len(messages) < 2:
        return [places]
    turns = [[place for place in places if orders[place].message == message] for message in messages]
    turns[0] += [place for place in places if orders[place].message is None]
    return turns


def _components(steps: list[Step]) -> list[list[Step]]:
    """The steps grouped so that those that share a state are together; the beginning is no state."""
    groups: list[tuple[set[str], list[Step]]] = []
    for step in steps:
        states = {state for state in step if state is not None}
        joined = [step]
        apart = []
        for known, members in groups:
            if known & states:
                states |= known
                joined = [*members, *joined]
            else:
                apart.append((known, members))
        groups = [*apart, (states, joined)]
    return [members for _, members in groups]


def _trail(steps: list[Step], before: str | None) -> list[Step] | None:
    """All steps of a component as one trail (Hierholzer's algorithm); None if there is none, or several ends."""
    balance: dict[str | None, int] = {}
    for origin, target in steps:
        balance[origin] = balance.get(origin, 0) + 1
        balance[target] = balance.get(target, 0) - 1
    starts = [state for state, surplus in balance.items() if surplus > 0]
    if any(abs(surplus) > 1 for surplus in balance.values()) or len(starts) > 1:
        return None
    if starts:
        start = starts[0]
    elif before in balance or len(balance) == 1:
        # A circle ends where it begins: that is known only of the state before all, or of a state that never changed.
        start = before if before in balance else steps[0][0]
    else:
        return None
    ways: dict[str | None, list[Step]] = {}
    for step in sorted(steps, key=lambda one: (one[0] or "", one[1]), reverse=True):
        ways.setdefault(step[0], []).append(step)
    taken: list[Step] = []
    open_: list[Step | None] = [None]
    here: list[str | None] = [start]
    while here:
        if ways.get(here[-1]):
            step = ways[here[-1]].pop()
            open_.append(step)
            here.append(step[1])
        else:
            here.pop()
            last = open_.pop()
            if last is not None:
                taken.append(last)
    return taken[::-1]
