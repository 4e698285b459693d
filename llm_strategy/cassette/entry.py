"""One recorded call in the bytes of a cassette; parsed only as far as it is needed."""

from __future__ import annotations

import re
from pathlib import Path

from llm_strategy.cassette import document
from llm_strategy.cassette.blob_files import lacks_content, restored, restored_response
from llm_strategy.cassette.lines import read_lines
from llm_strategy.cassette.reader import load
from llm_strategy.cassette.shortcut import read_response
from llm_strategy.errors import CassetteError
from llm_strategy.log import Call
from llm_strategy.values import JSON, Request, Response

DOCUMENT_END = re.compile(rb'\ndigest: "([0-9a-f]{64})"\n?\Z')
"""The last line of a document; without it the document is torn. An editor may have dropped the file's last line end."""
_MODEL = re.compile(rb'\nrequest:\n  model: "((?:[^"\\\n]|\\.)*)"\n')


class Chunk:
    """What was read of a file at once, with `\n` for line ends; `end` is where its last whole document ends."""

    __slots__ = ("_counted", "before", "data", "end")

    def __init__(self, data: bytes, before: Chunk | None) -> None:
        self.data = data
        self.end = len(data)
        self.before = before
        self._counted: tuple[int, int] | None = None

    def line(self, at: int) -> int:
        """The line in the file, counted only where a message needs it, and onwards from the place asked for last."""
        if self._counted is None:
            self._counted = 0, 1 if self.before is None else self.before.line(self.before.end)
        start, line = self._counted
        line += self.data.count(b"\n", start, at) if at >= start else -self.data.count(b"\n", at, start)
        self._counted = at, line
        return line


class Entry:
    """One recorded call: where it stands, and its response once that was needed."""

    __slots__ = ("_chunk", "_response", "_source", "end", "function", "key", "number", "occurrence", "path", "start")

    def __init__(self, path: Path, chunk: Chunk, span: tuple[int, int], number: int, identity: tuple[str, str | None]):
        self.path, self._chunk, self.number = path, chunk, number
        self._source = chunk.data
        self.start, self.end = span
        self.key, self.function = identity
        self.occurrence = 1
        self._response: Response | None = None

    @property
    def raw(self) -> bytes:
        raw = self._source[self.start : self.end]
        return raw if raw.endswith(b"\n") else raw + b"\n"

    @property
    def view(self) -> memoryview:
        """Its bytes where they are, without a copy."""
        return memoryview(self._source)[self.start : self.end]

    @property
    def within(self) -> tuple[bytes, int]:
        """The bytes that it is a piece of, and where it begins in them."""
        return self._source, self.start

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.path}:{self._chunk.line(self.start)}"

    def __str__(self) -> str:
        return self.place

    @property
    def model(self) -> str | None:
        found = _MODEL.search(self._source, self.start, self.end)
        if found and b"\\" not in found[1]:
            return found[1].decode("utf-8", "replace")
        request = self.parsed.get("request")
        model = request.get("model") if isinstance(request, dict) else None
        return model if isinstance(model, str) else None

    @property
    def response(self) -> Response:
        """The recorded response, checked against its digest. Only this part of the document is parsed."""
        response = self._response
        if response is None or lacks_content(response):
            response = self._response = restored_response(response or self._read_response(), self.path)
        return response

    @property
    def sealed(self) -> JSON:
        """The digest that stands in the document: equal for equal responses to equal requests."""
        end = DOCUMENT_END.search(self._source[self.end - 90 : self.end])
        return end[1].decode() if end else self.parsed.get("digest")

    @property
    def is_sound(self) -> bool:
        """Whether key and response agree with their digest."""
        try:
            return self.response is not None
        except CassetteError:
            return False

    def _read_response(self) -> Response:
        start = self._source.find(b"\nresponse:\n", self.start, self.end)
        stop = self._source.rfind(b"\nrequest_digest: ", self.start, self.end)
        end = DOCUMENT_END.search(self._source[self.end - 90 : self.end])
        if not (0 <= start < stop and end):
            whole = self.parsed
            return document.check_response(self.key, whole.get("response"), whole.get("digest"), self)
        text, sealed = self._source[start + 1 : stop + 1], end[1].decode()
        response = read_response(text)
        if response is not None and document.response_digest(self.key, response) == sealed:
            return Response.from_json(response)
        if response is None and (lines := read_lines(text)) is not None:
            checked = document.agreeing_response(self.key, lines.get("response"), sealed, self)
            if checked is not None:
                return checked
        parsed = self._load(text, start + 1)
        response = parsed.get("response") if isinstance(parsed, dict) else None
        return document.check_response(self.key, response, sealed, self)

    @property
    def parsed(self) -> dict[str, JSON]:
        """The whole document."""
        whole = self._load(self.raw, self.start)
        if not isinstance(whole, dict):
            raise CassetteError(f"{self.place}: this document is no recorded call")
        return whole

    def _load(self, text: bytes, start: int) -> JSON:
        """The value of lines that begin at `start`; the lines before them are counted only for an error."""
        try:
            return load(text)
        except CassetteError:
            return load(text, source=str(self.path), first_line=self._chunk.line(start))

    @property
    def request(self) -> Request:
        """The recorded request, checked against its digest."""
        whole = self.parsed
        return restored(document.check_request(whole.get("request"), whole.get("request_digest"), self), self.path)

    def call(self, occurrence: int, *, request: Request | None = None, function: str | None = None) -> Call:
        return Call(self.key, occurrence, function or self.function, request or self.request, self.response, True)
