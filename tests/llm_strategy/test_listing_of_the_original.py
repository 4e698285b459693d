"""The listing in the documentation of llm-strategy 2.2.0, as its users have it in their code.

`README-of-2.2.0.md` is the README of that release (https://pypi.org/project/llm-strategy/2.2.0/, MIT licence), word for word.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, Field
from pydantic.warnings import PydanticDeprecatedSince20

from llm_strategy import ScriptedModel, StubModel, llm_strategy

STUB = StubModel(recorded=False)
README = Path(__file__).with_name("README-of-2.2.0.md")
IMPORTS = """\
from typing import Generic, TypeVar

from pydantic import BaseModel, Field
from pydantic.generics import GenericModel

from llm_strategy import llm_explicit_function
"""


class Task(BaseModel):
    """What an essay is about."""

    topic: str = Field(description="as a headline has it")
    words: int | None = None


class Knobs(BaseModel):
    style: str = Field("plain", description="how it sounds")
    paragraphs: list[int] = [3]


class Essay(BaseModel):
    title: str
    parts: list[str]


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The names that the listing defines."""
    text = next(
        block
        for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
        if "class LLMOptimizer" in block
    )
    file = tmp_path_factory.mktemp("original") / "listing.py"
    file.write_text(IMPORTS + text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("listing_of_the_original", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticDeprecatedSince20)
        spec.loader.exec_module(module)
    # Where it has been imported, hypothesis asks it for the class that warns.
    sys.modules.pop("pydantic.generics", None)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def run(listing: Any) -> Any:
    """A run of a task that has gone well."""
    chains = {"messages": [{"role": "user", "content": "Write!"}], "children": []}
    return listing.TaskRun[Task, Essay, Knobs](
        task_parameters=Task(topic="Bees"),
        hyperparameters=Knobs(),
        all_chat_chains=chains,
        return_value=Essay(title="Bees", parts=["They fly."]),
        exception=None,
    )


@pytest.fixture
def info(listing: Any) -> Any:
    """What is known after one run."""
    reflection = listing.TaskReflection(
        feedback="short", evaluation="poor", hyperparameter_suggestion="more", hyperparameter_missing="none"
    )
    known = listing.TaskInfo[Task, Essay, Knobs](
        task_parameters=Task(topic="Bees"), hyperparameters=Knobs(), reflection=reflection
    )
    return listing.OptimizationInfo[Task, Essay, Knobs](task_infos=[known], best_hyperparameters=Knobs(style="dry"))


def test_a_run_is_reflected_on(listing: Any, run: Any) -> None:
    """The reflection comes back as the listing's own class, from the very text that stands for it."""
    reflect = listing.LLMOptimizer.reflect_on_task_run
    expected = listing.TaskReflection(
        feedback="a", evaluation="b", hyperparameter_suggestion="c", hyperparameter_missing="d"
    )
    model = ScriptedModel([reflect.reply(expected)])
    assert reflect(model, run) == expected
    assert isinstance(reflect(STUB, run), listing.TaskReflection)


def test_a_prompt_shows_the_types_of_the_run_and_no_type_variable(listing: Any, run: Any) -> None:
    """A model reads what task, result and hyperparameters are, with their descriptions."""
    text = listing.LLMOptimizer.reflect_on_task_run.request(STUB, run).messages[-1].content
    assert "(task_run: TaskRun[Task, Essay, Knobs]) -> TaskReflection" in text
    assert "TaskRun[Task, Essay, Knobs]:  # The task run. This is the 'data' we use" in text
    assert "  task_parameters: Task  # The task parameters." in text
    assert "  return_value: Essay | None" in text
    assert "  exception: list[str] | str | None" in text
    assert "  topic: str  # as a headline has it" in text
    assert "  style: str  # how it sounds" in text
    assert "T_Task" not in text
    assert "T_Hyperparameters" not in text


@pytest.mark.parametrize("exception", [None, "ValueError: no", ["ValueError: no", "  at line 3"]])
def test_a_run_that_failed_is_reflected_on(listing: Any, exception: Any) -> None:
    """A run without a result, in each form that an exception may have, is an argument as well."""
    failed = listing.TaskRun[Task, Essay, Knobs](
        task_parameters=Task(topic="Bees"),
        hyperparameters=Knobs(),
        all_chat_chains={},
        return_value=None,
        exception=exception,
    )
    assert listing.LLMOptimizer.reflect_on_task_run(STUB, failed)


def test_what_is_known_is_summarised(listing: Any, info: Any) -> None:
    """A summary is a text."""
    summarize = listing.LLMOptimizer.summarize_optimization_info
    assert summarize(ScriptedModel([summarize.reply("All in all.")]), info) == "All in all."
    text = summarize.request(STUB, info).messages[-1].content
    assert "  task_infos: list[TaskInfo[Task, Essay, Knobs]]" in text
    assert "  hyperparameters: Knobs  # The hyperparameters used for the task. We optimize these." in text


def test_the_next_step_has_the_types_of_the_question(listing: Any, info: Any) -> None:
    """Tasks and hyperparameters come back as the classes that went in, through generics inside generics."""
    suggest = listing.LLMOptimizer.suggest_next_optimization_step
    expected = listing.OptimizationStep[Task, Essay, Knobs](
        best_hyperparameters=Knobs(),
        suggestion="longer",
        task_parameters_suggestions=[Task(topic="Ants", words=90), Task(topic="Wasps")],
        hyperparameter_suggestions=[Knobs(style="vivid", paragraphs=[1, 2])],
    )
    model = ScriptedModel(['{"return_value": ' + expected.model_dump_json() + "}"])
    step = suggest(model, info)
    assert step == expected
    assert type(step.task_parameters_suggestions[1]) is Task
    assert type(step.best_hyperparameters) is type(step.hyperparameter_suggestions[0]) is Knobs
    schema = model.requests[0].output_schema
    assert schema is not None
    described = next(part for name, part in schema["$defs"].items() if name.startswith("OptimizationStep"))
    assert described["properties"]["hyperparameter_suggestions"]["hint_max_items"] == 2


def test_a_probability_comes_back(listing: Any, info: Any) -> None:
    """The probability is a number, the considerations are texts."""
    ask = listing.LLMOptimizer.probability_for_improvement
    expected = listing.ImprovementProbability(considerations=["much is untried"], probability=0.75)
    assert ask(ScriptedModel([ask.reply(expected)]), info) == expected


def test_the_hyperparameters_may_be_anything_that_pydantic_knows(listing: Any) -> None:
    """Task, result and hyperparameters need not be models."""
    run = listing.TaskRun[str, list[str], dict[str, float]](
        task_parameters="Bees",
        hyperparameters={"temperature": 0.5},
        all_chat_chains={},
        return_value=["one", "two"],
        exception=None,
    )
    text = listing.LLMOptimizer.reflect_on_task_run.request(STUB, run).messages[-1].content
    assert "  hyperparameters: dict[str, float]" in text
    assert listing.LLMOptimizer.reflect_on_task_run(STUB, run)


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    """What holds something."""

    held: T


@llm_strategy(STUB)
def compare(one: Box, other: Box) -> str:  # type: ignore[type-arg]  # written so by those who forget the type
    """Compare them."""
    raise NotImplementedError


BOXES = {
    "int": (Box(held=1), Box[int](held=2), "Box[int]", "int"),
    "int, float": (Box(held=1), Box[float](held=2), "Box[float]", "float"),
    "int, str": (Box(held=1), Box(held="a"), "Box[Union[int, str]]", "int | str"),
}


@pytest.mark.parametrize("case", BOXES)
def test_a_generic_model_without_its_type_is_shown_with_what_it_holds(case: str) -> None:
    """pydantic's `Box` is `Box[T]`; a prompt says what T is, and two of them need not hold the same."""
    one, other, name, held = BOXES[case]
    text = compare.request(one, other).messages[-1].content
    assert f"def compare(one: {name}, other: {name}) -> str" in text
    assert f"{name}:  # What holds something.\n  held: {held}\n" in text
    assert compare(one, other) == ""
