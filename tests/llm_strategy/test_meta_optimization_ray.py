"""The research example on a Ray cluster of this machine: many processes, one call log."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from llm_strategy import Cassette
from tests.llm_strategy.research import kill, read_until, run, start, table, writing

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra `ray`")
OPTIONS = ("--ray", "--workers", "2")


def test_all_processes_write_one_call_log(tmp_path: Path) -> None:
    """Each answer stands in the log once, was asked for once, and is that of the run's own hyperparameters.

    A program that was killed in the middle goes on: nothing that stands in the log is asked again.
    """
    log = tmp_path / "log.yaml"
    with writing(delay=0.02) as (variables, answered):
        killed = start(*OPTIONS, "--log", log, **variables)
        read_until(killed, "step 0")
        kill(killed)
        done = run(*OPTIONS, "--steps", "1", "--log", log, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    calls = list(Cassette(log))
    assert len({call.key for call in calls}) == len(calls)
    # What was on its way in two workers when the program was killed may have come to nobody.
    assert len(set(answered)) <= len(answered) <= len(set(answered)) + 2
    assert {call.function for call in calls} > {"compose_essay", "grade_essay", "LLMOptimizer.reflect_on_task_run"}
    expected = run("--steps", "1")
    assert table(done.stdout) == table(expected.stdout)
    replayed = run("--steps", "1", "--log", log)
    assert table(replayed.stdout) == table(expected.stdout)


def test_a_miss_in_a_worker_is_told(tmp_path: Path) -> None:
    """Without a key and a recording, what a worker missed is said by the program, and how to get answers."""
    done = run(*OPTIONS, "--log", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "no recording answers this call of compose_essay" in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
