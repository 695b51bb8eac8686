"""The guide's "When something went wrong" as its reader would live it: messages before a catalog, and their replay."""

import re
import shutil
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from licet.testing.stripe import StripeStory
from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import Followed, promises, steady
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE = ROOT / "docs" / "guides" / "stripe.md"
SECRET = "whsec_of_the_guide_for_stripe"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """A source that two messages came to before any catalog was released; then every step of the guide in order."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "secret").write_text(SECRET)
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    assert licet("connector", "add", "stripe", "--secret-file", "secret", env=env, cwd=folder).code == 0
    story = StripeStory(SECRET, datetime.now(UTC) - timedelta(hours=2), customer="acme")
    for delivery in (story.subscribe("price_team_monthly", 5), story.pay()):
        signed = delivery.signed(SECRET, int(time.time()))
        address = f"{shop.url}/v1/connectors/live/stripe"
        assert httpx.post(address, content=signed.body, headers=signed.headers, timeout=30).is_success
    done = []
    for step, promised in zip(read_page(GUIDE).steps, promises(GUIDE), strict=True):
        ran = licet(*step.arguments, env=env, cwd=folder)
        done.append(Followed(" ".join(step.arguments), promised, step.code, ran.code, ran.out + ran.err))
    return done


def test_every_command_ends_as_the_guide_says(followed: list[Followed]) -> None:
    """Each command exits with the code that the page states, in the page's order."""
    assert len(followed) == 6
    assert [one for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """The lines that the page shows are printed in their order, whatever the instants; it may leave some out."""
    for one in followed:
        printed = iter(_lines(one.printed))
        assert (one.command, [line for line in _lines(one.promised) if line not in printed]) == (one.command, [])


def _lines(text: str) -> list[str]:
    """The lines that say something, without ids of messages and how long ago something was."""
    told = re.sub(r"came (\d+ (s|min) ago|just now)", "came AGO", re.sub(r"\bevt_\w+", "evt_ID", steady(text)))
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "THEN", line) for line in told.splitlines() if line]
