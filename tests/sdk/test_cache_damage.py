"""A cache that was damaged: whatever happened to the file, what is believed is a state that was once committed."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from random import Random

import msgspec
import pytest

from licet.sdk import journal
from licet.sdk.cache import MOST_BYTES, JournalError
from licet.wire.feed import Cursor
from tests.dose import dose
from tests.sdk.kept import IDENTITY, State, cached, doc, held, mark, state, terms, user, write

SETS = 3
WHOSE = msgspec.json.encode([IDENTITY.url, IDENTITY.key, IDENTITY.holding])
KILLS = dose(15, full=300)
WRITER = """
import sys
from pathlib import Path
from random import Random
from tests.sdk.kept import cached, mark, terms, user, write
base, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = Random(seed)
with cached(base) as cache:
    kept = cache.open()
    seq = 0 if kept.truth is None else kept.truth.mark.cursor.seq
    if kept.truth is not None:
        kept.truth.close()
    while True:
        full = cache.cursor is None or chance.random() < 0.05
        if not cache.begin(None if full else cache.cursor):
            sys.exit(3)
        rows = [terms(f"c{place}", seq + 1, "x" * chance.randrange(3000)) for place in range(30)]
        # A full set has each customer at the same revision; what goes on changes all of them, record by record.
        for row in rows:
            cache.put([row])
        cache.commit(mark(seq + 1))
        if chance.random() < 0.05:
            cache.compact()
        seq += 1
        print(seq, flush=True)
"""


def small(base: Path) -> tuple[Path, list[State]]:
    """Make a small cache of a full set and some more; returns its file, and the state after each of them."""
    states: list[State] = []
    with cached(base) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme")], [user("acme", "ann")])
        for place in range(1, SETS):
            with cached(base) as reader:
                states.append(state(reader.open()))
            write(cache, Cursor(1, place), mark(place + 1), [terms("acme", place + 1)])
        with cached(base) as reader:
            states.append(state(reader.open()))
    (file,) = base.glob("*/truth")
    # Without the floors any earlier state would do as well: this is about the file alone.
    (file.parent / "floors").unlink()
    assert len({str(one) for one in states}) == SETS
    return file, states


def believed(base: Path, content: bytes, file: Path) -> State | None:
    """Return what a reader believes of some content of the file; None for nothing."""
    file.write_bytes(content)
    with cached(base) as cache:
        kept = cache.open()
        return None if kept.truth is None else state(kept)


def read(content: bytes, key: bytes) -> State | None:
    """Return what is believed of some content as :func:`believed` does, without a folder around it: fast."""
    file = BytesIO(content)
    try:
        seal = journal.seal_of(file, key, WHOSE)
    except JournalError:
        return None
    found = journal.look(file, seal)
    return None if found is None else held(journal.rows_of(file, seal, found.end))


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    """Wherever the file is cut off, what was committed before the cut is believed, and nothing else."""
    file, states = small(tmp_path)
    whole = file.read_bytes()
    key = (tmp_path / "key").read_bytes()
    ends, seen = [], None
    for length in range(len(whole) + 1):
        found = read(whole[:length], key)
        if length % 29 == 0:
            assert believed(tmp_path, whole[:length], file) == found
        assert found is None or found in states
        if found != seen:
            ends.append(length)
            assert found == states[len(ends) - 1]
        seen = found
    assert len(ends) == SETS
    assert ends[-1] == len(whole)


def test_every_single_bit_flip(tmp_path: Path) -> None:
    """Whichever bit of the file is turned over: a state that was committed before it is believed, or none."""
    file, states = small(tmp_path)
    whole, key = file.read_bytes(), (tmp_path / "key").read_bytes()
    for place in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        found = read(bytes(flipped), key)
        assert found is None or found in states[:-1], place
        if place % 97 == 0:
            assert believed(tmp_path, bytes(flipped), file) == found


def records(whole: bytes) -> list[bytes]:
    """Cut a file into its head and its records."""
    found, offset = [whole[:24]], 24
    while offset < len(whole):
        length = 4 + struct.unpack(">I", whole[offset : offset + 4])[0]
        found.append(whole[offset : offset + length])
        offset += length
    return found


def test_records_out_of_place(tmp_path: Path) -> None:
    """Records that are swapped, left out, repeated or taken from another file end what is believed before them."""
    file, states = small(tmp_path / "one")
    other, _ = small(tmp_path / "two")
    shutil.copy(tmp_path / "one" / "key", tmp_path / "two" / "key")
    with cached(tmp_path / "two") as cache:
        cache.open()
        write(cache, None, mark(1), [terms("forged")])
        write(cache, Cursor(1, 1), mark(2), [terms("forged", 2)])
    parts, foreign = records(file.read_bytes()), records(other.read_bytes())
    assert len(parts) == 2 * SETS + 1  # terms and users of the first set are one record
    for place in range(1, len(parts)):
        mixed = [
            [*parts[:place], *parts[place + 1 :]],
            [*parts[: place + 1], *parts[place:]],
            [*parts[:place], *(foreign[place : place + 1] or [b""]), *parts[place + 1 :]],
            [*parts[:place], *parts[place + 1 : place + 2], parts[place], *parts[place + 2 :]],
        ]
        for one in mixed:
            content = b"".join(one)
            if content == b"".join(parts):
                continue
            found = believed(tmp_path / "one", content, file)
            assert found is None or found in states
            if len(one) <= len(parts) and place < len(parts) - 1:
                assert found != states[-1]
    assert believed(tmp_path / "one", b"".join([parts[0], *foreign[1:]]), file) is None


def test_records_of_two_histories_of_one_file(tmp_path: Path) -> None:
    """A file goes on twice from one point: what one history wrote does not fit behind the other's."""
    file, states = small(tmp_path)
    start = file.read_bytes()
    ends = []
    for word in ("left", "right"):
        file.write_bytes(start)
        with cached(tmp_path) as cache:
            cache.open()
            write(cache, Cursor(1, SETS), mark(SETS + 1), [terms(word)])
            write(cache, Cursor(1, SETS + 1), mark(SETS + 2), [terms(word, 2)])
        (file.parent / "floors").unlink()
        ends.append(records(file.read_bytes())[-4:])
    left, right = ends
    mixed = believed(tmp_path, start + b"".join([*left[:2], *right[2:]]), file)
    assert mixed == {**states[-1], "left": doc("left")}


def test_a_torn_tail_is_written_over(tmp_path: Path) -> None:
    """Half a set at the end is cut off by the next writer, which goes on from the last head."""
    file, states = small(tmp_path)
    with file.open("ab") as tail:
        tail.write(os.urandom(300))
    with cached(tmp_path) as cache:
        assert state(cache.open()) == states[-1]
        assert write(cache, Cursor(1, SETS), mark(9), [terms("globex")])
    with cached(tmp_path) as cache:
        assert state(cache.open()) == {**states[-1], "globex": doc("globex")}


def test_files_full_of_anything(tmp_path: Path) -> None:
    """Random bytes in the place of each file: nothing is believed, nothing is raised, and all is written anew."""
    chance = Random(5)
    for size in (0, 1, 23, 24, 25, 28, 29, 60, 5_000):
        file, _ = small(tmp_path)
        for path in (file, file.parent / "floors"):
            path.write_bytes(chance.randbytes(size) if size != 60 else b"LICETC1\n" + b"\xff" * 60)
            path.chmod(0o600)
        with cached(tmp_path) as cache:
            assert cache.open().truth is None
            assert write(cache, None, mark(1), [terms("acme")])
        with cached(tmp_path) as cache:
            assert state(cache.open()) == {"acme": doc("acme")}
        shutil.rmtree(file.parent)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """What differs from what was looked at is an error to whoever loads it: nothing of it may count then."""
    file, _ = small(tmp_path)
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert kept.truth is not None
        os.truncate(file, file.stat().st_size - 1)
        with pytest.raises(JournalError, match="not what it was"):
            list(kept.truth.rows())
        kept.truth.close()


def test_a_file_that_is_made_anew_while_it_is_read(tmp_path: Path) -> None:
    """A reader that has looked at a file reads that very file, also when another has taken its place."""
    _, states = small(tmp_path)
    with cached(tmp_path) as cache, cached(tmp_path) as reader:
        cache.open()
        kept = reader.open()
        write(cache, None, mark(9), [terms("other")])
        assert state(kept) == states[-1]


@pytest.mark.parametrize("name", ["truth", "truth.new", "floors", "floors.new", "key", "lock"])
def test_a_folder_in_the_place_of_a_file(tmp_path: Path, name: str) -> None:
    """Whatever stands where a file should be, nothing is raised: the client goes on with what is left, or without."""
    file, _ = small(tmp_path)
    path = tmp_path / name if name == "key" else file.parent / name
    path.unlink(missing_ok=True)
    path.mkdir()
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert kept.truth is None or name in ("truth.new", "floors", "floors.new", "lock")
        write(cache, None, mark(9), [terms("acme")])


def test_killed_at_any_point(tmp_path: Path) -> None:
    """A process that writes is killed (SIGKILL) again and again: the next start finds one whole set, never an older one
    than was told, and goes on from it."""
    chance, told = Random(3), 0
    for cycle in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(cycle)], stdout=subprocess.PIPE, cwd=Path.cwd()
        )
        assert child.stdout is not None
        if not child.stdout.readline():  # it is at work once it has told of its first set
            pytest.fail(f"the writer ended by itself with {child.wait()}")
        time.sleep(chance.random() * 0.15)
        child.send_signal(signal.SIGKILL)
        lines = child.stdout.read().split()
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        told = max([told, *(int(line) for line in lines[:-1])])
        with cached(tmp_path) as cache:
            kept = cache.open()
            assert kept.truth is not None
            seq = kept.truth.mark.cursor.seq
            found = state(kept)
            assert cache.writes
        assert seq >= told
        assert len(found) == 30
        assert {one.split(b'"revision":')[1].split(b",")[0] for one in found.values()} == {b"%d" % seq}
    assert (tmp_path / "key").stat().st_size == 32
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < MOST_BYTES
