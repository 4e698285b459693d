"""The files of a folder into which others write, and from which others remove, meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def folders_below(folder: Path) -> list[Path]:
    """A folder and all below it, in order; those that vanish meanwhile are passed over."""
    return sorted(Path(root) for root, _, _ in os.walk(folder))


def yaml_below(folder: Path) -> list[Path]:
    """Every YAML file in and below a folder, in order; folders that vanish meanwhile are passed over."""
    return sorted(Path(root, name) for root, _, names in os.walk(folder) for name in names if name.endswith(".yaml"))
