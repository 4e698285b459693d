"""Calls with tools in a cassette: exact replays, edits by hand, damage, and what a kill leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import (
    Cassette,
    CassetteError,
    CassetteMiss,
    Request,
    Response,
    ScriptedModel,
    SecretFound,
    ToolCallPart,
    Usage,
    Volatile,
    llm_strategy,
    use_cassette,
)
from llm_strategy.cli import main
from tests.llm_strategy.answers import reply
from tests.llm_strategy.programs import plain_environment

STOCK = {"lamp": 3}


def stock(name: str) -> dict[str, Any]:
    """Tell how many of an article are there."""
    return {"name": name, "count": STOCK[name]}


def answer(request: Request) -> Any:
    if request.messages[-1].role == "tool":
        return Response(reply("three"), Usage(20, 2), model="scripted-1")
    call = ToolCallPart("call_x7", "stock", {"name": "lamp"})
    return Response("", Usage(10, 5), "tool_call", "scripted-1", tool_calls=(call,))


def recording() -> ScriptedModel:
    return ScriptedModel(answer, name="test:tools", recorded=True)


def nobody() -> ScriptedModel:
    return ScriptedModel([], name="test:tools", recorded=True)


def advising(model: ScriptedModel, tool: Callable[..., Any] = stock) -> Any:
    @llm_strategy(model, tools=[tool])
    def advise(question: str) -> str:
        """Advise a customer."""
        raise NotImplementedError

    return advise


def recorded(path: Path, tool: Callable[..., Any] = stock) -> Path:
    with use_cassette(path, mode="new"):
        assert advising(recording(), tool)("lamps?") == "three"
    return path


def test_every_turn_is_a_call_that_replays_without_the_model(tmp_path: Path) -> None:
    """Calls, results, tokens and keys are the same; the tool runs, the model does not."""
    path = recorded(tmp_path / "c.yaml")
    with use_cassette(path, mode="replay") as cassette:
        assert advising(nobody())("lamps?") == "three"
    first, second = cassette.calls
    assert first.response == answer(first.request)
    assert (first.replayed, second.replayed) == (True, True)
    assert [call.response.usage for call in Cassette(path)] == [Usage(10, 5), Usage(20, 2)]
    assert [call.key for call in Cassette(path)] == [first.key, second.key]


def test_streams_with_tools_replay_too(tmp_path: Path) -> None:
    """In the pieces in which they came."""

    def numbering(model: ScriptedModel) -> Any:
        @llm_strategy(model, tools=[stock])
        def numbers(question: str) -> Iterator[int]:
            """Numbers."""
            raise NotImplementedError

        return numbers

    model = ScriptedModel([{"stock": {"name": "lamp"}}, ['{"return_value": [1', ", 2]}"]], name="test:t", recorded=True)
    with use_cassette(tmp_path / "c.yaml", mode="new"):
        assert list(numbering(model)("a")) == [1, 2]
    with use_cassette(tmp_path / "c.yaml", mode="replay") as cassette:
        assert list(numbering(ScriptedModel([], name="test:t", recorded=True))("a")) == [1, 2]
    assert [len(call.response.pieces) for call in cassette.calls] == [0, 2]


def test_a_changed_result_is_a_miss_that_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool runs in replay: what it returns now is compared with what it returned."""
    path = recorded(tmp_path / "c.yaml")
    monkeypatch.setitem(STOCK, "lamp", 4)
    with use_cassette(path, mode="replay"), pytest.raises(CassetteMiss) as caught:
        advising(nobody())("lamps?")
    assert caught.value.causes == ("what the tool stock answered",)
    assert '-[the tool answers] {"name": "lamp", "count": 3}' in caught.value.diff
    assert '+[the tool answers] {"name": "lamp", "count": 4}' in caught.value.diff


def test_a_changed_tool_is_a_miss_that_names_it(tmp_path: Path) -> None:
    """Its docstring and its parameters are part of the prompt."""

    def other(name: str, near: bool = False) -> dict[str, Any]:
        """Tell how many of an article are there."""
        return {}

    other.__name__ = "stock"
    path = recorded(tmp_path / "c.yaml")
    with use_cassette(path, mode="replay"), pytest.raises(CassetteMiss) as caught:
        advising(nobody(), other)("lamps?")
    assert caught.value.causes == ("the tool stock (.parameters.properties)",)


def test_an_edited_call_is_refused_until_it_is_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As any edited reply; `verify --accept` takes it over, and the tool is then called so."""
    path = recorded(tmp_path / "c.yaml")
    text = path.read_text("utf-8")
    assert text.count('    arguments:\n      name: "lamp"') == 1
    path.write_text(text.replace('    arguments:\n      name: "lamp"', '    arguments:\n      name: "sofa"'), "utf-8")
    with use_cassette(path, mode="replay"), pytest.raises(CassetteError, match="does not agree with its digest"):
        advising(nobody())("lamps?")
    assert main(["verify", "--accept", str(path)]) == 0
    with use_cassette(path, mode="replay"), pytest.raises(CassetteMiss) as caught:
        advising(nobody())("lamps?")
    assert "a call of the tool stock" in caught.value.causes


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('  - name: "stock"\n', None),
        ('  - id: 3\n    name: "stock"\n', "the id of its call of the tool stock is no text"),
        ('  - id: "a"\n', "one of its tool_calls has no name"),
        ('  - "stock"\n', "one of its tool_calls has no name"),
    ],
)
def test_calls_written_by_hand_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str, says: str | None
) -> None:
    """What is no call is not signed; id and arguments may be left out."""
    path = recorded(tmp_path / "c.yaml")
    head, _, rest = path.read_text("utf-8").partition('  tool_calls:\n  - id: "call_x7"\n')
    rest = rest.partition("  finish_reason")[2]
    path.write_text(f"{head}  tool_calls:\n{written}  finish_reason{rest}", "utf-8")
    code = main(["verify", "--accept", str(path)])
    if says is not None:
        assert code != 0
        assert says in "".join(capsys.readouterr())
        return
    with use_cassette(path, mode="replay"), pytest.raises(CassetteMiss) as caught:
        advising(nobody())("lamps?")
    assert "+[calls the tool stock] {}" in caught.value.diff


def test_a_result_that_holds_a_credential_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a secret environment variable in a prompt would be published; the error names it and the cure."""
    monkeypatch.setenv("SHOP_API_KEY", "a-key-of-the-shop-0123456789")

    def leak(name: str) -> str:
        """Tell."""
        return os.environ["SHOP_API_KEY"]

    leak.__name__ = "stock"
    with (
        use_cassette(tmp_path / "c.yaml", mode="new"),
        pytest.raises(
            SecretFound, match=r"what a tool returned to advise holds .*SHOP_API_KEY.*let the tool return Vol"
        ),
    ):
        advising(recording(), leak)("lamps?")
    assert "a-key-of" not in (tmp_path / "c.yaml").read_text("utf-8")


def test_volatile_results_replay(tmp_path: Path) -> None:
    """What differs from run to run is in no cassette."""
    times = iter(range(9))

    def now(name: str) -> Volatile[int]:
        """Tell the time."""
        return next(times)

    now.__name__ = "stock"
    path = recorded(tmp_path / "c.yaml", now)
    with use_cassette(path, mode="replay"):
        assert advising(nobody(), now)("lamps?") == "three"
    assert 'response: "<volatile: stock 1>"' in path.read_text("utf-8")
    assert next(times) == 2


def test_large_and_odd_results_and_arguments_are_stored_exactly(tmp_path: Path) -> None:
    """Long texts, line ends of every kind, numbers and nested values come back as they were."""
    odd: dict[str, Any] = {"a": 1e300, "b": [None, True, {"ü": "x\r\ny\u2028\ttab "}], "c": 2**70, "d": "- no: list\n"}

    def echo(value: dict[str, Any]) -> str:
        """Echo."""
        return "line \r\n" * 5_000 + str(value)

    model = ScriptedModel([{"echo": {"value": odd}}, reply("ok")], name="test:t", recorded=True)
    path = tmp_path / "c.yaml"
    with use_cassette(path, mode="new") as written:
        advising(model, echo)("a")
    with use_cassette(path, mode="replay") as read:
        assert advising(ScriptedModel([], name="test:t", recorded=True), echo)("a") == "ok"
    assert [call.response for call in read.calls] == [call.response for call in written.calls]
    assert [call.key for call in read.calls] == [call.key for call in written.calls]


def test_concurrent_functions_keep_their_turns_apart(tmp_path: Path) -> None:
    """Equal and different conversations at the same time replay as they were recorded."""

    @llm_strategy(recording(), tools=[stock])
    async def advise(question: str) -> str:
        """Advise a customer."""
        raise NotImplementedError

    async def many() -> list[str]:
        return await asyncio.gather(*(advise(f"lamps {number % 5}?") for number in range(20)))

    path = tmp_path / "c.yaml"
    for mode in ("new", "replay"):
        with use_cassette(path, mode=mode) as cassette:  # type: ignore[arg-type]  # one of the modes
            assert asyncio.run(many()) == ["three"] * 20
        assert len(cassette.calls) == 40


KILLED = """
import os, sys
from llm_strategy import Response, ScriptedModel, llm_strategy, use_cassette

def stock(name: str) -> int:
    "Tell how many of an article are there."
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), 9)
    return 3

asked = []
def answer(request):
    asked.append(request)
    return '{"return_value": "three"}' if request.messages[-1].role == "tool" else {"stock": {"name": "lamp"}}

@llm_strategy(ScriptedModel(answer, name="test:t", recorded=True), tools=[stock])
def advise(question: str) -> str:
    "Advise a customer."
    raise NotImplementedError

with use_cassette("c.yaml", mode="new"):
    print(advise("lamps?"), len(asked))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_turn_is_on_the_disk_before_its_tools_run(tmp_path: Path) -> None:
    """A process that is killed in a tool has lost no answer: the next run asks only for the turn after it."""
    for what, printed in (("kill", ""), ("go on", "three 1")):
        run = subprocess.run(
            [sys.executable, "-c", KILLED, what],
            cwd=tmp_path,
            env=plain_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stdout.strip()) == (-9 if what == "kill" else 0, printed), run.stderr
        assert len(Cassette(tmp_path / "c.yaml")) == (1 if what == "kill" else 2)


def test_functions_of_a_model_that_are_tools_record_their_own_calls(tmp_path: Path) -> None:
    """What a tool asks stands between the turns, and replays with them; asynchronous ones ask at the same time."""
    inner = ScriptedModel(lambda request: reply(5), name="test:inner", recorded=True)

    @llm_strategy(inner)
    def look(number: int) -> int:
        """Look."""
        raise NotImplementedError

    @llm_strategy(inner)
    async def look_later(number: int) -> int:
        """Look."""
        raise NotImplementedError

    def outer(request: Request) -> Any:
        looks = [{"number": 1}, {"number": 2}]
        return reply(9) if request.messages[-1].role == "tool" else {"look": looks, "look_later": looks}

    @llm_strategy(ScriptedModel(outer, name="test:outer", recorded=True), tools=[look, look_later])
    async def search(question: str) -> int:
        """Search."""
        raise NotImplementedError

    for mode in ("new", "replay"):
        with use_cassette(tmp_path / "c.yaml", mode=mode) as cassette:  # type: ignore[arg-type]  # one of the modes
            assert asyncio.run(search("a")) == 9
        functions = [call.function for call in cassette.calls]
        assert (functions[0], functions[-1]) == ("search", "search")
        assert sorted(map(str, functions[1:-1])) == ["look", "look", "look_later", "look_later"]
        assert all(call.replayed for call in cassette.calls) is (mode == "replay")
