"""What doctor shows of a home, and that removing one removes that and nothing else."""

from pathlib import Path

import pytest

from licet.store.bundled import Bundled, BundledError, describe, remove
from licet.store.bundled.account import choose_account
from tests.store.bundled.lives import alive, postmaster_of

pytestmark = pytest.mark.postgres


def test_describe_absent_running_stopped(new_home: Path, binaries: Path) -> None:
    """A home is described as absent, running with its endpoint, then stopped with its size and version."""
    absent = describe(new_home)
    assert (absent.exists, absent.running, absent.data_major, absent.bytes_used) == (False, False, None, 0)
    assert not new_home.exists()
    with Bundled(new_home, binaries=binaries) as bundled:
        running = describe(new_home)
        assert (running.exists, running.running, running.endpoint) == (True, True, bundled.endpoint)
        assert str(running.data_major) == bundled.endpoint.version.split(".", maxsplit=1)[0]
    stopped = describe(new_home)
    assert (stopped.exists, stopped.running, stopped.endpoint) == (True, False, None)
    assert stopped.owner_uid == choose_account().uid
    assert stopped.bytes_used > 10_000_000


def test_remove_refuses_a_running_home_and_takes_a_stopped_one(home: Path, binaries: Path) -> None:
    """A home in use is refused and goes on running; stopped, it is removed whole; a second time there is nothing."""
    with Bundled(home, binaries=binaries):
        pid = postmaster_of(home)
        with pytest.raises(BundledError, match="is in use"):
            remove(home)
        assert alive(pid)
    assert remove(home) is True
    assert not home.exists()
    assert remove(home) is False


def test_remove_refuses_a_foreign_folder(place: Path) -> None:
    """A folder that is not a home of ours is refused and keeps its files."""
    letter = place / "letter.txt"
    letter.write_text("dear")
    with pytest.raises(BundledError, match=r"not a home of Licet's.*nothing was removed"):
        remove(place)
    assert letter.read_text() == "dear"
