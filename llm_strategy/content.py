"""Images, sound and files as arguments: how they are marked, and how they become parts of a message."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from llm_strategy.errors import PromptError
from llm_strategy.values import BlobPart, Part, UriPart

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+")


def _checked(media_type: object) -> str:
    if not isinstance(media_type, str):
        raise TypeError(f"a media type is a text such as 'image/png', not {media_type!r}")
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"{media_type!r} is no media type: write one such as 'image/png' or 'application/pdf'")
    return media_type.lower()


@dataclass(frozen=True)
class Media:
    """Marks an argument or a field as content: an image, sound, a file.

    `Annotated[bytes, Media("image/png")]` is the content itself, `Annotated[Path, Media()]` a file that is
    read at the call, `Annotated[str, Media("image/png")]` its http(s) address. Without a media type, the suffix
    of the path or address tells it.
    """

    media_type: str | None = None

    def __post_init__(self) -> None:
        if self.media_type is not None:
            object.__setattr__(self, "media_type", _checked(self.media_type))


class Blob:
    """Content whose media type is known only when the program runs: `Blob(data, "image/png", name="cat.png")`."""

    __slots__ = ("data", "media_type", "name")

    def __init__(self, data: bytes, media_type: str, *, name: str | None = None) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"the content of a Blob is bytes, not {type(data).__name__}")
        self.data = bytes(data)
        self.media_type = _checked(media_type)
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[bytes, str, str | None]:
        return self.data, self.media_type, self.name

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name is not None else ""
        return f"Blob(<{len(self.data):,} bytes>, {self.media_type!r}{name})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)


class Attachment(NamedTuple):
    """Content on its way into a message; `name` is that of a file, without its folder."""

    part: Part
    media_type: str
    name: str | None

    def mention(self, number: int, *, named: bool) -> str:
        """What stands in the prompt in its place."""
        name = f"{self.name}, " if self.name and named else ""
        return f"<{self.media_type}, {name}attached as file {number}>"


def attachment(value: Any, media: Media, place: str) -> Attachment | None:
    """The content that a marked value stands for; None for None. `place` says in errors where it stands.

    Raises PromptError where it is no content or its media type is not known, OSError where a file cannot be read.
    """
    if value is None:
        return None
    if isinstance(value, Blob):
        return _blob(value.data, value.media_type, _shown(value.name))
    if isinstance(value, bytes | bytearray | memoryview):
        return _blob(bytes(value), media.media_type or _unknown(place, "bytes"), None)
    if isinstance(value, PurePath):
        # What is no file is said first: a folder has no media type that could be named.
        data = _read(Path(value), place)
        media_type = media.media_type or _of_suffix(value.suffix) or _unknown(place, repr(str(value)))
        return _blob(data, media_type, _shown(value.name))
    if isinstance(value, str):
        return _address(value, media, place)
    raise PromptError(
        f"{place} is marked as content, but is of type {type(value).__name__}: mark bytes, a pathlib.Path or an "
        "address; of several each, as in list[Annotated[Path, Media()]]"
    )


def _blob(data: bytes, media_type: str, name: str | None) -> Attachment:
    return Attachment(
        BlobPart(modality(media_type), media_type, base64.b64encode(data).decode("ascii")), media_type, name
    )


def _address(address: str, media: Media, place: str) -> Attachment:
    parts = urlsplit(address)
    if parts.scheme.lower() not in ("http", "https"):
        raise PromptError(
            f"{place} is marked as content, and a text so marked is an address that begins with https://: "
            "for a file pass a pathlib.Path, for content bytes"
        )
    media_type = media.media_type or _of_suffix(PurePath(parts.path).suffix) or _unknown(place, "the address")
    return Attachment(UriPart(modality(media_type), media_type, address), media_type, None)


def modality(media_type: str) -> str:
    kind = media_type.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def file_name(modality: str, media_type: str) -> str:
    """A name for content that has none: servers look at its suffix."""
    suffix = next((suffix for suffix, known in _SUFFIXES.items() if known == media_type), None)
    return f"{modality}.{suffix or media_type.rpartition('/')[2]}"


def _unknown(place: str, what: str) -> str:
    raise PromptError(
        f"{place}: {what} does not tell the media type: name it, as in Media('application/pdf'), or pass a "
        "Blob(data, 'application/pdf')"
    )


def _read(path: Path, place: str) -> bytes:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A pipe or a device: it may have no end.
            raise PromptError(f"{place}: this is no ordinary file: {path}; read it, and pass bytes")
        return path.read_bytes()
    except OSError as error:
        raise type(error)(f"{place}: {_problem(error)}: {path}") from error
    except ValueError as error:
        # A NUL in it.
        raise PromptError(f"{place}: no file can have the name {str(path)!r}") from error


def _problem(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no file to be sent here; check the path, which is relative to the current folder"
        case IsADirectoryError():
            return "this is a folder; pass each of its files, as in list[Annotated[Path, Media()]]"
        case PermissionError():
            return "this file may not be read; check who may"
        case _:
            return f"this file cannot be read ({error.strerror or error})"


# Names that Python's tempfile makes differ from run to run; what would break the line of a prompt is no name.
_RANDOM = re.compile(r"tmp[a-z0-9_]{8}(?:\.|$)")
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>]")


def _shown(name: str | None) -> str | None:
    """A file's name as it stands in a prompt."""
    return None if not name or _RANDOM.match(name) else _NOT_SHOWN.sub("_", name)


def _of_suffix(suffix: str) -> str | None:
    return _SUFFIXES.get(suffix.lower().removeprefix("."))


# A table of our own: that of `mimetypes` depends on the machine and on Python's version, and keys must not.
_SUFFIXES = {
    suffix: media_type
    for media_type, suffixes in {
        "image/png": "png",
        "image/jpeg": "jpg jpeg jpe",
        "image/gif": "gif",
        "image/webp": "webp",
        "image/bmp": "bmp",
        "image/tiff": "tif tiff",
        "image/svg+xml": "svg",
        "image/avif": "avif",
        "image/heic": "heic",
        "image/heif": "heif",
        "audio/wav": "wav",
        "audio/mpeg": "mp3",
        "audio/mp4": "m4a",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/ogg": "ogg oga opus",
        "audio/aiff": "aif aiff",
        "audio/webm": "weba",
        "video/mp4": "mp4 m4v",
        "video/quicktime": "mov",
        "video/webm": "webm",
        "video/mpeg": "mpg mpeg",
        "video/x-msvideo": "avi",
        "video/x-matroska": "mkv",
        "application/pdf": "pdf",
        "application/json": "json",
        "application/xml": "xml",
        "application/zip": "zip",
        "application/rtf": "rtf",
        "application/epub+zip": "epub",
        "application/msword": "doc",
        "application/vnd.ms-excel": "xls",
        "application/vnd.ms-powerpoint": "ppt",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
        "application/vnd.oasis.opendocument.text": "odt",
        "application/vnd.oasis.opendocument.spreadsheet": "ods",
        "text/plain": "txt log",
        "text/markdown": "md markdown",
        "text/csv": "csv",
        "text/tab-separated-values": "tsv",
        "text/html": "html htm",
        "text/calendar": "ics",
    }.items()
    for suffix in suffixes.split()
}
