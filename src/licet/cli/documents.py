"""Reads the files that commands are given."""

import json
import sys
from pathlib import Path
from typing import Any

from licet.cli.failure import NO, Failure

MAX_BYTES = 2 * 1024 * 1024


def read_text(file: Path) -> str:
    """Return a file's text (``-`` is standard input); raises Failure for what is no readable UTF-8 file."""
    if str(file) == "-":
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        if file.is_dir():
            raise Failure(f"{file} is a directory, not a file", advice="name the file in it", code="file")
        try:
            with file.open("rb") as source:
                content = source.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise Failure(f"there is no file {file}", advice="check the path", code="file") from None
    if len(content) > MAX_BYTES:
        raise Failure(f"{file} is larger than 2 MiB", advice="split it", code="file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(
            f"{file} is not UTF-8 text (byte {error.start} is 0x{content[error.start]:02x})",
            advice="save it as UTF-8",
            code="file",
        ) from None


def is_json(file: Path) -> bool:
    """Whether a file's name says that it holds JSON."""
    return file.suffix == ".json"


def read_document(file: Path) -> Any:
    """Return a JSON or YAML file's content as plain values; raises Failure with line and column."""
    text = read_text(file)
    if is_json(file) or text.lstrip()[:1] == "{":
        try:
            return json.loads(text)
        except ValueError as error:
            place = f"{file}:{getattr(error, 'lineno', 1)}:{getattr(error, 'colno', 1)}"
            words = getattr(error, "msg", str(error))
            raise Failure(f"{place}: this is not JSON: {words}", code="file", exit_code=NO) from None
        except RecursionError:
            raise Failure(f"{file} is nested too deeply", code="file", exit_code=NO) from None
    from licet.cli.tree_values import read_yaml

    return read_yaml(file, text)
