"""Puts the commands together. Only typer is loaded here; each command imports what it needs when it runs."""

from collections.abc import Callable

import typer

from licet.cli import (
    audit,
    balances,
    benches,
    catalogs,
    check_counts,
    checks,
    clock,
    connectors,
    consuming,
    customers,
    demos,
    doctor,
    dunning,
    epochs,
    findings,
    grants,
    history,
    keys,
    leases,
    log,
    orders,
    reporting,
    serving,
    signing,
    subscriptions,
    top,
    usages,
)
from licet.cli.options import AsJson

_ABOUT = """One place that knows what every customer bought, one evaluator that enforces it.

First: [bold]licet demo[/bold] tells the story, [bold]licet up[/bold] starts the server."""


def build() -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        name="licet",
        help=_ABOUT,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    start, ask, use, change, trust = "Start", "Ask", "Use", "Sell", "Trust"
    _add(app, serving.up, start, "Start the server on the bundled database, or on yours.")
    _add(app, demos.demo, start, "The whole story, live: orders, access, reasons, tampering.")
    _add(app, doctor.doctor, start, "Where things are and whether they are well.")
    _add(app, version, start, "Which Licet this is.")
    _add(app, checks.check, ask, "May this customer use this feature now?")
    _add(app, checks.explain, ask, "Why? From the order line to the decision.")
    _add(app, checks.entitlements, ask, "Everything a customer may do.")
    _add(app, history.history, ask, "What changed in a customer's rights, when and why.")
    _add(app, check_counts.checks, ask, "How often was asked what, and how often denied.")
    _add(app, findings.findings, ask, "What does not fit together.")
    app.add_typer(findings.app, name="finding", rich_help_panel=ask)
    _add(app, consuming.consume, use, "Use so much: decided and recorded at once.")
    _add(app, consuming.reserve, use, "Set so much aside until it is settled.")
    _add(app, consuming.settle, use, "End a reservation with what it came to.")
    _add(app, consuming.release, use, "End a reservation that came to nothing.")
    _add(app, consuming.reservations, use, "What is set aside and not settled.")
    _add(app, reporting.report, use, "Tell of use that has happened.")
    app.add_typer(balances.app, name="balance", rich_help_panel=use)
    app.add_typer(usages.app, name="usage", rich_help_panel=use)
    app.add_typer(grants.app, name="grant", rich_help_panel=use)
    _add(app, top.top, use, "Live: rates, limits, refusals.")
    _add(app, leases.leases, use, "What programs own, and use without asking.")
    _add(app, grants.grants, use, "What was put on a customer's balances.")
    app.add_typer(catalogs.app, name="catalog", rich_help_panel=change)
    app.add_typer(customers.app, name="customer", rich_help_panel=change)
    app.add_typer(orders.app, name="order", rich_help_panel=change)
    app.add_typer(subscriptions.app, name="subscription", rich_help_panel=change)
    app.add_typer(dunning.app, name="dunning", rich_help_panel=change)
    app.add_typer(connectors.app, name="connector", rich_help_panel=change)
    app.add_typer(clock.app, name="clock", rich_help_panel=change)
    _add(app, log.log, trust, "Every change, in the order of commit.")
    app.add_typer(audit.app, name="audit", rich_help_panel=trust)
    app.add_typer(keys.app, name="keys", rich_help_panel=trust)
    app.add_typer(signing.app, name="signing", rich_help_panel=trust)
    app.add_typer(epochs.app, name="epoch", rich_help_panel=trust)
    _add(app, benches.bench, trust, "Measure a promise of speed on this machine.")
    return app


def _add(app: typer.Typer, command: Callable[..., None], panel: str, short: str) -> None:
    app.command(rich_help_panel=panel, short_help=short)(command)


def version(as_json: AsJson = False) -> None:
    """Print which Licet this is."""
    import platform

    from licet.cli.session import output
    from licet.cli.version import version as licet_version

    out = output(as_json)
    out.document({"licet": licet_version(), "python": platform.python_version()})
    out.line(f"licet {licet_version()} (Python {platform.python_version()})")
