"""Random commands on one subscription, held against a plain calendar: what is written on each day is what is held."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from licet.core.instant import to_instant
from licet.core.snapshot import Snapshot, check
from licet.services.changes import ChangeSubscription, Unschedule
from licet.services.errors import Conflict, Invalid
from licet.services.pauses import PauseSubscription, ResumeSubscription
from licet.services.subscriptions import Cancel, Reinstate, SoldItem
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk
from tests.services.test_changes import sold

DAYS = 60
STEPS = 24


class Calendar:
    """What a person would note on a wall calendar: for each day what is sold, whether it is paused, and the end."""

    def __init__(self) -> None:
        self.today = 0
        self.sold: list[dict[str, int]] = [{"team": 5} for _ in range(DAYS)]
        self.pauses: list[tuple[int, int]] = []
        self.end = DAYS

    def planned(self) -> list[int]:
        """The days ahead on which something else begins."""
        return [day for day in range(self.today + 1, self.end) if self.sold[day] != self.sold[day - 1]]

    def change(self, day: int, command: ChangeSubscription) -> bool:
        """Note a change; False where it cannot be."""
        if day >= self.end:
            return False
        wanted = [dict(one) for one in self.sold]
        if command.scheduled == "drop":
            wanted[self.today :] = [dict(self.sold[self.today]) for _ in range(self.today, DAYS)]
        until = next((one for one in range(day + 1, DAYS) if wanted[one] != wanted[one - 1]), DAYS)
        (plan,) = (name for name in wanted[day] if name != "api_boost")
        new = dict(wanted[day])
        if command.plan is not None:
            new[command.plan] = new.pop(plan)
        if command.quantity is not None:
            new[command.plan or plan] = command.quantity
        if command.remove and "api_boost" not in new:
            return False
        if command.add and "api_boost" in new:
            return False
        if command.remove:
            del new["api_boost"]
        if command.add:
            new["api_boost"] = 1
        wanted[day:until] = [dict(new) for _ in range(day, until)]
        if self.planned() and command.scheduled is None and wanted != self.sold:
            return False
        self.sold = wanted
        return True

    def drop(self) -> bool:
        """Wipe out what is planned."""
        if not self.planned():
            return False
        self.sold[self.today :] = [dict(self.sold[self.today]) for _ in range(self.today, DAYS)]
        return True

    def pause(self, day: int, until: int) -> bool:
        """Note a pause; False where one is already."""
        if day >= self.end or until > self.end or any(day < end and start < until for start, end in self.pauses):
            return False
        self.pauses.append((day, until))
        return True

    def resume(self, day: int) -> bool:
        """End the pause of a day; False where there is none."""
        found = next(((start, end) for start, end in self.pauses if start <= day < end), None)
        if day >= self.end or found is None:
            return False
        self.pauses.remove(found)
        if found[0] < day:
            self.pauses.append((found[0], day))
        return True

    def held(self, day: int) -> dict[str, int]:
        """What gives rights on a day."""
        off = day >= self.end or any(start <= day < end for start, end in self.pauses)
        return {} if off else self.sold[day]


def moment(day: int) -> datetime:
    """The instant at which a day of the calendar begins."""
    return LATER + timedelta(days=day)


def draw(chance: Random, calendar: Calendar) -> tuple[Struct, bool]:
    """A random command and whether the calendar takes it."""
    day = chance.randrange(calendar.today, min(DAYS - 5, calendar.today + 25))
    at = moment(day).isoformat()
    kind = chance.choice(["change"] * 8 + ["drop", "pause", "pause", "resume", "resume", "cancel", "reinstate"])
    if kind == "change":
        one: dict[str, Any] = chance.choice(
            [
                {"quantity": chance.randrange(6, 60)},
                {"plan": chance.choice(["team", "business"])},
                {"add": (SoldItem(addon="api_boost"),)},
                {"remove": ("api_boost",)},
            ]
        )
        change = ChangeSubscription(at=at, scheduled=chance.choice([None, "keep", "keep", "drop"]), **one)
        return change, calendar.change(day, change)
    if kind == "drop":
        return Unschedule(), calendar.drop()
    if kind == "pause":
        until = day + chance.randrange(1, 6)
        return PauseSubscription(at=at, until=moment(until).isoformat()), calendar.pause(day, until)
    if kind == "resume":
        return ResumeSubscription(at=at), calendar.resume(day)
    if kind == "cancel":
        day += 4
        fits = day < calendar.end
        calendar.end = min(day, calendar.end)
        return Cancel(at=moment(day).isoformat()), fits
    ended, calendar.end = calendar.end, DAYS
    return Reinstate(), ended < DAYS


@pytest.mark.parametrize("seed", [100, 102, 106, 110, 115, 126])
async def test_every_day_holds_what_the_calendar_says(desk: Desk, seed: int) -> None:
    """Changes, pauses and ends at random dates, while days go by: each day of past and future gives what is noted."""
    chance, calendar = Random(seed), Calendar()
    contract = await sold(desk, SoldItem(plan="team", quantity=5, quantity_of="editor"))
    taken = 0
    for _ in range(STEPS):
        command, fits = draw(chance, calendar)
        if fits:
            await contract.do(command)
            taken += 1
        else:
            with pytest.raises((Conflict, Invalid)):
                await contract.do(command)
        assert await rights(desk) == expected(calendar), command
        if chance.random() < 0.3 and calendar.today + 2 < min(calendar.end, DAYS - 30):
            calendar.today += 2
            async with desk.write() as tx:
                await move_clock(tx, MoveClock(frozen_at=moment(calendar.today)))
    assert taken > 5


async def rights(desk: Desk) -> list[tuple[Any, Any, bool]]:
    """Editors, API calls and single sign-on on each day, by the newest terms."""
    async with desk.read() as view:
        snapshot = Snapshot(await desk.catalogs.current(view), await desk.terms("acme"))
    found = []
    for day in range(DAYS):
        now = to_instant(moment(day))
        limits = [check(snapshot, feature, now, quantity=0).limit for feature in ("editor", "api_calls")]
        editors, calls = (None if one is None else one.amount for one in limits)
        found.append((editors, calls, check(snapshot, "sso", now).allowed))
    return found


def expected(calendar: Calendar) -> list[tuple[Any, Any, bool]]:
    """The same by the calendar."""
    found: list[tuple[Any, Any, bool]] = []
    for day in range(DAYS):
        items = calendar.held(day)
        if not items:
            found.append((None, None, False))
            continue
        business = "business" in items
        calls = (1_000_000 if business else 100_000) + 500_000 * items.get("api_boost", 0)
        found.append((items["business" if business else "team"], calls, business))
    return found
