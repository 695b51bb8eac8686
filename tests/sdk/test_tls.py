"""Servers behind TLS: an authority of SSL_CERT_FILE is believed, and what goes wrong is told with advice."""

import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from licet.sdk.async_transport import AsyncTransport
from licet.sdk.effects import Fault, Request
from licet.sdk.place import find_place
from licet.sdk.transport import Transport
from tests.sdk.premises import API_KEY

ASKED = Request(path="/v1/feed", seconds=5.0)
PROGRAM = """
import sys
from licet.sdk.effects import Request
from licet.sdk.place import find_place
from licet.sdk.transport import Transport
print(Transport(find_place(sys.argv[1], sys.argv[2])).open(Request(path="/v1/feed", seconds=5.0)))
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and the certificate of 127.0.0.1, which nobody but itself vouches for."""
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


@contextmanager
def listening(certificate: Path | None) -> Iterator[str]:
    """Let somebody listen who answers 404 to everything; returns the https address, also of one without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            while True:
                try:
                    taken, _ = door.accept()
                except OSError:
                    return
                try:
                    if certificate is not None:
                        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                        context.load_cert_chain(certificate)
                        taken = context.wrap_socket(taken, server_side=True)
                    with taken:
                        taken.recv(65536)
                        taken.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    continue

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{door.getsockname()[1]}"
        door.shutdown(socket.SHUT_RDWR)


async def told(url: str) -> list[str]:
    """What both transports say about an address."""
    place = find_place(url, API_KEY)
    heard = [Transport(place).open(ASKED), await AsyncTransport(place).open(ASKED)]
    assert all(isinstance(one, Fault) for one in heard), heard
    return [one.words for one in heard if isinstance(one, Fault)]


async def test_an_authority_that_nobody_knows(certificate: Path) -> None:
    """A certificate that is not believed is said with its reason, and how to name an authority of one's own."""
    with listening(certificate) as url:
        for words in await told(url):
            assert "certificate" in words
            assert "self-signed certificate" in words
            assert "SSL_CERT_FILE=" in words


async def test_a_port_without_tls() -> None:
    """An https address of a port that speaks http is said to be one."""
    with listening(None) as url:
        for words in await told(url):
            assert "does not speak TLS" in words
            assert "http://" in words


def test_an_authority_of_ones_own_is_believed(certificate: Path) -> None:
    """With its certificate named in SSL_CERT_FILE the connection comes about."""
    with listening(certificate) as url:
        command = [sys.executable, "-c", PROGRAM, url, API_KEY]
        environment = {**os.environ, "SSL_CERT_FILE": str(certificate)}
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30).stdout
    assert "status=404" in said
