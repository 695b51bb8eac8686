"""Runs the console script as a process of its own, with an environment of its own, bounded in time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

SCRIPT = Path(sys.executable).parent / "licet"


class Ran(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)


class Shop(NamedTuple):
    """A running server, its first keys, its home, and the owner's way into its database."""

    url: str
    keys: dict[str, str]
    home: Path
    dsn: str

    def run(self, *arguments: str, stdin: str | None = "", workspace: str = "test") -> Ran:
        """Run a command against the server with the workspace's first key."""
        return licet(*arguments, env={"LICET_URL": self.url, "LICET_KEY": self.keys[workspace]}, stdin=stdin)

    def at_home(self, *arguments: str, stdin: str | None = "") -> Ran:
        """Run a command on the server's machine: it finds address, keys and database by itself."""
        return licet(*arguments, env={"LICET_HOME": str(self.home), "LICET_DATABASE_URL": self.dsn}, stdin=stdin)


def licet(
    *arguments: str,
    env: dict[str, str] | None = None,
    stdin: str | None = "",
    cwd: Path | None = None,
    timeout: float = 60,
) -> Ran:
    """Run ``licet`` without any LICET_ variable but those given; standard input is empty unless said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    done = subprocess.run(
        [str(SCRIPT), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**clean, **(env or {})},
        cwd=cwd,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
