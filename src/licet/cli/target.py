"""Which server a command talks to: LICET_URL and LICET_KEY, or what the local home's running server left there."""

import os
from pathlib import Path
from typing import NamedTuple

from licet.cli.failure import Failure

DEFAULT_WORKSPACE = "live"


class Target(NamedTuple):
    """The address of a server and a key for one of its workspaces."""

    url: str
    key: str | None


def find_target(workspace: str | None, *, otherwise: str | None = None) -> Target:
    """Return where to send a command; raises Failure that says how to tell it."""
    url, key = said_url(), said_key()
    if key and workspace is not None:
        raise Failure(
            f"--workspace {workspace} and LICET_KEY are both given, and a key has a workspace of its own",
            advice="leave one of them out",
            code="usage",
        )
    if key and url:
        return Target(url, key)
    from licet.cli.homestead import Homestead

    local = Homestead.find()
    here = local.server_url()
    if url and not same_server(url, here):
        # A key of this machine goes to this machine's server only, never to an address from elsewhere.
        raise Failure(
            f"LICET_URL is {url}, and no key for it is given", advice="set LICET_KEY to a key of it", code="no_key"
        )
    if not here:
        raise Failure(
            "no server is known: LICET_URL is not set and no `licet up` runs here",
            advice="start one with `licet up`, or set LICET_URL and LICET_KEY",
            code="no_server",
        )
    return Target(here, key or _local_key(local.keys(), workspace or otherwise or DEFAULT_WORKSPACE, local.keys_path))


def said_url() -> str:
    """Return what LICET_URL says; empty where it says nothing."""
    return os.environ.get("LICET_URL", "").strip()


def said_key() -> str:
    """Return what LICET_KEY says; empty where it says nothing."""
    return os.environ.get("LICET_KEY", "").strip()


def same_server(url: str, here: str | None) -> bool:
    """Whether an address that somebody wrote is that of the local server."""
    return here is not None and _plain(url) == _plain(here)


def _plain(url: str) -> str:
    return url.rstrip("/").replace("//localhost:", "//127.0.0.1:", 1)


def _local_key(keys: dict[str, str], workspace: str, path: Path) -> str:
    key = keys.get(workspace)
    if key is None:
        known = f"it has keys for {', '.join(sorted(keys))}" if keys else "`licet up` makes it at its first start"
        raise Failure(
            f"there is no key for workspace {workspace!r} in {path}",
            advice=f"{known}; or set LICET_KEY",
            code="no_key",
        )
    return key
