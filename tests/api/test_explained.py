"""Every answer can be explained ever after: by its basis and by its instant, whatever has happened since."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from licet.services.rows import Workspace
from licet.settings import Settings
from tests.api.house import House, Visitor, open_house
from tests.api.lives import CUSTOMER, Answered, Life
from tests.dose import dose
from tests.store.worlds import OPERATOR, World

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
HISTORIES = dose(24, full=1000)
FIRST_SEED = 15
"""From here on even a few lives have every kind of event in them."""
KINDS = {
    "order", "late order", "scheduled order", "user", "override", "end of an override", "suspension", "resumption",
    "payment", "promise", "ladder", "cohort", "profile", "release",
}  # fmt: skip


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[House]:
    """A server without a rate, for what a test asks in a row."""
    async with open_house(world, Settings(rate_per_second=0)) as house:
        yield house


def asked(answered: Answered, **times: str) -> str:
    """Where an answer is explained."""
    question = answered.question
    query = {name: question[name] for name in ("feature", "user", "used", "quantity") if name in question}
    return f"/v1/customers/{CUSTOMER}/explain?{urlencode({**query, **question.get('context', {}), **times})}"


def told(decision: dict[str, Any]) -> dict[str, Any]:
    """What an answer says, in full."""
    return {name: value for name, value in decision.items() if name != "basis"}


async def explained(visitor: Visitor, answered: Answered, place: int) -> None:
    """Explain an answer by its basis and by its instant; it must be the very same answer."""
    at = answered.at.isoformat().replace("+00:00", "Z")
    # What was known then is what counts unless something else is said.
    by_time = {"at": at} if place % 4 == 0 else {"at": at, "known_at": at}
    for times in ({"at": at, "basis": answered.decision["basis"]}, by_time):
        found = await visitor.told("GET", asked(answered, **times))
        assert told(found["decision"]) == told(answered.decision), (times, answered)
        assert found["tree"]["ok"] is answered.decision["allowed"]


async def test_every_answer_is_explained_at_its_instant(world: World) -> None:
    """Random histories over HTTP of orders (late and scheduled, too), users, overrides, payments, suspensions and
    releases, with a clock that moves; then more of it, and a restart: each answer is explained by its basis and by its
    instant with the same outcome, reasons and sources."""
    lives: list[tuple[str, Life]] = []
    async with opened(world) as house:
        for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES):
            name = f"life{seed}"
            await house.storage.create_workspace(Workspace(id=name, kind="test"), OPERATOR)
            secret = (await house.key("admin", workspace=name))[1]
            life = Life(house.visitor(secret), seed)
            await life.begin()
            await life.live(4, asking=True)
            await life.live(2, asking=False)
            await life.visitor.http.aclose()
            lives.append((secret, life))
    reasons: Counter[str] = Counter()
    async with opened(world) as house:
        for secret, life in lives:
            visitor = house.visitor(secret)
            for place, answered in enumerate(life.answers):
                await explained(visitor, answered, place)
                reasons[answered.decision["reason"]] += 1
            await visitor.http.aclose()
    done = sum((life.done for _, life in lives), Counter())
    assert {*done} == KINDS
    print(f"{sum(reasons.values())} answers of {HISTORIES} lives are explained as given")  # noqa: T201 meant to be read
    # The rarest, a resumption, needs a suspension before it.
    assert min(done.values()) >= HISTORIES / 20
    assert len(reasons) >= 10, reasons
    assert len({msgspec.json.encode(told(one.decision)) for _, life in lives for one in life.answers}) > HISTORIES
