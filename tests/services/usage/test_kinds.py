"""Every kind of counting through postings on the real database: what is allowed and what is left as time passes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from licet.core.question import Question
from licet.core.usage.facts import AccountKey
from licet.services.checks import check
from licet.services.errors import Invalid
from licet.services.rows import Page
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.usage.balance_views import PartsView
from licet.services.usage.balances import NOW
from licet.services.usage.statements import get_statement
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from licet.wire.usage import TakeView
from tests.services.usage.metered import CALLER, Place, place_in, told

MARCH: Final = datetime(2027, 3, 1, tzinfo=UTC)
APRIL, MAY = MARCH.replace(month=4), MARCH.replace(month=5)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FEATURES: Final = {
    "mine": "{type: metered, meter: calls, per: day, each: user, at_limit: block}",
    "ours": "{type: metered, meter: calls, per: day, each: team, at_limit: block}",
    "burst": "{type: metered, meter: calls, per: rolling, length: PT1H, at_limit: block}",
    "sitting": "{type: metered, meter: calls, per: session, length: PT5H, at_limit: block}",
    "people": "{type: metered, meter: seen, per: month, at_limit: block}",
    "models": "{type: metered, meter: models, per: month, at_limit: block}",
    "disk": "{type: metered, meter: disk, per: month, at_limit: block}",
    "peak": "{type: metered, meter: peak, per: month, at_limit: block, warn_at: [80%]}",
    "owed": "{type: metered, meter: calls, per: month, at_limit: overage, overage_limit: 50, carry_overage: true}",
    "calls": "{type: metered, meter: calls, per: month, at_limit: block}",
    "watched": "{type: metered, meter: calls, per: month, mode: observe}",
    "loose": "{type: metered, meter: calls, per: month, mode: 'off'}",
    "money": "{type: credits, title: Money, credit: money, at_limit: block}",
    "seats": "{type: seats}",
}
INCLUDES: Final = {
    "mine": "10",
    "ours": "10",
    "burst": "3",
    "sitting": "2",
    "people": "2",
    "models": "2",
    "disk": "100",
    "peak": "10",
    "owed": "100",
    "released": "calls: {amount: 1200, per: year, release: month}",
    "rolled": "calls: {amount: 100, rollover: {max: 30}}",
    "seated": "seats: 1, calls: {amount: 10, per_seat: seats}",
    "tried": "calls: 100",
    "pooled": "calls: unlimited, money: {amount: 100, per: month}",
}


def _catalog() -> bytes:
    plans = "".join(
        f"  {name}: {{product: p, versions: {{'1': {{available_from: 2020-01-01T00:00:00Z, trial: P10D,"
        f" includes: {{{given if ':' in given else f'{name}: {given}'}}}}}}}}}\n"
        for name, given in INCLUDES.items()
    )
    features = "".join(f"  {name}: {made}\n" for name, made in FEATURES.items())
    return f"""
version: 1
products: {{p: {{}}}}
meters:
  calls: {{event: api.call, aggregate: sum}}
  seen: {{event: member.seen, aggregate: unique, field: user}}
  models: {{event: model.used, aggregate: unique, field: model}}
  disk: {{event: disk.level, aggregate: latest}}
  peak: {{event: peak.level, aggregate: max}}
credits:
  money: {{scale: 2, burns: {{calls: "0.1"}}, unit: {{one: credit, many: credits}}}}
features:
{features}plans:
{plans}""".encode()


class Kinds(Place):
    """A place whose clock stands at the first of March 2027."""

    async def at(self, instant: datetime) -> None:
        """Let the clock stand at an instant."""
        async with self.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=instant))

    async def takes(self, feature: str, quantity: int = 1, **rest: object) -> bool:
        """Consume; what is answered of the balance is what the balance itself says."""
        answer = await self.consume(feature, quantity, **rest)
        for one in answer.takes:
            assert one.feature == feature
            await self.agrees(one)
        assert answer.allowed == bool(answer.takes)
        return answer.allowed

    async def agrees(self, take: TakeView) -> None:
        """What an answer says of a balance is what the balance says."""
        kind, _, name = take.holder.partition(":")
        balance = await self.balance(take.feature, when=NOW, **({kind: name} if name else {}))
        assert (take.used, take.granted, take.remaining) == (balance.used, balance.granted, balance.remaining)
        ends = None if take.resets_at is None else datetime.fromisoformat(take.resets_at)
        assert (take.holder, ends) == (balance.holder, balance.resets_at)

    async def level(self, feature: str) -> tuple[object, object, object]:
        """Used, granted and remaining."""
        balance = await self.balance(feature)
        return balance.used, balance.granted, balance.remaining


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Kinds]:
    """Nobody has anything yet."""
    async with place_in(storage, _catalog()) as made:
        kinds = Kinds(made.storage, made.lanes)
        await kinds.at(MARCH)
        yield kinds


async def test_users_and_teams_have_balances_of_their_own(place: Kinds) -> None:
    """One user's or team's day is used up without another's; who is not named is asked for; midnight makes it whole."""
    await place.join("acme", "mine", "ours")
    for feature, name in (("mine", "user"), ("ours", "team")):
        # Both features count on one meter: a use of either takes from both.
        answer = await place.consume(feature, 10, user="ann", team="red")
        assert {one.holder for one in answer.takes} == {"user:ann", "team:red"}
        for take in answer.takes:
            await place.agrees(take)
        assert not (await place.consume(feature, user="ann", team="blue")).allowed
        assert not (await place.consume(feature, user="ben", team="red")).allowed
        assert (await place.consume(feature, user="ben", team="blue")).allowed
        with pytest.raises(Invalid, match=name):
            await place.consume(feature)
        await place.pass_time(DAY)
        assert (await place.balance("mine", user="ann")).remaining == 10
        assert (await place.balance("ours", team="red")).remaining == 10
    assert (await place.balance("mine", user="ben")).resets_at == MARCH + 3 * DAY


async def test_a_report_reaches_holders_that_are_named(place: Kinds) -> None:
    """An event that names a user counts for that user's balance and for no team's."""
    await place.join("acme", "mine", "ours")
    await place.lane.report(CALLER, [told("acme", "1", 4, data={"user": "ann"}), told("acme", "2", 8)])
    assert (await place.balance("mine", user="ann")).used == 4
    assert (await place.balance("ours", team="ann")).used == 0


async def test_a_rolling_window_gives_back_piece_by_piece(place: Kinds) -> None:
    """Three within any hour: room comes back an hour after each use, and the window has no end of its own."""
    await place.join("acme", "burst")
    assert await place.takes("burst", 2)
    await place.at(MARCH + HOUR / 2)
    assert await place.takes("burst", 1)
    assert not await place.takes("burst", 1)
    await place.at(MARCH + HOUR)
    assert await place.takes("burst", 2)
    assert not await place.takes("burst", 1)
    await place.at(MARCH + 3 * HOUR)
    assert await place.level("burst") == (0, 3, 3)


async def test_a_session_opens_with_its_first_use(place: Kinds) -> None:
    """Two in each sitting of five hours from its first use; the answer says when it ends, as the balance does."""
    await place.join("acme", "sitting")
    await place.at(MARCH + HOUR)
    answer = await place.consume("sitting")
    assert answer.takes[0].resets_at == "2027-03-01T06:00:00Z"
    await place.agrees(answer.takes[0])
    await place.at(MARCH + 2 * HOUR)
    assert await place.takes("sitting")
    assert not await place.takes("sitting")
    await place.at(MARCH + 6 * HOUR)
    assert (await place.balance("sitting")).resets_at is None
    assert await place.takes("sitting", 2)
    held = await place.reserve("sitting")
    assert not held.allowed


async def test_different_values_count_once_a_period(place: Kinds) -> None:
    """Whoever was seen takes a place for the month, consumed or reported; in the next month everybody is new."""
    await place.join("acme", "people", "models")
    assert await place.takes("people", user="ann")
    assert await place.takes("people", user="ann")
    await place.lane.report(CALLER, [told("acme", "1", 1, kind="member.seen", data={"user": "ben"})])
    await place.lane.report(CALLER, [told("acme", "2", 1, kind="member.seen", data={"user": "ann"})])
    assert await place.level("people") == (2, 2, 0)
    assert not await place.takes("people", user="eve")
    assert await place.takes("people", user="ben")
    await place.lane.report(CALLER, [told("acme", "3", 1, kind="member.seen", data={"user": "fay"})])
    assert await place.level("people") == (3, 2, -1)
    assert await place.takes("models", dimensions={"model": "small"})
    assert await place.takes("models", dimensions={"model": "small"})
    assert await place.level("models") == (1, 2, 1)
    with pytest.raises(Invalid, match="model"):
        await place.consume("models")
    await place.at(APRIL)
    assert await place.level("people") == (0, 2, 2)
    assert await place.takes("people", user="eve")


async def test_levels_are_told(place: Kinds) -> None:
    """The latest level is that of the newest instant whatever came last, the highest is by month; none is consumed."""
    await place.join("acme", "disk", "peak")
    await place.at(MARCH + DAY)
    for name, level, hours in (("a", 30, 2), ("b", 90, 5), ("c", 40, 3)):
        at = MARCH + hours * HOUR
        peak = told("acme", f"peak {name}", level // 10, kind="peak.level", time=at)
        await place.lane.report(CALLER, [told("acme", name, level, kind="disk.level", time=at), peak])
    assert await place.level("disk") == (90, 100, 10)
    assert await place.level("peak") == (9, 10, 1)
    assert len(await place.events("balance.threshold_crossed")) == 1
    await place.lane.report(CALLER, [told("acme", "d", 20, kind="disk.level")])
    await place.lane.report(CALLER, [told("acme", "e", 2, kind="peak.level")])
    assert await place.level("disk") == (20, 100, 80)
    assert await place.level("peak") == (9, 10, 1)
    for feature in ("disk", "peak"):
        with pytest.raises(Invalid, match="level"):
            await place.consume(feature)
    await place.at(APRIL)
    assert await place.level("disk") == (20, 100, 80)
    assert await place.level("peak") == (0, 10, 10)


async def test_overage_is_owed_in_the_next_period(place: Kinds) -> None:
    """What was used beyond all there was is taken off the next month's, no further than the limit of overage."""
    await place.join("acme", "owed")
    assert await place.takes("owed", 150)
    assert not await place.takes("owed", 1)
    await place.at(APRIL)
    assert (await place.balance("owed")).remaining == 50
    assert await place.takes("owed", 100)
    assert not await place.takes("owed", 1)
    await place.at(MAY)
    assert (await place.balance("owed")).remaining == 50


async def test_a_yearly_amount_comes_by_the_month(place: Kinds) -> None:
    """1,200 a year released by month: a hundred each month, and what was left is kept until the year ends."""
    await place.join("acme", "released")
    assert not await place.takes("calls", 101)
    assert await place.takes("calls", 60)
    await place.at(APRIL)
    assert not await place.takes("calls", 141)
    assert await place.takes("calls", 140)
    told = await place.balance("calls")
    assert told.per == "year"
    assert told.grants[0].parts == PartsView(released=200, whole=1200, next_at=MAY, next_amount=100)
    await place.at(MARCH.replace(year=2028) - HOUR)
    assert (await place.balance("calls")).remaining == 1000
    await place.at(MARCH.replace(year=2028))
    assert (await place.balance("calls")).remaining == 100
    async with place.storage.read("test") as view:
        key = AccountKey("acme", "calls")
        whole = await get_statement(view, key, place.snapshots, (MARCH, None), Page(limit=500))
    assert [(one.kind, one.change) for one in whole.entries if one.kind not in ("consume", "part")] == [
        ("allowance", 100),
        ("renew", -900),
    ]
    assert [one.change for one in whole.entries if one.kind == "part"] == [100] * 11
    assert (whole.entries[-1].amount, whole.entries[-1].forfeited) == (100, 1000)


async def test_what_is_left_rolls_over(place: Kinds) -> None:
    """Of what is left in a month at most 30 go on, and only what is left then goes on again."""
    await place.join("acme", "rolled")
    assert await place.takes("calls", 20)
    await place.at(APRIL)
    assert (await place.balance("calls")).remaining == 130
    assert not await place.takes("calls", 131)
    assert await place.takes("calls", 120)
    await place.at(MAY)
    assert (await place.balance("calls")).remaining == 110
    assert await place.takes("calls", 110)


async def test_seats_multiply_an_amount(place: Kinds) -> None:
    """Five seats bought are five times the amount per seat."""
    await place.join("acme")
    async with place.write() as tx:
        item = SoldItem(plan="seated", quantity=5, quantity_of="seats")
        await sell(tx, "acme", Sell(items=(item,)), place.catalogs)
    assert not await place.takes("calls", 51)
    assert await place.takes("calls", 50)
    await place.at(APRIL)
    assert (await place.balance("calls")).remaining == 50


async def test_a_pool_says_what_it_was_asked_for(place: Kinds) -> None:
    """A pool reached by a meter says its rated burn and what was asked for; asked directly it says that once."""
    await place.join("acme", "pooled")
    refused = (await place.consume("calls", 1200)).refusals
    assert [one.message for one in refused] == [
        "Money: 0 of 100 credits used; 120 more do not fit. Asked for: 1,200 calls."
    ]
    (direct,) = (await place.consume("money", 101)).refusals
    assert direct.message == "Money: 0 of 100 credits used; 101 more do not fit."


async def test_modes_hold_for_customers_nobody_knows(place: Kinds) -> None:
    """What is only observed, or off, is permitted to a customer that is not there, as by a check; nothing is kept."""
    for feature, reason, would in (("watched", "observed", ("unknown_customer",)), ("loose", "not_enforced", None)):
        for asking in (place.consume, place.reserve):
            told_of = await asking(feature, customer="nobody")
            assert (told_of.allowed, told_of.reason, told_of.would_deny) == (True, reason, would)
            assert (told_of.id, told_of.quantity, told_of.takes) == (None, 0, ())
        async with place.storage.read("test") as view:
            asked = await check(view, Question(customer="nobody", feature=feature), place.snapshots)
        assert (asked.allowed, asked.reason) == (True, reason)
        assert asked.would_deny == would
    refused = await place.consume("calls", customer="nobody")
    assert (refused.allowed, refused.reason) == (False, "unknown_customer")
    assert [one.allowed for one in refused.refusals] == [False]


async def test_what_a_trial_gives_ends_with_it(place: Kinds) -> None:
    """What was used in a trial is not taken off what is paid for, and what is left of it does not go on."""
    await place.join("acme")
    async with place.write() as tx:
        command = Sell(items=(SoldItem(plan="tried"),), trial="P10D", trial_end_behavior="convert")
        await sell(tx, "acme", command, place.catalogs)
    assert await place.takes("calls", 70)
    await place.at(MARCH + 10 * DAY - HOUR)
    assert await place.takes("calls", 10)
    assert not await place.takes("calls", 21)
    await place.at(MARCH + 10 * DAY)
    assert (await place.balance("calls")).remaining == 100
    assert await place.takes("calls", 100)
    assert not await place.takes("calls", 1)


@pytest.mark.parametrize("name", ["burst", "sitting", "owed", "pooled"])
async def test_no_total_leaves_what_is_kept(place: Kinds, name: str) -> None:
    """Whatever is counted, a report with which it came to more than 2^63 - 1 is refused, and the numbers stay right."""
    most, feature = 2**63 - 1, {"pooled": "calls"}.get(name, name)
    await place.join(name, name)
    # At 0.1 credits in hundredths each, a tenth of the most that is kept is too much for the credits alone.
    parts = (most // 10,) if name == "pooled" else (most - 5, 5)
    for number, quantity in enumerate(parts):
        await place.lane.report(CALLER, [told(name, str(number), quantity)])
    for number, quantity in enumerate((most // 10, most)):
        with pytest.raises(Invalid, match="more than is kept"):
            await place.lane.report(CALLER, [told(name, f"more-{number}", quantity)])
    found = await place.balance(feature, name)
    assert found.used == sum(parts)
    assert found.granted == "unlimited" or int(found.granted) >= 0
