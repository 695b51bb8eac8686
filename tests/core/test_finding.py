"""Owner, due date and repair of a finding, and that nothing from outside runs as a command."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.core.finding import KINDS, MAX_COMMAND, MAX_WORD, days_of, names_in, owner_of, repair_of
from licet.core.orders import name_parts

REPLAY = "delivery_failed"
HOSTILE = [
    "$(touch /tmp/x)",
    "`reboot`",
    "a; rm -rf /",
    "a && b || c | d > e < f",
    "it's",
    "''\"'\"''",
    '"$HOME"',
    "*?[a-z]{b,c}~!#^&\\",
    "=ls",
    "%1",
    "a b",
    "ünïcode",
    "é" * 100,
]
UNFIT = [
    "-x",
    "--help",
    "a\nreboot",
    "a\rb",
    "a\x1b[2J",
    "a\u202eb",
    "a\u200bb",
    "a\x00b",
    "a\tb",
    "x" * (MAX_WORD + 1),
]


def replay(delivery: str, source: str = "stripe") -> str:
    """The repair of a message that failed."""
    return repair_of(REPLAY, ":".join(name_parts(source, delivery)), {}, None)


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_id_stays_one_word_of_a_shell(word: str) -> None:
    """A real shell that reads the repair calls licet once, with the id as one argument, and does nothing else."""
    shown = "licet() { printf '%s\\0' \"$@\"; }\n" + replay(word)
    ran = subprocess.run(["sh", "-c", shown], capture_output=True, timeout=10, check=False)
    assert ran.stdout.decode().split("\0")[:-1] == ["connector", "replay", "stripe", "--delivery", word]
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize("word", UNFIT)
def test_an_id_that_could_mislead_gives_advice_instead(word: str) -> None:
    """What begins like an option, hides what is run, or goes on for ever never stands in a command."""
    assert replay(word) == KINDS[REPLAY].steps
    assert replay("evt_1", source=word) == KINDS[REPLAY].steps


def test_a_command_too_long_to_read_gives_advice() -> None:
    """Ids of nothing but quotes grow when they are quoted; the repair stays within the room that it is kept in."""
    assert replay("'" * MAX_WORD, source="'" * MAX_WORD) == KINDS[REPLAY].steps
    assert len(replay("'" * 180)) <= MAX_COMMAND


@given(st.text(), st.text())
def test_any_id_is_one_word_or_advice(source: str, delivery: str) -> None:
    """Whatever the two ids are, a shell's own splitting finds exactly them, or the advice of the kind is given."""
    repair = replay(delivery, source)
    if repair != KINDS[REPLAY].steps:
        assert shlex.split(repair) == ["licet", "connector", "replay", source, "--delivery", delivery]


@given(st.text(), st.text(), st.text())
def test_a_subject_gives_back_its_names(source: str, one: str, about: str) -> None:
    """Names that went into a subject come out of it, whatever signs they hold and whatever follows them."""
    subject = f"{':'.join(name_parts(source, one))}/{about}"
    order = "/".join(("order", *name_parts(source, one)))
    assert names_in(subject, "subscription") == {"source": source, "external_id": one, "order": order}
    assert names_in(subject, "delivery") == {"source": source, "delivery": one}
    assert names_in(subject, "customer") == {"source": source, "external_id": one}


def test_evidence_cannot_fill_what_the_subject_names() -> None:
    """A name in the evidence does not replace that of the subject, and braces in it are text."""
    evidence = {"delivery": "evt_2", "source": "other"}
    assert repair_of(REPLAY, "stripe:evt_1", evidence, None) == "licet connector replay stripe --delivery evt_1"
    assert replay("{customer}") == "licet connector replay stripe --delivery '{customer}'"


def test_what_lacks_a_name_gives_advice() -> None:
    """No customer, or a subject of another form: the kind's advice; a kind that nobody registered: nothing."""
    kind = KINDS["customer_contradiction"]
    unreadable = {"source": "stripe", "code": "unreadable"}
    given_up = "licet connector discard stripe evt_1 --note 'it cannot be read'"
    assert repair_of(REPLAY, "stripe:evt_1", unreadable, None) == given_up
    assert repair_of(REPLAY, "stripe:-x", unreadable, None) == KINDS[REPLAY].steps
    assert repair_of("customer_contradiction", "crm:1", {}, "acme") == "licet customer show acme"
    assert repair_of("customer_contradiction", "crm:1", {}, None) == kind.steps
    assert repair_of(REPLAY, "customer/acme", {}, None) == KINDS[REPLAY].steps
    assert repair_of("combination", "crm:1", {}, "acme") == KINDS["combination"].steps
    assert repair_of("no_such_kind", "crm:1", {}, "acme") == ""


def test_owner_and_days_are_those_of_the_kind() -> None:
    """The role and the days come from the registry; support sorts what is not in it."""
    assert (owner_of("paid_after_end"), days_of("paid_after_end", "high")) == ("billing", 1)
    assert [days_of("combination", severity) for severity in ("high", "medium", "low")] == [2, 7, 14]
    assert (owner_of("no_such_kind"), days_of("no_such_kind", "medium")) == ("support", 7)
