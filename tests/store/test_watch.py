"""Following commits: what is heard, and that a watch ends when it is told to."""

import asyncio

from licet.store.watch import _until_poll


async def test_a_cancelled_watch_ends_although_a_note_comes_at_that_moment() -> None:
    """A note and the cancellation in one turn of the loop: the task is cancelled, again and again."""
    heard: list[tuple[str, int]] = []

    async def follow(notes: asyncio.Queue[str]) -> None:
        while True:
            async for tip in _until_poll(notes):
                heard.append(tip)

    for turn in range(20):
        notes: asyncio.Queue[str] = asyncio.Queue()
        task = asyncio.create_task(follow(notes))
        await asyncio.sleep(0)
        notes.put_nowait(f"live:{turn}")
        await asyncio.sleep(0)
        notes.put_nowait(f"live:{turn + 1}")
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=2)
        assert done, "the watch goes on"
        assert task.cancelled()


async def test_of_several_notes_the_highest_counts() -> None:
    """What gathered for one workspace is told once, with the highest sequence, whatever its order."""
    notes: asyncio.Queue[str] = asyncio.Queue()
    for note in ("live:4", "test:2", "live:9", "live:7"):
        notes.put_nowait(note)
    tips = _until_poll(notes)
    assert [await anext(tips), await anext(tips)] == [("live", 9), ("test", 2)]
