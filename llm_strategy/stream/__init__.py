"""A call whose answer is read while it is still arriving.

The steps are written once, as generators that yield what is to be done next, and are driven by two
small drivers, one synchronous, one not: `Stream` and `AsyncStream`, which the caller iterates over.
The call is entered when the function is called; the model is asked when the first item is wanted.
"""

from __future__ import annotations

from typing import Any

from llm_strategy import engine, observers
from llm_strategy.context import Ask, CallSite, Turn
from llm_strategy.engine import Options
from llm_strategy.prompt import Prompt, Rendered
from llm_strategy.stream.iterators import AsyncStream, Stream
from llm_strategy.stream.steps import Form, item_steps, text_steps
from llm_strategy.stream.telling import Telling
from llm_strategy.values import Request

__all__ = ["AsyncStream", "Stream", "open_stream", "opening_steps"]


def opening_steps(prompt: Prompt, rendered: Rendered, options: Options) -> engine.Steps:
    """The steps of a call that opens a stream: none, since they are taken by who reads it."""
    __tracebackhide__ = True
    yield from ()
    return engine.Answer(open_stream(prompt, rendered, options), "")


def open_stream(prompt: Prompt, rendered: Rendered, options: Options) -> Stream[Any] | AsyncStream[Any]:
    """The answer to a call, as it arrives. Raises CassetteMiss where it must not be asked for and is not recorded."""
    __tracebackhide__ = True
    signature, form, scope = prompt.signature, prompt.streamed, engine.scope()
    assert form is not None
    site = CallSite(signature.name, signature.file, signature.line, rendered.blocks, rendered.given)
    told = Telling(signature.name, site) if observers.listening else None

    def enter(request: Request) -> Turn:
        __tracebackhide__ = True
        ask = Ask(request, options.source, site)
        return scope.enter(ask) if told is None else told.enter(scope, ask)

    if prompt.is_text:
        steps = text_steps(enter, rendered.request, signature.name, options)
    else:
        outputs = Form(prompt.item, prompt.output, options.strict_replies)
        steps = item_steps(enter, rendered.request, outputs, options)
    if told is not None:
        steps = told.steps(steps)
    return (AsyncStream if form.asynchronous else Stream)(steps, signature.name)
