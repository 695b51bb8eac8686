"""The hub's books in memory: real balances of core, a log of what was committed, and copies that lag behind it."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from licet.core.instant import Instant
from licet.core.usage.drawing import Draw, Refund, Use
from licet.core.usage.grant import Grant, Mark, Timetable
from licet.core.usage.ledger import Ledger
from licet.evaluator.slices import Key
from licet.hub.authority import Room
from licet.hub.lease import Lease

SNAPSHOT_EVERY: Final = 200
"""So many commits lie between two whole copies that are kept."""


class Cap(NamedTuple):
    """A cap over time: what it is from the beginning, and what it became when. Whole again every ``period``."""

    period: int
    until: Instant
    amounts: tuple[tuple[Instant, int], ...]

    def at(self, instant: Instant) -> int:
        """Return what the cap is at an instant."""
        return [amount for since, amount in self.amounts if since <= instant][-1]

    def timetable(self) -> Timetable:
        """Return it as core keeps it: one grant, renewed, stepped where it was changed."""
        renewals = range(self.period, self.until, self.period)
        marks = [Mark(at, "renew", self.at(at)) for at in renewals]
        marks += [Mark(at, "step", amount) for at, amount in self.amounts[1:] if at % self.period]
        grant = Grant(id="cap", effective=0, amount=self.amounts[0][1], marks=tuple(sorted(marks)))
        return Timetable([grant], list(renewals))


class Balance:
    """One cap with what was drawn from it."""

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        self.table = cap.timetable()
        self.ledger = Ledger(self.table)
        self.ledger.advance(0)
        self.draws: dict[str, tuple[Instant, tuple[Draw, ...]]] = {}

    def copy(self) -> "Balance":
        """Return another that holds the same."""
        other = Balance.__new__(Balance)
        other.cap, other.table, other.draws = self.cap, self.table, dict(self.draws)
        loaded = Ledger.load(self.table, self.ledger.dump())
        assert loaded is not None, "a ledger goes on from its own state"
        other.ledger = loaded
        return other

    def instant(self, now: Instant) -> Instant:
        """Return when something takes effect that happens now: after everything that the balance holds already."""
        return max(now, self.ledger.newest.at + 1)

    def left(self) -> int:
        """What is there to be issued; below 0 where the cap was cut below what is out."""
        return self.cap.at(self.ledger.newest.at) - self.ledger.used

    def change(self, at: Instant, amount: int) -> None:
        """Let the cap be another from an instant on."""
        self.cap = self.cap._replace(amounts=(*self.cap.amounts, (at, amount)))
        self.table = self.cap.timetable()
        resumed = Ledger.resume(self.table, self.ledger.state())
        assert resumed is not None, "the past of a cap does not change with its future"
        self.ledger = resumed
        self.ledger.advance(at)

    def take(self, lease: str, amount: int, at: Instant) -> None:
        """Draw a lease's amount."""
        self.draws[lease] = at, self.ledger.take(Use(lease, at, amount))

    def give_back(self, lease: str, amount: int, at: Instant) -> None:
        """Return what was not used of it to where it came from."""
        since, draws = self.draws[lease]
        refund = Refund(id=f"{lease}-back", effective=at, use=lease, amount=amount)
        self.draws[lease] = since, self.ledger.give_back(refund, draws, since)


class State:
    """Everything that the hub's database holds."""

    def __init__(self, caps: dict[Key, Cap]) -> None:
        self.epoch = 1
        self.leases: dict[str, Lease] = {}
        self.open: dict[Key, dict[str, Lease]] = {key: {} for key in caps}
        self.balances = {key: Balance(cap) for key, cap in caps.items()}

    def copy(self) -> "State":
        """Return another that holds the same."""
        other = State.__new__(State)
        other.epoch, other.leases = self.epoch, dict(self.leases)
        other.open = {key: dict(leases) for key, leases in self.open.items()}
        other.balances = {key: balance.copy() for key, balance in self.balances.items()}
        return other

    def apply(self, operation: tuple[object, ...]) -> None:
        """Do what a commit says, on whatever copy."""
        kind, *rest = operation
        getattr(self, f"_{kind}")(*rest)

    def _lease(self, lease: Lease) -> None:
        self.leases[lease.id] = lease
        there = self.open[Key(lease.customer, lease.feature)]
        if lease.state == "open":
            there[lease.id] = lease
        else:
            there.pop(lease.id, None)

    def _take(self, key: Key, lease: str, amount: int, at: Instant) -> None:
        self.balances[key].take(lease, amount, at)

    def _back(self, key: Key, lease: str, amount: int, at: Instant) -> None:
        self.balances[key].give_back(lease, amount, at)

    def _pass(self, key: Key, at: Instant) -> None:
        self.balances[key].ledger.advance(at)

    def _cap(self, key: Key, at: Instant, amount: int) -> None:
        self.balances[key].change(at, amount)

    def _epoch(self, epoch: int) -> None:
        self.epoch = epoch


class Books:
    """One transaction on a state: what the authority reads and writes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.operations: list[tuple[object, ...]] = []

    @property
    def epoch(self) -> int:
        """The number that is raised at every restore."""
        return self._state.epoch

    def lease(self, lease: str) -> Lease | None:
        """Return a lease by its id."""
        return self._state.leases.get(lease)

    def open_of(self, customer: str, feature: str) -> Iterable[Lease]:
        """Return open leases."""
        return tuple(self._state.open[Key(customer, feature)].values())

    def recalled(self, owner: str) -> Iterable[str]:
        """Return what an owner shall give back."""
        there = (one for leases in self._state.open.values() for one in leases.values())
        return tuple(one.id for one in there if one.recalled and one.owner == owner)

    def room(self, customer: str, feature: str, now: Instant) -> Room:
        """Return what can be issued."""
        key = Key(customer, feature)
        balance = self._state.balances[key]
        at = balance.instant(now)
        if at >= balance.ledger.next_at:
            self.do("pass", key, at)
        ends = (at // balance.cap.period + 1) * balance.cap.period
        return Room(balance.left(), ends - at + now)

    def issue(self, lease: Lease, now: Instant) -> None:
        """Take and keep."""
        key = Key(lease.customer, lease.feature)
        self.do("take", key, lease.id, lease.amount, self._state.balances[key].instant(now))
        self.do("lease", lease)

    def settle(self, lease: Lease, back: int, more: int, now: Instant) -> None:
        """Give back and keep."""
        key = Key(lease.customer, lease.feature)
        if back:
            self.do("back", key, lease.id, back, self._state.balances[key].instant(now))
        self.do("lease", lease)

    def do(self, *operation: object) -> None:
        """Do it here, and note it for the copies."""
        self._state.apply(operation)
        self.operations.append(operation)


class Database:
    """A primary, what it committed, a standby that has applied a part of it, and copies of before."""

    def __init__(self, caps: dict[Key, Cap]) -> None:
        self._caps = caps
        self.primary = State(caps)
        self.commits: list[list[tuple[object, ...]]] = []
        self.standby = 0
        """How many commits the standby has."""
        self._copies: list[tuple[int, State]] = [(0, State(caps))]

    def commit(self, operations: list[tuple[object, ...]]) -> int:
        """Keep what a transaction did; return its number."""
        self.commits.append(operations)
        if len(self.commits) % SNAPSHOT_EVERY == 0:
            self._copies.append((len(self.commits), self.primary.copy()))
            del self._copies[1:-8]
        return len(self.commits)

    def return_to(self, number: int) -> None:
        """Let the primary be what it was after a commit; what came later is gone."""
        place, state = next(one for one in reversed(self._copies) if one[0] <= number)
        self._copies = [one for one in self._copies if one[0] <= place]
        self.primary = state.copy()
        for operations in self.commits[place:number]:
            for operation in operations:
                self.primary.apply(operation)
        del self.commits[number:]
        self.standby = min(self.standby, number)
