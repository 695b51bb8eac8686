"""The signature verifier, held against the vendor's own library."""

import time

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.connectors.stripe.verify import MAX_SIGNATURES, TOLERANCE, TOLERANCE_AHEAD, sign_body, verify_signature
from licet.core.instant import SECOND
from licet.services.errors import BadSignature
from tests.dose import dose

SECRET, OLD = b"whsec_one_of_the_tests", b"whsec_the_one_before"
BODY = '{"id": "evt_1", "words": "naïve – ünïcode"}'.encode()
SIGNED = 1_763_632_800
NOW = SIGNED * SECOND


def refused(header: str | None, *, body: bytes = BODY, now: int = NOW, secrets: tuple[bytes, ...] = (SECRET,)) -> str:
    """The words with which a delivery is refused."""
    with pytest.raises(BadSignature) as caught:
        verify_signature(header, body, secrets, now)
    return caught.value.words


def vendor_accepts(header: str, body: bytes, secret: bytes) -> bool:
    """Whether the vendor's library accepts, regardless of age."""
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret.decode(), None))
    except stripe.SignatureVerificationError:
        return False


def test_headers_of_the_vendors_library_are_accepted() -> None:
    """What Stripe's library signs, this verifier accepts, and the other way round."""
    theirs = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET.decode(), SIGNED)
    assert verify_signature(theirs, BODY, [SECRET], NOW) == SIGNED
    assert sign_body(BODY, SECRET, SIGNED) == theirs
    now = int(time.time())
    assert stripe.WebhookSignature.verify_header(BODY, sign_body(BODY, SECRET, now), SECRET.decode(), 300)


def test_one_right_signature_among_several_is_enough() -> None:
    """Stripe signs with both secrets during a rotation; other schemes beside v1 are passed over."""
    right = sign_body(BODY, SECRET, SIGNED).partition(",")[2]
    wrong = sign_body(BODY, OLD, SIGNED).partition(",")[2]
    assert verify_signature(f"t={SIGNED},{wrong},{right},v0=abc", BODY, [SECRET], NOW) == SIGNED
    assert verify_signature(f"t={SIGNED},{right}", BODY, [OLD, SECRET], NOW) == SIGNED
    assert "no signature matches" in refused(f"t={SIGNED},{wrong}")


def test_the_window_is_half_strict() -> None:
    """Exactly 300 s old is accepted, a microsecond more is not; 60 s ahead is, more is not."""
    header = sign_body(BODY, SECRET, SIGNED)
    assert verify_signature(header, BODY, [SECRET], NOW + TOLERANCE) == SIGNED
    assert "301 s ago" in refused(header, now=NOW + TOLERANCE + SECOND)
    assert "ago" in refused(header, now=NOW + TOLERANCE + 1)
    assert verify_signature(header, BODY, [SECRET], NOW - TOLERANCE_AHEAD) == SIGNED
    assert "signed 61 s in the future; at most 60 s are accepted" in refused(header, now=NOW - TOLERANCE_AHEAD - 1)
    assert "signed 301 s ago; at most 300 s are accepted" in refused(header, now=NOW + TOLERANCE + 1)


def test_a_signature_from_the_future_is_refused_although_the_vendor_accepts_it() -> None:
    """The one place where this verifier is stricter by intent: no signature made for next year."""
    ahead = int(time.time()) + 365 * 86_400
    header = sign_body(BODY, SECRET, ahead)
    assert stripe.WebhookSignature.verify_header(BODY, header, SECRET.decode(), 300)
    assert "in the future" in refused(header, now=int(time.time()) * SECOND)


@given(age=st.integers(-900, 900))
@settings(max_examples=dose(100), deadline=None)
def test_of_valid_signatures_only_those_too_far_ahead_are_judged_otherwise(age: int) -> None:
    """At any age both accept or both refuse, except that no signature of more than a minute ahead is accepted here.

    The vendor's library asks the machine's clock, which may move on by a second while it is asked.
    """
    now = int(time.time())
    header = sign_body(BODY, SECRET, now - age)
    try:
        theirs = stripe.WebhookSignature.verify_header(BODY, header, SECRET.decode(), TOLERANCE // SECOND)
    except stripe.SignatureVerificationError:
        theirs = False
    try:
        ours = verify_signature(header, BODY, [SECRET], now * SECOND) == now - age
    except BadSignature:
        ours = False
    assert ours == (theirs and age >= -TOLERANCE_AHEAD // SECOND) or age == TOLERANCE // SECOND


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "missing"),
        ("", "missing"),
        ("v1=abc", "exactly one timestamp"),
        (f"t={SIGNED}", "1 to 16 signatures"),
        (f"t={SIGNED},t={SIGNED},v1=abc", "exactly one timestamp"),
        ("t=yesterday,v1=abc", "exactly one timestamp"),
        ("t=١٢٣,v1=abc", "exactly one timestamp"),
        ("t=-1,v1=abc", "exactly one timestamp"),
        ("t=0017,v1=abc", "exactly one timestamp"),
        (f"t={SIGNED},v1=", "no signature matches"),
        (f"t={SIGNED},v1=\udcff", "no signature matches"),
        (f"t={SIGNED}" + ",v1=a" * (MAX_SIGNATURES + 1), "1 to 16 signatures"),
        ("t=" + "1" * 5000, "longer than"),
    ],
)
def test_malformed_headers_are_refused_with_words(header: str | None, words: str) -> None:
    """Whatever stands in the header, the answer is a refusal that says what is wrong, never another error."""
    assert words in refused(header)


def test_without_a_secret_nothing_is_accepted() -> None:
    """An empty secret would let anybody sign; it is no secret."""
    assert "no signing secret" in refused(sign_body(BODY, b"", SIGNED), secrets=(b"",))
    assert "no signing secret" in refused(sign_body(BODY, SECRET, SIGNED), secrets=())


@given(place=st.integers(0, len(BODY) - 1), bit=st.integers(0, 7))
@settings(max_examples=dose(60))
def test_a_changed_byte_anywhere_is_refused(place: int, bit: int) -> None:
    """The signature covers every bit of the body."""
    changed = bytearray(BODY)
    changed[place] ^= 1 << bit
    assert "no signature matches" in refused(sign_body(BODY, SECRET, SIGNED), body=bytes(changed))


@given(header=st.text(alphabet="tv10=,abc \u0661", max_size=40))
@settings(max_examples=dose(200))
def test_nothing_is_accepted_that_the_vendor_refuses(header: str) -> None:
    """On random headers built from the scheme's own characters, both refuse."""
    assert not vendor_accepts(header, BODY, SECRET) or header == sign_body(BODY, SECRET, SIGNED)
    with pytest.raises(BadSignature):
        verify_signature(header, BODY, [SECRET], NOW)
