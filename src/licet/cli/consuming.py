"""``licet consume``, ``reserve``, ``settle``, ``release`` and ``reservations``: use, decided and recorded together."""

from typing import Annotated, Any, Final

import typer

from licet.cli.amounts import amount_of, id_of
from licet.cli.checks import ContextPairs, User, context_of
from licet.cli.failure import COULD_NOT, NO, Ended, Failure
from licet.cli.options import AsJson, Count, Customer, FeatureId, InWorkspace
from licet.cli.pairs import pairs_of
from licet.cli.remote import Remote
from licet.cli.session import connected, output

HowMuch = Annotated[str, typer.Argument(metavar="[QUANTITY]", help="How much of it.")]
Also = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="FEATURE=N", help="Another feature, all or nothing together; repeatable."),
]
Team = Annotated[str | None, typer.Option("--team", help="The team that uses it.")]
Partial = Annotated[bool, typer.Option("--partial", help="Take what there is, if there is less.")]
Dimension = Annotated[
    list[str] | None,
    typer.Option("--dimension", metavar="NAME=VALUE", help="By what usage is told apart; repeatable."),
]
IdempotencyKey = Annotated[
    str | None, typer.Option("--key", help="The same request with the same key counts once, whenever it comes again.")
]
ReservationId = Annotated[
    str, typer.Argument(metavar="RESERVATION", help="The reservation's id, res_….", show_default=False)
]
_UNCLEAR: Final = frozenset({"invalid", "unprocessable"})
"""Problems of requests that cannot be meant, other than those that the state of a balance speaks against."""


def consume(
    customer: Customer,
    feature: FeatureId,
    quantity: HowMuch = "1",
    *,
    also: Also = None,
    user: User = None,
    team: Team = None,
    context: ContextPairs = None,
    partial: Partial = False,
    dimension: Dimension = None,
    key: IdempotencyKey = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Use so much of a feature: decided and recorded at once, exact at a hard cap. Exit code 1: refused."""
    asked = _asked(customer, feature, quantity, also, key) | _by(user, team, context, dimension)
    _decide("/v1/consume", asked | ({"partial": True} if partial else {}), workspace, as_json)


def reserve(
    customer: Customer,
    feature: FeatureId,
    quantity: Annotated[str, typer.Argument(metavar="QUANTITY", help="How much at most.", show_default=False)],
    *,
    lasts: Annotated[
        str | None, typer.Option(metavar="SPAN", help="When it goes back by itself: PT15M unless said, at most P1D.")
    ] = None,
    also: Also = None,
    user: User = None,
    team: Team = None,
    context: ContextPairs = None,
    partial: Partial = False,
    dimension: Dimension = None,
    key: IdempotencyKey = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Set so much aside until `licet settle` says what it came to, or `licet release`. Exit code 1: refused."""
    asked = _asked(customer, feature, quantity, also, key) | _by(user, team, context, dimension)
    asked |= {"partial": True} if partial else {}
    _decide("/v1/reservations", asked | ({"lasts": lasts} if lasts else {}), workspace, as_json)


def settle(
    reservation: ReservationId,
    used: Annotated[str, typer.Argument(metavar="USED", help="What it came to.", show_default=False)],
    *,
    also: Also = None,
    key: IdempotencyKey = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """End a reservation with what it came to: the rest goes back, what is beyond is taken now."""
    asked: dict[str, Any] = {"used": amount_of("USED", used)}
    if also:
        asked["also"] = _wants(also)
    _close(reservation, "settle", asked | ({"key": key} if key else {}), workspace, as_json)


def release(reservation: ReservationId, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """End a reservation that came to nothing: all of it goes back."""
    _close(reservation, "release", {}, workspace, as_json)


def reservations(
    customer: Customer, *, limit: Count = 100, workspace: InWorkspace = None, as_json: AsJson = False
) -> None:
    """List what a customer has set aside: reservations that are not settled, not released, and not over."""
    from licet.cli.consume_text import HELD, held_row
    from licet.cli.remote import segment

    path = f"/v1/customers/{segment(id_of('customer', customer))}/reservations"
    with connected(workspace) as remote:
        rows = list(remote.pages(path, limit=limit))
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line(f"nothing is set aside for {customer}")
        return
    out.table(HELD, [held_row(row) for row in rows])


def use_call(remote: Remote, path: str, body: Any, *, note: str | None = None) -> Any:
    """Send what tells of use; raises Failure. One that cannot be meant is no refusal: it ends with exit code 2."""
    try:
        return remote.call("POST", path, body, note=note)
    except Failure as failure:
        if failure.code in _UNCLEAR:
            failure.exit_code = COULD_NOT
        raise


def _asked(customer: str, feature: str, quantity: str, also: list[str] | None, key: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "customer": id_of("customer", customer),
        "feature": id_of("feature", feature),
        "quantity": amount_of("QUANTITY", quantity),
    }
    if also:
        asked["also"] = _wants(also)
    return asked | ({"key": key} if key else {})


def _by(user: str | None, team: str | None, context: list[str] | None, dimension: list[str] | None) -> dict[str, Any]:
    given = {
        "user": user,
        "team": team,
        "context": context_of(context or []) or None,
        "dimensions": pairs_of("--dimension", dimension or []) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _wants(also: list[str]) -> list[dict[str, Any]]:
    return [
        {"feature": feature, "quantity": amount_of("--also", quantity)}
        for feature, quantity in pairs_of("--also", also).items()
    ]


def _decide(path: str, asked: dict[str, Any], workspace: str | None, as_json: bool) -> None:
    from licet.cli.consume_text import answer_lines, narrowed
    from licet.cli.unmatched import note_dimensions

    with connected(workspace) as remote:
        answer = use_call(remote, path, asked)
        if asked.get("dimensions"):
            note_dimensions(remote, asked["dimensions"])
    out = output(as_json)
    out.document(answer)
    out.lines(narrowed(answer_lines(asked, answer), out.width))
    if not answer["allowed"]:
        raise Ended(NO)


def _close(reservation: str, how: str, asked: dict[str, Any], workspace: str | None, as_json: bool) -> None:
    from licet.cli.consume_text import closing_lines, narrowed
    from licet.cli.remote import segment

    with connected(workspace) as remote:
        answer = use_call(remote, f"/v1/reservations/{segment(id_of('reservation', reservation))}/{how}", asked)
    out = output(as_json)
    out.document(answer)
    out.lines(narrowed(closing_lines(answer), out.width))
