"""Steps as a trace of Weights & Biases, as its Trace type has it: the tree is a panel of the run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_strategy.observers import Step
from llm_strategy.tracing.blocks import Block
from llm_strategy.tracing.description import described
from llm_strategy.values import JSON

if TYPE_CHECKING:
    from wandb import Run
    from wandb.sdk.data_types.trace_tree import Trace

_KINDS = {"function": "CHAIN", "attempt": "CHAIN", "call": "LLM", "tool": "TOOL", "step": "CHAIN"}
_INPUTS = ("arguments", "messages", "tools")
_OUTPUTS = ("result", "answer")
_OF_THE_SPAN = ("id", "parent", "kind", "name", "began", "seconds", "error", *_INPUTS, *_OUTPUTS)


class wandb(Block):  # noqa: N801  # a context manager and decorator, as `trace`
    """Log what happens in a block to a run of Weights & Biases: each outermost step as a trace, when it is over.

    `with wandb(run):`, or as a decorator; without `run` it is the one that `wandb.init()` has begun. The traces are
    logged as `name`. What is said (arguments, messages, answers) leaves the machine only with `capture_content=True`;
    secrets never do. Raises ImportError where wandb is not installed, RuntimeError where there is no run.
    """

    def __init__(self, run: Run | None = None, *, name: str = "llm_strategy", capture_content: bool = False) -> None:
        super().__init__()
        self._run = run
        self._name = name
        self._content = capture_content

    def _opened(self) -> _Logged:
        try:
            import wandb as package
        except ImportError as error:
            raise ImportError(f'wandb is not installed ({error}): pip install "llm-strategy[wandb]"') from error
        run = self._run or package.run
        if run is None:
            raise RuntimeError("there is no run to log the trace to: call wandb.init() first, or give one: wandb(run)")
        return _Logged(run, self._name, content=self._content)

    def _again(self) -> wandb:
        return wandb(self._run, name=self._name, capture_content=self._content)


class _Logged:
    """An observer that holds what is below a step until it is over."""

    def __init__(self, run: Run, name: str, *, content: bool) -> None:
        self._run = run
        self._name = name
        self._content = content
        self._below: dict[str, list[Trace]] = {}
        self._lock = threading.Lock()

    def begun(self, step: Step) -> None:
        with self._lock:
            self._below[step.id] = []

    def entered(self, step: Step) -> None:
        pass

    def left(self, step: Step, token: Any) -> None:
        pass

    def ended(self, step: Step) -> None:
        span = _span(described(step, content=self._content), step.began)
        with self._lock:
            for child in self._below.pop(step.id, ()):
                span.add_child(child)
            around = self._below.get(step.parent.id) if step.parent is not None else None
            if around is not None:
                around.append(span)
                return
        from wandb.sdk.data_types.trace_tree import WBTraceTree

        self._run.log({self._name: WBTraceTree(span._span)})


def _span(data: Mapping[str, JSON], began: int) -> Trace:
    from wandb.sdk.data_types.trace_tree import Trace

    error, start = data.get("error"), began // 1_000_000
    return Trace(
        data["name"],
        kind=_KINDS[data["kind"]],
        status_code="success" if error is None else "error",
        status_message=error and f"{error['type']}: {error['message']}",
        metadata={name: value for name, value in data.items() if name not in _OF_THE_SPAN},
        start_time_ms=start,
        end_time_ms=start + round(1000 * (data["seconds"] or 0)),
        inputs=_named(data, _INPUTS),
        outputs=_named(data, _OUTPUTS),
    )


def _named(data: Mapping[str, JSON], names: tuple[str, ...]) -> dict[str, JSON] | None:
    return {name: data[name] for name in names if name in data} or None
