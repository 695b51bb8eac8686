"""Unique meters: values kept in states are what a set of them is, and a use costs the same among many as among few."""

import random
import time
from datetime import UTC

from licet.core.usage.account import Account
from licet.core.usage.balance import Use
from licet.core.usage.course import Course
from licet.core.usage.facts import AccountKey
from licet.core.usage.grant import UNLIMITED, Grant
from tests.dose import dose

COURSE = Course(
    key=AccountKey("acme", "people"), zone=UTC, grants=(Grant(id="g", amount=UNLIMITED, effective=0),), opens=0,
    gauge="unique",
)  # fmt: skip


def loaded(state: bytes) -> Account:
    """The account of a state."""
    found = Account.load(COURSE, state)
    assert found is not None
    return found


def test_values_in_states_are_a_set() -> None:
    """Values in any order, again and again, states written and read in between: counted once each, the same bytes."""
    for seed in range(dose(30, full=1_000)):
        rng = random.Random(f"unique {seed}")
        account, seen = Account(COURSE), set[str]()
        for number in range(rng.randint(1, 150)):
            value = str(rng.randint(0, 60))
            assert account.counts(value, number) == (value not in seen)
            account.admit_use(Use(f"u{number:03}", number, 1, (), value))
            seen.add(value)
            assert account.standing(number).used == len(seen)
            if rng.random() < 0.2:
                account = loaded(account.dump())
        once = Account(COURSE)
        for place, value in enumerate(sorted(seen)):
            once.admit_use(Use(f"u{place:03}", 0, 1, (), value))
        assert [once.counts(str(one), 200) for one in range(99)] == [str(one) not in seen for one in range(99)]
        assert loaded(account.dump()).dump() == account.dump()


def test_a_use_costs_the_same_among_many_values() -> None:
    """Reading a state of 50,000 values, counting one more and writing it down takes no thousand times what 50 take."""
    spent = []
    for count in (50, 50_000):
        account = Account(COURSE)
        for number in range(count):
            account.admit_use(Use(f"u{number:06}", 1, 1, (), str(number)))
        state = account.dump()
        times = []
        for number in range(9):
            began = time.process_time()
            account = loaded(state)
            assert account.counts(f"new {number}", 2)
            account.admit_use(Use(f"v{number}", 2, 1, (), f"new {number}"))
            state = account.dump()
            times.append(time.process_time() - began)
        assert loaded(state).standing(2).used == count + 9
        spent.append(min(times))
    assert spent[1] < 50 * spent[0]
