"""What was there at a sequence or an instant, held against reading every row; and events by name or newest first."""

from datetime import timedelta
from random import Random

import pytest
from msgspec import structs

from licet.core.instant import to_datetime
from licet.services.rows import CatalogRow, Draft, Page, TermsRow, UserThen
from licet.store.postgres import PostgresStorage, PostgresView
from tests.store import rows
from tests.store.worlds import OPERATOR

pytestmark = pytest.mark.postgres
DOC = b'{"version":1}'
TICK = timedelta(microseconds=1)


async def lived(storage: PostgresStorage, rounds: int) -> list[UserThen]:
    """Let two customers, a user and the catalog change at random, several events a time; returns the user's past."""
    dice = Random(7)
    told: list[UserThen] = []
    async with storage.write("test", OPERATOR) as tx:
        for name in ("acme", "other"):
            await tx.put_customer(rows.customer(name))
        await tx.record(rows.note())
    start = rows.DAY.replace(year=2030)
    for number in range(rounds):
        async with storage.write("test", OPERATOR) as tx:
            # Some transactions share their instant with the one before.
            await tx.set_clock(0, frozen_at=int((start + number // 2 * TICK).timestamp() * 1_000_000 + number // 2))
            await tx.record(rows.note("clock"))
            for name in ("acme", "other"):
                if dice.random() < 0.5:
                    await tx.lock_customer(name)
                    await tx.put_terms(name, rows.terms(name, f"{name}{number}"))
            if dice.random() < 0.3:
                row = rows.user(revision=len(told) + 1, roles=(f"role{number}",), active=number % 3 > 0)
                await tx.put_user(row)
                told.append(_then(row.roles, len(told) + 1, row.active))
            if dice.random() < 0.3:
                newest = await tx.catalog_revision()
                await tx.put_catalog(DOC, newest, "")
            for _ in range(dice.randint(1, 3)):
                await tx.record(Draft(type="test.done", subject=dice.choice(["customer/acme", "order/crm/1", "x"])))
        if told and told[-1].seq == 0:
            told[-1] = structs.replace(told[-1], seq=tx.committed_seq)
    return told


def _then(roles: tuple[str, ...], revision: int, active: bool) -> UserThen:
    return UserThen(
        customer="acme", id="ann", revision=revision, seq=0, roles=roles, attributes={}, teams=(), active=active
    )


async def test_every_sequence_and_instant_of_a_log(storage: PostgresStorage) -> None:
    """For each sequence the newest document by then, and for each instant the last event recorded by it, are those
    that reading everything finds."""
    told = await lived(storage, 40)
    async with storage.read("test") as view:
        events = list(await view.events(Page(limit=500)))
        terms = {name: list(await view.terms_history(name, Page(limit=500))) for name in ("acme", "other")}
        catalogs = list(await view.catalogs(Page(limit=500)))
        assert min(len(told), len(catalogs), len(terms["acme"])) > 5
        for seq in range(len(events) + 2):
            for name, found in terms.items():
                assert await view.terms_at(name, seq) == _newest(found, seq)
            assert await view.catalog_at(seq) == _newest(catalogs, seq)
            assert await view.user_at("acme", "ann", seq) == _newest(told[::-1], seq)
        for at in sorted({event.recorded_at + shift for event in events for shift in (-TICK, 0 * TICK, TICK)}):
            assert await view.seq_at(at) == max((one.seq for one in events if one.recorded_at <= at), default=0)
        assert await view.first_release() == catalogs[-1].released_at
        await _nobody(view)


def _newest(found: list[TermsRow] | list[CatalogRow] | list[UserThen], seq: int) -> object:
    return next((row for row in found if row.seq <= seq), None)


async def _nobody(view: PostgresView) -> None:
    """Nothing is found of what is not there."""
    assert await view.terms_at("nobody", 10**6) is None
    assert await view.user_at("other", "ann", 10**6) is None
    assert await view.user_at("acme", "bob", 10**6) is None


async def test_before_anything_was_released(storage: PostgresStorage) -> None:
    """An empty workspace has no catalog at any sequence, and no first release."""
    async with storage.read("test") as view:
        assert await view.catalog_at(10**6) is None
        assert await view.first_release() is None
        assert await view.seq_at(to_datetime(0)) == 0
        assert await view.seq_at(to_datetime(view.time.business)) == 1


async def test_events_by_name_and_newest_first(storage: PostgresStorage) -> None:
    """Events are found by id, none for unknown ones; about several subjects they come newest first, in slices."""
    await lived(storage, 10)
    async with storage.read("test") as view:
        events = list(await view.events(Page(limit=500)))
        named = await view.events_named([events[3].id, "evt_" + "0" * 32, events[1].id])
        assert sorted(one.seq for one in named) == [2, 4]
        assert await view.events_named([]) == []
        wanted = [one for one in events[::-1] if one.subject in ("customer/acme", "order/crm/1")]
        subjects = ["order/crm/1", "customer/acme", "customer/nobody"]
        assert await view.events_about(subjects) == wanted
        assert await view.events_about(subjects, limit=2) == wanted[:2]
        assert await view.events_about(subjects, before=wanted[1].seq, limit=3) == wanted[2:5]
        assert await view.events_about(subjects, after=wanted[-3].seq) == wanted[:-3]
        assert await view.events_about([]) == []
