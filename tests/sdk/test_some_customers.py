"""A client that holds only some customers: what it holds is the server's at its cursor, also out of the cache."""

import copy
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from licet.sdk.book import Book
from licet.sdk.cache import Cache, Identity
from licet.sdk.decision import Decision
from licet.sdk.effects import Answer
from licet.sdk.errors import NotHeld, NoTruth
from licet.sdk.flow import Unbelieved
from licet.sdk.keeping import Keeping
from licet.sdk.loading import Loading
from licet.sdk.options import new_pace
from licet.wire.feed import Line, TermsRow, UserRow, read_cursor
from tests.evaluator.authority import SMALL, START, WALL, Authority, keyset, terms
from tests.sdk.kept import Ticks
from tests.sdk.office import Office, open_office, until

PICKED = Identity(url="https://licet.example.com", key="abcdefgh234567ab", holding="picked")


@pytest.fixture
def office() -> Iterator[Office]:
    """A server of feeds with one customer."""
    with open_office() as opened:
        yield opened


class Shop:
    """An authority, and the books that follow it, each with the cache of one folder."""

    def __init__(self, folder: Path, *customers: str) -> None:
        self.authority = Authority()
        self.folder = folder
        self.ticks = Ticks()
        for one in customers:
            self.authority.put(terms(one))
            self.authority.put_user(one, "ann", "tester")

    def open(self, most: int | None = None, scope: frozenset[str] | None = None) -> Book:
        """A book that begins with what the cache kept."""
        keeping = Keeping(Cache(self.folder, PICKED, clock=self.ticks), partial=True)
        book = Book(lambda: WALL, most_customers=most, keeping=keeping, scope=scope)
        book.open()
        return book

    def follow(self, book: Book) -> None:
        """Tell a book of all that is new."""
        for line in self.lines(book):
            book.take(line)
        if book.coming is not None:
            for one, _ in book.awaited():
                book.take_pick(one, self.answer(one, book.coming))
            book.settle()

    def lines(self, book: Book) -> list[Line]:
        """What is new to a book."""
        since = None if book.cursor is None else read_cursor(book.cursor)
        if since is None or since.epoch != self.authority.epoch:
            nobody = self.authority.frames(None, size=10**6, partial=True, terms=(), users=())
            return [keyset(), self.authority.catalog_line(), *nobody, self.authority.head()]
        return [keyset(), *self.authority.lines(since.seq)]

    def answer(self, customer: str, cursor: str) -> Answer:
        """What the server answers of one customer."""
        frames = [Line(frame=token) for token in self.authority.picks(customer, read_cursor(cursor).seq)]
        body = b"\n".join(msgspec.json.encode(one) for one in frames)
        return Answer(status=200, kind="application/x-ndjson", body=body)

    def pick(self, book: Book, *customers: str) -> None:
        """Let a book hold customers from now on."""
        for one in customers:
            book.take_pick(one, self.answer(one, book.cursor or ""))

    def agrees(self, book: Book) -> set[str]:
        """Assert that all of whoever is held is what the server has at the cursor; returns who is held."""
        at = book.truth.seq
        there: dict[tuple[str, str], int] = {}
        for row in self.authority.log:
            if row.seq <= at and book.truth.known(row.customer):
                there[row.customer, row.user if isinstance(row, UserRow) else ""] = row.revision
        held = {_key(row): row.revision for row in book.truth.rows() if book.truth.known(row.customer)}
        assert held == there
        return {customer for customer, _ in there}


def _key(row: TermsRow | UserRow) -> tuple[str, str]:
    return row.customer, row.user if isinstance(row, UserRow) else ""


def test_a_customer_of_many_rows_is_held(office: Office) -> None:
    """Somebody with more rows than a frame has comes in a chain of frames: on demand, and where it was named."""
    for number in range(5):
        office.authority.put_user("acme", f"user-{number}", "tester")
    office.authority.pick_size = 2
    with office.client(on_demand=True) as client:
        assert client.check("acme", "beta", user="user-4")
    with office.client(customers=["acme"]) as client:
        assert client.check("acme", "beta", user="user-0")


def test_a_connection_is_given_back_whatever_comes_of_it(office: Office) -> None:
    """Where a load ends because there is no truth, its connection is there for the next one."""
    with office.client(on_demand=True) as client:
        book = Book(lambda: WALL)
        none = Loading(book, new_pace(), client._options.place, threading.Lock(), 1.0)
        with pytest.raises(NotHeld, match="before there is a truth"):
            none.load("acme")
        assert none._flights == {}
        assert len(none._idle) == 1


def test_whoever_gives_way_while_asked_about_is_loaded_again(office: Office) -> None:
    """A customer that gave way to others between two steps of a check is not taken for one that nobody knows."""
    with office.client(on_demand=True) as client:
        assert client.check("acme", "sso")
        book, left = client._book, [1]

        def check(customer: str, *asked: Any) -> Any:
            if left:
                book.truth.drop(customer)
                left.pop()
            return book.truth.check(customer, *asked)

        book.check = check  # type: ignore[assignment]
        assert client.check("acme", "sso")


@pytest.mark.parametrize("more", [{"customers": ["acme", "b", "c"]}, {"on_demand": True}], ids=["named", "on-demand"])
def test_what_begins_anew_takes_nobody_away(office: Office, tmp_path: Path, more: dict[str, Any]) -> None:
    """While all is fetched anew the last truth answers, also if that never ends; then all of it counts at once."""
    names = ["acme", "b", "c"]
    for one in names[1:]:
        office.sold(one)
    with office.client(cache=tmp_path, **more) as client:
        assert all(client.check(one, "sso").basis == "1:4" for one in names)
        seen: list[tuple[bool, str | None]] = []
        office.close()
        office.authority.epoch = 2
        office.pick_refusal = (503, "application/problem+json", b"{}")
        office.before_pick = lambda: seen.extend((bool(one), one.basis) for one in map(ask, names))

        def ask(customer: str) -> Decision:
            return client.check(customer, "sso")

        office.open()
        until(lambda: seen)
        assert seen == [(True, "1:4")] * 3
        until(lambda: isinstance(client._following.error, NoTruth))
        assert all(client.check(one, "sso").basis == "1:4" for one in names)
        again = client._following.tries
        office.pick_refusal = None
        until(lambda: client.freshness.cursor == "2:4")
        assert client._following.tries >= again
        assert all(client.check(one, "sso").basis == "2:4" for one in names)
    office.close()
    with office.client(cache=tmp_path, start_timeout=0.2, **more) as client:
        assert all(client.check(one, "sso").basis == "2:4" for one in names)


def test_the_cache_keeps_the_last_truth_until_the_next_is_whole(tmp_path: Path) -> None:
    """A process that ends while all is fetched anew leaves the truth before in the cache, with everybody in it."""
    shop = Shop(tmp_path, "a", "b")
    book = shop.open()
    shop.follow(book)
    shop.pick(book, "a", "b")
    shop.authority.epoch = 2
    for line in shop.lines(book):
        book.take(line)
    assert book.awaited() == [("b", False), ("a", False)]
    book.take_pick("a", shop.answer("a", book.coming or ""))
    with pytest.raises(NotHeld, match="fetched anew"):
        book.expect("c")
    book.lost()
    book.close()
    again = shop.open()
    assert again.cursor is not None
    assert again.cursor.startswith("1:")
    assert shop.agrees(again) == {"a", "b"}
    shop.follow(again)
    assert (again.truth.basis, shop.agrees(again)) == (f"2:{shop.authority.seq}", {"a", "b"})
    again.close()


def test_a_catalog_of_a_later_version_is_kept(office: Office, tmp_path: Path) -> None:
    """What a follower reads, with a field more than it knows, it also reads out of its cache while nobody is there."""
    later = copy.deepcopy(SMALL)
    later["features"]["sso"]["x_later"] = 1
    office.authority.release(later)
    with office.client(cache=tmp_path) as client:
        assert client.check("acme", "sso")
    office.close()
    with office.client(cache=tmp_path, start_timeout=0.2) as client:
        assert client.check("acme", "sso")


def test_whoever_gave_way_does_not_come_back_older(tmp_path: Path) -> None:
    """Who was dropped for others, and was changed then, does not come out of the cache as it was before."""
    shop = Shop(tmp_path, "a", "b", "c")
    book = shop.open(most=2)
    shop.follow(book)
    shop.pick(book, "a", "b", "c")
    held = shop.agrees(book)
    assert len(held) == 2
    (gone,) = {"a", "b", "c"} - held
    shop.authority.put(terms(gone, ends_at=START))
    shop.follow(book)
    book.close()
    again = shop.open()
    shop.follow(again)
    assert shop.agrees(again) == held
    again.close()


def test_a_cache_goes_on_only_under_whoever_wrote_it(tmp_path: Path) -> None:
    """A second process that takes over the cache, and holds others, leaves nothing in it that it does not follow."""
    shop = Shop(tmp_path, "a", "b", "c")
    first, second = shop.open(), shop.open()
    for book, customer in ((first, "c"), (second, "b")):
        shop.follow(book)
        shop.pick(book, customer)
    first.close()
    shop.ticks.now += 400
    shop.follow(second)
    for customer in ("c", "b"):
        shop.authority.put(terms(customer, ends_at=START))
        shop.follow(second)
    second.close()
    again = shop.open()
    shop.follow(again)
    assert shop.agrees(again) == {"b"}
    again.close()


@pytest.mark.parametrize("seed", range(8))
def test_what_is_held_is_what_the_server_has(tmp_path: Path, seed: int) -> None:
    """Whatever comes in whatever order to two processes with one cache: all that either holds is as of its cursor."""
    chance, names = Random(seed), "abcdef"
    shop = Shop(tmp_path, *names[:4])
    books, ways = [shop.open(2), shop.open(3)], list[tuple[Book, str, str]]()
    for _ in range(120):
        place, one = chance.randrange(2), chance.choice(names)
        shop.ticks.now += chance.choice((0, 0, 70, 400))
        match chance.randrange(8):
            case 0:
                shop.authority.put(terms(one))
            case 1:
                shop.authority.put_user(one, chance.choice(("ann", "bob", "cem")), "tester")
            case 2:
                books[place].close()
                books[place] = shop.open(chance.choice((2, 3, None)))
                shop.agrees(books[place])
                ways = [way for way in ways if way[0] is books[1 - place]]
            case 3 if books[place].cursor is not None:
                with suppress(Unbelieved):
                    shop.pick(books[place], one)
            case 4 if books[place].cursor is not None:
                ways.append((books[place], one, books[place].expect(one)))
            case 5 if ways:
                book, one, cursor = ways.pop(chance.randrange(len(ways)))
                with suppress(Unbelieved):
                    book.take_pick(one, shop.answer(one, cursor))
                shop.agrees(book)
            case 6 if chance.random() < 0.2:
                shop.authority.epoch += 1
            case _:
                shop.follow(books[place])
        shop.agrees(books[place])
    for book in books:
        book.close()
