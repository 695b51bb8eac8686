"""What commands put on balances: grants, voids, resets, limits and rules, each with its event and its bounds."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec import Struct

from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.usage.funding import give_grant, limit_spend, list_funding, reset_balance, rule_top_up, void_grant
from licet.services.usage.funding_views import (
    FundingView,
    GiveGrant,
    LimitSpend,
    ResetBalance,
    RolloverAsked,
    RuleTopUp,
    VoidGrant,
)
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import CATALOG, Place, place_in

COMMANDS: dict[type[Struct], Any] = {
    GiveGrant: give_grant,
    ResetBalance: reset_balance,
    LimitSpend: limit_spend,
    RuleTopUp: rule_top_up,
}


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where acme has 500 calls a month."""
    async with place_in(storage) as made:
        await made.join("acme", "team")
        yield made


async def do(place: Place, command: Struct, customer: str = "acme") -> FundingView:
    """Carry out a command."""
    async with place.write() as tx:
        made: FundingView = await COMMANDS[type(command)](tx, customer, command, place.catalogs)
        return made


async def test_a_grant_adds_until_it_ends(place: Place) -> None:
    """A grant counts from now until it expires, burns after what ends sooner, and is on the log."""
    made = await do(place, GiveGrant(feature="calls", amount=100, expires_after="P90D", note="gift"))
    assert (made.kind, made.amount, made.cause) == ("grant", 100, "manual")
    assert (await place.balance()).remaining == 600
    await place.consume(quantity=550)
    balance = await place.balance()
    assert [(one.left, one.drawn) for one in balance.grants] == [(0, 500), (50, 50)]
    assert balance.grants[1].id == made.id
    found = await place.events("balance.granted")
    assert [(one.subject, one.after["amount"]) for one in found] == [("customer/acme", 100)]
    await place.pass_time(timedelta(days=90))
    assert (await place.balance()).granted == 500


async def test_a_voided_grant_counts_no_longer(place: Place) -> None:
    """From its void on nothing of a grant is left; what was drawn stays drawn, and a second void is a conflict."""
    made = await do(place, GiveGrant(feature="calls", amount=100))
    await place.consume(quantity=520)
    async with place.write() as tx:
        voided = await void_grant(tx, "acme", made.id, VoidGrant(), place.catalogs)
    assert voided.voided_at is not None
    assert not (await place.consume()).allowed
    async with place.write() as tx:
        with pytest.raises(Conflict):
            await void_grant(tx, "acme", made.id, VoidGrant(), place.catalogs)
        with pytest.raises(NotFound):
            await void_grant(tx, "acme", "grt_0", VoidGrant(), place.catalogs)
    async with place.storage.read("test") as view:
        listed = await list_funding(view, "acme", place.catalogs)
    assert {(one.kind, one.voided_at is not None) for one in listed} == {("grant", True), ("void", False)}


async def test_a_reset_makes_allowances_whole(place: Place) -> None:
    """A reset makes the allowance whole again; in the future, before the period or twice at once it is refused."""
    await place.consume(quantity=300)
    await place.pass_time(timedelta(minutes=1))
    now = await place.now()
    await do(place, ResetBalance(feature="calls", at=now))
    assert (await place.balance()).remaining == 500
    with pytest.raises(Conflict):
        await do(place, ResetBalance(feature="calls", at=now))
    for at in (now + timedelta(seconds=1), now - timedelta(days=60)):
        with pytest.raises(Invalid):
            await do(place, ResetBalance(feature="calls", at=at))


async def test_a_reset_empties_windows_and_is_refused_for_a_level(storage: PostgresStorage) -> None:
    """What a window held counts no longer, what is used then does; of a level it is said what to do instead."""
    catalog = CATALOG.replace(b"meter: calls, per: month,", b"meter: calls, per: rolling, length: PT5H,")
    catalog = catalog.replace(b"meter: calls, per: day,", b"meter: calls, per: session, length: PT5H,")
    async with place_in(storage, catalog) as place:
        await place.join("acme", "team")
        await place.join("bolt", "each")
        cases: list[tuple[str, str, dict[str, Any]]] = [("acme", "calls", {}), ("bolt", "mine", {"user": "ann"})]
        for customer, feature, who in cases:
            assert (await place.consume(feature, 8, customer=customer, **who)).allowed
            await place.pass_time(timedelta(minutes=1))
            assert (await place.balance(feature, customer, **who)).used == 8
            await do(place, ResetBalance(feature=feature, **who), customer)
            assert (await place.balance(feature, customer, **who)).used == 0
            assert (await place.consume(feature, 9, customer=customer, **who)).allowed
            shown = await place.balance(feature, customer, **who)
            assert (shown.used, shown.length) == (9, "PT5H")
        with pytest.raises(Invalid, match="reported last"):
            await do(place, ResetBalance(feature="disk"))


async def test_a_spend_limit_bounds_what_goes_beyond(place: Place) -> None:
    """Beyond what there is as much may be used as the customer allows, and the refusal says so."""
    assert (await place.consume("tokens", 1_500)).reason == "overage"
    shown = await place.balance("tokens")
    assert (shown.at_limit, shown.overage_limit, shown.spend_limit) == ("overage", 1_000, None)
    await do(place, LimitSpend(feature="tokens", amount=600))
    shown = await place.balance("tokens")
    assert (shown.overage_limit, shown.spend_limit, shown.length) == (1_000, 600, None)
    assert (await place.balance("calls")).overage_limit is None
    assert (await place.consume("tokens", 101)).reason == "spend_limit_reached"
    assert (await place.consume("tokens", 100)).allowed
    await do(place, LimitSpend(feature="tokens", amount=None))
    assert (await place.consume("tokens", 400)).allowed
    assert (await place.consume("tokens", 1)).reason == "limit_reached"


@pytest.mark.parametrize(
    "command",
    [
        GiveGrant(feature="sso", amount=1),
        GiveGrant(feature="cals", amount=1),
        GiveGrant(feature="calls", amount=0),
        GiveGrant(feature="calls", amount="1.5"),
        GiveGrant(feature="calls", amount=1, user="ann"),
        GiveGrant(feature="mine", amount=1),
        GiveGrant(feature="calls", amount=1, every="PT1M"),
        GiveGrant(feature="calls", amount=1, rollover=RolloverAsked(max=1)),
        GiveGrant(feature="calls", amount=1, expires_after="PT0S"),
        LimitSpend(feature="calls", amount="-1"),
        RuleTopUp(feature="calls", below=1, amount=10, most=5, consented_by="ann"),
        RuleTopUp(feature="calls", below=0, amount=10, most=50, consented_by="ann"),
    ],
)
async def test_what_makes_no_sense_is_refused(place: Place, command: Struct) -> None:
    """A command that does not fit its balance names the place, and leaves nothing."""
    with pytest.raises(Invalid) as error:
        await do(place, command)
    assert error.value.details["problems"][0]["path"]
    async with place.storage.read("test") as view:
        assert await list_funding(view, "acme", place.catalogs) == []


async def test_dates_are_checked(place: Place) -> None:
    """A grant never begins in the past nor ends before it begins; nobody's balance takes none."""
    now = await place.now()
    for rest in (
        {"effective_at": now - timedelta(hours=1)},
        {"expires_at": now - timedelta(hours=1)},
        {"expires_at": now + timedelta(days=1), "expires_after": "P1D"},
    ):
        with pytest.raises(Invalid):
            await do(place, GiveGrant(feature="calls", amount=1, **rest))
    with pytest.raises(NotFound):
        await do(place, GiveGrant(feature="calls", amount=1), "nobody")
