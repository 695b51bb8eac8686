"""What the service says against a change of a subscription, in the options of the command that asked for it."""

import re
from typing import Any, Final

from licet.cli.failure import Failure

_OPTIONS: Final = {
    "add": "--add",
    "at": "--at",
    "ends_at": "--ends",
    "period": "--period",
    "plan": "--plan",
    "quantities": "--count",
    "quantity": "--quantity",
    "remove": "--remove",
    "scheduled": "--scheduled",
    "starts_at": "--starts",
    "trial": "--trial",
    "trial_end_behavior": "--then",
    "until": "--until",
    "version": "--version",
}
"""Options by the field of the request in which each is sent."""
_PLACE: Final = re.compile(r"^(?P<field>[a-z_]+)(?P<rest>(?:\[\d+\]|\.[^\s:]+)*)(?=: |$)")
_SAID: Final = (
    (re.compile(r"accept_breaches: true"), "--accept-breaches"),
    (re.compile(r'write quantities: \{"([^"]*)": …\}'), r"write --count \1=N"),
    (re.compile(r"GET /v1/customers/(\S+)/subscriptions"), r"licet subscription list \1"),
    (re.compile(r"correct what problems lists"), "correct what is named"),
    (
        re.compile(r'say with scheduled what becomes of them: "keep" \((.*)\) or "drop" \((.*)\)'),
        r"say what becomes of them: --scheduled keep (\1) or --scheduled drop (\2)",
    ),
    (
        re.compile(r"write plan, quantity, add, remove or quantities"),
        "write --plan, --quantity, --add, --remove or --count",
    ),
    (re.compile(r"name ids in remove, add and quantities"), "name ids with --remove, --add and --count"),
    (re.compile(r"say how long a trial lasts \(trial\), or leave this out"), "write --trial P14D, or leave --then out"),
    (re.compile(r"^leave trial out$"), "leave --trial out"),
)


def in_options(failure: Failure) -> Failure:
    """Return the same failure with options where the service names fields of a request."""
    details = dict(failure.details)
    if isinstance(details.get("problems"), list):
        details["problems"] = [_problem(one) for one in details["problems"]]
    return Failure(
        _words(failure.words),
        advice=_words(failure.advice),
        code=failure.code,
        exit_code=failure.exit_code,
        details=details,
    )


def _problem(problem: dict[str, Any]) -> dict[str, Any]:
    """One problem; its path stays as it is in the document that scripts read."""
    return {name: _words(text) if name in ("message", "suggestion") else text for name, text in problem.items()}


def _words(text: str) -> str:
    """A sentence; the field at its beginning becomes the option, what was sold first needs none."""
    for pattern, said in _SAID:
        text = pattern.sub(said, text)
    found = _PLACE.match(text)
    if found is None or ": " not in text:
        return text
    field, rest = found["field"], found["rest"]
    if field == "items":
        return text[found.end() + 2 :]
    if field not in _OPTIONS:
        return text
    named = f" {rest[1:]}" if field == "quantities" else ""
    return f"{_OPTIONS[field]}{named}{text[found.end() :]}"
