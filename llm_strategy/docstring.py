"""Descriptions of parameters and fields in a docstring, in the styles of Google, NumPy and Sphinx.

What is told about a parameter moves out of the docstring, so that a prompt says it once. Everything
else stays as it was written, word for word. An entry counts only if it names a parameter: a section
that only looks like one is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

_TITLES = "(?:Args|Arguments|Parameters|Params|Other Parameters|Keyword Args|Keyword Arguments|Attributes)"
_FIELDS = "(?:param|parameter|arg|argument|key|keyword|attribute|ivar|cvar|var)"
_GOOGLE = re.compile(rf"{_TITLES}:\s*")
_NUMPY = re.compile(rf"{_TITLES}\s*")
_UNDERLINE = re.compile(r"-{3,}\s*")
_TYPED = re.compile(r"[*\\\w, ]+ : \S")
_SPHINX = re.compile(rf":{_FIELDS}\s[^:]*:")
_SPHINX_TYPE = re.compile(r":(?:type|vartype)\s+([^:]*):")
_FENCE = re.compile(r"\s*(?:```|~~~)")
# Most docstrings have none of it, and are spared the rest.
_ANY = re.compile(rf"^(?:{_TITLES}:?\s*$|:{_FIELDS}\s)", re.MULTILINE)


class Documented(NamedTuple):
    """A docstring without the descriptions of parameters, and these by name."""

    text: str
    descriptions: Mapping[str, str]


class _Entry(NamedTuple):
    """What is said about one parameter, or several: the lines from `start` to before `end`."""

    start: int
    end: int
    style: str
    title: range = range(0)
    """The lines of the section's title, which go with its last entry."""


def documented(docstring: str, names: Collection[str]) -> Documented:
    """Read a docstring, whose indentation is cleaned, of what has the parameters, or fields, `names`."""
    if not _ANY.search(docstring):
        return Documented(docstring, {})
    lines = docstring.splitlines()
    descriptions: dict[str, str] = {}
    cut: set[int] = set()
    entries = list(_entries(lines))
    for entry in entries:
        if not set(re.findall(r"\w+", lines[entry.start])) & set(names):
            continue
        named, text = _read(lines[entry.start : entry.end], entry.style)
        if text and named and set(named) <= set(names):
            descriptions |= dict.fromkeys(named, text)
            cut.update(range(entry.start, entry.end))
    if not cut:
        return Documented(docstring, {})
    for number, line in enumerate(lines):
        if (typed := _SPHINX_TYPE.match(line)) and typed[1] in descriptions:
            cut.update(range(number, _end_of_field(lines, number)))
    for entry in entries:
        if all(other.start in cut for other in entries if other.title == entry.title):
            cut.update(entry.title)
    return Documented("\n".join(_without(lines, cut)).strip("\n"), descriptions)


def _entries(lines: list[str]) -> Iterator[_Entry]:
    number, fenced = 0, False
    while number < len(lines):
        line = lines[number]
        fenced ^= bool(_FENCE.match(line))
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if not fenced and _GOOGLE.fullmatch(line):
            end = _end_of_field(lines, number)
            yield from _google(lines, number, end)
        elif not fenced and _NUMPY.fullmatch(line) and _UNDERLINE.fullmatch(below):
            entries = list(_numpy(lines, number))
            yield from entries
            end = entries[-1].end if entries else number + 2
        elif not fenced and _SPHINX.match(line):
            end = _end_of_field(lines, number)
            yield _Entry(number, end, "sphinx")
        else:
            end = number + 1
        number = end


def _is_indented(line: str) -> bool:
    return line[:1].isspace() and bool(line.strip())


def _end_of_field(lines: list[str], start: int) -> int:
    """Where the indented lines below a line end, blank lines between them included."""
    end = start + 1
    for number in range(start + 1, len(lines)):
        if _is_indented(lines[number]):
            end = number + 1
        elif lines[number].strip():
            break
    return end


def _google(lines: list[str], title: int, end: int) -> Iterator[_Entry]:
    """The entries of a section are its lines that are indented least; what is deeper goes on with them."""
    body = [number for number in range(title + 1, end) if lines[number].strip()]
    if not body:
        return
    depth = _depth(lines[body[0]])
    starts = [number for number in body if _depth(lines[number]) <= depth]
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        yield _Entry(start, stop, "google", range(title, title + 1))


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _numpy(lines: list[str], title: int) -> Iterator[_Entry]:
    """The entries of a section stand at the margin, with a type or with indented lines below; another line ends it."""
    number = title + 2
    while number < len(lines):
        line = lines[number]
        end = _end_of_field(lines, number) if line.strip() else number + 1
        if line.strip():
            if _is_indented(line) or (end == number + 1 and not _TYPED.match(line)):
                return
            yield _Entry(number, end, "numpy", range(title, title + 2))
        number = end


_SETTING = {"google": "Says.\n\nArgs:\n", "numpy": "Says.\n\nParameters\n----------\n", "sphinx": "Says.\n\n"}


def _read(lines: list[str], style: str) -> tuple[list[str], str]:
    """The names that an entry is about and what it says of them; nothing where it is no entry."""
    # Only for docstrings that seem to have a section.
    from docstring_parser import DocstringStyle, ParseError, parse

    styles = {"google": DocstringStyle.GOOGLE, "numpy": DocstringStyle.NUMPYDOC, "sphinx": DocstringStyle.REST}
    text = "\n".join(lines)
    if style == "sphinx":
        text = re.sub(rf"^:{_FIELDS}\s", ":param ", text)
    try:
        found = parse(_SETTING[style] + text, styles[style]).params
    except ParseError:
        return [], ""
    if len(found) != 1:
        return [], ""
    names = [name.strip().lstrip("*\\") for name in found[0].arg_name.split(",")]
    return names, (found[0].description or "").strip()


def _without(lines: list[str], cut: set[int]) -> Iterator[str]:
    """The lines that are not cut; of the blank lines around a cut only those before it stay."""
    after_cut = False
    last = ""
    for number, line in enumerate(lines):
        if number in cut:
            after_cut = True
        elif not (after_cut and not line.strip() and not last.strip()):
            after_cut = False
            last = line
            yield line
