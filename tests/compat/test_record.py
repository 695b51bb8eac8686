"""Recordings are made once: what is there is left alone."""

from pathlib import Path

import pytest

from tests.compat.place import FOLDER, VERSIONS
from tests.compat.record import main, write

MOST_BYTES = 300 * 1024


def test_a_recording_is_never_made_anew(tmp_path: Path) -> None:
    """A file that is there keeps its content and is named; a new one is written."""
    (tmp_path / "feed").mkdir()
    (tmp_path / "feed" / "old").write_bytes(b"as it was")
    assert write(tmp_path, iter([("feed/old", b"as it is"), ("feed/new", b"new")])) == ["feed/old"]
    assert (tmp_path / "feed" / "old").read_bytes() == b"as it was"
    assert (tmp_path / "feed" / "new").read_bytes() == b"new"


@pytest.mark.parametrize("version", VERSIONS)
def test_recording_again_changes_nothing(version: str) -> None:
    """The command refuses to record a version twice and leaves every file with its bytes."""
    files = {path: path.read_bytes() for path in (FOLDER / version).rglob("*") if path.is_file()}
    assert main(version) == 1
    assert {path: path.read_bytes() for path in (FOLDER / version).rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("version", VERSIONS)
def test_recordings_are_small(version: str) -> None:
    """All files of one version together stay below the size that was promised."""
    assert sum(path.stat().st_size for path in (FOLDER / version).rglob("*") if path.is_file()) <= MOST_BYTES
