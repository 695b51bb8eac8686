"""One workspace's truth in one process: it answers without a network call, a lock or a signature."""

import threading
from collections.abc import Iterable, Set
from typing import Literal

from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.decision import Decision
from licet.core.derive import Entitlements
from licet.core.instant import FOREVER, Instant, to_instant
from licet.core.question import Context, UserFacts
from licet.evaluator.cases import RowCase, RowDecision, World, make_entry
from licet.evaluator.errors import NoTruth
from licet.evaluator.holding import Holding
from licet.evaluator.rows import (
    ABSENT,
    part_of,
    revision_of,
    terms_row,
    user_key,
    user_row,
)
from licet.evaluator.states import GONE, Awaited, Staged, State, shelves
from licet.wire.feed import DIGEST_SIZE, ClockMark, Cursor, TermsRow, UserRow

Ready = RowDecision | RowCase
"""An answer made ready: the decision itself, or the case that the ruling of its ``alike`` decides."""
_NOTED = 4_096
"""Rows of one customer that are put beside while all of it is on its way."""


class LocalTruth(Holding):
    """What one workspace's customers may do, as a feed or a database told it. Reading never waits and never writes.

    Whoever writes does so from one thread at a time: ``begin``, any number of ``release`` and ``put…``, ``commit``.
    Readers of any thread see all of a set or nothing of it. Outside a set each ``put…`` counts at once.
    """

    # Asking

    def check(  # noqa: PLR0917 - given in place: by name they cost a fifth of a check
        self,
        customer: str,
        feature: str,
        now: Instant,
        user: str | None = None,
        context: Context | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
    ) -> Decision:
        """Return the decision at ``now``, an instant of the business clock (:meth:`business`), as core decides.

        ``user`` is an id; quantities are in major units. Raises NoTruth before the first catalog, NotUnderstood where
        the customer's terms are of a later version, ValueError for a quantity that is none.
        """
        state = self._state
        try:
            entry = state.ready[feature][customer]
        except KeyError:
            entry = self._prepare(customer, feature, now)
        alike = entry.alike
        if not alike.good_from <= now < alike.good_until:
            entry = self._prepare(customer, feature, now)
            alike = entry.alike
        ruling = alike.ruling
        if ruling is None:
            return entry  # type: ignore[no-any-return]
        if user is None:
            return ruling(entry, quantity, used, None, context)  # type: ignore[no-any-return]
        facts = state.facts(customer, user)
        if self._state is not state:
            # The one may be of the state before and the other of the one after.
            entry, facts = self.asked(customer, feature, now, user)
            ruling = entry.alike.ruling
            if ruling is None:
                return entry  # type: ignore[return-value]
        return ruling(entry, quantity, used, facts, context)  # type: ignore[no-any-return]

    def asked(self, customer: str, feature: str, now: Instant, user: str) -> tuple[Ready, UserFacts | str]:
        """Return what :meth:`prepared` and :meth:`facts` do, both of one truth. Raises NoTruth."""
        while True:
            state = self._state
            entry, facts = self.prepared(customer, feature, now), state.facts(customer, user)
            if self._state is state:
                return entry, facts

    def prepared(self, customer: str, feature: str, now: Instant) -> Ready:
        """Return the answer made ready for ``now``: another object whenever the answer may be another.

        A RowDecision depends on nothing that is asked; a RowCase is decided by the ``ruling`` of its ``alike``, for
        which :meth:`facts` reads the user; where another thread may write meanwhile, :meth:`asked` returns both of one
        truth. Both hold for ``[good_from, good_until)`` of ``alike``. Raises NoTruth.
        """
        try:
            entry = self._state.ready[feature][customer]
        except KeyError:
            return self._prepare(customer, feature, now)
        alike = entry.alike
        if alike.good_from <= now < alike.good_until:
            return entry  # type: ignore[no-any-return]
        return self._prepare(customer, feature, now)

    def facts(self, customer: str, user: str) -> UserFacts | str:
        """Return what conditions may read of a user; of one that is not known or not active, only the id."""
        return self._state.facts(customer, user)

    def entitlements(self, customer: str, now: Instant) -> Entitlements | None:
        """Return all rights of a customer at ``now``; None for an unknown one. Raises NoTruth."""
        state, row = self._row(customer)
        world = _world(state)
        return world.reader.rights(row, now) if row else None

    def business(self, wall: Instant) -> Instant:
        """Return the instant of the business clock at an instant of real time."""
        state = self._state
        wall = max(wall, self.floor)
        if state.clock.frozen_at is None:
            return wall + state.clock.offset
        if state.usable is not None and wall >= state.usable and state.until:
            self._run_out(state)
        return to_instant(state.clock.frozen_at)

    # Telling

    def begin(
        self, kind: Literal["full", "changes"], *, partial: bool = False, bare: bool = False, wanted: bool = False
    ) -> None:
        """Begin a set: nothing of what follows counts before :meth:`commit`. One begun before is dropped.

        A full set begins with no rows, and ``bare`` with no catalog. ``partial``: nothing is said about who exists.
        ``wanted``: whoever hosts this truth asks it only about customers and users that are :meth:`known`, so that rows
        are taken in of whoever was not, and make no ready answer another.
        """
        self._staged = Staged(kind, partial=partial, bare=bare, wanted=wanted)

    def rollback(self) -> None:
        """Drop the set that was begun."""
        self._staged = None

    def release(self, catalog: Catalog, revision: int, zone: str | None = None, *, hash: str | None = None) -> None:  # noqa: A002
        """Take a catalog; ``zone`` is that of the workspace. Raises what ``compile_catalog`` does."""
        zone = zone or self.zone
        self.adopt(compile_catalog(catalog, revision, self._zone_of, self._zone_of(zone)), hash=hash)
        self.zone = zone

    def adopt(self, catalog: CompiledCatalog, *, hash: str | None = None) -> None:  # noqa: A002
        """Take a catalog that was compiled already."""
        world = World(catalog)
        if self._staged is not None:
            self._staged.world, self._staged.catalog_hash = world, hash
            return
        old = self._state
        new = self._after(old, world, old.held)
        new.catalog_hash = hash
        self._state = new

    def put_terms(self, customer: str, revision: int, seq: int, doc: bytes) -> None:
        """Take a customer's terms document; an older revision than the one held changes nothing."""
        self._put(customer, *terms_row(customer, revision, seq, doc))

    def put_user(self, row: UserRow) -> None:
        """Take a user's facts; an older revision than the one held changes nothing."""
        self._put(user_key(row.customer, row.user), *user_row(row))

    def put_absent(self, customer: str) -> None:
        """Take that a customer has no terms."""
        self._put(customer, ABSENT, 0)

    def expect(self, customer: str) -> None:
        """Note that all of a customer is asked for as of the cursor: what comes of it is put beside until it is there.

        Ends with :meth:`unexpect`.
        """
        self._awaited[customer] = Awaited(self.cursor)

    def unexpect(self, customer: str) -> None:
        """Note nothing more of a customer."""
        self._awaited.pop(customer, None)

    def pick(
        self, customer: str, terms: Iterable[TermsRow], users: Iterable[UserRow], at: Cursor | None = None
    ) -> list[str] | None:
        """Take all of one customer at once, whether or not a set is on its way; without terms it has none.

        ``at`` is as of when it was, None for now. Returns the keys of its rows; None, and takes nothing, where it is
        not known what came of the customer since then.
        """
        staged = Staged("changes", picks=True)
        staged.put_all(customer, terms, users)
        if at is not None and at != self.cursor:
            awaited = self._awaited.get(customer)
            if awaited is None or awaited.at != at:
                return None
            for key, row in awaited.rows.items():
                staged.put(key, row, part_of(key, row))
        keys = list(staged.rows)
        self._apply(staged)
        return keys

    def stage(self, customer: str, terms: Iterable[TermsRow], users: Iterable[UserRow]) -> None:
        """Take all of one customer into the set that was begun, as of where it ends."""
        if self._staged is not None:
            self._staged.put_all(customer, terms, users)

    def drop(self, customer: str) -> None:
        """Forget everything of a customer, at once."""
        self._drop({customer})

    def forget(self) -> None:
        """Forget everything: catalog, rows, cursor. What must never go back is kept by ``Trust``."""
        with self._lock:
            self._staged, self._sum, self.partial = None, 0, False
            self._awaited = {}
            self._state = State(None, {})

    def commit(
        self,
        cursor: Cursor | None = None,
        *,
        clock: ClockMark | None = None,
        usable_until: Instant | None = None,
        issued_at: Instant | None = None,
    ) -> None:
        """Make what was staged the truth, all of it at once. Without a set begun, only what is given changes.

        ``usable_until`` and ``issued_at`` are real time; None leaves as it is.
        """
        staged, self._staged = self._staged, None
        self._apply(staged or Staged("changes"), cursor, clock, usable_until, issued_at)

    def _apply(
        self,
        staged: Staged,
        cursor: Cursor | None = None,
        clock: ClockMark | None = None,
        usable_until: Instant | None = None,
        issued_at: Instant | None = None,
    ) -> None:
        old = self._state
        rows, total = staged.rows, staged.sum
        if staged.kind == "full":
            self.partial, self._recent = staged.partial, {}
            new = self._after(old, staged.world or (None if staged.bare else old.world), rows)
            self._awaited = {}
        else:
            if self._awaited and not staged.picks:
                self._note(rows)
            for key in [key for key, row in rows.items() if not self._takes(old, staged, key, row)]:
                total -= part_of(key, rows.pop(key))
            total += self._sum - sum(part_of(key, old.row(key) or ABSENT) for key in rows)
            new = self._after(old, staged.world or old.world, old.held)
            if staged.world is None:
                new.ready = old.ready
            new.over = rows
        if staged.world is not None or staged.bare:
            new.catalog_hash = staged.catalog_hash
        most = self.most_customers
        # Looking for whom to drop reads all keys: only where customers came.
        grown = most is not None and any("\0" not in key and old.row(key) is None for key in rows)
        self._time(old, new, clock, usable_until)
        new.cursor = cursor or old.cursor
        with self._lock:
            if old.expired_asked and new.ready is old.ready:
                # Somebody asked past the old end just now: that answer must not outlive it.
                new.ready, new.expired_asked = shelves(new.world), False
            for customer in {
                key.partition("\0")[0] for key in new.over if not staged.wanted or old.row(key) is not None
            }:
                for shelf in new.ready.values():
                    shelf.pop(customer, None)
            self._state = new
            self.floor = max(self.floor, issued_at or 0)
            self._sum = total % DIGEST_SIZE
            new.settle()
        if most is not None and grown and len(new.held) > most:
            self._keep_to(most, rows)

    def after_fork(self) -> None:
        """Make a copy in a forked child whole again: whoever wrote in the parent does not exist here."""
        self._lock = threading.Lock()
        self._staged, self._awaited = None, {}
        self._state.settle()

    def _keep_to(self, most: int, told: Iterable[str]) -> None:
        """Drop whom nobody asked about for longest; what is left out is not known any more, so the truth is partial."""
        customers = [key for key in self._state.held if "\0" not in key]
        with self._lock:
            # Whoever asks writes down that it does, under this lock.
            for key in told:
                self._recent[key.partition("\0")[0]] = None
            recent = dict(self._recent)
        if len(customers) <= most:
            return
        oldest = [*(one for one in customers if one not in recent), *(one for one in recent if one in self._state.held)]
        self.partial = True
        self.dropped += 1
        # Some room is left where there is much: looking for the oldest reads all keys.
        self._drop(set(oldest[: len(oldest) - most + most // 16]))
        self._recent = {}
        # Nobody is seen asking about what is ready: from now on it shows again who is asked about.
        self._state.ready = shelves(self._state.world)

    def _drop(self, customers: Set[str]) -> None:
        with self._lock:
            old = self._state
            gone = [key for key in old.held if key.partition("\0")[0] in customers]
            new = self._after(old, old.world, old.held)
            new.ready, new.expired_asked, new.over = old.ready, old.expired_asked, dict.fromkeys(gone, GONE)
            self._sum = (self._sum - sum(part_of(key, old.held[key]) for key in gone)) % DIGEST_SIZE
            for shelf in new.ready.values():
                for customer in customers:
                    shelf.pop(customer, None)
            self._state = new
            new.settle()

    def _note(self, rows: dict[str, bytes]) -> None:
        for key, row in rows.items():
            customer = key.partition("\0")[0]
            awaited = self._awaited.get(customer)
            if awaited is not None:
                awaited.rows[key] = row
                if len(awaited.rows) > _NOTED:
                    self.unexpect(customer)

    def _put(self, key: str, row: bytes, part: int) -> None:
        if self._staged is not None:
            self._staged.put(key, row, part)
            return
        staged = Staged("changes", picks=True)
        staged.put(key, row, part)
        self._apply(staged)

    def _takes(self, state: State, staged: Staged, key: str, row: bytes) -> bool:
        """Whether a row is newer than what is held, and about somebody who is held at all."""
        known = state.row(key)
        if known is not None:
            return bool(row) and revision_of(row) >= revision_of(known)
        return staged.picks or not self.partial or state.row(key.partition("\0")[0]) is not None

    @staticmethod
    def _after(old: State, world: World | None, held: dict[str, bytes]) -> State:
        """What follows a state, with nothing made ready."""
        new = State(world, held)
        new.cursor, new.clock, new.usable, new.until = old.cursor, old.clock, old.usable, old.until
        new.catalog_hash = old.catalog_hash
        return new

    @staticmethod
    def _time(old: State, new: State, clock: ClockMark | None, usable: Instant | None) -> None:
        """Set clock and end of a state; what was made ready under others is forgotten where it may be wrong."""
        new.clock = old.clock if clock is None else clock
        new.usable = old.usable if usable is None else usable
        until = FOREVER
        if new.usable is not None and new.clock.frozen_at is None:
            until = new.usable + new.clock.offset
        new.until = until
        if new.until < old.until or old.expired_asked:
            new.ready, new.expired_asked = shelves(new.world), False

    def _run_out(self, old: State) -> None:
        """Where the business clock stands still, running out does not show in ``now``."""
        if not self._lock.acquire(blocking=False):
            # A set is moving in: it has an end of its own, and who asks next comes here again.
            return
        try:
            if self._state is old:
                new = self._after(old, old.world, old.held)
                new.until, new.expired_asked = 0, True
                self._state = new
        finally:
            self._lock.release()

    def _prepare(self, customer: str, feature: str, now: Instant) -> Ready:
        """Make an answer ready; it is kept where its customer and feature are known and nothing changed meanwhile."""
        state, row = self._row(customer)
        entry = make_entry(_world(state), (customer, feature), row or ABSENT, now, state.until)
        shelf = state.ready.get(feature)
        if shelf is None or not row or not self._lock.acquire(blocking=False):
            return entry
        try:
            if self._state is state and state.row(customer) is row:
                shelf[customer] = entry
                if self.most_customers is not None:
                    self._recent.pop(customer, None)
                    self._recent[customer] = None
                state.expired_asked = state.expired_asked or now >= state.until
        finally:
            self._lock.release()
        return entry


def _world(state: State) -> World:
    if state.world is None:
        raise NoTruth("no catalog is known yet: nothing can be answered")
    return state.world
