"""Random lives of one customer, lived over HTTP: commands of every kind, a clock that moves, questions in between."""

import copy
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from msgspec import Struct

from tests.api.house import Visitor, release

BIRTH: Final = datetime(2030, 1, 31, 9, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
CUSTOMER: Final = "acme"
FEATURES: Final = ("sso", "projects", "reports", "region", "autopilot", "off")
USERS: Final = (None, "ann", "bob", "nobody")
PLANS: Final = ("free", "team", "business")
CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"suite": {"name": "Suite"}},
    "features": {
        "sso": {"type": "switch", "title": "SSO"},
        "projects": {"type": "limit", "title": "Projects"},
        "reports": {"type": "switch", "title": "Reports", "mode": "observe"},
        "region": {"type": "switch", "title": "Region", "regions": ["eu"]},
        "autopilot": {
            "type": "switch",
            "title": "Autopilot",
            "when": '"planner" in user.roles && user.attributes.level > 2',
        },
        "off": {"type": "switch", "title": "Off", "mode": "off"},
    },
    "plans": {
        "free": {"product": "suite", "versions": {"2026-01": {"includes": {"projects": 1}}}},
        "team": {
            "product": "suite",
            "versions": {
                "2026-01": {"ladder": "card", "includes": {"projects": 20, "autopilot": True, "region": True}}
            },
        },
        "business": {
            "product": "suite",
            "versions": {
                "2026-01": {
                    "ladder": "card",
                    "trial": "P14D",
                    "then": "free",
                    "includes": {"projects": 200, "sso": True, "reports": True, "autopilot": True, "region": True},
                }
            },
        },
    },
    "ladders": {
        "card": [
            {"after": "P0D", "do": "warn"},
            {"after": "P3D", "do": "restrict", "features": ["sso"]},
            {"after": "P9D", "do": "suspend"},
        ],
        "slow": [{"after": "P30D", "do": "suspend"}],
    },
    "cohorts": {"pilots": {"title": "Pilots", "ladder": "slow"}},
}


class Answered(Struct, frozen=True):
    """A question, when it was asked, and what was answered."""

    at: datetime
    question: dict[str, Any]
    decision: dict[str, Any]


class Life:
    """One workspace with one customer; every choice comes from one seed."""

    def __init__(self, visitor: Visitor, seed: int) -> None:
        self.visitor = visitor
        self.dice = Random(seed)
        self.now = BIRTH
        self.catalog = copy.deepcopy(CATALOG)
        self.answers: list[Answered] = []
        self.done: Counter[str] = Counter()
        self._revision = 0
        self._count = 0
        self._overrides: list[str] = []
        self._subscriptions: list[str] = []

    async def begin(self) -> None:
        """Set the clock, release the first catalog, create the customer."""
        await self.visitor.told("POST", "/v1/clock", {"frozen_at": _text(self.now)})
        await self._release()
        await self.visitor.told("POST", "/v1/customers", {"id": CUSTOMER, "profile": {"region": "eu"}})

    async def live(self, rounds: int, *, asking: bool) -> None:
        """Let so many times something happen: commands, perhaps questions, and then time passes.

        The clock stands while commands and questions follow one another, so that what comes after an answer is of a
        later instant than it.
        """
        kinds: list[Callable[[], Any]] = [
            self._order, self._order, self._order, self._user, self._user, self._override, self._end_override,
            self._suspend, self._resume, self._pay, self._pay, self._promise, self._ladder, self._profile,
            self._change_catalog,
        ]  # fmt: skip
        for _ in range(rounds):
            for kind in self.dice.choices(kinds, k=self.dice.randint(1, 3)):
                await kind()
            if asking:
                await self._ask()
            self.now += self.dice.choice([timedelta(microseconds=1), HOUR, DAY, 5 * DAY, 13 * DAY])
            await self.visitor.told("POST", "/v1/clock", {"frozen_at": _text(self.now)})

    async def _ask(self) -> None:
        questions = [self._question() for _ in range(4)]
        told = await self.visitor.told("POST", "/v1/check/batch", {"questions": questions})
        for question, decision in zip(questions, told["decisions"], strict=True):
            self.answers.append(Answered(self.now, question, decision))

    def _question(self) -> dict[str, Any]:
        found: dict[str, Any] = {"customer": CUSTOMER, "feature": self.dice.choice(FEATURES)}
        if (user := self.dice.choice(USERS)) is not None:
            found["user"] = user
        if found["feature"] == "projects":
            found |= {"used": self.dice.choice([0, 1, 19, 20, 199, 500]), "quantity": self.dice.choice([1, 5])}
        if self.dice.random() < 0.3:
            found["context"] = {"region": self.dice.choice(["eu", "us"]), "deployment": "saas"}
        return found

    async def _send(self, kind: str, method: str, path: str, value: Any) -> Any:
        """Send a command, which may be refused for what the customer is like just now; None then."""
        answer = await self.visitor.ask(method, path, value)
        assert answer.status_code < 500, (kind, answer.text)
        if not answer.is_success:
            return None
        self.done[kind] += 1
        return answer.json()

    async def _order(self) -> None:
        """An order: of now or late, perhaps a trial, with an end, or with phases that begin later."""
        self._count += 1
        occurred = self.now - self.dice.choice([0, 0, 1, 20, 40]) * DAY
        quantity = self.dice.choice([{}, {"quantity": 2}])
        order: dict[str, Any] = {
            "source": "crm",
            "external_id": self.dice.choice(["deal-1", "deal-2"]),
            "customer": {"id": CUSTOMER},
            "occurred_at": _text(occurred),
            "sequence": self._count,
            "lines": [{"plan": self.dice.choice(PLANS), "line": "1", **quantity}],
        }
        kind = "order" if occurred == self.now else "late order"
        turn = self.dice.random()
        if turn < 0.2:
            order |= {"trial_start": _text(occurred), "trial_end": _text(self.now + 6 * DAY)}
            order["trial_end_behavior"] = self.dice.choice(["convert", "fall", "end"])
        elif turn < 0.4:
            order["ends_at"] = _text(self.now + self.dice.choice([3, 30]) * DAY)
        elif turn < 0.6:
            kind = "scheduled order"
            later = {"effective_at": _text(self.now + 7 * DAY), "lines": [{"plan": self.dice.choice(PLANS)}]}
            order["scheduled"] = [later]
        told = await self._send(kind, "POST", "/v1/orders", order)
        if told is not None and told["subscription"] and told["subscription"] not in self._subscriptions:
            self._subscriptions.append(told["subscription"])

    async def _user(self) -> None:
        user = {
            "roles": self.dice.sample(["planner", "admin", "viewer"], self.dice.randint(0, 2)),
            "attributes": {"level": self.dice.randint(1, 4)} if self.dice.random() < 0.8 else {},
            "active": self.dice.random() < 0.8,
        }
        name = self.dice.choice(["ann", "bob"])
        await self._send("user", "PUT", f"/v1/customers/{CUSTOMER}/users/{name}", user)

    async def _override(self) -> None:
        feature = self.dice.choice(FEATURES)
        start = self.now + self.dice.choice([0, 0, 2]) * DAY
        override: dict[str, Any] = {"feature": feature, "starts_at": _text(start), "note": "for a test"}
        if self.dice.random() < 0.4:
            override["effect"] = "deny"
        elif feature == "projects":
            override["amount"] = self.dice.choice([5, 300])
        if self.dice.random() < 0.5:
            override["ends_at"] = _text(start + self.dice.choice([1, 15]) * DAY)
        told = await self._send("override", "POST", f"/v1/customers/{CUSTOMER}/overrides", override)
        if told is not None:
            self._overrides.append(told["override"]["id"])

    async def _end_override(self) -> None:
        if self._overrides:
            path = f"/v1/customers/{CUSTOMER}/overrides/{self.dice.choice(self._overrides)}/end"
            await self._send("end of an override", "POST", path, {})

    async def _suspend(self) -> None:
        if self.dice.random() < 0.5:
            await self._send("suspension", "POST", f"/v1/customers/{CUSTOMER}/suspend", {"note": "unpaid"})

    async def _resume(self) -> None:
        await self._send("resumption", "POST", f"/v1/customers/{CUSTOMER}/resume", {})

    async def _pay(self) -> None:
        if self._subscriptions:
            kind = self.dice.choice(["failed", "failed", "paid", "disputed"])
            fact = {"invoice": self.dice.choice(["in_1", "in_2"]), "kind": kind}
            path = f"/v1/customers/{CUSTOMER}/subscriptions/{self.dice.choice(self._subscriptions)}/payments"
            await self._send("payment", "POST", path, fact)

    async def _promise(self) -> None:
        if self._subscriptions:
            path = f"/v1/customers/{CUSTOMER}/subscriptions/{self.dice.choice(self._subscriptions)}/promises"
            await self._send("promise", "POST", path, {"until": _text(self.now + 4 * DAY)})

    async def _ladder(self) -> None:
        if self.dice.random() < 0.5:
            await self._send("ladder", "PUT", f"/v1/customers/{CUSTOMER}/ladder", {"ladder": "slow"})
        else:
            await self._send("cohort", "POST", f"/v1/customers/{CUSTOMER}/cohorts/pilots/join", {})

    async def _profile(self) -> None:
        profile = {"region": self.dice.choice(["eu", "us"]), "country": self.dice.choice(["DE", "US"])}
        await self._send("profile", "PATCH", f"/v1/customers/{CUSTOMER}", {"profile": profile})

    async def _change_catalog(self) -> None:
        """Change what is live for everybody, or offer another version of a plan."""
        features, plans = self.catalog["features"], self.catalog["plans"]
        turn = self.dice.randint(0, 3)
        if turn == 0:
            features["sso"]["mode"] = self.dice.choice(["enforce", "observe", "off"])
        elif turn == 1:
            features["reports"]["when"] = self.dice.choice(
                ['"admin" in user.roles', "true", 'customer.country == "DE"']
            )
        elif turn == 2:
            number = len(plans["team"]["versions"]) + 1
            # One version is sold at a time, also where two are made within one instant.
            begins = _text(self.now + number * timedelta(microseconds=1))
            newest = {"ladder": "card", "includes": {"projects": 20 + number}, "available_from": begins}
            plans["team"]["versions"][str(number)] = newest
        else:
            rule = {"when": 'customer.country == "US"', "do": "restrict", "features": ["autopilot"]}
            self.catalog["policies"] = {"export": rule} if self.dice.random() < 0.7 else {}
        await self._release()

    async def _release(self) -> None:
        self._revision = (await release(self.visitor, self.catalog, self._revision))["revision"]
        self.done["release"] += 1


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
