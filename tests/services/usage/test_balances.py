"""Balances read at any instant: by what was known then, in lists and statements, and where checks count them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from licet.core.question import Question
from licet.core.usage.facts import AccountKey
from licet.services.checks import check, entitlements
from licet.services.errors import Invalid, NotFound
from licet.services.explanations import explain
from licet.services.rows import Page
from licet.services.usage.balances import When, account_key, get_balance, list_balances
from licet.services.usage.funding import give_grant
from licet.services.usage.funding_views import GiveGrant
from licet.services.usage.reservations import get_reservation, list_reservations
from licet.services.usage.statements import get_statement
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import CALLER, Place, place_in, told


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where acme has 500 calls a month."""
    async with place_in(storage) as made:
        await made.join("acme", "team")
        yield made


async def test_the_past_is_told_as_it_was_known(place: Place) -> None:
    """A late event changes what is known of the past now, and never what was known then; the future is refused."""
    await place.consume(quantity=100)
    then = await place.now()
    await place.pass_time(timedelta(hours=2))
    late = told("acme", "late", 30, time=then + timedelta(seconds=1))
    await place.lane.report(CALLER, [late])
    await place.consume(quantity=7)
    now = await place.now()
    assert (await place.balance(when=When(at=then))).used == 100
    assert (await place.balance(when=When(at=then + timedelta(hours=1), known=now))).used == 130
    assert (await place.balance()).used == 137
    with pytest.raises(Invalid, match="still to come"):
        await place.balance(when=When(at=now + timedelta(seconds=1)))
    with pytest.raises(NotFound):
        await place.balance(customer="nobody")


async def test_lists_page(place: Place) -> None:
    """Every balance of a customer is listed by feature and holder, page after page."""
    await place.consume(quantity=3)
    async with place.storage.read("test") as view:
        whole = await list_balances(view, "acme", place.snapshots, Page())
        assert [(one.feature, one.used) for one in whole.balances] == [("calls", 3), ("disk", 0), ("tokens", 0)]
        found: list[str] = []
        page = Page(limit=1)
        while True:
            part = await list_balances(view, "acme", place.snapshots, page)
            if not part.balances:
                break
            found += [one.feature for one in part.balances]
            page = Page(after=f"{part.balances[-1].feature}/{part.balances[-1].holder}", limit=1)
    assert found == ["calls", "disk", "tokens"]


async def test_reservations_are_listed_while_they_are_open(place: Place) -> None:
    """An open reservation is listed; settled or over it is none, and can still be read."""
    made, other = await place.reserve(quantity=50), await place.reserve(quantity=5, lasts="PT1M")
    async with place.storage.read("test") as view:
        assert len(await list_reservations(view, "acme", place.snapshots, Page())) == 2
    await place.settle(made.id, 20)
    await place.pass_time(timedelta(minutes=2))
    async with place.storage.read("test") as view:
        assert await list_reservations(view, "acme", place.snapshots, Page()) == []
        states = [(await get_reservation(view, one.id or "", place.snapshots)).state for one in (made, other)]
        assert states == ["settled", "released"]
        with pytest.raises(NotFound):
            await get_reservation(view, made.id or "", place.snapshots, customer="other")


async def test_open_reservations_page(place: Place) -> None:
    """Pages of open reservations are full whatever ended by itself between them, and together hold each one once."""
    held = [(await place.reserve(quantity=1, lasts="PT1H" if number % 3 else "PT1M")).id for number in range(12)]
    await place.pass_time(timedelta(minutes=2))
    found, after = [], ""
    async with place.storage.read("test") as view:
        for size in (3, 3, 2, 0):
            page = await list_reservations(view, "acme", place.snapshots, Page(limit=3, after=after))
            assert len(page) == size
            found += [one.id for one in page]
            after = found[-1]
    assert sorted(found) == sorted(one for number, one in enumerate(held) if number % 3 and one)


async def test_a_check_counts_the_balance(place: Place) -> None:
    """Where the caller says no use, check, entitlements and explain count the balance, else what it says."""
    async with place.write() as tx:
        await give_grant(tx, "acme", GiveGrant(feature="calls", amount=100), place.catalogs)
    await place.consume(quantity=590)
    async with place.storage.read("test") as view:
        fits = await check(view, Question(customer="acme", feature="calls", quantity=10), place.snapshots)
        more = await check(view, Question(customer="acme", feature="calls", quantity=11), place.snapshots)
        said = await check(view, Question(customer="acme", feature="calls", used=0, quantity=11), place.snapshots)
        listed = await entitlements(view, "acme", place.snapshots)
        why = await explain(view, Question(customer="acme", feature="calls", quantity=11), place.snapshots)
    assert fits.allowed
    assert fits.limit is not None
    assert (fits.limit.amount, fits.limit.used, fits.limit.remaining) == (600, 590, 10)
    assert (more.allowed, more.reason, said.allowed) == (False, "limit_reached", True)
    calls = next(one for one in listed.entitlements if one.feature == "calls")
    assert calls.limit is not None
    assert (calls.limit.used, calls.limit.remaining) == (590, 10)
    limit = next(one for one in why.tree.children if one.kind == "limit")
    assert (why.decision.allowed, limit.ok) == (False, False)
    assert [one.text.rpartition(": ")[2] for one in limit.children[0].children] == [
        "0 left of 500, 500 drawn",
        "10 left of 100, 90 drawn",
    ]


async def test_explain_counts_what_was_used_then(place: Place) -> None:
    """Explain of a past instant tells the balance as it stood and was known then."""
    await place.consume(quantity=490)
    then = await place.now()
    await place.pass_time(timedelta(hours=1))
    await place.consume(quantity=10)
    question = Question(customer="acme", feature="calls", quantity=5)
    async with place.storage.read("test") as view:
        before = await explain(view, question, place.snapshots, at=then)
        now = await explain(view, question, place.snapshots)
    assert (before.decision.allowed, now.decision.allowed) == (True, False)


async def test_a_level_is_told_and_not_added(place: Place) -> None:
    """A gauge holds the newest level; its grants are a ceiling."""
    for number, level in enumerate((40, 90, 70)):
        at = await place.now()
        await place.lane.report(CALLER, [told("acme", str(number), level, kind="disk.level", time=at)])
    balance = await place.balance("disk")
    assert (balance.used, balance.granted, balance.remaining) == (70, 100, 30)


async def test_a_balance_of_each_user_is_asked_for_by_name(place: Place) -> None:
    """Of what each user has its own of there is no balance of the whole; a holder of another kind has none either."""
    await place.join("many", "each")
    await place.consume("mine", 4, customer="many", user="ann")
    async with place.storage.read("test") as view:
        catalog = await place.catalogs.current(view)
        for holder, feature, words in (
            ("", "mine", "one balance per user, and none of the customer as a whole"),
            ("team:red", "mine", "one balance per user, not per team"),
            ("user:ann", "calls", "one balance per customer, not per user"),
        ):
            key = AccountKey("many", feature, holder)
            for ask in (
                get_balance(view, key, place.snapshots),
                get_statement(view, key, place.snapshots, (None, None), Page()),
            ):
                with pytest.raises(Invalid, match=words) as refused:
                    await ask
                assert refused.value.advice.endswith("user:ann" if feature == "mine" else "out")
        own = await get_balance(view, account_key(catalog, "many", "mine", "ann", None), place.snapshots)
        listed = await list_balances(view, "many", place.snapshots, Page())
    assert (own.used, [(one.feature, one.holder) for one in listed.balances]) == (4, [("mine", "user:ann")])
