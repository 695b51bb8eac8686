"""Catalogs as text: what is read, what YAML may not do, and that writing and reading are each other's inverse."""

from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.catalog import MAX_CATALOG_BYTES, Catalog, encode_catalog
from licet.core.catalog_check import check_catalog
from licet.core.instant import parse_instant, to_instant
from licet.core.normal import normal_catalog
from licet.core.problem import Problem
from licet.wire.catalog_text import CatalogTextError, read_catalog, write_catalog
from licet.wire.yaml_tree import MAX_DEPTH
from tests.dose import dose
from tests.wire.small import SMALL
from tests.wire.sound_catalogs import sound_catalogs

EXAMPLE = Path(__file__).parents[2] / "examples" / "meridian"


def told(text: str | bytes) -> list[str]:
    """Return what is told about a text that must be refused."""
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(text)
    return [str(problem) for problem in caught.value.problems]


def problems_of(text: str) -> tuple[Problem, ...]:
    """Return the problems of a text; none if it is read."""
    try:
        read_catalog(text)
    except CatalogTextError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("name", ["catalog.yaml", "catalog-next.yaml"])
def test_the_example_is_sound(name: str) -> None:
    """The example vendor's catalogs are read without any problem and survive being written and read again."""
    catalog = read_catalog((EXAMPLE / name).read_bytes(), name)
    assert check_catalog(catalog) == []
    assert read_catalog(write_catalog(catalog)) == catalog


@settings(max_examples=dose(80, full=3000), deadline=None)
@given(sound_catalogs())
def test_writing_and_reading_are_inverse(catalog: Catalog) -> None:
    """Every sound catalog, written as YAML or JSON, reads back as its normal form, byte for byte."""
    normal = normal_catalog(catalog)
    written = write_catalog(catalog)
    assert encode_catalog(read_catalog(written)) == encode_catalog(normal)
    assert read_catalog(encode_catalog(catalog)) == normal
    assert write_catalog(normal) == written


@settings(max_examples=dose(100), deadline=None)
@given(sound_catalogs())
def test_older_readers_understand_the_same(catalog: Catalog) -> None:
    """A reader of YAML 1.1, which takes ``no`` for false and dates for dates, sees the values that were written."""
    assert yaml.safe_load(write_catalog(catalog)) == msgspec.json.decode(encode_catalog(normal_catalog(catalog)))


@settings(max_examples=dose(60), deadline=None)
@given(sound_catalogs())
def test_the_normal_form_is_reached_once(catalog: Catalog) -> None:
    """Bringing a catalog into normal form twice is the same as once, and does not make it unsound."""
    once = normal_catalog(catalog)
    assert normal_catalog(once) == once
    assert check_catalog(catalog) == check_catalog(once) == []


@settings(max_examples=dose(150, full=6000), deadline=None)
@given(st.data())
def test_damaged_text_is_told_never_raised(data: st.DataObject) -> None:
    """Whatever is cut out of a catalog or put into it, reading gives a catalog or problems with places."""
    start = data.draw(st.integers(0, len(SMALL)))
    end = data.draw(st.integers(start, min(len(SMALL), start + 40)))
    put = data.draw(st.text("{}[]:,-&*!|>'\"%@`#~?\t\n 0a.\u2028\ufeff\x07\ud800", max_size=8))
    problems = problems_of(SMALL[:start] + put + SMALL[end:])
    assert all(problem.line and problem.column for problem in problems)


@settings(max_examples=dose(100), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_told_never_raised(data: bytes) -> None:
    """No bytes make reading fail in another way than by telling problems."""
    with pytest.raises(CatalogTextError):
        read_catalog(data)


def test_norway_keeps_its_country() -> None:
    """``no``, ``off``, ``yes`` and ``on`` are text where text is expected, as in YAML 1.2."""
    text = SMALL.replace("values: [basic, gold], default: basic", "values: [no, off, yes, on], default: no")
    text = text.replace("tier: true", "tier: off").replace("regions: [eu]", "regions: [no, eu]")
    catalog = read_catalog(text)
    assert catalog.plans["free"].versions["2026-01"].includes["tier"] == "off"
    assert catalog.features["europe"].regions == ("no", "eu")


def test_numbers_of_the_core_schema() -> None:
    """Octal and hexadecimal numbers are read as YAML 1.2 writes them; keys are text whatever they look like."""
    text = SMALL.replace("calls: 1000", "calls: 0o17").replace("projects: 30", "projects: 0x1F")
    includes = read_catalog(text).plans["team"].versions
    assert includes["2026-01"].includes["calls"] == 15
    assert includes["2026-07"].includes["projects"] == 31
    sold = read_catalog(SMALL.replace("p1:", "4711:")).orders["shop"]
    assert "4711" in sold


def test_dates_are_text_where_text_is_expected_and_times_where_times_are() -> None:
    """A date alone is midnight in UTC for a time, and stays text as a title."""
    text = SMALL.replace("trial: P14D", "available_from: 2026-02-03").replace(
        "title: Single sign-on", "title: 2026-01-01"
    )
    catalog = read_catalog(text)
    begins = catalog.plans["team"].versions["2026-01"].available_from
    assert begins is not None
    assert to_instant(begins) == parse_instant("2026-02-03T00:00:00Z")
    assert catalog.features["sso"].title == "2026-01-01"


def test_null_means_left_out_where_that_is_allowed() -> None:
    """``null`` and nothing at all stand for an absent optional field."""
    assert read_catalog(SMALL.replace("maximum: 3", "maximum: null")).addons["more"].maximum is None
    assert read_catalog(SMALL.replace("trial: P14D", "trial:")).plans["team"].versions["2026-01"].trial is None


def test_a_version_may_name_the_product() -> None:
    """The product may stand in the versions instead of the plan, as long as they agree."""
    inside = SMALL.replace("    product: app\n", "").replace("2026-01: {includes", "2026-01: {product: app, includes")
    inside = inside.replace("        trial: P14D", "        product: app\n        trial: P14D")
    assert read_catalog(inside) == read_catalog(SMALL)
    differing = inside.replace("2026-07: {", "2026-07: {product: other, ")
    assert told(differing) == [
        "28:26: plans.team.versions.2026-07.product: all versions of a plan belong to one product; name it once, "
        "beside versions"
    ]


def test_json_with_tabs_and_surrogate_pairs() -> None:
    """Indented JSON, escaped slashes and characters beyond the basic plane, as JSON writers produce them, are read."""
    plain = encode_catalog(read_catalog(SMALL)).decode()
    tabbed = msgspec.json.format(plain, indent=2).replace("  ", "\t")
    tabbed = tabbed.replace("Single sign-on", "Sign \\ud83d\\ude00 \\/ \\u00e9 \\\\ud83d")
    assert read_catalog(tabbed).features["sso"].title == "Sign \U0001f600 / é \\ud83d"


def test_problems_in_json_have_places() -> None:
    """Mistakes in JSON are told with line and column as in YAML."""
    text = msgspec.json.format(encode_catalog(read_catalog(SMALL)).decode(), indent=2)
    broken = text.replace('"P14D"', '"14 days"')
    line = next(number for number, each in enumerate(broken.splitlines(), 1) if "14 days" in each)
    assert told(broken)[0].startswith(f"{line}:20: plans.team.versions.2026-01.trial: ")


def test_everything_is_told_at_once() -> None:
    """Several mistakes in different places come back together, in the order of the text."""
    text = SMALL.replace("then: free", "then: fre").replace("ladder: card", "ladder: cart").replace("P7D", "7 days")
    assert [line.split(": ")[1] for line in told(text)] == [
        "plans.team.versions.2026-01.then",
        "plans.team.versions.2026-01.ladder",
        "ladders.card[1].after",
    ]


def test_the_error_names_the_document() -> None:
    """The error's text has one line for each problem, beginning with the document's name."""
    with pytest.raises(CatalogTextError) as caught:
        read_catalog("version: 1", "shop.yaml")
    assert str(caught.value).splitlines()[0] == 'shop.yaml:1:1: a catalog needs "products"'


def test_hostile_text_is_refused_early() -> None:
    """Alias bombs, deep nesting, too many bytes, NUL and other encodings are refused with a plain reason."""
    bomb = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(50))
    assert any("alias" in line for line in told(bomb))
    assert told("[" * 100_000) == [f"1:{MAX_DEPTH + 1}: nested deeper than {MAX_DEPTH} levels"]
    assert told("a: " * 2 + "{" * 50)[0].startswith("1:")
    size = MAX_CATALOG_BYTES + 1
    assert told("#" * size) == [f"1:1: the document has {size:,} bytes; at most {MAX_CATALOG_BYTES:,} are read"]
    assert told("version: 1\n# \0") == ["2:3: the text contains a NUL character"]
    assert told(b"version: 1 # \xff") == ["1:1: the text is not UTF-8 at byte 13; save it as UTF-8"]
    assert told("version: 1 # \ud800") == ["1:1: the text is not UTF-8 at byte 13; save it as UTF-8"]
    assert told("") == ["1:1: the document is empty; it begins with version: 1"]
    assert told("just text") == ['1:1: the document is a mapping, not "just text"']


def test_a_byte_order_mark_is_no_mistake() -> None:
    """A file saved with a byte order mark is read like one without."""
    assert read_catalog(b"\xef\xbb\xbf" + SMALL.encode()) == read_catalog(SMALL)


def test_at_most_two_hundred_problems_are_told() -> None:
    """A document in which everything is wrong is told in bounded length and time."""
    many = "version: 1\nproducts: {}\nplans: {}\nfeatures:\n" + "".join(
        f"  f{i}: {{type: nope}}\n" for i in range(5_000)
    )
    assert len(told(many)) == 200


def test_what_is_written_is_pleasant_to_read() -> None:
    """Written YAML uses short forms, plain words and one line for small things."""
    text = SMALL.replace("projects: 20", "projects: {amount: '20'}").replace("editor: true", "editor: {on: true}")
    written = write_catalog(read_catalog(text))
    assert "  sso: {type: switch, title: Single sign-on}\n" in written
    assert "          projects: 20\n" in written
    assert "          editor: true\n" in written
    assert "    - {after: P7D, do: restrict, features: [sso]}\n" in written
    assert "  europe: {type: switch, when: 'context.region == \"eu\"', regions: [eu]}\n" in written
