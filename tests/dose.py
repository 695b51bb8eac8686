"""How much a test tries: reduced in `make test`, twenty times as much in `make soak` (LICET_TEST_DOSE=full)."""

import os
from typing import Final

DOSE: Final = os.environ.get("LICET_TEST_DOSE", "reduced")
FULL_TIMES: Final = 20


def dose(reduced: int, *, full: int | None = None) -> int:
    """Return how many examples to try in this run: the reduced number, or in full ``full`` or twenty times as many."""
    if DOSE != "full":
        return reduced
    return reduced * FULL_TIMES if full is None else full
