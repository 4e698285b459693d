"""Environment variables, lent for a while: child processes see them too."""

from __future__ import annotations

import os
from collections.abc import Mapping


class Lent:
    """Variables that have these values until `restore`; None leaves out a variable."""

    def __init__(self, values: Mapping[str, str | None]) -> None:
        self._before = {name: os.environ.get(name) for name in values}
        _set(values)

    def restore(self) -> None:
        """Put back what was there before."""
        _set(self._before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
