"""Wrong reports of levels through the whole house: taken back, what remains tells balances, sums and the past."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from licet.services.errors import Invalid
from licet.services.rows import Page
from licet.services.usage.balances import When
from licet.services.usage.ports import UsageFilter
from licet.services.usage.sums import Telling, sum_usage
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage
from licet.wire.usage import CorrectionAsked, EventName
from tests.services.usage.metered import CALLER, consumed, place_in, told
from tests.services.usage.test_kinds import DAY, HOUR, MARCH, Kinds, _catalog

METERS = {"disk": "disk", "peak": "peak", "people": "seen"}
KINDS = {"disk": "disk.level", "peak": "peak.level", "people": "member.seen"}


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Kinds]:
    """Somebody who has a level of each kind, at the second day of March 2027."""
    async with place_in(storage, _catalog()) as made:
        kinds = Kinds(made.storage, made.lanes)
        await kinds.at(MARCH)
        await kinds.join("acme", *KINDS)
        await kinds.at(MARCH + DAY)
        yield kinds


async def tell(place: Kinds, feature: str, name: str, level: int, at: datetime) -> None:
    """Report one level; of people, that number of them as one name."""
    data = {"user": f"user {level}"} if feature == "people" else {}
    await place.lane.report(CALLER, [told("acme", name, level, kind=KINDS[feature], time=at, data=data)])


async def undo(place: Kinds, name: str, key: str | None = None) -> None:
    """Take one report back."""
    asked = CorrectionAsked(customer="acme", event=EventName(source="tests", id=name), note="wrong")
    assert consumed(await place.lane.correct(CALLER, asked, key)).allowed


async def sums(place: Kinds, by: str) -> dict[tuple[str, datetime], object]:
    """What each meter counted, by hour or day."""
    async with place.storage.read(place.workspace) as view:
        telling = Telling(by=by)  # type: ignore[arg-type]
        rows, _ = await sum_usage(view, UsageFilter(customer="acme"), telling, Page(limit=500), place.catalogs)
    return {(one.meter, one.begins_at): one.quantity for one in rows}


async def test_the_rest_tells_the_level(place: Kinds) -> None:
    """Balances, hours and days say what the reports say that stay; what was known before is still told so."""
    for feature in KINDS:
        for name, level, hours in (("a", 3, 2), ("b", 9, 2.5), ("c", 2, 5)):
            await tell(place, feature, f"{feature} {name}", level, MARCH + timedelta(hours=hours))
    assert [(await place.level(one))[0] for one in KINDS] == [2, 9, 3]
    before = await place.now()
    await place.pass_time(HOUR)
    for feature in KINDS:
        await undo(place, f"{feature} b")
    await undo(place, "disk c")
    assert [(await place.level(one))[0] for one in KINDS] == [3, 3, 2]
    when = When(at=MARCH + 3 * HOUR)
    assert [(await place.balance(one, when=When(at=before))).used for one in KINDS] == [2, 9, 3]
    known = When(at=MARCH + 3 * HOUR, known=await place.now())
    assert [(await place.balance(one, when=known)).used for one in KINDS] == [3, 3, 1]
    assert [(await place.balance(one, when=When(at=when.at, known=before))).used for one in KINDS] == [9, 9, 2]
    told_so = {"disk": 3, "peak": 3, "seen": 1}
    for _ in range(2):
        by_hour, by_day = await sums(place, "hour"), await sums(place, "day")
        assert {name: by_hour[name, MARCH + 2 * HOUR] for name in told_so} == told_so
        assert {name: by_day[name, MARCH] for name in told_so} == {"disk": 3, "peak": 3, "seen": 2}
        await place.storage.seal(place.workspace)
    report = await verify_log(place.storage, place.workspace)
    assert report.ok, report.faults


async def test_the_same_correction_counts_once_and_another_is_refused(place: Kinds) -> None:
    """A repetition is answered the same; what was taken back cannot be taken back again, nor a part of it."""
    await tell(place, "peak", "p", 7, MARCH + HOUR)
    part = CorrectionAsked(customer="acme", event=EventName(source="tests", id="p"), quantity=1)
    with pytest.raises(Invalid, match="leave the quantity out"):
        await place.lane.correct(CALLER, part)
    await undo(place, "p", "k")
    await undo(place, "p", "k")
    with pytest.raises(Invalid, match="given back before"):
        await undo(place, "p")
    assert await place.level("peak") == (0, 10, 10)


async def test_consumed_values_are_taken_back_too(place: Kinds) -> None:
    """Who was seen twice still counts when the first time is taken back, and no longer after the second."""
    first = await place.consume("people", user="ann")
    again = await place.consume("people", user="ann")
    for made, left in ((first, 1), (again, 0)):
        assert made.id is not None
        await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id))
        assert (await place.level("people"))[0] == left


async def test_any_order_of_reports_and_corrections_ends_the_same(place: Kinds) -> None:
    """Told and taken back in random order, with seals and days between, all figures are those of the rest alone."""
    rng = random.Random(7)
    stays: dict[str, list[tuple[datetime, int]]] = {feature: [] for feature in KINDS}
    todo: list[tuple[str, str, int, datetime, bool]] = []
    for feature in KINDS:
        for number in range(12):
            level, at = rng.randint(1, 9), MARCH + timedelta(minutes=rng.randint(0, 23 * 60), seconds=number)
            gone = rng.random() < 0.4
            todo.append((feature, f"{feature} {number}", level, at, gone))
            if not gone:
                stays[feature].append((at, level))
    rng.shuffle(todo)
    wrong: list[str] = []
    for feature, name, level, at, gone in todo:
        await tell(place, feature, name, level, at)
        if gone:
            wrong.append(name)
        if wrong and rng.random() < 0.5:
            await undo(place, wrong.pop(rng.randrange(len(wrong))))
        if rng.random() < 0.2:
            await place.storage.seal(place.workspace)
    for name in wrong:
        await undo(place, name)
    expected = {
        "disk": max(stays["disk"])[1],
        "peak": max(level for _, level in stays["peak"]),
        "people": len({level for _, level in stays["people"]}),
    }
    for _ in range(2):
        assert {one: (await place.level(one))[0] for one in KINDS} == expected
        by_day = await sums(place, "day")
        assert {name: by_day[meter, MARCH] for name, meter in METERS.items()} == expected
        while await place.storage.seal(place.workspace):
            pass
    report = await verify_log(place.storage, place.workspace)
    assert report.ok, report.faults
