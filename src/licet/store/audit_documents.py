"""Comparing the documents beside the log with what the log promises of them, page by page of the log."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.core.orders import name_parts
from licet.seal.audit import LogVerifier
from licet.store.documents import CATALOG, CUSTOMER, LAST, TERMS, USER, Stored, plain
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
        self._old_until = 0
        """The last entry of before documents were hashed."""
        self._transaction: list[Event] = []
        """The entries of before that were written together with the last of them that was met."""

    async def page(self, events: Sequence[Event], values: Mapping[tuple[str, str], str]) -> None:
        """Compare what is stored under the sequences of this page, and of gaps before it, with its promises.

        ``values`` are the personal values that stand beside the page's events, by the event's id and field.
        """
        promised = {(event.seq, name): given for event in events for name, given in _promises(event).items()}
        together = self._together(events)
        async for stored in self._view.documents(self._seq, events[-1].seq):
            if stored.seq in together:
                self._compare_old(stored, together[stored.seq])
            else:
                self._compare(stored, promised.pop((stored.seq or 0, stored.name), None))
        self._seq = events[-1].seq
        await self._missing(list(promised))
        await self._names(events, values)

    async def end(self) -> None:
        """Name what no event of the log promises: rows beyond its end, customers and users that nobody wrote."""
        async for stored in self._view.documents(self._seq, LAST):
            self._compare(stored, None)
        async for stored in self._view.unplaced_documents():
            self._check.documents(1, 0)
            self._fault(1, f"{stored.name} stands beside the log, but no entry of the log wrote it")
        async for stored in self._view.disordered_documents():
            if stored.seq is not None and stored.seq <= self._old_until:
                words = f"{stored.name} names entry {stored.seq}, but a later entry wrote the revision before it"
                self._fault(stored.seq, words)
        if self._old_until:
            async for name in self._view.lost_documents():
                self._fault(
                    self._old_until, f"{name} is missing: the log of before documents were hashed names it last"
                )
        await self._customers_of_before()
        async for name in self._view.unlike_users():
            self._fault(self._seq, f"{name} is not as its newest revision says: it was edited beside the log")

    async def _customers_of_before(self) -> None:
        async for name, revision, named in self._view.customers_of_before():
            if not self._old_until:
                self._fault(1, f"{name} stands beside the log, but no entry of the log wrote it")
                continue
            self._check.documents(0, 1)
            if revision != named:
                wrote = "never wrote that customer" if named is None else f"last wrote revision {named} of it"
                self._fault(1, f"{name} stands as of before documents were hashed, but the log of then {wrote}")

    def _together(self, events: Sequence[Event]) -> dict[int, Sequence[Event]]:
        """Return the entries of the same transaction for each entry of before on a page, as far as they are known.

        All of one transaction were written at the same instant of real time.
        """
        found: dict[int, Sequence[Event]] = {}
        for event in events:
            if event.documents is None:
                if not self._transaction or self._transaction[-1].wall_at != event.wall_at:
                    self._transaction = []
                self._transaction.append(event)
                found[event.seq] = self._transaction
                self._old_until = event.seq
        return found

    def _compare_old(self, stored: Stored, together: Sequence[Event]) -> None:
        """A document of before has no hash to be compared with; that it was written then can be told all the same."""
        self._check.documents(0, 1)
        if not any(_wrote(event, stored) for event in together):
            words = f"{stored.name} stands beside the log, but entry {stored.seq}, which it names, did not write it"
            self._fault(stored.seq or 1, words)

    def _compare(self, stored: Stored, promised: str | None) -> None:
        self._check.documents(1, 0)
        seq = stored.seq or 1
        if promised is None:
            words = f"{stored.name} stands beside the log, but entry {seq}, which it names, did not write it"
            self._fault(seq, words)
        elif promised != stored.hash:
            words = f"{stored.name} is not what entry {seq} of the log wrote: it was edited beside the log"
            self._fault(seq, words)

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


def _wrote(event: Event, stored: Stored) -> bool:
    """Whether an event of before says that its transaction wrote a document; ids stand in its subject as they are."""
    if stored.kind is CATALOG:
        return (event.subject, event.revision) == ("catalog", stored.revision)
    if stored.kind is USER:
        customer, user = stored.key
        return (event.subject, event.revision) == (f"customer/{customer}/user/{user}", stored.revision)
    if stored.kind is not TERMS or event.subject != f"customer/{stored.key[0]}":
        return False
    # The revision of a changed customer is his own; his terms had a new one, too, if his profile was another.
    return event.revision == stored.revision or (
        event.type == "customer.changed" and _profile(event.before) != _profile(event.after)
    )


def _profile(value: object) -> object:
    return value.get("profile") if isinstance(value, dict) else None


def _promises(event: Event) -> dict[str, Any]:
    # An edited event may hold anything: that it was edited is said elsewhere.
    return event.documents if isinstance(event.documents, dict) else {}
