"""Schemathesis over the whole OpenAPI document: what fits it, what does not, and what a rightful owner sends."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.errors import UnsupportedSchema
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from licet.api.app import OPERATIONS
from tests.api.house import House
from tests.api.tenants import Tenant, ask_of, settle
from tests.dose import DOSE, dose

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MAY_FAIL: Final = (503, 507)
EXAMPLES: Final = dose(3, full=120)
WAITS: Final = dose(4)
"""How often a request may ask for a far sequence: the server waits a second for it."""


class Fuzz:
    """Asks operations of one server and keeps count of what came back."""

    def __init__(self, url: str, tenant: Tenant, document: dict[str, Any]) -> None:
        self.url = url
        self.tenant = tenant
        self.names = {**tenant.names, **tenant.buyers[0].names}
        self.answers: dict[str, Counter[int]] = {}
        self.failures: list[str] = []
        self._known: set[tuple[str, str]] = set()
        self._waits = 0
        schema = schemathesis.openapi.from_dict(document)
        found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        self.operations: dict[str, APIOperation[Any, Any, Any, Any]] = {
            str(one.definition.raw["operationId"]): one for one in found
        }

    def rightful(self, name: str) -> None:
        """Ask what the owner may ask."""
        ask = ask_of(OPERATIONS[name], self.tenant, self.tenant.buyers[0])
        raw = isinstance(ask.body, bytes)
        more: dict[str, Any] = {} if ask.body is None or raw else {"body": ask.body, "media_type": "application/json"}
        case = self.operations[name].Case(
            path_parameters=ask.path, query=ask.query, headers=ask.headers | self._key(name), **more
        )
        self.hear(name, case, data=ask.body if raw else None)

    def fuzz(self, name: str, *, first: bool) -> None:
        """Ask what fits the document and what does not, about what exists and about what does not.

        In a reduced run what fits is about the one and what does not about the other, by turns.
        """
        for real in (True, False) if DOSE == "full" else (first,):
            self._fuzz(name, self._cases(name, GenerationMode.POSITIVE, real=real))
            # What takes nothing cannot be given anything wrong; some schemas' opposites cannot be spelled out.
            with suppress(Unsatisfiable, UnsupportedSchema):
                self._fuzz(name, self._cases(name, GenerationMode.NEGATIVE, real=not real))

    def _cases(self, name: str, mode: GenerationMode, *, real: bool) -> SearchStrategy[Case[Any]]:
        one = OPERATIONS[name]
        path = {part: self.names.get(part, "x") for part in one.path_names}
        return self.operations[name].as_strategy(mode, path_parameters=path if real and path else None)

    def _fuzz(self, name: str, cases: SearchStrategy[Case[Any]]) -> None:
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            derandomize=DOSE != "full",
            phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        @given(case=cases)
        def ask(case: Case[Any]) -> None:
            case.headers.update(self._key(name))
            if "at_least" in case.query:
                self._waits += 1
                if self._waits > WAITS:
                    del case.query["at_least"]
            self.hear(name, case)

        ask()

    def _key(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tenant.owner.secret}"} if OPERATIONS[name].scopes else {}

    def hear(self, name: str, case: Case[Any], data: bytes | None = None) -> None:
        """Ask, count the status, and note whatever the document does not say or nobody should see."""
        more: dict[str, Any] = {} if data is None else {"data": data}
        answer = case.call(base_url=self.url, timeout=30, **more)
        self.answers.setdefault(name, Counter())[answer.status_code] += 1
        if answer.status_code >= 500 and not (answer.status_code in MAY_FAIL and "retry-after" in answer.headers):
            self._note(name, case, f"{answer.status_code}: {answer.text[:300]}")
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for failure in leaves(group):
                self._note(name, case, f"{answer.status_code} {str(failure)[:300]}: {answer.text[:300]}")

    def _note(self, name: str, case: Case[Any], words: str) -> None:
        kind = (name, words.split("\n", 1)[0][:60])
        if kind not in self._known:
            self._known.add(kind)
            self.failures.append(f"{name}: {words}\n    {case.as_curl_command()[:600]}")

    def coverage(self) -> str:
        """Return how often each operation answered with which status."""
        lines = [
            f"{name}: {', '.join(f'{status} ×{times}' for status, times in sorted(found.items()))}"
            for name, found in self.answers.items()
        ]
        reached = sum(any(200 <= status < 300 for status in found) for found in self.answers.values())
        return "\n".join([*lines, f"{reached} of {len(self.operations)} operations reached 2xx"])


def leaves(group: BaseExceptionGroup[Failure]) -> Iterator[Failure]:
    """Yield every single failure."""
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from leaves(one)
        else:
            yield one


async def test_the_whole_document(house: House) -> None:
    """Every operation reaches 2xx, answers nothing that is not documented, and fails with nothing but 503 or 507."""
    load_all_checks()
    document = await house.visitor().told("GET", "/openapi.json")
    fuzz = Fuzz(house.url, await settle(house), document)
    names = [one.id for one in OPERATIONS if one.documented]
    assert set(names) == set(fuzz.operations)
    for name in sorted(names, key=lambda name: name in ("revoke_key", "rotate_key")):
        await asyncio.to_thread(fuzz.rightful, name)
    for place, name in enumerate(names):
        await asyncio.to_thread(fuzz.fuzz, name, first=place % 2 == 0)
    print(f"\n{fuzz.coverage()}")  # noqa: T201 the coverage is meant to be read
    assert not fuzz.failures, "\n".join(fuzz.failures)
    assert set(fuzz.answers) == set(names)
    missed = [name for name, found in fuzz.answers.items() if not any(200 <= status < 300 for status in found)]
    assert not missed, missed
