"""A part of a bench in a process of its own: what it is to do goes in, what came of it comes out."""

import subprocess
import sys
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from licet.cli.failure import Failure

PATIENCE: Final = 60.0
T = TypeVar("T", bound=Struct)


def apart(module: str, task: Struct, kind: type[T], *, seconds: float, name: str = "load") -> T:
    """Return what ``licet.cli.bench.<module>`` made of a task that takes so many seconds; raises Failure."""
    done = subprocess.run(
        [sys.executable, "-m", f"licet.cli.bench.{module}"],
        input=msgspec.msgpack.encode(task),
        capture_output=True,
        check=False,
        timeout=seconds + PATIENCE,
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()
        raise Failure(f"the {name} ended: {last[-1] if last else 'it said nothing'}", code="load_failed")
    return msgspec.json.decode(done.stdout, type=kind)
