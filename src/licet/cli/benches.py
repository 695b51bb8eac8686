"""``licet bench``: measure one promise of speed on this machine."""

from enum import StrEnum
from typing import Annotated

import typer

from licet.cli.failure import Failure
from licet.cli.options import AsJson
from licet.cli.session import output


class Bench(StrEnum):
    """What can be measured."""

    CHECK = "check"
    ORDER_TO_ACCESS = "order_to_access"
    EXPLAIN = "explain"
    PREVIEW = "preview"


def bench(
    name: Annotated[
        Bench, typer.Argument(metavar="NAME", help="check, order_to_access, explain or preview.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Measure, compare with a baseline of the same run, and say what is missing to the goal. Exit code 2: could not."""
    import signal

    out = output(as_json)
    # A bench that is told to end removes what it made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if name is Bench.CHECK:
            from licet.cli.bench.checking import bench_check

            bench_check(out)
        elif name is Bench.EXPLAIN:
            from licet.cli.bench.explaining import bench_explain

            bench_explain(out)
        elif name is Bench.PREVIEW:
            from licet.cli.bench.previewing import bench_preview

            bench_preview(out)
        else:
            from licet.cli.bench.order_to_access import bench_order_to_access

            bench_order_to_access(out)
    except Failure as failure:
        raise Failure(
            f"could not measure {name.value}: {failure.words}", advice=failure.advice, code="not_measured"
        ) from failure
