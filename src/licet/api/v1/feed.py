"""The feed over HTTP: what followers need to decide by themselves, signed."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from typing import Annotated, Final

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.channel import Ended
from licet.api.contract import NDJSON, Reply, operation
from licet.api.sse import EVENTS, Flow, Way, events, lines
from licet.door.limits import FEED_WAIT_SECONDS
from licet.services import feed
from licet.services.errors import Unavailable
from licet.services.feed import Whose
from licet.wire.feed import Cursor, Line

TAG: Final = "Feed"
_SCOPES: Final = ("check",)
_TRIES: Final = 3
"""How often a feed may begin anew while somebody asks for it."""
CursorText = Annotated[str, Meta(min_length=1, max_length=40)]


class FeedQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where, and how."""

    cursor: CursorText | None = None
    """The cursor of the last head that was believed (`1:42`); none to begin anew."""
    wait: Annotated[int, Meta(ge=0, le=FEED_WAIT_SECONDS)] = 0
    """Seconds to wait for something new, where there is nothing. Server-sent events wait by themselves."""
    picked: bool = False
    """Whoever begins anew holds nobody yet: no rows are sent then, and customers are asked for one by one."""


class PickQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As of when."""

    cursor: CursorText
    """The cursor of the last head that was believed."""


@operation(
    "GET",
    "/v1/feed",
    tag=TAG,
    scopes=_SCOPES,
    binding="own",
    answers=(NDJSON, EVENTS),
    example_query={"wait": "0"},
    answer={"head": "v4.public.eyJ2IjoxLCJ3b3Jrc3BhY2UiOiJ0ZXN0In0"},
    problems=("ahead_of_log",),
)
async def follow_feed(call: Call, query: FeedQuery) -> Annotated[Reply, Line]:
    """Follow what decisions rest on, signed: catalogs, terms and users' facts, and how fresh they are.

    A line is a signed keyset, catalog, frame or head. With `Accept: text/event-stream` the answer goes on as
    server-sent events; else it ends with a head, after at most `wait` seconds. The header `Licet-Feed` says whether it
    begins anew (`full`), goes on from the cursor (`changes`) or has nothing new (`none`). A key that is bound to one
    customer is told of that one alone. The protocol is described under docs/reference/feed.md.
    """
    whose = Whose(call.workspace, call.caller.customer)
    cursor = None if query.cursor is None else feed.cursor_given(query.cursor)
    streams = EVENTS in call.headers.get("accept", "")
    way, held = await _begun(call, whose, cursor, query, 0 if streams else query.wait)
    source = _held(held, events(way, call.trail) if streams else lines(way, call.trail))
    await anext(source)
    headers = {"Licet-Feed": way.mode, "X-Accel-Buffering": "no"}
    return Reply(Flow(source), media_type=EVENTS if streams else NDJSON, headers=headers)


@operation(
    "GET",
    "/v1/feed/customers/{customer}",
    tag=TAG,
    scopes=_SCOPES,
    binding="path",
    answers=(NDJSON,),
    example_path={"customer": "acme"},
    example_query={"cursor": "1:42"},
    answer={"frame": "v4.public.eyJ2IjoxLCJ3b3Jrc3BhY2UiOiJ0ZXN0In0"},
    problems=("ahead_of_log",),
)
async def pick_customer(call: Call, customer: str, query: PickQuery) -> Annotated[Reply, Line]:
    """Get all that decisions about one customer rest on, as of exactly a cursor, signed.

    For followers that hold only some customers. One frame, or a chain of them for more than 1,000 users; a customer
    that is not known has no rows.
    """
    cursor = feed.cursor_given(query.cursor)
    whose = Whose(call.workspace, call.caller.customer)
    async with call.read() as view:
        signing = await call.parts.signers.of(view)
        found = await feed.picked(view, whose, signing, customer, cursor)
    return Reply(b"".join(line + b"\n" for line in found), media_type=NDJSON)


async def _begun(
    call: Call, whose: Whose, cursor: Cursor | None, query: FeedQuery, wait: int
) -> tuple[Way, AsyncExitStack]:
    """Return where a follower stands, and what it holds as long as it follows."""
    for _ in range(_TRIES):
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(call.parts.feeds.follow(whose, call.caller.key))
            stay = stack.enter_context(call.staying(_SCOPES, channel.tell))
            way = Way(channel, cursor, stay, picked=query.picked)
            with suppress(Ended):
                await way.begin(wait)
                return way, stack.pop_all()
    raise Unavailable("the feed begins anew just now", advice="ask again")


async def _held(held: AsyncExitStack, source: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Pass a source on and let go of what it holds at its end; the first value is nothing, said before it begins."""
    async with held:
        yield b""
        try:
            async for said in source:
                yield said
        finally:
            await source.aclose()
