"""The part of ``Client`` that counts use: it asks the server and waits, or keeps what is to be told."""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from licet.core.question import Context
from licet.sdk.choosing import Choosing
from licet.sdk.errors import Closed
from licet.sdk.gating import Finds, gated, metered_by

if TYPE_CHECKING:
    from licet.sdk.book import Book
    from licet.sdk.calls import Calls
    from licet.sdk.counting import Counting, Datum
    from licet.sdk.llm import AiCall, ModelUsage, Parts
    from licet.sdk.options import Options
    from licet.sdk.reserving import Reservation
    from licet.sdk.usage import Quantity, Reports, Settled, Usage, Wanted

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Consuming(Choosing):
    """Any thread may call it. Everything is loaded when it is first used."""

    _options: "Options"
    _book: "Book"
    _closed: bool
    _closing: "threading.Lock"
    _counting: "tuple[Counting, Calls] | None" = None

    def consume(
        self,
        customer: str,
        feature: str,
        quantity: "Quantity" = 1,
        *,
        user: str | None = None,
        team: str | None = None,
        context: Context | Mapping[str, Any] | None = None,
        also: "Mapping[str, Quantity] | None" = None,
        partial: bool = False,
        dimensions: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> "Usage":
        """Decide and record use together; a refusal is a value, and takes nothing.

        The server decides, or this process where the feature says ``decide: local`` and it owns a part of it.

        All of ``feature`` and ``also`` is taken or nothing, unless ``partial``. Quantities are in major units: an
        integer, a Decimal or a decimal text. A call that must be made again is made with the same key, so that it
        counts once; ``key`` is one of your own. Raises ValueError for what cannot be read, and Unanswered where the
        server cannot be reached and nothing was said to assume (``unreachable``).
        """
        own = self._own
        plain = user is None and key is None and context is None and also is None and dimensions is None
        if own is not None and plain and not partial:
            usage = own.quick(customer, feature, quantity)
            if usage is not None:
                return usage
        from licet.sdk.counting import new_key
        from licet.sdk.usage import read_wanted

        wanted = read_wanted(
            customer,
            feature,
            quantity,
            user=user,
            team=team,
            context=context,
            also=also,
            partial=partial,
            dimensions=dimensions,
            key=new_key() if key is None else key,
        )
        counting, calls = self._ways()
        return calls.run(self._decides(counting, wanted, keyed=key is not None).consume(wanted))

    def reserve(
        self, customer: str, feature: str, quantity: "Quantity", *, lasts: timedelta | str | None = None, **more: Any
    ) -> "Reservation":
        """Set a quantity aside until it is settled or released; raises NotEntitled for a refusal.

        ``with client.reserve(…) as r: r.settle(used)``; a block that ends without settling releases it. ``lasts`` is
        a timedelta or an ISO 8601 duration, 15 minutes by default, a day at most. The rest is as for :meth:`consume`.
        """
        reservation = self.try_reserve(customer, feature, quantity, lasts=lasts, **more)
        reservation.usage.require()
        return reservation

    def try_reserve(
        self, customer: str, feature: str, quantity: "Quantity", *, lasts: timedelta | str | None = None, **more: Any
    ) -> "Reservation":
        """Return a reservation as :meth:`reserve` does; falsy, with the decision in it, for a refusal."""
        from licet.sdk.counting import new_key
        from licet.sdk.reserving import Reservation
        from licet.sdk.usage import read_lasts, read_wanted

        keyed = bool(more.get("key"))
        wanted = read_wanted(customer, feature, quantity, **{**more, "key": more.get("key") or new_key()})
        counting, calls = self._ways()
        usage = calls.run(self._decides(counting, wanted, keyed=keyed).reserve(wanted, read_lasts(lasts)))
        return Reservation(usage, partial(self._settled, wanted), self._released)

    def settle(self, reservation: str, used: "Quantity", *, also: "Mapping[str, Quantity] | None" = None) -> "Settled":
        """End a reservation by its id, made here or in another process; as ``Reservation.settle``."""
        counting, calls = self._ways()
        return calls.run(counting.settle(reservation, None, used, also))

    def release(self, reservation: str) -> "Settled":
        """End a reservation by its id with nothing used."""
        counting, calls = self._ways()
        return calls.run(counting.release(reservation, None))

    def report(
        self,
        customer: str,
        event: str,
        quantity: "Quantity | None" = None,
        *,
        data: "Mapping[str, Datum] | None" = None,
        user: str | None = None,
        team: str | None = None,
        at: datetime | None = None,
        id: str | None = None,  # noqa: A002 its name in CloudEvents
        source: str | None = None,
    ) -> str | None:
        """Keep a usage event and return its id; it is told in the background, once or more often, and counts once.

        It is on the disk when this returns, unless the client has none (``cache=False``). ``event`` is a meter's event
        type; ``quantity`` and ``data`` are what the meter reads. An ``id`` of your own makes repetitions count once,
        beside a ``source`` of your own; ``at`` is when it was used, now by default. Returns None where it was dropped
        because as many wait as may, or the disk takes no more (``report_full="drop"``); raises BufferFull there by
        default, and Invalid where another event of that id and source waits to be told.
        """
        counting, _ = self._ways()
        told, entry = counting.event(
            customer, event, quantity, data=data, user=user, team=team, at=at, id=id, source=source
        )
        return told if counting.telling.put(entry) else None

    def flush(self, timeout: float = 10.0) -> bool:
        """Tell everything that was reported by now; returns whether that was done in time."""
        return True if self._counting is None else self._counting[0].telling.flush(timeout)

    @property
    def reports(self) -> "Reports":
        """How many reports wait, were dropped, or were refused for good."""
        return self._ways()[0].telling.state()

    def metered(
        self,
        feature: str,
        *,
        customer: Finds,
        user: Finds | None = None,
        quantity: "Quantity | Callable[..., Quantity]" = 1,
    ) -> Callable[[F], F]:
        """Return a decorator: the function is called once its use was taken; raises NotEntitled for a refusal.

        ``customer`` and ``user`` name an argument of the function, or are called with all of its arguments; so may
        ``quantity`` be. What was taken stays taken whatever the function does.
        """
        given, constant = metered_by(customer, user, quantity)
        return gated(self._demand, feature, given, constant, waits=True)

    def ai_call(
        self,
        customer: str,
        feature: "str | Parts",
        estimate: "Quantity | Mapping[str, Quantity]",
        *,
        weigh: "Callable[[ModelUsage], Quantity] | None" = None,
        **more: Any,
    ) -> "AiCall":
        """Return a block around calls of a model: reserved by an estimate, settled by what the provider says was used.

        ``feature`` counts all tokens, or what ``weigh`` makes of them; or it names a feature for each kind of token
        (:class:`licet.sdk.llm.ModelUsage`), and ``estimate`` an amount for each. ``more`` is as for :meth:`reserve`.
        """
        from licet.sdk.llm import AiCall, read_plan

        plan = read_plan(feature, estimate, weigh)
        return AiCall(plan, partial(self.reserve, customer, plan.first, plan.estimates[0], **plan.others(more)))

    def _ways(self) -> "tuple[Counting, Calls]":
        """What counts, made when it is first needed."""
        found = self._counting
        if found is None:
            from licet.sdk.calls import Calls
            from licet.sdk.counting import Counting

            with self._closing:
                found = self._counting
                if found is None:
                    if self._closed:
                        raise Closed
                    found = self._counting = Counting(self._options, lambda: self._book), Calls(self._options.place)
        if self._closed:
            raise Closed
        return found

    def _tell_leftovers(self) -> None:
        """Tell what processes that are gone left behind, if anything, in the background."""
        from licet.sdk.standing import has_leftovers

        if has_leftovers(self._options):
            self._ways()[0].telling.resume()

    def _tell_unsaid(self) -> None:
        """Tell what processes that are gone left of owned quota, once it is known whom the key speaks for."""
        from licet.sdk.standing import has_unsaid

        if has_unsaid(self._options, self._book):
            self._decider(self._ways()[0]).resume()

    def _demand(self, customer: str, feature: str, **more: Any) -> "Usage":
        return self.consume(customer, feature, **more).require()

    def _settled(
        self, wanted: "Wanted", usage: "Usage", used: "Quantity", also: "Mapping[str, Quantity] | None"
    ) -> "Settled":
        counting, calls = self._ways()
        held = self._held(usage)
        if held is not None:
            return calls.run(self._decider(counting).settled(held, used, also))
        return calls.run(counting.settled(wanted, usage, used, also))

    def _released(self, usage: "Usage", seconds: float | None) -> "Settled":
        counting, calls = self._ways()
        held = self._held(usage)
        if held is not None:
            return calls.run(self._decider(counting).released(held))
        return calls.run(counting.released(usage, seconds))
