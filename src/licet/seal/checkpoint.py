"""Signed checkpoints: what a log was when it was exported, as a short signed text to keep outside of the database.

The text follows C2SP tlog-checkpoint and signed-note: origin, size and base64 of the Merkle root, one line each, then
lines of our own, an empty line, and lines of signatures, of which the log's own is one.
"""

import base64
import os
import re
from typing import Final

from msgspec import Struct

from licet.seal.chain import HASH_BYTES
from licet.seal.ids import Entropy
from licet.seal.note import NoteError, from_base64, open_note, sign_note, verifier_of

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "new_seed",
    "open_checkpoint",
    "origin_of",
    "sign_checkpoint",
    "verifier_of",
]

SEED_BYTES: Final = 32
KEY_PURPOSE: Final = "log/checkpoint"
"""Under which the signing key of a workspace's checkpoints is kept among its sealed secrets."""
_HEAD: Final = re.compile(r"([^\n+ ]{1,200})\n([1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n((?:[^\n]{1,500}\n)*)")


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


def origin_of(workspace: str) -> str:
    """Return the name under which a workspace's checkpoints are signed."""
    return f"licet/{workspace}"


def new_seed(entropy: Entropy = os.urandom) -> bytes:
    """Return a fresh signing key: the 32-byte seed of an Ed25519 key."""
    return entropy(SEED_BYTES)


def sign_checkpoint(checkpoint: Checkpoint, seed: bytes) -> str:
    """Return the signed text of a checkpoint; raises CheckpointError for what cannot be written."""
    body = checkpoint.body()
    if _HEAD.fullmatch(body) is None or len(checkpoint.root) != HASH_BYTES:
        raise CheckpointError(f"the checkpoint of {checkpoint.origin!r} with size {checkpoint.size} cannot be written")
    try:
        return sign_note(body, checkpoint.origin, seed)
    except NoteError as error:
        raise CheckpointError(str(error)) from None


def open_checkpoint(text: str, verifier: str) -> Checkpoint:
    """Return the checkpoint if it is signed by the verifier's key, by whomever else too; raises CheckpointError."""
    try:
        body, name = open_note(text, verifier)
        found = _HEAD.fullmatch(body)
        if found is None:
            raise CheckpointError("the signed text is no checkpoint: origin, size and root, one line each")
        if found[1] != name:
            raise CheckpointError(f"the checkpoint is of {found[1]!r}, the key of {name!r}")
        root = from_base64(found[3])
    except NoteError as error:
        raise CheckpointError(f"the checkpoint cannot be relied upon: {error}") from None
    return Checkpoint(origin=name, size=int(found[2]), root=root, extra=tuple(found[4].splitlines()))
