"""What models put around a reply, or do to it, and what is read all the same: each leaves the value exact."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

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


def _bare(reply: str) -> str:
    """The value alone, as it is written: reading and writing it anew could round its numbers."""
    return reply.partition(":")[2].rpartition("}")[0].strip()


_KNOWN: Mapping[str, Noise] = {
    "fence with tag": _around("```json\n", "\n```"),
    "fence": _around("```\n", "\n```\n"),
    "prose before": _around("Here it is:\n\n", ""),
    "prose with braces": _around("Sure! With {braces} and [brackets]: ", " {That} is all."),
    "prose after": _around("", "\n\nI hope this helps."),
    "thoughts": _around("<think>{Is} it so? It is.</think>\n\n", ""),
    "byte order mark": _around("\ufeff", ""),
    "two objects": lambda reply: f"{reply}\n{reply}",
    "trailing comma": _in_last_place(","),
    "line comment": _in_last_place(" // done\n"),
    "comment": _in_last_place(" /* done */ "),
    "doubly encoded": json.dumps,
    "bare value": _bare,
}
_NOT_READ = {
    "trailing comma",
    "line comment",
    "comment",
    "doubly encoded",
    "bare value",
}
"""What the library refuses so far."""

NOISE: tuple[Noise, ...] = (*BLANKS, *(noise for name, noise in _KNOWN.items() if name not in _NOT_READ))
