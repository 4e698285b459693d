"""Binary content in a request: in place as base64, or by reference to a file of its own.

`docs/reference/cassette-format.md` specifies the reference.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

SMALLEST = 1024
"""Bytes; shorter content stays in place."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TO_STANDARD = str.maketrans("-_", "+/")
_STAND_IN = re.compile(r"<blob ([0-9a-f]{64}), ([0-9]{1,15}) bytes>")


class Identity(NamedTuple):
    """What tells one content from another: its hash, and its size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> Identity:
        return cls(sha256(data).hexdigest(), len(data))


def decoded(content: str) -> bytes | None:
    """The bytes of a content in base64 as RFC 4648 has it, padded; None for other text."""
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode("ascii") == content else None


def decoded_for_addresses(content: str) -> bytes | None:
    """The bytes of a content in the base64 with `-` and `_` in place of `+` and `/`, padded; None for other text."""
    if "+" in content or "/" in content:
        return None
    return decoded(content.translate(_TO_STANDARD))


def encoded_for_addresses(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii")


def reference(data: bytes, mime_type: str | None) -> dict[str, Any]:
    """What stands in a document in place of a content."""
    identity = Identity.of(data)
    return {"sha256": identity.sha256, "mime_type": mime_type, "size": identity.size}


def identity_in(reference: Any) -> Identity:
    """What a reference refers to. Raises ValueError or TypeError for what is none."""
    if not isinstance(reference, Mapping):
        raise TypeError("a blob is a mapping of sha256, mime_type and size")
    name, size = reference.get("sha256"), reference.get("size")
    if not isinstance(name, str) or not _SHA256.fullmatch(name):
        raise ValueError("the sha256 of a blob is not 64 hex digits")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError("the size of a blob is no number of bytes")
    return Identity(name, size)


def stand_in(identity: Identity) -> str:
    """What a part holds as its content where the file with its content was not read."""
    return f"<blob {identity.sha256}, {identity.size} bytes>"


def stood_for(content: str) -> Identity | None:
    """The content that a stand-in stands for."""
    found = _STAND_IN.fullmatch(content)
    return None if found is None else Identity(found[1], int(found[2]))


def identified(content: str) -> str:
    """A stand-in for a content, whether its file was read or not; other text as it is."""
    data = decoded(content)
    return content if data is None else stand_in(Identity.of(data))


def summary(content: str) -> str:
    """A content in a few words: its size and the beginning of its hash; equal for equal contents."""
    identity = stood_for(content)
    if identity is None:
        data = decoded(content)
        if data is None:
            # A placeholder, or no base64.
            return content if len(content) <= 40 else f"{len(content):,} characters, {_hash(content)}"
        identity = Identity.of(data)
    return f"{identity.size:,} bytes, SHA-256 {identity.sha256[:16]}"


def _hash(text: str) -> str:
    return f"SHA-256 {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
