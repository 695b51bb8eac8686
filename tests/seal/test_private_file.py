"""Private files: whole or not there, whoever writes them at the same moment; nothing is left beside them."""

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from licet.seal.keyring import create_keyring
from licet.seal.private_file import create_private, write_private

CONTENT = b"x" * 4096


def at_once(do: Callable[[int], object], times: int = 16) -> list[object]:
    """Return what each of several threads got that do something at the same moment."""
    with ThreadPoolExecutor(times) as pool:
        return [*pool.map(do, range(times))]


def test_of_several_writers_each_write_is_whole(tmp_path: Path) -> None:
    """Sixteen threads write one name again and again; who reads meanwhile never sees a part of a file."""
    path = tmp_path / "secret"
    write_private(path, CONTENT)

    def write_and_read(_: int) -> set[bytes]:
        seen = set()
        for _ in range(50):
            write_private(path, CONTENT)
            seen.add(path.read_bytes())
        return seen

    assert all(seen == {CONTENT} for seen in at_once(write_and_read))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [path]


def test_of_several_that_create_a_file_one_wins(tmp_path: Path) -> None:
    """Whoever comes second gets FileExistsError, and the first content stays."""
    for turn in range(100):
        path = tmp_path / str(turn)

        def create(place: int, path: Path = path) -> bytes | None:
            content = bytes([place]) * 100
            try:
                create_private(path, content)
            except FileExistsError:
                return None
            return content

        assert [one for one in at_once(create) if one is not None] == [path.read_bytes()]
    assert len([*tmp_path.iterdir()]) == 100


def test_of_several_that_make_master_keys_all_get_the_same(tmp_path: Path) -> None:
    """Sixteen at once return the one keyring that is in the file."""
    for turn in range(100):

        def create(_: int, path: Path = tmp_path / str(turn)) -> tuple[str, ...]:
            return tuple(create_keyring(path).ids)

        assert len({*at_once(create)}) == 1


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Where the name is a folder's the write fails, and no half of it stays behind."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_private(tmp_path / "taken", CONTENT)
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]
