"""What the authority writes for each call, argument by argument: the books of others rest on all of it."""

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import structs

from licet.hub.authority import LIFE, SECOND, Room, answer, lapse, recall
from licet.hub.lease import Lease, escheat, tell
from licet.wire.quota import BOUNDLESS, LeaseAsk, LeaseClaim, LeaseDenied, LeaseTold, QuotaAnswer, QuotaCall

A, B = "a" * 32, "b" * 32
ONE, TWO = (f"{number:032x}" for number in (1, 2))
NOW = 7 * SECOND
OPEN = Lease(id=ONE, owner=A, epoch=3, customer="acme", feature="calls", amount=50, issued=0, until=NOW + LIFE, used=10)


class Written:
    """Books of one balance that keep a list of what was written."""

    def __init__(self, *leases: Lease, room: Room | None = None) -> None:
        self.epoch = 3
        self.held = {one.id: one for one in leases}
        self.there = Room(1_600, NOW + 10 * LIFE) if room is None else room
        self.writes: list[tuple[object, ...]] = []

    def lease(self, lease: str) -> Lease | None:
        """Return a lease by its id."""
        return self.held.get(lease)

    def open_of(self, customer: str, feature: str) -> Iterable[Lease]:
        """Return the open leases; nothing else than one balance is asked about here."""
        assert (customer, feature) == ("acme", "calls")
        return [one for one in self.held.values() if one.state == "open"]

    def recalled(self, owner: str) -> Iterable[str]:
        """Return what an owner shall give back."""
        return [one.id for one in self.held.values() if one.owner == owner and one.recalled and one.state == "open"]

    def room(self, customer: str, feature: str, now: int) -> Room:
        """Return what can be issued."""
        assert (customer, feature, now) == ("acme", "calls", NOW)
        return self.there

    def issue(self, lease: Lease, now: int) -> None:
        """Keep a new lease, and that it was written."""
        self.writes.append(("issue", lease, now))
        self.held[lease.id] = lease

    def settle(self, lease: Lease, back: int, more: int, now: int) -> None:
        """Keep a lease as it has become, and that it was written."""
        self.writes.append(("settle", lease, back, more, now))
        self.held[lease.id] = lease


def _say(books: Written, owner: str = A, only: str | None = None, **said: Any) -> QuotaAnswer:
    return answer(books, QuotaCall(owner=owner, number=1, epoch=3, **said), NOW, only)


def _ask(lease: str = TWO, wanted: int = 50) -> tuple[LeaseAsk, ...]:
    return (LeaseAsk(id=lease, customer="acme", feature="calls", wanted=wanted),)


def test_a_lost_lease_is_written_with_nothing_back_and_nothing_more() -> None:
    """Escheating is no word of the owner: neither use nor anything that returns comes with it."""
    books = Written(over := structs.replace(OPEN, until=NOW))
    assert lapse(books, books.held.values(), NOW) == [escheat(over)]
    assert books.writes == [("settle", escheat(over), 0, 0, NOW)]


def test_a_late_word_is_written_after_the_loss() -> None:
    """An owner that comes too late finds its lease charged in full, and gets back what it did not use."""
    books = Written(over := structs.replace(OPEN, until=NOW))
    _say(books, told=(LeaseTold(id=ONE, used=30, closed=True),))
    late = tell(escheat(over), 30, closed=True).lease
    assert books.writes == [("settle", escheat(over), 0, 0, NOW), ("settle", late, 20, 20, NOW)]


def test_what_was_used_is_written_as_new_use() -> None:
    """What an owner tells between is new use, and brings nothing back."""
    books = Written(OPEN)
    _say(books, told=(LeaseTold(id=ONE, used=25),))
    assert books.writes == [("settle", structs.replace(OPEN, used=25), 0, 15, NOW)]


def test_a_recall_is_written_once() -> None:
    """Only of what is open and not recalled yet; it takes nothing and gives nothing."""
    asked, ended = structs.replace(OPEN, id=TWO, recalled=True), escheat(OPEN)
    books = Written()
    recall(books, [asked, ended, OPEN], NOW)
    assert books.writes == [("settle", structs.replace(OPEN, recalled=True), 0, 0, NOW)]


def test_nothing_is_written_of_an_end_that_stays() -> None:
    """Who asks for more time than there is gets none, and leaves no trace in the books."""
    books = Written(OPEN, room=Room(1_600, OPEN.until))
    heard = _say(books, told=(LeaseTold(id=ONE, used=10, longer=True),)).heard[0]
    assert (heard.state, heard.seconds) == ("open", 120.0)
    assert books.writes == []


def test_a_claim_is_charged_to_who_makes_it() -> None:
    """What was used of a lease that nobody here knows is written whole, ended as soon as it begins."""
    books = Written()
    _say(books, claims=(LeaseClaim(id=TWO, customer="acme", feature="calls", used=12, lost=5),))
    claimed = Lease(
        id=TWO, owner=A, epoch=3, customer="acme", feature="calls", amount=17, issued=NOW, until=NOW, state="proven",
        used=12, lost=5,
    )  # fmt: skip
    assert books.writes == [("issue", claimed, NOW)]


def test_a_slice_is_written_whole() -> None:
    """Everything that is known of a slice from its beginning on is in the books before anybody hears of it."""
    books = Written()
    given = _say(books, asks=_ask()).given[0]
    issued = Lease(id=TWO, owner=A, epoch=3, customer="acme", feature="calls", amount=50, issued=NOW, until=NOW + LIFE)
    assert books.writes == [("issue", issued, NOW)]
    assert (given.amount, given.seconds, given.left) == (50, 120.0, 1_550)


def test_what_a_decision_refuses_is_not_issued() -> None:
    """However much is left: the reason goes to who asked, under the id it asked with."""
    books = Written(room=Room(1_600, NOW + LIFE, "suspended"))
    assert _say(books, asks=_ask()).denied == (LeaseDenied(id=TWO, code="suspended", left=1_600),)
    assert books.writes == []


def test_nothing_is_issued_at_the_end_of_a_period() -> None:
    """A slice that would be over at once is none."""
    books = Written(room=Room(1_600, NOW))
    assert _say(books, asks=_ask()).denied == (LeaseDenied(id=TWO, code="limit_reached", left=1_600),)
    assert books.writes == []


def test_a_later_end_is_written_without_use() -> None:
    """A lease that lasts longer is the same otherwise, and moves nothing on the balance."""
    books = Written(before := structs.replace(OPEN, until=NOW + SECOND))
    _say(books, told=(LeaseTold(id=ONE, used=10, longer=True),))
    assert books.writes == [("settle", structs.replace(before, until=NOW + LIFE), 0, 0, NOW)]


@pytest.mark.parametrize(("left", "recalled"), [(-1, True), (0, False)])
def test_who_only_tells_notices_a_deficit(left: int, recalled: bool) -> None:
    """Of what there is less than nothing all is asked back, though nobody asks for more of it."""
    books = Written(OPEN, room=Room(left, NOW + LIFE))
    said = _say(books, told=(LeaseTold(id=ONE, used=10),))
    assert said.recalled == ((ONE,) if recalled else ())
    wanted = [("settle", structs.replace(OPEN, recalled=True), 0, 0, NOW)]
    assert books.writes == (wanted if recalled else [])


@pytest.mark.parametrize(("only", "told"), [(None, True), ("acme", True), ("globex", False)])
def test_recalls_are_told_to_who_may_know_of_them(only: str | None, told: bool) -> None:
    """Who is bound to a customer hears of that customer's leases, who is bound to another of none of them."""
    books = Written(structs.replace(OPEN, recalled=True))
    assert _say(books, only=only).recalled == ((ONE,) if told else ())


def test_what_is_denied_hinders_no_other_request() -> None:
    """Who is bound to a customer and asks for another's first gets its own all the same."""
    books = Written()
    others = LeaseAsk(id=ONE, customer="globex", feature="calls", wanted=50)
    said = _say(books, only="acme", asks=(others, *_ask()))
    assert [one.id for one in said.given] == [TWO]
    assert said.denied == (LeaseDenied(id=ONE, code="lease_of_another", left=0),)


@pytest.mark.parametrize(("left", "recalled"), [(-1, True), (0, False)])
def test_only_a_deficit_recalls(left: int, recalled: bool) -> None:
    """Where nothing is left others keep what they own; where less than nothing is, it is asked back."""
    books = Written(OPEN, room=Room(left, NOW + LIFE))
    _say(books, owner=B, asks=_ask())
    wanted = [("settle", structs.replace(OPEN, recalled=True), 0, 0, NOW)]
    assert books.writes == (wanted if recalled else [])


@pytest.mark.parametrize("ended", [OPEN, escheat(OPEN)])
def test_a_closed_lease_is_not_given_again(ended: Lease) -> None:
    """A request that comes once more after the last word is denied, whether that word was in time or late."""
    books = Written(tell(ended, 20, closed=True).lease)
    assert _say(books, asks=_ask(ONE)).denied == (LeaseDenied(id=ONE, code="lease_closed", left=1_600),)


def test_an_escheated_lease_that_is_asked_for_again_has_no_time_left() -> None:
    """It is its owner's to tell of, not to spend."""
    books = Written(escheat(structs.replace(OPEN, until=NOW - 1)))
    given = _say(books, asks=_ask(ONE)).given[0]
    assert (given.amount, given.seconds) == (50, 0.0)


@pytest.mark.parametrize(
    ("left", "told"), [(BOUNDLESS - 1, BOUNDLESS - 51), (BOUNDLESS, BOUNDLESS), (2 * BOUNDLESS, 2 * BOUNDLESS)]
)
def test_what_nothing_bounds_is_not_made_less(left: int, told: int) -> None:
    """Of what nothing bounds as much is left after a slice as before; of anything less the slice is gone."""
    ask = LeaseAsk(id=TWO, customer="acme", feature="calls", wanted=50)
    (given,) = _say(Written(room=Room(left, NOW + 10 * LIFE)), asks=(ask,)).given
    assert (given.amount, given.left) == (50, told)
