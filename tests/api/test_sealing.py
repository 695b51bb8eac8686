"""The rhythm of sealing: who is sealed when, however much another workspace uses."""

from datetime import UTC, datetime
from typing import cast

from licet.api.sealing import MUCH, SEGMENT, Sealing
from licet.services.ports import Storage
from licet.services.rows import Workspace
from licet.services.usage.ports import SegmentRow

NOW = datetime(2027, 1, 1, tzinfo=UTC)


class Tails:
    """A storage of which only the facts that are not sealed yet are known, by workspace."""

    def __init__(self, **tails: int) -> None:
        self.tails = tails
        self.sealed: list[tuple[str, int]] = []
        self.grows = dict.fromkeys(tails, 0)

    async def workspaces(self) -> list[Workspace]:
        """All of them."""
        return [Workspace(id=one, kind="test") for one in self.tails]

    async def seal(self, workspace: str, most: int = 10_000, least: int = 1) -> SegmentRow | None:
        """Seal some; others are used meanwhile."""
        count = min(most, self.tails[workspace])
        if count < least:
            return None
        self.tails[workspace] += self.grows[workspace] - count
        self.sealed.append((workspace, count))
        return SegmentRow(number=1, first=1, count=count, root=bytes(32), previous=bytes(32), sealed_at=NOW)


def sealing(storage: Tails, clock: list[float]) -> Sealing:
    """The rhythm over them."""
    return Sealing(cast("Storage", storage), lambda: NOW, monotonic=lambda: clock[0])


async def test_a_busy_workspace_keeps_no_other_from_being_sealed() -> None:
    """Segment by segment in turn, until nobody has a whole one left; a rest is sealed at the next look."""
    clock = [0.0]
    storage = Tails(busy=3 * SEGMENT + 5, other=SEGMENT + MUCH, small=3)
    rhythm = sealing(storage, clock)
    await rhythm.round()
    assert [one for one, _ in storage.sealed] == ["busy", "other", "small", "busy", "other", "busy"]
    clock[0] = 5.0
    await rhythm.round()
    assert storage.tails == {"busy": 0, "other": 0, "small": 0}


async def test_little_is_waited_with_and_much_is_not() -> None:
    """After a small segment a few more facts wait for a minute; many are sealed at the next look."""
    clock = [0.0]
    storage = Tails(one=3)
    rhythm = sealing(storage, clock)
    await rhythm.round()
    storage.tails["one"] = MUCH - 1
    clock[0] = 5.0
    await rhythm.round()
    assert storage.tails["one"] == MUCH - 1
    storage.tails["one"] = MUCH
    await rhythm.round()
    assert storage.tails["one"] == 0
    storage.tails["one"] = 1
    clock[0] = 65.0
    await rhythm.round()
    assert storage.sealed == [("one", 3), ("one", MUCH), ("one", 1)]
