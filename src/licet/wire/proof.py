"""Proofs as they leave the server or lie in a file: self-contained but for the checkpoints against which they count."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

MOST_HASHES: Final = 128
"""A proof of any tree that can be has fewer."""
HashText = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Size = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Path = Annotated[tuple[HashText, ...], Meta(max_length=MOST_HASHES)]


class EntryProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a log stands in it at its place (RFC 9162 section 2.1.3).

    ``entry`` is the canonical JSON of the event without its two hashes, exactly the bytes that were hashed: personal
    values stand in it as commitments. The tree's leaf is SHA-256 of a zero byte and these bytes, at index ``seq - 1``.
    """

    format: Literal["licet/entry-proof/1"] = "licet/entry-proof/1"
    origin: str
    """The log, as in the first line of its checkpoints."""
    seq: Size
    """The entry's sequence."""
    size: Size
    """The size of the tree in which it is proven: that of the checkpoint against which the proof counts."""
    entry: str
    path: Path
    """The hashes of the proof, from the leaf upwards, in hexadecimal digits."""


class ConsistencyProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first ``old`` entries of a log are still the same now that it has ``new`` (RFC 9162 section 2.1.4)."""

    format: Literal["licet/consistency-proof/1"] = "licet/consistency-proof/1"
    origin: str
    """The log, as in the first line of its checkpoints."""
    old: Size
    """The size of the older checkpoint."""
    new: Size
    """The size of the newer checkpoint."""
    path: Path
    """The hashes of the proof, in hexadecimal digits."""
