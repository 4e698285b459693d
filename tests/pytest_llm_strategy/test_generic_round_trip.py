"""Round trips of what is generic: the functions of the research example, and its models over concrete types."""

from __future__ import annotations

import pytest

from examples.research.essays import EssayTask, write_essay
from examples.research.meta_optimization import (
    LLMOptimizer,
    OptimizationInfo,
    OptimizationStep,
    TaskInfo,
    TaskRun,
)
from pytest_llm_strategy.strategies import assert_round_trip

TYPES = EssayTask, str, write_essay.hyperparameters


@pytest.mark.parametrize("name", ["reflect_on_task_run", "summarize_optimization_info", "probability_for_improvement"])
def test_what_the_optimizer_says_can_be_read(name: str) -> None:
    """Every value that an explicit static method may return comes back from its reply."""
    assert_round_trip(getattr(LLMOptimizer, name), max_examples=25)


@pytest.mark.parametrize("kind", [TaskRun, TaskInfo, OptimizationInfo, OptimizationStep])
def test_generic_models_can_be_read(kind: type) -> None:
    """Generic models inside generic models, over a function's hyperparameters with their bounds, come back equal."""
    assert_round_trip(kind.__class_getitem__(TYPES), max_examples=25)
