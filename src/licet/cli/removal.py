"""Removes this machine's home with the bundled database: `licet doctor --remove-home`, `make clean`."""

from licet.cli.failure import Failure
from licet.cli.fresh import BENCH, DEMO, sweep
from licet.cli.output import Output
from licet.settings import Settings
from licet.store.bundled import BundledError, remove
from licet.wiring import home_of


def remove_everything(out: Output, *, yes: bool) -> None:
    """Delete the home and what killed demos and benches left beside it; raises Failure while the home is in use."""
    home = home_of(Settings.read())
    if home.exists() and not yes:
        from licet.cli.asking import confirm

        if not confirm(f"delete {home} with all data in it?", instead="give --yes if you mean it"):
            out.line("nothing was removed")
            out.document({"home": str(home), "removed": False})
            return
    try:
        removed = remove(home)
    except BundledError as error:
        raise Failure(str(error), code="in_use") from None
    sweep(DEMO)
    sweep(BENCH)
    out.document({"home": str(home), "removed": removed})
    out.line(f"removed {home}" if removed else f"there is no home at {home}: nothing to remove")
