"""Master keys: they wrap the data keys of sealed secrets and live in a file (mode 0600) outside the database.

The file has one line per key, ``<id> <base64 of 32 bytes>``, the newest first: that one seals, all of them open. Who
has a dump of the database but not this file has no secret.
"""

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from licet.seal.ids import Entropy
from licet.seal.private_file import create_private, write_private

KEY_BYTES: Final = 32
ID_BYTES: Final = 8
_LINE: Final = re.compile(r"([0-9a-f]{16}) ([A-Za-z0-9+/]{43}=)", re.ASCII)


class KeyringError(Exception):
    """The file of master keys is missing, damaged or open to others."""


class Keyring:
    """The master keys by id (16 hex digits), the sealing one first. Never shows a key."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise KeyringError("a keyring has at least one key")
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise KeyringError(f"a master key has {KEY_BYTES} bytes")
        self._keys = dict(keys)

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return next(iter(self._keys))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the newest first."""
        return tuple(self._keys)

    def key(self, key_id: str) -> bytes:
        """Return a master key; raises KeyringError for one that is not here."""
        try:
            return self._keys[key_id]
        except KeyError:
            raise KeyringError(
                f"the master key {key_id} is not in the key file (it has {', '.join(self._keys)}): "
                "put its line back from a backup of the file"
            ) from None

    def with_new_key(self, entropy: Entropy = os.urandom) -> "Keyring":
        """Return a keyring that seals with a fresh key and still opens with the old ones."""
        return Keyring({entropy(ID_BYTES).hex(): entropy(KEY_BYTES), **self._keys})

    def without(self, key_id: str) -> "Keyring":
        """Return a keyring without one retired key; raises KeyringError for the sealing one or an unknown one."""
        self.key(key_id)
        if key_id == self.newest:
            raise KeyringError(f"the master key {key_id} still seals: add a new key before this one is retired")
        return Keyring({name: key for name, key in self._keys.items() if name != key_id})

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"


def new_keyring(entropy: Entropy = os.urandom) -> Keyring:
    """Return a keyring with one fresh key."""
    return Keyring({entropy(ID_BYTES).hex(): entropy(KEY_BYTES)})


def load_keyring(path: Path) -> Keyring:
    """Read the file of master keys; raises KeyringError if it is missing, damaged or readable by others."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyringError(
            f"there is no key file {path}: restore it, nothing sealed can be opened without it"
        ) from None
    except OSError as error:
        raise KeyringError(f"the key file {path} cannot be read: {error.strerror}") from error
    with os.fdopen(handle) as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise KeyringError(f"the key file {path} is open to others (mode {mode:04o}): chmod 600 {path}")
        return _parse(path, file.read())


def create_keyring(path: Path, entropy: Entropy = os.urandom) -> Keyring:
    """Return the keyring of ``path``, which is created with one fresh key unless it exists."""
    if not path.exists():
        with suppress(FileExistsError):  # of two that start at once, one makes the key
            create_private(path, _written(new_keyring(entropy)))
    return load_keyring(path)


def save_keyring(path: Path, keyring: Keyring) -> None:
    """Replace the file of master keys durably, by a rename."""
    write_private(path, _written(keyring))


def _written(keyring: Keyring) -> bytes:
    lines = (f"{key_id} {base64.b64encode(keyring.key(key_id)).decode()}\n" for key_id in keyring.ids)
    return "".join(lines).encode("ascii")


def _parse(path: Path, content: str) -> Keyring:
    keys: dict[str, bytes] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise KeyringError(f"{path}, line {number} is not `<16 hex digits> <base64 of 32 bytes>`")
        if found[1] in keys:
            raise KeyringError(f"{path}, line {number} repeats the key {found[1]}")
        try:
            keys[found[1]] = base64.b64decode(found[2], validate=True)
        except binascii.Error as error:
            raise KeyringError(f"{path}, line {number} is not base64: {error}") from error
    if not keys:
        raise KeyringError(f"{path} holds no key: restore it from a backup")
    return Keyring(keys)
