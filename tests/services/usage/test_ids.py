"""Whose ids are whose: keys of requests and names of events, by API keys that are bound to a customer and by others."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Final

import msgspec
import pytest

from licet.services.errors import KeyReused, NotFound
from licet.services.normal import normal
from licet.services.rows import Actor, Scope
from licet.services.usage.jobs import ReportJob, body_hash, event_id, reporting
from licet.store.postgres import PostgresStorage
from licet.wire.usage import ConsumeAsked, CorrectionAsked, EventName, ReserveAsked, SettleAsked
from tests.services.usage.metered import CALLER, Place, consumed, place_in, told

USAGE: Final[frozenset[Scope]] = frozenset({"usage"})
ROTATED = Actor(id="key:newer", scopes=USAGE)
ACME = Actor(id="key:acme", scopes=USAGE, customer="acme")
OTHER = Actor(id="key:other", scopes=USAGE, customer="other")


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where acme and other have 500 calls a month each."""
    async with place_in(storage) as made:
        await made.join("acme", "team")
        await made.join("other", "team")
        yield made


async def test_a_retry_with_a_newer_api_key_counts_once(place: Place) -> None:
    """The same request under the same idempotency key is the same one, whichever unbound API key sends it."""
    asked = ConsumeAsked(customer="acme", feature="calls", quantity=10)
    first = await place.lane.consume(CALLER, asked, "k")
    again = await place.lane.consume(ROTATED, asked, "k")
    assert (again.repeated, again.body) == (True, first.body)
    reserve = ReserveAsked(customer="acme", feature="calls", quantity=20)
    held = consumed(await place.lane.reserve(CALLER, reserve, "k"))
    assert consumed(await place.lane.reserve(ROTATED, reserve, "k")) == held
    assert held.id is not None
    await place.lane.settle(CALLER, held.id, SettleAsked(used=15), "end")
    assert (await place.lane.settle(ROTATED, held.id, SettleAsked(used=15), "end")).repeated
    back = CorrectionAsked(customer="acme", id=consumed(first).id, quantity=4)
    await place.lane.correct(CALLER, back, "back")
    assert (await place.lane.correct(ROTATED, back, "back")).repeated
    assert (await place.balance()).used == 21
    with pytest.raises(KeyReused):
        await place.lane.consume(ROTATED, msgspec.structs.replace(asked, quantity=11), "k")


async def test_a_key_that_is_bound_has_idempotency_keys_of_its_own(place: Place) -> None:
    """Idempotency keys of one binding are shared by its API keys, and meet those of nobody else."""
    asked = ConsumeAsked(customer="acme", feature="calls", quantity=10)
    await place.lane.consume(ACME, asked, "k")
    assert (await place.lane.consume(Actor(id="key:a2", scopes=USAGE, customer="acme"), asked, "k")).repeated
    assert not (await place.lane.consume(OTHER, msgspec.structs.replace(asked, customer="other"), "k")).repeated
    assert not (await place.lane.consume(CALLER, asked, "k")).repeated
    assert (await place.balance()).used == 20


async def test_a_bound_key_uses_up_no_event_of_others(place: Place) -> None:
    """What a key bound to one customer told first under a source and id, another's event may be named, too."""
    await place.lane.report(ACME, [told("acme", "e", 1)])
    assert (await place.lane.report(ACME, [told("acme", "e", 1)])).duplicates == 1
    assert (await place.lane.report(OTHER, [told("other", "e", 2)])).recorded == 1
    assert (await place.lane.report(CALLER, [told("other", "e", 4)])).recorded == 1
    assert (await place.balance(customer="acme")).used == 1
    assert (await place.balance(customer="other")).used == 6


async def test_a_source_and_id_name_one_event_of_the_workspace(place: Place) -> None:
    """Told by keys that are bound to nobody, a source and id stand for one event, whoever tells it and of whom."""
    await place.lane.report(CALLER, [told("acme", "e", 1)])
    assert (await place.lane.report(ROTATED, [told("acme", "e", 1)])).duplicates == 1
    with pytest.raises(KeyReused):
        await place.lane.report(ROTATED, [told("other", "e", 1)])


async def test_an_event_is_corrected_whoever_told_it(place: Place) -> None:
    """An event told by a bound key can be corrected by an unbound one, and the other way round; nobody else's can."""
    event = EventName(source="tests", id="bound")
    await place.lane.report(ACME, [told("acme", "bound", 10)])
    await place.lane.report(CALLER, [told("other", "bound", 10), told("acme", "plain", 10)])
    await place.lane.correct(CALLER, CorrectionAsked(customer="acme", event=event, quantity=3))
    assert ((await place.balance()).used, (await place.balance(customer="other")).used) == (17, 10)
    plain = EventName(source="tests", id="plain")
    await place.lane.correct(ACME, CorrectionAsked(customer="acme", event=plain, quantity=5))
    assert (await place.balance()).used == 12
    with pytest.raises(NotFound):
        await place.lane.correct(OTHER, CorrectionAsked(customer="other", event=plain))


@pytest.mark.parametrize("bound", [None, "acme"])
@pytest.mark.parametrize("odd", ["plain", "Zoe\u0308", 'q"uote', "a\\b"])
def test_what_is_kept_of_an_event_does_not_depend_on_how_it_is_read(odd: str, bound: str | None) -> None:
    """Id, hash and source of an event are those of its normal form, whatever else stands in the batch."""
    event = told("acme", odd, 2, time=datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=1))))
    plain = told("acme", "other", 1)
    actor = Actor(id="key:x", scopes=USAGE, customer=bound)
    for batch in ([event, plain], [plain, event], [plain]):
        job = reporting(actor, batch, None).job
        assert isinstance(job, ReportJob)
        for place, one in enumerate(map(normal, batch)):
            parts = {"id": one.id, "source": one.source, "subject": one.subject, "type": one.type}
            assert job.events[place] == one
            assert job.ids[place] == event_id(one.source, one.id, bound)
            assert job.hashes[place] == body_hash("event", one)
            assert job.sources[place] == msgspec.json.encode(parts)
