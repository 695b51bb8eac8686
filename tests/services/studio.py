"""A small vendor whose every check is on record, and a random history of it that keeps its own simple books.

The books know for each question what the customer had at that moment, so that a test can recount what another catalog
would have answered without asking the code under test.
"""

from datetime import timedelta
from random import Random
from typing import Final

from msgspec import Struct, structs

from licet.core.catalog import Amount
from licet.core.question import Context, Question
from licet.core.tally import Outcome
from licet.core.terms import Profile
from licet.services.check_counts import CheckCounter
from licet.services.checks import answer
from licet.services.customers import ChangeCustomer, CreateCustomer, change_customer, create_customer
from licet.services.overrides import AddOverride, add_override
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.users import PutUser, put_user
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk

CATALOG: Final = """
version: 1
products:
  studio: { name: Studio }
features:
  projects: { type: limit, record: each }
  export: { type: switch, record: each }
  autopilot: { type: switch, record: each, mode: observe }
plans:
  team:
    product: studio
    versions:
      "2026-01": { includes: { projects: 3, export: true } }
  pro:
    product: studio
    versions:
      "2026-01": { includes: { projects: 10, export: true, autopilot: true } }
"""
LIMITS: Final = {"team": 3, "pro": 10}
ROLES: Final = ("author", "guest", "admin")
COUNTRIES: Final = (None, "DE", "KP", "CU")
Answer = tuple[Outcome, str]
"""Outcome and first reason."""


class Customer(Struct):
    """What the books know of one customer."""

    plans: list[str] = []
    raises: list[tuple[int, int]] = []
    """Exceptions for projects: the day on which each ends, and its amount."""
    country: str | None = None
    roles: dict[str, tuple[str, ...]] = {}
    """Of its active users."""


class Entry(Struct):
    """One question with all that bears on its answer."""

    question: Question
    day: int
    customer: Customer | None
    """A copy of the books at that moment; None for somebody who is no customer."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the asking user had."""
        return () if self.customer is None else self.customer.roles.get(self.question.user or "", ())

    def amount(self, limits: dict[str, int]) -> int | None:
        """How many projects were allowed, where plans give so many; None where nothing gave any."""
        if self.customer is None:
            return None
        given = [limits[plan] for plan in self.customer.plans]
        given += [amount for until, amount in self.customer.raises if self.day < until]
        return max(given, default=None)

    def counted(self) -> int:
        """How many there would be."""
        return whole(self.question.used or 0) + whole(self.question.quantity)


def whole(amount: Amount) -> int:
    """An amount of a question as a number."""
    return int(amount)


def projects_answer(entry: Entry, limits: dict[str, int]) -> Answer:
    """What a check of projects answers where plans give so many."""
    amount = entry.amount(limits)
    if entry.customer is None:
        return "denied", "unknown_customer"
    if amount is None:
        return "denied", "not_entitled"
    return ("allowed", "within_limit") if entry.counted() <= amount else ("denied", "limit_reached")


class Studio:
    """The vendor at a desk: a history is lived through, and its questions stand in the books in their order."""

    def __init__(self, desk: Desk, chance: Random) -> None:
        self.desk = desk
        self.chance = chance
        self.counter = CheckCounter(desk.storage, f"studio-{chance.random()}")
        self.day = 0
        self.books: dict[str, Customer] = {}
        self.entries: list[Entry] = []

    async def live(self, steps: int) -> None:
        """Let so many things happen after two customers reached their limits; all checks are written at the end."""
        for name in ("acme", "globex", "initech", "umbrella", "hooli", "vandelay"):
            async with self.desk.write() as tx:
                await create_customer(tx, CreateCustomer(id=name))
            self.books[name] = Customer()
        for name, plan in (("acme", "team"), ("globex", "pro")):
            await self.buy(name, plan)
            for used in (LIMITS[plan] - 1, LIMITS[plan]):
                await self.ask(Question(customer=name, feature="projects", used=used))
        acts = [self.wait, self.buy, self.be_excepted, self.hire, self.move, *[self.ask] * 12]
        for _ in range(steps):
            await self.chance.choice(acts)()
        await self.counter.flush("test")

    async def wait(self) -> None:
        """Some days pass."""
        self.day += self.chance.randint(1, 3)
        async with self.desk.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(days=self.day)))

    async def buy(self, name: str | None = None, plan: str | None = None) -> None:
        """A customer buys one plan more."""
        name, plan = name or self._somebody(), plan or self.chance.choice(list(LIMITS))
        async with self.desk.write() as tx:
            await sell(tx, name, Sell(items=(SoldItem(plan=plan),), accept_breaches=True), self.desk.catalogs)
        self.books[name].plans.append(plan)

    async def be_excepted(self) -> None:
        """A customer who has bought something gets more projects for some days."""
        name, days, amount = self._somebody(), self.chance.randint(1, 9), self.chance.randint(1, 15)
        if not self.books[name].plans:
            return
        end = LATER + timedelta(days=self.day + days)
        async with self.desk.write() as tx:
            await add_override(
                tx, name, AddOverride(feature="projects", amount=amount, ends_at=end), self.desk.catalogs
            )
        self.books[name].raises.append((self.day + days, amount))

    async def hire(self) -> None:
        """Somebody gets other roles, or becomes inactive: then no role counts."""
        name, user = self._somebody(), self.chance.choice(["ann", "bob"])
        roles = tuple(sorted(self.chance.sample(ROLES, self.chance.randint(0, 2))))
        active = self.chance.random() < 0.8
        async with self.desk.write() as tx:
            await put_user(tx, name, user, PutUser(roles=roles, active=active))
        self.books[name].roles[user] = roles if active else ()

    async def move(self) -> None:
        """A customer moves to another country."""
        name, country = self._somebody(), self.chance.choice(COUNTRIES)
        async with self.desk.write() as tx:
            await change_customer(tx, name, ChangeCustomer(profile=Profile(country=country)))
        self.books[name].country = country

    async def ask(self, question: Question | None = None) -> None:
        """Somebody asks."""
        asked = self._question() if question is None else question
        async with self.desk.read() as view:
            self.counter.note(view, [await answer(view, asked, self.desk.snapshots)])
        known = self.books.get(asked.customer)
        self.entries.append(Entry(asked, self.day, None if known is None else _copied(known)))

    def _question(self) -> Question:
        chance = self.chance
        given = {"tier": chance.choice(["gold", "lead"])} if chance.random() < 0.5 else {}
        return Question(
            customer=chance.choice([*self.books, "nobody"]),
            feature=chance.choice(["projects", "projects", "export", "autopilot"]),
            user=chance.choice([None, "ann", "bob", "stranger"]),
            quantity=chance.randint(0, 3),
            used=chance.choice([None, *range(1, 10)]),
            context=Context(attributes={**given}),
        )

    def _somebody(self) -> str:
        return self.chance.choice(list(self.books))


def _copied(books: Customer) -> Customer:
    return structs.replace(books, plans=[*books.plans], raises=[*books.raises], roles={**books.roles})
