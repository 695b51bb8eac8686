"""Envelopes: a secret under a data key of its own, and that key under the master key. AES-256-GCM both times.

Layout: ``LE1`` ‖ master key id (8) ‖ nonce (12) ‖ wrapped data key (48) ‖ nonce (12) ‖ sealed secret (n + 16). The
associated data binds workspace, purpose and key id, so an envelope moved to another row does not open. Changing the
master key wraps the data key anew and leaves the sealed secret as it is.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from licet.seal.canonical import canonical
from licet.seal.ids import Entropy
from licet.seal.keyring import ID_BYTES, KEY_BYTES, Keyring

MAGIC: Final = b"LE1"
_NONCE: Final = 12
_TAG: Final = 16
_WRAPPED: Final = _NONCE + KEY_BYTES + _TAG
_HEAD: Final = len(MAGIC) + ID_BYTES
SMALLEST: Final = _HEAD + _WRAPPED + _NONCE + _TAG


class EnvelopeError(Exception):
    """The envelope does not open: damaged, moved from elsewhere, or sealed under another key."""


def seal(keyring: Keyring, workspace: str, purpose: str, secret: bytes, entropy: Entropy = os.urandom) -> bytes:
    """Return the envelope of a secret for one purpose (such as ``source/stripe``) in one workspace."""
    data_key = entropy(KEY_BYTES)
    nonce = entropy(_NONCE)
    body = nonce + AESGCM(data_key).encrypt(nonce, secret, _bound("secret", workspace, purpose))
    return _wrapped(keyring, workspace, purpose, data_key, entropy) + body


def unseal(keyring: Keyring, workspace: str, purpose: str, envelope: bytes) -> bytes:
    """Return the secret; raises EnvelopeError, or KeyringError if its master key is not there."""
    data_key, body = _open(keyring, workspace, purpose, envelope)
    try:
        return AESGCM(data_key).decrypt(body[:_NONCE], body[_NONCE:], _bound("secret", workspace, purpose))
    except InvalidTag:
        raise _refusal(workspace, purpose) from None


def rewrap(keyring: Keyring, workspace: str, purpose: str, envelope: bytes, entropy: Entropy = os.urandom) -> bytes:
    """Return the envelope under the newest master key; the sealed secret inside stays untouched."""
    if master_key_of(envelope) == keyring.newest:
        return envelope
    data_key, body = _open(keyring, workspace, purpose, envelope)
    return _wrapped(keyring, workspace, purpose, data_key, entropy) + body


def master_key_of(envelope: bytes) -> str:
    """Return the id of the master key an envelope needs; raises EnvelopeError for what is none."""
    if len(envelope) < SMALLEST or not envelope.startswith(MAGIC):
        raise EnvelopeError(f"{len(envelope)} bytes are not an envelope: it begins with {MAGIC!r} and is longer")
    return envelope[len(MAGIC) : _HEAD].hex()


def _wrapped(keyring: Keyring, workspace: str, purpose: str, data_key: bytes, entropy: Entropy) -> bytes:
    key_id, nonce = keyring.newest, entropy(_NONCE)
    bound = _bound("key", workspace, purpose, key_id)
    wrapped = AESGCM(keyring.key(key_id)).encrypt(nonce, data_key, bound)
    return MAGIC + bytes.fromhex(key_id) + nonce + wrapped


def _open(keyring: Keyring, workspace: str, purpose: str, envelope: bytes) -> tuple[bytes, bytes]:
    key_id = master_key_of(envelope)
    nonce, wrapped = envelope[_HEAD : _HEAD + _NONCE], envelope[_HEAD + _NONCE : _HEAD + _WRAPPED]
    try:
        data_key = AESGCM(keyring.key(key_id)).decrypt(nonce, wrapped, _bound("key", workspace, purpose, key_id))
    except InvalidTag:
        raise _refusal(workspace, purpose) from None
    return data_key, envelope[_HEAD + _WRAPPED :]


def _bound(*facts: str) -> bytes:
    return canonical(["licet.envelope.v1", *facts])


def _refusal(workspace: str, purpose: str) -> EnvelopeError:
    return EnvelopeError(f"the envelope for {purpose} in workspace {workspace} does not open: damaged or not its own")
