"""Taking secrets out of a cassette, so that it replays as before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from llm_strategy.canonical import digest
from llm_strategy.cassette import document
from llm_strategy.cassette.disk import replace_file
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.obstacle import FORMAT
from llm_strategy.cassette.store import CassetteFile
from llm_strategy.errors import CassetteError
from llm_strategy.known_secrets import Known
from llm_strategy.redaction import Opaque, each_text, without_secrets
from llm_strategy.values import JSON
from llm_strategy.wire.envelope import HTTPRequest


def is_cassette(text: str) -> bool:
    """Whether a file is a cassette of this library, whatever its quotes."""
    return f"format: {FORMAT}" in text[:200].replace('"', "").replace("'", "")


def fix_cassette(path: Path, secrets: Known) -> list[str]:
    """Take the secrets out of every document; returns what could not be done, in lines.

    A reply is signed anew if its digest was right before. A call gets the key that today's program asks with: for
    that a placeholder stands where the secret was, too.
    """
    problems: list[str] = []
    scrub = partial(_scrub, secrets=secrets)
    file = CassetteFile(path)
    with file.locked():
        file.refresh()
        header = each_text(file.header, scrub)
        texts = [_fixed(entry, scrub, problems) for entry in file.entries]
        if header != file.header or any(texts):
            pieces = [entry.raw if text is None else text for entry, text in zip(file.entries, texts, strict=True)]
            replace_file(path, [emit(header).encode("utf-8"), *pieces])
    return problems


def _scrub(text: str, secrets: Known) -> str:
    return without_secrets(secrets.scrub(text))


def _fixed(entry: Entry, scrub: Callable[[str], str], problems: list[str]) -> bytes | None:
    """The document without secrets; None where it has none."""
    parsed = entry.parsed
    request, response = parsed.get("request"), parsed.get("response")
    clean = each_text({**parsed, "request": _with_opaque(request)}, scrub)
    if isinstance(response, dict) and isinstance(response.get("content", ""), str):
        clean["response"] = document.scrubbed_response(response, scrub)
    if clean == parsed:
        return None
    clean["key"] = _key(entry, problems)
    # What was edited, or damaged, stays so: it is not for this to accept it.
    if digest(request) == parsed.get("request_digest"):
        clean["request_digest"] = digest(clean["request"])
    if document.response_digest(entry.key, response) == parsed.get("digest"):
        clean["digest"] = document.response_digest(clean["key"], clean["response"])
    return emit(clean).encode("utf-8")


def _key(entry: Entry, problems: list[str]) -> str:
    """The key of the request as it is asked today: with placeholders for shapes, which act before it is hashed."""
    try:
        request = entry.request
    except CassetteError as error:
        problems.append(str(error))
        return entry.key
    if isinstance(request, HTTPRequest):
        before = request.key
        after = HTTPRequest.of(each_text(dict(request.http), without_secrets)).key
    else:
        asked = request.to_json()
        before, after = digest(asked), digest(each_text(asked, without_secrets))
    if before == after:
        return entry.key
    if before != entry.key:
        problems.append(
            f"{entry.place}: the key of this call cannot be made anew, because the request does not stand here as it "
            "was asked (a file is missing, or something was replaced before); record it again: pytest --llm-record"
        )
        return entry.key
    return after


def _with_opaque(request: Any) -> JSON:
    """The stored request with its binary content marked as such."""
    if not isinstance(request, dict) or not isinstance(request.get("messages"), list):
        return request
    return {**request, "messages": [_message(message) for message in request["messages"]]}


def _message(message: Any) -> JSON:
    if not isinstance(message, dict) or not isinstance(message.get("parts"), list):
        return message
    return {**message, "parts": [_part(part) for part in message["parts"]]}


def _part(part: Any) -> JSON:
    is_blob = isinstance(part, dict) and part.get("type") == "blob" and isinstance(part.get("content"), str)
    return {**part, "content": Opaque(part["content"])} if is_blob else part
