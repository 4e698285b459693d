"""Which calls a file may hold, found without opening it as a cassette: it may be anything, of any size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from llm_strategy.cassette.obstacle import BEGINNING, check_beginning, check_file
from llm_strategy.errors import CassetteError

_KEY = re.compile(rb'\nkey: "?([0-9a-f]{64})"?\r?\n')
_BLOCK = 1 << 22
"""Bytes that are read at once: most cassettes are smaller."""
_LONGEST = 80
"""Bytes of a line with a key, at most."""
_MOST = 1_000_000
"""Keys of one file that are looked at."""


def keys_in(path: Path) -> Iterator[str]:
    """The keys in a file, some of them twice; none in what is no cassette, or cannot be read."""
    try:
        check_file(path, path.stat())
        with path.open("rb") as file:
            yield from islice(_keys(path, file), _MOST)
    except (CassetteError, OSError):
        return


def _keys(path: Path, file: BinaryIO) -> Iterator[str]:
    data = file.read(_BLOCK)
    check_beginning(path, data[:BEGINNING])
    while data:
        yield from (found[1].decode() for found in _KEY.finditer(data))
        # A line may begin in one block and end in the next.
        block = file.read(_BLOCK)
        data = data[-_LONGEST:] + block if block else b""
