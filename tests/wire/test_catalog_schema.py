"""The published JSON Schema: that it is the Structs' own, accepts what is sound and refuses what it can."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from licet.core.catalog import Catalog, encode_catalog
from licet.wire.catalog_schema import catalog_schema, schema_text
from tests.dose import dose
from tests.wire.small import SMALL
from tests.wire.sound_catalogs import sound_catalogs

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(catalog_schema())


def test_the_published_schema_is_current() -> None:
    """The file in spec is what the Structs give today, and is a valid schema itself."""
    published = (ROOT / "spec" / "catalog.schema.json").read_text(encoding="utf-8")
    assert published == schema_text()
    Draft202012Validator.check_schema(msgspec.json.decode(published))


@pytest.mark.parametrize("name", ["catalog.yaml", "catalog-next.yaml"])
def test_the_examples_fit(name: str) -> None:
    """The example vendor's catalogs, as a common YAML reader sees them, fit the schema."""
    VALIDATOR.validate(yaml.safe_load((ROOT / "examples" / "meridian" / name).read_text(encoding="utf-8")))


@settings(max_examples=dose(50), deadline=None)
@given(sound_catalogs())
def test_every_sound_catalog_fits(catalog: Catalog) -> None:
    """What the reader accepts, the schema accepts."""
    VALIDATOR.validate(msgspec.json.decode(encode_catalog(catalog)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: Single sign-on", "titel: Single sign-on"),
        ("type: switch", "type: swich"),
        ("meter: calls, ", ""),
        ("maximum: 3", "maximum: 0"),
        ("maximum: 3", "maximum: three"),
        ("scale: 2", "scale: 12"),
        ("requires: [team]", "requires: team"),
        ("do: end", "do: stop"),
        ("[80%, 95%]", "[80, 95]"),
        ("trial: P14D", "trial: 14 days"),
        ("trial: P14D", "trial: P"),
        ("trial: P14D", "available_from: soon"),
        ('amount: "5.5"', 'amount: "5,5"'),
        ('amount: "5.5"', "amount: 5.5"),
        ('minutes: "0.5"', "minutes: half"),
        ("versions:\n      2026-01: {includes: {projects: 1, tier: true}}", "versions: {}"),
        ("version: 1", "version: 2"),
        ("version: 1", "versoin: 1"),
    ],
)
def test_mistakes_of_shape_are_refused(old: str, new: str) -> None:
    """An editor that knows the schema marks each mistake of shape."""
    document = yaml.safe_load(SMALL)
    VALIDATOR.validate(document)
    assert old in SMALL
    assert not VALIDATOR.is_valid(yaml.safe_load(SMALL.replace(old, new, 1)))


def test_every_part_and_described_field_is_explained() -> None:
    """Each part of the schema has its docstring, and fields have theirs, without markup."""
    parts: dict[str, dict[str, Any]] = catalog_schema()["$defs"]
    assert all(part.get("description") for part in parts.values())
    assert parts["Plan"]["properties"]["description"]["description"] == "For customers: what they get."
    assert "`free`" in parts["PlanVersion"]["properties"]["then"]["description"]
