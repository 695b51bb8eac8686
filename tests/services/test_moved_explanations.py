"""What explanations and histories say of moves between versions: what was bought, what moved it, which event tells."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from licet.core.explain import render_tree
from licet.core.question import Question
from licet.services.chronicle import HistoryEntry, Stretch, customer_history
from licet.services.explanations import explain
from licet.services.move_ports import MoveCommand
from licet.services.rows import Page
from licet.services.truth import Catalogs, Snapshots
from licet.store.postgres import PostgresStorage
from tests.services.relocation import TODAY, Floor, open_floor

pytestmark = pytest.mark.postgres


@pytest.fixture
async def floor(storage: PostgresStorage) -> Floor:
    """The vendor with one customer."""
    made = await open_floor(storage)
    await made.sell("acme")
    return made


async def told(floor: Floor) -> list[str]:
    """The lines of an explanation of now that are about moves."""
    question = Question(customer="acme", feature="projects")
    async with floor.read() as view:
        found = await explain(view, question, Snapshots(Catalogs()))
    return [line.strip() for line in render_tree(found.tree).splitlines() if "move" in line]


async def entries(floor: Floor) -> Sequence[HistoryEntry]:
    """The customer's history, newest first."""
    async with floor.read() as view:
        found, _ = await customer_history(view, "acme", Stretch(page=Page(limit=50)), Snapshots(Catalogs()))
    return found


async def test_a_move_is_announced_begins_and_is_taken_back_in_words(floor: Floor) -> None:
    """Each step is told with its event: before it begins as what will be, then as what was, and nothing afterwards."""
    command = MoveCommand(item="team", from_version="2026-01", to_version="2026-02", notice="P30D")
    move = (await floor.move(command)).id
    by = "by local:tester, 2028-03-01T09:00:00Z"
    announced = f"on 2028-03-31T09:00:00Z (subscription.move_announced {by})"
    assert await told(floor) == [f"· will be moved to team@2026-02 {announced}"]
    await floor.clock(TODAY + timedelta(days=31))
    item, step = await told(floor)
    named = "+ plan team@2026-02, moved from team@2026-01 to team@2026-02"
    assert item.startswith(f"{named}: gives 15 (catalog.released by ")
    assert step == f"· moved from team@2026-01 to team@2026-02 {announced}"
    await floor.reverse(move)
    assert await told(floor) == []
    said = [words for entry in await entries(floor) for words in entry.words]
    assert said[:3] == [
        "team moved back from version 2026-02 to 2026-01",
        "team was moved from version 2026-01 to 2026-02",
        "team will be moved from version 2026-01 to 2026-02 on 2028-03-31 09:00 UTC",
    ]


async def test_one_that_is_withdrawn_or_at_once_is_told_so(floor: Floor) -> None:
    """A move that never began will not be made; one without notice was made when it was commanded."""
    await floor.reverse(
        (await floor.move(MoveCommand(item="team", from_version="2026-01", to_version="2026-02", notice="P9D"))).id
    )
    await floor.move()
    said = [words for entry in await entries(floor) for words in entry.words]
    assert said[:2] == [
        "team moved from version 2026-01 to 2026-02",
        "team will not be moved from version 2026-01 to 2026-02",
    ]
