"""The pytest plugin: the fixture ``licet_world``, a fresh world for each test. Unused, it loads nothing of Licet."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from licet.testing.world import World

MARKER: Final = (
    "licet(catalog=…, at=…, strict=…): how the world of the fixture licet_world begins; see licet.testing.World"
)
INI: Final = "licet_catalog"
_OPTIONS: Final = frozenset({"catalog", "at", "strict"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the default catalog from the project's configuration."""
    parser.addini(INI, "the catalog file of licet_world, from the configuration file's folder on", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def licet_world(request: pytest.FixtureRequest) -> "World":
    """A fresh entitlement world: say who bought what, give ``licet_world.client()`` to the program, move time.

    ``@pytest.mark.licet(catalog=…, at=…, strict=…)`` on a test, class or module says how it begins (the closest marker
    wins, option by option); the setting ``licet_catalog`` is the catalog of all others. A catalog's file is looked for
    from pytest's root folder on.
    """
    from licet.testing.world import World

    return World(**_options(request))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failed test with a world, tell what was asked in it and what came out."""
    report = yield
    world = getattr(item, "funcargs", {}).get("licet_world")
    if report.failed and report.when == "call" and world is not None:
        report.sections.append(("licet: what was checked", _told(world)))
    return report


def _told(world: "World") -> str:
    """What was asked in a world; whatever is wrong with it, the run goes on and its report says so."""
    try:
        return world.told()
    except Exception as error:  # noqa: BLE001 raised here it would end the whole run, not one test
        return f"it cannot be told: {type(error).__name__}: {error}"


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What markers and settings say about the world."""
    options: dict[str, Any] = {}
    default = request.config.getini(INI)
    if default:
        options["catalog"] = str(default)
    for marker in reversed(list(request.node.iter_markers("licet"))):
        unknown = sorted(set(marker.kwargs) - _OPTIONS)
        if unknown or marker.args:
            wrong = ", ".join([*map(repr, marker.args), *unknown])
            raise pytest.UsageError(f"pytest.mark.licet takes {', '.join(sorted(_OPTIONS))} by name, not {wrong}")
        options.update(marker.kwargs)
    if isinstance(options.get("catalog"), str | Path):
        options["catalog"] = request.config.rootpath / options["catalog"]
    return options
