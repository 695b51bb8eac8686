"""``licet check``, ``licet explain`` and ``licet entitlements``: questions about one customer."""

import json
from typing import Annotated, Any

import typer

from licet.cli.failure import NO, Ended, Failure
from licet.cli.options import AsJson, At, Customer, FeatureId, InWorkspace
from licet.cli.session import connected, output
from licet.cli.times import instant_text

User = Annotated[str | None, typer.Option("--user", help="The user who wants it.")]
ContextPairs = Annotated[
    list[str] | None,
    typer.Option("--context", "-c", metavar="KEY=VALUE", help="deployment, region, country, version or an attribute."),
]
_NAMED = ("deployment", "region", "country", "version")


def check(
    customer: Customer,
    feature: FeatureId,
    *,
    user: User = None,
    context: ContextPairs = None,
    quantity: Annotated[str | None, typer.Option(help="How much more is wanted (1 unless said).")] = None,
    used: Annotated[str | None, typer.Option(help="How much is in use, where the caller counts.")] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether a customer may use a feature now. Exit code 0: allowed, 1: refused, 2: could not answer."""
    from licet.cli.decision_text import decision_lines

    question = {
        "customer": customer,
        "feature": feature,
        "user": user,
        "quantity": _amount(quantity),
        "used": _amount(used),
        "context": context_of(context or []) or None,
    }
    with connected(workspace) as remote:
        decision = remote.call(
            "POST", "/v1/check", {name: given for name, given in question.items() if given is not None}
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
    context: ContextPairs = None,
    at: At = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show why a customer may or may not use a feature, from the order line to the decision, now or at an instant."""
    from licet.cli.explanation_text import explanation_lines
    from licet.cli.remote import segment

    query: dict[str, object] = {"feature": feature, "user": user, "at": instant_text(at)}
    for name, value in context_of(context or []).items():
        query[name] = json.dumps(value) if name == "attributes" else value
    with connected(workspace) as remote:
        explanation = remote.call("GET", f"/v1/customers/{segment(customer)}/explain", query=query)
    out = output(as_json)
    out.document(explanation)
    out.lines(explanation_lines(explanation, width=out.width))


def entitlements(customer: Customer, *, at: At = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """List everything a customer may do, now or at an instant, and what changes next."""
    from licet.cli.decision_text import show_entitlements
    from licet.cli.remote import segment

    with connected(workspace) as remote:
        answer = remote.call("GET", f"/v1/customers/{segment(customer)}/entitlements", query={"at": instant_text(at)})
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
            context[key] = value
        else:
            attributes[key.removeprefix("attributes.")] = _attribute(value)
    return {**context, "attributes": attributes} if attributes else context


def _attribute(text: str) -> bool | int | str:
    if text in ("true", "false"):
        return text == "true"
    if text.isascii() and text.lstrip("-").isdigit() and len(text) < 17:
        return int(text)
    return text


def _amount(text: str | None) -> int | str | None:
    if text is None:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else text
