"""The file of a root key: one line, ``k4.secret.…``, mode 0600, written whole or not at all and never over another.

The root signs keysets and nothing else, so that it can be kept away from every server: in a drawer, on a stick.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from licet.seal.checkpoint import new_seed
from licet.seal.paserk import KeyTextError, read_secret, write_secret
from licet.seal.private_file import create_private, sync_folder

MAX_FILE: Final = 1024
"""Bytes of such a file."""


class RootFileError(Exception):
    """The file of a root cannot be read or written; never holds what is in it. ``advice`` says what to do."""

    code = "root_file"

    def __init__(self, words: str, advice: str) -> None:
        super().__init__(words)
        self.words = words
        self.advice = advice


def create_root(path: Path) -> bytes:
    """Return the seed in ``path``, which is made with a fresh one unless it exists; its folder must be there.

    It is on the disk for good when this returns. Raises RootFileError.
    """
    if not path.exists():
        with suppress(FileExistsError):  # of two processes that start at once, one makes the root
            write_root(path, new_seed())
    return read_root(path)


def write_root(path: Path, seed: bytes, *, link: Callable[[Path, Path], None] = os.link) -> None:
    """Write a seed to a new file; raises FileExistsError where there is one already, RootFileError for all else.

    ``link`` gives a file a second name, which some file systems cannot.
    """
    try:
        create_private(path, f"{write_secret(seed)}\n".encode("ascii"), link=link)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unwritten(path, error) from None


def read_root(path: Path) -> bytes:
    """Return the seed in a file; raises RootFileError where there is none or it holds something else."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        advice = "name the file to which the root was moved; if it is lost: licet signing new-root"
        raise RootFileError(f"there is no file {path}", advice) from None
    except OSError as error:
        raise RootFileError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}", "mend that") from None
    try:
        return read_secret(content.decode("ascii").strip() if len(content) <= MAX_FILE else "")
    except (KeyTextError, UnicodeDecodeError):
        advice = "name the file to which the root was moved; if it is lost: licet signing new-root"
        raise RootFileError(
            f"{path} holds no root key: that is one line which begins with k4.secret.", advice
        ) from None


def remove_root(path: Path) -> None:
    """Remove a root's file, for good; raises RootFileError."""
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        words = f"{path} cannot be removed: {(error.strerror or str(error)).lower()}"
        raise RootFileError(words, "remove it by hand") from None


def _unwritten(path: Path, error: OSError) -> RootFileError:
    words = f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
    return RootFileError(words, "name a file in a folder that is there and may be written to")
