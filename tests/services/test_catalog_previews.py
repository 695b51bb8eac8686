"""Previews on live customers: counted and listed as an independent recount does, and the guard of what touches them."""

import random
from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.compiled import compile_catalog
from licet.core.gains import compare_rights
from licet.core.instant import to_instant
from licet.services.catalog_previews import TouchedView, get_preview, list_preview_customers, preview_on_customers
from licet.services.catalogs import apply_catalog, preview_catalog
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import BlastRadius, NotFound, PreviewRequired, PreviewStale, StaleBase, Unavailable
from licet.services.overrides import AddOverride, add_override
from licet.services.preview_guard import MAX_JUDGED_AGAIN
from licet.services.proposals import propose_catalog
from licet.services.rows import Page
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.suspensions import Suspend, suspend
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, OPERATOR, Desk
from tests.store import rows

SHUT = (b"type: switch\n    rank: 310", b'type: switch\n    when: "false"\n    rank: 310')
"""Single sign-on is taken from everybody."""


def shut(catalog: bytes) -> bytes:
    """The catalog in which nobody has single sign-on."""
    assert SHUT[0] in catalog
    return catalog.replace(*SHUT)


async def stock(desk: Desk, count: int, seed: int = 1) -> None:
    """Customers with random purchases, exceptions and suspensions."""
    dice = random.Random(seed)
    async with desk.write() as tx:
        for number in range(count):
            name = f"c{number:03}"
            await create_customer(tx, CreateCustomer(id=name))
            if dice.random() < 0.8:
                plan = dice.choice(["free", "team", "business"])
                await sell(tx, name, Sell(items=(SoldItem(plan=plan),), accept_breaches=True), desk.catalogs)
            if dice.random() < 0.2:
                await add_override(tx, name, AddOverride(feature="sso"), desk.catalogs)
            if dice.random() < 0.1:
                await suspend(tx, name, Suspend())


async def listed(desk: Desk, preview: str, **which: str) -> dict[str, TouchedView]:
    """Everybody whom a preview lists, page by page."""
    found: list[TouchedView] = []
    async with desk.read() as view:
        while True:
            page = Page(after=found[-1].customer if found else "", limit=3)
            more = await list_preview_customers(view, preview, page, **which)  # type: ignore[arg-type]
            found += more
            if len(more) < 3:
                break
    assert [one.customer for one in found] == sorted({one.customer for one in found})
    return {one.customer: one for one in found}


async def documents(desk: Desk) -> dict[str, bytes]:
    """Everybody's newest terms, as they are kept."""
    async with desk.read() as view:
        rows = await view.terms_page(Page(limit=500))
    return {row.terms.customer: msgspec.json.encode(row) for row in rows}


async def test_it_counts_and_lists_what_a_recount_finds(desk: Desk, meridian: bytes) -> None:
    """Of 40 random customers each is listed with what comparing it alone gives; the numbers are their counts."""
    await stock(desk, 40)
    seen = await desk.preview(shut(meridian))
    async with desk.read() as view:
        before = await desk.catalogs.current(view)
        after = compile_catalog((await propose_catalog(view, shut(meridian))).new, 2, ZoneInfo, ZoneInfo("UTC"))
        everybody = [row.terms for row in await view.terms_page(Page(limit=500))]
    expected = {
        one.customer: changes
        for one in everybody
        if (changes := compare_rights(before, one, after, one, to_instant(seen.at)))
    }
    assert len(everybody) == 40
    assert 5 < len(expected) < 40
    found = await listed(desk, seen.id)
    assert {name: one.changes for name, one in found.items()} == expected
    summary = seen.summary
    assert summary is not None
    assert (seen.done, seen.total, summary.customers, summary.affected) == (40, 40, 40, len(expected))
    assert (summary.losing, summary.gaining, summary.exceeding, summary.breaking) == (len(expected), 0, 0, 0)
    (sso,) = summary.features
    assert (sso.feature, sso.loss, sso.gain) == ("sso", len(expected), 0)
    sizes = Counter(expected.values())
    assert sorted(group.customers for group in summary.groups) == sorted(sizes.values())
    for group in summary.groups:
        alike = sorted(name for name, changes in expected.items() if changes == group.changes)
        assert (group.customers, group.examples) == (len(alike), tuple(alike[:3]))
    assert (await listed(desk, seen.id, feature="sso", effect="losing")).keys() == expected.keys()
    assert await listed(desk, seen.id, effect="gaining") == await listed(desk, seen.id, feature="projects") == {}


async def test_a_release_never_changes_terms(desk: Desk, meridian: bytes) -> None:
    """What touches everybody is released with consent: each document of terms stays as it is, byte for byte."""
    await stock(desk, 12)
    before = await documents(desk)
    assert (await desk.release(shut(meridian), max_losing=12)).revision == 2
    assert (await desk.release(meridian, max_losing=0)).revision == 3
    assert await documents(desk) == before


async def test_what_touches_customers_needs_a_preview(desk: Desk, meridian: bytes) -> None:
    """Without one it is refused with what is live in it; the first customer makes the difference."""
    await stock(desk, 3)
    async with desk.write() as tx:
        with pytest.raises(PreviewRequired, match="this release can move what customers have already") as refused:
            await apply_catalog(tx, shut(meridian), 1)
    assert "preview" in refused.value.advice
    async with desk.write() as tx:
        titled = meridian.replace(b"title: SAML single sign-on", b"title: Sign-on")
        assert (await apply_catalog(tx, titled, 1)).revision == 2


async def test_where_nobody_is_no_preview_is_needed(desk: Desk, meridian: bytes) -> None:
    """A workspace without customers is released to as it was."""
    async with desk.write() as tx:
        assert (await apply_catalog(tx, shut(meridian), 1)).revision == 2
    (event,) = (await desk.events(type="catalog.released"))[1:]
    assert "preview" not in event.after


async def test_more_than_may_lose_is_refused_with_words(desk: Desk, meridian: bytes) -> None:
    """The blast radius is 0 unless told: the refusal counts, names what is lost, and says how to go on."""
    await stock(desk, 20)
    seen = await desk.preview(shut(meridian))
    assert seen.summary is not None
    losing = seen.summary.losing
    for most in (0, losing - 1):
        async with desk.write() as tx:
            with pytest.raises(BlastRadius) as refused:
                await apply_catalog(tx, shut(meridian), 1, preview=seen.id, max_losing=most)
        assert f"{losing} customers would lose something, at most {most} may" in refused.value.words
        assert f"{losing} lose SAML single sign-on" in refused.value.words
        assert f"max_losing={losing}" in refused.value.advice
    async with desk.write() as tx:
        assert (await apply_catalog(tx, shut(meridian), 1, preview=seen.id, max_losing=losing)).revision == 2
    event = (await desk.events(type="catalog.released"))[-1]
    assert event.after["preview"] == {
        "id": seen.id,
        "customers": 20,
        "affected": losing,
        "gaining": 0,
        "losing": losing,
        "exceeding": 0,
        "breaking": 0,
        "judged_again": 0,
        "max_losing": losing,
    }


async def test_who_changed_since_is_judged_again(desk: Desk, meridian: bytes) -> None:
    """One who bought it meanwhile counts; one who was suspended meanwhile loses it when that is over."""
    async with desk.write() as tx:
        for name in ("acme", "beta", "gamma"):
            await create_customer(tx, CreateCustomer(id=name))
        for name in ("acme", "beta"):
            await sell(tx, name, Sell(items=(SoldItem(plan="business"),), accept_breaches=True), desk.catalogs)
    seen = await desk.preview(shut(meridian))
    assert seen.summary is not None
    assert seen.summary.losing == 2
    async with desk.write() as tx:
        await suspend(tx, "acme", Suspend())
    async with desk.write() as tx:
        with pytest.raises(
            BlastRadius, match=r"2 customers would lose something, at most 0 may: 1 lose SAML.*; 1 lose SAML"
        ):
            await apply_catalog(tx, shut(meridian), 1, preview=seen.id)
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="delta"))
        for name in ("gamma", "delta"):
            await sell(tx, name, Sell(items=(SoldItem(plan="business"),), accept_breaches=True), desk.catalogs)
    async with desk.write() as tx:
        with pytest.raises(BlastRadius, match="4 customers would lose something, at most 3 may: 3 lose SAML"):
            await apply_catalog(tx, shut(meridian), 1, preview=seen.id, max_losing=3)
    async with desk.write() as tx:
        await apply_catalog(tx, shut(meridian), 1, preview=seen.id, max_losing=4)
    told = (await desk.events(type="catalog.released"))[-1].after["preview"]
    assert (told["customers"], told["losing"], told["judged_again"]) == (4, 4, 3)


async def refused(desk: Desk, catalog: bytes, preview: str, base: int = 1) -> str:
    """Release by a preview that does not do, and return why; whoever only compares is told the same."""
    async with desk.write() as tx:
        with pytest.raises(PreviewStale) as stale:
            await apply_catalog(tx, catalog, base, preview=preview, max_losing=9)
    assert "/v1/catalog/previews" in stale.value.advice
    async with desk.read() as view:
        with pytest.raises(PreviewStale) as told:
            await preview_catalog(view, catalog, preview=preview)
    assert told.value.words == stale.value.words
    return stale.value.words


async def test_only_a_preview_of_exactly_this_counts(desk: Desk, meridian: bytes) -> None:
    """Another content, another base, another time, one that is not there or not whole: each is refused by name."""
    await stock(desk, 3)
    seen = await desk.preview(shut(meridian))
    async with desk.read() as view:
        assert (await preview_catalog(view, shut(meridian), preview=seen.id)).base == 1
        assert (await preview_catalog(view, meridian, preview=seen.id)).changes == ()
    other = shut(meridian).replace(b'when: "false"', b'when: "!true"')
    assert "another content" in await refused(desk, other, seen.id)
    assert "no preview prv_x" in await refused(desk, other, "prv_x")
    ahead = await desk.preview(shut(meridian), at=to_instant(LATER + timedelta(days=1)))
    assert "not as of now" in await refused(desk, shut(meridian), ahead.id)
    async with desk.write() as tx:
        titled = meridian.replace(b"title: SAML single sign-on", b"title: Sign-on")
        await apply_catalog(tx, titled, 1)
    assert "on revision 1" in await refused(desk, shut(meridian), seen.id, 2)
    fresh = await desk.preview(shut(meridian))
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(hours=25)))
    assert "and it holds an hour" in await refused(desk, shut(meridian), fresh.id, 2)
    async with desk.write() as tx:
        await tx.begin_preview(rows.preview(begun_at=LATER))
    assert "is not finished: 0 of 1 customers" in await refused(desk, shut(meridian), rows.PREVIEW, 2)


async def test_a_release_in_between_ends_a_preview(desk: Desk, meridian: bytes) -> None:
    """What was read on top of a revision that is not the newest any more is not judged at all."""
    async with desk.read() as view:
        proposed = await propose_catalog(view, shut(meridian))
    async with desk.write() as tx:
        await apply_catalog(tx, shut(meridian), 1)
    with pytest.raises(StaleBase, match="revision 1"):
        await anext(preview_on_customers(desk.storage, "test", OPERATOR, proposed))


async def test_the_same_meaning_is_the_same_content(desk: Desk, meridian: bytes) -> None:
    """A preview of a catalog as YAML is one of the same catalog as JSON."""
    await stock(desk, 3)
    seen = await desk.preview(shut(meridian))
    async with desk.read() as view:
        proposed = await propose_catalog(view, shut(meridian))
    async with desk.write() as tx:
        text = msgspec.json.encode(proposed.new)
        assert (await apply_catalog(tx, text, 1, preview=seen.id, max_losing=3)).revision == 2


async def test_many_changes_since_make_a_preview_stale(desk: Desk, meridian: bytes) -> None:
    """Where more customers changed than are judged again, a new preview is asked for."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
    seen = await desk.preview(shut(meridian))
    async with desk.write() as tx:
        for number in range(MAX_JUDGED_AGAIN):
            await tx.put_customer(rows.customer(f"n{number}"))
        await tx.record(rows.note())
    async with desk.write() as tx:
        assert (await apply_catalog(tx, shut(meridian), 1, preview=seen.id)).revision == 2
    back = await desk.preview(meridian)
    async with desk.write() as tx:
        for number in range(MAX_JUDGED_AGAIN + 1):
            await tx.put_customer(rows.customer(f"m{number}"))
        await tx.record(rows.note())
    assert "more than 1,000 customers changed" in await refused(desk, meridian, back.id, 2)


async def test_one_that_broke_off_stays_unfinished(desk: Desk, meridian: bytes) -> None:
    """Left in the middle it is kept as far as it came and can never be applied; its place is free for another."""
    await stock(desk, 3)
    async with desk.read() as view:
        proposed = await propose_catalog(view, shut(meridian))
    lines = preview_on_customers(desk.storage, "test", OPERATOR, proposed)
    first = await anext(lines)
    assert first.progress is not None
    assert (first.progress.done, first.progress.of) == (0, 3)
    beside = preview_on_customers(desk.storage, "test", OPERATOR, proposed)
    with pytest.raises(Unavailable, match="as many long reads are under way as may be at once \\(1\\)"):
        await anext(beside)
    await lines.aclose()
    assert (await desk.preview(shut(meridian))).summary is not None
    async with desk.read() as view:
        kept = await get_preview(view, first.progress.preview)
    assert (kept.finished_at, kept.summary, kept.done, kept.total) == (None, None, 0, 3)
    assert "is not finished: 0 of 3 customers" in await refused(desk, shut(meridian), kept.id)


async def test_old_ones_are_forgotten(desk: Desk, meridian: bytes) -> None:
    """A new preview makes room: those older than 7 days go, and of many only the newest 20 stay."""
    long_ago = rows.preview(id=f"prv_{2:032x}", begun_at=LATER - timedelta(days=3000))
    async with desk.write() as tx:
        await tx.begin_preview(long_ago)
    made = [(await desk.preview(meridian)).id for _ in range(22)]
    async with desk.read() as view:
        for gone in (long_ago.id, *made[:2]):
            with pytest.raises(NotFound, match="there is no preview"):
                await get_preview(view, gone)
        for kept in made[2:]:
            assert (await get_preview(view, kept)).summary is not None
