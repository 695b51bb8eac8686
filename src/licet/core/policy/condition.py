"""A condition as it is used: compiled once when its catalog is read, then asked about facts."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from licet.core.policy.checker import Checked, check
from licet.core.policy.compiler import Code, compile_tree
from licet.core.policy.parser import parse
from licet.core.policy.reading import Run, Undecided
from licet.core.policy.syntax import Expression, Logical
from licet.core.policy.types import Environment

Facts = Mapping[str, object]
"""Nested mappings by the names of the environment; what is absent or None is missing."""


class Verdict(Struct, frozen=True):
    """What a condition says of facts.

    ``missing`` names the facts (dotted paths) that were absent or of another type, and ``errors`` what could not be
    computed, where that left it undecided; undecided is not true. ``failing`` is the text of the top-level conjuncts
    that were false or, when none was, of those left undecided.
    """

    holds: bool
    missing: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


_HOLDS = Verdict(True)


class Condition:
    """A checked and compiled condition. Immutable, free of side effects, safe to share between threads."""

    __slots__ = ("_conjuncts", "checked", "environment", "fails", "holds", "reads", "source")

    def __init__(self, source: str, environment: Environment, checked: Checked, code: Code) -> None:
        self.source = source
        self.environment = environment
        self.checked = checked
        self.reads: frozenset[str] = checked.reads
        """Every dotted path it can read."""
        self.holds: Callable[[Facts], bool] = _decisive(code.run, True)
        """The fast question: True if it holds, False if it does not or is undecided."""
        self.fails: Callable[[Facts], bool] = _decisive(code.run, False)
        """The other fast question: True if it is false for certain, False if it holds or is undecided."""
        self._conjuncts = tuple(
            (source[part.start : part.end], compile_tree(source, Checked(part, checked.types, checked.reads)).run)
            for part in _conjuncts(checked.tree)
        )

    def __repr__(self) -> str:
        return f"Condition({self.source!r})"

    @property
    def parts(self) -> tuple[str, ...]:
        """The text of the top-level conjuncts, which must all be true."""
        return tuple(text for text, _ in self._conjuncts)

    def evaluate(self, facts: Facts) -> Verdict:
        """The same answer as ``holds``, with what is needed to explain it."""
        false: list[str] = []
        open_: list[str] = []
        lacking: Undecided | None = None
        for text, run in self._conjuncts:
            try:
                if not run(facts):
                    false.append(text)
            except Undecided as reason:
                open_.append(text)
                lacking = reason if lacking is None else lacking.joined(reason)
        if false:
            return Verdict(False, failing=tuple(dict.fromkeys(false)))
        if lacking is not None:
            return Verdict(False, lacking.missing, tuple(dict.fromkeys(open_)), lacking.errors)
        return _HOLDS


def compile_condition(source: str, environment: Environment) -> Condition:
    """Parse, check and compile a condition. Raises ConditionError with line, column and, where near, a suggestion."""
    checked = check(source, parse(source), environment)
    return Condition(source, environment, checked, compile_tree(source, checked))


def _decisive(run: Run, answer: bool) -> Callable[[Mapping[str, Any]], bool]:
    def decided(facts: Mapping[str, Any]) -> bool:
        try:
            return run(facts) is answer
        except Undecided:
            return False

    return decided


def _conjuncts(node: Expression) -> tuple[Expression, ...]:
    """The parts that must all be true, through nested ``&&``."""
    if isinstance(node, Logical) and node.operator == "&&":
        return tuple(one for part in node.parts for one in _conjuncts(part))
    return (node,)
