"""A FastAPI program with gates: `uvicorn app:app`, with LICET_URL and LICET_KEY in the environment."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header

from licet import Client, Decision
from licet.sdk.adapters.fastapi import DENIED, install, requires

PROJECTS: dict[str, list[str]] = {}


def current_customer(x_customer: Annotated[str, Header()]) -> str:
    """Who asks; a real program reads it from its session or token."""
    return x_customer


def used_projects(customer: Annotated[str, Depends(current_customer)]) -> int:
    """How many projects the customer has."""
    return len(PROJECTS.get(customer, ()))


def make_app(licet: Client) -> FastAPI:
    """Return the program; tests give it the client of a world."""
    app = FastAPI(title="Meridian", responses=DENIED)
    install(app, licet)

    @app.get("/sso", dependencies=[Depends(requires("sso", customer=current_customer))])
    def sso() -> dict[str, str]:
        return {"single sign-on": "is set up here"}

    @app.post("/projects/{name}", status_code=201)
    def add_project(
        name: str,
        customer: Annotated[str, Depends(current_customer)],
        decision: Annotated[Decision, Depends(requires("projects", customer=current_customer, used=used_projects))],
    ) -> dict[str, object]:
        PROJECTS.setdefault(customer, []).append(name)
        return {"name": name, "of": decision.limit.amount if decision.limit else "unlimited"}

    return app


def __getattr__(name: str) -> FastAPI:
    """Make `app` when a server asks for it, so that tests import this module without any server."""
    if name != "app":
        raise AttributeError(name)
    return make_app(Client())
