"""The slow, plain reading of the same rules: everything worked out from the documents for one instant, nothing kept.

Written apart from ``timeline``, ``rights`` and ``case`` so that tests can hold one against the other.
"""

from datetime import tzinfo

from msgspec import Struct, structs

from licet.core.catalog import AtLimit
from licet.core.compiled import UNBOUNDED, CompiledCatalog, CompiledFeature, CompiledInclude, Gate
from licet.core.instant import Instant, to_instant
from licet.core.policy import STANDARD_ENVIRONMENT, ConditionError, compile_condition, lacking
from licet.core.quantity import MAX_QUANTITY, parse_quantity
from licet.core.question import Context, UserFacts
from licet.core.reason import PRECEDENCE, Reason
from licet.core.terms import Item, Override, Subscription, Terms
from licet.core.window import CompiledWindow, compile_window, opening_at
from tests.core.eagerpolicies import Ruled, ruled
from tests.core.eagerstanding import Plain, plainly


class Answer(Struct, frozen=True):
    """The comparable part of a decision. ``sources``: (kind, item or override, permits, reasons, amount, value)."""

    allowed: bool
    reasons: tuple[Reason, ...]
    would_deny: tuple[Reason, ...] | None
    value: bool | str | None
    amount: int | None
    at_limit: AtLimit | None
    missing: tuple[str, ...]
    sources: tuple[tuple[str, str, bool, tuple[Reason, ...], int | None, str | None], ...]
    warnings: tuple[tuple[str | None, str], ...] = ()


class _Voice(Struct):
    """One source with what it says."""

    kind: str
    name: str
    rank: tuple[object, ...]
    standing: str | None
    reasons: set[Reason]
    missing: set[str]
    amount: int | None
    value: str | None
    at_limit: AtLimit


class _Question(Struct):
    """Everything about one question."""

    catalog: CompiledCatalog
    terms: Terms
    feature: CompiledFeature
    now: Instant
    user: UserFacts | str | None
    context: Context


def check_eager(
    catalog: CompiledCatalog,
    terms: Terms | None,
    feature_id: str,
    now: Instant,
    *,
    user: UserFacts | str | None = None,
    context: Context | None = None,
    quantity: int | str = 1,
    used: int | str | None = None,
    usable_until: Instant | None = None,
) -> Answer:
    """Return the answer at ``now``; what :meth:`licet.core.snapshot.Truth.check` answers must agree."""
    expired = usable_until is not None and now >= usable_until
    feature = catalog.features.get(feature_id)
    if feature is None:
        both = (Reason.UNKNOWN_CUSTOMER, Reason.UNKNOWN_FEATURE)
        return Answer(False, both if terms is None else both[1:], None, None, None, None, (), ())
    if terms is None:
        return _moded(feature, [], {Reason.UNKNOWN_CUSTOMER}, set(), 1, expired=expired)
    question = _Question(catalog, terms, feature, now, user, context or Context())
    voices = _subscription_voices(question) + _override_voices(question)
    blocked, missing = _blocks(question)
    said = _policies(question)
    if said.denied:
        blocked.add(Reason.POLICY_DENIED)
        missing |= said.missing
    if not any(not voice.reasons for voice in voices):
        standing = [voice for voice in voices if _stands(voice)]
        for voice in standing or voices:
            blocked |= voice.reasons
            missing |= voice.missing
        if not voices:
            blocked.add(Reason.NOT_ENTITLED)
    wanted = parse_quantity(quantity, feature.scale) if feature.counted else 0
    counted = parse_quantity(used, feature.scale) if used is not None and feature.counted else 0
    answer = _moded(feature, voices, blocked, missing, wanted + counted, expired=expired)
    return structs.replace(answer, warnings=said.warnings)


def _policies(question: _Question) -> Ruled:
    """What the policies of the catalog say to a question."""
    catalog, terms = question.catalog, question.terms
    if not catalog.document.policies:
        return Ruled()
    stands = [
        _remembered(terms, one, catalog, catalog.zone(one.zone, terms.profile.zone), question.now)
        for one in terms.subscriptions
    ]
    facts = _facts(question, question.context.region or terms.profile.region, None)
    return ruled(catalog.document, question.feature.id, facts, stands, lambda key: _held(question, key))


_ASKED = {Reason.DEPLOYMENT_NOT_ALLOWED, Reason.REGION_NOT_ALLOWED, Reason.POLICY_DENIED}
"""What depends on user and context, which policies leave aside in what is held."""


def _held(question: _Question, feature_id: str) -> int | None:
    """How many whole units of a feature are held, 0 for one without an amount; None for one that is not held."""
    other = structs.replace(question, feature=question.catalog.features[feature_id])
    zone = question.catalog.zone(question.terms.profile.zone)
    for override in question.terms.overrides:
        gate = _override_gate(override, denies=True)
        denies = override.feature == feature_id and override.effect == "deny" and not gate.asks
        running = to_instant(override.starts_at) <= question.now and not _past(override.ends_at, question.now)
        window = None if override.window is None else compile_window(override.window)
        if denies and running and _open(window, question.now, zone):
            return None
    voices = _subscription_voices(other) + _override_voices(other)
    giving = [voice for voice in voices if voice.reasons <= _ASKED]
    if not giving:
        return None
    if not other.feature.counted:
        return 0
    amount = _amount(other.feature, giving)
    return MAX_QUANTITY if amount >= UNBOUNDED else amount // int(10**other.feature.scale)


def _stands(voice: _Voice) -> bool:
    """Whether a source is in force, whatever conditions it has."""
    if voice.kind == "override":
        return not voice.reasons & {Reason.NOT_STARTED, Reason.ENDED}
    return voice.standing in ("trialing", "active", "grace", "restricted")


def _moded(
    feature: CompiledFeature,
    voices: list[_Voice],
    blocked: set[Reason],
    missing: set[str],
    total: int,
    *,
    expired: bool,
) -> Answer:
    """The answer after limits, the rule for what ran out, and mode."""
    winners = [voice for voice in voices if not voice.reasons]
    amount = _amount(feature, winners) if feature.type not in ("switch", "configuration") and winners else None
    lenience: list[AtLimit] = [voice.at_limit for voice in winners]
    at_limit: AtLimit = feature.at_limit
    for candidate in ("block", "warn", "overage"):
        if candidate in lenience:
            at_limit = candidate
    over = amount is not None and total > amount
    if over and at_limit == "block":
        names = {"seats": Reason.SEAT_LIMIT_REACHED, "credits": Reason.CREDIT_EXHAUSTED}
        blocked = blocked | {names.get(feature.type, Reason.LIMIT_REACHED)}
    lifted = expired and bool(blocked) and feature.when_unreachable == "allow"
    if lifted:
        blocked = set()
    if expired and feature.when_unreachable == "deny":
        blocked = blocked | {Reason.SNAPSHOT_EXPIRED}
    reasons = tuple(sorted(blocked, key=lambda one: PRECEDENCE[one])) or _said(feature, winners, at_limit, over=over)
    if expired and not blocked:
        reasons = (Reason.NOT_ENFORCED,) if lifted else (Reason.LAST_KNOWN, *reasons)
    would_deny = reasons if blocked and feature.mode == "observe" else None
    allowed = not blocked or feature.mode != "enforce"
    if feature.mode == "off":
        reasons = (Reason.NOT_ENFORCED,)
    elif would_deny is not None:
        reasons = (Reason.OBSERVED,)
    value: bool | str | None = None
    if feature.type == "switch":
        value = allowed
    elif feature.type == "configuration":
        ranked = sorted((v for v in winners if v.value is not None), key=lambda one: (one.rank, one.value))
        value = ranked[-1].value if ranked else None
    shown = tuple((v.kind, v.name, not v.reasons, _sorted(v.reasons), v.amount, v.value) for v in voices)
    return Answer(allowed, reasons, would_deny, value, amount, at_limit, tuple(sorted(missing)), shown)


def _sorted(reasons: set[Reason]) -> tuple[Reason, ...]:
    """Reasons in precedence."""
    return tuple(sorted(reasons, key=lambda one: PRECEDENCE[one]))


def _said(feature: CompiledFeature, winners: list[_Voice], at_limit: str, *, over: bool) -> tuple[Reason, ...]:
    """Why it is allowed."""
    standings = {voice.standing for voice in winners}
    settled = None in standings or "active" in standings
    standing: tuple[Reason, ...] = ()
    if not settled:
        standing = (Reason.IN_TRIAL,) if "trialing" in standings else (Reason.IN_GRACE,)
    if over:
        return (Reason.OVERAGE if at_limit == "overage" else Reason.SOFT_LIMIT_EXCEEDED, *standing)
    if standing:
        return standing
    return (Reason.WITHIN_LIMIT,) if feature.counted else (Reason.ENTITLED,)


def _amount(feature: CompiledFeature, winners: list[_Voice]) -> int:
    """What the winners give together."""
    if feature.merge == "override_wins" and any(voice.kind == "override" for voice in winners):
        winners = [voice for voice in winners if voice.kind == "override"]
    amounts = [voice.amount or 0 for voice in winners]
    if any(amount >= UNBOUNDED for amount in amounts):
        return UNBOUNDED
    return min(sum(amounts), MAX_QUANTITY) if feature.merge == "sum" else max(amounts)


def _blocks(question: _Question) -> tuple[set[Reason], set[str]]:
    """Suspensions and denials."""
    blocked: set[Reason] = set()
    missing: set[str] = set()
    for one in question.terms.suspensions:
        if to_instant(one.starts_at) <= question.now and not _past(one.ends_at, question.now):
            blocked.add(Reason.CUSTOMER_SUSPENDED)
    zone = question.catalog.zone(question.terms.profile.zone)
    for override in question.terms.overrides:
        if override.feature != question.feature.id or override.effect != "deny":
            continue
        if to_instant(override.starts_at) > question.now or _past(override.ends_at, question.now):
            continue
        window = None if override.window is None else compile_window(override.window)
        if not _open(window, question.now, zone):
            continue
        reasons, lacking, certain = _gate(question, _override_gate(override, denies=True), None)
        if not certain:
            blocked.add(Reason.DENIED_BY_OVERRIDE)
            if reasons:
                missing |= lacking
    return blocked, missing


def _past(end: object, now: Instant) -> bool:
    """Whether an exclusive end has been reached."""
    return end is not None and to_instant(end) <= now  # type: ignore[arg-type]


def _open(window: CompiledWindow | None, now: Instant, zone: tzinfo) -> bool:
    """Whether a window is open."""
    return window is None or opening_at(window, now, zone).open


def _remembered(
    terms: Terms, subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo, now: Instant
) -> Plain:
    """How a subscription stands, worked out once for the many questions that are asked of the very same terms."""
    asked = (terms, subscription, catalog, zone)
    key = (*map(id, asked), now)
    if key not in _REMEMBERED:
        if len(_REMEMBERED) >= 1000:
            _REMEMBERED.clear()
        # What is asked of is kept with the answer, so that no other thing can come to have its identity.
        _REMEMBERED[key] = (asked, plainly(*asked, now))
    return _REMEMBERED[key][1]


_REMEMBERED: dict[tuple[int, ...], tuple[tuple[object, ...], Plain]] = {}


def _subscription_voices(question: _Question) -> list[_Voice]:
    """What every subscription says, in order of start and id."""
    ordered = sorted(
        question.terms.subscriptions, key=lambda one: (min(phase.starts_at for phase in one.phases), one.id)
    )
    voices: list[_Voice] = []
    for place, subscription in enumerate(ordered):
        zone = question.catalog.zone(subscription.zone, question.terms.profile.zone)
        plain = _remembered(question.terms, subscription, question.catalog, zone, question.now)
        for lapsed, items in ((False, plain.items), (True, plain.lapsed)):
            for item in items:
                version = question.catalog.versions.get((item.kind, item.id, item.version))
                include = None if version is None else version.includes.get(question.feature.id)
                if include is not None:
                    voice = _item_voice(question, plain, item, include, items)
                    order = list(question.feature.values or ())
                    worth = order.index(voice.value) + 1 if voice.value in order else 0
                    voice.rank = (1 if item.kind == "addon" else 0, worth, place, item.id, item.version)
                    voice.standing = "ended" if lapsed else plain.kind
                    if lapsed:
                        voice.reasons = {Reason.TRIAL_EXPIRED}
                    elif not (
                        _open(question.feature.gate.window, question.now, zone)
                        and _open(include.gate.window, question.now, zone)
                    ):
                        voice.reasons.add(Reason.OUTSIDE_WINDOW)
                    _gated(question, voice, include.gate)
                    voices.append(voice)
    return voices


def _item_voice(
    question: _Question, plain: Plain, item: Item, include: CompiledInclude, items: tuple[Item, ...]
) -> _Voice:
    """One item with what its subscription's standing takes away."""
    reasons: set[Reason] = set()
    refusing = {
        "not_started": Reason.NOT_STARTED,
        "paused": Reason.PAUSED,
        "suspended": Reason.SUSPENDED,
        "ended": Reason.TRIAL_EXPIRED if plain.by_trial else Reason.ENDED,
    }
    if plain.kind in refusing:
        reasons.add(refusing[plain.kind])
    if question.feature.id in plain.restricted:
        reasons.add(Reason.RESTRICTED)
    amount = _item_amount(question.catalog, item, include, items)
    return _Voice(
        item.kind,
        f"{item.id}@{item.version}",
        (),
        plain.kind,
        reasons,
        set(),
        amount,
        include.value,
        include.at_limit or question.feature.at_limit,
    )


def _item_amount(catalog: CompiledCatalog, item: Item, include: CompiledInclude, items: tuple[Item, ...]) -> int | None:
    """Amount times what was bought."""
    if include.amount is None:
        return None
    if item.quantity_of == include.feature:
        return min(item.quantity * int(10 ** catalog.features[include.feature].scale), MAX_QUANTITY)
    factor = item.quantity if item.quantity_of is None else 1
    if include.per_seat is not None:
        factor = 0
        for other in items:
            version = catalog.versions.get((other.kind, other.id, other.version))
            seats = None if version is None else version.includes.get(include.per_seat)
            if seats is not None and seats.per_seat is None:
                factor += _item_amount(catalog, other, seats, items) or 0
        factor = UNBOUNDED if factor >= UNBOUNDED else min(factor, MAX_QUANTITY)
    if include.amount == 0 or factor == 0:
        return 0
    if include.amount >= UNBOUNDED or factor >= UNBOUNDED:
        return UNBOUNDED
    return int(min(include.amount * factor, MAX_QUANTITY))


def _override_voices(question: _Question) -> list[_Voice]:
    """What every giving override says."""
    voices: list[_Voice] = []
    zone = question.catalog.zone(question.terms.profile.zone)
    ordered = sorted(question.terms.overrides, key=lambda one: (one.starts_at, one.id))
    for place, override in enumerate(ordered):
        if override.feature != question.feature.id or override.effect != "give":
            continue
        amount: int | None = None
        if question.feature.counted:
            default: int | str = getattr(question.catalog.document.features[question.feature.id], "default", None) or 0
            text = default if override.amount is None else override.amount
            amount = UNBOUNDED if text == "unlimited" else parse_quantity(text, question.feature.scale)
        voice = _Voice(
            "override",
            override.id,
            (2, place),
            None,
            set(),
            set(),
            amount,
            override.value,
            question.feature.at_limit,
        )
        if to_instant(override.starts_at) > question.now:
            voice.reasons.add(Reason.NOT_STARTED)
        elif _past(override.ends_at, question.now):
            voice.reasons.add(Reason.ENDED)
        window = None if override.window is None else compile_window(override.window)
        if not (_open(window, question.now, zone) and _open(question.feature.gate.window, question.now, zone)):
            voice.reasons.add(Reason.OUTSIDE_WINDOW)
        _gated(question, voice, _override_gate(override, denies=False))
        voices.append(voice)
    return voices


def _override_gate(override: Override, *, denies: bool) -> Gate:
    """An override's conditions; one that cannot be read never gives and always denies."""
    deployments = None if override.deployments is None else frozenset(override.deployments)
    regions = None if override.regions is None else frozenset(override.regions)
    condition = None
    if override.when is not None:
        try:
            condition = compile_condition(override.when, STANDARD_ENVIRONMENT)
        except ConditionError:
            condition = None if denies else compile_condition("false", STANDARD_ENVIRONMENT)
    return Gate(deployments, regions, condition, None)


def _gated(question: _Question, voice: _Voice, own: Gate) -> None:
    """Add what the feature's and the source's gates say."""
    for gate in (question.feature.gate, own):
        reasons, missing, _ = _gate(question, gate, voice.standing)
        voice.reasons |= reasons
        voice.missing |= missing


def _gate(question: _Question, gate: Gate, standing: str | None) -> tuple[set[Reason], set[str], bool]:
    """What one gate says against, what it lacks, and whether something is against it for certain."""
    reasons: set[Reason] = set()
    missing: set[str] = set()
    certain = False
    profile, context = question.terms.profile, question.context
    region = context.region or profile.region
    for allowed, given, reason, path in (
        (gate.deployments, context.deployment, Reason.DEPLOYMENT_NOT_ALLOWED, "context.deployment"),
        (gate.regions, region, Reason.REGION_NOT_ALLOWED, "context.region"),
    ):
        if allowed is None or given in allowed:
            continue
        reasons.add(reason)
        if given is None:
            missing.add(path)
        else:
            certain = True
    if gate.condition is not None:
        facts = _facts(question, region, standing)
        verdict = gate.condition.evaluate(facts)
        if not verdict.holds:
            reasons.add(Reason.POLICY_DENIED)
            missing |= set(verdict.missing or lacking(gate.condition, facts))
            certain = certain or not (verdict.missing or verdict.errors)
    return reasons, missing, certain


def _facts(question: _Question, region: str | None, standing: str | None) -> dict[str, object]:
    """What conditions read."""
    profile, context = question.terms.profile, question.context
    facts: dict[str, object] = {
        "context": {
            "deployment": context.deployment,
            "region": region,
            "country": context.country,
            "version": context.version,
            "attributes": context.attributes,
        },
        "customer": {
            "id": question.terms.customer,
            "region": profile.region,
            "country": profile.country,
            "attributes": profile.attributes,
        },
    }
    if standing is not None:
        facts["standing"] = standing
    if isinstance(question.user, UserFacts):
        user = question.user
        facts["user"] = {"id": user.id, "roles": list(user.roles), "attributes": user.attributes}
    elif question.user is not None:
        facts["user"] = {"id": question.user}
    return facts
