"""The truth of one client: what is believed of the feed, the page that says how fresh it is, and the cache behind it."""

from collections.abc import Callable

from licet.core.decision import Decision as Ruled
from licet.core.instant import SECOND, Instant
from licet.sdk.decision import NOWHERE, Freshness, Page, State
from licet.sdk.errors import NoTruth
from licet.wire.feed import Line


class Book:
    """Read by whoever checks, written by the one flow that follows."""

    def __init__(self) -> None:
        self.page: Page = NOWHERE
        self.check: Callable[..., Ruled] = _nothing

    @property
    def cursor(self) -> str | None:
        """From where to go on; None for everything anew."""
        return self.page.basis or None

    def take(self, line: Line) -> bool:
        """Take one line; returns whether it was a head."""
        return line.head is not None

    def lost(self) -> None:
        """The answer ended: what was staged will not be finished."""

    def freshness(self, wall: Instant, *, connected: bool, error: NoTruth | None) -> Freshness:
        """Return how the truth stands at a real time."""
        page = self.page
        wall = max(wall, page.issued_at)
        state: State = "fresh"
        if page is NOWHERE:
            state = "empty"
        elif wall >= page.usable_until:
            state = "expired"
        elif wall >= page.fresh_until:
            state = "stale"
        return Freshness(
            state=state,
            age_seconds=None if page is NOWHERE else (wall - page.issued_at) / SECOND,
            cursor=page.basis or None,
            connected=connected,
            last_error=None if error is None else str(error),
        )


def _nothing(*_args: object, **_more: object) -> Ruled:
    raise NoTruth("there is no truth to answer with yet")
