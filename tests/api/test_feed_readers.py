"""Many followers, followers that read nothing, and more than may be."""

import asyncio
import json
import os
import socket
import time

import pytest
from structlog.testing import capture_logs

from licet.api.channel import Rhythm
from licet.door import limits
from tests.api.followers import held_now, open_feeds, poll
from tests.api.house import ALL, problem
from tests.api.test_feed import customer, follower, until
from tests.store.worlds import World

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

MANY = int(os.environ.get("LICET_TEST_FOLLOWERS", "220"))
"""Followers of one process."""


class Listener:
    """Reads server-sent events from a socket, as cheaply as can be, and notes what it read and when."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.tokens: list[str] = []
        self.at: dict[int, float] = {}
        self.ended = False

    async def listen(self, port: int, secret: str) -> None:
        """Read until the server ends it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        words = (
            f"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\nAccept: text/event-stream\r\n\r\n"
        )
        writer.write(words.encode())
        while line := await reader.readline():
            if line.startswith(b"data: "):
                told = json.loads(line[6:])
                self.tokens += [told[name] for name in ("catalog", "frame") if name in told]
            if line.startswith(b"id: "):
                seq = int(line.strip().rpartition(b":")[2])
                if not self.seqs or self.seqs[-1] != seq:
                    self.seqs.append(seq)
                    self.at[seq] = time.perf_counter()
        self.ended = True
        writer.close()


async def test_each_gets_each_change_once_in_order(world: World) -> None:
    """More than two hundred streams in one process: the same frames, each once, in the order of the log; the server
    counts them, reads the database once for all, and lets all go when it stops."""
    async with open_feeds(world) as house:
        operator = await house.holder(*ALL)
        secret, port = str(operator.secret), int(house.url.rpartition(":")[2])
        many = [Listener() for _ in range(MANY)]
        tasks = [asyncio.create_task(one.listen(port, secret)) for one in many]
        await until(lambda: all(one.seqs for one in many))
        assert f"licet_feed_followers {MANY}.0" in (await operator.ask("GET", "/metrics")).text
        begun = [len(one.tokens) for one in many]
        told: dict[int, float] = {}
        for number in range(12):
            before = time.perf_counter()
            answer = await operator.told("POST", "/v1/customers", {"id": f"each{number}"})
            told[answer["seq"]] = before
        newest = max(told)
        await until(lambda: all(one.seqs[-1] == newest for one in many))
        frames = [one.tokens[start:] for one, start in zip(many, begun, strict=True)]
        assert all(len(set(one)) == len(one) for one in frames)
        assert all(one == frames[0] for one in frames), "the same bytes for all"
        assert all(one.seqs == sorted(set(one.seqs)) for one in many)
        last = [max(one.at[seq] for one in many) - told[seq] for seq in told if all(seq in one.at for one in many)]
        print(f"{MANY} followers: last {sorted(round(one * 1000) for one in last)} ms")  # noqa: T201 to be read
        published = (await operator.ask("GET", "/metrics")).text
        assert 'licet_feed_publish_seconds_count{audience="server"}' in published
    await asyncio.gather(*tasks)
    assert all(one.ended for one in many)


async def test_who_reads_nothing_is_ended(world: World) -> None:
    """A stream of which nothing is read is ended and said so; what it held is free, and others are told as ever."""
    async with open_feeds(world, Rhythm(coalesce=0.001), stall_seconds=0.5) as house:
        operator = await house.holder(*ALL)
        secret, port = str(operator.secret), int(house.url.rpartition(":")[2])
        await customer(operator, "large")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        _, writer = await asyncio.open_connection(sock=sock, limit=1024)
        words = (
            f"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\nAccept: text/event-stream\r\n\r\n"
        )
        writer.write(words.encode())
        feeds = house.built.parts.feeds
        await until(lambda: feeds.followers == 1)
        pad = {f"k{number}": "x" * 1000 for number in range(40)}
        with capture_logs() as logs:
            for number in range(400):
                await operator.told(
                    "PUT", "/v1/customers/large/users/u", {"roles": [], "attributes": {**pad, "n": number}}
                )
                if feeds.followers == 0:
                    break
            await until(lambda: feeds.followers == 0)
        assert [one for one in logs if "stalled" in one["event"]]
        writer.close()
        one = follower()
        await poll(operator.http, one)
        assert one.state() == await held_now(house)


async def test_no_more_follow_than_may(world: World) -> None:
    """Beyond the bound of a key its next follower is refused with a time to come again; others are not."""
    async with open_feeds(world) as house:
        operator, other = await house.holder(*ALL), await house.holder(*ALL)
        feeds = house.built.parts.feeds
        key = str(operator.secret).split("_")[2]
        feeds._by_key[key] = limits.MAX_KEY_FOLLOWERS
        answer = await operator.ask("GET", "/v1/feed")
        assert problem(answer, 429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await other.ask("GET", "/v1/feed")).status_code == 200
        feeds._by_key[key] = limits.MAX_FOLLOWERS
        answer = await other.ask("GET", "/v1/feed")
        assert problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        del feeds._by_key[key]
        assert (await operator.ask("GET", "/v1/feed")).status_code == 200


async def test_where_nobody_follows_nothing_is_done(world: World) -> None:
    """A channel is forgotten some time after its last follower, and a customer's before that of its workspace."""
    async with open_feeds(world, Rhythm(idle=0.1, head=0.05)) as house:
        operator = await house.holder(*ALL)
        await operator.ask("POST", "/v1/customers", {"id": "alone"})
        bound = await house.holder(*ALL, customer="alone")
        assert (await bound.ask("GET", "/v1/feed")).status_code == 200
        feeds = house.built.parts.feeds
        assert len(feeds._channels) == 2
        await until(lambda: not feeds._channels)
