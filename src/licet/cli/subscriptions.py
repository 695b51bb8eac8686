"""``licet subscription``: sell by hand, and change, pause, cancel what was sold; now, later, or only foreseen."""

from typing import Annotated, Any

import typer

from licet.cli.amounts import id_of, known_word
from licet.cli.failure import Failure
from licet.cli.options import AsJson, Customer, InWorkspace, Note
from licet.cli.remote import Remote
from licet.cli.same_workspace import here
from licet.cli.session import connected, output
from licet.cli.times import instant_text, moment_from

app = typer.Typer(help="Subscriptions: sell one by hand, change it, pause it, cancel it.", no_args_is_help=True)

Subscription = Annotated[
    str | None,
    typer.Argument(
        metavar="[SUBSCRIPTION]",
        help="Its id; may be left out where there is one, or one sold by hand.",
        show_default=False,
    ),
]
When = Annotated[str, typer.Option("--at", metavar="TIME", help="now, period-end, 2026-12-31, or P5D from now.")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="When it goes on by itself: 2026-12-31, or P5D from now.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing; show what would be gained and lost.")]
Quantity = Annotated[int | None, typer.Option("--quantity", min=1, help="How many of the plan.")]
Added = Annotated[
    list[str] | None, typer.Option("--add", metavar="ADDON[=N]", help="An add-on, and how many; repeatable.")
]
Version = Annotated[str | None, typer.Option("--version", help="Of the plan; the one on sale unless said.")]
AcceptBreaches = Annotated[
    bool, typer.Option("--accept-breaches", help="Even if a rule of the catalog breaks; it becomes a finding.")
]


@app.command("list")
def list_subscriptions(customer: Customer, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """List what a customer has bought, from whatever source, and how it stands."""
    from licet.cli.subscription_text import items_words

    with connected(workspace) as remote:
        answer = remote.call("GET", _path(customer))
    out = output(as_json)
    out.document(answer)
    if not answer["items"]:
        out.line(here("no subscriptions yet: an order or `licet subscription sell` makes one"))
        return
    rows = [[one["id"], one["standing"], one["source"] or "—", items_words(one["items"])] for one in answer["items"]]
    out.table(["subscription", "standing", "sold by", "consists of"], rows)


@app.command()
def show(
    customer: Customer, subscription: Subscription = None, *, workspace: InWorkspace = None, as_json: AsJson = False
) -> None:
    """Show one subscription: what it consists of, its period and trial, and what is planned."""
    from licet.cli.subscription_text import subscription_lines

    with connected(workspace) as remote:
        view = remote.call("GET", _path(customer, _found(remote, customer, subscription)))
    out = output(as_json)
    out.document(view)
    out.lines(subscription_lines(view))


@app.command()
def sell(
    customer: Customer,
    plan: Annotated[str | None, typer.Argument(metavar="[PLAN]", help="The plan.", show_default=False)] = None,
    *,
    bundle: Annotated[str | None, typer.Option("--bundle", help="A bundle instead of a plan.")] = None,
    version: Version = None,
    quantity: Quantity = None,
    of: Annotated[str | None, typer.Option("--of", metavar="FEATURE", help="What the quantity counts.")] = None,
    add: Added = None,
    starts: Annotated[
        str | None, typer.Option("--starts", metavar="TIME", help="When it begins; now unless said.")
    ] = None,
    ends: Annotated[
        str | None, typer.Option("--ends", metavar="TIME", help="When it ends; it renews unless said.")
    ] = None,
    trial: Annotated[str | None, typer.Option("--trial", metavar="SPAN", help="How long a trial lasts: P14D.")] = None,
    then: Annotated[
        str | None, typer.Option("--then", help="What follows the trial: convert, fall, pause or end.")
    ] = None,
    period: Annotated[str | None, typer.Option("--period", metavar="SPAN", help="A billing period: P1M, P1Y.")] = None,
    accept_breaches: AcceptBreaches = False,
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Sell a plan or a bundle, with add-ons, to a known customer."""
    if plan is None and bundle is None and not add:
        raise Failure(
            "nothing is named that is to be sold",
            advice=f"name a plan: licet subscription sell {customer} PLAN; or --bundle, or --add",
            code="usage",
        )
    main = {"plan": plan, "bundle": bundle, "version": version, "quantity": quantity, "quantity_of": of}
    body = {
        "items": [item for item in (_said(main), *_addons(add)) if item],
        "starts_at": instant_text(starts),
        "ends_at": instant_text(ends),
        "trial": trial,
        "trial_end_behavior": known_word("--then", then, ("convert", "fall", "pause", "end")),
        "period": period,
        "accept_breaches": accept_breaches or None,
        "dry_run": dry_run or None,
    }
    with connected(workspace) as remote:
        _tell(_asked(remote, _path(customer), _said(body), note), as_json)


@app.command()
def change(
    customer: Customer,
    subscription: Subscription = None,
    *,
    plan: Annotated[
        str | None, typer.Option("--plan", help="The plan that takes the place of the present one.")
    ] = None,
    version: Version = None,
    quantity: Quantity = None,
    add: Added = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="ID", help="What falls away; repeatable.")
    ] = None,
    count: Annotated[
        list[str] | None, typer.Option("--count", metavar="ID=N", help="How many of what is held; repeatable.")
    ] = None,
    at: When = "now",
    scheduled: Annotated[
        str | None, typer.Option("--scheduled", help="keep or drop: what becomes of changes planned already.")
    ] = None,
    accept_breaches: AcceptBreaches = False,
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Change what a subscription consists of: another plan, add-ons, quantities. What is not said stays."""
    body = {
        "plan": plan,
        "version": version,
        "quantity": quantity,
        "add": _addons(add) or None,
        "remove": remove or None,
        "quantities": {name: number for one in count or () for name, number in [_counted("--count", one, None)]}
        or None,
        "scheduled": known_word("--scheduled", scheduled, ("keep", "drop")),
        "accept_breaches": accept_breaches or None,
    }
    _command(
        (customer, subscription),
        "change",
        {**body, "at": at, "dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command()
def unschedule(
    customer: Customer,
    subscription: Subscription = None,
    *,
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let all changes that are planned for later fall away."""
    _command(
        (customer, subscription),
        "unschedule",
        {"dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command()
def pause(
    customer: Customer,
    subscription: Subscription = None,
    *,
    at: When = "now",
    until: Until = None,
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let a subscription give nothing for a while, until an instant or until it is resumed."""
    body = {"at": at, "until": until}
    _command(
        (customer, subscription),
        "pause",
        {**body, "dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command()
def resume(
    customer: Customer,
    subscription: Subscription = None,
    *,
    at: When = "now",
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """End a pause, or take back one that is planned to begin at that instant."""
    _command(
        (customer, subscription),
        "resume",
        {"at": at, "dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command()
def cancel(
    customer: Customer,
    subscription: Subscription = None,
    *,
    at: When = "now",
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """End a subscription that was sold by hand."""
    _command(
        (customer, subscription),
        "cancel",
        {"at": at, "dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command()
def extend(
    customer: Customer,
    subscription: Subscription = None,
    *,
    until: Annotated[
        str,
        typer.Option(
            "--until", metavar="TIME", help="Its new end: 2026-12-31, P1Y from now, or none.", show_default=False
        ),
    ],
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let a subscription that has an end, agreed or by cancellation, end later or never."""
    _command(
        (customer, subscription),
        "extend",
        {"until": until, "dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command()
def reinstate(
    customer: Customer,
    subscription: Subscription = None,
    *,
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Take back a cancellation that has not happened yet."""
    _command(
        (customer, subscription),
        "reinstate",
        {"dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command("extend-trial")
def extend_trial(
    customer: Customer,
    subscription: Subscription = None,
    *,
    until: Annotated[
        str,
        typer.Option("--until", metavar="TIME", help="Its new end: 2026-12-31, or P5D from now.", show_default=False),
    ],
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let a trial that is not over last longer."""
    body = {"until": until}
    _command(
        (customer, subscription),
        "trial/extend",
        {**body, "dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


@app.command("convert-trial")
def convert_trial(
    customer: Customer,
    subscription: Subscription = None,
    *,
    dry_run: DryRun = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """End a running trial now: from now on it is paid."""
    _command(
        (customer, subscription),
        "trial/convert",
        {"dry_run": dry_run or None},
        note=note,
        workspace=workspace,
        as_json=as_json,
    )


def _command(
    named: tuple[str, str | None],
    verb: str,
    body: dict[str, Any],
    *,
    note: str | None,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Send one command about one subscription, and tell what became of it."""
    with connected(workspace) as remote:
        customer = named[0]
        path = f"{_path(customer, _found(remote, *named))}/{verb}"
        endless = ("none",) if verb == "extend" else ()
        timed = {
            name: None if text in endless else _moment(remote, text)
            for name in ("at", "until")
            if (text := body.get(name)) is not None
        }
        _tell(_asked(remote, path, _said(body) | timed, note), as_json)


def _asked(remote: Remote, path: str, body: dict[str, Any], note: str | None) -> Any:
    """Ask for a change; raises Failure in the words of the command line where it is refused."""
    from licet.cli.subscription_words import in_options

    try:
        return remote.call("POST", path, body, note=note)
    except Failure as failure:
        raise in_options(failure) from None


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    from licet.cli.subscription_text import change_lines

    out = output(as_json)
    out.document(answer)
    out.lines(change_lines(answer, out.width))


def _found(remote: Remote, customer: str, subscription: str | None) -> str:
    """Return the subscription that is meant: the named one, else the only one.

    Where there are several, the only one sold by hand that has not ended, else the only one that has not.
    """
    if subscription is not None:
        return id_of("subscription", subscription)
    known = remote.call("GET", _path(customer))["items"]
    running = [one for one in known if one["standing"] != "ended"]
    manual = [one for one in running if one["source"] == "manual"]
    for those in (known, manual, running):
        if len(those) == 1:
            return str(those[0]["id"])
    if not known:
        raise Failure(
            f"{customer} has no subscription",
            advice=f"sell one: licet subscription sell {customer} PLAN",
            code="usage",
        )
    raise Failure(
        f"{customer} has {len(running)} subscriptions that have not ended, so one must be named",
        advice=f"name one of {', '.join(one['id'] for one in manual or running)}"
        if running
        else f"list all: licet subscription list {customer}",
        code="usage",
    )


def _path(customer: str, subscription: str | None = None) -> str:
    from licet.cli.remote import segment

    path = f"/v1/customers/{segment(id_of('customer', customer))}/subscriptions"
    return path if subscription is None else f"{path}/{segment(subscription)}"


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _moment(remote: Remote, text: str) -> str:
    """Return a moment as the service reads it."""
    if text in ("now", "period-end", "period_end"):
        return text.replace("-", "_")
    return moment_from(text, lambda: str(remote.call("GET", "/v1/clock")["now"]))


def _addons(added: list[str] | None) -> list[dict[str, Any]]:
    return [{"addon": name, "quantity": number} for one in added or () for name, number in [_counted("--add", one, 1)]]


def _counted(option: str, text: str, otherwise: int | None) -> tuple[str, int]:
    """Read ``id=number``; raises Failure where the number is missing and needed, or is none."""
    name, equals, number = text.partition("=")
    if not equals and otherwise is not None:
        return id_of(f"id of {option}", name), otherwise
    if not (number.isascii() and number.isdigit() and int(number[:20]) > 0):
        raise Failure(
            f"{option} {text!r} has no number",
            advice=f"write {option} {name or 'api_boost'}=2, at least 1",
            code="usage",
        )
    return id_of(f"id of {option}", name), int(number[:20])
