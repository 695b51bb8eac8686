"""A Django program with gates, in one file: `python app.py runserver`, LICET_URL and LICET_KEY in the environment."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from licet.sdk.adapters.django import requires

if not settings.configured:
    settings.configure(
        DEBUG=False,
        SECRET_KEY="only for this example",  # noqa: S106 - it is an example
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["licet.sdk.adapters.django.LicetMiddleware"],
    )

PROJECTS: dict[str, list[str]] = {}


def current_customer(request: HttpRequest) -> str:
    """Who asks; a real program reads it from its session or token."""
    return str(request.headers["X-Customer"])


def used_projects(request: HttpRequest) -> int:
    """How many projects the customer has."""
    return len(PROJECTS.get(current_customer(request), ()))


@requires("sso", customer=current_customer)
def sso(_request: HttpRequest) -> JsonResponse:
    """A page for those who have the feature."""
    return JsonResponse({"single sign-on": "is set up here"})


@csrf_exempt
@require_POST
@requires("projects", customer=current_customer, used=used_projects)
def add_project(request: HttpRequest, name: str) -> JsonResponse:
    """One more project, if it fits."""
    PROJECTS.setdefault(current_customer(request), []).append(name)
    return JsonResponse({"name": name, "of": request.licet.limit.amount}, status=201)


urlpatterns = [path("sso", sso), path("projects/<str:name>", add_project)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
