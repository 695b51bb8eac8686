"""Balances of instants of which the single facts are gone: told by the hour and marked so, or refused."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from licet.core.instant import DAY, to_instant
from licet.services.errors import Invalid
from licet.services.usage.balances import When
from licet.store.postgres import PostgresStorage
from licet.wire.usage import CorrectionAsked
from tests.services.usage.metered import CALLER, place_in, told
from tests.services.usage.test_checkpoints import retain
from tests.services.usage.test_kinds import Kinds, _catalog
from tests.store.worlds import KEYRING, World

TOLD = ("owed", "burst", "disk", "peak", "people")
REFUSED = {"sitting": {}, "mine": {"user": "ann"}, "money": {}}
EVENTS = ("api.call", "api.call", "disk.level", "peak.level", "member.seen")


async def use(place: Kinds, chance: random.Random, name: str, at: datetime) -> None:
    """Something is reported; some of what was consumed is given back at once."""
    kind, level = chance.choice(EVENTS), chance.randint(1, 9)
    data = {"user": chance.choice(["ann", "ben", "cy"])} if kind == "member.seen" else {}
    await place.lane.report(CALLER, [told("acme", name, level, kind=kind, time=at, data=data)])
    made = await place.consume("owed", chance.randint(1, 3))
    if made.allowed and chance.random() < 0.3:
        await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id, quantity=1))


async def test_instants_of_long_ago_are_told_by_the_hour(world: World) -> None:
    """What was told at full hours is told of the hours that follow when the facts are gone; what cannot be, is not."""
    chance = random.Random(5)
    clock = [to_instant(datetime(2026, 1, 10, tzinfo=UTC))]
    async with (
        PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage,
        place_in(storage, _catalog()) as made,
    ):
        place = Kinds(made.storage, made.lanes)
        start = datetime(2027, 1, 31, 10, tzinfo=UTC)
        await place.at(start - timedelta(days=20))
        await place.join("acme", "owed", "burst", "disk", "peak", "people")
        await place.join("other", "sitting", "mine", "pooled")
        moments: list[datetime] = []
        for number in range(60):
            now = start - timedelta(days=20) + timedelta(hours=16 * number + chance.randint(0, 3))
            await place.at(now + timedelta(minutes=20))
            await use(place, chance, str(number), now + timedelta(minutes=chance.randint(1, 15)))
            await place.lane.report(CALLER, [told("other", f"o {number}", 1, data={"user": "ann"})])
            moments.append(now + timedelta(hours=1))
        await place.at(moments[-1] + timedelta(days=1))
        chosen = chance.sample(moments[:40], 8)
        known = await place.now()
        before = {(one, at): await place.balance(one, when=When(at=at, known=known)) for one in TOLD for at in chosen}
        assert {one.precision for one in before.values()} == {"exact"}
        clock[0] += 100 * DAY
        later = await place.now() + timedelta(days=75)
        await place.at(later)
        await use(place, chance, "later", later)
        await retain(storage, clock, 40)
        for (feature, at), was in before.items():
            found = await place.balance(feature, when=When(at=at + timedelta(minutes=41)))
            assert (found.precision, found.at) == ("hour", at)
            told_so = (found.used, found.granted, found.remaining, found.overage, found.resets_at)
            assert told_so == (was.used, was.granted, was.remaining, was.overage, was.resets_at), (feature, at)
        for feature, who in REFUSED.items():
            with pytest.raises(Invalid, match="not all kept"):
                await place.balance(feature, customer="other", when=When(at=chosen[0]), **who)
        assert (await place.balance("owed")).precision == "exact"
