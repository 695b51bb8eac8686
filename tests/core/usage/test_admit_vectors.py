"""The language-neutral cases of ``spec/vectors/admit`` hold in core: requests, reservations, reports, corrections."""

import json
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.instant import DAY, Instant, parse_instant
from licet.core.quantity import parse_quantity
from licet.core.question import Context
from licet.core.snapshot import Snapshot
from licet.core.terms import Terms
from licet.core.usage.admit import Admitted, Batch, Correction, Outcome, Report, Step, admit
from licet.core.usage.course import course_of
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey, Closing, Fact, Funding, FundingDoc, Request, Reservation, Want
from licet.core.usage.metering import compile_metering, measure
from licet.core.usage.reach import Reaches, holder_of
from licet.core.usage.recalled import Recalled
from licet.core.views import wire_amount
from tests.core.vectors import FOLDER


def _cases() -> list[Any]:
    found = []
    for file in sorted((FOLDER / "admit").glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        catalog = compile_catalog(msgspec.convert(document["catalog"], Catalog), 1, ZoneInfo, UTC)
        found += [pytest.param(catalog, case, id=f"{file.stem}: {case['name']}") for case in document["cases"]]
    return found


CASES = _cases()


@pytest.mark.parametrize(("catalog", "case"), CASES)
def test_admit(catalog: CompiledCatalog, case: dict[str, Any]) -> None:
    """Every step has the outcome that the vector says, and every balance stands as it says at the end."""
    books = Books(catalog, case)
    for step in case["steps"]:
        told = books.do(step)
        expect = step.get("expect", {})
        assert {name: told[name] for name in expect} == expect, step
    for name, expect in case.get("balances", {}).items():
        balance = books.balance(name)
        assert {one: balance[one] for one in expect} == expect, name


def test_there_are_vectors() -> None:
    """The folder holds cases of every kind of step."""
    kinds = {step["do"] for parameter in CASES for step in parameter.values[1]["steps"]}
    assert kinds == {"consume", "reserve", "settle", "release", "report", "correct"}


class Books:
    """The facts of one case, and accounts folded from them before every step."""

    def __init__(self, catalog: CompiledCatalog, case: dict[str, Any]) -> None:
        self.catalog = catalog
        self.terms = msgspec.convert({"customer": "acme", **case["terms"]}, Terms)
        self.funding = [
            Funding(id=one["id"], feature=one["feature"], doc=msgspec.convert(self._micros(one), FundingDoc))
            for one in case.get("funding", ())
        ]
        self.metering = compile_metering(catalog)
        snapshot = Snapshot(catalog, self.terms)
        self.reaches = Reaches(catalog, self.metering, {"acme": snapshot}.get)
        self.facts: list[Fact] = []
        self.named: dict[str, Fact] = {}
        self.reservations: dict[str, Reservation] = {}
        self.now: Instant = 0

    def _micros(self, one: dict[str, Any]) -> dict[str, Any]:
        """A funding document with minor units and instants."""
        scale = self.catalog.features[one["feature"]].scale
        made = {name: value for name, value in one.items() if name not in ("id", "feature")}
        for name in ("amount", "below", "most"):
            if made.get(name) is not None:
                made[name] = parse_quantity(made[name], scale)
        for name in ("effective", "expires", "at", "consented_at"):
            if name in made:
                made[name] = parse_instant(made[name])
        return made

    def account(self, key: AccountKey) -> Recalled:
        """One account, folded from all that was recorded."""
        course = course_of(self.catalog, self.terms, self.funding, key, self.now + DAY)
        meter = self.metering.meter_of.get(key.feature)
        each = self.metering.each_of[key.feature]
        mine = [one for one in self.facts if holder_of(each, one.user, one.team) == key.holder]
        return Recalled(course, effects(mine, key, course.until, meter, noted=True))

    def balance(self, name: str) -> dict[str, Any]:
        """How a balance stands, in major units."""
        feature, _, holder = name.partition("/")
        account, scale = self.account(AccountKey("acme", feature, holder)), self.catalog.features[feature].scale
        numbers = account.standing(max(self.now, account.newest))
        found = {one: wire_amount(getattr(numbers, one), scale) for one in ("used", "granted", "remaining")}
        return {**found, "crossed": list(numbers.crossed)}

    def do(self, step: dict[str, Any]) -> dict[str, Any]:
        """Take one step and tell what came of it."""
        self.now = parse_instant(step["at"])
        try:
            made = self.step(step)
        except ValueError as error:
            return {"error": "invalid", "detail": str(error)}
        due = [one for one in self.reservations.values() if one.closed is None and (one.fact.until or 0) <= self.now]
        accounts: dict[AccountKey, Recalled] = {}

        def account(key: AccountKey) -> Recalled:
            return accounts.setdefault(key, self.account(key))

        batch = Batch(steps=[made], reservations=self.reservations, due=due)
        told = admit(self.reaches, account, batch, self.now, lambda _: self.funding)
        return self.keep(step, told)

    def keep(self, step: dict[str, Any], told: Admitted) -> dict[str, Any]:
        """Keep what came of a step, and tell it in major units."""
        for fact, ended in told.released:
            self.facts.append(fact)
            self.reservations[ended.fact.id] = ended
        outcome = told.outcomes[0]
        if outcome.reservation is not None:
            self.reservations[outcome.reservation.fact.id] = outcome.reservation
        if outcome.fact is not None:
            self.facts.append(outcome.fact)
            self.named[step.get("name", "")] = outcome.fact
        return {**self.words(outcome), "top_ups": len(told.top_ups), "crossed": self.crossed(told)}

    def words(self, outcome: Outcome) -> dict[str, Any]:
        """An outcome for comparing."""
        return {
            "allowed": outcome.accepted,
            "reason": None if outcome.reason is None else str(outcome.reason),
            "error": outcome.error,
            "would_deny": None if outcome.would_deny is None else [str(one) for one in outcome.would_deny],
            "refused": {decision.case.feature: [str(one) for one in decision.reasons] for decision in outcome.refusals},
            "taken": {
                take.key.feature: wire_amount(take.taken, self.catalog.features[take.key.feature].scale)
                for take in outcome.takes
            },
            "exceeds": outcome.fact is not None and outcome.fact.exceeds,
        }

    def crossed(self, told: Admitted) -> dict[str, list[int]]:
        """The thresholds crossed by feature."""
        return {one.key.feature: list(one.percents) for one in told.crossings}

    def step(self, step: dict[str, Any]) -> Step:
        """A step of a vector as core takes it; its id follows from its place."""
        made = f"{len(self.facts) + 1:032x}"
        if step["do"] in ("settle", "release"):
            held = self.named[step["of"]]
            used = {one: self.minor(one, part) for one, part in step.get("used", {}).items()}
            return Closing(id=made, reservation=held.id, used=used if step["do"] == "settle" else None)
        if step["do"] == "correct":
            of = self.named[step["of"]]
            back = tuple(one for one in self.facts if one.of == of.id)
            draws = {name: self.account(AccountKey("acme", name)).draws[of.id] for name in of.burns}
            quantity = step.get("quantity")
            scaled = None if quantity is None else self.minor(next(iter(of.asked)), quantity)
            return Correction(id=made, of=of, back=back, draws=draws, quantity=scaled)
        if step["do"] == "report":
            return Report(fact=self.reported(made, step))
        wants = [Want(one["feature"], self.minor(one["feature"], one["quantity"])) for one in step["wants"]]
        until = parse_instant(step["until"]) if "until" in step else None
        return Request(
            id=made,
            kind=step["do"],
            customer="acme",
            wants=tuple(wants),
            user=step.get("user"),
            team=step.get("team"),
            context=msgspec.convert(step.get("context", {}), Context),
            partial=step.get("partial", False),
            until=until,
        )

    def reported(self, made: str, step: dict[str, Any]) -> Fact:
        """An event as it is measured."""
        found = measure(self.metering, step["type"], step["data"])
        if found is None:
            raise ValueError(f"no meter counts {step['type']}")
        effective = parse_instant(step.get("time", step["at"]))
        return Fact(
            id=made,
            kind="report",
            effective=effective,
            customer="acme",
            user=found.user,
            team=found.team,
            metered=found.metered,
            values=found.values,
            dimensions=found.dimensions,
        )

    def minor(self, feature: str, quantity: int | str) -> int:
        """A quantity in minor units."""
        return parse_quantity(quantity, self.catalog.features[feature].scale)
