"""The truth of one client: what is believed of its feed, the page that says how fresh it is, the cache behind it."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfoNotFoundError

from licet.core.instant import SECOND, Instant, to_instant
from licet.evaluator.truth import LocalTruth
from licet.sdk.decision import NOWHERE, Freshness, Page, State
from licet.sdk.effects import Answer
from licet.sdk.errors import NotHeld, NoTruth
from licet.sdk.flow import Unbelieved
from licet.sdk.lines import Lines
from licet.wire.feed import Head, Line

if TYPE_CHECKING:
    from licet.evaluator.follower import Follower
    from licet.sdk.keeping import Keeping


class Book:
    """Read by whoever checks, written by the one flow that follows, and by picks under the same lock."""

    def __init__(
        self,
        clock: Callable[[], Instant],
        *,
        root: str | None = None,
        most_customers: int | None = None,
        keeping: "Keeping | None" = None,
        scope: frozenset[str] | None = None,
    ) -> None:
        """``clock`` is real time. ``scope`` are the only customers whose rows are kept, where some were named."""
        self.truth = LocalTruth(most_customers=most_customers)
        self.page: Page = NOWHERE
        self.turning = False
        """A truth is being exchanged: what is read now may rest on it or on the one before."""
        self.check = self.truth.check
        self._clock = clock
        self._root = root
        self._keeping = keeping
        self._scope = scope
        self._follower: Follower | None = None
        self._coming: Line | None = None
        """The head of a set that begins anew, and waits for the picks of whoever is held."""
        self._warned = False

    @property
    def follower(self) -> "Follower":
        """Who verifies. Made when it is first needed: it brings cryptography."""
        if self._follower is None:
            from licet.evaluator.follower import Follower
            from licet.evaluator.trust import Trust

            self._follower = Follower(self.truth, Trust(self._root))
            self._follower.gathers = True
        return self._follower

    @property
    def cursor(self) -> str | None:
        """From where to go on; None for everything anew."""
        return None if self._follower is None else self._follower.cursor

    @property
    def differs(self) -> bool:
        """Whether the rows are known to differ from what the server says they add up to."""
        return self._follower is not None and self._follower.differs

    @property
    def audience(self) -> str | None:
        """The one customer that the truth is about, where the key is bound to one."""
        head = None if self._follower is None else self._follower.head
        return None if head is None else head.customer

    def open(self) -> None:
        """Begin with what the cache kept, if anything."""
        if self._keeping is None:
            return
        found = self._keeping.restore(self.truth, self._root)
        if found is not None:
            self._follower = found
            found.gathers = True
            self._turn()

    def take(self, line: Line, *, heal: bool = True) -> bool:
        """Take one line; returns whether it was a head, so that a truth counts now. Raises Unbelieved.

        Only where it is to ``heal`` a truth that differs from the server's is refused, so that it is fetched anew.
        """
        from licet.evaluator.trust import FeedError, OtherRoot

        follower = self.follower
        self.turning = line.head is not None
        try:
            follower.take(line, self._clock(), heal=heal)
        except OtherRoot as wrong:
            self._forget()
            raise Unbelieved(wrong.code, f"{wrong}. {self._about_root()}", lasting=True) from None
        except FeedError as wrong:
            self._forget()
            raise Unbelieved(wrong.code, str(wrong)) from None
        except ZoneInfoNotFoundError as wrong:
            self.lost()
            words = f"{wrong.args[0]}; this machine lacks time zone data: install the package tzdata"
            raise Unbelieved("not_understood", words) from None
        else:
            if follower.coming is None:
                self._took(line, follower)
            else:
                self._coming = line
        finally:
            self.turning = False
        return line.head is not None

    @property
    def coming(self) -> str | None:
        """As of which cursor to pick whoever is ``awaited``, so that a set that begins anew can ``settle``."""
        head = None if self._follower is None else self._follower.coming
        return None if head is None else f"{head.epoch}:{head.seq}"

    def awaited(self) -> list[tuple[str, bool]]:
        """Return who is to be in a set that begins anew, and whether it was named: those first, then who is held."""
        told = self.audience
        named = sorted(one for one in self._scope or () if told in (None, one))
        held = [one for one in reversed(self.truth.customers()) if one not in named]
        return [*((one, True) for one in named), *((one, False) for one in held)]

    def settle(self) -> None:
        """Make the set that begins anew the truth."""
        line, self._coming = self._coming, None
        if line is None or self._follower is None:
            return
        self.turning = True
        try:
            self._follower.settle()
            self._took(line, self._follower)
        finally:
            self.turning = False

    def _took(self, line: Line, follower: "Follower") -> None:
        """Open the page of what is now the truth, then write it down: nobody who asks waits for a disk."""
        if line.head is not None:
            self._turn()
            self.turning = False
            self._warn()
        if self._keeping is not None:
            self._keeping.took(line, follower)

    def lost(self) -> None:
        """The answer ended: what was staged of a set will not be finished."""
        self._coming = None
        if self._follower is not None:
            self._follower.drop()
            self._forget()

    def missing(self) -> list[str]:
        """Return the customers that were named and are not held yet."""
        if not self.cursor:
            return []
        told = self.audience
        wanted = (one for one in self._scope or () if told in (None, one))
        return sorted(one for one in wanted if not self.truth.known(one))

    def expect(self, customer: str) -> str:
        """Return as of which cursor to ask for a customer; what comes of it from now on is noted until it is there.

        Raises NotHeld before there is a truth. The truth's ``unexpect`` ends it.
        """
        basis = self.truth.basis
        if self._follower is None or self._follower.head is None or basis is None:
            raise NotHeld(f"{customer!r} cannot be loaded before there is a truth; wait_ready() waits for it")
        if self._follower.coming is not None:
            raise NotHeld(f"{customer!r} cannot be loaded while all is fetched anew; ask again in some seconds")
        self.truth.expect(customer)
        return basis

    def take_pick(self, customer: str, answer: Answer) -> None:
        """Take all of one customer as of the cursor, or as of when it was expected.

        Raises Unbelieved, code ``gap`` if the truth has moved on.
        """
        from licet.evaluator.trust import FeedError

        raw = Lines("lines").feed(answer.body + b"\n")
        tokens = [line.frame for line in map(_line, raw) if line.frame is not None]
        if not tokens:
            raise Unbelieved("malformed", f"nothing was told of {customer!r}")
        self.turning = True
        try:
            found = self.follower.pick(tokens)
            if found.customer != customer:
                raise Unbelieved("malformed", f"{customer!r} was asked about, and {found.customer!r} answered")
        except FeedError as wrong:
            raise Unbelieved(wrong.code, str(wrong)) from None
        finally:
            self.turning = False
        if self._keeping is not None and found.keys:
            self._keeping.picked(found, self.follower)

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

    def after_fork(self) -> None:
        """Be whole in a forked child. The cache stays its parent's."""
        self.turning = False
        self._keeping = self._coming = None
        self.truth.after_fork()
        if self._follower is not None:
            self._follower.drop()

    def close(self) -> None:
        """Let go of the cache."""
        if self._keeping is not None:
            self._keeping.close()

    def _about_root(self) -> str:
        """What to do where the server has another root than the one believed, if that is right."""
        if self._root is not None:
            return (
                "If the root was changed, give root= (or LICET_ROOT) what `licet signing show` says at the server now"
            )
        folder = None if self._keeping is None else self._keeping.folder
        anew = "start this program anew" if folder is None else f"stop this program and delete {folder}"
        words = (
            "If the root was changed, give root= (or set LICET_ROOT to) what `licet signing show` says at the server"
        )
        return f"{words}; or {anew}, to believe the first root again that the server names"

    def _forget(self) -> None:
        if self._keeping is not None:
            self._keeping.lost()

    def _warn(self) -> None:
        """Say once that fetching everything again does not help."""
        if self.differs and not self._warned:
            import logging

            self._warned = True
            logging.getLogger("licet.sdk").warning(
                "the rows held differ from what the server says they add up to, also after all were fetched again "
                "(digest_differs): news go on being taken, and everything is fetched again ever more seldom"
            )

    def _turn(self) -> None:
        """Open the page that the newest head writes."""
        head = self.follower.head
        self.page = NOWHERE if head is None or head.catalog is None else page_of(head)


def page_of(head: Head) -> Page:
    """Return what a head says, as checks need it."""
    frozen = head.clock.frozen_at
    return Page(
        basis=f"{head.epoch}:{head.seq}",
        issued_at=to_instant(head.issued_at),
        fresh_until=to_instant(head.fresh_until),
        usable_until=to_instant(head.usable_until),
        offset=head.clock.offset if frozen is None else None,
        frozen_at=0 if frozen is None else to_instant(frozen),
    )


def _line(raw: bytes) -> Line:
    from msgspec import DecodeError
    from msgspec.json import decode

    try:
        return decode(raw, type=Line)
    except (DecodeError, UnicodeDecodeError) as wrong:
        raise Unbelieved("malformed", f"what was told of a customer cannot be read: {wrong}") from None
