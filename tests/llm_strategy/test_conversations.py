"""What has become of a conversation: its messages, their order, their parts."""

from __future__ import annotations

import pytest

from llm_strategy.difference import MORE, NOTHING, compare
from llm_strategy.values import (
    BlobPart,
    Message,
    Request,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)

SYSTEM = Message("system", "Be kind.")
EXAMPLE = (Message("user", "1 + 1?"), Message("assistant", "2"))
OTHER = (Message("user", "1 + 2?"), Message("assistant", "3"))
ASKED = Message("user", "Add up 2 and 3.")
CALL = Message("assistant", [ToolCallPart("1", "add", {"a": 2})])
ANSWER = Message("tool", [ToolCallResponsePart("1", "5")])


def look(text: str, data: str = "QUJD", *, last: bool = False) -> Message:
    parts = [TextPart(text), BlobPart("image", "image/png", data)]
    return Message("user", parts[::-1] if last else parts)


CHANGED: list[tuple[tuple[Message, ...], tuple[Message, ...], list[str]]] = [
    ((SYSTEM, ASKED), (SYSTEM, *EXAMPLE, ASKED), ["2 messages were added (user, assistant)"]),
    ((SYSTEM, *EXAMPLE, *OTHER, ASKED), (SYSTEM, *OTHER, ASKED), ["2 messages were removed (user, assistant)"]),
    ((SYSTEM, *EXAMPLE, *OTHER, ASKED), (SYSTEM, *OTHER, *EXAMPLE, ASKED), ["the order of the messages"]),
    ((SYSTEM, ASKED), (ASKED, SYSTEM), ["the order of the messages"]),
    ((SYSTEM, ASKED), (SYSTEM, ASKED, CALL, ANSWER), ["the conversation is longer than the recorded one"]),
    ((SYSTEM, ASKED, CALL, ANSWER), (SYSTEM, ASKED), ["the recorded conversation is longer"]),
    (
        (ASKED,),
        (SYSTEM, Message("user", "Sum up 2 and 3.")),
        ["a message was added (system)", "a message (user): 'Add' -> 'Sum'"],
    ),
    (
        (SYSTEM, ASKED),
        (Message("developer", "Be brief."), ASKED),
        ["the role of a message: system -> developer", "the instructions (developer message): 'kind' -> 'brief'"],
    ),
    ((ASKED, CALL), (ASKED, Message("assistant", [ToolCallPart("1", "add", {"a": 2.0})])), ["a call of the tool add"]),
    (
        (ASKED, CALL, ANSWER),
        (ASKED, CALL, Message("tool", [ToolCallResponsePart("1", "6")])),
        ["what the tool add answered"],
    ),
    ((look("Look."),), (look("See.", "QUJE"),), ["a message (user): 'Look' -> 'See'", "the image in a message (user)"]),
    ((look("Look."),), (look("Look.", last=True),), ["the order of the parts of a message (user)"]),
    (
        (look("Look."),),
        (Message("user", [TextPart("Look."), UriPart("image", "image/png", "https://a.example/b")]),),
        ["the image in a message (user)"],
    ),
    ((SYSTEM,), (SYSTEM,), [NOTHING]),
]


@pytest.mark.parametrize(("old", "new", "causes"), CHANGED)
def test_a_conversation_that_has_changed(old: tuple[Message, ...], new: tuple[Message, ...], causes: list[str]) -> None:
    """Messages that came, went or changed places are no others; those that did change are told by their words."""
    assert list(compare(Request(None, old), Request(None, new)).causes) == causes


def test_more_causes_than_anybody_reads() -> None:
    """The last stands for the rest, in the same words whatever their number is."""
    for count in (12, 30):
        old, new = ("\n".join(f"{text} {n}\nas it was" for n in range(count)) for text in ("one", "two"))
        causes = compare(Request(None, (Message("user", old),)), Request(None, (Message("user", new),))).causes
        assert causes[0] == "a message (user): 'one' -> 'two'"
    settings = [{f"s{n}": value for n in range(30)} for value in (1, 2)]
    causes = compare(*(Request(None, (ASKED,), settings=given) for given in settings)).causes
    assert (len(causes), causes[-1]) == (10, MORE)
