"""Bodies as other tools write them down, as the bytes that went over the wire or that the client read."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from llm_strategy.importer.documents import Foreign, find_foreign, strict_base64
from llm_strategy.importer.outcomes import malformed, unsupported

FORM = "application/x-www-form-urlencoded"
_KINDS = frozenset(("json", "text", "binary", "none"))
"""What cassetter says that a body is."""


def body_bytes(body: Any, content_type: str) -> bytes:
    """A recorded body, still compressed if it was. Raises NotImported."""
    match body:
        case None:
            return b""
        case bytes():
            return body
        case str():
            return _encoded(body)
        case Foreign():
            raise unsupported(f"the body is a Python object ({body.tag}), which no recording needs to be")
        case {"base64_string": str(text)}:
            return _from_base64(text)
        case {"string": inner, **rest} if not rest.keys() - {"encoding"}:
            return body_bytes(inner, content_type)
        case {"type": str(kind), **rest} if kind in _KINDS and not rest.keys() - {"content"}:
            return _of_kind(kind, rest.get("content"))
        case _:
            return _structured(body, content_type)


def _structured(body: Any, content_type: str) -> bytes:
    """A body that was kept as what the program had handed to its client."""
    is_form = content_type.partition(";")[0].strip().lower() == FORM
    if isinstance(body, list) and body and all(isinstance(piece, str | bytes) for piece in body) and not is_form:
        if content_type.startswith("application/json") and not any(isinstance(piece, bytes) for piece in body):
            return json_bytes(body)
        return b"".join(piece if isinstance(piece, bytes) else _encoded(piece) for piece in body)
    if is_form and isinstance(body, Mapping):
        body = list(map(list, body.items()))
    if is_form and isinstance(body, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in body):
        # As `requests` does, which takes a list for several values.
        return urlencode([(str(name), value) for name, value in body], doseq=True).encode("ascii")
    if isinstance(body, Mapping | list):
        return json_bytes(body)
    raise malformed(f"the body is {type(body).__name__}, neither text nor data")


def json_bytes(value: Any) -> bytes:
    """A body that was kept as the value of its JSON, as `json.dumps` writes it: so do the tools that keep it so."""
    try:
        return json.dumps(value).encode("ascii")
    except (TypeError, ValueError, RecursionError):
        tag = next(find_foreign(value), None)
        what = f"a Python object ({tag})" if tag else "what JSON has no place for"
        raise unsupported(f"the body holds {what}") from None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _from_base64(text: str) -> bytes:
    try:
        return strict_base64(text)
    except (ValueError, binascii.Error):
        raise malformed("a body in base64 cannot be decoded") from None


def _of_kind(kind: str, content: Any) -> bytes:
    if kind == "json":
        return json_bytes(content)
    if kind == "none" or content is None:
        return b""
    if isinstance(content, bytes):
        return content
    if kind == "text":
        return _encoded(str(content))
    try:
        return bytes.fromhex(str(content))
    except ValueError:
        return _from_base64(str(content))
