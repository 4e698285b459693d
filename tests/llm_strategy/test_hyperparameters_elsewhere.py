"""Hyperparameters in other processes: they travel as values, and hold there as they do here."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import cloudpickle
import pytest

from llm_strategy import Hyperparameter, Hyperparameters, ScriptedModel, llm_strategy, track_hyperparameters
from tests.llm_strategy.programs import output, plain_environment


@track_hyperparameters
def write_essay(task: str, _style: str = "plain") -> str:
    return f"{task}: {_style}{Hyperparameter('end') @ '.'}"


@llm_strategy(ScriptedModel(lambda request: json.dumps({"return_value": request.messages[0].content})))
def say() -> str:
    """Say it."""
    raise NotImplementedError


def collected() -> Hyperparameters:
    with Hyperparameters({"write_essay": {"style": "vivid", "end": "!"}, "say": {"instructions": "Hi"}}) as h:
        write_essay("a")
        say()
    return h


def work(h: Hyperparameters) -> tuple[str, str]:
    with h:
        return write_essay("a"), say()


FOUND = ("a: vivid!", "Hi")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_pool_of_processes_is_given_values(method: str) -> None:
    """A block is pickled as its values; in the process it works as here."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(work, collected()).result() == FOUND


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_values_and_classes_pickle(pickler: object) -> None:
    """Blocks, even open ones, objects and classes of functions, and the class of all functions."""

    def again(thing: object) -> object:
        return pickle.loads(pickler.dumps(thing))  # type: ignore[attr-defined]  # noqa: S301  # a module; it made it

    h = collected()
    with h:
        assert again(h) == h
    assert again(h[write_essay]) == h[write_essay]
    assert Hyperparameters(again(h.values)) == h
    assert again(h.model).model_json_schema() == h.model.model_json_schema()  # type: ignore[attr-defined]  # a class
    assert again(write_essay.hyperparameters)(style="x").style == "x"  # type: ignore[operator]  # so is this
    assert work(again(h)) == FOUND  # type: ignore[arg-type]  # a block


def test_the_functions_of_a_program_are_found_in_the_processes_that_it_spawns(tmp_path: Path) -> None:
    """Where its module goes by another name, `__mp_main__`."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        from llm_strategy import Hyperparameters, track_hyperparameters

        @track_hyperparameters
        def f(_x: int = 1) -> int:
            return _x

        def work(h):
            with h:
                return f(), h.model_dump_json()

        if __name__ == "__main__":
            h = Hyperparameters()
            h[f].x = 5
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                print(*pool.submit(work, h).result())
        """)
    )
    done = subprocess.run(
        [sys.executable, str(program)], env=plain_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == '5 {"__main__:f":{"x":5}}\n'


RAY = """
import ray
from llm_strategy import Hyperparameters, ScriptedModel, llm_strategy, track_hyperparameters

@track_hyperparameters
def f(_x: int = 1) -> int:
    return _x

@llm_strategy(ScriptedModel(lambda request: '{"return_value": "%s"}' % request.messages[0].content))
def say() -> str:
    "Say it."
    raise NotImplementedError

@ray.remote
def work(h, suggested):
    with h:
        first = f(), say()
    with Hyperparameters(suggested):
        return *first, f()

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
h = Hyperparameters({"say": {"instructions": "Hi"}})
h[f].x = 5
print(*ray.get(work.remote(h, f.hyperparameters(x=7))))
ray.shutdown()
"""


def test_workers_of_ray_are_given_values() -> None:
    """Functions and classes of the program itself are taken along."""
    pytest.importorskip("ray")
    assert output(RAY).splitlines()[-1] == "5 Hi 7"
