"""The pytest plugin, as a vendor's own test suite has it: in a pytest of its own."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

SUITE = """
import pytest, sys

pytestmark = pytest.mark.licet(at="2027-01-01T00:00:00Z")

def test_nothing_is_loaded_until_it_is_used():
    assert not [name for name in sys.modules if name.startswith(("licet.core", "licet.sdk", "msgspec"))]

def test_fresh(licet_world):
    assert licet_world.now.year == 2027
    licet_world.subscribe("acme", "team")
    assert licet_world.client().check("acme", "projects", used=0)

def test_fresh_again(licet_world):
    licet_world.customer("acme")
    assert not licet_world.client().check("acme", "projects", used=0)

@pytest.mark.licet(catalog="below/small.json")
def test_file(licet_world):
    licet_world.allow("acme", "only")
    assert licet_world.client().check("acme", "only")

@pytest.mark.licet(catalog=None, strict=False)
def test_marked(licet_world):
    assert licet_world.now.year == 2027
    assert licet_world.client().check("nobody", "nothing").reason == "unknown_customer"

def test_fails(licet_world):
    licet_world.customer("acme")
    assert licet_world.client().check("acme", "sso")

def test_no_text(licet_world):
    licet_world.allow(5, "export")

def test_broken_world(licet_world):
    licet_world.asked = [3]
    licet_world._truth = None
    assert False, "for the report"

@pytest.mark.licet(catalogue="x")
def test_misspelled(licet_world):
    pass
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a vendor's suite prints, with the setting for its catalog."""
    folder = tmp_path_factory.mktemp("vendor")
    root = Path(__file__).parents[2]
    (folder / "catalog.yaml").write_text((root / "examples" / "meridian" / "catalog.yaml").read_text("utf-8"), "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nlicet_catalog = catalog.yaml\naddopts = --strict-markers\n", "utf-8")
    (folder / "below").mkdir()
    (folder / "below" / "small.json").write_text(
        '{"version": 1, "products": {}, "plans": {}, "features": {"only": {"type": "switch"}}}', "utf-8"
    )
    (folder / "test_suite.py").write_text(SUITE, "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-p",
        "licet.testing.plugin",
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LICET"))}
    env = {**clean, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False).stdout


def test_pytest_finds_it_by_itself() -> None:
    """An installed Licet is an installed plugin: pytest loads it by its entry point."""
    assert [one.value for one in entry_points(group="pytest11", name="licet")] == ["licet.testing.plugin"]


def test_each_test_has_a_world_of_its_own(said: str) -> None:
    """The fixture is there without any import, with the catalog of the settings and the options of the markers."""
    passed = ("test_nothing_is_loaded_until_it_is_used", "test_fresh", "test_fresh_again", "test_file", "test_marked")
    assert [name for name in passed if f"::{name} PASSED" not in said] == [], said


def test_a_failure_is_readable(said: str) -> None:
    """A failed check shows the decision with its reason, and below it everything that was asked."""
    assert "<Decision refused not_entitled: 'sso' for 'acme'>" in said
    assert "licet: what was checked" in said
    assert "acme sso → refused (not_entitled)" in said


def test_nothing_that_a_test_does_ends_the_run(said: str) -> None:
    """An id that is no text fails its own test; a world that cannot be told any more says so in the report."""
    assert "INTERNALERROR" not in said
    assert "the customer must be text, like str(account.pk); it is 5" in said
    assert "it cannot be told: AttributeError" in said
    assert "5 passed" in said


def test_a_misspelled_option_is_told(said: str) -> None:
    """The marker takes its options by name, and says which there are."""
    assert "pytest.mark.licet takes at, catalog, strict by name, not catalogue" in said
