"""Counting the checks of a client: what is told equals a recount, a batch counts once, and all of it is bounded."""

import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from licet.core.compiled import CompiledCatalog
from licet.core.instant import DAY, HOUR, Instant, to_instant
from licet.core.question import Context
from licet.core.tally import counted_reason, outcome_of
from licet.evaluator.truth import LocalTruth
from licet.sdk.tally import MOST_RECORDS, UPLOAD_SECONDS, CheckTally, pause
from licet.wire.check_upload import MAX_BYTES, MAX_COUNTS, CheckUpload, LostChecks
from tests.core.worlds import CATALOG, FEATURES, ORIGIN, catalog_of, terms_of
from tests.dose import dose

NOW: Instant = to_instant(ORIGIN) + 10 * HOUR
RECORDED = ("beta", "projects")
WORLD: CompiledCatalog = catalog_of(
    CATALOG
    | {"features": {name: one | {"record": "each"} if name in RECORDED else one for name, one in FEATURES.items()}}
)


def terms(customer: str) -> bytes:
    """Return the terms of a customer who has bought a team plan."""
    bought = {
        "id": f"sub_{customer}",
        "source": "crm",
        "external_id": customer,
        "phases": [
            {
                "starts_at": "2026-03-01T00:00:00Z",
                "items": [{"kind": "plan", "id": "team", "version": next(iter(CATALOG["plans"]["team"]["versions"]))}],
                "event": "evt_1",
            }
        ],
        "anchor": "2026-03-01T00:00:00Z",
        "period": "P1M",
        "zone": "UTC",
    }
    return msgspec.json.encode(terms_of({"customer": customer, "profile": {}, "subscriptions": [bought]}))


HELD = LocalTruth()
CUSTOMERS = ("c0", "c1", "c2")
HELD.adopt(WORLD)
for name in CUSTOMERS:
    HELD.put_terms(name, 1, 1, terms(name))


def ask(
    tally: CheckTally,
    customer: str,
    feature: str,
    now: Instant = NOW,
    user: str | None = None,
    *,
    team: str | None = None,
    **more: Any,
) -> Any:
    """Ask as a client does: from what is held, counted under the same question."""
    ruled = HELD.check(customer, feature, now, user=user, **more)
    tally.note(ruled, now, user, basis="1:42", team=team, **more)
    return ruled


def everything(tally: CheckTally, now: Instant = NOW) -> list[CheckUpload]:
    """Take and acknowledge every batch there is, as at the end of a client."""
    found = []
    tally.rest()
    while (upload := tally.take(now)) is not None:
        found.append(upload)
        tally.acknowledge()
    return found


def counted(uploads: list[CheckUpload]) -> Counter[tuple[Any, ...]]:
    """Sum up what was told."""
    found = Counter[tuple[Any, ...]]()
    for upload in uploads:
        for one in upload.counts:
            found[one.hour, one.customer, one.user, one.feature, one.reason, one.outcome, one.mode] += one.checks
    return found


def test_what_is_told_equals_a_recount() -> None:
    """Random questions over three hours, batches taken in between: each check is told once, under its own answer."""
    chance, tally = Random(11), CheckTally()
    expected, uploads, records = Counter[tuple[Any, ...]](), [], 0
    for place in range(dose(3_000)):
        now = NOW + place * 3 * HOUR // dose(3_000)
        customer, feature = chance.choice(CUSTOMERS), chance.choice([*FEATURES, "no_such"])
        user = chance.choice([None, "ann", "bob"])
        more: dict[str, Any] = {}
        if chance.random() < 0.5:
            more["context"] = Context(deployment=chance.choice(["saas", "desktop"]), attributes={"beta": True})
        if chance.random() < 0.3:
            more |= {"quantity": chance.randrange(5), "used": chance.randrange(30)}
        view = ask(tally, customer, feature, now, user, **more).view(now)
        expected[now - now % HOUR, customer, user, feature, counted_reason(view), outcome_of(view), view.mode] += 1
        records += feature in RECORDED
        if chance.random() < 0.01:
            uploads += [upload for upload in [tally.take(now)] if upload is not None]
            tally.acknowledge()
    uploads += everything(tally, NOW + 3 * HOUR)
    found = Counter({(to_instant(key[0]), *key[1:]): times for key, times in counted(uploads).items()})
    assert found == expected
    assert sum(len(upload.records) for upload in uploads) == records
    assert [upload.number for upload in uploads] == [*range(1, len(uploads) + 1)]
    assert len({upload.counter for upload in uploads}) == 1


def test_a_batch_is_the_same_until_it_is_acknowledged() -> None:
    """What is under way is repeated byte by byte, whatever is counted meanwhile; that comes with the next number."""
    tally = CheckTally()
    ask(tally, "c0", "sso")
    tally.rest()
    first = tally.take(NOW)
    ask(tally, "c0", "sso")
    assert tally.take(NOW) is first
    tally.acknowledge()
    later = everything(tally)
    assert first is not None
    assert [one.checks for one in first.counts] == [1]
    assert [(upload.number, upload.counts[0].checks) for upload in later] == [(2, 1)]


def test_a_batch_that_is_given_up_is_told_as_lost() -> None:
    """Counts and records of a batch that no server takes come back as numbers of what was lost, once."""
    tally = CheckTally()
    for _ in range(5):
        ask(tally, "c0", "projects", used=3)
    tally.rest()
    assert tally.take(NOW) is not None
    tally.give_up()
    (upload,) = everything(tally)
    assert upload.lost == LostChecks(checks=5, records=5)
    assert not upload.counts
    assert tally.lost == LostChecks()


def test_nothing_is_told_of_nothing() -> None:
    """A client that was not asked anything sends nothing."""
    tally = CheckTally()
    tally.rest()
    assert tally.take(NOW) is None


def test_a_record_holds_what_decides_and_nothing_else() -> None:
    """Of a question's attributes only those are kept that a condition reads; the names of the others are told."""
    tally = CheckTally()
    context = Context(attributes={"beta": True, "mail": "ann@example.com"})
    ask(tally, "c0", "beta", user="ann", team="red", context=context)
    (upload,) = everything(tally)
    (record,) = upload.records
    assert record.question.team == "red"
    assert record.question.context.attributes == {"beta": True}
    assert (record.left_out, record.basis, record.question.user) == (("mail",), "1:42", "ann")
    assert b"ann@example.com" not in msgspec.json.encode(upload)


def test_the_last_use_that_was_said_is_told() -> None:
    """Of the uses that a program says of a limit the newest is told, in minor units; of what is no limit none is."""
    tally = CheckTally()
    for place, used in enumerate((3, 9, 7)):
        ask(tally, "c0", "projects", NOW + place, used=used)
    ask(tally, "c0", "quota", used="1.25")
    ask(tally, "c0", "sso", used=5)
    (upload,) = everything(tally)
    assert {(one.feature, one.used) for one in upload.said} == {("projects", 7), ("quota", 125)}


def test_batches_are_as_large_as_one_may_be_and_no_larger() -> None:
    """12,000 users are told in batches of at most 5,000 counts and 1 MiB each; none is missing."""
    tally = CheckTally()
    names = [f"user-{place:05}-{'x' * 100}" for place in range(12_000)]
    for name in names:
        ask(tally, "c0", "sso", user=name)
    uploads = everything(tally)
    assert len(uploads) >= 3
    assert all(len(upload.counts) <= MAX_COUNTS for upload in uploads)
    assert all(len(msgspec.json.encode(upload)) <= MAX_BYTES for upload in uploads)
    assert {one.user for upload in uploads for one in upload.counts} == set(names)
    for upload in uploads:
        assert msgspec.json.decode(msgspec.json.encode(upload), type=CheckUpload) == upload


@pytest.mark.parametrize("bound", [None, "c0"])
def test_what_finds_no_room_gives_way_or_is_lost(bound: str | None) -> None:
    """Beyond the room users give way and totals stay whole; a bound key counts as lost what it may not tell."""
    tally = CheckTally(bound=bound, most=100)
    for place in range(1_000):
        ask(tally, "c0", "sso", user=f"u{place}")
        ask(tally, f"c{place % 3}", "export", user=f"v{place}")
    uploads = everything(tally)
    told = sum(one.checks for upload in uploads for one in upload.counts)
    lost = sum(upload.lost.checks for upload in uploads)
    assert told + lost == 2_000
    assert sum(len(upload.counts) for upload in uploads) <= 100
    others = {one.others for upload in uploads for one in upload.counts}
    assert not bound or not others & {"customer", "feature"}


def test_what_no_server_would_take_is_lost_alone() -> None:
    """Users that are no id are refused before they count; long texts and hours long gone spoil no batch."""
    tally = CheckTally()
    for user in ("x" * 129, "a\x00b", "", 7):
        with pytest.raises(ValueError, match="the user"):
            ask(tally, "c0", "sso", user=user)  # type: ignore[arg-type]
    ask(tally, "c0", "sso", NOW - 40 * DAY)
    ask(tally, "c0", "sso", NOW + 2 * HOUR)
    ask(tally, "c0", "beta", context=Context(attributes={"beta": "x" * 1001}))
    ask(tally, "c0", "beta", context=Context(attributes={"beta": ["x"] * 101}))
    ask(tally, "c0", "sso", user="ann")
    uploads = everything(tally)
    assert [(one.user, one.feature) for upload in uploads for one in upload.counts if one.feature == "sso"] == [
        ("ann", "sso")
    ]
    assert sum(upload.lost.checks for upload in uploads) == 2
    assert sum(upload.lost.records for upload in uploads) == 2


def test_records_that_wait_are_bounded() -> None:
    """5,000 single checks wait at most; the others are counted, and told as lost records."""
    tally = CheckTally()
    for _ in range(MOST_RECORDS + 10):
        ask(tally, "c0", "projects")
    uploads = everything(tally)
    assert sum(len(upload.records) for upload in uploads) == MOST_RECORDS
    assert sum(upload.lost.records for upload in uploads) == 10
    assert sum(counted(uploads).values()) == MOST_RECORDS + 10


def test_threads_miss_nothing() -> None:
    """Four threads ask while a fifth takes batches: what is told in the end is what was asked."""
    tally, each, uploads = CheckTally(), 5_000, []
    prepared = HELD.check("c0", "sso", NOW)

    def work(name: str) -> None:
        for _ in range(each):
            tally.note(prepared, NOW, name)

    threads = [threading.Thread(target=work, args=(f"t{place}",)) for place in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        upload = tally.take(NOW)
        if upload is not None:
            uploads.append(upload)
            tally.acknowledge()
    uploads += everything(tally)
    assert sum(counted(uploads).values()) == 4 * each


class Hesitant(str):
    """A user whose look-up takes long: meanwhile something else happens."""

    __slots__ = ("meanwhile",)
    meanwhile: Callable[[], object] | None

    def __hash__(self) -> int:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().__hash__()


@pytest.mark.parametrize("feature", ["sso", "beta", "no_such"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("gap", [0, HOUR])
def test_a_check_that_takes_its_time_is_not_lost(feature: str, known: bool, gap: Instant) -> None:
    """Between finding its cell and adding to it the cell is laid aside and summed up: it is told all the same.

    So it is whether or not the answer was counted before, at the edge of an hour, and where each check is recorded.
    """
    tally, uploads, user = CheckTally(), list[CheckUpload](), Hesitant("ann")

    def batches() -> None:
        for _ in range(3):
            ask(tally, "c1", "sso", NOW + gap)
            upload = tally.take(NOW + gap)
            if upload is not None:
                uploads.append(upload)
                tally.acknowledge()

    user.meanwhile = None
    if known:
        ask(tally, "c0", feature, NOW, user)
    ruled = HELD.check("c0", feature, NOW, user="ann")
    user.meanwhile = batches
    tally.note(ruled, NOW, user)
    uploads += everything(tally, NOW + gap)
    found = counted(uploads)
    assert sum(times for key, times in found.items() if key[1] == "c0") == 1 + known
    assert sum(times for key, times in found.items() if key[1] == "c1") == 3
    assert tally.lost == LostChecks()


def test_a_child_tells_only_its_own() -> None:
    """After a fork nothing of the parent's is told again, and under another counter."""
    tally = CheckTally()
    ask(tally, "c0", "sso")
    tally.rest()
    first = tally.take(NOW)
    tally.after_fork()
    ask(tally, "c0", "export")
    (upload,) = everything(tally)
    assert first is not None
    assert upload.counter != first.counter
    assert [one.feature for one in upload.counts] == ["export"]


def test_pauses_are_spread() -> None:
    """Batches go out about every ten seconds, spread over four of them."""
    assert [pause(draw) for draw in (0.0, 0.5, 1.0)] == pytest.approx([8.0, UPLOAD_SECONDS, 12.0])
