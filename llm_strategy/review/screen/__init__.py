"""The review as a screen in the terminal. textual, which the extra `tui` installs, is imported in this package only."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Input, Static

from llm_strategy.difference.hunks import visible
from llm_strategy.errors import LLMStrategyError
from llm_strategy.redaction import scrub
from llm_strategy.review.panes import matching, panes, severity, values, verdict
from llm_strategy.review.screen import painting
from llm_strategy.review.screen.guide import Guide
from llm_strategy.review.screen.widgets import Causes, Choice, Detail

if TYPE_CHECKING:
    from llm_strategy.review import Pending, Review

_Groups = dict[str, list["Pending"]]
_MOST_LISTED = 50
"""Calls of a cause whose new values are listed."""
_FAILURES = (LLMStrategyError, OSError)
_NOTHING = """\
Nothing is pending.

`pytest --llm-record=all` asks every recorded call afresh, and
`pytest --llm-record` what has no recording any more.
Answers that replace older ones then wait here for you."""
_DONE = """\
All is decided.

Commit the cassettes, or press u to take a decision back."""


def run(review: Review) -> int:
    """Let a person decide on a screen; returns the exit code when they leave it."""
    app = ReviewApp(review)
    app.run()
    return app.return_code or 0


class ReviewApp(App[None]):
    """Causes on the left, what there is to judge on the right; below the other where the terminal is narrow."""

    CSS_PATH = "screen.tcss"
    TITLE = "llm-strategy review"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # no class variable to textual
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept", "accept"),
        Binding("r", "reject", "reject"),
        Binding("s", "skip", "skip"),
        Binding("A", "accept_all", "accept all"),
        Binding("R", "reject_all", "reject all"),
        Binding("u", "undo", "undo"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("n", "step(1)", "next", show=False),
        Binding("p", "step(-1)", "previous", show=False),
        Binding("t", "toggle_theme", "light or dark", show=False),
        Binding("escape", "unfilter", "show all", show=False),
    ]

    def __init__(self, review: Review) -> None:
        super().__init__()
        self._review = review
        self._groups: _Groups = {}
        self._shown: _Groups = {}
        self._decisions: list[tuple[str, int]] = []
        self._skipped: set[str] = set()
        if _is_light(os.environ.get("COLORFGBG", "")):
            self.theme = "textual-light"

    def compose(self) -> ComposeResult:
        yield Static(id="bar")
        with Container(id="empty"):
            yield Static(Content("Reading what is pending ..."), id="notice")
        with Horizontal(id="body"):
            with Vertical(id="side"):
                yield Input(placeholder="words of a cause, test, function or verdict", id="filter")
                yield Causes()
            yield Detail(id="detail")
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        await self._read()

    # What is shown

    async def _read(self) -> None:
        """Look at the files again."""
        try:
            self._groups = await asyncio.to_thread(_groups, self._review)
        except _FAILURES as error:
            self._complain(str(error))
        if self._review.problems:
            self._complain("\n".join(self._review.problems))
        self._refresh()
        self.query_one(Causes).focus()

    def _refresh(self) -> None:
        """Show what is still pending and fits the filter."""
        matches = matching(self.query_one("#filter", Input).value)
        self._shown = _selected(self._groups, matches)
        self.query_one(Causes).fill(self._shown, self._skipped)
        self.set_class(not self._groups, "-nothing")
        self.query_one("#notice", Static).update(Content(_DONE if self._decisions else _NOTHING))
        pending = len({item.id for items in self._groups.values() for item in items})
        counts: Counter[str] = Counter()
        for decision, number in self._decisions:
            counts[decision] += number
        self.query_one("#bar", Static).update(painting.bar(pending, counts, self._review.hidden))
        self._look()

    @on(Causes.NodeHighlighted)
    @on(Causes.NodeCollapsed)
    def _look(self) -> None:
        choice = self._choice()
        if choice is not None:
            self._show(*choice)

    @work(exclusive=True, group="detail")
    async def _show(self, cause: str, pending: Pending | None) -> None:
        # Who runs through the tree waits for no diff on the way.
        await asyncio.sleep(0.02)
        detail = self.query_one(Detail)
        if pending is not None:
            detail.show(painting.head(pending), await asyncio.to_thread(panes, pending))
            return
        items = self._shown.get(cause, [])
        if items:
            found = await asyncio.to_thread(panes, items[0])
            telling = painting.telling(items)
            told = [(item, values(item)) for item in telling[:_MOST_LISTED]]
            detail.show(painting.group_head(cause, items), found, painting.overview(told, len(telling)))

    def _choice(self) -> Choice | None:
        node = self.query_one(Causes).cursor_node
        return node.data if node is not None else None

    # Keys

    def action_step(self, by: int) -> None:
        self.query_one(Causes).step(by)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_unfilter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display, field.value = False, ""
        self.query_one(Causes).focus()

    @on(Input.Changed)
    def _filtered(self) -> None:
        self._refresh()

    @on(Input.Submitted)
    def _chosen(self) -> None:
        self.query_one(Causes).focus()

    def action_help(self) -> None:
        self.push_screen(Guide())

    def action_toggle_theme(self) -> None:
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"

    def action_skip(self) -> None:
        """Leave what is pending as it is, and go on."""
        self._skipped |= {item.id for item in self._chosen_items(whole=False)}
        self.query_one(Causes).step(1)
        self._refresh()

    async def action_accept(self) -> None:
        await self._decide("accept", whole=False)

    async def action_reject(self) -> None:
        await self._decide("reject", whole=False)

    async def action_accept_all(self) -> None:
        await self._decide("accept", whole=True)

    async def action_reject_all(self) -> None:
        await self._decide("reject", whole=True)

    async def action_undo(self) -> None:
        try:
            undone = await asyncio.to_thread(self._review.undo)
        except _FAILURES as error:
            self._complain(str(error))
            return
        self._say(f"taken back: {undone}" if undone else "There is nothing to take back.")
        if undone and self._decisions:
            self._decisions.pop()
        await self._read()

    # Decisions

    def _chosen_items(self, *, whole: bool) -> Sequence[Pending]:
        """What the line of the cursor stands for, or all of its cause that is shown."""
        choice = self._choice()
        if choice is None:
            return ()
        cause, pending = choice
        return self._shown.get(cause, ()) if whole or pending is None else [pending]

    async def _decide(self, decision: Literal["accept", "reject"], *, whole: bool) -> None:
        """Carry a decision out. Keys that are pressed meanwhile wait, so that decisions follow each other."""
        items = list(self._chosen_items(whole=whole))
        if not items:
            return
        try:
            decided = await asyncio.to_thread(getattr(self._review, decision), items)
        except _FAILURES as error:
            self._complain(str(error))
            await self._read()
            return
        done = {item.id for item in decided.done}
        if done:
            self._decisions.append((f"{decision}ed", len(done)))
        if len(done) > 1:
            self._say(f"{len(done):,} calls {decision}ed; u takes it back")
        self._groups = _selected(self._groups, lambda _, item: item.id not in done)
        if decided.refused:
            self._complain("\n".join(decided.refused))
            await self._read()
        else:
            self._refresh()

    def _say(self, text: str) -> None:
        self.notify(visible(scrub(text)), markup=False, timeout=4)

    def _complain(self, text: str) -> None:
        self.notify(
            "\n".join(map(visible, scrub(text).split("\n"))),
            title="That did not work",
            severity="error",
            markup=False,
            timeout=12,
        )


def _groups(review: Review) -> _Groups:
    """What is pending by its causes, in each those first that a person should look at."""
    found = review.by_cause()
    return {cause: sorted(items, key=lambda item: severity(verdict(item))) for cause, items in found.items()}


def _selected(groups: _Groups, wanted: Callable[[str, Pending], bool]) -> _Groups:
    found = {cause: [item for item in items if wanted(cause, item)] for cause, items in groups.items()}
    return {cause: items for cause, items in found.items() if items}


def _is_light(colours: str) -> bool:
    """Whether a terminal that tells its colours, as `0;15`, has a light background."""
    return colours.rpartition(";")[2] in ("7", "15")
