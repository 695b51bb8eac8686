"""Leases whose owners went silent are charged in the background, some at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from licet.api.lapsing import AT_ONCE, MOST_POSTINGS, Lapsing
from licet.services.ports import Storage
from licet.services.rows import Workspace
from licet.services.usage.jobs import Job, LapseJob, Reply
from licet.services.usage.lane import UsageLanes
from licet.telemetry import Metrics


class Silent:
    """A storage and its poster, of which only the leases that are lost are known, by workspace."""

    def __init__(self, **lost: int) -> None:
        self.lost = {name: [uuid4().hex for _ in range(count)] for name, count in lost.items()}
        self.posted: list[tuple[str, int]] = []
        self.broken: set[str] = set()
        self.asked = 0
        self.stuck = False

    async def workspaces(self) -> list[Workspace]:
        """All of them."""
        return [Workspace(id=one, kind="test", epoch=3) for one in self.lost]

    @asynccontextmanager
    async def read(self, workspace: str) -> AsyncIterator[Any]:
        """One state of a workspace."""
        if workspace in self.broken:
            raise OSError("gone")

        async def lost_leases(epoch: int, now: int, most: int) -> Sequence[str]:
            assert (epoch, now) == (3, 77)
            self.asked += 1
            return self.lost[workspace][:most]

        async def held_leases() -> tuple[int, int]:
            return len(self.lost[workspace]) + 5, 1

        about = Workspace(id=workspace, kind="test", epoch=3)
        reads = {"lost_leases": lost_leases, "held_leases": held_leases}
        yield SimpleNamespace(workspace=about, time=SimpleNamespace(wall=77), **reads)

    def lanes(self) -> UsageLanes:
        """Lanes that end here."""

        def poster(workspace: str) -> Any:
            async def post(jobs: Sequence[Job]) -> list[Reply]:
                for job in jobs:
                    assert isinstance(job, LapseJob)
                    self.posted.append((workspace, len(job.leases)))
                    if not self.stuck:
                        self.lost[workspace] = [one for one in self.lost[workspace] if one not in set(job.leases)]
                return [Reply(b"{}") for _ in jobs]

            return post

        return UsageLanes(poster)


def lapsing(storage: Silent, **more: Any) -> tuple[Lapsing, Metrics]:
    """The rhythm over them, and its numbers."""
    metrics = Metrics()
    return Lapsing(cast("Storage", storage), storage.lanes(), metrics, **more), metrics


async def test_what_is_lost_is_charged_some_at_a_time() -> None:
    """Each workspace's lost leases go in postings of a bounded size; where there are none, nothing is posted."""
    storage = Silent(busy=AT_ONCE + 3, other=2, quiet=0)
    rhythm, metrics = lapsing(storage)
    assert await rhythm.round() == AT_ONCE + 5
    assert storage.posted == [("busy", AT_ONCE), ("busy", 3), ("other", 2)]
    text = metrics.text()[0].decode()
    assert f'licet_quota_leases_total{{what="charged",why="silent"}} {AT_ONCE + 5}.0' in text
    assert 'licet_quota_leases_held{state="open"} 15.0' in text
    assert 'licet_quota_leases_held{state="written_off"} 3.0' in text
    assert await rhythm.round() == 0


async def test_one_workspace_keeps_no_other_waiting() -> None:
    """One that fails is tried again later; one with very many is left after so many postings."""
    storage = Silent(broken=1, endless=AT_ONCE, other=1)
    storage.broken.add("broken")
    rhythm, _ = lapsing(storage)
    assert await rhythm.round() == AT_ONCE + 1
    storage.broken.clear()
    assert await rhythm.round() == 1
    storage.lost["endless"] = [uuid4().hex for _ in range(AT_ONCE)]
    storage.stuck = True
    storage.posted.clear()
    await rhythm.round()
    assert storage.posted == [("endless", AT_ONCE)] * MOST_POSTINGS


@pytest.mark.parametrize("chance", [0.0, 1.0])
async def test_it_goes_on_by_itself(chance: float) -> None:
    """While it is followed it looks again and again, a little earlier or later, also after a failure; then no more."""
    storage = Silent(one=1)
    storage.broken.add("one")
    rhythm, _ = lapsing(storage, every=0.02, chance=lambda: chance)
    async with rhythm.follow():
        await asyncio.sleep(0.06)
        assert not storage.posted
        storage.broken.clear()
        await asyncio.sleep(0.1)
        assert storage.posted == [("one", 1)]
        asked = storage.asked
        assert asked > 1
    await asyncio.sleep(0.05)
    assert storage.asked == asked
