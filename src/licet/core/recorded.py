"""What is kept of a question where its feature is recorded check by check: enough to ask it again, nothing personal."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import structs

from licet.core.decision import Decision
from licet.core.policy import Condition
from licet.core.question import Question

_ATTRIBUTES: Final = "context.attributes"


def recorded_question(question: Question, decision: Decision) -> tuple[Question, tuple[str, ...]]:
    """Return a question as it is kept, and the names of attributes of its context that were left out, sorted.

    Attributes are free text of the caller's and may hold anything: kept are those that a condition reads which bears
    on this answer, so that the same question gives the same answer again.
    """
    given = question.context.attributes
    if not given:
        return question, ()
    read = attributes_read(decision, given)
    kept = {name: given[name] for name in given if name in read}
    if len(kept) == len(given):
        return question, ()
    left_out = tuple(sorted(name for name in given if name not in kept))
    return structs.replace(question, context=structs.replace(question.context, attributes=kept)), left_out


def attributes_read(decision: Decision, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of some attributes of a context that a condition reads which bears on this answer."""
    read = {path for condition in _conditions(decision) for path in condition.reads}
    return tuple(name for name in names if _ATTRIBUTES in read or f"{_ATTRIBUTES}.{name}" in read)


def _conditions(decision: Decision) -> Iterator[Condition]:
    """Yield the conditions that were asked: of the feature, of all that speaks about it, and of policies."""
    case = decision.case
    feature = case.catalog.features.get(case.feature)
    given = None if case.entitlements is None else case.entitlements.rights.get(case.feature)
    gates = [] if feature is None else [feature.gate]
    if given is not None:
        gates += [one.gate for one in given.sources] + [one.gate for one in given.denials]
    yield from (gate.condition for gate in gates if gate.condition is not None)
    policies = case.catalog.policies
    yield from (one.condition for one in (*policies.settled, *policies.asking) if one.about(case.feature))
    for companion in decision.companions:
        yield from _conditions(companion)
