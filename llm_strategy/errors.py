"""What can go wrong, and what will.

BaseException
├── CassetteMiss              no recording answers a request
└── Exception
    ├── ChangingPromptWarning a recorded prompt holds what the next run will not have (a UserWarning)
    └── LLMStrategyError
        ├── PromptError       a member that no prompt can be made from (also NotImplementedError)
        ├── ReplyError        a reply that is not a value of the return type (also ValueError)
        ├── ModelError        the model could not be asked (also RuntimeError)
        ├── CassetteError     a corrupt, unsafe or unsupported file (also ValueError)
        └── SecretFound       a credential would have been written down (also ValueError)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A test runner knows misses before anything that has to do with requests is loaded.
    from llm_strategy.values import Request


class LLMStrategyError(Exception):
    """The common ancestor of this library's errors."""


class PromptError(LLMStrategyError, NotImplementedError):
    """No prompt can be made: the function lacks something, or an argument has no stable form."""


class ReplyError(LLMStrategyError, ValueError):
    """A reply that is not a value of the return type.

    `reply` is the text that came back, `problems` pairs each place in it with what is wrong there,
    `expected` is the return type, `finish_reason` is why the model stopped. `repairs` says what would
    have had to be repaired, where `strict_replies` allows no repair.
    """

    def __init__(
        self,
        message: str,
        *,
        reply: str = "",
        problems: Sequence[tuple[str, str]] = (),
        expected: Any = None,
        finish_reason: str = "stop",
        repairs: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.reply = reply
        self.problems = tuple(problems)
        self.expected = expected
        self.finish_reason = finish_reason
        self.repairs = tuple(repairs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__.copy())


class ModelError(LLMStrategyError, RuntimeError):
    """The model could not be asked; the provider's own error is the `__cause__`."""


class CassetteError(LLMStrategyError, ValueError):
    """A cassette that cannot be trusted: corrupt, unsafe, or of a format that is not supported."""


class SecretFound(LLMStrategyError, ValueError):
    """A credential stands in a prompt, so that recording it would write the credential down."""


class ChangingPromptWarning(UserWarning):
    """A prompt was recorded that holds a value which differs from run to run."""


class CassetteMiss(BaseException):
    """No recording answers a request.

    Not an `Exception`, so that no retry loop or fallback swallows it. `request` is what was asked,
    `function` the qualified name of the decorated function, `causes` what differs from the nearest
    recording, each as a short phrase, and `diff` all of it as a unified diff; `nearest` is the place of that
    recording, as `file:line`. `file` and `line` are those of the function's docstring, or of the call where no
    decorated function made it. `command` records what is missing; it is empty where none does.
    """

    def __init__(
        self,
        message: str,
        *,
        request: Request | None = None,
        function: str | None = None,
        causes: Sequence[str] = (),
        file: str | None = None,
        line: int | None = None,
        diff: str = "",
        nearest: str | None = None,
        command: str = "",
    ) -> None:
        super().__init__(message)
        self.request = request
        self.function = function
        self.causes = tuple(causes)
        self.file = file
        self.line = line
        self.diff = diff
        self.nearest = nearest
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__.copy())


def _revive(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """Rebuild an error with keyword attributes, for pickles that cross processes."""
    error = kind(*args)
    error.__dict__.update(state)
    return error
