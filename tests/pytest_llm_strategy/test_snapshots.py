"""`prompt_snapshot`: the prompts of a test as a transcript beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_strategy import Message, Request
from llm_strategy.values import BlobPart, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart
from pytest_llm_strategy.conversations import alike
from pytest_llm_strategy.transcript import transcript
from tests.pytest_llm_strategy.conftest import Project
from tests.pytest_llm_strategy.snapshot_project import FREE, TEST, files, lighten, read, write

SEASON = """\
## `season` · `scripted:model`

- `temperature`: `0.5`
- output schema: in the text

### system

```text
You implement Python functions that have no body. You are given the signature, the documentation and the \
arguments of one call. Work out what the call returns and reply with one JSON object whose property \
"return_value" holds it. Reply with that JSON object only.
```

### user

```text
def season(month: int) -> str

Name the season of a month.

Arguments:

month = 4

Reply with a JSON object that fits this JSON schema:

{"properties": {"return_value": {"type": "string"}}, "required": ["return_value"], "type": "object"}
```
"""


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    return lighten(project, monkeypatch)


def text_of(*messages: Message) -> str:
    return transcript([(None, Request("scripted:model", messages))])


# What it looks like


def test_a_transcript_is_markdown_with_everything_that_was_asked(project: Project) -> None:
    """A call stands under its function and model: settings, then each message as exact text; the answer is left out."""
    write(
        project,
        "def test_find(llm_calls, prompt_snapshot):",
        "    season(4)",
        "    assert llm_calls == prompt_snapshot",
    )
    result = project.pytest("--snapshot-update")
    result.assert_outcomes(passed=1)
    assert files(project) == ["test_find.md"]
    assert read(project) == SEASON


def test_tools_schema_and_parts_of_other_kinds() -> None:
    """What no text says is shown: tools, a schema that stands in no message and tool calls as JSON, binary content by its hash."""
    request = Request(
        None,
        (
            Message("user", [TextPart("Look:"), BlobPart("image", "image/png", "aGVsbG8=")]),
            Message("assistant", [ReasoningPart("hm"), ToolCallPart("id-1", "see", {"x": 1})]),
            Message("tool", [ToolCallResponsePart("id-1", "a cat")]),
        ),
        {"type": "object"},
        ({"type": "function", "function": {"name": "see"}},),
    )
    text = transcript([("look", request)])
    assert text.startswith("## `look` · any model\n\n### user\n\n```text\nLook:\n```\n\n")
    assert "\nattached: `image`, `image/png`, 5 bytes, SHA-256 `2cf24dba5fb0a30e`\n\n### assistant" in text
    assert "aGVsbG8=" not in text
    assert (
        '### assistant\n\nreasoning:\n\n```text\nhm\n```\n\ncalls `see` (`call_1`):\n\n```json\n{\n  "x": 1\n}\n```'
        in text
    )
    assert "### tool\n\n`call_1` answers:\n\n```text\na cat\n```" in text
    assert "### the tool `see`\n\n```json\n" in text
    assert text.endswith('### the output schema\n\n```json\n{\n  "type": "object"\n}\n```\n')


def test_a_retry_conversation_stands_there_once(project: Project) -> None:
    """A retry shows what it adds, below the request that it repeats."""
    project.write(
        it=FREE.replace('lambda request: \'{"return_value": "spring"}\'', '["spring!", \'{"return_value": ""}\']'),
        test_it="""
from it import season

def test_find(llm_calls, prompt_snapshot):
    season(4)
    assert len(llm_calls) == 2
    assert llm_calls == prompt_snapshot
""",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    text = read(project)
    assert text.startswith(
        SEASON + "\n*The conversation goes on:*\n\n### assistant\n\n```text\nspring!\n```\n\n### user\n"
    )
    assert text.count("Name the season") == 1


def test_branches_of_one_conversation_may_come_in_any_order() -> None:
    """Two questions after the same beginning are alike whichever came first, though one of them stands alone."""
    start = Message("user", "Hello"), Message("assistant", "Hi")
    opening = Request("m", start[:1])
    one, other = (Request("m", (*start, Message("user", question)), tools=({"name": "t"},)) for question in "ab")
    assert "### the tool" in transcript([(None, one)])
    plain = [Request("m", (*start, Message("user", question))) for question in "ab"]
    there = [(None, request) for request in (opening, *plain)]
    back = [(None, request) for request in (opening, *reversed(plain))]
    assert transcript(there) != transcript(back)
    assert alike(transcript(there), transcript(back))
    assert not alike(transcript(there), transcript([*back, (None, other)]))
    assert not alike(transcript(there), transcript(there[:-1]))


# What is kept

TEXTS = [
    "",
    "\n",
    "a",
    "a\n",
    "a\n\n",
    "a\nb",
    "a\r\nb",
    "a\rb",
    "a<U+000D>\nb",
    "a<U+003C>U+000D>\nb",
    "a \nb",
    "a\t\nb",
    "a\u2028b",
    "a\u0085b",
    "\ufeffa",
    "a\ud83d",
    "a\x00b",
    "```\na\n```",
    "````text\na\n````",
    "~~~\na",
    "## `season`\n\n### user",
    "*The conversation goes on:*",
    "👩‍👩‍👧 für {braces} <b> &amp; \\n",
]


def test_every_text_has_a_transcript_of_its_own() -> None:
    """No two texts look alike, not even to an editor or to git, which may strip blanks and change line ends."""
    written = [text_of(Message("user", text)) for text in TEXTS]
    cleaned = {"\n".join(line.rstrip() for line in text.encode().decode().splitlines()) for text in written}
    assert len(cleaned) == len(TEXTS)
    for at, one in enumerate(written):
        assert [alike(one, other) for other in written] == [at == other for other in range(len(TEXTS))]


def test_text_cannot_pose_as_another_message() -> None:
    """Headings and fences inside a message stay inside it."""
    honest = text_of(Message("user", "a"), Message("user", "b"))
    inside = honest.partition("```text\n")[2].rpartition("\n```")[0]
    assert not alike(honest, text_of(Message("user", inside)))


def test_line_ends(project: Project) -> None:
    """A prompt's own line ends are compared; those of the file are not, since a checkout may turn them."""
    write(
        project,
        "END = '\\r\\n'",
        "def test_find(prompt_snapshot):",
        "    assert Request('m', (Message('user', 'one' + END + 'two' + END),)) == prompt_snapshot",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    path = project.path / "__snapshots__/test_it/test_find.md"
    assert b"one<U+000D>\ntwo<U+000D>\n\n```\n" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    project.pytest().assert_outcomes(passed=1)
    project.edit("test_it.py", "'\\r\\n'", "'\\n'")
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- one<U+000D>", "*+ one"])


def test_what_differs_between_machines_is_a_placeholder() -> None:
    """A path below the home folder and a key are shown as they are in the request's key."""
    text = text_of(Message("user", f"{Path.home()}/notes and sk-proj-{'a1b2c3d4' * 5}"))
    assert "<home>/notes and <openai-key>" in text


# Comparing and accepting


def test_a_changed_prompt_fails_with_a_diff_by_line(project: Project) -> None:
    """The diff shows the line that changed; `--snapshot-update` accepts it."""
    write(
        project,
        "def test_find(llm_calls, prompt_snapshot):",
        "    season(4)",
        "    assert llm_calls == prompt_snapshot",
    )
    project.pytest("--snapshot-update")
    project.edit("it.py", "season of a month", "season that a month is in")
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*- Name the season of a month.", "E*+ Name the season that a month is in."])
    assert read(project) == SEASON
    result = project.pytest("--snapshot-update", "--snapshot-details")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["1 snapshot updated.", "Updated test_find (__snapshots__/test_it/test_find.md)"])
    project.pytest().assert_outcomes(passed=1)


def test_the_same_requests_in_another_order_are_equal(project: Project) -> None:
    """Order neither fails a test nor rewrites its file; and where a prompt did change, the diff shows only that."""
    write(
        project,
        "MONTHS = 1, 2, 3, 3",
        "def test_find(llm_calls, prompt_snapshot):",
        "    [season(month) for month in MONTHS]",
        "    assert llm_calls == prompt_snapshot",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    before = read(project)
    project.edit("test_it.py", "1, 2, 3, 3", "3, 2, 1, 3")
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    assert read(project) == before
    project.edit("test_it.py", "3, 2, 1, 3", "3, 2, 1, 4")
    result = project.pytest("-vv")
    result.assert_outcomes(failed=1)
    changed = [line for line in result.outlines if line.startswith(("E         - ", "E         + "))]
    assert changed == ["E         - month = 3", "E         + month = 4"]
    project.edit("test_it.py", "3, 2, 1, 4", "3, 2, 1")
    project.pytest().assert_outcomes(failed=1)


def test_requests_need_no_model(project: Project) -> None:
    """`function.request(...)`, or a list of requests, is compared too; a model is never asked."""
    write(
        project,
        "def test_find(prompt_snapshot):",
        "    assert season.request(1) == prompt_snapshot",
        "    assert [season.request(2), season.request(3)] == prompt_snapshot",
        "    assert prompt_snapshot == season.request(1)",
        "    assert it.MODEL.requests == []",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    project.pytest().assert_outcomes(passed=1)
    assert files(project) == ["test_find.1.md", "test_find.2.md", "test_find.md"]
    assert read(project).startswith("## `season` · `scripted:model`\n")
    assert read(project, "test_find.1.md").count("## `season` · `scripted:model`") == 2


def test_other_data_is_refused(project: Project) -> None:
    """Comparing an answer is no prompt snapshot, and the failure says what is."""
    write(
        project,
        "def test_find(prompt_snapshot):",
        "    assert season(1) == prompt_snapshot",
        "def test_other(prompt_snapshot):",
        "    assert season(1) != prompt_snapshot",
    )
    for options in (["--snapshot-update"], []):
        result = project.pytest(*options)
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(2 * ["*TypeError: 'spring' is neither call nor request*llm_calls*"])
    assert files(project) == []


def test_no_calls_are_a_transcript_too(project: Project) -> None:
    """A test that must not ask any model can say so."""
    write(project, "def test_find(llm_calls, prompt_snapshot):", "    assert llm_calls == prompt_snapshot")
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    assert read(project) == "No model was asked.\n"
    project.edit("test_it.py", "    assert", "    season(1)\n    assert")
    project.pytest().assert_outcomes(failed=1)


def test_no_two_tests_share_a_file(project: Project) -> None:
    """Parameters, names and functions that a file system may confuse get files of their own."""
    write(
        project,
        "@pytest.mark.parametrize('text', ['p', 'a/b', 'ab', 'AB', 'a][b', 'a b', 'x' * 90 + '1', 'ü', 'ä'])",
        "def test_one(text, prompt_snapshot):",
        "    assert Request('m', (Message('user', text),)) == prompt_snapshot",
        "    assert season.request(1) == prompt_snapshot",
        "    for name in ('n', 'N', 'n/m', 'nm'):",
        "        assert Request('m', (Message('user', text + name),)) == prompt_snapshot(name=name)",
        "class TestC:",
        "    def test_y(self, prompt_snapshot):",
        "        assert season.request(2) == prompt_snapshot",
        "    def test_Y(self, prompt_snapshot):",
        "        assert season.request(3) == prompt_snapshot",
    )
    project.pytest("--snapshot-update", "-W", "error").assert_outcomes(passed=11)
    names = files(project)
    assert len({name.lower() for name in names}) == 9 * 6 + 2
    assert {"test_one[p].md", "test_one[p].1.md", "test_one[p][n].md", "test_one[ab].md"} < set(names)
    result = project.pytest("-W", "error")
    result.assert_outcomes(passed=11)
    result.stdout.fnmatch_lines(["56 snapshots passed."])


def test_a_test_beside_no_twin_has_its_plain_name(project: Project) -> None:
    """Classes are part of the name; no hash is added where none is needed."""
    write(
        project,
        "class TestC:",
        "    def test_y(self, prompt_snapshot):",
        "        assert season.request(2) == prompt_snapshot",
    )
    project.pytest("--snapshot-update")
    assert files(project) == ["TestC.test_y.md"]


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_unused_transcripts(project: Project, options: list[str]) -> None:
    """What no test compares any more fails the run and is listed; `--snapshot-update` deletes it; `-k` leaves it be."""
    write(
        project,
        "@pytest.mark.parametrize('text', ['a', 'A', 'b'])",
        "def test_find(text, prompt_snapshot):",
        "    assert Request('m', (Message('user', text),)) == prompt_snapshot",
        "def test_other(prompt_snapshot):",
        "    assert season.request(1) == prompt_snapshot",
    )
    project.pytest("--snapshot-update", *options).assert_outcomes(passed=4)
    assert len(files(project)) == 4
    project.edit("test_it.py", "['a', 'A', 'b']", "['b']")
    project.pytest("-k", "other", *options).assert_outcomes(passed=1)
    result = project.pytest("--snapshot-details", *options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["2 snapshots passed. 2 snapshots unused.", "Unused test_find?A?-* (__snapshots__*)"])
    project.pytest("--snapshot-update", *options).assert_outcomes(passed=2)
    assert files(project) == ["test_find[b].md", "test_other.md"]


# Together with cassettes


def test_recording_and_accepting_in_one_run(project: Project) -> None:
    """`pytest --llm-record --snapshot-update` records the calls and accepts their prompts; then both replay."""
    project.write(test_it=TEST)
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    assert "Find the goods that fit a query." in read(project)
    assert "answer 1" not in read(project)
    project.pytest().assert_outcomes(passed=1)
    project.edit("shop.py", "goods that fit", "things that fit")
    project.pytest("--llm-record").assert_outcomes(failed=1)
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    assert "Find the things that fit a query." in read(project)
    project.pytest().assert_outcomes(passed=1)


SWALLOWED = """
import os, pytest
from shop import shop

def test_find(llm_calls, prompt_snapshot):
    for query in ("one", os.environ.get("QUERY", "two"), "three"):
        try:
            shop.find(query)
        except BaseException:
            pass
    assert llm_calls == prompt_snapshot
    assert llm_calls[:1] == prompt_snapshot(name="first")
"""


@pytest.mark.parametrize(
    ("test", "options"),
    [(TEST, []), (TEST, ["-n", "2"]), (SWALLOWED, [])],
    ids=["ended", "ended, xdist", "swallowed"],
)
def test_a_miss_leaves_the_transcript_alone(project: Project, test: str, options: list[str]) -> None:
    """In replay a missed test fails with the miss and nothing else, and `--snapshot-update` neither shortens nor deletes."""
    project.write(test_it=test)
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    before = {name: read(project, name) for name in files(project)}
    project.edit("shop.py", "goods that fit", "things that fit")
    for update in [], ["--snapshot-update"]:
        result = project.pytest(*options, *update)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*no recording answers this call of Shop.find*", "*changed: the docstring*"])
        result.stdout.no_fnmatch_line("*AssertionError*")
        result.stdout.no_fnmatch_line("*unused*")
        assert {name: read(project, name) for name in files(project)} == before


def test_a_miss_writes_no_first_transcript(project: Project) -> None:
    """Nothing is accepted for a test that has no recordings yet."""
    project.write(test_it=SWALLOWED)
    project.pytest("--snapshot-update").assert_outcomes(failed=1)
    assert files(project) == []


def test_a_test_about_misses_is_compared_in_full(project: Project) -> None:
    """With `expect_miss` a miss cuts nothing short."""
    project.write(test_it=SWALLOWED.replace("def test", "@pytest.mark.llm_cassette(expect_miss=True)\ndef test"))
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    assert read(project) == "No model was asked.\n"


@pytest.mark.parametrize("where", ["a fixture", "the test"])
def test_a_failed_test_keeps_its_transcripts(project: Project, where: str) -> None:
    """A test that fails before it compares anything has not stopped using its transcripts."""
    fails = "    assert not os.environ.get('FAIL')"
    write(
        project,
        "import os",
        "def test_before(prompt_snapshot):",
        "    assert season.request(1) == prompt_snapshot",
        "@pytest.fixture",
        "def stock():",
        fails if where == "a fixture" else "    pass",
        "def test_find(stock, prompt_snapshot):",
        fails if where == "the test" else "    pass",
        "    assert season.request(1) == prompt_snapshot",
        "    assert season.request(2) == prompt_snapshot(name='Other')",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=2)
    before = files(project)
    project.pytester.makeconftest("import os; os.environ['FAIL'] = 'yes'")
    result = project.pytest("--snapshot-update")
    result.stdout.fnmatch_lines(["2 snapshots failed. 1 snapshot passed."])
    assert files(project) == before


# Without syrupy


def test_without_syrupy_only_the_tests_that_need_it_fail(project: Project) -> None:
    """The plugin loads without syrupy; a test with a prompt snapshot says what to install."""
    project.write(test_it=TEST + "\ndef test_plain(): pass\n", block="import sys\nsys.modules['syrupy'] = None\n")
    result = project.pytest("-p", "block", "-p", "no:syrupy", "--llm-record")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(['*prompt_snapshot needs syrupy: pip install "llm-strategy?test?"'])


def test_syrupy_switched_off(project: Project) -> None:
    """Installed, but kept from loading: the message says so."""
    project.write(test_it=TEST)
    result = project.pytest("-p", "no:syrupy", "--llm-record")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*prompt_snapshot needs the plugin of syrupy, which is switched off*"])
