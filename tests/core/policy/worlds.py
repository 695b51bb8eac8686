"""The vectors of the condition language, read into the project's own types."""

import json
from pathlib import Path
from typing import Any, Final

from licet.core.policy import (
    ATTRIBUTE,
    BOOL,
    INT,
    STRING,
    Environment,
    ListType,
    MapType,
    RecordType,
    StringType,
    Type,
)

VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "spec" / "vectors" / "policy.json").read_text(encoding="utf-8")
)
_NAMED: Final[dict[str, Type]] = {"string": STRING, "int": INT, "bool": BOOL, "attribute": ATTRIBUTE}


def type_of(described: Any) -> Type:
    """The type that a description in the vectors means."""
    if isinstance(described, str):
        return _NAMED[described]
    ((kind, inner),) = described.items()
    match kind:
        case "string":
            return StringType(tuple(inner))
        case "list":
            return ListType(type_of(inner))
        case "map":
            return MapType(type_of(inner))
        case _:
            return RecordType({name: type_of(field) for name, field in inner.items()})


ENVIRONMENT: Final = Environment({name: type_of(described) for name, described in VECTORS["environment"].items()})


def facts_named(name: str) -> dict[str, Any]:
    """The facts of that name in the vectors."""
    found: dict[str, Any] = VECTORS["facts"][name]
    return found


def cases(section: str) -> list[Any]:
    """The entries of one section of the vectors."""
    found: list[Any] = VECTORS[section]
    return found


def named(case: dict[str, Any]) -> str:
    """How pytest shows a case."""
    return str(case["name"])
