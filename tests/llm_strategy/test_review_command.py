"""`llm-strategy review`: a walk through what is pending in a terminal or through a pipe, and decisions in scripts."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from llm_strategy import Cassette
from llm_strategy.cli import main
from tests.llm_strategy.programs import plain_environment
from tests.llm_strategy.test_review import Answers, answers, ask, run

Printed = pytest.CaptureFixture[str]
COMMAND = Path(sys.executable).with_name("llm-strategy")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(name: str = "x", old: Answers | None = None, new: Answers | None = None) -> str:
    """A cassette in which the prompt of two calls has changed, and with it their answers."""
    path = f"cassettes/{name}.yaml"
    run(path, old or {"lamp": 1, "pot": 2})
    run(path, new or {"lamp": 7, "pot": 8}, doc="Find it all.")
    return path


def review(*arguments: str) -> int:
    return main(["review", *arguments])


def piped(text: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run([COMMAND, "review", *arguments], input=text, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


# In scripts


def test_the_list_has_a_number_for_each_cause(capsys: Printed) -> None:
    """Code 1 where something is pending; each call has its id, its test and what became of its answer."""
    changed()
    run("cassettes/y.yaml", {"cup": 3})
    run("cassettes/y.yaml", {"cup": 4}, mode="all")
    assert review("--list") == 1
    first, lamp, pot, second, cup = capsys.readouterr().out.splitlines()
    assert first == "1  the docstring of find: 2 calls in 1 test"
    assert second == "2  asked again, same prompt: 1 call in 1 test"
    for line in (lamp, pot, cup):
        assert re.fullmatch(r"   [0-9a-f]{12}  test_x\.py::test, find, value changed", line)


def test_nothing_pending(capsys: Printed) -> None:
    """Code 0."""
    run("cassettes/x.yaml", {"lamp": 1})
    assert review("--list") == 0
    assert review() == 0
    assert capsys.readouterr().out == "nothing is pending\nnothing is pending\n"


def test_the_list_as_json(capsys: Printed) -> None:
    """One object, with what scripts need to choose."""
    changed()
    assert review("--json") == 1
    found = json.loads(capsys.readouterr().out)
    (cause,) = found["causes"]
    assert cause["cause"] == "the docstring of find"
    assert (cause["number"], cause["calls"], cause["tests"]) == (1, 2, ["test_x.py::test"])
    assert cause["pending"] == [item["id"] for item in found["pending"]]
    item = found["pending"][0]
    assert (item["cassette"], item["source"], item["verdict"]) == ("cassettes/x.yaml", "replaced", "value changed")
    assert item["answer"]["fields"] == [{"path": "return_value", "old": 1, "new": 7}]


@pytest.mark.parametrize("cause", ["1", "all", "the docstring of find", "DOCSTRING"])
def test_a_cause_is_accepted(cause: str, capsys: Printed) -> None:
    """By its number, its text, or a part of that which no other cause has."""
    path = changed()
    assert review("--accept", cause) == 0
    assert capsys.readouterr().out == "accepted: 2 calls in 1 test\nnothing is pending\n"
    assert answers(path) == [7, 8]
    assert review("--list") == 0


def test_single_calls_are_accepted_and_rejected(capsys: Printed) -> None:
    """By their ids, several at once; the rest is left."""
    path = changed(old={"lamp": 1, "pot": 2, "bed": 3}, new={"lamp": 7, "pot": 8, "bed": 9})
    review("--json")
    lamp, pot, _ = (item["id"] for item in json.loads(capsys.readouterr().out)["pending"])
    assert review("--accept", lamp, "--reject", pot) == 0
    assert capsys.readouterr().out == "accepted: 1 call in 1 test\nrejected: 1 call in 1 test\nleft: 1 call in 1 test\n"
    assert sorted(answers(path)) == [2, 7, 9]


def test_a_dry_run_changes_nothing(capsys: Printed) -> None:
    """It says what would be done."""
    path = changed()
    assert review("--reject", "all", "--dry-run") == 0
    assert capsys.readouterr().out == "would be rejected: 2 calls in 1 test\n"
    assert answers(path) == [7, 8]


def test_undoing(capsys: Printed) -> None:
    """Decisions are undone from the last to the first; then there is none, code 3."""
    path = changed()
    review("--accept", "all")
    capsys.readouterr()
    assert review("--undo") == 0
    assert capsys.readouterr().out == "undone: accepted 2 calls in 1 test: the docstring of find\n"
    assert review("--reject", "1") == 0
    assert answers(path) == [1, 2]
    assert review("--undo") == 0
    assert answers(path) == [7, 8]
    assert review("--undo") == 3
    assert "there is no decision to undo" in capsys.readouterr().err


def test_an_unknown_cause_lists_the_known_ones(capsys: Printed) -> None:
    """Code 3, and nothing is decided, not even what is known."""
    path = changed()
    assert review("--accept", "1", "--accept", "schema") == 3
    assert capsys.readouterr().err == (
        "no cause, and no call, is called 'schema'; pending are:\n1  the docstring of find: 2 calls in 1 test\n"
    )
    assert len(json_list(capsys)["pending"]) == 2
    assert answers(path) == [7, 8]


def json_list(capsys: Printed) -> dict[str, list[object]]:
    review("--json")
    found: dict[str, list[object]] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ["--list", "--undo"],
        ["--undo", "--accept", "1"],
        ["--list", "--reject", "1"],
        ["--dry-run"],
        ["--accept", "all", "--reject", "1"],
    ],
)
def test_what_excludes_each_other(arguments: Sequence[str], capsys: Printed) -> None:
    """Code 2, and nothing is decided."""
    changed()
    assert review(*arguments) == 2
    assert capsys.readouterr().err
    assert len(json_list(capsys)["pending"]) == 2


def test_some_cassettes_only(capsys: Printed) -> None:
    """Files and folders that are named; what is not there is code 3."""
    changed("a/x"), changed("b/x")
    assert review("cassettes/a/x.yaml", "--accept", "all") == 0
    assert review("cassettes/a", "--list") == 0
    assert review("--list") == 1
    assert review("cassettes/b", "--undo") == 3
    assert review("cassettes/c/d", "--list") == 3
    assert review("cassettes/a/y.yaml", "--list") == 3
    assert review("x" * 300) == 3
    assert review("--undo") == 0
    assert review("cassettes/a", "--list") == 1


def test_a_damaged_file_does_not_hide_the_others(capsys: Printed) -> None:
    """Code 5, and it is named."""
    changed("x"), changed("y")
    Path("cassettes/y.yaml").write_text("<<<<<<< HEAD\n")
    assert review("--accept", "all") == 5
    printed = capsys.readouterr()
    assert "cassettes/y.yaml" in printed.err
    assert "accepted: 2 calls in 1 test" in printed.out
    assert not Path("cassettes/.replaced/x.yaml").exists()
    assert Path("cassettes/.replaced/y.yaml").exists()


def test_what_a_failed_recording_left_is_named(capsys: Printed) -> None:
    """The line says in which file the new answer lies."""
    ask("cassettes/x.yaml", {"lamp": 1})
    ask("cassettes/x.yaml", {"lamp": 2}, fail=True)
    assert review("--list") == 1
    assert ", left over in cassettes/x.new.yaml" in capsys.readouterr().out
    assert review("--accept", "all") == 0
    assert answers("cassettes/x.yaml") == [2]


# Through a pipe


def test_a_walk_through_a_pipe() -> None:
    """A line is an answer; the prompt's diff stands there once; the end of the input quits."""
    path = changed()
    code, printed = piped("a\n")
    assert code == 0
    assert printed.count("+Find it all.") == 1
    assert printed.count("return_value: ") == 2
    assert printed.endswith("accepted 1, rejected 0, left 1\n")
    assert "\x1b" not in printed
    code, printed = piped("r")
    assert printed.endswith("accepted 0, rejected 1, left 0\n")
    assert sorted(answers(path)) == [2, 7]


@pytest.mark.parametrize(
    ("lines", "end", "left"),
    [
        ("A\n", "accepted 2, rejected 0, left 0", [7, 8]),
        ("R\n", "accepted 0, rejected 2, left 0", [1, 2]),
        ("s\na\n", "accepted 1, rejected 0, left 1", [7, 8]),
        ("s\ns\n", "accepted 0, rejected 0, left 2", [7, 8]),
        ("a\nq\nr\n", "accepted 1, rejected 0, left 1", [7, 8]),
        ("r\nu\nA\n", "accepted 2, rejected 1, left 0", [7, 8]),
        ("?\nwhat\n\nd\nR\n", "accepted 0, rejected 2, left 0", [1, 2]),
        ("u\n", "accepted 0, rejected 0, left 2", [7, 8]),
        ("", "accepted 0, rejected 0, left 2", [7, 8]),
    ],
)
def test_the_answers(lines: str, end: str, left: Sequence[int]) -> None:
    """Each does what the help says."""
    path = changed()
    _, printed = piped(lines)
    assert printed.splitlines()[-1] == end
    assert answers(path) == left


def test_a_prompt_that_differs_otherwise_is_shown_as_well() -> None:
    """What two calls of a cause have in common stands there once, what is of one call alone with it."""
    run("cassettes/x.yaml", {"lamp": 1, "pot": 2})
    run("cassettes/x.yaml", {"lamp": 7, "pots and pans": 8}, doc="Find it all.")
    _, printed = piped("a\n")
    assert printed.count("+Find it all.") == 2
    assert printed.count("the prompt of this call:") == 1


def test_the_whole_of_a_call() -> None:
    """Both prompts and both answers, with what would steer a terminal made visible."""
    changed(old={"lamp": "\x1b[2J1", "pot": 2}, new={"lamp": "\x1b]0;x\x07", "pot": 8})
    _, printed = piped("d\n")
    assert "=== old: cassettes/.replaced/x.yaml" in printed
    assert "=== new: cassettes/x.yaml" in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed


# In a terminal

pty = pytest.importorskip("pty", reason="terminals are those of POSIX")


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.said = ""
        self._hear, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [COMMAND, "review", "--plain", *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**plain_environment(), "TERM": "xterm", **environment},
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  # one thread
        )
        os.close(terminal)

    def until(self, text: str) -> str:
        """What has come, up to a text and the question after it."""
        while text not in self.said:
            ready, _, _ = select.select([self._hear], [], [], 60)
            assert ready, self.said
            try:
                self.said += os.read(self._hear, 4096).decode()
            except OSError:
                break
        assert text in self.said, self.said
        before, _, self.said = self.said.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._hear, text.encode())

    def end(self) -> int:
        code = self.process.wait(60)
        os.close(self._hear)
        return code


def test_a_review_in_a_terminal() -> None:
    """Lines of a diff are coloured, and the words that differ stand out."""
    path = changed()
    there = Terminal()
    shown = there.until("? for help: ")
    assert "\x1b[31m-Find \x1b[7ma product.\x1b[27m" in shown
    assert "\x1b[32m+Find \x1b[7mit all.\x1b[27m" in shown
    there.type("A\n")
    there.until("accepted 2, rejected 0, left 0")
    assert there.end() == 0
    assert answers(path) == [7, 8]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours(environment: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal are heeded."""
    changed()
    there = Terminal(**environment)
    assert "\x1b" not in there.until("? for help: ")
    there.type("q\n")
    assert there.end() == 0


def test_a_call_that_was_decided_meanwhile() -> None:
    """It is left as it is, and the code says so, as with --accept."""
    path = changed()
    there = Terminal()
    there.until("? for help: ")
    assert review("--reject", "all") == 0
    there.type("A\n")
    there.until("this call has changed since it was listed")
    there.until("accepted 0, rejected 0, left 0")
    assert there.end() == 5
    assert answers(path) == [1, 2]


def test_an_interrupted_review() -> None:
    """Ctrl-C ends it, with the code of shells; what was decided is, and the rest is pending."""
    path = changed()
    there = Terminal()
    there.until("? for help: ")
    there.type("r\n")
    there.until("? for help: ")
    os.kill(there.process.pid, signal.SIGINT)
    there.until("accepted 0, rejected 1, left 1")
    assert there.end() == 130
    assert len(Cassette(path)) == 2
    assert main(["verify", path]) == 0
