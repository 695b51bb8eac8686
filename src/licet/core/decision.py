"""A decision: allowed or not, and why; everything else about it is worked out only when somebody looks."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from msgspec import UNSET, Struct, structs

from licet.core.case import AnyCase, Ask, Hearing, Judgement, judge
from licet.core.compiled import UNBOUNDED, CompiledFeature
from licet.core.instant import BEGINNING, FOREVER, Instant, format_instant, to_instant
from licet.core.question import Context, UserFacts
from licet.core.reason import PRECEDENCE, Reason
from licet.core.remedy import Remedy, find_remedy, remedy_view, waiting_remedy
from licet.core.views import DecisionView, LimitView, Number, SourceView, WarningView, wire_amount
from licet.core.words import asked_words, customer_message, unnamed_words, wall_words, window_length

if TYPE_CHECKING:
    from licet.core.usage.facts import Want


class Decision(Struct, frozen=True, gc=False):
    """The answer to one question; truthy when allowed. It holds no instant of its own.

    ``reason`` is the first of ``reasons``. Everything below reads the case it rests on: it costs nothing until asked.
    """

    allowed: bool
    reason: Reason
    case: AnyCase
    quantity: int = 1
    used: int | None = None
    user: UserFacts | str | None = None
    context: Context | None = None
    granted: int | None = None
    overage_limit: int | None = None
    spend_limit: int | None = None
    wants: "tuple[Want, ...]" = ()
    """Where a balance was reached by way of a meter: what was asked for."""
    companions: "tuple[Decision, ...]" = ()
    """About the other balances that the same use would touch: all of them must permit it."""
    unnamed: tuple[str, ...] = ()
    """Whom the question does not name though each has a balance that the use would touch: ``user``, ``team``."""
    resets_at: Instant | None = None
    """Where what balances hold is against it: when more comes to them; None where that is not known."""
    fits_at: Instant | None = None
    """From when on this question would be permitted if nothing else is used; None where that is not known."""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def objects(self) -> bool:
        """Whether it refuses, or would if it were enforced."""
        return not self.allowed or self.reason is Reason.OBSERVED

    @property
    def judgement(self) -> Judgement:
        """The whole judgement, worked out anew from the case, and from those of its companions."""
        own = judge(self.case, self.ask)
        return _together(own, [one.judgement for one in self.companions]) if self.companions else own

    @property
    def ask(self) -> Ask:
        """The question, quantities in minor units."""
        limits = self.granted, self.overage_limit, self.spend_limit
        return Ask(self.user, self.context, self.quantity, self.used, *limits)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """All reasons, the first in precedence first."""
        return self.judgement.reasons

    @property
    def would_deny(self) -> tuple[Reason, ...] | None:
        """In observe mode: the reasons with which this would have been refused."""
        return self.judgement.would_deny

    @property
    def value(self) -> bool | str | None:
        """A switch's state or a configuration's value."""
        return self.judgement.value

    @property
    def limit(self) -> LimitView | None:
        """The number that applies, where one does."""
        return _limit(self, self.judgement)

    @property
    def sources(self) -> tuple[SourceView, ...]:
        """Every source of the right, and why it does or does not permit."""
        return tuple(_source(self.case, one) for one in self.judgement.hearings)

    @property
    def message(self) -> str:
        """One sentence for the customer; one for each balance where several are against it."""
        if self.companions:
            own = self._alone()
            against = [one for one in (own, *self.companions) if not one.allowed]
            said = " ".join(dict.fromkeys(one.message for one in against or (own,)))
        else:
            said = customer_message(self.case, self.judgement, self.ask) + asked_words(self.case.catalog, self.wants)
        return said + self._resetting() + unnamed_words(self.unnamed)

    @property
    def support(self) -> str:
        """What the catalog tells support about the feature; close names where the feature is not known."""
        return _support(self.case)

    @property
    def missing(self) -> tuple[str, ...]:
        """Facts that conditions asked for and the question did not give, and whose balances it does not name."""
        return _named_with(self.judgement.missing, self.unnamed)

    @property
    def warnings(self) -> tuple[WarningView, ...]:
        """What policies warn the customer of."""
        return warnings_of(self.judgement)

    @property
    def valid_until(self) -> Instant:
        """The next instant at which the answer may change by itself; FOREVER where none is known."""
        return min([self.case.changes_at, *(one.valid_until for one in self.companions)])

    def remedy(self, now: Instant) -> Remedy | None:
        """Return the cheapest known change that makes this question permitted at ``now``; None if it is, or if none is.

        ``now`` must lie within the time the decision is good for. Where several balances are against it, no one change
        is known to be enough, but waiting may be.
        """
        found = self._changing(now)
        return self._waiting() if found is None else found

    def remedies(self, now: Instant) -> tuple[Remedy, ...]:
        """Return the remedy, and where more comes by itself in time, waiting for that besides."""
        found, waiting = self._changing(now), self._waiting()
        if waiting is not None and found is not None and found.kind == "wait":
            waiting = None
        return tuple(one for one in (found, waiting) if one is not None)

    def _changing(self, now: Instant) -> Remedy | None:
        """The cheapest known change."""
        if self.companions:
            against = [one for one in (self._alone(), *self.companions) if one.objects]
            return against[0]._changing(now) if len(against) == 1 else None
        judgement = self.judgement
        refused = judgement.would_deny or (() if judgement.allowed else judgement.reasons)
        # No change of what the customer has helps where nothing newer is heard of it.
        return find_remedy(self.case, self.ask, now) if refused and Reason.SNAPSHOT_EXPIRED not in refused else None

    def _waiting(self) -> Remedy | None:
        """Waiting until what balances hold is enough."""
        feature = self.case.catalog.features.get(self.case.feature)
        return None if self.fits_at is None or feature is None else waiting_remedy(self.fits_at, feature.scale)

    def _resetting(self) -> str:
        """When more comes, as a sentence after a space, where it is refused for want of that."""
        terms = self.case.terms
        if self.resets_at is None or self.allowed or terms is None:
            return ""
        return f" Resets {wall_words(self.resets_at, self.case.catalog.zone(terms.profile.zone))}."

    def view(self, now: Instant, basis: str | None = None) -> DecisionView:
        """Return the whole decision for the wire; ``now`` is for the remedy alone."""
        judgement = self.judgement
        feature = self.case.catalog.features.get(self.case.feature)
        remedies = self.remedies(now)
        resets_at = None if self.resets_at is None else format_instant(self.resets_at)
        return DecisionView(
            allowed=judgement.allowed,
            reason=judgement.reasons[0],
            reasons=tuple(str(one) for one in judgement.reasons),
            would_deny=None if judgement.would_deny is None else tuple(str(one) for one in judgement.would_deny),
            customer=self.case.customer,
            feature=self.case.feature,
            type=None if feature is None else feature.type,
            mode=None if feature is None else feature.mode,
            value=judgement.value,
            limit=_limit(self, judgement),
            sources=tuple(_source(self.case, one) for one in judgement.hearings),
            message=self.message,
            remedy=remedy_view(remedies[0]) if remedies else None,
            remedies=UNSET if self.fits_at is None else tuple(map(remedy_view, remedies)),
            resets_at=UNSET if resets_at is None else resets_at,
            valid_until=None if self.valid_until >= FOREVER else format_instant(self.valid_until),
            missing=_named_with(judgement.missing, self.unnamed),
            warnings=warnings_of(judgement),
            basis=basis,
        )

    def _alone(self) -> "Decision":
        """The decision without its companions."""
        said = judge(self.case, self.ask)
        return structs.replace(
            self, allowed=said.allowed, reason=said.reasons[0], companions=(), unnamed=(), resets_at=None, fits_at=None
        )


def decide(case: AnyCase, ask: Ask) -> Decision:
    """Return the decision of a case about one question: that of its ruling, and where a balance was counted besides."""
    verdict = judge(case, ask)
    return Decision(
        verdict.allowed,
        verdict.reasons[0],
        case,
        ask.quantity,
        ask.used,
        ask.user,
        ask.context,
        ask.granted,
        ask.overage_limit,
        ask.spend_limit,
    )


def joined(decision: Decision, companions: tuple[Decision, ...]) -> Decision:
    """Return the decision about a use that touches other balances, too: all reasons of all that are against it."""
    made = structs.replace(decision, companions=companions)
    judgement = made.judgement
    return structs.replace(made, allowed=judgement.allowed, reason=judgement.reasons[0])


def _together(own: Judgement, others: Sequence[Judgement]) -> Judgement:
    """What several balances say to one use, told as of the first of them."""
    everyone = (own, *others)
    refusing = [one for one in everyone if not one.allowed]
    if refusing:
        reasons, would_deny = _ordered(reason for one in refusing for reason in one.reasons), None
    elif any(one.would_deny for one in everyone):
        reasons = (Reason.OBSERVED,)
        would_deny = _ordered(reason for one in everyone for reason in one.would_deny or ())
    else:
        return own
    missing = tuple(sorted({name for one in everyone for name in one.missing}))
    return structs.replace(own, allowed=not refusing, reasons=reasons, would_deny=would_deny, missing=missing)


def _named_with(missing: tuple[str, ...], unnamed: tuple[str, ...]) -> tuple[str, ...]:
    """What a question did not give, each once."""
    return tuple(sorted({*missing, *unnamed})) if unnamed else missing


def _ordered(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Each reason once, by precedence."""
    return tuple(sorted(set(reasons), key=PRECEDENCE.__getitem__))


def warnings_of(judgement: Judgement) -> tuple[WarningView, ...]:
    """Return the words of the policies that warn, by rank and id; one that never leaves the server is not named."""
    return tuple(
        WarningView(policy=None if one.policy.server_only else one.policy.id, text=one.policy.text)
        for one in judgement.restraints
        if not one.policy.denies
    )


def _limit(decision: Decision, judgement: Judgement) -> LimitView | None:
    """The limit of a judgement with the count of the question."""
    feature = decision.case.catalog.features.get(decision.case.feature)
    if feature is None or judgement.amount is None:
        return None
    used = decision.used or 0
    remaining = UNBOUNDED if judgement.amount >= UNBOUNDED else judgement.amount - used
    if decision.granted is None:
        remaining = max(0, remaining)
    one = judgement.amount == 10**feature.scale
    return LimitView(
        amount=wire_amount(judgement.amount, feature.scale),
        used=None if decision.used is None else wire_amount(decision.used, feature.scale),
        remaining=wire_amount(remaining, feature.scale),
        per=_per(feature, judgement),
        at_limit=judgement.at_limit,
        unit=None if feature.unit is None else feature.unit.one if one else feature.unit.many,
        length=window_length(decision.case.catalog, feature.id),
        overage_limit=_beyond(decision.overage_limit, judgement, feature),
        spend_limit=_beyond(decision.spend_limit, judgement, feature),
    )


def _per(feature: CompiledFeature, judgement: Judgement) -> str | None:
    """How often the allowances in force are whole again, where all agree; else as the feature says."""
    said = {one.source.per for one in judgement.hearings if not one.source.blocked and one.source.per is not None}
    return said.pop() if len(said) == 1 else feature.per


def _beyond(limit: int | None, judgement: Judgement, feature: CompiledFeature) -> Number | None:
    """A bound on what is used beyond all there is, where that is permitted at all."""
    return None if limit is None or judgement.at_limit != "overage" else wire_amount(limit, feature.scale)


def _source(case: AnyCase, hearing: Hearing) -> SourceView:
    """One heard source with the ids and instants of its own customer."""
    source, feature = hearing.source, case.catalog.features[case.feature]
    if case.entitlements is None:
        raise ValueError("a source without entitlements")
    amount = None if source.amount is None else wire_amount(source.amount, feature.scale)
    reasons = tuple(str(one) for one in hearing.reasons)
    if source.kind == "override":
        override = case.entitlements.overrides[source.place]
        end = None if override.ends_at is None else format_instant(to_instant(override.ends_at))
        return SourceView(
            kind="override",
            id=override.id,
            since=format_instant(to_instant(override.starts_at)),
            until=end,
            permits=not reasons,
            reasons=reasons,
            amount=amount,
            value=source.value,
            event=override.event,
        )
    held = case.entitlements.held[source.place]
    state = held.segment.state
    item = (state.lapsed if source.lapsed else state.items)[source.item]
    since, until = _span(held.standing.since, held.standing.until)
    return SourceView(
        kind=_item_kind(source.kind),
        id=held.subscription.id,
        item=f"{source.id}@{source.version}",
        standing=source.standing,
        since=since,
        until=until,
        permits=not reasons,
        reasons=reasons,
        amount=amount,
        value=source.value,
        event=state.event,
        line=item.line,
    )


def _item_kind(kind: str) -> Literal["plan", "addon"]:
    """The kind of an item's source."""
    return "plan" if kind == "plan" else "addon"


def _span(since: Instant, until: Instant) -> tuple[str | None, str | None]:
    """Both ends of a standing, None where there is none."""
    start = None if since <= BEGINNING else format_instant(since)
    return start, None if until >= FOREVER else format_instant(until)


def _support(case: AnyCase) -> str:
    """Support's words about the feature, or names close to an unknown one."""
    feature = case.catalog.features.get(case.feature)
    if feature is not None:
        return feature.support_text
    close = get_close_matches(case.feature, sorted(case.catalog.features), n=3)
    if close:
        return f"no feature {case.feature!r}; did you mean {', '.join(close)}?"
    return f"no feature {case.feature!r}; the catalog has {len(case.catalog.features)} features"
