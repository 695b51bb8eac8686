"""The trial of a subscription as its orders tell it: its end, what follows, and what is bought after it fell.

A trial that is over stays what it was: an order that still tells it changes nothing about what followed, and one that
does not tell it buys what it names from its own effect on.
"""

from datetime import datetime
from typing import NamedTuple

from licet.core.compiled import CompiledCatalog
from licet.core.instant import Instant, add_duration, to_datetime, to_instant
from licet.core.orders import OrderDocument
from licet.core.terms import Item, Phase, Subscription, TrialEnd
from licet.core.timeline import Fallen, after_fall
from licet.core.trail import Moves


class Trial(NamedTuple):
    """A trial, ``[start, end)``, and what follows it; without an end there is none.

    ``moves`` are those of its subscription: what follows is told by the version that was held until the end.
    """

    start: datetime | None
    end: datetime | None
    behavior: TrialEnd
    moves: Moves = ()

    def left_of(self, catalog: CompiledCatalog, phase: Phase, at: datetime) -> Fallen | None:
        """Return what this trial, fallen by ``at``, left of a phase; None where it did not fall, or to nothing.

        A phase that begins when the trial is over does not fall: it was bought as it is.
        """
        if self.behavior != "fall" or self.end is None or not phase.starts_at < self.end <= at:
            return None
        return after_fall(catalog, phase.items, to_instant(self.end), self.moves)


def tells_trial(order: OrderDocument) -> bool:
    """Return whether an order says that there is or was a trial."""
    return order.trial_start is not None or order.trial_end is not None


def read_trial(
    catalog: CompiledCatalog,
    order: OrderDocument,
    items: tuple[Item, ...],
    *,
    zone: str | None,
    before: Subscription | None = None,
    moves: Moves = (),
) -> Trial:
    """Return the trial of a subscription after an order whose own lines are ``items``; ``before`` is what it continues.

    An end that nobody states is that of the plan version's trial, counted in ``zone``. ``moves`` are those of the
    subscription: how long a trial lasts, and whether it falls, was agreed when it was bought, so they change only what
    it falls to.
    """
    effective = order.effective_at or order.occurred_at
    over = before if before is not None and before.trial_end is not None and before.trial_end <= effective else None
    if not tells_trial(order):
        if over is not None and fallen(catalog, over, moves) is not None:
            return Trial(over.trial_start, over.trial_end, "fall", moves)
        return Trial(None, None, order.trial_end_behavior or _follows(catalog, items, order), moves)
    end = order.trial_end
    if end is None and order.trial_start is not None:
        same = over is not None and over.trial_start == order.trial_start
        length = _own_end(catalog, zone, items, to_instant(order.trial_start))
        end = over.trial_end if over is not None and same else length
    stays = over is not None and over.trial_end == end
    follows = over.trial_end_behavior if over is not None and stays else _follows(catalog, items, order)
    return Trial(order.trial_start, end, order.trial_end_behavior or follows, moves)


def still_fallen(items: tuple[Item, ...], left: Fallen) -> tuple[Item, ...]:
    """Return what an order means that tells a fallen trial still: the plans that were tried stay fallen."""
    tried = {trail.item.id for trail in left.lapsed}
    if not any(item.kind == "plan" and item.id in tried for item in items):
        return items
    followers = tuple(item for item in left.items if item.kind == "plan")
    return (*followers, *(item for item in items if item.kind != "plan" or item.id not in tried))


def versions_tried(catalog: CompiledCatalog, subscription: Subscription, moves: Moves) -> tuple[Item, ...]:
    """Return what was tried, as it was bought, and what it fell to: later, either is bought in that version."""
    left = fallen(catalog, subscription, moves)
    return () if left is None else (*left.items, *(trail.bought for trail in left.lapsed))


def fallen(catalog: CompiledCatalog, subscription: Subscription, moves: Moves) -> Fallen | None:
    """Return what the trial of a subscription leaves when it falls; None where it does not, or to nothing.

    ``moves`` are those of the subscription (``moves_of``).
    """
    end = subscription.trial_end
    begun = [] if end is None else [phase for phase in subscription.phases if phase.starts_at < end]
    if end is None or not begun or any(phase.starts_at == end for phase in subscription.phases):
        return None
    crossing = max(begun, key=lambda one: one.starts_at)
    trial = Trial(subscription.trial_start, end, subscription.trial_end_behavior, moves)
    return trial.left_of(catalog, crossing, end)


def _follows(catalog: CompiledCatalog, items: tuple[Item, ...], order: OrderDocument) -> TrialEnd:
    """What follows a trial where the order does not say: what the plan version says, if it speaks about trials."""
    found = [catalog.versions.get((one.kind, one.id, one.version)) for one in items]
    plans = [one for one in found if one is not None]
    own = order.trial_end is None and order.trial_start is not None and any(one.trial is not None for one in plans)
    falls = order.trial_end is not None and any(one.then is not None for one in plans)
    return "fall" if own or falls else "convert"


def _own_end(catalog: CompiledCatalog, zone: str | None, items: tuple[Item, ...], start: Instant) -> datetime | None:
    """The end of a trial that lasts as long as the bought plan version says."""
    for item in items:
        found = catalog.versions.get((item.kind, item.id, item.version))
        if found is not None and found.trial is not None:
            return to_datetime(add_duration(start, found.trial, catalog.zone(zone)))
    return None
