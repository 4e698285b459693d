"""Markdown around text that others wrote, read by a Markdown parser."""

from __future__ import annotations

from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from llm_strategy.markdown import code, fenced, folded, plain, table

READER = MarkdownIt("gfm-like", {"linkify": False})
HOSTILE = [
    "<script>alert(1)</script>",
    "a | b",
    r"a \| b",
    "`",
    "``` and ` and ``",
    "@octocat fixed #123 in owner/repo#7",
    "[link](https://example.com) ![image](x) **bold** <b>",
    "</summary></details>",
    "line\nbreak",
    "- list\n# heading\n```\ncode",
    " blanks ",
    "\\",
]
TEXTS = st.text(st.sampled_from("a `|\\<>@#*_[]()~-!&;\n"), max_size=20)


def shown(text: str) -> str:
    """What HTML says for the text."""
    return escape(text, quote=False).replace('"', "&quot;")


@given(TEXTS)
@example("a\rb")
def test_code_is_one_span(text: str) -> None:
    """Whatever the text, it is code on one line, where nothing in it means anything."""
    one_line = " ".join(plain(text).split("\n"))
    if one_line.strip():
        assert READER.render(f"x {code(text)} y") == f"<p>x <code>{shown(one_line)}</code> y</p>\n"
    else:
        assert code(text) == ""


@given(st.lists(TEXTS, min_size=2, max_size=2))
@example([r"a \| b", r"\|"])
def test_a_table_has_the_cells_it_is_given(texts: list[str]) -> None:
    """No bar in a text begins a cell, in code or behind a backslash."""
    html = READER.render(table(["first", "second"], [[code(text) for text in texts]]))
    assert html.count("<td") == 2
    assert html.count("<tr>") == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_a_block_ends_where_its_text_does(text: str) -> None:
    """Its fences are longer than any in the text."""
    assert READER.render(fenced(text)) == f'<pre><code class="language-text">{shown(text)}\n</code></pre>\n'


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_folded_stays_inside(text: str) -> None:
    """No text closes the element that it is folded into."""
    html = READER.render(folded("title", f"{code(text)}\n\n{fenced(text)}") + "\n\nafter")
    assert html.count("</details>") == 1
    assert html.endswith("</details>\n<p>after</p>\n")


def test_what_cannot_be_seen_is_named() -> None:
    """Control characters, turned writing and halves of characters show as their numbers, and can be written to a file."""
    assert plain("a\x1b[31mb\u202ec\ud800\r\nd\te") == "a<U+001B>[31mb<U+202E>c<U+D800>\nd\te"
    fenced("\ud800").encode("utf-8")
