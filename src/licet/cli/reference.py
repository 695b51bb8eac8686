"""Writes the reference page of all commands from the commands themselves: ``python -m licet.cli.reference``."""

from collections.abc import Iterator
from typing import Any, Final

import typer

from licet.cli.app import build

_HEAD: Final = """# Commands

Made from the commands themselves by `python -m licet.cli.reference`; a test compares.

**Where they work.** Most commands ask the HTTP service: the one that `LICET_URL` names, with the key in
`LICET_KEY`; without these, the server that `licet up` runs on this machine, with the key that its first start
kept (`-w` chooses the workspace: `live` unless said, for `clock` `test`). `keys`, `audit` and `doctor` use the
database itself, that of `LICET_HOME` or of `LICET_DATABASE_URL`, and act as `local:<os user>`; they create
none and say which they used, and with `LICET_URL` of another home's server they refuse. `demo` and `bench` make a
server and a database of their own and remove them.

**Exit codes.** 0: done, or yes. 1: the answer is no. 2: could not answer (wrong arguments, no server, a key that
is unknown or may not do this, something that does not exist). What "no" means depends on the command:

| | 1 means |
|---|---|
| `check` | the decision is a refusal |
| `consume`, `reserve` | it is refused, nothing was taken |
| `settle`, `release` | the reservation was ended otherwise, or is over |
| `order send` | the order was refused or is in conflict, or is no valid order |
| `catalog validate`, `preview`, `apply` | the file is no valid catalog, or the preview is stale, or you said no |
| `catalog rehearse` | with `--expect-same`: an answer would differ (2: unknown of some, or of all; a broken file) |
| `catalog move` | nobody would be moved, more would lose something than you allow, or you said no |
| what changes something: `customer`, `subscription`, `grant`, `dunning`, `clock` … | the server refuses it as it is |
| `connector status`, `replay` | messages of a source could not be applied (dead letters are left) |
| `audit verify` | the log, or the checkpoint, does not fit |
| `doctor`, `demo` | something is wrong, or went otherwise than told |
| `catalog status` | could not tell (it alone differs: 0 in sync, 2 not) |

Commands that only show something (`explain`, `entitlements`, `log`, `findings`, `balance`, `usage`, …) know 0 and 2.

**Output.** Colors on a terminal, plain text when piped; `NO_COLOR` is minded. `--json` prints one JSON
object, also for an error: `{"error": {"code", "words", "advice"}}`. `--debug` shows the traceback of an
unexpected error, whose details are otherwise kept in a file.
"""


def page() -> str:
    """Return the page as Markdown."""
    root = typer.main.get_command(build())
    lines = [_HEAD]
    for path, command in _walk(root, "licet"):
        lines += [f"## {path}", "", _text(command.help), "", *_options(command), ""]
    return "\n".join(lines).rstrip() + "\n"


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _walk(child, f"{path} {name}")


def _options(command: Any) -> list[str]:
    rows = []
    for parameter in command.params:
        if "--help" in parameter.opts:
            continue
        if parameter.param_type_name == "argument":
            name = parameter.metavar or str(parameter.name).upper()
            rows.append(f"| `{name}` | {_text(parameter.help)}{'' if parameter.required else ' (optional)'} |")
        else:
            names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len, reverse=True))
            value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
            rows.append(f"| {names}{value} | {_text(parameter.help)}{' (required)' if parameter.required else ''} |")
    return ["| | |", "|---|---|", *rows] if rows else []


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
