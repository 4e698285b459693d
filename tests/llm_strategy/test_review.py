"""What is pending after recording again, and decisions about it: accepting, rejecting, undoing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import Cassette, ScriptedModel, llm_strategy, use_cassette
from llm_strategy.cli import main
from llm_strategy.errors import CassetteError
from llm_strategy.review import Pending, Review
from tests.llm_strategy.answers import argument, reply

Answers = Mapping[str, Any]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ask(path: str, answers: Answers, *, mode: str = "all", doc: str = "Find a product.", fail: bool = False) -> None:
    """Ask a call per query, with a model that answers so."""

    def find(query: str) -> Any:
        raise NotImplementedError

    find.__qualname__, find.__doc__ = "find", doc
    model = ScriptedModel(lambda request: reply(answers[argument(request, "query")]), name="test:m", recorded=True)
    function = llm_strategy(model)(find)
    try:
        with use_cassette(path, mode):
            for query in answers:
                function(query)
            if fail:
                raise InterruptedError
    except InterruptedError:
        pass


def answers(path: str) -> list[Any]:
    return [json.loads(call.response.content)["return_value"] for call in Cassette(path)]


def replayed(path: str, query: str, *, doc: str = "Find a product.") -> Any:
    def find(query: str) -> Any:
        raise NotImplementedError

    find.__qualname__, find.__doc__ = "find", doc
    with use_cassette(path, "replay"):
        return llm_strategy("test:m")(find)(query)


def said(items: Sequence[Pending]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(item.source, item.change.kind, item.causes) for item in items]


def test_what_a_failed_recording_left_is_pending() -> None:
    """Each of its calls that differs from the cassette; one that was not asked again is none."""
    ask("x.yaml", {"lamp": 1, "pot": 2, "bed": 3})
    ask("x.yaml", {"lamp": 7, "pot": 2}, fail=True)
    (item,) = Review(".").pending()
    assert said([item]) == [("left over", "answer changed", ("asked again, same prompt",))]
    assert item.cassette.resolve() == Path("x.yaml").resolve()
    assert Review("x.yaml").pending()[0].id == Review("x.new.yaml").pending()[0].id == item.id
    assert len(item.id) == 12


def test_accepting_what_was_left_over() -> None:
    """The new recording takes the old one's place, and the file beside the cassette goes with the last."""
    ask("x.yaml", {"lamp": 1, "pot": 2, "bed": 3})
    ask("x.yaml", {"lamp": 7, "pot": 8}, fail=True)
    review = Review(".")
    first, second = review.pending()
    assert review.accept([first]).done == [first]
    assert answers("x.yaml") == [7, 2, 3]
    assert review.pending() == [second]
    review.accept([second])
    assert answers("x.yaml") == [7, 8, 3]
    assert not Path("x.new.yaml").exists()
    assert review.pending() == []
    assert main(["verify", "x.yaml"]) == 0


def test_rejecting_what_was_left_over() -> None:
    """The cassette stays as it is, to the byte."""
    ask("x.yaml", {"lamp": 1, "pot": 2})
    before = Path("x.yaml").read_bytes()
    ask("x.yaml", {"lamp": 7, "pot": 8}, fail=True)
    review = Review(".")
    review.reject(review.pending())
    assert Path("x.yaml").read_bytes() == before
    assert not Path("x.new.yaml").exists()


def test_a_decision_is_undone_in_another_process() -> None:
    """All files are as they were before it, one decision after the other."""
    ask("x.yaml", {"lamp": 1, "pot": 2})
    ask("x.yaml", {"lamp": 7, "pot": 8}, fail=True)
    review = Review(".")
    before = {path: path.read_bytes() for path in Path().glob("*.yaml")}
    first, second = review.pending()
    review.accept([first])
    review.reject([second])
    program = "from llm_strategy.review import Review; print(Review('.').undo())"
    printed = [subprocess.check_output([sys.executable, "-c", program], text=True).strip() for _ in range(3)]
    assert printed == [
        "rejected 1 call in 1 test: asked again, same prompt",
        "accepted 1 call in 1 test: asked again, same prompt",
        "None",
    ]
    assert {path: path.read_bytes() for path in Path().glob("*.yaml")} == before
    assert [item.id for item in review.pending()] == [first.id, second.id]


def test_undoing_is_refused_where_a_file_has_changed_since() -> None:
    """Nothing is overwritten that came after the decision."""
    ask("x.yaml", {"lamp": 1})
    ask("x.yaml", {"lamp": 7}, fail=True)
    review = Review(".")
    review.accept(review.pending())
    ask("x.yaml", {"pot": 9}, mode="new")
    after = Path("x.yaml").read_bytes()
    with pytest.raises(CassetteError, match=r"x\.yaml has changed since the last decision.*lies in"):
        review.undo()
    assert Path("x.yaml").read_bytes() == after
