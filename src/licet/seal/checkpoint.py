"""Signed checkpoints: what a log was when it was exported, as a short signed text to keep outside of the database.

The text follows C2SP tlog-checkpoint and signed-note: origin, size and base64 of the Merkle root, one line each, then
lines of our own, an empty line, and ``— <name> <base64 of key hash (4) and Ed25519 signature (64)>``.
"""

import base64
import binascii
import hashlib
import os
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from licet.seal.chain import HASH_BYTES
from licet.seal.ids import Entropy

SEED_BYTES: Final = 32
LONGEST: Final = 4096
_ED25519: Final = b"\x01"
_HEAD: Final = re.compile(r"([^\n+ ]{1,200})\n([1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n((?:[^\n]{1,500}\n)*)")
_SIGNATURE: Final = re.compile(r"— ([^\n+ ]{1,200}) ([A-Za-z0-9+/]{91}=)\n")


class CheckpointError(Exception):
    """The text is no checkpoint, or not one signed with the expected key."""


class Checkpoint(Struct, frozen=True, kw_only=True):
    """The first ``size`` entries of a log (at least one) had this Merkle root. ``extra`` are further signed lines."""

    origin: str
    size: int
    root: bytes
    extra: tuple[str, ...] = ()

    def body(self) -> str:
        """Return the signed text."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extra)
        return "".join(f"{line}\n" for line in lines)


def new_seed(entropy: Entropy = os.urandom) -> bytes:
    """Return a fresh signing key: the 32-byte seed of an Ed25519 key."""
    return entropy(SEED_BYTES)


def verifier_of(origin: str, seed: bytes) -> str:
    """Return the public line to give to auditors: ``<origin>+<key hash>+<base64 of type and public key>``."""
    public = _ED25519 + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return f"{origin}+{_key_hash(origin, public).hex()}+{base64.b64encode(public).decode()}"


def sign_checkpoint(checkpoint: Checkpoint, seed: bytes) -> str:
    """Return the signed text of a checkpoint; raises CheckpointError for what cannot be written."""
    body = checkpoint.body()
    if _HEAD.fullmatch(body) is None or len(checkpoint.root) != HASH_BYTES:
        raise CheckpointError(f"the checkpoint of {checkpoint.origin!r} with size {checkpoint.size} cannot be written")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    mark = _key_hash(checkpoint.origin, _ED25519 + key.public_key().public_bytes_raw())
    signature = base64.b64encode(mark + key.sign(body.encode())).decode()
    return f"{body}\n— {checkpoint.origin} {signature}\n"


def open_checkpoint(text: str, verifier: str) -> Checkpoint:
    """Return the checkpoint if its signature is the verifier's; raises CheckpointError."""
    if len(text) > LONGEST:
        raise CheckpointError(f"a checkpoint has at most {LONGEST} characters, this text has {len(text)}")
    body, gap, signed = text.rpartition("\n\n")
    found, signature = _HEAD.fullmatch(body + "\n"), _SIGNATURE.fullmatch(signed)
    if not gap or found is None or signature is None:
        raise CheckpointError("the text is no signed checkpoint: origin, size, root, an empty line, one signature line")
    name, mark, public = _verifier(verifier)
    if found[1] != name or signature[1] != name:
        raise CheckpointError(f"the checkpoint is of {found[1]!r}, the key of {name!r}")
    raw = _base64(signature[2])
    if raw[:4] != mark:
        raise CheckpointError(f"the checkpoint is signed with another key than {verifier!r}")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], (body + "\n").encode())
    except InvalidSignature:
        raise CheckpointError("the checkpoint's signature does not fit its text: it was changed") from None
    extra = tuple(found[4].splitlines())
    return Checkpoint(origin=name, size=int(found[2]), root=_base64(found[3]), extra=extra)


def _verifier(line: str) -> tuple[str, bytes, bytes]:
    parts = line.strip().split("+", 2)
    if len(parts) != 3:
        raise CheckpointError(f"{line!r} is no verifier: write <origin>+<key hash>+<key>")
    name, mark, public = parts[0], parts[1], _base64(parts[2])
    if public[:1] != _ED25519 or len(public) != 33 or _key_hash(name, public).hex() != mark:
        raise CheckpointError(f"{line!r} is no verifier of an Ed25519 key: its key hash does not fit")
    return name, bytes.fromhex(mark), public[1:]


def _key_hash(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def _base64(text: str) -> bytes:
    # Python's decoder forgives stray bits in the padding: decode, encode again, compare.
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise CheckpointError(f"{text!r} is not base64: {error}") from error
    if base64.b64encode(raw).decode() != text:
        raise CheckpointError(f"{text!r} is not canonical base64")
    return raw
