"""Where a test's cassette lies: a name from its id, safe on every file system."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import PurePosixPath

_UNSAFE = re.compile(r"[^A-Za-z0-9_.,=+@()\[\]-]+")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_LONGEST = 100
"""Characters of a name: folders above it and the longest names of file systems leave room for as many."""
SUFFIX = ".yaml"


def test_cassette(nodeid: str) -> PurePosixPath:
    """`tests/a/test_x.py::TestC::test_y[p]` -> `tests/a/test_x/TestC.test_y[p].yaml`."""
    module, _, test = nodeid.partition("::")
    base, bracket, parameters = test.partition("[")
    return _folder(module) / (_name(base.replace("::", "."), bracket + parameters, nodeid) + SUFFIX)


def fixture_cassette(module: str, fixture: str, parameter: str | None) -> PurePosixPath:
    """`tests/conftest.py`, `database`, "pg" -> `tests/conftest/fixtures/database[pg].yaml`."""
    shown = f"[{parameter}]" if parameter is not None else ""
    return _folder(module) / "fixtures" / (_name(fixture, shown, f"{module}::{fixture}{shown}") + SUFFIX)


def named_cassette(name: str) -> PurePosixPath:
    """A marker's `name` -> `<name>.yaml`; folders are allowed, leaving them is not."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a cassette is a text such as 'shop/search', not {name!r}")
    parts = [_name(part, "", name) for part in name.removesuffix(SUFFIX).split("/") if part not in ("", ".", "..")]
    if not parts or ".." in name.split("/"):
        raise ValueError(f"the cassette name {name!r} leaves the folder of the cassettes: give a plain name")
    return PurePosixPath(*parts[:-1]) / (parts[-1] + SUFFIX)


def _folder(module: str) -> PurePosixPath:
    parts = PurePosixPath(module.removesuffix(".py")).parts
    return PurePosixPath(*(_name(part, "", part) for part in parts if part not in ("/", "..", ".")))


def _name(base: str, parameters: str, identity: str) -> str:
    """A readable name, and a short hash of the identity where the name alone would not be unique.

    Letters of parameters count as alike in both cases: some file systems think so.
    """
    readable = _UNSAFE.sub("-", base + _public(parameters)).strip(" ")
    clean = readable == base + parameters and len(readable) <= _LONGEST and parameters == parameters.lower()
    clean = clean and readable.partition(".")[0].lower() not in _DEVICES and not readable.startswith(".")
    if clean and not readable.endswith("."):
        return readable
    if readable.partition(".")[0].lower() in _DEVICES:
        # Windows takes a name up to its first dot for a device.
        readable = readable.replace(".", "-")
    mark = sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable[:_LONGEST].strip('.-') or 'x'}-{mark}"


_LONGEST_PLAIN = 20
"""Characters of parameters that cannot hold a secret; what finds one is loaded for longer ones only."""


def _public(parameters: str) -> str:
    """The parameters of a test without what looks like a secret: they become a file's name."""
    if len(parameters) <= _LONGEST_PLAIN:
        return parameters
    from llm_strategy.redaction import without_secrets

    return without_secrets(parameters)
