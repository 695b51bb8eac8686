"""The guides for a vendor's program as their reader would follow them: its files in a folder, and pytest over them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.page import read_page
from tests.tidy.source import ROOT


def test_the_blocks_of_the_guide_are_a_suite_that_passes(tmp_path: Path) -> None:
    """Each block is a file of one suite, the catalog too: what the page prints, and nothing else, passes."""
    page = read_page(ROOT / "docs" / "guides" / "test-your-gates.md")
    assert set(page.files) == {"shop.py", "test_words.py", "catalog.yaml", "pytest.ini", "test_trial.py"}
    for name, text in page.files.items():
        (tmp_path / name).write_text(text, "utf-8")
    ran = run_suite(tmp_path, "")
    assert "5 passed" in ran, ran


FLASK = """
from app import create_app


def test_gate(licet_world):
    licet_world.deny("acme", "export")
    browser = create_app(licet_world.client()).test_client()
    answer = browser.get("/export", headers={"X-Customer": "acme"})
    assert answer.get_json(force=True)["code"] == "not_entitled"
    licet_world.allow("acme", "export")
    assert browser.get("/export", headers={"X-Customer": "acme"}).text == "id,name"
"""
DJANGO = """
import django
import settings as page
from django.conf import settings

settings.configure(MIDDLEWARE=page.MIDDLEWARE, ROOT_URLCONF="test_page", SECRET_KEY="x", ALLOWED_HOSTS=["*"])
django.setup()

from django.test import Client
from django.test.utils import override_settings
from django.urls import path
from views import export

urlpatterns = [path("export", export)]


def test_gate(licet_world):
    licet_world.deny("acme", "export")
    with override_settings(LICET_CLIENT=licet_world.client()):
        answer = Client().get("/export", headers={"X-Customer": "acme"})
        assert answer.json()["code"] == "not_entitled"
        licet_world.allow("acme", "export")
        assert Client().get("/export", headers={"X-Customer": "acme"}).content == b"id,name"
"""


@pytest.mark.parametrize(("guide", "suite"), [("flask", FLASK), ("django", DJANGO)])
def test_the_programs_of_the_guides_are_gated(tmp_path: Path, guide: str, suite: str) -> None:
    """The blocks of a framework's guide, put into a program as the guide says, refuse and allow."""
    for name, text in read_page(ROOT / "docs" / "guides" / f"{guide}.md").files.items():
        (tmp_path / name).write_text(text, "utf-8")
    ran = run_suite(tmp_path, suite)
    assert "1 passed" in ran, ran


def run_suite(folder: Path, suite: str) -> str:
    """Run pytest in a folder, with nothing loaded but the plugin, and return what it printed."""
    if suite:
        (folder / "test_page.py").write_text(suite, "utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LICET"))}
    env = {**clean, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "licet.testing.plugin"]
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout + ran.stderr
