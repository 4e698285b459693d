"""The page: one HTML file that holds its data, style and script, and reaches for nothing else."""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256
from importlib.resources import files

from llm_strategy.values import JSON

_SCRIPTS = ("texts.js", "details.js", "list.js", "report.js")
"""In this order: the last one opens the page, and needs what the others define."""
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(data: JSON) -> bytes:
    """The report as a page. What it shows is data in it, and becomes text by nothing but `textContent`."""
    style = _file("report.css")
    script = "".join(map(_file, _SCRIPTS))
    filled = {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        # Nothing in it ends the element that it stands in, or begins another; all else is ASCII.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e"),
    }
    # All at once: what is filled in may look like a place.
    return _PLACE.sub(lambda found: filled[found[1]], _file("report.html")).encode("ascii")


def _policy(style: str, script: str) -> str:
    """No network, no frame, no form, and no script or style but these two, which are told by their hashes."""
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{_hash(script)}'",
        "style-src": f"'sha256-{_hash(style)}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        # A slip in the script fails, rather than make HTML of a text.
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return base64.b64encode(sha256(text.encode()).digest()).decode("ascii")


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="ascii")
