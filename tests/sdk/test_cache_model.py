"""A cache against a model: whatever is written, aborted, made anew and opened again, what is held is the same."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.wire.feed import Cursor
from tests.dose import dose
from tests.sdk.kept import Ticks, cached, held, mark, state, terms, user

NAMES = [f"c{place}" for place in range(6)]
ROWS = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), ROWS, st.lists(st.sampled_from(NAMES), max_size=2)),
        st.tuples(st.just("full"), ROWS, st.just([])),
        st.tuples(st.just("abort"), ROWS, st.lists(st.sampled_from(NAMES), max_size=2)),
        st.tuples(st.sampled_from(["compact", "again"]), st.just([]), st.just([])),
    ),
    max_size=25,
)


class Model:
    """What ought to be held, and the cache that holds it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.expected: dict[Any, Any] = {}
        self.seq = 0

    def run(self, steps: list[tuple[str, list[tuple[str, bool]], list[str]]]) -> None:
        """Do some steps, beginning again from the disk where they say so."""
        rest = [*steps, ("again", [], [])]
        while rest:
            end = next(place for place, step in enumerate(rest) if step[0] == "again")
            with cached(self.base, clock=Ticks()) as cache:
                assert state(cache.open()) == self.expected
                for kind, rows, dropped in rest[:end]:
                    if kind == "compact":
                        cache.compact()
                    elif kind == "full" or cache.cursor is not None:
                        self.step(cache, kind, rows, dropped)
            rest = rest[end + 1 :]
        with cached(self.base) as cache:
            assert state(cache.open()) == self.expected

    def step(self, cache: Any, kind: str, rows: list[tuple[str, bool]], dropped: list[str]) -> None:
        """Write one set, in several parts; only one that is not aborted counts."""
        self.seq += 1
        assert cache.begin(None if kind == "full" else cache.cursor)
        coming = {} if kind == "full" else dict(self.expected)
        coming = {key: value for key, value in coming.items() if not {key, key[0]} & set(dropped)}
        cache.put([], [], dropped)
        for name, of_user in rows:
            one = msgspec.structs.replace(user(name, "ann"), roles=(f"r{self.seq}",))
            changed = [] if of_user else [terms(name, self.seq)]
            cache.put(changed, [one] if of_user else [])
            coming |= {(name, "ann"): one.roles} if of_user else {name: bytes(changed[0].doc)}
        if kind == "abort":
            cache.abort()
            return
        cache.commit(mark(self.seq))
        assert cache.cursor == Cursor(1, self.seq)
        self.expected = coming


@settings(max_examples=dose(40))
@given(STEPS)
def test_a_cache_holds_what_was_written(steps: list[tuple[str, list[tuple[str, bool]], list[str]]]) -> None:
    """Random sets, drops, full sets, aborted ones, files made anew and new starts: the same as in a mapping."""
    with TemporaryDirectory() as folder:
        Model(Path(folder) / "cache").run(steps)


def test_the_model_drops() -> None:
    """Whoever is dropped is gone with users, and who comes after that is there: the words of the comparison itself."""
    from licet.sdk.cache import Rows
    from licet.sdk.journal import KeptTerms

    one = KeptTerms("acme", 1, 1, b"{}")
    parts = [Rows(terms=(one,), users=(user("acme", "ann"),)), Rows(dropped=("acme",)), Rows(terms=(one,))]
    assert held(parts) == {"acme": b"{}"}
