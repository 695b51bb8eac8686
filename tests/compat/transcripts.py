"""The recorded transcripts of feeds, and which goes on from which."""

from typing import Final

from licet.core.instant import to_instant
from tests.compat import feeds
from tests.compat.place import VERSIONS, read_lines
from tests.compat.reader import Reader

GOES_ON: Final = {"changes": "full"}
"""Transcripts that begin where another one ends."""
NAMES: Final = ("full", "changes", "policies", "for_one", "picked", "later")
TOLD: Final = [(version, name) for version in VERSIONS for name in NAMES]


def lines_of(version: str, name: str) -> list[bytes]:
    """Return the lines of a transcript, after those of the one it goes on from."""
    before = lines_of(version, GOES_ON[name]) if name in GOES_ON else []
    return before + read_lines(version, f"feed/{name}.ndjson")


def reading(version: str, name: str) -> Reader:
    """Return a transcript, read plainly."""
    return Reader(feeds.WORKSPACE, lines_of(version, name), to_instant(feeds.ISSUED))
