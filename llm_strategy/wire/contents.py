"""Large binary content in the bodies of HTTP calls: moved out to files of its own, and back into its place.

Content is a `data:` URL that is the whole of a string, base64 in a field that is known to hold it, or a body that is no
text. `docs/reference/cassette-format.md` specifies the reference that stands for it in a document.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from llm_strategy import blobs
from llm_strategy.blobs import Identity
from llm_strategy.redaction import Opaque
from llm_strategy.values import JSON

_FIELDS = frozenset(
    "b64_json bytes bytesBase64Encoded data embedding file_data image images partial_image_b64 result".split()
)
"""Where clients and providers put base64. Elsewhere a text that happens to be base64 is a text."""

_SMALLEST_TEXT = blobs.SMALLEST * 4 // 3
"""Characters; what is shorter is no large content."""
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[\w.+-]+)*;base64,")
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF....WEBP": "image/webp",
    b"RIFF....WAVE": "audio/wav",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"%PDF-": "application/pdf",
}
"""How files of a type begin; a dot stands for any byte."""

_FOR_ADDRESSES = "url"
"""The alphabet of base64 that Google's clients send."""
_REFERENCE = frozenset(("sha256", "mime_type", "size"))
_BESIDE = frozenset(("prefix", "alphabet"))
_ESCAPED_HASH = re.compile(r"[0-9a-f]{64}!*")


class Unread(str):
    """Stands for a content whose file was not read; as text it says which content that is."""

    __slots__ = ("alphabet", "identity", "mime_type", "prefix")
    identity: Identity
    mime_type: str | None
    prefix: str
    alphabet: str

    @classmethod
    def of(cls, reference: Mapping[str, Any]) -> Unread:
        blob, prefix = reference["blob"], reference.get("prefix", "")
        identity = blobs.identity_in(blob)
        text = cls(prefix + blobs.stand_in(identity))
        text.identity, text.mime_type, text.prefix = identity, blob["mime_type"], prefix
        text.alphabet = reference.get("alphabet", "")
        return text

    def filled(self, data: bytes) -> str:
        """The string that it stands for."""
        encode = blobs.encoded_for_addresses if self.alphabet == _FOR_ADDRESSES else _encoded
        return self.prefix + encode(data)


class Content(NamedTuple):
    """A large content. `data` is None where its file was not read.

    `prefix` stands before its base64 in the string, which has an `alphabet` of its own if it is not the usual one.
    """

    data: bytes | None
    identity: Identity
    mime_type: str | None
    prefix: str = ""
    alphabet: str = ""

    @property
    def reference(self) -> dict[str, JSON]:
        blob = {"sha256": self.identity.sha256, "mime_type": self.mime_type, "size": self.identity.size}
        beside = {"prefix": self.prefix, "alphabet": self.alphabet}
        return {"blob": blob} | {name: value for name, value in beside.items() if value}

    def __str__(self) -> str:
        kind = self.mime_type or "binary content"
        return f"[{kind}, {self.identity.size:,} bytes, SHA-256 {self.identity.sha256[:16]}]"


def contents(http: Mapping[str, JSON]) -> Iterator[Content]:
    """The large contents in an envelope."""
    found: list[Content] = []
    _envelope(http, lambda content, _text: found.append(content))
    return iter(found)


def sealed(http: Mapping[str, JSON]) -> dict[str, JSON]:
    """An envelope whose large contents are opaque: no rule looks for the shape of a secret in them."""
    found = _envelope(http, lambda _content, text: Opaque(text))
    # No text at all, rather than a text in one.
    return {**found, "body": {"base64": found["body"]}} if isinstance(found.get("body"), Opaque) else found


def packed(http: Mapping[str, JSON]) -> dict[str, JSON]:
    """An envelope with references in the places of large contents, as a document holds it."""
    return _envelope(http, lambda content, _text: content.reference, _escaped)


def described(http: Mapping[str, JSON]) -> dict[str, JSON]:
    """An envelope with a few words in the places of large contents, for people."""
    return _envelope(http, lambda content, _text: str(content))


def unpacked(http: Mapping[str, JSON]) -> dict[str, JSON]:
    """An envelope of a document with each reference as `Unread` text in its content's place."""
    found = {name: _unpacked(value) if name in ("body", "events") else value for name, value in http.items()}
    body = http.get("body")
    if isinstance(body, Mapping) and isinstance(found["body"], Unread):
        # It was no text at all, rather than a text in one.
        found["body"] = {"base64": found["body"]}
    return found


def is_unread(value: JSON) -> bool:
    """Whether a content in an envelope was not read."""
    if isinstance(value, Mapping | list):
        return any(map(is_unread, value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, Unread)


def filled(http: Mapping[str, JSON], read: Callable[[Identity], bytes | None]) -> dict[str, JSON]:
    """An envelope with the contents that `read` gives in the places of what was unread."""

    def change(value: JSON) -> JSON:
        if isinstance(value, Unread):
            data = read(value.identity)
            return value if data is None else value.filled(data)
        if isinstance(value, Mapping):
            return {key: change(item) for key, item in value.items()}
        return [change(item) for item in value] if isinstance(value, list) else value

    return {name: change(value) for name, value in http.items()}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _envelope(
    http: Mapping[str, JSON],
    change: Callable[[Content, str], JSON],
    escape: Callable[[dict[str, JSON]], dict[str, JSON]] = lambda mapping: mapping,
) -> dict[str, JSON]:
    """An envelope with each large content of its body or events changed, and each other mapping escaped."""

    def walk(value: JSON, name: str) -> JSON:
        if isinstance(value, str):
            content = _content(value, name)
            return value if content is None else change(content, value)
        if isinstance(value, dict):
            return escape({key: walk(item, key) for key, item in value.items()})
        return [walk(item, name) for item in value] if isinstance(value, list) else value

    found = dict(http)
    body = http.get("body")
    if isinstance(body, Mapping) and body.keys() == {"base64"}:
        content = _content(body["base64"], "data")
        if content is not None:
            kind = str(http.get("headers", {}).get("content-type", "")).partition(";")[0].strip()
            found["body"] = change(content._replace(mime_type=kind or content.mime_type), body["base64"])
    elif isinstance(body, Mapping | list):
        found["body"] = walk(body, "")
    if "events" in http:
        found["events"] = walk(http["events"], "")
    return found


def _content(text: str, name: str) -> Content | None:
    """The large content that a string is, in a field with this name."""
    if isinstance(text, Unread):
        return Content(None, text.identity, text.mime_type, text.prefix, text.alphabet)
    if len(text) < _SMALLEST_TEXT:
        return None
    url = _DATA_URL.match(text)
    if url is None and name not in _FIELDS:
        return None
    prefix = url[0] if url else ""
    encoded = text[len(prefix) :]
    data, alphabet = blobs.decoded(encoded), ""
    if data is None:
        data, alphabet = blobs.decoded_for_addresses(encoded), _FOR_ADDRESSES
    if data is None or len(data) < blobs.SMALLEST:
        return None
    return Content(data, Identity.of(data), url[1] if url else _kind(data), prefix, alphabet)


def _kind(data: bytes) -> str | None:
    """The media type of what begins like this, where it is a usual one."""
    for beginning, kind in _BEGINNINGS.items():
        if all(want in (ord("."), byte) for want, byte in zip(beginning, data, strict=False)):
            return kind
    return None


def _is_reference(value: JSON) -> bool:
    """Whether a mapping has the form of a reference, with any number of exclamation marks, which escape it."""
    if not isinstance(value, Mapping) or not {"blob"} <= value.keys() <= {"blob", *_BESIDE}:
        return False
    blob = value["blob"]
    if not isinstance(blob, Mapping) or blob.keys() != _REFERENCE:
        return False
    if not all(isinstance(value.get(name, ""), str) for name in _BESIDE):
        return False
    return isinstance(blob["sha256"], str) and _ESCAPED_HASH.fullmatch(blob["sha256"]) is not None


def _escaped(mapping: dict[str, JSON]) -> dict[str, JSON]:
    """A genuine mapping of that form with one more exclamation mark."""
    if not _is_reference(mapping):
        return mapping
    return {**mapping, "blob": {**mapping["blob"], "sha256": mapping["blob"]["sha256"] + "!"}}


def _unpacked(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_unpacked(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if not _is_reference(value):
        return {key: _unpacked(item) for key, item in value.items()}
    name: str = value["blob"]["sha256"]
    if name.endswith("!"):
        return {**value, "blob": {**value["blob"], "sha256": name[:-1]}}
    return Unread.of(value)
