"""Small caches for tests: a set is written in one call, and what a cache holds is told as one mapping."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from msgspec import Raw

from licet.sdk.cache import MOST_BYTES, Cache, Floors, Identity, Kept, Mark, Rows
from licet.wire.feed import Cursor, TermsRow, UserRow

IDENTITY = Identity(url="https://licet.example.com", key="abcdefgh234567ab")
State = dict[str | tuple[str, str], Any]


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return its time, in seconds."""
        return self.now


@contextmanager
def cached(
    base: Path,
    identity: Identity = IDENTITY,
    *,
    most_bytes: int = MOST_BYTES,
    clock: Callable[[], float] = monotonic,
) -> Iterator[Cache]:
    """Make a cache and close it in the end; opening it is up to the block."""
    cache = Cache(base, identity, most_bytes=most_bytes, clock=clock)
    try:
        yield cache
    finally:
        cache.close()


def mark(seq: int, *, epoch: int = 1, catalog: str | None = "v4.public.catalog", floors: Floors | None = None) -> Mark:
    """Return the mark of a set that ends at a sequence."""
    return Mark(
        head=f"v4.public.head-{epoch}-{seq}",
        cursor=Cursor(epoch, seq),
        floors=floors or Floors(keyset=1, epoch=epoch, seq=seq, issued_at=epoch * 10**6 + seq),
        root="k4.public.root",
        keyset="v4.public.keyset",
        catalog=catalog,
    )


def terms(customer: str, revision: int = 1, more: str = "") -> TermsRow:
    """Return a customer's terms at a revision."""
    doc = Raw(msgspec.json.encode({"customer": customer, "revision": revision, "more": more}))
    return TermsRow(customer=customer, revision=revision, seq=revision, doc=doc)


def user(customer: str, name: str) -> UserRow:
    """Return a user."""
    return UserRow(customer=customer, user=name, revision=1, seq=1, roles=("admin",))


def write(
    cache: Cache,
    since: Cursor | None,
    end: Mark,
    rows: Sequence[TermsRow] = (),
    users: Sequence[UserRow] = (),
    *,
    dropped: Sequence[str] = (),
) -> bool:
    """Write one set; returns whether it was taken, and is where the file stands now."""
    taken = cache.begin(since)
    cache.put(rows, users, dropped)
    cache.commit(end)
    return taken and cache.cursor == end.cursor


def held(parts: Iterable[Rows]) -> State:
    """Return what rows come to: documents by customer, roles by customer and user."""
    found: State = {}
    for rows in parts:
        for customer in rows.dropped:
            found = {key: value for key, value in found.items() if customer not in (key, key[0])}
        found.update({one.customer: one.doc for one in rows.terms})
        found.update({(one.customer, one.user): one.roles for one in rows.users})
    return found


def state(kept: Kept) -> State:
    """Return what a cache holds, nothing where there is no truth; closes it."""
    if kept.truth is None:
        return {}
    found = held(kept.truth.rows())
    kept.truth.close()
    return found


def doc(customer: str, revision: int = 1) -> bytes:
    """Return the document of a customer's terms at a revision."""
    return bytes(terms(customer, revision).doc)
