"""Signed notes (C2SP signed-note): a text, an empty line, and lines of signatures over the text.

A signature line is ``— <name> <base64 of key hash (4) and signature>``. Others may sign the same text too, such as
witnesses of a log: their lines are passed over, but a note is only opened where the wanted key has signed it, once.
"""

import base64
import binascii
import hashlib
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LONGEST: Final = 131_072
MOST_SIGNATURES: Final = 100
_ED25519: Final = b"\x01"
_MARK_BYTES: Final = 4
_BODY: Final = re.compile(r"(?:[^\x00-\x1f]*\n)+")
_LINE: Final = re.compile(r"— ([^\n+\s]{1,200}) ([A-Za-z0-9+/]{8,8000}={0,2})")


class NoteError(Exception):
    """The text is no signed note, or not one signed with the expected key."""


def verifier_of(name: str, seed: bytes) -> str:
    """Return the public line to give to those who verify: ``<name>+<key hash>+<base64 of type and public key>``."""
    public = _ED25519 + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return f"{name}+{_key_hash(name, public).hex()}+{base64.b64encode(public).decode()}"


def sign_note(body: str, name: str, seed: bytes) -> str:
    """Return a text (whole lines, the last one ended) with a signature under a name; raises NoteError."""
    _check_body(body)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    mark = _key_hash(name, _ED25519 + key.public_key().public_bytes_raw())
    line = f"— {name} {base64.b64encode(mark + key.sign(body.encode())).decode()}"
    if _LINE.fullmatch(line) is None:
        raise NoteError(f"{name!r} cannot sign: a name is 1 to 200 characters without spaces and without +")
    return f"{body}\n{line}\n"


def open_note(text: str, verifier: str) -> tuple[str, str]:
    """Return the signed text and the name that signed it, if that is the verifier's; raises NoteError."""
    if len(text) > LONGEST:
        raise NoteError(f"a signed note has at most {LONGEST} characters, this text has {len(text)}")
    body, gap, signed = text.rpartition("\n\n")
    if not gap or not signed.endswith("\n"):
        raise NoteError("the text is no signed note: lines of text, an empty line, signature lines, nothing after them")
    body += "\n"
    _check_body(body)
    name, mark, public = _verifier(verifier)
    lines = [_signature(line) for line in signed[:-1].split("\n")]
    if len(lines) > MOST_SIGNATURES:
        raise NoteError(f"a signed note has at most {MOST_SIGNATURES} signatures, this one has {len(lines)}")
    own = [raw for signer, raw in lines if signer == name and raw[:_MARK_BYTES] == mark]
    if len(own) != 1:
        signers = ", ".join(sorted({signer for signer, _ in lines}))
        if own:
            raise NoteError(f"the text has {len(own)} signatures of {name}")
        raise NoteError(f"the text is not signed with {verifier!r}, but by {signers}")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(own[0][_MARK_BYTES:], body.encode())
    except InvalidSignature:
        raise NoteError("the signature does not fit the text: it was changed") from None
    return body, name


def from_base64(text: str) -> bytes:
    """Return decoded base64 if it is written in the one canonical way; raises NoteError."""
    # Python's decoder forgives stray bits in the padding: decode, encode again, compare.
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"{text!r} is not base64: {error}") from error
    if base64.b64encode(raw).decode() != text:
        raise NoteError(f"{text!r} is not canonical base64")
    return raw


def _check_body(body: str) -> None:
    if _BODY.fullmatch(body) is None:
        raise NoteError("the text of a note is lines without control characters, each of them ended")


def _signature(line: str) -> tuple[str, bytes]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise NoteError(f"{line!r} is no signature line: — <name> <base64>")
    return found[1], from_base64(found[2])


def _verifier(line: str) -> tuple[str, bytes, bytes]:
    parts = line.strip().split("+", 2)
    if len(parts) != 3:
        raise NoteError(f"{line!r} is no verifier: write <name>+<key hash>+<key>")
    name, mark, public = parts[0], parts[1], from_base64(parts[2])
    if public[:1] != _ED25519 or len(public) != 33 or _key_hash(name, public).hex() != mark:
        raise NoteError(f"{line!r} is no verifier of an Ed25519 key: its key hash does not fit")
    return name, bytes.fromhex(mark), public[1:]


def _key_hash(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:_MARK_BYTES]
