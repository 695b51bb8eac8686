"""The storage that use cases need, as protocols. ``store`` implements them on PostgreSQL; nothing else contains SQL.

Every call works inside one workspace, set when the transaction begins. A :class:`Tx` that leaves its block without an
error commits rows, events and the idempotency record together; with an error nothing of it remains.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from licet.core.instant import Instant
from licet.core.terms import Terms
from licet.services.erasure_ports import ErasureReads, ErasureWrites
from licet.services.feed_ports import FeedReads
from licet.services.hosting_ports import HostReads
from licet.services.move_ports import MoveReads, MoveWrites
from licet.services.preview_ports import PreviewReads, PreviewWrites
from licet.services.proof_ports import ProofReads, ProofWrites
from licet.services.rehearsal_ports import RehearsalReads
from licet.services.rows import (
    Actor,
    CatalogRow,
    CheckBatch,
    CheckCountRow,
    CheckFilter,
    CheckGroups,
    CheckRecordRow,
    ChecksLost,
    CustomerRow,
    DeliveryOutcome,
    DeliveryRow,
    Draft,
    FindingFilter,
    FindingRow,
    Instants,
    KeyRow,
    Page,
    Reference,
    SourceRow,
    SourceStatus,
    TeamRow,
    TermsRow,
    UserRow,
    UserThen,
    Workspace,
)
from licet.services.said_ports import SaidReads
from licet.services.signing_ports import SigningReads, SigningWrites
from licet.services.usage.ports import FundingWrites, UsageReads, UsageStorage
from licet.services.usage.top_ports import TopReads
from licet.wire.event import Event


class View(
    FeedReads,
    HostReads,
    SigningReads,
    SaidReads,
    RehearsalReads,
    PreviewReads,
    ProofReads,
    MoveReads,
    ErasureReads,
    UsageReads,
    TopReads,
    Protocol,
):
    """A read-only transaction: one consistent state of one workspace. Writes nothing, not even WAL."""

    workspace: Workspace
    time: Instants

    async def seq(self) -> int:
        """Return the sequence of the newest event (0 for an empty log)."""
        ...

    async def catalog(self, revision: int | None = None) -> CatalogRow | None:
        """Return a released catalog, by default the newest."""
        ...

    async def catalog_revision(self) -> int:
        """Return the newest catalog revision (0 before the first release)."""
        ...

    async def catalogs(self, page: Page) -> Sequence[CatalogRow]:
        """List releases, newest first; ``after`` is the revision before which to go on."""
        ...

    async def customer(self, customer: str) -> CustomerRow | None:
        """Return one customer."""
        ...

    async def customers(self, page: Page) -> Sequence[CustomerRow]:
        """List customers by id."""
        ...

    async def customer_by_external_id(self, source: str, external_id: str) -> str | None:
        """Return the customer whom a foreign system calls so."""
        ...

    async def customer_by_subscription(self, source: str, external_id: str) -> str | None:
        """Return the customer whose newest terms hold the subscription that a foreign system calls so."""
        ...

    async def terms(self, customer: str) -> TermsRow | None:
        """Return the newest terms; None for an unknown customer (a known one always has terms)."""
        ...

    async def terms_history(self, customer: str, page: Page) -> Sequence[TermsRow]:
        """List the revisions of a customer's terms, newest first."""
        ...

    async def standing_of(self, customer: str, user: str | None) -> tuple[int, TermsRow | None, UserRow | None]:
        """Return (catalog revision, terms, user) in one round trip: what a check reads."""
        ...

    async def user(self, customer: str, user: str) -> UserRow | None:
        """Return one user of a customer."""
        ...

    async def users(self, customer: str, page: Page) -> Sequence[UserRow]:
        """List a customer's users by id."""
        ...

    async def team(self, customer: str, team: str) -> TeamRow | None:
        """Return one team of a customer."""
        ...

    async def teams(self, customer: str, page: Page) -> Sequence[TeamRow]:
        """List a customer's teams by id."""
        ...

    async def source(self, source: str) -> SourceRow | None:
        """Return a configured source."""
        ...

    async def sources(self) -> Sequence[SourceRow]:
        """List configured sources."""
        ...

    async def source_secrets(self, source: str) -> Sequence[bytes]:
        """Return the opened signing secrets of a source, newest first (two during a rotation)."""
        ...

    async def delivery(self, source: str, delivery: str) -> DeliveryRow | None:
        """Return one message of a foreign system."""
        ...

    async def deliveries(
        self, source: str, page: Page, outcome: DeliveryOutcome | None = None
    ) -> Sequence[DeliveryRow]:
        """List messages of a source, newest first; only those that ended as ``outcome`` where it is given."""
        ...

    async def undone(
        self, source: str, outcomes: Sequence[DeliveryOutcome], limit: int, *, after: str | None = None
    ) -> Sequence[str]:
        """List the ids of messages of a source that ended so far as one of ``outcomes``, oldest first.

        Only ``failed`` and ``waiting`` are indexed. ``after`` is the id of the message after which to go on.
        """
        ...

    async def source_status(self, source: str) -> SourceStatus:
        """Return how a source fares; nothing but zeros and None for one that never sent."""
        ...

    async def reference(self, source: str, reference: str) -> Reference | None:
        """Return what a foreign invoice or payment belongs to."""
        ...

    async def waiting(self, source: str, awaits: str) -> Sequence[DeliveryRow]:
        """List the deliveries of a source whose outcome is ``waiting`` for ``awaits``, by (created, id)."""
        ...

    async def findings(self, only: FindingFilter, page: Page) -> Sequence[FindingRow]:
        """List findings, by id."""
        ...

    async def finding(self, finding: str) -> FindingRow | None:
        """Return one finding."""
        ...

    async def open_finding(self, kind: str, subject: str) -> FindingRow | None:
        """Return the open finding of a kind about a subject; there is at most one."""
        ...

    async def open_findings_about(self, kinds: Sequence[str], subject: str) -> Sequence[FindingRow]:
        """List the open findings of some kinds about a subject or its parts (``subject/…``), 500 at most."""
        ...

    async def check_counts(self, only: CheckFilter, groups: CheckGroups, page: Page) -> Sequence[CheckCountRow]:
        """Sum up how many checks there were; ``after`` is the ``place`` of the row after which to go on.

        Counted is by whole hours: those that begin within the filter's time.
        """
        ...

    async def check_records(self, only: CheckFilter, page: Page) -> Sequence[CheckRecordRow]:
        """List recorded checks, newest first; ``after`` is the id of the one after which to go on."""
        ...

    async def checks_lost(self) -> ChecksLost:
        """Return what could not be counted or recorded, as far as processes of the last 35 days have said."""
        ...

    async def keys(self, page: Page) -> Sequence[KeyRow]:
        """List API keys, by id."""
        ...

    async def events(
        self,
        page: Page,
        *,
        subject: str | None = None,
        type: str | None = None,  # noqa: A002 the field's name
    ) -> Sequence[Event]:
        """List events in sequence order; ``after`` is the sequence after which to go on."""
        ...

    async def seq_at(self, at: datetime) -> int:
        """Return the sequence of the newest event recorded at or before an instant (0: nothing was)."""
        ...

    async def catalog_at(self, seq: int) -> CatalogRow | None:
        """Return the newest catalog released by a sequence."""
        ...

    async def first_release(self) -> datetime | None:
        """Return when the first catalog was released."""
        ...

    async def terms_at(self, customer: str, seq: int) -> TermsRow | None:
        """Return the newest terms of a customer that were recorded by a sequence."""
        ...

    async def user_at(self, customer: str, user: str, seq: int) -> UserThen | None:
        """Return what was known of a user at a sequence, without anything personal."""
        ...

    async def events_named(self, ids: Sequence[str]) -> Sequence[Event]:
        """Return the events with these ids, in no particular order; one that is not there is left out."""
        ...

    async def events_about(
        self, subjects: Sequence[str], *, after: int = 0, before: int = 2**62, limit: int = 100
    ) -> Sequence[Event]:
        """Return the newest events about any of these subjects between two sequences (exclusive), newest first."""
        ...


class Tx(View, SigningWrites, PreviewWrites, ProofWrites, MoveWrites, ErasureWrites, FundingWrites, Protocol):
    """A writing transaction. ``record`` may be called several times; events get their sequence at commit."""

    actor: Actor
    committed_seq: int
    """The sequence of this transaction's last event; set when the block has ended."""

    async def record(self, draft: Draft) -> str:
        """Stage one event and return its id (``evt_…``)."""
        ...

    async def put_catalog(self, doc: bytes, base_revision: int, note: str) -> int:
        """Release a catalog on top of ``base_revision``; raises Conflict if that is not the newest."""
        ...

    async def lock_customer(self, customer: str) -> TermsRow | None:
        """Lock one customer until commit and return the newest terms; None if there is no such customer.

        ``time`` is taken anew with it, so that a command that waited comes after what it waited for: never before the
        recording of these terms. A command that depends on time therefore locks first.

        A customer inserted in this transaction counts as locked.
        """
        ...

    async def put_customer(self, row: CustomerRow) -> None:
        """Insert (revision 1) or replace (the next revision) a customer.

        Raises Conflict if the id is taken, if somebody else wrote that revision, or if an external id belongs to
        another customer.
        """
        ...

    async def put_terms(self, customer: str, terms: Terms) -> int:
        """Append a revision of the terms and return its number; the customer must be locked.

        Several in one transaction are one revision, the last; until commit it is read back with sequence 0.
        Keeps the index of foreign subscriptions (source, external id → customer); raises Conflict if another
        customer has one of them.
        """
        ...

    async def put_user(self, row: UserRow) -> None:
        """Insert (revision 1) or replace (the next revision) a user and append its revision; raises Conflict."""
        ...

    async def put_team(self, row: TeamRow) -> None:
        """Insert (revision 1) or replace (the next revision) a team; raises Conflict."""
        ...

    async def put_source(self, row: SourceRow, secrets: Sequence[bytes]) -> None:
        """Insert or replace a source; its secrets are sealed before they are written."""
        ...

    async def put_delivery(self, row: DeliveryRow) -> DeliveryRow | None:
        """Insert a delivery (locked until commit); returns the earlier one instead if its id came before."""
        ...

    async def end_delivery(
        self, source: str, delivery: str, outcome: DeliveryOutcome, words: str, *, awaits: str | None = None
    ) -> None:
        """Say how a delivery ended; ``awaits`` is kept (or cleared) with it."""
        ...

    async def put_references(self, source: str, rows: Sequence[Reference]) -> None:
        """Keep what foreign invoices and payments belong to; a known one is completed, never moved."""
        ...

    async def put_finding(self, row: FindingRow) -> bool:
        """Insert a finding; one that is open with the same kind and subject is counted up instead.

        Returns whether it is new.
        """
        ...

    async def change_finding(self, row: FindingRow) -> None:
        """Replace state, owner, due date, note and ``settled_at`` of a finding.

        Raises Conflict where it would be open beside another open one of its kind and subject.
        """
        ...

    async def keep_checks(self, batch: CheckBatch) -> None:
        """Add what was counted and recorded, in one statement; a batch whose number came before changes nothing."""
        ...

    async def forget_checks(self, counts_before: datetime, records_before: datetime, limit: int) -> int:
        """Delete at most ``limit`` counts, as many uses that were said, and records, from before two business instants.

        Returns how many rows were deleted of the kind of which there were most.
        """
        ...

    async def put_key(self, row: KeyRow, secret_hash: bytes) -> None:
        """Insert an API key."""
        ...

    async def revoke_key(self, key: str, at: datetime | None = None) -> KeyRow | None:
        """Set when a key stops working (real time; now by default, never later than set before).

        Returns the changed key, or None if there is none.
        """
        ...

    async def lock_clock(self) -> None:
        """Lock the business clock until commit and take ``time`` anew: what moves on from it moves on from now."""
        ...

    async def set_clock(self, offset: int, frozen_at: int | None) -> None:
        """Move the business clock (instants in microseconds); raises Conflict backwards or in a live workspace."""
        ...

    async def replay(self, route: str, key: str, body_hash: bytes) -> tuple[int, bytes] | None:
        """Claim an idempotency key until commit; returns the stored answer of an earlier, equal request.

        Raises KeyReused (same key, other body) or KeyBusy (the first request is still under way).
        """
        ...

    async def flush(self) -> int:
        """Write the staged events now and return the sequence of the last (the newest in the log if there is none).

        For an answer that must hold its own sequence before commit. It locks the log's tip until then, so it comes
        last: nothing may be recorded after it.
        """
        ...

    async def keep_answer(self, route: str, key: str, body_hash: bytes, status: int, body: bytes) -> None:
        """Keep the answer of this transaction under an idempotency key (≥ 35 days)."""
        ...


class Storage(UsageStorage, Protocol):
    """The door to one database. Safe for concurrent use; connections are pooled."""

    def read(self, workspace: str) -> AbstractAsyncContextManager[View]:
        """Begin a read-only transaction; raises UnknownWorkspace."""
        ...

    def read_long(self, workspace: str) -> AbstractAsyncContextManager[View]:
        """Begin one that may last for minutes; raises Unavailable at once where as many go on as may be at once.

        They are few, and take nothing from those that are short.
        """
        ...

    def write(
        self, workspace: str, actor: Actor, *, note: str = "", cause: str | None = None
    ) -> AbstractAsyncContextManager[Tx]:
        """Begin a writing transaction; ``note`` and ``cause`` go into every event of it."""
        ...

    async def workspaces(self) -> Sequence[Workspace]:
        """List workspaces."""
        ...

    async def create_workspace(self, workspace: Workspace, actor: Actor) -> None:
        """Create a workspace whose log begins with ``workspace.created`` (sequence 1); does nothing if it exists."""
        ...

    def commits(self, workspace: str) -> int:
        """Return a number that grows with every commit of events by this process, in doubt or not; asks nobody."""
        ...

    def wall(self) -> Instant:
        """Return real time as this storage reads it."""
        ...

    async def authenticate(self, key_id: str) -> tuple[KeyRow, bytes] | None:
        """Return a key of any workspace and its secret's hash: the key index lies outside row-level security."""
        ...

    def watch(self) -> AsyncIterator[tuple[str, int]]:
        """Yield (workspace, newest sequence) after commits anywhere; at least once a second."""
        ...
