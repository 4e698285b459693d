"""Where runs are evaluated: side by side in threads, or in the processes of a Ray cluster."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any, NamedTuple

from llm_strategy import CassetteMiss, LLMStrategyError, use_cassette

Evaluate = Callable[[Sequence[tuple[Any, Any]]], Sequence[Any]]
"""Runs tasks, each with its hyperparameters, and returns what came of them, in that order."""


def in_threads(experiment: Any, workers: int) -> Evaluate:
    """Evaluate side by side. After an interruption each thread ends with the call that it is in."""

    def evaluate(pairs: Sequence[tuple[Any, Any]]) -> Sequence[Any]:
        stopped = threading.Event()

        def go_on() -> None:
            if stopped.is_set():
                raise InterruptedError

        with ThreadPoolExecutor(workers) as pool:
            # In a context of its own each finds the block of the call log.
            jobs = [pool.submit(copy_context().run, experiment.evaluate, *pair, go_on) for pair in pairs]
            try:
                return [job.result() for job in jobs]
            finally:
                stopped.set()
                pool.shutdown(cancel_futures=True)

    return evaluate


class Place(NamedTuple):
    """What a process of Ray has to know: the file that has the experiment, and the call log that all write into."""

    file: str
    log: str
    mode: str


@contextmanager
def on_ray(experiment: Any, workers: int, address: str, place: Place) -> Iterator[Evaluate]:
    """Evaluate in the processes of a Ray cluster: a local one, or the one at an address.

    On other machines the file and the folder of the call log have to be there too, under the same paths. Raises
    ImportError where Ray is not installed.
    """
    try:
        import ray  # here, because few have it and it takes a second
    except ImportError as error:
        raise ImportError(f"runs on a cluster need Ray ({error}): pip install 'llm-strategy[ray]'") from None
    own: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address=address, logging_level="ERROR", log_to_driver=False, **own)
    remote = ray.remote(_evaluate)

    def evaluate(pairs: Sequence[tuple[Any, Any]]) -> Sequence[Any]:
        # JSON, because the classes are others where the file is a module and no program.
        sent = [[model.model_dump_json() for model in pair] for pair in pairs]
        answers = ray.get([remote.remote(place, *texts) for texts in sent])
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [experiment.read(answer) for answer in answers]

    try:
        yield evaluate
    finally:
        ray.shutdown()


def _evaluate(place: tuple[str, str, str], task: str, hyperparameters: str) -> Any:
    """What a process of Ray does.

    A miss is returned, for it is no Exception and would end the process; other errors, so that they look as they do
    without Ray.
    """
    file, log, mode = place
    name = Path(file).stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    try:
        with use_cassette(log, mode=mode):
            return sys.modules[name].ESSAYS.evaluate_json(task, hyperparameters)
    except (CassetteMiss, LLMStrategyError, OSError) as error:
        return error
