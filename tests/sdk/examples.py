"""Loads the example programs, which are no packages, and makes the world that they are tried in."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from licet.testing import World
from tests.tidy.source import ROOT


def load_example(name: str) -> ModuleType:
    """Return an example program, loaded anew, so that no test sees another's projects."""
    spec = spec_from_file_location(f"example_{name}", ROOT / "examples" / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def meridian() -> World:
    """Return the example vendor's world, where acme is on Business (up to 200 projects) and tiny is on Free."""
    world = World(ROOT / "examples" / "meridian" / "catalog.yaml", at="2026-12-01T12:00:00Z")
    world.subscribe("acme", "business")
    world.subscribe("tiny", "free")
    return world
