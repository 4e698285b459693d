"""Regular expressions that mean the same on every supported Python."""

from __future__ import annotations

import re
from pathlib import Path

import llm_strategy

SOUND = (
    r'(?:[^"\\]|\\.)',
    r"(?:[^'\\]|\\.)",
    r'(?:[^"\\\x00-\x1f\x7f]|\\.)',
    r"(?:\s|\\[nr])",
    "(?:  )",
    "(?:- )",
    r"(?:%b|\n)",
    r"(?:    .*+\n|\n)",
)
"""Groups of which a round that fails has read nothing, up to the end of the text."""


def test_no_group_is_repeated_possessively_that_can_fail_half_way() -> None:
    """Before 3.11.5 `(?:a;?b)*+` also takes the "a;" of a last round that fails: python/cpython#106052, #100061.

    `(?>(?:a;?b)*)` says the same and does not.
    """
    for file in Path(llm_strategy.__file__).parent.rglob("*.py"):
        source = file.read_text("utf-8")
        for found in re.finditer(r"\)(?:[*+?]|\{[0-9,]+\})\+", source):
            before = source[: found.start() + 1]
            assert before.endswith(SOUND), f"{file.name}:{before.count(chr(10)) + 1}"
