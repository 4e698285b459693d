"""OpenAI's models, and those of every server that speaks Chat Completions."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import LLMStrategyError, ModelError
from llm_strategy.models.exchange import ResponseFormats, at_once, model_error
from llm_strategy.models.settings import normalized
from llm_strategy.models.streaming import from_asynchronous, from_synchronous
from llm_strategy.values import JSON, Request, Response
from llm_strategy.wire.chat_completion_chunks import Assembly
from llm_strategy.wire.chat_completions import decode, encode, tokens_name

_PREFIX = "openai:"


class OpenAIModel:
    """A model behind the `openai` package: `OpenAIModel("gpt-5-mini", temperature=0)`.

    `client` is an `OpenAI`, `AsyncOpenAI`, `AzureOpenAI` or `AsyncAzureOpenAI`. Without one it is
    made on the first call from OPENAI_API_KEY and OPENAI_BASE_URL, as they are at the time of a
    call. `settings` have provider-neutral names (`temperature`, `max_tokens`, `seed`); those that
    the package does not know are sent too, for servers that do.

    The reply is asked for as strict `json_schema` where its schema allows, else as a JSON object; a
    server that refuses the one is asked again with the weaker. Retries are those of the client.
    What fails raises ModelError, with the client's own error as `__cause__`.
    """

    recorded = True

    def __init__(self, name: str, *, client: Any = None, **settings: JSON) -> None:
        self.name = _PREFIX + name.removeprefix(_PREFIX)
        self.settings: FrozenJSON = normalized(settings)
        self._client = client
        self._own = _OwnClients(self.name)
        self._formats = ResponseFormats()

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name.removeprefix(_PREFIX)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(OpenAIModel, client=self._client, **self.settings), (self.name,)

    def generate(self, request: Request) -> Response:
        """Ask the model, and wait. An asynchronous client is copied into an event loop of its own."""
        if self._client is None:
            return at_once(self._answer(request, self._own.synchronous, _create))
        create = _create_in_loop if _is_async(self._client) else _create
        return at_once(self._answer(request, lambda: self._client, create))

    async def agenerate(self, request: Request) -> Response:
        """Ask the model. A synchronous client is asked in a worker thread."""
        if self._client is None:
            return await self._answer(request, self._own.asynchronous, _create_async)
        create = _create_async if _is_async(self._client) else _create_in_thread
        return await self._answer(request, lambda: self._client, create)

    def stream(self, request: Request) -> Generator[str | Response, None, None]:
        """Ask the model, and get the texts of its answer as they arrive, and last the rest."""
        if self._client is not None and _is_async(self._client):
            yield from from_asynchronous(self._copied_pieces(request))
            return
        with self._failing() as told:
            client = told.client = self._own.synchronous() if self._client is None else self._client
            chunks = at_once(self._formats.ask(request, _sender(request, client, told.address, _open)))
            with closing(chunks):
                assembly = Assembly()
                for chunk in chunks:
                    if text := assembly.add(_body(chunk)):
                        yield text
            yield self._assembled(assembly)

    async def astream(self, request: Request) -> AsyncGenerator[str | Response, None]:
        """As `stream`, in an event loop. A synchronous client is read in a worker thread."""
        if self._client is not None and not _is_async(self._client):
            pieces = from_synchronous(self.stream(request))
        else:
            pieces = self._pieces(request, lambda: self._own.asynchronous() if self._client is None else self._client)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _pieces(self, request: Request, connect: Callable[[], Any]) -> AsyncGenerator[str | Response, None]:
        with self._failing() as told:
            client = told.client = connect()
            chunks = await self._formats.ask(request, _sender(request, client, told.address, _open_async))
            async with chunks:
                assembly = Assembly()
                async for chunk in chunks:
                    if text := assembly.add(_body(chunk)):
                        yield text
            yield self._assembled(assembly)

    async def _copied_pieces(self, request: Request) -> AsyncGenerator[str | Response, None]:
        """The pieces from an asynchronous client, whose connections belong to the loop they were opened in."""
        async with _copy(self._client) as copied, aclosing(self._pieces(request, lambda: copied)) as pieces:
            async for piece in pieces:
                yield piece

    def _assembled(self, assembly: Assembly) -> Response:
        response = self._decoded(assembly.body)
        if assembly.finish_reason is None:
            raise ModelError(f"{self.name} broke off its answer: the stream ended without saying why. Ask again.")
        return response

    async def _answer(self, request: Request, connect: Callable[[], Any], create: _Create) -> Response:
        with self._failing() as told:
            client = told.client = connect()
            completion = await self._formats.ask(request, _sender(request, client, told.address, create))
            return self._decoded(_body(completion))

    @contextmanager
    def _failing(self) -> Iterator[_Told]:
        """What fails inside is raised as ModelError, with what was told of the client in it."""
        told = _Told()
        try:
            yield told
        except LLMStrategyError:
            raise
        except Exception as error:
            key = "OPENAI_API_KEY and OPENAI_BASE_URL" if self._client is None else "the client's key"
            raise model_error(self.name, error, address=told.address, key=key) from error

    def _decoded(self, body: Any) -> Response:
        try:
            return decode(body)
        except ValueError as error:
            raise ModelError(
                f"{self.name} sent no chat completion: {error}. Check that the server speaks Chat Completions and "
                "that its address is the one in its documentation, which usually ends in /v1."
            ) from error


class _Told:
    """Which client is asked, once that is known."""

    client: Any = None

    @property
    def address(self) -> str:
        return str(getattr(self.client, "base_url", ""))


_Create = Callable[[Any, dict[str, Any]], Awaitable[Any]]


def _sender(request: Request, client: Any, address: str, create: _Create) -> Callable[[JSON], Awaitable[Any]]:
    tokens = tokens_name(urlsplit(address).hostname or "")

    async def send(form: JSON) -> Any:
        body = encode(request, completion_tokens_name=tokens, structured="none")
        if form is not None:
            body["response_format"] = form
        return await create(client, _arguments(body))

    return send


def _arguments(body: dict[str, JSON]) -> dict[str, Any]:
    """The body as arguments of `create`, which takes only names it knows; others go along as they are."""
    known = _parameters()
    arguments = {name: value for name, value in body.items() if name in known}
    if others := {name: value for name, value in body.items() if name not in known}:
        arguments["extra_body"] = {**others, **arguments.get("extra_body", {})}
    return arguments


@cache
def _parameters() -> frozenset[str]:
    from openai.resources.chat.completions import Completions

    return frozenset(inspect.signature(Completions.create).parameters)


def _body(completion: Any) -> Any:
    """The JSON body as it came: the package reads it without checking what it holds."""
    if hasattr(completion, "to_dict"):
        return completion.to_dict(warnings=False)
    return completion


async def _create(client: Any, arguments: dict[str, Any]) -> Any:
    return client.chat.completions.create(**arguments)


async def _create_async(client: Any, arguments: dict[str, Any]) -> Any:
    return await client.chat.completions.create(**arguments)


async def _open(client: Any, arguments: dict[str, Any]) -> Any:
    try:
        return client.chat.completions.create(**arguments, **_STREAMED)
    except Exception as error:
        if not _refuses_usage(error):
            raise
    return client.chat.completions.create(**arguments, stream=True)


async def _open_async(client: Any, arguments: dict[str, Any]) -> Any:
    try:
        return await client.chat.completions.create(**arguments, **_STREAMED)
    except Exception as error:
        if not _refuses_usage(error):
            raise
    return await client.chat.completions.create(**arguments, stream=True)


_STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def _refuses_usage(error: Exception) -> bool:
    """Whether a server does not know how to say at the end of a stream what it cost."""
    told = f"{error} {getattr(error, 'body', None)}"
    return getattr(error, "status_code", None) in (400, 422) and ("stream_options" in told or "include_usage" in told)


async def _create_in_thread(client: Any, arguments: dict[str, Any]) -> Any:
    return await asyncio.to_thread(client.chat.completions.create, **arguments)


async def _create_in_loop(client: Any, arguments: dict[str, Any]) -> Any:
    """Ask an asynchronous client from synchronous code, where a loop may be running already.

    Its connections belong to the loop they were opened in, hence a copy with its own.
    """

    async def ask() -> Any:
        async with _copy(client) as copied:
            return await copied.chat.completions.create(**arguments)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, asyncio.run, ask()).result()


def _copy(client: Any) -> Any:
    """An asynchronous client like this one, with connections of its own."""
    from openai import DefaultAsyncHttpxClient

    if type(getattr(client, "_client", None)).__name__ not in ("AsyncHttpxClientWrapper", "NoneType"):
        raise ModelError(
            f"this {type(client).__name__} was given an http_client, which cannot serve a function that is not async: "
            f"give {type(client).__name__.removeprefix('Async')}(...), or make the function async"
        )
    return client.copy(http_client=DefaultAsyncHttpxClient())


def _is_async(client: Any) -> bool:
    return any(base.__name__.startswith("Async") for base in type(client).__mro__)


class _OwnClients:
    """Clients made from the environment: one for synchronous code, one for each event loop.

    They are made anew when the variables change, or the process does: a forked child shares its
    parent's sockets.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._synchronous: tuple[object, Any] | None = None
        self._asynchronous: dict[asyncio.AbstractEventLoop, tuple[object, Any]] = {}

    def synchronous(self) -> Any:
        now = _environment()
        with self._lock:
            if self._synchronous is None or self._synchronous[0] != now:
                self._synchronous = now, self._make("OpenAI")
            return self._synchronous[1]

    def asynchronous(self) -> Any:
        loop, now = asyncio.get_running_loop(), _environment()
        with self._lock:
            known = self._asynchronous.get(loop)
            if known is None or known[0] != now:
                for other in [other for other in self._asynchronous if other.is_closed()]:
                    del self._asynchronous[other]
                # Nobody can close a connection once its loop is gone, so none outlives its call.
                known = now, self._make("AsyncOpenAI", default_headers={"Connection": "close"})
                self._asynchronous[loop] = known
            return known[1]

    def _make(self, kind: str, **options: Mapping[str, str]) -> Any:
        try:
            import openai
        except ImportError as error:
            raise ModelError(f'{self._name} needs the package openai: pip install "llm-strategy[openai]"') from error
        try:
            return getattr(openai, kind)(**options)
        except openai.OpenAIError as error:
            raise ModelError(
                f"{self._name} cannot be asked without credentials: set OPENAI_API_KEY and, for a server other than "
                "OpenAI's own, OPENAI_BASE_URL (a server that needs no key takes any word for one)"
            ) from error


def _environment() -> tuple[object, ...]:
    return os.getpid(), *sorted(item for item in os.environ.items() if item[0].startswith("OPENAI_"))
