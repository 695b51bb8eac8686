"""Debian's PostgreSQL 15 is fetched without root and runs through our own locator and supervisor."""

import pytest

from licet.store.bundled import Bundled, BundledError
from licet.store.bundled.locate import locate
from tests.store.bundled.lives import open_folder, query
from tests.store.engines import CACHE, EngineError, engine_binaries, fetch_debian_15, missing_libraries


@pytest.mark.slow
@pytest.mark.postgres
def test_debian_15_runs_and_its_data_refuse_18() -> None:
    """The fetched 15 finds all its libraries and serves; the bundled 18 then refuses its data by both versions."""
    programs = fetch_debian_15(CACHE / "pg15")
    assert missing_libraries(CACHE / "pg15" / "root") == []
    with open_folder() as place:
        with Bundled(place / "home", binaries=programs) as bundled:
            assert bundled.endpoint.version.startswith("15.")
            assert str(query(bundled.endpoint.admin_dsn(), "SHOW server_version")).startswith("15.")
            sorting = "SELECT string_agg(c, '' ORDER BY c) FROM unnest('{a,B}'::text[]) c"
            assert query(bundled.endpoint.admin_dsn(), sorting) == "Ba"
        with pytest.raises(BundledError, match=r"made by PostgreSQL 15, but the programs found are 18\."):
            Bundled(place / "home", binaries=locate(None).folder).start()


def test_unknown_engine_is_refused() -> None:
    """A misspelt engine fails and lists the right names."""
    with pytest.raises(EngineError, match="LICET_TEST_PG=16 is not an engine: it must be one of bundled, 15"):
        engine_binaries("16")
