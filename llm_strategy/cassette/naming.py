"""Where a test's cassette lies: a name from its id, safe on every file system."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import PurePosixPath

_UNSAFE = re.compile(r"[^A-Za-z0-9_.,=+@()\[\]-]+")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_LONGEST = 100
"""Characters of a name: folders above it and the longest names of file systems leave room for as many."""
_MARKED = re.compile(r"-(?=[0-9]*[a-f])[0-9a-f]{8}\Z")
"""What looks like a name with a hash; eight digits are a date."""
SUFFIX = ".yaml"
NEW_SUFFIX = f".new{SUFFIX}"
"""What was asked afresh, until the test that asked has passed."""
REPLACED = ".replaced"
"""The folder beside cassettes for what runs have replaced in them, until that is accepted: no cassettes of tests."""
_TAKEN = (SUFFIX, NEW_SUFFIX.removesuffix(SUFFIX))
"""Endings of the names of other files: a folder `x.yaml` would stand in the place of a cassette."""


def test_cassette(nodeid: str, *, twin: bool = False) -> PurePosixPath:  # noqa: PT028  # it is no test
    """`tests/a/test_x.py::TestC::test_y[p]` -> `tests/a/test_x/TestC.test_y[p].yaml`.

    `twin` says that another test of the module has this name but for upper and lower case, which some file systems do
    not tell apart, and that the other one keeps the plain name.
    """
    module, _, test = nodeid.partition("::")
    base, bracket, parameters = test.partition("[")
    plain = not twin and not _MARKED.search(test) and not _is_ambiguous(module, base)
    folder = _folder(module)
    if not module.endswith(".py") and "." not in module.rpartition("/")[2]:
        # Another file's folder, without its suffix.
        folder = folder.with_name(_name(folder.name, "", module, plain=False))
    return folder / (_name(base.replace("::", "."), bracket + parameters, nodeid, plain=plain) + SUFFIX)


def _is_ambiguous(module: str, base: str) -> bool:
    """Whether the name of a test has dots of its own, which look like those between a class and its test.

    The names of doctests do; they begin with that of their module.
    """
    parts = module.removesuffix(".py").removesuffix("/__init__").split("/")
    is_doctest = base == parts[-1] or any(
        base.replace("::", ".").startswith(".".join(parts[start:]) + ".") for start in range(len(parts))
    )
    return ("::" in base) if is_doctest else ("." in base)


def fixture_cassette(module: str, fixture: str, parameter: str | None) -> PurePosixPath:
    """`tests/conftest.py`, `database`, "pg" -> `tests/conftest/fixtures/database[pg].yaml`."""
    shown = f"[{parameter}]" if parameter is not None else ""
    plain = fixture == fixture.lower() and not _MARKED.search(fixture + shown)
    return _folder(module) / "fixtures" / (_name(fixture, shown, f"{module}::{fixture}{shown}", plain=plain) + SUFFIX)


def named_cassette(name: str) -> PurePosixPath:
    """A marker's `name` -> `<name>.yaml`; folders are allowed, leaving them is not."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a cassette is a text such as 'shop/search', not {name!r}")
    parts = [_name(part, "", name) for part in name.removesuffix(SUFFIX).split("/") if part not in ("", ".", "..")]
    if not parts or ".." in name.split("/"):
        raise ValueError(f"the cassette name {name!r} leaves the folder of the cassettes: give a plain name")
    return PurePosixPath(*parts[:-1]) / (parts[-1] + SUFFIX)


def _folder(module: str) -> PurePosixPath:
    """A folder for each part of a path, also for one that leads upwards: what is there is another file."""
    parts = module.removesuffix(".py").split("/")
    return PurePosixPath(*(_name(part, "", part, plain=not _MARKED.search(part)) for part in parts))


def _name(base: str, parameters: str, identity: str, *, plain: bool = True) -> str:
    """A readable name, and a short hash of the identity where the name alone would not be unique, or not `plain`.

    Letters of parameters count as alike in both cases: some file systems think so.
    """
    readable = _UNSAFE.sub("-", base + _public(parameters)).strip(" ")
    clean = plain and readable == base + parameters and len(readable) <= _LONGEST and parameters == parameters.lower()
    clean = clean and readable.partition(".")[0].lower() not in _DEVICES and not readable.startswith(".")
    if clean and readable and not readable.lower().endswith((".", *_TAKEN)):
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
