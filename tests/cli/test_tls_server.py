"""Commands and servers behind TLS: each cause has its own words, and a private certificate is believed if told."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from tests.cli.terminal import licet
from tests.cli.test_failures import NOWHERE, told
from tests.sdk.test_tls import certificate, listening

__all__ = ["certificate"]


def env(url: str, **more: str) -> dict[str, str]:
    """Variables of a command that talks to a server."""
    return {**NOWHERE, "LICET_URL": url, **more}


def test_a_certificate_that_is_not_trusted_is_named(certificate: Path) -> None:
    """Nobody is told to start a server where one runs: the certificate is the reason, and how to trust it is said."""
    with listening(certificate) as url:
        ran = licet("check", "a", "b", env=env(url))
        told(ran, url, "certificate", "not trusted", "self-signed", "SSL_CERT_FILE")
        assert "licet up" not in ran.err
        assert "no Licet server answers" not in ran.err
        document = licet("check", "a", "b", "--json", env=env(url)).document
        assert document["error"]["code"] == "tls"


def test_a_certificate_for_another_name_is_named(certificate: Path) -> None:
    """A certificate that is trusted, for another address than the one that was asked."""
    with listening(certificate) as url:
        other = url.replace("127.0.0.1", "localhost")
        told(
            licet("check", "a", "b", env=env(other, SSL_CERT_FILE=str(certificate))),
            "another name",
            "'localhost'",
            "LICET_URL",
        )


def test_a_private_certificate_is_believed(certificate: Path) -> None:
    """SSL_CERT_FILE names the certificates that count: the command reaches the server, which knows nothing here."""
    with listening(certificate) as url:
        told(licet("entitlements", "a", env=env(url, SSL_CERT_FILE=str(certificate))), "404")


def test_https_where_there_is_no_tls() -> None:
    """A server that speaks plain HTTP behind an https address."""
    with plain() as port:
        ran = licet("check", "a", "b", env=env(f"https://127.0.0.1:{port}"))
    told(ran, "does not speak TLS", "http://")


def test_http_where_there_is_tls(certificate: Path) -> None:
    """A server that hangs up on plain HTTP may speak TLS only; the advice says so."""
    with listening(certificate) as url:
        ran = licet("check", "a", "b", env=env(url.replace("https:", "http:")))
    told(ran, "hung up", "https://")


@contextmanager
def plain() -> Iterator[int]:
    """Let a server without TLS listen, for one request."""

    class Page(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.handle_request, daemon=True).start()
        yield server.server_port
