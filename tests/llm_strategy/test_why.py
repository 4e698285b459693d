"""`llm-strategy why`: what keeps changing in a call, seen in its recordings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import Cassette, ChatChain, ScriptedModel, llm_strategy, use_cassette
from llm_strategy.cli import main

MODEL = ScriptedModel(lambda request: '{"return_value": "x"}', name="test:model", recorded=True)


@llm_strategy(MODEL)
def ask(text: str, ticket: str = "none") -> str:
    """Answer."""
    raise NotImplementedError


@llm_strategy(MODEL)
def other(text: str) -> str:
    """Answer otherwise."""
    raise NotImplementedError


@dataclass
class Order:
    lines: list[str]
    made: dict[str, str]


@llm_strategy(MODEL)
def ship(order: Order) -> str:
    """Ship it."""
    raise NotImplementedError


def asked_anew(text: str) -> str:
    """Answer, please."""
    raise NotImplementedError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(name: str, function: Any, *args: Any) -> str:
    """Record a call; returns its key."""
    with use_cassette(f"cassettes/{name}.yaml", "new") as cassette:
        function(*args)
    return str(cassette.calls[0].key)


CASES: list[tuple[list[tuple[Any, ...]], str, str, list[str]]] = [
    (
        [("a", "4f1c2a90-1111-4222-8333-944455566677"), ("a", "0b9d8c7a-9999-4888-8777-066655544433")],
        "the argument 'ticket'",
        "a random id: pass a fixed one",
        ['"4f1c2a90-1111-4222-8333-944455566677"', '"0b9d8c7a-9999-4888-8777-066655544433"'],
    ),
    (
        [("on 2026-11-21",), ("on 2026-11-22",)],
        "the argument 'text'",
        "a date: pass",
        ['"on 2026-11-21"', '"on 2026-11-22"'],
    ),
    ([("at 2026-11-21T10:00:00",), ("at 2026-11-22T11:30:01",)], "the argument 'text'", "a time: pass", []),
    ([("on November 21",), ("on May 2",)], "the argument 'text'", "a date: pass", []),
    (
        [("<O object at 0x7f1234567890>",), ("<O object at 0x7f00aa567890>",)],
        "the argument 'text'",
        "the address of an object: give",
        [],
    ),
    (
        [("/tmp/my-k3j2_9xa/x",), ("/tmp/my-abcd_123/x",)],
        "the argument 'text'",
        "the name of a temporary folder or file: use",
        [],
    ),
    ([("a, b, c",), ("c, a, b",)], "the argument 'text'", "the order of its parts: sort", []),
    ([("page 1",), ("page 2",)], "the argument 'text'", "a number: if these are meant", []),
]


@pytest.mark.parametrize(("calls", "subject", "cure", "values"), CASES)
def test_what_keeps_changing_is_named(
    capsys: pytest.CaptureFixture[str], calls: list[tuple[Any, ...]], subject: str, cure: str, values: list[str]
) -> None:
    """The argument, its values, what they look like, and what to do."""
    keys = [record(f"run{at}", ask, *call) for at, call in enumerate(calls)]
    record("another", other, "b")
    record("different", ask, "something else altogether", "and this")
    for key in keys:
        assert main(["why", key[:12]]) == 0
        out = capsys.readouterr().out
        assert f"keeps changing: {subject}\n" in out
        assert f"looks like {cure}" in out
        assert all(f"  {value}\n" in out for value in values)
        assert out.startswith(f"ask, {key[:12]} (cassettes/run")
        assert "compared with 1 of 2 other recordings of it" in out


def test_recordings_that_stayed_beside_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """`*.new.yaml`, which a failed test leaves in mode `all`, is the same call recorded again."""
    key = record("a", ask, "a", "one 12")
    record("a.new", ask, "a", "one 13")
    assert main(["why", key]) == 0
    assert "cassettes/a.new.yaml:" in capsys.readouterr().out


def test_fields_are_named_down_to_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    """As `--json` says too, for programs."""
    key = record("a", ship, Order(["x", "2026-11-21"], {"by me": "y"}))
    second = record("b", ship, Order(["x", "2026-11-22"], {"by me": "y"}))
    assert main(["why", key.upper()[:20], "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["changing"] == [
        {
            "subject": "the argument 'order' (.lines[1])",
            "values": ['"2026-11-21"', '"2026-11-22"'],
            "kind": "a date",
            "cure": "pass a fixed one in tests, or declare it Volatile[...]",
        }
    ]
    assert [place["key"] for place in said["compared"]] == [second]
    assert (said["function"], said["recordings"], said["file"]) == ("ship", 2, "cassettes/a.yaml")


def test_what_is_no_argument_is_told_as_a_miss_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Another model or setting sets recordings apart as well, and so does another docstring."""
    key = record("a", ask, "a")
    record("b", ask.with_options(temperature=1), "a")
    assert main(["why", key]) == 0
    assert "changed: the setting temperature was added" in capsys.readouterr().out
    asked_anew.__qualname__ = "other"
    key = record("c", other, "a")
    record("d", llm_strategy(MODEL)(asked_anew), "a")
    assert main(["why", key]) == 0
    assert "keeps changing: the docstring\n" in capsys.readouterr().out


def test_conversations_are_compared_by_message(capsys: pytest.CaptureFixture[str]) -> None:
    """What a program says itself in a `ChatChain`."""
    chains = [record(name, ChatChain(MODEL).query, f"it is 2026-11-2{at}") for at, name in enumerate("ab")]
    assert main(["why", chains[0]]) == 0
    out = capsys.readouterr().out
    assert "keeps changing: message 1 (user)\n" in out
    assert "looks like a date" in out


def test_a_single_recording_cannot_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and how to get another."""
    key = record("a", ask, "a")
    assert main(["why", key]) == 0
    out = capsys.readouterr().out
    assert "this is its only recording" in out
    assert "cp cassettes/a.yaml cassettes/a.before.yaml && pytest --llm-record=all" in out
    # Equal requests are no second recording.
    record("b", ask, "a")
    assert main(["why", key]) == 0
    assert "this is its only recording" in capsys.readouterr().out


def test_many_recordings_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    """Values and places are shown up to five, and all of three hundred are taken account of."""
    with use_cassette("cassettes/a.yaml", "new") as cassette:
        for number in range(300):
            ask("a", f"number {number}")
    assert main(["why", cassette.calls[0].key]) == 0
    out = capsys.readouterr().out
    assert "of 299 other recordings" in out
    assert out.count('"number ') == 5


def test_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    """Too few digits, no hex digits, no such key, no such path: each its message and exit code."""
    key = record("a", ask, "a")
    for wrong in (key[:7], "x" * 12, key + "0", ""):
        assert main(["why", wrong]) == 2
        assert "is no key: give 8 to 64 hex digits" in capsys.readouterr().err
    assert main(["why", "0" * 12]) == 3
    assert "no recorded call has a key that begins with" in capsys.readouterr().err
    assert main(["why", key, "nowhere.yaml"]) == 3
    assert "there is no cassette at nowhere.yaml" in capsys.readouterr().err


def test_an_ambiguous_key_lists_what_it_may_mean(capsys: pytest.CaptureFixture[str]) -> None:
    """With function and place of each."""
    key = record("a", ask, "a")
    path = Path("cassettes/a.yaml")
    twin = path.read_text("utf-8").replace(key, key[:12] + "0" * 52)
    Path("cassettes/b.yaml").write_text(twin, "utf-8")
    assert main(["why", key[:12]]) == 2
    err = capsys.readouterr().err
    assert f"2 keys begin with {key[:12]}; give more digits:" in err
    assert err.count("  ask (cassettes/") == 2
    assert main(["why", key[:16]]) == 5
    assert "cassettes/b.yaml" in capsys.readouterr().err


def test_damage_is_reported_and_the_rest_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no cassette makes the exit code 5; what can be compared is compared."""
    key = record("a", ask, "page 1")
    record("b", ask, "page 2")
    Path("cassettes/c.yaml").write_text("no cassette\n")
    assert main(["why", key]) == 5
    captured = capsys.readouterr()
    assert "cassettes/c.yaml is not a cassette" in captured.err
    assert "keeps changing: the argument 'text'" in captured.out
    path = Path("cassettes/b.yaml")
    path.write_text(path.read_text("utf-8").replace("  parts:\n", "  pieces:\n"), "utf-8")
    Path("cassettes/c.yaml").unlink()
    assert main(["why", key]) == 5
    assert len(Cassette("cassettes/a.yaml")) == 1
