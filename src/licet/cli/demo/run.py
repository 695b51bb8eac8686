"""Runs the demo: a server, database and home of its own; the story; then it stays up, or ends, and cleans up."""

import shlex
import signal
import socket
import time
from pathlib import Path
from typing import Final

from licet.cli.calling import calling
from licet.cli.companion import Companion
from licet.cli.demo.picture import draw
from licet.cli.demo.stage import WORKSPACE, Stage
from licet.cli.demo.story import tell
from licet.cli.demo.tampering import the_proof
from licet.cli.demo.teller import WIDTH, Teller, Watch
from licet.cli.failure import NO, Ended, Failure
from licet.cli.fresh import DEMO, clear, fresh_settings, sweep
from licet.cli.output import ACCENT, BAD, BOLD, DIM, GOOD, Line, Output
from licet.cli.remote import Remote

USUAL_PORT: Final = 8080


def run_demo(out: Output, *, once: bool, svg: Path | None, port: int | None) -> None:
    """Tell the story; exit code 1 where an outcome was not as told."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A background job of a script inherits an ignored SIGINT; the demo must end by it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sweep(DEMO)
    settings = fresh_settings(DEMO, port=_port(port))
    teller = Teller(out)
    teller.say([("Licet", f"{BOLD} {ACCENT}"), ("  the story of the vendor Meridian, live", BOLD)])
    teller.say(("     a server, a database and a test workspace of their own, over HTTP", DIM))
    server = Companion(settings)
    try:
        watch = Watch()
        url = server.start()
        key = server.home.keys()[WORKSPACE]
        teller.say((f"     up at {url} after {watch.ms / 1000:.1f} s", DIM))
        with Remote(url, key) as remote:
            tell(Stage(remote, teller), teller)
        the_proof(server.home.home, teller)
        teller.say()
        teller.say(_sum(teller, watch.ms / 1000))
        if svg is not None:
            draw(teller.told, svg, title="licet demo --once", width=WIDTH + 4)
        out.document(teller.document(url=url, workspace=WORKSPACE, home=str(server.home.home)))
        if not once:
            _stay(out, server, url, key)
    finally:
        server.stop()
        clear(server.home.home)
    if not teller.ok:
        raise Ended(NO)


def _port(asked: int | None) -> int:
    if asked is not None:
        return asked
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            return 0
    return USUAL_PORT


def _sum(teller: Teller, seconds: float) -> Line:
    wrong = sum(not step.ok for chapter in teller.chapters for step in chapter.steps)
    if wrong:
        return [
            (f" ✗  {wrong} of {teller.steps} outcomes were not as told", f"{BOLD} {BAD}"),
            (f"   {seconds:.1f} s", DIM),
        ]
    return [
        (f" ✓  all {teller.steps} outcomes as told", f"{BOLD} {GOOD}"),
        (f"   {seconds:.1f} s, the server's start included", DIM),
    ]


def _stay(out: Output, server: Companion, url: str, key: str) -> None:
    out.lines(_to_try(url, key, server.home.home))
    try:
        while server.running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        out.line()
        return
    raise Failure("the server of the demo ended by itself", advice="run the demo again", code="ended")


def _to_try(url: str, key: str, home: Path) -> list[Line]:
    licet = calling()
    ask = 'curl -s -H "Authorization: Bearer $LICET_KEY"'
    return [
        "",
        (" It stays up for you. In another terminal:", BOLD),
        "",
        f"export LICET_HOME={shlex.quote(str(home))} LICET_URL={url} LICET_KEY={key}",
        f'{ask} $LICET_URL/v1/check -H \'Content-Type: application/json\' -d \'{{"customer":"acme","feature":"sso"}}\'',
        f"{ask} $LICET_URL/v1/customers/acme/entitlements",
        f'{ask} "$LICET_URL/v1/events?limit=5"',
        "",
        (" The same with words, and the proof of the log:", DIM),
        f"{licet} explain acme sso",
        f"{licet} audit verify",
        "",
        [("     every operation:      ", DIM), f"{url}/docs"],
        "",
        (f"     Ctrl-C ends it and removes {home}", DIM),
    ]
