"""Where small servers of tests live: a loopback port, a thread for each connection, and clients that come to it."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from msgspec import structs

from licet import AsyncClient, Client
from licet.sdk.options import Options, read_options

API_KEY = "lct_test_" + "a" * 16 + "_" + "b" * 32


class Premises:
    """A server over HTTP/1.1 until it closes, as often as a test opens it. Subclasses say what it answers."""

    follow: Literal["stream", "never"]
    """Whether its clients follow a feed."""
    start_timeout: float
    """Seconds for which its clients wait for a first truth."""

    def __init__(self) -> None:
        self.server: ThreadingHTTPServer | None = None
        """What takes requests; None while it is closed."""
        self.open_desks: list[BaseHTTPRequestHandler] = []
        """Every connection that ever came."""
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def got(self, desk: BaseHTTPRequestHandler) -> None:
        """Answer a GET."""
        raise AssertionError(f"nobody reads {desk.path} here")

    def posted(self, desk: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer a POST."""
        raise AssertionError(f"nobody tells {desk.path} anything here")

    def open(self) -> None:
        """Take requests, on the same port as before."""
        place = self

        class Desk(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                place.open_desks.append(self)

            def do_GET(self) -> None:
                place.got(self)

            def do_POST(self) -> None:
                place.posted(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                """A client that leaves is no error."""

        self.server = Server(("127.0.0.1", self.port), Desk)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Be gone, as after kill -9: connections are reset, nobody listens."""
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self.left()
        for desk in self.open_desks:
            with suppress(OSError):
                desk.connection.shutdown(socket.SHUT_RDWR)

    def left(self) -> None:
        """Called once nobody listens any more, before connections are reset."""

    def options(self, **more: Any) -> Options:
        """What a client of this server is made with; its waits are shortened."""
        told: dict[str, Any] = {
            "url": self.url,
            "key": API_KEY,
            "root": None,
            "cache": False,
            "customers": None,
            "on_demand": False,
            "most_customers": 10_000,
            "unreachable": None,
            "default_unreachable": "deny",
            "follow": self.follow,
            "telemetry": False,
            "start_timeout": self.start_timeout,
            "timeout": 5.0,
        }
        return structs.replace(read_options(**(told | more)), tempo=0.02)

    def client(self, **more: Any) -> Client:
        """A client of this server."""
        return Client.of(self.options(**more))

    def async_client(self, **more: Any) -> AsyncClient:
        """A client of this server for the running loop."""
        return AsyncClient.of(self.options(**more))


def say(
    desk: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
) -> None:
    """Answer a request as a whole: its status, the type of its content, and the content."""
    desk.send_response(status)
    desk.send_header("Content-Type", kind)
    desk.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        desk.send_header(name, value)
    desk.end_headers()
    desk.wfile.write(body)
