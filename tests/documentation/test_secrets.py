"""`docs/reference/secrets.md` lists what is recognised: its table is that of the rules."""

from __future__ import annotations

import re

from llm_strategy.leaks.headers import NAMES
from llm_strategy.secret_rules import PRIVATE_KEY, SECRETS
from tests.documentation.tables import document, rows

PAGE = document("reference/secrets.md")


def expected() -> list[list[str]]:
    """The rows that the table has to have."""
    return [
        [rule.kind, f"`{rule.looks}`", f"`{re.findall('<[a-z-]+>', rule.replacement)[-1]}`"]
        for rule in (PRIVATE_KEY, *SECRETS)
    ]


def test_the_table_lists_every_rule() -> None:
    """In the order in which they act; a new rule is a new row."""
    assert rows(PAGE, "| what | looks like | placeholder |") == expected()


def test_the_page_names_the_headers_that_are_secrets() -> None:
    """Those that `scan` takes for secrets by their name."""
    assert [name for name in NAMES if f"`{name}`" not in PAGE] == []
