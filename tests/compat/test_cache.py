"""A recorded cache is begun from by this version: whoever updates a client starts from the disk as before."""

from pathlib import Path

import pytest

from tests.compat.asking import decide
from tests.compat.caches import restored
from tests.compat.place import VERSIONS, read_json
from tests.compat.transcripts import reading


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_cache_is_begun_from(version: str, tmp_path: Path) -> None:
    """It opens with its key, leads to where the feed led, and decides the same; and the feed can be gone on from."""
    follower = restored(version, tmp_path / "cache")
    reader = reading(version, "changes")
    head = reader.heads[-1]
    assert follower.cursor == f"{head.epoch}:{head.seq}"
    assert f"{follower.truth.digest():032x}" == reader.digest()
    for one in read_json(version, "decisions/changes.json"):
        assert decide(follower.truth, one["asked"]) == one["decision"], one["asked"]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_must_not_go_back_is_in_it(version: str, tmp_path: Path) -> None:
    """Whoever begins from it knows the newest keyset and head that were believed."""
    kept = restored(version, tmp_path / "cache").kept()
    head = reading(version, "changes").heads[-1]
    assert (kept.version, kept.epoch, kept.seq) == (2, head.epoch, head.seq)
    assert kept.root is not None
    assert kept.keyset is not None
