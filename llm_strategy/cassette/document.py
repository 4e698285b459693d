"""One call as one document of a cassette, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from llm_strategy.canonical import canonical, digest, digest_of_text
from llm_strategy.cassette.blob_files import by_reference, credential_in_answer
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.obstacle import FORMAT, not_ours
from llm_strategy.cassette.pieces import scrubbed_events, scrubbed_pieces
from llm_strategy.cassette.versions import own_version
from llm_strategy.errors import CassetteError, SecretFound
from llm_strategy.known_secrets import described
from llm_strategy.log import Call
from llm_strategy.redaction import conceal, each_text, scrubbing
from llm_strategy.values import JSON, Request, Response, Usage
from llm_strategy.wire.contents import packed, unpacked
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse

VERSION = 1


def call_document(call: Call) -> bytes:
    """The document of a call, with everything scrubbed that must not be written.

    Raises SecretFound where a known credential would still stand in it.
    """
    http = call.request.http if isinstance(call.request, HTTPRequest) else None
    scrub, scrub_reply, secrets = scrubbing()
    answer = packed(call.response.http) if isinstance(call.response, HTTPResponse) else call.response.to_json()
    response = scrubbed_response(answer, scrub_reply)
    request = each_text(by_reference(call.request.stored) if http is None else packed(http), scrub)
    document: dict[str, JSON] = {"key": call.key}
    if call.function is not None:
        document["function"] = conceal(call.function)
    if http is not None:
        document["kind"] = "http"
    document |= {
        "request": request,
        "response": response,
        "request_digest": digest(request),
        "digest": response_digest(call.key, response),
    }
    text = emit(document)
    known = secrets.find(text) or credential_in_answer(call.response, secrets)
    if known is not None:
        raise SecretFound(
            f"the recording of {call.function or 'this call'} would hold {described(known)}, in a form that could not "
            "be replaced; nothing was written"
        )
    return text.encode("utf-8")


def scrubbed_response(response: JSON, change: Callable[[str], str]) -> dict[str, JSON]:
    """The JSON of a response, fit to be written."""
    written: dict[str, JSON] = each_text(response, change)
    if "pieces" in response:
        pieces = scrubbed_pieces(response["pieces"], written["content"])
        written["pieces"] = [piece for piece in pieces if piece]
    if "events" in response:
        written["events"] = scrubbed_events(response["events"], change)
    return written


def response_digest(key: str, response: JSON) -> str:
    """What seals a response to its request: SHA-256 over both."""
    return digest_of_text(_sealed(key, response))


def _sealed(key: str, response: JSON) -> str:
    return canonical({"key": key, "response": response})


def header_document(
    answered_by: Sequence[str], recorded_by: str | None, kept: Mapping[str, JSON], rendered_by: Sequence[str] = ()
) -> bytes:
    """The document that a cassette begins with. `kept` are fields of the header that stand already."""
    header: dict[str, JSON] = {"format": FORMAT, "version": VERSION}
    header["answered_by"] = one_or_list(answered_by)
    if recorded_by is not None:
        header["recorded_by"] = recorded_by
    header["written_by"] = f"llm-strategy {own_version()}"
    if rendered_by:
        header["rendered_by"] = one_or_list(rendered_by)
    header |= {name: value for name, value in kept.items() if name not in header}
    return emit(each_text(header, conceal)).encode("utf-8")


def one_or_list(names: Sequence[str]) -> JSON:
    """Names as a header has them."""
    return names[0] if len(names) == 1 else list(names)


def answered_by(header: Mapping[str, JSON]) -> tuple[str, ...]:
    names = header.get("answered_by", ())
    return (names,) if isinstance(names, str) else tuple(names)


def check_header(header: Any, path: object) -> dict[str, JSON]:
    """The header, if it is one that this version reads; raises CassetteError."""
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise not_ours(path)
    number = header.get("version")
    if isinstance(number, int) and number > VERSION:
        raise CassetteError(
            f"{path} has format version {number}; this llm-strategy reads version {VERSION}. "
            "Upgrade with: pip install -U llm-strategy"
        )
    if type(number) is not int or number != VERSION:
        raise CassetteError(
            f"{path} has format version {number!r}, which no release has written; this llm-strategy reads version "
            f"{VERSION}. Restore the file, or record again: pytest --llm-record=all"
        )
    if "request_digest" in header:
        raise CassetteError(
            f"{path}: the line `---` between the header and the first call is missing, or damaged. Restore the file, "
            "or record again: pytest --llm-record=all"
        )
    names, owner = header.get("answered_by", ()), header.get("recorded_by")
    if not (isinstance(names, str) or _are_texts(names)) or not isinstance(owner, str | None):
        raise CassetteError(
            f"{path}: answered_by and recorded_by in the header are not texts: it was edited, or damaged. Restore the "
            "file, or record again: pytest --llm-record=all"
        )
    return header


def _are_texts(names: Any) -> bool:
    return isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)


def check_response(key: str, response: Any, sealed: object, place: object) -> Response:
    """The response of a document, if its digest agrees; raises CassetteError, with `place` as a text in it."""
    __tracebackhide__ = True
    checked = agreeing_response(key, response, sealed, place)
    if checked is None:
        raise CassetteError(
            f"{place}: the recorded reply does not agree with its digest: it was edited, or damaged. If the edit is "
            "meant, accept it with `llm-strategy verify --accept`; else restore the file or record again: "
            "pytest --llm-record=all"
        )
    return checked


def agreeing_response(key: str, response: Any, sealed: object, place: object) -> Response | None:
    """As `check_response`, but None where its digest does not agree."""
    __tracebackhide__ = True
    try:
        text = _sealed(key, response)
        if digest_of_text(text) != sealed:
            return None
        if "status" in response:
            # Looking for it in the text costs nothing beside a walk through the body, and nearly no answer has any.
            unread = ("its content was not read",) if '"sha256"' in text else ()
            return HTTPResponse.of(unpacked(response) if unread else response, unread)
        checked = Response.from_json(response)
        for value in (checked, *filter(None, [checked.usage])):
            _check_types(value)
        return checked
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        what = error if isinstance(error, ValueError) else repr(error)
        raise CassetteError(f"{place}: the recorded reply is not complete ({what}); mend it or record again") from None


def check_request(request: Any, sealed: object, place: object) -> Request:
    """The request of a document, if its digest agrees; raises CassetteError."""
    try:
        if digest(request) != sealed:
            raise CassetteError(
                f"{place}: the recorded request does not agree with its digest: it was edited, or damaged. Restore the "
                "file, or record again: pytest --llm-record=all"
            )
        checked = HTTPRequest.of(unpacked(request)) if "url" in request else Request.from_json(request)
        for value in (checked, *checked.messages, *(part for message in checked.messages for part in message.parts)):
            _check_types(value)
        return checked
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        if isinstance(error, CassetteError):
            raise
        raise CassetteError(f"{place}: the recorded request is not complete ({error!r}); record again") from None


_TYPES: dict[Any, Any] = {
    "str": str,
    "str | None": str | None,
    "int | None": int | None,
    "Usage | None": Usage | None,
}


def _check_types(value: Any) -> None:
    """Raises TypeError where a text or a number is something else, which a digest may well agree with."""
    for field in fields(value):
        if not isinstance(getattr(value, field.name), _TYPES.get(field.type, object)):
            raise TypeError(f"{field.name} is not of the type {field.type}")
