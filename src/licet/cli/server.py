"""What `licet up` does around the server: first keys, the address for commands, and calm words on the terminal."""

import sys
from typing import Final

from licet.cli.failure import Failure
from licet.cli.homestead import Homestead
from licet.cli.output import ACCENT, BOLD, DIM, Line, Output
from licet.cli.team import serve_as_team
from licet.cli.whereabouts import not_reached
from licet.services.keys import CreateKey, create_key
from licet.services.ports import Storage
from licet.services.rows import Page
from licet.settings import Settings
from licet.wiring import Listening, home_of, local_actor, serve

ADMIN_NAME: Final = "first key, made by licet up"


def serve_until_stopped(
    host: str | None, port: int | None, *, workers: int, insecure_listen: bool, json_logs: bool
) -> None:
    """Serve until Ctrl-C or SIGTERM; raises Failure where it cannot begin."""
    as_json = json_logs or not sys.stdout.isatty()
    settings = Settings.read(
        host=host,
        port=port,
        insecure_listen=insecure_listen or None,
        log_format="json" if as_json else "console",
    )
    run_server(settings, Output(as_json=json_logs), workers=workers)


def run_server(settings: Settings, out: Output, *, workers: int = 1) -> None:
    """Serve with these settings; tells where it listens and where the first keys are kept."""
    _refuse_a_second(Homestead(home_of(settings)))
    homes: list[Homestead] = []

    async def started(listening: Listening, storage: Storage) -> None:
        home = Homestead(listening.home)
        if not home.occupy():
            raise _second(home)
        made = await first_keys(storage, home)
        home.publish(listening.url)
        homes.append(home)
        out.document({"listening": listening.url, "home": str(listening.home), "keys": str(home.keys_path)})
        out.lines(_greeting(listening.url, home, made, show=out.rich))

    try:
        if workers == 1:
            serve(settings, started=started)
        else:
            serve_as_team(settings, workers, started)
    except Failure:
        raise
    except Exception as error:
        _refuse_a_second(Homestead(home_of(settings)))
        raise _not_served(error, settings) from error
    finally:
        for home in homes:
            home.withdraw()
    out.line(("stopped", DIM))


async def first_keys(storage: Storage, home: Homestead) -> dict[str, str]:
    """Make one admin key for each workspace that has no key at all; return those that were made."""
    made: dict[str, str] = {}
    for workspace in await storage.workspaces():
        async with storage.read(workspace.id) as view:
            if await view.keys(Page(limit=1)):
                continue
        async with storage.write(workspace.id, local_actor(), note="first start") as tx:
            created = await create_key(tx, CreateKey(name=ADMIN_NAME, scopes=frozenset({"admin"})))
        made[workspace.id] = created.secret
        home.keep_keys(home.keys() | made)
    return made


def _greeting(url: str, home: Homestead, made: dict[str, str], *, show: bool) -> list[Line]:
    lines: list[Line] = [
        [("Licet answers at ", BOLD), (url, f"{BOLD} {ACCENT}"), (f"   (documentation: {url}/docs)", DIM)],
        (f"  home  {home.home}", DIM),
    ]
    if made:
        # Secrets go to a person's terminal, never into a pipe: that is some log.
        lines.append(f"  keys  {home.keys_path} (mode 0600)")
        lines.append(f"  first start: an admin key for each workspace{', shown this once' if show else ''}")
        lines.extend(f"    {workspace:<5} {key if show else 'made'}" for workspace, key in made.items())
    lines.append(("  commands on this machine find it by themselves; Ctrl-C stops it", DIM))
    return lines


def _refuse_a_second(home: Homestead) -> None:
    if home.server_url() is not None:
        raise _second(home)


def _second(home: Homestead) -> Failure:
    url = home.server_url()
    where = f"at {url}" if url else "and begins just now"
    return Failure(
        f"a server of the home {home.home} runs already, {where}",
        advice="commands find it by themselves; stop it first, or set LICET_HOME for a server of another home",
        code="running",
    )


def _not_served(error: Exception, settings: Settings) -> Exception:
    """Return the failure for what kept the server from beginning; what is unexpected stays as it is."""
    codes: dict[str, str] = {
        "OpenToAll": "open_to_all",
        "BundledError": "bundled",
        "SetupError": "setup",
        "MigrationError": "migration",
        "KeyringError": "keyring",
        "WorkerError": "workers",
    }
    code = codes.get(type(error).__name__)
    if code is not None:
        return Failure(str(error), code=code)
    if isinstance(error, OSError) and str(error.strerror or "").startswith("cannot listen"):
        words = str(error.strerror).partition("; ")[0]
        return Failure(words, advice="choose another --port; 0 takes a free one", code="port_taken")
    return not_reached(settings, error) or error
