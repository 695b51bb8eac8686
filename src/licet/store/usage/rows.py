"""Facts of usage as rows: what has a column of its own stands there once, the rest in one JSON text."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from licet.core.instant import Instant, to_datetime, to_instant
from licet.core.usage.facts import AccountKey, Fact, FactKind, Reservation
from licet.services.errors import Invalid
from licet.services.usage.ports import BalanceRow, FactRow, KeptKey

LARGEST: Final = 2**63 - 1
_SEPARATOR: Final = "\x1f"
"""Between texts of a column: in no customer's id, and in JSON only escaped."""


class FactDoc(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a fact says besides its columns, in the order of its keys."""

    asked: dict[str, int] = {}
    back: dict[str, int] = {}
    burns: dict[str, int] = {}
    dimensions: dict[str, str] = {}
    exceeds: bool = False
    metered: dict[str, int] = {}
    of: str | None = None
    rates: dict[str, str] = {}
    team: str | None = None
    undoes: tuple[str, ...] = ()
    until: Instant | None = None
    user: str | None = None
    values: dict[str, str] = {}


_encode: Final = msgspec.json.Encoder(order="sorted").encode
_encode_as_it_is: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(FactDoc).decode
_decode_reservation: Final = msgspec.json.Decoder(Reservation).decode


def ident(value: str) -> bytes:
    """Return the 16 bytes of an id of 32 hex digits; raises Invalid for anything else."""
    try:
        found = bytes.fromhex(value)
    except ValueError:
        found = b""
    if len(found) != 16 or len(value) != 32:
        raise Invalid(f"{value!r} is not the id of a fact", advice="ids of facts are 32 hex digits")
    return found


def fact_doc(fact: Fact) -> str:
    """Return what a fact says besides its columns, as JSON."""
    return _encode(
        FactDoc(
            asked=fact.asked,
            back=fact.back,
            burns=fact.burns,
            dimensions=fact.dimensions,
            exceeds=fact.exceeds,
            metered=fact.metered,
            of=fact.of,
            rates=fact.rates,
            team=fact.team,
            undoes=fact.undoes,
            until=fact.until,
            user=fact.user,
            values=fact.values,
        )
    ).decode()


def fact_of(row: Mapping[str, Any]) -> Fact:
    """Return the fact of a row."""
    doc = _decode(row["doc"])
    kind: FactKind = row["kind"]
    return Fact(
        id=row["id"].hex(),
        kind=kind,
        effective=to_instant(row["effective_at"]),
        customer=row["customer"],
        user=doc.user,
        team=doc.team,
        asked=doc.asked,
        metered=doc.metered,
        burns=doc.burns,
        of=doc.of,
        until=doc.until,
        rates=doc.rates,
        values=doc.values,
        dimensions=doc.dimensions,
        undoes=doc.undoes,
        exceeds=doc.exceeds,
        back=doc.back,
    )


def fact_row(row: Mapping[str, Any]) -> FactRow:
    """Return a fact with its serial and time of recording."""
    return FactRow(
        serial=row["serial"], recorded_at=row["recorded_at"], fact=fact_of(row), source=row["source"].encode()
    )


def idents(values: Sequence[str]) -> bytes:
    """Return the bytes of ids one after the other, 16 of each; raises Invalid as :func:`ident` does."""
    try:
        found = bytes.fromhex("".join(values))
    except ValueError:
        found = b""
    return found if len(found) == 16 * len(values) and set(map(len, values)) <= {32} else b"".join(map(ident, values))


def fact_columns(facts: Sequence[Fact], sources: Sequence[bytes]) -> list[Any]:
    """Return facts as columns, in their order.

    Effective instants, each once; where among them that of each fact is; ids, one after the other; kinds; customers;
    documents; sources. Texts stand between separators; of places and kinds nothing where all are first, and reports.
    """
    places: dict[Instant, int] = {}
    at = [places.setdefault(fact.effective, len(places) + 1) for fact in facts]
    kinds = [fact.kind for fact in facts]
    return [
        list(map(to_datetime, places)),
        _SEPARATOR.join(map(str, at)) if len(places) > 1 else None,
        idents([fact.id for fact in facts]),
        _SEPARATOR.join(kinds) if kinds.count("report") < len(kinds) else None,
        _SEPARATOR.join([fact.customer for fact in facts]),
        _SEPARATOR.join([fact_doc(fact) for fact in facts]),
        b"\x1f".join(sources).decode() if sources else _SEPARATOR.join(["{}"] * len(facts)),
    ]


def kept_columns(keys: Sequence[KeptKey]) -> list[Any]:
    """Return how many keys there are, their ids and hashes one after the other, and the places of facts and answers.

    Of places nothing where each is that of its key, of answers nothing where all are empty.
    """
    serials = [key.serial for key in keys]
    answers = [key.answer for key in keys]
    return [
        len(keys),
        idents([key.id for key in keys]),
        b"".join([key.body_hash for key in keys]),
        [] if serials == list(range(1, len(keys) + 1)) else serials,
        answers if any(answers) else [],
    ]


def balance_of(row: Mapping[str, Any]) -> BalanceRow:
    """Return what is kept of a balance."""
    return BalanceRow(
        key=AccountKey(row["customer"], row["feature"], row["holder"]),
        state=row["state"],
        used=row["used"],
        granted=row["granted"],
        remaining=row["remaining"],
        as_of=to_instant(row["as_of"]),
        serial=row["serial"],
    )


def balance_columns(balances: Sequence[BalanceRow]) -> list[list[Any]]:
    """Return customers, features, holders, states, the three numbers and the instants of balances."""
    return [
        [one.key.customer for one in balances],
        [one.key.feature for one in balances],
        [one.key.holder for one in balances],
        [one.state for one in balances],
        [_bounded(one.used) for one in balances],
        [_bounded(one.granted) for one in balances],
        [_bounded(one.remaining) for one in balances],
        [to_datetime(one.as_of) for one in balances],
    ]


def reservation_of(row: asyncpg.Record) -> Reservation:
    """Return the reservation of a row."""
    return _decode_reservation(row["doc"])


def reservation_doc(reservation: Reservation) -> str:
    """Return a reservation as JSON; what was asked for first stays first, for a settle counts by it."""
    return _encode_as_it_is(reservation).decode()


def key_columns(keys: Sequence[AccountKey]) -> tuple[list[str], list[str], list[str]]:
    """Return customers, features and holders of balances, in their order."""
    return [key.customer for key in keys], [key.feature for key in keys], [key.holder for key in keys]


def _bounded(value: int) -> int:
    """Return a number for lists as the database can hold it: sums of unlimited grants go beyond."""
    return max(-LARGEST, min(LARGEST, value))
