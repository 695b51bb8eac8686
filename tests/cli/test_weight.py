"""The command line is light: what a command does not need is not loaded."""

import subprocess
import sys
import time

import pytest

SERVER = {"litestar", "asyncpg", "uvicorn", "cryptography", "structlog", "yaml", "jinja2", "httpx", "prometheus_client"}


def loaded(*arguments: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after a command."""
    code = (
        "import sys\nfrom licet.cli.main import run\n"
        f"try: run({list(arguments)!r})\nexcept SystemExit: pass\n"
        "print('\\n@' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.rpartition("@")[2].split())


def test_the_version_loads_nothing() -> None:
    """`licet --version` loads neither a server library nor typer nor rich."""
    names = loaded("--version")
    assert names & (SERVER | {"typer", "rich", "msgspec"}) == set()
    assert "licet" in names


@pytest.mark.parametrize("arguments", [["--help"], ["catalog", "--help"], ["check", "--help"], ["version"]])
def test_help_loads_no_server_library(arguments: list[str]) -> None:
    """Help of any command loads typer and rich, but nothing of the server."""
    assert loaded(*arguments) & SERVER == set()


def test_help_is_quick() -> None:
    """`licet --help` comes within 1.5 s even on a busy machine (0.25 s on a quiet one)."""
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        loaded("--help")
        spent.append(time.perf_counter() - began)
    assert min(spent) < 1.5
