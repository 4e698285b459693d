"""The words that tell one change of a text from another."""

from __future__ import annotations

import itertools

import pytest

from llm_strategy.difference import compare
from llm_strategy.difference.conversations import AGAIN, COMPLAINT, INSTRUCTIONS, OPENING
from llm_strategy.difference.wording import rewordings
from llm_strategy.errors import ReplyError
from llm_strategy.prompt import SYSTEM, SYSTEM_FOR_TEXT
from llm_strategy.reply import complaint
from llm_strategy.values import Message, Request

REWORDED: list[tuple[str, str, list[str]]] = [
    ("Sum up in one sentence.", "Sum up in two sentences.", ["'one sentence' -> 'two sentences'"]),
    ("Sum up: Sum 1.", "Give the gist: Sum 1!", ["'Sum up' -> 'Give the gist', '.' -> '!'"]),
    ("a\nb", "a\nb\nBe brief.", ["added 'Be brief.'"]),
    ("a\nBe brief.\nb", "a\nb", ["removed 'Be brief.'"]),
    ("a\nb\nc", "x\nb\ny", ["'a' -> 'x'", "'c' -> 'y'"]),
    ("a\n\nc\nd", "x\n\ny\nd", ["'a c' -> 'x y'"]),
    ("the text, the text", "the note, the note", ["'text' -> 'note'"]),
    ("", "hello", ["added 'hello'"]),
    ("one  two", "one two", ["'  ' -> ' '"]),
    ("a\r\nb", "a\nb", ["removed '\\r'"]),
    ("cafe\u0301", "caf\u00e9", ["'cafe\\u0301' -> 'caf\\xe9'"]),
    ("請用一句話總結", "請用兩句話總結", ["'一' -> '兩'"]),
    ("😀 hello", "😃 hello", ["'😀' -> '😃'"]),
    ("a" * 500, "b" * 500, [f"'{'a' * 15}...{'a' * 15}' -> '{'b' * 15}...{'b' * 15}'"]),
    (
        "red one blue two green three pink",
        "rot one blau two gruen three rosa",
        ["'red' -> 'rot', 'blue' -> 'blau', 'green' -> 'gruen', 'pink' -> 'rosa'"],
    ),
    (
        " x ".join(letter * 30 for letter in "abcdef"),
        " x ".join(letter * 30 for letter in "ghijkl"),
        [f"'{'a' * 30}' -> '{'g' * 30}', '{'b' * 30}' -> '{'h' * 30}', and 4 more"],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), REWORDED)
def test_a_change_is_told_in_its_words(old: str, new: str, expected: list[str]) -> None:
    """Of lines that stand together as one change, shortened where it is long, with what cannot be seen as escapes."""
    assert list(rewordings(old, new)) == expected


VALUES = [
    "a",
    "",
    "one",
    "Sum up in one",
    "in one sentence",
    "What is it?\nAnd why?",
    "x" * 5000,
    "日本",
    "1",
    "{}",
    "'\"",
]
TEMPLATES = [
    ("Sum up in one sentence: {}", "Give the gist in two sentences: {}"),
    ("Text: {}\nSum up in one sentence.", "Text: {}\nSum up in two sentences."),
    ("You are kind.\n\nText:\n{}\n\nSum up, please.", "You are kind.\n\nText:\n{}\n\nSum up."),
    ("Question: {} (in a word).", "Frage: {} (mit einem Wort)!"),
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_told_alike_whatever_stands_in_it(template: tuple[str, str]) -> None:
    """Its line that has changed is one cause in every call, and none that a changed value has."""
    told = {tuple(rewordings(*(text.format(value) for text in template))) for value in VALUES}
    assert len(told) == 1
    values = {
        tuple(rewordings(template[0].format(old), template[0].format(new))) for old, new in itertools.pairwise(VALUES)
    }
    assert not values & told


def test_the_library_knows_its_own_words() -> None:
    """They change with its version and not with the program: as one cause, however they do."""
    for own in (SYSTEM, SYSTEM_FOR_TEXT):
        assert own.content.startswith(OPENING)
        before = Request(None, (Message("system", own.content + " Be brief."),))
        assert compare(before, Request(None, (own,))).causes == (INSTRUCTIONS,)
    asked = complaint(ReplyError("no value", problems=[("a", "Input should be an integer")]))
    assert asked.startswith(COMPLAINT)
    conversation = [Message("user", "?"), Message("assistant", "!")]
    before = Request(None, (*conversation, Message("user", asked.replace("Input", "It"))))
    assert compare(before, Request(None, (*conversation, Message("user", asked)))).causes == (AGAIN,)


def test_a_system_message_of_the_program_is_none_of_the_library() -> None:
    """Nor is what takes the place of the library's."""
    for old in (SYSTEM, Message("system", "Be kind.")):
        (cause,) = compare(Request(None, (old,)), Request(None, (Message("system", "Be brief."),))).causes
        assert cause.startswith("the instructions (system message): ")
