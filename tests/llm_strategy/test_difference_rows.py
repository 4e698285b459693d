"""Two texts beside each other: which lines belong together, which words differ, what is left out."""

from __future__ import annotations

import pytest

from llm_strategy.difference.rows import MOST, Row, excerpts, rows, words

OLD = "Find the keys of the customers that match a query."


def kinds(found: list[Row]) -> list[str]:
    return [row.kind for row in found]


def marked(text: str, spans: tuple[tuple[int, int], ...]) -> list[str]:
    return [text[start:end] for start, end in spans]


def test_equal_texts_have_no_changed_row() -> None:
    """All of it is folded into one row that counts the lines."""
    assert rows("a\nb\nc", "a\nb\nc") == [Row("folded", "3 equal lines", None)]
    assert kinds(rows("a\nb\nc", "a\nb\nc", context=None)) == ["equal"] * 3


def test_the_words_that_differ_are_marked() -> None:
    """Whole words, without the blanks around them."""
    new = "Find the keys of the customers that fit the query, best first."
    (row,) = rows(OLD, new)
    assert row.kind == "changed"
    assert marked(OLD, row.old_words) == ["match", "a"]
    assert marked(new, row.new_words) == ["fit", "the", ", best first"]


def test_lines_with_little_in_common_have_no_marks() -> None:
    """Where almost every word differs, marks would say nothing."""
    assert words("Find the keys.", "Something that is altogether different") == ((), ())
    assert words("", "x") == ((), ())


def test_a_changed_blank_is_marked() -> None:
    """What cannot be read can be seen."""
    old, new = words("return 1", "return 1 ")
    assert (old, new) == ((), ((8, 9),))


def test_a_version_of_a_line_is_found_among_new_ones() -> None:
    """The line that is most alike is its partner; those around it were added."""
    found = rows("a\nfoo bar baz qux\nz", "a\nnew\nfoo bar bax qux\nmore\nz")
    assert kinds(found) == ["equal", "added", "changed", "added", "equal"]
    assert (found[2].old, found[2].new) == ("foo bar baz qux", "foo bar bax qux")


@pytest.mark.parametrize(("old", "new", "kind"), [("", "a\nb", "added"), ("a\nb", "", "removed")])
def test_a_text_that_was_not_there_has_no_rows(old: str, new: str, kind: str) -> None:
    """No empty line stands for nothing."""
    assert kinds(rows(old, new)) == [kind, kind]


def test_equal_lines_far_from_a_change_are_folded() -> None:
    """Three stay on either side; a single one is no shorter folded."""
    before = [f"line {number}" for number in range(20)]
    after = [*before]
    after[10] = "another"
    found = rows("\n".join(before), "\n".join(after))
    assert kinds(found) == ["folded", *["equal"] * 3, "changed", *["equal"] * 3, "folded"]
    assert (found[0].old, found[-1].old) == ("7 equal lines", "6 equal lines")
    assert kinds(rows("a\nb\nc\nd\nold", "a\nb\nc\nd\nnew")) == [*["equal"] * 4, "changed"]


def test_no_text_is_too_long() -> None:
    """So many rows are made, and the last says how many lines are left out; a long line is shown where it differs."""
    found = rows("\n".join(f"old {n}" for n in range(10_000)), "\n".join(f"new {n}" for n in range(10_000)))
    assert len(found) == MOST + 1
    assert found[-1] == Row("folded", "9,000 more lines are not shown here", None)
    (row,) = rows("x" * 100_000 + " old " + "y" * 100_000, "x" * 100_000 + " new " + "y" * 100_000)
    assert row.old is not None
    assert row.old.startswith("… xxx")
    assert " old " in row.old
    assert row.old.endswith(" more characters")
    assert marked(row.old, row.old_words) == ["old"]


def test_nothing_is_left_that_a_terminal_would_obey() -> None:
    """Escapes, what reorders and what has no width are written out, and tabs are blanks."""
    (row,) = rows("", "a\tb\x1b[31m\u202e\u200b")
    assert row.new == "a   b\\x1b[31m\\u202e\\u200b"


def test_excerpts_show_where_long_values_differ() -> None:
    """Short values are whole."""
    assert excerpts('"a"', '"b"', 20) == ('"a"', '"b"')
    old, new = excerpts("x" * 500 + "old", "x" * 500 + "new", 20)
    assert (old, new) == ("… xxxxxold", "… xxxxxnew")
