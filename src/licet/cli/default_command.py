"""Groups of commands of which one is meant where none is named: ``balance acme`` for ``balance show acme``."""

from typing import Any, ClassVar

from typer.core import TyperGroup


class DefaultsToOne(TyperGroup):
    """A group whose first word is a command, else all of it belongs to :attr:`default_command`."""

    default_command: ClassVar[str] = "show"
    stands_alone: ClassVar[bool] = False
    """Whether it is meant where nothing at all is said, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        named = bool(args) and (args[0] in self.commands or args[0] in ("-h", "--help"))
        if not named and (args or self.stands_alone):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)
