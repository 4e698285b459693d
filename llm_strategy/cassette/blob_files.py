"""The files in which a cassette's binary content lies: `blobs/XX/SHA256`, each written once."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from llm_strategy import blobs
from llm_strategy.blobs import Identity
from llm_strategy.cassette.disk import naming, replace_file
from llm_strategy.cassette.obstacle import in_the_way
from llm_strategy.known_secrets import Known
from llm_strategy.log import Call
from llm_strategy.values import JSON, BlobPart, Message, Request, Response
from llm_strategy.wire import contents
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse

FOLDER = "blobs"


def _place(identity: Identity) -> Path:
    return Path(FOLDER, identity.sha256[:2], identity.sha256)


def write_blobs(call: Call, folder: Path, *, durable: bool = True) -> None:
    """Put the large content of a call into files below the folder of the cassettes; raises OSError.

    No credential stands in it: `credential_in_contents` was asked before the model was, `credential_in_answer` since.
    """
    for data in (*_contents(call.request), *_contents_of_answer(call.response)):
        if len(data) >= blobs.SMALLEST:
            _write(data, folder, durable)


def credential_in_contents(request: Request, secrets: Known) -> tuple[int, str] | None:
    """The size of a content that holds a credential, and the name of the credential's environment variable."""
    known = ((len(data), secrets.find_in(data)) for data in _contents(request))
    return next(((size, name) for size, name in known if name is not None), None)


def credential_in_answer(response: Response, secrets: Known) -> str | None:
    """The name of the environment variable whose value stands in a large content of an HTTP answer."""
    return next(filter(None, map(secrets.find_in, _contents_of_answer(response))), None)


def _contents_of_answer(response: Response) -> Iterator[bytes]:
    return _in_bodies(response.http) if isinstance(response, HTTPResponse) else iter(())


def _in_bodies(http: Mapping[str, JSON]) -> Iterator[bytes]:
    return (content.data for content in contents.contents(http) if content.data is not None)


def _contents(request: Request) -> Iterator[bytes]:
    if isinstance(request, HTTPRequest):
        # Its parts are what of the body is understood.
        yield from _in_bodies(request.http)
    yield from (data for part in _parts(request) if (data := blobs.decoded(part.content)) is not None)


def _write(data: bytes, folder: Path, durable: bool) -> None:
    identity = Identity.of(data)
    path = folder / _place(identity)
    if _problem(path, identity) is None:
        # `llm-strategy prune` leaves alone what is young: the call that refers to it is not written yet.
        with suppress(OSError):
            os.utime(path)
        return
    try:
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            attributes = folder / FOLDER / ".gitattributes"
            if not attributes.exists():
                # So that git leaves the line ends of text alone.
                attributes.write_bytes(b"* -text\n")
        replace_file(path, [data], durable=durable)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise in_the_way(path) from None


def _parts(request: Request) -> Iterator[BlobPart]:
    return (part for message in request.messages for part in message.parts if isinstance(part, BlobPart))


def by_reference(request: dict[str, JSON]) -> dict[str, JSON]:
    """The JSON of a request, with references in place of large content."""
    messages = [{**message, "parts": list(map(_referring, message["parts"]))} for message in request["messages"]]
    return {**request, "messages": messages}


def _referring(part: Mapping[str, JSON]) -> Mapping[str, JSON]:
    data = blobs.decoded(part["content"]) if part["type"] == BlobPart.type else None
    if data is None or len(data) < blobs.SMALLEST:
        return part
    kept = {name: value for name, value in part.items() if name != "content"}
    return {**kept, "blob": blobs.reference(data, part["mime_type"])}


def restored(request: Request, cassette: Path) -> Request:
    """A request that was read from a cassette, with the content whose files are there and sound."""
    if isinstance(request, HTTPRequest):
        lacks = contents.is_unread(request.http)
        return HTTPRequest.of(_filled(request.http, cassette)[0]) if lacks else request
    if not any(blobs.stood_for(part.content) for part in _parts(request)):
        return request
    return replace(request, messages=tuple(_with_parts(message, cassette) for message in request.messages))


def lacks_content(response: Response) -> bool:
    """Whether a file of an answer could not be read; it may have been put back since."""
    return isinstance(response, HTTPResponse) and bool(response.lacking)


def restored_response(response: Response, cassette: Path) -> Response:
    """A response that was read from a cassette, with the content whose files are there and sound."""
    if not isinstance(response, HTTPResponse) or not response.lacking:
        return response
    http, problems = _filled(response.http, cassette)
    return HTTPResponse.of(http, [f"the blob {name} {problem or 'is missing'}" for name, problem in problems])


def _filled(http: Mapping[str, JSON], cassette: Path) -> tuple[dict[str, JSON], list[tuple[Path, str | None]]]:
    """An envelope with the content that can be read, and what is wrong with the files of the rest."""
    problems: list[tuple[Path, str | None]] = []

    def read(identity: Identity) -> bytes | None:
        path = _find(identity, cassette)
        problem = None if path is None else _problem(path, identity)
        if path is None or problem is not None:
            problems.append((path or _place(identity), problem))
            return None
        return path.read_bytes()

    return contents.filled(http, read), problems


def _with_parts(message: Message, cassette: Path) -> Message:
    return Message(
        message.role, [_full(part, cassette) if isinstance(part, BlobPart) else part for part in message.parts]
    )


def _full(part: BlobPart, cassette: Path) -> BlobPart:
    identity = blobs.stood_for(part.content)
    path = None if identity is None else _find(identity, cassette)
    if path is None or identity is None or _problem(path, identity) is not None:
        return part
    return replace(part, content=base64.b64encode(path.read_bytes()).decode("ascii"))


def _find(identity: Identity, cassette: Path) -> Path | None:
    """The file of a content: beside the cassette, or beside a folder that it lies in."""
    places = (folder / _place(identity) for folder in cassette.absolute().parents)
    return next(filter(Path.is_file, places), None)


def blob_problems(document: Mapping[str, JSON], cassette: Path) -> Iterator[tuple[Path, str | None]]:
    """The files that a document refers to and that are not right: what is wrong, None if missing."""
    request = document.get("request")
    if document.get("kind") == "http":
        for http in (request, document.get("response")):
            if isinstance(http, Mapping):
                yield from _filled(contents.unpacked(http), cassette)[1]
        return
    for message in request.get("messages", ()) if isinstance(request, Mapping) else ():
        for part in message.get("parts", ()):
            if "blob" not in part:
                continue
            identity = blobs.identity_in(part["blob"])
            path = _find(identity, cassette)
            if path is None:
                yield _place(identity), None
            elif (problem := _problem(path, identity)) is not None:
                yield path, problem


def _problem(path: Path, identity: Identity) -> str | None:
    """Why a file is not the content; None where it is."""
    try:
        if path.stat().st_size != identity.size:
            return f"has another size than the {identity.size:,} bytes that were recorded"
        return None if Identity.of(path.read_bytes()) == identity else "was changed: its hash is another one"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
