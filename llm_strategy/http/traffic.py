"""What of an HTTP call is kept, and what its client gets of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from llm_strategy.errors import CassetteError
from llm_strategy.http import settings
from llm_strategy.http.credentials import is_secret_parameter, without_secret_parameters
from llm_strategy.values import JSON
from llm_strategy.wire.bodies import answer_pieces, pack_answer
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse, request_of
from llm_strategy.wire.sent_bodies import parse_sent

_SENT = ("content-type", "openai-beta")
RECEIVED = frozenset(
    "content-type location retry-after retry-after-ms x-should-retry x-request-id request-id x-amzn-requestid "
    "x-amzn-errortype x-amzn-bedrock-content-type x-amzn-bedrock-input-token-count "
    "x-amzn-bedrock-output-token-count".split()
)
"""What clients make errors, usage and ids of."""
_RETRYABLE = frozenset((408, 409, 429))

Headers = Iterable[tuple[str, str]]


class Recorded(NamedTuple):
    """A recorded answer as its client gets it: the body in the pieces in which it was handed on when it was recorded.

    `broken` is what the stream raised behind them, if it broke. `closed_early` says that its reader stopped there.
    """

    status: int
    headers: list[tuple[str, str]]
    pieces: list[bytes]
    broken: str | None = None
    closed_early: bool = False


def http_request(
    method: str,
    address: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    is_recorded: Callable[[str], bool] = lambda _key: False,
) -> HTTPRequest:
    """A request as it is kept. `address` is scheme, host and path; `headers` have names in lower case.

    `is_recorded` says whether a recording has a key.
    """
    kept = urlencode([pair for pair in parse_qsl(query, True) if not is_secret_parameter(pair[0])]) if query else ""
    sent = {name: headers[name] for name in _SENT if name in headers}
    url = f"{address}?{kept}" if kept else address
    parsed = parse_sent(body, headers.get("content-type", ""), headers.get("content-encoding", ""))
    return request_of(method.upper(), url, sent, parsed, settings.ignored(), is_recorded=is_recorded)


def http_response(
    status: int, headers: Headers, body: bytes, *, names: frozenset[str] = RECEIVED, **said: JSON
) -> HTTPResponse:
    """A response as it is kept. `body` is what was sent before any compression.

    `names` are the headers to be kept, `said` are further fields of the envelope.
    """
    kept: dict[str, JSON] = {}
    for name, value in ((name.lower(), value) for name, value in headers):
        if name in names:
            said_here = without_secret_parameters(value) if name == "location" else value
            kept[name] = f"{kept[name]}, {said_here}" if name in kept else said_here
    http: dict[str, JSON] = {"status": status}
    if kept:
        http["headers"] = kept
    return HTTPResponse.of(http | pack_answer(body, kept.get("content-type", "")) | said)


def retried(response: HTTPResponse) -> HTTPResponse:
    """An error whose client has asked again of itself."""
    return HTTPResponse.of({**response.http, "retried": True})


def is_retryable(status: int) -> bool:
    """Whether clients ask again of themselves after an answer."""
    return status in _RETRYABLE or status >= 500


def is_failure(response: HTTPResponse) -> bool:
    """Whether an answer is an error, or broke off."""
    return response.status >= 400 or "broken" in response.http


def recorded(response: HTTPResponse) -> Recorded:
    """A response that comes from a cassette; raises CassetteError where it is not complete."""
    if response.lacking:
        raise CassetteError(
            f"a recorded HTTP answer cannot be replayed: {'; '.join(response.lacking)}. Restore the file, or record "
            "again: pytest --llm-record=all"
        )
    try:
        return _recorded(response.http)
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise CassetteError(f"a recorded HTTP answer is not complete ({error!r}); record again") from None


def _recorded(http: Mapping[str, Any]) -> Recorded:
    headers, status = dict(http.get("headers", {})), http["status"]
    if http.get("retried"):
        # Nobody sleeps before the next answer of a recording. To `openai`, 0 is no time to wait, and it takes its own.
        headers |= {"retry-after": "0", "retry-after-ms": "1"}
    elif status >= 400:
        # The client lived with this answer: neither it nor a more patient one is to wait for another.
        headers["x-should-retry"] = "false"
    broken, closed_early = http.get("broken"), http.get("closed_early") is True
    return Recorded(status, list(headers.items()), answer_pieces(http), broken, closed_early)
