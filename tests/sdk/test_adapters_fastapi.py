"""The FastAPI adapter, through FastAPI's own test client, in a world."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from licet import Decision
from licet.sdk.adapters.fastapi import DENIED, install, requires
from licet.sdk.errors import NeverHeld
from licet.testing import World
from tests.sdk.examples import load_example, meridian


def customer(x_customer: Annotated[str, Header()]) -> str:
    """Who asks."""
    return x_customer


async def user(x_user: Annotated[str | None, Header()] = None) -> str | None:
    """Which person, found by a coroutine."""
    return x_user


def asking(program: FastAPI, name: str) -> TestClient:
    """A browser of one customer."""
    return TestClient(program, headers={"X-Customer": name})


def test_the_example_lets_in_who_bought_and_tells_others_why() -> None:
    """The example program answers Business, and refuses Free with a problem that names the way out."""
    world = meridian()
    program = load_example("fastapi").make_app(world.client())
    assert asking(program, "acme").get("/sso").status_code == 200
    refused = asking(program, "tiny").get("/sso")
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    assert refused.json() == {
        "type": "urn:licet:problem:not_entitled",
        "title": "This is not included",
        "status": 403,
        "detail": "Not included: SAML single sign-on.",
        "code": "not_entitled",
        "reason": "not_entitled",
        "feature": "sso",
        "remedy": "Change from Free to Business.",
    }
    world.assert_checked("tiny", "sso", allowed=False, times=1)


def test_the_example_counts_to_its_limit() -> None:
    """A limit is asked with what is used, read by a dependency: the third project fits, the fourth does not."""
    program = load_example("fastapi").make_app(meridian().client())
    tiny = asking(program, "tiny")
    for name in "abc":
        assert tiny.post(f"/projects/{name}").json() == {"name": name, "of": 3}
    refused = tiny.post("/projects/d")
    assert refused.status_code == 403
    assert refused.json()["reason"] == "limit_reached"
    assert refused.json()["limit"]["remaining"] == 0
    assert refused.json()["detail"] == "Projects: 3 of 3 projects used; 1 more does not fit."


def gated(world: World, **more: Any) -> FastAPI:
    """A program with one gate, and what its dependency gives."""
    program = FastAPI(responses=DENIED)
    install(program, world.client())

    @program.get("/export")
    def export(decision: Annotated[Decision, Depends(requires("export", customer=customer, **more))]) -> str:
        return decision.reason

    return program


def test_dependencies_may_be_coroutines_and_may_be_overridden() -> None:
    """Parts of the question are resolved by FastAPI: a coroutine function serves, and so does an override in a test."""
    world = World()
    world.allow("acme", "export")
    program = gated(world, user=user)
    answer = TestClient(program, headers={"X-Customer": "acme", "X-User": "ann"}).get("/export")
    assert answer.json() == "entitled"
    world.assert_checked("acme", "export", user="ann")
    program.dependency_overrides[customer] = lambda: "other"
    world.deny("other", "export")
    assert asking(program, "acme").get("/export").status_code == 403


def test_a_missing_header_stays_the_frameworks_own_answer() -> None:
    """What a dependency needs and the request lacks is refused by FastAPI before anybody is asked."""
    world = World()
    assert TestClient(gated(world)).get("/export").status_code == 422
    world.assert_not_checked()


def test_every_kind_of_no_truth_is_a_503() -> None:
    """A program that started without a server refuses to guess, and goes on once the server is there."""
    world = World()
    world.allow("acme", "export")
    program = asking(gated(world), "acme")
    world.empty()
    lost = program.get("/export")
    assert (lost.status_code, lost.headers["retry-after"], lost.json()["code"]) == (503, "5", "no_truth")
    world.online()
    assert program.get("/export").status_code == 200


def test_a_router_is_gated_as_a_whole() -> None:
    """One dependency on a router stands before all of its routes."""
    world = World()
    world.deny("acme", "export")
    program, router = FastAPI(), APIRouter(dependencies=[Depends(requires("export", customer="acme"))])
    router.get("/a")(lambda: "a")
    router.get("/b")(lambda: "b")
    program.include_router(router)
    install(program, world.client())
    assert [TestClient(program).get(path).status_code for path in ("/a", "/b")] == [403, 403]


def test_the_openapi_document_tells_of_refusals() -> None:
    """What DENIED adds stands in the document, and the gate itself adds nothing but what its dependencies take."""
    document = gated(World()).openapi()["paths"]["/export"]["get"]
    assert set(document["responses"]) == {"200", "403", "422", "429", "500", "503"}
    assert "application/problem+json" in document["responses"]["403"]["content"]
    assert [one["name"] for one in document["parameters"]] == ["x-customer"]


def test_a_websocket_is_closed_before_it_opens() -> None:
    """A gate on a WebSocket route refuses the handshake."""
    world = World()
    world.deny("acme", "live")
    program = FastAPI()
    install(program, world.client())

    @program.websocket("/live", dependencies=[Depends(requires("live", customer="acme"))])
    async def live(socket: WebSocket) -> None:
        await socket.accept()

    with pytest.raises(WebSocketDisconnect) as refused, TestClient(program).websocket_connect("/live"):
        raise AssertionError("it opened")
    assert refused.value.code == 1008


class Others:
    """A client that was made for others."""

    def require(self, customer: str, feature: str, **_: object) -> Decision:
        """Never answer."""
        raise NeverHeld(f"{customer} {feature}")


def test_a_mistake_of_the_program_is_not_to_be_tried_again() -> None:
    """Where the client never holds the customer a route answers 500, and a WebSocket closes as for an error."""
    program = FastAPI()
    install(program, Others())

    @program.websocket("/live", dependencies=[Depends(requires("live", customer="acme"))])
    async def live(socket: WebSocket) -> None:
        await socket.accept()

    program.get("/a", dependencies=[Depends(requires("live", customer="acme"))])(lambda: "a")
    assert TestClient(program, raise_server_exceptions=False).get("/a").status_code == 500
    with pytest.raises(WebSocketDisconnect) as refused, TestClient(program).websocket_connect("/live"):
        raise AssertionError("it opened")
    assert refused.value.code == 1011


def test_without_a_client_the_program_is_told_what_to_do() -> None:
    """A gate in a program where nothing was installed fails loudly; it neither allows nor refuses."""
    program = FastAPI()
    program.get("/a", dependencies=[Depends(requires("export", customer="acme"))])(lambda: "a")
    with pytest.raises(RuntimeError, match="install\\(app, Client\\(\\)\\)"):
        TestClient(program).get("/a")
