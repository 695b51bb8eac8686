"""Single changes that can turn a refusal around: what each costs, and the world after it."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct, structs

from licet.core.case import Ask, Case, Judgement, judge
from licet.core.compiled import CompiledCatalog
from licet.core.derive import Entitlements, Holdings, Memo
from licet.core.episode import open_invoices
from licet.core.instant import Instant, to_datetime, to_instant
from licet.core.question import Context, UserFacts
from licet.core.terms import Attributes, Item, Override, Pause, PaymentFact, Phase, Subscription, Terms
from licet.core.timeline import State, segment_at

ChangeKind = Literal[
    "use_context",
    "pay_invoices",
    "resume",
    "wait",
    "lower_quantity",
    "change_user",
    "raise_quantity",
    "add_addon",
    "change_plan",
    "renew",
    "start_subscription",
    "lift_denial",
    "lift_suspension",
    "ask_override",
]
COSTS: Final[Mapping[ChangeKind, int]] = {
    "use_context": 1,
    "pay_invoices": 2,
    "resume": 3,
    "wait": 4,
    "lower_quantity": 5,
    "change_user": 8,
    "raise_quantity": 10,
    "add_addon": 20,
    "change_plan": 30,
    "renew": 40,
    "start_subscription": 41,
    "lift_denial": 60,
    "lift_suspension": 60,
    "ask_override": 61,
}
"""What one change of each kind costs the customer, in no unit: what they can do at once is cheap, asking is dear."""
WHOLE_PLAN: Final = 25
"""What ``raise_quantity`` costs on top where it multiplies a plan, or seats of another feature: dearer than add-on
and change of plan."""
ORDER: Final[Mapping[str, int]] = {kind: place for place, kind in enumerate(COSTS)}
Target = str | int | bool | tuple[str, ...] | None


class Change(Struct, frozen=True):
    """One change. ``target`` says what is changed to what; ``rank`` orders changes of one kind, the smallest first."""

    kind: ChangeKind
    target: tuple[tuple[str, Target], ...]
    rank: tuple[int | str, ...] = ()
    surcharge: int = 0

    @property
    def cost(self) -> int:
        """The stated cost of its kind, and more where it buys more than what was asked about."""
        return COSTS[self.kind] + self.surcharge

    def get(self, name: str) -> Target:
        """Return one part of the target; None where it has no such part."""
        return dict(self.target).get(name)

    def text(self, name: str) -> str:
        """Return one part of the target that is a text."""
        return str(self.get(name))

    def number(self, name: str) -> int:
        """Return one part of the target that is a number."""
        found = self.get(name)
        if not isinstance(found, int):
            raise TypeError(f"{self.kind} has no number {name}")
        return found


class World(Struct, frozen=True):
    """All that one decision depends on."""

    catalog: CompiledCatalog
    terms: Terms
    feature: str
    ask: Ask
    now: Instant


def make_change(kind: ChangeKind, *rank: int | str, **target: Target) -> Change:
    """Return a change; the target's parts in alphabetical order."""
    return Change(kind, tuple(sorted(target.items())), rank)


def world_entitlements(world: World, memo: Memo | None = None) -> Entitlements:
    """Return what the customer has in a world."""
    return Holdings(world.catalog, world.terms).entitlements(world.now, memo)


def world_judgement(world: World, entitlements: Entitlements) -> Judgement:
    """Return the answer of a world."""
    span = entitlements.span(world.feature)
    case = Case(world.catalog, world.terms.customer, world.feature, span.start, span.end, world.terms, entitlements)
    return judge(case, world.ask)


def apply_change(world: World, change: Change) -> World:
    """Return the world after one change, made at the world's ``now``."""
    return _APPLY[change.kind](world, change)


def _use_context(world: World, change: Change) -> World:
    """Other facts of the context."""
    context = world.ask.context or Context()
    plain: dict[str, object] = {}
    attributes = dict(context.attributes)
    for path, value in change.target:
        name = path.removeprefix("context.")
        if not name.startswith("attributes."):
            plain[name] = value
        else:
            attributes = _with(attributes, name.removeprefix("attributes."), value)
    facts = {**structs.asdict(context), **plain, "attributes": attributes}
    return _asking(world, context=msgspec.convert(facts, Context))


def _change_user(world: World, change: Change) -> World:
    """Other facts of the user."""
    user = world.ask.user
    known = user if isinstance(user, UserFacts) else UserFacts(id=user or "user")
    attributes, roles, name_of = dict(known.attributes), known.roles, known.id
    for path, value in change.target:
        name = path.removeprefix("user.")
        if name == "roles":
            roles = tuple(value) if isinstance(value, tuple) else ()
        elif name == "id":
            name_of = str(value)
        else:
            attributes = _with(attributes, name.removeprefix("attributes."), value)
    return _asking(world, user=UserFacts(id=name_of, roles=roles, attributes=attributes))


def _with(attributes: Attributes, name: str, value: Target) -> Attributes:
    """Attributes with one set, or taken away by None."""
    rest = {key: one for key, one in attributes.items() if key != name}
    return rest if value is None else {**rest, name: list(value) if isinstance(value, tuple) else value}


def _asking(
    world: World,
    *,
    context: Context | None = None,
    user: UserFacts | None = None,
    quantity: int | None = None,
) -> World:
    """The world with another question."""
    ask = world.ask
    changed = structs.replace(
        ask,
        user=ask.user if user is None else user,
        context=ask.context if context is None else context,
        quantity=ask.quantity if quantity is None else quantity,
    )
    return structs.replace(world, ask=changed)


def _subscribed(world: World, subscription: Subscription) -> World:
    """The world with one subscription replaced or added."""
    known = world.terms.subscriptions
    kept = tuple(subscription if one.id == subscription.id else one for one in known)
    if all(one.id != subscription.id for one in known):
        kept = (*kept, subscription)
    return structs.replace(world, terms=structs.replace(world.terms, subscriptions=kept))


def _named(world: World, change: Change) -> Subscription:
    """The subscription that a change is about; raises LookupError for one that is not there."""
    wanted = change.get("subscription")
    for subscription in world.terms.subscriptions:
        if subscription.id == wanted:
            return subscription
    raise LookupError(f"there is no subscription {wanted}")


def items_in_force(world: World, subscription: Subscription) -> tuple[Item, ...]:
    """Return what a subscription consists of at the world's ``now``."""
    return state_in_force(world, subscription).items


def _bought(world: World, subscription: Subscription) -> list[Item]:
    """What a subscription consists of at the world's ``now`` as it was bought, place by place: moves lie over that."""
    return list(state_in_force(world, subscription).bought)


def state_in_force(world: World, subscription: Subscription) -> State:
    """Return the state of a subscription at the world's ``now``."""
    holdings = Holdings(world.catalog, structs.replace(world.terms, subscriptions=(subscription,)))
    return segment_at(holdings.timelines[0], world.now).state


def _rephased(world: World, subscription: Subscription, items: tuple[Item, ...]) -> World:
    """The world in which other items are bought with a subscription from now on."""
    at = to_datetime(world.now)
    kept = tuple(phase for phase in subscription.phases if phase.starts_at <= at)
    schedule = subscription.schedule
    if schedule is not None:
        begun = tuple(phase for phase in schedule.phases if phase.starts_at <= at)
        schedule = structs.replace(schedule, phases=begun)
    changed = structs.replace(subscription, phases=(*kept, Phase(starts_at=at, items=items)), schedule=schedule)
    return _subscribed(world, changed)


def _pay_invoices(world: World, change: Change) -> World:
    """Every invoice owed is paid now."""
    subscription, at = _named(world, change), to_datetime(world.now)
    paid = tuple(
        PaymentFact(kind="paid", at=at, invoice=invoice) for invoice in open_invoices(subscription.payments, world.now)
    )
    return _subscribed(world, structs.replace(subscription, payments=(*subscription.payments, *paid)))


def _resume(world: World, change: Change) -> World:
    """Every pause in force ends now, also the one in which a trial ended."""
    subscription, at = _named(world, change), to_datetime(world.now)
    pauses: list[Pause] = []
    for pause in subscription.pauses:
        running = pause.starts_at <= at and (pause.ends_at is None or pause.ends_at > at)
        if not running:
            pauses.append(pause)
        elif pause.starts_at < at:
            pauses.append(structs.replace(pause, ends_at=at))
    behavior = subscription.trial_end_behavior
    if behavior == "pause" and subscription.trial_end is not None and subscription.trial_end <= at:
        behavior = "convert"
    return _subscribed(world, structs.replace(subscription, pauses=tuple(pauses), trial_end_behavior=behavior))


def _wait(world: World, change: Change) -> World:
    """Later."""
    return structs.replace(world, now=change.number("until"))


def _lower_quantity(world: World, change: Change) -> World:
    """Less at once."""
    return _asking(world, quantity=change.number("quantity"))


def _raise_quantity(world: World, change: Change) -> World:
    """More of an item that is there."""
    subscription = _named(world, change)
    items = _bought(world, subscription)
    place = change.number("place")
    items[place] = structs.replace(items[place], quantity=change.number("quantity"))
    return _rephased(world, subscription, tuple(items))


def _add_addon(world: World, change: Change) -> World:
    """An add-on on top of a subscription."""
    subscription = _named(world, change)
    addon = Item(
        kind="addon", id=change.text("addon"), version=change.text("version"), quantity=change.number("quantity")
    )
    return _rephased(world, subscription, (*_bought(world, subscription), addon))


def _change_plan(world: World, change: Change) -> World:
    """Another plan, or a newer version of it, in the place of one."""
    subscription = _named(world, change)
    items = _bought(world, subscription)
    place = change.number("place")
    items[place] = structs.replace(
        items[place],
        id=change.text("plan"),
        version=change.text("version"),
        quantity=change.number("quantity"),
        bundle=None,
    )
    return _rephased(world, subscription, tuple(items))


def _renew(world: World, change: Change) -> World:
    """An ended subscription goes on, a trial as a purchase."""
    subscription, at = _named(world, change), to_datetime(world.now)
    ends_at, schedule = subscription.ends_at, subscription.schedule
    if ends_at is not None and ends_at <= at:
        ends_at = None
    if schedule is not None and schedule.ends_at is not None and schedule.ends_at <= at:
        schedule = structs.replace(schedule, ends_at=None)
    renewed = structs.replace(subscription, ends_at=ends_at, schedule=schedule, trial_end_behavior="convert")
    return _subscribed(world, renewed)


def _start_subscription(world: World, change: Change) -> World:
    """A new subscription to one plan."""
    taken = {one.id for one in world.terms.subscriptions}
    name = next(name for name in (f"sub_new_{number}" for number in range(len(taken) + 1)) if name not in taken)
    plan = Item(kind="plan", id=change.text("plan"), version=change.text("version"), quantity=change.number("quantity"))
    return _subscribed(world, Subscription(id=name, phases=(Phase(starts_at=to_datetime(world.now), items=(plan,)),)))


def _lift_denial(world: World, change: Change) -> World:
    """A denying override ends now."""
    overrides = tuple(one for one in world.terms.overrides if one.id != change.get("override"))
    return structs.replace(world, terms=structs.replace(world.terms, overrides=overrides))


def _lift_suspension(world: World, _change: Change) -> World:
    """The customer's suspensions in force end now."""
    kept = tuple(
        one
        for one in world.terms.suspensions
        if to_instant(one.starts_at) > world.now or (one.ends_at is not None and to_instant(one.ends_at) <= world.now)
    )
    return structs.replace(world, terms=structs.replace(world.terms, suspensions=kept))


def _ask_override(world: World, change: Change) -> World:
    """An exception for this customer, from now on."""
    taken = {one.id for one in world.terms.overrides}
    name = next(name for name in (f"ovr_new_{number}" for number in range(len(taken) + 1)) if name not in taken)
    amount, value = change.get("amount"), change.get("value")
    override = Override(
        id=name,
        feature=world.feature,
        amount=amount if isinstance(amount, int | str) else None,
        value=value if isinstance(value, str) else None,
        starts_at=to_datetime(world.now),
    )
    return structs.replace(world, terms=structs.replace(world.terms, overrides=(*world.terms.overrides, override)))


_APPLY: Final[Mapping[ChangeKind, Callable[[World, Change], World]]] = {
    "use_context": _use_context,
    "pay_invoices": _pay_invoices,
    "resume": _resume,
    "wait": _wait,
    "lower_quantity": _lower_quantity,
    "change_user": _change_user,
    "raise_quantity": _raise_quantity,
    "add_addon": _add_addon,
    "change_plan": _change_plan,
    "renew": _renew,
    "start_subscription": _start_subscription,
    "lift_denial": _lift_denial,
    "lift_suspension": _lift_suspension,
    "ask_override": _ask_override,
}
