"""The documentation as pages, made from the OpenAPI document alone: plain HTML and one style sheet, no scripts."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from msgspec import Struct

from licet.api.call import Call
from licet.api.contract import JSON, Reply, operation
from licet.api.openapi import document_bytes
from licet.door.problems import KINDS, Refusal

HTML: Final = "text/html"
_FOLDER: Final = Path(__file__).with_name("pages")
_METHODS: Final = ("get", "post", "put", "patch")
_WIDTH: Final = 96
_STATUS_ONLY: Final = frozenset({"internal"})


class Field(Struct, frozen=True, kw_only=True):
    """One row of a table: a parameter or a field of a body."""

    name: str
    kind: Markup
    required: bool
    meaning: str


class Page(Struct, frozen=True, kw_only=True):
    """One entry of the navigation."""

    name: str
    href: str


@operation("GET", "/docs", tag="Server", answers=(HTML,), documented=False)
async def docs(call: Call) -> Annotated[Reply, str]:
    """Show the overview of the API."""
    return _page(rendered(call.parts.version, ""))


@operation("GET", "/docs/style.css", tag="Server", answers=("text/css",), documented=False)
async def docs_style(call: Call) -> Annotated[Reply, str]:  # noqa: ARG001 every operation gets its call
    """Give the style of the pages."""
    return Reply((_FOLDER / "style.css").read_bytes(), media_type="text/css")


@operation("GET", "/docs/{page}", tag="Server", answers=(HTML,), documented=False)
async def docs_page(call: Call, page: str) -> Annotated[Reply, str]:
    """Show one page."""
    return _page(rendered(call.parts.version, page))


@operation("GET", "/docs/types", tag="Server", answers=(HTML,), documented=False)
async def docs_types(call: Call) -> Annotated[Reply, str]:
    """Show the list of types."""
    return _page(rendered(call.parts.version, "types"))


@operation("GET", "/docs/types/{name}", tag="Server", answers=(HTML,), documented=False)
async def docs_type(call: Call, name: str) -> Annotated[Reply, str]:
    """Show what one type of body is made of."""
    return _page(rendered(call.parts.version, "types", name))


def _page(content: bytes | None) -> Reply:
    if content is None:
        raise Refusal("not_found", "there is no such page", advice="Begin at /docs.")
    return Reply(content, media_type=HTML)


def rendered(version: str, slug: str, name: str = "") -> bytes | None:
    """Return a page as HTML, with ``name`` that of one type; None where there is none of that name."""
    # Only what exists is kept: anybody may ask for any name.
    return _render(version, slug, name) if (slug, name) in _site(version) else None


@cache
def _site(version: str) -> frozenset[tuple[str, str]]:
    contract, _ = _contents(version)
    slugs = ["", "types", "problems", *(slug_of(tag["name"]) for tag in contract["tags"])]
    types = [("types", name) for name in contract["components"]["schemas"]]
    return frozenset([*((slug, "") for slug in slugs), *types])


@cache
def _contents(version: str) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """The contract and what of it is shown; all pages are made of the same."""
    contract = json.loads(document_bytes(version))
    return contract, _sections(contract)


@cache
def _render(version: str, slug: str, name: str) -> bytes:
    contract, sections = _contents(version)
    pages = [Page(name="Overview", href="/docs")]
    pages += [Page(name=one["name"], href=f"/docs/{one['slug']}") for one in sections]
    pages += [Page(name="Types", href="/docs/types"), Page(name="Problems", href="/docs/problems")]
    facts = _facts(contract, sections, slug, name)
    template = _templates().get_template(f"{facts['template']}.html")
    href = f"/docs/{slug}" if slug else "/docs"
    return template.render(**facts, pages=pages, here=href, version=version).encode()


def _facts(contract: Mapping[str, Any], sections: list[dict[str, Any]], slug: str, name: str) -> dict[str, Any]:
    if slug == "":
        return {"template": "overview", "title": "Overview", "sections": sections, **_overview(contract)}
    if slug == "problems":
        return {"template": "problems", "title": "Problems", "kinds": [*KINDS.items()], "example": _problem()}
    schemas = contract["components"]["schemas"]
    if slug == "types" and not name:
        return {"template": "types", "title": "Types", "types": schemas}
    if slug == "types":
        fields = _fields(contract, schemas[name])
        return {"template": "type", "title": name, "type": schemas[name], "name": name, "fields": fields}
    section = next(one for one in sections if one["slug"] == slug)
    return {"template": "section", "title": section["name"], "section": section}


@cache
def _templates() -> Environment:
    found = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    found.filters["words"] = words
    return found


def words(text: str) -> Markup:
    """Return a description as paragraphs, with what stands in backticks as code."""
    paragraphs = [escape(one) for one in text.split("\n\n") if one.strip()]
    return Markup("").join(
        Markup("<p>{}</p>").format(Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(one))))  # noqa: S704 escaped
        for one in paragraphs
    )


def slug_of(tag: str) -> str:
    """Return a tag as the end of an address."""
    return re.sub(r"[^a-z0-9]+", "-", tag.lower())


def _overview(contract: Mapping[str, Any]) -> dict[str, Any]:
    path = "/v1/check" if "/v1/check" in contract["paths"] else next(iter(contract["paths"]))
    method = next(iter(contract["paths"][path]))
    return {
        "introduction": contract["info"]["description"],
        "first": _curl(method, path, contract["paths"][path][method]),
    }


def _sections(contract: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {
        tag["name"]: {**tag, "slug": slug_of(tag["name"]), "operations": []} for tag in contract["tags"]
    }
    for path, methods in contract["paths"].items():
        for method in _METHODS:
            if method in methods:
                found[methods[method]["tags"][0]]["operations"].append(_operation(contract, method, path))
    return [*found.values()]


def _operation(contract: Mapping[str, Any], method: str, path: str) -> dict[str, Any]:
    one = contract["paths"][path][method]
    body = one.get("requestBody")
    status, answer = next((status, reply) for status, reply in one["responses"].items() if status < "300")
    media, shown = next(iter(answer["content"].items()))
    return {
        "id": one["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": one["summary"],
        "description": one.get("description", ""),
        "parameters": [_parameter(given) for given in one["parameters"]],
        "body": None if body is None else _body(contract, body),
        "curl": _curl(method, path, one),
        "answer": {
            "status": status,
            "kind": kind_of(shown["schema"]) if media == JSON else Markup("<code>{}</code>").format(media),
            "example": _pretty(shown["example"]),
            "fields": _fields(contract, shown["schema"]),
        },
        "problems": _codes(one),
    }


def _codes(one: Mapping[str, Any]) -> list[str]:
    found = [code for reply in one["responses"].values() for code in re.findall(r"`(\w+)`:", reply["description"])]
    return [code for code in found if code in KINDS and code not in _STATUS_ONLY]


def _body(contract: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    schema = next(iter(body["content"].values()))["schema"]
    return {"kind": kind_of(schema), "optional": not body["required"], "fields": _fields(contract, schema)}


def _parameter(given: Mapping[str, Any]) -> Field:
    where = Markup(", in the {}").format({"query": "query", "path": "path", "header": "header"}[given["in"]])
    return Field(
        name=given["name"],
        kind=kind_of(given["schema"]) + where,
        required=given["required"],
        meaning=given.get("description", ""),
    )


def _fields(contract: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Field]:
    if "allOf" in schema:
        return [field for part in schema["allOf"] for field in _fields(contract, part)]
    if "$ref" in schema:
        schema = contract["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    required = set(schema.get("required", ()))
    return [
        Field(name=name, kind=kind_of(kind), required=name in required, meaning=kind.get("description", ""))
        for name, kind in schema.get("properties", {}).items()
    ]


def kind_of(schema: Mapping[str, Any]) -> Markup:
    """Return a schema in words, with links to the types it is made of."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return Markup('<a href="/docs/types/{0}">{0}</a>').format(name)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _joined(schema[key], Markup(" and ") if key == "allOf" else Markup(" or "))
    if "enum" in schema:
        return Markup(" or ").join(Markup("<code>{}</code>").format(json.dumps(one)) for one in schema["enum"])
    if "const" in schema:
        return Markup("<code>{}</code>").format(json.dumps(schema["const"]))
    if schema.get("type") == "array":
        return Markup("list of {}").format(kind_of(schema.get("items", {})))
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return Markup("map of {}").format(kind_of(schema["additionalProperties"]))
    return _plain(schema)


def _joined(schemas: list[Mapping[str, Any]], between: Markup) -> Markup:
    named = [kind_of(one) for one in schemas if one != {"type": "object", "properties": one.get("properties")}]
    return between.join(dict.fromkeys(one for one in named if one))


def _plain(schema: Mapping[str, Any]) -> Markup:
    name = {"date-time": "time (RFC 3339)"}.get(schema.get("format", ""), schema.get("type", "any value"))
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None and most < 2**53 - 1:
        return Markup("{} {} to {}").format(name, least, most)
    if least is not None and least >= 0:
        return Markup("{} ≥ {}").format(name, least)
    if "maxLength" in schema:
        return Markup("{}, ≤ {} characters").format(name, schema["maxLength"])
    return escape(name)


def _curl(method: str, path: str, one: Mapping[str, Any]) -> str:
    query = []
    for given in one["parameters"]:
        if given["in"] == "path":
            path = path.replace(f"{{{given['name']}}}", given["example"])
        elif "example" in given:
            query.append(f"{given['name']}={given['example']}")
    address = f"$LICET_URL{path}" + (f"?{'&'.join(query)}" if query else "")
    lines = [f'curl "{address}"' if method == "get" else f'curl -X {method.upper()} "{address}"']
    if one["security"]:
        lines.append('  -H "Authorization: Bearer $LICET_KEY"')
    if "requestBody" in one:
        media, content = next(iter(one["requestBody"]["content"].items()))
        lines.append(f'  -H "Content-Type: {media}"')
        lines.append("  -d '" + _pretty(content["example"]).replace("'", "'\\''") + "'")
    return " \\\n".join(lines)


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else pretty(value)


def pretty(value: Any, indent: str = "", used: int = 0) -> str:
    """Return JSON for people: what fits on its line, of which ``used`` characters are taken, stays on it."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + used + len(flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    deeper = indent + "  "
    if isinstance(value, list):
        items = [pretty(one, deeper) for one in value]
    else:
        items = [f"{json.dumps(name)}: {pretty(one, deeper, len(name) + 4)}" for name, one in value.items()]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    inner = ",\n".join(deeper + one for one in items)
    return f"{opening}\n{inner}\n{indent}{closing}"


def _problem() -> str:
    refusal = Refusal(
        "not_found",
        "there is no customer 'acne' in this workspace",
        advice="check the spelling (ids are case-sensitive) and whether the key is for the right workspace",
    )
    return _pretty(json.loads(refusal.body("req_0198f3a2c4d17c3e")))
