"""``licet balance``: how much of what is left, from which grants; and what commands say about one balance."""

from typing import Annotated, Any, Final, NamedTuple

import typer

from licet.cli.amounts import amount_of, holder_of, id_of
from licet.cli.checks import KnownAt, User
from licet.cli.consuming import Team
from licet.cli.default_command import DefaultsToOne
from licet.cli.failure import Failure
from licet.cli.options import AsJson, At, Count, Customer, FeatureId, InWorkspace, Note
from licet.cli.remote import Remote, segment
from licet.cli.session import connected, output
from licet.cli.times import check_order, instant_back, instant_text

app = typer.Typer(
    cls=DefaultsToOne,
    help="Balances: what is left of what. `balance CUSTOMER [FEATURE]` is short for `balance show`.",
    no_args_is_help=True,
)
_PAGE: Final = 200
OfUser = Annotated[str | None, typer.Option("--user", help="Whose, where each user has one.")]
OfTeam = Annotated[str | None, typer.Option("--team", help="Whose, where each team has one.")]


@app.command()
def show(
    customer: Customer,
    feature: Annotated[
        str | None, typer.Argument(metavar="[FEATURE]", help="One feature; all of them unless said.")
    ] = None,
    *,
    at: At = None,
    known_at: KnownAt = None,
    user: OfUser = None,
    team: OfTeam = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show what was granted, used and is left, when it is whole again, and each grant; now or at a past instant."""
    from licet.cli.balance_text import show_balance, show_balances

    holder = holder_of(user, team)
    if feature is None and holder is not None:
        named = "--team" if user is None else "--user"
        raise Failure(f"{named} needs a feature", advice=f"name one, or leave {named} out", code="usage")
    query = {"at": instant_text(at), "known_at": instant_text(known_at), "holder": holder}
    with connected(workspace) as remote:
        path = _path(customer, feature)
        answer = remote.call("GET", path, query=query) if feature else _all(remote, path, query)
    out = output(as_json)
    out.document(answer)
    if feature is None:
        show_balances(out, answer)
    else:
        show_balance(out, answer)


@app.command()
def statement(
    customer: Customer,
    feature: FeatureId,
    *,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="From a time on, or a duration back; P30D unless said.")
    ] = "P30D",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before a time, or a duration back.")] = None,
    user: OfUser = None,
    team: OfTeam = None,
    limit: Count = 100,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List all that changed a balance, use and what time and commands did, each with its change of what is left."""
    from licet.cli.balance_text import show_statement
    from licet.cli.output import DIM
    from licet.cli.words import day

    with connected(workspace) as remote:
        now = remote.call("GET", "/v1/clock")["now"]
        begin, end = instant_back("--since", since, now), instant_back("--until", until, now)
        check_order(begin, end)
        query = {"since": begin, "until": end, "holder": holder_of(user, team), "limit": limit}
        answer = remote.call("GET", f"{_path(customer, feature)}/statement", query=query)
    out = output(as_json)
    out.document(answer)
    out.line((f"from {day(begin)} {'on' if end is None else f'until {day(end)}'}", DIM))
    show_statement(out, answer)


@app.command()
def reset(
    customer: Customer,
    feature: FeatureId,
    *,
    move: Annotated[
        bool, typer.Option("--move", help="Periods run from then on; else they stay where they are.")
    ] = False,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="At a past instant of this period.")] = None,
    user: User = None,
    team: Team = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Make allowances whole again before their time; what was given once stays as it is."""
    body = {"anchor": "move" if move else "keep"} | ({} if at is None else {"at": instant_text(at)})
    answer = _About(customer, feature, user, team, note, workspace).send("POST", "reset", body)
    out = output(as_json)
    out.document(answer)
    out.line(f"the allowances of {feature} of {customer} are whole again")


@app.command("spend-limit")
def spend_limit(
    customer: Customer,
    feature: FeatureId,
    amount: Annotated[
        str,
        typer.Argument(metavar="AMOUNT", help="So much beyond what there is; none takes it away.", show_default=False),
    ],
    *,
    user: User = None,
    team: Team = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Bound what may be used beyond what there is, in each period, from now on."""
    most = None if amount == "none" else amount_of("AMOUNT", amount)
    answer = _About(customer, feature, user, team, note, workspace).send("PUT", "spend-limit", {"amount": most})
    out = output(as_json)
    out.document(answer)
    said = "no limit of its own any more" if most is None else f"at most {amount} beyond what there is, in each period"
    out.line(f"{feature} of {customer}: {said}")


@app.command("top-up")
def top_up(
    customer: Customer,
    feature: FeatureId,
    *,
    below: Annotated[str | None, typer.Option(help="As soon as less than this is left.")] = None,
    amount: Annotated[str | None, typer.Option(help="Grant so much.")] = None,
    most: Annotated[str | None, typer.Option(help="At most so much in a calendar month.")] = None,
    consent: Annotated[str | None, typer.Option("--consent", metavar="WHO", help="Who of the customer agreed.")] = None,
    expires_after: Annotated[
        str | None,
        typer.Option("--expires-after", metavar="SPAN", help="How long it lasts: P90D; for ever unless said."),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
    user: User = None,
    team: Team = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let a balance be topped up by itself where little is left, never beyond a sum a month; --off ends it."""
    body = _rule(below, amount, most, consent, off=off) | ({"expires_after": expires_after} if expires_after else {})
    answer = _About(customer, feature, user, team, note, workspace).send("PUT", "top-up", body)
    out = output(as_json)
    out.document(answer)
    if off or not any(digit in "123456789" for digit in str(body["amount"])):
        ended = "" if off else ": with an amount of 0 the rule is off"
        out.line(f"{feature} of {customer} is not topped up any more{ended}")
    else:
        out.line(f"{feature} of {customer}: {amount} more where less than {below} is left, at most {most} a month")


def _all(remote: Remote, path: str, query: dict[str, Any]) -> Any:
    """Return every balance of a customer, page by page."""
    whole = remote.call("GET", path, query={**query, "limit": _PAGE})
    cursor = whole.pop("next", None)
    while cursor is not None:
        more = remote.call("GET", path, query={**query, "limit": _PAGE, "cursor": cursor})
        whole["balances"] += more["balances"]
        cursor = more["next"]
    return whole


def _rule(below: str | None, amount: str | None, most: str | None, consent: str | None, *, off: bool) -> dict[str, Any]:
    if off:
        return {"below": 0, "amount": 0, "most": 0, "consented_by": consent or "-"}
    named = {"--below": below, "--amount": amount, "--most": most, "--consent": consent}
    missing = [name for name, given in named.items() if given is None]
    if missing:
        raise Failure(
            f"{', '.join(missing)} not given",
            advice="a rule needs --below, --amount, --most and --consent; --off ends one",
            code="usage",
        )
    amounts = {name[2:]: amount_of(name, given) for name, given in named.items() if name != "--consent"}
    return {**amounts, "consented_by": consent}


class _About(NamedTuple):
    """What every command about one balance says."""

    customer: str
    feature: str
    user: str | None
    team: str | None
    note: str | None
    workspace: str | None

    def send(self, method: str, what: str, body: dict[str, Any]) -> Any:
        """Send a command and return its answer."""
        named = {"user": self.user, "team": self.team, "note": self.note}
        sent = body | {name: value for name, value in named.items() if value is not None}
        with connected(self.workspace) as remote:
            return remote.call(method, f"{_path(self.customer, self.feature)}/{what}", sent, note=self.note)


def _path(customer: str, feature: str | None) -> str:
    path = f"/v1/customers/{segment(id_of('customer', customer))}/balances"
    return path if feature is None else f"{path}/{segment(id_of('feature', feature))}"
