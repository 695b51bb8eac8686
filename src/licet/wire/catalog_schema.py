"""The published JSON Schema of the catalog, made from the Structs and their docstrings.

``python -m licet.wire.catalog_schema > spec/catalog.schema.json`` writes it anew.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from licet.core import catalog
from licet.core.catalog import LIMITS, Catalog

SCHEMA_ID: Final = "urn:licet:catalog:1"
_TEMPLATE: Final = "#/$defs/{name}"


def catalog_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12) of the catalog document, with what each field is for."""
    (root,), parts = msgspec.json.schema_components([Catalog], ref_template=_TEMPLATE)
    described = _field_texts()
    for name, part in parts.items():
        part.pop("title", None)
        if "description" in part:
            part["description"] = _plain(part["description"])
        for field, schema in part.get("properties", {}).items():
            text = described.get((name, field))
            if text is not None:
                schema["description"] = text
            _tidy(schema)
    for section, limit in LIMITS.items():
        parts["Catalog"]["properties"][section]["maxProperties"] = limit
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Licet catalog",
        "$ref": root["$ref"],
        "$defs": dict(sorted(parts.items())),
    }


def schema_text() -> str:
    """Return the schema as it is published: indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(catalog_schema()), indent=2).decode() + "\n"


def _tidy(schema: dict[str, Any]) -> None:
    """Let times be dates too, as the YAML form allows."""
    for part in _within(schema):
        if part.get("format") == "date-time":
            part.pop("format")
            part["pattern"] = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2}))?$"


def _within(schema: Any) -> Iterator[dict[str, Any]]:
    """Return a schema and all schemas inside it."""
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from _within(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _within(each)


def _field_texts() -> dict[tuple[str, str], str]:
    """Return the docstrings of fields, by class and field, with those of base classes."""
    own: dict[str, dict[str, str]] = {}
    bases: dict[str, list[str]] = {}
    for node in ast.parse(inspect.getsource(catalog)).body:
        if isinstance(node, ast.ClassDef):
            own[node.name] = dict(_documented(node))
            bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    texts: dict[tuple[str, str], str] = {}
    for name in own:
        queue = [name]
        while queue:
            at = queue.pop(0)
            for field, text in own.get(at, {}).items():
                texts.setdefault((name, field), text)
            queue += bases.get(at, [])
    return texts


def _documented(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Return the fields of a class that are followed by a docstring."""
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            yield field.target.id, _plain(after.value.value)


def _plain(text: str) -> str:
    """Return a docstring as one paragraph without markup."""
    return " ".join(text.split()).replace("``", "`")


if __name__ == "__main__":
    sys.stdout.write(schema_text())
