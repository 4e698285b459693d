"""What is optimised: a function that a model implements, its hyperparameters, and what its results are worth."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, Field

from llm_strategy import llm_strategy, track_hyperparameters

MODEL = os.environ.get("LLM_STRATEGY_MODEL") or "openai:gpt-5-mini"


class EssayTask(BaseModel):
    """What an essay is to be."""

    topic: str
    words: int = Field(150, description="How long the essay should be.")


Paragraphs = Annotated[int, Field(ge=1, le=8, description="How many paragraphs it has.")]
Sentences = Annotated[int, Field(ge=1, le=12, description="How many sentences each paragraph has.")]
Aspects = Annotated[int, Field(ge=1, le=6, description="How many aspects of the topic each paragraph takes up.")]
Example = Annotated[bool, Field(description="Whether it gives an example.")]
Conclusion = Annotated[bool, Field(description="Whether it ends with a conclusion.")]


@track_hyperparameters
def write_essay(
    topic: str,
    words: int,
    _style: Annotated[str, Field(description="What the writer is told about style, in a sentence or two.")] = "Plain.",
    _paragraphs: Paragraphs = 1,
    _sentences: Sentences = 3,
    _aspects: Aspects = 1,
    _example: Example = False,
    _conclusion: Conclusion = False,
) -> str:
    """An essay about a topic. Nobody passes the hyperparameters: they are what is optimised."""
    return compose_essay(
        topic,
        words,
        style=_style,
        paragraphs=_paragraphs,
        sentences=_sentences,
        aspects=_aspects,
        example=_example,
        conclusion=_conclusion,
    )


@llm_strategy(MODEL)
def compose_essay(
    topic: str,
    words: int,
    *,
    style: str,
    paragraphs: Paragraphs,
    sentences: Sentences,
    aspects: Aspects,
    example: Example,
    conclusion: Conclusion,
) -> str:
    """Write an essay about a topic, in Markdown. It should have about as many words as are asked for."""
    raise NotImplementedError


class Grade(BaseModel):
    points: Annotated[int, Field(ge=0, le=100)]
    reason: str


@llm_strategy(MODEL)
def grade_essay(topic: str, words: int, essay: str) -> Grade:
    """Grade an essay with 0 to 100 points.

    It should be as long as was asked for, treat all of its topic in well-ordered paragraphs, give an example, and come
    to a conclusion.
    """
    raise NotImplementedError


TASKS = [EssayTask(topic="How bees find their way home"), EssayTask(topic="Why cities need old trees", words=120)]


def grade(task: EssayTask, essay: str) -> float:
    return float(grade_essay(task.topic, task.words, essay).points)
