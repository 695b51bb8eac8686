"""Sealed secrets and the keys that open them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.envelope import EnvelopeError, master_key_of, rewrap, seal, unseal
from licet.seal.keyring import Keyring, KeyringError, create_keyring, load_keyring, new_keyring, save_keyring

KEYRING = Keyring({"00112233aabbccdd": bytes(range(32))})
SECRET = b"whsec_canary"


@given(st.binary(max_size=300), st.text(max_size=20), st.text(max_size=20))
def test_what_was_sealed_opens_for_its_purpose(secret: bytes, workspace: str, purpose: str) -> None:
    """Any secret comes back for its workspace and purpose, and never stands in the envelope."""
    envelope = seal(KEYRING, workspace, purpose, secret)
    assert unseal(KEYRING, workspace, purpose, envelope) == secret
    assert len(secret) < 4 or secret not in envelope


def test_an_envelope_moved_elsewhere_does_not_open() -> None:
    """Workspace and purpose are bound: an envelope copied into another row is refused."""
    envelope = seal(KEYRING, "live", "source/stripe", SECRET)
    for workspace, purpose in (("test", "source/stripe"), ("live", "source/other"), ("live", "log/checkpoint")):
        with pytest.raises(EnvelopeError, match="does not open"):
            unseal(KEYRING, workspace, purpose, envelope)


@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    """Changing any one byte, or cutting the envelope, is noticed."""
    envelope = seal(KEYRING, "live", "p", SECRET)
    at = data.draw(st.integers(0, len(envelope) - 1))
    flipped = envelope[:at] + bytes([envelope[at] ^ data.draw(st.integers(1, 255))]) + envelope[at + 1 :]
    for damaged in (flipped, envelope[:at]):
        with pytest.raises((EnvelopeError, KeyringError)):
            unseal(KEYRING, "live", "p", damaged)


def test_equal_secrets_have_different_envelopes() -> None:
    """Nobody sees in a dump that two secrets are equal."""
    assert seal(KEYRING, "live", "p", SECRET) != seal(KEYRING, "live", "p", SECRET)


def test_changing_the_master_key() -> None:
    """A new key seals, the old one still opens; after wrapping anew the old one can go and the secret is the same."""
    old = seal(KEYRING, "live", "p", SECRET)
    both = KEYRING.with_new_key()
    assert unseal(both, "live", "p", old) == SECRET
    wrapped = rewrap(both, "live", "p", old)
    assert master_key_of(wrapped) == both.newest != master_key_of(old)
    assert rewrap(both, "live", "p", wrapped) == wrapped
    only_new = both.without(KEYRING.newest)
    assert unseal(only_new, "live", "p", wrapped) == SECRET
    with pytest.raises(KeyringError, match="not in the key file"):
        unseal(only_new, "live", "p", old)
    with pytest.raises(KeyringError, match="still seals"):
        both.without(both.newest)


def test_the_key_file_is_private_and_survives(tmp_path: Path) -> None:
    """It is made once with mode 0600, read back as it was, and keeps old keys after a rotation."""
    path = tmp_path / "master.keys"
    first = create_keyring(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert create_keyring(path).ids == first.ids
    both = first.with_new_key()
    save_keyring(path, both)
    assert load_keyring(path).ids == both.ids
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_file_open_to_others_or_damaged_is_refused(tmp_path: Path) -> None:
    """Wrong modes, missing, empty, repeated and damaged lines each say what is wrong."""
    path = tmp_path / "master.keys"
    with pytest.raises(KeyringError, match="there is no key file"):
        load_keyring(path)
    create_keyring(path)
    line = path.read_text()
    path.chmod(0o640)
    with pytest.raises(KeyringError, match="open to others"):
        load_keyring(path)
    path.chmod(0o600)
    for content, words in (
        ("", "holds no key"),
        (line + line, "repeats"),
        (line[:30] + "\n", "line 1"),
        ("x y\n", "line 1"),
    ):
        path.write_text(content)
        with pytest.raises(KeyringError, match=words):
            load_keyring(path)


def test_keys_do_not_show() -> None:
    """A keyring in a log line or a traceback shows ids only."""
    ring = new_keyring()
    assert repr(ring) == f"Keyring({ring.newest})"


def test_seal_draws_only_the_given_randomness() -> None:
    """With the same randomness the envelope is the same: nothing else is drawn."""
    assert seal(KEYRING, "live", "p", SECRET, Counter()) == seal(KEYRING, "live", "p", SECRET, Counter())
    assert seal(KEYRING, "live", "p", SECRET, os.urandom) != seal(KEYRING, "live", "p", SECRET, Counter())


class Counter:
    """Randomness that is none: 0, 1, 2 …"""

    def __init__(self) -> None:
        self.next = 0

    def __call__(self, size: int) -> bytes:
        """Return the next bytes."""
        start, self.next = self.next, self.next + size
        return bytes((start + step) % 256 for step in range(size))
