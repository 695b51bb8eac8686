"""The keyset: keys under a pinned root, a version that never goes back, purposes, overlap, revocation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from licet.core.instant import to_instant
from licet.seal.keyset import (
    FORMAT,
    KeyEntry,
    Keyset,
    Purpose,
    SealError,
    open_keyset,
    open_with,
    sign_keyset,
    sign_with,
)
from licet.seal.paserk import pid, public_of, write_public
from licet.seal.paseto import sign_token

ROOT, NEXT_ROOT, OLD, NEW = (bytes([number]) * 32 for number in (1, 2, 3, 4))
ROOTS = [write_public(public_of(ROOT))]
DAY = timedelta(days=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(seed: bytes, *, since: int = -30, until: int = 30, **more: Any) -> KeyEntry:
    """Return a key of a keyset, valid from so many days before NOW until so many after."""
    public = public_of(seed)
    named = {"purposes": ("feed",), **more}
    return KeyEntry(
        id=pid(public), public=write_public(public), not_before=NOW + since * DAY, not_after=NOW + until * DAY, **named
    )


KEYSET = Keyset(workspace="live", version=7, issued_at=NOW, keys=(entry(OLD), entry(NEW, since=-1, until=90)))
TOKEN = sign_keyset(KEYSET, ROOT)


def refused(code: str, run: Any, *args: Any, **named: Any) -> None:
    """Assert that a call raises SealError with this code."""
    with pytest.raises(SealError) as caught:
        run(*args, **named)
    assert caught.value.code == code, caught.value


def test_a_keyset_opens_under_its_root_only() -> None:
    """What a pinned root signed opens; another root, another workspace or an older version does not."""
    assert open_keyset(TOKEN, ROOTS, "live", newest=7) == KEYSET
    both = [*ROOTS, write_public(public_of(NEXT_ROOT))]
    assert open_keyset(sign_keyset(KEYSET, NEXT_ROOT), both, "live") == KEYSET
    refused("unknown_key", open_keyset, sign_keyset(KEYSET, NEXT_ROOT), ROOTS, "live")
    refused("unknown_key", open_keyset, TOKEN, [], "live")
    refused("wrong_workspace", open_keyset, TOKEN, ROOTS, "test")
    refused("rolled_back", open_keyset, TOKEN, ROOTS, "live", newest=8)


def test_a_keyset_that_somebody_made_up_is_refused() -> None:
    """A footer that names the root does not make it the root's; keys must be the ones that their ids name."""
    body = msgspec.json.encode(KEYSET)
    footer = msgspec.json.encode({"kid": pid(public_of(ROOT)), "typ": "keyset"})
    refused("bad_signature", open_keyset, sign_token(body, OLD, footer=footer), ROOTS, "live")
    refused("bad_signature", open_keyset, sign_token(body, ROOT, footer=footer), ROOTS, "live")
    odd = structs.replace(KEYSET, keys=(structs.replace(KEYSET.keys[0], id=KEYSET.keys[1].id),))
    refused("malformed", sign_keyset, odd, ROOT)
    refused("malformed", sign_keyset, structs.replace(KEYSET, keys=KEYSET.keys * 2), ROOT)
    refused("malformed", sign_keyset, structs.replace(KEYSET, keys=(entry(OLD, since=1, until=1),)), ROOT)
    for text in ("", "v4.public.", TOKEN[:-1], TOKEN + "A", "x" * 300_000):
        with pytest.raises(SealError):
            open_keyset(text, ROOTS, "live")


def signed(fields: dict[str, Any]) -> str:
    """Return any JSON as the root would sign it."""
    footer = msgspec.json.encode({"kid": pid(public_of(ROOT)), "typ": "keyset"})
    return sign_token(msgspec.json.encode(fields), ROOT, footer=footer, implicit=b"licet/keyset/v1")


def test_later_versions_are_understood_or_refused() -> None:
    """Unknown fields and purposes are ignored, a critical one is refused, and so is another format."""
    fields: dict[str, Any] = msgspec.to_builtins(KEYSET) | {"v": FORMAT, "colour": "blue"}
    fields["keys"][0]["purposes"] = ["feed", "telepathy"]
    assert open_keyset(signed(fields), ROOTS, "live").version == 7
    refused("not_understood", open_keyset, signed(fields | {"crit": ["colour"]}), ROOTS, "live")
    refused("not_understood", open_keyset, signed({"v": 2, "shape": "another"}), ROOTS, "live")
    refused("malformed", open_keyset, signed({"workspace": "live"}), ROOTS, "live")
    refused("malformed", open_keyset, signed(fields | {"version": 0}), ROOTS, "live")


@pytest.mark.parametrize(("seed", "days", "code"), [
    (OLD, -31, "not_yet_valid"), (OLD, -30, None), (OLD, 29, None), (OLD, 30, "expired"),
    (NEW, -2, "not_yet_valid"), (NEW, -1, None), (NEW, 60, None), (ROOT, 0, "unknown_key"),
])  # fmt: skip
def test_a_key_is_believed_in_its_time(seed: bytes, days: int, code: str | None) -> None:
    """Two keys overlap during a rotation; before its first and from its last instant on a key proves nothing."""
    token, at = sign_with(b"payload", seed, "feed"), to_instant(NOW + days * DAY)
    if code is None:
        assert open_with(token, KEYSET, "feed", at) == b"payload"
    else:
        refused(code, open_with, token, KEYSET, "feed", at)


def test_a_purpose_is_part_of_the_signature() -> None:
    """What was signed for one purpose verifies for no other, whatever the footer claims; nor does a keyset."""
    whole = structs.replace(KEYSET, keys=(entry(OLD, purposes=("feed", "license")),))
    now = to_instant(NOW)
    assert open_with(sign_with(b"x", OLD, "license"), whole, "license", now) == b"x"
    refused("wrong_purpose", open_with, sign_with(b"x", OLD, "license"), whole, "feed", now)
    refused("wrong_purpose", open_with, sign_with(b"x", NEW, "license"), KEYSET, "license", now)
    footer = msgspec.json.encode({"kid": pid(public_of(OLD)), "typ": "feed"})
    refused(
        "bad_signature",
        open_with,
        sign_token(b"x", OLD, footer=footer, implicit=b"licet/license/v1"),
        whole,
        "feed",
        now,
    )
    refused("wrong_purpose", open_with, sign_keyset(KEYSET, OLD), whole, "feed", now)
    refused("wrong_purpose", open_keyset, sign_with(b"x", ROOT, "feed"), ROOTS, "live")


@pytest.mark.parametrize("purpose", ["feed", "license", "site", "portal"])
def test_a_revoked_key_proves_nothing(purpose: Purpose) -> None:
    """Once revoked, nothing that a key ever signed is believed: whoever has it can write any date."""
    gone = structs.replace(KEYSET, keys=(entry(OLD, purposes=(purpose,), revoked_at=NOW),))
    refused("revoked", open_with, sign_with(b"x", OLD, purpose), gone, purpose, to_instant(NOW - DAY))


def test_every_bit_counts() -> None:
    """Whichever bit of a signed keyset flips, and wherever it is cut, it is refused."""
    content = TOKEN.encode()
    for at in range(0, len(content) * 8, 7):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(SealError):
            open_keyset(flipped.decode("latin-1"), ROOTS, "live")
    for length in range(0, len(TOKEN), 5):
        with pytest.raises(SealError):
            open_keyset(TOKEN[:length], ROOTS, "live")
