"""The Flask adapter, through Flask's own test client, in a world."""

import pytest
from flask import Flask, g

from licet import NoTruth
from licet.sdk.adapters.flask import install, requires
from licet.testing import World
from tests.sdk.examples import load_example, meridian


def test_the_example_lets_in_who_bought_and_tells_others_why() -> None:
    """The example program answers Business, refuses Free with the way out, and counts to Free's limit."""
    browser = load_example("flask").create_app(meridian().client()).test_client()
    assert browser.get("/sso", headers={"X-Customer": "acme"}).status_code == 200
    refused = browser.get("/sso", headers={"X-Customer": "tiny"})
    assert (refused.status_code, refused.content_type) == (403, "application/problem+json")
    assert refused.get_json(force=True)["remedy"] == "Change from Free to Business."
    answers = [browser.post(f"/projects/{name}", headers={"X-Customer": "tiny"}).status_code for name in "abcd"]
    assert answers == [201, 201, 201, 403]


def test_arguments_reach_the_view_and_the_decision_stands_at_g() -> None:
    """The view gets what its route says; values that are no functions are asked as they are."""
    world, program = World(), Flask(__name__)
    world.limit("acme", "projects", 5)
    install(program, world.client())

    @program.get("/projects/<int:number>")
    @requires("projects", customer="acme", user="ann", used=3, quantity=2)
    def project(number: int) -> str:
        return f"{number} {g.licet.reason}"

    assert program.test_client().get("/projects/7").text == "7 within_limit"
    world.assert_checked("acme", "projects", user="ann", allowed=True, times=1)
    assert project.__name__ == "project"


def test_coroutine_views_are_gated() -> None:
    """A coroutine view runs only where the world permits, as Flask runs it."""
    world, program = World(), Flask(__name__)
    world.allow("acme", "export")
    install(program, world.client())

    @program.get("/")
    @requires("export", customer="acme")
    async def page() -> str:
        return str(g.licet.reason)

    assert program.test_client().get("/").text == "entitled"
    world.deny("acme", "export")
    assert program.test_client().get("/").status_code == 403


def test_no_truth_is_a_503() -> None:
    """Where there is nothing to answer with, the customer is told to come back."""
    program = Flask(__name__)
    install(program, World().client())

    @program.get("/")
    def page() -> str:
        raise NoTruth("nothing came yet")

    answer = program.test_client().get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_without_a_client_the_program_is_told_what_to_do() -> None:
    """A gate in a program where nothing was installed fails loudly."""
    program = Flask(__name__)
    program.testing = True
    program.get("/")(requires("export", customer="acme")(lambda: "page"))
    with pytest.raises(RuntimeError, match="install\\(app, Client\\(\\)\\)"):
        program.test_client().get("/")
