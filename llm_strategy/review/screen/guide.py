"""The help that lies over the screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from llm_strategy.review.screen.painting import MUTED, styled

_KEYS = (
    ("a", "accept the new answer"),
    ("r", "reject it: the old one comes back"),
    ("s", "skip: it stays pending"),
    ("A  R", "accept, reject all that the same cause has led to"),
    ("u", "undo the last decision, one of an earlier day too"),
    ("n  p", "next, previous; arrows move too"),
    ("enter", "fold or unfold a cause"),
    ("tab", "to the other pane, and back"),
    ("/", "filter; escape shows all again"),
    ("t", "light or dark"),
    ("q", "quit; all decisions are on the disk"),
)


class Guide(ModalScreen[None]):
    """What the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "close")]

    def compose(self) -> ComposeResult:
        lines = [styled(f"{keys:>7}  ", "bold $text-primary") + Content(text) for keys, text in _KEYS]
        with VerticalScroll(id="guide"):
            yield Static(styled("Keys", "bold"))
            yield Static(Content("\n").join(lines))
            yield Static(styled("escape closes this", MUTED))
