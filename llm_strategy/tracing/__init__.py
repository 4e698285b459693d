"""Traces: what a program's calls are made of, in a file, in OpenTelemetry, or in Weights & Biases.

    from llm_strategy import tracing

    with tracing.trace("trace.jsonl"):
        ...

`llm-strategy trace trace.jsonl` shows it as a tree.
"""

from __future__ import annotations

from llm_strategy.tracing.recording import trace
from llm_strategy.tracing.spans import current_span, span
from llm_strategy.tracing.telemetry import instrument, uninstrument
from llm_strategy.tracing.weights_and_biases import wandb

__all__ = ["current_span", "instrument", "span", "trace", "uninstrument", "wandb"]
