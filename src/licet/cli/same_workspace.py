"""Commands that are advised mean the workspace in which the present one ran: what is pasted leads to no other."""

import re
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from licet.cli.target import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from click import Command

OPTION: Final = "-w"
_NAMED: Final[ContextVar[str | None]] = ContextVar("workspace", default=None)
_COMMAND: Final = re.compile(r"(?<![\w/.-])licet(?P<words>(?: [a-z][a-z-]*(?![\w/@-]|\.\w))+)")
_END: Final = re.compile(r"`|(?<!\\)\n|; |(?<![\w/.-])licet ")
"""Where an advised command ends at the latest."""
_SAID: Final = re.compile(r"(?<!\S)(-w|--workspace)(?![\w-])")


def remembered(workspace: str | None) -> str | None:
    """Keep which workspace the present command names, and return it: what the option ``-w`` calls."""
    _NAMED.set(workspace)
    return workspace


def forget() -> None:
    """Begin a command that has named no workspace yet."""
    _NAMED.set(None)


def here(text: str) -> str:
    """Return advice whose ``licet`` commands mean the workspace that the present command named.

    One that takes no workspace, or names one, stays as it is; so do all where the usual workspace is meant.
    """
    workspace = _NAMED.get()
    if workspace in (None, DEFAULT_WORKSPACE) or "licet " not in text:
        return text
    parts, done = [], 0
    for found in _COMMAND.finditer(text):
        taken = _taking(found["words"].split())
        if taken is None:
            continue
        end = found.start("words") + len("".join(f" {word}" for word in taken))
        stop = _END.search(text, end)
        rest = text[end : stop.start() if stop else len(text)]
        if _SAID.search(rest):
            continue
        quoted = stop is not None and stop[0] == "`" and text[: found.start()].endswith("`")
        end += len(rest) if quoted else 0
        parts += [text[done:end], f" {OPTION} {workspace}"]
        done = end
    return "".join([*parts, text[done:]])


def _taking(words: list[str]) -> list[str] | None:
    """Return the words that name a command which takes a workspace; None where they name none."""
    from typer.core import TyperGroup

    from licet.cli.default_command import DefaultsToOne

    command: Command | Any = _whole()
    taken: list[str] = []
    for word in words:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        command = command.commands[word]
        taken.append(word)
    if isinstance(command, DefaultsToOne):
        command = command.commands[command.default_command]
    return taken if any(OPTION in one.opts for one in command.params) else None


@cache
def _whole() -> "Command | Any":
    from typer.main import get_command

    from licet.cli.app import build

    return get_command(build())
