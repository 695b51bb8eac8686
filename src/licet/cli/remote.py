"""A connection to the HTTP service for commands: one request after the other, each bounded, errors as sentences."""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

from licet.cli.failure import COULD_NOT, NO, Failure
from licet.cli.plain_words import plain_words

TIMEOUT_SECONDS: Final = 15.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_LINE_BYTES: Final = 8 * 1024 * 1024
ANSWERED_NO: Final = frozenset(
    {
        "invalid",
        "catalog_invalid",
        "stale_base",
        "preview_required",
        "preview_stale",
        "blast_radius",
        "conflict",
        "unprocessable",
        "reservation_closed",
        "reservation_expired",
    }
)
"""Problem codes by which the service understood a change and refuses it (exit code 1). A question that ends with any
problem was not answered (exit code 2), and neither was a change by a key that may not make it."""

_OTHER_NAME: Final = frozenset({62, 64})
"""What OpenSSL says of a certificate for another host, or another address."""
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""What OpenSSL says of an answer that is no TLS."""


class Answer:
    """One HTTP answer: status, headers (lower-case names) and the body's bytes."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """Return the body read as JSON; raises Failure for anything else."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failure(
                f"the server's answer (status {self.status}) is not JSON",
                advice="check that LICET_URL is the address of a Licet server, not of something else",
                code="not_licet",
            ) from None


class Remote:
    """A held connection to one server with one key. Not safe for concurrent use."""

    def __init__(self, url: str, key: str | None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Failure(
                f"{url!r} is not an address of a server",
                advice="write LICET_URL as http://127.0.0.1:8080 or https://licet.example.com",
                code="bad_url",
            )
        self.url = url.rstrip("/")
        self.key = key
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._connection = _connection(parts.scheme, parts.hostname, port, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; harmless twice."""
        self._connection.close()

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Answer:
        """Send one request and return whatever was answered; raises Failure where nothing was."""
        chosen = {name: str(value) for name, value in (query or {}).items() if value is not None}
        target = f"{self._prefix}{path}" + (f"?{urlencode(chosen)}" if chosen else "")
        try:
            return self._send(method, target, body, {**self._headers, **(headers or {})})
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            self._connection.close()
            raise _unreachable(self.url, error) from None

    def _send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str | bytes]) -> Answer:
        connection = self._connection
        fresh = connection.sock is None
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if fresh or method != "GET":
                raise
            # The server closed an idle connection: a read may simply be asked again.
            connection.close()
            connection.request(method, target, body=body, headers=dict(headers))
            response = connection.getresponse()
        promised = response.length
        content = response.read(MAX_ANSWER_BYTES)
        if promised is not None and len(content) < min(promised, MAX_ANSWER_BYTES):
            # A read of limited size does not notice by itself that the server ended in the middle of its answer.
            raise http.client.IncompleteRead(content, promised - len(content))
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def call(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        query: Mapping[str, object] | None = None,
        note: str | None = None,
        asking: bool = False,
    ) -> Any:
        """Send JSON, return JSON; raises Failure with the server's own words for a problem.

        Anything but a GET asks for a change, which may be refused (exit code 1), unless it is only ``asking``.
        """
        headers: dict[str, str | bytes] = {}
        body = None
        if value is not None:
            body = json.dumps(value, ensure_ascii=True).encode()
            headers["Content-Type"] = "application/json"
        if note:
            headers["Licet-Note"] = note.encode()
        answer = self.raw(method, path, query=query, body=body, headers=headers)
        if answer.status >= 400:
            raise problem_of(answer, change=method != "GET" and not asking)
        return answer.json() if answer.body else None

    def lines(
        self, method: str, path: str, body: bytes, *, media_type: str, query: Mapping[str, object] | None = None
    ) -> Iterator[Any]:
        """Send one request and yield each line of its answer as JSON, as it comes.

        Raises Failure for a problem, also where it is the last line, and for an answer that breaks off.
        """
        chosen = {name: str(value) for name, value in (query or {}).items() if value is not None}
        target = f"{self._prefix}{path}" + (f"?{urlencode(chosen)}" if chosen else "")
        headers = {**self._headers, "Accept": "application/x-ndjson", "Content-Type": media_type}
        try:
            self._connection.close()
            self._connection.request(method, target, body=body or None, headers=headers)
            response = self._connection.getresponse()
            if response.status >= 400:
                kept = {name.lower(): value for name, value in response.getheaders()}
                raise problem_of(Answer(response.status, kept, response.read(MAX_ANSWER_BYTES)), change=True)
            while line := response.readline(MAX_LINE_BYTES):
                yield _line(line)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise _unreachable(self.url, error) from None
        finally:
            self._connection.close()

    def pages(self, path: str, *, limit: int, query: Mapping[str, object] | None = None) -> Iterator[Any]:
        """Yield at most ``limit`` items of a list, page by page."""
        cursor, left = None, limit
        while left > 0:
            page = self.call("GET", path, query={**(query or {}), "limit": min(left, 500), "cursor": cursor})
            items = page["items"][:left]
            yield from items
            left -= len(items)
            cursor = page.get("next")
            if cursor is None or not items:
                return


def _line(line: bytes) -> Any:
    """Return one line's value; raises Failure for a problem, and for a line that is not whole."""
    if not line.endswith(b"\n"):
        raise http.client.IncompleteRead(line)
    value = Answer(200, {}, line).json()
    if isinstance(value, dict) and isinstance(value.get("problem"), dict):
        problem = value["problem"]
        raise problem_of(Answer(int(problem.get("status", 500)), {}, json.dumps(problem).encode()), change=True)
    return value


def segment(text: str) -> str:
    """Return an id as one segment of a path."""
    return quote(text, safe="", errors="backslashreplace")


def problem_of(answer: Answer, *, change: bool = False) -> Failure:
    """Return the failure that an answer of status 400 or more means, to a question or to a ``change``."""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("code") or f"http_{answer.status}")
    words = str(problem.get("detail") or problem.get("title") or f"the server answered with status {answer.status}")
    details = {name: problem[name] for name in ("problems", "request_id") if problem.get(name)}
    advice = str(problem.get("advice") or "")
    # The server's advice speaks of headers and of its pages; here a key comes from a variable.
    if answer.status in (401, 403) or advice.startswith("See /docs"):
        advice = _advice(answer.status)
    return Failure(
        plain_words(words),
        advice=advice or _advice(answer.status),
        code=code,
        exit_code=NO if change and code in ANSWERED_NO else COULD_NOT,
        details={"status": answer.status, **details},
    )


def _connection(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout)


def _unreachable(url: str, error: Exception) -> Failure:
    secured = _tls(url, error)
    if secured is not None:
        return secured
    if isinstance(error, ConnectionRefusedError):
        why = "nothing listens there"
    elif isinstance(error, socket.gaierror):
        why = "there is no such host"
    elif isinstance(error, TimeoutError):
        why = "no answer in time"
    elif isinstance(error, http.client.RemoteDisconnected | ConnectionResetError):
        return _hung_up(url)
    elif isinstance(error, http.client.IncompleteRead):
        why = "the answer broke off"
    else:
        why = str(error) or type(error).__name__
    return Failure(
        f"no Licet server answers at {url} ({why})",
        advice="start one with `licet up`, or set LICET_URL to the address of one",
        code="unreachable",
    )


def _tls(url: str, error: Exception) -> Failure | None:
    """Return what is wrong with TLS to a server that is there; None for every other error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return Failure(
                f"the server at {url} has a certificate for another name than {urlsplit(url).hostname!r}"
                f" ({error.verify_message})",
                advice="set LICET_URL (and LICET_KEY) with a name that the certificate has",
                code="tls",
            )
        return Failure(
            f"a server answers at {url}, and its certificate is not trusted here ({error.verify_message})",
            advice="set SSL_CERT_FILE to a PEM file with its authority's certificate; where it is self-signed, with its"
            " own (the server's LICET_TLS_CERT)",
            code="tls",
        )
    if not isinstance(error, ssl.SSLError):
        return None
    if error.reason in _NO_TLS:
        return Failure(
            f"what listens at {url} does not speak TLS ({error.reason})",
            advice="write LICET_URL with http:// if TLS ends before the server or it has none, or with another port",
            code="tls",
        )
    return Failure(
        f"no TLS came about with the server at {url} ({error.reason or error})",
        advice="look at LICET_URL, and at LICET_TLS_CERT and LICET_TLS_KEY of the server",
        code="tls",
    )


def _hung_up(url: str) -> Failure:
    secured = url.startswith("https:")
    return Failure(
        f"what listens at {url} hung up without an answer",
        advice="look into the server's log, then try again"
        if secured
        else "write LICET_URL with https:// if it speaks TLS; else look into the server's log",
        code="unreachable",
    )


def _advice(status: int) -> str:
    if status == 401:
        return "set LICET_KEY to a key of this server; `licet keys create` makes one where the database is"
    if status == 403:
        return "use a key with the scope this needs; `licet keys create --scope …` makes one"
    if status == 400:
        return "correct what is named and send it again"
    if status == 429:
        return "wait a moment and try again"
    if status >= 500:
        return "look into the server's log, then try again"
    return ""
