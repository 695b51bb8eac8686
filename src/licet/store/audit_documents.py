"""Comparing the documents beside the log with what the log promises of them, page by page of the log."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.core.orders import name_parts
from licet.seal.audit import LogVerifier
from licet.store.documents import CUSTOMER, LAST, Stored, plain
from licet.store.postgres import PostgresView
from licet.wire.event import Event

PERSONS: Final = frozenset({"customer.created", "customer.changed", "user.created", "user.changed"})
"""The events that commit to the names and mail addresses of a customer's or a user's row."""
_CUSTOMER: Final = f"{CUSTOMER.noun}/"


class DocumentCheck:
    """Follows the log's pages in order; holds one page of promises at a time."""

    def __init__(self, view: PostgresView, check: LogVerifier) -> None:
        self._view = view
        self._check = check
        self._seq = 0
        self._old_log = False

    async def page(self, events: Sequence[Event], values: Mapping[tuple[str, str], str]) -> None:
        """Compare what is stored under the sequences of this page, and of gaps before it, with its promises.

        ``values`` are the personal values that stand beside the page's events, by the event's id and field.
        """
        promised = {(event.seq, name): given for event in events for name, given in _promises(event).items()}
        old = {event.seq for event in events if event.documents is None}
        self._old_log = self._old_log or bool(old)
        async for stored in self._view.documents(self._seq, events[-1].seq):
            self._compare(stored, promised.pop((stored.seq, stored.name), None), is_old=stored.seq in old)
        self._seq = events[-1].seq
        await self._missing(list(promised))
        await self._names(events, values)

    async def end(self) -> None:
        """Name what no event of the log promises: rows beyond its end, customers and users that nobody wrote."""
        async for stored in self._view.documents(self._seq, LAST):
            self._compare(stored, None, is_old=False)
        async for name in self._view.customers_of_before():
            if self._old_log:
                self._check.documents(0, 1)
            else:
                self._fault(1, f"{name} stands beside the log, but no entry of the log wrote it")
        async for name in self._view.unlike_users():
            self._fault(self._seq, f"{name} is not as its newest revision says: it was edited beside the log")

    def _compare(self, stored: Stored, promised: str | None, *, is_old: bool) -> None:
        self._check.documents(0 if is_old else 1, 1 if is_old else 0)
        if is_old:
            return
        if promised is None:
            words = f"{stored.name} stands beside the log, but entry {stored.seq}, which it names, did not write it"
            self._fault(stored.seq, words)
        elif promised != stored.hash:
            words = f"{stored.name} is not what entry {stored.seq} of the log wrote: it was edited beside the log"
            self._fault(stored.seq, words)

    async def _missing(self, promised: Sequence[tuple[int, str]]) -> None:
        replaced = {name: CUSTOMER.read_name(name) for _, name in promised if name.startswith(_CUSTOMER)}
        newest = await self._view.newest_customers(sorted({one for one, _ in replaced.values()}))
        for seq, name in promised:
            if name in replaced:
                customer, revision = replaced[name]
                later, written = newest.get(customer, (0, 0))
                if later > revision and written > seq:
                    continue
                if later:
                    words = f"{name} was written by entry {seq} of the log, but {customer} is stored as of before it"
                    self._fault(seq, words)
                    continue
            self._fault(seq, f"{name} is missing: entry {seq} of the log wrote it")

    async def _names(self, events: Sequence[Event], values: Mapping[tuple[str, str], str]) -> None:
        written = {(key, event.revision): event for event in events if (key := _person(event))}
        keys = {key for key, _ in written}
        customers, users = (
            [key[0] for key in keys if len(key) == 1],
            [(key[0], key[1]) for key in keys if len(key) == 2],
        )
        for row in await self._view.names_of(customers, users):
            event = written.get((row.key, row.revision))
            if event is None:
                continue
            for field, value in (("name", row.name), ("email", row.email)):
                if value != values.get((event.id, field)):
                    noun = "customer" if len(row.key) == 1 else "user"
                    words = (
                        f"the {field} of {'/'.join((noun, *name_parts(*row.key)))} is not the one that entry "
                        f"{event.seq} of the log committed to: it was edited beside the log"
                    )
                    self._fault(event.seq, words)

    def _fault(self, seq: int, words: str) -> None:
        self._check.fault("document", (seq,), words)


def _person(event: Event) -> tuple[str, ...] | None:
    """Return whose personal values an event committed to: (customer,) or (customer, user)."""
    ident = event.after.get("id") if event.type in PERSONS and isinstance(event.after, dict) else None
    if not isinstance(ident, str):
        return None
    if event.type.startswith("customer."):
        return (ident,)
    for spelled in (*name_parts(ident), ident):
        end = f"/user/{spelled}"
        if event.subject.startswith(_CUSTOMER) and event.subject.endswith(end):
            return plain(event.subject.removeprefix(_CUSTOMER).removesuffix(end)), ident
    return None


def _promises(event: Event) -> dict[str, Any]:
    # An edited event may hold anything: that it was edited is said elsewhere.
    return event.documents if isinstance(event.documents, dict) else {}
