"""Kinds of findings: what each means, why it matters, who settles it, by when, and the command that would.

Ids in evidence are the world's text. They enter a command only as one quoted word of a POSIX shell; what could break
out of it, or look like something else on a terminal, leaves the general advice instead.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from licet.core.orders import Evidence, Severity

Role = Literal["revenue operations", "billing", "engineering", "support", "product"]
"""Who settles findings of a kind until a person is named."""
Names = Literal["subscription", "customer", "delivery"]
"""What a subject ``source:id`` names: a foreign subscription, a foreign customer, or a message."""

MAX_WORD: Final = 300
"""Longest text that enters a command; in characters."""
MAX_COMMAND: Final = 1000
"""Longest command, quotes included; a longer one helps nobody."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@/+,-]+")
_PLACE: Final = re.compile(r"{(\w+)}")
_ESCAPES: Final = (("%3A", ":"), ("%2F", "/"), ("%25", "%"))


class Days(NamedTuple):
    """Days after it was first seen by which a finding is due, by severity."""

    high: int
    medium: int
    low: int


PROMPT: Final = Days(1, 3, 7)
"""For what keeps a customer from what was bought, or money from somebody."""
USUAL: Final = Days(2, 7, 14)
"""For what is wrong but harms nobody at once."""


class FindingKind(Struct, frozen=True, kw_only=True):
    """What is the same for all findings of one kind."""

    title: str
    """A few words for a list."""
    what: str
    """What it means."""
    why: str
    """Why it matters: what goes on until it is settled."""
    owner: Role
    days: Days = USUAL
    names: Names = "subscription"
    steps: str
    """How it is settled, whatever the evidence."""
    command: str = ""
    """The command that settles it, with places such as ``{source}``; empty where no single one does."""
    unless: tuple[str, str] = ("", "")
    """A code in the evidence, and the command that settles it instead where it is said."""


KINDS: Final[Mapping[str, FindingKind]] = {
    "unclear_line": FindingKind(
        title="unclear order line",
        what="A line of an order names none, or more than one, of price, plan, add-on and bundle.",
        why="The line gives nothing; the customer may lack what was bought.",
        owner="engineering",
        days=PROMPT,
        steps="Let the sender name exactly one on each line, then send the order again with a later occurred_at.",
    ),
    "unknown_price": FindingKind(
        title="price that nobody mapped",
        what="An order names a price of its source that the catalog does not explain.",
        why="That line gives nothing; the customer lacks what was bought.",
        owner="revenue operations",
        days=PROMPT,
        steps=(
            "Add the price to the catalog under `orders`, in the section of its source, and release that with "
            "`licet catalog apply catalog.yaml`. An order that was refused whole is then sent again as it is, or its "
            "message tried again with `licet connector replay`; else the next change of the subscription brings it."
        ),
        command="licet catalog apply catalog.yaml",
    ),
    "unknown_item": FindingKind(
        title="item that is not sold",
        what="An order names a plan, an add-on or a bundle that the catalog does not have.",
        why="That line gives nothing; the customer lacks what was bought.",
        owner="revenue operations",
        days=PROMPT,
        steps=(
            "Add it to the catalog and release that with `licet catalog apply catalog.yaml`, or correct the order. One "
            "that was refused whole is then sent again; else it comes again with a later occurred_at."
        ),
        command="licet catalog apply catalog.yaml",
    ),
    "unknown_version": FindingKind(
        title="version that does not exist",
        what="An order pins a version of a plan or an add-on that the catalog does not have.",
        why="The version on sale at the time was given instead; it may hold more or less than was agreed.",
        owner="revenue operations",
        steps=(
            "Compare the version on sale then with what was agreed. Where they differ, add the version to the catalog, "
            "release it with `licet catalog apply catalog.yaml` and send the order again with a later occurred_at."
        ),
        command="licet catalog apply catalog.yaml",
    ),
    "unknown_zone": FindingKind(
        title="unknown time zone",
        what="An order names a time zone that does not exist.",
        why="Days and months begin in another zone than the customer expects.",
        owner="engineering",
        steps="Let the sender name a zone such as Europe/Berlin, then send the order again with a later occurred_at.",
    ),
    "unknown_period": FindingKind(
        title="unreadable billing period",
        what="An order's billing period is no duration.",
        why="Allowances may be refilled at other dates than those of the invoice.",
        owner="engineering",
        steps="Let the sender write a duration such as P1M or P1Y, then send the order again with a later occurred_at.",
    ),
    "ends_before_start": FindingKind(
        title="ends before it starts",
        what="An order ends before it begins.",
        why="The subscription gives nothing at all.",
        owner="revenue operations",
        days=PROMPT,
        steps="Correct the dates where it was sold, and let the order come again with a later occurred_at.",
    ),
    "no_trial": FindingKind(
        title="trial of a plan without one",
        what="An order starts the plan's own trial, but the plan version has none.",
        why="It was sold without a trial; the customer may have been promised one.",
        owner="product",
        steps=(
            "Give the plan version a trial in the catalog, or let the order say trial_end, "
            "and send it again with a later occurred_at."
        ),
    ),
    "bought_before_sale": FindingKind(
        title="bought before it was on sale",
        what="An item was bought before any version of it was available.",
        why="Its first version was given; nobody has said that this is what was agreed.",
        owner="product",
        steps=(
            "If the sale was meant, dismiss this with a note; else correct available_from in the catalog "
            "or the order's date."
        ),
    ),
    "bought_after_sale": FindingKind(
        title="bought after it was withdrawn",
        what=(
            "An order newly names a version that was not sold any more when it was bought, or buys an item of which no "
            "version was; the one last on sale was then taken."
        ),
        why="It was given all the same; somebody still sells what the catalog has withdrawn.",
        owner="product",
        steps=(
            "If the sale was meant, dismiss this with a note, or clear sold_until in the catalog. Else stop selling it "
            "where it was sold, and let the order come again with a version on sale and a later occurred_at."
        ),
    ),
    "nothing_sold": FindingKind(
        title="order without lines",
        what="The newest order of a subscription that has not ended sells nothing.",
        why="The customer has lost what the subscription gave.",
        owner="revenue operations",
        days=PROMPT,
        steps="If it is meant to end, end it where it was sold; else put its lines back there.",
    ),
    "order_conflict": FindingKind(
        title="two orders contradict each other",
        what="Two orders of the same subscription and instant want different things.",
        why="The one that came first is in force; nobody knows whether it is the right one.",
        owner="engineering",
        days=PROMPT,
        steps=(
            "Look at both in the log, decide which one is right, "
            "and send that one again with a later occurred_at or a higher sequence."
        ),
        command="licet log --subject {order}",
    ),
    "combination": FindingKind(
        title="combination that the catalog forbids",
        what="What was sold together breaks a rule of the catalog: one thing requires or excludes another.",
        why="It was given as sold; it may not work, or was not meant to be sold.",
        owner="revenue operations",
        steps="Sell what is missing, end what does not go with it, or dismiss this with a note if it was agreed so.",
    ),
    "payment_state_differs": FindingKind(
        title="owed here, settled there",
        what="The source says that nothing is owed, but an invoice was neither paid nor voided.",
        why="The dunning ladder goes on and will take rights away.",
        owner="billing",
        days=PROMPT,
        steps="Pay, void or write off the invoice in the source; its message settles the ladder.",
    ),
    "paid_after_end": FindingKind(
        title="settled after the end",
        what="An invoice was paid or voided after non-payment had ended the subscription, which stays ended.",
        why="The customer owes nothing any more and still has nothing.",
        owner="billing",
        days=PROMPT,
        steps="Sell the subscription anew; if it is to stay ended, refund what was paid, or dismiss this with a note.",
    ),
    "payment_disputed": FindingKind(
        title="disputed payment",
        what="The customer's bank asks for a payment back.",
        why="The money is held until the dispute is decided, and the days to answer it are few.",
        owner="billing",
        days=PROMPT,
        steps="Answer the dispute, with evidence, in the system that took the payment, or accept it there.",
    ),
    "payment_refunded": FindingKind(
        title="refunded payment",
        what="A payment was given back; what it had paid for is still in force.",
        why="The customer has what nobody paid for.",
        owner="billing",
        steps="End or change the subscription where it was sold, or dismiss this with a note if it was goodwill.",
    ),
    "entitlement_summary_differs": FindingKind(
        title="source entitles to something else",
        what="The summary of entitlements that a source sends differs from what was sold.",
        why="The customer may be shown other rights there than are enforced here.",
        owner="product",
        steps="Compare the source's product features with the catalog and correct the one that is wrong.",
        command="licet entitlements {customer}",
        names="customer",
    ),
    "schedule_conflict": FindingKind(
        title="schedules contradict each other",
        what="Two schedules of the same subscription and instant want different things.",
        why="What is to happen at the next change is not certain.",
        owner="engineering",
        steps="Decide which one is right, and let the source send that one again.",
    ),
    "terms_full": FindingKind(
        title="no room for more terms",
        what=(
            "An order or a payment was refused, or taken only in part: the customer's terms are as large as they may "
            "be. What ends a subscription or settles an invoice always has room."
        ),
        why="What was sold, or what is owed, is not in force.",
        owner="engineering",
        days=PROMPT,
        steps=(
            "Find out why one customer has so many: often a sender that makes a new subscription or invoice each time. "
            "Stop that, then sell further things to another customer id."
        ),
    ),
    "customer_contradiction": FindingKind(
        title="two customers in one order",
        what="Two things that an order says about its customer name different customers.",
        why="It was placed for the stronger name; the other customer may lack what was bought.",
        owner="support",
        days=PROMPT,
        steps=(
            "Find out who bought it and correct the metadata or the external id. "
            "Nothing is moved by itself: sell it anew to the right customer and end the wrong one where it was sold."
        ),
        command="licet customer show {customer}",
        names="customer",
    ),
    "customer_twice_in_source": FindingKind(
        title="customer twice in a source",
        what="A customer is known to a source under one id, and the source uses a second one.",
        why="What comes under the second id alone cannot be placed.",
        owner="support",
        steps="Merge the two in the source, or send the customer's own id with every order.",
        command="licet customer show {customer}",
        names="customer",
    ),
    "delivery_failed": FindingKind(
        title="message that could not be applied",
        what="A signed message of a source was kept but could not be applied.",
        why="What it says is not in force.",
        owner="engineering",
        days=PROMPT,
        names="delivery",
        steps=(
            "Mend the cause that its words name, then apply the message again: licet connector replay. "
            "One that nobody can read, or that need not count, is given up: licet connector discard."
        ),
        command="licet connector replay {source} --delivery {delivery}",
        unless=("unreadable", "licet connector discard {source} {delivery} --note 'it cannot be read'"),
    ),
    "delivery_changed": FindingKind(
        title="message that came with two contents",
        what="A message came again under the same id with other content.",
        why="The first one counts; the second may be what is true, or somebody else's.",
        owner="engineering",
        days=PROMPT,
        names="delivery",
        steps="Compare the message kept here with the source's own record of it, and rotate the secret if they differ.",
    ),
}
"""Every kind that the rules make, by its name."""


def owner_of(kind: str) -> str:
    """Return the role that settles findings of a kind; support sorts those of a kind that is not registered."""
    found = KINDS.get(kind)
    return "support" if found is None else found.owner


def days_of(kind: str, severity: Severity) -> int:
    """Return the days within which such a finding is to be settled."""
    found = KINDS.get(kind)
    high, medium, low = USUAL if found is None else found.days
    return high if severity == "high" else medium if severity == "medium" else low


def repair_of(kind: str, subject: str, evidence: Mapping[str, Evidence], customer: str | None) -> str:
    """Return the command that would settle a finding, ready for a POSIX shell; else its kind's general advice.

    Advice is also the answer where evidence lacks a name, or where a name could not stand in a command safely.
    """
    found = KINDS.get(kind)
    if found is None:
        return ""
    said: dict[str, Evidence] = {**evidence, **names_in(subject, found.names), "customer": customer}
    words: dict[str, str] = {}
    code, instead = found.unless
    template = instead if code and evidence.get("code") == code else found.command
    for place in _PLACE.findall(template):
        word = _word(said.get(place))
        if word is None:
            return found.steps
        words[place] = word
    command = template.format_map(words)
    return command if 0 < len(command) <= MAX_COMMAND else found.steps


def names_in(subject: str, names: Names) -> dict[str, str]:
    """Return what a subject names: its ``source`` and the id, for a subscription also the log's subject of its orders.

    The inverse of ``name_parts``, up to the ``/`` after which a subject goes into detail; empty for another form.
    """
    parts = subject.partition("/")[0].split(":")
    if len(parts) != 2:
        return {}
    source, one = (_unescaped(part) for part in parts)
    if names == "subscription":
        return {"source": source, "external_id": one, "order": "/".join(("order", *parts))}
    return {"source": source, "delivery" if names == "delivery" else "external_id": one}


def _unescaped(part: str) -> str:
    for escape, sign in _ESCAPES:
        part = part.replace(escape, sign)
    return part


def _word(value: Evidence) -> str | None:
    """Return a value as one word of a shell command; None if it could not be one safely.

    A word that begins with a dash would be read as an option, and what does not print can hide what is run.
    """
    if not isinstance(value, str) or not value or len(value) > MAX_WORD:
        return None
    if value.startswith("-") or not value.isprintable():
        return None
    return value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "'\"'\"'") + "'"
