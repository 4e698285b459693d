"""The line of the program under test from which a call comes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from sysconfig import get_paths
from types import FrameType


def caller() -> tuple[str, int] | tuple[None, None]:
    """File and line of the innermost frame that belongs to no library; Nones in a thread that has none."""
    return next(callers(), (None, None))


def callers() -> Iterator[tuple[str, int]]:
    """File and line of each frame around this one that belongs to no library, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not _is_library(frame.f_code.co_filename):
            yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


@cache
def _is_library(file: str) -> bool:
    if file.startswith("<"):
        return True
    path = Path(file)
    own = Path(__file__).parent
    folders = [own, *(Path(get_paths()[name]) for name in ("stdlib", "platstdlib"))]
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or any(map(path.is_relative_to, folders))
