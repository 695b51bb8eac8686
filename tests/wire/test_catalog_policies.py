"""Catalogs whose policies make no sense, or fail a test of their own, at one place."""

import pytest

from licet.core.catalog import LIMITS
from licet.wire.catalog_text import CatalogTextError, read_catalog, write_catalog
from tests.wire.small import SMALL

POLICY = """\
policies:
  embargo:
    when: 'customer.country in ["KP"] && features.sso'
    do: restrict
    features: [sso, editor]
    text: Not there.
    tests:
      - {given: {customer: {country: KP}, features: [sso]}, then: true}
      - {given: {customer: {country: KP}, amounts: {editor: 3}}, then: false}
"""
WHOLE = SMALL + POLICY
FIRST = SMALL.count("\n") + 1
"""The line of ``policies:``."""

PROBLEMS: list[tuple[str, str, str, list[tuple[int, int, str]]]] = [
    (
        "a misspelled fact",
        "customer.country",
        "customer.contry",
        [
            (
                2,
                21,
                "policies.embargo.when: customer has no field contry; it has id, region, country, attributes "
                "(line 1, column 10 of the condition); did you mean country?",
            )
        ],
    ),
    (
        "a misspelled feature",
        "features.sso'",
        "features.ssoo'",
        [
            (
                2,
                51,
                "policies.embargo.when: features has no field ssoo; it has sso, tier, projects, calls, coins, editor, "
                "europe (line 1, column 40 of the condition); did you mean sso?",
            )
        ],
    ),
    (
        "an amount of what has none",
        "features.sso'",
        "amounts.sso > 1'",
        [
            (
                2,
                50,
                "policies.embargo.when: amounts has no field sso; it has projects, calls, coins, editor "
                "(line 1, column 39 of the condition)",
            )
        ],
    ),
    (
        "a misspelled plan",
        "features.sso'",
        '"tema" in plans\'',
        [
            (
                2,
                42,
                'policies.embargo.when: "tema" is never its value; allowed are free, team '
                '(line 1, column 31 of the condition); did you mean "team"?',
            )
        ],
    ),
    (
        "a standing that is none",
        "features.sso'",
        'standing == "unpaid"\'',
        [
            (
                2,
                54,
                'policies.embargo.when: "unpaid" is never its value; allowed are active, trialing, grace, restricted, '
                "paused, suspended, not_started, ended, none (line 1, column 43 of the condition)",
            )
        ],
    ),
    (
        "a restriction of nothing",
        "    features: [sso, editor]\n",
        "",
        [(3, 9, "policies.embargo.do: restrict needs features: the list of what is taken away")],
    ),
    (
        "a suspension of something",
        "do: restrict",
        "do: suspend",
        [
            (
                4,
                5,
                "policies.embargo.features: suspend takes everything away; name no features, or write do: restrict",
            )
        ],
    ),
    (
        "a warning without words",
        "do: restrict\n    features: [sso, editor]\n    text: Not there.\n",
        "do: warn\n",
        [(1, 3, "policies.embargo: a policy that warns needs text: what the customer reads")],
    ),
    (
        "another verb",
        "do: restrict",
        "do: forbid",
        [(3, 9, 'policies.embargo.do: "forbid" is not allowed for do; write restrict, suspend or warn')],
    ),
    (
        "a feature that is not there, and one twice",
        "[sso, editor]",
        "[sso, editr, sso]",
        [
            (4, 21, 'policies.embargo.features[1]: there is no feature "editr"; did you mean editor?'),
            (4, 28, 'policies.embargo.features[2]: "sso" is listed twice'),
        ],
    ),
    (
        "a test of what is not there",
        "amounts: {editor: 3}",
        "plans: [tem], amounts: {sso: 3}",
        [
            (8, 51, 'policies.embargo.tests[1].given.plans[0]: there is no plan "tem"; did you mean team?'),
            (
                8,
                67,
                'policies.embargo.tests[1].given.amounts.sso: there is no counted feature "sso"; '
                "there are projects, calls, coins or editor",
            ),
        ],
    ),
    (
        "a test that expects what is not so",
        "then: false",
        "then: true",
        [
            (
                8,
                72,
                'policies.embargo.tests[1].then: given {"amounts":{"editor":3},"customer":{"country":"KP"}}, '
                "expected true, got false",
            )
        ],
    ),
    (
        "a test that forgets a fact",
        "- {given: {customer: {country: KP}, amounts: {editor: 3}}, then: false}",
        "- {given: {features: [sso]}, then: false}",
        [
            (
                8,
                42,
                'policies.embargo.tests[1].then: given {"features":["sso"]}, expected false, got true '
                "(it cannot be decided without customer.country; restrict applies then)",
            )
        ],
    ),
    (
        "a test of another shape",
        "{country: KP}, amounts",
        "{land: KP}, amounts",
        [
            (
                8,
                29,
                'policies.embargo.tests[1].given.customer.land: a given customer has no field "land"; '
                "it has id, region, country or attributes",
            )
        ],
    ),
]


@pytest.mark.parametrize(("what", "old", "new", "told"), PROBLEMS, ids=[case[0] for case in PROBLEMS])
def test_a_problem_is_told_with_its_place(what: str, old: str, new: str, told: list[tuple[int, int, str]]) -> None:
    """Each policy that makes no sense is told where it stands, with what was probably meant."""
    assert POLICY.count(old) == 1, what
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(SMALL + POLICY.replace(old, new))
    found = [str(problem) for problem in caught.value.problems]
    assert found == [f"{FIRST + line}:{column}: {words}" for line, column, words in told]


def test_policies_are_read_back_as_written() -> None:
    """A catalog with policies is written and read back to the same, whatever the order in which features are named."""
    catalog = read_catalog(WHOLE)
    assert read_catalog(write_catalog(catalog)) == catalog
    assert read_catalog(WHOLE.replace("[sso, editor]", "[editor, sso]")) == catalog


def test_a_warning_may_concern_everything_and_needs_no_decision() -> None:
    """A warning names features or none; a test without its fact says that nothing is warned of."""
    warning = POLICY.replace("do: restrict\n    features: [sso, editor]", "do: warn").replace(
        "- {given: {customer: {country: KP}, amounts: {editor: 3}}, then: false}", "- {then: false}"
    )
    assert read_catalog(SMALL + warning).policies["embargo"].features == ()
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(SMALL + warning.replace("{then: false}", "{given: {features: [sso]}, then: true}"))
    (problem,) = caught.value.problems
    assert problem.message.endswith(
        "got false (it cannot be decided without customer.country; nothing is warned of then)"
    )


def test_there_is_a_most() -> None:
    """500 policies are read, one more is refused; so are 101 tests and a text of 1,001 characters."""
    many = "".join(f"  p{n}: {{when: 'false', do: suspend}}\n" for n in range(LIMITS["policies"]))
    assert len(read_catalog(f"{SMALL}policies:\n{many}").policies) == 500
    for wrong, told in (
        (f"policies:\n{many}  more: {{when: 'true', do: suspend}}\n", "there are 501 policies; at most 500"),
        (POLICY.replace("text: Not there.", f"text: {'x' * 1001}"), "text has at most 1000 characters, not 1001"),
        (POLICY + "      - {then: true}\n" * 99, "tests has at most 100 entries, not 101"),
    ):
        with pytest.raises(CatalogTextError, match=told):
            read_catalog(SMALL + wrong)


def test_the_condition_counts_before_its_tests() -> None:
    """Where a condition cannot be read its tests are not run: one slip, one problem."""
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(WHOLE.replace("&& features.sso", "&&"))
    assert len(caught.value.problems) == 1
