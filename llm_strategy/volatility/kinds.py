"""What a value that differs from run to run looks like: ids made at random, addresses, times, temporary folders.

Two questions are answered. `sightings`: what stands in this text that will not stand there tomorrow? A date is such a
thing only if it is today's. `kind_of`: what is it that makes these texts differ? There any date will do.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

ADDRESS = "the address of an object"
RANDOM = "a random id"
TODAY = "today's date"
NOW = "the present time"
DATE = "a date"
TIME = "a time"
ORDER = "the order of its parts"
FOLDER = "the name of a temporary folder or file"


class Sighting(NamedTuple):
    """Something in a text; `literal` is what would stand in a source file if it were a constant there."""

    kind: str
    value: str
    literal: str


_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[%s][0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_RANDOM_UUID = re.compile(_UUID % "47")
_ANY_UUID = re.compile(_UUID % "0-9a-fA-F")
_RUN = re.compile(r"[A-Za-z0-9_-]{16,}")
_LONGEST = 64
_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_ADDRESS = re.compile(r"<[^<>\n]{1,200} at 0x[0-9a-fA-F]{6,16}>")
_FOLDER = re.compile(r"<tmp>[/\\]+([^/\\\s\"'<>]*?[a-z0-9_]{8}(?:\.\w{1,8})?)(?=[/\\\s\"'<>,;:)]|$)")
_NUMBER = re.compile(r"(?<![\w.-])(\d{10}(?:\d{3}|\d{6}|\d{9})?)(?:\.\d+)?(?![\w-]|\.\d)")
_DAY = 86_400


def sightings(text: str, now: datetime) -> Iterator[Sighting]:
    """What stands in a text, with placeholders for the folders of this machine, that will not stand there tomorrow.

    `now` is the present, with a time zone.
    """
    if " at 0x" in text:
        yield from (Sighting(ADDRESS, found[0], found[0]) for found in _ADDRESS.finditer(text))
    if "<tmp>" in text:
        for found in _FOLDER.finditer(text):
            if _is_made_by_tempfile(found[1]):
                yield Sighting(FOLDER, found[0], found[1])
    for found in _RUN.finditer(text):
        yield from _ids(found[0], text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1])
    yield from _times(text, now)


def _is_made_by_tempfile(name: str) -> bool:
    """Whether the name ends as `tempfile` ends it: with eight characters at random, which are hardly ever a word."""
    tail = name.partition(".")[0][-8:]
    return re.search(r"[0-9_][a-z]", tail) is not None


def _ids(run: str, before: str, after: str) -> Iterator[Sighting]:
    """The ids in a run of letters and digits; beside a slash, a point or the like it may be a piece of anything."""
    uuids = _RANDOM_UUID.findall(run)
    if uuids:
        yield from (Sighting(RANDOM, uuid, uuid) for uuid in uuids)
    elif len(run) <= _LONGEST and before not in (*_JOINING, ".") and after not in _JOINING and is_random(run):
        yield Sighting(RANDOM, run, run)


_JOINING = ("+", "/", "=")


def is_random(token: str) -> bool:
    """Whether letters and digits of an id were drawn at random, rather than put together from words and numbers."""
    kinds = [any(map(test, token)) for test in (str.isdigit, str.islower, str.isupper)]
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", token):
        return kinds[0] and any(kinds[1:]) and len(re.findall(r"[0-9](?=[a-fA-F])", token)) > 1
    if re.fullmatch(_ULID, token):
        return kinds[0] and kinds[2]
    if len(token) < 20 or not all(kinds) or re.search(r"[a-z]{7}|[A-Z]{7}|\d{9}", token):
        return False
    changes = sum(_class(one) != _class(other) for one, other in pairwise(token))
    return changes * 3 >= len(token) and not _is_readable(token)


def _class(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.islower() else 2


def _is_readable(token: str) -> bool:
    """Whether it is a text in base64, which is no more random than the text."""
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), validate=True).decode().isprintable()
    except (binascii.Error, UnicodeDecodeError):
        return False


def _times(text: str, now: datetime) -> Iterator[Sighting]:
    end = 0
    for day in dict.fromkeys((now.date(), now.astimezone(UTC).date())):
        forms = _forms_of(day)
        # To look for fixed strings costs a hundredth of what the pattern does.
        if any(beginning in text for beginning in forms.beginnings):
            for found in forms.pattern.finditer(text):
                end = found.end()
                yield Sighting(NOW if found["time"] else TODAY, found[0], found[0])
    seconds = now.timestamp()
    if str(int(seconds))[:4] in text:
        for found in _NUMBER.finditer(text):
            if abs(int(found[1]) / 10 ** (len(found[1]) - 10) - seconds) < _DAY:
                yield Sighting(NOW, found[0], found[0])
    if not end:
        yield from _clock_times(text, now)


def _clock_times(text: str, now: datetime) -> Iterator[Sighting]:
    """Times without a date, with seconds, of this minute and those beside it."""
    for zone in dict.fromkeys((now.utcoffset(), timedelta())):
        for minutes in (-1, 0, 1):
            beginning = f"{now.astimezone(timezone(zone or timedelta())) + timedelta(minutes=minutes):%H:%M:}"
            if beginning in text:
                for found in re.finditer(rf"(?<![\d:.]){beginning}[0-5]\d(?![\d:])", text):
                    yield Sighting(NOW, found[0], found[0])


_MONTHS = "January February March April May June July August September October November December".split()


class _Forms(NamedTuple):
    """How a day is written; each form begins with one of these."""

    beginnings: tuple[str, ...]
    pattern: re.Pattern[str]


@lru_cache(maxsize=8)
def _forms_of(day: date) -> _Forms:
    """A day as it is usually written, with or without a time behind it."""
    year, month = day.year, _MONTHS[day.month - 1]
    numbers = [f"{day:%Y-%m-%d}", f"{day:%Y/%m/%d}", f"{day:%Y%m%d}", f"{day:%d.%m.%Y}", f"{day:%m/%d/%Y}"]
    numbers += [f"{day:%d/%m/%Y}", f"{day:%d-%m-%Y}", f"{day:%m/%d/%y}", f"{day:%d.%m.%y}"]
    numbers += [f"{day.day}.{day.month}.{year}", f"{day.month}/{day.day}/{year}", f"{day.day}/{day.month}/{year}"]
    name = rf"(?:{month}|{month[:3]}\b\.?)"
    number = rf"0?{day.day}(?:st|nd|rd|th)?(?!\d)"
    # Another year makes it another day, perhaps the one of somebody's birth.
    year_or_none = rf"(?:,? (?:\d\d:\d\d:\d\d )?{year}(?!\d)|(?!,? (?:\d\d:\d\d:\d\d )?\d{{4}}))"
    words = rf"{name} {number}{year_or_none}|{number} (?:of )?{name}{year_or_none}"
    time = r"(?P<time>[T ,]{1,2}\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    fixed = "|".join(map(re.escape, dict.fromkeys(numbers)))
    return _Forms((*numbers, month[:3]), re.compile(rf"(?<![\w.-])(?:(?:{fixed})(?!\d)|(?:{words})){time}"))


# What differs between texts

_ANY_MONTH = "(?:" + "|".join(f"{month}|{month[:3]}\\.?" for month in _MONTHS) + ")"
_ANY_DATE = (
    r"\d{4}[-/]\d{2}[-/]\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\b\d{8}\b"
    rf"|{_ANY_MONTH} \d{{1,2}}(?:,? \d{{4}})?|\d{{1,2}} {_ANY_MONTH}(?: \d{{4}})?"
)
_CLOCK = r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
_ANY_TIME = rf"(?:{_ANY_DATE})?[T ,]{{0,2}}{_CLOCK}|\b1\d{{9}}(?:\d{{3}})*(?:\.\d+)?\b|{_ANY_DATE}"
_MASKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (ADDRESS, re.compile(r"0x[0-9a-fA-F]{6,16}")),
    (FOLDER, re.compile(r"(?<=<tmp>)[/\\]+[^/\\\s\"'<>]+")),
    (RANDOM, re.compile(rf"{_ANY_UUID.pattern}|[A-Za-z0-9_-]{{16,64}}")),
    (DATE, re.compile(_ANY_DATE)),
    (TIME, re.compile(_ANY_TIME)),
    ("a number", re.compile(r"-?\d+(?:\.\d+)?")),
)


def kind_of(texts: Sequence[str]) -> str | None:
    """What makes texts differ that are otherwise equal; None where it is nothing of the kind."""
    for kind, pattern in _MASKS:
        if len({pattern.sub(_mask if kind == RANDOM else "\0", text) for text in texts}) == 1:
            return kind
    return ORDER if len({"".join(sorted(text)) for text in texts}) == 1 else None


def _mask(found: re.Match[str]) -> str:
    is_id = _ANY_UUID.fullmatch(found[0]) or is_random(found[0])
    return "\0" if is_id else found[0]
