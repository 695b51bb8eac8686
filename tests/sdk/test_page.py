"""The page of the client says what the code has, and the other way round."""

import inspect
import re
from pathlib import Path

import licet
from licet.sdk.async_client import AsyncClient
from licet.sdk.client import Client
from licet.sdk.decision import Decision, Freshness
from licet.sdk.errors import LicetError

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "sdk.md").read_text("utf-8")
OF_FORKS = {"before_fork", "after_fork_in_parent", "after_fork_in_child"}


def told(title: str) -> set[str]:
    """Return the names in the first column of the tables below a heading."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([A-Za-z_]+)", cell)}


def public(kind: type) -> set[str]:
    """Return the public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}


def test_arguments_and_methods() -> None:
    """Each argument of the constructor and each method stands on the page, and both clients take the same."""
    arguments = set(inspect.signature(Client.__init__).parameters) - {"self"}
    assert inspect.signature(Client.__init__) == inspect.signature(AsyncClient.__init__)
    methods = (public(Client) | public(AsyncClient)) - OF_FORKS
    assert told("Client and AsyncClient") == arguments | methods


def test_defaults() -> None:
    """The defaults on the page are those of the code, where the page gives a number or a word."""
    for name, parameter in inspect.signature(Client.__init__).parameters.items():
        if isinstance(parameter.default, float | str) or (isinstance(parameter.default, int) and parameter.default):
            shown = f"{parameter.default:,}" if isinstance(parameter.default, int) else repr(parameter.default)
            shown = shown.replace("'", '"') if isinstance(parameter.default, str) else shown
            row = re.search(rf"^\| `{name}` \| ([^|]*) \|", PAGE, re.MULTILINE)
            assert row is not None
            assert row[1].strip("`") in (shown, str(parameter.default)), name


def test_attributes() -> None:
    """Decision and Freshness have what the page says, and nothing else."""
    assert told("Decision") == public(Decision) - {"ruled", "wall", "page"}
    assert told("Freshness") == public(Freshness)


def test_errors() -> None:
    """Every error that is exported stands on the page."""
    exported = {name for name in licet.__all__ if isinstance(getattr(licet, name), type)}
    errors = {name for name in exported if issubclass(getattr(licet, name), LicetError)}
    assert told("Errors") == errors - {"LicetError"}
