"""Which uvicorn the checks of this room ran on: the pinned one, and in the full dose the newest as well."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.dose import DOSE

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^uvicorn==(\S+)$", re.MULTILINE)
CHOSEN = os.environ.get("LICET_TEST_UVICORN")
"""Another version that was put in front of the pinned one; set by the test below for its own run."""


def pinned() -> str:
    """The version that is pinned."""
    found = PIN.search((ROOT / "requirements" / "server.in").read_text("utf-8"))
    assert found is not None
    return found[1]


def newest() -> str:
    """The newest version in the registry."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "uvicorn"], capture_output=True, text=True, check=True
    )
    found = re.match(r"uvicorn \((\S+)\)", said.stdout)
    assert found is not None, said.stdout
    return found[1]


def test_the_uvicorn_that_is_checked() -> None:
    """The checks run on the pinned version, or on the one that was asked for; in the full dose on the newest too."""
    assert version("uvicorn") == (CHOSEN or pinned())
    if DOSE == "full" and not CHOSEN:
        _check_newest()


def _check_newest() -> None:
    other = newest()
    folder = ROOT / ".cache" / f"uvicorn-{other}"
    if other != pinned() and not folder.exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                str(folder),
                f"uvicorn=={other}",
            ],
            check=True,
        )
    run = [sys.executable, "-m", "pytest", "tests/door/test_wire.py", "tests/door/test_uvicorn.py", "-q"]
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "LICET_TEST_UVICORN": other, "PYTHONPATH": path, "LICET_TEST_DOSE": "reduced"}
    done = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
