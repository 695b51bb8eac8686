"""How followers begin: with a whole state, most of it made once for all who begin within some time.

Its end is made for each stand at which somebody begins, and says what came after the rest was made: so nobody is told
of a state that is older than one that was known before.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from licet.api.spool import Spool
from licet.door import limits
from licet.services import feed
from licet.services.errors import Unavailable
from licet.services.feed import Stand, Whose
from licet.services.feed_ports import Signing
from licet.services.ports import Storage, View
from licet.wire.feed import DigestMark

SMALL: Final = 2_000
"""Rows of all revisions that are read whole in passing, without a place among the long reads."""


class Published(Protocol):
    """What a beginning must know of the channel; :class:`~licet.api.channel.Channel` is it."""

    whose: Whose

    @property
    def stand(self) -> Stand:
        """What is published."""
        ...

    def signer(self) -> Signing:
        """With what it is signed."""
        ...

    async def catalog_lines(self, view: View, stand: Stand) -> list[bytes]:
        """Return the signed catalog of a stand, where it has one."""
        ...

    async def too_far(self, view: View, since: int, seq: int) -> bool:
        """Whether more came between two sequences than one set may say."""
        ...

    def found(self, mark: DigestMark) -> None:
        """Take note of what all rows add up to."""
        ...


class Made(Struct, frozen=True, kw_only=True):
    """A whole state, signed but for its end."""

    stand: Stand
    version: int
    """Of the keyset that names the key."""
    spool: Spool
    left: feed.Framer
    """It makes the last frames, again and again."""
    small: bool
    at: float


class Whole(Struct, frozen=True, kw_only=True):
    """A whole state as it is handed to whoever begins: a catalog, the lines of the spool, and those of the end."""

    stand: Stand
    catalog: bytes | None
    spool: Spool
    end: tuple[bytes, ...]


class Beginning:
    """The whole state of one channel. ``seconds`` is how long it is handed out; ``now`` gives monotonic seconds."""

    def __init__(self, channel: Published, storage: Storage, seconds: float, now: Callable[[], float]) -> None:
        self._channel = channel
        self._storage = storage
        self._seconds = seconds
        self._now = now
        self._whole: Whole | None = None
        self._filling = asyncio.Lock()
        self.made: Made | None = None

    async def whole(self) -> Whole:
        """Return a whole state at what is published; who asks at once shares one."""
        async with self._filling:
            made = self.made
            if made is None or not await self._serves(made):
                self.forget()
                made = self.made = await self._fill()
            stand = self._channel.stand
            if self._whole is None or self._whole.stand != stand:
                self._whole = await self._ended(made, stand)
            return self._whole

    def forget(self) -> None:
        """Keep nothing of it."""
        self.made = self._whole = None

    async def _serves(self, made: Made) -> bool:
        """Whether what is there already will do; what is made in passing is made anew."""
        if made.version != self._channel.signer().version:
            return False
        seq = self._channel.stand.seq
        if made.stand.seq == seq:
            return True
        if made.small or self._now() - made.at >= self._seconds:
            return False
        async with self._storage.read(self._channel.whose.workspace) as view:
            return not await self._channel.too_far(view, made.stand.seq, seq)

    async def _fill(self) -> Made:
        whose, stand, signer = self._channel.whose, self._channel.stand, self._channel.signer()
        total, spool, framer = feed.Sum(), Spool(limits.MAX_FEED_FULL), feed.begun(whose, signer, stand)

        async def pour(view: View) -> None:
            async for line in feed.whole(view, whose, framer, stand.seq, total):
                await spool.add(line)

        try:
            async with self._storage.read(whose.workspace) as view:
                small = whose.customer is not None or await view.feed_changed(0, stand.seq, SMALL + 1) <= SMALL
                if small:
                    await pour(view)
            if not small:
                async with self._storage.read_long(whose.workspace) as view:
                    await pour(view)
        except OSError as error:
            words = f"the whole feed cannot be kept in a file: {error}"
            raise Unavailable(words, advice="make room where temporary files are kept") from error
        self._channel.found(total.mark(stand.seq))
        return Made(stand=stand, version=signer.version, spool=spool, left=framer, small=small, at=self._now())

    async def _ended(self, made: Made, stand: Stand) -> Whole:
        async with self._storage.read(self._channel.whose.workspace) as view:
            catalog = await self._channel.catalog_lines(view, stand)
            end = await feed.ended(view, self._channel.whose, made.left, made.stand.seq, stand.seq)
        return Whole(stand=stand, catalog=catalog[0] if catalog else None, spool=made.spool, end=tuple(end))
