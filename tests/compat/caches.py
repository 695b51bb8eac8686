"""Makes the cache that is recorded, and opens recorded ones: a client's folder on disk, with its key."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from licet.core.instant import to_instant
from licet.evaluator.follower import Follower
from licet.evaluator.trust import Trust
from licet.evaluator.truth import LocalTruth
from licet.sdk.cache import Cache, Identity
from licet.sdk.keeping import Keeping
from licet.wire.feed import Line
from tests.compat import feeds
from tests.compat.place import FOLDER, read_lines

IDENTITY: Final = Identity(url="http://recorded.example", key="recorded00000000")
LEFT_OUT: Final = frozenset({"lock"})
"""Files that say nothing."""


def kept(version: str) -> dict[str, bytes]:
    """Return the files of the cache of a client that followed the recorded feed, by their path in it."""
    with TemporaryDirectory() as folder:
        keeping = Keeping(Cache(folder, IDENTITY), partial=False)
        truth = LocalTruth()
        assert keeping.restore(truth, None) is not None
        follower = Follower(truth, Trust())
        for name in ("full", "changes"):
            for raw in read_lines(version, f"feed/{name}.ndjson"):
                line = msgspec.json.decode(raw, type=Line)
                follower.take(line, to_instant(feeds.ISSUED))
                keeping.took(line, follower)
        keeping.close()
        paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.name not in LEFT_OUT]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def restored(version: str, folder: Path) -> Follower:
    """Return who begins from a recorded cache, of which a copy is made in a folder of one's own."""
    shutil.copytree(FOLDER / version / "cache", folder)
    for path in [folder, *folder.rglob("*")]:
        # Version control keeps no modes, and a cache that others may read is refused.
        path.chmod(0o700 if path.is_dir() else 0o600)
    keeping = Keeping(Cache(folder, IDENTITY), partial=False)
    follower = keeping.restore(LocalTruth(), None)
    keeping.close()
    assert follower is not None
    return follower
