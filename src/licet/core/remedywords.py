"""What a remedy's step says to the customer and to support."""

from collections.abc import Mapping
from typing import Final

from licet.core.change import Change, ChangeKind, Target, World
from licet.core.instant import format_instant
from licet.core.quantity import format_quantity

CUSTOMER: Final[Mapping[ChangeKind, str]] = {
    "use_context": "Use {title} where {facts}.",
    "pay_invoices": "Pay the open invoices.",
    "resume": "Resume the paused subscription.",
    "wait": "Wait until {until}.",
    "lower_quantity": "Ask for {quantity} at most.",
    "change_user": "Ask your administrator for a user whose {facts}.",
    "raise_quantity": "Buy {quantity} of {item}.",
    "add_addon": "Add {addon} (quantity {quantity}).",
    "change_plan": "Change from {before} to {plan}.",
    "renew": "Renew the subscription.",
    "start_subscription": "Subscribe to {plan}.",
    "lift_denial": "Ask us to switch {title} on again.",
    "lift_suspension": "Ask us to lift the suspension.",
    "ask_override": "Ask us for an exception for {title}.",
}
"""One sentence for the customer by kind of change."""
SUPPORT: Final[Mapping[ChangeKind, str]] = {
    "use_context": "ask again with {target}",
    "pay_invoices": "the owed invoices of {subscription} must be paid in the billing system",
    "resume": "send an order for {subscription} that is not paused",
    "wait": "nothing to do; it opens by itself",
    "lower_quantity": "at most {quantity} are left",
    "change_user": "ask again with {target}",
    "raise_quantity": "order {target}",
    "add_addon": "order {target}",
    "change_plan": "order {target}",
    "renew": "send an order for {subscription} without an end",
    "start_subscription": "order {target} for {customer}",
    "lift_denial": "end the override {override}",
    "lift_suspension": "end the suspension of {customer}",
    "ask_override": "give {customer} an override of {feature} with {target}, dated and with a note",
}
"""What support does, by kind of change."""


def customer_words(world: World, step: Change) -> str:
    """Return one sentence for the customer: what to do; no ids."""
    parts = {name: _title(world, name, str(value)) for name, value in step.target}
    return _filled(CUSTOMER[step.kind], world, step, parts)


def support_words(world: World, step: Change) -> str:
    """Return what support does about it, with the ids it takes."""
    return _filled(SUPPORT[step.kind], world, step, {name: str(value) for name, value in step.target})


def _filled(template: str, world: World, step: Change, parts: dict[str, str]) -> str:
    """A template with the parts of a change and of its world."""
    feature = world.catalog.features[world.feature]
    parts = {name: value for name, value in parts.items() if "." not in name}
    if step.kind == "lower_quantity":
        parts["quantity"] = format_quantity(step.number("quantity"), feature.scale)
    if step.kind == "wait":
        parts["until"] = format_instant(step.number("until"))
    said = {
        "title": feature.title,
        "feature": feature.id,
        "customer": world.terms.customer,
        "facts": _facts(step),
        "target": ", ".join(f"{name} = {_word(value)}" for name, value in step.target if value is not None),
    }
    return template.format(**{**said, **parts})


def _title(world: World, part: str, name: str) -> str:
    """The title of a plan or add-on; any other part as it is."""
    if part not in ("plan", "before", "addon", "item"):
        return name
    document = world.catalog.document
    found = document.plans.get(name) or document.addons.get(name)
    return found.title or name if found else name


def _facts(step: Change) -> str:
    """The changed facts in words."""
    parts = [(path.partition(".")[2] or path, value) for path, value in step.target]
    return " and ".join(f"{name.replace('.', ' ')} is {_word(value)}" for name, value in parts)


def _word(value: Target) -> str:
    """One value in words."""
    if isinstance(value, tuple):
        return ", ".join(value) or "empty"
    return "not set" if value is None else str(value)
