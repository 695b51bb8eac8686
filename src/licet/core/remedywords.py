"""What a remedy's step says to the customer and to support."""

from collections.abc import Mapping
from shlex import quote
from typing import Final

from licet.core.change import Change, ChangeKind, Target, World, items_in_force, state_in_force
from licet.core.question import UserFacts
from licet.core.terms import Item, Subscription
from licet.core.views import wire_amount
from licet.core.words import amount_words, fact_words, moment_words, number_words

CUSTOMER: Final[Mapping[ChangeKind, str]] = {
    "use_context": "{title}: available where {facts}.",
    "pay_invoices": "Pay the open invoices.",
    "resume": "Resume the paused subscription.",
    "wait": "Wait until {until}.",
    "lower_quantity": "Ask for {quantity} at most.",
    "change_user": "Ask your administrator for a user {facts}.",
    "raise_quantity": "Have {wanted} instead of {held}.",
    "add_addon": "Add {addon}.",
    "change_plan": "Change from {before} to {plan}.",
    "renew": "Renew the subscription.",
    "start_subscription": "Subscribe to {plan}.",
    "lift_denial": "Ask us to switch this on again: {title}.",
    "lift_suspension": "Ask us to lift the suspension.",
    "ask_override": "Ask us for an exception for {title}.",
}
"""One sentence for the customer by kind of change."""
_KINDS: Final = {
    "saas": "the hosted service",
    "on_prem": "your own servers",
    "air_gapped": "a network without internet",
}
_SEND: Final = "then: licet order send ORDER.yaml"
SUPPORT: Final[Mapping[ChangeKind, str]] = {
    "use_context": "ask again with {target}",
    "pay_invoices": "the owed invoices of {subscription} must be paid in the billing system",
    "resume": f"write the order of {{subscription}} without the pause; {_SEND}",
    "wait": "nothing to do; it opens by itself",
    "lower_quantity": "at most {quantity} can be had now",
    "change_user": "ask again with {target}",
    "raise_quantity": f"in the order of {{subscription}}, set the quantity of {{item}} to {{quantity}}; {_SEND}",
    "add_addon": f"to the order of {{subscription}}, add the add-on {{addon}} with quantity {{quantity}}; {_SEND}",
    "change_plan": (
        "in the order of {subscription}, write the plan {plan} (version {version}, quantity {quantity}) "
        f"in the place of {{before}}; {_SEND}"
    ),
    "renew": f"write the order of {{subscription}} without an end; {_SEND}",
    "start_subscription": f"write an order of the plan {{plan}} (version {{version}}) for {{customer}}; {_SEND}",
    "lift_denial": "end the override {override}: POST /v1/customers/{customer}/overrides/{override}/end",
    "lift_suspension": "end the suspension of {customer}: POST /v1/customers/{customer}/resume",
    "ask_override": "give {customer} an override of {feature}{given}, dated and with a note: "
    "POST /v1/customers/{customer}/overrides",
}
"""What support does, by kind of change; with what was sold by hand, :data:`SUPPORT_BY_HAND`."""
SUPPORT_BY_HAND: Final[Mapping[ChangeKind, str]] = {
    "resume": "licet subscription resume {customer} {subscription}",
    "raise_quantity": "licet subscription change {customer} {subscription} --count {sold}={quantity}",
    "add_addon": "licet subscription change {customer} {subscription} --add {addon}={quantity}",
    "change_plan": "licet subscription change {customer} {subscription} --plan {plan} --version {version}{counted}",
    "renew": "{renewing}",
    "start_subscription": "licet subscription sell {customer} {plan} --version {version}",
}
"""The command with which support changes a subscription that was sold by hand: no order of it lies anywhere."""
_MANUAL: Final = "manual"
"""The source of sales by hand."""


def customer_words(world: World, step: Change) -> str:
    """Return one sentence for the customer: what to do; no ids."""
    feature = world.catalog.features[world.feature]
    parts = {"title": feature.title}
    if step.kind == "use_context":
        parts["facts"] = " and ".join(_fact(path, value) for path, value in step.target)
    elif step.kind == "change_user":
        parts["facts"] = " and ".join(_user_fact(world, path, value) for path, value in step.target)
    elif step.kind == "wait":
        parts["until"] = moment_words(step.number("until"))
    elif step.kind == "lower_quantity":
        parts["quantity"] = amount_words(feature, step.number("quantity"))
    elif step.kind == "raise_quantity":
        parts["wanted"], parts["held"] = _raised(world, step)
    elif step.kind == "add_addon":
        parts["addon"] = _pieces(step.number("quantity"), _sold(world, step.text("addon")))
    elif step.kind == "change_plan":
        parts["before"], parts["plan"] = _sold(world, step.text("before")), _new_plan(world, step)
    elif step.kind == "start_subscription":
        held = {item.id for one in world.terms.subscriptions for phase in one.phases for item in phase.items}
        again = " once more" if step.text("plan") in held else ""
        parts["plan"] = _sold(world, step.text("plan")) + again
    return CUSTOMER[step.kind].format(**parts)


def support_words(world: World, step: Change) -> str:
    """Return what support does about it, with the ids it takes."""
    by_hand = _by_hand(world, step)
    if by_hand is not None:
        return by_hand
    feature = world.catalog.features[world.feature]
    parts = {name: str(value) for name, value in step.target if "." not in name}
    if step.kind == "lower_quantity":
        parts["quantity"] = str(wire_amount(step.number("quantity"), feature.scale))
    given = [f"{name} {value}" for name, value in step.target if value is not None and "." not in name]
    said = {
        "customer": world.terms.customer,
        "feature": feature.id,
        "given": f" with {' and '.join(given)}" if given else "",
        "target": ", ".join(f"{path} {_told(value)}" for path, value in step.target),
    }
    return SUPPORT[step.kind].format(**{**said, **parts})


def _by_hand(world: World, step: Change) -> str | None:
    """The command for what was sold by hand, and for a new sale to whom all was; None for any other change."""
    named = (one for one in world.terms.subscriptions if step.get("subscription") in (None, one.id))
    about = list(named) if step.kind in SUPPORT_BY_HAND else []
    if not about or any(one.source != _MANUAL for one in about):
        return None
    parts = {name: quote(str(value)) for name, value in step.target} | {"customer": quote(world.terms.customer)}
    if step.kind == "raise_quantity":
        item = _item(world, step)
        parts["sold"] = quote(item.bundle or item.id)
    elif step.kind == "change_plan":
        quantity = step.number("quantity")
        parts["counted"] = "" if quantity == _item(world, step).quantity else f" --quantity {quantity}"
    elif step.kind == "renew":
        parts["renewing"] = _renewing(world, about[0])
    return SUPPORT_BY_HAND[step.kind].format(**parts)


def _renewing(world: World, held: Subscription) -> str:
    """The command that has a subscription go on: a new sale where it has ended, the plan that was tried where it fell.

    A version that is not on sale any more is named, so that it is not replaced in silence.
    """
    customer, state = quote(world.terms.customer), state_in_force(world, held)
    plans = state.lapsed or tuple(item for item in state.items if item.kind == "plan")
    if state.kind != "ended":
        return f"licet subscription change {customer} {held.id} --plan {_numbered(world, plans[0])}"
    words = f"licet subscription sell {customer}"
    bundles = {item.bundle: item.quantity for item in (*plans, *state.items) if item.bundle is not None}
    for bundle, quantity in bundles.items():
        words += f" --bundle {quote(bundle)}" + (f" --quantity {quantity}" if quantity != 1 else "")
    for item in plans:
        if item.bundle is None:
            words += f" {_numbered(world, item)}" + (f" --quantity {item.quantity}" if item.quantity != 1 else "")
            words += f" --of {quote(item.quantity_of)}" if item.quantity_of is not None else ""
    for item in state.items:
        if item.kind == "addon" and item.bundle is None:
            words += f" --add {quote(item.id)}" + (f"={item.quantity}" if item.quantity != 1 else "")
    return words


def _numbered(world: World, item: Item) -> str:
    """A plan, with its version where another one is on sale now."""
    on_sale = world.catalog.on_sale("plan", item.id, world.now) == item.version
    return quote(item.id) if on_sale else f"{quote(item.id)} --version {quote(item.version)}"


def _told(value: Target) -> str:
    """A fact's value for support."""
    if value is None:
        return "left out"
    return f"= {_value(value)}"


def _fact(path: str, value: Target) -> str:
    """One fact of the context in words."""
    name = fact_words(path)
    if value is None:
        return f"{name} is not given"
    return f"{name} is {_KINDS.get(str(value), _value(value)) if path == 'context.deployment' else _value(value)}"


def _user_fact(world: World, path: str, value: Target) -> str:
    """One fact of the user in words; of roles only what is to come and to go."""
    if path == "user.id":
        return f"with the id {_value(value)}"
    if path != "user.roles":
        name = fact_words(path, of=False)
        return f"without {name}" if value is None else f"for whom {name} is {_value(value)}"
    user = world.ask.user
    had = user.roles if isinstance(user, UserFacts) else ()
    wanted = value if isinstance(value, tuple) else ()
    parts = []
    for word, names in (
        ("with", [one for one in wanted if one not in had]),
        ("without", [one for one in had if one not in wanted]),
    ):
        if names:
            parts.append(f"{word} the {'role' if len(names) == 1 else 'roles'} {' and '.join(names)}")
    return " and ".join(parts) or "without any role"


def _value(value: Target) -> str:
    """One value in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(value) or "empty"
    return str(value)


def _item(world: World, step: Change) -> Item:
    """The item that an order would change."""
    wanted = step.get("subscription")
    held = next(one for one in world.terms.subscriptions if one.id == wanted)
    return items_in_force(world, held)[step.number("place")]


def _raised(world: World, step: Change) -> tuple[str, str]:
    """How many there would be of what an item counts, and how many there are."""
    item, quantity = _item(world, step), step.number("quantity")
    return _counted(world, item, quantity), number_words(str(item.quantity))


def _counted(world: World, item: Item, quantity: int) -> str:
    """A quantity of what an item counts: ``26 editors``; else ``3 of API Boost``."""
    feature = None if item.quantity_of is None else world.catalog.features.get(item.quantity_of)
    if feature is None:
        return f"{number_words(str(quantity))} of {_sold(world, item.id)}"
    if feature.unit is None:
        return f"{number_words(str(quantity))} of {feature.title}"
    return amount_words(feature, quantity * 10**feature.scale)


def _pieces(quantity: int, title: str) -> str:
    """What is bought, with how many where it is more than one."""
    return title if quantity == 1 else f"{number_words(str(quantity))} of {title}"


def _new_plan(world: World, step: Change) -> str:
    """The plan to change to, with its version where it is the same plan, and its quantity where that changes."""
    item, quantity = _item(world, step), step.number("quantity")
    words = _sold(world, step.text("plan"))
    if step.get("plan") == step.get("before"):
        words += f" of version {step.text('version')}"
    return words if quantity == item.quantity else f"{words} with {_counted(world, item, quantity)}"


def _sold(world: World, name: str) -> str:
    """The title of a plan or add-on."""
    document = world.catalog.document
    found = document.plans.get(name) or document.addons.get(name)
    return found.title or name if found else name
