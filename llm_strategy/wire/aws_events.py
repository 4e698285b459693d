"""The frames of AWS' event streams: headers and a payload, with lengths and checksums around them."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterator, Mapping

from llm_strategy.wire.splitting import PRELUDE

_TEXT = 7
"""The type of a header whose value is text, which all headers of model calls have."""
_CHECKSUM = 4


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Raises OverflowError where a header is too long for the format."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    size = PRELUDE + len(encoded) + len(payload) + _CHECKSUM
    prelude = size.to_bytes(4) + len(encoded).to_bytes(4)
    message = prelude + crc32(prelude).to_bytes(4) + encoded + payload
    return message + crc32(message).to_bytes(_CHECKSUM)


def _header(name: str, value: str) -> bytes:
    key, text = name.encode("utf-8"), value.encode("utf-8")
    return bytes([len(key)]) + key + bytes([_TEXT]) + len(text).to_bytes(2) + text


def unframed(data: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and payload of a frame. Raises ValueError where `frame` would not give it back."""
    end = PRELUDE + int.from_bytes(data[4:8])
    try:
        headers, payload = dict(_headers(data[PRELUDE:end])), data[end:-_CHECKSUM]
        exact = frame(headers, payload) == data
    except (IndexError, OverflowError):
        exact = False
    if not exact:
        raise ValueError("no frame, or one whose headers are not all text")
    return headers, payload


def _headers(data: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(data):
        value = at + 1 + data[at]
        if data[value] != _TEXT:
            raise ValueError("a header is no text")
        text = value + 3
        end = text + int.from_bytes(data[value + 1 : text])
        yield data[at + 1 : value].decode("utf-8"), data[text:end].decode("utf-8")
        at = end
