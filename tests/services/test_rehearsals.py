"""Rehearsal: what another catalog would have answered, against recounts that know nothing of the code under test."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import NamedTuple

import msgspec
import pytest
import pytest_asyncio

from licet.connectors.stripe import StripeConnector
from licet.core.question import Question
from licet.services.deliveries import Inbox
from licet.services.errors import CatalogInvalid, Invalid, NoCatalog
from licet.services.rehearsal_views import Difference, Rehearsal
from licet.services.rehearsals import MAX_SHOWN, PAGE, Script, plan_rehearsal, rehearse
from licet.services.rows import CheckBatch, CheckFilter, CheckRecordRow, Page
from licet.services.truth import Catalogs
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from tests.dose import dose
from tests.services.desk import LATER, Desk
from tests.services.studio import CATALOG, LIMITS, Answer, Customer, Entry, Studio, projects_answer
from tests.store.databases import Server
from tests.store.worlds import fresh_world

OBSERVED = "  autopilot: { type: switch, record: each, mode: observe }\n"
ALL = Script(shown=MAX_SHOWN, since=LATER)
POLICIES = """
policies:
  guests:
    when: '(has(customer.country) && customer.country in ["KP", "CU"]) || (has(user.roles) && "guest" in user.roles)'
    do: restrict
    features: [export]
    text: Not for you.
"""


Pair = tuple[CheckRecordRow, Entry]


class Lived(NamedTuple):
    """A history that was lived through, each of its checks on record beside what the books say of it."""

    desk: Desk
    pairs: list[Pair]


async def opened(storage: PostgresStorage) -> Desk:
    """The test workspace with the studio's catalog."""
    made = Desk(storage, Inbox(storage, {"stripe": StripeConnector()}, Catalogs()))
    await made.open(CATALOG.encode())
    return made


@pytest.fixture
async def desk(storage: PostgresStorage) -> Desk:
    """The test workspace with the studio's catalog."""
    return await opened(storage)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=range(dose(1, full=20)))
async def lived(request: pytest.FixtureRequest, pg_server: Server) -> AsyncIterator[Lived]:
    """A history of some 200 questions without releases; tests only read it."""
    with fresh_world(pg_server) as world:
        async with world.storage() as storage:
            studio = Studio(await opened(storage), Random(request.param))
            await studio.live(260)
            yield Lived(studio.desk, await pairs_of(studio))


async def rehearsed(desk: Desk, catalog: str, script: Script = ALL) -> tuple[list[Difference], Rehearsal]:
    """What a rehearsal tells; progress comes first and never goes back, the sums come last."""
    async with desk.read() as view:
        plan = await plan_rehearsal(view, catalog.encode(), script)
    lines = [line async for line in rehearse(desk.storage, "test", plan)]
    done = [line.progress.done for line in lines if line.progress is not None]
    assert done == sorted(done)
    assert done[0] == 0
    sums = lines[-1].rehearsal
    assert sums is not None
    assert [line.rehearsal for line in lines[:-1]] == [None] * (len(lines) - 1)
    assert sums.questions == sums.same + sums.differing + sums.undecided
    assert sums.differing == sums.newly_denied + sums.newly_allowed + sums.observed + sums.reason
    told = [line.difference for line in lines if line.difference is not None]
    assert sums.shown == len(told)
    for name in ("questions", "same", "differing", "newly_denied", "newly_allowed", "undecided", "already"):
        assert getattr(sums, name) == sum(getattr(one, name) for one in sums.by_feature), name
    return told, sums


async def on_record(desk: Desk) -> list[CheckRecordRow]:
    """All checks on record, the oldest first."""
    async with desk.read() as view:
        return [*reversed(await view.check_records(CheckFilter(), Page(limit=500)))]


async def pairs_of(studio: Studio) -> list[Pair]:
    """Each check on record beside its entry in the books."""
    kept = await on_record(studio.desk)
    assert len(kept) == len(studio.entries)
    for row, entry in zip(kept, studio.entries, strict=True):
        asked = entry.question
        assert (row.customer, row.feature, row.user) == (asked.customer, asked.feature, asked.user)
    return [*zip(kept, studio.entries, strict=True)]


def recount(pairs: list[Pair], feature: str, would: Callable[[Entry], Answer]) -> dict[str, tuple[Answer, Answer]]:
    """Which checks would be answered otherwise, counted with a test's own rule: id → what was, what would be."""
    found = {}
    for row, entry in pairs:
        was: Answer = (row.outcome, row.reason)
        if row.feature == feature and was != would(entry):
            found[row.id] = was, would(entry)
    return found


def told_of(told: list[Difference]) -> dict[str, tuple[Answer, Answer]]:
    """The same of a rehearsal."""
    return {
        one.id: ((one.was.outcome, one.was.reason), (one.would.outcome, one.would.reason)) for one in told
    }  # fmt: skip


async def test_another_limit_differs_where_a_recount_does(lived: Lived) -> None:
    """Rehearsed are smaller and larger limits: exactly those decisions differ, and so, that a recount by hand finds."""
    desk, pairs = lived
    assert recount(pairs, "projects", partial(projects_answer, limits=LIMITS)) == {}
    for limits in ({"team": 2, "pro": 6}, {"team": 5, "pro": 10}, {"team": 9, "pro": 1}):
        text = CATALOG.replace("projects: 3", f"projects: {limits['team']}")
        told, sums = await rehearsed(desk, text.replace("projects: 10", f"projects: {limits['pro']}"))
        expected = recount(pairs, "projects", partial(projects_answer, limits=limits))
        assert expected
        assert told_of(told) == expected
        assert sums.differing == len(expected)
        outcomes = Counter(would[0] for _, would in expected.values())
        assert (sums.newly_denied, sums.newly_allowed) == (outcomes["denied"], outcomes["allowed"])
        assert sums.unreleasable
        assert (sums.undecided, sums.already, sums.questions) == (0, 0, len(pairs))


async def test_a_new_policy_differs_where_a_recount_does(lived: Lived) -> None:
    """A policy over country and role refuses exactly those whom a recount finds, by what was known when they asked."""
    desk, pairs = lived

    def would(entry: Entry) -> Answer:
        if entry.customer is None:
            return "denied", "unknown_customer"
        if not entry.customer.plans:
            return "denied", "not_entitled"
        barred = entry.customer.country in ("KP", "CU") or "guest" in entry.roles
        return ("denied", "policy_denied") if barred else ("allowed", "entitled")

    expected = recount(pairs, "export", would)
    assert expected
    told, sums = await rehearsed(desk, CATALOG + POLICIES)
    assert told_of(told) == expected
    assert sums.newly_denied == sums.differing == len(expected)
    assert (sums.unreleasable, sums.undecided) == ((), 0)
    assert all(one.would.message == "Not for you." for one in told)


async def test_enforcing_what_was_observed(lived: Lived) -> None:
    """With the mode enforce exactly what observe mode would have denied is newly denied; with off nothing is."""
    desk, pairs = lived
    watched = [row for row, _ in pairs if row.outcome == "would_deny"]
    assert watched
    told, sums = await rehearsed(desk, CATALOG.replace("mode: observe", "mode: enforce"))
    assert [one.id for one in told] == [row.id for row in watched]
    assert {one.kind for one in told} == {"newly_denied"}
    assert [one.would.reason for one in told] == [row.reason for row in watched]
    assert sums.newly_denied == sums.differing == len(watched)
    _, sums = await rehearsed(desk, CATALOG.replace("mode: observe", "mode: 'off'"))
    assert sums.observed == len(watched)
    assert sums.reason == sum(row.feature == "autopilot" for row, _ in pairs) - len(watched)
    assert sums.newly_denied == 0


async def test_what_was_not_kept_is_undecided(lived: Lived) -> None:
    """A rule that reads an attribute which nothing read then: who gave it is undecided, who did not is decided."""
    desk, pairs = lived
    rule = POLICIES.replace("[export]", "[export, autopilot]").replace(
        POLICIES.split("'")[1], 'has(context.attributes.tier) && context.attributes.tier == "lead"'
    )
    told, sums = await rehearsed(desk, CATALOG + rule)
    without = [row for row, _ in pairs if row.left_out and row.feature != "projects" and row.customer != "nobody"]
    assert told == []
    assert sums.undecided == sums.undecided_for.left_out == len(without) > 0
    assert [(one.attribute, one.questions) for one in sums.missing] == [("tier", len(without))]
    assert sums.same == len(pairs) - len(without)


async def test_nothing_differs_under_the_same_catalog(lived: Lived) -> None:
    """Every question of a history without releases is answered as it was; nothing is written by that."""
    desk, pairs = lived
    before = len(await desk.events())
    told, sums = await rehearsed(desk, CATALOG)
    assert (told, sums.same, sums.questions) == ([], len(pairs), len(pairs))
    assert len(await desk.events()) == before


async def test_what_an_earlier_release_changed_is_told_apart(desk: Desk) -> None:
    """Differences that the newest release has made already are marked; those of the proposal are not."""
    studio = Studio(desk, Random(11))
    await studio.live(60)
    pairs = await pairs_of(studio)
    enforcing = CATALOG.replace("mode: observe", "mode: enforce")
    await desk.release(enforcing.encode())
    told, sums = await rehearsed(desk, enforcing.replace("projects: 3", "projects: 1"))
    assert {one.feature for one in told} == {"autopilot", "projects"}
    assert all(one.already == (one.feature == "autopilot") for one in told)
    assert sums.already == sum(row.outcome == "would_deny" for row, _ in pairs)
    assert sums.base == 2


async def test_the_period_the_feature_and_the_customer(desk: Desk) -> None:
    """The first instant counts, the end does not; by default the last 30 days; feature and customer narrow."""
    studio = Studio(desk, Random(1))
    studio.books["acme"] = Customer()
    for day in (0, 10, 20, 40):
        studio.day = day
        async with desk.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(days=day)))
        await studio.ask(Question(customer="acme", feature="projects"))
        await studio.ask(Question(customer="globex", feature="export"))
    await studio.counter.flush("test")

    async def questions(**which: object) -> int:
        return (await rehearsed(desk, CATALOG, msgspec.convert(which, Script)))[1].questions

    days = [LATER + timedelta(days=day) for day in (0, 10, 20, 40)]
    assert await questions() == 6
    assert await questions(until=days[3]) == 4
    assert await questions(since=days[0]) == 8
    assert await questions(since=days[0] + timedelta(microseconds=1)) == 6
    assert await questions(since=days[0], until=days[1]) == 2
    assert await questions(since=days[0], until=days[1] + timedelta(microseconds=1)) == 4
    assert await questions(since=days[1], until=days[1]) == 0
    assert await questions(since=days[0], feature="export") == 4
    assert await questions(since=days[0], customer="acme") == 4
    assert await questions(since=days[0], customer="acme", feature="export") == 0
    with pytest.raises(Invalid, match="after the end"):
        await questions(since=days[1], until=days[0])


async def test_truths_that_are_gone_are_undecided(desk: Desk) -> None:
    """A basis of another epoch, beyond the log, or none: such a question is counted apart and disturbs no other."""
    bases = ["2:1", "1:999999999", f"1:{'9' * 40}", "", "1:", "1:x"]
    rows = tuple(record(place, basis) for place, basis in enumerate([*bases, "1:2"]))
    async with desk.write() as tx:
        await tx.keep_checks(CheckBatch(counter="one", number=1, counts={}, records=rows))
    told, sums = await rehearsed(desk, CATALOG)
    assert (sums.questions, sums.undecided, sums.undecided_for.basis, told) == (len(rows), len(bases), len(bases), [])


async def test_more_than_a_page_at_one_instant(desk: Desk) -> None:
    """Thousands of checks of one frozen instant are all asked again, each once; told are as many as were wanted."""
    count = 2 * PAGE + 1
    rows = tuple(record(place, "1:2") for place in range(count))
    async with desk.write() as tx:
        await tx.keep_checks(CheckBatch(counter="one", number=1, counts={}, records=rows))
    observing = CATALOG.replace("projects: { type: limit,", "projects: { type: limit, mode: observe,")
    told, sums = await rehearsed(desk, observing, Script(shown=3))
    assert sums.newly_allowed == count
    assert [one.id for one in told] == ["chk_0000", "chk_0001", "chk_0002"]
    _, sums = await rehearsed(desk, observing, Script(shown=0))
    assert (sums.newly_allowed, sums.shown) == (count, 0)


async def test_catalogs_that_cannot_be_rehearsed(lived: Lived) -> None:
    """Refused is what is no catalog by itself, and what changes what quantities mean; a removal is rehearsed."""
    desk = lived.desk
    for wrong in ("version: 1", CATALOG.replace("projects: 3", "projects: none")):
        with pytest.raises(CatalogInvalid):
            await rehearsed(desk, wrong)
    for changed in ("type: limit, scale: 2", "type: switch"):
        text = CATALOG.replace("type: limit", changed)
        with pytest.raises(CatalogInvalid):
            await rehearsed(
                desk, text.replace("projects: 3", "projects: true").replace("projects: 10", "projects: true")
            )
    told, sums = await rehearsed(desk, CATALOG.replace("autopilot: true", "").replace(OBSERVED, ""))
    assert {one.would.reason for one in told if one.customer != "nobody"} == {"unknown_feature"}
    assert {one.feature for one in told} == {"autopilot"}
    assert 'the feature "autopilot" is released and cannot be removed' in sums.unreleasable[0]
    bare = CATALOG[: CATALOG.index("  pro:")].replace("  projects: { type: limit, record: each }\n", "")
    told, _ = await rehearsed(desk, bare.replace("projects: 3, ", ""))
    assert {one.would.reason for one in told if one.feature == "projects"} == {"unknown_feature"}
    held = {row.id for row, entry in lived.pairs if entry.customer and entry.customer.plans == ["pro"]}
    exported = {one.id: one.would.reason for one in told if one.feature == "export" and one.id in held}
    assert exported
    assert set(exported.values()) == {"not_entitled"}


async def test_before_the_first_release_there_is_nothing_to_rehearse(storage: PostgresStorage) -> None:
    """A workspace without a catalog has answered nothing."""
    async with storage.read("live") as view:
        with pytest.raises(NoCatalog):
            await plan_rehearsal(view, CATALOG.encode(), Script())


def record(place: int, basis: str) -> CheckRecordRow:
    """A check on record of somebody who is no customer."""
    return CheckRecordRow(
        id=f"chk_{place:04}", asked_at=LATER, customer="nobody", user="ann", feature="projects",
        reason="unknown_customer", outcome="denied", mode="enforce", basis=basis,
        question=Question(customer="nobody", feature="projects", user="ann"),
    )  # fmt: skip
