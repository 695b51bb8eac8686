"""Whose turn it is where not everything fits in one call."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class _Named(Protocol):
    @property
    def id(self) -> str: ...


One = TypeVar("One", bound=_Named)


class Turns:
    """Of more than fits, those go first that were said longest ago, or never: so nothing waits for ever."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def take(self, all_of_them: Sequence[One], most: int, number: int) -> tuple[One, ...]:
        """Return at most so many of what is to be said in the call of a ``number``, which rises."""
        if len(all_of_them) <= most:
            self._said.clear()
            return tuple(all_of_them)
        said = {one.id: self._said.get(one.id, 0) for one in all_of_them}
        chosen = sorted(all_of_them, key=lambda one: said[one.id])[:most]
        said.update((one.id, number) for one in chosen)
        self._said = said
        return tuple(chosen)
