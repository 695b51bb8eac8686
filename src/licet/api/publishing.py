"""The publisher: one channel for each feed that somebody follows here, which makes each set once for all of them.

A channel wakes when something was committed, waits until 20 ms have passed since its last look, reads what is new,
signs it and keeps it for some time. Followers go through what is kept at their own pace; who falls behind it gets what
happened meanwhile in one set, read anew. So a slow follower costs nothing, and thousands of them cost one reading.
Where nobody follows, nothing is done.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from msgspec import Struct

from licet.api.spool import Spool
from licet.core.instant import SECOND, Instant
from licet.door import limits
from licet.door.problems import Refusal, retry_after, too_often
from licet.services import feed
from licet.services.errors import ServiceError, Unavailable
from licet.services.feed import FeedSet, SignedCatalog, Stand, Whose
from licet.services.feed_ports import Signing
from licet.services.ports import Storage, View
from licet.services.signing import Signers
from licet.telemetry import Metrics, log
from licet.wire.feed import CatalogMark, Cursor, DigestMark

_KEPT_SETS: Final = 512
_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of the newest sets of one channel, and of one set that several who fell behind share."""
_CATCH_UPS: Final = 8
_IDLE: Final = 100
"""Channels of single customers that are kept although nobody follows them."""
_RETRY_SECONDS: Final = 0.5


class Rhythm(Struct, frozen=True, kw_only=True):
    """How often the publisher does what; seconds. Tests hurry it."""

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


class Published(Struct, frozen=True, kw_only=True):
    """One publication: a set, and the head that was signed with it; as it goes to all who stood where it begins."""

    told: FeedSet
    head: bytes
    issued: Instant
    events: bytes
    """All of it as server-sent events."""


class Ended(Exception):
    """The channel goes no further: its followers are to come again, and will be told what holds then."""


class Full(Struct, frozen=True, kw_only=True):
    """A whole state, signed, as it is handed to whoever begins."""

    stand: Stand
    version: int
    """Of the keyset that names the key."""
    catalog: bytes | None
    spool: Spool
    made: float


class Channel:
    """One feed: of a workspace for an audience, as far as this process has published it."""

    def __init__(self, feeds: "Feeds", whose: Whose) -> None:
        self.whose = whose
        self.stand: Stand | None = None
        self.followers = 0
        self.idle_since = feeds.now()
        self.keyset: bytes = b""
        self._feeds = feeds
        self._signing: Signing | None = None
        self._catalogs: OrderedDict[int, SignedCatalog] = OrderedDict()
        self._kept: deque[Published] = deque()
        self._kept_bytes = 0
        self._catch_ups: OrderedDict[tuple[int, int], FeedSet] = OrderedDict()
        self._catching = asyncio.Lock()
        self._wake = asyncio.Event()
        self._moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._looking = asyncio.Lock()
        self._looked = 0.0
        self._head = b""
        self.issued: Instant = 0
        self.digest: DigestMark | None = None
        self._summed = feeds.now()
        self._full: Full | None = None
        self._filling = asyncio.Lock()
        self.ended = False
        self._summing: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(), name="licet-feed")

    # -- what followers ask for

    @property
    def seq(self) -> int:
        """Return how far it is published; raises Ended where it goes no further."""
        if self.ended or self.stand is None:
            raise Ended
        return self.stand.seq

    def newest(self) -> Stand:
        """Return what is published; raises Ended where it goes no further."""
        return self._stand()

    def notice(self, seq: int) -> None:
        """Wake it where a commit made the log longer than what is published."""
        if self.stand is None or seq != self.stand.seq:
            self._wake.set()

    def tell(self) -> None:
        """Let everybody who waits look."""
        moved, self._moved = self._moved, asyncio.get_running_loop().create_future()
        if not moved.done():
            moved.set_result(None)

    async def moved(self, seen: Instant) -> bool:
        """Return True once there is a head newer than one issued at ``seen``, False where none will come."""
        while not self.ended and not self._feeds.stopping and self.issued <= seen:
            await asyncio.shield(self._moved)
        return not self.ended and not self._feeds.stopping

    def after(self, seq: int, issued: Instant) -> list[Published] | None:
        """Return what is kept of the publications after ``seq``; None where it cannot be gone on from there.

        ``issued`` is that of the last head that the follower has: no older one may come after it.
        """
        found = [one for one in self._kept if one.told.since >= seq]
        if not found or found[0].told.since != seq or found[0].issued < issued:
            return None
        return found

    def head(self, issued: Instant) -> tuple[bytes, Instant]:
        """Return a head at what is published, not older than one issued at ``issued``."""
        if self.issued < issued or self._feeds.wall() - self.issued > self._feeds.stale:
            self._sign()
        return self._head, self.issued

    def head_at(self, stand: Stand) -> tuple[bytes, Instant]:
        """Return a new head at an earlier stand."""
        issued = self._next_issued()
        return self._signed(stand, issued), issued

    async def look(self) -> None:
        """Publish what is committed by now; raises what keeps it from being read. Who asks at once shares one look."""
        asked = self._feeds.now()
        async with self._looking:
            if not self.ended and self._looked <= asked:
                self._looked = self._feeds.now()
                await self._look()

    async def between(self, since: int) -> FeedSet | None:
        """Return one set from a sequence to what is published; None where too much has happened since."""
        async with self._catching:
            seq = self.seq
            found = self._catch_ups.get((since, seq))
            if found is not None:
                return found
            async with self._feeds.storage.read(self.whose.workspace) as view:
                if await view.feed_changed(since, seq, limits.MAX_FEED_CHANGES + 1) > limits.MAX_FEED_CHANGES:
                    return None
                told = await self._set(view, since, self._stand())
            if told.size <= _KEPT_BYTES:
                self._catch_ups[since, seq] = told
                while len(self._catch_ups) > _CATCH_UPS:
                    self._catch_ups.popitem(last=False)
            return told

    async def full(self, least: int) -> Full:
        """Return a whole state at ``least`` or later; who asks at once shares one."""
        async with self._filling:
            full, now = self._full, self._feeds.now()
            fresh = full is not None and (full.stand.seq == self.seq or now - full.made < self._feeds.rhythm.full)
            if full is not None and fresh and full.stand.seq >= least and self._fits(full):
                return full
            self._full = None
            self._full = await self._fill()
            return self._full

    async def beginning(self) -> FeedSet:
        """Return the set with which a follower begins that picks its customers: nothing but the catalog."""
        stand = self._stand()
        async with self._feeds.storage.read(self.whose.workspace) as view:
            lines = await self._catalog_lines(view, stand)
            lines.append(feed.nothing_held(view, self.whose, self._signer(), stand.seq))
        return FeedSet(since=0, stand=stand, lines=tuple(lines), touched=frozenset())

    async def close(self) -> None:
        """End it; who follows is told nothing more."""
        self.end()
        tasks = [one for one in (self._task, self._summing) if one is not None and one is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._full = None

    # -- the work

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.ended:
            began = loop.time()
            wait = self._feeds.rhythm.coalesce
            self._wake.clear()
            try:
                await self.look()
                self._count()
            except Exception as error:  # noqa: BLE001 the database may be away: followers keep what they have
                words = {"workspace": self.whose.workspace, "error": str(error)}
                log("licet.feed").warning("a feed cannot be published just now", **words)
                wait = _RETRY_SECONDS
            if self.followers == 0 and self._feeds.now() - self.idle_since > self._feeds.rhythm.idle:
                self._feeds.drop(self)
                return
            await asyncio.sleep(max(0.0, wait - (loop.time() - began)))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._feeds.rhythm.head):
                    await self._wake.wait()

    async def _look(self) -> None:
        """Publish what is new in one state of the database; at least a new head."""
        began = self._feeds.now()
        async with self._feeds.storage.read(self.whose.workspace) as view:
            seq, before = await view.seq(), self.stand
            if before is not None and (view.workspace.epoch, seq) < (before.epoch, before.seq):
                self.end()  # the database is an older copy of what was published
                return
            if before is not None and view.workspace.epoch != before.epoch:
                self.end()
                return
            await self._take_signing(view)
            mark = await self._mark(view, seq)
            stand = await feed.stand_of(view, seq, mark)
            told = None
            if before is not None and seq > before.seq:
                told = await self._set(view, before.seq, stand)
        self.stand = stand
        self._sign()
        if told is not None and before is not None:
            events = as_events([*told.lines, self._head], stand.cursor)
            self._keep(Published(told=told, head=self._head, issued=self.issued, events=events))
            self._feeds.published(self, told, before)
            self._feeds.metrics.fed(self.whose.audience, self._feeds.now() - began)
        self.tell()

    async def _set(self, view: View, since: int, stand: Stand) -> FeedSet:
        lines: list[bytes] = []
        if await view.feed_catalog(since) != (0 if stand.catalog is None else stand.catalog.revision):
            lines += await self._catalog_lines(view, stand)
        frames, touched = await feed.changes(view, self.whose, self._signer(), since, stand.seq)
        return FeedSet(since=since, stand=stand, lines=(*lines, *frames), touched=touched)

    async def _fill(self) -> Full:
        stand, total, spool = self._stand(), feed.Sum(), Spool(limits.MAX_FEED_FULL)
        version = self._signer().version
        whose = self.whose
        try:
            opened = self._feeds.storage.read_long if whose.customer is None else self._feeds.storage.read
            async with opened(whose.workspace) as view:
                catalog = await self._catalog_lines(view, stand)
                async for line in feed.whole(view, whose, self._signer(), stand.seq, total):
                    await spool.add(line)
        except OSError as error:
            words = f"the whole feed cannot be kept in a file: {error}"
            raise Unavailable(words, advice="make room where temporary files are kept") from error
        self._found(total.mark(stand.seq))
        return Full(
            stand=stand,
            version=version,
            catalog=catalog[0] if catalog else None,
            spool=spool,
            made=self._feeds.now(),
        )

    def _fits(self, full: Full) -> bool:
        return full.stand.epoch == self._stand().epoch and full.version == self._signer().version

    async def sum(self) -> None:
        """Add all rows up at what is published now; the next head says the sum."""
        stand = self._stand()
        opened = self._feeds.storage.read_long if self.whose.customer is None else self._feeds.storage.read
        async with opened(self.whose.workspace) as view:
            total = await feed.sum_of(view, self.whose, stand.seq)
        self._found(total.mark(stand.seq))

    def _found(self, mark: DigestMark) -> None:
        if self.digest is None or mark.seq > self.digest.seq:
            self.digest, self._summed = mark, self._feeds.now()

    def _count(self) -> None:
        """Begin to add up where it is time to."""
        if self._summing is not None and not self._summing.done():
            return
        due = self.digest is None or self._feeds.now() - self._summed >= self._feeds.rhythm.digest
        if self.followers and due and (self.digest is None or self.digest.seq < self.seq):
            self._summing = asyncio.create_task(self._try_sum(), name="licet-feed-sum")

    async def _try_sum(self) -> None:
        try:
            await self.sum()
        except ServiceError as error:
            log("licet.feed").warning("a feed cannot be added up just now", error=str(error))
        except Ended:
            return

    async def _take_signing(self, view: View) -> None:
        signing = await self._feeds.signers.of(view)
        if self._signing is not None and signing.keyset == self._signing.keyset:
            return
        # What another key signed may not be believed any more: it is all made anew when somebody asks.
        self._signing, self.keyset = signing, feed.keyset_line(signing)
        self._kept.clear()
        self._kept_bytes = 0
        self._catch_ups.clear()
        self._catalogs.clear()

    async def _mark(self, view: View, seq: int) -> CatalogMark | None:
        revision = await view.feed_catalog(seq)
        return None if revision == 0 else (await self._catalog(view, revision)).mark

    async def _catalog(self, view: View, revision: int) -> SignedCatalog:
        found = self._catalogs.get(revision)
        if found is None:
            found = await feed.catalog_for(view, self.whose, revision, self._signer())
            self._catalogs[revision] = found
            while len(self._catalogs) > 2:
                self._catalogs.popitem(last=False)
        return found

    async def _catalog_lines(self, view: View, stand: Stand) -> list[bytes]:
        return [] if stand.catalog is None else [(await self._catalog(view, stand.catalog.revision)).line]

    def _keep(self, one: Published) -> None:
        self._kept.append(one)
        self._kept_bytes += one.told.size
        while len(self._kept) > _KEPT_SETS or (self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1):
            self._kept_bytes -= self._kept.popleft().told.size

    def _sign(self) -> None:
        issued = self._next_issued()
        self._head, self.issued = self._signed(self._stand(), issued), issued

    def _next_issued(self) -> Instant:
        """Return now; never before the last head, whatever the clock says."""
        return self._feeds.next_issued()

    def _signed(self, stand: Stand, issued: Instant) -> bytes:
        digest = self.digest if self.digest is not None and self.digest.seq <= stand.seq else None
        return feed.sign_head(self.whose, self._signer(), stand, issued, digest)

    def _stand(self) -> Stand:
        if self.ended or self.stand is None:
            raise Ended
        return self.stand

    def _signer(self) -> Signing:
        if self._signing is None:
            raise Ended
        return self._signing

    def end(self) -> None:
        """Go no further: who follows comes again, and is told what holds then."""
        self.ended = True
        self._wake.set()
        self.tell()


class Feeds:
    """The channels of one process, and who may follow how many of them."""

    def __init__(self, storage: Storage, signers: Signers, metrics: Metrics, rhythm: Rhythm | None = None) -> None:
        self.storage = storage
        self.signers = signers
        self.metrics = metrics
        self.rhythm = rhythm or Rhythm()
        self.stopping = False
        self.stale: Instant = int(self.rhythm.head * SECOND)
        self._channels: dict[Whose, Channel] = {}
        self._issued: Instant = 0
        self._by_key: Counter[str] = Counter()

    def now(self) -> float:
        """Return monotonic seconds."""
        return asyncio.get_running_loop().time()

    def wall(self) -> Instant:
        """Return real time."""
        return time.time_ns() // 1000

    def next_issued(self) -> Instant:
        """Return when the next head is issued: now, later than all before, whatever the clock says."""
        self._issued = max(self._issued + 1, self.wall())
        return self._issued

    def notice(self, workspace: str, seq: int) -> None:
        """Take note of a commit."""
        channel = self._channels.get(Whose(workspace))
        if channel is not None:
            channel.notice(seq)

    @asynccontextmanager
    async def follow(self, whose: Whose, key: str) -> AsyncIterator[Channel]:
        """Follow as long as the block lasts; raises Refusal where as many do as may."""
        self._admit(key)
        try:
            channel = await self.channel(whose)
            channel.followers += 1
            try:
                yield channel
            finally:
                channel.followers -= 1
                channel.idle_since = self.now()
        finally:
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]
            self.metrics.following(self._by_key.total())

    async def channel(self, whose: Whose) -> Channel:
        """Return a channel that has published where it stands."""
        channel = self._channels.get(whose)
        if channel is None or channel.ended:
            self._forget_idle()
            channel = self._channels[whose] = Channel(self, whose)
        if channel.stand is None:
            await channel.look()
        if whose.customer is not None:
            await self.channel(Whose(whose.workspace))  # it says when there is something new about the customer
        return channel

    def published(self, channel: Channel, told: FeedSet, before: Stand) -> None:
        """Wake the channels of single customers about whom a workspace's set says something."""
        if channel.whose.customer is not None:
            return
        for whose, other in self._channels.items():
            if whose.workspace != channel.whose.workspace or whose.customer is None:
                continue
            if (
                whose.customer in told.touched
                or told.stand.catalog != before.catalog
                or told.stand.clock != before.clock
            ):
                other.notice(told.stand.seq)

    def drop(self, channel: Channel) -> None:
        """Forget a channel that nobody follows."""
        if self._channels.get(channel.whose) is channel and not self._leads(channel.whose):
            del self._channels[channel.whose]
            channel.ended = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close all channels at the end of the block."""
        self.stopping = False
        try:
            yield
        finally:
            self.stop()
            await asyncio.gather(*(one.close() for one in [*self._channels.values()]))
            self._channels.clear()

    def stop(self) -> None:
        """Let all who follow go: streams end, and those who wait are answered."""
        self.stopping = True
        for channel in self._channels.values():
            channel.tell()

    def _admit(self, key: str) -> None:
        if self._by_key.total() >= limits.MAX_FOLLOWERS:
            words = f"this process has {limits.MAX_FOLLOWERS} followers, as many as it may"
            raise Refusal("unavailable", words, advice="Try again later, or ask another one.", headers=retry_after(10))
        if self._by_key[key] >= limits.MAX_KEY_FOLLOWERS:
            words = f"the key {key} has {limits.MAX_KEY_FOLLOWERS} followers in this process, as many as it may"
            raise too_often(words, 10, "Use one follower for each process of yours, and a key for each product.")
        self._by_key[key] += 1
        self.metrics.following(self._by_key.total())

    def _leads(self, whose: Whose) -> bool:
        """Whether a channel wakes others."""
        if whose.customer is not None:
            return False
        return any(one.workspace == whose.workspace and one.customer is not None for one in self._channels)

    def _forget_idle(self) -> None:
        """Let go of the channels that have been idle for longest, where there are many."""
        idle = [one for one in self._channels.values() if not one.followers and one.whose.customer is not None]
        for channel in sorted(idle, key=lambda one: one.idle_since)[: max(0, len(idle) - _IDLE)]:
            del self._channels[channel.whose]
            channel.end()


def as_events(lines: Iterable[bytes], cursor: Cursor | None) -> bytes:
    """Return lines as server-sent events; the last of them is a head at ``cursor``, where there is one."""
    events = [b"data: " + line for line in lines]
    if cursor is not None:
        events[-1] = b"id: %s\n%s" % (str(cursor).encode(), events[-1])
    return b"".join(event + b"\n\n" for event in events)
