"""Answers as a client reads them, whatever compression they were recorded in."""

from __future__ import annotations

import json
from collections.abc import Iterator

from llm_strategy.http.decoding import Decoder, decoder
from llm_strategy.importer.outcomes import malformed, unsupported

LARGEST = 256 << 20
"""Bytes of an answer; what claims to be larger is an attack, or no answer of a model."""
_STEP = 1 << 12
"""Bytes that are decompressed at once: what they may stand for fits into memory."""


def decoded(body: bytes, encoding: str, content_type: str) -> bytes | None:
    """A body after a content encoding has been undone; None where nothing here can. Raises NotImported.

    Recorders leave the header standing where they have undone the compression themselves: text that is not
    compressed is taken as it is.
    """
    reading = decoder(encoding)
    if reading is None:
        return body if _is_text(body) else None
    try:
        said = _joined(_fed(reading, body))
    except _TooLarge:
        raise unsupported(f"the answer takes more than {LARGEST >> 20} MiB when it is decompressed") from None
    except Exception:  # noqa: BLE001  # each package has errors of its own for damaged data
        said = None
    if said is not None and _is_credible(said, content_type) and (_is_text(said) or not _is_text(body)):
        return said
    if _is_text(body):
        return body
    raise malformed(f"the answer cannot be decompressed ({encoding}), or is not whole")


class _TooLarge(Exception):
    """Raised before memory is full."""


def _fed(reading: Decoder, body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _STEP):
        yield reading.feed(body[start : start + _STEP])
    yield reading.end()


def _joined(pieces: Iterator[bytes]) -> bytes:
    found, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > LARGEST:
            raise _TooLarge
        found.append(piece)
    return b"".join(found)


def _is_credible(body: bytes, content_type: str) -> bool:
    """Whether a body is what its type says: of what was cut off, decompressing tells nothing."""
    if "json" not in content_type:
        return True
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _is_text(body: bytes) -> bool:
    try:
        return "\0" not in body.decode("utf-8")
    except UnicodeDecodeError:
        return False
