"""The adder of the benchmark as mirascope 2 writes it, on a provider in this process.

Imported only where mirascope is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from mirascope import llm

MODEL = "local/adder"
_NUMBER = re.compile(r"\d+")


class _Local(llm.providers.BaseProvider[None]):
    """A provider that adds the two numbers of the prompt; of its many kinds of calls, one is used here."""

    id = "local"
    default_scope = "local/"
    error_map: ClassVar[dict[type[Exception], Any]] = {}
    client = None

    def _call(self, *, model_id: str, messages: Any, toolkit: Any, format: Any = None, **params: Any) -> Any:
        asked = messages[-1].content[0].text
        total = sum(map(int, _NUMBER.findall(asked)))
        said = llm.messages.assistant(f'{{"output": {total}}}', model_id=model_id, provider_id=self.id)
        return llm.Response(
            raw=None,
            provider_id=self.id,
            model_id=model_id,
            provider_model_name=model_id,
            params=params,
            tools=toolkit,
            input_messages=messages,
            assistant_message=said,
            finish_reason=None,
            usage=None,
            format=llm.formatting.resolve_format(format, default_mode="strict"),
        )


# The other kinds are abstract.
_Local.__abstractmethods__ = frozenset()


def adder() -> Callable[[int, int], int]:
    llm.register_provider(_Local())

    @llm.call(MODEL, format=int)
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        return f"Add {a} and {b}."

    return lambda a, b: add(a, b).parse()
