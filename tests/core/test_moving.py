"""Moves between versions: what they change, from when until when, and everything that they never change."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from licet.core.case import Ask
from licet.core.change import World
from licet.core.derive import Holdings
from licet.core.dunning import lay_course
from licet.core.explain import explain, render_tree
from licet.core.instant import BEGINNING, FOREVER, Instant, to_datetime, to_instant
from licet.core.moving import movable, moved, revocable, unmoved
from licet.core.orders import OrderDocument
from licet.core.passage import passages
from licet.core.placement import place_order
from licet.core.question import Question
from licet.core.remedy import apply_remedy
from licet.core.snapshot import Truth
from licet.core.terms import MAX_MOVES, Item, Phase, Schedule, Subscription, Terms, VersionMove
from licet.core.trail import follow
from licet.core.upcoming import Boundary, upcoming
from tests.core.test_placement import EMPTY, order
from tests.core.worlds import CATALOG, COMPILED, MOVABLE, at, catalog_of, day, moments, terms
from tests.dose import dose

TEAM: Final[dict[str, Any]] = {"kind": "plan", "id": "team", "version": "2026-01"}
BOOST: Final[dict[str, Any]] = {"kind": "addon", "id": "boost", "version": "1"}


def move(number: float, to: str = "2026-04", **more: Any) -> VersionMove:
    """A move of the first subscription's plan team from its first version, from a day on."""
    given: dict[str, Any] = {"id": f"mov_{number}", "subscription": "sub_0", "item": "team", "from_version": "2026-01"}
    return VersionMove(**{**given, "to_version": to, "starts_at": day(number), "event": f"evt_{number}", **more})


@st.composite
def fresh_moves(draw: st.DrawFn, subscription: str = "sub_0") -> VersionMove:
    """A move that no random terms hold."""
    kind, item, versions = draw(st.sampled_from(MOVABLE))
    source, target = draw(st.permutations(versions))[:2]
    document = {
        "id": draw(st.sampled_from(["a_first", "z_last"])),
        "subscription": subscription,
        "kind": kind,
        "item": item,
        "from_version": source,
        "to_version": target,
        "starts_at": draw(moments()),
        "event": "evt_move",
    }
    return msgspec.convert(document, VersionMove)


def customers() -> st.SearchStrategy[Terms]:
    """Customers with a subscription."""
    return terms().filter(lambda one: bool(one.subscriptions))


@st.composite
def reached(draw: st.DrawFn) -> tuple[Terms, VersionMove]:
    """A customer, and a move of something that is held just when it begins, if anything is."""
    some, wanted = draw(customers()), draw(fresh_moves())
    versions = {(kind, item): found for kind, item, found in MOVABLE}
    one = some.subscriptions[0]
    held = [
        (segment, item)
        for segment in lay_course(COMPILED, some, one).segments()
        for item in (segment.state.items if segment.start > BEGINNING and segment.state.kind != "ended" else ())
        if (item.kind, item.id) in versions
    ]
    if not held:
        return some, wanted
    segment, item = draw(st.sampled_from(held))
    others = [one for one in versions[item.kind, item.id] if one != item.version]
    target = draw(st.sampled_from(others))
    what: dict[str, Any] = {"kind": item.kind, "item": item.id, "from_version": item.version, "to_version": target}
    return some, structs.replace(wanted, **what, starts_at=to_datetime(segment.start))


def customer(*items: dict[str, Any], moves: tuple[VersionMove, ...] = (), **more: Any) -> Terms:
    """A customer with one subscription since the first day."""
    phases = (Phase(starts_at=day(1), items=tuple(Item(**item) for item in items or (TEAM,)), event="evt_order"),)
    held = Subscription(**{"id": "sub_0", "phases": phases, **more})
    return Terms(customer="acme", subscriptions=(held,), moves=moves)


def held(some: Terms, number: float) -> list[str]:
    """What the only subscription consists of on a day."""
    (found,) = Holdings(COMPILED, some).entitlements(at(number)).held
    return [f"{item.id}@{item.version}" for item in found.segment.state.items]


def answers(some: Terms, now: Instant) -> object:
    """Everything that decides at an instant, without how long it holds and without what brought it."""
    found = Holdings(COMPILED, some).entitlements(now)
    standings = [(one.standing.kind, one.standing.reason, one.standing.restricted) for one in found.held]
    return found.rights, found.suspended, standings, found.breaches


def instants(*all_terms: Terms) -> list[Instant]:
    """Instants on both sides of every change of the terms."""
    found = {at(0), at(41)}
    for some in all_terms:
        for timeline in Holdings(COMPILED, some).timelines:
            found |= {instant for one in timeline for instant in (one.start, one.start - 1)}
    return sorted(one for one in found if BEGINNING < one < FOREVER)


@settings(max_examples=dose(50, full=1000), deadline=None)
@given(customers(), fresh_moves())
def test_nothing_changes_before_a_move_begins(some: Terms, wanted: VersionMove) -> None:
    """Up to the last microsecond before it, every right, standing and broken rule is what it was without the move."""
    after = moved(some, [wanted])
    start = to_instant(wanted.starts_at)
    for now in [one for one in instants(some, after) if one < start] + [start - 1]:
        assert answers(after, now) == answers(some, now)


@settings(max_examples=dose(50, full=1000), deadline=None)
@given(customers(), fresh_moves(), moments())
def test_a_move_touches_nothing_else(some: Terms, wanted: VersionMove, when: Any) -> None:
    """Added and taken back it leaves every other part of the terms as it is; before it began, all of them."""
    after = moved(some, [wanted])
    back = unmoved(after, wanted.id, to_instant(when))
    for one in (after, back):
        assert structs.replace(one, moves=some.moves) == some
    assert after.moves == (*some.moves, wanted)
    if when <= wanted.starts_at:
        assert back == some
    else:
        assert back.moves == (*some.moves, structs.replace(wanted, ends_at=when))
    assert moved(after, [wanted]) == after
    assert unmoved(back, wanted.id, to_instant(when) + 1) == back


@settings(max_examples=dose(50, full=1000), deadline=None)
@given(reached(), moments())
def test_taken_back_it_is_as_if_it_had_never_been(both: tuple[Terms, VersionMove], when: Any) -> None:
    """From that instant on rights are those without the move, and before it those with it.

    Left aside is what was decided in between for later: a ladder that an episode began to climb, a trial that fell,
    what it was that ended.
    """
    some, wanted = both
    plain = tuple(
        structs.replace(one, payments=(), trial_end_behavior="convert", schedule=None, ends_at=None)
        for one in some.subscriptions
    )
    some = structs.replace(some, subscriptions=plain)
    after, back = moved(some, [wanted]), unmoved(moved(some, [wanted]), wanted.id, to_instant(when))
    for now in {*instants(some, after, back), to_instant(when), to_instant(when) - 1}:
        assert answers(back, now) == answers(some if now >= to_instant(when) else after, now)


@settings(max_examples=dose(60, full=1000), deadline=None)
@given(reached())
def test_episodes_that_had_begun_keep_their_ladder(both: tuple[Terms, VersionMove]) -> None:
    """What began to be owed before a move climbs on as it would have, to the same end."""
    some, wanted = both
    start = to_instant(wanted.starts_at)
    for one in some.subscriptions[:1]:
        before = lay_course(COMPILED, some, one).climbs
        after = lay_course(COMPILED, moved(some, [wanted]), one).climbs
        assert [climb.episode for climb in after] == [climb.episode for climb in before]
        begun = [climb for climb in before if climb.episode.start < start]
        assert list(after[: len(begun)]) == begun


@settings(max_examples=dose(80, full=1500), deadline=None)
@given(terms(), fresh_moves() | fresh_moves("sub_1"))
def test_what_is_movable_is_moved_and_nothing_else_is(some: Terms, wanted: VersionMove) -> None:
    """Without an obstacle something is read through the move; where nothing was held, nothing at all changes by it."""
    obstacles = {one.kind for one in movable(COMPILED, some, wanted)}
    if all(one.id != wanted.subscription for one in some.subscriptions):
        assert obstacles == {"unknown_subscription"}
        return
    after = moved(some, [wanted])
    timeline = next(
        timeline
        for one, timeline in zip(
            Holdings(COMPILED, after).subscriptions, Holdings(COMPILED, after).timelines, strict=True
        )
        if one.id == wanted.subscription
    )
    used = [
        one
        for one in timeline
        if one.state.kind != "ended" and any(wanted in trail.moves for trail in one.state.trails)
    ]
    if not obstacles:
        assert used
        assert all(one.end > to_instant(wanted.starts_at) for one in used)
    if obstacles & {"not_held", "unknown_version"}:
        assert not used
        for now in instants(some, after):
            if obstacles == {"not_held"} or now < to_instant(wanted.starts_at):
                assert answers(after, now)[0] == answers(some, now)[0]  # type: ignore[index]


@settings(max_examples=dose(50, full=1000), deadline=None)
@given(reached(), moments())
def test_what_is_revocable_goes_back(both: tuple[Terms, VersionMove], when: Any) -> None:
    """Without an obstacle items go back to the versions they had before the move, and to nothing else."""
    some, wanted = both
    assume(not movable(COMPILED, some, wanted))
    after, now = moved(some, [wanted]), to_instant(when)
    kinds = {one.kind for one in revocable(COMPILED, after, "sub_0", wanted.id, now)}
    back = unmoved(after, wanted.id, now)
    assert {one.kind for one in revocable(COMPILED, back, "sub_0", wanted.id, now)} <= {"taken_back", "not_moved"}
    if kinds in ({"changed"}, {"ended"}):
        for later in [one for one in instants(after, back) if one >= now] + [now]:
            assert answers(back, later)[0] == answers(after, later)[0]  # type: ignore[index]
    elif not kinds:
        subscription = next(one for one in after.subscriptions if one.id == "sub_0")
        for segment in lay_course(COMPILED, after, subscription).segments():
            for trail in segment.state.trails if segment.end > now and segment.state.kind != "ended" else ():
                assert wanted not in trail.moves or trail.moves[-1] == wanted


ORDERS: Final = st.lists(
    st.builds(
        lambda when, lines: order(when, *lines),
        st.integers(1, 120).map(lambda quarter: quarter / 4),
        st.lists(
            st.sampled_from(
                [
                    {"plan": "team"},
                    {"plan": "team", "version": "2026-01"},
                    {"plan": "team", "version": "2026-01", "quantity": 3},
                    {"plan": "business"},
                    {"plan": "free"},
                ]
            ),
            min_size=1,
            max_size=1,
        ).flatmap(lambda plans: st.sampled_from([plans, [*plans, {"addon": "boost"}], [*plans, {"addon": "lab"}]])),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=dose(40, full=800), deadline=None)
@given(ORDERS, st.lists(fresh_moves("sub_1"), max_size=2, unique_by=lambda one: one.id), st.integers(1, 4))
def test_orders_do_not_undo_a_move_nor_moves_an_order(
    orders: list[OrderDocument], wanted: list[VersionMove], turn: int
) -> None:
    """Moved after the first order or after any later one: the same terms, and what is bought is the same as ever."""
    plain, early, late = EMPTY, EMPTY, EMPTY
    for number, one in enumerate(orders):
        plain, early, late = (_placed(some, one) for some in (plain, early, late))
        if number == 0:
            early = moved(early, wanted)
        if number == min(turn, len(orders) - 1):
            late = moved(late, wanted)
    assert early == late
    assert structs.replace(early, moves=()) == plain


def _placed(some: Terms, one: OrderDocument) -> Terms:
    return place_order(COMPILED, some, one, subscription_id="sub_1", event="evt_order").terms


def test_a_chain_is_followed_and_a_move_back_undoes() -> None:
    """Each move is applied to what those before it left; back and forth leads where the last one says."""
    there, back = move(3), move(5, id="mov_b", from_version="2026-04", to="2026-01")
    again = move(7, id="mov_c")
    some = customer(TEAM, moves=(again, back, there))
    assert [held(some, number) for number in (2, 3, 4.75, 5, 7)] == [
        ["team@2026-01"], ["team@2026-04"], ["team@2026-04"], ["team@2026-01"], ["team@2026-04"]
    ]  # fmt: skip
    assert answers(some, at(6)) == answers(customer(TEAM), at(6))
    (built,) = revocable(COMPILED, customer(TEAM, moves=(there, back)), "sub_0", there.id, at(4))
    assert (built.kind, built.words) == ("built_on", "mov_b leads on from 2026-04 to 2026-01; take that back first")


def test_at_one_instant_the_id_decides() -> None:
    """Of two moves of one version at once the first by id counts; one that goes on from it follows at once."""
    first, second = move(3, id="mov_a"), move(3, id="mov_b", to="unknown")
    onward = move(3, id="mov_c", from_version="2026-04", to="2026-01")
    assert held(customer(moves=(second, first)), 3) == ["team@2026-04"]
    assert held(customer(moves=(onward, first)), 3) == ["team@2026-01"]
    before = structs.replace(onward, id="mov_0")
    assert held(customer(moves=(before, first)), 3) == ["team@2026-04"]


def test_a_target_that_the_catalog_lacks_is_passed_over() -> None:
    """An older revision knows nothing of the version: there the customer keeps what was bought."""
    wanted = move(3)
    older = {**CATALOG, "plans": {**CATALOG["plans"], "team": _first_only(CATALOG["plans"]["team"])}}
    item = Item(kind="plan", id="team", version="2026-01")
    assert follow(COMPILED, (wanted,), item, at(3)).item.version == "2026-04"
    assert follow(catalog_of(older), (wanted,), item, at(3)).item == item
    some = customer(moves=(wanted,))
    (found,) = Holdings(catalog_of(older), some).entitlements(at(4)).held
    assert found.segment == Holdings(catalog_of(older), customer()).entitlements(at(4)).held[0].segment
    (obstacle,) = movable(catalog_of(older), customer(), wanted)
    assert (obstacle.kind, obstacle.words) == ("unknown_version", "the catalog has no plan team@2026-04")


def _first_only(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan with its first version alone."""
    return {**plan, "versions": {"2026-01": plan["versions"]["2026-01"]}}


def test_quantity_line_and_bundle_stay() -> None:
    """Only the version is another: seats that were bought are still seats, a part of a bundle is still of it."""
    bought = TEAM | {"quantity": 7, "quantity_of": "editor", "line": "l1", "bundle": "suite"}
    some = customer(bought, BOOST | {"quantity": 2}, moves=(move(3), _addon(4)))
    (found,) = Holdings(COMPILED, some).entitlements(at(5)).held
    addon, plan = found.segment.state.items
    assert plan == Item(**{**bought, "version": "2026-04"})
    assert addon == Item(**{**BOOST, "version": "2", "quantity": 2})
    rights = Holdings(COMPILED, some).entitlements(at(5)).rights
    assert [source.amount for source in rights["editor"].sources] == [7]
    assert [source.amount for source in rights["calls"].sources] == [60, 100]
    assert "sync" in rights


def _addon(number: float) -> VersionMove:
    """A move of the add-on boost."""
    return move(number, "2", id="mov_addon", kind="addon", item="boost", from_version="1")


def test_a_trial_falls_by_the_version_held_at_its_end() -> None:
    """Of Team's first version Free follows, of its second nothing: what counts is the one held until the end."""
    trial: dict[str, Any] = {"trial_end": day(10), "trial_end_behavior": "fall"}
    for number, until, kind in ((9, None, "ended"), (9, 9.5, "active"), (10, None, "active"), (9, 10, "ended")):
        wanted = move(number, ends_at=None if until is None else day(until))
        (found,) = Holdings(COMPILED, customer(moves=(wanted,), **trial)).entitlements(at(10)).held
        assert found.standing.kind == kind, (number, until)
    (obstacle,) = movable(COMPILED, customer(**trial), move(9))
    assert obstacle.kind == "trial"
    assert obstacle.words.endswith("falls at 2026-04-06T00:00:00Z, and team@2026-04 says of nothing that follows")
    assert movable(COMPILED, customer(**trial, ends_at=day(10)), move(9)) == ()
    (late,) = movable(COMPILED, customer(**trial), move(10))
    assert late.kind == "not_held"


def test_what_a_trial_falls_to_is_moved_and_what_it_was_is_not() -> None:
    """From the fall on Free is read through its own move, also through one that began before; the tried plan stays."""
    trial: dict[str, Any] = {"trial_end": day(10), "trial_end_behavior": "fall"}
    for begun in (2, 12):
        free = move(begun, id="mov_free", item="free")
        some = customer(TEAM, BOOST, moves=(free, move(11), _addon(11)), **trial)
        (found,) = Holdings(COMPILED, some).entitlements(at(13)).held
        state = found.segment.state
        assert [(item.id, item.version) for item in state.items] == [("boost", "2"), ("free", "2026-04")]
        assert [(item.id, item.version) for item in state.lapsed] == [("team", "2026-01")]
        assert [item.version for item in state.bought] == ["1", "2026-01"]
        assert state.lapsed_trails == ()


def test_orders_after_a_fall_know_what_it_fell_to() -> None:
    """A plan moved in its trial to a version without a successor has ended: told again, nothing follows either."""
    trial: dict[str, Any] = {"trial_start": day(1), "trial_end": day(15), "trial_end_behavior": "fall"}
    known = _placed(EMPTY, order(1, {"plan": "team"}, **trial))
    plain, after = (
        _placed(some, order(20, {"plan": "team"}, {"addon": "boost"}, **trial))
        for some in (known, moved(known, [move(5, subscription="sub_1")]))
    )
    assert held(plain, 21) == ["boost@1", "free@2026-01"]
    (found,) = Holdings(COMPILED, after).entitlements(at(21)).held
    assert (found.standing.kind, found.standing.since) == ("ended", at(15))
    bought = order(20, {"plan": "team"}, {"addon": "boost"})
    converted = _placed(moved(known, [move(5, subscription="sub_1")]), bought)
    assert held(converted, 21) == ["boost@1", "team@2026-04"]


def test_a_move_from_before_the_beginning_counts_from_it() -> None:
    """A subscription that begins under a move is moved from its first instant; one that has ended keeps what it was."""
    some = customer(moves=(move(0), move(8, "2026-01", id="mov_b", from_version="2026-04")), ends_at=day(6))
    assert [held(some, number) for number in (0.5, 1, 5, 6, 9)] == [["team@2026-04"]] * 5
    assert [one.kind for one in movable(COMPILED, customer(ends_at=day(6)), move(6))] == ["ended"]
    assert movable(COMPILED, customer(ends_at=day(6)), move(5.75)) == ()


def test_planned_phases_are_read_through_moves() -> None:
    """What a foreign schedule brings later in the old version is moved as well; other plans are left alone."""
    team, business = Item(**TEAM), Item(kind="plan", id="business", version="2026-01")
    some = customer({"kind": "plan", "id": "business", "version": "2026-01"})
    document = {
        "phases": [{"starts_at": day(5), "items": [team]}, {"starts_at": day(9), "items": [business]}],
        "occurred_at": day(0),
    }
    some = structs.replace(some, subscriptions=(_scheduled(some.subscriptions[0], document),), moves=(move(3),))
    assert [held(some, number)[0] for number in (4, 5, 9)] == ["business@2026-01", "team@2026-04", "business@2026-01"]
    without = structs.replace(some, moves=())
    assert movable(COMPILED, without, move(3)) == ()
    assert [one.kind for one in movable(COMPILED, without, move(9))] == ["not_held"]


def _scheduled(subscription: Subscription, document: dict[str, Any]) -> Subscription:
    """A subscription with a schedule."""
    return structs.replace(subscription, schedule=msgspec.convert(document, Schedule))


def test_what_cannot_be_added_is_refused() -> None:
    """An unknown subscription, a move to itself, one that ends before it begins, and more than a document holds."""
    some = customer()
    with pytest.raises(LookupError, match="acme has no subscription sub_9"):
        moved(some, [move(3, subscription="sub_9")])
    for nowhere in (move(3, "2026-01"), move(3, ends_at=day(3))):
        with pytest.raises(ValueError, match="leads nowhere"):
            moved(some, [nowhere])
    full = moved(some, [move(3, id=f"mov_{number}") for number in range(MAX_MOVES)])
    with pytest.raises(ValueError, match="501 moves; 500 are allowed"):
        moved(full, [move(3, id="mov_more")])
    assert "terms_full" in {one.kind for one in movable(COMPILED, full, move(2, id="mov_more"))}


def test_obstacles_are_told_in_words() -> None:
    """Each reason names what it is about."""
    some = customer(moves=(move(5),))
    for wanted, words in (
        (move(3, subscription="sub_9"), "acme has no subscription sub_9"),
        (move(3, "2026-01"), "a move from team@2026-01 to itself changes nothing"),
        (move(5), "mov_5 has moved sub_0 already"),
        (move(3), "mov_5 moves team@2026-01 to 2026-04 at 2026-04-01T00:00:00Z already; take that back first"),
        (move(6), "sub_0 has no plan team@2026-01 at 2026-04-02T00:00:00Z or later"),
        (_addon(6), "sub_0 has no addon boost@1 at 2026-04-02T00:00:00Z or later"),
    ):
        assert [one.words for one in movable(COMPILED, some, wanted)] == [words]
    assert [one.words for one in revocable(COMPILED, some, "sub_0", "mov_9", at(6))] == ["mov_9 has not moved sub_0"]
    changed = structs.replace(some, subscriptions=customer({**TEAM, "id": "business"}).subscriptions)
    (obstacle,) = revocable(COMPILED, changed, "sub_0", "mov_5", at(6))
    assert (obstacle.kind, obstacle.words) == ("changed", "nothing of sub_0 is team@2026-04 by mov_5 any more")


def test_an_explanation_names_the_moves_and_their_events() -> None:
    """The item says what it was, each move is a step with its event, and one that is announced is told beforehand."""
    back = move(9, "2026-01", id="mov_b", from_version="2026-04")
    some = customer(moves=(move(3), back))
    told = {"evt_3": "subscription.moved by ann", "evt_9": "subscription.move_announced by bob"}

    def told_on(number: float) -> list[str]:
        found = explain(COMPILED, some, Question(customer="acme", feature="projects"), at(number), events=told)
        return [line.strip() for line in render_tree(found.tree).splitlines() if "move" in line]

    moved_line = "· moved from team@2026-01 to team@2026-04 on 2026-03-30T00:00:00Z (subscription.moved by ann)"
    by_bob = "on 2026-04-05T00:00:00Z (subscription.move_announced by bob)"
    assert told_on(2) == ["· will be moved to team@2026-04 on 2026-03-30T00:00:00Z (subscription.moved by ann)"]
    assert told_on(4) == [
        "+ plan team@2026-04, moved from team@2026-01 to team@2026-04: gives 15 projects",
        moved_line,
        f"· will be moved to team@2026-01 {by_bob}",
    ]
    assert told_on(10) == [moved_line, f"· moved from team@2026-04 to team@2026-01 {by_bob}"]


def test_time_tells_that_a_move_began() -> None:
    """Between two instants the history says what was moved, and which rights differ since."""
    found, whole = passages(COMPILED, customer(TEAM, BOOST, moves=(move(3), _addon(3))), at(2), at(5))
    assert whole
    assert [(one.at, one.words) for one in found] == [
        (at(3), ("boost was moved from version 1 to 2", "team was moved from version 2026-01 to 2026-04"))
    ]
    assert {one.feature: one.kind for one in found[0].changes} == {
        "calls": "less", "jobs": "less", "projects": "less", "spaces": "more", "sso": "loss", "sync": "gain"
    }  # fmt: skip


def test_a_move_is_a_boundary_ahead() -> None:
    """What is decided now is good until the move begins, and the instant is among those that come."""
    some = customer(moves=(move(3),))
    assert Holdings(COMPILED, some).entitlements(at(2)).span("projects").end == at(3)
    assert Boundary(at(3), "change") in upcoming(COMPILED, some, at(2))


def test_a_remedy_is_bought_and_the_move_lies_over_it() -> None:
    """More seats are bought of what was bought; read through the moves they are of the version held, not of a third."""
    bought = TEAM | {"quantity": 2, "quantity_of": "editor"}
    moves = (move(2, "2026-01", id="mov_a", from_version="2026-04"), move(3, id="mov_b"))
    some = customer(bought, moves=moves)
    assert held(some, 4) == ["team@2026-04"]
    decision = Truth(COMPILED, [some]).check("acme", "editor", at(4), used=2)
    remedy = decision.remedy(at(4))
    assert remedy is not None
    assert remedy.words == "Have 3 of editor instead of 2."
    ask = Ask(None, None, 1, 2)
    after = apply_remedy(World(COMPILED, some, "editor", ask, at(4)), remedy)
    assert after.terms.subscriptions[0].phases[-1].items == (Item(**{**bought, "quantity": 3}),)
    assert held(after.terms, 4) == ["team@2026-04"]
