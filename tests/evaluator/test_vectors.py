"""The language-neutral cases hold in a local truth, also once it has run out: the same bytes as core's."""

from typing import Any

import msgspec
import pytest

from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.instant import FOREVER, parse_instant
from licet.core.question import Context, UserFacts
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from licet.evaluator.truth import LocalTruth
from licet.seal.canonical import canonical
from licet.wire.feed import Cursor, UserRow
from tests.core.vectors import read_vectors

CATALOGS: dict[str, CompiledCatalog] = {}
CASES = []
for name in ("check", "policies", "offline"):
    CATALOGS[name], found = read_vectors(name)
    CASES += [pytest.param(name, one.values[0], id=f"{name}: {one.id}") for one in found]


@pytest.mark.parametrize(("file", "case"), CASES)
def test_a_case_is_decided_as_in_core(file: str, case: dict[str, Any]) -> None:
    """What the vector expects comes out, and the whole decision is core's to the last byte."""
    now, catalog = parse_instant(case["now"]), CATALOGS[file]
    told = msgspec.json.encode(by_evaluator(catalog, case).view(now))
    assert told == msgspec.json.encode(by_core(catalog, case).view(now))
    view, expect = msgspec.json.decode(told), dict(case["expect"])
    expect.pop("remedy", None)
    if expect.get("limit"):
        view["limit"] = {part: view["limit"][part] for part in expect["limit"]}
    assert {part: view[part] for part in expect} == expect


def by_evaluator(catalog: CompiledCatalog, case: dict[str, Any]) -> Decision:
    """Decide from rows."""
    truth = LocalTruth()
    truth.release(catalog.document, catalog.revision, "UTC")
    if case["terms"] is not None:
        truth.put_terms("acme", 1, 1, canonical(msgspec.convert(case["terms"], Terms)))
    asked = dict(case["question"])
    if "user" in asked:
        facts = msgspec.convert(asked.pop("user"), UserFacts)
        truth.put_user(
            UserRow(customer="acme", user=facts.id, revision=1, seq=1, roles=facts.roles, attributes=facts.attributes)
        )
        asked["user"] = facts.id
    usable = parse_instant(case["usable_until"]) if "usable_until" in case else None
    truth.commit(Cursor(1, 1), usable_until=usable)
    return truth.check("acme", asked.pop("feature"), parse_instant(case["now"]), **contextual(asked))


def by_core(catalog: CompiledCatalog, case: dict[str, Any]) -> Decision:
    """Decide from documents."""
    asked = dict(case["question"])
    if "user" in asked:
        asked["user"] = msgspec.convert(asked["user"], UserFacts)
    known = [] if case["terms"] is None else [msgspec.convert(case["terms"], Terms)]
    usable = parse_instant(case["usable_until"]) if "usable_until" in case else FOREVER
    truth = Truth(catalog, known, usable_until=usable)
    return truth.check("acme", asked.pop("feature"), parse_instant(case["now"]), **contextual(asked))


def contextual(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the rest of a question with its context read."""
    return {**asked, "context": msgspec.convert(asked["context"], Context)} if "context" in asked else asked
