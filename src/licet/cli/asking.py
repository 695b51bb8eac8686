"""Asks the person at the keyboard; where there is none, says which option answers instead."""

import sys

import typer

from licet.cli.failure import Failure


def ask_secret(what: str, *, instead: str) -> str:
    """Ask for something that must not be shown; raises Failure where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Failure(f"nobody can be asked for the {what} here", advice=instead, code="usage")
    return str(typer.prompt(what, hide_input=True)).strip()


def confirm(question: str, *, instead: str) -> bool:
    """Ask yes or no (no unless said); raises Failure where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Failure("nobody can be asked for consent here", advice=instead, code="usage")
    return bool(typer.confirm(question, default=False))
