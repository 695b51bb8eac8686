"""Performs requests with the standard library's ``http.client``: blocking, for one thread, closable from another."""

import socket
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
    RemoteDisconnected,
)
from time import time
from typing import TYPE_CHECKING, Final

from licet.sdk.effects import Answer, Chunk, Fault, Request
from licet.sdk.place import Place

if TYPE_CHECKING:
    import ssl

_PIECE: Final = 256 * 1024
_MOST_REFUSAL: Final = 64 * 1024
"""Bytes read of an answer that is no feed."""

_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""What OpenSSL, old and new, calls an answer that is no TLS."""


class Transport:
    """One connection at a time. ``cut`` may be called by any thread and ends whatever waits."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._context: ssl.SSLContext | None = None
        self._connection: HTTPConnection | None = None
        self._answer: HTTPResponse | None = None
        self._sock: socket.socket | None = None
        """Of the connection, which forgets it once the server has said that it will close."""
        self._cut = False

    def open(self, request: Request) -> Answer | Fault:
        """Send a request; a body with status 200 is left to be read."""
        self.shut()
        try:
            answer = self._sent(request)
            if answer.status == 200:
                self._answer = answer
                return _head(answer, b"")
            return _head(answer, answer.read(_MOST_REFUSAL))
        except (OSError, HTTPException, ValueError) as error:
            self.shut()
            return Fault(why(error, self._place))

    def read(self, seconds: float) -> Chunk | Fault:
        """Return the next bytes of the open answer, empty at its end."""
        try:
            if self._answer is None or self._sock is None:
                return Fault("there is no open answer")
            self._sock.settimeout(seconds)
            return Chunk(self._answer.read1(_PIECE))
        # A connection cut by another thread fails in ways of its own, an AttributeError of ssl among them.
        except (OSError, HTTPException, ValueError, AttributeError) as error:
            self.shut()
            return Fault(why(error, self._place))

    def ask(self, request: Request, most: int) -> Answer | Fault:
        """Send a request and return its whole answer; the connection is kept for the next one."""
        for fresh in (self._connection is None, True):
            try:
                if fresh:
                    self.shut()
                answer = self._sent(request)
                body = answer.read(most + 1)
                if len(body) > most:
                    self.shut()
                    return Fault(f"the answer has more than {most} bytes")
                return _head(answer, body)
            except (OSError, HTTPException, ValueError, AttributeError) as error:
                self.shut()
                failure = error
                # A kept connection may have been closed meanwhile: what may come twice is asked once more on a new one.
                if fresh or not (request.method == "GET" or (request.repeats and not isinstance(error, TimeoutError))):
                    break
        return Fault(why(failure, self._place))

    def shut(self) -> None:
        """Close the connection, if there is one."""
        connection, answer = self._connection, self._answer
        self._connection = self._answer = self._sock = None
        for one in (answer, connection):
            if one is not None:
                with suppress(OSError, ValueError):
                    one.close()

    def cut(self) -> None:
        """End the connection from another thread, so that nothing waits any longer; there will be no further one."""
        self._cut = True
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                # Past TLS: the thread that reads must not find its session gone, only the connection.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _sent(self, request: Request) -> HTTPResponse:
        place = self._place
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect(request.seconds)
        elif self._sock is not None:
            self._sock.settimeout(request.seconds)
        if self._cut:
            raise ConnectionAbortedError("the client is closed")
        headers = place.headers() | {"Accept": request.accept}
        if request.body is not None:
            headers["Content-Type"] = request.content
        if request.key:
            headers["Idempotency-Key"] = request.key
        connection.request(request.method, place.prefix + request.path, request.body, headers)
        self._sock = connection.sock
        if self._cut:
            raise ConnectionAbortedError("the client is closed")
        return connection.getresponse()

    def _connect(self, seconds: float) -> HTTPConnection:
        place = self._place
        if not place.secure:
            return HTTPConnection(place.host, place.port, timeout=seconds)
        if self._context is None:
            from ssl import create_default_context

            self._context = create_default_context()
        return HTTPSConnection(place.host, place.port, timeout=seconds, context=self._context)


def _head(answer: HTTPResponse, body: bytes) -> Answer:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Answer(
        status=answer.status, kind=kind, retry_after=retry_after(answer.headers.get("Retry-After")), body=body
    )


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` names (RFC 9110, 10.2.3: seconds or a date); None if it names none."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None


def why(error: BaseException, place: Place) -> str:
    """Say in words for a person why a connection did not work."""
    if isinstance(error, TimeoutError):
        return "nothing came in time"
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens at {place.host}:{place.port}"
    if isinstance(error, socket.gaierror):
        return f"the name {place.host!r} cannot be resolved"
    return _why_tls(error, place) or _plain(error)


def _why_tls(error: BaseException, place: Place) -> str | None:
    """Say what to do about TLS that does not come about; None for every other error."""
    from ssl import SSLCertVerificationError, SSLError

    where = f"{place.host}:{place.port}"
    if isinstance(error, SSLCertVerificationError):
        words = f"the certificate of {where} is not believed ({error.verify_message})"
        return f"{words}; of an authority of your own? Name its certificates in a file: SSL_CERT_FILE=/path/to/ca.pem"
    if isinstance(error, SSLError) and error.reason in _NO_TLS:
        return f"{where} does not speak TLS ({error.reason}); is it http:// instead of https://, or another port?"
    return None


def _plain(error: BaseException) -> str:
    if isinstance(error, RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, IncompleteRead | EOFError):
        return "the answer was cut off"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "the connection was cut"
    kind = type(error).__name__
    return f"{kind}: {error}"[:300] if str(error) else kind
