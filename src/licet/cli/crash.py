"""Keeps the details of an unexpected error in a file of the user's, so that the terminal gets one sentence."""

import contextlib
import os
import tempfile
import traceback
from pathlib import Path


def keep_details(error: BaseException) -> Path | None:
    """Write the traceback to a fresh 0600 file in the temporary directory; None where that is impossible."""
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="licet-error-", suffix=".txt")
        with os.fdopen(handle, "w", errors="backslashreplace") as out:
            out.writelines(traceback.format_exception(error))
        return Path(name)
    return None
