"""A server that writes essays by rules, grades them by counting, and works out from the counts what to change.

    python examples/research/stand_in_writer.py [--port 8765] [--delay SECONDS]

It answers what meta_optimization.py asks, in the place of a model, so that the program can be tried, and its cassette
recorded, without a key. It is the server of ../stand_in.py with other functions. Nothing is looked up: another topic
gets another essay, other hyperparameters get another grade, and advice follows from what is counted.
"""

from __future__ import annotations

import math
import re
import sys
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from examples.stand_in import Call, Functions

MODEL = "local stand-in that writes essays"

# What an essay says, whatever it is about: {a} and {b} are words of its topic.
SENTENCES = [
    "Whoever looks at {a} soon comes upon {b}",
    "Nobody understands {a} without a thought for {b}",
    "There was a time when {a} and {b} were held to have nothing in common",
    "What is known of {a} was learned slowly, and {b} was often in the way",
    "It pays to ask first what {a} is for, and only then what it has to do with {b}",
    "Against this stands that {a} changes, while {b} stays much the same",
    "Most people meet {a} early in life and {b} late",
]
EXAMPLE = "For example, somebody who had never heard of {b} would still notice {a}"
CONCLUSION = "In conclusion, {a} and {b} belong together"
SMALL = set(
    "a about an and are as at be by do does for from how in into is it its of on or our the their they to".split()
)
SMALL |= set("was we what when where which who why will with".split())


def words_of(topic: str) -> list[str]:
    """The words that a topic is about, each once."""
    return list(dict.fromkeys(word for word in re.findall(r"\w\w+", topic.lower()) if word not in SMALL)) or ["it"]


def compose_essay(call: Call) -> str:
    """Paragraphs of sentences, made of the words of the topic."""
    given = call.arguments
    words, paragraphs = words_of(given["topic"]), max(1, int(given.get("paragraphs", 1)))
    sentences, aspects = max(1, int(given.get("sentences", 3))), max(1, int(given.get("aspects", 1)))
    patterns, written = cycle(SENTENCES), []
    for number in range(paragraphs):
        taken = list(islice(cycle(words), number * aspects, (number + 1) * aspects))
        said = list(islice(patterns, sentences))
        if given.get("example") and number == paragraphs // 2:
            said[-1] = EXAMPLE
        if given.get("conclusion") and number == paragraphs - 1:
            said[0] = CONCLUSION
        pairs = [(taken[at % len(taken)], taken[(at + 1) % len(taken)]) for at in range(len(said))]
        pairs = [(a, b if b != a else "the rest of the world") for a, b in pairs]
        lines = [text.format(a=a, b=b) for text, (a, b) in zip(said, pairs, strict=True)]
        written.append(" ".join(f"{line[0].upper()}{line[1:]}." for line in lines))
    return f"# {given['topic']}\n\n" + "\n\n".join(written)


class Measured:
    """What can be counted in an essay."""

    def __init__(self, task: dict[str, Any], essay: str) -> None:
        body = re.sub(r"^#.*\n", "", essay)
        self.wanted = int(task.get("words", 150))
        self.paragraphs = len([part for part in body.split("\n\n") if part.strip()])
        self.length = len(re.findall(r"\w+", body))
        self.sentences = max(1, len(re.findall(r"[.!?](?:\s|$)", body)))
        topic = words_of(task["topic"])
        self.topic, self.named = len(topic), sum(word in set(re.findall(r"\w+", body.lower())) for word in topic)
        self.example = "for example" in body.lower()
        self.conclusion = "in conclusion" in body.lower()

    @property
    def points(self) -> int:
        """Of 100: 30 for the length, 30 for the words of the topic, 20 for three paragraphs, 10 each for the rest."""
        fit = min(self.length, self.wanted) / max(self.length, self.wanted, 1)
        share = self.named / self.topic
        counted = 30 * fit + 30 * share + 20 * min(self.paragraphs, 3) / 3
        return round(counted + 10 * self.example + 10 * self.conclusion)

    def __str__(self) -> str:
        return (
            f"It has {self.length} words where {self.wanted} are wanted, and {self.paragraphs} paragraphs. "
            f"{self.named} of {self.topic} words of the topic appear. "
            f"It has {'an' if self.example else 'no'} example and {'a' if self.conclusion else 'no'} conclusion."
        )

    def changes(self, now: dict[str, Any]) -> dict[str, Any]:
        """What hyperparameters should be so that the counts come out right, the most useful first."""
        paragraphs = max(3, self.paragraphs)
        length = self.length / self.sentences
        better = {
            "paragraphs": paragraphs,
            "sentences": max(1, round(self.wanted / length / paragraphs)) if self.length else 3,
            "aspects": math.ceil(self.topic / paragraphs) if self.named < self.topic else now.get("aspects"),
            "example": True,
            "conclusion": True,
        }
        return {name: value for name, value in better.items() if now.get(name) != value}


def plain(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters by the names without the underscore."""
    return {name.lstrip("_"): value for name, value in hyperparameters.items()}


def grade_essay(call: Call) -> dict[str, Any]:
    measured = Measured(call.arguments, call.arguments["essay"])
    return {"points": measured.points, "reason": str(measured)}


def as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def reflect_on_task_run(call: Call) -> dict[str, str]:
    run = call.arguments["task_run"]
    now = plain(run["hyperparameters"])
    if not run["return_value"]:
        said = f"There is no essay: {run['exception']}"
        return reflection(said, "Nothing can be said of what was not written.", "Go back to what worked.", "None.")
    measured = Measured(run["task_parameters"], run["return_value"])
    changes = measured.changes(now)
    known = [f"{name}={as_text(value)}" for name, value in changes.items() if name in now]
    unknown = [name for name in changes if name not in now]
    return reflection(
        str(measured),
        f"{measured.points} of 100 points.",
        f"Try {', '.join(known)}." if known else "Nothing that is counted could be better.",
        f"The number or presence of: {', '.join(unknown)}." if unknown else "None.",
    )


def reflection(feedback: str, evaluation: str, suggestion: str, missing: str) -> dict[str, str]:
    return {
        "feedback": feedback,
        "evaluation": evaluation,
        "hyperparameter_suggestion": suggestion,
        "hyperparameter_missing": missing,
    }


class Known:
    """What is known of an optimisation: the runs, and what could be changed about the best hyperparameters."""

    def __init__(self, call: Call) -> None:
        info = call.arguments["optimization_info"]
        self.runs: list[dict[str, Any]] = info["task_infos"]
        self.summary: str = info["older_task_summary"] or ""
        self.best: dict[str, Any] = info["best_hyperparameters"]
        tried = [run for run in self.runs if run["hyperparameters"] == self.best]
        # Where the best runs are forgotten, any other says what could be better.
        self.poorest = min(tried or self.runs, key=score, default=None)

    @property
    def changes(self) -> dict[str, Any]:
        """What is advised for the poorest of the best, by the names that the hyperparameters really have."""
        if self.poorest is None:
            return {}
        names = {name.lstrip("_"): name for name in self.best}
        advised = re.findall(r"(\w+)=(\w+)", self.poorest["reflection"]["hyperparameter_suggestion"])
        return {
            names[name]: {"true": True, "false": False}.get(value) if value.isalpha() else int(value)
            for name, value in advised
            if name in names
        }

    def untried(self, *changes: dict[str, Any]) -> list[dict[str, Any]]:
        """The best hyperparameters with each of the changes, unless somebody has tried just that."""
        known = [run["hyperparameters"] for run in self.runs]
        made = [{**self.best, **change} for change in changes if change]
        return [one for at, one in enumerate(made) if one not in known and one not in made[:at]]


def score(run: dict[str, Any]) -> float:
    return float(run.get("score") or 0)


STEP = 2
"""As many changes are made at a time: of more nobody could tell which has helped."""


def suggest_next_optimization_step(call: Call) -> dict[str, Any]:
    known = Known(call)
    items = list(known.changes.items())
    proposed = known.untried(dict(items[:STEP]), dict(items[STEP : 2 * STEP]), dict(items[:1]), dict(items))[:2]
    tasks = {task["topic"]: task for task in (run["task_parameters"] for run in known.runs)}
    said = [f"{name} from {as_text(known.best[name])} to {as_text(value)}" for name, value in items]
    return {
        "best_hyperparameters": known.best,
        "suggestion": f"Change {', '.join(said)}; {STEP} at a time." if said else "Nothing is left to change.",
        "task_parameters_suggestions": list(tasks.values())[:2],
        "hyperparameter_suggestions": proposed or [known.best],
    }


def probability_for_improvement(call: Call) -> dict[str, Any]:
    known = Known(call)
    open_changes = [f"{name} could be {as_text(value)}" for name, value in known.changes.items()]
    lost = 100 - score(known.poorest) if known.poorest else 100
    probability = round(0.5 + lost / 200, 2) if open_changes else 0.0
    return {"considerations": open_changes or ["nothing that is counted could be better"], "probability": probability}


def summarize_optimization_info(call: Call) -> str:
    known = Known(call)
    scores = sorted(map(score, known.runs))
    tried = [changed(run["hyperparameters"], known.best) for run in known.runs]
    told = f"{len(known.runs)} runs had {scores[0]:g} to {scores[-1]:g} points." if scores else "There were no runs."
    return " ".join([known.summary, told, *dict.fromkeys(f"Tried: {one}." for one in tried if one)]).strip()


def changed(one: dict[str, Any], other: dict[str, Any]) -> str:
    return ", ".join(f"{name}={as_text(value)}" for name, value in one.items() if other.get(name) != value)


FUNCTIONS: Functions = {
    "compose_essay": compose_essay,
    "grade_essay": grade_essay,
    "reflect_on_task_run": reflect_on_task_run,
    "suggest_next_optimization_step": suggest_next_optimization_step,
    "probability_for_improvement": probability_for_improvement,
    "summarize_optimization_info": summarize_optimization_info,
}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import stand_in

    stand_in.main(MODEL, FUNCTIONS)
