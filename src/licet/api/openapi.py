"""OpenAPI 3.1 from the table of operations. Schemas are msgspec's own: they say exactly what the decoder does."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct

from licet.api.contract import TAGS, V1, Operation, Table
from licet.door.limits import MAX_CAUSE, MAX_IDEMPOTENCY_KEY, MAX_NOTE
from licet.door.problems import KINDS, PROBLEM_TYPE, Problem

REF: Final = "#/components/schemas/{name}"
_ALWAYS: Final = ("internal", "bad_request", "invalid", "uri_too_long")  # an unknown or endless query string
_KEYED: Final = ("unauthenticated", "forbidden", "rate_limited", "unavailable")
_BODIED: Final = ("too_large", "body_timeout", "unsupported_media_type")
_REPEATED: Final = ("idempotency_key_busy", "idempotency_key_reused")
_POSTED: Final = ("idempotency_key_reused", "no_catalog")
_SEQ: Final = {
    "type": "integer",
    "minimum": 0,
    "description": "Sequence of the log's newest event after this write; reads take it as `at_least`.",
}
_INTRODUCTION: Final = """\
One place that knows what every customer bought, and answers whether they may. JSON in and out; instants are RFC 3339
with a zone; quantities are integers or decimal strings. Every refusal is a problem (RFC 9457) with a stable `code`.

Writes answer with `seq`, the sequence of the log after them, also in the header `Licet-Seq`; reads take it as
`at_least`. Writes take `Idempotency-Key`: the same request again gets the first answer, with `Idempotency-Replayed:
true`; another body under the same key is refused with 422, a concurrent one with 409. `Licet-Note` and `Licet-Cause`
go into the events of a write. Lists take `limit` and `cursor` and answer `{"items": […], "next": …}`."""


@cache
def document_bytes(version: str) -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(document(version))


def document(version: str, table: Table = V1) -> dict[str, Any]:
    """Return the OpenAPI document of a table."""
    tags = [*TAGS]
    operations = sorted((one for one in table if one.documented), key=lambda one: tags.index(one.tag))
    schemas, components = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Licet",
            "version": version,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag, "description": TAGS[tag]} for tag in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "lct_<live|test>_<id>_<secret>",
                    "description": "An API key; its workspace is the request's. `licet keys create` makes one.",
                }
            },
        },
    }


def codes_of(operation: Operation) -> list[str]:
    """Return the codes of every problem that an operation may answer with, by status."""
    codes = {*_ALWAYS, *operation.problems}
    if operation.scopes:
        codes.update(_KEYED)
    if operation.body is not None:
        codes.update(_BODIED)
    if any(field.name == "at_least" for field in msgspec.structs.fields(operation.query)):
        codes.add("behind")
    if operation.path_names:
        codes.add("not_found")
    if operation.writes:
        codes.update(_REPEATED)
    if operation.posts:
        codes.update(_POSTED)
    return sorted(codes, key=lambda code: (KINDS[code].status, code))


def _schemas(operations: Iterable[Operation]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return each type's schema and the components they refer to, with the words of docstrings."""
    kinds = list(dict.fromkeys(_kinds(operations)))
    found, components = msgspec.json.schema_components(kinds, ref_template=REF)
    structs = {struct.__name__: struct for struct in _all_structs()}
    for name, schema in components.items():
        _describe(schema, structs.get(name.split("_", 1)[0]))
    return dict(zip(kinds, found, strict=True)), dict(sorted(components.items()))


def _kinds(operations: Iterable[Operation]) -> Iterable[Any]:
    yield Problem
    for one in operations:
        yield one.returns
        if one.body is not None:
            yield one.body


def _all_structs() -> Iterable[type[Struct]]:
    todo = [Struct]
    while todo:
        found = [kind for kind in todo.pop().__subclasses__() if kind.__module__.startswith("licet.")]
        yield from found
        todo += found


def _describe(schema: dict[str, Any], struct: type[Struct] | None) -> None:
    if "description" in schema:
        schema["description"] = plain(schema["description"])
    if struct is None:
        return
    for base in reversed(struct.__mro__):
        if base.__module__.startswith("licet."):
            for name, words in _field_words(base).items():
                if name in schema.get("properties", ()):
                    schema["properties"][name].setdefault("description", plain(words))


@cache
def _field_words(struct: type) -> dict[str, str]:
    """Return the docstrings that stand below fields in a class body."""
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    statements = body.body if isinstance(body, ast.ClassDef) else []
    words: dict[str, str] = {}
    for field, after in pairwise(statements):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                words[name] = text
    return words


def plain(words: str) -> str:
    """Return the words of a docstring as Markdown on one line per paragraph."""
    text = inspect.cleandoc(words).replace("``", "`")
    for python, word in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{python}\b", word, text)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _operation(one: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.id,
        "tags": [one.tag],
        "summary": one.summary,
        "description": _words(one),
        "parameters": [*_path_parameters(one), *_query_parameters(one), *_header_parameters(one)],
        "responses": {str(one.status): _answer(one, schemas), **_problems(one)},
        "security": [{"key": []}] if one.scopes else [],
    }
    if one.scopes:
        described["x-scopes"] = list(one.scopes)
    if one.sensitive:
        described["x-sensitive"] = True
    if one.body is not None:
        content: dict[str, Any] = {media: {"schema": schemas[one.body]} for media in one.accepts}
        content[one.accepts[0]]["example"] = one.example
        described["requestBody"] = {"required": not one.optional_body, "content": content}
    return {name: value for name, value in described.items() if value != ""}


def _words(one: Operation) -> str:
    if not one.scopes:
        return one.description
    needs = f"Needs the scope {' or '.join(f'`{scope}`' for scope in one.scopes)}."
    kept = " Who reads it is on record." if one.sensitive else ""
    return f"{one.description} {needs}{kept}".strip()


def _path_parameters(one: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "example": one.example_path[name],
        }
        for name in one.path_names
    ]


def _query_parameters(one: Operation) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([one.query], ref_template="{name}")
    schema = components[one.query.__name__]
    _describe(schema, one.query)
    found = []
    for name, kind in schema["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": name in schema["required"]}
        if "description" in kind:
            parameter["description"] = kind["description"]
        parameter["schema"] = _without_null({key: value for key, value in kind.items() if key != "description"})
        if parameter["schema"].get("description"):
            parameter["description"] = parameter["schema"].pop("description")
        if name in one.example_query:
            parameter["example"] = one.example_query[name]
        found.append(parameter)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional parameter: absent rather than null."""
    rest = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(rest) != 1:
        return schema
    return {key: value for key, value in {**schema, **rest[0]}.items() if key not in ("anyOf", "default")}


def _header_parameters(one: Operation) -> list[dict[str, Any]]:
    if not one.writes and not one.posts:
        return []
    repeated = ("Idempotency-Key", MAX_IDEMPOTENCY_KEY, "Makes the request safe to repeat.")
    headers = (
        (repeated,)
        if one.posts
        else (
            repeated,
            ("Licet-Note", MAX_NOTE, "Why; goes into the events."),
            ("Licet-Cause", MAX_CAUSE, "What caused it, such as a ticket's id; goes into the events."),
        )
    )
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": words,
            "schema": {"type": "string", "minLength": 1, "maxLength": most},
        }
        for name, most, words in headers
    ]


def _answer(one: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    schema, example = schemas[one.returns], one.answer
    if one.writes:
        seq = {"type": "object", "properties": {"seq": _SEQ}, "required": ["seq"]}
        schema, example = {"allOf": [schema, seq]}, {**one.answer, "seq": 42}
    content: dict[str, Any] = {media: {"schema": schema} for media in one.answers}
    content[one.answers[0]]["example"] = example
    answer: dict[str, Any] = {"description": "Done." if one.writes else "The answer.", "content": content}
    if one.writes:
        answer["headers"] = {"Licet-Seq": {"description": "The same as `seq`.", "schema": {"type": "integer"}}}
    return answer


def _problems(one: Operation) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in codes_of(one):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {KINDS[code].when}" for code in codes),
            "content": {PROBLEM_TYPE: {"schema": {"$ref": REF.format(name="Problem")}}},
        }
        for status, codes in by_status.items()
    }
