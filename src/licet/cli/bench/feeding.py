"""A feed of made-up customers on a loopback port: the server's own messages, signed with a key that lives as long."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Raw

from licet.cli.bench.worlds import terms_of
from licet.cli.demo.stage import catalog_path
from licet.core.catalog import encode_catalog
from licet.core.instant import DAY, Instant, to_datetime
from licet.seal.canonical import canonical
from licet.seal.keyset import KeyEntry, Keyset, sign_keyset, sign_with
from licet.seal.paserk import pid, public_of, write_public
from licet.services.feed import Framer, Stand, Whose, keyset_line, line, sign_head
from licet.services.feed_ports import Rows
from licet.wire.catalog_text import read_catalog
from licet.wire.feed import CatalogDocument, CatalogMark, ClockMark, Cursor, Line, TermsRow

WORKSPACE: Final = "bench"
KEY: Final = f"lct_test_{'b' * 16}_{'b' * 32}"
"""Nobody looks at it."""
_WHOSE: Final = Whose(WORKSPACE)


class OwnKeys:
    """A root and a feed key, made now."""

    version = 1

    def __init__(self, now: Instant) -> None:
        root, self._seed = os.urandom(32), os.urandom(32)
        public = write_public(public_of(self._seed))
        entry = KeyEntry(
            id=pid(public_of(self._seed)),
            public=public,
            purposes=("feed",),
            not_before=to_datetime(now - DAY),
            not_after=to_datetime(now + 2 * DAY),
        )
        keyset = Keyset(workspace=WORKSPACE, version=1, issued_at=to_datetime(now), keys=(entry,))
        self.keyset = sign_keyset(keyset, root)
        self.root = write_public(public_of(root))

    def sign(self, payload: bytes) -> str:
        """Sign a message of the feed."""
        return sign_with(payload, self._seed, "feed")


def rows_of(customers: int, now: Instant) -> Iterator[TermsRow]:
    """Yield the rows of so many customers with terms of all kinds."""
    for number in range(customers):
        terms = terms_of(number, now)
        yield TermsRow(customer=terms.customer, revision=1, seq=number + 2, doc=Raw(canonical(terms)))


def feed_of(customers: int) -> Iterator[bytes]:
    """Yield the lines of a feed from its beginning to its head, as a server sends them."""
    now = time.time_ns() // 1000
    keys = OwnKeys(now)
    yield keyset_line(keys)
    doc = encode_catalog(read_catalog(catalog_path().read_bytes()))
    document = CatalogDocument(workspace=WORKSPACE, audience="server", revision=1, doc=Raw(doc))
    yield line(Line(catalog=keys.sign(msgspec.json.encode(document))))
    seq = customers + 2
    framer = Framer(_WHOSE, keys, "full", Cursor(1, 0), seq)
    for row in rows_of(customers, now):
        yield from framer.put(Rows(terms=(row,)))
    yield framer.end()
    mark = CatalogMark(revision=1, hash=hashlib.sha256(doc).hexdigest())
    stand = Stand(epoch=1, seq=seq, zone="UTC", clock=ClockMark(), catalog=mark)
    yield sign_head(_WHOSE, keys, stand, time.time_ns() // 1000, None)


class LocalFeed:
    """Serves one feed to whoever asks, as often as they ask, and nothing newer."""

    def __init__(self, customers: int) -> None:
        lines = [*feed_of(customers)]

        class Telling(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/x-ndjson")
                self.send_header("Licet-Feed", "full")
                self.end_headers()
                for one in lines:
                    self.wfile.write(one + b"\n")

            def do_POST(self) -> None:
                """Take what is told of checks, and forget it."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Say nothing: standard error is for what goes wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Telling)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
