"""Recorded conversations, drawn as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from llm_strategy.chat_tree import ChatTree
from llm_strategy.cli.places import counted, printable
from llm_strategy.redaction import scrub, scrub_reply
from llm_strategy.transcript import message_text

_WIDTH = 120


def drawn(tree: ChatTree) -> Iterator[str]:
    """One line per message: its role, and the line that tells it from others in its place."""
    pending = [(node, "", "") for node in reversed(tree.children)]
    while pending:
        node, lead, corner = pending.pop()
        yield f"{lead}{corner}{_line(node, tree)}"
        below = lead + {"├─ ": "│  ", "└─ ": "   "}.get(corner, "")
        children = node.children
        corners = ["├─ "] * (len(children) - 1) + ["└─ "] if len(children) > 1 else [""] * len(children)
        pending += reversed([(child, below, corner) for child, corner in zip(children, corners, strict=True)])


def summary(tree: ChatTree) -> str:
    """How many conversations there are."""
    return counted(sum(not node.children for node in tree), "conversation")


def _line(node: ChatTree, tree: ChatTree) -> str:
    assert node.message is not None
    others = [_lines(other) for other in (node.parent or tree).children if other is not node]
    own = _lines(node)
    telling = [line for line in own if line.strip() and not _in_all(line, others)]
    first = next((line for line in own if line.strip()), "")
    text = printable(f"{node.message.role}: {(telling or [first])[0].strip()}")
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]} ..."


def _in_all(line: str, others: Sequence[Iterable[str]]) -> bool:
    return bool(others) and all(line in other for other in others)


def _lines(node: ChatTree) -> list[str]:
    assert node.message is not None
    hide = scrub_reply if node.message.role == "assistant" else scrub
    return hide(message_text(node.message)).split("\n")
