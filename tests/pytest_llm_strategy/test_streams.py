"""Streams in tests: recorded in their pieces, replayed without a model, missed at the call."""

from __future__ import annotations

import pytest

from tests.llm_strategy.loopback import Loopback, streaming
from tests.pytest_llm_strategy.conftest import Project

STORIES = '''
from collections.abc import AsyncIterator, Iterator
from llm_strategy import ScriptedModel, llm_strategy


def answer(request):
    with open("asked.log", "a") as log:
        log.write(request.key + chr(10))
    if request.output_schema is None:
        yield from ("Once ", "upon ", "a time.")
    else:
        yield from ('{"return_value": [1', ', 2', ', 3]}')


MODEL = ScriptedModel(answer, name="teller:model", recorded=True)


@llm_strategy(MODEL)
def story(topic: str) -> Iterator[str]:
    """Tell a story."""
    raise NotImplementedError


@llm_strategy(MODEL)
def numbers(topic: str) -> Iterator[int]:
    """Name numbers."""
    raise NotImplementedError


@llm_strategy(MODEL)
def story_later(topic: str) -> AsyncIterator[str]:
    """Tell a story."""
    raise NotImplementedError
'''

TEST = """
import pytest
from stories import numbers, story, story_later

def test_whole(llm_calls):
    assert list(story("cats")) == ["Once ", "upon ", "a time."]
    assert list(numbers("cats")) == [1, 2, 3]
    assert [call.function for call in llm_calls] == ["story", "numbers"]

def test_early():
    for text in story("dogs"):
        break
    for number in numbers("dogs"):
        if number == 2:
            break

@pytest.mark.anyio
async def test_later(llm_calls):
    assert [text async for text in story_later("cats")] == ["Once ", "upon ", "a time."]
    assert [call.function for call in llm_calls] == ["story_later"]

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.fixture
def stories(project: Project) -> Project:
    """A project whose functions stream."""
    project.write(stories=STORIES, test_stories=TEST)
    return project


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_streams_are_recorded_and_replayed(stories: Project, options: tuple[str, ...]) -> None:
    """What was read is recorded, whole or not, and plain pytest replays it without asking."""
    stories.pytest("--llm-record", *options).assert_outcomes(passed=3)
    assert stories.asked == 5
    whole = stories.cassette("test_stories/test_whole.yaml")
    assert '  pieces:\n  - "Once "\n  - "upon "\n  - "a time."\n  finish_reason: "stop"\n' in whole
    early = stories.cassette("test_stories/test_early.yaml")
    assert early.count("  closed_early: true\n") == 2
    assert '  - "Once "\n  closed_early' in early
    replayed = stories.pytest(*options)
    replayed.assert_outcomes(passed=3)
    replayed.stdout.fnmatch_lines(["model calls: 5 replayed"])
    assert stories.asked == 5


def test_a_changed_prompt_misses_at_the_call(stories: Project) -> None:
    """The failure stands at the line that calls, with the difference of the prompts."""
    stories.pytest("--llm-record").assert_outcomes(passed=3)
    stories.edit("stories.py", "Name numbers.", "Name some numbers.")
    missed = stories.pytest()
    missed.assert_outcomes(passed=1, failed=2)
    missed.stdout.fnmatch_lines(
        [
            "no recording answers this call of numbers (stories.py:*)",
            "made at test_stories.py:7",
            "-Name numbers.",
            "+Name some numbers.",
        ]
    )


def test_reading_on_misses_with_the_command_that_records_again(stories: Project) -> None:
    """A test that reads further than it did fails, whatever it catches, until it is recorded anew."""
    stories.pytest("--llm-record").assert_outcomes(passed=3)
    stories.edit("test_stories.py", "        break\n    for", "        pass\n    for")
    missed = stories.pytest()
    missed.assert_outcomes(passed=2, failed=1)
    missed.stdout.fnmatch_lines(
        [
            "story is read further than its recording goes: * stopped reading after 1 piece (cassettes/test_stories/*)",
            "To ask teller:model again: pytest --llm-record test_stories.py::test_early",
            "*missed in 1 test: a stream is read further than it was recorded",
        ]
    )
    stories.pytest("--llm-record", "-k", "early").assert_outcomes(passed=1)
    stories.pytest().assert_outcomes(passed=3)


def test_what_was_closed_early_is_not_copied_to_another_test(stories: Project) -> None:
    """A whole stream can be taken over from another test; a part of one says too little."""
    stories.write(
        test_stories="""
from stories import story

def test_a():
    next(story("cats"))

def test_b():
    assert len(list(story("cats"))) == 3

def test_c():
    assert len(list(story("cats"))) == 3
"""
    )
    result = stories.pytest("--llm-record", "-p", "no:randomly")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["model calls: asked 2, reused 0, copied 1*"])


def test_a_stream_of_a_test_is_not_read_in_the_next(stories: Project) -> None:
    """It ends with its test, in replay as when it was recorded."""
    stories.write(
        test_stories="""
from stories import story
kept = []

def test_a():
    kept.append(story("cats"))
    next(kept[0])

def test_b():
    list(kept[0])
"""
    )
    for options in (["--llm-record"], []):
        result = stories.pytest(*options)
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["*ModelError: the stream of story cannot be read any more: *"])
    assert "closed_early: true" in stories.cassette("test_stories/test_a.yaml")


def test_dry_and_live(stories: Project) -> None:
    """`dry` lists a stream as any call that it would ask, `live` asks and keeps nothing."""
    dry = stories.pytest("--llm-record=dry", "-k", "not later")
    dry.assert_outcomes(skipped=2, deselected=1)
    dry.stdout.fnmatch_lines(["*story would ask teller:model*"])
    stories.pytest("--llm-record=live").assert_outcomes(passed=3)
    assert stories.asked == 5
    assert stories.cassettes == []


def test_over_http(project: Project, provider: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamed by the provider's own client when recording, replayed without key, server or SDK."""
    project.write(stories=STORIES.replace("(MODEL)", '("openai:loopback")'), test_stories=TEST)
    texts = ["Once ", "upon ", "a time."]
    items = ['{"return_value": [1', ", 2", ", 3]}"]
    provider._replies[:] = [streaming(*pieces) for pieces in (texts, items, texts, items, texts)]
    recorded = project.pytest("--llm-record", "-p", "no:randomly")
    recorded.assert_outcomes(passed=3)
    provider.__exit__(None, None, None)
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    no_sdk = "\n\ndef test_no_sdk():\n    import sys\n    assert not {'openai', 'httpx2'} & set(sys.modules)\n"
    project.write(test_stories=TEST + no_sdk)
    project.pytest().assert_outcomes(passed=4)


def test_prompts_of_streams_in_snapshots(stories: Project) -> None:
    """A streamed call stands in the transcript as any other."""
    stories.write(
        test_stories="""
from stories import numbers, story

def test_prompts(llm_calls, prompt_snapshot):
    list(story("cats"))
    next(numbers("cats"))
    assert llm_calls == prompt_snapshot
"""
    )
    stories.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    stories.pytest().assert_outcomes(passed=1)
    (snapshot,) = stories.path.glob("__snapshots__/*/*.md")
    assert "Reply with the text itself, as plain text." in snapshot.read_text()
