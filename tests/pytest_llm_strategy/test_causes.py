"""One line of a prompt changes, and many calls miss: one cause is told, and one command records them all."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_strategy.cassette.changes import changes
from llm_strategy.cassette.missed import Group
from llm_strategy.cassette.store import open_file
from tests.llm_strategy.loopback import Loopback, Seen
from tests.pytest_llm_strategy.conftest import MOCKS, QUIET, Project

TELLING = """
import json
from pytest_llm_strategy.plugin import SESSION

def pytest_terminal_summary(config):
    with open("groups.json", "w") as file:
        json.dump(config.stash[SESSION].account.groups, file)
"""

DECORATED = '''
from llm_strategy import ScriptedModel, llm_strategy


def answer(request):
    with open("asked.log", "a") as log:
        print(request.key, file=log)
    return '{"return_value": "a gist"}'


@llm_strategy(ScriptedModel(answer, name="test:model", recorded=True))
def gist(text: str) -> str:
    """What a note says.

    Sum up in one sentence.
    """
    raise NotImplementedError
'''

DIRECT = """
import os
from openai import OpenAI

TEMPLATE = "You sum up notes. Sum up in one sentence: {text} (end of the note)"


def client():
    return OpenAI(base_url=os.environ.get("SERVER", "http://127.0.0.1:9/v1"), max_retries=0)


def gist(text):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": TEMPLATE.format(text=text)}]
    reply = client().chat.completions.create(model="m", messages=messages)
    return reply.choices[0].message.content
"""

TESTS = """
import pytest
from notes import gist

@pytest.mark.parametrize("number", range(4))
def test_two(number):
    assert gist(f"{number}") and gist(f"{number}, and more")
"""
MORE_TESTS = """
from notes import gist

def test_one():
    assert gist("What is it?")

def test_two():
    assert gist("a") and gist("b")

class TestMany:
    def test_three(self):
        for text in ("one sentence", "Sum up", "it's"):
            assert gist(text)

    def test_short(self):
        assert gist("z") and gist("c")

    def test_last(self):
        assert gist("note " * 500)
"""


@pytest.fixture
def story(project: Project) -> Project:
    """A project with a template that 17 calls in 9 tests use."""
    project.write(conftest=TELLING, notes=DECORATED, test_few=TESTS)
    folder = project.path / "more tests"
    folder.mkdir()
    (folder / "test_many.py").write_text(MORE_TESTS, encoding="utf-8")
    return project


@pytest.fixture
def provider(story: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """What the direct calls of the project ask."""
    story.write(notes=DIRECT)
    story.pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nllm_http = true\n")

    def answer(seen: Seen) -> str:
        with (story.path / "asked.log").open("a") as log:
            print(seen.body["messages"][-1]["content"], file=log)
        return "a gist"

    with Loopback(*[answer] * 999) as server:
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield server


def told(project: Project) -> list[Group]:
    """The groups of misses of the last run."""
    return [Group(*group) for group in json.loads((project.path / "groups.json").read_text())]


def paste(project: Project, command: str, folder: str = ".") -> str:
    """What a shell does with a command, and what that prints."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": paths, "PYTEST_ADDOPTS": " ".join([*QUIET, *MOCKS])}
    done = subprocess.run(  # it is meant for a shell
        command, shell=True, cwd=project.path / folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def recorded_causes(project: Project, before: Path) -> set[str]:
    """The causes that a comparison of the cassettes with their earlier state names."""
    found: set[str] = set()
    for name in project.cassettes:
        old, new = (open_file(folder / name).entries for folder in (before, project.path / "cassettes"))
        found.update(cause for change in changes(old, new) for cause in change.causes)
    return found


def change_the_template(project: Project, cause: str, line: int, *options: str) -> None:
    """The story, from a green suite to a green suite."""
    paste(project, "pytest --llm-record")
    project.pytest(*options).assert_outcomes(passed=9)
    assert project.asked == 17
    before = project.path / "before"
    shutil.copytree(project.path / "cassettes", before)
    project.edit("notes.py", "in one sentence", "briefly, in two sentences")

    project.pytest(*options).assert_outcomes(failed=9)
    (group,) = told(project)
    # A test ends with its first miss.
    assert (group.cause, group.calls, len(group.tests)) == (cause, 9, 9)
    assert (group.file, group.line) == ("notes.py", line)
    assert set(shlex.split(group.command)) == {"pytest", "--llm-record", "test_few.py", "more tests/test_many.py"}

    assert "asked 17" in paste(project, group.command)
    assert project.asked == 34
    assert recorded_causes(project, before) == {cause}
    diff = paste(project, "llm-strategy diff before/test_few/'test_two[0].yaml' cassettes/test_few/'test_two[0].yaml'")
    assert f"changed: {cause}\n" in diff
    project.pytest(*options).assert_outcomes(passed=9)
    assert told(project) == []


def test_a_line_of_a_docstring(story: Project) -> None:
    """Of a decorated function: one cause, at the docstring, and one command."""
    change_the_template(story, "the docstring of gist", 13)


def test_a_line_of_a_template(story: Project, provider: Loopback) -> None:
    """Of calls that the program makes itself: the words that changed, where the call is made, and one command."""
    change_the_template(story, "a message (user): added 'briefly,', 'one sentence' -> 'two sentences'", 14)


def test_a_line_of_a_docstring_in_several_processes(story: Project) -> None:
    """The workers of pytest-xdist tell it together."""
    change_the_template(story, "the docstring of gist", 13, "-n", "2")


SHARED = '''
from typing import Annotated
from pydantic import BaseModel, Field
from llm_strategy import ScriptedModel, llm_strategy

MODEL = ScriptedModel(lambda request: '{"return_value": 1}', name="test:model", recorded=True)


class Note(BaseModel):
    text: Annotated[str, Field(description="what it says")]


@llm_strategy(MODEL)
def rate(note: Note) -> int:
    """How good it is."""
    raise NotImplementedError


@llm_strategy(MODEL)
class Desk:
    name: str = "a desk"

    def file(self, note: Note) -> int:
        """In which drawer it belongs."""
        raise NotImplementedError
'''
SHARED_TESTS = """
import pytest
from notes import Desk, Note, rate

TEXT = "a"

@pytest.fixture(scope="module")
def rated():
    return rate(Note(text="wide"))

def test_rate(rated):
    assert rate(Note(text=TEXT)) == rated

def test_file():
    assert Desk().file(Note(text="b")) == 1

@pytest.mark.parametrize("text", ["it's", "a::b [/$HOME", '"'])
def test_odd(text):
    assert rate(Note(text=text)) == 1
"""


def test_functions_that_share_a_type(project: Project) -> None:
    """A field's description is one cause for both, and for the fixtures that call them."""
    project.write(conftest=TELLING, notes=SHARED, test_notes=SHARED_TESTS)
    paste(project, "pytest --llm-record")
    project.edit("notes.py", "what it says", "what is written there")
    project.pytest().assert_outcomes(failed=4, errors=1)
    (group,) = told(project)
    assert (group.cause, group.calls) == ("the description of the field Note.text", 5)
    assert "test_notes.py::rated" in group.tests
    assert group.command == "pytest --llm-record test_notes.py"
    paste(project, group.command)
    project.pytest().assert_outcomes(passed=5)


def test_two_changes_are_two_causes(project: Project) -> None:
    """A docstring and an argument: each is told with the tests that it concerns, most tests first."""
    project.write(conftest=TELLING, notes=SHARED, test_notes=SHARED_TESTS)
    paste(project, "pytest --llm-record")
    project.edit("notes.py", "How good", "How bad")
    project.edit("test_notes.py", 'TEXT = "a"', 'TEXT = "q"')
    project.edit("test_notes.py", "def test_rate(rated):", "def test_rate():\n    rated = 1")
    project.pytest().assert_outcomes(failed=4, passed=1)
    both, one = told(project)
    assert (both.cause, len(both.tests)) == ("the docstring of rate", 4)
    assert shlex.split(both.command)[2:] == list(dict.fromkeys(test.partition("[")[0] for test in both.tests))
    assert (one.cause, list(one.tests)) == ("the argument 'note' of rate (.text)", ["test_notes.py::test_rate"])


CHILD_TEST = """
import subprocess, sys

ASK = '''
from notes import gist
for _ in range(2):
    try:
        gist("a")
    except BaseException:
        pass
'''

def test_child():
    subprocess.run([sys.executable, "-c", ASK], check=True)
"""


def test_what_a_child_process_misses_is_told_once(project: Project) -> None:
    """With the place of the docstring, and the command of the test that has started it."""
    project.write(conftest=TELLING, notes=DECORATED, test_child=CHILD_TEST)
    paste(project, "pytest --llm-record")
    project.edit("notes.py", "one sentence", "two sentences")
    project.pytest().assert_outcomes(failed=1)
    (group,) = told(project)
    assert (group.cause, group.calls, group.file, group.line) == ("the docstring of gist", 1, "notes.py", 13)
    assert "asked 2, " in paste(project, group.command)


def test_a_command_can_be_pasted(project: Project) -> None:
    """Whatever the parameters of a test are, in the folder in which pytest was started, and with its cassettes."""
    folder, options = "below", " --llm-cassettes 'other place'"
    (project.path / folder).mkdir()
    project.write(conftest=TELLING, notes=SHARED)
    (project.path / folder / "test_notes.py").write_text(SHARED_TESTS, encoding="utf-8")
    printed = paste(project, f"pytest -k odd{options}", folder)
    commands = [line.partition(": ")[2] for line in printed.splitlines() if line.startswith("To ask")]
    assert len(commands) == 3
    for command in commands:
        assert "asked 1, " in paste(project, command, folder)
    assert "3 replayed" in paste(project, f"pytest -k odd{options}", folder)
