"""Explain: a decision as a tree, from the order line down to the answer, in words for support."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from licet.core.audience import Audience
from licet.core.case import Ask, Case, Facts, Hearing, Judgement
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision, decide, joined
from licet.core.derive import Held, derive
from licet.core.dunning import origin_words, read_dunning
from licet.core.instant import BEGINNING, FOREVER, Instant, format_instant, to_instant
from licet.core.policywords import bystander_words, restraint_details, restraint_words
from licet.core.quantity import parse_quantity
from licet.core.question import Question, UserFacts
from licet.core.snapshot import prepare_case
from licet.core.standing import Standing
from licet.core.terms import Item, Subscription, Terms
from licet.core.timeline import LIVE
from licet.core.trail import Moves, begins, moves_of
from licet.core.usage.outlook import NOTHING_AHEAD, Outlook, with_outlook
from licet.core.views import DecisionView
from licet.core.words import amount_words, gate_words, unnamed_words, window_length, window_words

_MAX_INVOICES: Final = 5
_MAX_IDLE: Final = 20


class Node(Struct, frozen=True, omit_defaults=True):
    """One step of the explanation. ``ok`` tells whether it speaks for (True) or against; None where it is neither."""

    kind: str
    text: str
    ok: bool | None = None
    id: str | None = None
    event: str | None = None
    children: tuple["Node", ...] = ()


class Explanation(Struct, frozen=True):
    """A decision at an instant, and how it came about."""

    at: str
    decision: DecisionView
    tree: Node
    erased_at: str | None = None
    """When personal values of the customer, or of the user who was asked about, were erased last; filled in by whoever
    holds the log. What an answer rests on was not erased with them."""


def explain(
    catalog: CompiledCatalog,
    terms: Terms | None,
    question: Question,
    now: Instant,
    *,
    user: UserFacts | None = None,
    events: Mapping[str, str] | None = None,
    releases: Mapping[str, str] | None = None,
    audience: Audience = "server",
    counted: tuple[Ask, "Node"] | None = None,
    companions: Sequence[tuple[Decision, "Node"]] = (),
    unnamed: tuple[str, ...] = (),
    outlook: Outlook = NOTHING_AHEAD,
) -> Explanation:
    """Return how the question is answered at ``now``.

    ``terms`` is None for an unknown customer. ``user`` is what is known of the question's user. ``events`` gives words
    for the ids of events (who did it, when), where the caller has them; ``releases`` the id of the event that released
    an item, by ``plan team@2026-01``, and of the one that released this catalog, by ``catalog``, and of the order by
    which a subscription stands, by ``order sub_…``. An ``audience`` of customers reads the text of policies and not
    their rules. ``counted`` is the question with what its balance holds, and that balance in words;
    ``companions`` are the decisions about other balances that the use touches, with those; ``unnamed`` says whom the
    question would have to name, ``outlook`` when more comes to balances that are against it. Raises ValueError for a
    quantity that is none.
    """
    feature = catalog.features.get(question.feature)
    scale = 0 if feature is None else feature.scale
    case = Case(catalog, question.customer, question.feature, BEGINNING, FOREVER)
    if terms is not None:
        entitlements = derive(catalog, terms, now)
        span = entitlements.span(question.feature)
        case = Case(catalog, question.customer, question.feature, span.start, span.end, terms, entitlements)
    if counted is not None:
        ask, decision = counted[0], decide(case, counted[0])
    else:
        prepared = prepare_case(case)
        decision = prepared.ruling(case, question.quantity, question.used, user or question.user, question.context)
        ask = Ask(
            user or question.user,
            question.context,
            parse_quantity(question.quantity, scale),
            None if question.used is None else parse_quantity(question.used, scale),
        )
    if companions:
        decision = joined(decision, tuple(one for one, _ in companions))
    if unnamed:
        decision = structs.replace(decision, unnamed=unnamed)
    decision = with_outlook(decision, outlook)
    nodes = tuple(_companion(one, balance) for one, balance in companions)
    origins = Origins(events or {}, releases or {}, audience, None if counted is None else counted[1], nodes)
    telling = _Telling(case, ask, decision.judgement, origins, now)
    return Explanation(format_instant(now), decision.view(now), telling.tree(decision))


def _companion(decision: Decision, balance: Node) -> Node:
    """What another balance says to the use."""
    reasons = ", ".join(str(one) for one in decision.judgement.would_deny or decision.reasons)
    text = f"{decision.case.feature} is used with it: {'against' if decision.objects else 'permits it'} ({reasons})"
    return Node("companion", text, not decision.objects, children=(balance,))


class Origins(Struct, frozen=True):
    """Where facts come from: words for events by id, and the events that released the catalog and its items; and who
    is told."""

    events: Mapping[str, str]
    releases: Mapping[str, str]
    audience: Audience = "server"
    balance: Node | None = None
    """The balance that was counted."""
    companions: tuple[Node, ...] = ()
    """Of the other balances that the use touches."""


class _Telling:
    """Tells one case."""

    def __init__(self, case: Case, ask: Ask, judgement: Judgement, origins: Origins, now: Instant) -> None:
        self.case = case
        self.ask = ask
        self.judgement = judgement
        self.events = origins.events
        self.releases = origins.releases
        self.audience = origins.audience
        self.balance = origins.balance
        self.companions = origins.companions
        self.now = now

    def tree(self, decision: Decision) -> Node:
        """The whole tree; the decision is its root."""
        judgement = self.judgement
        word = "allowed" if judgement.allowed else "refused"
        reasons = ", ".join(str(reason) for reason in judgement.reasons)
        text = f"{self.case.customer} and {self.case.feature}: {word} ({reasons})"
        if judgement.would_deny is not None:
            text += f"; enforced it would be refused ({', '.join(str(one) for one in judgement.would_deny)})"
        children = [*self._blocks(), *self._policies(), *self._subscriptions(), *self._overrides(), *self._limit()]
        children += self.companions
        children += [Node("unnamed", unnamed_words((one,)).strip(), False) for one in decision.unnamed]
        if not judgement.hearings and self.case.entitlements is not None:
            children.append(Node("source", "nothing that the customer has includes this feature", False))
        children.extend(self._remedy(decision))
        if "catalog" in self.releases:
            revision = f"catalog revision {self.case.catalog.revision}"
            children.append(self._node("catalog", revision, None, event=self.releases["catalog"]))
        if decision.support:
            children.append(Node("support", f"for support: {decision.support}"))
        return Node("decision", text, judgement.allowed, children=tuple(children))

    def _blocks(self) -> list[Node]:
        """Suspensions and denials that are in force."""
        entitlements, terms = self.case.entitlements, self.case.terms
        found: list[Node] = []
        if entitlements is None or terms is None:
            return found
        for one in terms.suspensions if entitlements.suspended else ():
            if to_instant(one.starts_at) <= self.now and (one.ends_at is None or to_instant(one.ends_at) > self.now):
                since = format_instant(to_instant(one.starts_at))
                found.append(
                    self._node("suspension", f"the customer is suspended since {since}", False, event=one.event)
                )
        given = entitlements.rights.get(self.case.feature)
        for denial in given.denials if given else ():
            override = entitlements.overrides[denial.place]
            reasons, missing, undecided = Facts(terms, self.ask).ask_gate(denial.gate, None)
            applies = not reasons or undecided
            text = f"override {override.id} denies it" if applies else f"override {override.id} is not meant here"
            if undecided:
                text += f" (it cannot be decided without {', '.join(missing)})"
            found.append(self._node("override", text, not applies, name=override.id, event=override.event))
        return found

    def _policies(self) -> list[Node]:
        """The policies that apply; for the vendor's own people also some that do not."""
        restraints = self.judgement.restraints
        released = self.releases.get("catalog")
        found = [
            self._node(
                "policy",
                restraint_words(one, self.audience),
                False if one.policy.denies else None,
                name=None if self.audience == "customer" and one.policy.server_only else one.policy.id,
                event=released,
                children=tuple(Node("note", words) for words in restraint_details(one, self.audience)),
            )
            for one in restraints
        ]
        feature = self.case.catalog.features.get(self.case.feature)
        unruled = self.case.entitlements is None or feature is None or feature.mode == "off"
        if self.audience == "customer" or unruled:
            return found
        applying = {one.policy.id for one in restraints}
        policies = self.case.catalog.policies
        others = [one for one in (*policies.settled, *policies.asking) if one.about(self.case.feature)]
        idle = [one for one in others if one.id not in applying][:_MAX_IDLE]
        return found + [Node("policy", bystander_words(one), True, one.id) for one in idle]

    def _subscriptions(self) -> list[Node]:
        """Every subscription that includes the feature, with the items that do."""
        entitlements = self.case.entitlements
        if entitlements is None:
            return []
        heard: dict[int, list[Hearing]] = {}
        for hearing in self.judgement.hearings:
            if hearing.source.kind != "override":
                heard.setdefault(hearing.source.place, []).append(hearing)
        return [self._subscription(entitlements.held[place], hearings) for place, hearings in sorted(heard.items())]

    def _subscription(self, held: Held, hearings: list[Hearing]) -> Node:
        """One subscription: order, standing, items."""
        subscription, standing = held.subscription, held.standing
        children: list[Node] = []
        if subscription.source is not None:
            text = f"order {subscription.external_id} from {subscription.source}"
            if subscription.occurred_at is not None:
                text += f", last of {format_instant(to_instant(subscription.occurred_at))}"
            event = self.releases.get(f"order {subscription.id}", subscription.event)
            children.append(self._node("order", text, None, event=event))
        since = "ever" if standing.since <= BEGINNING else format_instant(standing.since)
        text = f"standing: {standing.kind}, since {since}"
        if standing.until < FOREVER:
            text += f", until {format_instant(standing.until)} unless something happens"
        if standing.restricted:
            text += f"; restricted: {', '.join(standing.restricted)}"
        gives = any(not hearing.reasons for hearing in hearings)
        said = self._dunning(subscription) if subscription.payments else ()
        children.append(
            self._node(
                "standing", text, standing.kind in LIVE, event=self._behind(subscription, standing), children=said
            )
        )
        children.extend(self._item(held, hearing) for hearing in hearings)
        return self._node(
            "subscription",
            f"subscription {subscription.id}",
            gives,
            name=subscription.id,
            event=held.segment.state.event,
            children=tuple(children),
        )

    def _behind(self, subscription: Subscription, standing: Standing) -> str | None:
        """The event that ended or paused a subscription: its own, else the order that lists it."""
        order = self.releases.get(f"order {subscription.id}")
        if standing.kind == "paused":
            for pause in subscription.pauses:
                end = FOREVER if pause.ends_at is None else to_instant(pause.ends_at)
                if to_instant(pause.starts_at) <= self.now < end:
                    return pause.event or order
        ended = subscription.ends_at is not None and to_instant(subscription.ends_at) <= self.now
        return (subscription.end_event or order) if standing.kind == "ended" and ended else None

    def _dunning(self, subscription: Subscription) -> tuple[Node, ...]:
        """What is owed, on which ladder and who said so, and the promises and pauses in force; nothing if settled."""
        terms, catalog = self.case.terms, self.case.catalog
        view = None if terms is None else read_dunning(catalog, terms, subscription.id, self.now)
        if view is None or view.since is None:
            return ()
        invoices = ", ".join(view.invoices[:_MAX_INVOICES]) + (" …" if len(view.invoices) > _MAX_INVOICES else "")
        facts = (fact for fact in subscription.payments if to_instant(fact.at) == view.since)
        first = next((fact.event for fact in facts if fact.invoice in view.invoices), None)
        found = [self._node("episode", f"owed since {format_instant(view.since)}: {invoices}", False, event=first)]
        for leniency in view.leniencies:
            until = "" if leniency.ends_at is None else f" until {format_instant(to_instant(leniency.ends_at))}"
            since = format_instant(to_instant(leniency.starts_at))
            what = "a promise to pay: it only warns" if leniency.kind == "promise" else "the ladder is paused"
            found.append(
                self._node("leniency", f"{what}, from {since}{until}", True, name=leniency.id, event=leniency.event)
            )
        ladder = "no ladder: non-payment has no consequences" if view.ladder is None else f"ladder {view.ladder}"
        text = f"{ladder}, {origin_words(view.origin)} when that began"
        if view.next is not None:
            text += f"; next: {view.next.do} at {format_instant(view.next.at)}"
        found.append(self._node("ladder", text, None, name=view.ladder, event=view.origin_event))
        return tuple(found)

    def _item(self, held: Held, hearing: Hearing) -> Node:
        """One item and its conditions."""
        source = hearing.source
        state = held.segment.state
        item: Item = (state.lapsed if source.lapsed else state.items)[source.item]
        trails = state.lapsed_trails if source.lapsed else state.trails
        passed = trails[source.item].moves if trails else ()
        text = f"{item.kind} {item.id}@{item.version}"
        if passed and passed[0].from_version != item.version:
            text += f", moved from {item.id}@{passed[0].from_version} to {item.id}@{passed[-1].to_version}"
        if item.quantity != 1:
            text += f" × {item.quantity}" + (f" {item.quantity_of}" if item.quantity_of else "")
        if item.bundle is not None:
            text += f" of bundle {item.bundle}"
        if item.line is not None:
            text += f", line {item.line}"
        text += f": {self._gives(hearing)}"
        name = f"{item.id}@{item.version}"
        return self._node(
            item.kind,
            text,
            not hearing.reasons,
            name=name,
            event=self.releases.get(f"{item.kind} {name}"),
            children=(*self._moves(held.subscription, item, passed, over=source.lapsed), *self._conditions(hearing)),
        )

    def _moves(self, subscription: Subscription, item: Item, passed: Moves, *, over: bool) -> Iterator[Node]:
        """The moves that made an item what it is, and the one that is announced for it next."""
        for move in passed:
            versions = f"from {move.item}@{move.from_version} to {move.item}@{move.to_version}"
            text = f"moved {versions} on {format_instant(begins(move))}"
            yield self._node("move", text, None, name=move.id, event=move.event)
        moves = () if self.case.terms is None or over else moves_of(self.case.terms, subscription.id)
        for move in moves:
            wanted = (move.kind, move.item, move.from_version) == (item.kind, item.id, item.version)
            if wanted and begins(move) > self.now:
                text = f"will be moved to {move.item}@{move.to_version} on {format_instant(begins(move))}"
                yield self._node("move", text, None, name=move.id, event=move.event)
                return

    def _overrides(self) -> list[Node]:
        """Every override that gives the feature."""
        found: list[Node] = []
        entitlements = self.case.entitlements
        for hearing in self.judgement.hearings:
            if hearing.source.kind == "override" and entitlements is not None:
                override = entitlements.overrides[hearing.source.place]
                text = f"override {override.id} ({override.kind}): {self._gives(hearing)}"
                found.append(
                    self._node(
                        "override",
                        text,
                        not hearing.reasons,
                        name=override.id,
                        event=override.event,
                        children=self._conditions(hearing),
                    )
                )
        return found

    def _gives(self, hearing: Hearing) -> str:
        """What a source gives, and why it does not."""
        feature = self.case.catalog.features[self.case.feature]
        given = "includes it"
        if hearing.source.amount is not None:
            given = f"gives {amount_words(feature, hearing.source.amount)}"
        elif hearing.source.value is not None:
            given = f"gives {hearing.source.value!r}"
        if not hearing.reasons:
            return given
        return f"{given}, but {', '.join(str(reason) for reason in hearing.reasons)}"

    def _conditions(self, hearing: Hearing) -> tuple[Node, ...]:
        """The conditions of the feature and of the source, each with its outcome."""
        found: list[Node] = []
        if self.case.terms is None:
            return ()
        facts = Facts(self.case.terms, self.ask)
        own = self.case.catalog.features[self.case.feature].gate
        for whose, gate in (("feature", own), ("source", hearing.source.gate)):
            if gate.asks:
                reasons, missing, _ = facts.ask_gate(gate, hearing.source.standing)
                text = f"condition of the {whose}: {gate_words(gate)}"
                if missing:
                    text += f"; missing: {', '.join(missing)}"
                found.append(Node("condition", text, not reasons))
        return tuple(found)

    def _limit(self) -> list[Node]:
        """The count against the amount."""
        amount = self.judgement.amount
        if amount is None:
            return []
        feature = self.case.catalog.features[self.case.feature]
        used = "nobody counted, taken as 0" if self.ask.used is None else amount_words(feature, self.ask.used)
        wanted = amount_words(feature, self.ask.quantity)
        window = window_words(feature.per, window_length(self.case.catalog, feature.id))
        how = f"{window}, {self.judgement.at_limit}" if window else self.judgement.at_limit
        text = f"limit {amount_words(feature, amount)} ({how}); used: {used}; wanted: {wanted}"
        children = () if self.balance is None else (self.balance,)
        over = (self.ask.used or 0) + self.ask.quantity - amount
        return [Node("limit", text, over <= 0, children=children), *self._beyond(over)]

    def _beyond(self, over: int) -> Iterator[Node]:
        """What may be used beyond all there is: what is charged has bounds of the vendor's and the customer's own."""
        if self.judgement.at_limit != "overage":
            return
        feature = self.case.catalog.features[self.case.feature]
        bounds = (("overage limit", self.ask.overage_limit), ("spend limit of the customer", self.ask.spend_limit))
        wanted = f"; this takes {amount_words(feature, over)} beyond" if over > 0 else ""
        for name, bound in bounds:
            if bound is not None:
                yield Node(
                    "bound", f"{name}: {amount_words(feature, bound)} beyond what there is{wanted}", over <= bound
                )

    def _remedy(self, decision: Decision) -> list[Node]:
        """What would make it allowed, and when more comes by itself."""
        found = []
        if decision.resets_at is not None:
            found.append(Node("resets", f"more comes at {format_instant(decision.resets_at)}"))
        for remedy in decision.remedies(self.now):
            steps = tuple(
                Node("step", f"{words} (support: {support})")
                for words, support in zip(remedy.step_words, remedy.support, strict=True)
            )
            found.append(Node("remedy", f"would be allowed after: {remedy.words}", children=steps))
        return found

    def _node(
        self,
        kind: str,
        text: str,
        ok: bool | None,
        *,
        name: str | None = None,
        event: str | None = None,
        children: tuple[Node, ...] = (),
    ) -> Node:
        """A node, with words for its event where there are any."""
        told = "" if event is None or event not in self.events else f" ({self.events[event]})"
        return Node(kind, text + told, ok, name, event, children)


def render_tree(node: Node, indent: str = "") -> str:
    """Return a tree as indented lines, ``+`` for, ``-`` against, ``·`` neither."""
    mark = {True: "+", False: "-", None: "·"}[node.ok]
    lines = [f"{indent}{mark} {node.text}"]
    lines.extend(render_tree(child, indent + "  ") for child in node.children)
    return "\n".join(lines)
