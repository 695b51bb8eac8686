"""The publisher: the channels of one process, one for each feed that somebody follows here. Where nobody follows,
nothing is done.

The feed of a single customer is a channel of its own. The channel of its workspace says when there is something new
about it, so that a thousand customers are not looked after at each commit. Where it goes no further it is made anew at
once, whether anybody follows it or not.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from licet.api.channel import Channel, Rhythm
from licet.core.instant import Instant
from licet.door import limits
from licet.door.problems import Refusal, retry_after, too_often
from licet.services.feed import FeedSet, Stand, Whose
from licet.services.ports import Storage
from licet.services.signing import Signers
from licet.telemetry import Metrics

IDLE: Final = 100
"""Channels of single customers that are kept although nobody follows them just now."""
_AGAIN_SECONDS: Final = 10


class Feeds:
    """The channels of one process, and who may follow how many of them."""

    def __init__(self, storage: Storage, signers: Signers, metrics: Metrics, rhythm: Rhythm | None = None) -> None:
        self.storage = storage
        self.signers = signers
        self.metrics = metrics
        self.rhythm = rhythm or Rhythm()
        self.stopping = False
        self._channels: dict[Whose, Channel] = {}
        self._floor: Instant = 0
        self._by_key: Counter[str] = Counter()

    @property
    def followers(self) -> int:
        """How many follow just now."""
        return self._by_key.total()

    def now(self) -> float:
        """Return monotonic seconds."""
        return asyncio.get_running_loop().time()

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
            channel = await self._channel(whose)
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
            self.metrics.following(self.followers)

    def published(self, channel: Channel, told: FeedSet, before: Stand) -> None:
        """Wake the channels of single customers about whom a workspace's set says something."""
        if channel.whose.customer is not None:
            return
        everyone = (told.stand.catalog, told.stand.clock) != (before.catalog, before.clock)
        for whose, other in self._channels.items():
            if whose.workspace == channel.whose.workspace and (everyone or whose.customer in told.touched):
                other.notice(told.stand.seq)

    def began(self, channel: Channel, stand: Stand) -> None:
        """Let the channels of single customers look for themselves: what happened before is in no set of this one."""
        if channel.whose.customer is None:
            for whose, other in self._channels.items():
                if whose.workspace == channel.whose.workspace and whose.customer is not None:
                    other.notice(stand.seq)

    def ended(self, channel: Channel) -> None:
        """Make a workspace's channel anew where those of single customers depend on it, though nobody else may come."""
        mine = self._channels.get(channel.whose) is channel
        if mine and not self.stopping and self._leads(channel.whose):
            self._floor = max(self._floor, channel.issued)
            self._channels[channel.whose] = Channel(self, channel.whose, self._floor)

    def drop(self, channel: Channel) -> bool:
        """Forget a channel that nobody follows; False where it is still needed."""
        if self._leads(channel.whose):
            return False
        if self._channels.get(channel.whose) is channel:
            del self._channels[channel.whose]
        self._end(channel)
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close all channels at the end of the block."""
        self.stopping = False
        try:
            yield
        finally:
            self.stop()
            await asyncio.gather(*(one.close() for one in self._channels.values()))
            self._channels.clear()

    def stop(self) -> None:
        """Let all who follow go: streams end, and those who wait are answered."""
        self.stopping = True
        for channel in self._channels.values():
            channel.tell()

    async def _channel(self, whose: Whose) -> Channel:
        """Return a channel that has published where it stands."""
        if whose.customer is not None:
            await self._channel(Whose(whose.workspace))
        channel = self._channels.get(whose)
        if channel is None or channel.ended:
            self._forget_idle()
            if channel is not None:
                self._end(channel)
            channel = self._channels[whose] = Channel(self, whose, self._floor)
        if not channel.begun:
            await channel.look()
        return channel

    def _admit(self, key: str) -> None:
        if self.followers >= limits.MAX_FOLLOWERS:
            words = f"this process has {limits.MAX_FOLLOWERS:,} followers, as many as it may"
            headers = retry_after(_AGAIN_SECONDS)
            raise Refusal("unavailable", words, advice="Try again later, or at another server.", headers=headers)
        if self._by_key[key] >= limits.MAX_KEY_FOLLOWERS:
            words = f"the key {key} has {limits.MAX_KEY_FOLLOWERS:,} followers in this process, as many as it may"
            raise too_often(words, _AGAIN_SECONDS, "Follow once for each process of yours; end what nobody reads.")
        self._by_key[key] += 1
        self.metrics.following(self.followers)

    def _leads(self, whose: Whose) -> bool:
        """Whether a channel wakes others."""
        if whose.customer is not None:
            return False
        return any(one.workspace == whose.workspace and one.customer is not None for one in self._channels)

    def _forget_idle(self) -> None:
        """Let go of the channels that have been idle for longest, where there are many."""
        idle = [one for one in self._channels.values() if not one.followers and one.whose.customer is not None]
        for channel in sorted(idle, key=lambda one: one.idle_since)[: max(0, len(idle) - IDLE)]:
            self.drop(channel)

    def _end(self, channel: Channel) -> None:
        # The next channel of this feed issues no head that is older than the last one of this.
        self._floor = max(self._floor, channel.issued)
        channel.end()
