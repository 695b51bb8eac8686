"""What both clients know about counting use: which requests are made, what is kept for later, what is assumed."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from time import monotonic, time_ns
from typing import Final

import msgspec
from msgspec import structs

from licet.core.catalog import Meter
from licet.core.instant import to_datetime
from licet.sdk.book import Book
from licet.sdk.decision import NOWHERE, assume
from licet.sdk.errors import BufferFull, Unanswered
from licet.sdk.ids import plain, read_id
from licet.sdk.options import Options
from licet.sdk.pacing import Tries
from licet.sdk.shelf import Entry
from licet.sdk.spending import (
    CONSUME,
    RESERVATIONS,
    Call,
    Errand,
    Keep,
    Line,
    call,
    closing_key,
    release_path,
    settle_path,
)
from licet.sdk.telling import Telling
from licet.sdk.usage import Quantity, Settled, Usage, Wanted, read_quantity, settle_body, usage_of
from licet.seal.ids import new_id
from licet.wire.usage import ClosingAnswer, CloudEvent, ConsumeAnswer, WantAsked

SOURCE: Final = "licet-python"
"""The source of events whose program names none."""
_MOST_DATA: Final = 100
_MOST_EVENT: Final = 64 * 1024
Datum = str | int | float | bool | list[str] | None


class Counting:
    """One client's way to count use. It performs nothing itself, but for what it gives to be told later."""

    def __init__(self, options: Options, book: Callable[[], Book]) -> None:
        self._options = options
        self._book = book
        self.telling = Telling(options)
        self._renew()

    def _renew(self) -> None:
        from random import SystemRandom

        options = self._options
        self._line = Line(url=options.place.url, tries=Tries(SystemRandom()), ticks=monotonic, seconds=options.timeout)

    def consume(self, wanted: Wanted, refused: Usage | None = None) -> Call[Usage]:
        """Consume; what was assumed to be allowed because nobody answered is kept, to be told later.

        ``refused`` is what is answered instead where nobody does: it is known here that it is not allowed.
        """
        try:
            return (yield from self._taken(wanted, Errand(path=CONSUME, body=wanted.consume(), key=wanted.key)))
        except Unanswered as wrong:
            if refused is not None:
                return refused
            usage = self.assumed(wanted, wrong)
            if usage:
                yield from self._keep(self.consume_later(wanted))
            return usage

    def reserve(self, wanted: Wanted, lasts: str, refused: Usage | None = None) -> Call[Usage]:
        """Reserve, or return what is assumed because nobody answered; ``refused`` as for :meth:`consume`."""
        try:
            errand = Errand(path=RESERVATIONS, body=wanted.reserve(lasts), key=wanted.key)
            return (yield from self._taken(wanted, errand))
        except Unanswered as wrong:
            return self.assumed(wanted, wrong) if refused is None else refused

    def settled(
        self, wanted: Wanted, usage: Usage, used: Quantity, also: Mapping[str, Quantity] | None
    ) -> Call[Settled]:
        """End what was reserved here; one that was assumed is told later as what it came to."""
        if usage.id is not None:
            return (yield from self.settle(usage.id, wanted, used, also))
        entry = self.assumed_settled(wanted, used, also)
        if entry is not None:
            yield from self._keep(entry, must=True)
        return Settled(reservation="", later=True)

    def settle(
        self, reservation: str, wanted: Wanted | None, used: Quantity, also: Mapping[str, Quantity] | None
    ) -> Call[Settled]:
        """Settle, now or later; raises Unanswered where neither can be."""
        try:
            answer = yield from call(self._line, _settling(reservation, used, also), ClosingAnswer)
        except Unanswered as wrong:
            try:
                yield from self._keep(self.settle_later(reservation, wanted, used, also), must=True)
            except BufferFull:
                raise wrong from None
            return Settled(reservation=reservation, later=True)
        return Settled(reservation=reservation, answer=answer)

    def released(self, usage: Usage, seconds: float | None) -> Call[Settled]:
        """End what was reserved here with nothing used, trying for so many seconds; what was assumed just ends."""
        if usage.id is None:
            return Settled(reservation="", later=True)
        return (yield from self.release(usage.id, seconds))

    def release(self, reservation: str, seconds: float | None) -> Call[Settled]:
        """Release, trying for so many seconds."""
        key = closing_key(reservation, "release")
        errand = Errand(path=release_path(reservation), body=b"{}", key=key, keyed=False)
        answer = yield from call(self._line, errand, ClosingAnswer, seconds)
        return Settled(reservation=reservation, answer=answer)

    def _taken(self, wanted: Wanted, errand: Errand) -> Call[Usage]:
        answer = yield from call(self._line, errand, ConsumeAnswer)
        return usage_of(wanted, answer, _wall())

    def _keep(self, entry: Entry, *, must: bool = False) -> Call[None]:
        keep = Keep(partial(self.telling.put, entry, must=must))
        yield keep
        if keep.error is not None:
            raise keep.error

    def assumed(self, wanted: Wanted, wrong: Unanswered) -> Usage:
        """Return what the client was told to assume where the server cannot be asked; raises ``wrong`` for nothing."""
        options = self._options
        if options.unreachable is None:
            raise wrong
        allowed = options.unreachable.get(wanted.feature, options.default_unreachable) == "allow"
        decision = assume(wanted.customer, wanted.feature, _wall(), allowed=allowed)
        answer = ConsumeAnswer(allowed=allowed, reason=decision.reason, quantity=wanted.quantity if allowed else 0)
        return Usage(
            customer=wanted.customer,
            feature=wanted.feature,
            told=answer,
            key=wanted.key,
            decision=None if allowed else decision,
            assumed=True,
        )

    def consume_later(self, wanted: Wanted) -> Entry:
        """Return what is told later of use that was assumed to be allowed; under the key of the call that failed."""
        spare = self._spare(wanted, wanted.quantity, wanted.key) if not wanted.also else None
        return Entry(id=f"{CONSUME}\0{wanted.key}", kind="call", path=CONSUME, body=wanted.consume(), spare=spare)

    def settle_later(
        self, reservation: str, wanted: Wanted | None, used: Quantity, also: Mapping[str, Quantity] | None
    ) -> Entry:
        """Return what is told later of a reservation whose end could not be told."""
        errand = _settling(reservation, used, also)
        alone = wanted is not None and not wanted.also and read_quantity(used) not in (0, "0")
        spare = self._spare(wanted, read_quantity(used), errand.key) if alone and wanted is not None else None
        return Entry(id=f"{errand.path}\0{errand.key}", kind="call", path=errand.path, body=errand.body, spare=spare)

    def assumed_settled(self, wanted: Wanted, used: Quantity, also: Mapping[str, Quantity] | None) -> Entry | None:
        """Return what is told later of a reservation that was assumed: what it came to; None for nothing."""
        amounts = {wanted.feature: read_quantity(used)}
        amounts |= {one.feature: read_quantity(one.quantity) for one in wanted.also}
        amounts |= {name: read_quantity(amount) for name, amount in (also or {}).items()}
        came = [(name, amount) for name, amount in amounts.items() if amount not in (0, "0")]
        if not came:
            return None
        (feature, quantity), *others = came
        rest = tuple(WantAsked(feature=name, quantity=amount) for name, amount in others)
        return self.consume_later(structs.replace(wanted, feature=feature, quantity=quantity, also=rest, partial=False))

    def event(
        self,
        customer: str,
        event: str,
        quantity: Quantity | None,
        *,
        data: Mapping[str, Datum] | None = None,
        user: str | None = None,
        team: str | None = None,
        at: datetime | None = None,
        id: str | None = None,  # noqa: A002 its name in CloudEvents
        source: str | None = None,
    ) -> tuple[str, Entry]:
        """Return the id of an event and what is kept of it; raises ValueError for what cannot be read."""
        if at is not None and at.tzinfo is None:
            raise ValueError(f"at={at} has no time zone; give an aware datetime, like datetime.now(UTC)")
        told = CloudEvent(
            specversion="1.0",
            id=new_id("rep", _wall()) if id is None else _text("id", id),
            source=SOURCE if source is None else _text("source", source),
            type=read_id("event", event),
            subject=read_id("customer", customer),
            time=self._now() if at is None else at.astimezone(UTC),
            data=_content(quantity, data, user, team),
        )
        body = msgspec.json.encode(told, enc_hook=plain)
        if len(body) > _MOST_EVENT:
            raise ValueError(f"the event has {len(body)} bytes; at most {_MOST_EVENT} are told")
        return told.id, Entry(id=f"{told.source}\0{told.id}", kind="event", body=body, timed=at is not None)

    def after_fork_in_child(self) -> None:
        """Begin anew; what waits is the parent's to tell."""
        self._renew()
        self.telling.after_fork_in_child()

    def _now(self) -> datetime | None:
        """Business time; None where the server's clock at arrival is the better guess."""
        page = self._book().page
        if page is NOWHERE:
            return None if self._options.place.workspace == "test" else to_datetime(_wall())
        return to_datetime(page.business(max(_wall(), page.issued_at)))

    def _spare(self, wanted: Wanted, quantity: int | str, key: str) -> bytes | None:
        """The event that counts the same, where exactly one meter would count it, and would count all of it."""
        found = self._meter(wanted.feature)
        if found is None:
            return None
        data: dict[str, Datum] = {**wanted.dimensions, found.field or "quantity": quantity}
        _, entry = self.event(wanted.customer, found.event, None, data=data, user=wanted.user, team=wanted.team, id=key)
        return entry.body

    def _meter(self, feature: str) -> Meter | None:
        catalog = self._book().truth.catalog
        if catalog is None:
            return None
        meters = catalog.document.meters
        meter = meters.get(getattr(catalog.document.features.get(feature), "meter", ""))
        if meter is None or meter.aggregate != "sum" or meter.filters:
            return None
        return meter if [one.event for one in meters.values()].count(meter.event) == 1 else None


def new_key() -> str:
    """Return a key that no other call has."""
    return new_id("key", _wall())


def _settling(reservation: str, used: Quantity, also: Mapping[str, Quantity] | None) -> Errand:
    facts = [read_quantity(used), *sorted((name, read_quantity(amount)) for name, amount in (also or {}).items())]
    key = closing_key(reservation, "settle", *facts)
    return Errand(path=settle_path(reservation), body=settle_body(used, also, key), key=key)


def _content(
    quantity: Quantity | None, data: Mapping[str, Datum] | None, user: str | None, team: str | None
) -> dict[str, Datum]:
    """The data of an event; raises ValueError for what no server takes."""
    content: dict[str, Datum] = {}
    for name, value in (data or {}).items():
        if isinstance(value, float) and not -9e15 < value < 9e15:  # also what is no number
            raise ValueError(f"data[{name!r}] is {value}; write a finite number")
        content[read_id("data field", name)] = value
    if len(content) > _MOST_DATA:
        raise ValueError(f"data has {len(content)} fields; at most {_MOST_DATA} are told")
    if quantity is not None:
        content["quantity"] = read_quantity(quantity)
    for name, one in (("user", user), ("team", team)):
        if one is not None:
            content[name] = read_id(name, one)
    return content


def _text(what: str, value: str) -> str:
    if not 1 <= len(value) <= 255 or not value.isprintable():
        raise ValueError(f"{what}={value[:40]!a} is no {what} of an event: it has 1 to 255 printable characters")
    return value


def _wall() -> int:
    return time_ns() // 1000
