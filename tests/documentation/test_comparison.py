"""The tables of the page that compares us with others are what was found, and the page names what it was found of."""

from __future__ import annotations

import json
import re

from tests.documentation.comparison import COMMAND, FOUND, PAGE, RECORDERS, SITUATIONS, written

TEXT = PAGE.read_text("utf-8")
WHAT = json.loads(FOUND.read_text("utf-8"))


def test_the_tables_are_what_was_found() -> None:
    """Nobody has typed a figure; the command writes them anew."""
    assert written(TEXT).rstrip("\n") + "\n" == TEXT, f"other figures: {COMMAND}"


def test_nothing_that_was_tried_is_left_out() -> None:
    """Each situation has a row, also where we do not do best."""
    assert set(WHAT["situations"]) == set(RECORDERS)
    for found in WHAT["situations"].values():
        assert set(found) == set(SITUATIONS)


def test_no_figure_stands_in_the_prose() -> None:
    """It would not change with those in the tables."""
    prose = TEXT.partition("<!-- From here on")[0]
    assert re.findall(r"\d+(?:\.\d+)?x\b|\d+ (?:ms|times)\b", prose) == []


def test_what_the_prose_says_was_found() -> None:
    """Its sentences about what others do in these situations; a new version that does better fails here."""
    tried = WHAT["situations"]
    assert [tried[which]["other_prompt"] for which in ("vcrpy", "cassetter")] == ["the old answer"] * 2
    assert [tried[which]["kept"][0] for which in ("vcrpy", "promptecho")] == ["0", "0"]
    assert (tried["vcrpy"]["key_in_header"], tried["cassetter"]["key_in_prompt"]) == ("stored", "stored")
    assert tried["vcrpy"]["overlapping"] == "mixed up"
    assert tried["cassetter"]["key_in_header"] == "not stored"
    assert tried["promptecho"]["other_prompt"].startswith("refused")
    assert tried["promptecho"]["nested"].startswith("refused")
    assert {tried["promptecho"][f"client:{name}"][:2] for name in ("openai", "requests", "aiohttp", "boto3")} == {"no"}
    assert tried["promptecho"]["client:httpx"] == "yes"
    assert set(tried["llm-strategy"].values()) == {
        "yes",
        "refused, and both texts are shown",
        "not stored",
        "5 of 5 kept",
        "is replayed",
        "each block has its own",
    }
