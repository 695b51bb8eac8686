"""The demo as a newcomer runs it: the whole story on a server and database of its own, of which nothing is left."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import pytest

from licet.cli.demo.teller import Teller
from licet.cli.output import Output
from tests.cli.terminal import SCRIPT, licet

pytestmark = pytest.mark.slow


def test_the_story_goes_as_told(tmp_path: Path) -> None:
    """`demo --once` tells every chapter in plain words, exits 0, and draws the picture."""
    picture = tmp_path / "demo.svg"
    ran = licet("demo", "--once", "--svg", str(picture), timeout=120)
    assert ran.code == 0, ran.out + ran.err
    assert "✗" not in ran.out
    assert "\x1b" not in ran.out
    for words in (
        "A signed order becomes access",
        "trial_expired",
        "in_grace",
        "restricted",
        "settled · 31.25 used",
        "50 allowed, 30 refused",
        "blast_radius",
        "was edited",
    ):
        assert words in ran.out
    assert "outcomes as told" in ran.out.splitlines()[-1]
    drawn = picture.read_text()
    ElementTree.fromstring(drawn)  # noqa: S314 - our own file
    assert "http://" not in drawn.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")
    assert "https://" not in drawn


def test_the_story_as_json_compares_what_it_expects() -> None:
    """With --json one object comes: every step with what was told, what was seen, and how long it took."""
    ran = licet("demo", "--once", "--json", "--port", "0", timeout=120)
    assert ran.code == 0, ran.out + ran.err
    story = ran.document
    assert not Path(story["home"]).exists()
    steps = [step for chapter in story["chapters"] for step in chapter["steps"]]
    assert story["ok"]
    assert [chapter["number"] for chapter in story["chapters"]] == list(range(1, 13))
    assert len(steps) > 45
    assert all(step["expected"] == step["seen"] and step["ok"] for step in steps)
    access = [step["ms"] for step in steps if step["what"].startswith("acme may")]
    assert len(access) == 2
    assert max(access) < 1000


def test_a_story_that_goes_otherwise_fails() -> None:
    """One outcome that is not as told makes the whole story fail, and both are shown."""
    teller = Teller(Output(as_json=True))
    teller.chapter("one", "why")
    assert teller.step("same", "yes", "yes")
    assert teller.document()["ok"]
    assert not teller.step("other", "yes", "no", ms=1.5)
    assert not teller.document()["ok"]
    steps = teller.document()["chapters"][0]["steps"]
    assert steps[1] == {"what": "other", "expected": "yes", "seen": "no", "ok": False, "ms": 1.5}


def test_it_stays_up_to_be_tried_and_ends_with_ctrl_c() -> None:
    """Without --once it stays up after the story; the printed lines work; Ctrl-C ends it and removes its home."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    with subprocess.Popen(
        [str(SCRIPT), "demo", "--port", "0"], stdout=subprocess.PIPE, text=True, env=clean, start_new_session=True
    ) as demo:
        try:
            told = []
            assert demo.stdout is not None
            for line in demo.stdout:
                told.append(line)
                if "Ctrl-C" in line:
                    break
            assert any("allowed" in line for line in told)
            variables = next(line for line in told if line.startswith("export ")).split()[1:]
            env = dict(pair.split("=", 1) for pair in variables)
            assert licet("check", "acme", "sso", env=env).code == 0
            with urllib.request.urlopen(f"{env['LICET_URL']}/docs", timeout=10) as page:  # noqa: S310 - our own server
                assert page.status == 200
            printed = [line.split() for line in told if line.split()[1:2] in (["explain"], ["audit"])]
            assert [words[1:] for words in printed] == [["explain", "acme", "sso"], ["audit", "verify"]]
            for words in printed:
                shown = subprocess.run(
                    words, env={**clean, **env}, capture_output=True, text=True, timeout=30, check=True
                )
                assert "sso" in shown.stdout or "whole" in shown.stdout
                assert env["LICET_HOME"] in shown.stdout or "workspace test" not in shown.stdout
            for line in told:
                if line.startswith("curl "):
                    shell = ["bash", "-c", line]
                    asked = subprocess.run(
                        shell, env={**clean, **env}, capture_output=True, text=True, timeout=20, check=True
                    )
                    assert "urn:licet:problem" not in asked.stdout
                    assert json.loads(asked.stdout)
        finally:
            demo.send_signal(signal.SIGINT)
            try:
                demo.wait(30)
            finally:
                demo.kill()
    assert demo.returncode == 0
    home = Path(told[-1].split()[-1])
    assert home.name.startswith("demo-")
    assert not home.exists()


def test_a_taken_port_is_told() -> None:
    """A port that somebody else has is named, with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = licet("demo", "--once", "--port", port, timeout=60)
    assert ran.code == 2
    assert port in ran.err
    assert "Traceback" not in ran.err
