"""What one process owns of quota, for all of its threads: it is spent under a lock that nobody holds for long.

How much to ask for, when, and what became of it. No network; the disk is the journal's.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from math import inf
from threading import RLock
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Final

from licet.evaluator.errors import NoTruth as Unanswerable
from licet.evaluator.slices import Certainty, Hold, Kept, Key, Owned, wanted
from licet.sdk.quota import Quota
from licet.sdk.taps import Hasty, Need, Tap
from licet.sdk.usage import Usage
from licet.wire.quota import LeaseAsk, QuotaAnswer, QuotaCall

if TYPE_CHECKING:
    from random import Random

    from licet.sdk.book import Book
    from licet.sdk.quota_journal import QuotaJournal

Wants = Sequence[tuple[Tap, int]]
"""Minor units of several features."""
AHEAD: Final = 0.5
"""A slice holds what is spent in at least so many seconds, twice: each costs a request, and eight forced writes."""
FIRST: Final = 8
"""So many times what is needed is asked for where nobody knows yet how fast it is spent."""
DENIED: Final = 2.0
"""Seconds for which nothing is asked of what was denied: the server decides meanwhile."""
_AGAIN: Final = frozenset({"epoch_over", "lease_closed", "lease_of_another"})
"""Why a request is made once more under another id."""
_MOST_TRIES: Final = 3
_GAP: Final = 0.02
"""Seconds between two calls for which nobody waits."""
MOST: Final = 2**53 - 1
"""Minor units that one message can name."""
_SWEEP: Final = 1.0
"""Seconds between two looks at what is idle or over, at most."""
_LONG: Final = 600.0


class Owning:
    """Any thread may spend; one thread, the loop's, calls. ``waits``: who spends may wait for lock and disk."""

    def __init__(
        self,
        book: "Book",
        journal: "QuotaJournal | None",
        chance: "Random",
        *,
        idle: float,
        waits: bool,
        wake: Callable[[], None],
    ) -> None:
        self.lock = RLock()
        self._gate: AbstractContextManager[bool] = self.lock if waits else Hasty(self.lock)
        self.owned = Owned(secrets.token_hex(16), journal)
        self.taps: dict[tuple[str, str], Tap] = {}
        self.hub_decided = 0
        self.trouble: str | None = None
        self.disowned = False
        """Whether it is of the process that this one was forked from."""
        self._book = book
        self._prepared = book.truth.prepared
        self._journal = journal
        self._chance = chance
        self._idle = idle
        self._waits = waits
        self._wake = wake
        self._needs: dict[Key, Need] = {}
        self._orphans: dict[Key, str] = {}
        """Requests that nobody waits for any more, and that may still be answered."""
        self._shut: dict[Key, float] = {}
        self._refills: deque[float] = deque(maxlen=1000)
        self._round_trip = 0.05
        self._called = -inf
        self._away = -inf
        self._sweep_at = -inf
        self._closed = False
        self._inside = False
        """Somebody is in the middle of taking: seen with the lock held only by a signal handler of that thread."""
        if journal is not None:
            journal.patient = waits

    # -- spending

    def quick(self, customer: str, feature: str, quantity: Any) -> Usage | None:
        """Return a use that was taken here and now; None where that takes more than a moment, for whatever reason."""
        tap = self.taps.get((customer, feature))
        if tap is None or quantity.__class__ is not int or quantity < 1:
            return None
        page = self._book.page
        offset = page.offset
        if offset is None:
            return None
        now = time_ns() // 1000
        if now < page.issued_at:  # noqa: PLR1730 max() would cost as much as the lock
            now = page.issued_at
        try:
            if self._prepared(customer, feature, now + offset) is not tap.entry:
                return None
            units: int = quantity * tap.unit
            with self._gate:
                if self._inside:
                    return None
                self._inside = True
                try:
                    if not self.owned.spend(tap.key, units, monotonic()):
                        return None
                finally:
                    self._inside = False
                tap.budget -= units
        except (Unanswerable, OSError):
            return None
        if tap.budget < 0:
            self._look(tap)
        key = tap.key
        return Usage(key.customer, key.feature, tap, "", units)

    def take(self, wants: Wants) -> bool:
        """Take several at once, all or nothing; raises OSError where the disk does not take it."""
        with self._patiently():
            if self._closed or not self.owned.spend_all([(tap.key, units) for tap, units in wants], monotonic()):
                return False
            for tap, units in wants:
                tap.budget -= units
        for tap, _ in wants:
            if tap.budget < 0:
                self._look(tap)
        return True

    def hold(self, wants: Wants, seconds: float) -> Hold | None:
        """Reserve several at once, all or nothing, for so many seconds; raises OSError as :meth:`take` does."""
        with self._patiently():
            if self._closed:
                return None
            made = self.owned.hold_all([(tap.key, units) for tap, units in wants], monotonic(), seconds)
            for tap, units in wants if made is not None else ():
                tap.budget -= units
        for tap, _ in wants:
            if tap.budget < 0:
                self._look(tap)
        return made

    def settle(self, hold: Hold, used: dict[Key, int]) -> dict[Key, int]:
        """End a reservation; returns what was used beyond all that is owned, which is told as such."""
        with self._patiently():
            beyond = self.owned.settle_hold(hold, used, monotonic())
            for key, units in beyond.items():
                self.owned.claim(secrets.token_hex(16), key, units)
        if beyond or self._closed:
            self._wake()
        return beyond

    def lacks(self, wants: Wants) -> list[Need] | None:
        """Return the slices that are missing, asked for from now on; None where that is useless. Waits for the lock."""
        now = monotonic()
        with self.lock:
            if self._closed or now < self._away:
                return None
            found: list[Need] = []
            for tap, units in wants:
                least = units - self.owned.owned(tap.key, now)
                if least <= 0:
                    continue
                if now < self._shut.get(tap.key, -inf):
                    return None
                tap.measure(now)
                found.append(self._need(tap, least, now))
        if found:
            self._wake()
        return found

    def certain(self, key: Key) -> Certainty:
        """Return what is certain of a balance now; in an event loop without waiting for anybody who changes it."""
        with self.lock if self._waits else nullcontext():
            return self.owned.certain(key, monotonic())

    def _look(self, tap: Tap) -> None:
        """Ask for more before a slice is empty, where it will be soon; who must not wait looks at its next use."""
        now = monotonic()
        if not self.lock.acquire(blocking=self._waits):
            return
        try:
            tap.measure(now)
            left = self.owned.owned(tap.key, now)
            soon = left * 2 <= tap.given and tap.rate * self._idle > left
            may = tap.key not in self._needs and not self._closed
            asks = soon and may and now >= max(self._away, self._shut.get(tap.key, -inf))
            if asks:
                self._need(tap, 1, now)
            tap.aim(left if soon else max(0, left - tap.given // 2))
        finally:
            self.lock.release()
        if asks:
            self._wake()

    def _need(self, tap: Tap, least: int, now: float) -> Need:
        need = self._needs.get(tap.key)
        size = wanted(tap.rate, max(self._round_trip, AHEAD)) if tap.rate else FIRST * least
        if need is None:
            need = self._needs[tap.key] = Need(tap.key, least, min(MOST, max(least, size)), now)
        elif not need.ask:
            need.least, need.wanted = max(need.least, least), min(MOST, max(need.wanted, least, size))
        return need

    # -- calling

    def pause(self) -> float:
        """Return for how many seconds nothing is to be said; 0 where something is."""
        now = monotonic()
        with self.lock:
            if self._needs:
                # A server that answers, and not to this, is not asked without end.
                again = all(need.ask for need in self._needs.values())
                return max(0.0, self._called + _GAP - now) if again else 0.0
            due = self.owned.next_call_at(now)
            until = self._sweep_at if self.taps or due is not None else now + _LONG
            if due is not None:
                until = min(until, max(due, self._called + _GAP))
        return max(0.0, until - now)

    def call(self) -> QuotaCall:
        """Return what is to be said now."""
        now = monotonic()
        told: list[Callable[[], None]] = []
        with self._patiently():
            # Under an epoch that is not known nothing is given: the first call learns it.
            for need in list(self._needs.values()) if self.owned.epoch else ():
                if not need.ask and not self._ask(need):
                    told += self._over(need, heard=False)
            self._called = now
            call = self.owned.call(now)
        for tell in told:
            tell()
        return call

    def _ask(self, need: Need) -> bool:
        """Ask for a slice, which is written down before: of one that nobody heard of the next process tells."""
        name = self._orphans.pop(need.key, "") or secrets.token_hex(16)
        customer, feature = need.key
        if self._journal is not None:
            try:
                self._journal.write(Kept(id=name, customer=customer, feature=feature, spent=0, burned=0))
            except OSError as error:
                self.trouble, self._shut[need.key] = str(error), monotonic() + DENIED
                return False
        need.ask, need.tried = name, need.tried + 1
        self.owned.ask(LeaseAsk(id=name, customer=customer, feature=feature, wanted=need.wanted, least=need.least))
        return True

    def hear(self, answer: QuotaAnswer) -> None:
        """Take an answer, and tell those who wait for it."""
        now = monotonic()
        told: list[Callable[[], None]] = []
        with self._patiently():
            self.owned.hear(answer, now)
            if self._closed:
                self.owned.give_everything_back()
            if self._journal is not None and answer.denied:
                with suppress(OSError):  # a later process tells that nothing was used of what never was
                    self._journal.forget([one.id for one in answer.denied])
            self.trouble, self._away = None, -inf
            self._round_trip += (now - self._called - self._round_trip) / 4
            given = {one.id: one.amount for one in answer.given}
            denied = {one.id: one.code for one in answer.denied}
            self._orphans = {key: ask for key, ask in self._orphans.items() if ask not in given and ask not in denied}
            for need in list(self._needs.values()):
                if need.ask in given:
                    self._refills.append(now - need.since)
                    self._given(need.key, given[need.ask], now)
                    told += self._over(need, heard=True)
                elif denied.get(need.ask) in _AGAIN and need.tried < _MOST_TRIES:
                    need.ask = ""
                elif need.ask in denied:
                    self._shut[need.key] = now + self._chance.uniform(DENIED / 2, DENIED)
                    told += self._over(need, heard=False)
        for tell in told:
            tell()

    def failed(self, seconds: float, words: str) -> None:
        """Nobody answered, or could: for so many seconds nothing is asked, and nobody waits."""
        with self.lock:
            self.trouble, self._away = words, monotonic() + seconds
            self._orphans.update({need.key: need.ask for need in self._needs.values() if need.ask})
            told = [tell for need in list(self._needs.values()) for tell in self._over(need, heard=False)]
        for tell in told:
            tell()

    def sweep(self) -> None:
        """Look, every now and then, for what is idle or over, and let it go back."""
        now = monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + min(max(self._idle / 4, 0.01), _SWEEP)
        with self._patiently():
            if self.owned.idle(now, self._idle):
                self._sweep_at = now + _GAP
            self.owned.release_overdue(now)
            self._shut = {key: until for key, until in self._shut.items() if until > now}
        for key, tap in list(self.taps.items()):
            with self._patiently():
                self.owned.retire(tap.key, now)
                if not self.owned.owned(tap.key, now) and tap.key not in self._needs:
                    self.taps.pop(key, None)
                else:
                    tap.measure(now)

    def close(self) -> None:
        """Give everything back; what is reserved ends as if nobody had settled it."""
        with self._patiently():
            self._closed = True
            self.owned.release_overdue(inf)
            self.owned.give_everything_back()
            told = [tell for need in list(self._needs.values()) for tell in self._over(need, heard=False)]
        for tell in told:
            tell()

    def give_up(self) -> None:
        """Own nothing any more and say nothing of it: the server holds that what is said cannot be, so it keeps all."""
        with self._patiently():
            self.owned = Owned(secrets.token_hex(16), self._emptied())
            self.taps.clear()

    def disown(self) -> None:
        """Forget everything in a forked child: it is the parent's. Nothing can be taken of this any more."""
        self.lock = self._gate = RLock()
        self._closed = self.disowned = True
        self._inside = False
        self._journal = None
        self.taps, self.owned = {}, Owned(secrets.token_hex(16))

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be said."""
        with self.lock:
            return self.owned.is_settled

    @property
    def state(self) -> Quota:
        """Return what was done so far."""
        with self.lock:
            counts, refills = self.owned.counts, sorted(self._refills)
            return Quota(
                slices=counts.slices,
                owned=counts.stranded,
                held=counts.held,
                spent=counts.spent,
                given_back=counts.given_back,
                lost=counts.lost,
                denied=counts.denied,
                recalled=counts.recalled,
                claimed=counts.claimed,
                hub_decided=self.hub_decided,
                refill_p99=refills[len(refills) * 99 // 100] if refills else None,
                durable=self._journal is not None,
                unsaid=not self.owned.is_settled,
                last_error=self.trouble,
            )

    def _emptied(self) -> "QuotaJournal | None":
        """The journal with nothing in it; None where it cannot be emptied, and is not written from now on."""
        if self._journal is not None:
            try:
                self._journal.forget([one.id for one in self._journal.left()])
            except OSError:
                self._journal = None
        return self._journal

    def _given(self, key: Key, amount: int, now: float) -> None:
        tap = self.taps.get(key)
        if tap is not None:
            tap.measure(now)
            tap.given = amount
            tap.aim(max(0, self.owned.owned(key, now) - amount // 2))

    def _over(self, need: Need, *, heard: bool) -> list[Callable[[], None]]:
        self._needs.pop(need.key, None)
        return need.end(heard=heard)

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        """Under the lock, and whoever writes waits for the disk."""
        with self.lock:
            if self._inside:
                raise InterruptedError("a signal handler takes quota in the middle of its thread taking some")
            self._inside, journal = True, self._journal
            if journal is not None:
                journal.patient = True
            try:
                yield
            finally:
                self._inside = False
                if journal is not None:
                    journal.patient = self._waits
