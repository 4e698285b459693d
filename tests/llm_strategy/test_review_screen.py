"""The review as a screen, driven by textual's pilot: what it shows, and what its keys do to the files."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from llm_strategy import Cassette, ScriptedModel, Session, llm_strategy
from llm_strategy.review import Review
from llm_strategy.review.screen import ReviewApp
from llm_strategy.review.screen.widgets import Causes
from tests.llm_strategy.answers import argument, reply

pytestmark = pytest.mark.asyncio

KEYS = "a accept r reject s skip A accept all R reject all u undo / filter ? help q quit"
HOSTILE = "\x1b[31mred [bold]x[/bold] [@click=app.quit]y[/] [/] <script>alert(1)</script> \u202e\u200b漢字 👩‍🚀 e\u0301"


_TEXT = re.compile(r'<text [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', re.DOTALL)
_LETTER = 12.2
"""The width of a letter in a screenshot."""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ask(name: str, answers: Mapping[str, Any], *, doc: str, function: str = "find") -> None:
    """Record the cassette of a test afresh."""

    def find(query: str) -> Any:
        raise NotImplementedError

    find.__qualname__, find.__doc__ = function, doc
    model = ScriptedModel(lambda request: reply(answers[argument(request, "query")]), name="test:m", recorded=True)
    session = Session(Path(), mode="all")
    opened = session.open(Path(f"cassettes/{name}.yaml"), owner=f"tests.py::{name}")
    session.enter(opened)
    for query in answers:
        llm_strategy(model)(find)(query)
    session.leave(opened)
    session.close(opened, passed=True)
    session.finish()


def change(name: str, old: Mapping[str, Any], new: Mapping[str, Any], *, was: str, now: str, **more: str) -> None:
    """A cassette of which all calls are pending, because their docstring was changed."""
    ask(name, old, doc=was, **more)
    ask(name, new, doc=now, **more)


def two_tests() -> None:
    """Three calls pending because of one cause, and one because of another."""
    texts = {"was": "Find products.", "now": "Find all products."}
    change("test_shop", {"lamp": ["a"], "pot": ["b"]}, {"lamp": ["a", "c"], "pot": ["b"]}, **texts)
    change("test_more", {"cup": ["d"]}, {"cup": ["e"]}, **texts)
    change("test_price", {"lamp": 3}, {"lamp": 4}, was="The price.", now="The price in euros.", function="price")


def put(path: str, text: str) -> None:
    Path(path).write_text(text, "utf-8")


def files() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path("cassettes").rglob("*.yaml")}


def answers(name: str) -> list[Any]:
    return [call.response.content for call in Cassette(f"cassettes/{name}.yaml")]


def pending() -> int:
    return len(Review("cassettes").pending())


class Screen:
    """The app, what a person sees of it, and their keys."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        self.app = pilot.app

    async def press(self, *keys: str) -> str:
        """Press keys one after the other; returns what is then to be seen."""
        for key in keys:
            await self.pilot.press(key)
        return await self.text()

    async def text(self) -> str:
        await self.pilot.pause()
        while any(not worker.is_finished for worker in self.app.workers):
            await self.pilot.pause(0.01)
        await self.pilot.pause()
        lines: dict[str, str] = {}
        for left, height, piece in _TEXT.findall(self.app.export_screenshot()):
            shown = html.unescape(piece).replace("\xa0", " ").rstrip("\n")
            lines[height] = lines.get(height, "").ljust(round(float(left) / _LETTER)) + shown
        return "\n".join(line.rstrip() for line in lines.values())

    @property
    def line(self) -> int:
        return self.app.query_one(Causes).cursor_line


@asynccontextmanager
async def screen(columns: int = 120, rows: int = 40) -> AsyncIterator[Screen]:
    async with ReviewApp(Review("cassettes")).run_test(size=(columns, rows), notifications=True) as pilot:
        opened = Screen(pilot)
        await opened.text()
        yield opened


async def test_causes_stand_in_a_tree_with_their_calls() -> None:
    """Verdicts are words, those to look at first come first; the cause on which the cursor is says what it changed."""
    two_tests()
    async with screen() as opened:
        text = await opened.text()
    assert "Review  4 pending" in text
    assert re.search(r"▼ 3  the docstring of find", text)
    assert [*re.findall(r"(value changed|identical) +(test_\w+)  \"", text)] == [
        ("value changed", "test_more"),
        ("value changed", "test_shop"),
        ("identical", "test_shop"),
        ("value changed", "test_price"),
    ]
    assert "3 calls in 2 cassettes: 2 value changed, 1 identical" in text
    assert 'return_value[1]  added "c"' in text


async def test_a_call_shows_its_values_prompt_and_answers() -> None:
    """The words of the prompt that changed, the values that differ, the old answer and the new one."""
    two_tests()
    async with screen(200, 50) as opened:
        text = await opened.press("n")
    assert 'query = "cup"' in text
    assert 'return_value[0]  "d"  →  "e"' in text
    assert "- Find products." in text
    assert "+ Find all products." in text
    assert re.search(r'- +"d" +│ \+ +"e"', text)
    assert "accept keeps the new answer, reject brings the old one back" in text


async def test_accepting_and_undoing_are_on_the_disk() -> None:
    """The call leaves the tree when its old recording has gone; `u` brings both back, byte for byte."""
    two_tests()
    before = files()
    async with screen() as opened:
        text = await opened.press("n", "a")
        assert pending() == 3
        assert "3 pending  ·  1 accepted" in text
        assert opened.line == 1
        text = await opened.press("u")
        assert "taken back: accepted 1 call" in text
        assert "4 pending\n" in text
    assert pending() == 4
    assert {path: text for path, text in files().items() if path in before} == before


async def test_a_decision_of_an_earlier_review_can_be_undone() -> None:
    """Also where nothing is pending any more."""
    change("test_shop", {"lamp": 1}, {"lamp": 2}, was="Find it.", now="Find it all.")
    async with screen() as opened:
        assert "All is decided." in await opened.press("a")
    async with screen() as opened:
        assert "Nothing is pending." in await opened.text()
        assert "1 pending" in await opened.press("u")


async def test_rejecting_brings_the_old_answer_back() -> None:
    """The cassette holds again what it held."""
    two_tests()
    new = answers("test_more")
    async with screen() as opened:
        await opened.press("n", "r")
    assert answers("test_more") == ['{"return_value": ["d"]}']
    assert new == ['{"return_value": ["e"]}']
    assert pending() == 3


@pytest.mark.parametrize("keys", [("A",), ("a",), ("n", "n", "A")], ids=["A", "a on the cause", "A on a call"])
async def test_all_of_a_cause_are_decided_at_once(keys: tuple[str, ...]) -> None:
    """One decision for one cause, which one `u` takes back; the other causes stay."""
    two_tests()
    async with screen() as opened:
        text = await opened.press(*keys)
        assert "3 calls accepted; u takes it back" in text
        assert "the docstring of find" not in text
        assert pending() == 1
        await opened.press("u")
        assert pending() == 4
        await opened.press("R")
        assert answers("test_more") == ['{"return_value": ["d"]}']


async def test_what_is_skipped_stays_pending() -> None:
    """It is marked, and the cursor goes on."""
    two_tests()
    async with screen() as opened:
        assert "skipped" in await opened.press("n", "s")
        assert opened.line == 2
    assert pending() == 4


async def test_the_filter_leaves_what_has_all_its_words() -> None:
    """Words of causes, tests, functions and verdicts; letters are no keys while it is written. Escape shows all again."""
    two_tests()
    async with screen() as opened:
        text = await opened.press("slash", *"price", "space", *"chan", "enter")
        assert "the docstring of find" not in text
        assert "the docstring of price" in text
        assert pending() == 4
        await opened.press("A")
        assert pending() == 3
        assert "the docstring of find" in await opened.press("escape")
        assert opened.app.query_one("#filter", Input).value == ""


async def test_a_decision_for_all_is_for_those_that_are_shown() -> None:
    """What a filter hides is not decided."""
    two_tests()
    async with screen() as opened:
        await opened.press("slash", *"identical", "enter", "A")
    assert pending() == 3


async def test_what_has_changed_meanwhile_is_not_decided() -> None:
    """A notification says so, and the screen shows what is pending now."""
    change("test_shop", {"lamp": 1}, {"lamp": 2}, was="Find it.", now="Find it all.")
    async with screen() as opened:
        ask("test_shop", {"lamp": 3}, doc="Find it all.")
        text = await opened.press("n", "a")
        assert "That did not work" in text
        assert "has changed since" in text
        assert "1  →  3" in await opened.press("n")


async def test_a_decision_that_fails_loses_nothing() -> None:
    """The error is shown, and all is still pending."""
    change("test_shop", {"lamp": 1}, {"lamp": 2}, was="Find it.", now="Find it all.")
    put("cassettes/.replaced/decisions", "in the way")
    async with screen() as opened:
        text = await opened.press("n", "a")
    assert "That did not work" in text
    assert pending() == 1


async def test_a_damaged_recording_is_shown_as_such() -> None:
    """One that cannot be read is named; the others can be decided."""
    two_tests()
    put("cassettes/test_price.yaml", "no cassette")
    async with screen() as opened:
        text = await opened.text()
        assert "is not a cassette of llm-strategy" in text
        assert "Review  3 pending" in text


async def test_nothing_in_a_recording_is_obeyed() -> None:
    """Markup, escapes and HTML are text, in names, prompts and answers; thousands of lines are no burden."""
    long = "\n".join(f"line {number}" for number in range(10_000))
    change("test_[bold]x", {HOSTILE: HOSTILE}, {HOSTILE: f"{HOSTILE}!"}, was=f"Say {HOSTILE}", now=f"Tell {HOSTILE}")
    change("test_z_long", {"q": long}, {"q": long.replace("e 7", "e seven")}, was=f"Say\n{long}", now=f"Tell\n{long}")
    async with screen(160, 60) as opened:
        text = await opened.press("n")
        assert "- Say \\x1b[31mred [bold]x[/bold] [@click=app.quit]y[/] [/] <script>" in text
        assert "test_[bold]x" in text
        assert "\\u202e\\u200b漢字" in text
        assert "line seven" in await opened.press("n", "tab", "end")


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (30, 8)])
async def test_it_fits_small_and_large_terminals(size: tuple[int, int]) -> None:
    """Causes stand above what there is to judge, or beside it; the keys are in the footer, as far as it reaches."""
    two_tests()
    async with screen(*size) as opened:
        text = await opened.press("n")
        causes, detail = (opened.app.query_one(name).region for name in ("#side", "#detail"))
        assert (causes.x == detail.x) == (size[0] < 110)
    assert (KEYS in text) == (size[0] >= 80)


@pytest.mark.parametrize("no_colour", [False, True])
async def test_nothing_is_told_by_colour_alone(no_colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In light and dark and without colours, signs and words say what changed."""
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    two_tests()
    async with screen() as opened:
        for _ in range(2):
            text = await opened.press("t", "n")
            assert "value changed" in text
            assert re.search(r"- .*\n.*\+ ", text)
            await opened.press("p")


async def test_a_terminal_that_says_it_is_light_gets_a_light_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable that many terminals set."""
    monkeypatch.setenv("COLORFGBG", "0;15")
    async with screen() as opened:
        assert not opened.app.current_theme.dark


async def test_the_mouse_works() -> None:
    """A click on a call shows it."""
    two_tests()
    async with screen() as opened:
        await opened.pilot.click(Causes, offset=(12, 2))
        assert 'query = "lamp"' in await opened.text()


async def test_tab_goes_to_the_other_pane() -> None:
    """There the arrows scroll; n and p still go from call to call."""
    two_tests()
    async with screen(80, 24) as opened:
        await opened.press("n", "tab", "down", "down")
        assert opened.app.query_one("#detail").scroll_offset.y == 2
        assert opened.line == 1
        await opened.press("n")
        assert opened.line == 2


async def test_help_names_the_keys() -> None:
    """`?` opens it, and closes it again."""
    two_tests()
    async with screen() as opened:
        assert "undo the last decision" in await opened.press("question_mark")
        assert "undo the last decision" not in await opened.press("question_mark")
        await opened.press("question_mark", "q")
        assert opened.app.is_running


async def test_nothing_pending_says_what_would_be() -> None:
    """And keys do no harm."""
    async with screen() as opened:
        assert "Nothing is pending." in await opened.text()
        assert "There is nothing to take back." in await opened.press(*"arsARnpu")
        assert "pytest --llm-record=all" in await opened.text()
