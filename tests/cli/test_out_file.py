"""Files that commands write: whole or not at all, through links and pipes, never over what is no file."""

import os
import resource
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from licet.cli.failure import Failure
from licet.cli.out_file import out_file, words_beside, write_out

NOBODY = 65534


def names(folder: Path) -> list[str]:
    """What lies in a folder, hidden files too."""
    return sorted(each.name for each in folder.iterdir())


def mode(file: Path) -> int:
    """A file's permissions."""
    return stat.S_IMODE(file.stat().st_mode)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def nobody() -> Iterator[None]:
    """A user who may write nowhere, where the test's own may write everywhere."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


def test_a_new_file_and_one_that_is_replaced(tmp_path: Path) -> None:
    """A new file has the user's usual mode, one that was there keeps its own, a private one is its user's alone."""
    to = tmp_path / "f.txt"
    before = os.umask(0o027)
    try:
        write_out(to, "zoë\n")
    finally:
        os.umask(before)
    assert (to.read_text(), mode(to)) == ("zoë\n", 0o640)
    to.chmod(0o604)
    write_out(to, b"more\n")
    assert (to.read_text(), mode(to)) == ("more\n", 0o604)
    with out_file(to, private=True) as file:
        file.write("secret\n")
    assert (to.read_text(), mode(to)) == ("secret\n", 0o600)
    assert names(tmp_path) == ["f.txt"]


def test_what_was_there_stays_until_the_new_content_is_whole(tmp_path: Path) -> None:
    """While it is written, and where that ends in an error, the file is the one from before, or none."""
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("as before")

    def broken_off(to: Path) -> None:
        with out_file(to) as file:
            file.write("half")
            assert old.read_text() == "as before"
            raise KeyboardInterrupt

    for to in (old, new):
        with pytest.raises(KeyboardInterrupt):
            broken_off(to)
    assert names(tmp_path) == ["old.txt"]
    assert old.read_text() == "as before"


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    """A link leads on to the new content, also through a second one and to a file that was not there yet."""
    (tmp_path / "there").mkdir()
    for name in ("target", "later"):
        (tmp_path / f"{name}.link").symlink_to(Path("there") / name)
        (tmp_path / f"{name}.far").symlink_to(f"{name}.link")
    (tmp_path / "there" / "target").write_text("old")
    for name in ("target", "later"):
        write_out(tmp_path / f"{name}.far", "new")
        assert (tmp_path / f"{name}.far").is_symlink()
        assert (tmp_path / f"{name}.link").is_symlink()
        assert (tmp_path / "there" / name).read_text() == "new"
    assert names(tmp_path / "there") == ["later", "target"]


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    """Who reads a named pipe, directly or through a link, gets the content, and the pipe is still one."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for to in (pipe, link):
        got: list[str] = []
        reader = threading.Thread(target=lambda got=got: got.append(pipe.read_text()))
        reader.start()
        write_out(to, "through")
        reader.join(timeout=10)
        assert got == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["link", "pipe"]


def test_a_terminal_is_written_through() -> None:
    """A character device gets the content and stays what it is."""
    ours, theirs = os.openpty()
    try:
        name = Path(os.ttyname(theirs))
        write_out(name, "shown")
        assert os.read(ours, 100) == b"shown"
        assert stat.S_ISCHR(name.stat().st_mode)
    finally:
        os.close(ours)
        os.close(theirs)


def test_an_open_file_goes_on_where_it_stands(tmp_path: Path) -> None:
    """`/dev/stdout` sent to a file by the shell: the content follows what stands there, in the very same file."""
    with (tmp_path / "f").open("w") as opened:
        opened.write("before ")
        opened.flush()
        same = (tmp_path / "f").stat().st_ino
        link = tmp_path / "link"
        link.symlink_to(f"/proc/self/fd/{opened.fileno()}")
        for to in (Path(f"/dev/fd/{opened.fileno()}"), link):
            write_out(to, "after ")
    assert (tmp_path / "f").read_text() == "before after after "
    assert (tmp_path / "f").stat().st_ino == same


def test_words_go_beside_what_is_written_to_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A content on standard output is not mixed with what the command says about it."""
    for to in ("-", "/dev/stdout", str(tmp_path / "f")):
        write_out(Path(to), "content")
        words_beside(Path(to), as_json=False).line("words")
    said = capfd.readouterr()
    assert (said.out, said.err) == ("contentcontentwords\n", "words\nwords\n")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a socket, a loop of links and a name below a file: refused in words, and untouched."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "file").write_text("as before")
        for name, words in {
            ".": "it is a folder",
            "s": "it is a socket",
            "loop": "too many levels of symbolic links",
            "file/x": "file is no folder",
            "absent/x": "there is no folder",
            "n" * 300: "file name too long",
        }.items():
            with pytest.raises(Failure, match=words) as refused:
                write_out(tmp_path / name, "content")
            assert refused.value.exit_code == 2
            assert refused.value.advice
        assert stat.S_ISSOCK((tmp_path / "s").stat().st_mode)
    assert names(tmp_path) == ["file", "loop", "s"]
    assert (tmp_path / "file").read_text() == "as before"


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_full_disk_leaves_nothing_half(tmp_path: Path, size: int) -> None:
    """Where there is no room left, in the middle or at the end, a sentence says so; the old file stands as it was."""
    old = tmp_path / "old"
    old.write_text("as before")
    for to in (old, tmp_path / "new"):
        with full_disk(20), pytest.raises(Failure, match=r"cannot write .*may not grow so large") as refused:
            write_out(to, "x" * size)
        assert "another disk" in refused.value.advice
    assert names(tmp_path) == ["old"]
    assert old.read_text() == "as before"


def test_where_nobody_may_write(tmp_path: Path) -> None:
    """A folder in which the user may not write is told, and nothing is made there."""
    tmp_path.chmod(0o500)
    try:
        with nobody(), pytest.raises(Failure, match="permission denied") as refused:
            write_out(tmp_path / "new", "content")
    finally:
        tmp_path.chmod(0o700)
    assert "where you may write" in refused.value.advice
    assert names(tmp_path) == []


def test_a_pipe_that_nobody_reads_any_more(tmp_path: Path) -> None:
    """A reader who leaves early is told of, as what it got is not whole."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def left_alone() -> None:
        with out_file(pipe) as file:
            os.close(reader)
            file.write("x" * 100_000)

    with pytest.raises(Failure, match="nobody reads it any more"):
        left_alone()
