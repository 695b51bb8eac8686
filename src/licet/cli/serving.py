"""``licet up``: the server, on the bundled database or on yours."""

from typing import Annotated

import typer


def up(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1 unless said).")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port (8080 unless said; 0: any free one).")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer; one that dies is started again.")
    ] = 1,
    insecure_listen: Annotated[
        bool, typer.Option("--insecure-listen", help="Listen beyond loopback without TLS, which ends before this.")
    ] = False,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log one JSON object a line.")] = False,
) -> None:
    """Start the server: database, migrations, workspaces live and test, keys at the first start. Ctrl-C stops it."""
    from licet.cli.server import serve_until_stopped

    serve_until_stopped(host, port, workers=workers, insecure_listen=insecure_listen, json_logs=json_logs)
