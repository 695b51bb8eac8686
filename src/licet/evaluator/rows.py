"""What is held of customers and users, small: one row each, read only when somebody is asked about."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from licet.core.question import UserFacts
from licet.core.terms import Attributes, Terms
from licet.evaluator.later import read_later
from licet.wire.feed import TermsRow, UserRow, digest_part, user_content

_HEAD: Final = struct.Struct("<QIQ")
"""Sequence, revision, the lower half of what the row adds to the digest."""
_LOWER: Final = 2**64
_WINDOW: Final = -12
ABSENT: Final = b""
"""The row of a customer of whom it is known that there are no terms."""

# What most terms consist of; the likelier, the later. Rows are held in memory only, so that it may change at any time.
_SAMPLE: Final = (
    b'{"country":"US","zone":"Europe/Berlin","attributes":{}},"early_payments":[],"leniencies":[{"id":"len_","kind":"'
    b'promise","pause","ladders":[{"ladder":"cohorts":[{"cohort":"moves":[{"id":"mov_","from_version":"2026-01",'
    b'"to_version":"2026-07","suspensions":[{"note":"","overrides":[{"id":"ovr_","feature":"effect":"deny","amount":'
    b'"value":"unlimited","ends_at":"kind":"promotion","when":"deployments":["regions":["payments":[{"kind":"failed",'
    b'"paid","at":"2026-","invoice":"in_","stated_at":"money":{"amount":"currency":"EUR"},"schedule":{"pauses":[{'
    b'"unpaused_at":"trial_start":"2026-01-01T00:00:00Z","trial_end":"2026-01-15T00:00:00Z","trial_end_behavior":"fall"'
    b',"end_event":"final":true,"quantity":1,"quantity_of":"bundle":"line":"si_","source":"stripe","external_id":"sub_'
    b'","occurred_at":"2026-01-01T00:00:00.000000Z","sequence":1,"event":"evt_"}]},{"kind":"addon","id":"version":"1"}'
    b'{"customer":"customer-1","profile":{"region":"eu"},"subscriptions":[{"id":"sub_0198","phases":[{"starts_at":"2026-'
    b'01-01T00:00:00Z","items":[{"kind":"plan","id":"team","version":"2026-01"}],"event":"evt_0198"}],"anchor":"2026-01'
    b'-01T00:00:00Z","period":"P1M","zone":"Europe/Berlin"}]}'
)
_TERMS: Final = msgspec.json.Decoder(Terms)


class _UserContent(msgspec.Struct, frozen=True):
    """A user's facts, as its row has them."""

    active: bool
    roles: tuple[str, ...]
    attributes: Attributes


_USER: Final = msgspec.json.Decoder(_UserContent)


def user_key(customer: str, user: str) -> str:
    """Return the key of a user's row. No id has a NUL in it."""
    return f"{customer}\0{user}"


def terms_row(customer: str, revision: int, seq: int, doc: bytes) -> tuple[bytes, int]:
    """Return the row of a terms document, and what it adds to the digest."""
    part = digest_part("terms", customer, "", revision, doc)
    packer = zlib.compressobj(6, zlib.DEFLATED, _WINDOW, 5, zlib.Z_DEFAULT_STRATEGY, _SAMPLE)
    return _HEAD.pack(seq, revision, part % _LOWER) + packer.compress(doc) + packer.flush(), part


def user_row(row: UserRow) -> tuple[bytes, int]:
    """Return the row of a user, and what it adds to the digest."""
    content = user_content(row)
    part = digest_part("user", row.customer, row.user, row.revision, content)
    return _HEAD.pack(row.seq, row.revision, part % _LOWER) + content, part


def revision_of(row: bytes) -> int:
    """Return the revision of a row; 0 for one that says that there is nothing."""
    return int(_HEAD.unpack_from(row)[1]) if row else 0


def terms_of(row: bytes) -> Terms:
    """Return the terms of a row."""
    document = _document(row)
    try:
        return _TERMS.decode(document)
    except msgspec.ValidationError:
        return read_later(document, Terms)


def facts_of(user: str, row: bytes | None) -> UserFacts | str:
    """Return what conditions may read of a user; of one that is not known or not active, only the id."""
    if row is None:
        return user
    facts = _USER.decode(row[_HEAD.size :])
    return UserFacts(id=user, roles=facts.roles, attributes=facts.attributes) if facts.active else user


def part_of(key: str, row: bytes) -> int:
    """Return what a row adds to the digest, worked out from its content."""
    if not row:
        return 0
    customer, nul, user = key.partition("\0")
    if nul:
        return digest_part("user", customer, user, revision_of(row), row[_HEAD.size :])
    return digest_part("terms", customer, "", revision_of(row), _document(row))


def is_sound(key: str, row: bytes) -> bool:
    """Return whether a row still has the content that it was made of."""
    try:
        return not row or part_of(key, row) % _LOWER == _HEAD.unpack_from(row)[2]
    except (zlib.error, struct.error):
        return False


def wire_rows(held: Mapping[str, bytes]) -> Iterator[TermsRow | UserRow]:
    """Yield rows as a feed has them."""
    for key in list(held):
        row = held.get(key, ABSENT)
        if not row:
            continue
        seq, revision, _ = _HEAD.unpack_from(row)
        customer, nul, user = key.partition("\0")
        if not nul:
            yield TermsRow(customer=customer, revision=revision, seq=seq, doc=Raw(_document(row)))
            continue
        facts = _USER.decode(row[_HEAD.size :])
        yield UserRow(
            customer=customer,
            user=user,
            revision=revision,
            seq=seq,
            active=facts.active,
            roles=facts.roles,
            attributes=facts.attributes,
        )


def _document(row: bytes) -> bytes:
    return zlib.decompressobj(_WINDOW, _SAMPLE).decompress(row[_HEAD.size :])
