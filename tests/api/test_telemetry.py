"""What the server says about itself: log lines with request ids and without secrets, spans, a calm end, TLS."""

import asyncio
import io
import json
import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from licet.api.serving import Manner, bound_socket, serving
from licet.settings import Settings, SettingsError
from licet.telemetry import Traces, configure_logs, log
from tests.api.house import House, Visitor, open_house
from tests.store.worlds import World

pytestmark = pytest.mark.one_engine


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged as JSON during a test."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logs("json", "info", stream)
    yield stream
    root.handlers[:], root.level = before, level
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def records(stream: io.StringIO, event: str) -> list[dict[str, Any]]:
    """Return the logged objects of one kind."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [one for one in found if one["event"] == event]


@pytest.mark.postgres
async def test_an_access_line_per_request(house: House, operator: Visitor, lines: io.StringIO) -> None:
    """Each request leaves one line with its id, route, status, key and workspace; neither secret nor query is in it."""
    query = "subject=customer%2Fprivate"
    await operator.ask("GET", f"/v1/events?{query}", headers={"X-Request-Id": "r-1"})
    await operator.ask("GET", "/v1/customers/none")
    await house.visitor().ask("GET", "/healthz")
    found = records(lines, "request")
    assert [(one["request_id"], one["route"], one["status"]) for one in found[:1]] == [("r-1", "/v1/events", 200)]
    assert (found[1]["route"], found[1]["problem"]) == ("/v1/customers/{customer}", "not_found")
    assert len(found) == 2
    assert found[0]["workspace"] == "test"
    ours = [line for line in lines.getvalue().splitlines() if json.loads(line)["logger"].startswith("licet.")]
    assert operator.secret is not None
    assert not [line for line in ours if operator.secret in line or "private" in line]


def test_a_traceback_holds_no_values(lines: io.StringIO) -> None:
    """A logged defect has its place and kind, but not the local variables around it, which hold secrets."""
    secret = "whsec_very_secret"

    def fails(value: str) -> int:
        return len(value) // 0

    try:
        fails(secret)
    except ZeroDivisionError:
        log("licet.test").exception("failed")
    assert "ZeroDivisionError" in lines.getvalue()
    assert secret not in lines.getvalue()


@pytest.mark.postgres
async def test_spans_of_a_request(world: World, lines: io.StringIO) -> None:
    """A check leaves a span for the request, child of the caller's, and one for the decision inside it."""
    async with open_house(world, Settings(traces="log")) as house:
        visitor = await house.holder("check", "catalog:write")
        body = {
            "version": 1,
            "products": {"p": {"name": "P"}},
            "features": {"f": {"type": "switch"}},
            "plans": {"a": {"product": "p", "versions": {"2026-01": {"includes": {"f": True}}}}},
        }
        await visitor.ask("PUT", "/v1/catalog?base=0", body)
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        await visitor.told("POST", "/v1/check", {"customer": "x", "feature": "f"}, headers=headers)
    spans = {one["span"]: one for one in records(lines, "span") if one["trace_id"] == trace}
    request, decision = spans["POST /v1/check"], spans["decide"]
    assert request["parent_id"] == "b7ad6b7169203331"
    assert decision["parent_id"] == request["span_id"]
    assert (decision["reason"], decision["allowed"]) == ("unknown_customer", False)


@pytest.mark.postgres
async def test_an_exporter_that_is_not_installed(world: World) -> None:
    """A trace exporter that is not there is told at the start, with what to do."""
    with pytest.raises(SettingsError, match="not installed"):
        async with open_house(world, Settings(traces="carrier-pigeon")):
            pass
    with pytest.raises(LookupError, match="opentelemetry-exporter-otlp"):
        Traces("carrier-pigeon")


async def test_requests_under_way_are_answered_at_the_end() -> None:
    """A server that is told to stop answers what it has begun, takes nothing new, and is gone within its time."""
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        begun.set()
        await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with bound_socket("127.0.0.1", 0) as bound:
        async with httpx.AsyncClient() as client:
            async with serving(app, bound, Manner(shutdown_seconds=5)) as port:
                answer = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
                await begun.wait()
            assert (await answer).text == "ok"
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{port}/", timeout=1)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(*pem))
    return cert, secret


@pytest.mark.postgres
async def test_tls(house: House, tmp_path: Path) -> None:
    """With a certificate and its key the server speaks TLS, and clear text gets no answer."""
    cert, key = certificate(tmp_path)
    settings = Settings.read({"LICET_TLS_CERT": str(cert), "LICET_TLS_KEY": str(key)})
    manner = Manner(tls_cert=settings.tls_cert, tls_key=settings.tls_key, shutdown_seconds=2)
    trust = ssl.create_default_context(cafile=str(cert))
    with bound_socket("127.0.0.1", 0) as bound:
        async with serving(house.built.app, bound, manner) as port:
            async with httpx.AsyncClient(verify=trust) as client:
                assert (await client.get(f"https://127.0.0.1:{port}/healthz")).status_code == 200
            async with httpx.AsyncClient() as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{port}/healthz")
