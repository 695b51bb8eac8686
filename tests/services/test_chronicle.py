"""A customer's history: every command about it, releases that touched it and what time did, with gains and losses."""

from datetime import timedelta

import pytest

from licet.core.question import Question
from licet.services.catalogs import apply_catalog
from licet.services.checks import check
from licet.services.chronicle import HistoryEntry, Stretch, customer_history
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import Invalid, NotFound
from licet.services.explanations import explain
from licet.services.overrides import AddOverride, add_override
from licet.services.rows import Page
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.suspensions import Suspend, resume, suspend
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, OPERATOR, Desk

DAY = timedelta(days=1)


async def told(desk: Desk, **how: object) -> list[HistoryEntry]:
    """The history, oldest first."""
    stretch = Stretch(**{"page": Page(), **how})  # type: ignore[arg-type]
    async with desk.read() as view:
        entries, _ = await customer_history(view, "acme", stretch, desk.snapshots)
    return entries[::-1]


def shown(entry: HistoryEntry, feature: str = "sso") -> tuple[str, str]:
    """When it was, in days after LATER, with its first words; and what became of a feature."""
    became = [f"{one.kind}: {one.becomes}" for one in entry.changes if one.feature == feature]
    return f"{(entry.at - LATER) / DAY:g} {entry.words[0]}", " ".join(became)


@pytest.fixture
async def lived(desk: Desk, meridian: bytes) -> Desk:
    """A customer who tried, was suspended, got an exception, and lost what a release closed."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
    async with desk.write() as tx:
        trial = Sell(items=(SoldItem(plan="business"),), trial="P14D", trial_end_behavior="end", accept_breaches=True)
        await sell(tx, "acme", trial, desk.catalogs)
    await wait(desk, 1)
    async with desk.storage.write("test", OPERATOR, note="invoices bounced") as tx:
        await suspend(tx, "acme", Suspend())
    await wait(desk, 2)
    async with desk.write() as tx:
        await resume(tx, "acme", Suspend())
    async with desk.write() as tx:
        exception = AddOverride(feature="sso", starts_at=LATER + 20 * DAY, ends_at=LATER + 40 * DAY, note="as promised")
        await add_override(tx, "acme", exception, desk.catalogs)
    await wait(desk, 30)
    async with desk.write() as tx:
        await apply_catalog(tx, meridian.replace(b"title: Autopilot", b"title: Auto pilot"), 1)
    closed = meridian.replace(b"type: switch\n    rank: 310", b'type: switch\n    when: "false"\n    rank: 310')
    await desk.release(closed.replace(b"title: Autopilot", b"title: Auto pilot"))
    await wait(desk, 50)
    return desk


async def wait(desk: Desk, days: float) -> None:
    """Let the business clock stand so many days after LATER."""
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + days * DAY))


async def test_a_history_tells_what_changed_when_and_why(lived: Desk) -> None:
    """Commands, the release that touched a right and the dates that passed stand in order, with gain and loss; the
    release that changed no right of the customer is left out."""
    entries = await told(lived)
    found = [shown(one) for one in entries]
    override = entries[4].words[0]
    assert override.startswith("sso is given by override ovr_")
    name = override.removesuffix(", until 2028-02-10").rpartition(" ")[2]
    assert found == [
        ("0 the customer was created", ""),
        (found[1][0], "gain: on"),
        ("1 customer suspended", "loss: suspended"),
        ("2 customer resumed", "gain: on"),
        (f"2 {override}", ""),
        ("14 business is ended, was trialing", "loss: trial expired"),
        (f"20 sso is given by override {name} from now on", "gain: on"),
        (found[7][0], "loss: not under these conditions"),
        (f"40 override {name} of sso has ended", ""),
    ]
    assert "business" in found[1][0]
    assert found[7][0].startswith("30 catalog revision 3 released: ")
    assert [(one.note, one.by) for one in entries if one.note] == [
        ("invoices bounced", "local:tester"), ("as promised", "local:tester"),
    ]  # fmt: skip
    assert entries[4].effective_at == LATER + 20 * DAY
    assert [one.kind for one in entries].count("time") == 3


async def test_rights_between_entries_are_what_checks_answer(lived: Desk) -> None:
    """Following the gains and losses of a feature from the beginning gives, at every instant, the answer of a check."""
    entries = await told(lived, feature="sso")
    assert [one.kind for entry in entries for one in entry.changes] == ["gain", "loss", "gain", "loss", "gain", "loss"]
    for place, entry in enumerate(entries):
        held = entry.changes[0].kind == "gain"
        until = entries[place + 1].at if place + 1 < len(entries) else LATER + 50 * DAY
        async with lived.read() as view:
            for at in (entry.at, entry.at + (until - entry.at) / 2, until - timedelta(microseconds=1)):
                answer = await explain(view, Question(customer="acme", feature="sso"), lived.snapshots, at=at)
                assert answer.decision.allowed is held, (entry, at)
    async with lived.read() as view:
        assert not (await check(view, Question(customer="acme", feature="sso"), lived.snapshots)).allowed


async def test_pages_and_stretches_are_parts_of_the_whole(lived: Desk) -> None:
    """Pages of any size joined are the whole history, and a stretch of it is what lies within."""
    whole = await told(lived)
    for size in (1, 2, 3, 7):
        joined: list[HistoryEntry] = []
        cursor, pages = "", 0
        while pages < 50:
            pages += 1
            async with lived.read() as view:
                stretch = Stretch(page=Page(after=cursor, limit=size))
                entries, before = await customer_history(view, "acme", stretch, lived.snapshots)
            joined += entries
            if before is None:
                break
            cursor = str(before)
        assert joined[::-1] == whole, size
    for start in (0, 1, 14, 15, 30, 45):
        for end in (1, 14, 21, 60):
            within = [one for one in whole if start <= (one.at - LATER) / DAY < end]
            assert await told(lived, start=LATER + start * DAY, end=LATER + end * DAY) == within, (start, end)


async def test_what_cannot_be_listed(lived: Desk) -> None:
    """An unknown customer is not found; a cursor from elsewhere is refused."""
    async with lived.read() as view:
        with pytest.raises(NotFound):
            await customer_history(view, "nobody", Stretch(page=Page()), lived.snapshots)
        for cursor in ("x", "0", "99999", "9" * 30, "-1"):
            with pytest.raises(Invalid, match="cursor"):
                await customer_history(view, "acme", Stretch(page=Page(after=cursor)), lived.snapshots)


async def test_customers_read_of_a_release_only_that_it_touched_them(lived: Desk, meridian: bytes) -> None:
    """What else a release changed, and why, is for the vendor's people; everything else is told alike."""
    opened = meridian.replace(b"title: SAML single sign-on", b"title: Sign-on").replace(b"rank: 310", b"rank: 311")
    await lived.release(opened, note="agreed with Globex")
    async with lived.write() as tx:
        await sell(tx, "acme", Sell(items=(SoldItem(plan="business"),)), lived.catalogs)
    await wait(lived, 51)
    await lived.release(meridian.replace(b"rank: 310", b'rank: 310\n    when: "false"'), note="agreed with Globex")
    inward, outward = await told(lived), await told(lived, audience="customer")
    assert (inward[-1].note, outward[-1].note) == ("agreed with Globex", "")
    assert inward[-1].words[0].startswith("catalog revision 5 released: ")
    assert outward[-1].words == ("catalog revision 5 released",)
    assert outward[-1].changes == inward[-1].changes
    assert [one for one in outward if "released" not in one.words[0]] == [
        one for one in inward if "released" not in one.words[0]
    ]
    question = Question(customer="acme", feature="sso")
    async with lived.read() as view:
        assert "Globex" in str((await explain(view, question, lived.snapshots)).tree)
        assert "Globex" not in str((await explain(view, question, lived.snapshots, audience="customer")).tree)


async def test_a_misspelt_feature_is_not_taken_for_an_unchanged_one(lived: Desk) -> None:
    """What the catalog lacks is refused with the nearest name, which customers are not told; what never changed is an
    empty history."""
    with pytest.raises(Invalid, match="no feature 'ssso'") as refused:
        await told(lived, feature="ssso")
    assert refused.value.advice == "did you mean sso?"
    with pytest.raises(Invalid) as refused:
        await told(lived, feature="ssso", audience="customer")
    assert "sso?" not in refused.value.advice
    assert await told(lived, feature="desktop", start=LATER + 60 * DAY) == []
