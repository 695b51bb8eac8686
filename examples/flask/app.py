"""A Flask program with gates: `flask --app app run`, with LICET_URL and LICET_KEY in the environment."""

from flask import Flask, g, request

from licet import Client
from licet.sdk.adapters.flask import install, requires

PROJECTS: dict[str, list[str]] = {}


def current_customer() -> str:
    """Who asks; a real program reads it from its session or token."""
    return request.headers["X-Customer"]


def used_projects() -> int:
    """How many projects the customer has."""
    return len(PROJECTS.get(current_customer(), ()))


def create_app(licet: Client | None = None) -> Flask:
    """Return the program; tests give it the client of a world."""
    app = Flask(__name__)
    install(app, licet or Client())

    @app.get("/sso")
    @requires("sso", customer=current_customer)
    def sso() -> dict[str, str]:
        return {"single sign-on": "is set up here"}

    @app.post("/projects/<name>")
    @requires("projects", customer=current_customer, used=used_projects)
    def add_project(name: str) -> tuple[dict[str, object], int]:
        PROJECTS.setdefault(current_customer(), []).append(name)
        return {"name": name, "of": g.licet.limit.amount}, 201

    return app
