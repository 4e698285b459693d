"""Values of random types survive a reply; `--hypothesis-profile=fuzz` tries 20,000 of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_llm_strategy.subject import Subject
from tests.pytest_llm_strategy.random_types import types

SHARDS = 8
"""Tests that share the examples, so that they can be divided among processes."""


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_types_round_trip(shard: int) -> None:
    """Whatever is nested in whatever, to the depth of four: each value is equal and of the same class after a reply."""
    fuzzing = settings.get_current_profile_name() == "fuzz"

    @settings(
        max_examples=settings().max_examples // SHARDS if fuzzing else 20,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(types(), st.data())
    def every_value_comes_back(annotation: Any, data: st.DataObject) -> None:
        subject = Subject(annotation)
        subject.check(data.draw(subject.values()))

    if not fuzzing:
        # The same types at every run, others in each shard.
        every_value_comes_back = seed(shard)(every_value_comes_back)
    every_value_comes_back()
