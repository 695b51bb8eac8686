"""The console script ``licet``: runs one command and turns whatever happens into an answer and an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from licet.cli.failure import COULD_NOT, Ended, Failure, translate
from licet.cli.same_workspace import forget, here

if TYPE_CHECKING:
    from licet.cli.output import Output


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line (the process's own by default) and exit with its code; never shows a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _tolerant_streams()
    try:
        sys.exit(run(given))
    except BrokenPipeError:
        # The reader (head, less) has seen enough; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; prints what went wrong."""
    if list(arguments) in (["--version"], ["-V"]):
        from licet.cli.version import version_line

        print(version_line())
        return 0
    forget()
    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        from licet.cli.app import build

        build()(args=rest, prog_name="licet", standalone_mode=False)
    except Ended as ended:
        return ended.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        # The last net: people get a sentence, never a traceback.
        if debug and not hasattr(error, "format_message"):
            raise
        return _report(error, as_json="--json" in rest)
    return 0


def _report(error: Exception, *, as_json: bool) -> int:
    name = type(error).__name__
    if name == "Exit":
        return int(getattr(error, "exit_code", 0))
    if name == "Abort":
        print("stopped: nothing was changed", file=sys.stderr)
        return 130
    if name == "NoArgsIsHelpError":
        print(error)
        return COULD_NOT
    failure = _usage(error) or translate(error) or _unexpected(error)
    failure.advice = here(failure.advice)
    _show(failure, as_json=as_json)
    return failure.exit_code


def _usage(error: Exception) -> Failure | None:
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    from licet.cli.plain_words import plain_words

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "licet"
    words = plain_words(str(format_message()).rstrip("."))
    return Failure(words[:1].lower() + words[1:], advice=f"see `{path} --help`", code="usage")


def _unexpected(error: Exception) -> Failure:
    from licet.cli.crash import keep_details

    kept = keep_details(error)
    where = f"the details are in {kept}" if kept else "run it again with --debug for the details"
    return Failure(
        f"something unexpected went wrong: {type(error).__name__}: {str(error)[:300] or 'no words'}",
        advice=f"{where}; please report it",
        code="unexpected",
    )


def _show(failure: Failure, *, as_json: bool) -> None:
    from licet.cli.output import BAD, BOLD, DIM, Output

    if as_json:
        Output(as_json=True).document(failure.document())
        return
    out = Output(stream=sys.stderr)
    _labeled(out, ("error: ", f"{BOLD} {BAD}"), failure.words)
    if "licet " in failure.advice:
        # A command is copied as it stands: it is not broken here.
        out.line([("  next: ", DIM), failure.advice])
    elif failure.advice:
        _labeled(out, ("  next: ", DIM), failure.advice)


def _labeled(out: "Output", label: tuple[str, str], text: str) -> None:
    """Print a text behind its label, broken between words on a terminal."""
    from licet.cli.words import wrapped

    indent = len(label[0])
    first, *rest = wrapped(text, None if out.width is None else out.width - indent, "", "")
    out.line([label, first])
    out.lines(" " * indent + line for line in rest)


def _tolerant_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
