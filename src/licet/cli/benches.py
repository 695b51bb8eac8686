"""``licet bench``: measure one promise of speed on this machine."""

from enum import StrEnum
from importlib import import_module
from typing import Annotated, Final

import typer

from licet.cli.failure import Failure
from licet.cli.options import AsJson
from licet.cli.session import output


class Bench(StrEnum):
    """What can be measured."""

    CHECK = "check"
    CHECK_HTTP = "check_http"
    SCALE = "scale"
    PROPAGATION = "propagation"
    ORDER_TO_ACCESS = "order_to_access"
    EXPLAIN = "explain"
    PREVIEW = "preview"
    CONSUME_HTTP = "consume_http"
    EVENTS = "events"
    CONSUME_LOCAL = "consume_local"
    OVERSHOOT = "overshoot"


MODULES: Final = {
    Bench.CHECK: "checking",
    Bench.CHECK_HTTP: "check_http",
    Bench.SCALE: "scaling",
    Bench.PROPAGATION: "propagating",
    Bench.ORDER_TO_ACCESS: "order_to_access",
    Bench.EXPLAIN: "explaining",
    Bench.PREVIEW: "previewing",
    Bench.CONSUME_HTTP: "consume_http",
    Bench.EVENTS: "events",
    Bench.CONSUME_LOCAL: "consume_local",
    Bench.OVERSHOOT: "overshooting",
}
"""The module below ``licet.cli.bench`` whose function ``bench_<name>`` measures it."""


ON_ANY_DATABASE: Final = frozenset({Bench.CONSUME_HTTP, Bench.EVENTS})
"""Those that measure PostgreSQL too, and so on any."""


def bench(
    name: Annotated[Bench, typer.Argument(metavar="NAME", help=", ".join(Bench) + ".", show_default=False)],
    *,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Of consume_http and events: on a new database beside this one, instead of the bundled one.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Of overshoot: fewer processes, and no waiting until leases of those that are gone end."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure, compare with a baseline of the same run, and say what is missing to the goal. Exit code 2: could not."""
    import signal

    out = output(as_json)
    if database is not None and name not in ON_ANY_DATABASE:
        raise Failure(
            f"{name.value} is measured on the bundled database only",
            advice=f"leave --database out; it is for {' and '.join(sorted(ON_ANY_DATABASE))}",
            code="usage",
        )
    if quick and name is not Bench.OVERSHOOT:
        raise Failure(f"{name.value} has no quick form", advice="leave --quick out; it is for overshoot", code="usage")
    # A bench that is told to end removes what it made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        module = import_module(f"licet.cli.bench.{MODULES[name]}")
        given = {"database": database} if name in ON_ANY_DATABASE else {"quick": quick} if quick else {}
        getattr(module, f"bench_{name.value}")(out, **given)
    except Failure as failure:
        raise Failure(
            f"could not measure {name.value}: {failure.words}", advice=failure.advice, code="not_measured"
        ) from failure
