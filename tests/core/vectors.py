"""Reads the language-neutral cases under ``spec/vectors``."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog, compile_catalog

FOLDER = Path(__file__).parents[2] / "spec" / "vectors"


def read_vectors(name: str) -> tuple[CompiledCatalog, list[Any]]:
    """Return the catalog of one file and its cases as pytest parameters."""
    document = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    catalog = compile_catalog(msgspec.convert(document["catalog"], Catalog), 1, ZoneInfo, UTC)
    return catalog, [pytest.param(case, id=case["name"]) for case in document["cases"]]
