"""Settings: read once, everything wrong told at once, options before variables."""

from pathlib import Path

import pytest

from licet.sdk import place
from licet.settings import VARIABLES, Settings, SettingsError


def test_nothing_set_is_a_safe_default() -> None:
    """Without any variable the server listens on loopback, on the bundled database."""
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8080, None)
    assert settings == Settings()


def test_variables_and_options(tmp_path: Path) -> None:
    """Variables are read, empty ones count as absent, and what is given goes before them unless it is None."""
    environ = {"LICET_PORT": "9000", "LICET_HOST": " ", "LICET_HOME": str(tmp_path), "LICET_INSECURE_LISTEN": "yes"}
    settings = Settings.read(environ, port=0, host=None)
    assert (settings.port, settings.host, settings.home, settings.insecure_listen) == (0, "127.0.0.1", tmp_path, True)
    assert Settings.read(environ, port=None).port == 9000


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Each wrong variable is named with its value and what is allowed; a misspelt one with what was meant."""
    environ = {
        "LICET_PORT": "80800",
        "LICET_LOG_FORMAT": "xml",
        "LICET_DATABASE_URL": "mysql://x",
        "LICET_INSECURE_LISTEN": "maybe",
        "LICET_TLS_CERT": str(tmp_path / "none.pem"),
        "LICET_HOMES": "/x",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.read(environ)
    said = str(caught.value)
    assert len(said.splitlines()) == 7
    for words in (
        "LICET_PORT is '80800': it must be a whole number from 0 to 65535",
        "LICET_LOG_FORMAT is 'xml': it must be one of json, console",
        "postgresql://",
        "it must be 1 or 0",
        "LICET_TLS_KEY is missing",
        "there is no such file",
        "LICET_HOMES is not a setting; did you mean LICET_HOME?",
    ):
        assert words in said


def test_the_clients_variables_are_left_alone() -> None:
    """The SDK's own variables, all of them, do not disturb a server in the same environment."""
    environ = {place.URL: "http://x", place.KEY: "lct_x", place.ROOT: "k4.public.x"}
    assert set(environ) == {"LICET_URL", "LICET_KEY", "LICET_ROOT"}
    assert Settings.read(environ) == Settings()


def test_the_standard_variable_for_traces_counts() -> None:
    """OTEL_TRACES_EXPORTER is taken where Licet's own is not set; `none` is none."""
    assert Settings.read({"OTEL_TRACES_EXPORTER": "otlp"}).traces == "otlp"
    assert Settings.read({"OTEL_TRACES_EXPORTER": "otlp", "LICET_TRACES": "log"}).traces == "log"
    assert Settings.read({"OTEL_TRACES_EXPORTER": "none"}).traces is None


def test_every_variable_has_a_field() -> None:
    """Each variable sets a field that exists, and each field's words name its variable."""
    fields = set(Settings.__struct_fields__)
    assert len(VARIABLES) == len(fields)
