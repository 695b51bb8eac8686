"""What a lane carries: one request each, with its id, and the reply it ends in."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct, structs

from licet.core.usage.facts import Fact
from licet.services.normal import FIRST_YEAR, LAST_YEAR, MAX_NAME, normal
from licet.services.rows import Actor
from licet.services.truth import Recent
from licet.services.usage.ids import fact_id, sized
from licet.wire.quota import QuotaCall
from licet.wire.usage import CloudEvent, ConsumeAsked, CorrectionAsked, SettleAsked

MAX_REMEMBERED: Final = 50_000
"""Reservations whose facts are kept in memory."""
EVENT_BYTES: Final = 512
"""What an event takes where nobody says."""


class Reply(Struct, frozen=True):
    """A reply as it goes out: JSON of a ``ConsumeAnswer`` or ``ClosingAnswer``; what it says is durable.

    ``repeated``: the same request came before, and this is what was answered then; nothing was written now.
    """

    body: bytes
    allowed: bool = True
    repeated: bool = False

    @property
    def reason(self) -> str:
        """Why a consume or reserve was allowed or refused."""
        return _REASONED.decode(self.body).reason


class _Reasoned(Struct):
    reason: str


_REASONED: Final = msgspec.json.Decoder(_Reasoned)


class AdmitJob(Struct, frozen=True, kw_only=True):
    """A consume or reserve, to be decided and recorded together."""

    actor: Actor
    kind: Literal["consume", "reserve"]
    asked: ConsumeAsked
    id: str
    hash: bytes
    """Of what it says, 16 bytes."""
    keyed: bool
    """Whether it may come again: it has an idempotency key."""


class CloseJob(Struct, frozen=True, kw_only=True):
    """The end of a reservation; ``asked`` None is a release."""

    actor: Actor
    reservation: str
    asked: SettleAsked | None
    id: str
    hash: bytes
    keyed: bool


class ReportJob(Struct, frozen=True, kw_only=True):
    """Events that tell of usage afterwards, and by event what is kept of it: worked out as it arrives."""

    actor: Actor
    events: tuple[CloudEvent, ...]
    ids: list[str]
    """Of the facts they become."""
    hashes: list[bytes]
    """Of what they say, 16 bytes each."""
    sources: list[bytes]
    """JSON: source, type, id and subject."""
    customers: dict[str, None]
    """About whom they are, each once."""


class CorrectJob(Struct, frozen=True, kw_only=True):
    """A part of a consume or report to be given back."""

    actor: Actor
    asked: CorrectionAsked
    id: str
    hash: bytes
    keyed: bool


class QuotaJob(Struct, frozen=True, kw_only=True):
    """What an evaluator asks and tells of what it owns."""

    actor: Actor
    call: QuotaCall
    id: str
    """Of this call alone: a repetition says the same to leases, which know what they have heard."""


class LapseJob(Struct, frozen=True, kw_only=True):
    """Leases to be charged in full where their time or their epoch is over."""

    actor: Actor
    leases: tuple[str, ...]
    id: str


Job = AdmitJob | CloseJob | ReportJob | CorrectJob | QuotaJob | LapseJob


def fresh_id() -> str:
    """Return an id for a fact that nobody can repeat."""
    return os.urandom(16).hex()


def body_hash(*parts: Struct | str | None) -> bytes:
    """Return 16 bytes that differ where what is said differs."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).digest()[:16]


def job_id(actor: Actor, route: str, key: str | None) -> tuple[str, bool]:
    """Return the id of a request and whether it may come again: made of where, of the key, and of any binding.

    A retry with an API key that replaced the first one has the same id; one bound to a customer never meets others.
    """
    return (fresh_id(), False) if key is None else (fact_id("key", actor.customer or "", route, key), True)


def event_id(source: str, name: str, bound: str | None) -> str:
    """Return the id of the fact that an event becomes; ``bound`` is the customer that whoever tells is bound to.

    What a bound key tells has ids of its own, or it could use up those of other customers' events.
    """
    return fact_id("event", source, name) if bound is None else fact_id("event", source, name, bound)


class _Source(Struct, frozen=True, gc=False):
    """In the order of its names."""

    id: str
    source: str
    subject: str
    type: str


_encode: Final = msgspec.json.Encoder().encode
_encode_said: Final = msgspec.json.Encoder(order="deterministic").encode
_ODD: Final = (b"\\", b"\x7f", b'""', b'" ', b' "')
"""What stands in JSON of texts that may have another normal form: escapes, and what is empty or ends in a space."""


class Offer(NamedTuple):
    """A job for a lane: whose it is (a customer, or who reports), how many events it has, how many bytes they are."""

    job: Job
    owner: str
    events: int = 0
    size: int = 0


def admitting(actor: Actor, kind: Literal["consume", "reserve"], asked: ConsumeAsked, key: str | None) -> Offer:
    """Return a consume or reserve as a job; ``key`` is the idempotency key where ``asked`` has none."""
    asked = normal(asked)
    made, keyed = job_id(actor, kind, asked.key or key)
    said = body_hash(kind, asked if asked.key is None else structs.replace(asked, key=None))
    return Offer(AdmitJob(actor=actor, kind=kind, asked=asked, id=made, hash=said, keyed=keyed), asked.customer)


def settling(actor: Actor, reservation: str, asked: SettleAsked, key: str | None) -> Offer:
    """Return the end of a reservation as a job."""
    asked = normal(asked)
    made, keyed = job_id(actor, f"settle/{reservation}", asked.key or key)
    said = body_hash("settle", reservation, structs.replace(asked, key=None))
    job = CloseJob(actor=actor, reservation=reservation, asked=asked, id=made, hash=said, keyed=keyed)
    return Offer(job, reservation)


def releasing(actor: Actor, reservation: str, key: str | None) -> Offer:
    """Return the end of a reservation that came to nothing as a job."""
    made, keyed = job_id(actor, f"release/{reservation}", key)
    said = body_hash("release", reservation)
    job = CloseJob(actor=actor, reservation=reservation, asked=None, id=made, hash=said, keyed=keyed)
    return Offer(job, reservation)


def reporting(actor: Actor, events: Sequence[CloudEvent], size: int | None) -> Offer:
    """Return events as a job; ``size`` is how many bytes they came in."""
    told = tuple(events)
    said = list(map(_encode_said, told))
    if not _are_plain(told, said):
        told = tuple(map(normal, told))
        said = list(map(_encode_said, told))
    sha = hashlib.sha256
    ends = b"" if actor.customer is None else sized(actor.customer)
    begins: dict[str, bytes] = {}
    ids = []
    for event in told:
        source = event.source
        begin = begins.get(source)
        if begin is None:
            begin = begins[source] = sized("event") + sized(source)
        ids.append(sha(begin + sized(event.id) + ends).hexdigest()[:32])
    job = ReportJob(
        actor=actor,
        events=told,
        ids=ids,
        hashes=[sha(b'["event",%b]' % one).digest()[:16] for one in said],
        sources=[_encode(_Source(one.id, one.source, one.subject, one.type)) for one in told],
        customers=dict.fromkeys([event.subject for event in told]),
    )
    return Offer(job, actor.id, len(told), size or EVENT_BYTES * len(told))


def _are_plain(events: Sequence[CloudEvent], said: Sequence[bytes]) -> bool:
    """Whether events are in their normal form, told at a glance by their JSON; where not, they have to be looked at."""
    whole = b",".join(said)
    if not whole.isascii() or any(odd in whole for odd in _ODD):
        return False
    known: set[str] = set()
    for event in events:
        time, names = event.time, event.data.keys()
        if time is not None and not (time.tzinfo is UTC and FIRST_YEAR <= time.year <= LAST_YEAR):
            return False
        if not names <= known:
            if max(map(len, names)) > MAX_NAME:
                return False
            known |= names
    return True


def correcting(actor: Actor, asked: CorrectionAsked, key: str | None) -> Offer:
    """Return a correction as a job."""
    asked = normal(asked)
    made, keyed = job_id(actor, "correct", asked.key or key)
    said = body_hash("correct", structs.replace(asked, key=None))
    return Offer(CorrectJob(actor=actor, asked=asked, id=made, hash=said, keyed=keyed), asked.customer)


def owning(actor: Actor, call: QuotaCall) -> Offer:
    """Return a call of an evaluator as a job; its share of a posting is that of its owner."""
    return Offer(QuotaJob(actor=actor, call=call, id=fresh_id()), call.owner)


def pairs_of(call: QuotaCall) -> list[tuple[str, str]]:
    """Return the features of customers of which a call asks for slices, or claims use."""
    return [*((one.customer, one.feature) for one in call.asks), *((one.customer, one.feature) for one in call.claims)]


def lapsing(actor: Actor, leases: Sequence[str]) -> Offer:
    """Return leases to be charged in full as a job."""
    return Offer(LapseJob(actor=actor, leases=tuple(leases), id=fresh_id()), actor.id)


def customers_of(jobs: Iterable[Job]) -> list[str]:
    """Return the customers that jobs name, each once."""
    named: dict[str, None] = {}
    for job in jobs:
        if isinstance(job, ReportJob):
            named |= job.customers
        elif isinstance(job, QuotaJob):
            named |= dict.fromkeys(customer for customer, _ in pairs_of(job.call))
        elif not isinstance(job, LapseJob) and not isinstance(job, CloseJob):
            named[job.asked.customer] = None
    return list(named)


class Reservations:
    """What recent reservations say: facts never change, so that whose a reservation is need not be looked up again."""

    def __init__(self) -> None:
        self._kept: Recent[str, Fact] = Recent(MAX_REMEMBERED)

    def get(self, reservation: str) -> Fact | None:
        """Return the fact of a reservation, None where it is not remembered."""
        return self._kept.get(reservation)

    def put(self, fact: Fact) -> None:
        """Remember one."""
        self._kept.put(fact.id, fact)
