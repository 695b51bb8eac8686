"""Statements: every fact and all that time and commands bring, adding up from one balance to the other."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from licet.core.usage.facts import AccountKey
from licet.services.rows import Page
from licet.services.usage.balance_views import StatementView
from licet.services.usage.balances import When, get_balance
from licet.services.usage.funding import give_grant, reset_balance, void_grant
from licet.services.usage.funding_views import GiveGrant, ResetBalance, VoidGrant
from licet.services.usage.statements import get_statement
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import CALLER, Place, place_in, told


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where acme has 500 calls a month."""
    async with place_in(storage) as made:
        await made.join("acme", "team")
        yield made


CALLS = AccountKey("acme", "calls")


async def statement(
    place: Place,
    since: datetime | None = None,
    until: datetime | None = None,
    page: Page | None = None,
    key: AccountKey = CALLS,
) -> StatementView:
    """The statement of a balance, by default of calls of acme."""
    async with place.storage.read("test") as view:
        return await get_statement(view, key, place.snapshots, (since, until), page or Page(limit=500))


async def balance_at(place: Place, at: datetime) -> Any:
    """How the balance of calls of acme stood at an instant, by what is known now."""
    async with place.storage.read("test") as view:
        when = When(at=at, known=await place.now())
        return await get_balance(view, CALLS, place.snapshots, when)


async def check_sums(place: Place, since: datetime, until: datetime | None = None) -> StatementView:
    """A statement whose rows add up, row by row, from the balance just before to that just before its end."""
    told = await statement(place, since, until)
    opening = int(told.opening.remaining)
    for entry in told.entries:
        opening += int(entry.change or 0)
        assert entry.remaining == opening
    assert opening == told.closing.remaining
    assert told.opening.remaining == (await balance_at(place, since - timedelta(microseconds=1))).remaining
    if until is None:
        assert told.closing.remaining == (await place.balance()).remaining
    else:
        assert told.closing.remaining == (await balance_at(place, until - timedelta(microseconds=1))).remaining
    return told


async def test_a_statement_tells_every_fact(place: Place) -> None:
    """A statement has each fact with what it took and what it drew, and how the balance stood before and after."""
    first = await place.consume(quantity=100)
    made = await place.reserve(quantity=50)
    await place.settle(made.id, 20)
    whole = await statement(place)
    parts = [await statement(place, page=Page(limit=1))]
    while parts[-1].next is not None:
        parts.append(await statement(place, page=Page(limit=1, after=parts[-1].next)))
    shown = [(one.kind, one.amount, one.change, one.remaining) for one in whole.entries]
    assert shown == [
        ("allowance", 500, 500, 500),
        ("consume", 100, -100, 400),
        ("reserve", 50, -50, 350),
        ("settle", -30, 30, 380),
    ]
    assert whole.entries[1].id == first.id
    assert [sum(int(draw.amount) for draw in one.draws) for one in whole.entries] == [0, 100, 20, 0]
    assert whole.entries[3].of == made.id
    assert (whole.opening.remaining, whole.opening.used, whole.closing.used) == (0, 0, 120)
    assert [entry for part in parts for entry in part.entries] == list(whole.entries)
    assert {(part.opening.remaining, part.closing.remaining) for part in parts} == {(0, 380)}


async def test_what_was_put_on_and_taken_off_is_on_it(place: Place) -> None:
    """Grants, voids, expiries, resets and renewals are rows, each with its note; what was lost is told."""
    begun = await place.now()
    async with place.write() as tx:
        asked = GiveGrant(feature="calls", amount=40, priority=10, cause="purchase", note="invoice 7")
        gift = await give_grant(tx, "acme", asked, place.catalogs)
    async with place.write() as tx:
        short = GiveGrant(feature="calls", amount=9, priority=99, expires_after="PT1H")
        await give_grant(tx, "acme", short, place.catalogs)
    await place.consume(quantity=30)
    async with place.write() as tx:
        await void_grant(tx, "acme", gift.id, VoidGrant(note="withdrawn"), place.catalogs)
    await place.consume(quantity=100)
    await place.pass_time(timedelta(hours=2))
    async with place.write() as tx:
        await reset_balance(tx, "acme", ResetBalance(feature="calls", note="as agreed"), place.catalogs)
    await place.consume(quantity=3)
    await place.pass_time(timedelta(days=32))
    told = await check_sums(place, begun - timedelta(days=1))
    assert [(one.kind, one.change, one.kept, one.forfeited) for one in told.entries] == [
        ("allowance", 500, None, None),
        ("grant", 40, None, None),
        ("grant", 9, None, None),
        ("consume", -30, None, None),
        ("void", -10, None, 10),
        ("consume", -100, None, None),
        ("expire", -9, None, 9),
        ("reset", 100, None, 400),
        ("consume", -3, None, None),
        ("renew", 3, None, 497),
    ]
    notes = {one.kind: one.note for one in told.entries if one.note}
    assert notes == {"grant": "invoice 7", "void": "withdrawn", "reset": "as agreed"}
    by_kind = {one.kind: one for one in told.entries}
    assert (by_kind["void"].of, by_kind["reset"].id[:4], told.entries[1].cause) == (gift.id, "fnd_", "purchase")
    assert told.entries[2].until is not None
    for cut in (timedelta(minutes=5), timedelta(hours=3), timedelta(days=3)):
        await check_sums(place, begun - timedelta(days=1), begun + cut)
        await check_sums(place, begun + cut)


async def test_what_comes_back_to_nothing_is_on_it(place: Place) -> None:
    """A reservation of a grant that was voided meanwhile ends by itself: a row that gave back and changed nothing."""
    begun = await place.now()
    async with place.write() as tx:
        asked = GiveGrant(feature="calls", amount=40, priority=10)
        gift = await give_grant(tx, "acme", asked, place.catalogs)
    held = await place.reserve(quantity=30, lasts="PT1M")
    async with place.write() as tx:
        await void_grant(tx, "acme", gift.id, VoidGrant(), place.catalogs)
    await place.pass_time(timedelta(minutes=2))
    unnoted = await check_sums(place, begun)
    released = unnoted.entries[-1]
    assert (released.kind, released.of, released.amount, released.change) == ("release", held.id, -30, 0)
    await place.consume()
    assert (await statement(place, begun)).entries[: len(unnoted.entries)] == unnoted.entries


async def test_an_unlimited_amount_has_no_sum(place: Place) -> None:
    """Where something unlimited begins no number says what that did; use of it is told as a number."""
    await place.join("endless", "ai")
    await place.consume("tokens", 1_000, customer="endless")
    told = await statement(place, key=AccountKey("endless", "tokens"))
    assert [(one.kind, one.change, one.remaining) for one in told.entries] == [
        ("allowance", None, "unlimited"),
        ("consume", -1_000, "unlimited"),
    ]


async def test_a_level_draws_from_nothing(place: Place) -> None:
    """Of a gauge, as of a window, grants are a ceiling: its rows change what remains, and draw from none of them."""
    for number, level in enumerate((60, 40)):
        event = told("acme", f"level-{number}", level, kind="disk.level", time=await place.now())
        await place.lane.report(CALLER, [event])
    shown = await statement(place, key=AccountKey("acme", "disk"))
    assert [(one.kind, one.change, one.remaining, one.draws) for one in shown.entries] == [
        ("allowance", 100, 100, ()),
        ("report", -60, 40, ()),
        ("report", 20, 60, ()),
    ]
