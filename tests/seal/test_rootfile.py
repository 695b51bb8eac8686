"""The file of a root: private, whole or not there, never written over, also on a stick and by two at once."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from licet.seal.paserk import write_secret
from licet.seal.rootfile import MAX_FILE, RootFileError, create_root, read_root, remove_root, write_root

SEED = bytes(range(32))


def no_links(_: Path, __: Path) -> None:
    """What the file system of a stick says to a second name."""
    raise PermissionError(1, "Operation not permitted")


def test_a_root_is_made_once_and_private(tmp_path: Path) -> None:
    """The file has mode 0600, holds one line, and is the same at the next start; nothing stands beside it."""
    path = tmp_path / "live.root"
    seed = create_root(path)
    assert create_root(path) == read_root(path) == seed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == write_secret(seed) + "\n"
    assert [*tmp_path.iterdir()] == [path]


def test_of_two_that_make_a_root_at_once_one_wins(tmp_path: Path) -> None:
    """Sixteen at once all return the one root that is in the file, a hundred times; nothing is left beside it."""
    with ThreadPoolExecutor(16) as pool:
        for turn in range(100):
            path = tmp_path / str(turn) / "live.root"
            path.parent.mkdir()
            made = {*pool.map(lambda _, path=path: create_root(path), range(16))}
            assert made == {read_root(path)}
            assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("stick", [False, True])
def test_no_file_is_written_over(tmp_path: Path, stick: bool) -> None:
    """A name that is taken stays as it is, with second names and without; a free one is written whole."""
    more = {"link": no_links} if stick else {}
    taken, free = tmp_path / "taken", tmp_path / "free"
    taken.write_text("precious")
    with pytest.raises(FileExistsError):
        write_root(taken, SEED, **more)
    assert taken.read_text() == "precious"
    write_root(free, SEED, **more)
    assert read_root(free) == SEED
    assert stat.S_IMODE(free.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [free, taken]


def test_what_is_no_root_is_named_without_showing_it(tmp_path: Path) -> None:
    """A missing, empty, foreign, cut, flipped or endless file is refused by its path; its content is never told."""
    text = write_secret(SEED)
    wrong = {"empty": "", "other": "hunter2", "public": text.replace("secret", "public"), "cut": text[:-3]}
    wrong |= {"flipped": text[:-1] + ("A" if text[-1] != "A" else "B"), "long": text + " " * MAX_FILE + "x", "ü": "ü"}
    for name, content in wrong.items():
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(RootFileError) as caught:
            read_root(path)
        assert str(path) in caught.value.words
        assert "hunter2" not in caught.value.words + caught.value.advice
        assert text[20:60] not in caught.value.words + caught.value.advice
    with pytest.raises(RootFileError, match="there is no file"):
        read_root(tmp_path / "nowhere")
    with pytest.raises(RootFileError, match="cannot be written"):
        write_root(tmp_path / "no" / "folder", SEED)
    with pytest.raises(RootFileError, match="cannot be read"):
        read_root(tmp_path)


def test_a_root_is_removed(tmp_path: Path) -> None:
    """What was removed is not there; removing it again changes nothing."""
    write_root(tmp_path / "x", SEED)
    remove_root(tmp_path / "x")
    remove_root(tmp_path / "x")
    assert [*tmp_path.iterdir()] == []
