"""What models put around a reply, or do to it, and what is read all the same: each leaves the value exact."""

from __future__ import annotations

import json
from collections.abc import Callable

Noise = Callable[[str], str]
"""From a clean reply, a JSON object whose one property is `return_value`, to one as models send it."""


def _around(before: str, after: str) -> Noise:
    return lambda reply: f"{before}{reply}{after}"


BLANKS: tuple[Noise, ...] = (_around("", ""), _around("\n", ""), _around("", "\n"), _around(" \r\n\t", "  "))
"""What JSON itself allows: no repair, so that strict functions take it too."""


def _in_last_place(text: str) -> Noise:
    """The text before the closing brace."""

    def put(reply: str) -> str:
        inside, brace, after = reply.rpartition("}")
        return f"{inside.rstrip()}{text}{brace}{after}"

    return put


NOISE: tuple[Noise, ...] = (
    *BLANKS,
    _around("```json\n", "\n```"),
    _around("```\n", "\n```\n"),
    _around("Here it is:\n\n", ""),
    _around("Sure! With {braces} and [brackets]: ", " {That} is all."),
    _around("", "\n\nI hope this helps."),
    _around("<think>{Is} it so? It is.</think>\n\n", ""),
    _around("\ufeff", ""),
    lambda reply: f"{reply}\n{reply}",
    _in_last_place(","),
    _in_last_place(" // done\n"),
    _in_last_place(" /* done */ "),
    json.dumps,
)
