"""The page of request limits: how its two tables follow from the code. Run it to write the second one anew."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from licet.api.app import OPERATIONS
from licet.api.openapi import document
from licet.api.spool import IN_MEMORY
from licet.door import limits
from licet.store.long_reads import EACH

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "limits.md"
BEGIN: Final = "<!-- fields: from the code -->\n"
_REF: Final = re.compile(r'"#/components/schemas/(\w+)"')
_UNITS: Final = {
    "minLength": "characters",
    "maxLength": "characters",
    "minItems": "entries",
    "maxItems": "entries",
    "minimum": "",
    "maximum": "",
}


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that leaves it whole."""
    for unit, times in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if count % times == 0:
            return f"{count // times} {unit}"
    return f"{count} bytes"


def bounds() -> dict[str, str]:
    """Return what the first table must say of each thing, by the constants of the door."""
    return {
        "body": f"{size(limits.MAX_BODY)}; a catalog {size(limits.MAX_CATALOG_BODY)}; "
        f"events {size(limits.MAX_EVENTS_BODY)}",
        "arrival of a body": f"{limits.BODY_SECONDS:g} s",
        "nesting of JSON": f"{limits.MAX_DEPTH} levels",
        "one number in JSON": f"{limits.MAX_DIGITS} characters",
        "query string": f"{size(limits.MAX_QUERY)}, {limits.MAX_PARAMETERS} parameters",
        "id in a path": f"{limits.MAX_PATH_PART} characters (an id of yours has at most 128)",
        "`Idempotency-Key`": f"{limits.MAX_IDEMPOTENCY_KEY} characters",
        "`Licet-Note`": f"{limits.MAX_NOTE:,} characters",
        "`Licet-Cause`": f"{limits.MAX_CAUSE} characters",
        "`X-Request-Id`": f"{limits.MAX_REQUEST_ID} characters",
        "page of a list": f"{limits.MAX_PAGE} rows; {limits.DEFAULT_PAGE} where `limit` is absent",
        "questions of one batch": f"{limits.MAX_BATCH}",
        "waiting for `at_least`": f"{limits.AT_LEAST_SECONDS:g} s",
        "an answer line by line": f"whole within {limits.LINES_SECONDS:g} s; each "
        f"{limits.STALL_SECONDS:g} s something of it is read",
        "a wait for something new in a feed": f"{limits.FEED_WAIT_SECONDS:g} s",
        "followers of feeds": f"{limits.MAX_FOLLOWERS:,} in one process, "
        f"{limits.MAX_KEY_FOLLOWERS:,} of them with one key",
        "changes since a follower's cursor": f"{limits.MAX_FEED_CHANGES:,} rows",
        "encoded answers kept": f"{size(limits.MAX_ANSWERS)} in one process, of all workspaces together",
        "a whole feed": f"{size(limits.MAX_FEED_FULL)}, signed, in a temporary file; up to {size(IN_MEMORY)} in memory",
        "long reads at once": f"{EACH} of one workspace; of one process a quarter of `LICET_POOL_SIZE`, at least one",
        "requests of one key": f"{limits.RATE_PER_SECOND:,.0f} per second, {limits.RATE_BURST:,} at once, per process "
        "([settings](settings.md))",
        "wrong or unknown keys from one address": f"{limits.FAILED_PER_SECOND:g} per second, "
        f"{limits.FAILED_BURST:,} at once, per process",
        "deliveries from one address": f"{limits.SENDER_PER_SECOND:g} per second, {limits.SENDER_BURST:,} at once, "
        "per process",
        "deliveries to one source": f"{limits.SOURCE_PER_SECOND:g} per second, {limits.SOURCE_BURST:,} at once, "
        "per process",
        "a looked-up key is trusted": f"{limits.KEY_CACHE_SECONDS:g} s, or until the next commit in its workspace "
        "(at most 0.2 s later)",
    }


def rows(page: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in a page, heads left out."""
    for line in page.splitlines():
        if line.startswith("| ") and not line.startswith("| what"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def fields_table() -> str:
    """Return the second table: each bound of each field of what is sent, by type."""
    contract = document("1")
    schemas = contract["components"]["schemas"]
    lines = ["| type | bounds of its fields |\n|---|---|"]
    for name in sorted(_sent(contract)):
        schema = schemas[name]
        found = [f"`{field}` {words}" for field, kind in _properties(schema) if (words := "; ".join(_words(kind)))]
        if found:
            lines.append(f"| `{name}` | {', '.join(found)} |")
    return "\n".join(lines) + "\n"


def _sent(contract: Mapping[str, Any]) -> set[str]:
    """Return the names of all types that occur in a body that is sent."""
    asked = [contract["paths"][one.path][one.method.lower()] for one in OPERATIONS if one.documented]
    todo = _REF.findall(json.dumps([one.get("requestBody") for one in asked]))
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += _REF.findall(json.dumps(contract["components"]["schemas"][name]))
    return seen


def _properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from sorted(schema.get("properties", {}).items())


def _words(kind: Any, inside: str = "") -> Iterator[str]:
    """Yield the bounds in a schema, those of what it holds included."""
    for low, high in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")):
        if low in kind or high in kind:
            span = [f"{kind[end]:,}" for end in (low, high) if end in kind]
            both = span[0] if span[0] == span[-1] else " to ".join(span)
            says = both if len(span) == 2 else f"at {'most' if high in kind else 'least'} {span[0]}"
            yield f"{inside}{says} {_UNITS[low]}".rstrip()
    for one in kind.get("anyOf", ()):
        yield from _words(one, inside)
    for part, words in (("items", "each "), ("additionalProperties", "each "), ("propertyNames", "its keys ")):
        if isinstance(kind.get(part), dict):
            yield from _words(kind[part], words)


if __name__ == "__main__":
    head = PAGE.read_text("utf-8").split(BEGIN)[0]
    PAGE.write_text(head + BEGIN + fields_table(), "utf-8")
    sys.stdout.write(f"{PAGE} is written\n")
