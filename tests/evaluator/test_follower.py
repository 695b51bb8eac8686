"""Following: what is believed, what is refused with which code, and that what is refused changes nothing."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Raw, structs

from licet.core.instant import to_instant
from licet.evaluator.follower import Follower
from licet.evaluator.trust import FeedError, Trust
from licet.evaluator.truth import LocalTruth
from licet.seal.keyset import sign_with
from licet.wire.feed import CatalogMark, Cursor, DigestMark, Head, Line, TermsRow, chain_start
from tests.evaluator.authority import (
    DAY,
    KEY,
    MINUTE,
    OTHER,
    PUBLIC_ROOT,
    SMALL,
    START,
    WALL,
    Authority,
    answers,
    key_entry,
    keyset,
    start,
    take,
    terms,
)


def refused(follower: Follower, code: str, *lines: Line) -> None:
    """Assert that the last line is refused with a code, and that the truth answers as before."""
    before, cursor = answers(follower), follower.truth.cursor
    take(follower, list(lines[:-1]))
    with pytest.raises(FeedError) as caught:
        follower.take(lines[-1], WALL)
    assert caught.value.code == code, caught.value
    assert (answers(follower), follower.truth.cursor) == (before, cursor)


def test_a_set_counts_once_its_head_came() -> None:
    """Before the head nothing of a set is seen, then all of it: rows, catalog, cursor and freshness."""
    authority, follower = start()
    assert answers(follower) == [
        (True, "entitled"),
        (True, "entitled"),
        (True, "entitled"),
        (False, "unknown_customer"),
    ]
    since = authority.seq
    authority.put(terms("new"))
    authority.put_user("acme", "ann")
    features = {**SMALL["features"], "sso": {"type": "switch", "mode": "off"}}
    authority.release({**SMALL, "features": features})
    *lines, head = authority.lines(since)
    before = answers(follower)
    for line in lines:
        assert follower.take(line, WALL).kind == "staged"
        assert answers(follower) == before
    progress = follower.take(head, WALL)
    assert (progress.kind, progress.cursor, progress.full) == ("committed", f"1:{authority.seq}", False)
    assert answers(follower) == [(True, "not_enforced"), (False, "policy_denied")] + [(True, "not_enforced")] * 2


def test_a_head_alone_says_that_nothing_is_newer() -> None:
    """A head at the cursor makes the truth fresh again, which gets stale and runs out by its own instants."""
    authority, follower = start()
    assert follower.take(authority.head(), WALL).kind == "fresh"
    issued = to_instant(authority.now)
    assert [follower.freshness(issued + seconds * 10**6) for seconds in (0, 44, 45, 30 * 86400 - 1, 30 * 86400)] == [
        "fresh",
        "fresh",
        "stale",
        "stale",
        "expired",
    ]
    assert Follower(LocalTruth(), Trust()).freshness(WALL) == "empty"


def test_messages_of_others_are_refused() -> None:
    """Another workspace, audience or customer is refused, also where the signature fits."""
    authority, follower = start()
    refused(follower, "wrong_workspace", authority.head(workspace="test"))
    refused(follower, "wrong_audience", authority.head(audience="customer", customer="acme"))
    refused(follower, "wrong_audience", authority.head(customer="acme"))
    refused(follower, "wrong_workspace", keyset(2, workspace="test"))
    refused(follower, "wrong_workspace", *authority.frames(None, workspace="test")[:1])


def test_keys_decide_what_is_believed() -> None:
    """Unknown, revoked and wrongly used keys are refused, and keys that were not valid when a head was issued."""
    authority, follower = start()
    authority.seed = OTHER
    refused(follower, "unknown_key", authority.head())
    late = key_entry(OTHER, not_before=START + DAY, not_after=START + 2 * DAY)
    take(follower, [keyset(2, key_entry(KEY), late)])
    refused(follower, "not_yet_valid", authority.head())
    refused(follower, "expired", authority.head(issued_at=START + 2 * DAY))
    take(follower, [keyset(3, key_entry(KEY), key_entry(OTHER, purposes=("license",)))])
    refused(follower, "wrong_purpose", authority.head())
    authority.seed = KEY
    refused(follower, "wrong_purpose", Line(head=sign_with(b"{}", KEY, "license")))
    take(follower, [keyset(4, key_entry(KEY, revoked_at=START + DAY), key_entry(OTHER))])
    refused(follower, "revoked", authority.head())
    authority.seed = OTHER
    assert follower.take(authority.head(), WALL).kind == "fresh"


def test_keysets_never_go_back() -> None:
    """An older keyset, another of the same version, and one under another root are refused."""
    _, follower = start()
    take(follower, [keyset(3)])
    refused(follower, "rolled_back", keyset(2))
    refused(follower, "rolled_back", keyset(3, key_entry(OTHER)))
    refused(follower, "unknown_key", keyset(4, root=OTHER))
    refused(follower, "malformed", Line(keyset="v4.public."))


def test_a_follower_without_a_root_takes_the_first_one_and_keeps_it() -> None:
    """With nothing pinned the root that the feed names is taken; in the next process no other one is."""
    authority = Authority()
    follower = Follower(LocalTruth(), Trust())
    with pytest.raises(FeedError) as caught:
        follower.take(structs.replace(keyset(), root=None), WALL)
    assert caught.value.code == "no_root"
    with pytest.raises(FeedError) as caught:
        follower.take(authority.head(), WALL)
    assert caught.value.code == "no_keyset"
    take(follower, [keyset(), *authority.lines()])
    kept = msgspec.json.decode(msgspec.json.encode(follower.kept()), type=type(follower.kept()))
    assert (kept.root, kept.workspace, kept.version, kept.epoch, kept.seq) == (PUBLIC_ROOT, "live", 1, 1, authority.seq)
    again = Follower(LocalTruth(), Trust(kept=kept))
    with pytest.raises(FeedError) as caught:
        again.take(keyset(5, root=OTHER), WALL)
    assert caught.value.code == "unknown_key"
    with pytest.raises(FeedError) as caught:
        take(again, [*Authority().lines()[:-1], Authority().head(issued_at=START)])
    assert caught.value.code == "older_head"


def test_heads_never_go_back() -> None:
    """An older sequence, an earlier issue and an older epoch are refused; a newer epoch needs a full set."""
    authority, follower = start()
    old = authority.head()
    take(follower, [authority.head()])
    refused(follower, "older_head", old)
    refused(follower, "older_head", authority.head(seq=authority.seq - 1))
    newer = Authority(epoch=2)
    newer.now = authority.now
    refused(follower, "gap", newer.head(seq=authority.seq))
    newer.put(terms("acme"))
    take(follower, newer.lines())
    assert follower.cursor == "2:2"
    refused(follower, "older_epoch", authority.head())
    refused(follower, "older_epoch", *authority.frames(None)[:1])


def test_sets_with_holes_are_refused() -> None:
    """A missing, repeated, swapped or foreign frame, and a head that the frames do not reach, are refused."""
    authority, follower = start()
    since = authority.seq
    for number in range(5):
        authority.put(terms(f"c{number}"))
    first, second, third, head = authority.lines(since)
    refused(follower, "broken_chain", first, third)
    refused(follower, "broken_chain", first, first)
    refused(follower, "broken_chain", second)
    refused(follower, "gap", first, second, head)
    refused(follower, "gap", head)
    refused(follower, "gap", *authority.frames(since - 1)[:1])
    refused(
        follower, "broken_chain", *authority.frames(since, prev=chain_start("live", "server", None, Cursor(1, 0)))[:1]
    )
    refused(follower, "gap", first, second, third, authority.head(seq=authority.seq + 1))
    refused(follower, "broken_chain", first, second, third, third)
    take(follower, [first, second, third, authority.head()])
    assert follower.truth.known("c4")


def test_the_catalog_is_the_one_that_the_head_names() -> None:
    """A catalog that was not sent, or another than the head names, is refused."""
    authority, follower = start()
    since, old = authority.seq, authority.catalog_line()
    authority.release({**SMALL, "plans": {}})
    lines = authority.lines(since)
    refused(follower, "bad_catalog", *lines[1:])
    refused(follower, "bad_catalog", old, *lines[1:])
    refused(follower, "bad_catalog", *lines[:-1], authority.head(catalog=CatalogMark(revision=2, hash="0" * 64)))
    refused(follower, "bad_catalog", *lines[:-1], authority.head(catalog=None))
    refused(follower, "broken_chain", lines[1], lines[0])
    take(follower, [*lines[:-1], authority.head()])
    assert follower.truth.catalog is not None
    assert follower.truth.catalog.revision == 2


@pytest.mark.parametrize("change", [{"v": 2}, {"crit": ["balances"]}])
def test_what_is_not_understood_is_refused(change: dict[str, Any]) -> None:
    """A later format and an unknown critical field are refused; other unknown fields are passed over."""
    authority, follower = start()
    lines: dict[str, Line] = {
        "head": authority.head(),
        "frame": authority.frames(None)[0],
        "catalog": authority.catalog_line(),
    }
    for key, line in lines.items():
        payload = follower.trust.open(getattr(line, key))[0]
        fields = {**msgspec.json.decode(payload), "later": {"x": 1}}
        refused(follower, "not_understood", msgspec.convert({key: authority.sign({**fields, **change})}, Line))
    later = {**msgspec.json.decode(follower.trust.open(authority.head().head or "")[0]), "later": [1]}
    assert follower.take(Line(head=authority.sign(later)), WALL).kind == "fresh"
    assert follower.take(msgspec.json.decode(b'{"balance": "v4.public.x"}', type=Line), WALL).kind == "passed"


def test_what_cannot_be_read_is_refused() -> None:
    """A signed message of another shape, rows of others and rows from beyond the frame are refused."""
    authority, follower = start()
    refused(follower, "malformed", Line(head=authority.sign({"v": 1, "workspace": "live"})))
    refused(follower, "malformed", Line(head=authority.sign([1])))
    refused(follower, "malformed", Line(frame="x" * 100))
    row = TermsRow(customer="acme", revision=9, seq=authority.seq + 1, doc=Raw(b"{}"))
    refused(follower, "malformed", *authority.frames(None, terms=(row,))[:1])
    refused(follower, "malformed", Line(frame=authority.pick("acme")))
    refused(follower, "too_large", Line(head="x" * (64 * 1024 * 1024 + 1)))


def test_a_problem_ends_a_set_without_harm() -> None:
    """The feed's own words about why it ends are handed on."""
    _, follower = start()
    progress = follower.take(Line(problem={"code": "ahead_of_log"}), WALL)
    assert (progress.kind, progress.problem) == ("problem", {"code": "ahead_of_log"})


def test_a_silent_divergence_is_noticed_and_healed() -> None:
    """Where the sums differ nothing goes on from the cursor; a full set heals, while the last answers stay."""
    authority, follower = start()
    mark = authority.digest()
    take(follower, [authority.head(digest=mark)])
    follower.truth.put_terms("other", 9, 2, msgspec.json.encode(terms("other", ends_at=START)))
    take(follower, [authority.head(digest=mark)])
    since = authority.seq
    authority.put(terms("new"))
    take(follower, authority.lines(since))
    refused(follower, "digest_differs", authority.head(digest=authority.digest()))
    assert (follower.healing, follower.cursor) == (True, None)
    refused(follower, "gap", authority.head())
    take(follower, authority.lines(digest=authority.digest()))
    assert follower.cursor == f"1:{authority.seq}"
    assert answers(follower)[2] == (True, "entitled")
    assert f"{follower.truth.digest():032x}" == authority.digest().sum


def test_a_divergence_may_be_borne() -> None:
    """Where it is not to be healed now it is noted, and the feed goes on; equal sums, or a full set, end it."""
    authority, follower = start()
    wrong = DigestMark(seq=authority.seq, sum="0" * 32)
    for whole in (False, True):
        assert follower.take(authority.head(digest=wrong), WALL, heal=False).kind == "fresh"
        assert (follower.differs, follower.healing, follower.cursor) == (True, False, f"1:{authority.seq}")
        follower.take(authority.head(), WALL, heal=False)
        assert follower.differs
        take(follower, authority.lines() if whole else [authority.head(digest=authority.digest())])
        assert not follower.differs
    refused(follower, "digest_differs", authority.head(digest=wrong))
    assert follower.cursor is None


def test_a_row_that_changed_in_memory_is_noticed() -> None:
    """The next digest looks at what is held itself, not only at what was told."""
    authority, follower = start()
    held: dict[str, bytes] = follower.truth._state.held
    row = bytearray(held["other"])
    row[len(row) // 2] ^= 4
    held["other"] = bytes(row)
    refused_before = follower.cursor
    with pytest.raises(FeedError) as caught:
        follower.take(authority.head(digest=DigestMark(seq=0, sum="0" * 32)), WALL)
    assert (caught.value.code, refused_before, follower.cursor) == ("digest_differs", f"1:{authority.seq}", None)
    take(follower, authority.lines())
    assert answers(follower)[2] == (True, "entitled")


def test_rows_are_looked_at_once_a_second() -> None:
    """However many heads come, what changed in memory is looked for once a second, by the heads' own time."""
    authority, follower = start()
    take(follower, [authority.head()])
    looked_at = authority.now
    held: dict[str, bytes] = follower.truth._state.held
    for key, row in [*held.items()]:
        held[key] = row[:-1] + bytes([row[-1] ^ 1])
    for place in range(1, 50):
        moment = looked_at + timedelta(milliseconds=20 * place)
        assert follower.take(authority.head(issued_at=moment), WALL).kind == "fresh"
    with pytest.raises(FeedError) as caught:
        follower.take(authority.head(issued_at=looked_at + timedelta(seconds=1)), WALL)
    assert (caught.value.code, follower.cursor) == ("digest_differs", None)


def test_customers_are_picked() -> None:
    """A follower that picks holds whom it picked, also who does not exist, and follows their changes alone."""
    authority = Authority()
    authority.put(terms("acme"))
    authority.put_user("acme", "ann", "tester")
    follower = Follower(LocalTruth(), Trust(PUBLIC_ROOT, "live"))
    begin = authority.frames(None, terms=(), users=(), partial=True)
    take(follower, [keyset(), authority.catalog_line(), *begin, authority.head()])
    assert not follower.truth.known("acme")
    since = authority.seq
    assert follower.take_pick(authority.pick("acme")) == "acme"
    assert follower.take_pick(authority.pick("nobody")) == "nobody"
    assert (follower.truth.known("acme"), follower.truth.known("nobody")) == (True, True)
    assert answers(follower)[:2] == [(True, "entitled"), (True, "entitled")]
    assert follower.truth.check("nobody", "sso", WALL).reason == "unknown_customer"
    authority.put(terms("acme", ends_at=START))
    authority.put(terms("nobody"))
    authority.put(terms("stranger"))
    lines = authority.lines(since)
    with pytest.raises(FeedError) as caught:
        follower.take_pick(authority.pick("other"))
    assert caught.value.code == "gap"
    take(follower, lines)
    assert follower.truth.check("acme", "sso", WALL).reason == "ended"
    assert follower.truth.check("nobody", "sso", WALL).reason == "entitled"
    assert not follower.truth.known("stranger")
    with pytest.raises(FeedError) as caught:
        follower.take_pick(authority.frames(None)[0].frame or "")
    assert caught.value.code == "gap"


def test_lines_of_a_cache_are_taken_again() -> None:
    """What was believed leads a new process to the same truth; a cache that ends earlier than was known does not."""
    authority, follower = start()
    lines = [keyset(), *authority.lines()]
    since = authority.seq
    authority.put(terms("new"))
    later = authority.lines(since)
    take(follower, lines[1:])
    take(follower, later)
    again = Follower(LocalTruth(), Trust(PUBLIC_ROOT, kept=follower.kept()))
    authority.put(terms("newer"))
    torn = authority.frames(authority.seq - 1)
    assert again.replay([*lines, *later, *torn]) == follower.cursor
    take(again, [*torn, authority.head()])
    take(follower, [*torn, authority.head()])
    assert answers(again) == answers(follower)
    short = Follower(LocalTruth(), Trust(PUBLIC_ROOT, kept=follower.kept()))
    with pytest.raises(FeedError) as caught:
        short.replay(lines)
    assert (caught.value.code, short.cursor, short.truth.catalog) == ("older_head", None, None)


def test_a_clock_set_back_gains_nothing() -> None:
    """Real time is never before the newest head was issued, whatever a clock here says."""
    authority, follower = start()
    issued = to_instant(authority.now)
    assert follower.truth.business(issued - 86_400 * 10**6) == issued
    assert follower.truth.business(issued + 5) == issued + 5
    assert follower.freshness(0) == "fresh"


def test_a_zone_of_the_workspace_counts_without_a_release() -> None:
    """A head with another zone makes the catalog anew with it."""
    authority, follower = start()
    authority.zone = "Europe/Berlin"
    take(follower, [authority.head()])
    assert follower.truth.catalog is not None
    assert str(follower.truth.catalog.default_zone) == "Europe/Berlin"
    assert answers(follower)[0] == (True, "entitled")


def test_heads_tell_of_themselves() -> None:
    """The newest head believed can be read, with the real time at which it came."""
    authority, follower = start()
    take(follower, [authority.head()], WALL + 7)
    assert isinstance(follower.head, Head)
    assert (follower.head.issued_at, follower.heard_at) == (authority.now, WALL + 7)
    assert timedelta(minutes=1) == MINUTE
