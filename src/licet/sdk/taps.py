"""Where a process takes use from that it decides by itself, and what it waits for while it owns none."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from licet.core.instant import Instant, format_instant
from licet.core.views import wire_amount
from licet.evaluator.slices import Key
from licet.sdk.usage import Certain, amount_of
from licet.wire.quota import BOUNDLESS
from licet.wire.usage import ConsumeAnswer

if TYPE_CHECKING:
    from threading import RLock

    from licet.evaluator.slices import Hold
    from licet.sdk.owning import Owning


class Tap:
    """One feature of one customer, as far as a process decides about it; it says what came of a use."""

    __slots__ = ("budget", "entry", "given", "key", "looked", "owning", "rate", "reason", "scale", "start", "unit")

    def __init__(self, owning: "Owning", key: Key, scale: int, entry: object, reason: str) -> None:
        self.owning = owning
        self.key = key
        self.scale = scale
        self.unit: int = 10**scale
        """Minor units of one."""
        self.entry = entry
        """The prepared answer by which everybody of the customer may use it; None where it depends on what is asked."""
        self.reason = reason
        self.start = self.budget = 0
        """So much may be spent until somebody looks whether more is to be asked for; what it was at the last look."""
        self.looked = monotonic()
        self.rate = 0.0
        """Minor units in a second."""
        self.given = 0
        """What the last slice had."""

    def answer(self, units: int) -> ConsumeAnswer:
        """Return what a server would say of so many minor units, as far as it is known here."""
        return ConsumeAnswer(allowed=True, reason=self.reason, quantity=wire_amount(units, self.scale))

    def certain(self) -> Certain:
        """Return what is certain of what is left."""
        found = self.owning.certain(self.key)
        least = amount_of(wire_amount(found.at_least, self.scale))
        if found.at_most is None:
            return Certain(at_least=least, at_most=None, age_seconds=found.age)
        most = "unlimited" if found.at_most >= BOUNDLESS else wire_amount(found.at_most, self.scale)
        return Certain(at_least=least, at_most=amount_of(most), age_seconds=found.age)

    def measure(self, now: float) -> None:
        """Take note of how fast it is spent."""
        passed = now - self.looked
        if passed < 0.001:
            return
        rate = (self.start - self.budget) / passed
        self.rate = rate if rate > self.rate else (rate + self.rate) / 2
        self.start, self.looked = self.budget, now

    def aim(self, budget: int) -> None:
        """Let somebody look again after so much; what was spent since it was last measured counts in the next rate."""
        self.start += budget - self.budget
        self.budget = budget


class Held:
    """What came of a reservation that a process made by itself, and until when it holds."""

    __slots__ = ("_ends", "hold", "taps")

    def __init__(self, taps: list[Tap], hold: "Hold", ends: Instant) -> None:
        """``ends`` is business time."""
        self.taps = taps
        self.hold = hold
        self._ends = ends

    def answer(self, units: int) -> ConsumeAnswer:
        """Return what a server would say; without an id, for nobody else can settle it."""
        first = self.taps[0]
        quantity, ends = wire_amount(units, first.scale), format_instant(self._ends)
        return ConsumeAnswer(allowed=True, reason=first.reason, quantity=quantity, expires_at=ends)

    def certain(self) -> Certain:
        """Return what is certain of what is left besides."""
        return self.taps[0].certain()


class Hasty:
    """A lock for whoever must not wait: entering raises OSError where somebody else has it."""

    def __init__(self, lock: "RLock") -> None:
        self._lock = lock

    def __enter__(self) -> bool:
        if not self._lock.acquire(blocking=False):
            raise BlockingIOError
        return True

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Need:
    """A slice that is to be asked for, or was. Under the lock of whoever owns, but for ``over``."""

    __slots__ = ("ask", "heard", "key", "least", "listeners", "over", "since", "tried", "wanted")

    def __init__(self, key: Key, least: int, wanted: int, since: float) -> None:
        self.key = key
        self.least = least
        self.wanted = wanted
        self.since = since
        self.ask = ""
        """The id under which it was asked for."""
        self.tried = 0
        self.over = False
        """Whether it was answered, or will not be."""
        self.heard = False
        """Whether something was given."""
        self.listeners: list[Callable[[], None]] = []

    def end(self, *, heard: bool) -> list[Callable[[], None]]:
        """Note that it is over; returns whom to tell."""
        self.heard = heard
        self.over = True  # last: whoever waits looks at this one, without the lock
        told, self.listeners = self.listeners, []
        return told


class Wait:
    """Wait for slices; ``listen`` lets the driver be told, and ``over`` tells it when to go on."""

    def __init__(self, needs: list[Need], seconds: float) -> None:
        self._needs = needs
        self.seconds = seconds

    def listen(self, told: Callable[[], None]) -> None:
        """Let something be called whenever one of them is over, and once now: it may be over already.

        Without the lock, for an event loop listens too: what ends meanwhile is seen by the call at the end.
        """
        for need in self._needs:
            need.listeners.append(told)
        told()

    @property
    def over(self) -> bool:
        """Whether all of them are over."""
        return all(need.over for need in self._needs)

    @property
    def heard(self) -> bool:
        """Whether something was given for each."""
        return all(need.heard for need in self._needs)


class Turn:
    """Something that may wait for a disk, and what came of it."""

    def __init__(self, do: Callable[[], bool]) -> None:
        self._do = do
        self.done = False
        self.error: Exception | None = None

    def perform(self) -> None:
        """Do it; what it raises is kept for whoever asked."""
        try:
            self.done = self._do()
        except Exception as error:  # noqa: BLE001 raised by whoever asked, in its own thread
            self.error = error
