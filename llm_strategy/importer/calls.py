"""Interactions as calls of a cassette: the very request and answer that the HTTP layer would have recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote_plus, unquote

from llm_strategy.http.credentials import sent
from llm_strategy.http.exchange import repeats
from llm_strategy.http.hosts import is_model_call
from llm_strategy.http.settings import record_errors
from llm_strategy.http.traffic import RECEIVED, http_request, http_response, is_retryable, retried
from llm_strategy.importer.interactions import Answered, Asked, Interaction, Pairs, values
from llm_strategy.importer.outcomes import NotImported, malformed, unsupported
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse
from llm_strategy.wire.sent_bodies import decompressed

_SHORTEST = 12
"""Shorter secrets ("1", "true", "test") stand in ordinary text as well."""
_COOKIE = re.compile(rf"""(?:^|[;,])\s*([^=;,\s]+)="?([^;,"\s]{{{_SHORTEST},}})""")
_ATTRIBUTES = frozenset("domain expires max-age path priority samesite version".split())


@dataclass
class Found:
    """An entry of a file: a call, or why it is none."""

    request: HTTPRequest | None = None
    response: HTTPResponse | None = None
    repeats: bool = False
    problem: NotImported | None = None

    @property
    def may_be_retried(self) -> bool:
        """Whether clients ask again of themselves after this answer."""
        return self.response is not None and is_retryable(self.response.status)


def calls(entries: Iterable[Interaction | NotImported]) -> list[Found]:
    """What each entry of a file becomes, in order."""
    read = [entry if isinstance(entry, NotImported) else _read(entry) for entry in entries]
    secrets = _credentials(side for side in read if not isinstance(side, NotImported))
    found = [Found(problem=side) if isinstance(side, NotImported) else _call(*side, secrets) for side in read]
    _leave_out_retried(found)
    return found


def _read(entry: Interaction) -> tuple[Asked, Answered] | NotImported:
    try:
        method, url = entry.target
        if url.scheme in ("http", "https") and not is_model_call(method, url.hostname or "", url.path):
            return NotImported("not_a_model_call", f"{method} {_address(url)} is no call to a model")
        return entry.asked(), entry.answered()
    except NotImported as problem:
        return problem
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # Of the many ways to be damaged, one that nobody has thought of must not end the import.
        return malformed(f"it cannot be understood ({error!r})")


def _address(url: SplitResult) -> str:
    """Scheme, host and path: neither user nor password, nor what stands in the query."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path or '/'}"


def _call(asked: Asked, answered: Answered, secrets: Sequence[bytes]) -> Found:
    if not asked.body and "REDACTED" in asked.url.query:
        return Found(problem=unsupported("the recorder has redacted its query, so that no real call equals it"))
    headers = _mapping(asked.headers)
    body = _without(decompressed(asked.body, headers.get("content-encoding", "")), secrets)
    try:
        request = http_request(asked.method, _address(asked.url), asked.url.query, headers, body)
        names = RECEIVED | {"content-encoding"} if answered.compressed else RECEIVED
        response = http_response(answered.status, answered.headers, _without(answered.body, secrets), names=names)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        return Found(problem=unsupported(f"it cannot be kept as a call: {error!r}"))
    return Found(request, response, repeats(headers) is not False)


def _mapping(headers: Pairs) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for name, value in headers:
        mapping.setdefault(name.lower(), value)
    return mapping


# Secrets


def _credentials(sides: Iterable[tuple[Asked, Answered]]) -> list[bytes]:
    """The credentials and cookies in the headers of a file: the bodies may repeat them. The longest come first."""
    found: dict[str, None] = {}
    for asked, answered in sides:
        credentials = [*sent(_mapping(asked.headers), asked.url.query), unquote(asked.url.password or "")]
        found |= dict.fromkeys(secret for secret in credentials if len(secret) >= _SHORTEST)
        for cookie in (*values(asked.headers, "cookie"), *values(answered.headers, "set-cookie")):
            found |= dict.fromkeys(_cookies(cookie))
    # As they are, in JSON that escapes slashes, and in forms.
    written = {
        form for secret in found for form in (secret, secret.replace("/", "\\/"), quote_plus(secret, errors="replace"))
    }
    return [form.encode("utf-8", "surrogatepass") for form in sorted(written, key=lambda form: (-len(form), form))]


def _cookies(header: str) -> Iterator[str]:
    """The values of the cookies in a header, of several that were put into one line too."""
    return (found[2] for found in _COOKIE.finditer(header) if found[1].lower() not in _ATTRIBUTES)


def _without(body: bytes, secrets: Sequence[bytes]) -> bytes:
    for secret in secrets:
        if secret in body:
            body = body.replace(secret, b"<credential>")
    return body


# Errors


def _leave_out_retried(found: Sequence[Found]) -> None:
    """Recording leaves out an error after which the client asked again of itself; so does an import.

    Of a client that does not say so it is taken to have: recordings do not tell who has asked.
    """
    following: dict[str, Found] = {}
    for entry in reversed(found):
        if entry.request is None or entry.response is None:
            continue
        after = following.get(entry.request.key)
        following[entry.request.key] = entry
        if not entry.may_be_retried or after is None or not after.repeats:
            continue
        if record_errors():
            entry.response = retried(entry.response)
        else:
            entry.problem = unsupported(
                f"the answer {entry.response.status} is left out, since the client asked again and got the answer "
                "that comes later: replayed, only that one is given"
            )
