"""Moves between versions: whom they reach, from when on, in batches that are done once, and back again."""

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import structs

from licet.core.orders import OrderLine
from licet.core.terms import PaymentFact
from licet.services.catalog_previews import PreviewView
from licet.services.errors import BlastRadius, Conflict, Invalid, NotFound, PreviewRequired, PreviewStale
from licet.services.move_ports import MoveCommand
from licet.services.move_previews import preview_move, preview_return
from licet.services.move_views import MoveView
from licet.services.moves import advance_move, create_move, reverse_move
from licet.services.overrides import AddOverride, add_override
from licet.services.subscription_views import list_subscriptions
from licet.store.postgres import PostgresStorage
from tests.dose import dose
from tests.services.desk import OPERATOR, story
from tests.services.relocation import OLD_TO_NEW, Floor, open_floor, stands

pytestmark = pytest.mark.postgres

MANY = [f"c{number:03}" for number in range(250)]


@pytest.fixture
async def floor(storage: PostgresStorage) -> Floor:
    """The vendor, without customers."""
    return await open_floor(storage)


async def test_everybody_is_moved_in_batches_each_once(floor: Floor) -> None:
    """250 customers take two batches; each has exactly one fact and one event, others none, and counts add up."""
    await floor.settle(*MANY)
    await floor.sell("other", lines=(OrderLine(plan="business"),))
    move = await floor.begin()
    counts: list[MoveView] = []
    while not counts or counts[-1].state != "moved":
        counts.append(await floor.advance(move))
    assert [one.moved for one in counts] == [200, 250]
    assert counts[-1].looked_at == 251
    assert (await floor.advance(move)) == counts[-1]
    told = await floor.told(move, "moved")
    assert [one.customer for one in told] == MANY
    assert (await floor.terms("other")).moves == ()
    for customer in ("c000", "c199", "c200", "c249"):
        terms = await floor.terms(customer)
        assert stands(terms) == [("2026-01>2026-02", "2028-03-01T09:00:00Z", None)]
        (event,) = await floor.events(type="subscription.moved", subject=f"customer/{customer}")
        assert terms.moves[0].event == event.id
        assert await floor.held(customer) == {"sso": "on", "projects": "15", "reports": "on"}
    kinds = [event.type for event in await floor.events(subject=f"move/{move}")]
    assert kinds == ["move.begun", "move.finished"]


async def test_what_was_bought_paid_and_given_is_untouched(floor: Floor) -> None:
    """A move adds its fact and changes no other byte of the terms; taken back before it began it leaves them equal."""
    owed = PaymentFact(kind="failed", at=datetime(2028, 2, 20, tzinfo=UTC), invoice="in_1")
    await floor.sell("acme", payments=(owed,))
    async with floor.write() as tx:
        await add_override(tx, "acme", AddOverride(feature="projects", amount=500, note="deal"), floor.catalogs)
    before = await floor.terms("acme")
    done = await floor.move(structs.replace(OLD_TO_NEW, notice="P30D"))
    after = await floor.terms("acme")
    assert msgspec.json.encode(structs.replace(after, moves=())) == msgspec.json.encode(before)
    assert (await floor.held("acme", datetime(2028, 5, 1, tzinfo=UTC)))["projects"] == "500"
    back = await floor.reverse(done.id)
    assert (back.state, back.reversed, back.kept) == ("reversed", 1, 0)
    assert await floor.terms("acme") == before
    (event,) = await floor.events(type="subscription.move_withdrawn")
    assert event.before["id"] == done.id


async def test_notice_and_period_end_for_each_subscription(floor: Floor) -> None:
    """Each subscription moves at its own instant: at a period's start no earlier than the notice, by its own clock.

    In New York 2028-03-12 has 23 hours: 30 days from 1 March 4 am there end at 4 am, an hour earlier by UTC.
    """
    await floor.sell("berlin", zone="Europe/Berlin", anchor=datetime(2028, 1, 31, 9, tzinfo=UTC))
    await floor.sell("utc", anchor=datetime(2028, 1, 15, tzinfo=UTC))
    await floor.sell("york", zone="America/New_York", anchor=datetime(2028, 2, 20, 14, tzinfo=UTC))
    command = structs.replace(OLD_TO_NEW, at="period_end")
    at = {}
    for notice in (None, "P30D"):
        done = await floor.move(structs.replace(command, notice=notice))
        at[notice] = {one.customer: one.effective_at for one in await floor.told(done.id)}
        await floor.reverse(done.id)
    assert at[None] == {
        "berlin": datetime(2028, 3, 31, 8, tzinfo=UTC),
        "utc": datetime(2028, 3, 15, tzinfo=UTC),
        "york": datetime(2028, 3, 20, 13, tzinfo=UTC),
    }
    assert at["P30D"] == {
        "berlin": datetime(2028, 3, 31, 8, tzinfo=UTC),
        "utc": datetime(2028, 4, 15, tzinfo=UTC),
        "york": datetime(2028, 4, 20, 13, tzinfo=UTC),
    }
    done = await floor.move(structs.replace(OLD_TO_NEW, notice="P30D"))
    told = {one.customer: one.effective_at for one in await floor.told(done.id)}
    assert told["york"] == datetime(2028, 3, 31, 8, tzinfo=UTC)
    assert told["utc"] == datetime(2028, 3, 31, 9, tzinfo=UTC)


async def test_an_instant_that_has_passed_never_moves_the_past(floor: Floor) -> None:
    """A batch that comes after the named instant moves from then on; notice counts from the batch."""
    await floor.settle("early", "late")
    named = datetime(2028, 3, 10, tzinfo=UTC)
    move = await floor.begin(structs.replace(OLD_TO_NEW, at="2028-03-10", notice="P2D"))
    await floor.advance(move, look=1)
    await floor.clock(datetime(2028, 3, 20, tzinfo=UTC))
    await floor.finish(move)
    told = {one.customer: one.effective_at for one in await floor.told(move)}
    assert told == {"early": named, "late": datetime(2028, 3, 22, tzinfo=UTC)}


@pytest.mark.parametrize(
    "newer",
    [
        (OrderLine(plan="team", version="2026-01", quantity=3),),
        (OrderLine(plan="team", version="2026-01"), OrderLine(addon="boost")),
    ],
)
async def test_a_later_order_does_not_undo_a_move(floor: Floor, newer: tuple[OrderLine, ...]) -> None:
    """An order that names the old version again, after the move began, leaves the customer where it was moved to."""
    await floor.sell("acme")
    await floor.move()
    await floor.clock(datetime(2028, 3, 5, tzinfo=UTC))
    placed = await floor.order("acme", occurred_at=datetime(2028, 3, 4, tzinfo=UTC), lines=newer)
    assert placed.outcome == "applied"
    assert stands(await floor.terms("acme")) == [("2026-01>2026-02", "2028-03-01T09:00:00Z", None)]
    assert (await floor.held("acme"))["reports"] == "on"


async def test_stripe_does_not_undo_a_move(floor: Floor) -> None:
    """What Stripe sends after a move names the old version still: quantities, payments and renewals count, it stays."""
    told = story("acme")
    await floor.deliver(told.subscribe("price_team"))
    await floor.move()
    moved = (await floor.terms("acme")).moves
    for delivery in (told.change_quantity(3), told.renew(), told.pay(), told.updated()):
        assert (await floor.deliver(delivery)).outcome in ("applied", "stale")
    terms = await floor.terms("acme")
    assert terms.moves == moved
    assert terms.subscriptions[0].phases[-1].items[0].quantity == 3
    assert "paid" in {one.kind for one in terms.subscriptions[0].payments}
    assert (await floor.held("acme"))["reports"] == "on"
    await floor.deliver(told.upgrade("price_business"))
    assert (await floor.held("acme"))["projects"] == "600"


async def test_what_terms_name_is_what_is_looked_at(floor: Floor) -> None:
    """The quick look through all terms never passes over somebody who has the version, whatever the ids are made of."""
    names = ['a"b', "c\\d", "müller & söhne", "50%"]
    await floor.sell(*names)
    await floor.sell("other", lines=(OrderLine(plan="business"),))
    done = await floor.move()
    assert (done.moved, done.looked_at) == (4, 5)
    assert [one.customer for one in await floor.told(done.id)] == sorted(names)
    on = await floor.move(MoveCommand(item="team", from_version="2026-02", to_version="2026-03"))
    assert on.moved == 4


async def test_a_move_that_has_begun_ends_when_it_is_taken_back(floor: Floor) -> None:
    """Afterwards the old version holds again; what held in between stays readable."""
    await floor.sell("acme")
    done = await floor.move()
    await floor.clock(datetime(2028, 3, 5, tzinfo=UTC))
    await floor.reverse(done.id)
    assert stands(await floor.terms("acme")) == [("2026-01>2026-02", "2028-03-01T09:00:00Z", "2028-03-05T00:00:00Z")]
    assert (await floor.held("acme"))["projects"] == "20"
    assert (await floor.held("acme", datetime(2028, 3, 3, tzinfo=UTC)))["projects"] == "15"
    (event,) = await floor.events(type="subscription.moved_back")
    assert event.after["ends_at"] == "2028-03-05T00:00:00Z"


async def test_who_changed_meanwhile_is_kept(floor: Floor) -> None:
    """Who bought another plan, and who was moved on, keep what they have when a move is taken back; each with words."""
    await floor.sell("changed", "moved_on", "plain")
    done = await floor.move()
    await floor.clock(datetime(2028, 3, 5, tzinfo=UTC))
    bought = (OrderLine(plan="business"),)
    await floor.order("changed", occurred_at=datetime(2028, 3, 4, tzinfo=UTC), lines=bought)
    on = MoveCommand(item="team", from_version="2026-02", to_version="2026-03", customers=("moved_on",))
    await floor.move(on)
    had = {name: await floor.held(name) for name in ("changed", "moved_on")}
    back = await floor.reverse(done.id)
    assert (back.reversed, back.kept) == (1, 2)
    assert {name: await floor.held(name) for name in ("changed", "moved_on")} == had
    kept = {one.customer: one.words for one in await floor.told(done.id, "kept")}
    assert "team@2026-02" in kept["changed"]
    assert "2026-02 to 2026-03" in kept["moved_on"]
    assert (await floor.held("plain"))["projects"] == "20"
    # It is over for whoever changed, too: an order that names the old version is not moved by a move that was reversed.
    again = (OrderLine(plan="team", version="2026-01"),)
    await floor.order("changed", occurred_at=datetime(2028, 3, 5, tzinfo=UTC), lines=again)
    assert (await floor.held("changed"))["projects"] == "20"


async def test_who_cannot_be_moved_is_left_out_with_words(floor: Floor) -> None:
    """Who ends before it would begin, and who was named without having it, are told of; the rest is moved."""
    await floor.sell("acme")
    await floor.sell("leaving", ends_at=datetime(2028, 3, 20, tzinfo=UTC))
    await floor.sell("other", lines=(OrderLine(plan="business"),))
    command = structs.replace(OLD_TO_NEW, notice="P30D", customers=("other", "acme", "leaving", "acme"))
    done = await floor.move(command)
    assert (done.moved, done.left_out, done.looked_at, done.customers) == (1, 2, 3, 3)
    words = {one.customer: (one.subscription is None, one.words) for one in await floor.told(done.id, "left_out")}
    assert words["leaving"][0] is False
    assert "has ended by 2028-03-31" in words["leaving"][1]
    assert words["other"] == (True, "nothing of it is team@2026-01, now or later")


async def test_a_cohort_is_moved_and_nobody_else(floor: Floor) -> None:
    """Of all who have the version only members are moved."""
    await floor.sell("pilot", cohort="pilots")
    await floor.sell("plain")
    done = await floor.move(structs.replace(OLD_TO_NEW, cohort="pilots"))
    assert [one.customer for one in await floor.told(done.id)] == ["pilot"]
    assert (await floor.terms("plain")).moves == ()


async def test_who_fell_from_a_trial_is_moved_with_the_others(floor: Floor) -> None:
    """The plan to which a trial falls is nowhere in the order; whoever has fallen, or will, is moved all the same."""
    trial: dict[str, Any] = {"trial_start": datetime(2028, 2, 10, tzinfo=UTC), "trial_end_behavior": "fall"}
    await floor.sell("fallen", trial_end=datetime(2028, 2, 20, tzinfo=UTC), **trial)
    await floor.sell("trying", trial_end=datetime(2028, 3, 20, tzinfo=UTC), **trial)
    done = await floor.move(MoveCommand(item="free", from_version="2026-01", to_version="2026-02"))
    assert done.moved == 2
    assert (await floor.held("fallen"))["projects"] == "2"
    assert (await floor.held("trying"))["projects"] == "20"
    assert (await floor.held("trying", datetime(2028, 3, 21, tzinfo=UTC)))["projects"] == "2"


async def test_an_addon_is_moved_and_its_plan_is_not(floor: Floor) -> None:
    """A move of an add-on leaves the plan beside it in its version, and the other way round."""
    await floor.sell(
        "acme", lines=(OrderLine(plan="team", version="2026-01"), OrderLine(addon="boost", version="2026-01"))
    )
    await floor.move(MoveCommand(kind="addon", item="boost", from_version="2026-01", to_version="2026-02"))
    assert await _versions(floor) == {"team": "2026-01", "boost": "2026-02"}
    await floor.move()
    assert await _versions(floor) == {"team": "2026-02", "boost": "2026-02"}


async def _versions(floor: Floor) -> dict[str, str]:
    """What acme's subscription consists of now, as it is shown."""
    async with floor.read() as view:
        (one,) = (await list_subscriptions(view, "acme", floor.catalogs)).items
    return {item.id: item.version for item in one.items}


async def test_several_resumes_at_once(floor: Floor) -> None:
    """Batches of one move take turns: however many resume it, each customer is moved once and every count is right."""
    names = MANY[:30]
    await floor.settle(*names)
    move = await floor.begin()
    told = await asyncio.gather(*(floor.advance(move, look=4) for _ in range(6)))
    assert sorted(one.moved for one in told) == [4, 8, 12, 16, 20, 24]
    done = await floor.finish(move)
    assert (done.moved, done.looked_at) == (30, 30)
    assert [one.customer for one in await floor.told(move, "moved")] == names
    assert [len((await floor.terms(name)).moves) for name in names] == [1] * 30


async def test_one_move_of_an_item_at_a_time(floor: Floor) -> None:
    """While a move is not done, neither does another of the same plan begin nor is an earlier one taken back."""
    await floor.sell("acme")
    first = await floor.move(structs.replace(OLD_TO_NEW, to_version="2026-03"))
    second = await floor.begin()
    with pytest.raises(Conflict, match="not done"):
        await floor.begin(MoveCommand(item="team", from_version="2026-02", to_version="2026-03"))
    with pytest.raises(Conflict, match="not done"):
        await floor.reverse(first.id)
    await floor.begin(MoveCommand(item="free", from_version="2026-01", to_version="2026-02"))
    await floor.finish(second)
    assert (await floor.reverse(first.id)).state == "reversed"


ODD: list[tuple[dict[str, Any], str]] = [
    ({"item": "taem"}, "was team meant"),
    ({"from_version": "v9"}, "it has 2026-01, 2026-02, 2026-03"),
    ({"to_version": "v9"}, "it has 2026-01, 2026-02, 2026-03"),
    ({"to_version": "2026-01"}, "to itself"),
    ({"kind": "addon"}, "no addon 'team'"),
    ({"cohort": "pilot"}, "was pilots meant"),
    ({"customers": ("acme", "nobody")}, "'nobody' is no customer"),
    ({"at": "2028-02-01"}, "is past"),
    ({"at": "soon"}, "is no moment"),
    ({"notice": "30 days"}, "P30D"),
    ({"notice": "P99Y"}, "ten years"),
]


async def test_a_command_that_cannot_be_meant_is_refused(floor: Floor) -> None:
    """Each with what is wrong and what would be right; nothing is written."""
    await floor.sell("acme")
    for command, words in ODD:
        with pytest.raises(Invalid) as refused:
            await floor.begin(structs.replace(OLD_TO_NEW, **command))
        assert words in f"{refused.value.words} {refused.value.advice}"
    with pytest.raises(NotFound):
        await floor.advance("mov_" + "0" * 32)
    assert await floor.events(type="move.begun") == []


async def test_batches_that_meet_nobody_keep_their_place(floor: Floor) -> None:
    """A batch looks through so many customers; where none of them has the version, the place is kept all the same."""
    await floor.sell(*MANY[:5], lines=(OrderLine(plan="business"),))
    await floor.sell("z")
    move = await floor.begin()
    told = [await floor.advance(move, look=2) for _ in range(4)]
    assert [(one.looked_at, one.moved, one.state) for one in told] == [
        (2, 0, "moving"), (4, 0, "moving"), (6, 1, "moving"), (6, 1, "moved"),
    ]  # fmt: skip


async def test_any_sequence_of_batches_reversals_and_crashes(floor: Floor) -> None:
    """However a move and its reversal are interrupted, at the end nobody was moved twice, and all are as before."""
    for seed in range(dose(3, full=60)):
        dice, names = Random(seed), [f"s{seed}x{number}" for number in range(7)]
        await floor.sell(*names, "anchor")
        before = {name: await floor.terms(name) for name in names}
        notice = dice.choice([None, "P3D"])
        move = await floor.begin(structs.replace(OLD_TO_NEW, customers=tuple(names), notice=notice))
        await _live(floor, move, dice)
        told = await floor.told(move)
        assert sorted(one.customer for one in told) == sorted({one.customer for one in told})
        await floor.reverse(move)
        for name, terms in before.items():
            after = await floor.terms(name)
            assert structs.replace(after, moves=()) == structs.replace(terms, moves=())
            assert all(one.ends_at is not None for one in after.moves)
            assert (await floor.held(name))["projects"] == "20"


async def _live(floor: Floor, move: str, dice: Random) -> None:
    """Advance, break off, and perhaps begin to reverse, at random."""
    for _ in range(dice.randint(1, 5)):
        turn = dice.random()
        if turn < 0.3:
            with pytest.raises(ZeroDivisionError):
                await _broken_off(floor, move)
        elif turn < 0.4:
            seen = await floor.foresee_return(move)
            async with floor.write() as tx:
                await reverse_move(tx, move, floor.catalogs, preview=seen.id, max_losing=7)
        else:
            await floor.advance(move)


async def _broken_off(floor: Floor, move: str) -> None:
    """Do a batch and die before it is committed."""
    async with floor.write() as tx:
        await advance_move(tx, move, floor.catalogs)
        raise ZeroDivisionError


async def test_a_preview_says_what_the_move_then_does(floor: Floor) -> None:
    """Counted are those who will be moved, by what each loses and gains at its own instant; a preview moves nobody."""
    await floor.sell("acme", "ends", zone="Europe/Berlin")
    await floor.sell("other", lines=(OrderLine(plan="business"),))
    await floor.order("ends", occurred_at=datetime(2028, 2, 20, tzinfo=UTC), ends_at=datetime(2028, 3, 5, tzinfo=UTC))
    before = [await floor.terms(name) for name in ("acme", "ends", "other")]
    seen = await floor.foresee(structs.replace(OLD_TO_NEW, at="period_end"))
    assert seen.summary is not None
    counts = (seen.summary.customers, seen.summary.affected, seen.summary.gaining, seen.summary.losing)
    assert (seen.kind, seen.done, counts) == ("move", 3, (1, 1, 1, 1))
    (group,) = seen.summary.groups
    assert group.examples == ("acme",)
    assert {(one.feature, one.kind, one.was, one.becomes) for one in group.changes} == {
        ("projects", "less", "20", "15"),
        ("reports", "gain", "not included", "on"),
    }
    assert [await floor.terms(name) for name in ("acme", "ends", "other")] == before
    done = await floor.move(structs.replace(OLD_TO_NEW, at="period_end"))
    assert (done.moved, done.left_out) == (1, 1)


async def test_whoever_loses_is_asked_for(floor: Floor) -> None:
    """A move by which somebody loses needs a preview of exactly it and leave to let so many lose; others need none."""
    await floor.sell("acme", "beta")
    with pytest.raises(PreviewRequired, match="acme would lose"):
        await create(floor, OLD_TO_NEW)
    seen = await floor.foresee()
    with pytest.raises(BlastRadius, match="2 customers would lose something, at most 1 may: 2 have less of Projects"):
        await create(floor, OLD_TO_NEW, preview=seen.id, max_losing=1)
    with pytest.raises(PreviewStale, match="another content"):
        await create(floor, structs.replace(OLD_TO_NEW, notice="P1D"), preview=seen.id, max_losing=2)
    await floor.sell("gamma")
    with pytest.raises(BlastRadius, match="3 customers"):
        await create(floor, OLD_TO_NEW, preview=seen.id, max_losing=2)
    done = await create(floor, OLD_TO_NEW, preview=seen.id, max_losing=3)
    (begun,) = await floor.events(type="move.begun", subject=f"move/{done.id}")
    assert (begun.after["preview"]["id"], begun.after["preview"]["losing"]) == (seen.id, 3)
    await floor.finish(done.id)
    better = MoveCommand(item="team", from_version="2026-02", to_version="2026-03")
    assert (await create(floor, better)).preview is None


async def test_the_way_back_is_asked_for_too(floor: Floor) -> None:
    """Taking a move back by which somebody loses needs a preview of exactly that and leave; the event names both."""
    await floor.sell("acme", "beta")
    begun = await floor.foresee()
    done = await floor.move()
    await floor.clock(datetime(2028, 3, 5, tzinfo=UTC))
    with pytest.raises(PreviewRequired, match="acme would lose something if this move were taken back") as asked:
        await back(floor, done.id)
    assert f"/v1/catalog/moves/{done.id}/reverse/previews" in asked.value.advice
    seen = await floor.foresee_return(done.id)
    assert seen.summary is not None
    counts = (seen.summary.customers, seen.summary.gaining, seen.summary.losing)
    assert (seen.kind, counts) == ("move", (2, 2, 2))
    (group,) = seen.summary.groups
    assert {(one.feature, one.was, one.becomes) for one in group.changes} == {
        ("projects", "15", "20"),
        ("reports", "on", "not included"),
    }
    with pytest.raises(BlastRadius, match="2 customers would lose something, at most 1 may: 2 lose Reports"):
        await back(floor, done.id, preview=seen.id, max_losing=1)
    with pytest.raises(PreviewStale, match="another content"):
        await back(floor, done.id, preview=begun.id, max_losing=2)
    assert (await floor.terms("acme")).moves[0].ends_at is None
    assert (await back(floor, done.id, preview=seen.id, max_losing=2)).state == "reversing"
    (event,) = await floor.events(type="move.reversing")
    told = event.after["preview"]
    assert (told["id"], told["losing"], told["max_losing"]) == (seen.id, 2, 2)


async def test_who_lost_nothing_by_the_way_back_is_not_asked(floor: Floor) -> None:
    """Where everybody only gains by it, a move is taken back without a preview; what is only announced counts too."""
    less = structs.replace(OLD_TO_NEW, from_version="2026-03")
    await floor.sell("acme", lines=(OrderLine(plan="team", version="2026-03"),))
    lessened = await floor.move(less)
    assert (await back(floor, lessened.id)).state == "reversing"
    await floor.finish(lessened.id)
    await floor.sell("beta")
    more = structs.replace(OLD_TO_NEW, to_version="2026-03", notice="P30D")
    announced = await floor.move(more)
    with pytest.raises(PreviewRequired, match="beta would lose"):
        await back(floor, announced.id)
    seen = await floor.foresee_return(announced.id)
    assert seen.summary is not None
    assert {(one.feature, one.less, one.loss) for one in seen.summary.features} == {
        ("projects", 1, 0),
        ("reports", 0, 1),
    }


async def test_a_preview_says_what_is_passed_by_and_why(floor: Floor) -> None:
    """Who is announced already, ends before, or was named without having it: counted by reason, with the other move."""
    await floor.sell("acme", "beta")
    await floor.sell("leaving", ends_at=datetime(2028, 3, 20, tzinfo=UTC))
    await floor.sell("other", lines=(OrderLine(plan="business"),))
    first = await floor.move(structs.replace(OLD_TO_NEW, notice="P30D", customers=("acme",)))
    seen = await floor.foresee(structs.replace(OLD_TO_NEW, to_version="2026-03"))
    assert passed_by(seen) == {"announced": (1, ["acme"])}
    assert seen.summary is not None
    assert f"{first.id} moves team@2026-01 to 2026-02 at 2028-03-31" in seen.summary.left_out[0].examples[0].words
    assert seen.summary.customers == 2
    named = structs.replace(OLD_TO_NEW, notice="P30D", customers=("acme", "leaving", "other"))
    seen = await floor.foresee(named)
    assert passed_by(seen) == {"announced": (1, ["acme"]), "ended": (1, ["leaving"]), "not_held": (1, ["other"])}
    left = {one.customer: one.words for one in await floor.told((await floor.move(named)).id, "left_out")}
    assert seen.summary is not None
    assert left == {one.customer: one.words for group in seen.summary.left_out for one in group.examples}
    strangers = await floor.foresee(structs.replace(OLD_TO_NEW, cohort="pilots", customers=("beta",)))
    assert passed_by(strangers) == {"not_member": (1, ["beta"])}


async def test_a_preview_names_ten_of_many_that_are_passed_by(floor: Floor) -> None:
    """However many are left out, the counts are of all, and the examples are the first ten."""
    await floor.settle(*MANY[:30])
    await floor.move(structs.replace(OLD_TO_NEW, notice="P30D"))
    seen = await floor.foresee()
    assert passed_by(seen) == {"announced": (30, MANY[:10])}


async def test_a_preview_of_the_way_back_says_who_keeps(floor: Floor) -> None:
    """Who bought something else and who was moved on keep what they have; whom it takes back is not among them."""
    await floor.sell("changed", "moved_on", "plain")
    done = await floor.move()
    await floor.clock(datetime(2028, 3, 5, tzinfo=UTC))
    await floor.order("changed", occurred_at=datetime(2028, 3, 4, tzinfo=UTC), lines=(OrderLine(plan="business"),))
    await floor.move(MoveCommand(item="team", from_version="2026-02", to_version="2026-03", customers=("moved_on",)))
    seen = await floor.foresee_return(done.id)
    assert seen.summary is not None
    assert seen.summary.customers == 1
    assert passed_by(seen) == {"built_on": (1, ["moved_on"]), "changed": (1, ["changed"])}
    await floor.reverse(done.id)
    assert passed_by(await floor.foresee_return(done.id)) == {"built_on": (1, ["moved_on"])}


async def test_while_one_is_under_way_nobody_is_judged(floor: Floor) -> None:
    """A second move of the same plan, and another's way back, are refused before a preview begins, with its id."""
    await floor.sell("acme")
    done = await floor.move(structs.replace(OLD_TO_NEW, to_version="2026-03"))
    seen = await floor.foresee()
    open_one = await floor.begin(OLD_TO_NEW, preview=seen.id, losing=1)
    for line in (
        preview_move(floor.storage, "test", OPERATOR, OLD_TO_NEW, floor.catalogs),
        preview_return(floor.storage, "test", OPERATOR, done.id, floor.catalogs),
    ):
        with pytest.raises(Conflict, match=f"not done yet: {open_one}") as refused:
            await anext(line)
        assert f"licet catalog move resume {open_one}" in refused.value.advice
    with pytest.raises(Conflict, match=open_one):
        await create(floor, OLD_TO_NEW)
    assert (await floor.foresee_return(open_one)).done == 1


def passed_by(seen: PreviewView) -> dict[str, tuple[int, list[str]]]:
    """What a preview says is passed by: how many and who, by reason."""
    assert seen.summary is not None
    return {one.reason: (one.count, [each.customer for each in one.examples]) for one in seen.summary.left_out}


async def back(floor: Floor, move: str, **consent: Any) -> MoveView:
    """Begin to take a move back."""
    async with floor.write() as tx:
        return await reverse_move(tx, move, floor.catalogs, **consent)


async def create(floor: Floor, command: MoveCommand, *, preview: str | None = None, max_losing: int = 0) -> MoveView:
    """Create a move as it is."""
    async with floor.write() as tx:
        return await create_move(tx, command, floor.catalogs, preview=preview, max_losing=max_losing)
