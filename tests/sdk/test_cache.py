"""The cache on disk: what was committed is found again, whatever else is in the folder; two workspaces never mix."""

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from licet.sdk.cache import MOST_BYTES, Cache, Floors, Identity, Kept, Mark
from licet.sdk.folder import default_folder
from licet.wire.feed import Cursor, TermsRow, UserRow
from tests.sdk.kept import IDENTITY, Ticks, cached, doc, mark, state, terms, user, write


def test_what_was_committed_is_found_again(tmp_path: Path) -> None:
    """A full set and what came after it are read back: rows, signed documents, cursor, floors and root."""
    with cached(tmp_path) as cache:
        assert cache.open() == Kept()
        assert (cache.writes, cache.wants_full, cache.cursor) == (True, True, None)
        write(cache, None, mark(3), [terms("acme"), terms("globex")], [user("acme", "ann")])
        write(cache, Cursor(1, 3), mark(5), [terms("acme", 2)], [user("acme", "bob")])
        assert cache.cursor == Cursor(1, 5)
    with cached(tmp_path) as again:
        kept = again.open()
        assert kept.truth is not None
        assert kept.truth.mark == mark(5)
        assert (kept.floors, kept.root) == (mark(5).floors, mark(5).root)
        assert state(kept) == {
            "acme": doc("acme", 2),
            "globex": doc("globex"),
            ("acme", "ann"): ("admin",),
            ("acme", "bob"): ("admin",),
        }
        assert again.cursor == Cursor(1, 5)


def test_a_set_counts_only_with_its_head(tmp_path: Path) -> None:
    """Rows without the head that covers them are not there: neither in a full set nor in one that goes on."""
    with cached(tmp_path) as cache:
        cache.open()
        cache.begin(None)
        cache.put([terms("lost")])
    with cached(tmp_path) as cache:
        assert cache.open().truth is None
        write(cache, None, mark(1), [terms("acme")])
        cache.begin(Cursor(1, 1))
        cache.put([terms("acme", 2)])
    with cached(tmp_path) as cache:
        assert state(cache.open()) == {"acme": doc("acme")}
        cache.begin(Cursor(1, 1))
        cache.put([terms("acme", 2)])
        cache.abort()
        write(cache, Cursor(1, 1), mark(2), [terms("globex")])
    with cached(tmp_path) as cache:
        assert state(cache.open()) == {"acme": doc("acme"), "globex": doc("globex")}


def test_a_full_set_begins_anew(tmp_path: Path) -> None:
    """What is not in a full set is gone, and so is the catalog before the first release."""
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(3), [terms("acme"), terms("globex")])
        write(cache, None, mark(1, epoch=2, catalog=None), [terms("initech")])
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert state(kept) == {"initech": doc("initech")}
        assert kept.truth is not None
        assert kept.truth.mark.catalog is None


def test_dropped_customers_are_gone_with_their_users(tmp_path: Path) -> None:
    """Whoever is dropped is not held any more, also after the file was made anew; who comes back is there again."""
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme"), terms("globex")], [user("acme", "ann"), user("globex", "bob")])
        write(cache, Cursor(1, 1), mark(2), dropped=["acme", "globex"])
        write(cache, Cursor(1, 2), mark(3), [terms("globex", 2)])
        for _ in range(2):
            with cached(tmp_path) as reader:
                assert state(reader.open()) == {"globex": doc("globex", 2)}
            cache.compact()


def test_a_set_that_does_not_go_on_from_there_is_not_kept(tmp_path: Path) -> None:
    """A gap is never written over: from then on only a full set is."""
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(3), [terms("acme")])
        assert not cache.begin(Cursor(1, 4))
        cache.put([terms("acme", 2)])
        cache.commit(mark(5))
        assert cache.wants_full
        assert not cache.begin(Cursor(1, 3))
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert kept.truth is not None
        assert kept.truth.mark.cursor == Cursor(1, 3)


def test_heads_without_rows_are_written_once_a_minute(tmp_path: Path) -> None:
    """A head every ten seconds leaves the file alone; after a minute, or with rows, or at the end it is written."""
    ticks = Ticks()
    with cached(tmp_path, clock=ticks) as cache:
        cache.open()
        write(cache, None, mark(3), [terms("acme")])
        (file,) = tmp_path.glob("*/truth")
        size = file.stat().st_size
        for place in range(4, 9):
            ticks.now += 10
            write(cache, Cursor(1, place - 1), mark(place))
        assert file.stat().st_size == size
        ticks.now += 10
        write(cache, Cursor(1, 8), mark(9))
        assert file.stat().st_size > size
        write(cache, Cursor(1, 9), mark(10))
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert kept.truth is not None
        assert kept.truth.mark == mark(10)


def test_the_file_is_made_anew_when_it_has_grown(tmp_path: Path) -> None:
    """However often rows change, the file stays within twice its content and a slack, and holds what counts."""
    with cached(tmp_path) as cache:
        cache.open()
        big = [terms(f"c{place}", 1, os.urandom(20_000).hex()) for place in range(10)]
        write(cache, None, mark(1), big)
        (file,) = tmp_path.glob("*/truth")
        before = file.stat().st_size
        sizes = []
        for place in range(1, 400):
            one = terms(f"c{place % 10}", place + 1, os.urandom(20_000).hex())
            big[place % 10] = one
            write(cache, Cursor(1, place), mark(place + 1), [one])
            sizes.append(file.stat().st_size)
        assert max(sizes) < 2 * before + 5 * 1024 * 1024
        assert sorted(sizes) != sizes
    with cached(tmp_path) as cache:
        assert state(cache.open()) == {one.customer: bytes(one.doc) for one in big}


def test_two_identities_never_mix(tmp_path: Path) -> None:
    """Another server, another key or another kind of client has its own folder; the files do not open elsewhere."""
    others = [
        IDENTITY,
        Identity(url="https://other.example.com", key=IDENTITY.key),
        Identity(url=IDENTITY.url, key="another"),
        Identity(url=IDENTITY.url, key=IDENTITY.key, holding="picked"),
    ]
    for place, identity in enumerate(others):
        with cached(tmp_path, identity) as cache:
            assert cache.open() == Kept()
            write(cache, None, mark(place + 1), [terms(f"c{place}")])
    folders = {one.parent for one in tmp_path.glob("*/truth")}
    assert len(folders) == len(others)
    for place, identity in enumerate(others):
        with cached(tmp_path, identity) as cache:
            assert state(cache.open()) == {f"c{place}": doc(f"c{place}")}
    first, second, *_ = sorted(folders)
    (first / "truth").write_bytes((second / "truth").read_bytes())
    (first / "floors").write_bytes((second / "floors").read_bytes())
    found = []
    for identity in others:
        with cached(tmp_path, identity) as cache:
            found.append(cache.open())
    assert sum(kept.truth is None for kept in found) == 1
    assert sum(kept == Kept() for kept in found) == 1


def test_one_process_writes_and_others_read(tmp_path: Path) -> None:
    """A second client reads what the first has committed and writes nothing; when the first is gone, it takes over."""
    ticks = Ticks()
    with cached(tmp_path, clock=ticks) as reader:
        with cached(tmp_path) as writer:
            writer.open()
            write(writer, None, mark(1), [terms("acme")])
            assert state(reader.open()) == {"acme": doc("acme")}
            assert not reader.writes
            assert not reader.begin(None)
            write(writer, Cursor(1, 1), mark(2), [terms("acme", 2)])
            ticks.now += 301
            assert not reader.begin(Cursor(1, 2))
        assert not reader.begin(Cursor(1, 2))
        ticks.now += 301
        assert write(reader, Cursor(1, 2), mark(3), [terms("globex")])
    with cached(tmp_path) as again:
        assert state(again.open()) == {"acme": doc("acme", 2), "globex": doc("globex")}


def test_who_takes_over_elsewhere_wants_a_full_set(tmp_path: Path) -> None:
    """A client that stands farther than the file it takes over keeps what is there until it can write all."""
    ticks = Ticks()
    with cached(tmp_path, clock=ticks) as reader:
        with cached(tmp_path) as writer:
            writer.open()
            write(writer, None, mark(1), [terms("acme")])
            reader.open()
        ticks.now += 301
        assert not reader.begin(Cursor(1, 7))
        assert reader.wants_full
        assert write(reader, None, mark(8), [terms("globex")])
    with cached(tmp_path) as again:
        assert state(again.open()) == {"globex": doc("globex")}


def test_a_fork_leaves_the_cache_to_its_parent(tmp_path: Path) -> None:
    """A child that goes on with the same object writes nothing, and its parent goes on writing."""
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme")])
        child = os.fork()
        if child == 0:
            wrote = write(cache, Cursor(1, 1), mark(2), [terms("child")]) or cache.writes
            cache.close()
            os._exit(1 if wrote else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert write(cache, Cursor(1, 1), mark(2), [terms("parent")])
    with cached(tmp_path) as again:
        assert set(state(again.open())) == {"acme", "parent"}


def test_folders_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask: folders 0700, files 0600; the key is 32 random bytes, another one for each folder."""
    before = os.umask(0)
    try:
        keys = set()
        for name in ("one", "two"):
            with cached(tmp_path / name) as cache:
                cache.open()
                write(cache, None, mark(1), [terms("acme")])
            for path in [tmp_path / name, *(tmp_path / name).rglob("*")]:
                assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600), path
            keys.add((tmp_path / name / "key").read_bytes())
        assert {len(key) for key in keys} == {32}
        assert len(keys) == 2
    finally:
        os.umask(before)


def warned(caplog: pytest.LogCaptureFixture) -> str:
    """Return the one warning there was."""
    (one,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return one.getMessage()


def dead_end(cache: Cache) -> None:
    """Assert that a client goes on without: nothing is found, nothing is kept, nothing is raised."""
    assert cache.open() == Kept()
    for _ in range(3):
        assert not write(cache, None, mark(1), [terms("acme")])
    cache.compact()


@pytest.mark.parametrize("name", [".", "*", "key", "*/truth", "*/floors", "*/lock"])
def test_what_others_may_write_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """A folder or file that the group may write is not believed; the client goes on without, after one warning."""
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme")])
    (path,) = [tmp_path] if name == "." else [one for one in tmp_path.glob(name) if name != "*" or one.is_dir()]
    path.chmod(path.stat().st_mode | 0o020)
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert kept.truth is None
        assert not write(cache, Cursor(1, 1), mark(2), [terms("acme")])
    assert "others may write it" in warned(caplog)
    assert str(path) in warned(caplog)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Such a key protects nothing: it is not used, and the warning says what to do."""
    with cached(tmp_path) as cache:
        cache.open()
    (tmp_path / "key").chmod(0o644)
    with cached(tmp_path) as cache:
        dead_end(cache)
    assert "0600" in warned(caplog)


def test_links_are_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A link where a file should be could lead anywhere: it is neither read nor written through."""
    target = tmp_path / "elsewhere"
    target.write_bytes(b"untouched")
    target.chmod(0o600)
    base = tmp_path / "base"
    with cached(base) as cache:
        cache.open()
    (folder,) = [one for one in base.iterdir() if one.is_dir()]
    (folder / "truth").symlink_to(target)
    with cached(base) as cache:
        assert cache.open().truth is None
        assert not write(cache, Cursor(1, 1), mark(2), [terms("acme")])
    assert target.read_bytes() == b"untouched"
    assert warned(caplog)


def test_a_folder_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where a file is in the way of the folder, the client goes on without a cache, after one warning."""
    (tmp_path / "file").write_text("")
    with cached(tmp_path / "file") as cache:
        dead_end(cache)
    assert "goes on without" in warned(caplog)


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    """Without a home directory there is no default folder, or one that cannot be made: one warning, no exception."""
    code = (
        "import logging, sys; logging.basicConfig(stream=sys.stdout)\n"
        "from licet.sdk.cache import Cache, Identity\n"
        "cache = Cache(None, Identity(url='https://x', key='k'))\n"
        "print(cache.open().truth, cache.begin(None))\n"
    )
    (tmp_path / "file").write_text("")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "file" / "home")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("WARNING") == 1
    assert done.stdout.endswith("None False\n")


def test_the_default_folder_is_the_users_own() -> None:
    """It is `~/.cache/licet` of the user as whom the program runs."""
    assert default_folder() == Path("~/.cache/licet").expanduser()


def test_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the disk takes no more, what was committed stays; one warning; it is tried again after five minutes."""
    import resource

    ticks = Ticks()
    with cached(tmp_path, clock=ticks) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme")])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            for _ in range(3):
                assert not write(cache, Cursor(1, 1), mark(2), [terms("acme", 2, os.urandom(30_000).hex())])
            assert not cache.writes
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert warned(caplog)
        with cached(tmp_path) as reader:
            assert state(reader.open()) == {"acme": doc("acme")}
        ticks.now += 301
        assert write(cache, Cursor(1, 1), mark(2), [terms("acme", 3)])
    with cached(tmp_path) as again:
        assert state(again.open()) == {"acme": doc("acme", 3)}


def test_a_cache_is_never_larger_than_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A set beyond the bound is given up; what was there before stays. The bound itself is stated."""
    assert MOST_BYTES == 1024**3
    with cached(tmp_path, most_bytes=100_000) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme")])
        write(cache, Cursor(1, 1), mark(2), [terms(f"c{n}", 1, os.urandom(10_000).hex()) for n in range(20)])
        assert "100000 bytes" in warned(caplog)
    with cached(tmp_path) as cache:
        assert state(cache.open()) == {"acme": doc("acme")}


def test_floors_never_go_back(tmp_path: Path) -> None:
    """They survive a smaller file, a full set and the loss of the truth; each part only rises."""
    high = Floors(keyset=9, epoch=2, seq=3, issued_at=77)
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(3, epoch=2, floors=high), [terms("acme")])
        cache.compact()
        write(cache, None, mark(4, epoch=2, floors=Floors(keyset=1, epoch=1, seq=500, issued_at=5)), [terms("acme")])
    with cached(tmp_path) as cache:
        assert cache.open().floors == high
    (truth,) = tmp_path.glob("*/truth")
    truth.unlink()
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert (kept.truth, kept.floors, kept.root) == (None, high, mark(1).root)


def test_floors_are_those_of_a_root(tmp_path: Path) -> None:
    """Under another root everything begins anew: what was believed before says nothing about it."""
    other = msgspec.structs.replace(mark(2), root="k4.public.other")
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(900, epoch=7), [terms("acme")])
        write(cache, None, other, [terms("globex")])
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert (kept.floors, kept.root) == (other.floors, other.root)
        assert state(kept) == {"globex": doc("globex")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small cache of four sets."""
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme")])
        for place in range(1, 4):
            write(cache, Cursor(1, place), mark(place + 1), [terms("acme", place + 1)])
    return tmp_path


def test_an_old_file_over_a_newer_one_is_noticed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The truth's file alone brought back from a copy is older than the floors: discarded. The floors stay."""
    (truth,) = folder.glob("*/truth")
    old = truth.read_bytes()
    with cached(folder) as cache:
        cache.open()
        write(cache, Cursor(1, 4), mark(5), [terms("acme", 5)])
    truth.write_bytes(old)
    with cached(folder) as cache:
        kept = cache.open()
        assert kept.truth is None
        assert kept.floors == mark(5).floors
        assert "older than what was believed" in warned(caplog)
        assert write(cache, None, mark(6), [terms("acme", 6)])


def test_a_copy_without_its_key_is_unreadable(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Files copied to another folder are nothing there: discarded, and written anew."""
    other = tmp_path / "other"
    with cached(other) as cache:
        cache.open()
    for path in folder.glob("*/truth"):
        copy = other / path.parent.name / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
    assert b"acme" not in copy.read_bytes()
    with cached(other) as cache:
        assert cache.open() == Kept()
        assert "discarded" in warned(caplog)
        assert write(cache, None, mark(1), [terms("acme")])
    with cached(other) as cache:
        assert state(cache.open()) == {"acme": doc("acme")}


def test_a_key_cut_short_is_made_anew(folder: Path) -> None:
    """Half a key opens nothing: another one is made, and the cache begins anew."""
    (folder / "key").write_bytes(b"half")
    with cached(folder) as cache:
        assert cache.open() == Kept()
        assert write(cache, None, mark(9), [terms("acme")])
    with cached(folder) as cache:
        assert state(cache.open()) == {"acme": doc("acme")}


def test_a_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every part of terms and of users comes back, whatever is in it."""
    odd = UserRow(
        customer="ä\u2028c", user="ann", revision=7, seq=9, active=False, roles=("a", "b"),
        attributes={"x": True, "n": -(2**53) + 1, "l": ["1", "2"], "s": "ü"},
    )  # fmt: skip
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(1), [TermsRow(customer="ä\u2028c", revision=3, seq=8, doc=terms("a").doc)], [odd])
    with cached(tmp_path) as cache:
        truth = cache.open().truth
        assert truth is not None
        (rows,) = truth.rows()
        assert rows.users == (odd,)
        assert (rows.terms[0].customer, rows.terms[0].revision, rows.terms[0].seq) == ("ä\u2028c", 3, 8)
        truth.close()


def test_marks_say_what_they_share_once(tmp_path: Path) -> None:
    """Keyset and catalog are written only when they change, however large they are."""
    large = "v4.public." + "x" * 50_000
    with cached(tmp_path) as cache:
        cache.open()
        write(cache, None, mark(1, catalog=large), [terms("acme")])
        (file,) = tmp_path.glob("*/truth")
        before = file.stat().st_size
        write(cache, Cursor(1, 1), mark(2, catalog=large), [terms("acme", 2)])
        assert file.stat().st_size - before < 2_000
        other: Mark = mark(3, catalog=large + "y")
        write(cache, Cursor(1, 2), other)
    with cached(tmp_path) as cache:
        kept = cache.open()
        assert kept.truth is not None
        assert kept.truth.mark == other
