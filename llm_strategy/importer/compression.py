"""Answers as a client reads them, whatever compression they were recorded in."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from llm_strategy.importer.outcomes import malformed, unsupported

LARGEST = 256 << 20
"""Bytes of an answer; what claims to be larger is an attack, or no answer of a model."""
_STEP = 1 << 14
_ZSTANDARD = ("compression.zstd", "backports.zstd")
"""The standard library's from Python 3.14 on, and the same for older ones."""


def decoded(body: bytes, encodings: Sequence[str]) -> bytes:
    """A body after its content encodings, of the values of that header, have been undone. Raises NotImported.

    Recorders leave the header standing where they have undone the compression themselves: text that cannot be
    decompressed is taken as it is.
    """
    for encoding in reversed([name.strip().lower() for listed in encodings for name in listed.split(",")]):
        if body and encoding not in ("", "identity"):
            body = _decoded(body, encoding)
    return body


def _decoded(body: bytes, encoding: str) -> bytes:
    try:
        return _joined(_decompressed(body, encoding))
    except ImportError as error:
        if _is_text(body):
            return body
        raise unsupported(f"the answer is compressed ({encoding}); to read it: {error}") from None
    except KeyError:
        raise unsupported(f"the answer is compressed in a way that is not known ({encoding})") from None
    except _TooLarge:
        raise unsupported(f"the answer takes more than {LARGEST >> 20} MiB when it is decompressed") from None
    except Exception:  # noqa: BLE001  # each package has errors of its own for damaged data
        if _is_text(body):
            return body
        raise malformed(f"the answer cannot be decompressed ({encoding})") from None


class _TooLarge(Exception):
    """Raised before memory is full."""


def _joined(pieces: Iterator[bytes]) -> bytes:
    found, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > LARGEST:
            raise _TooLarge
        found.append(piece)
    return b"".join(found)


def _decompressed(body: bytes, encoding: str) -> Iterator[bytes]:
    if encoding in ("gzip", "x-gzip"):
        return _inflated(body, 16 + zlib.MAX_WBITS)
    if encoding == "deflate":
        # With a header as the standard has it, or bare as some servers send it.
        bare = body[0] & 0x0F != 8 or int.from_bytes(body[:2], "big") % 31
        return _inflated(body, -zlib.MAX_WBITS if bare else zlib.MAX_WBITS)
    return {"br": _brotli, "zstd": _zstandard}[encoding](body)


def _inflated(body: bytes, window: int) -> Iterator[bytes]:
    while body:
        decompressor = zlib.decompressobj(window)
        while not decompressor.eof:
            piece = decompressor.decompress(body, _STEP * 64)
            if not piece and not decompressor.unconsumed_tail and not decompressor.eof:
                raise ValueError("the end is missing")
            yield piece
            body = decompressor.unconsumed_tail
        body = decompressor.unused_data


def _brotli(body: bytes) -> Iterator[bytes]:
    decompressor = _module("pip install brotli", "brotli", "brotlicffi").Decompressor()
    for start in range(0, len(body), _STEP):
        yield decompressor.process(body[start : start + _STEP])
    if not decompressor.is_finished():
        raise ValueError("the end is missing")


def _zstandard(body: bytes) -> Iterator[bytes]:
    try:
        decompressor: Any = _module("", *_ZSTANDARD).ZstdDecompressor()
    except ImportError:
        decompressor = _module("pip install zstandard", "zstandard").ZstdDecompressor().decompressobj()
    for start in range(0, len(body), _STEP):
        yield decompressor.decompress(body[start : start + _STEP])
    if not decompressor.eof:
        raise ValueError("the end is missing")


def _module(cure: str, *names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ImportError(cure)


def _is_text(body: bytes) -> bool:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return "\0" not in text
