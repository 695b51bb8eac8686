"""``licet check``, ``licet explain`` and ``licet entitlements``: questions about one customer."""

import json
from typing import Annotated, Any

import typer

from licet.cli.amounts import amount_of, id_of, known_word
from licet.cli.failure import NO, Ended, Failure
from licet.cli.options import AsJson, At, Customer, FeatureId, InWorkspace
from licet.cli.session import connected, output
from licet.cli.times import instant_text

User = Annotated[str | None, typer.Option("--user", help="The user who wants it.")]
Team = Annotated[str | None, typer.Option("--team", help="The team, of what each team has its own balance of.")]
ContextPairs = Annotated[
    list[str] | None,
    typer.Option("--context", "-c", metavar="KEY=VALUE", help="deployment, region, country, version or an attribute."),
]
Quantity = Annotated[str | None, typer.Option(help="How much more is wanted (1 unless said).")]
Used = Annotated[str | None, typer.Option(help="How much is in use, where the caller counts.")]
KnownAt = Annotated[str | None, typer.Option("--known-at", metavar="TIME", help="By what was recorded by then.")]
Basis = Annotated[
    str | None,
    typer.Option(
        help="The basis of a decision: by exactly that truth. Needs --at, when it was asked; beats --known-at."
    ),
]
_DEPLOYMENTS = ("saas", "desktop", "on_prem", "air_gapped")
_NAMED = ("deployment", "region", "country", "version")


def check(
    customer: Customer,
    feature: FeatureId,
    *,
    user: User = None,
    team: Team = None,
    context: ContextPairs = None,
    quantity: Quantity = None,
    used: Used = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether a customer may use a feature now. Exit code 0: allowed, 1: refused, 2: could not answer."""
    from licet.cli.decision_text import decision_lines

    question = {
        "customer": id_of("customer", customer),
        "feature": id_of("feature", feature),
        "user": user,
        "team": team,
        "quantity": amount_of("--quantity", quantity),
        "used": amount_of("--used", used),
        "context": context_of(context or []) or None,
    }
    with connected(workspace) as remote:
        decision = remote.call(
            "POST", "/v1/check", {name: given for name, given in question.items() if given is not None}, asking=True
        )
    out = output(as_json)
    out.document(decision)
    out.lines(decision_lines(decision))
    if not decision["allowed"]:
        raise Ended(NO)


def explain(
    customer: Customer,
    feature: FeatureId,
    *,
    user: User = None,
    team: Team = None,
    context: ContextPairs = None,
    quantity: Quantity = None,
    used: Used = None,
    at: At = None,
    known_at: KnownAt = None,
    basis: Basis = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show why a customer may or may not use a feature, from the order line to the decision, now or at an instant."""
    from licet.cli.explanation_text import explanation_lines
    from licet.cli.remote import segment

    _check_dated(at, basis)
    query: dict[str, object] = {
        "feature": id_of("feature", feature),
        "user": user,
        "team": team,
        "quantity": amount_of("--quantity", quantity),
        "used": amount_of("--used", used),
        "at": instant_text(at),
        "known_at": instant_text(known_at),
        "basis": basis,
    }
    for name, value in context_of(context or []).items():
        query[name] = json.dumps(value) if name == "attributes" else value
    with connected(workspace) as remote:
        explanation = remote.call("GET", f"/v1/customers/{segment(id_of('customer', customer))}/explain", query=query)
    out = output(as_json)
    out.document(explanation)
    out.lines(explanation_lines(explanation, width=out.width))


def entitlements(
    customer: Customer,
    *,
    at: At = None,
    known_at: KnownAt = None,
    basis: Basis = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List everything a customer may do, now or at an instant, and what changes next."""
    from licet.cli.decision_text import show_entitlements
    from licet.cli.remote import segment

    _check_dated(at, basis)
    with connected(workspace) as remote:
        answer = remote.call(
            "GET",
            f"/v1/customers/{segment(id_of('customer', customer))}/entitlements",
            query={"at": instant_text(at), "known_at": instant_text(known_at), "basis": basis},
        )
    out = output(as_json)
    out.document(answer)
    show_entitlements(out, answer)


def context_of(pairs: list[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs into a question's context; unknown keys are attributes. Raises Failure."""
    context: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Failure(
                f"--context {pair!r} is not a pair",
                advice="write --context deployment=on_prem, or --context tier=gold for an attribute",
                code="usage",
            )
        if key in _NAMED:
            context[key] = _fact(key, value)
        else:
            attributes[key.removeprefix("attributes.")] = _attribute(value)
    return {**context, "attributes": attributes} if attributes else context


def _fact(key: str, value: str) -> str:
    if key == "deployment":
        known_word("--context deployment", value, _DEPLOYMENTS)
    if key == "country" and len(value) != 2:
        raise Failure(f"--context country {value!r} is not a country", advice="write two letters: DE", code="usage")
    if key == "region":
        id_of("region of --context", value)
    return value


def _attribute(text: str) -> bool | int | str | list[str]:
    """Read a value: a text, true, false, a number, or as JSON where it begins like a list or a text in quotes."""
    if text in ("true", "false"):
        return text == "true"
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 17:
        return int(text)
    if text.startswith(("[", '"')):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            return value
    return text


def _check_dated(at: str | None, basis: str | None) -> None:
    if basis is not None and at is None:
        raise Failure(
            "--basis is given without --at",
            advice="say with --at when it was asked: a basis says by which truth, not when",
            code="usage",
        )
