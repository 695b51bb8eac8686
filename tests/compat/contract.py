"""Compares two OpenAPI documents of ours: what whoever was written against the older one would stumble over.

What is sent may only be asked for less strictly: nothing taken away, nothing newly required, no bound tighter. What is
answered may only get more: no field gone or no longer certain, no type wider, never null where it was not. New
operations, parameters, fields, values and alternatives are free: clients pass over what they do not know.
"""

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

Schema = dict[str, Any]
Way = Literal["sent", "answered"]
METHODS: Final = ("get", "post", "put", "patch", "delete")
UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
CODE: Final = re.compile(r"`(\w+)`:")


class Comparison:
    """What is wrong with a newer document, seen from an older one."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.faults: list[str] = []
        self._old, self._new = old, new
        self._seen: set[tuple[str, str, Way]] = set()
        for path, operations in old["paths"].items():
            for method in METHODS:
                if method in operations:
                    self._operation(
                        f"{method.upper()} {path}", operations[method], new["paths"].get(path, {}).get(method)
                    )

    def _fault(self, place: str, words: str) -> None:
        self.faults.append(f"{place}: {words}")

    def _operation(self, place: str, old: Schema, new: Schema | None) -> None:
        if new is None:
            self._fault(place, "is gone")
            return
        if old["operationId"] != new["operationId"]:
            self._fault(place, f"is called {new['operationId']}, and was {old['operationId']}")
        if not set(old.get("x-scopes", ())) <= set(new.get("x-scopes", ())) and new.get("x-scopes"):
            self._fault(place, f"no longer lets in all of {old.get('x-scopes')}")
        if not old.get("x-scopes") and new.get("x-scopes"):
            self._fault(place, "asks for a key")
        self._parameters(place, old.get("parameters", []), new.get("parameters", []))
        self._bodies(place, old.get("requestBody"), new.get("requestBody"))
        self._answers(place, old["responses"], new["responses"])

    def _parameters(self, place: str, old: Iterable[Schema], new: Iterable[Schema]) -> None:
        now = {(one["in"], one["name"]): one for one in new}
        for one in old:
            key = (one["in"], one["name"])
            found = now.pop(key, None)
            there = f"{place} {key[0]} {key[1]}"
            if found is None:
                self._fault(there, "is gone")
                continue
            if found.get("required") and not one.get("required"):
                self._fault(there, "is required")
            self._schema(there, one["schema"], found["schema"], "sent")
        for (where, name), one in now.items():
            if one.get("required"):
                self._fault(f"{place} {where} {name}", "is new and required")

    def _bodies(self, place: str, old: Schema | None, new: Schema | None) -> None:
        if old is None:
            if new is not None and new.get("required"):
                self._fault(place, "takes a body that is required")
            return
        if new is None:
            self._fault(place, "takes no body")
            return
        if new.get("required") and not old.get("required"):
            self._fault(place, "requires its body")
        self._contents(f"{place} body", old["content"], new["content"], "sent")

    def _answers(self, place: str, old: Schema, new: Schema) -> None:
        for status, answer in old.items():
            if not status.startswith("2"):
                continue
            if status not in new:
                self._fault(place, f"does not answer {status}")
                continue
            there = f"{place} {status}"
            for name in set(answer.get("headers", ())) - set(new[status].get("headers", ())):
                self._fault(there, f"has no header {name}")
            self._contents(there, answer.get("content", {}), new[status].get("content", {}), "answered")

    def _contents(self, place: str, old: Schema, new: Schema, way: Way) -> None:
        for kind, content in old.items():
            if kind not in new:
                self._fault(place, f"knows no {kind}")
            elif "schema" in content and "schema" in new[kind]:
                self._schema(f"{place} {kind}", content["schema"], new[kind]["schema"], way)

    def _schema(self, place: str, old: Schema, new: Schema, way: Way) -> None:
        if "$ref" in old and "$ref" in new:
            key = (str(old["$ref"]), str(new["$ref"]), way)
            if key in self._seen:
                return
            self._seen.add(key)
        old, new = self._resolved(old, self._old), self._resolved(new, self._new)
        before, now = _alternatives(old), _alternatives(new)
        if len(before) > 1 or len(now) > 1:
            self._alternatives(place, before, now, way)
            return
        (old,), (new,) = before, now
        self._values(place, old, new, way)
        self._fields(place, old, new, way)
        for part in ("items", "additionalProperties"):
            if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
                self._schema(f"{place}[]", old[part], new[part], way)

    def _alternatives(self, place: str, old: list[Schema], new: list[Schema], way: Way) -> None:
        """Pair alternatives by what tells them apart; what is sent may lose none, what is answered gain no null."""
        now = {self._kind(one, self._new): one for one in new}
        was = {self._kind(one, self._old): one for one in old}
        for kind, one in was.items():
            if kind in now:
                self._schema(f"{place} <{kind}>", one, now[kind], way)
            elif way == "sent":
                self._fault(place, f"is no longer taken as {kind}")
        plain = {kind for kind in now if not kind.startswith(("#", "tag "))}
        for kind in sorted(plain - set(was)):
            if way == "answered":
                self._fault(place, f"may be {kind}")

    def _kind(self, schema: Schema, document: Schema) -> str:
        """What tells an alternative apart from the others: its tag, its name, or its type."""
        whole = self._resolved(schema, document)
        for name, field in whole.get("properties", {}).items():
            if len(field.get("enum", ())) == 1 and name in whole.get("required", ()):
                return f"tag {name}={field['enum'][0]}"
        return str(schema.get("$ref", whole.get("type", "enum" if "enum" in whole else "anything")))

    def _values(self, place: str, old: Schema, new: Schema, way: Way) -> None:
        gone = [value for value in old.get("enum", ()) if value not in new.get("enum", [value])]
        if gone:
            self._fault(place, f"no longer knows {', '.join(map(str, gone))}")
        if way == "answered" and "enum" in old and "enum" not in new:
            self._fault(place, "was one of a list of values and may be anything")
        if way == "sent" and "enum" in new and "enum" not in old:
            self._fault(place, "takes only a list of values")
        if old.get("type") != new.get("type") and not ("enum" in old and "enum" in new):
            self._fault(place, f"is {new.get('type')}, and was {old.get('type')}")
        if way == "answered":
            return
        for name in UPPER:
            if name in new and new[name] < old.get(name, float("inf")):
                self._fault(place, f"has {name} {new[name]}, and had {old.get(name, 'none')}")
        for name in LOWER:
            if name in new and new[name] > old.get(name, float("-inf")):
                self._fault(place, f"has {name} {new[name]}, and had {old.get(name, 'none')}")
        for name in ("pattern", "format"):
            if name in new and new[name] != old.get(name):
                self._fault(place, f"has the {name} {new[name]}, and had {old.get(name, 'none')}")

    def _fields(self, place: str, old: Schema, new: Schema, way: Way) -> None:
        fields = new.get("properties", {})
        for name, field in old.get("properties", {}).items():
            if name in fields:
                self._schema(f"{place}.{name}", field, fields[name], way)
            elif way == "answered" or new.get("additionalProperties") is False:
                self._fault(f"{place}.{name}", "is gone")
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(was - now if way == "answered" else now - was):
            if way == "sent" or name in fields:
                self._fault(f"{place}.{name}", "is not always there" if way == "answered" else "is required")

    def _resolved(self, schema: Schema, document: Schema) -> Schema:
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        whole = schema
        for part in schema.get("allOf", ()):
            found = self._resolved(part, document)
            whole = {
                **whole,
                **found,
                "properties": {**whole.get("properties", {}), **found.get("properties", {})},
                "required": [*whole.get("required", ()), *found.get("required", ())],
            }
        return whole


def _alternatives(schema: Schema) -> list[Schema]:
    """Return the alternatives of a schema; one that has none is its own."""
    found = schema.get("anyOf") or schema.get("oneOf")
    if found:
        # Several lists of values are one; the tags of alternatives that are objects tell them apart.
        values = [value for one in found for value in one.get("enum", ())]
        others = [one for one in found if "enum" not in one]
        return [*others, {"enum": values}] if values else others
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": kind} for kind in schema["type"]]
    return [schema]


def codes_of(document: Schema) -> set[str]:
    """Return every code of a problem that a document names."""
    return {
        code
        for operations in document["paths"].values()
        for method in METHODS
        for answer in operations.get(method, {}).get("responses", {}).values()
        for code in CODE.findall(answer.get("description", ""))
    }
