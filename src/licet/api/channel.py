"""One channel: a feed as far as this process has published it, made once for all who follow it here.

It wakes when something was committed, waits until 20 ms have passed since its last look, reads what is new, signs it
and keeps it for some time. Followers go through what is kept at their own pace; who falls behind it gets what happened
meanwhile in one set, read anew. So a slow follower costs nothing, and thousands of them cost one reading.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct

from licet.api.beginning import Beginning, Whole
from licet.api.staying import Stay
from licet.core.instant import Instant
from licet.door import limits
from licet.services import feed
from licet.services.errors import ServiceError, Unavailable
from licet.services.feed import FeedSet, SignedCatalog, Stand, Whose
from licet.services.feed_ports import Signing
from licet.services.ports import Storage, View
from licet.services.signing import Signers
from licet.telemetry import Metrics, log
from licet.wire.feed import Cursor, DigestMark

KEPT_SETS: Final = 512
KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of the newest sets of one channel; and again of those that several who fell behind share."""
_CATALOGS: Final = 2
_RETRY_SECONDS: Final = 0.5


class Rhythm(Struct, frozen=True, kw_only=True):
    """How often the publisher does what, in seconds, and how much at once. Tests hurry it."""

    coalesce: float = 0.02
    """From one publication to the next, at least."""
    head: float = 8.0
    """From one head to the next, at most."""
    digest: float = 600.0
    """From one sum of all rows to the next."""
    idle: float = 60.0
    """How long a channel is kept that nobody follows any more."""
    full: float = 30.0
    """How long a whole set is handed out once it is made."""
    changes: int = limits.MAX_FEED_CHANGES
    """Rows of all changes in one set, at most; beyond, everybody begins anew."""


class Published(Struct, frozen=True, kw_only=True):
    """One publication: a set, and the head that was signed with it; as it goes to all who stood where it begins."""

    told: FeedSet
    head: bytes
    issued: Instant
    events: bytes
    """All of it as server-sent events."""


class Ended(Exception):
    """The channel goes no further: its followers are to come again, and will be told what holds then."""


class Ground(Protocol):
    """What a channel stands on; :class:`~licet.api.publishing.Feeds` is it."""

    storage: Storage
    signers: Signers
    metrics: Metrics
    rhythm: Rhythm
    stopping: bool

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def published(self, channel: "Channel", told: FeedSet, before: Stand) -> None:
        """Take note of a publication."""
        ...

    def began(self, channel: "Channel", stand: Stand) -> None:
        """Take note of where a channel begins to publish."""
        ...

    def ended(self, channel: "Channel") -> None:
        """Take note that a channel goes no further by itself."""
        ...

    def drop(self, channel: "Channel") -> bool:
        """Forget a channel that nobody follows; False where it is still needed."""
        ...


class Channel:
    """A feed of a workspace for an audience. ``issued`` is that of its newest head, never older than ``floor``."""

    def __init__(self, ground: Ground, whose: Whose, floor: Instant) -> None:
        self.whose = whose
        self.followers = 0
        self.idle_since = ground.now()
        self.keyset = b""
        """The line of the keyset in force."""
        self.issued = floor
        self.ended = False
        self._ground = ground
        self._stand: Stand | None = None
        self._confirmed: Instant = 0
        self._signing: Signing | None = None
        self._catalogs: OrderedDict[int, SignedCatalog] = OrderedDict()
        self._kept: deque[Published] = deque()
        self._kept_bytes = 0
        self._catch_ups: OrderedDict[tuple[int, int], FeedSet] = OrderedDict()
        self._catching = asyncio.Lock()
        self._head = b""
        self._digest: DigestMark | None = None
        self._summed = ground.now()
        self._beginning = Beginning(self, ground.storage, ground.rhythm.full, ground.now)
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._looking = asyncio.Lock()
        self._looked = -1.0
        self._summing: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(), name="licet-feed")

    # What followers ask for.

    @property
    def stand(self) -> Stand:
        """What is published; raises Ended where it goes no further, Unavailable before the first look."""
        if self.ended:
            raise Ended
        if self._stand is None:
            raise Unavailable("the feed could not be read yet", advice="repeat the request in a moment")
        return self._stand

    @property
    def begun(self) -> bool:
        """Whether anything is published."""
        return self._stand is not None

    def notice(self, seq: int) -> None:
        """Wake it where the log ends elsewhere than what is published."""
        if self._stand is None or seq != self._stand.seq:
            self._wake.set()

    def tell(self) -> None:
        """Let everybody who waits look."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def moved(self, seen: Instant, stay: Stay) -> bool:
        """Return True once there is a head newer than one issued at ``seen``, False where none will come.

        Raises Refusal where whoever waits may wait no more; :meth:`tell` lets it find out.
        """
        while not self.ended and not self._ground.stopping and self.issued <= seen:
            stay.hold()
            told = asyncio.get_running_loop().create_future()
            self._waiting.append(told)
            await told
        return not self.ended and not self._ground.stopping

    def after(self, seq: int, issued: Instant) -> list[Published]:
        """Return what is kept of the publications after ``seq``; nothing where it cannot be gone on from there.

        ``issued`` is that of the last head that the follower has: no older one may come after it.
        """
        found: list[Published] = []
        for one in reversed(self._kept):
            if one.told.since < seq:
                break
            found.append(one)
        if not found or found[-1].told.since != seq or found[-1].issued <= issued:
            return []
        return found[::-1]

    def head(self, issued: Instant) -> tuple[bytes, Instant]:
        """Return a head at what is published, newer than one issued at ``issued``."""
        if self.issued <= issued:
            self._sign()
        return self._head, self.issued

    def head_at(self, stand: Stand) -> tuple[bytes, Instant]:
        """Return a new head at an earlier stand."""
        self.issued = max(self.issued + 1, self._confirmed)
        return self._signed(stand), self.issued

    async def look(self) -> None:
        """Publish what is committed by now; raises what keeps it from being read. Who asks at once shares one look."""
        asked = self._ground.now()
        async with self._looking:
            if self.ended or self._looked > asked:
                return
            began = self._ground.now()
            await self._look(began)
            self._looked = began

    async def between(self, since: int) -> FeedSet | None:
        """Return one set from a sequence to what is published; None where too much has happened since."""
        async with self._catching:
            stand = self.stand
            found = self._catch_ups.get((since, stand.seq))
            if found is not None:
                return found
            async with self._ground.storage.read(self.whose.workspace) as view:
                if await self.too_far(view, since, stand.seq):
                    return None
                told = await self._set(view, since, stand)
            self._catch_ups[since, stand.seq] = told
            while sum(one.size for one in self._catch_ups.values()) > KEPT_BYTES:
                self._catch_ups.popitem(last=False)
            return told

    async def whole(self) -> Whole:
        """Return a whole state at what is published."""
        return await self._beginning.whole()

    async def beginning(self) -> FeedSet:
        """Return the set with which a follower begins that picks its customers: nothing but the catalog."""
        stand = self.stand
        async with self._ground.storage.read(self.whose.workspace) as view:
            lines = await self.catalog_lines(view, stand)
            lines.append(feed.nothing_held(view, self.whose, self.signer(), stand.seq))
        return FeedSet(since=0, stand=stand, lines=tuple(lines), touched=frozenset())

    def end(self) -> None:
        """Go no further: who follows comes again, and is told what holds then."""
        self.ended = True
        self._beginning.forget()
        if self._summing is not None:
            self._summing.cancel()
        self._wake.set()
        self.tell()

    async def close(self) -> None:
        """End it and return once nothing is held any more."""
        self.end()
        self._task.cancel()
        tasks = [one for one in (self._task, self._summing) if one is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    # The work.

    async def _run(self) -> None:
        while not self.ended:
            began, wait = self._ground.now(), self._ground.rhythm.coalesce
            self._wake.clear()
            try:
                await self.look()
                self._add_up()
            except Exception as error:  # noqa: BLE001 the database may be away: followers keep what they have
                words = {"workspace": self.whose.workspace, "error": str(error)}
                log("licet.feed").warning("a feed cannot be published just now", **words)
                wait = _RETRY_SECONDS
                self._wake.set()
            idle = self._ground.now() - self.idle_since > self._ground.rhythm.idle
            if self.followers == 0 and idle and self._ground.drop(self):
                return
            await asyncio.sleep(max(0.0, wait - (self._ground.now() - began)))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ground.rhythm.head):
                    await self._wake.wait()

    async def _look(self, began: float) -> None:
        """Publish what is new in one state of the database; at least a new head."""
        before, told = self._stand, None
        async with self._ground.storage.read(self.whose.workspace) as view:
            at = Cursor(view.workspace.epoch, await view.seq())
            if before is not None and (at.epoch != before.epoch or at < before.cursor):
                self._give_up()  # it is another history than the one that was published
                return
            if before is not None and await self.too_far(view, before.seq, at.seq):
                self._give_up()  # the database was away, or much was loaded: whoever comes again begins anew
                return
            await self._take_signing(view)
            revision = await view.feed_catalog(at.seq)
            mark = None if revision == 0 else (await self._catalog(view, revision)).mark
            stand, confirmed = feed.stand_of(view, at.seq, mark), view.time.wall
            if before is not None and at > before.cursor:
                told = await self._set(view, before.seq, stand)
        self._stand, self._confirmed = stand, confirmed
        self._sign()
        if before is None:
            self._ground.began(self, stand)
        if told is not None and before is not None:
            events = as_events([*told.lines, self._head], stand.cursor)
            self._keep(Published(told=told, head=self._head, issued=self.issued, events=events))
            self._ground.published(self, told, before)
            self._ground.metrics.fed(self.whose.audience, self._ground.now() - began)
        self.tell()

    def _give_up(self) -> None:
        self.end()
        self._ground.ended(self)

    async def _set(self, view: View, since: int, stand: Stand) -> FeedSet:
        lines: list[bytes] = []
        if stand.catalog is not None and await view.feed_catalog(since) != stand.catalog.revision:
            lines += await self.catalog_lines(view, stand)
        frames, touched = await feed.changes(view, self.whose, self.signer(), since, stand.seq)
        return FeedSet(since=since, stand=stand, lines=(*lines, *frames), touched=touched)

    async def too_far(self, view: View, since: int, seq: int) -> bool:
        """Whether more came between two sequences than one set may say."""
        most = self._ground.rhythm.changes
        return self.whose.customer is None and await view.feed_changed(since, seq, most + 1) > most

    def _add_up(self) -> None:
        """Begin to add all rows up where it is time to: a later head says the sum."""
        due = self._ground.now() - self._summed >= self._ground.rhythm.digest
        idle = self._summing is None or self._summing.done()
        if self.followers and due and idle and not self.ended:
            self._summed = self._ground.now()
            if self._digest is None or self._digest.seq < self.stand.seq:
                self._summing = asyncio.create_task(self._sum(), name="licet-feed-sum")

    async def _sum(self) -> None:
        stand = self.stand
        opened = self._ground.storage.read_long if self.whose.customer is None else self._ground.storage.read
        try:
            async with opened(self.whose.workspace) as view:
                total = await feed.sum_of(view, self.whose, stand.seq)
        except ServiceError as error:
            log("licet.feed").warning("a feed cannot be added up just now", error=str(error))
        else:
            self.found(total.mark(stand.seq))

    def found(self, mark: DigestMark) -> None:
        """Take note of what all rows add up to, for later heads."""
        if self._digest is None or mark.seq > self._digest.seq:
            self._digest, self._summed = mark, self._ground.now()

    async def _take_signing(self, view: View) -> None:
        signing = await self._ground.signers.of(view)
        if self._signing is not None and signing.keyset == self._signing.keyset:
            return
        # What another key signed may not be believed any more: it is all made anew when somebody asks.
        self._signing, self.keyset = signing, feed.keyset_line(signing)
        self._kept.clear()
        self._kept_bytes = 0
        self._catch_ups.clear()
        self._catalogs.clear()

    async def _catalog(self, view: View, revision: int) -> SignedCatalog:
        found = self._catalogs.get(revision)
        if found is None:
            found = await feed.catalog_for(view, self.whose, revision, self.signer())
            self._catalogs[revision] = found
            while len(self._catalogs) > _CATALOGS:
                self._catalogs.popitem(last=False)
        return found

    async def catalog_lines(self, view: View, stand: Stand) -> list[bytes]:
        """Return the signed catalog of a stand as one line, or none where it has none."""
        return [] if stand.catalog is None else [(await self._catalog(view, stand.catalog.revision)).line]

    def _keep(self, one: Published) -> None:
        self._kept.append(one)
        self._kept_bytes += one.told.size
        while len(self._kept) > KEPT_SETS or (self._kept_bytes > KEPT_BYTES and len(self._kept) > 1):
            self._kept_bytes -= self._kept.popleft().told.size

    def _sign(self) -> None:
        # A head says when the database confirmed it, not when it was signed; and time only goes on.
        self.issued = max(self.issued + 1, self._confirmed)
        self._head = self._signed(self.stand)

    def _signed(self, stand: Stand) -> bytes:
        digest = self._digest if self._digest is not None and self._digest.seq <= stand.seq else None
        return feed.sign_head(self.whose, self.signer(), stand, self.issued, digest)

    def signer(self) -> Signing:
        """Return with what it is signed; raises Ended before anything is."""
        if self._signing is None:
            raise Ended
        return self._signing


def as_events(lines: Iterable[bytes], cursor: Cursor | None) -> bytes:
    """Return lines as server-sent events; the last of them is a head at ``cursor``, where there is one."""
    events = [b"data: " + line for line in lines]
    if cursor is not None:
        events[-1] = b"id: %s\n%s" % (str(cursor).encode(), events[-1])
    return b"".join(event + b"\n\n" for event in events)
