"""Homes of their own for demos and benches, beside the usual one: on the same disk, enterable by the same user."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import structs

from licet.settings import Settings

DEMO: Final = "demo-"
BENCH: Final = "bench-"


def fresh_settings(prefix: str, *, port: int = 0) -> Settings:
    """Return settings with a home that does not exist yet; nothing but paths is taken from the environment."""
    read = Settings.read()
    home = _beside(read) / f"{prefix}{secrets.token_hex(4)}"
    # A test key may ask as often as it likes, and nobody reads the log unless something is wrong.
    return Settings(home=home, pg_bin=read.pg_bin, port=port, rate_per_second=0, log_level="warning")


def sweep(prefix: str) -> None:
    """Remove what killed runs left behind."""
    with suppress(OSError):
        for left in _beside(Settings.read()).glob(f"{prefix}*"):
            clear(left)


def clear(home: Path) -> None:
    """Remove one home; one that is in use stays, and so does any folder that is no home of ours."""
    from licet.store.bundled import BundledError, remove

    with suppress(BundledError, OSError):
        remove(home)


def _beside(settings: Settings) -> Path:
    from licet.wiring import home_of

    return home_of(structs.replace(settings, home=None)).parent
