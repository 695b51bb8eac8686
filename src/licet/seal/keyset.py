"""The keyset: which keys may sign what, from when until when, signed itself by a root key that is kept offline.

Whoever verifies has the root's public key pinned. A keyset has a version that never goes back, so that an old one with
a key revoked since cannot be brought back. Keys overlap during a rotation. What a revoked key signed is refused
whenever it says that it was signed: who has the key can write any date.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from licet.core.instant import Instant, format_instant, to_instant
from licet.seal.paserk import KeyTextError, pid, public_of, read_public
from licet.seal.paseto import TokenError, footer_of, open_token, sign_token

FORMAT: Final = 1
MAX_KEYS: Final = 100
MAX_KEYSET: Final = 256 * 1024
"""Characters of a signed keyset."""
_UNDERSTOOD: Final[frozenset[str]] = frozenset()
"""Critical fields, beyond those of the format, that this version understands."""

Purpose = Literal["feed", "license", "site", "portal"]
"""What a key may sign: the truth that evaluators follow, license files, a site's documents, portal sessions."""
_ROOT: Final = "keyset"


class SealError(Exception):
    """Something signed cannot be believed. ``code`` is stable and says why."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class KeyEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One key. It signs from ``not_before`` on and is believed until ``not_after``, exclusive."""

    id: str
    """``k4.pid.…`` of ``public``."""
    public: str
    """``k4.public.…``"""
    purposes: Annotated[tuple[str, ...], Meta(min_length=1, max_length=20)]
    """Those of :data:`Purpose`, and perhaps later ones, which this version has no use for."""
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None


class Keyset(Struct, frozen=True, kw_only=True):
    """The keys of one workspace. Unknown fields are ignored unless ``crit`` names them: then the keyset is refused."""

    v: int = FORMAT
    crit: tuple[str, ...] = ()
    workspace: str
    version: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    issued_at: datetime
    keys: Annotated[tuple[KeyEntry, ...], Meta(max_length=MAX_KEYS)]


class _Head(Struct, frozen=True, kw_only=True):
    """What every format of a keyset has: whether this version understands the rest."""

    v: int
    crit: tuple[str, ...] = ()


class Footer(Struct, frozen=True, kw_only=True):
    """What travels in the open with everything signed: the key's id and what was signed."""

    kid: str
    typ: str


def sign_keyset(keyset: Keyset, root: bytes) -> str:
    """Return a keyset signed with the root's seed; raises SealError for one that nobody would accept."""
    _check(keyset)
    return _sign(msgspec.json.encode(keyset), root, _ROOT)


def open_keyset(token: str, roots: Collection[str], workspace: str, *, newest: int = 0) -> Keyset:
    """Return a keyset signed by one of the pinned roots (``k4.public.…``).

    ``newest`` is the highest version ever accepted: an older one is refused. Raises SealError with the codes
    ``malformed``, ``unknown_key``, ``bad_signature``, ``wrong_workspace``, ``rolled_back``, ``not_understood``.
    """
    if len(token) > MAX_KEYSET:
        raise SealError("malformed", f"a keyset has at most {MAX_KEYSET} characters, this text has {len(token)}")
    footer = _footer(token, _ROOT)
    pinned = {pid(public): public for public in map(_public, roots)}
    if footer.kid not in pinned:
        raise SealError("unknown_key", f"the keyset is signed with {footer.kid}, which is not a root that is pinned")
    keyset = _decode(_opened(token, pinned[footer.kid], _ROOT))
    _check(keyset)
    if keyset.workspace != workspace:
        raise SealError("wrong_workspace", f"the keyset is of workspace {keyset.workspace!r}, not of {workspace!r}")
    if keyset.version < newest:
        words = f"the keyset has version {keyset.version}, and version {newest} was accepted before: it is an old one"
        raise SealError("rolled_back", words)
    return keyset


def sign_with(payload: bytes, seed: bytes, purpose: Purpose) -> str:
    """Return a message signed for one purpose; it verifies for no other."""
    return _sign(payload, seed, purpose)


def open_with(token: str, keyset: Keyset, purpose: Purpose, now: Instant) -> bytes:
    """Return a message's payload, signed with a key that the keyset has for this purpose and that is valid at ``now``.

    ``now`` is real time. Raises SealError with the codes ``malformed``, ``unknown_key``, ``wrong_purpose``,
    ``revoked``, ``not_yet_valid``, ``expired``, ``bad_signature``.
    """
    entry = _entry(keyset, _footer(token, purpose).kid)
    if purpose not in entry.purposes:
        raise SealError("wrong_purpose", f"the key {entry.id} may sign {', '.join(entry.purposes)}, not {purpose}")
    if entry.revoked_at is not None:
        raise SealError("revoked", f"the key {entry.id} was revoked at {_told(entry.revoked_at)}")
    if now < to_instant(entry.not_before):
        raise SealError("not_yet_valid", f"the key {entry.id} is valid from {_told(entry.not_before)} on")
    if now >= to_instant(entry.not_after):
        raise SealError("expired", f"the key {entry.id} was valid until {_told(entry.not_after)}")
    return _opened(token, _public(entry.public), purpose)


def _sign(payload: bytes, seed: bytes, what: str) -> str:
    footer = msgspec.json.encode(Footer(kid=pid(public_of(seed)), typ=what))
    return sign_token(payload, seed, footer=footer, implicit=_implicit(what))


def _implicit(what: str) -> bytes:
    """What separates one purpose from the other: a token does not verify as anything but what it was signed as."""
    return f"licet/{what}/v{FORMAT}".encode("ascii")


def _footer(token: str, what: str) -> Footer:
    try:
        footer = msgspec.json.decode(footer_of(token), type=Footer)
    except (TokenError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SealError("malformed", f"the text is nothing signed by Licet: {error}") from None
    if footer.typ != what:
        raise SealError("wrong_purpose", f"the text was signed as {footer.typ[:40]!r}, not as {what!r}")
    return footer


def _opened(token: str, public: bytes, what: str) -> bytes:
    try:
        return open_token(token, public, implicit=_implicit(what))
    except TokenError as error:
        raise SealError("bad_signature", str(error)) from None


def _decode(payload: bytes) -> Keyset:
    try:
        head = msgspec.json.decode(payload, type=_Head)
        unknown = sorted(set(head.crit) - _UNDERSTOOD)
        if head.v != FORMAT or unknown:
            what = f"format {head.v}" if head.v != FORMAT else f"the fields {', '.join(unknown)[:200]}"
            raise SealError("not_understood", f"the keyset needs a version that understands {what}; this one does not")
        return msgspec.json.decode(payload, type=Keyset)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SealError("malformed", f"the keyset cannot be read: {error}") from None


def _check(keyset: Keyset) -> None:
    """Raise SealError for a keyset whose keys do not fit their ids, stand twice or are never valid."""
    ids = [entry.id for entry in keyset.keys]
    if len(ids) != len(set(ids)):
        raise SealError("malformed", "the keyset names a key twice")
    for entry in keyset.keys:
        if pid(_public(entry.public)) != entry.id:
            raise SealError("malformed", f"the key {entry.id[:80]} is not the one its id names")
        if entry.not_before >= entry.not_after:
            raise SealError("malformed", f"the key {entry.id} is never valid")


def _entry(keyset: Keyset, kid: str) -> KeyEntry:
    found = next((entry for entry in keyset.keys if entry.id == kid), None)
    if found is None:
        raise SealError("unknown_key", f"the text is signed with {kid[:80]}, which the keyset does not have")
    return found


def _public(text: str) -> bytes:
    try:
        return read_public(text)
    except KeyTextError as error:
        raise SealError("malformed", str(error)) from None


def _told(at: datetime) -> str:
    return format_instant(to_instant(at))
