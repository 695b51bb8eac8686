"""Groups of commands of which one is meant where none is named: ``balance acme`` for ``balance show acme``."""

from typing import Any, ClassVar

from typer.core import TyperGroup


class DefaultsToOne(TyperGroup):
    """A group whose first word is a command, else all of it belongs to :attr:`default_command`."""

    default_command: ClassVar[str] = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        if args and args[0] not in self.commands and not {"-h", "--help"}.intersection(args[:1]):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)
