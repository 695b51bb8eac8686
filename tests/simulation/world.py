"""A world of one hub and several evaluators under injected time, network, disks and faults; all of it from one seed.

What runs is the code of ``licet.hub`` and ``licet.evaluator``. What it is judged by is kept here, outside of both: what
was really spent of which lease, and by whom.
"""

import random
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from errno import ENOSPC
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from msgspec import Struct

from licet.core.instant import Instant
from licet.evaluator.slices import Hold, Kept, Key, Owned, wanted
from licet.hub import authority
from licet.hub.lease import Disagreement, Lease
from licet.wire.quota import LeaseAsk, QuotaAnswer, QuotaCall
from tests.simulation.books import Books, Cap, Database

SECOND: Final = 1_000_000
HISTORY: Final = 400
POINTS: Final = (
    "before a burn is written",
    "after a burn is written",
    "before a close is written",
    "after a close is written",
    "before a lease is forgotten",
    "before a hold is settled",
    "after a hold is settled",
)
"""Where a process with a disk may die."""
POINT_WEIGHTS: Final = (4, 4, 6, 6, 5, 6, 6)
"""So many of the newest things that happened are told with a failure."""


class Violation(AssertionError):
    """What must never be was seen. ``check`` is the one that saw it."""

    def __init__(self, check: str, said: str) -> None:
        super().__init__(check, said)  # as it is made, so that it also comes whole from another process
        self.check = check
        self.said = said

    def __str__(self) -> str:
        return f"{self.check}: {self.said}"


class Crash(Exception):
    """The process died at a named point."""


class Rules(NamedTuple):
    """Which code runs: the real one, unless a mutant takes a part."""

    answer: Callable[[Any, QuotaCall, Instant], QuotaAnswer] = authority.answer
    lapse: Callable[..., Any] = authority.lapse
    owned: type[Owned] = Owned
    journal: "type[Disk] | None" = None
    waits_for_standby: bool = True


class Setting(NamedTuple):
    """How large a world is, and how often what happens in it, in parts of the steps."""

    evaluators: int = 4
    with_disk: int = 2
    amount: int = 4_000
    period: float = 240.0
    horizon: float = 40_000.0
    faults: float = 0.07
    full: float = 0.15
    """Of writes to a disk: how many fail."""
    restores: bool = True


class Disk:
    """What survives a process. At a named point of a write the process may die."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.kept: dict[str, Kept] = {}

    def write(self, kept: Kept) -> None:
        """Write what is said of a lease from now on."""
        what = "close" if kept.spent == kept.burned else "burn"
        if self._world.is_full(what):
            raise OSError(ENOSPC, "the disk takes no more")
        self._world.point(f"before a {what} is written")
        self.kept[kept.id] = kept
        self._world.durable.add(kept.id)
        self._world.point(f"after a {what} is written")

    def forget(self, leases: Sequence[str]) -> None:
        """Drop what is settled."""
        self._world.point("before a lease is forgotten")
        for lease in leases:
            self.kept.pop(lease, None)

    def left(self) -> Sequence[Kept]:
        """Return what a process before left behind."""
        return tuple(self.kept.values())


class Reserved(NamedTuple):
    """A hold as it is seen from outside: of which leases so much may be used until it is settled."""

    hold: Hold
    wants: dict[Key, int]
    parts: dict[str, int]


class Process:
    """One evaluator's process, alive, paused or dead."""

    def __init__(self, name: int, owned: Owned, disk: Disk | None, born: float) -> None:
        self.name = name
        self.owned = owned
        self.disk = disk
        self.offset = born
        """What its monotonic clock is ahead of the world's."""
        self.paused = False
        self.cut = False
        self.heard = 0
        """The newest epoch that reached it, seen from outside."""
        self.reserved: list[Reserved] = []


class Message(Struct):
    """Something under way."""

    to: int | None
    """A process; None is the hub."""
    life: str
    body: QuotaCall | QuotaAnswer


class World:
    """Steps of chance, each followed by a look whether all is as it must be."""

    def __init__(self, seed: int, rules: Rules | None = None, setting: Setting | None = None) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.rules = rules or Rules()
        self.setting = setting = setting or Setting()
        self.steps = 0
        self.now: Instant = 0
        self.hub_ahead: Instant = 0
        self.hub_up = True
        self.counts: Counter[str] = Counter()
        self.history: deque[str] = deque(maxlen=HISTORY)
        self.keys = (Key("acme", "calls"), Key("acme", "ai"))
        until = int((setting.horizon + 5 * setting.period + 8_000) * SECOND)
        cap = Cap(int(setting.period * SECOND), until, ((0, setting.amount),))
        self.database = Database(dict.fromkeys(self.keys, cap))
        self.spent: Counter[str] = Counter()
        """What was really spent, by lease: nothing that is tested counts here."""
        self.reserved: Counter[str] = Counter()
        """What is under holds, by lease: it may be used at any time."""
        self.claimed: dict[str, tuple[str, int]] = {}
        """What was used beyond what was owned, by claim: whose it is, and how much."""
        self.durable: set[str] = set()
        """What a disk has ever taken."""
        self.epochs: dict[str, int] = {}
        """Under which epoch a lease was first given, seen on its way."""
        self.unpromised: set[str] = set()
        """Leases that a restored copy does not know: nothing is promised of them."""
        self._seen: dict[str, Lease] = {}
        self._waiting: list[tuple[int, Message]] = []
        self._queue: list[tuple[Instant, int, Message]] = []
        self._number = 0
        self._calm = False
        self._doomed: str | None = None
        """Where the next process dies that comes by."""
        self.processes = [self._born(name) for name in range(setting.evaluators)]

    def run(self, steps: int) -> None:
        """Take so many steps, look after each, and at everything in the end; a failure says how to see it again."""
        try:
            for _ in range(steps):
                self.step()
            self.look_at_all()
        except Violation as violation:
            violation.add_note(self.story(violation))
            raise

    def story(self, violation: Violation) -> str:
        """Return what led to a failure: of the newest things that happened, those about the lease or pool it names."""
        named = re.findall(r"\b[0-9a-f]{8}", violation.said)
        told = [one for one in self.history if not named or any(name in one for name in named) or _is_fault(one)]
        again = f"again: python -m tests.simulation.replay {self.seed} {self.steps}"
        return "\n".join([*told[-40:], f"seed {self.seed}, step {self.steps}: {violation}", again])

    def step(self) -> None:
        """Let one thing happen."""
        self.steps += 1
        if self._queue and self._queue[0][0] <= self.now:
            self._deliver()
        elif self.random.random() < self.setting.faults:
            self._fault()
        else:
            self._life()

    def is_full(self, what: str) -> bool:
        """Whether a disk takes nothing just now."""
        full = not self._calm and self.random.random() < self.setting.full
        if full:
            self.note(f"a full disk takes no {what}")
        return full

    def point(self, name: str) -> None:
        """A named point of a process: it dies there, if that is to be."""
        if self._doomed == name:
            self._doomed = None
            self.note(f"crash {name}")
            raise Crash(name)

    def note(self, what: str) -> None:
        """Count what happened, and remember it for whoever reads of a failure."""
        self.counts[what.partition(":")[0]] += 1
        self.history.append(f"{self.steps} {self.now / SECOND:.3f}s {what}")

    def settle(self) -> None:
        """Let all faults end and everybody give back what is theirs, until nothing is left to be said; then look."""
        self._calm = self.hub_up = True
        self._doomed, self._queue = None, []
        self._catch_up()
        for process in self.processes:
            process.cut = process.paused = False
            for one in list(process.reserved):
                self._settle_hold(process, one)
            process.owned.give_everything_back()
        for _ in range(8):
            for process in self.processes:
                call = process.owned.call(self._mono(process))
                books = Books(self.database.primary)
                answer = self.rules.answer(books, call, self._hub_now())
                self.database.commit(books.operations)
                process.owned.hear(answer, self._mono(process))
                process.owned.give_everything_back()
        books = Books(self.database.primary)
        self.rules.lapse(books, self._all_open(), self._hub_now() + 10_000 * SECOND)
        self.database.commit(books.operations)
        if not all(process.owned.is_settled for process in self.processes):
            raise Violation("settled", "an evaluator that heard everything still has something to say")
        self.look_at_all()
        self._look_at_ends()

    def _look_at_ends(self) -> None:
        """Of what is settled, what was really spent is what was told as used, or is in doubt as written off."""
        leases = self.database.primary.leases
        for lease, spent in self.spent.items():
            held = leases.get(lease)
            if lease not in self.unpromised and held is not None and not held.used <= spent <= held.charged:
                raise Violation("end", f"{spent} spent of lease {lease[:8]}: {held.used} told, {held.charged} charged")
        living = {process.owned.owner for process in self.processes}
        for claim, (owner, used) in self.claimed.items():
            held = leases.get(claim)
            if held is not None and (held.used, held.charged) != (used, used):
                raise Violation("claim", f"{used} claimed as {claim[:8]}, {held.used} used and {held.charged} charged")
            if held is None and claim not in self.unpromised and (owner in living or claim in self.durable):
                raise Violation("claim", f"{used} claimed as {claim[:8]}, and nobody knows of it")

    # What happens by itself.

    def _life(self) -> None:
        draw = self.random.random()
        if draw < 0.50:
            self._spend(hold=False)
        elif draw < 0.59:
            self._spend(hold=True)
        elif draw < 0.64:
            process = self._some()
            if process.reserved and not process.paused:
                self._settle_hold(process, self.random.choice(process.reserved))
        elif draw < 0.66:
            self._release(self._some())
        elif draw < 0.78:
            self.now += self.random.choice((200, 2_000, 20_000, 200_000))
        elif draw < 0.92:
            self._call(self._some())
        elif draw < 0.935:
            self._by(self._some(), lambda process: process.owned.idle(self._mono(process), 5.0), "idle")
        elif draw < 0.95:
            key = self.random.choice(self.keys)
            self._by(self._some(), lambda process: process.owned.give_back(key), "give back")
        elif draw < 0.96:
            self._hub_work(lambda books: self.rules.lapse(books, self._all_open(), self._hub_now()), "sweep")
        elif self.database.standby < len(self.database.commits):
            self._catch_up()

    def _spend(self, *, hold: bool) -> None:
        process = self._some()
        if process.paused:
            return
        count = 1 if self.random.random() < 0.85 else 2
        wants = tuple((key, self.random.choice((1, 1, 2, 5, 20))) for key in self.random.sample(self.keys, count))
        before = self._held(process)
        mono = self._mono(process)
        try:
            done = self._reserve(process, wants, mono) if hold else self._consume(process, wants, mono)
        except Crash:
            self._die(process)
            return
        except OSError:
            done = None
            if any(used != before[lease] for lease, used in self._held(process).items()):
                raise Violation("disk", f"{process.name} spent what its disk did not take") from None
        if done is not None:
            parts = self._taken(process, before, sum(quantity for _, quantity in wants))
            self.note(f"{'hold' if hold else 'spend'}: {process.name} {parts}")
            there = self.spent
            if isinstance(done, Hold):
                there = self.reserved
                process.reserved.append(Reserved(done, dict(wants), parts))
            there.update(parts)
            self._look_at_spent(process, parts)
        for key, quantity in wants:
            if self.processes[process.name] is not process:
                return  # it died in the call before
            if process.owned.owned(key, mono) < 25 and not process.owned.waits(key):
                self._ask(process, key, 1 if done is not None else quantity)

    def _consume(self, process: Process, wants: tuple[tuple[Key, int], ...], mono: float) -> bool | None:
        owned = process.owned
        return (owned.spend(*wants[0], mono) if len(wants) == 1 else owned.spend_all(wants, mono)) or None

    def _reserve(self, process: Process, wants: tuple[tuple[Key, int], ...], mono: float) -> Hold | None:
        seconds = self.random.choice((0.02, 0.2, 2.0, 400.0))
        if len(wants) == 1:
            return process.owned.hold(*wants[0], mono, seconds)
        return process.owned.hold_all(wants, mono, seconds)

    def _ask(self, process: Process, key: Key, least: int) -> None:
        ask = LeaseAsk(
            id=f"{self.random.getrandbits(128):032x}",
            customer=key.customer,
            feature=key.feature,
            wanted=max(least, wanted(self.random.choice((50.0, 2_000.0, 40_000.0)), 0.005)),
            least=least,
        )
        process.owned.ask(ask)
        self._call(process)

    def _taken(self, process: Process, before: Counter[str], quantity: int) -> dict[str, int]:
        """Return by lease what was spent or held just now; it has to be what was wanted."""
        after = self._held(process)
        changed = {lease: used - before[lease] for lease, used in after.items() if used != before[lease]}
        if sum(changed.values()) != quantity:
            raise Violation("spent", f"{quantity} were spent and {changed} is missing from slices")
        return changed

    def _look_at_spent(self, process: Process, parts: dict[str, int]) -> None:
        for lease in parts:
            self._look_at(lease)
            if self.epochs.get(lease, 0) < process.heard:
                raise Violation("epoch", f"lease {lease[:8]} of an epoch that was over, as {process.name} had heard")

    def _settle_hold(self, process: Process, reserved: Reserved) -> None:
        """Use what is held, or less, or more, and say so; count by lease what was really used."""
        share = self.random.choice((0.0, 0.5, 1.0, 1.0, 6.0, 6.0))
        used = {key: int(quantity * share) for key, quantity in reserved.wants.items()}
        slices = {one.id: one for one in (*process.owned._ids.values(), *(part[0] for part in reserved.hold.parts))}
        before = {one.id: one.used for one in slices.values()}
        late = any(part[0].closed for part in reserved.hold.parts)
        beyond, crashed = dict[Key, int](), False
        try:
            self.point("before a hold is settled")
            beyond = process.owned.settle_hold(reserved.hold, used, self._mono(process))
            self.point("after a hold is settled")
        except Crash:
            crashed = True
        parts = {one.id: one.used - before[one.id] for one in slices.values() if one.used != before[one.id]}
        if not crashed and sum(parts.values()) + sum(beyond.values()) != sum(used.values()):
            raise Violation("spent", f"{used} were used of a hold: {parts} of slices, {beyond} besides")
        if not crashed or not reserved.hold.parts:
            self._end_hold(process, reserved)
        self.note(f"settle: {process.name} {parts}, {sum(beyond.values())} besides")
        self.counts["settle of a closed slice"] += late
        self.spent.update(parts)
        for lease in parts:
            self._look_at(lease)
        try:
            for key, units in beyond.items() if not crashed else ():
                claim = f"{self.random.getrandbits(128):032x}"
                self.claimed[claim] = process.owned.owner, units
                self.note(f"claim: {process.name} {units} as {claim[:8]}")
                process.owned.claim(claim, key, units)
        except Crash:
            crashed = True
        if crashed:
            self._die(process)

    def _release(self, process: Process) -> None:
        """Let a process look after its holds; one that is released may still be settled, as use like any other."""
        self._by(process, lambda one: _drop(one.owned.release_overdue(self._mono(one))), "look at holds")
        for number, one in enumerate(process.reserved):
            if one.parts and not one.hold.parts:
                self.note(f"release: {process.name} {one.parts}")
                self.reserved.subtract(one.parts)
                process.reserved[number] = one._replace(parts={})

    def _end_hold(self, process: Process, reserved: Reserved) -> None:
        process.reserved.remove(reserved)
        self.reserved.subtract(reserved.parts)

    def _look_at(self, lease: str) -> None:
        """Never was more spent of a lease, or may be under a hold, than its hub has charged for it."""
        if lease in self.unpromised:
            return
        held = self.database.primary.leases.get(lease)
        spent = self.spent[lease] + self.reserved[lease]
        if held is None:
            raise Violation("charged", f"{spent} spent of lease {lease[:8]}, unknown to the hub")
        if spent > held.charged:
            raise Violation("charged", f"{spent} spent of lease {lease[:8]} ({held.state}), {held.charged} charged")

    def _held(self, process: Process) -> Counter[str]:
        found: Counter[str] = Counter()
        for slices in process.owned._slices.values():
            for one in slices:
                found[one.id] += one.spent
        return found

    def _by(self, process: Process, act: Callable[[Process], object], what: str) -> None:
        if process.paused:
            return
        try:
            act(process)
            self.note(f"{what}: {process.name}")
        except Crash:
            self._die(process)

    # Messages.

    def _call(self, process: Process) -> None:
        if process.paused:
            return
        try:
            call = process.owned.call(self._mono(process))
        except Crash:
            self._die(process)
            return
        self._send(Message(None, process.owned.owner, call), process)

    def _send(self, message: Message, process: Process) -> None:
        draw = self.random.random()
        if process.cut or draw < 0.05:
            self.counts["lost"] += 1
            return
        copies = 2 if draw > 0.95 else 1
        self.counts["duplicated"] += copies - 1
        for _ in range(copies):
            delay = self.random.choice((300, 1_000, 5_000, 50_000))
            if self.random.random() < 0.02:
                delay = self.random.randrange(30) * SECOND
                self.counts["delayed"] += 1
            self._number += 1
            heappush(self._queue, (self.now + delay, self._number, message))

    def _deliver(self) -> None:
        _, _, message = heappop(self._queue)
        if message.to is None:
            self._serve(message)
            return
        process = self.processes[message.to]
        if process.owned.owner != message.life or process.cut:
            self.counts["arrived nowhere"] += 1
            return
        if process.paused:
            self._number += 1
            heappush(self._queue, (self.now + SECOND, self._number, message))
            return
        answer = message.body
        assert isinstance(answer, QuotaAnswer), "a process is told answers"
        try:
            process.owned.hear(answer, self._mono(process))
        except Crash:
            self._die(process)
            return
        process.heard = max(process.heard, answer.epoch)
        for heard in answer.heard:
            self.counts[f"heard {heard.state}"] += 1
        self.note(f"hears: {process.name} of call {answer.number}, {_brief(answer)}")

    def _serve(self, message: Message) -> None:
        call = message.body
        assert isinstance(call, QuotaCall), "a hub is told calls"
        process = next((one for one in self.processes if one.owned.owner == call.owner), None)
        if not self.hub_up:
            self.counts["hub away"] += 1
            return
        answered: list[QuotaAnswer] = []
        number = self._hub_work(lambda books: answered.append(self.rules.answer(books, call, self._hub_now())), "call")
        if number is None or process is None:
            return
        answer = answered[0]
        for given in answer.given:
            self.epochs[given.id] = given.epoch
            self.counts["given"] += 1
        self.counts["denied"] += len(answer.denied)
        reply = Message(process.name, call.owner, answer)
        if self.rules.waits_for_standby and self.database.standby < number:
            self._waiting.append((number, reply))
        else:
            self._send(reply, process)

    # The hub.

    def _hub_now(self) -> Instant:
        return self.now + self.hub_ahead + 4_000 * SECOND

    def _all_open(self) -> list[Any]:
        return [one for leases in self.database.primary.open.values() for one in leases.values()]

    def _hub_work(self, work: Callable[[Books], object], what: str) -> int | None:
        """Let the hub do something in one transaction; return its number, or None where it died before it committed."""
        if not self.hub_up:
            return None
        draw = self.random.random()
        if draw < 0.010:
            self.note(f"hub dies before commit: {what}")
            self._waiting.clear()
            return None
        books = Books(self.database.primary)
        states = {}
        try:
            work(books)
        except Disagreement as wrong:
            raise Violation("disagreement", str(wrong)) from wrong
        for operation in books.operations:
            if operation[0] == "pass":
                self.counts["period rolls"] += 1
            elif operation[0] == "lease":
                lease: Any = operation[1]
                states[lease.id] = lease.state
        for lease_id in states:
            self._became(lease_id)
            self._look_at(lease_id)
        number = self.database.commit(books.operations)
        self._look_at_books(states)
        if self.random.random() < 0.65:
            self._catch_up()
        if draw > 0.990:
            self.note(f"hub dies after commit: {what}")
            self._waiting.clear()
            return None
        return number

    def _became(self, lease_id: str) -> None:
        """Count what a lease has become by a transaction."""
        now = self.database.primary.leases[lease_id]
        before = self._seen.get(lease_id)
        self._seen[lease_id] = now
        if before is None or before.state != now.state:
            self.counts[f"lease {'claimed' if before is None and now.state == 'proven' else now.state}"] += 1
        elif now.recalled and not before.recalled:
            self.counts["lease recalled"] += 1
        elif now.until > before.until:
            self.counts["lease longer"] += 1
        elif now.used > before.used:
            self.counts["lease told of"] += 1

    def _catch_up(self) -> None:
        self.database.standby = len(self.database.commits)
        waiting, self._waiting = self._waiting, []
        for _, message in waiting:
            assert message.to is not None, "answers go to processes"
            self._send(message, self.processes[message.to])

    def _look_at_books(self, states: dict[str, str]) -> None:
        """What is charged for leases of this period is what the balance says that was used."""
        primary = self.database.primary
        touched = {Key(primary.leases[one].customer, primary.leases[one].feature) for one in states}
        for key in touched:
            balance = primary.balances[key]
            ledger = balance.ledger
            cap = balance.cap.at(ledger.newest.at)
            if ledger.remaining != max(0, cap - ledger.used):
                raise Violation("pool", f"{key.feature}: {ledger.used} of {cap} used, and {ledger.remaining} left")

    def look_at_all(self) -> None:
        """Settled, pool and outstanding are the limit, lease by lease; and nothing was spent that is not charged."""
        primary = self.database.primary
        for key, balance in primary.balances.items():
            charged = sum(
                primary.leases[lease].charged
                for lease, (since, _) in balance.draws.items()
                if since >= balance.ledger.period
            )
            if charged != balance.ledger.used:
                raise Violation("sum", f"{key.feature}: {charged} charged by leases, {balance.ledger.used} used")
        for lease in {**self.spent, **self.reserved}:
            self._look_at(lease)

    # Faults.

    def _fault(self) -> None:
        process = self._some()
        draw = self.random.random()
        if draw < 0.08:
            self.note(f"crash anywhere: {process.name}")
            self._die(process)
        elif draw < 0.30:
            self._toggle(process)
        elif draw < 0.35:
            self.hub_up = not self.hub_up
            self.note("hub is back" if self.hub_up else "hub is away")
        elif draw < 0.40:
            self.hub_ahead = self.random.choice((-3_600, 0, 0, 3_600)) * SECOND
            self.note(f"hub clock steps: {self.hub_ahead // SECOND} s")
        elif draw < 0.46:
            self._fail_over()
        elif draw < 0.54:
            self._change_cap()
        elif draw < 0.58:
            seconds = self.random.choice((10, 60, 103, 103, 110, 130, 240))
            self.now += seconds * SECOND
            self.note(f"time passes: {seconds} s")
        elif draw < 0.61:
            self._hub_work(lambda books: authority.recall(books, self._all_open(), self._hub_now()), "recall")
            self.note("recall")
        elif draw < 0.95:
            self._doomed = self.random.choices(POINTS, POINT_WEIGHTS)[0]
        elif self.setting.restores and self.random.random() < 0.5:
            self._restore()

    def _toggle(self, process: Process) -> None:
        """Cut a process off or stop it for a while; what was done before is undone first."""
        if not self.hub_up:
            self.hub_up = True
            self.note("hub is back")
        elif process.cut:
            process.cut = False
            self.note(f"joined: {process.name}")
        elif process.paused:
            process.paused = False
            self.note(f"goes on: {process.name}")
        elif self.random.random() < 0.5:
            process.cut = True
            self.note(f"cut: {process.name}")
        else:
            process.paused = True
            self.note(f"paused: {process.name}")

    def _fail_over(self) -> None:
        """The primary is lost; the standby goes on with what it has."""
        lost = len(self.database.commits) - self.database.standby
        self.database.return_to(self.database.standby)
        self._seen = dict(self.database.primary.leases)
        self._waiting.clear()
        self.note(f"fail-over: {lost} commits behind")
        for lease in {**self.spent, **self.reserved}:
            self._look_at(lease)

    def _restore(self) -> None:
        """Somebody restores an older copy, and raises the epoch as the page says."""
        before = set(self.database.primary.leases)
        epoch = self.database.primary.epoch
        back = self.random.randrange(min(400, len(self.database.commits) + 1))
        self.database.return_to(len(self.database.commits) - back)
        self._waiting.clear()
        books = Books(self.database.primary)
        books.do("epoch", epoch + 1)
        self.database.commit(books.operations)
        self._catch_up()
        self.unpromised |= before - set(self.database.primary.leases)
        self._seen = dict(self.database.primary.leases)
        self.note(f"restore: {back} commits back, epoch {epoch + 1}")
        self._settled_before()

    def _settled_before(self) -> None:
        """Nothing is promised of a lease that had ended by what the copy does not know."""
        for lease, spent in self.spent.items():
            held = self.database.primary.leases.get(lease)
            if held is not None and spent + self.reserved[lease] > held.charged:
                self.unpromised.add(lease)

    def _change_cap(self) -> None:
        key = self.random.choice(self.keys)
        amount = self.random.choice((0, 50, 200, 1_000, 4_000, 8_000, 20_000))
        balance = self.database.primary.balances[key]
        at = balance.instant(self._hub_now())
        number = self._hub_work(lambda books: books.do("cap", key, at, amount), "cap")
        if number is not None:
            out = sum(one.amount for one in self.database.primary.open[key].values())
            self.note(f"cap: {key.feature} is {amount}, {out} out")
            if balance.left() < 0:
                self.counts["deficit"] += 1

    def _die(self, process: Process) -> None:
        """A process is gone with all that it remembered, and nobody knows what it used of what it held."""
        for one in process.reserved:
            self.counts["crash with a hold"] += bool(one.hold.parts)
            self.reserved.subtract(one.parts)
            if one.hold.parts:
                self.spent.update({lease: self.random.randint(0, part) for lease, part in one.parts.items()})
        self.processes[process.name] = self._born(process.name, process.disk)

    def _born(self, name: int, disk: Disk | None = None) -> Process:
        if disk is None and name < self.setting.with_disk:
            disk = (self.rules.journal or Disk)(self)
        owned = self.rules.owned(f"{self.random.getrandbits(128):032x}", disk)
        return Process(name, owned, disk, self.random.uniform(0, 1e6))

    def _some(self) -> Process:
        return self.processes[self.random.randrange(len(self.processes))]

    def _mono(self, process: Process) -> float:
        return self.now / SECOND + process.offset


def _drop(_: object) -> None:
    """What was returned is seen otherwise."""


def _is_fault(line: str) -> bool:
    return not re.search(r"s (spend|hears|idle|give back)\b", line)


def _brief(answer: QuotaAnswer) -> str:
    given = ", ".join(f"{one.amount} as {one.id[:8]} for {one.seconds:.1f} s" for one in answer.given)
    heard = ", ".join(f"{one.id[:8]} {one.state} {one.used}" for one in answer.heard if one.state != "open")
    return f"epoch {answer.epoch}; given {given or 'nothing'}; {heard or 'nothing ended'}"
