"""The command line is light: what a command does not need is not loaded."""

import subprocess
import sys

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


def test_a_plain_install_says_what_the_command_line_needs() -> None:
    """Without the server part, as a vendor's product has it, the command names what to install instead of crashing."""
    blocked = "import sys; sys.modules['typer'] = None; from licet.cli.main import main; main(['up'])"
    ran = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "pip install 'licet[server]'" in ran.stderr
    assert "Traceback" not in ran.stderr
