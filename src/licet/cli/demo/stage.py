"""What the story plays on: the server, asked over HTTP, and one test workspace with a clock that can be moved."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from licet.cli.demo.teller import Teller, Watch
from licet.cli.failure import Failure
from licet.cli.remote import Answer, Remote, problem_of, segment
from licet.testing.stripe import SignedDelivery, StripeStory

WORKSPACE: Final = "test"
SOURCE: Final = "stripe"
SECRET: Final = "whsec_demo_4f1c9a7be2d84c06"  # noqa: S105 - of a source that lives as long as the demo
MARGIN: Final = timedelta(seconds=60)
PATIENCE_SECONDS: Final = 5.0
"""How long an order may take to become access before the story says that it did not."""


class Stage:
    """One server and one key, with the few requests the story needs. Every request is bounded in time."""

    def __init__(self, remote: Remote, teller: Teller) -> None:
        self.remote = remote
        self.teller = teller

    def verdict(self, customer: str, feature: str, **question: Any) -> tuple[str, dict[str, Any]]:
        """Ask one question; return ``allowed · reason`` and the decision."""
        decision: dict[str, Any] = self.remote.call(
            "POST", "/v1/check", {"customer": customer, "feature": feature, **question}, asking=True
        )
        return verdict_of(decision), decision

    def ask(self, what: str, expected: str, customer: str, feature: str, **question: Any) -> dict[str, Any]:
        """Tell one question as a step and return the decision."""
        watch = Watch()
        seen, decision = self.verdict(customer, feature, **question)
        self.teller.step(what, expected, seen, ms=watch.ms)
        return decision

    def until(self, expected: str, customer: str, feature: str) -> str:
        """Ask again and again, at once, until the answer is as expected or patience ends; return the last answer."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            seen, _ = self.verdict(customer, feature)
            if seen == expected or time.monotonic() > ends:
                return seen

    def deliver(self, delivery: SignedDelivery) -> str:
        """Send what Stripe would send, signature included, without an API key; return ``200 · applied`` or the like."""
        path = f"/v1/connectors/{WORKSPACE}/{SOURCE}"
        with Remote(self.remote.url, None) as stripe:
            return outcome_of(stripe.raw("POST", path, body=delivery.body, headers=dict(delivery.headers)))

    def sold(self, what: str, delivery: SignedDelivery, access: str, expected: str, *asked: str) -> None:
        """Tell a delivery and, measured from its sending, the first answer that it changed."""
        watch = Watch()
        self.teller.step(what, "200 · applied", self.deliver(delivery), ms=watch.ms)
        seen = self.until(expected, *asked)
        spent = watch.ms
        self.teller.step(access, expected, seen, ms=spent)
        self.teller.aside(f"from sending the signed message to access: {spent:.0f} ms")

    def clock(self, change: dict[str, str]) -> None:
        """Move the business clock forward."""
        self.remote.call("POST", "/v1/clock", change)

    def now(self) -> datetime:
        """Return the business time."""
        return datetime.fromisoformat(self.remote.call("GET", "/v1/clock")["now"])

    def just_now(self) -> datetime:
        """Return a business time that has surely passed: sellers date their messages in whole seconds."""
        return (self.now() - MARGIN).replace(microsecond=0)

    def seller(self, customer: str, *, name: str, seed: int) -> StripeStory:
        """Return Stripe, as it tells of one customer; messages are signed in real time, as security time always is."""
        return StripeStory(
            SECRET, self.just_now(), customer=customer, seed=seed, name=name, sign_at=lambda: int(time.time())
        )

    def explain(self, customer: str, feature: str, **query: Any) -> dict[str, Any]:
        """Return an explanation."""
        path = f"/v1/customers/{segment(customer)}/explain"
        explanation: dict[str, Any] = self.remote.call("GET", path, query={"feature": feature, **query})
        return explanation

    def events(self) -> int:
        """Return how many events the log holds."""
        return sum(1 for _ in self.remote.pages("/v1/events", limit=5000))


def verdict_of(decision: dict[str, Any]) -> str:
    """Return a decision as ``allowed · reason`` or ``refused · reason``."""
    return f"{'allowed' if decision['allowed'] else 'refused'} · {decision['reason']}"


def outcome_of(answer: Answer) -> str:
    """Return what became of a delivery: ``200 · applied`` or ``400 · bad_signature``."""
    if answer.status >= 400:
        return f"{answer.status} · {problem_of(answer).code}"
    return f"{answer.status} · {answer.json().get('outcome')}"


def catalog_path() -> Path:
    """Return the example vendor's catalog: beside this module when installed, else in the checkout."""
    here = Path(__file__).resolve()
    packaged = here.with_name("meridian.yaml")
    if packaged.is_file():
        return packaged
    for folder in here.parents:
        found = folder / "examples" / "meridian" / "catalog.yaml"
        if found.is_file():
            return found
    raise Failure(
        "the example vendor's catalog was not found",
        advice="run the demo in a checkout of the project: make demo",
        code="no_example",
    )


def stricter_catalog() -> bytes:
    """Return the example vendor's catalog with one more policy, by which everybody on Team loses a feature."""
    from msgspec import structs

    from licet.core.catalog import Policy, encode_catalog
    from licet.wire.catalog_text import read_catalog

    catalog = read_catalog(catalog_path().read_bytes())
    policy = Policy(when='"team" in plans', do="restrict", features=("webhooks",), text="Webhooks come with Business.")
    return encode_catalog(structs.replace(catalog, policies={**catalog.policies, "webhooks_are_business": policy}))
