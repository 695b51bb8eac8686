"""Records this version for those to come: ``python -m tests.compat.record v1`` writes ``spec/recorded/v1``.

A recording is of what was released. It is never made anew: a file that is there is left alone, and the command says so
with exit code 1. Somebody who changed a format on purpose records the next version beside it.
"""

import copy
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from licet.api.app import OPERATIONS
from licet.api.openapi import document_bytes
from licet.core.catalog import Catalog
from licet.core.instant import to_instant
from tests.compat import feeds
from tests.compat.caches import kept
from tests.compat.exports import EXPORTS, lived
from tests.compat.place import FOLDER, Keys
from tests.compat.reader import LATER, Reader, decide
from tests.core.vectors import FOLDER as VECTORS

MORE: Final[feeds.More] = {LATER: {"of": ["a", "version"], "to": "come"}}
Made = Iterator[tuple[str, bytes]]


def vectors(name: str) -> tuple[Catalog, list[dict[str, Any]]]:
    """Return the catalog and the cases of one file of vectors."""
    document = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return msgspec.convert(document["catalog"], Catalog), document["cases"]


def asked_of(number: int, case: dict[str, Any]) -> dict[str, Any]:
    """Return a case's question with its customer and its instant; a user is named by id."""
    question = dict(case["question"])
    if "user" in question:
        question["user"] = question["user"]["id"]
    return {"customer": feeds.customer_of(number), "now": case["now"], **question}


def feed_files(version: str) -> Made:
    """Yield the transcripts of feeds, each with the decisions that follow from it."""
    keys = Keys(version)
    checks, cases = vectors("check")
    rows = feeds.rows_of(cases)
    asked = [asked_of(number, case) for number, case in enumerate(cases)]
    yield from told("full", feeds.full(keys, checks, rows), asked)
    whole = feeds.full(keys, checks, rows).lines
    goes_on = feeds.changes(keys, observing(checks), rows)
    yield from told("changes", goes_on, asked[:12], before=whole)
    policies, cases = vectors("policies")
    rows = feeds.rows_of(cases)
    asked = [asked_of(number, case) for number, case in enumerate(cases)]
    yield from told("policies", feeds.full(keys, policies, rows), asked)
    one = feeds.customer_of(0)
    yield from told("for_one", feeds.for_one(keys, policies, rows, one), asked[:1])
    yield from told("picked", feeds.picked(keys, policies, rows, one), asked[:1])
    few = (rows[0][:2], rows[1][:2])
    yield from told("later", feeds.full(keys, policies, few, MORE), asked[:2])
    for what, teller in critical(keys, policies, few):
        yield f"feed/critical_{what}.ndjson", teller.text()


def critical(keys: Keys, catalog: Catalog, rows: feeds.Rows) -> Iterator[tuple[str, feeds.Teller]]:
    """Yield transcripts in which one message says that a field nobody knows decides."""
    more: feeds.More = {"crit": [LATER], **MORE}
    for what in ("catalog", "frame", "head"):
        teller = feeds.Teller(keys)
        teller.keyset(1)
        teller.catalog(catalog, 1, more if what == "catalog" else {})
        parts = [rows]
        teller.frames("full", feeds.START, feeds.FULL_SEQ, parts, more=more if what == "frame" else {})
        teller.head(feeds.FULL_SEQ, feeds.AT_ONCE, more=more if what == "head" else {})
        yield what, teller


def observing(catalog: Catalog) -> Catalog:
    """Return a catalog in which one feature is only observed."""
    document = copy.deepcopy(msgspec.to_builtins(catalog))
    document["features"]["sso"]["mode"] = "observe"
    return msgspec.convert(document, Catalog)


def told(name: str, teller: feeds.Teller, asked: list[dict[str, Any]], before: list[Any] | None = None) -> Made:
    """Yield a transcript and what is decided at its end; ``before`` it came other lines."""
    yield f"feed/{name}.ndjson", teller.text()
    lines = [msgspec.json.encode(line) for line in [*(before or []), *teller.lines]]
    reader = Reader(feeds.WORKSPACE, lines, to_instant(feeds.ISSUED))
    truth = reader.truth()
    cases = [{"asked": one, "decision": decide(truth, reader.users, one)} for one in asked]
    yield f"decisions/{name}.json", b"[\n" + b",\n".join(msgspec.json.encode(case) for case in cases) + b"\n]\n"


def contract_files(_: str) -> Made:
    """Yield the contract of the API."""
    if not OPERATIONS:
        raise AssertionError("no operations")
    yield "openapi.json.gz", gzip.compress(document_bytes("0.1.0"), 9, mtime=0)


def export_files(version: str) -> Made:
    """Yield a log with its checkpoint and a proof, and all of a customer."""
    if all((FOLDER / version / "export" / name).exists() for name in EXPORTS):
        yield from ((f"export/{name}", b"") for name in EXPORTS)
        return
    for name, content in lived().items():
        yield f"export/{name}", content


def cache_files(version: str) -> Made:
    """Yield the cache of a client that has followed the recorded feed; its key is random, and so are its bytes."""
    if (FOLDER / version / "cache").exists():
        yield "cache/key", b""
        return
    for name, content in kept(version).items():
        yield f"cache/{name}", content


PARTS: Final[dict[str, Callable[[str], Made]]] = {
    "feed": feed_files,
    "contract": contract_files,
    "export": export_files,
    "cache": cache_files,
}


def write(folder: Path, made: Made) -> list[str]:
    """Write what is not there yet and return the names of what is."""
    there = []
    for name, content in made:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            there.append(name)
        else:
            path.write_bytes(content)
    return there


def main(version: str) -> int:
    """Record one version; returns the exit code."""
    there = [name for part in PARTS.values() for name in write(FOLDER / version, part(version))]
    for name in there:
        sys.stderr.write(f"{version}/{name} is recorded already and was left alone\n")
    return 1 if there else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
