"""The recorded contract of the API is kept: what was written against an older version goes on working."""

import copy
import gzip
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from licet.api.app import OPERATIONS
from licet.api.contract import JSON
from licet.api.openapi import document_bytes
from licet.api.runner import decode_query
from tests.compat.contract import METHODS, Comparison, codes_of
from tests.compat.place import FOLDER, VERSIONS

NOW: dict[str, Any] = json.loads(document_bytes("0.0.0"))


def recorded(version: str) -> dict[str, Any]:
    """Return the contract of a version as it was recorded."""
    found: dict[str, Any] = json.loads(gzip.decompress((FOLDER / version / "openapi.json.gz").read_bytes()))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_recorded_contract_is_kept(version: str) -> None:
    """No operation, parameter, certain field or value of a recorded contract is gone, and nothing is newly required."""
    assert Comparison(recorded(version), NOW).faults == []
    assert codes_of(recorded(version)) <= codes_of(NOW)


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_requests_are_still_taken(version: str) -> None:
    """Each recorded example of a request is decoded by the operation as it is now."""
    operations = {(one.method.lower(), one.path): one for one in OPERATIONS}
    taken = 0
    for path, methods in recorded(version)["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            described, now = methods[method], operations[method, path]
            query = {
                one["name"]: one["example"]
                for one in described["parameters"]
                if one["in"] == "query" and "example" in one
            }
            decode_query(now, "&".join(f"{name}={value}" for name, value in query.items()).encode())
            content = described.get("requestBody", {}).get("content", {})
            if "example" in content.get(JSON, {}):
                msgspec.json.decode(msgspec.json.encode(content[JSON]["example"]), type=now.body)
                taken += 1
    assert taken > 30


def edit(*path: str | int, to: Any = None) -> Callable[[Any], None]:
    """Return what changes one place of a document: to a value, or away where there is none."""

    def change(document: Any) -> None:
        for part in path[:-1]:
            document = document[part]
        if to is None:
            del document[path[-1]]
        else:
            document[path[-1]] = to

    return change


SCHEMAS = ("components", "schemas")
BREAKS: dict[str, tuple[Callable[[Any], None], str]] = {
    "an operation gone": (edit("paths", "/v1/check", "post"), "POST /v1/check: is gone"),
    "a path gone": (edit("paths", "/v1/check"), "POST /v1/check: is gone"),
    "a parameter gone": (edit("paths", "/v1/check", "post", "parameters", to=[]), "query at_least: is gone"),
    "a parameter required": (edit("paths", "/v1/check", "post", "parameters", 0, "required", to=True), "is required"),
    "another scope": (edit("paths", "/v1/check", "post", "x-scopes", to=["admin"]), "no longer lets in"),
    "another answer": (edit("paths", "/v1/check", "post", "responses", "200"), "does not answer 200"),
    "a field of a request required": (
        edit(*SCHEMAS, "Question", "required", to=["customer", "feature", "user"]), ".user: is required",
    ),
    "a field of a request gone": (edit(*SCHEMAS, "Question", "properties", "used"), ".used: is gone"),
    "a field of a request tighter": (
        edit(*SCHEMAS, "Question", "properties", "feature", "maxLength", to=5), "has maxLength 5",
    ),
    "a field of an answer gone": (edit(*SCHEMAS, "DecisionView", "properties", "message"), ".message: is gone"),
    "a field of an answer uncertain": (
        edit(*SCHEMAS, "DecisionView", "required", to=["allowed"]), ".message: is not always there",
    ),
    "a field of an answer null": (
        edit(*SCHEMAS, "DecisionView", "properties", "message", to={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "may be null",
    ),
    "a field of an answer of another type": (
        edit(*SCHEMAS, "DecisionView", "properties", "allowed", "type", to="string"), "is string, and was boolean",
    ),
    "a value gone": (edit(*SCHEMAS, "StepView", "properties", "cost", "type", to="null"), "is null, and was integer"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_others_is_found(name: str) -> None:
    """Each change that would break somebody is named with its place."""
    change, words = BREAKS[name]
    broken = copy.deepcopy(NOW)
    change(broken)
    faults = Comparison(NOW, broken).faults
    assert any(words in fault for fault in faults), faults


def test_every_listed_value_is_watched() -> None:
    """A value gone from any list of values, of what is sent or answered, is found."""
    before = copy.deepcopy(NOW)
    added = set()
    for number, (place, values) in enumerate(lists_of(NOW, ())):
        if len(values) > 1:
            added.add(f"gone{number}.")
            edit(*place, "enum", to=[*values, f"gone{number}."])(before)
    assert len(added) > 50
    faults = " ".join(Comparison(before, NOW).faults)
    assert {name for name in added if name not in faults} == set()


def lists_of(schema: Any, place: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], tuple[Any, ...]]]:
    """Return each list of values of a document with its place."""
    found: list[tuple[tuple[str | int, ...], tuple[Any, ...]]] = []
    if isinstance(schema, dict):
        if isinstance(schema.get("enum"), list):
            found.append((place, tuple(schema["enum"])))
        for name, part in schema.items():
            if name not in ("example", "default"):
                found += lists_of(part, (*place, name))
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            found += lists_of(part, (*place, number))
    return found


def test_what_is_added_breaks_nobody() -> None:
    """New operations, optional parameters and fields, and further values are free."""
    grown = copy.deepcopy(NOW)
    check = grown["paths"]["/v1/check"]["post"]
    grown["paths"]["/v1/later"] = {"post": copy.deepcopy(check)}
    check["parameters"].append({"name": "later", "in": "query", "required": False, "schema": {"type": "string"}})
    schemas = grown["components"]["schemas"]
    schemas["Question"]["properties"]["later"] = {"type": "string", "maxLength": 3}
    schemas["DecisionView"]["properties"]["later"] = {"type": "string"}
    schemas["DecisionView"]["required"].append("later")
    schemas["Batch"]["required"].remove("questions")
    for place, values in lists_of(schemas, ()):
        if len(values) > 1:
            edit(*place, "enum", to=[*values, "later"])(schemas)
    assert Comparison(NOW, grown).faults == []
