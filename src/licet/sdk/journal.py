"""The file of the cache: sealed records, each bound to its place; what it says up to its last head is the truth kept.

Layout: ``LICETC1\\n`` ‖ file id (16, random) ‖ records. A record is its length (4, big-endian) ‖ nonce (12, random) ‖
AES-256-GCM of its kind (1) and content. The key of a file is made of the folder's key, whose cache it is, and the file
id. Associated data is the number of the record and the tag of the one before. So a record opens only in its own file,
at its own place, after the very record after which it was written.

Kinds: ``R`` rows (packed, then compressed) and ``M`` a mark, which commits the rows since the mark before it. Whatever
follows the last mark that opens, or a record that does not, is as if it were not there.
"""

import hashlib
import hmac
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct, structs

from licet.wire.feed import Cursor, UserRow

MAGIC: Final = b"LICETC1\n"
KEY_BYTES: Final = 32
FILE_ID: Final = 16
START: Final = len(MAGIC) + FILE_ID
"""Where the first record of a file begins."""
MAX_RECORD: Final = 96 * 1024 * 1024
"""Bytes of one record, sealed or unpacked: more than the largest line of a feed."""
CHUNK: Final = 256 * 1024
"""Bytes of terms from which on a record of rows is closed and another one begun."""
_NONCE: Final = 12
_TAG: Final = 16
_LENGTH: Final = struct.Struct(">I")
_ROWS: Final = b"R"
_MARK: Final = b"M"
_LEVEL: Final = 1


class JournalError(Exception):
    """The file is not one of ours, not of this key, or not what it was when it was looked through."""


class Floors(Struct, frozen=True, kw_only=True):
    """What must never go back, of all that was ever believed. Zeros before anything was."""

    keyset: int = 0
    """The keyset's version."""
    epoch: int = 0
    seq: int = 0
    """The sequence within the epoch."""
    issued_at: int = 0
    """When the newest head was issued: microseconds of real time."""

    def joined(self, other: "Floors") -> "Floors":
        """Return the higher of both in each part; sequences compare within the higher epoch."""
        epoch, seq = max((self.epoch, self.seq), (other.epoch, other.seq))
        return Floors(
            keyset=max(self.keyset, other.keyset),
            epoch=epoch,
            seq=seq,
            issued_at=max(self.issued_at, other.issued_at),
        )

    def below(self, other: "Floors") -> bool:
        """Whether any part of this is less than the other has it."""
        return self.joined(other) != self


class Mark(Struct, frozen=True, kw_only=True):
    """What commits a set: the signed documents as they were received, where they stand, and the floors with them."""

    head: str
    cursor: Cursor
    floors: Floors
    root: str
    """The root key (``k4.public.…``) that was pinned, or believed at first use."""
    keyset: str
    catalog: str | None
    """None before the first release."""


class KeptTerms(Struct, frozen=True, array_like=True):
    """One customer's terms; ``doc`` is the document's canonical JSON."""

    customer: str
    revision: int
    seq: int
    doc: bytes


class Rows(Struct, frozen=True, array_like=True):
    """Some rows, in the order in which they came: ``dropped`` customers go first, then these take their places."""

    terms: tuple[KeptTerms, ...] = ()
    users: tuple[UserRow, ...] = ()
    dropped: tuple[str, ...] = ()
    """Customers of whom nothing is held from here on, neither terms nor users."""


class _MarkRecord(Struct, frozen=True, array_like=True):
    """A mark as it is written: root, keyset and catalog only where they differ from those of the mark before."""

    head: str
    epoch: int
    seq: int
    floors: Floors
    root: str | None
    keyset: str | None
    catalog: str | None


class Place(Struct, frozen=True):
    """Where a record stands: at which byte, as the how manieth, after which tag."""

    offset: int
    number: int
    before: bytes


class Seal:
    """Seals and opens the records of one file of one cache."""

    def __init__(self, key: bytes, whose: bytes, file_id: bytes) -> None:
        self.file_id = file_id
        # Whose cache it is has a fixed length before it, so that no two pairs make the same words.
        words = b"licet/cache/v1\0" + _LENGTH.pack(len(whose)) + whose + file_id
        self._cipher = AESGCM(hmac.new(key, words, hashlib.sha256).digest())

    @property
    def start(self) -> Place:
        """Where the first record is."""
        return Place(START, 0, self.file_id)

    def close(self, place: Place, plain: bytes) -> tuple[bytes, Place]:
        """Return a record for a place, as it is written, and the place after it."""
        sealed = self.sealed(place, plain)
        record = _LENGTH.pack(len(sealed)) + sealed
        return record, Place(place.offset + len(record), place.number + 1, sealed[-_TAG:])

    def sealed(self, place: Place, plain: bytes) -> bytes:
        """Return what is sealed for a place, without its length."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, _bound(place))

    def open(self, place: Place, sealed: bytes) -> tuple[bytes, Place] | None:
        """Return what was sealed for this place, and the place after it; None for anything else."""
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(place))
        except InvalidTag:
            return None
        after = Place(place.offset + _LENGTH.size + len(sealed), place.number + 1, sealed[-_TAG:])
        return plain, after


class Looked(Struct, frozen=True):
    """What a look through a file found: its last mark, where it ends, and the bytes up to the first mark's end."""

    mark: Mark
    end: Place
    base: int


class Pen:
    """Appends to one file, at places of its own reckoning: what a write left half done is written over by the next.

    ``fd`` is open for writing and becomes its own. ``found`` is what a look through the file found; with None the file
    is begun anew, with a fresh id. Everything may raise OSError, and nothing is lost by closing it then.
    """

    def __init__(self, fd: int, seal: Seal, found: Looked | None) -> None:
        self.fd = fd
        self.seal = seal
        self.mark = None if found is None else found.mark
        self.base = 0 if found is None else found.base
        self.end = seal.start if found is None else found.end
        self._at = self.end
        if found is None:
            _write(fd, MAGIC + seal.file_id, 0)
        os.ftruncate(fd, self.end.offset)

    @property
    def looked(self) -> Looked | None:
        """What a look through the file would find now; None before its first mark."""
        return None if self.mark is None else Looked(self.mark, self.end, self.base)

    @property
    def size(self) -> int:
        """How many bytes the file has, or would have if this set ended here."""
        return self._at.offset

    def put(self, rows: Rows) -> None:
        """Write rows; they count with the next mark."""
        self._append(rows_record(rows))

    def commit(self, mark: Mark) -> None:
        """Write a mark: everything before it counts from now on, for whoever looks."""
        self._append(mark_record(mark, self.mark))
        self.mark, self.end = mark, self._at
        self.base = self.base or self.end.offset

    def back(self) -> None:
        """Take back what was written since the last mark."""
        self._at = self.end
        os.ftruncate(self.fd, self.end.offset)

    def sync(self) -> None:
        """Return once everything written is on the disk."""
        os.fsync(self.fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def _append(self, plain: bytes) -> None:
        record, after = self.seal.close(self._at, plain)
        _write(self.fd, record, self._at.offset)
        self._at = after


def _write(fd: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def fresh_seal(key: bytes, whose: bytes) -> Seal:
    """Return what seals a new file."""
    return Seal(key, whose, os.urandom(FILE_ID))


def seal_of(file: BinaryIO, key: bytes, whose: bytes) -> Seal:
    """Return what opens a file; raises JournalError where it does not begin as ours do, OSError where unreadable."""
    file.seek(0)
    head = file.read(START)
    if len(head) < START or not head.startswith(MAGIC):
        raise JournalError("it does not begin as a cache of this version does")
    return Seal(key, whose, head[len(MAGIC) :])


def look(file: BinaryIO, seal: Seal) -> Looked | None:
    """Look through a file once, opening every record; None where no mark opens. Raises OSError."""
    found: Looked | None = None
    for kind, content, after in _records(file, seal):
        if kind == _MARK:
            try:
                mark = _read_mark(content, None if found is None else found.mark)
            except msgspec.MsgspecError:
                break
            found = Looked(mark, after, after.offset if found is None else found.base)
    return found


def rows_of(file: BinaryIO, seal: Seal, end: Place) -> Iterator[Rows]:
    """Yield the rows up to a mark, a record at a time; raises JournalError where they are not as they were before."""
    return (rows for _, rows in _numbered(file, seal, end))


def _numbered(file: BinaryIO, seal: Seal, end: Place) -> Iterator[tuple[Place, Rows]]:
    """Yield each record of rows up to a mark, with the place after it."""
    reached = seal.start
    for kind, content, after in _records(file, seal):
        if after.offset > end.offset:
            break
        reached = after
        if kind == _ROWS:
            yield after, _unpacked(content)
    if reached != end:
        raise JournalError("it is not what it was when it was looked through")


def current(file: BinaryIO, seal: Seal, found: Looked) -> Iterator[Rows]:
    """Yield the rows that still count: none that was replaced or dropped since. Raises as :func:`rows_of` does.

    Remembered is only what came after the first mark, so that the memory it takes is that of the changes.
    """
    newest: dict[str | tuple[str, str], int] = {}
    dropped: dict[str, int] = {}
    for place, rows in _numbered(file, seal, found.end):
        dropped.update(dict.fromkeys(rows.dropped, place.number))
        if place.offset > found.base:
            newest.update(dict.fromkeys([one.customer for one in rows.terms], place.number))
            newest.update(dict.fromkeys([(one.customer, one.user) for one in rows.users], place.number))
    for place, rows in _numbered(file, seal, found.end):
        number = place.number
        yield Rows(
            terms=tuple(
                one
                for one in rows.terms
                if newest.get(one.customer, number) == number and dropped.get(one.customer, 0) <= number
            ),
            users=tuple(
                one
                for one in rows.users
                if newest.get((one.customer, one.user), number) == number and dropped.get(one.customer, 0) <= number
            ),
        )


def rows_record(rows: Rows) -> bytes:
    """Return what is sealed of some rows."""
    return _ROWS + zlib.compress(msgspec.msgpack.encode(rows), _LEVEL)


def mark_record(mark: Mark, before: Mark | None) -> bytes:
    """Return what is sealed of a mark; what it has in common with the one before is not said again."""
    differing = structs.asdict(mark)
    said = {
        name: None if before is not None and differing[name] == getattr(before, name) else differing[name]
        for name in ("root", "keyset", "catalog")
    }
    return _MARK + msgspec.msgpack.encode(
        _MarkRecord(mark.head, mark.cursor.epoch, mark.cursor.seq, mark.floors, **said)
    )


def _read_mark(content: bytes, before: Mark | None) -> Mark:
    read = msgspec.msgpack.decode(content, type=_MarkRecord)
    root = read.root if before is None else read.root or before.root
    keyset = read.keyset if before is None else read.keyset or before.keyset
    if root is None or keyset is None:
        raise msgspec.ValidationError("the first mark of a file names its root and its keyset")
    return Mark(
        head=read.head,
        cursor=Cursor(read.epoch, read.seq),
        floors=read.floors,
        root=root,
        keyset=keyset,
        catalog=read.catalog if before is None else read.catalog or before.catalog,
    )


def _records(file: BinaryIO, seal: Seal) -> Iterator[tuple[bytes, bytes, Place]]:
    """Yield (kind, content, the place after it) of every record until one does not open."""
    place = seal.start
    file.seek(place.offset)
    while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
        length = int(_LENGTH.unpack(head)[0])
        if not _NONCE + _TAG < length <= MAX_RECORD:
            return
        sealed = file.read(length)
        opened = None if len(sealed) < length else seal.open(place, sealed)
        if opened is None:
            return
        plain, place = opened
        yield plain[:1], plain[1:], place


def _unpacked(content: bytes) -> Rows:
    expander = zlib.decompressobj()
    try:
        packed = expander.decompress(content, MAX_RECORD)
        if not expander.eof:
            raise JournalError("a record holds more than any may")
        return msgspec.msgpack.decode(packed, type=Rows)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise JournalError(f"a record cannot be read: {error}") from None


def _bound(place: Place) -> bytes:
    return place.number.to_bytes(8, "big") + place.before
