"""Catalogs whose plans, add-ons, bundles, ladders or order mappings contradict themselves at one place."""

import pytest

from licet.wire.catalog_text import CatalogTextError, read_catalog
from tests.wire.small import SMALL

CONTRADICTIONS: list[tuple[str, str, str, list[str]]] = [
    (
        "an unknown product",
        "    product: app\n    versions:\n      2026-01:\n",
        "    product: ap\n    versions:\n      2026-01:\n",
        ['22:14: plans.team.product: there is no product "ap"; did you mean app?'],
    ),
    (
        "a version without a date",
        "      2026-07: {",
        "      summer: {",
        [
            (
                "29:7: plans.team.versions.summer: write available_from, because the version's id names no "
                "month (2026-01) or day (2026-01-15)"
            )
        ],
    ),
    (
        "two versions at the same instant",
        "      2026-07: {",
        "      2026-01-01: {",
        [
            (
                "29:7: plans.team.versions.2026-01-01: is sold from 2026-01-01T00:00:00Z like version "
                '"2026-01"; only one version is sold at a time'
            )
        ],
    ),
    (
        "a trial that is no duration",
        "trial: P14D",
        "trial: 14 days",
        [
            (
                "25:16: plans.team.versions.2026-01.trial: '14 days' is not a duration; write it as P14D, "
                "P1M, P1Y or PT12H"
            )
        ],
    ),
    (
        "a trial of no length",
        "trial: P14D",
        "trial: P0D",
        ["25:16: plans.team.versions.2026-01.trial: a trial of no length; leave it out"],
    ),
    (
        "an unknown plan after the trial",
        "then: free",
        "then: fre",
        ['26:15: plans.team.versions.2026-01.then: there is no plan "fre"; did you mean free?'],
    ),
    (
        "an unknown version after the trial",
        "then: free",
        "then: free@2026-02",
        [('26:15: plans.team.versions.2026-01.then: there is no version of free "2026-02"; did you mean 2026-01?')],
    ),
    (
        "the same plan after the trial",
        "then: free",
        "then: team",
        [
            (
                "26:15: plans.team.versions.2026-01.then: a trial cannot be followed by the plan it is a "
                "trial of; that is what converting means"
            )
        ],
    ),
    (
        "a trial after the trial",
        "      2026-01: {includes: {projects: 1,",
        "      2026-01: {trial: P7D, includes: {projects: 1,",
        [
            (
                "26:15: plans.team.versions.2026-01.then: free@2026-01 has a trial of its own, so that "
                "trials would follow each other"
            )
        ],
    ),
    (
        "an unknown ladder",
        "ladder: card",
        "ladder: cart",
        ['27:17: plans.team.versions.2026-01.ladder: there is no ladder "cart"; did you mean card?'],
    ),
    (
        "an add-on with neither",
        "more: {requires: [team], maximum: 3, includes: {projects: 50}}",
        "more: {requires: [team]}",
        ["31:3: addons.more: an add-on has either includes or versions"],
    ),
    (
        "an unknown requirement",
        "requires: [team]",
        "requires: [teams]",
        [
            '31:21: addons.more.requires[0]: there is no plan or add-on "teams"; did you mean team?',
            '34:30: bundles.duo.addons[0]: "more" requires teams, which the bundle has not',
        ],
    ),
    (
        "an add-on that requires itself",
        "requires: [team]",
        "requires: [more]",
        [
            (
                "31:21: addons.more.requires[0]: an add-on can neither require nor exclude itself; maximum "
                "limits how many are bought"
            )
        ],
    ),
    (
        "required and excluded",
        "excludes: [more]",
        "requires: [more], excludes: [more]",
        ['32:40: addons.extra.excludes[0]: "more" is required and excluded'],
    ),
    (
        "an add-on nobody can buy",
        "more: {requires: [team], maximum",
        "more: {requires: [extra], maximum",
        [
            (
                "31:10: addons.more.requires: nobody can buy this: it requires only add-ons that lead back "
                "to it or exclude it"
            ),
            '34:30: bundles.duo.addons[0]: "more" requires extra, which the bundle has not',
        ],
    ),
    (
        "a bundle of what does not exist",
        "addons: [more]",
        "addons: [mores]",
        ['34:30: bundles.duo.addons[0]: there is no add-on "mores"; did you mean more?'],
    ),
    (
        "a bundle against a requirement",
        "duo: {plan: team",
        "duo: {plan: free",
        ['34:30: bundles.duo.addons[0]: "more" requires team, which the bundle has not'],
    ),
    (
        "a bundle against an exclusion",
        "addons: [more]",
        "addons: [more, extra]",
        ['34:36: bundles.duo.addons[1]: "extra" excludes "more", which is in the bundle'],
    ),
    (
        "stages out of order",
        "after: P30D, do: end",
        "after: P3D, do: end",
        [("39:15: ladders.card[2].after: P3D may come before P7D of the stage before it; write stages in order")],
    ),
    (
        "stages that get milder",
        "after: P30D, do: end",
        "after: P30D, do: warn",
        ["39:25: ladders.card[2].do: warn is milder than restrict before it; stages only get stricter"],
    ),
    (
        "restrict without features",
        "do: restrict, features: [sso]",
        "do: restrict",
        ["38:24: ladders.card[1].do: restrict needs features: the list of what is taken away"],
    ),
    (
        "warn with features",
        "do: warn}",
        "do: warn, features: [sso]}",
        ["37:30: ladders.card[0].features: warn concerns everything; only restrict names features"],
    ),
    (
        "an unknown restricted feature",
        "features: [sso]",
        "features: [ssoo]",
        ['38:45: ladders.card[1].features[0]: there is no feature "ssoo"; did you mean sso?'],
    ),
    (
        "a stage after the end",
        "    - {after: P30D, do: end}\n",
        "    - {after: P30D, do: end}\n    - {after: P40D, do: end}\n",
        ["40:7: ladders.card[3]: nothing can follow the stage that ends the subscription"],
    ),
    (
        "a cohort with an unknown ladder",
        "    p3: {bundle: duo}\n",
        "    p3: {bundle: duo}\ncohorts:\n  kept: {ladder: cart}\n",
        ['46:18: cohorts.kept.ladder: there is no ladder "cart"; did you mean card?'],
    ),
    (
        "a price that means two things",
        "p2: {addon: more}",
        "p2: {addon: more, plan: team}",
        ["43:5: orders.shop.p2: write exactly one of plan, addon or bundle, not plan and addon"],
    ),
    (
        "a price that means nothing",
        "p2: {addon: more}",
        "p2: {}",
        ["43:5: orders.shop.p2: write exactly one of plan, addon or bundle, not none"],
    ),
    (
        "an unknown version of a price",
        "p2: {addon: more}",
        "p2: {addon: more, version: '2'}",
        ['43:32: orders.shop.p2.version: there is no version of more "2"; there is only 1'],
    ),
    (
        "a version of a bundle",
        "p3: {bundle: duo}",
        "p3: {bundle: duo, version: '1'}",
        ["44:23: orders.shop.p3.version: a bundle has no versions; its parts do"],
    ),
    (
        "a quantity of what is not counted",
        "quantity: editor",
        "quantity: sso",
        [
            (
                '42:32: orders.shop.p1.quantity: "sso" is not counted; quantity names a limit, metered, '
                "credits or seats feature"
            )
        ],
    ),
    (
        "a quantity of what is not included",
        "p2: {addon: more}",
        "p2: {addon: more, quantity: editor}",
        ['43:33: orders.shop.p2.quantity: more@1 does not include "editor", so there is no amount to set'],
    ),
    (
        "an at sign in a plan",
        "  free:\n",
        "  free@home:\n",
        [
            ('17:3: plans.free@home: the plan id "free@home" contains @, which stands between a plan and its version'),
            '26:15: plans.team.versions.2026-01.then: there is no plan "free"; did you mean free@home?',
        ],
    ),
    (
        "an id in another normal form",
        "sso: {type: switch, title: Single sign-on}",
        "sso\u0308: {type: switch}",
        [
            (
                '9:3: features["ssö"]: the id "ssö" is not in Unicode normal form C, so that two ids '
                "could look the same; did you mean ssö?"
            ),
            '28:34: plans.team.versions.2026-01.includes.sso: there is no feature "sso"; did you mean ssö?',
            ('32:61: addons.extra.versions.2026-02.includes.sso: there is no feature "sso"; did you mean sso\u0308?'),
            '38:45: ladders.card[1].features[0]: there is no feature "sso"; did you mean ssö?',
        ],
    ),
    (
        "a control character",
        "title: Single sign-on",
        'title: "Single\\x07"',
        ["9:30: features.sso.title: the control character U+0007 is not allowed; remove it"],
    ),
    (
        "a plan and an add-on of one name",
        "bundles:\n",
        "  team: {includes: {sso: true}}\nbundles:\n",
        ['33:3: addons.team: "team" is a plan too; requires and excludes could not tell them apart'],
    ),
]


@pytest.mark.parametrize(("what", "old", "new", "told"), CONTRADICTIONS, ids=[case[0] for case in CONTRADICTIONS])
def test_a_contradiction_is_told_with_its_place(what: str, old: str, new: str, told: list[str]) -> None:
    """Each offer that leads nowhere or contradicts itself is told where it stands."""
    assert SMALL.count(old) >= 1, what
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(SMALL.replace(old, new, 1))
    assert [str(problem) for problem in caught.value.problems] == told
