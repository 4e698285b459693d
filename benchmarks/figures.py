"""What figures depend on, and where those that a page quotes are kept."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FIGURES = Path(__file__).parents[1] / "docs" / "reference" / "guarantees.json"


def header(*packages: str) -> dict[str, str]:
    """What stands above a table; the versions are those of `packages`."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "this checkout" if name == "llm-strategy" else "not installed"


def keep(group: str, measured: Mapping[str, Mapping[str, str]], command: str) -> None:
    """Write figures where the page of guarantees has them from, in place of those that the group had."""
    written = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    ground = {"on": f"Python {platform.python_version()}, {platform.system()}", "test": f"python {command}"}
    kept = {name: numbers for name, numbers in written.items() if not name.startswith(f"{group}: ")}
    kept |= {f"{group}: {name}": {**numbers, **ground} for name, numbers in measured.items()}
    FIGURES.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")
