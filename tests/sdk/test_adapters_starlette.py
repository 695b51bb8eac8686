"""The Starlette adapter, through Starlette's own test client, in a world."""

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from licet import NotEntitled, NoTruth
from licet.sdk.adapters.starlette import install, requires
from licet.testing import World


def customer(request: Request) -> str:
    """Who asks."""
    return request.headers["x-customer"]


async def used(request: Request) -> int:
    """How much is used, found by a coroutine."""
    return int(request.query_params["used"])


@requires("export", customer=customer)
def plain(request: Request) -> PlainTextResponse:
    """A function, which Starlette runs in a thread."""
    return PlainTextResponse(request.state.licet.reason)


@requires("projects", customer=customer, used=used, quantity=2)
async def counted(request: Request) -> PlainTextResponse:
    """A coroutine function."""
    return PlainTextResponse(request.state.licet.reason)


class Page(HTTPEndpoint):
    """An endpoint that is a class."""

    @requires("export", customer=customer)
    async def get(self, request: Request) -> PlainTextResponse:
        """One of its methods."""
        return PlainTextResponse(request.state.licet.reason)


async def unknown(request: Request) -> PlainTextResponse:
    """What happens where there is no truth yet."""
    raise NoTruth("the key lct_live_x is not known")


@pytest.fixture
def world() -> World:
    """A customer who may export, with five projects at most."""
    made = World()
    made.allow("acme", "export")
    made.limit("acme", "projects", 5)
    return made


def browser(world: World) -> TestClient:
    """A program of two gates, asked by acme."""
    routes = [Route("/export", plain), Route("/projects", counted), Route("/unknown", unknown), Route("/page", Page)]
    program = Starlette(routes=routes)
    install(program, world.client())
    return TestClient(program, headers={"x-customer": "acme"})


def test_endpoints_of_both_kinds_are_gated(world: World) -> None:
    """Functions, coroutine functions and methods run only where the world permits, and see the decision."""
    asked = browser(world)
    assert asked.get("/export").text == "entitled"
    assert asked.get("/page").text == "entitled"
    assert asked.get("/projects?used=3").text == "within_limit"
    assert asked.get("/projects?used=4").json()["reason"] == "limit_reached"
    world.deny("acme", "export")
    assert [asked.get(path).status_code for path in ("/export", "/page")] == [403, 403]
    assert [str(one) for one in world.asked][2:4] == [
        "acme projects quantity=2 used=3 → allowed (within_limit)",
        "acme projects quantity=2 used=4 → refused (limit_reached)",
    ]


def test_no_truth_is_a_503_that_says_nothing_of_why(world: World) -> None:
    """Where there is nothing to answer with, the customer is told to come back; the cause stays in the log."""
    answer = browser(world).get("/unknown")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["code"] == "no_truth"
    assert "lct_" not in answer.text


def test_a_vendor_chooses_another_status(world: World) -> None:
    """The status of a refusal is the vendor's to choose; its code stays."""
    world.deny("acme", "export")
    program = Starlette(routes=[Route("/export", plain)])
    install(program, world.client(), status=lambda decision: 402)
    answer = TestClient(program, headers={"x-customer": "acme"}).get("/export")
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (402, 402, "not_entitled")


def test_a_refusal_deep_inside_becomes_a_problem_too(world: World) -> None:
    """Whatever raises NotEntitled below an endpoint is answered the same way as a gate."""
    licet = world.client()
    world.deny("acme", "export")

    async def deep(request: Request) -> PlainTextResponse:
        licet.require("acme", "export")
        return PlainTextResponse("not reached")

    program = Starlette(routes=[Route("/deep", deep)])
    install(program, licet)
    assert TestClient(program).get("/deep").status_code == 403
    with pytest.raises(NotEntitled):
        licet.require("acme", "export")


def test_a_body_is_canonical_json(world: World) -> None:
    """The body is what its Content-Length says, and decodes strictly."""
    world.deny("acme", "export")
    answer = browser(world).get("/export")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert msgspec.json.decode(answer.content)["feature"] == "export"
