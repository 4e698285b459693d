"""One command in the place of several that each record some tests."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable

_MOST_NAMED = 5
"""So many tests, or files, are named in one command."""
_LONGEST = 160
"""Characters of a command that names several and is still taken in at a glance."""
_COMMAND = re.compile(r"(\S+(?: --[^\s']+| '--[^']+')*)(?: (.+))?", re.DOTALL)
"""What records, with its options, and the test, file or folder that it is given."""
_WITHIN = re.compile(r"::|/")


def one_command(commands: Iterable[str]) -> str:
    """What does the work of all: it names their tests where these are few, else the files of these, else none.

    Of a test that was missed with several parameters the name has none, as it is recorded with all of them.
    Empty where there is none, or none of `pytest`.
    """
    read = [match.groups() for command in dict.fromkeys(commands) if (match := _COMMAND.fullmatch(command))]
    if not read:
        return ""
    # What asks all afresh records what is missing too.
    recording: str = max((recorder for recorder, _ in read), key=lambda recorder: "=all" in recorder)
    if any(argument is None for _, argument in read):
        return recording
    names = dict.fromkeys(shlex.split(argument)[0] if "'" in argument else argument for _, argument in read)
    parameters = Counter(map(_function, names))
    # Recordings that are out of date go only where all parameters of a test have run.
    tests = [_function(name) if parameters[_function(name)] > 1 else name for name in names]
    for part in (_whole, _function, _file):
        named = _outermost(dict.fromkeys(map(part, tests)))
        command = f"{recording} {shlex.join(named)}"
        if len(named) == 1 or (len(named) <= _MOST_NAMED and len(command) <= _LONGEST):
            return command
    return recording


def _whole(test: str) -> str:
    return test


def _function(test: str) -> str:
    """A test's name without its parameters."""
    file, separator, name = test.partition("::")
    return file + separator + name.partition("[")[0]


def _file(test: str) -> str:
    return test.partition("::")[0]


def _outermost(names: Collection[str]) -> list[str]:
    """Those that are not in a class, file or folder which is named itself."""
    return [name for name in names if not any(name[: end.start()] in names for end in _WITHIN.finditer(name))]
