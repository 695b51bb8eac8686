"""Sources: how one fares against an independent count, what is undone, and what payments belong to."""

from collections import Counter
from datetime import datetime, timedelta
from random import Random
from statistics import median
from typing import Final

import pytest
from msgspec import structs

from licet.core.instant import to_datetime
from licet.services.rows import DeliveryOutcome, DeliveryRow, Page, Reference, SourceStatus
from licet.store.postgres import PostgresStorage
from tests.store import rows
from tests.store.worlds import OPERATOR

OUTCOMES: Final[tuple[DeliveryOutcome, ...]] = (
    "received", "applied", "stale", "duplicate", "ignored", "finding", "failed", "waiting", "discarded",
)  # fmt: skip


async def stripe(storage: PostgresStorage, *more: str) -> datetime:
    """Configure a source (and more) and return the real time."""
    async with storage.write("test", OPERATOR) as tx:
        for name in ("stripe", *more):
            await tx.put_source(rows.source(name), [])
        await tx.record(rows.note())
        return to_datetime(tx.time.wall)


async def keep(storage: PostgresStorage, messages: list[DeliveryRow]) -> None:
    """Put messages with their outcomes."""
    async with storage.write("test", OPERATOR) as tx:
        for one in messages:
            awaits = "sub_1" if one.outcome == "waiting" else None
            assert await tx.put_delivery(structs.replace(one, awaits=awaits)) is None


def by_hand(messages: list[DeliveryRow], now: datetime) -> SourceStatus:
    """The status as anybody would count it, message by message."""
    day = [one for one in messages if one.received_at > now - timedelta(days=1)]
    lags = [(one.received_at - one.created).total_seconds() for one in day]
    newest = max(messages, key=lambda one: (one.received_at, one.id))
    left: dict[str, list[datetime]] = {name: [] for name in ("failed", "waiting")}
    for one in messages:
        if one.outcome in left:
            left[one.outcome].append(one.received_at)
    return SourceStatus(
        source="stripe",
        last_day=dict(Counter(str(one.outcome) for one in day)),
        failed=len(left["failed"]),
        waiting=len(left["waiting"]),
        oldest_failed_at=min(left["failed"], default=None),
        oldest_waiting_at=min(left["waiting"], default=None),
        last_received_at=newest.received_at,
        lag_last=(newest.received_at - newest.created).total_seconds(),
        lag_median=median(lags) if lags else None,
        lag_max=max(lags, default=None),
    )


@pytest.mark.parametrize("seed", range(6))
async def test_the_status_is_what_anybody_would_count(storage: PostgresStorage, seed: int) -> None:
    """Random messages of three days, of two sources: each figure equals a count by hand over the same rows."""
    now = await stripe(storage, "other")
    random = Random(seed)
    messages = []
    for number in range(random.choice((1, 2, 60, 61))):
        received = now - timedelta(seconds=random.randrange(60, 3 * 86_400))
        late = timedelta(milliseconds=random.randrange(-2_000, 200_000))
        source = random.choice(("stripe", "stripe", "stripe", "other")) if number else "stripe"
        messages.append(
            rows.delivery(
                f"evt_{number}",
                source=source,
                received_at=received,
                created=received - late,
                outcome=random.choice(OUTCOMES),
            )
        )
    await keep(storage, messages)
    async with storage.read("test") as view:
        told = await view.source_status("stripe")
    assert told == by_hand([one for one in messages if one.source == "stripe"], now)


async def test_a_silent_source_has_nothing_to_count(storage: PostgresStorage) -> None:
    """Zeros and None, for a source that never sent and while another one does."""
    await stripe(storage, "other")
    await keep(storage, [rows.delivery("evt_1", source="other", outcome="failed")])
    nothing = SourceStatus(
        source="stripe",
        last_day={},
        failed=0,
        waiting=0,
        oldest_failed_at=None,
        oldest_waiting_at=None,
        last_received_at=None,
        lag_last=None,
        lag_median=None,
        lag_max=None,
    )
    async with storage.read("test") as view:
        assert await view.source_status("stripe") == nothing


async def test_what_is_undone_comes_oldest_first(storage: PostgresStorage) -> None:
    """Failed and waiting messages by receipt, in pages; what ended well is never among them, whatever is asked."""
    await stripe(storage, "other")
    ended: list[tuple[str, int, DeliveryOutcome]] = [
        ("evt_b", 2, "failed"), ("evt_a", 2, "failed"), ("evt_0", 1, "applied"), ("evt_z", 0, "waiting"),
        ("evt_y", 9, "failed"),
    ]  # fmt: skip
    await keep(storage, [rows.delivery(name, minutes, outcome=outcome) for name, minutes, outcome in ended])
    await keep(storage, [rows.delivery("evt_else", source="other", outcome="failed")])
    async with storage.read("test") as view:
        assert await view.undone("stripe", ("failed",), 10) == ["evt_a", "evt_b", "evt_y"]
        assert await view.undone("stripe", ("failed", "waiting"), 2) == ["evt_z", "evt_a"]
        assert await view.undone("stripe", ("failed", "waiting"), 9, after="evt_a") == ["evt_b", "evt_y"]
        assert await view.undone("stripe", ("failed",), 9, after="evt_0") == ["evt_a", "evt_b", "evt_y"]
        assert await view.undone("stripe", ("applied",), 9) == []


async def test_deliveries_by_outcome(storage: PostgresStorage) -> None:
    """The list of one outcome pages like the whole list, newest first."""
    await stripe(storage)
    outcomes: list[DeliveryOutcome] = ["failed", "applied", "failed", "applied", "failed"]
    await keep(storage, [rows.delivery(f"evt_{at}", at, outcome=one) for at, one in enumerate(outcomes)])
    async with storage.read("test") as view:
        first = await view.deliveries("stripe", Page(limit=2), "failed")
        rest = await view.deliveries("stripe", Page(after=first[-1].id, limit=2), "failed")
    assert [[one.id for one in page] for page in (first, rest)] == [["evt_4", "evt_2"], ["evt_0"]]


async def test_a_reference_is_completed_and_never_moved(storage: PostgresStorage) -> None:
    """What a payment belongs to stays; only an unknown subscription is added, to the same invoice."""
    await stripe(storage, "other")

    async def put(*references: Reference) -> None:
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_references("stripe", references)

    async def known(name: str, source: str = "stripe") -> Reference | None:
        async with storage.read("test") as view:
            return await view.reference(source, name)

    await put(Reference(reference="pi_1", invoice="in_1"))
    assert await known("pi_1", "other") is None
    await put(Reference(reference="pi_1", invoice="in_2", external_id="sub_2"))
    assert await known("pi_1") == Reference(reference="pi_1", invoice="in_1")
    whole = Reference(reference="pi_1", invoice="in_1", external_id="sub_1")
    await put(Reference(reference="pi_1", invoice="in_1"), whole, Reference(reference="pi_1", invoice="in_1"))
    assert await known("pi_1") == whole
    await put(Reference(reference="pi_1", invoice="in_1", external_id="sub_3"), Reference(reference="a", invoice="b"))
    assert await known("pi_1") == whole
    assert await known("a") == Reference(reference="a", invoice="b")
    await put()
