"""What telling of a lease says besides the lease: new use, at which instant it is lost, and what changed nothing."""

import pytest

from licet.hub.lease import Lease, escheat, is_lost, tell

OPEN = Lease(
    id="1" * 32, owner="a" * 32, epoch=3, customer="acme", feature="calls", amount=40, issued=0, until=100, used=10
)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("lease", [OPEN, escheat(OPEN)])
def test_use_is_told_once(lease: Lease, closed: bool) -> None:
    """Of what is told, only what was not known before is new."""
    assert tell(lease, 15, closed=closed).more == 5


@pytest.mark.parametrize("used", [0, 9, 10])
def test_an_old_word_leaves_the_lease_itself(used: int) -> None:
    """Who writes down what has become of it sees that there is nothing to write."""
    told = tell(OPEN, used, closed=False)
    assert told.lease is OPEN
    assert (told.back, told.more) == (0, 0)


def test_a_lease_is_lost_at_its_end() -> None:
    """At the very instant, not before; or with its epoch; and only while it is open."""
    assert not is_lost(OPEN, 3, 99)
    assert is_lost(OPEN, 3, 100)
    assert is_lost(OPEN, 4, 99)
    assert not is_lost(escheat(OPEN), 4, 100)
