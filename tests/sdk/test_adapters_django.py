"""The Django adapter, through Django's own test clients, in a world. Django has one configuration per process."""

from types import ModuleType

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path

from licet import NoTruth
from licet.sdk.adapters.django import requires
from licet.testing import World
from tests.sdk.examples import load_example, meridian


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example program, with its configuration in force."""
    import django

    program = load_example("django")
    settings.ROOT_URLCONF = program
    django.setup()
    return program


def test_the_example_lets_in_who_bought_and_tells_others_why(example: ModuleType) -> None:
    """The example program answers Business, refuses Free with the way out, and counts to Free's limit."""
    browser = Client()
    with override_settings(LICET_CLIENT=meridian().client()):
        assert browser.get("/sso", headers={"X-Customer": "acme"}).status_code == 200
        refused = browser.get("/sso", headers={"X-Customer": "tiny"})
        assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
        assert refused.json()["remedy"] == "Change from Free to Business."
        answers = [browser.post(f"/projects/{name}", headers={"X-Customer": "tiny"}).status_code for name in "abcd"]
    assert answers == [201, 201, 201, 403]


@requires("export", customer="acme", user=lambda request: request.headers.get("X-User"))
async def export(request: HttpRequest) -> HttpResponse:
    """A coroutine view."""
    return HttpResponse(request.licet.reason)


def lost(request: HttpRequest) -> HttpResponse:
    """A view that finds no truth."""
    raise NoTruth("nothing came yet")


def broken(request: HttpRequest) -> HttpResponse:
    """A view with a defect of its own."""
    raise ZeroDivisionError


class Routes:
    """Routes of this test's own."""

    urlpatterns = (path("export", export), path("lost", lost), path("broken", broken))


async def test_coroutine_views_are_gated_under_asgi(example: ModuleType) -> None:
    """A coroutine view runs only where the world permits, under Django's asynchronous stack."""
    world = World()
    world.allow("acme", "export")
    with override_settings(ROOT_URLCONF=Routes, LICET_CLIENT=world.client()):
        answer = await AsyncClient().get("/export", headers={"X-User": "ann"})
        assert answer.content == b"entitled"
        world.deny("acme", "export")
        refused = await AsyncClient().get("/export")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_entitled")
    world.assert_checked("acme", "export", user="ann", times=1)


def test_no_truth_is_a_503_and_other_errors_stay_what_they_are(example: ModuleType) -> None:
    """The middleware answers for Licet's refusals only."""
    with override_settings(ROOT_URLCONF=Routes, LICET_CLIENT=World().client()):
        answer = Client().get("/lost")
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        with pytest.raises(ZeroDivisionError):
            Client().get("/broken")


def choose(decision: object) -> int:
    """A vendor's own choice of status."""
    return 402


def test_settings_choose_client_and_status_by_name(example: ModuleType) -> None:
    """Both settings may name an object by its dotted path."""
    named = f"{__name__}.WORLD_CLIENT"
    with override_settings(ROOT_URLCONF=Routes, LICET_CLIENT=named, LICET_STATUS=f"{__name__}.choose"):
        assert Client().get("/export").status_code == 402


_DENYING = World()
_DENYING.deny("acme", "export")
WORLD_CLIENT = _DENYING.client()
