"""How a person types this very command line in a shell: by its name where the path finds it, else by its whole path."""

import shlex
import shutil
import sys
from pathlib import Path

NAME = "licet"


def calling() -> str:
    """Return what begins a command, quoted for a shell."""
    script = _script()
    found = shutil.which(NAME)
    if script is None or (found is not None and Path(found).resolve() == script.resolve()):
        return NAME
    return shlex.quote(str(script))


def _script() -> Path | None:
    """Return the running script, or the one beside the running Python; None where there is neither."""
    for candidate in (Path(sys.argv[0]), Path(sys.executable).with_name(NAME)):
        if candidate.name == NAME and candidate.is_file():
            return candidate.absolute()
    return None
