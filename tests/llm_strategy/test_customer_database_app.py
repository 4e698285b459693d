"""The screen of the customer database, driven by textual's pilot, without a key and without a network."""

from __future__ import annotations

import html
import os
import re
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import customer_database
import customer_database_app
import pytest
from customer_database import CASSETTE, QUERIES
from customer_database_app import CustomerApp
from textual.pilot import Pilot
from textual.widgets import DataTable, Footer, Input

from examples.stand_in import running
from llm_strategy import Cassette, Request, ScriptedModel, override
from tests.llm_strategy.answers import reply

pytestmark = pytest.mark.asyncio

AFRICA = ["Tunde Bello", "Wanjiru Mwangi"]
ANA = {"key": "a", "first_name": "Ana", "last_name": "Lima", "birthdate": "1990-05-17", "address": "3 Rua, Recife"}
BEN = {"key": "b", "first_name": "Ben", "last_name": "Kay", "birthdate": "1985-01-02", "address": "8 Row, Leeds"}
_TEXT = re.compile(r'<text [^>]*?y="([\d.]+)"[^>]*>(.*?)</text>', re.DOTALL)


@pytest.fixture(autouse=True)
def _no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell without a key, in a folder that may be written to."""
    monkeypatch.chdir(tmp_path)
    for name in ("LLM_STRATEGY_MODEL", "LLM_STRATEGY_RECORD", "OPENAI_BASE_URL", "OPENAI_API_KEY", "COLORFGBG"):
        monkeypatch.delenv(name, raising=False)


class Screen:
    """The app, what a person sees of it, and their keys."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        self.app = pilot.app

    async def search(self, query: str) -> list[str]:
        """Ask a query and wait for its answer; returns the names in the table."""
        await self.ask(query)
        await self.settled()
        return self.names

    async def ask(self, query: str) -> None:
        field = self.app.query_one(Input)
        field.focus()
        field.value = query
        await self.pilot.press("enter")

    async def settled(self) -> None:
        """Wait until nobody is asked any more."""
        await self.pilot.pause()
        while any(not worker.is_finished for worker in self.app.workers):
            await self.pilot.pause(0.01)
        await self.pilot.pause()

    async def until(self, text: str) -> None:
        while text not in self.text:
            await self.pilot.pause(0.01)

    @property
    def rows(self) -> list[list[str]]:
        table = self.app.query_one(DataTable)
        return [[cell.plain for cell in table.get_row_at(row)] for row in range(table.row_count)]

    @property
    def names(self) -> list[str]:
        return [row[0] for row in self.rows]

    @property
    def ages(self) -> list[str]:
        return [row[1] for row in self.rows]

    @property
    def text(self) -> str:
        """The screen, line by line."""
        lines: dict[str, str] = {}
        for height, piece in _TEXT.findall(self.app.export_screenshot()):
            lines[height] = lines.get(height, "") + html.unescape(piece).replace("\xa0", " ").rstrip("\n")
        return "\n".join(lines.values())

    @property
    def words(self) -> str:
        """The screen without its lines and borders: a notice breaks where there is no more room."""
        return " ".join(re.sub("[─│╭╮╰╯]", " ", self.text).split())


@asynccontextmanager
async def screen(
    mode: str = "replay", size: tuple[int, int] = (110, 34), *, wait: bool = True
) -> AsyncIterator[Screen]:
    async with CustomerApp(mode).run_test(size=size, notifications=True) as pilot:
        opened = Screen(pilot)
        if wait:
            await opened.settled()
        yield opened


def people(*, found: Any = (), age: Any = 35, made: Any = (ANA, BEN)) -> dict[str, Any]:
    """What a model says to each function; what can be called says it when it is asked."""
    return {"create_mock_customers": made, "age": age, "find_customer_key": found}


@contextmanager
def model(answers: Mapping[str, Any]) -> Iterator[ScriptedModel]:
    """Every call in the block, those of the screen's threads too, is answered so."""

    def respond(request: Request) -> str:
        prompt = request.messages[-1].content
        given = next(answer for name, answer in answers.items() if re.search(rf"^.*\w\.{name}\(", prompt, re.MULTILINE))
        found = given() if callable(given) else given
        return reply(list(found) if isinstance(found, tuple) else found)

    scripted = ScriptedModel(respond)
    with override(model=scripted):
        yield scripted


async def test_customers_and_their_ages() -> None:
    """Ten made-up customers, each with the age that the birthdate gives on the day in the docstring."""
    async with screen() as opened:
        assert len(opened.rows) == 10
        # On the first of January only who was born on that day has completed the year.
        assert all(int(age) == 2026 - int(born[:4]) - (born[5:] != "01-01") for _, age, born, *_ in opened.rows)
        assert "10 customers" in opened.text
        assert "answered by local stand-in: no model is asked." in opened.text


async def test_a_search_shows_who_fits() -> None:
    """Those whom the recording names, in its order; said in words, and the arrows move in the table at once."""
    async with screen() as opened:
        await opened.pilot.press(*("space" if letter == " " else letter for letter in "lives in Africa"), "enter")
        await opened.settled()
        assert opened.names == AFRICA
        assert "2 of 10 customers for “lives in Africa”, best match first" in opened.text
        await opened.pilot.press("down")
        assert opened.app.query_one(DataTable).cursor_row == 1


async def test_the_same_search_again() -> None:
    """It is replayed as often as somebody makes it."""
    async with screen() as opened:
        assert [await opened.search("lives in Africa") for _ in range(3)] == [AFRICA] * 3


async def test_nobody_fits() -> None:
    """An empty answer is said as such."""
    async with screen() as opened:
        assert await opened.search("lives in Antarctica") == []
        assert "Nobody fits “lives in Antarctica”" in opened.text


async def test_escape_shows_all() -> None:
    """The query goes, all customers come back, and `/` leads to the next search."""
    async with screen() as opened:
        await opened.search("lives in Africa")
        await opened.pilot.press("escape")
        assert len(opened.names) == 10
        assert opened.app.query_one(Input).value == ""
        await opened.pilot.press("slash")
        assert opened.app.focused is opened.app.query_one(Input)
        assert await opened.search(" ") == opened.names


@pytest.mark.llm_cassette(expect_miss=True)
async def test_a_query_that_is_not_recorded() -> None:
    """The notice says what is recorded and how to record more; escape closes it."""
    async with screen() as opened:
        assert len(await opened.search("likes tea")) == 10
        assert "Nobody has recorded an answer to 'likes tea' yet" in opened.words
        assert all(query in opened.words for query in QUERIES)
        assert "with --record its answers are kept" in opened.words
        assert "python examples/stand_in.py" in opened.words
        await opened.pilot.press("escape")
        assert "likes tea" not in opened.text


async def test_recorded_queries_are_a_click_away() -> None:
    """Above the table, as many as there is room for; and completed while they are typed."""
    async with screen() as opened:
        await opened.pilot.click(opened.app.query("#tries > Button")[1])
        await opened.settled()
        assert opened.names == ["Asha Rao"]
        field = opened.app.query_one(Input)
        field.focus()
        field.value = "LIVES in Af"
        await opened.until("LIVES in Africa")
        await opened.pilot.press("right")
        assert field.value == "lives in Africa"


async def test_ages_are_shown_as_they_arrive() -> None:
    """While the model works on one, the others are there, and a search is answered."""
    slow, known = threading.Event(), iter([lambda: slow.wait() and 40, lambda: 35])
    lock = threading.Lock()

    def age() -> int:
        with lock:
            given = next(known)
        return given()

    with model(people(found=("b",), age=age)):
        async with screen(wait=False) as opened:
            await opened.until("35")
            assert sorted(opened.ages) == ["35", "…"]
            await opened.ask("Ben")
            await opened.until("1 of 2 customers for “Ben”")
            await opened.pilot.press("escape")
            slow.set()
            await opened.settled()
            assert sorted(opened.ages) == ["35", "40"]


async def test_a_search_that_takes_long() -> None:
    """It says so, the screen goes on, and escape breaks it off."""
    slow = threading.Event()
    with model(people(found=lambda: slow.wait() and ["a"])):
        async with screen() as opened:
            await opened.ask("Ana")
            await opened.until("Looking for “Ana” …")
            await opened.pilot.press("ctrl+t")
            assert not opened.app.current_theme.dark
            await opened.pilot.press("escape")
            assert opened.names == ["Ana Lima", "Ben Kay"]
            assert "Looking for" not in opened.text
            slow.set()


async def test_quitting_while_a_call_runs() -> None:
    """Nobody waits for the answer."""
    slow = threading.Event()
    with model(people(found=lambda: slow.wait() and ["a"])):
        async with screen() as opened:
            await opened.ask("Ana")
            await opened.until("Looking for")
            await opened.pilot.press("ctrl+q")
        assert opened.app.return_code == 0
        assert not slow.is_set()
        slow.set()


async def test_searching_before_there_is_anybody() -> None:
    """While customers are made up, and after they could not be, a search says so; ctrl+n asks again."""
    slow, made = threading.Event(), iter([(), (ANA,)])
    with model(people(made=lambda: slow.wait() and next(made))):
        async with screen(wait=False) as opened:
            await opened.until("The model makes up customers …")
            await opened.ask("Ana")
            await opened.pilot.pause()
            assert "There is nobody to search" in opened.text
            slow.set()
            await opened.settled()
            await opened.pilot.press("ctrl+n")
            await opened.settled()
            assert opened.names == ["Ana Lima"]


async def test_keys_that_a_model_makes_up() -> None:
    """They find nobody, twice the same finds one, and what remains keeps its order."""
    with model(people(found=("zz", "b", "a", "b"))):
        async with screen() as opened:
            assert await opened.search("anybody") == ["Ben Kay", "Ana Lima"]


async def test_twins() -> None:
    """A model may make up the same customer twice; each has a row and an age."""
    with model(people(made=(ANA, ANA))):
        async with screen() as opened:
            assert opened.ages == ["35", "35"]


async def test_nothing_that_a_model_says_is_obeyed() -> None:
    """Markup and escapes are text."""
    with model(people(made=({**ANA, "first_name": "[bold]x[/] [@click=app.quit]y", "address": "\x1b[31mred\nRow"},))):
        async with screen() as opened:
            assert "[bold]x[/] [@click=app.quit]y Lima" in opened.text
            assert " [31mred Row" in opened.text


async def test_a_model_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice instead of a traceback, and the customers stay."""
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    async with screen() as opened:
        opened.app._mode = "live"
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        assert len(await opened.search("born in 1990")) == 10
        assert "openai:gpt-5-mini cannot be reached" in opened.words


async def test_an_age_that_is_not_known() -> None:
    """A reply that is no number is named in a notice; the row says that there is no age."""
    with model(people(age="old")):
        async with screen() as opened:
            assert opened.ages == ["?", "?"]
            assert re.search(r"The age of (Ana Lima|Ben Kay) is not known", opened.text)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cassette that may be recorded into, in the place of the one in the repository."""
    copy = Path(shutil.copy(CASSETTE, tmp_path))
    monkeypatch.setattr(customer_database, "CASSETTE", copy)
    monkeypatch.setattr(customer_database_app, "CASSETTE", copy)
    return copy


async def test_recording_from_the_screen(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked in the mode of `--record` is replayed afterwards, and offered as recorded."""
    before = len(Cassette(copy))
    with running() as base_url:
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "unused")
        async with screen("new") as opened:
            asked = await opened.search("the two youngest")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    async with screen(size=(200, 30)) as opened:
        assert await opened.search("the two youngest") == asked
        assert len(opened.app.query("#tries > Button")) == len(QUERIES) + 1
    assert len(asked) == 2
    assert len(Cassette(copy)) == before + 1


async def test_other_customers_are_for_a_model_only(copy: Path) -> None:
    """A recording holds one set of customers: there the key is missing, with a model alone it makes up new ones."""
    for mode in ("replay", "new"):
        async with screen(mode) as opened:
            await opened.pilot.press("ctrl+n")
            assert "new customers" not in opened.text
            assert "Wójcik" in opened.text
    made = iter([(ANA,), (BEN,)])
    with model(people(made=made.__next__)):
        async with screen("live") as opened:
            assert "^n new customers" in opened.text
            await opened.pilot.press("ctrl+n")
            await opened.settled()
            assert opened.names == ["Ben Kay"]


async def test_the_screenshot_key(tmp_path: Path) -> None:
    """It writes a drawing beside those that are there, and says where; a folder that is none is told in a notice."""
    async with screen() as opened:
        for _ in range(2):
            await opened.pilot.press("ctrl+s")
            await opened.pilot.pause()
        assert "customers-2.svg" in opened.text
        opened.app.action_screenshot(path="nowhere")
        await opened.pilot.pause()
        assert "The screenshot was not written" in opened.text
    assert sorted(os.listdir()) == ["customers-1.svg", "customers-2.svg"]
    assert "Wójcik" in (tmp_path / "customers-2.svg").read_text("utf-8")


@pytest.mark.parametrize("size", [(160, 50), (80, 24), (40, 12), (20, 6)])
async def test_it_fits_small_and_large_terminals(size: tuple[int, int]) -> None:
    """A name and its age can be read in any that has room for them, and keys are in the footer."""
    async with screen(size=size) as opened:
        await opened.search("lives in Africa")
        assert "Tunde Bello" in opened.text
        assert opened.app.query_one(Footer).region.bottom == size[1]
        assert ("63" in opened.text) == (size[0] >= 40)


async def test_resizing_keeps_what_is_shown() -> None:
    """A narrow terminal has no queries to try; a wide one has."""
    async with screen() as opened:
        await opened.search("lives in Africa")
        for columns, is_wide in ((40, False), (120, True)):
            await opened.pilot.resize_terminal(columns, 24)
            await opened.pilot.pause()
            assert opened.names == AFRICA
            assert ("Europeans older than 50" in opened.text) == is_wide


@pytest.mark.parametrize(("colours", "is_dark"), [("15;0", True), ("0;15", False), ("", True)])
async def test_light_and_dark(colours: str, is_dark: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the terminal says, and the other way round after ctrl+t."""
    monkeypatch.setenv("COLORFGBG", colours)
    async with screen() as opened:
        assert opened.app.current_theme.dark == is_dark
        await opened.pilot.press("ctrl+t")
        assert opened.app.current_theme.dark != is_dark
