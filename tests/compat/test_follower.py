"""Recorded feeds are followed by the evaluator as it is now: it comes to the same truth as a plain reading does."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from licet.core.instant import to_instant
from licet.evaluator.follower import Follower
from licet.evaluator.trust import FeedError, Trust
from licet.evaluator.truth import LocalTruth
from licet.seal.paserk import public_of, write_public
from licet.wire.feed import Line
from tests.compat import feeds
from tests.compat.asking import decide
from tests.compat.place import VERSIONS, Keys, read_json, read_lines
from tests.compat.transcripts import TOLD, lines_of, reading

WALL = to_instant(feeds.ISSUED)
CRITICAL = [(version, what) for version in VERSIONS for what in ("catalog", "frame", "head")]


def following(version: str, *, pinned: bool = True) -> Follower:
    """Return somebody who has heard nothing yet."""
    root = write_public(public_of(Keys(version).root)) if pinned else None
    return Follower(LocalTruth(), Trust(root))


def followed(follower: Follower, lines: Iterable[bytes]) -> Follower:
    """Let somebody take lines as they come."""
    for raw in lines:
        line = msgspec.json.decode(raw, type=Line)
        if line.frame is not None and is_pick(line.frame):
            follower.take_pick(line.frame)
        else:
            follower.take(line, WALL)
    return follower


def is_pick(token: str) -> bool:
    """Whether a frame tells all of one customer."""
    return b'"kind":"pick"' in feeds.payload_of(token)


@pytest.mark.parametrize(("version", "name"), TOLD)
@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "first use"])
def test_a_recorded_feed_is_followed(version: str, name: str, pinned: bool) -> None:
    """Every line is believed, and what was asked then is answered as it was then; the root pinned or not."""
    follower = followed(following(version, pinned=pinned), lines_of(version, name))
    head = reading(version, name).heads[-1]
    assert follower.cursor == f"{head.epoch}:{head.seq}"
    if head.digest is not None:
        assert f"{follower.truth.digest():032x}" == head.digest.sum
    recorded: list[dict[str, Any]] = read_json(version, f"decisions/{name}.json")
    assert recorded
    for one in recorded:
        assert decide(follower.truth, one["asked"]) == one["decision"], one["asked"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_feed_can_be_gone_on_from(version: str) -> None:
    """Whoever stands where one transcript ends takes the next, and knows afterwards that its rows are the server's."""
    follower = followed(following(version), read_lines(version, "feed/full.ndjson"))
    before = follower.cursor
    followed(follower, read_lines(version, "feed/changes.ndjson"))
    assert before != follower.cursor
    assert not follower.healing


@pytest.mark.parametrize(("version", "what"), CRITICAL)
def test_what_is_critical_and_unknown_is_refused(version: str, what: str) -> None:
    """A message that says an unknown field decides is refused by name, and the truth from before stays."""
    lines = read_lines(version, f"feed/critical_{what}.ndjson")
    with pytest.raises(FeedError) as alone:
        followed(following(version), lines)
    assert alone.value.code == "not_understood"
    assert "x_later" in str(alone.value)
    follower = followed(following(version), read_lines(version, "feed/full.ndjson"))
    cursor, digest = follower.cursor, follower.truth.digest()
    with pytest.raises(FeedError):
        followed(follower, lines)
    assert (follower.cursor, follower.truth.digest()) == (cursor, digest)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_truth_is_refused(version: str) -> None:
    """Who has followed to the end of the recorded feed does not go back to its beginning."""
    follower = followed(following(version), lines_of(version, "changes"))
    cursor = follower.cursor
    with pytest.raises(FeedError) as refused:
        followed(follower, read_lines(version, "feed/full.ndjson"))
    assert refused.value.code == "rolled_back"
    assert follower.cursor == cursor
