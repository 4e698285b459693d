"""One call as one document of a cassette, and back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from os.path import commonprefix
from typing import Any

from llm_strategy.canonical import digest
from llm_strategy.cassette.blob_files import by_reference
from llm_strategy.cassette.emitter import emit
from llm_strategy.errors import CassetteError, SecretFound
from llm_strategy.log import Call
from llm_strategy.redaction import each_text, find_known, scrub, scrub_reply
from llm_strategy.values import JSON, Request, Response
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse

FORMAT = "llm-strategy cassette"
VERSION = 1


def call_document(call: Call) -> bytes:
    """The document of a call, with everything scrubbed that must not be written.

    Raises SecretFound where a known credential would still stand in it.
    """
    http = call.request.http if isinstance(call.request, HTTPRequest) else None
    response = _written(call.response)
    request = each_text(by_reference(call.request.stored) if http is None else http, scrub)
    document: dict[str, JSON] = {"key": call.key}
    if call.function is not None:
        document["function"] = call.function
    if http is not None:
        document["kind"] = "http"
    document |= {
        "request": request,
        "response": response,
        "request_digest": digest(request),
        "digest": response_digest(call.key, response),
    }
    text = emit(document)
    known = find_known(text)
    if known is not None:
        raise SecretFound(
            f"the recording of {call.function or 'this call'} would hold the value of the environment variable "
            f"{known}, in a form that could not be replaced; nothing was written"
        )
    return text.encode("utf-8")


def _written(response: Response) -> dict[str, JSON]:
    """A response as JSON, fit to be written."""
    written: dict[str, JSON] = each_text(response.to_json(), scrub_reply)
    if response.pieces:
        written["pieces"] = _pieces(response, written["content"])
    return written


def _pieces(response: Response, content: str) -> list[str]:
    """The pieces of a response of which `content` may be written.

    What is replaced may reach over several pieces, or look like something else in one: where a
    text was changed, what lies between its first change and its last is one piece.
    """
    if content == response.content:
        return list(response.pieces)
    before = len(commonprefix([response.content, content]))
    rest = response.content[before:], content[before:]
    after = len(commonprefix([text[::-1] for text in rest]))
    ends = list(accumulate(map(len, response.pieces)))
    first = bisect_right(ends, before)
    last = bisect_left([0, *ends], len(response.content) - after)
    start, stop = ([0, *ends][first], [0, *ends][last])
    middle = content[start : len(content) - (len(response.content) - stop)]
    pieces = [*response.pieces[:first], middle, *response.pieces[last:]]
    return [piece for piece in pieces if piece]


def response_digest(key: str, response: JSON) -> str:
    """What seals a response to its request: SHA-256 over both."""
    return digest({"key": key, "response": response})


def header_document(answered_by: Sequence[str], recorded_by: str | None, kept: Mapping[str, JSON]) -> bytes:
    """The document that a cassette begins with. `kept` are fields of the header that stand already."""
    header: dict[str, JSON] = {"format": FORMAT, "version": VERSION}
    header["answered_by"] = answered_by[0] if len(answered_by) == 1 else list(answered_by)
    if recorded_by is not None:
        header["recorded_by"] = recorded_by
    header["written_by"] = f"llm-strategy {_version()}"
    header |= {name: value for name, value in kept.items() if name not in header}
    return emit(header).encode("utf-8")


def _version() -> str:
    try:
        return version("llm-strategy")
    except PackageNotFoundError:
        return "(not installed)"


def answered_by(header: Mapping[str, JSON]) -> tuple[str, ...]:
    names = header.get("answered_by", ())
    return (names,) if isinstance(names, str) else tuple(names)


def check_header(header: Any, path: object) -> dict[str, JSON]:
    """The header, if it is one that this version reads; raises CassetteError."""
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CassetteError(
            f"{path} is not a cassette of llm-strategy: it does not begin with `format: {FORMAT}`. "
            "Move it away, then record again: pytest --llm-record"
        )
    if header.get("version") != VERSION:
        raise CassetteError(
            f"{path} has format version {header.get('version')!r}; this llm-strategy reads version {VERSION}. "
            "Upgrade with: pip install -U llm-strategy"
        )
    return header


def check_response(key: str, response: Any, sealed: object, place: object) -> Response:
    """The response of a document, if its digest agrees; raises CassetteError, with `place` as a text in it."""
    __tracebackhide__ = True
    try:
        if response_digest(key, response) != sealed:
            raise CassetteError(
                f"{place}: the recorded reply does not agree with its digest: it was edited, or damaged. If the edit "
                "is meant, accept it with `llm-strategy verify --accept`; else restore the file or record again: "
                "pytest --llm-record=all"
            )
        return HTTPResponse.of(response) if "status" in response else Response.from_json(response)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        if isinstance(error, CassetteError):
            raise
        what = error if isinstance(error, ValueError) else repr(error)
        raise CassetteError(f"{place}: the recorded reply is not complete ({what}); mend it or record again") from None


def stored_request(request: Any, place: str) -> Request:
    """The request of a document; raises CassetteError."""
    try:
        return HTTPRequest.of(request) if "url" in request else Request.from_json(request)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise CassetteError(f"{place}: the recorded request is not complete ({error!r}); record again") from None
