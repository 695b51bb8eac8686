"""Where the recordings of released versions lie, and the test keys that signed them."""

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[2] / "spec" / "recorded"
VERSIONS: Final = tuple(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
"""The recorded versions, ``v1`` first."""


class Keys:
    """The test keys of one version: their seeds are public, so nothing they signed is to be believed elsewhere."""

    def __init__(self, version: str) -> None:
        read = json.loads((FOLDER / version / "keys.json").read_text("utf-8"))
        self.root = bytes.fromhex(read["root"])
        self.feed = tuple(bytes.fromhex(seed) for seed in read["feed"])


def read_json(version: str, name: str) -> Any:
    """Return one recorded JSON document."""
    return json.loads((FOLDER / version / name).read_text("utf-8"))


def read_lines(version: str, name: str) -> list[bytes]:
    """Return the lines of one recorded file, without their ends."""
    return (FOLDER / version / name).read_bytes().splitlines()
