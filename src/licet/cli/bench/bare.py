"""The bare handler that the hot door is measured against: asyncio and httptools, one decode, one look-up, one encode.

It knows no keys, no clocks, no counts and no other routes: nothing that answers checks over HTTP can do less.
"""

import asyncio
import sys
from typing import Final, cast

import httptools
import msgspec
import uvloop

from licet.core.question import Question
from licet.core.views import DecisionView

Table = dict[tuple[str, str], DecisionView]

_questions: Final = msgspec.json.Decoder(Question)
_encoder: Final = msgspec.json.Encoder()


class Bare(asyncio.Protocol):
    """One connection."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Gather the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Decode, look up, encode, write."""
        question = _questions.decode(self._body)
        self._body = b""
        content = _encoder.encode(self._table[question.customer, question.feature])
        if self._transport is not None:
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(content), content)
            )


async def _serve(table: Table) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Bare(table), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)  # until whoever measures closes it
    server.close()


def main() -> None:
    """Answer with the decisions on the first line of standard input; prints the port."""
    decisions = msgspec.json.decode(sys.stdin.buffer.readline(), type=list[DecisionView])
    table = {(one.customer, one.feature): one for one in decisions}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(table))


if __name__ == "__main__":
    main()
