"""What the models of providers share: driving one flow both ways, forms of reply, errors."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import ModelError
from llm_strategy.redaction import scrub
from llm_strategy.values import JSON, Request
from llm_strategy.wire.chat_completions import error_message
from llm_strategy.wire.structured_output import response_formats

T = TypeVar("T")

_log = logging.getLogger(__name__)
_LONGEST_REASON = 300
# In the words of OpenAI, DeepSeek and LM Studio; of Ollama and vLLM, whose samplers have limits of their own.
_ABOUT_FORMAT = re.compile(r"response_format|json[ _]schema|grammar", re.IGNORECASE)


def at_once(flow: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits: a flow written once, whose steps are synchronous here."""
    try:
        flow.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    flow.close()
    raise RuntimeError("a synchronous call waited for an event loop")


class ResponseFormats:
    """Asks for a reply in the strongest form that the server takes.

    Servers that speak Chat Completions differ: some know only `json_schema`, some only
    `json_object`, some neither, and OpenAI refuses schemas that its documentation allows. One that
    refuses a form says so before it generates (status 400 or 422 with words about the form), so the
    next weaker form costs no tokens. The prompt states the schema and the reply is checked against
    the type in any case. What was refused is remembered for the schema.
    """

    def __init__(self) -> None:
        self._strongest: dict[FrozenJSON, int] = {}

    async def ask(self, request: Request, send: Callable[[JSON], Awaitable[T]]) -> T:
        """Call `send` with a `response_format`, or None for none; what it raises passes otherwise."""
        schema = request.output_schema
        if schema is None or "response_format" in request.settings:
            return await send(None)
        formats = response_formats(schema)
        for place in range(self._strongest.get(schema, 0), len(formats) - 1):
            try:
                return await send(formats[place])
            except Exception as error:
                if not _refuses_format(error):
                    raise
                _log.info("%s refuses response_format %s", request.model, formats[place]["type"])
                self._strongest[schema] = place + 1
        return await send(None)


def _refuses_format(error: BaseException) -> bool:
    return any(
        getattr(cause, "status_code", None) in (400, 422) and _names_format(cause) for cause in error_chain(error)
    )


def _names_format(error: BaseException) -> bool:
    return _ABOUT_FORMAT.search(f"{error} {getattr(error, 'body', None)}") is not None


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, the latest first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        # A context may be any error that the caller is just handling. Only a warning that a filter
        # turned into an error has for certain come up in the provider's own handling.
        cause = cause.__cause__ or (cause.__context__ if isinstance(cause, Warning) else None)


def model_error(name: str, error: BaseException, *, address: str | None = None, key: str = "the key") -> ModelError:
    """A provider's error as ModelError: who failed, how, and what to do next.

    `address` is where the server was looked for, `key` how its user names the credential.
    """
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        # A server may repeat the key that it refuses.
        reason = "" if status == 401 else f": {_reason(error)}"
        return ModelError(f"{name} answered {status}{reason}. {_next_step(status, error, key)}")
    kind = type(error).__name__
    if "Timeout" in kind:
        return ModelError(f"{name} did not answer in time. Try again, or give a client with a longer timeout.")
    if "Connection" in kind:
        where = _public(address) or "its server"
        *_, cause = error_chain(error)
        said = f"{name} cannot be reached at {where}: {_reason(cause)}"
        return ModelError(f"{said}. Check that the server runs and that the address is right.")
    return ModelError(f"{name} failed: {kind}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    body = getattr(error, "body", None)
    said = error_message(body) if body else " ".join(str(error).split()) or type(error).__name__
    said = scrub(said).rstrip(". ")
    return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]} ..."


def _next_step(status: int, error: BaseException, key: str) -> str:
    if status == 401:
        return f"Its server refuses the credentials: check {key}."
    if status == 403:
        return f"Check what {key} gives access to."
    if status == 404:
        return "Check the model's name and the server's address."
    if status == 429:
        if "insufficient_quota" in f"{error} {getattr(error, 'body', None)}":
            return "The account has no credit left: check its plan and billing."
        return "Wait and run again, or make fewer calls at once."
    if status >= 500:
        return "The fault is the server's: run again later."
    return "Check the settings and what the model supports."


def _public(address: str | None) -> str | None:
    """An address without user name, password and query."""
    if not address:
        return None
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
