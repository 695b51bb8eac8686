"""What a command says when it cannot do what was asked: a sentence, what to do next, and an exit code."""

from typing import Any, Final

NO: Final = 1
"""Exit code: the question was answered, and the answer is no (refused, invalid, broken log)."""
COULD_NOT: Final = 2
"""Exit code: the question could not be answered (wrong arguments, unreachable service, missing file)."""


class Failure(Exception):
    """A command ends here. ``words`` is one sentence, ``advice`` what to do, ``code`` a stable id for scripts."""

    def __init__(
        self,
        words: str,
        *,
        advice: str = "",
        code: str = "failed",
        exit_code: int = COULD_NOT,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(words)
        self.words = words
        self.advice = advice
        self.code = code
        self.exit_code = exit_code
        self.details = details or {}

    def document(self) -> dict[str, Any]:
        """Return the failure as the one JSON object that ``--json`` prints."""
        error: dict[str, Any] = {"code": self.code, "words": self.words}
        if self.advice:
            error["advice"] = self.advice
        return {"error": {**error, **self.details}}


class Ended(Exception):
    """A command has printed its answer and ends with this exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def translate(error: BaseException) -> Failure | None:
    """Return the failure that a known error means; None for an unexpected one."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ModuleNotFoundError) and not (error.name or "licet").startswith("licet"):
        return Failure(
            f"the command line needs Licet's server part: the module {error.name} is not installed",
            advice="install it with: pip install 'licet[server]'",
            code="not_installed",
        )
    if isinstance(error, OSError) and error.filename is not None:
        return Failure(f"{error.filename}: {_reason(error)}", advice="check the path and its permissions", code="file")
    words = getattr(error, "words", None)
    code = getattr(error, "code", None)
    if isinstance(words, str) and isinstance(code, str):
        return Failure(words, advice=getattr(error, "advice", ""), code=code)
    if type(error).__name__ in {"BundledError", "SettingsError"}:
        return Failure(str(error), code="bundled" if type(error).__name__ == "BundledError" else "settings")
    return None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
