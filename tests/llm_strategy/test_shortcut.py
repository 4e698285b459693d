"""The short cuts of a replay give what the long way gives."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_strategy import Message, Request, Response, Usage
from llm_strategy.canonical import digest
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.lines import read_lines
from llm_strategy.cassette.reader import load
from llm_strategy.cassette.shortcut import read_response
from llm_strategy.values import TextPart

PIECES = [
    "\n", "\n\n", " ", "    ", "\t", '"', "\\", "\r", "\x7f", "\x85", "é", "😀", "\ud800", "---", "response:", "usage:",
    "/tmp/tmpabcdefgh/x", "/home/ada/x", os.path.expanduser("~"), "Bearer " + "a" * 30, "sk-" + "a" * 30,
    "-----BEGIN PRIVATE KEY-----\n\na\n\n-----END PRIVATE KEY-----", "PRIVATE KEY-----",
]  # fmt: skip
texts = st.lists(st.text(max_size=5) | st.sampled_from(PIECES), max_size=8).map("".join)
counts = st.none() | st.integers(0, 10**12)
responses = st.builds(
    Response,
    texts,
    st.none() | st.builds(Usage, counts, counts),
    st.sampled_from(["stop", "length", "of the provider's"]),
    st.none() | texts,
)


def lines(response: Response) -> bytes:
    """The lines of the field `response` as they stand in a cassette."""
    return emit({"response": response.to_json()}).encode().removeprefix(b"---\n")


@given(responses)
def test_a_response_is_read_as_the_yaml_reader_reads_it(response: Response) -> None:
    """Or it is left to that reader."""
    text = lines(response)
    assert read_response(text) in (None, load(text)["response"])


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(lambda text: f"{{{text}\n{text}}}"))
def test_plain_responses_take_the_short_cut(text: str) -> None:
    """Replies of printable characters and line ends do, with and without usage and the model's name."""
    for response in (Response(text), Response(text, Usage(1, None), "stop", "gpt-5-mini-2025-08-07")):
        assert read_response(lines(response)) == response.to_json()


def test_other_forms_are_left_to_the_yaml_reader() -> None:
    """What another tool has laid out anew, what is cut off and what is no UTF-8 is not guessed at."""
    text = lines(Response("a", Usage(1, 2)))
    assert read_response(text) is not None
    for other in (
        text[:-1],
        text + b"  more: 1\n",
        text.replace(b"|-", b">-"),
        text.replace(b"    a", b"    \xff"),
        b"",
    ):
        assert read_response(other) is None


keys = st.sampled_from(["content", "arguments", "on", "$schema", "a b", "encoding", "data"]) | st.text(max_size=3)
numbers = st.integers() | st.floats() | st.integers(10**14, 10**16)
values = st.recursive(
    texts | numbers | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_lines_of_ours_are_read_as_the_yaml_reader_reads_them(value: object) -> None:
    """Any value, nested in any way: it is the same (NaN is no other than NaN), or it is left to that reader."""
    text = emit({"response": value, "more": [value]}).encode().removeprefix(b"---\n")
    found = read_lines(text)
    assert found is None or repr(found) == repr(load(text))


SHORT_CUTS: list[object] = [
    {"status": 200, "headers": {"content-type": "application/json"}, "layout": "spaced", "body": {"a": [], "b": {}}},
    {"events": [{"data": {"delta": {"content": "Once "}}}, {"event": "end", "data": "[DONE]"}, "raw: \n"]},
    {"arguments": '{"city": "Zürich\\n"}', "quote": '"', "page": 1, "score": -0.5, "tiny": 1e-07, "no": None},
    [[[1, [2, {"a": [[True]]}]], []], {"x": [{"y": {"z": "\n\n  a\n\n"}}, {}]}],
    {"content": "  a 😀\n\n\tb \n", "more": ["a\n", "\n", "a\n\n", {"content": "x"}]},
]


@pytest.mark.parametrize("value", SHORT_CUTS, ids=range(len(SHORT_CUTS)))
def test_what_answers_consist_of_takes_the_short_cut(value: object) -> None:
    """Nested mappings and sequences, blocks, escapes, numbers: nothing of them is left to the YAML reader."""
    text = emit({"response": value}).encode().removeprefix(b"---\n")
    assert read_lines(text) == {"response": value} == load(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: b\n", "a: 'b'\n", "a: !!str \"b\"\n", "a: &x \"b\"\n", "a: [1]\n", "a: \"b\"  # c\n", "a: 1", "- \"a\"\n  - \"b\"\n",
        "a:\n    b: 1\n", "a:\n  b: 1\n c: 2\n", "a: 1\na: 2\n", "a:\n  - 1\n", "a: \"\\x07\"\n", "\"a\"\n", "  a: 1\n", "a: >\n  b\n",
        "a:\n- b: 1\n   c: 2\n", "- 1\n", "a: 1\n- 2\n", "a:\n- \n", "a: 1\n\nb: 2\n", "a:\n- 1\nb:\n", "a: .nan\n", "a:\n" + "- " * 95 + "1\n",
    ],
)  # fmt: skip
def test_lines_of_another_form_are_left_to_the_yaml_reader(text: str) -> None:
    """Whether they are YAML or not."""
    assert read_lines(text.encode()) is None


messages = st.builds(
    Message, st.sampled_from(["user", "/tmp/x"]), texts | st.lists(st.builds(TextPart, texts), max_size=3)
)
objects = st.dictionaries(st.text(max_size=3), texts | st.floats(allow_nan=False) | st.integers(), max_size=3)


@given(st.none() | texts, st.lists(messages, max_size=3), st.none() | objects, st.lists(objects, max_size=2), objects)
def test_a_key_is_the_digest_of_the_stored_request(
    model: str | None, said: list[Message], schema: object, tools: list[object], settings: object
) -> None:
    """Put together from paragraphs, or made of the whole: the key is the same."""
    request = Request(model, said, schema, tools, settings)  # type: ignore[arg-type]  # plain JSON becomes frozen
    assert request.key == digest(request.stored)
