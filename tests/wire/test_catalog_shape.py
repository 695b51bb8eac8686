"""Catalogs whose text or shape is broken at one place: where, what, and what was probably meant."""

import pytest

from licet.wire.catalog_text import CatalogTextError, read_catalog
from tests.wire.small import SMALL

BROKEN: list[tuple[str, str, str, list[str]]] = [
    (
        "a field misspelled",
        "type: switch, title: Single",
        "type: switch, titel: Single",
        ['9:23: features.sso.titel: a switch feature has no field "titel"; did you mean title?'],
    ),
    (
        "an unknown section",
        "addons:\n",
        "addonss:\n",
        ['30:1: addonss: a catalog has no field "addonss"; did you mean addons?'],
    ),
    (
        "an unknown field in a version",
        "trial: P14D",
        "trail: P14D",
        [('25:9: plans.team.versions.2026-01.trail: a plan version has no field "trail"; did you mean trial?')],
    ),
    (
        "a required field missing",
        "{type: metered, meter: calls, warn_at: [80%, 95%]}",
        "{type: metered}",
        ['12:10: features.calls: a metered feature needs "meter"'],
    ),
    (
        "a feature without a type",
        "coins: {type: credits, credit: coin}",
        "coins: {credit: coin}",
        [('13:10: features.coins: coins needs "type": one of switch, configuration, limit, metered, credits or seats')],
    ),
    (
        "a type misspelled",
        "{type: seats, default: 2}",
        "{type: seat}",
        [
            (
                '14:18: features.editor.type: "seat" is not a type; allowed are switch, configuration, '
                "limit, metered, credits or seats; did you mean seats?"
            )
        ],
    ),
    (
        "a choice misspelled",
        "{type: seats, default: 2}",
        "{type: seats, kind: name}",
        [
            (
                '14:31: features.editor.kind: "name" is not allowed for kind; write concurrent, identity, '
                "named or team; did you mean named?"
            )
        ],
    ),
    (
        "the format's version",
        "version: 1\n",
        "version: 2\n",
        ["1:10: version: version is 1, not 2"],
    ),
    (
        "a key twice",
        "  sso: {type: switch, title: Single sign-on}",
        "  sso: {type: switch}\n  sso: {type: switch}",
        ['10:3: "sso" is written twice in this mapping; keep one'],
    ),
    (
        "an anchor",
        "sso: {type: switch, title: Single sign-on}",
        "sso: &sso {type: switch}",
        ["9:8: &sso is an anchor; remove it"],
    ),
    (
        "an alias",
        "sso: {type: switch, title: Single sign-on}",
        "sso: *other",
        ["9:8: *other is an alias; write the value out"],
    ),
    (
        "a tag",
        "title: Single sign-on",
        "title: !!str Single sign-on",
        ["9:30: !!str is a tag; remove it, types are known here"],
    ),
    (
        "a merge key",
        "{type: seats, default: 2}",
        "{<<: {type: seats}, type: seats}",
        ["14:12: << merges are not supported; write the fields out"],
    ),
    (
        "a compound key",
        "{type: seats, default: 2}",
        "{type: seats, [a, b]: 2}",
        ["14:25: a name must be text, not a list or a mapping"],
    ),
    (
        "a second document",
        "orders:\n",
        "---\norders:\n",
        ["40:1: a second document begins here; a catalog is one document"],
    ),
    (
        "a tab",
        "    product: app\n    versions:\n      2026-01: {includes: {projects: 1",
        "	product: app\n    versions:\n      2026-01: {includes: {projects: 1",
        ["18:1: a tab cannot indent YAML; indent with spaces"],
    ),
    (
        "an unclosed bracket",
        "values: [basic, gold]",
        "values: [basic, gold",
        ["10:67: this is not YAML: did not find expected ',' or ']'"],
    ),
    (
        "nothing written for a required field",
        "field: minutes, scale: 2",
        "field: minutes, scale: ",
        ["5:52: meters.minutes.scale: nothing is written for scale; write a whole number or leave it out"],
    ),
    (
        "a section empty",
        "version: 1\n",
        "version: 1\nbundles:\n",
        [
            "2:9: bundles: nothing is written for bundles; write a mapping or leave it out",
            '34:1: "bundles" is written twice in this mapping; keep one',
        ],
    ),
    (
        "a list for a mapping",
        "products: {app: {name: App}}",
        "products: [app]",
        ["2:11: products: products is a mapping, not a list"],
    ),
    (
        "a mapping for a list",
        "values: [basic, gold]",
        "values: {basic: 1}",
        ["10:39: features.tier.values: values is a list, not a mapping"],
    ),
    (
        "text for a list",
        "requires: [team]",
        "requires: team",
        ['31:20: addons.more.requires: requires is a list, not "team"; did you mean [team]?'],
    ),
    (
        "text for a number",
        "maximum: 3",
        "maximum: three",
        ['31:37: addons.more.maximum: maximum is a whole number, not "three"'],
    ),
    (
        "a number beyond its bounds",
        "maximum: 3",
        "maximum: 0",
        ["31:37: addons.more.maximum: maximum is a whole number from 1 to 1000000, not 0"],
    ),
    (
        "a decimal for a whole number",
        "minutes, scale: 2",
        "minutes, scale: 2.0",
        ["5:52: meters.minutes.scale: scale is a whole number, not 2.0"],
    ),
    (
        "a scale too large",
        "minutes, scale: 2",
        "minutes, scale: 12",
        ["5:52: meters.minutes.scale: scale is a whole number from 0 to 9, not 12"],
    ),
    (
        "an id too long",
        "  extra: {",
        "  e" + "x" * 130 + ": {",
        ["32:3: addons.e" + "x" * 130 + ": a name has 1 to 128 characters"],
    ),
    (
        "an empty unit",
        "one: project",
        "one: ''",
        ["11:39: features.projects.unit.one: one has 1 to 40 characters, not 0"],
    ),
    (
        "a title that is too long",
        "title: Single sign-on",
        "title: " + "x" * 201,
        ["9:30: features.sso.title: title has at most 200 characters, not 201"],
    ),
    (
        "warnings without percent",
        "[80%, 95%]",
        "[80, 95]",
        [
            ("12:50: features.calls.warn_at[0]: item 1 of warn_at is a share such as 80%, not 80; did you mean 80%?"),
            ("12:54: features.calls.warn_at[1]: item 2 of warn_at is a share such as 80%, not 95; did you mean 95%?"),
        ],
    ),
    (
        "an hour out of the day",
        "regions: [eu]",
        "window: {from_hour: '25:00', until_hour: '26:00'}",
        [
            ('15:78: features.europe.window.from_hour: "25:00" is not allowed for from_hour; write it such as 09:30'),
            ('15:99: features.europe.window.until_hour: "26:00" is not allowed for until_hour; write it such as 09:30'),
        ],
    ),
    (
        "a time that is none",
        "trial: P14D",
        "available_from: 2026-13-01",
        [
            (
                "25:25: plans.team.versions.2026-01.available_from: '2026-13-01' is not a time; write it "
                "as 2026-03-01T09:00:00Z or 2026-03-01"
            )
        ],
    ),
    (
        "a time without a zone",
        "trial: P14D",
        "available_from: 2026-01-01T10:00:00",
        [
            (
                "25:25: plans.team.versions.2026-01.available_from: the time '2026-01-01T10:00:00' has no "
                "zone; write it with Z or an offset such as +01:00"
            )
        ],
    ),
    (
        "yes for a switch",
        "sso: true, editor",
        "sso: yes, editor",
        [
            (
                '28:39: plans.team.versions.2026-01.includes.sso: "sso" is a switch feature: write true or '
                'false, not "yes"; did you mean true?'
            )
        ],
    ),
    (
        "off for a switch",
        "sso: true, editor",
        "sso: off, editor",
        [
            (
                '28:39: plans.team.versions.2026-01.includes.sso: "sso" is a switch feature: write true or '
                'false, not "off"; did you mean false?'
            )
        ],
    ),
    (
        "yes for true or false",
        "includes: {projects: 20",
        "includes: {projects: {amount: 20, on: yes}",
        [
            (
                '28:47: plans.team.versions.2026-01.includes.projects.on: on is true or false, not "yes"; '
                "did you mean true?"
            )
        ],
    ),
    (
        "off as a mode without quotes is text, on is not a mode",
        "title: Single sign-on",
        "mode: on",
        ['9:29: features.sso.mode: "on" is not allowed for mode; write enforce, observe or off'],
    ),
    (
        "an exponent",
        "calls: 1000",
        "calls: 1e3",
        ["28:66: plans.team.versions.2026-01.includes.calls: 1e3 has an exponent; write the number out"],
    ),
    (
        "a decimal amount without quotes",
        'amount: "5.5"',
        "amount: 5.5",
        [
            (
                "28:88: plans.team.versions.2026-01.includes.coins.amount: 5.5 would be rounded; an amount "
                "with decimals is written in quotes; did you mean '5.5'?"
            )
        ],
    ),
    (
        "a leading zero",
        "calls: 1000",
        "calls: 017",
        [
            (
                "28:66: plans.team.versions.2026-01.includes.calls: 017 begins with 0, which older readers "
                "of YAML take for octal; did you mean 17?"
            )
        ],
    ),
    (
        "a sign",
        "calls: 1000",
        "calls: -1",
        [
            (
                "28:66: plans.team.versions.2026-01.includes.calls: calls is a whole number from 0 to "
                "9007199254740991, not -1"
            )
        ],
    ),
    (
        "infinity",
        "calls: 1000",
        "calls: .inf",
        ["28:66: plans.team.versions.2026-01.includes.calls: .inf is not a number that counts anything"],
    ),
    (
        "an exact number beyond what JSON keeps",
        "calls: 1000",
        "calls: 9007199254740992",
        [
            (
                "28:66: plans.team.versions.2026-01.includes.calls: calls is a whole number from 0 to "
                "9007199254740991, not 9007199254740992"
            )
        ],
    ),
    (
        "a number with very many digits",
        "calls: 1000",
        "calls: " + "9" * 60,
        ["28:66: plans.team.versions.2026-01.includes.calls: " + "9" * 60 + " has too many digits"],
    ),
    (
        "a number for text",
        "title: Single sign-on",
        "title: 123",
        ["9:30: features.sso.title: title is text; write 123 in quotes; did you mean '123'?"],
    ),
    (
        "a boolean for text",
        "title: Single sign-on",
        "title: true",
        ["9:30: features.sso.title: title is text; write true in quotes; did you mean 'true'?"],
    ),
    (
        "a version id as a number",
        "p1: {plan: team, quantity: editor}",
        "p1: {plan: team, version: 2026}",
        ["42:31: orders.shop.p1.version: version is text; write 2026 in quotes; did you mean '2026'?"],
    ),
]


@pytest.mark.parametrize(("what", "old", "new", "told"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_broken_text_is_told_with_its_place(what: str, old: str, new: str, told: list[str]) -> None:
    """Each mistake of text or shape is told with line, column, message and suggestion, and nothing else is."""
    assert SMALL.count(old) >= 1, what
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(SMALL.replace(old, new, 1))
    assert [str(problem) for problem in caught.value.problems] == told
