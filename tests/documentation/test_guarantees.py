"""`docs/reference/guarantees.md` is made from the figures of the last long run, and names tests that exist."""

from __future__ import annotations

import re

from tests.documentation.runner import CHECKOUT
from tests.faults.page import NOT_RUN, PAGE, SECTIONS, VCRPY, page, read


def test_the_page_is_what_the_figures_say() -> None:
    """Nothing of it was typed; `python -m tests.faults.page` writes it anew."""
    assert PAGE.read_text("utf-8") == page(read()), "run: python -m tests.faults.page"


def test_the_tests_that_it_names_are_there() -> None:
    """A test that was renamed proves nothing any more."""
    for file, _, test in re.findall(r"`pytest (tests/[\w/]+\.py)(::([\w:]+))?`", page(read())):
        text = (CHECKOUT / file).read_text("utf-8")
        assert not test or f"def {test.rpartition('::')[2] or test}(" in text, f"{file} has no {test}"


def test_promises_without_figures_are_visible() -> None:
    """They are written as such, and fail nothing: a long run takes longer than anybody waits for a change."""
    assert NOT_RUN in page({})
    assert page({}).count(NOT_RUN) > len([row for rows in SECTIONS.values() for row in rows if row.figures])


def test_figures_find_their_promise() -> None:
    """By the beginning of their name; what belongs to no promise is shown at the end."""
    figures = {
        "killed while recording": {
            "trials": 200,
            "lost": 0,
            "test": "tests/faults/test_kills.py::test_x",
            "on": "here",
        },
        "another fault": {"tried_ways": 12000, "on": "here"},
        VCRPY: {"killed while recording": {"vcrpy": {"lost": 752}, "ours": {"lost": 0}, "on": "there"}},
    }
    text = page(figures)
    (row,) = [line for line in text.splitlines() if "SIGKILL" in line]
    assert row.endswith(
        "| `pytest tests/faults/test_kills.py::test_x` | trials 200, lost 0 | lost 752<br>*with llm-strategy:* lost 0 |"
    )
    assert "| another fault | - | tried ways 12,000 |" in text
    assert "Counted on: here. vcrpy: there." in text
