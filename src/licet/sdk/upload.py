"""What every upload of a client is made of: the way to its server, an end, and a log that hears each trouble once."""

from collections.abc import Callable
from typing import Final

from licet.sdk.effects import Request
from licet.sdk.pacing import Pace

JSON: Final = "application/json"


class Upload:
    """The part that is the same for whatever is told. ``ticks`` is the monotonic clock, ``tempo`` scales waits."""

    def __init__(
        self, pace: Pace, ticks: Callable[[], float], *, url: str, seconds: float = 10.0, tempo: float = 1.0
    ) -> None:
        self._pace = pace
        self._ticks = ticks
        self._url = url
        self._seconds = seconds
        self._tempo = tempo
        self._last = False
        self._said: set[str] = set()

    def finish(self) -> None:
        """Nothing more comes: tell what there is, as far as it goes, then end. Wake the flow after this."""
        self._last = True

    def _post(self, path: str, body: bytes, *, content: str = JSON, repeats: bool = True) -> Request:
        return Request(method="POST", path=path, body=body, content=content, seconds=self._seconds, repeats=repeats)

    def _say(self, words: str, cause: object) -> None:
        """Tell the log, once for each cause."""
        if str(cause) not in self._said:
            self._said.add(str(cause))
            import logging

            logging.getLogger("licet.sdk").warning("%s", words)
