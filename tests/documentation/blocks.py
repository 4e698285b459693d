"""The fenced code blocks of a Markdown text, by the rules in tests/README.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^(?P<fence>`{3,})(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=fence) *$", re.MULTILINE | re.DOTALL)
_OTHER_FENCE = re.compile(r"^(?: +```|> *```| *~~~)", re.MULTILINE)
_COMMENTS = re.compile(r"(?:<!--[^\n]*-->\s*)*\Z")
_NOTE = re.compile(r"<!-- *(file|not run|exit status|in the checkout)\b:? *(.*?) *-->")
_FILE_NAME = re.compile(r"^# ([\w./-]+\.(?:py|toml|yaml|ini))\n", re.MULTILINE)


class Mismatch(AssertionError):
    """A document says something else than what happens."""


@dataclass(frozen=True)
class Block:
    """One block: the number of its first line, its language and text, and what the comments above it say."""

    line: int
    language: str
    text: str
    notes: dict[str, str]

    def files(self) -> dict[str, str]:
        """Path to content, where the block shows files."""
        if "file" in self.notes:
            return {self.notes["file"]: self.text}
        if not _FILE_NAME.match(self.text):
            return {}
        names = _FILE_NAME.split(self.text)[1:]  # a name, its text, the next name ...
        return dict(zip(names[::2], names[1::2], strict=True))

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a console block and what it is said to print."""
        lines = self.text.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        if starts[:1] != [0]:
            raise Mismatch("a console block begins with a command: $ ...")
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            output = start + 1
            while output < end and lines[output].startswith("> "):
                output += 1
            yield "\n".join(line[2:] for line in lines[start:output]), "\n".join(lines[output:end]).strip("\n")


def read_blocks(text: str) -> Iterator[Block]:
    """The blocks of a Markdown text, in order."""
    if other := _OTHER_FENCE.search(text):
        raise Mismatch(f"line {text.count(chr(10), 0, other.start()) + 1}: a fence is ``` at the start of a line")
    for match in _BLOCK.finditer(text):
        comments = _COMMENTS.search(text, 0, match.start())
        notes = dict(_NOTE.findall(comments[0] if comments else ""))
        yield Block(text.count("\n", 0, match.start("text")) + 1, match["language"], match["text"], notes)


def fits(printed: str, expected: str) -> bool:
    """Whether an output is the expected one: `...` stands for any text, alone on a line for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"\n"
        for line in expected.splitlines()
    )
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in printed.strip("\n").splitlines())) is not None
