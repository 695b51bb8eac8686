"""How much a test tries: reduced in `make test`, twenty times as much in `make soak` (LICET_TEST_DOSE=full)."""

import os
from typing import Final

DOSE: Final = os.environ.get("LICET_TEST_DOSE", "reduced")
FULL_TIMES: Final = 20


def dose(reduced: int) -> int:
    """Return how many examples to try in this run, given the reduced number."""
    return reduced * FULL_TIMES if DOSE == "full" else reduced
