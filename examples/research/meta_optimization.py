"""A model improves the hyperparameters of a function that a model implements: essays, written ever better.

    python examples/research/meta_optimization.py

Each run of `write_essay` is graded and reflected on; from the reflections the next hyperparameters are suggested, and
so on. Without a key this replays cassettes/examples/meta_optimization.yaml. With OPENAI_API_KEY, OPENAI_BASE_URL or
LLM_STRATEGY_MODEL in the environment it asks that model, and keeps each answer in meta_optimization.yaml (`--log`)
before it goes on: after an interruption the same command goes on where it was. With `--ray` essays are written, graded
and reflected on in the processes of a Ray cluster.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, Field

from llm_strategy import (
    Cassette,
    CassetteMiss,
    Hyperparameters,
    LLMStrategyError,
    ModelError,
    call_log,
    get_tracked_chats,
    llm_explicit_function,
    use_cassette,
)

sys.path.insert(0, str(Path(__file__).parent))  # its neighbours, wherever it is imported from
from drawing import bars, picture, table, told
from essays import MODEL, TASKS, EssayTask, grade, write_essay
from evaluation import Evaluate, Place, in_threads, on_ray

CASSETTE = Path(__file__).parents[2] / "cassettes" / "examples" / "meta_optimization.yaml"

# What is known of it, and what a model makes of that

T_TaskParameters = TypeVar("T_TaskParameters")
T_TaskResults = TypeVar("T_TaskResults")
T_Hyperparameters = TypeVar("T_Hyperparameters")


class TaskRun(BaseModel, Generic[T_TaskParameters, T_TaskResults, T_Hyperparameters]):
    """The task run. This is the 'data' we use to optimize the hyperparameters."""

    task_parameters: T_TaskParameters = Field(description="The task parameters.")
    hyperparameters: T_Hyperparameters = Field(description="The hyperparameters used for the task. We optimize these.")
    all_chat_chains: dict[str, Any] = Field(description="The chat chains from the task execution.")
    return_value: T_TaskResults | None = Field(description="The results of the task. (None for exceptions/failure.)")
    exception: list[str] | str | None = Field(description="Exception that occurred during the task execution.")
    score: float = Field(0.0, description="How good the results are, from 0 to 100; 0 for exceptions/failure.")


class TaskReflection(BaseModel):
    """The reflections on the task.

    This contains the lessons we learn from each task run to come up with better hyperparameters to try.
    """

    feedback: str = Field(
        description="Only look at the return value. Does it satisfy the task parameters? What could be improved?"
    )
    evaluation: str = Field(
        description="The evaluation of the results given the task. Are they satisfying? What is wrong? What is missing?"
    )
    hyperparameter_suggestion: str = Field(
        description="How we want to change the hyperparameters to improve the results. What could we try to change?"
    )
    hyperparameter_missing: str = Field(
        description="What hyperparameters are missing? What could be changed that is not exposed via hyperparameters?"
    )


class TaskInfo(BaseModel, Generic[T_TaskParameters, T_TaskResults, T_Hyperparameters]):
    """The task run and the reflection on the experiment."""

    task_parameters: T_TaskParameters = Field(description="The task parameters.")
    hyperparameters: T_Hyperparameters = Field(description="The hyperparameters used for the task. We optimize these.")
    score: float = Field(description="How good the results were, from 0 to 100.")
    reflection: TaskReflection = Field(description="The reflection on the task.")


class OptimizationInfo(BaseModel, Generic[T_TaskParameters, T_TaskResults, T_Hyperparameters]):
    """The optimization information. This is the data we use to optimize the hyperparameters."""

    older_task_summary: str | None = Field(
        None,
        description="A summary of previous experiments and the proposed changes with the goal of avoiding trying the "
        "same changes repeatedly.",
    )
    task_infos: list[TaskInfo[T_TaskParameters, T_TaskResults, T_Hyperparameters]] = Field(
        description="The most recent tasks we have run and our reflections on them."
    )
    best_hyperparameters: T_Hyperparameters = Field(description="The best hyperparameters we have found so far.")


class OptimizationStep(BaseModel, Generic[T_TaskParameters, T_TaskResults, T_Hyperparameters]):
    """The next optimization steps.

    New hyperparameters we want to try experiments and new task parameters we want to evaluate on given the previous
    experiments.
    """

    best_hyperparameters: T_Hyperparameters = Field(
        description="The best hyperparameters we have found so far given task_infos and history."
    )
    suggestion: str = Field(
        description="The suggestions for the next experiments. What could we try to change? We will try several tasks "
        "next and several sets of hyperparameters. Let's think step by step."
    )
    task_parameters_suggestions: list[T_TaskParameters] = Field(
        description="The task parameters we want to try next.", min_length=1, max_length=4
    )
    hyperparameter_suggestions: list[T_Hyperparameters] = Field(
        description="The hyperparameters we want to try next.", min_length=1, max_length=2
    )


class ImprovementProbability(BaseModel):
    considerations: list[str] = Field(description="The considerations for potential improvements.")
    probability: float = Field(description="The probability of improvement.", ge=0, le=1)


class LLMOptimizer:
    """What a model says about an optimisation, whatever is optimised."""

    @llm_explicit_function
    @staticmethod
    def reflect_on_task_run(
        language_model, task_run: TaskRun[T_TaskParameters, T_TaskResults, T_Hyperparameters]
    ) -> TaskReflection:
        """Reflect on the results given the task parameters and hyperparameters.

        This contains the lessons we learn from each task run to come up with better hyperparameters to try.
        """
        raise NotImplementedError

    @llm_explicit_function
    @staticmethod
    def summarize_optimization_info(
        language_model, optimization_info: OptimizationInfo[T_TaskParameters, T_TaskResults, T_Hyperparameters]
    ) -> str:
        """Summarize the optimization info.

        We want to preserve all relevant knowledge for improving the hyperparameters in the future. All information
        from previous experiments will be forgotten except for this summary.
        """
        raise NotImplementedError

    @llm_explicit_function
    @staticmethod
    def suggest_next_optimization_step(
        language_model, optimization_info: OptimizationInfo[T_TaskParameters, T_TaskResults, T_Hyperparameters]
    ) -> OptimizationStep[T_TaskParameters, T_TaskResults, T_Hyperparameters]:
        """Suggest the next optimization step."""
        raise NotImplementedError

    @llm_explicit_function
    @staticmethod
    def probability_for_improvement(
        language_model, optimization_info: OptimizationInfo[T_TaskParameters, T_TaskResults, T_Hyperparameters]
    ) -> ImprovementProbability:
        """Return the probability for improvement (between 0 and 1).

        This is your confidence that your next optimization steps will improve the hyperparameters given the
        information provided. If you think that the information available is unlikely to lead to better
        hyperparameters, return 0. If you think that the information available is very likely to lead to better
        hyperparameters, return 1. Be concise.
        """
        raise NotImplementedError


# One run, and what there is to learn from it


class Result(BaseModel, Generic[T_TaskParameters, T_TaskResults, T_Hyperparameters]):
    """A run, and what there is to learn from it."""

    run: TaskRun[T_TaskParameters, T_TaskResults, T_Hyperparameters]
    reflection: TaskReflection


class Experiment(NamedTuple):
    """What is optimised: a function, how good a result of it is, and the types that are spoken of."""

    function: Callable[..., Any]
    score: Callable[[Any, Any], float]
    types: tuple[Any, Any, Any]

    def evaluate(self, task: BaseModel, hyperparameters: BaseModel, go_on: Callable[[], None] = lambda: None) -> Any:
        """Run a task, score the result, and reflect on it; `go_on` may raise before each further call."""
        run = self.run(task, hyperparameters)
        go_on()
        if run.exception is None:
            run.score = self.score(task, run.return_value)
        go_on()
        return Result[self.types](run=run, reflection=LLMOptimizer.reflect_on_task_run(MODEL, run))

    def evaluate_json(self, task: str, hyperparameters: str) -> str:
        """The same for another process."""
        read = [
            kind.model_validate_json(text) for kind, text in zip(self.types[::2], (task, hyperparameters), strict=True)
        ]
        return self.evaluate(*read).model_dump_json()

    def read(self, text: str) -> Any:
        """The result that another process has sent."""
        return Result[self.types].model_validate_json(text)

    def run(self, task: BaseModel, hyperparameters: BaseModel) -> Any:
        """Run a task. What it raises is part of the run; only that a model cannot be asked says nothing about it."""
        result: Any = None
        exception: list[str] | None = None
        with call_log() as calls, Hyperparameters(hyperparameters):
            try:
                result = self.function(**dict(task))
            except ModelError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever hyperparameters lead to is to be learned from
                # Without its notes, which tell a replayed reply from a fresh one: prompts have to stay the same.
                exception = [f"{type(error).__name__}: {error}"]
        return TaskRun[self.types](
            task_parameters=task,
            hyperparameters=hyperparameters,
            all_chat_chains=get_tracked_chats(calls),
            return_value=result,
            exception=exception,
        )


ESSAYS = Experiment(write_essay, grade, (EssayTask, str, write_essay.hyperparameters))


# The loop

WORTHWHILE = 0.5
"""The least probability of an improvement that is worth a further step."""
REMEMBERED, KEPT = 8, 4
"""With more runs than the first the older ones are summarised; as many as the second stay, and those of the best."""


def optimize(experiment: Experiment, tasks: Sequence[Any], steps: int, evaluate: Evaluate) -> Iterator[Sequence[Any]]:
    """Run tasks with the hyperparameters' defaults, then with better ones; the results of each step."""
    first = experiment.types[2]()
    results = list(evaluate([(task, first) for task in tasks]))
    yield results
    known = OptimizationInfo[experiment.types](
        task_infos=[info(experiment, result) for result in results], best_hyperparameters=first
    )
    for _ in range(steps):
        forget(known)
        if LLMOptimizer.probability_for_improvement(MODEL, known).probability < WORTHWHILE:
            return
        step = LLMOptimizer.suggest_next_optimization_step(MODEL, known)
        tried = {named(result.run.task_parameters, result.run.hyperparameters) for result in results}
        suggested = product(step.task_parameters_suggestions, step.hyperparameter_suggestions)
        pairs = {name: pair for pair in suggested if (name := named(*pair)) not in tried}
        if not pairs:
            return
        new = evaluate(list(pairs.values()))
        yield new
        results = [*results, *new]
        known.best_hyperparameters = best([result.run for result in results])
        known.task_infos += [info(experiment, result) for result in new]


def named(*models: BaseModel) -> str:
    """What tells a task, hyperparameters, or both, from others."""
    return " ".join(model.model_dump_json() for model in models)


def info(experiment: Experiment, result: Any) -> Any:
    # What else a run has, such as the essay, is not remembered.
    return TaskInfo[experiment.types](**dict(result.run), reflection=result.reflection)


def best(runs: Sequence[Any]) -> Any:
    """The hyperparameters with the highest mean score: what was measured counts, not what a model believes."""
    scores: dict[str, list[float]] = {}
    for run in runs:
        scores.setdefault(named(run.hyperparameters), []).append(run.score)
    top = max(scores, key=lambda name: mean(scores[name]))
    return next(run.hyperparameters for run in runs if named(run.hyperparameters) == top)


def forget(known: Any) -> None:
    """Put a summary in the place of older runs, where there are many."""
    if len(known.task_infos) <= REMEMBERED:
        return
    chosen = named(known.best_hyperparameters)
    older = [one for one in known.task_infos[:-KEPT] if named(one.hyperparameters) != chosen]
    summary = LLMOptimizer.summarize_optimization_info(MODEL, known.model_copy(update={"task_infos": older}))
    known.older_task_summary = summary
    known.task_infos = [one for one in known.task_infos if all(one is not other for other in older)]


# The program


def choose_mode(options: argparse.Namespace) -> tuple[Path, str]:
    """The call log and how to use it; says so to the user."""
    given = [name for name in ("LLM_STRATEGY_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY") if os.environ.get(name)]
    log = options.log or (Path("meta_optimization.yaml") if given else CASSETTE)
    mode = os.environ.get("LLM_STRATEGY_RECORD") or ("new" if given else "replay")
    if mode != "replay":
        kept = "" if mode == "live" else f"; answers are kept in {log}"
        print(f"Asking {MODEL}{f' ({given[0]} is set)' if given else ''}{kept}.")
    elif log.exists():
        print(f"Replaying {log.name}, answered by {Cassette(log).header['answered_by']}: no model is asked.")
    return log, mode


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Improve the hyperparameters of a function that writes essays.")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="what to write about (default: two topics)")
    parser.add_argument("--steps", type=int, default=3, help="at most so many after the first (default: %(default)s)")
    parser.add_argument("--log", type=Path, metavar="PATH", help="the cassette that keeps the calls")
    parser.add_argument("--chart", type=Path, metavar="PATH.svg", help="draw the scores as a picture, too")
    parser.add_argument("--workers", type=int, default=4, help="runs at the same time (default: %(default)s)")
    parser.add_argument(
        "--ray", nargs="?", const="local", metavar="ADDRESS", help="use a Ray cluster, on this machine or at ADDRESS"
    )
    options = parser.parse_args()
    if options.steps < 0 or options.workers < 1:
        parser.error("--steps is 0 or more, --workers 1 or more")
    return options


def perform(options: argparse.Namespace, log: Path, mode: str, steps: list[Any]) -> None:
    """Run the loop; the runs of each step are added to `steps` as soon as they are known."""
    tasks = [EssayTask(topic=topic) for topic in options.topics] or TASKS
    with ExitStack() as stack:
        stack.enter_context(use_cassette(log, mode=mode))
        evaluate = in_threads(ESSAYS, options.workers)
        if options.ray:
            place = Place(str(Path(__file__).absolute()), str(log.absolute()), mode)
            evaluate = stack.enter_context(on_ray(ESSAYS, options.workers, options.ray, place))
        for results in optimize(ESSAYS, tasks, options.steps, evaluate):
            steps.append([result.run for result in results])
            runs, score = f"{len(results)} run{'s' * (len(results) != 1)}", mean(run.score for run in steps[-1])
            print(f"step {len(steps) - 1}: {runs}, mean score {score:.1f}", flush=True)


def show(steps: Sequence[Any], chart: Path | None) -> None:
    defaults = write_essay.hyperparameters()
    found = best([run for runs in steps for run in runs])
    print(f"\n{table(steps, defaults)}\n\n{bars(steps)}\n\nbest: {told(found, defaults)}")
    if chart is not None:
        chart.write_text(picture(steps, "Score of the essays"), encoding="utf-8")


def count(log: Path) -> int:
    return len(Cassette(log)) if log.exists() else 0


def main() -> int:
    options = read_options()
    steps: list[Any] = []
    problem, status = "", 1
    try:
        log, mode = choose_mode(options)
        before = count(log)
        perform(options, log, mode, steps)
    except KeyboardInterrupt:
        problem, status = "Interrupted.", 130
    except CassetteMiss as miss:
        problem = f"{miss}\n\n{ADVICE}"
    except (LLMStrategyError, ImportError, OSError) as error:
        problem = f"{type(error).__name__}: {error}"
    try:
        if steps:
            show(steps, options.chart)
            if mode not in ("replay", "live"):
                print(f"{log} holds {count(log)} calls, of which {count(log) - before} were asked now.")
                problem += " The same command goes on from there." if problem else ""
    except OSError as error:
        problem = str(error)
    print(problem, file=sys.stderr, end="\n" if problem else "")
    return status if problem else 0


ADVICE = """\
Set OPENAI_API_KEY, or OPENAI_BASE_URL for another provider, and a model is asked. Without either, start the stand-in

    python examples/research/stand_in_writer.py

and set the variables that it prints."""


if __name__ == "__main__":
    sys.exit(main())
