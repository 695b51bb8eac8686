"""A local truth answers as core does, is exchanged whole, and stays small."""

import gc
import sys
import threading
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.catalog import Catalog
from licet.core.instant import BEGINNING, to_instant
from licet.core.question import Context, UserFacts
from licet.core.snapshot import Truth
from licet.evaluator.cases import RowCase
from licet.evaluator.errors import NoTruth
from licet.evaluator.truth import LocalTruth
from licet.wire.feed import Cursor, TermsRow, UserRow
from tests.core.worlds import CATALOG, FEATURE_IDS, ORIGIN, POLICIES, at, day, documents, policed, questions, terms_of
from tests.dose import dose
from tests.evaluator.authority import SMALL, START, WALL, terms

POLICY_NAMES = sorted(POLICIES)


def local(document: dict[str, Any] | None = None, **more: Any) -> LocalTruth:
    """A truth with a catalog and nobody."""
    truth = LocalTruth(**more)
    truth.release(msgspec.convert(document or CATALOG, Catalog), 1, "UTC")
    return truth


def put(truth: LocalTruth, document: dict[str, Any], revision: int = 1) -> None:
    """Put a customer's terms, as a plain mapping."""
    truth.put_terms(document["customer"], revision, revision, msgspec.json.encode(document, order="deterministic"))


@settings(max_examples=dose(40), deadline=None)
@given(
    documents(),
    st.frozensets(st.sampled_from(POLICY_NAMES), max_size=4),
    questions(),
    st.lists(st.integers(0, 160), min_size=2, max_size=3),
    st.sampled_from([None, 60, 100]),
)
def test_it_answers_as_core_does(
    document: dict[str, Any], names: frozenset[str], question: dict[str, Any], quarters: list[int], end: int | None
) -> None:
    """Random terms, policies, users, counts and instants: every decision and its remedy are the same, to the byte."""
    catalog = policed(names)
    truth = LocalTruth()
    truth.release(catalog.document, 1, "UTC")
    put(truth, document)
    user = question.pop("user")
    if isinstance(user, UserFacts):
        truth.put_user(UserRow(customer="acme", user=user.id, revision=1, seq=1, roles=user.roles))
    usable = None if end is None else at(end / 4)
    truth.commit(usable_until=usable)
    core = Truth(catalog, [terms_of(document)], **({} if usable is None else {"usable_until": usable}))
    name = user.id if isinstance(user, UserFacts) else user
    for quarter in quarters:
        now = at(quarter / 4)
        for feature in [*FEATURE_IDS[quarter % 3 :: 3], "unknown"]:
            found = truth.check("acme", feature, now, user=name, **question)
            expected = core.check("acme", feature, now, user=user, **question)
            assert (found.allowed, found.reason) == (expected.allowed, expected.reason)
            assert msgspec.json.encode(found.view(now)) == msgspec.json.encode(expected.view(now))
        nobody = truth.check("nobody", "sso", now, user=name, **question)
        assert nobody.view(now) == core.check("nobody", "sso", now, user=user, **question).view(now)


def test_a_decision_is_told_from_the_truth_it_rests_on() -> None:
    """Looked at after newer terms and a newer catalog came, it still tells what it was made of."""
    truth = local()
    put(truth, {**terms("acme"), "profile": {"region": "eu"}})
    plan = {"kind": "plan", "id": "team", "version": "2026-01"}
    bought = {"id": "sub_7", "phases": [{"starts_at": ORIGIN, "items": [plan]}]}
    put(truth, {"customer": "acme", "subscriptions": [bought]}, 2)
    first, counted = (truth.check("acme", name, WALL) for name in ("sso", "projects"))
    put(truth, {"customer": "acme"}, 3)
    truth.release(msgspec.convert(SMALL, Catalog), 2)
    assert [one.sources[0].id for one in (first, counted)] == ["sub_7", "sub_7"]
    assert first.message == "Included: Single sign-on."
    assert (first.case.terms or terms_of({"customer": "x"})).subscriptions[0].id == "sub_7"
    assert truth.check("acme", "sso", WALL).reason == "not_entitled"


def test_nothing_is_answered_before_the_first_catalog() -> None:
    """Without a catalog there is no truth, which is said and not taken for a refusal."""
    truth = LocalTruth()
    put(truth, terms("acme"))
    with pytest.raises(NoTruth, match="no catalog"):
        truth.check("acme", "sso", WALL)
    with pytest.raises(NoTruth):
        truth.entitlements("acme", WALL)
    assert (truth.catalog, truth.cursor, truth.basis, truth.seq) == (None, None, None, 0)


def test_prepared_answers_change_with_what_they_rest_on() -> None:
    """The same object answers until a boundary, newer terms or a newer catalog; each makes another one."""
    truth = local(SMALL)
    put(truth, terms("acme", ends_at=day(20)))
    put(truth, terms("other"))
    told = [truth.prepared("acme", "sso", WALL)]
    assert truth.prepared("acme", "sso", WALL + 1) is told[0]
    kept = truth.prepared("other", "sso", WALL)
    told.append(truth.prepared("acme", "sso", at(20)))
    put(truth, terms("acme"), 2)
    told.append(truth.prepared("acme", "sso", WALL))
    assert truth.prepared("other", "sso", WALL) is kept
    truth.release(msgspec.convert(SMALL, Catalog), 2)
    told.append(truth.prepared("acme", "sso", WALL))
    assert len({id(one) for one in told}) == 4
    assert isinstance(told[1], RowCase)
    assert truth.check("acme", "sso", WALL) is told[3]


def test_an_older_revision_changes_nothing() -> None:
    """Whatever order rows are put in one by one, the newest revision counts."""
    truth = local(SMALL)
    put(truth, terms("acme", ends_at=START), 3)
    put(truth, terms("acme"), 2)
    assert truth.check("acme", "sso", WALL).reason == "ended"
    users = [UserRow(customer="acme", user="ann", revision=number, seq=1, roles=(str(number),)) for number in (2, 1)]
    for row in users:
        truth.put_user(row)
    assert truth.facts("acme", "ann") == UserFacts(id="ann", roles=("2",))
    assert truth.facts("acme", "bob") == "bob"


def test_the_digest_is_the_sum_of_what_is_held() -> None:
    """However rows came, were replaced and dropped, the sum is that of the rows put into an empty truth."""
    truth = local(SMALL)
    for number in range(6):
        put(truth, terms("acme" if number % 2 else f"c{number}", ends_at=day(number + 1)), number + 1)
    truth.put_user(UserRow(customer="c2", user="u", revision=1, seq=1, roles=("a",)))
    truth.put_user(UserRow(customer="c4", user="u", revision=1, seq=1))
    truth.drop("c2")
    truth.put_absent("nobody")
    fresh = LocalTruth()
    for row in truth.rows():
        if isinstance(row, TermsRow):
            fresh.put_terms(row.customer, row.revision, row.seq, bytes(row.doc))
        else:
            fresh.put_user(row)
    assert truth.digest() == fresh.digest() != 0
    for customer in ("acme", "c0", "c4"):
        truth.drop(customer)
    assert (truth.digest(), truth.sound()) == (0, True)


def test_a_bounded_truth_keeps_whom_it_was_asked_about() -> None:
    """Beyond the bound those asked about longest ago are forgotten, and are then not known: not unknown."""
    truth = local(SMALL, most_customers=10)
    for number in range(10):
        put(truth, terms(f"c{number}"))
    for number in (0, 1, 2):
        truth.check(f"c{number}", "sso", WALL)
    for number in range(10, 15):
        put(truth, terms(f"c{number}"))
        for asked in (0, 1, 2):
            truth.check(f"c{asked}", "sso", WALL)
    held = {row.customer for row in truth.rows()}
    assert held >= {"c0", "c1", "c2", "c14"}
    assert (len(held), truth.partial, truth.known("c3")) == (10, True, False)


@pytest.mark.parametrize("released", [True, False])
def test_readers_of_other_threads_see_a_set_whole_or_not_at_all(released: bool) -> None:
    """While sets change two customers, and perhaps the catalog, no reader ever sees one without the other."""
    truth = local(SMALL)
    off = {**SMALL, "features": {**SMALL["features"], "help": {"type": "switch", "mode": "off"}}}
    catalogs = [msgspec.convert(document, Catalog) for document in (SMALL, off)]
    asked = [("a", "sso"), ("b", "sso"), *([("a", "help")] if released else [])]
    mixed: list[object] = []
    seen = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            before = truth.cursor
            told = [bool(truth.check(*pair, WALL)) for pair in asked]
            if truth.cursor is before and before is not None:
                seen.add(told[0])
                if len(set(told)) > 1:
                    mixed.append((before, told))

    switching = sys.getswitchinterval()
    readers = [threading.Thread(target=read) for _ in range(2)]
    try:
        sys.setswitchinterval(1e-5)
        for reader in readers:
            reader.start()
        end = time.monotonic() + dose(1, full=20) * 0.5
        number = 0
        while time.monotonic() < end:
            number += 1
            truth.begin("full" if number % 5 == 0 else "changes")
            for name in ("a", *map(str, range(8)), "b"):
                put(truth, terms(name, ends_at=None if number % 2 else START), number)
            if released:
                truth.release(catalogs[number % 2], number)
            truth.commit(Cursor(1, number))
    finally:
        done.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(switching)
    assert mixed == []
    assert seen == {True, False}


def test_a_truth_copied_by_a_fork_goes_on() -> None:
    """Whatever a writer of the parent was about, the copy can be read and written."""
    truth = local(SMALL)
    put(truth, terms("acme"))
    truth._lock.acquire()
    truth.begin("full")
    assert truth.check("acme", "sso", WALL)
    truth.after_fork()
    put(truth, terms("new"))
    assert truth.check("new", "sso", WALL)


def test_many_customers_are_small_and_nothing_for_the_garbage_collector() -> None:
    """A customer takes less than half a KiB with one answer made ready, and adds no object that is traversed."""
    truth = local(SMALL)
    number = 4000
    docs = [msgspec.json.encode(terms(f"c{n}"), order="deterministic") for n in range(number)]
    gc.collect()
    objects = len(gc.get_objects())
    size = 0
    for n, doc in enumerate(docs):
        truth.put_terms(f"c{n}", 1, n, doc)
    for n in range(number):
        entry = truth.prepared(f"c{n}", "sso", WALL)
        size += sys.getsizeof(entry) + sys.getsizeof(entry.case if not isinstance(entry, RowCase) else None)
    gc.collect()
    assert len(gc.get_objects()) - objects < 200
    state = truth._state
    size += sum(sys.getsizeof(row) + sys.getsizeof(key) for key, row in state.held.items())
    size += sys.getsizeof(state.held) + sys.getsizeof(state.ready["sso"])
    assert size / number < 512


def test_rights_are_those_that_core_derives() -> None:
    """All rights of a customer at an instant; nothing for an unknown one."""
    truth = local(SMALL)
    put(truth, terms("acme"))
    found = truth.entitlements("acme", WALL)
    assert found is not None
    assert sorted(found.rights) == ["beta", "export", "seats", "sso"]
    assert truth.entitlements("nobody", WALL) is None


def test_a_context_and_a_count_are_judged() -> None:
    """What is asked reaches the rule, and what is no quantity is an error."""
    truth = local(SMALL)
    put(truth, terms("acme"))
    assert truth.check("acme", "seats", WALL, used=4, context=Context(region="eu"))
    assert truth.check("acme", "seats", WALL, used=5).reason == "limit_reached"
    with pytest.raises(ValueError, match="quantity"):
        truth.check("acme", "seats", WALL, quantity=-1)
    assert to_instant(START) == WALL > BEGINNING
