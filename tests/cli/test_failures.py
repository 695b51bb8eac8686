"""Bad input at the command line: a sentence, what to do next, the right exit code, and never a traceback."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from licet.cli.plain_words import plain_words
from tests.cli.terminal import SCRIPT, Ran, licet

NOWHERE = {"LICET_URL": "http://127.0.0.1:9", "LICET_KEY": "lct_test_x_y"}
ABSENT = "absent.yaml"


def told(ran: Ran, *words: str, code: int = 2) -> None:
    """Assert that a command ended with a sentence that holds ``words``, and without a traceback."""
    assert ran.code == code, ran
    assert "Traceback" not in ran.err + ran.out
    assert ran.err.startswith("error: ")
    for word in words:
        assert word in ran.err
    assert len(ran.err.splitlines()) <= 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["nonsense", "licet --help"]),
        (["check"], ["CUSTOMER", "licet check --help"]),
        (["check", "acme"], ["FEATURE"]),
        (["check", "acme", "sso", "--nonsense"], ["--nonsense"]),
        (["check", "acme", "sso", "extra"], ["extra"]),
        (["check", "acme", "sso", "--context", "novalue"], ["novalue", "deployment=on_prem"]),
        (["log", "--limit", "0"], ["--limit"]),
        (["log", "--limit", "many"], ["--limit"]),
        (["connector", "add", "fax"], ["fax", "stripe"]),
        (["connector", "add", "stripe"], ["--secret-file"]),
        (["clock", "set", "yesterday"], ["yesterday", "2026-03-01"]),
        (["bench", "sleep"], ["sleep"]),
        (["bench", "check", "--quick"], ["check has no quick form", "overshoot"]),
        (["keys", "create", "--name", "x", "--scope", "everything"], ["everything", "catalog:read"]),
        (["keys", "create", "--name", "x", "--scope", "check", "--kind", "car"], ["car", "install"]),
        (["keys", "create", "--name", "x", "--scope", "check", "--expires", "soon"], ["soon"]),
        (["customer", "create", "x", "--external-id", "stripe"], ["--external-id", "key=value"]),
        (["up", "--port", "99999"], ["--port", "at most 65535"]),
        (["log", "--limit", "ten"], ["--limit", "whole number"]),
        (["catalog", "matrix", "-f", "xml"], ["'xml' is not known", "table, md"]),
        (["check", "acme", "seats", "--used", "abc"], ["--used 'abc'", "12.50"]),
        (["check", "acme", "sso", "--used", "-1"], ["--used '-1'", "0 or more"]),
        (["check", "acme", "seats", "--quantity", "9" * 30], ["--quantity", "too large", "9223372036854775807"]),
        (["check", "acme", "sso", "-c", "deployment=mars"], ["mars", "on_prem, air_gapped"]),
        (["check", "acme", "sso", "-c", "country=DEU"], ["DEU", "two letters"]),
        (["check", "", "sso"], ["customer is empty"]),
        (["explain", "acme", " "], ["feature is empty"]),
        (["findings", "--state", "new"], ["new", "open, resolved, dismissed"]),
        (["clock", "advance", "P0D"], ["P0D", "PT12H"]),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], words: list[str]) -> None:
    """Each wrong argument is named with what is allowed; exit code 2."""
    told(licet(*arguments, env=NOWHERE), *words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "acme", "sso"],
        ["explain", "acme", "sso"],
        ["entitlements", "acme"],
        ["catalog", "pull"],
        ["customer", "list"],
        ["log"],
        ["findings"],
        ["clock", "show"],
        ["connector", "list"],
    ],
)
def test_an_unreachable_server_is_named(arguments: list[str]) -> None:
    """Each command over HTTP says which address did not answer and how to start a server."""
    told(licet(*arguments, env=NOWHERE), "http://127.0.0.1:9", "licet up")


@pytest.mark.parametrize("url", ["foo", "ftp://host", "http://", "http://host:port", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """LICET_URL that is no HTTP address is shown with an example of one."""
    told(licet("check", "a", "b", env={**NOWHERE, "LICET_URL": url}), "LICET_URL")


def test_without_server_and_variables_the_first_step_is_told(tmp_path: Path) -> None:
    """Where neither variables nor a running server exist, the advice is `licet up`."""
    told(licet("check", "acme", "sso", env={"LICET_HOME": str(tmp_path / "home")}), "licet up", "LICET_URL")


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    """A misspelled LICET_ variable is told with the one that was meant, before anything starts."""
    told(licet("up", env={"LICET_PROT": "1", "LICET_HOME": str(tmp_path / "home")}), "LICET_PROT", "LICET_PORT")


def test_a_setting_like_no_other_gets_no_guess(tmp_path: Path) -> None:
    """The prefix that all settings share makes no two of them alike: LICET_FOO is not taken for LICET_PORT."""
    ran = licet("up", env={"LICET_FOO": "1", "LICET_HOME": str(tmp_path / "home")})
    told(ran, "LICET_FOO")
    assert "did you mean" not in ran.err


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("object missing required field `lines` at $", "the field lines is missing"),
        ("object contains unknown field `x` at $.customer", "there is no field x (at customer)"),
        ("expected `str`, got `int` at $.id", "it is a whole number and must be a text (at id)"),
        (
            "expected `int | null`, got `str` at $.a[0].b",
            "it is a text and must be a whole number or nothing (at a[0].b)",
        ),
        ("Input should be greater than or equal to 1", "it must be at least 1"),
        ("there is no customer 'acme'", "there is no customer 'acme'"),
    ],
)
def test_words_of_validators_become_sentences(said: str, plain: str) -> None:
    """What a library says of a value is told without its type names and paths; a sentence stays as it is."""
    assert plain_words(said) == plain


@pytest.mark.parametrize("command", [["catalog", "validate"], ["order", "send"], ["catalog", "preview"]])
def test_missing_files_and_directories_are_named(command: list[str], tmp_path: Path) -> None:
    """A path that does not exist, or is a directory, is told with its name."""
    told(licet(*command, str(tmp_path / ABSENT), env=NOWHERE), ABSENT)
    told(licet(*command, str(tmp_path), env=NOWHERE), str(tmp_path))


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    """A file that is not UTF-8 is told with the byte at which it stops being it."""
    file = tmp_path / "c.yaml"
    file.write_bytes(b"version: \xff1")
    told(licet("order", "send", str(file), env=NOWHERE), "UTF-8", "byte 9")


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("o.json", '{"source": "crm",\n  "source" "crm"}', "o.json:2:12"),
        ("o.yaml", "source: crm\nlines: [\n", "o.yaml:3:1"),
        ("o.yaml", "source: crm\nsource: web\n", "o.yaml:2:1"),
        ("o.yaml", "a: &x 1\n", "o.yaml:1:4"),
    ],
)
def test_orders_that_cannot_be_read_are_placed(name: str, text: str, place: str, tmp_path: Path) -> None:
    """Malformed JSON and YAML are told with file, line and column; exit code 1."""
    file = tmp_path / name
    file.write_text(text)
    told(licet("order", "send", str(file), env=NOWHERE), place, code=1)


def test_json_output_holds_the_error() -> None:
    """With --json an error is the one object on standard output, with a stable code, and nothing else is printed."""
    ran = licet("check", "acme", "sso", "--json", env=NOWHERE)
    assert ran.code == 2
    assert ran.err == ""
    assert ran.document["error"]["code"] == "unreachable"


def test_something_else_on_the_port_is_not_taken_for_licet() -> None:
    """A server that answers HTML is told to be something else."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.handle_request, daemon=True).start()
        ran = licet("check", "a", "b", env={**NOWHERE, "LICET_URL": f"http://127.0.0.1:{server.server_port}"})
    told(ran, "not JSON", "LICET_URL")


@pytest.mark.parametrize("part", [b"", b'{"allowed": tr'], ids=["nothing", "half"])
def test_an_answer_that_breaks_off_is_no_answer(part: bytes) -> None:
    """A server that ends in the middle of its answer has not answered, whether or not a byte of it arrived."""

    class Torn(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "400")
            self.end_headers()
            self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Torn) as server:
        Thread(target=server.handle_request, daemon=True).start()
        ran = licet("check", "a", "b", env={**NOWHERE, "LICET_URL": f"http://127.0.0.1:{server.server_port}"})
    told(ran, "the answer broke off")


def test_an_unexpected_error_leaves_its_details_in_a_file(tmp_path: Path) -> None:
    """A defect gives one sentence and a file with the traceback; --debug shows the traceback itself."""
    code = "from licet.cli import main, app\napp.build = lambda: 1 / 0\nmain.main()\n"
    env = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code, "log"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=30)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    kept = next(tmp_path.glob("licet-error-*.txt"))
    assert str(kept) in done.stderr
    assert "ZeroDivisionError" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    shown = subprocess.run([*command, "--debug"], capture_output=True, text=True, env=env, check=False, timeout=30)
    assert "Traceback" in shown.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`licet … | head -1` ends quietly."""
    pipe = ["bash", "-c", f"{SCRIPT} --help | head -1"]
    done = subprocess.run(pipe, capture_output=True, text=True, check=False, timeout=30)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
