"""The contract says what the code does: OpenAPI is valid, its examples decode, and the pages are light and whole."""

import html
import json
import re
from typing import Any

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from licet.api.app import OPERATIONS
from licet.api.contract import JSON, Operation
from licet.api.docs_page import pretty, rendered, slug_of
from licet.api.openapi import codes_of, document_bytes
from licet.api.runner import decode_query
from licet.door.problems import KINDS, Problem

DOCUMENT: dict[str, Any] = json.loads(document_bytes("1.2.3"))
DOCUMENTED = [one for one in OPERATIONS if one.documented]
FIRST_LOAD = 60 * 1024


def of(one: Operation) -> dict[str, Any]:
    """Return an operation as the document has it."""
    found: dict[str, Any] = DOCUMENT["paths"][one.path][one.method.lower()]
    return found


def fits(value: Any, schema: Any) -> None:
    """Assert that a value fits a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def test_the_document_is_openapi() -> None:
    """The document is valid OpenAPI 3.1 by an independent validator."""
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"] == "3.1.0"
    assert set(DOCUMENT["paths"]) == {one.path for one in DOCUMENTED}


def test_schemas_are_closed_and_discriminated() -> None:
    """What the decoder refuses the schema refuses: unknown fields are closed, tagged unions name their tag."""
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Question"]["additionalProperties"] is False
    feature = schemas["Catalog"]["properties"]["features"]["additionalProperties"]
    assert feature["discriminator"]["propertyName"] == "type"
    assert schemas["Question"]["description"]


@pytest.mark.parametrize("one", DOCUMENTED, ids=lambda one: one.id)
def test_an_example_decodes(one: Operation) -> None:
    """Each operation has an example of what is sent and answered; both fit its schema, and what is sent is decoded."""
    described = of(one)
    if one.body is not None:
        example = described["requestBody"]["content"][JSON]["example"]
        msgspec.json.decode(msgspec.json.encode(example), type=one.body)
        fits(example, described["requestBody"]["content"][JSON]["schema"])
    for parameter in described["parameters"]:
        assert parameter["in"] != "path" or parameter["example"]
    query = "&".join(f"{name}={value}" for name, value in one.example_query.items())
    decode_query(one, query.encode())
    content = described["responses"][str(one.status)]["content"][one.answers[0]]
    assert content["example"]
    if one.answers[0] == JSON:
        fits(content["example"], content["schema"])
        if one.returns != dict[str, Any]:
            msgspec.convert(one.answer, one.returns)


def test_an_answer_with_a_sequence_has_one() -> None:
    """The sequence of a write is added to its answer, which therefore has no field of that name itself."""
    writing = [one for one in DOCUMENTED if one.writes]
    assert len(writing) > 30
    named = {one.id: {field.encode_name for field in msgspec.structs.fields(one.returns)} for one in writing}
    assert [name for name, fields in named.items() if "seq" in fields] == []


@pytest.mark.parametrize("one", DOCUMENTED, ids=lambda one: one.id)
def test_an_operation_says_what_can_go_wrong(one: Operation) -> None:
    """Each operation names its problems by status and code, its scopes, and what it is for."""
    described = of(one)
    assert described["summary"]
    assert len(described["summary"]) <= 110
    named = {
        code: status
        for status, answer in described["responses"].items()
        for code in re.findall(r"`(\w+)`:", answer["description"])
    }
    assert named == {code: str(KINDS[code].status) for code in codes_of(one)}
    assert described["security"] == ([{"key": []}] if one.scopes else [])
    assert described.get("x-scopes", []) == list(one.scopes)


def test_operation_ids_are_unique() -> None:
    """Generated clients name their methods by them."""
    ids = [one.id for one in OPERATIONS]
    assert len(ids) == len(set(ids))


def test_every_page_is_light_and_without_scripts() -> None:
    """Overview, groups, types, problems: plain HTML, no script, nothing from elsewhere, at most 60 KB with style."""
    slugs = ["", "problems", "types", *(slug_of(tag["name"]) for tag in DOCUMENT["tags"])]
    for slug in slugs:
        page = rendered("1.2.3", slug)
        assert page is not None
        assert len(page) < FIRST_LOAD - 6 * 1024, slug
        text = page.decode()
        assert "<script" not in text
        assert re.findall(r'(?:src|href)="(?!/|#)([^"]*)"', text) == []
        assert text.count("<h1>") == 1
    assert rendered("1.2.3", "nothing") is None
    assert rendered("1.2.3", "types", "Nothing") is None


def test_every_link_of_the_pages_leads_somewhere() -> None:
    """Each link within the documentation names a page and a place that exist."""
    todo, seen, anchors, links = [""], set[str](), dict[str, set[str]](), set[tuple[str, str]]()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        slug, _, name = path.removeprefix("/docs").strip("/").partition("/")
        page = rendered("1.2.3", slug, name)
        assert page is not None, path
        text = page.decode()
        here = f"/docs/{slug}/{name}".rstrip("/") if slug else "/docs"
        anchors[here] = set(re.findall(r' id="([^"]+)"', text))
        for link in re.findall(r'href="([^"]+)"', text):
            target, _, anchor = html.unescape(link).partition("#")
            if target in ("/docs/style.css", "/openapi.json"):
                continue
            links.add((target or here, anchor))
            todo.append(target or here)
    assert len(seen) > 40
    assert [link for link in links if link[1] and link[1] not in anchors[link[0]]] == []


def test_a_page_shows_the_example_as_a_command() -> None:
    """A group's page shows each operation with parameters, body, problems and a command that can be pasted."""
    page = html.unescape((rendered("1.2.3", "checks") or b"").decode())
    assert 'curl -X POST "$LICET_URL/v1/check"' in page
    assert '-H "Authorization: Bearer $LICET_KEY"' in page
    assert '<a href="/docs/problems#rate_limited">' in page
    assert '<a href="/docs/types/DecisionView">DecisionView</a>' in page


def test_pretty_json_is_json() -> None:
    """What is shown for people is the same document, on lines that are short."""
    for one in DOCUMENTED:
        shown = pretty(one.answer) if not isinstance(one.answer, str) else ""
        assert not shown or json.loads(shown) == one.answer
        assert all(len(line) <= 120 for line in shown.splitlines())


def test_a_problem_is_documented_as_it_is_sent() -> None:
    """The component Problem is the shape of what a refusal encodes."""
    sent = Problem(type="urn:licet:problem:x", title="t", status=400, detail="d", code="x", request_id="r")
    fits(json.loads(msgspec.json.encode(sent)), {"$ref": "#/components/schemas/Problem"})
