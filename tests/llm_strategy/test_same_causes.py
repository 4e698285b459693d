"""A change has the same cause wherever it is told: in a miss, and between an old and a new cassette."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import CassetteMiss, ChatChain, ScriptedModel, use_cassette
from llm_strategy.cassette.changes import changes
from llm_strategy.cassette.store import open_file

NAMES = "Paris London Rome Oslo Bonn Wien Bern Prague Riga Kiel Lyon Turin Lima Quito Cairo Delhi Tokyo".split()
VALUES = [
    NAMES,
    [str(number) for number in range(17)],
    [f"{name} and {other}" for name, other in itertools.permutations("abcde", 2)],
]
TEMPLATES = [
    ("Sum up in one sentence: {} (end)", "Sum up in two sentences: {} (end)"),
    ("Sum up in one sentence.\n\nText: {}", "Sum up in two sentences.\n\nText: {}"),
]
MODEL = ScriptedModel(lambda request: '{"return_value": "x"}', name="test:model", recorded=True)


def causes_of(path: Path, ask: Callable[[Any], object], values: Sequence[Any]) -> set[tuple[str, ...]]:
    """Those of the misses, which are the same as those between what is recorded and what is recorded anew."""
    missed: list[tuple[str, ...]] = []
    for value in values:
        with use_cassette(path, "replay"), pytest.raises(CassetteMiss) as caught:
            ask(value)
        missed.append(caught.value.causes)
    new = path.with_suffix(".again.yaml")
    with use_cassette(new, "new"):
        for value in values:
            ask(value)
    between = [change.causes for change in changes(open_file(path).entries, open_file(new).entries) if change.new]
    assert sorted(map(tuple, between)) == sorted(missed)
    return set(missed)


@pytest.mark.parametrize("part", [slice(None), slice(3, None), slice(None, None, -1)], ids=["all", "some", "reversed"])
@pytest.mark.parametrize("values", VALUES, ids=["words", "numbers", "the same words"])
@pytest.mark.parametrize("template", TEMPLATES, ids=["one line", "lines"])
def test_a_changed_template_is_compared_with_the_same_value(
    tmp_path: Path, template: tuple[str, str], values: list[str], part: slice
) -> None:
    """Also where no line of a prompt is as it was, and calls have come, gone, or changed places."""

    def ask(number: int) -> Callable[[str], object]:
        return lambda value: ChatChain(MODEL).query(template[number].format(value))

    with use_cassette(tmp_path / "a.yaml", "new"):
        for value in values:
            ask(0)(value)
    assert causes_of(tmp_path / "a.yaml", ask(1), values[part]) == {
        ("a message (user): 'one sentence' -> 'two sentences'",)
    }
