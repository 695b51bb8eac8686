"""The hub answers as ``spec/vectors/quota.json`` says, and the page holds every scene."""

from typing import Any

import pytest

from tests.hub.cases import play, read_cases
from tests.hub.record import SCENES

CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_quota(case: dict[str, Any]) -> None:
    """Each call of a case is answered as written there, and what is held afterwards is the same."""
    assert play(case) == case["expect"]


def test_the_page_is_whole() -> None:
    """Every scene stands on the page, with its own steps."""
    assert {case["name"]: case["steps"] for case in CASES} == {name: scene for name, (_, scene) in SCENES.items()}
