"""What every client answers: checks from the truth in this process, without I/O, without a lock."""

from collections.abc import Callable, Iterable, Mapping
from time import sleep, time_ns
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import structs

from licet.core.instant import Instant
from licet.core.question import Context, Question
from licet.core.reason import Reason
from licet.evaluator.errors import NoTruth as Unanswerable
from licet.evaluator.errors import NotUnderstood as Unread
from licet.sdk.book import Book
from licet.sdk.decision import NOWHERE, Decision, assume
from licet.sdk.errors import Closed, NeverHeld, NotEntitled, NotHeld, NoTruth, NotUnderstood
from licet.sdk.gating import Finds, gated
from licet.sdk.ids import read_id
from licet.sdk.options import Assumption

if TYPE_CHECKING:
    from licet.sdk.tally import CheckTally

F = TypeVar("F", bound=Callable[..., Any])
_UNKNOWN: Final = frozenset({Reason.UNKNOWN_CUSTOMER, Reason.UNKNOWN_FEATURE})


class Asking:
    """The part of a client that answers. Any thread may ask, at any time."""

    _book: Book
    _unreachable: dict[str, Assumption] | None
    _default: Assumption
    _closed = False
    _tally: "CheckTally | None" = None
    _some = False
    """Only some customers are held."""
    _loads = False
    """Others can be loaded."""
    _upgrade_said = False
    """It was logged that a newer version is needed."""

    def check(
        self,
        customer: str,
        feature: str,
        *,
        user: str | None = None,
        team: str | None = None,
        context: Context | Mapping[str, Any] | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
    ) -> Decision:
        """Return whether this customer (and user, in this context) may use the feature now, and why.

        ``team`` goes into the record of the question; balances of teams are the server's to count.

        ``quantity`` is what is wanted on top of ``used``, which the caller counts; both in major units, an integer or
        a decimal string. Reads the truth in this process only; ``on_demand`` loads a customer that is not held yet.
        Raises ValueError for a question that cannot be read, and NoTruth where there is nothing to answer with and
        nothing was said to assume.
        """
        book = self._book
        page = book.page
        wall = time_ns() // 1000
        if wall < page.issued_at:  # noqa: PLR1730 max() would cost as much as the rest of this function
            wall = page.issued_at
        offset = page.offset
        if context is not None and type(context) is not Context:
            context = read_context(context)
        try:
            if self._some and page is not NOWHERE and not book.truth.known(customer):
                assumed = self._fetched(customer, feature, wall)
                if assumed is not None:
                    return assumed
                page = book.page
            now = book.truth.business(wall) if offset is None else wall + offset
            ruled = book.check(customer, feature, now, user, context, quantity, used)
            # In this order: a truth is exchanged while ``turning`` is set, and its page is there before that ends.
            if book.turning or book.page is not page:
                return self._between(
                    customer, feature, user=user, team=team, context=context, quantity=quantity, used=used
                )
            if not ruled.allowed and ruled.reason in _UNKNOWN:
                return self._unknown(Decision(ruled, wall, page), user, team, context, quantity, used)
            if team is not None:
                team = read_id("team", team)
            tally = self._tally
            if tally is not None:
                tally.note(ruled, now, user, page.basis, context, quantity, used, team)
            elif user is not None:
                read_id("user", user)
        except Unanswerable as wrong:
            return self._assumed(customer, feature, wall, wrong)
        except Exception:
            # Whatever an id that is none led to: the error is about the id. Who asks with sound ids pays nothing.
            _read_ids(customer, feature, user)
            raise
        return Decision(ruled, wall, page)

    def require(self, customer: str, feature: str, **more: Any) -> Decision:
        """Return the decision as :meth:`check` does; raises NotEntitled, with the decision in it, for a refusal."""
        decision = self.check(customer, feature, **more)
        if not decision:
            raise NotEntitled(decision)
        return decision

    def check_many(self, questions: Iterable[Question]) -> list[Decision]:
        """Return the decisions on many questions, in the order asked."""
        return [
            self.check(
                one.customer,
                one.feature,
                user=one.user,
                team=one.team,
                context=None if one.context == Context() else one.context,
                quantity=one.quantity,
                used=one.used,
            )
            for one in questions
        ]

    def entitlements(self, customer: str) -> dict[str, Decision]:
        """Return everything a customer has: a decision for each feature that any source speaks about, by feature.

        Empty for an unknown customer. All decisions are by one truth at one instant. Raises NoTruth before the first.
        """
        book, truth = self._book, self._book.truth
        customer = read_id("customer", customer)
        if book.page is not NOWHERE and self._lacks(customer):
            self._load(customer)
        while True:
            before, page = truth.basis, book.page
            if page is NOWHERE:
                raise Closed if self._closed else self._why()
            wall = max(time_ns() // 1000, page.issued_at)
            now = truth.business(wall)
            try:
                held, catalog = truth.entitlements(customer, now), truth.catalog
                known = (
                    [] if held is None or catalog is None else [one for one in catalog.features if one in held.rights]
                )
                found = {feature: truth.check(customer, feature, now, quantity=0) for feature in known}
            except Unanswerable as wrong:
                raise self._unanswered(customer, wrong) from None
            if page.basis == before == truth.basis:
                return {feature: Decision(ruled, wall, page) for feature, ruled in found.items()}
            sleep(0)

    def gate(
        self,
        feature: str,
        *,
        customer: Finds,
        user: Finds | None = None,
        team: Finds | None = None,
        quantity: int | str = 1,
        used: Finds | None = None,
        context: Context | Mapping[str, Any] | None = None,
    ) -> Callable[[F], F]:
        """Return a decorator: the function, sync or async, is called only if :meth:`require` permits.

        ``customer``, ``user``, ``team`` and ``used`` name an argument of the function, or are called with all its
        arguments.
        """
        finds = {"customer": customer, "user": user, "team": team, "used": used}
        given = {part: find for part, find in finds.items() if find is not None}
        return gated(self.require, feature, given, {"quantity": quantity, "context": context})

    def _assumed(self, customer: str, feature: str, wall: Instant, wrong: Unanswerable | None = None) -> Decision:
        """The answer where there is no truth: what was said to assume, else an error that says why."""
        if self._closed:
            raise Closed
        _read_ids(customer, feature, None)
        why = self._unanswered(customer, wrong)
        if self._unreachable is None:
            raise why
        return assume(customer, feature, wall, allowed=self._unreachable.get(feature, self._default) == "allow")

    def _unanswered(self, customer: str, wrong: Unanswerable | None) -> NoTruth:
        """The error that says why nothing can be answered about a customer; that it needs a newer version is logged."""
        if not isinstance(wrong, Unread):
            return self._why()
        why = NotUnderstood(f"{customer!r} has {wrong}")
        if not self._upgrade_said:
            import logging

            self._upgrade_said = True
            logging.getLogger("licet.sdk").warning(
                "%s; nothing can be answered about it until then (said once, though others may have such terms too)",
                why,
            )
        return why

    def _why(self) -> NoTruth:
        """The error that says why there is no truth."""
        return NoTruth("there is no truth to answer with yet; wait for one with wait_ready()")

    def _fetched(self, customer: str, feature: str, wall: Instant) -> Decision | None:
        """Hold a customer from now on; where that fails, what was said to assume counts, if it was said."""
        customer = read_id("customer", customer)
        if not self._lacks(customer):
            return None
        try:
            self._load(customer)
        except NoTruth:
            if self._unreachable is None or not self._loads:
                raise
            return self._assumed(customer, feature, wall)
        return None

    def _lacks(self, customer: str) -> bool:
        """Whether a customer is yet to be loaded; raises NotHeld for whom this key is never told of."""
        self._refuse_others(customer)
        return self._some and not self._book.truth.known(customer)

    def _refuse_others(self, customer: str) -> None:
        """Raise NotHeld where the key is bound to another customer: that nobody knows this one cannot be said."""
        bound = self._book.audience
        if bound is not None and bound != customer:
            words = f"this key is bound to {bound!r} and is told nothing of {customer!r}"
            raise NeverHeld(f"{words}; ask with a key that is bound to no customer")

    def _load(self, customer: str) -> None:
        """Hold a customer from now on; raises NotHeld where only others are."""
        if customer in self._book.missing():
            raise NotHeld(f"{customer!r} has not come yet; wait_ready() waits for it")
        raise NeverHeld(f"this client does not hold {customer!r}: it was made for others (customers=)")

    def _between(
        self,
        customer: str,
        feature: str,
        *,
        user: str | None,
        team: str | None,
        context: Context | None,
        quantity: int | str,
        used: int | str | None,
    ) -> Decision:
        """Answer while a truth is exchanged: by the one before or the one after, and its basis says by which."""
        book, truth = self._book, self._book.truth
        while True:
            before, page = truth.basis, book.page
            wall = max(time_ns() // 1000, page.issued_at)
            try:
                now = truth.business(wall)
                ruled = truth.check(customer, feature, now, user=user, context=context, quantity=quantity, used=used)
            except Unanswerable as wrong:
                return self._assumed(customer, feature, wall, wrong)
            if before == truth.basis and before is not None and page is not NOWHERE:
                decision = Decision(ruled, wall, page if page.basis == before else structs.replace(page, basis=before))
                if not ruled.allowed and ruled.reason in _UNKNOWN:
                    return self._unknown(decision, user, team, context, quantity, used)
                if team is not None:
                    team = read_id("team", team)
                if self._tally is not None:
                    self._tally.note(
                        ruled, now, user, basis=before, context=context, quantity=quantity, used=used, team=team
                    )
                elif user is not None:
                    read_id("user", user)
                return decision
            sleep(0)

    def _unknown(  # noqa: PLR0917 - the question, as check() was given it
        self,
        decision: Decision,
        user: str | None,
        team: str | None,
        context: Context | None,
        quantity: int | str,
        used: int | str | None,
    ) -> Decision:
        """Ask once more with ids in the normal form that the truth has them in, where these were not.

        Raises ValueError for what is no id, and NotHeld where the key is bound to another customer.
        """
        customer, feature = _read_ids(decision.customer, decision.feature, user)
        team = None if team is None else read_id("team", team)
        self._refuse_others(customer)
        gone = self._lacks(customer)  # gave way to others just now, or is not in a truth that has just begun anew
        if customer == decision.customer and feature == decision.feature and not gone:
            if self._tally is not None:
                now, basis = decision.page.business(decision.wall), decision.page.basis
                self._tally.note(
                    decision.ruled, now, user, basis=basis, context=context, quantity=quantity, used=used, team=team
                )
            return decision
        return self.check(customer, feature, user=user, team=team, context=context, quantity=quantity, used=used)


def _read_ids(customer: object, feature: object, user: object) -> tuple[str, str]:
    """Return customer and feature in the normal form; raises ValueError for what of all three is no id."""
    if user is not None:
        read_id("user", user)
    return read_id("customer", customer), read_id("feature", feature)


def read_context(context: object) -> Context:
    """Return a context given as a mapping; raises ValueError with what does not fit."""
    try:
        return msgspec.convert(context, Context)
    except msgspec.ValidationError as wrong:
        raise ValueError(f"the context cannot be read: {wrong}") from None
