"""An owner of slices does and says what ``spec/vectors/slices.json`` says, and the page holds every scene."""

from typing import Any

import pytest

from tests.evaluator.slices_cases import play, read_cases
from tests.evaluator.slices_record import ON_DISK, SCENES

CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_slices(case: dict[str, Any]) -> None:
    """Each step of a case comes to what is written there."""
    assert play(case) == case["expect"]


def test_the_page_is_whole() -> None:
    """Every scene stands on the page, with its own steps."""
    scenes = {**SCENES, **{name: scene for name, (_, scene) in ON_DISK.items()}}
    assert {case["name"]: case["steps"] for case in CASES} == scenes
