"""What a comparison of prompts that fails says: why they differ, then the lines and words."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_strategy import Message, Request, ScriptedModel, Session, llm_strategy
from pytest_llm_strategy.snapshot_changes import Changes
from pytest_llm_strategy.transcript import transcript
from tests.pytest_llm_strategy.conftest import Project
from tests.pytest_llm_strategy.snapshot_project import lighten, read, write

MODEL = ScriptedModel([], name="scripted:model")
FIND = {"name": "find", "description": "Find goods.\nOne at a time.", "parameters": {"type": "object"}}


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    return lighten(project, monkeypatch)


@llm_strategy(MODEL, temperature=0.5)
def season(month: int) -> str:
    """Name the season of a month."""
    raise NotImplementedError


def other(month: int) -> Request:
    """What `season` asks when its docstring is another one."""
    request = season.request(month)
    system, user = request.messages
    prompt = user.content.replace("of a month", "that a month is in")
    return Request(request.model, (system, Message("user", prompt)), request.output_schema, settings=request.settings)


def asked(*requests: Request, function: str | None = "season") -> str:
    return transcript((function, request) for request in requests)


def said(text: str, **fields: object) -> Request:
    return Request("a:model", (Message("user", text),), **fields)  # type: ignore[arg-type]  # as they are given


def changes(tmp_path: Path, old: str, new: str, *, cut_short: bool = False) -> tuple[list[str], list[str]]:
    """The causes, and the lines with their marks."""
    found = Changes(old, new, cut_short=cut_short)
    session = Session(tmp_path)
    try:
        return found.causes(session.compare), [mark + text for mark, text, _ in found.lines()]
    finally:
        session.finish()


# Why


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        (season.request(1), other(1), "the docstring of season"),
        (season.request(1), season.request(2), "the argument 'month' of season"),
        (said("a"), said("a", output_schema={"type": "object"}), "the schema of the result was added"),
        (said("a"), said("a", tools=(FIND,)), "the tool find was added"),
        (
            said("a", tools=(FIND,)),
            said("a", tools=({**FIND, "description": "Find goods.\nAll."},)),
            "the tool find (.description)",
        ),
        (said("a"), Request("b:model", said("a").messages), "the model: a:model -> b:model"),
        (said("a", settings={"seed": 1}), said("a", settings={"seed": 2}), "the setting seed: 1 -> 2"),
        (
            said("a", settings={"stop": ["x" * 60, "y" * 60]}),
            said("a"),
            "the setting stop was removed",
        ),
        (
            Request("m", (Message("system", "Be brief."), Message("user", "a"))),
            Request("m", (Message("system", "Be exact."), Message("user", "a"))),
            "the instructions (system message): 'brief' -> 'exact'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_is_named_as_a_miss_names_it(tmp_path: Path, old: Request, new: Request, cause: str) -> None:
    """Template, argument, schema, tools, model, settings: read back from the transcript, which is all that is needed."""
    session = Session(tmp_path)
    assert session.compare(old, new) == (cause,)
    session.finish()
    assert changes(tmp_path, asked(old), asked(new))[0] == [cause]


def test_one_change_of_many_calls_is_one_cause(tmp_path: Path) -> None:
    """It says how many calls it concerns, and shows the lines once."""
    old, new = (asked(*map(function, range(1, 18))) for function in (season.request, other))
    causes, lines = changes(tmp_path, old, new)
    assert causes == ["the docstring of season (17 calls)"]
    assert [line for line in lines if line.startswith(("-", "+"))] == [
        "-Name the season of a month.",
        "+Name the season that a month is in.",
    ]
    assert lines[-1] == ".... the same in 16 more calls"


def test_calls_that_came_and_went(tmp_path: Path) -> None:
    """They are counted by function; equal ones too, of which there are more or fewer."""
    one, two, three = (season.request(month) for month in (1, 2, 3))
    assert changes(tmp_path, asked(one), asked(one, two, three))[0] == ["2 calls of season were added"]
    assert changes(tmp_path, asked(one, two), asked(one))[0] == ["1 call of season was removed"]
    causes, lines = changes(tmp_path, asked(one, one, one), asked(one, one))
    assert causes == ["1 call of season was removed"]
    assert lines[-1] == ".... 2 equal calls"
    assert changes(tmp_path, asked(one, one), asked(one, two))[0] == ["the argument 'month' of season"]
    assert changes(tmp_path, "No model was asked.\n", asked(one))[0] == ["1 call of season was added"]


def test_a_renamed_function_is_no_other_call(tmp_path: Path) -> None:
    """A call of another function with nearly the same prompt is the old one, renamed."""
    request = season.request(1)
    prompt = request.messages[-1].content.replace("def season(", "def time_of_year(")
    renamed = Request(request.model, (request.messages[0], Message("user", prompt)), request.output_schema)
    renamed = Request(renamed.model, renamed.messages, renamed.output_schema, settings=request.settings)
    causes, _ = changes(tmp_path, asked(request), asked(renamed, function="time_of_year"))
    assert causes == ["the function season is now time_of_year"]


def test_a_test_that_is_cut_short(tmp_path: Path) -> None:
    """Calls and turns of a conversation that were still to come are no difference."""
    first = season.request(1)
    longer = Request(first.model, (*first.messages, Message("assistant", "?"), Message("user", "Again.")))
    longer = Request(longer.model, longer.messages, first.output_schema, settings=first.settings)
    whole = asked(first, longer, season.request(2))
    assert changes(tmp_path, whole, asked(first), cut_short=True) == ([], [".... 1 equal call"])
    causes, lines = changes(tmp_path, whole, asked(other(1)), cut_short=True)
    assert causes == ["the docstring of season"]
    assert not any("Again" in line or "= 2" in line for line in lines)


@pytest.mark.parametrize(
    "edited", ["", "a note\n\n## no request\n\nby hand\n", "## `f` · `m`\n\n### user\n\nplain words\n"]
)
def test_a_transcript_that_was_edited_by_hand(tmp_path: Path, edited: str) -> None:
    """Whatever stands there is compared; nothing in it can break the comparison."""
    causes, lines = changes(tmp_path, edited, asked(season.request(1)))
    assert causes
    assert "+Name the season of a month." in lines


# The lines


def test_words_are_marked_and_what_cannot_be_seen_is_said(tmp_path: Path) -> None:
    """Each pair of lines knows its words that differ; a hint names those that look alike, or stand far out."""
    words = "The quick brown fox", "The quick red fox"
    found = {mark: (text, spans) for mark, text, spans in Changes(asked(said(words[0])), asked(said(words[1]))).lines()}
    assert found["-"] == (words[0], ((10, 15),))
    assert found["+"] == (words[1], ((10, 13),))
    _, lines = changes(tmp_path, asked(said("caf\u00e9 au lait")), asked(said("cafe\u0301 au lait")))
    assert r"?'caf\xe9' -> 'cafe\u0301'" in lines
    long = "word " * 100
    _, lines = changes(tmp_path, asked(said(long + "one" + long)), asked(said(long + "two" + long)))
    assert "?'one" in " ".join(lines)
    assert max(map(len, lines)) < 130


def test_long_prompts(tmp_path: Path) -> None:
    """Of 10,000 lines only those around a change are shown; of a change of all of them, the first."""
    lines = [f"line {number} of the prompt" for number in range(10_000)]
    old = asked(said("\n".join(lines)))
    _, shown = changes(tmp_path, old, asked(said("\n".join([*lines[:7000], "NEW", *lines[7001:]]))))
    assert shown[:4] == [
        ".... 7,004 equal lines · season, user",
        " line 6999 of the prompt",
        "-line 7000 of the prompt",
        "+NEW",
    ]
    assert len(shown) < 10
    _, shown = changes(tmp_path, old, asked(said("\n".join(f"row {number}" for number in range(10_000)))))
    assert len(shown) <= 202


def test_a_credential_is_never_shown(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a credential's variable stands for itself nowhere in the report, cut off or not."""
    monkeypatch.setenv("SHOP_API_KEY", "very-secret-value-1234567890")
    write(
        project,
        "def test_find(prompt_snapshot):",
        "    assert Request('m', (Message('user', 'x' * 100 + TEXT),)) == prompt_snapshot",
        "TEXT = 'nothing'",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    project.edit("test_it.py", "'nothing'", "'very-secret-' + 'value-1234567890'")
    result = project.pytest("-vv")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*secret-value*")
    result.stdout.fnmatch_lines(["*<SHOP_API_KEY>*"])
    result = project.pytest("--snapshot-update")
    result.stdout.fnmatch_lines(["*SecretFound: the prompts of this test hold the value*SHOP_API_KEY*"])
    assert "nothing" in read(project)


# In the report


def test_an_assertion_says_first_what_has_changed(project: Project) -> None:
    """Whatever pytest cuts off of its explanation stands below it in a section of its own."""
    write(
        project,
        "def test_find(llm_calls, prompt_snapshot):",
        "    season(4)",
        "    assert llm_calls == prompt_snapshot",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    project.edit("it.py", "of a month", "that a month is in")
    result = project.pytest()
    result.stdout.fnmatch_lines(
        [
            "E*changed: the docstring of season",
            "E*To accept: pytest --snapshot-update test_it.py::test_find",
            "E*... 15 equal lines · season, user",
            "E*- Name the season of a month.",
            "E*+ Name the season that a month is in.",
        ]
    )
    result.stdout.no_fnmatch_line("*prompt snapshot test_find*")
    project.edit("it.py", "temperature=0.5", "temperature=0.75")
    result = project.pytest()
    result.stdout.fnmatch_lines(
        ["E*Full output truncated*", "*- prompt snapshot test_find -*", "+ Name the season that*"]
    )
    result = project.pytest("-vv")
    result.stdout.fnmatch_lines(["E*changed: the setting temperature: 0.5 -> 0.75", "E*+ Name the season that*"])
    result.stdout.no_fnmatch_line("*- prompt snapshot test_find -*")


def test_another_version_of_a_library_is_named(project: Project) -> None:
    """Where the test's cassette was rendered by another pydantic, a changed schema may be its doing."""
    project.write(
        test_it="""
from shop import shop

def test_find(llm_calls, prompt_snapshot):
    shop.find("light")
    assert llm_calls == prompt_snapshot
"""
    )
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    path = project.path / "cassettes/test_it/test_find.yaml"
    text = path.read_text()
    version = text.partition('rendered_by: "pydantic ')[2].partition('"')[0]
    assert version
    path.write_text(text.replace(f"pydantic {version}", "pydantic 2.9.9"))
    project.edit(
        "shop.py", "from dataclasses", "from typing import Annotated\nfrom pydantic import Field\nfrom dataclasses"
    )
    project.edit("shop.py", "query: str) -> list[str]", "query: str) -> Annotated[list[str], Field(max_length=9)]")
    result = project.pytest("--llm-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*changed: pydantic {version} now, 2.9.9 when it was recorded*"])
