"""What tests of owned quota need: a journal that remembers, and a hub's answers to one owner."""

from collections.abc import Sequence

from licet.evaluator.slices import Kept, Key, Owned
from licet.wire.quota import LeaseAsk, LeaseGiven, LeaseHeard, LeaseState, QuotaAnswer, QuotaCall

CALLS, AI = Key("acme", "calls"), Key("acme", "ai")


class Notes:
    """A journal that remembers, and how it came to that."""

    def __init__(self, *left: Kept) -> None:
        self.kept = {one.id: one for one in left}
        self.writes: list[Kept] = []
        self.full = False

    def write(self, kept: Kept) -> None:
        """Note it."""
        if self.full:
            raise OSError(28, "the disk takes no more")
        self.kept[kept.id] = kept
        self.writes.append(kept)

    def forget(self, leases: Sequence[str]) -> None:
        """Drop it."""
        for one in leases:
            self.kept.pop(one, None)

    def left(self) -> tuple[Kept, ...]:
        """What was left behind."""
        return tuple(self.kept.values())


def named(number: int) -> str:
    """The id of a lease."""
    return f"{number:032x}"


def give(owned: Owned, number: int, key: Key, amount: int, now: float = 0.0, *, seconds: float = 60.0) -> QuotaAnswer:
    """Let it ask for a slice and have it."""
    owned.ask(LeaseAsk(id=named(number), customer=key.customer, feature=key.feature, wanted=amount))
    call = owned.call(now)
    given = LeaseGiven(id=named(number), epoch=max(1, owned.epoch), amount=amount, seconds=seconds, left=900)
    answer = QuotaAnswer(number=call.number, epoch=given.epoch, given=(given,))
    owned.hear(answer, now)
    return answer


def hear(owned: Owned, now: float, state: LeaseState, used: int, number: int = 1, *, epoch: int = 1) -> QuotaCall:
    """Let it call, and hear of one lease what it became."""
    call = owned.call(now)
    heard = (LeaseHeard(id=named(number), state=state, used=used),)
    owned.hear(QuotaAnswer(number=call.number, epoch=epoch, heard=heard), now)
    return call
