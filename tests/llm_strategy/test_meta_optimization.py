"""The research example: a model improves the hyperparameters of a function, run by run, in one call log."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from examples.research import meta_optimization, stand_in_writer
from examples.research.meta_optimization import ESSAYS, Experiment, LLMOptimizer, TaskRun, in_threads, optimize
from examples.research.stand_in_writer import FUNCTIONS, Measured
from examples.stand_in import answer
from llm_strategy import (
    Cassette,
    ReplyError,
    Request,
    ScriptedModel,
    llm_strategy,
    override,
    track_hyperparameters,
    use_cassette,
)
from tests.llm_strategy.research import (
    CASSETTE,
    FOLDER,
    PROGRAM,
    interrupt,
    kill,
    means,
    read_until,
    run,
    start,
    table,
    writing,
)


def write(request: Request) -> str:
    """What the server would answer, without the server."""
    return answer(request.messages[1].content, {}, True, FUNCTIONS)


class Sum(BaseModel):
    topic: str
    words: int = 3


@track_hyperparameters
def tell(topic: str, words: int, _paragraphs: int = 1) -> str:
    """Fails where it should do more."""
    if _paragraphs > 1:
        raise ValueError(f"{_paragraphs} paragraphs are too many")
    return f"{topic} " * words


TELLING = Experiment(tell, lambda task, text: 10.0, (Sum, str, tell.hyperparameters))  # type: ignore[attr-defined]  # every tracked function has it


# As a program, without a key


def test_it_replays_without_a_key() -> None:
    """The recorded optimisation is replayed: who answered is told, and nothing else is written anywhere."""
    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(
        "Replaying meta_optimization.yaml, answered by local stand-in that writes essays: no model is asked.\n"
    )
    rows = table(done.stdout).splitlines()
    assert rows[1].split() == ["step", "score", "topic", "hyperparameters"]
    assert any(row.endswith("the defaults") for row in rows)
    assert any("paragraphs=3" in row for row in rows)
    assert rows[-1].startswith("best: ")


def test_scores_improve(tmp_path: Path) -> None:
    """Each step is better than the one before, in the recording as in an optimisation of other topics."""
    with writing() as (variables, answered):
        other = run(
            "What rivers carry to the sea",
            "Tea",
            "--log",
            tmp_path / "none.yaml",
            LLM_STRATEGY_RECORD="live",
            **variables,
        )
    assert answered
    assert list(tmp_path.iterdir()) == []
    for done in (run(), other):
        assert done.returncode == 0, done.stderr
        scores = means(done.stdout)
        assert len(scores) > 2
        assert scores == sorted(scores)
        assert scores[-1] > 2 * scores[0]


def test_the_header_names_who_answered() -> None:
    """The cassette of the example says that rules have answered, and which program has them."""
    assert Cassette(CASSETTE).header["answered_by"] == stand_in_writer.MODEL
    assert len(Cassette(CASSETTE)) == len({call.key for call in Cassette(CASSETTE)})


def test_older_runs_are_summarised() -> None:
    """Where there are many runs, what is asked holds a summary of the older ones in their place."""
    calls = list(Cassette(CASSETTE))
    summary = next(call for call in calls if str(call.function).endswith("summarize_optimization_info"))
    said = json.loads(summary.response.content)["return_value"]
    later = calls[-1 - [call.function for call in calls[::-1]].index("LLMOptimizer.suggest_next_optimization_step")]
    assert " runs had " in said
    assert json.dumps(said) in later.request.messages[-1].content


def test_a_changed_prompt_is_told(tmp_path: Path) -> None:
    """Where a prompt is another one than was recorded, the program says what has changed, and what to do."""
    copy = shutil.copytree(FOLDER, tmp_path / "examples" / "research", ignore=shutil.ignore_patterns("__pycache__"))
    essays = (copy / "essays.py").read_text(encoding="utf-8")
    (copy / "essays.py").write_text(essays.replace("in Markdown.", "in HTML."), encoding="utf-8")
    done = run("--log", CASSETTE, program=copy / PROGRAM.name)
    assert done.returncode == 1
    assert "changed: the docstring of compose_essay" in done.stderr
    assert "in HTML." in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    """`--chart` writes the scores as a picture, with a dot for each run; the one in the documentation is made so."""
    done = run("--chart", tmp_path / "scores.svg")
    assert done.returncode == 0, done.stderr
    drawn = ET.parse(tmp_path / "scores.svg").getroot()
    rows = [row for row in table(done.stdout).splitlines() if row.endswith(("the defaults", "True")) or "=" in row]
    assert len(drawn.findall(".//{*}circle")) == len([row for row in rows if not row.startswith("best")])
    shown = FOLDER.parents[1] / "docs" / "images" / "meta-optimization.svg"
    assert shown.read_text(encoding="utf-8") == (tmp_path / "scores.svg").read_text(encoding="utf-8")


# Interruptions


def test_a_killed_optimisation_goes_on_where_it_was(tmp_path: Path) -> None:
    """After `kill -9` in the middle the same command asks only for what was not answered, and ends the same."""
    log = tmp_path / "log.yaml"
    with writing(delay=0.02) as (variables, answered):
        process = start("--log", log, **variables)
        read_until(process, "step 1")
        kill(process)
        kept, before = len(Cassette(log)), len(answered)
        again = run("--log", log, **variables)
    assert again.returncode == 0, again.stderr
    assert table(again.stdout) == table(run().stdout)
    # What was on its way when the process ended had not come back; each thread may have had one such call.
    assert kept >= before - 4
    assert len(answered) == before + len(Cassette(log)) - kept
    assert f"holds {len(Cassette(log))} calls, of which {len(Cassette(log)) - kept} were asked now." in again.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for another process")
def test_an_interrupted_optimisation_tells_what_it_has(tmp_path: Path) -> None:
    """Ctrl-C ends it with what is known so far, without a traceback; nothing that was answered is asked again."""
    log = tmp_path / "log.yaml"
    with writing(delay=0.02) as (variables, answered):
        process = start("--log", log, **variables)
        read_until(process, "step 0")
        interrupt(process)
        output, errors = process.communicate(timeout=60)
        kept = len(Cassette(log))
        assert process.returncode == 130
        assert errors.strip() == "Interrupted. The same command goes on from there."
        assert "best: the defaults" in output
        assert kept >= 6
        assert run("--log", log, **variables).returncode == 0
    # A call that was on its way was not kept: the program that asked was stopped.
    assert 0 <= len(answered) - len(Cassette(log)) <= 1


def test_no_steps(tmp_path: Path) -> None:
    """`--steps 0` runs the tasks with the defaults, and asks for no improvement."""
    with writing() as (variables, answered):
        done = run("--steps", "0", "--log", tmp_path / "log.yaml", **variables)
    assert done.returncode == 0, done.stderr
    assert len(answered) == 6
    assert not any("optimization" in one for one in answered)
    assert len(means(done.stdout)) == 1


# What goes wrong


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """A log where none can be is told in a line, and nobody is asked for what could not be kept."""
    (tmp_path / "file").touch()
    with writing() as (variables, answered):
        done = run("--log", tmp_path / "file" / "log.yaml", **variables)
    assert done.returncode == 1
    assert "is not a folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert answered == []


def test_a_model_that_cannot_be_reached(tmp_path: Path) -> None:
    """A provider that cannot be reached ends the program with a line: it says nothing about the hyperparameters."""
    variables = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "unused"}
    done = run("--log", tmp_path / "log.yaml", **variables)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    """Without a key and without a log it is said how to get answers."""
    done = run("--log", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "none.yaml does not exist" in done.stderr
    assert "stand_in_writer.py" in done.stderr


def test_without_ray(tmp_path: Path) -> None:
    """`--ray` names the extra where Ray is not installed."""
    (tmp_path / "ray.py").write_text("raise ImportError('no module named ray')\n", encoding="utf-8")
    done = run("--ray", PYTHONPATH=f"{tmp_path}{':' if sys.platform != 'win32' else ';'}{FOLDER.parents[1]}")
    assert done.returncode == 1
    assert "pip install 'llm-strategy[ray]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", [("--steps", "-1"), ("--workers", "0")])
def test_wrong_options(option: tuple[str, str]) -> None:
    """A wrong number is refused before anything is asked."""
    done = run(*option)
    assert done.returncode == 2
    assert "meta_optimization.py: error: " in done.stderr


# The parts


def test_a_function_that_raises_is_learned_from() -> None:
    """What a run raises stands in it, its score is 0, and the optimisation goes on with the others."""
    step = {
        "best_hyperparameters": {"paragraphs": 1},
        "suggestion": "more",
        "task_parameters_suggestions": [{"topic": "Tea"}],
        "hyperparameter_suggestions": [{"paragraphs": 2}, {"paragraphs": 0}],
    }

    said = {"suggest_next": step, "probability_for": {"considerations": [], "probability": 1}}

    def reply(request: Request) -> str:
        found = [value for name, value in said.items() if name in request.messages[-1].content]
        return json.dumps({"return_value": found[0]}) if found else write(request)

    model = ScriptedModel(reply)
    with override(model=model):
        first, second = optimize(TELLING, [Sum(topic="Tea")], 2, in_threads(TELLING, 2))
    assert [result.run.exception for result in first] == [None]
    assert [result.run.exception for result in second] == [["ValueError: 2 paragraphs are too many"], None]
    assert [result.run.score for result in second] == [0, 10]
    assert second[0].run.return_value is None
    reflected = next(r for r in model.requests if "too many" in r.messages[-1].content)
    assert '"exception": ["ValueError: 2 paragraphs are too many"]' in reflected.messages[-1].content
    # The second step suggested nothing that was new.
    assert sum("suggest_next" in r.messages[-1].content for r in model.requests) == 2


def test_a_run_that_failed_is_asked_about_in_the_same_words_again(tmp_path: Path) -> None:
    """The prompt about a reply that was no value is the same whether that reply is replayed or fresh."""
    replies = ["{}", "{}", "{}", LLMOptimizer.reflect_on_task_run.reply(REFLECTION)]

    @llm_strategy(ScriptedModel(lambda request: replies.pop(0), recorded=True))
    def count(topic: str, words: int, _paragraphs: int = 1) -> int:
        """Count."""
        raise NotImplementedError

    experiment = Experiment(count, lambda task, value: 1.0, (Sum, int, tell.hyperparameters))  # type: ignore[attr-defined]  # as above
    for mode in ("new", "replay"):
        model = ScriptedModel(lambda request: replies.pop(0), name="other", recorded=True)
        with use_cassette(tmp_path / "log.yaml", mode=mode), override(model=model):
            run = experiment.evaluate(Sum(topic="Tea"), tell.hyperparameters()).run  # type: ignore[attr-defined]  # as above
        assert run.exception[0].startswith(ReplyError.__name__)
    assert replies == []


REFLECTION = meta_optimization.TaskReflection(
    feedback="a", evaluation="b", hyperparameter_suggestion="c", hyperparameter_missing="d"
)


def test_the_words_of_a_prompt_are_improved() -> None:
    """Of a function that a model implements the docstring is a hyperparameter: the next run asks with the new one."""
    step = {
        "best_hyperparameters": {},
        "suggestion": "funnier",
        "task_parameters_suggestions": [{"topic": "Lamp"}],
        "hyperparameter_suggestions": [{"docstring": "Write a funny slogan.", "tone": "loud"}],
    }
    said = {
        "def slogan": "Buy!",
        "suggest_next": step,
        "probability_for": {"considerations": [], "probability": 1},
        "reflect_on": REFLECTION.model_dump(),
    }

    @llm_strategy("stub:")
    def slogan(topic: str, words: int, _tone: str = "plain") -> str:
        """Write a slogan."""
        raise NotImplementedError

    def reply(request: Request) -> str:
        first = request.messages[-1].content.partition("\n")[0]
        return json.dumps({"return_value": next(value for name, value in said.items() if name in first)})

    experiment = Experiment(slogan, lambda task, text: 50.0, (Sum, str, slogan.hyperparameters))  # type: ignore[attr-defined]  # as above
    model = ScriptedModel(reply)
    with override(model=model):
        steps = list(optimize(experiment, [Sum(topic="Lamp")], 1, in_threads(experiment, 1)))
    assert [run.run.hyperparameters.docstring for (run,) in steps] == ["Write a slogan.", "Write a funny slogan."]
    asked = [r.messages[-1].content for r in model.requests if r.messages[-1].content.startswith("def slogan")]
    assert ["\n\nWrite a funny slogan.\n\n" in text for text in asked] == [False, True]
    assert ['_tone = "loud"' in text for text in asked] == [False, True]


def test_runs_are_evaluated_at_the_same_time() -> None:
    """As many runs as there are workers wait for each other: one after the other they would wait forever."""
    meeting = threading.Barrier(3)

    @track_hyperparameters
    def meet(topic: str, words: int, _paragraphs: int = 1) -> str:
        """Wait for the others."""
        meeting.wait(timeout=60)
        return topic

    experiment = Experiment(meet, lambda task, text: 1.0, (Sum, str, meet.hyperparameters))  # type: ignore[attr-defined]  # as above
    with override(model=ScriptedModel(write)):
        pairs = [(Sum(topic=topic), meet.hyperparameters()) for topic in "abc"]  # type: ignore[attr-defined]  # as above
        results = in_threads(experiment, 3)(pairs)
    assert [result.run.return_value for result in results] == ["a", "b", "c"]


def test_hyperparameters_of_concurrent_runs_do_not_mix() -> None:
    """Each thread writes with the hyperparameters of its own run."""
    kind = ESSAYS.types[2]
    pairs = [
        (meta_optimization.EssayTask(topic="Tea"), kind(paragraphs=paragraphs, example=paragraphs % 2 == 0))
        for paragraphs in range(1, 8)
    ]
    with override(model=ScriptedModel(write)):
        results = in_threads(ESSAYS, 4)(pairs)
    for (_, given), result in zip(pairs, results, strict=True):
        essay = result.run.return_value
        assert len(essay.split("\n\n")) - 1 == given.paragraphs
        assert ("For example" in essay) is given.example


def test_a_run_keeps_its_conversations() -> None:
    """The chat chains of a run are those of its own calls, as compact JSON."""
    with override(model=ScriptedModel(write)):
        run = ESSAYS.run(meta_optimization.EssayTask(topic="Tea"), ESSAYS.types[2]())
    assert isinstance(run, TaskRun)
    assert [message["role"] for message in run.all_chat_chains["messages"]] == ["system", "user", "assistant"]
    assert "def compose_essay" in run.all_chat_chains["messages"][1]["content"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("Tea is old. " * 10, "Tea is old. "),
        ("Tea.\n\nTea.\n\nTea.", "Tea. Tea. Tea."),
        ("Tea. For example, tea.", "Tea. Of course, tea."),
        ("Tea. In conclusion, tea.", "Tea. At the end, tea."),
        ("Tea and ceremonies.", "Tea and afternoons."),
    ],
)
def test_points_follow_from_what_is_counted(better: str, worse: str) -> None:
    """Length, paragraphs, the topic's words, an example and a conclusion each make a grade better."""
    task = {"topic": "Tea ceremonies", "words": 40}
    assert Measured(task, better).points > Measured(task, worse).points


def test_what_is_advised_helps() -> None:
    """With all that is advised about an essay the next one has more points, whatever the topic."""
    for topic in ("Tea", "How bees find their way home", "Glass, sand, fire and the light of old church windows"):
        task: dict[str, Any] = {"topic": topic, "words": 200}
        settings: dict[str, Any] = {
            "paragraphs": 1,
            "sentences": 2,
            "aspects": 1,
            "example": False,
            "conclusion": False,
        }
        points = []
        for _ in range(4):
            prompt = "def compose_essay()\n\nArguments:\n" + "".join(
                f"\n{name} = {json.dumps(value)}" for name, value in {**task, **settings}.items()
            )
            essay = json.loads(answer(prompt, {}, True, FUNCTIONS))["return_value"]
            measured = Measured(task, essay)
            points.append(measured.points)
            settings |= measured.changes(settings)
        assert points[1] > points[0]
        assert max(points) >= 90


def test_what_a_model_suggests_does_no_harm_to_a_terminal() -> None:
    """A topic may hold what a terminal would take for a command, or Markup: it is shown as text."""
    task = meta_optimization.EssayTask(topic="\x1b[31mTea & <b>milk</b>\nand more")
    run: Any = TaskRun[ESSAYS.types](
        task_parameters=task,
        hyperparameters=ESSAYS.types[2](style="\x1b]0;title\x07"),
        all_chat_chains={},
        return_value="",
        exception=None,
        score=50,
    )
    shown = meta_optimization.table([[run]], ESSAYS.types[2]())
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert len(shown.splitlines()) == 2
    drawn = meta_optimization.picture([[run]], "Scores <1>")
    assert "".join(ET.fromstring(drawn).itertext()).count("<b>milk</b>") == 1
