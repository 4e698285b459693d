"""Compressed bodies, read as they arrive."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any


class Decoder:
    """Takes a body as it was sent, and gives what it says; this one, what was not compressed."""

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        """What is left at the end of the body."""
        return b""


def decoder(encoding: str) -> Decoder | None:
    """What reads a body with this header `content-encoding`; None where an encoding, or what reads it, is not there."""
    # The last one was put on last.
    names = [name for name in (part.strip().lower() for part in encoding.split(",")) if name not in ("", "identity")]
    decoders = [_DECODERS[name]() if name in _DECODERS else None for name in reversed(names)]
    if len(decoders) == 1:
        return decoders[0]
    known = [found for found in decoders if found is not None]
    return _Chain(known) if len(known) == len(decoders) else None


class _Chain(Decoder):
    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> bytes:
        for each in self._decoders:
            data = each.feed(data)
        return data

    def end(self) -> bytes:
        data = b""
        for each in self._decoders:
            data = each.feed(data) + each.end() if data else each.end()
        return data


class _Gzip(Decoder):
    """Any number of compressed members, one behind the other."""

    _format = 16 + zlib.MAX_WBITS

    def __init__(self) -> None:
        self._member = zlib.decompressobj(self._format)

    def feed(self, data: bytes) -> bytes:
        said = b""
        while data:
            if self._member.eof:
                if not data.strip(b"\0"):
                    break
                self._member = zlib.decompressobj(self._format)
            said += self._member.decompress(data)
            data = self._member.unused_data
        return said

    def end(self) -> bytes:
        return self._member.flush()


class _Deflate(Decoder):
    """With the header of zlib, as it should be, or without, as some servers send it."""

    def __init__(self) -> None:
        self._beginning = b""
        self._stream: Any = None

    def feed(self, data: bytes) -> bytes:
        if self._stream is None:
            self._beginning += data
            if len(self._beginning) < 2:
                return b""
            data = self._beginning
            has_header = data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        said: bytes = self._stream.decompress(data)
        return said

    def end(self) -> bytes:
        return b"" if self._stream is None else self._stream.flush()


class _Foreign(Decoder):
    """A decompressor of another package."""

    def __init__(self, feed: Callable[[bytes], bytes]) -> None:
        self._feed = feed

    def feed(self, data: bytes) -> bytes:
        return self._feed(data) if data else b""


def _brotli() -> Decoder | None:
    found = _first("brotli", "brotlicffi")
    if found is None:
        return None
    stream = found.Decompressor()
    return _Foreign(stream.process if hasattr(stream, "process") else stream.decompress)


def _zstd() -> Decoder | None:
    found = _first("compression.zstd", "backports.zstd", "zstandard")
    if found is None:
        return None
    stream = found.ZstdDecompressor()
    return _Foreign((stream.decompressobj() if hasattr(stream, "decompressobj") else stream).decompress)


def _first(*names: str) -> Any:
    """The first of some modules that is there: the client that has asked for such a body has one of them."""
    import importlib

    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_DECODERS: dict[str, Callable[[], Decoder | None]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _brotli,
    "zstd": _zstd,
}
