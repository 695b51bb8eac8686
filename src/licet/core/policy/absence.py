"""Which facts a condition asked for with ``has`` and did not find, where that left it unmet."""

from collections.abc import Mapping
from typing import Any

from licet.core.policy.condition import Condition, Facts
from licet.core.policy.reading import Undecided
from licet.core.policy.syntax import dotted


def lacking(condition: Condition, facts: Facts) -> tuple[str, ...]:
    """Return the facts without which an unmet condition cannot be met, though it was decided without them.

    It is asked once more with every ``has`` of an absent fact undecided instead of false. What is false even so
    lacks nothing. This explains only: whether the condition holds, and whether it was decided, stays as it was.
    """
    if "has" not in condition.source:
        return ()
    return condition.evaluate(_Open(facts, ())).missing


class _Open(dict[str, Any]):
    """Facts in which what is absent is undecided to whoever asks, also to ``has``."""

    def __init__(self, known: Mapping[str, Any], path: tuple[str, ...]) -> None:
        super().__init__(known)
        self.path = path

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        path = (*self.path, name)
        if value is None:
            raise Undecided((dotted(path),), ())
        return _Open(value, path) if isinstance(value, Mapping) else value
