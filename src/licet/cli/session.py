"""What every command over HTTP begins with: an output and a connection, found and closed in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

from licet.cli.output import Output
from licet.cli.remote import Remote


@contextmanager
def connected(workspace: str | None, *, otherwise: str | None = None, timeout: float = 15.0) -> Iterator[Remote]:
    """Connect to the server that LICET_URL and LICET_KEY, or else the local home, name; raises Failure without one.

    ``otherwise`` is the workspace of a command that means another one than the usual where none is named.
    """
    from licet.cli.target import find_target

    target = find_target(workspace, otherwise=otherwise)
    with Remote(target.url, target.key, timeout=timeout) as remote:
        yield remote


def output(as_json: bool) -> Output:
    """Return where a command prints."""
    return Output(as_json=as_json)
