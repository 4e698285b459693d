"""What differs between the images and files that two prompts bring along: which arguments they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from llm_strategy.blobs import identified
from llm_strategy.difference.prompt_text import PromptText
from llm_strategy.values import BlobPart, Message, Part, Request, TextPart

_MENTION = re.compile(r"attached as file (\d{1,6})>")


def without_content(request: Request) -> Request:
    """The request with the hash and size of binary content in its place: equal where the content is."""
    if not any(isinstance(part, BlobPart) for message in request.messages for part in message.parts):
        return request
    messages = (Message(message.role, map(_without_content, message.parts)) for message in request.messages)
    return replace(request, messages=tuple(messages))


def _without_content(part: Part) -> Part:
    return replace(part, content=identified(part.content)) if isinstance(part, BlobPart) else part


def without_numbers(text: str) -> str:
    """An argument without the numbers of its files, which change with the arguments before it."""
    return _MENTION.sub("attached as a file>", text)


def other_files(old: PromptText, new: PromptText, was: Message, now: Message) -> Iterator[str]:
    """The arguments of which the attached content differs."""
    before, after = _files(old, was), _files(new, now)
    for name, files in after.items():
        if name in before and before[name] != files:
            yield name


def _files(prompt: PromptText, message: Message) -> dict[str, list[Part]]:
    """The files of each argument."""
    files = [part for part in message.parts if not isinstance(part, TextPart)]
    numbers = {name: map(int, _MENTION.findall(text)) for name, text in prompt.arguments.items()}
    return {name: [files[at - 1] for at in places if 0 < at <= len(files)] for name, places in numbers.items()}
