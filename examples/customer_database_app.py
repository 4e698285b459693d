"""The customer database as a screen: customers and their ages from a model, and a search in plain words.

    pip install "llm-strategy[openai,tui]"
    python examples/customer_database_app.py

Like customer_database.py, whose classes and cassette it uses: without a key it replays, with one it asks the model,
and with `--record` it keeps the answers. Models take seconds: each question is asked in a thread, and the screen goes
on meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from itertools import count
from pathlib import Path
from threading import Thread
from typing import ClassVar, TypeVar

from customer_database import (
    CASSETTE,
    FAILURES,
    QUERIES,
    Customer,
    MockCustomerDatabase,
    choose_mode,
    explain,
    introduce,
    recorded_queries,
    search,
)

from llm_strategy import use_cassette

try:
    from rich.text import Text
    from textual import on, work
    from textual.app import App, ComposeResult
    from textual.binding import Binding, BindingType
    from textual.containers import Horizontal, VerticalScroll
    from textual.content import Content
    from textual.events import Resize
    from textual.suggester import SuggestFromList
    from textual.widgets import Button, DataTable, Footer, Input, Static
except ModuleNotFoundError:
    sys.exit('The screen is drawn by textual: pip install "llm-strategy[tui]>=3.0.0a1"')

T = TypeVar("T")
AGES_AT_ONCE = 4
UNKNOWN, FAILED = "…", "?"


async def in_thread(question: Callable[[], T]) -> T:
    """The answer to a question. Its thread is one that nobody waits for: who quits need not sit out a slow model."""
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:  # noqa: BLE001  # a CassetteMiss is no Exception; it is raised where one waits
            answer.set_exception(error)

    answer.set_running_or_notify_cancel()
    Thread(target=copy_context().run, args=(ask,), daemon=True).start()
    return await asyncio.wrap_future(answer)


class CustomerApp(App[None]):
    """A search, and the customers that fit it; what is wrong stands below them."""

    TITLE = "Customers"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (76, "-wide")]  # noqa: RUF012  # no class variable to textual
    VERTICAL_BREAKPOINTS = [(0, "-low"), (14, "-high")]  # noqa: RUF012  # nor this
    CSS = """
    #bar { height: 1; padding: 0 2; background: $panel; }
    #title { width: auto; margin: 0 2 0 0; color: $text-primary; text-style: bold; }
    #source { width: 1fr; text-align: right; color: $foreground-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    #search { margin: 1 1 0 1; border: round $surface-lighten-2; background: $background; }
    #search:focus { border: round $border; background-tint: $foreground 0%; }
    #tries { height: 1; margin: 0 2; }
    #tries > Static { width: auto; margin: 0 2 0 1; color: $foreground-muted; }
    #tries > Button { margin: 0 2 0 0; min-width: 0; background: $background; color: $text-primary; text-style: none; }
    #tries > Button:hover, #tries > Button:focus { text-style: underline; }
    #status { height: 1; margin: 1 3 0 3; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
    #status.-busy { color: $text-warning; }
    #customers { width: 100%; height: 1fr; margin: 1 1 0 1; background: $background; scrollbar-size: 1 1; }
    #customers:focus { background-tint: $foreground 0%; }
    #customers > .datatable--fixed { background: $background; }
    #notice { display: none; width: 100%; height: auto; max-height: 60%; margin: 0 1; padding: 0 1; }
    #notice { border: round $warning; border-title-color: $text-warning; border-subtitle-color: $foreground-muted; }
    #notice { scrollbar-size: 1 1; }
    #notice.-shown { display: block; }
    .-narrow #source, .-narrow #tries { display: none; }
    .-narrow #search { margin: 0; }
    .-narrow #status { margin: 0 1; }
    .-narrow #customers, .-narrow #notice { margin: 0; }
    .-low #search { height: 1; margin: 0 1; border: none; }
    .-low #tries { display: none; }
    .-low #status { margin: 0 2; }
    .-low #customers { margin: 0; scrollbar-size: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "focus_search", "search", key_display="/"),
        Binding("escape", "clear", "show all", key_display="esc"),
        Binding("ctrl+n", "load", "new customers"),
        Binding("ctrl+s", "screenshot", "screenshot"),
        Binding("ctrl+t", "toggle_theme", "light or dark"),
        Binding("ctrl+q", "quit", "quit"),
        Binding("down", "focus_customers", "customers", show=False),
    ]

    def __init__(self, mode: str = "replay") -> None:
        super().__init__()
        self._mode = mode
        self._database = MockCustomerDatabase([])
        self._rows: dict[int, str] = {}
        self._ages: dict[str, str] = {}
        self._free = asyncio.Semaphore(AGES_AT_ONCE)
        self._tries = recorded_queries() or QUERIES
        if os.environ.get("COLORFGBG", "").endswith((";7", ";15")):  # what terminals with a light background set
            self.theme = "textual-light"

    def compose(self) -> ComposeResult:
        with Horizontal(id="bar"):
            yield Static(self.TITLE, id="title")
            yield Static(Content(introduce(self._mode)), id="source")
        field = Input(placeholder=f"Who are you looking for? “{self._tries[0]}”", id="search")
        field.suggester = SuggestFromList(self._tries, case_sensitive=False)
        yield field
        with Horizontal(id="tries"):
            yield Static("try")
            for query in self._tries:
                yield Button(Content(query), name=query, compact=True)
        yield Static(id="status")
        yield DataTable[Text](id="customers", cursor_type="row", fixed_columns=1, cell_padding=2)
        with VerticalScroll(id="notice"):
            yield Static()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        for name in ("Name", "Age", "Born", "Address", "Key"):
            table.add_column(Text(name, justify="right" if name == "Age" else "left"), key=name)
        self.query_one("#notice").border_subtitle = "esc closes this"
        self.action_load()

    # What the model is asked

    async def _ask(self, question: Callable[[], T]) -> T:
        def ask() -> T:
            # Each question opens the cassette anew, so that a search that is made twice is replayed twice.
            with use_cassette(CASSETTE, mode=self._mode):
                return question()

        return await in_thread(ask)

    @work(exclusive=True, group="load")
    async def action_load(self) -> None:
        """Have customers made up, and show them; their ages follow as they come."""
        self.workers.cancel_group(self, "search")
        database = MockCustomerDatabase([])
        self._begin("The model makes up customers …")
        try:
            await self._ask(database.load)
        except FAILURES as failure:
            self._show(self._database.customers)
            self._complain("There are no new customers", explain(failure))
            return
        for group in ("ages", "search"):
            self.workers.cancel_group(self, group)
        # By identity: a model may make up the same customer twice.
        self._rows = {id(customer): str(number) for number, customer in enumerate(database.customers)}
        self._database, self._ages = database, {}
        self._show(database.customers)
        for customer in database.customers:
            self._find_age(customer)

    @work(group="ages")
    async def _find_age(self, customer: Customer) -> None:
        row = self._rows[id(customer)]
        try:
            async with self._free:
                self._ages[row] = str(await self._ask(lambda: customer.age))
        except FAILURES as failure:
            self._ages[row] = FAILED
            self._complain(f"The age of {customer.first_name} {customer.last_name} is not known", explain(failure))
        table = self.query_one(DataTable)
        if row in table.rows:
            table.update_cell(row, "Age", Text(self._ages[row], justify="right"))

    @work(exclusive=True, group="search")
    async def _search(self, query: str) -> None:
        database = self._database
        if not database.customers:
            self._complain(
                "There is nobody to search", "Wait until the model has made up customers, or ask it to: ctrl+n."
            )
            return
        self._begin(f"Looking for “{query}” …")
        try:
            found = await self._ask(lambda: search(database, query))
        except FAILURES as failure:
            self._show(database.customers)
            self._complain("No answer to this search", explain(failure, query))
            return
        number = f"{len(found)} of {len(database.customers)} customers for" if found else "Nobody fits"
        self._show(found, f"{number} “{query}”{', best match first' if len(found) > 1 else ''}")
        if found:
            self.query_one(DataTable).focus()

    # What is shown

    def _begin(self, doing: str) -> None:
        """Say that the model is being asked."""
        self.query_one("#notice").remove_class("-shown")
        self._tell(doing, busy=True)
        self.query_one(DataTable).loading = True

    def _show(self, customers: list[Customer], told: str = "") -> None:
        table = self.query_one(DataTable)
        table.loading = False
        table.clear()
        for customer in customers:
            row = self._rows[id(customer)]
            name = f"{customer.first_name} {customer.last_name}"
            cells = [name, self._ages.get(row, UNKNOWN), customer.birthdate, customer.address, customer.key]
            # Text, since a string would be read as markup.
            table.add_row(
                *(Text(plain(cell), justify="right" if at == 1 else "left") for at, cell in enumerate(cells)), key=row
            )
        self._tell(told or f"{len(customers)} customers", busy=False)
        self.refresh_bindings()

    def _tell(self, text: str, *, busy: bool) -> None:
        status = self.query_one("#status", Static)
        status.update(Content(plain(text)))
        status.set_class(busy, "-busy")

    def _complain(self, title: str, text: str) -> None:
        notice = self.query_one("#notice", VerticalScroll)
        notice.border_title = Content(plain(title))
        notice.query_one(Static).update(Content("\n".join(map(plain, text.splitlines()))))
        notice.add_class("-shown").scroll_home(animate=False)

    # Keys and mouse

    def on_resize(self, event: Resize) -> None:
        """Leave out the queries to try, and the space between columns, for which there is no room."""
        self.query_one(DataTable).cell_padding = 2 if event.size.width >= 100 else 1
        room = event.size.width - 9
        for button in self.query("#tries > Button"):
            room -= len(str(button.name)) + 4
            button.display = room >= 0

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  # textual's own
        if action == "focus_search":
            return not self.query_one(Input).has_focus
        # A recording holds one set of customers, which another load would bring again.
        return action != "load" or self._mode in ("live", "all") or not self._database.customers

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self._search(event.value.strip())
        else:
            self.action_clear()

    @on(Button.Pressed)
    def _tried(self, event: Button.Pressed) -> None:
        query = str(event.button.name)
        self.query_one(Input).value = query
        self._search(query)

    def action_clear(self) -> None:
        """Break off what is asked, and show all customers."""
        for group in ("load", "search"):
            self.workers.cancel_group(self, group)
        self.query_one("#notice").remove_class("-shown")
        self.query_one(Input).value = ""
        self._show(self._database.customers)

    def action_focus_search(self) -> None:
        self.query_one(Input).focus()

    def action_focus_customers(self) -> None:
        self.query_one(DataTable).focus()

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Draw the screen into a file that is not there yet."""
        names = (Path(path or "", filename or f"customers-{number}.svg") for number in count(1))
        target = next(name for name in names if filename or not name.exists())
        try:
            target.write_text(self.export_screenshot(), "utf-8")
        except OSError as error:
            self._complain("The screenshot was not written", str(error))
        else:
            self.notify(str(target.absolute()), title="Screenshot", markup=False)

    def action_toggle_theme(self) -> None:
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"


def plain(text: str) -> str:
    """A line without characters that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def main() -> int | str | None:
    parser = argparse.ArgumentParser(description="Search customers in plain words, on a screen.")
    parser.add_argument(
        "--record", action="store_true", help=f"ask for what {CASSETTE.name} lacks, and keep the answers"
    )
    options = parser.parse_args()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "The screen needs a terminal; customer_database.py prints instead."
    try:
        app = CustomerApp(choose_mode(options.record))
    except FAILURES as failure:
        return explain(failure)
    app.run()
    return app.return_code


if __name__ == "__main__":
    sys.exit(main())
