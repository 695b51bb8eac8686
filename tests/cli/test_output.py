"""What is printed: plain text when piped, colors only on a terminal, one JSON object with --json, nothing harmful."""

import io
import json
from typing import Any

from licet.cli.catalog_text import change_lines
from licet.cli.customer_text import customer_lines
from licet.cli.output import Line, Output, harmless, pieces, plain, styled
from licet.cli.places import placed
from licet.cli.problem_text import problem_lines
from licet.cli.words import quantity


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def test_plain_lines_carry_no_styles_and_no_markup() -> None:
    """A styled line comes out as its text when the stream is no terminal, brackets untouched."""
    stream = io.StringIO()
    Output(stream=stream).line([("[bold]acme[/bold]", "bold"), " is ", ("here", "green")])
    assert stream.getvalue() == "[bold]acme[/bold] is here\n"


def test_a_terminal_gets_colors_and_still_no_markup() -> None:
    """On a terminal the style becomes an escape sequence; what looks like markup stays text."""
    stream = Terminal()
    Output(stream=stream).line([("[red]acme[/red]", "bold")])
    assert "[red]acme[/red]" in stream.getvalue()
    assert styled(("x", "bold")).spans[0].style == "bold"


def test_control_and_direction_characters_never_reach_the_terminal() -> None:
    """Escape sequences and bidirectional overrides in names are shown as a replacement character."""
    assert harmless("a\x1b[2Jb\u202ec\x9b1m\r") == "a�[2Jb�c�1m�"
    assert harmless("tab\tand\nline") == "tab\tand\nline"


def test_json_prints_one_object_and_no_text() -> None:
    """With --json only the document is printed, and it is whole JSON with non-ASCII text as it is."""
    stream = io.StringIO()
    out = Output(as_json=True, stream=stream)
    out.line("for people")
    out.table(["a"], [["b"]])
    out.document({"name": "Zoë"})
    assert json.loads(stream.getvalue()) == {"name": "Zoë"}
    assert "Zoë" in stream.getvalue()


def test_tables_are_aligned_and_never_cut_off() -> None:
    """Every cell is printed whole, figures to the right, however wide the table gets."""
    stream = io.StringIO()
    wide = "x" * 300
    Output(stream=stream).table(["name", "count"], [["a", "1"], [wide, "1000"]], right=[1])
    head, first, second = stream.getvalue().splitlines()
    assert second == f"{wide}   1000"
    assert first == "a" + " " * 299 + "      1"
    assert head.endswith("  count")


class Narrow(Output):
    """A terminal of 80 columns."""

    @property
    def width(self) -> int | None:
        """Return 80."""
        return 80


def test_a_table_that_is_too_wide_goes_on_below_each_row() -> None:
    """On 80 columns what does not fit follows below its row by name, whole; no line but an unbreakable is longer."""
    stream = io.StringIO()
    note = "a note of many words " * 9
    rows: list[list[Line]] = [
        ["1", "k" * 16, "orders catalog:read", note.strip(), ""],
        ["20", "k", "check", "", "acme"],
    ]
    Narrow(stream=stream).table(["seq", "key", "scopes", "note", "customer"], rows, right=[0])
    said = stream.getvalue().splitlines()
    assert said[:2] == ["seq  key               scopes", f"  1  {'k' * 16}  orders catalog:read"]
    assert said[2].startswith("    note      a note of many words a note")
    assert "".join(said).count("note") == 10
    assert said[-2:] == [" 20  k                 check", "    customer  acme"]
    assert max(map(len, said)) <= 80


def test_a_problem_shows_its_line_and_a_caret() -> None:
    """A problem with line and column shows the source line and a caret under the very column, then the suggestion."""
    text = "version: 1\nplans:\n  team: {produkt: x}\n"
    problem = {"path": "plans.team", "line": 3, "column": 10, "message": "unknown field", "suggestion": "product"}
    out = io.StringIO()
    Output(stream=out).lines(problem_lines("c.yaml", text, [problem]))
    lines = out.getvalue().splitlines()
    assert lines[0] == "c.yaml:3:10: unknown field (plans.team)"
    assert lines[1] == "    3 │   team: {produkt: x}"
    assert lines[2].index("^") == lines[1].index("produkt")
    assert "did you mean product?" in lines[3]
    assert "1 problem in c.yaml" in out.getvalue()


def test_carets_stand_right_behind_wide_characters() -> None:
    """A caret after Chinese characters and tabs is placed by columns of the terminal."""
    text = "\t你好: x"
    out = io.StringIO()
    Output(stream=out).lines(problem_lines("c", text, [{"path": "", "line": 1, "column": 6, "message": "m"}]))
    assert out.getvalue().splitlines()[2] == "      │ " + " " * 7 + "^"


def test_a_problem_far_to_the_right_is_still_shown() -> None:
    """Of a very long line an excerpt around the column is shown, with the caret inside it."""
    text = "a" * 5000 + "!" + "b" * 5000
    out = io.StringIO()
    Output(stream=out).lines(problem_lines("c", text, [{"path": "", "line": 1, "column": 5001, "message": "m"}]))
    shown, caret = out.getvalue().splitlines()[1:3]
    assert len(shown) < 200
    assert shown[caret.index("^")] == "!"


def test_problems_of_meaning_are_placed_by_their_path() -> None:
    """A problem without a line gets that of its path, or of the nearest part of it that is written."""
    text = 'plans:\n  team:\n    versions:\n      2026-01: {includes: {"a b": 1}}\nladders:\n  card: [{after: P0D}]\n'
    paths = {
        'plans.team.versions.2026-01.includes["a b"]': (4, 28),
        "plans.team.versions.2027-01": (3, 5),
        "ladders.card[0].after": (6, 11),
        "absent": (None, None),
        "": (None, None),
    }
    found = placed(text, [{"path": path, "message": "m"} for path in paths])
    assert [(problem.get("line"), problem.get("column")) for problem in found] == list(paths.values())
    assert placed("[", [{"path": "plans", "message": "m"}]) == [{"path": "plans", "message": "m"}]
    assert placed(text, [{"path": "plans", "line": 9, "message": "m"}])[0]["line"] == 9


def test_changes_of_a_catalog_read_as_a_diff_at_80_columns() -> None:
    """One change a line below the part it is in, in its color, values as - and +, sentences broken between words."""
    long = "The title of feature ai changes from an old and rather long one to a new one that is even longer than it."
    changes: list[dict[str, Any]] = [
        {"path": "features.ai.title", "kind": "changed", "before": "AI", "after": "AI 2", "sentence": long},
        {"path": "features.ai.unit", "kind": "removed", "before": {"one": "x"}, "after": None, "sentence": "Gone."},
        {"path": "plans.team.versions.2027-01", "kind": "added", "before": None, "after": {}, "sentence": "New."},
    ]
    answer = {"base": 3, "changes": [{**change, "effect": "live"} for change in changes]}
    lines = change_lines(answer, width=80)
    texts = [plain(line) for line in lines]
    assert max(len(text) for text in texts) <= 80
    assert [text for text in texts if text and not text.startswith(" ")][1:3] == ["features.ai", "plans.team"]
    assert "  ~ title  [all customers, at once]" in texts
    assert texts[texts.index("  ~ title  [all customers, at once]") + 1 :][:2] == ["      - AI", "      + AI 2"]
    signs = [pieces(line)[0] for line in lines if pieces(line)]
    colors = dict(piece for piece in signs if isinstance(piece, tuple) and piece[0].strip() in {"+", "-", "~"})
    assert colors == {"  ~ ": "yellow", "  - ": "red", "  + ": "green"}
    assert long in " ".join(" ".join(texts).split())
    assert "      " + long in [plain(line) for line in change_lines(answer)]
    warned = [{**change, "effect": "live", "warning": long} for change in changes[:1]]
    for many in (1, 50):
        shown = change_lines({"base": 3, "changes": warned * many})
        assert shown[-1] == ("! " + long, "yellow")


def test_a_customer_is_shown_with_all_its_facts() -> None:
    """Mail, country, region and attributes have lines of their own, an override its amount and its end."""
    row = {
        "id": "acme",
        "email": "it@acme.example",
        "profile": {"region": "eu", "country": "DE", "attributes": {"tier": "gold"}},
    }
    override = {"id": "ovr_1", "feature": "ai", "amount": 3000, "starts_at": "2026-01-01T00:00:00Z"}
    shown = "\n".join(plain(line) for line in customer_lines(row, {"revision": 1, "terms": {"overrides": [override]}}))
    for words in ("it@acme.example", "DE", "eu", "tier = gold", "give ai 3,000 from 2026-01-01"):
        assert words in shown


def test_amounts_have_their_thousands_apart() -> None:
    """Four digits are grouped as well, decimals stay, and words are left alone."""
    assert quantity({"amount": 3000, "unit": "AI credits"}) == "3,000 AI credits"
    assert quantity({"amount": "1234567.50", "unit": "GB"}) == "1,234,567.50 GB"
    assert quantity({"amount": "unlimited", "unit": None}) == "unlimited"
