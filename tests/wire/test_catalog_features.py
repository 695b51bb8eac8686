"""Catalogs whose features or includes make no sense at one place."""

import pytest

from licet.wire.catalog_text import CatalogTextError, read_catalog
from tests.wire.small import SMALL

SENSELESS: list[tuple[str, str, str, list[str]]] = [
    (
        "an unknown feature in includes",
        "{projects: 20,",
        "{project: 20,",
        [
            (
                '28:20: plans.team.versions.2026-01.includes.project: there is no feature "project"; did '
                "you mean projects?"
            )
        ],
    ),
    (
        "a feature like nothing known",
        "{projects: 20,",
        "{zzz: 20,",
        [
            (
                '28:20: plans.team.versions.2026-01.includes.zzz: there is no feature "zzz"; there are '
                "sso, tier, projects, calls, coins, editor or europe"
            )
        ],
    ),
    (
        "a number for a switch",
        "sso: true, editor",
        "sso: 5, editor",
        [('28:39: plans.team.versions.2026-01.includes.sso: "sso" is a switch feature: write true or false, not 5')],
    ),
    (
        "an amount with too many decimals",
        'amount: "5.5"',
        'amount: "5.555"',
        [
            (
                "28:88: plans.team.versions.2026-01.includes.coins.amount: '5.555' has 3 decimals; at most "
                '2 are kept here; "unlimited" is allowed too'
            )
        ],
    ),
    (
        "decimals where none are kept",
        "projects: 20,",
        'projects: "20.5",',
        [
            (
                "28:30: plans.team.versions.2026-01.includes.projects: '20.5' has 1 decimal; at most 0 "
                'are kept here; "unlimited" is allowed too'
            )
        ],
    ),
    (
        "unlimited misspelled",
        "calls: 1000",
        "calls: unlimitted",
        [
            (
                "28:66: plans.team.versions.2026-01.includes.calls: 'unlimitted' is not a quantity; write "
                'a whole number or a decimal string such as "12.50"; did you mean unlimited?'
            )
        ],
    ),
    (
        "a value that is not offered",
        "projects: 1, tier: true",
        "projects: 1, tier: golden",
        [
            (
                '20:47: plans.free.versions.2026-01.includes.tier: "tier" is a configuration feature with '
                'the values basic or gold, not "golden"; did you mean gold?'
            )
        ],
    ),
    (
        "true without a default",
        "projects: 20,",
        "projects: true,",
        [
            (
                '28:30: plans.team.versions.2026-01.includes.projects: "projects" is a limit feature '
                "without a default: write its amount"
            )
        ],
    ),
    (
        "a field of another type",
        "projects: 20,",
        "projects: {amount: 20, per: month},",
        [
            (
                '28:43: plans.team.versions.2026-01.includes.projects.per: "projects" is a limit feature, '
                "which has no per; remove it"
            )
        ],
    ),
    (
        "a rollover upside down",
        "rollover: {max: 2}",
        "rollover: {min: 3, max: 2}",
        ["28:95: plans.team.versions.2026-01.includes.coins.rollover: min 3 is more than max 2"],
    ),
    (
        "a seats feature that is none",
        "per_seat: editor",
        "per_seat: projects",
        [
            (
                "29:82: plans.team.versions.2026-07.includes.coins.per_seat: there is no seats feature "
                '"projects"; there is only editor'
            )
        ],
    ),
    (
        "seats the version has not",
        "projects: 30, editor: 5",
        "projects: 30",
        [
            (
                "29:71: plans.team.versions.2026-07.includes.coins.per_seat: the version does not include "
                '"editor", so there are no seats to multiply by'
            ),
            ('42:32: orders.shop.p1.quantity: team@2026-07 does not include "editor", so there is no amount to set'),
        ],
    ),
    (
        "an unknown meter",
        "meter: calls,",
        "meter: call,",
        ['12:33: features.calls.meter: there is no meter "call"; did you mean calls?'],
    ),
    (
        "an unknown credit",
        "credit: coin}",
        "credit: token}",
        ['13:34: features.coins.credit: there is no credit "token"; there is only coin'],
    ),
    (
        "a rate that is none",
        'minutes: "0.5"',
        "minutes: half",
        [('7:37: credits.coin.burns.minutes: "half" is not a rate; write a decimal in quotes such as "0.0004"')],
    ),
    (
        "an unknown burned meter",
        "burns: {minutes",
        "burns: {minute",
        ['7:28: credits.coin.burns.minute: there is no meter "minute"; did you mean minutes?'],
    ),
    (
        "a default that is not offered",
        "default: basic",
        "default: silver",
        ['10:63: features.tier.default: "silver" is not one of the values basic or gold'],
    ),
    (
        "a value twice",
        "[basic, gold]",
        "[basic, basic]",
        ['10:47: features.tier.values[1]: "basic" is listed twice'],
    ),
    (
        "warnings that do not rise",
        "[80%, 95%]",
        "[95%, 80%]",
        [
            (
                "12:40: features.calls.warn_at: warnings are shares of the amount, above 0% and each "
                "higher than the one before"
            )
        ],
    ),
    (
        "a condition with a misspelled fact",
        "'context.region ==",
        "'context.regoin ==",
        [
            (
                "15:41: features.europe.when: context has no field regoin; it has deployment, region, "
                "country, version, attributes (line 1, column 9 of the condition); did you mean region?"
            )
        ],
    ),
    (
        "a condition that does not parse",
        "'context.region == \"eu\"'",
        "'context.region =='",
        [
            (
                "15:50: features.europe.when: expected a value: a name, a literal, a list, or (, found the "
                "end (line 1, column 18 of the condition)"
            )
        ],
    ),
    (
        "a condition that is not true or false",
        "'context.region == \"eu\"'",
        '"context.region"',
        [
            (
                "15:33: features.europe.when: expected bool, found string: context.region (line 1, column "
                "1 of the condition)"
            )
        ],
    ),
    (
        "an empty list of regions",
        "regions: [eu]",
        "regions: []",
        ["15:58: features.europe.regions: an empty list allows nothing; leave regions out to allow all"],
    ),
    (
        "a window that never opens",
        "regions: [eu]",
        "window: {start: 2026-02-01, end: 2026-01-01}",
        ["15:91: features.europe.window.end: the window ends before it begins"],
    ),
    (
        "half of the hours",
        "regions: [eu]",
        "window: {from_hour: '08:00'}",
        ["15:67: features.europe.window.from_hour: from_hour needs until_hour beside it"],
    ),
]


@pytest.mark.parametrize(("what", "old", "new", "told"), SENSELESS, ids=[case[0] for case in SENSELESS])
def test_a_senseless_feature_is_told_with_its_place(what: str, old: str, new: str, told: list[str]) -> None:
    """Each include, feature, meter or condition that cannot mean anything is told where it stands."""
    assert SMALL.count(old) >= 1, what
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(SMALL.replace(old, new, 1))
    assert [str(problem) for problem in caught.value.problems] == told
