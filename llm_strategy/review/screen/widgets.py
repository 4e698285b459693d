"""The parts of the screen: the causes as a tree, a diff, what there is to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static, Tree
from textual.widgets.tree import TreeNode

from llm_strategy.difference.rows import Row
from llm_strategy.review.panes import Panes, verdict
from llm_strategy.review.screen import painting

if TYPE_CHECKING:
    from llm_strategy.review import Pending

Choice = tuple[str, "Pending | None"]
"""What a line of the tree stands for: a cause, or what is pending because of it."""

_BESIDE = 68
"""Columns from which on two texts stand beside each other."""


class Causes(Tree[Choice]):
    """The causes, each with what is pending because of it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"causes--{name}" for name in ("cause", "error", "muted", "success", "warning")
    }

    def __init__(self) -> None:
        super().__init__("", id="causes")
        self.show_root = False
        self.guide_depth = 2
        self._groups: Mapping[str, Sequence[Pending]] = {}
        self._skipped: Set[str] = frozenset()
        self._width = 0

    def fill(self, groups: Mapping[str, Sequence[Pending]], skipped: Set[str]) -> None:
        """Show these; causes that were folded stay so, and the cursor stays where it is."""
        self._groups, self._skipped = groups, skipped
        self._width = max((len(verdict(item)) for items in groups.values() for item in items), default=0)
        line = max(self.cursor_line, 0)
        folded = {node.data[0] for node in self.root.children if node.data and not node.is_expanded}
        self.clear()
        for cause, items in groups.items():
            node = self.root.add(Text(), (cause, None), expand=cause not in folded)
            for item in items:
                node.add_leaf(Text(), (cause, item))
        self.move_to(line)

    def render_label(self, node: TreeNode[Choice], base_style: Style, style: Style) -> Text:
        if node.data is None:
            return Text()
        cause, item = node.data
        if item is None:
            pieces = [("▼ " if node.is_expanded else "▶ ", "muted"), *painting.branch(cause, self._groups[cause])]
        else:
            pieces = painting.leaf(cause, item, self._width, skipped=item.id in self._skipped)
        label = Text(style=base_style)
        for text, name in pieces:
            label.append(text, self.get_component_rich_style(f"causes--{name}") if name else None)
        label.truncate(max(self.scrollable_content_region.width - (2 if item else 0), 2), overflow="ellipsis", pad=True)
        label.stylize(style)
        return label

    def get_label_width(self, node: TreeNode[Choice]) -> int:  # noqa: ARG002  # textual's own
        # No label is wider than the tree, and those out of sight are not made.
        return 1

    def move_to(self, line: int) -> None:
        """Put the cursor on a line, or on the last one."""
        self.cursor_line = -1
        self.cursor_line = min(line, self.last_line)
        self.scroll_to_line(max(self.cursor_line, 0), animate=False)

    def step(self, by: int) -> None:
        """Go to the next pending change, or the one before, past what is a cause only."""
        line = self.cursor_line + by
        while 0 <= line <= self.last_line:
            node = self.get_node_at_line(line)
            if node is not None and node.data is not None and (node.data[1] is not None or not node.is_expanded):
                self.move_to(line)
                return
            line += by


class Diff(Widget):
    """Rows of two texts; where there is room beside each other, if that is wanted."""

    DEFAULT_CSS = "Diff { height: auto; text-wrap: nowrap; }"

    def __init__(self, *, beside: bool, id: str) -> None:
        super().__init__(id=id)
        self._beside = beside
        self._rows: Sequence[Row] = ()
        self._painted: tuple[int, list[Content]] = (0, [])

    def show(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._painted = (0, [])
        self.refresh(layout=True)

    def _lines(self, width: int) -> list[Content]:
        if self._painted[0] != width:
            both = any(row.old and row.kind != "folded" for row in self._rows) and any(row.new for row in self._rows)
            paint = painting.beside if self._beside and both and width >= _BESIDE else painting.unified
            self._painted = (width, list(paint(self._rows, width)))
        return self._painted[1]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002  # textual's own
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join(self._lines(self.content_size.width))


class Detail(VerticalScroll):
    """What there is to judge of one pending change, or of all of one cause."""

    TITLES = ("values", "Values that changed"), ("prompt", "Prompt"), ("answer", "Answer")

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="asked")
        for name, title in self.TITLES:
            yield Static(Content(title), id=f"{name}-title", classes="title")
            yield Static(id=name) if name == "values" else Diff(beside=name == "answer", id=name)

    def show(self, head: Content, found: Panes, values: Content | None = None) -> None:
        """Show one change; `values` are those of all calls of a cause, whose first one is shown."""
        self.query_one("#head", Static).update(head)
        trouble = painting.styled(found.trouble, "$text-error")
        self._fill("asked", Content("") if values is not None else trouble if found.trouble else painting.asked(found))
        self._fill("values", painting.changed_values(found.values) if values is None else values)
        self._fill_rows("prompt", found.prompt)
        self._fill_rows("answer", found.answer if values is None else ())
        self.scroll_home(animate=False)

    def _fill(self, name: str, text: Content) -> None:
        widget = self.query_one(f"#{name}", Static)
        widget.update(text)
        self._display(name, bool(text))

    def _fill_rows(self, name: str, rows: Sequence[Row]) -> None:
        self.query_one(f"#{name}", Diff).show(rows)
        self._display(name, bool(rows))

    def _display(self, name: str, visible: bool) -> None:
        for widget in self.query(f"#{name}, #{name}-title"):
            widget.display = visible
