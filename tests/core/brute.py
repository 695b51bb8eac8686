"""Every single change of a small world, made plainly on the documents: what a remedy is measured against."""

from collections.abc import Iterator
from itertools import product

from msgspec import structs

from licet.core.case import Ask
from licet.core.change import COSTS, WHOLE_PLAN, World
from licet.core.derive import derive
from licet.core.instant import DAY, HOUR, to_datetime
from licet.core.question import Context, UserFacts
from licet.core.terms import Item, Override, PaymentFact, Phase, Subscription, Terms
from tests.core.eager import check_eager
from tests.core.eagerstanding import plainly

Priced = tuple[int, World]


def permits(world: World) -> bool:
    """Whether the slow reading permits the question of a world."""
    feature = world.catalog.features[world.feature]
    unit = 10**feature.scale
    ask = world.ask
    answer = check_eager(
        world.catalog,
        world.terms,
        world.feature,
        world.now,
        user=ask.user,
        context=ask.context,
        quantity=_decimal(ask.quantity, unit),
        used=None if ask.used is None else _decimal(ask.used, unit),
    )
    return answer.allowed and answer.would_deny is None


def sound(before: World, after: World) -> bool:
    """Whether no rule between sold items is newly broken."""
    broken = set(derive(after.catalog, after.terms, after.now).breaches)
    return broken <= set(derive(before.catalog, before.terms, before.now).breaches)


def singles(world: World) -> Iterator[Priced]:
    """Every single change with its cost."""
    yield from _questions(world)
    yield from _returns(world)
    yield from _purchases(world)
    yield from _favours(world)


def waits(world: World) -> Iterator[Priced]:
    """The same question later, every third hour of a week."""
    for hours in range(1, 7 * 24 + 1, 3):
        yield COSTS["wait"], structs.replace(world, now=world.now - world.now % DAY + hours * HOUR)


def orders(world: World) -> Iterator[Priced]:
    """Every purchase of which one is made once: one add-on, another plan, a new subscription."""
    for cost, changed in _purchases(world, quantities=(1,)):
        if cost != COSTS["raise_quantity"] and cost != COSTS["raise_quantity"] + WHOLE_PLAN:
            yield cost, changed


def combined(world: World, bound: int, *, tiny: bool) -> Iterator[Priced]:
    """Every two orders that cost less than a bound together; in a tiny world also with another deployment on top."""
    for first, once in orders(world):
        for second, twice in orders(once) if first < bound else ():
            if first + second >= bound:
                continue
            yield first + second, twice
            if tiny:
                for third, asked in list(_questions(twice))[:60:15]:
                    if first + second + third < bound:
                        yield first + second + third, asked


def _decimal(minor: int, unit: int) -> int | str:
    """Minor units in major ones."""
    return minor if unit == 1 else f"{minor // unit}.{minor % unit:0{len(str(unit)) - 1}d}"


def _questions(world: World) -> Iterator[Priced]:
    """Other contexts, users, quantities."""
    ask = world.ask
    context = ask.context or Context()
    for deployment, region, attributes in product(
        ("saas", "desktop", "on_prem", "air_gapped"),
        (None, "eu", "us", "ch", "jp"),
        ({}, {"beta": True}, {"beta": False}),
    ):
        other = structs.replace(
            context, deployment=deployment, region=region, attributes={**context.attributes, **attributes}
        )
        yield COSTS["use_context"], _asked(world, Ask(ask.user, other, ask.quantity, ask.used))
    tester = UserFacts(id="x", roles=("tester",))
    for user in (tester, UserFacts(id="x")):
        yield COSTS["change_user"], _asked(world, Ask(user, ask.context, ask.quantity, ask.used))
    for quantity in {1, 2, ask.quantity // 2, ask.quantity - 1} & set(range(1, ask.quantity)):
        yield COSTS["lower_quantity"], _asked(world, Ask(ask.user, ask.context, quantity, ask.used))


def _asked(world: World, ask: Ask) -> World:
    """Another question in the same world."""
    return structs.replace(world, ask=ask)


def _returns(world: World) -> Iterator[Priced]:
    """Paying, resuming, renewing each subscription."""
    at = to_datetime(world.now)
    for one in world.terms.subscriptions:
        invoices = {fact.invoice for fact in one.payments if fact.at <= at}
        paid = tuple(PaymentFact(kind="paid", at=at, invoice=invoice) for invoice in invoices)
        yield COSTS["pay_invoices"], _with(world, structs.replace(one, payments=(*one.payments, *paid)))
        pauses = tuple(
            structs.replace(pause, ends_at=at) if pause.ends_at is None or pause.ends_at > at else pause
            for pause in one.pauses
            if pause.starts_at < at
        ) + tuple(pause for pause in one.pauses if pause.starts_at > at)
        behavior = "convert" if one.trial_end_behavior == "pause" else one.trial_end_behavior
        yield COSTS["resume"], _with(world, structs.replace(one, pauses=pauses, trial_end_behavior=behavior))
        schedule = None if one.schedule is None else structs.replace(one.schedule, ends_at=None)
        renewed = structs.replace(one, ends_at=None, schedule=schedule, trial_end_behavior="convert")
        yield COSTS["renew"], _with(world, renewed)


def _purchases(world: World, quantities: tuple[int, ...] = (1, 2, 5, 50, 20_000)) -> Iterator[Priced]:
    """More of an item, an add-on, another plan, a new subscription."""
    catalog, at = world.catalog, to_datetime(world.now)
    for one in world.terms.subscriptions:
        zone = catalog.zone(one.zone, world.terms.profile.zone)
        plain = plainly(world.terms, one, catalog, zone, world.now)
        if plain.kind in ("ended", "not_started"):
            continue
        items = plain.bought
        for place, item in enumerate(items):
            for quantity in (item.quantity + 1, item.quantity + 3, 5, 50, 20_000, 10**6):
                if quantity > item.quantity:
                    more = structs.replace(item, quantity=quantity)
                    counted = item.kind == "addon" or item.quantity_of == world.feature
                    cost = COSTS["raise_quantity"] + (0 if counted else WHOLE_PLAN)
                    yield cost, _phased(world, one, (*items[:place], more, *items[place + 1 :]))
        for name in catalog.document.addons:
            version = catalog.addon_version_at(name, world.now) or ""
            for quantity in quantities:
                bought = Item(kind="addon", id=name, version=version, quantity=quantity)
                if all(item.id != name for item in items):
                    yield COSTS["add_addon"], _phased(world, one, (*items, bought))
        for place, item in enumerate(items):
            for name, plan in catalog.document.plans.items():
                own = catalog.document.plans.get(item.id)
                if item.kind == "plan" and own is not None and own.product == plan.product:
                    version = catalog.plan_version_at(name, world.now) or ""
                    other = structs.replace(item, id=name, version=version)
                    yield COSTS["change_plan"], _phased(world, one, (*items[:place], other, *items[place + 1 :]))
    for name in catalog.document.plans:
        item = Item(kind="plan", id=name, version=catalog.plan_version_at(name, world.now) or "")
        fresh = Subscription(id="fresh", phases=(Phase(starts_at=at, items=(item,)),))
        terms = structs.replace(world.terms, subscriptions=(*world.terms.subscriptions, fresh))
        yield COSTS["start_subscription"], structs.replace(world, terms=terms)


def _favours(world: World) -> Iterator[Priced]:
    """What only the vendor can do."""
    yield COSTS["lift_suspension"], structs.replace(world, terms=structs.replace(world.terms, suspensions=()))
    for one in world.terms.overrides:
        if one.effect == "deny":
            kept = tuple(other for other in world.terms.overrides if other is not one)
            yield COSTS["lift_denial"], structs.replace(world, terms=structs.replace(world.terms, overrides=kept))
    given = Override(
        id="fresh", feature=world.feature, starts_at=to_datetime(world.now), amount="unlimited", value="max"
    )
    yield COSTS["ask_override"], _termed(world, structs.replace(world.terms, overrides=(*world.terms.overrides, given)))


def _termed(world: World, terms: Terms) -> World:
    """The world with other terms."""
    return structs.replace(world, terms=terms)


def _with(world: World, subscription: Subscription) -> World:
    """The world with one subscription replaced."""
    kept = tuple(subscription if one.id == subscription.id else one for one in world.terms.subscriptions)
    return _termed(world, structs.replace(world.terms, subscriptions=kept))


def _phased(world: World, subscription: Subscription, items: tuple[Item, ...]) -> World:
    """The world in which a subscription consists of other items from now on."""
    at = to_datetime(world.now)
    kept = tuple(phase for phase in subscription.phases if phase.starts_at <= at)
    phase = Phase(starts_at=at, items=items)
    return _with(world, structs.replace(subscription, phases=(*kept, phase)))
