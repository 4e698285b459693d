"""What is pending after recording again, and decisions about it: accepting, rejecting, undoing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import Cassette, ScriptedModel, Session, llm_strategy, use_cassette
from llm_strategy.cli import main
from llm_strategy.errors import CassetteError
from llm_strategy.review import Pending, Review
from tests.llm_strategy.answers import argument, reply

Answers = Mapping[str, Any]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finder(answers: Answers, doc: str) -> Callable[[str], Any]:
    def find(query: str) -> Any:
        raise NotImplementedError

    find.__qualname__, find.__doc__ = "find", doc
    model = ScriptedModel(lambda request: reply(answers[argument(request, "query")]), name="test:m", recorded=True)
    return llm_strategy(model)(find)


DOC = "Find a product."


def ask(path: str, answers: Answers, *, mode: str = "all", doc: str = DOC, fail: bool = False) -> None:
    """Ask a call per query in a block, with a model that answers so."""
    with suppress(InterruptedError), use_cassette(path, mode):
        for query in answers:
            finder(answers, doc)(query)
        if fail:
            raise InterruptedError


def run(path: str, answers: Answers, *, mode: str = "new", doc: str = DOC, passed: bool = True) -> None:
    """The same as the one test of a session, whose cassette it is."""
    session = Session(Path(), mode=mode)
    opened = session.open(Path(path), owner="test_x.py::test")
    session.enter(opened)
    for query in answers:
        finder(answers, doc)(query)
    session.leave(opened)
    session.close(opened, passed=passed)
    session.finish()


def answers(path: str) -> list[Any]:
    return [json.loads(call.response.content)["return_value"] for call in Cassette(path)]


def replayed(path: str, query: str, *, doc: str = "Find a product.") -> Any:
    with use_cassette(path, "replay"):
        return finder({}, doc)(query)


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


def test_the_last_of_several_failed_recordings_is_pending() -> None:
    """Older answers to the same requests go with it where it is accepted, and are next where it is rejected."""
    run("x.yaml", {"lamp": 1})
    for number in (2, 3, 4):
        run("x.yaml", {"lamp": number}, mode="all", passed=False)
    assert Path("x.earlier.new.yaml").exists()
    review = Review(".")
    (item,) = review.pending()
    assert item.entry.path.name == "x.new.yaml"
    review.reject([item])
    (item,) = review.pending()
    assert item.entry.path.name == "x.earlier.new.yaml"
    review.undo()
    review.accept(review.pending())
    assert answers("x.yaml") == [4]
    assert [path.name for path in Path().glob("*.yaml")] == ["x.yaml"]


# What runs have replaced


def test_what_a_recording_replaced_is_pending() -> None:
    """The old recordings are kept until they are accepted, and what is equal is none of them."""
    ask("x.yaml", {"lamp": 1, "pot": 2})
    ask("x.yaml", {"lamp": 7, "pot": 2})
    review = Review(".")
    (item,) = review.pending()
    assert said([item]) == [("replaced", "answer changed", ("asked again, same prompt",))]
    review.accept([item])
    assert answers("x.yaml") == [7, 2]
    assert review.pending() == []
    assert not Path(".replaced/x.yaml").exists()


@pytest.mark.parametrize("mode", ["new", "all"])
def test_rejecting_brings_the_old_recording_back(mode: str) -> None:
    """When nothing else is new, the cassette is as it was, to the byte, and replays what it did."""
    run("x.yaml", {"lamp": 1, "pot": 2, "bed": 3})
    before = Path("x.yaml").read_bytes()
    run("x.yaml", {"bed": 9, "lamp": 7, "pot": 8}, mode=mode, doc="Find it.")
    review = Review(".")
    for item in review.pending():
        review.reject([item])
        assert main(["verify", "x.yaml"]) == 0
    assert Path("x.yaml").read_bytes() == before
    assert replayed("x.yaml", "pot") == 2
    assert review.pending() == []


@pytest.mark.parametrize("mode", ["new", "all"])
def test_some_accepted_and_some_rejected(mode: str) -> None:
    """Each call is as was decided, in its place, and nothing is left to decide."""
    run("x.yaml", {"lamp": 1, "pot": 2, "bed": 3})
    run("x.yaml", {"lamp": 7, "pot": 8, "bed": 9}, mode=mode, doc="Find it.")
    review = Review(".")
    lamp, pot, bed = review.pending()
    review.accept([lamp, bed])
    review.reject([pot])
    assert answers("x.yaml") == [7, 2, 9]
    assert (replayed("x.yaml", "pot"), replayed("x.yaml", "bed", doc="Find it.")) == (2, 9)
    assert review.pending() == []
    assert [review.undo(), review.undo(), review.undo()][2] is None
    assert answers("x.yaml") == [7, 8, 9]
    assert review.pending() == [lamp, pot, bed]


def test_the_oldest_accepted_recording_stays() -> None:
    """What replaces a recording that nobody has accepted leaves that one to be forgotten."""
    ask("x.yaml", {"lamp": 1})
    ask("x.yaml", {"lamp": 2})
    ask("x.yaml", {"lamp": 3})
    review = Review(".")
    review.reject(review.pending())
    assert answers("x.yaml") == [1]


def test_the_same_answers_are_nothing_to_review() -> None:
    """A recording afresh that says the same leaves nothing behind."""
    ask("x.yaml", {"lamp": 1})
    ask("x.yaml", {"lamp": 1})
    assert Review(".").pending() == []
    assert not Path(".replaced").exists()


def test_calls_that_came_and_went() -> None:
    """They are pending beside what they came with, and are decided like the others."""
    run("x.yaml", {"lamp": 1, "pot": 2})
    before = Path("x.yaml").read_bytes()
    run("x.yaml", {"pot": 2})
    review = Review(".")
    assert said(review.pending()) == [("replaced", "removed", ("not asked any more",))]
    run("x.yaml", {"pot": 2, "a much longer query": 3, "bed": 4})
    assert sorted(item.change.kind for item in review.pending()) == ["added", "prompt changed"]
    review.reject(review.pending())
    assert Path("x.yaml").read_bytes() == before
    review.undo()
    review.accept(review.pending())
    assert answers("x.yaml") == [2, 3, 4]
    assert review.pending() == []


def test_new_calls_alone_are_nothing_to_review() -> None:
    """What replaces nothing waits for nobody."""
    run("x.yaml", {"lamp": 1})
    run("x.yaml", {"lamp": 1, "pot": 2})
    assert Review(".").pending() == []
    assert not Path(".replaced").exists()


def test_a_recording_that_took_two_sessions() -> None:
    """The test failed with its new answers and then passed with them: the old ones are theirs all the same."""
    run("x.yaml", {"lamp": 1})
    run("x.yaml", {"lamp": 2}, doc="Find it.", passed=False)
    run("x.yaml", {"lamp": 3}, doc="Find it.")
    (item,) = Review(".").pending()
    assert item.change.kind == "prompt changed"
    assert item.causes == ("the docstring of find",)
    assert item.test == "test_x.py::test"


def test_a_changed_prompt_whose_test_has_failed() -> None:
    """The new answer is shown beside the old one, which stays in the cassette whatever is decided."""
    run("x.yaml", {"lamp": 1, "pot": 2})
    before = Path("x.yaml").read_bytes()
    run("x.yaml", {"lamp": 7}, doc="Find it.", passed=False)
    review = Review(".")
    (item,) = review.pending()
    assert said([item]) == [("replaced", "prompt changed", ("the docstring of find",))]
    assert (item.change.verdict, answers("x.yaml")) == ("value changed", [1, 2, 7])
    review.reject([item])
    assert Path("x.yaml").read_bytes() == before
    review.undo()
    review.accept(review.pending())
    assert review.pending() == []
    assert answers("x.yaml") == [1, 2, 7]
    assert (replayed("x.yaml", "lamp"), replayed("x.yaml", "lamp", doc="Find it.")) == (1, 7)


def test_a_further_call_whose_test_has_failed() -> None:
    """With another argument it is no call that was recorded before."""
    run("x.yaml", {"lamp": 1})
    run("x.yaml", {"lamp": 1, "pot": 2}, passed=False)
    assert said(Review(".").pending()) == [("replaced", "added", ("asked for the first time",))]


def test_equal_requests_keep_their_order() -> None:
    """The n-th answer to a request that is asked several times is the n-th again after a rejection."""
    numbers = iter(range(1, 7))
    model = ScriptedModel(lambda request: reply(next(numbers)), name="test:m", recorded=True)

    @llm_strategy(model)
    def roll() -> int:
        """Roll the dice."""
        raise NotImplementedError

    for _ in range(2):
        with use_cassette("x.yaml", "all"):
            assert [roll(), roll(), roll()]
    assert answers("x.yaml") == [4, 5, 6]
    review = Review(".")
    first, second, third = review.pending()
    review.reject([third])
    review.reject([first])
    assert answers("x.yaml") == [1, 5, 3]
    review.accept([second])
    assert answers("x.yaml") == [1, 5, 3]
    assert review.pending() == []


def test_what_is_set_aside_is_no_cassette() -> None:
    """Commands that walk through folders pass over it, and git does, too."""
    ask("cassettes/x.yaml", {"lamp": 1})
    ask("cassettes/x.yaml", {"lamp": 2})
    assert Path("cassettes/.replaced/x.yaml").is_file()
    assert Path("cassettes/.replaced/.gitignore").read_text() == "*\n"
    for command in ("ls", "verify", "show"):
        printed = subprocess.check_output([Path(sys.executable).with_name("llm-strategy"), command], text=True)
        assert ".replaced" not in printed


def git(*command: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null"]
    subprocess.run(["git", *identity, *command], check=True, capture_output=True)


def test_what_is_committed_is_hidden() -> None:
    """A commit of the new recording is a review; what is recorded after it is compared with what was committed."""
    git("init")
    ask("cassettes/x.yaml", {"lamp": 1})
    ask("cassettes/x.yaml", {"lamp": 2})
    review = Review("cassettes")
    assert len(review.pending()) == 1
    git("add", "cassettes")
    assert len(review.pending()) == 1
    git("commit", "-m", "new answers")
    assert review.pending() == []
    assert review.hidden == 1
    ask("cassettes/x.yaml", {"lamp": 3})
    review.reject(review.pending())
    assert answers("cassettes/x.yaml") == [2]


# What comes between


def test_a_call_that_has_changed_since_it_was_listed_is_left_alone() -> None:
    """Who decides about it is told to look again; the rest of the decision is carried out."""
    ask("x.yaml", {"lamp": 1, "pot": 2})
    ask("x.yaml", {"lamp": 7, "pot": 8})
    listed = Review(".").pending()
    ask("x.yaml", {"lamp": 7, "pot": 9})
    decided = Review(".").reject(listed)
    assert [item.change.old.key for item in decided.done if item.change.old] == [listed[0].entry.key]
    assert len(decided.refused) == 1
    assert "has changed since it was listed" in decided.refused[0]
    assert answers("x.yaml") == [1, 9]


def test_two_people_decide_at_once() -> None:
    """The second decision about a call finds it decided, and changes nothing."""
    ask("x.yaml", {"lamp": 1})
    ask("x.yaml", {"lamp": 7})
    one, other = Review("."), Review(".")
    mine, theirs = one.pending(), other.pending()
    one.reject(mine)
    assert other.accept(theirs).done == []
    assert answers("x.yaml") == [1]


def test_a_damaged_cassette_is_named_and_left_alone() -> None:
    """It does not hide what is pending elsewhere; its accepted state stays."""
    for name in ("x.yaml", "y.yaml"):
        ask(name, {"lamp": 1})
        ask(name, {"lamp": 7})
    review = Review(".")
    listed = review.pending()
    data = Path("x.yaml").read_bytes()
    Path("x.yaml").write_bytes(data.replace(b"digest: ", b"<<<<<<< HEAD\ndigest: ", 1))
    assert [item.cassette.name for item in review.pending()] == ["y.yaml"]
    assert len(review.problems) == 1
    assert "x.yaml" in review.problems[0]
    decided = review.reject(listed)
    assert [item.cassette.name for item in decided.done] == ["y.yaml"]
    assert len(decided.refused) == 1
    Path("x.yaml").write_bytes(data)
    review.reject(review.pending())
    assert answers("x.yaml") == [1]


def test_a_damaged_accepted_state_is_named_with_a_way_out() -> None:
    """The message says which command goes on without it."""
    ask("x.yaml", {"lamp": 1})
    ask("x.yaml", {"lamp": 7})
    kept = Path(".replaced/x.yaml")
    kept.write_bytes(kept.read_bytes().replace(b'"return_value": 1', b'"return_value": 3'))
    review = Review(".")
    assert review.pending() == []
    assert "to go on without it: rm .replaced/x.yaml" in review.problems[0]


def test_a_cassette_that_was_deleted_can_be_had_back() -> None:
    """Its accepted state is there until that is let go."""
    ask("x.yaml", {"lamp": 1, "pot": 2})
    ask("x.yaml", {"lamp": 7, "pot": 8})
    Path("x.yaml").unlink()
    review = Review(".")
    assert {item.change.kind for item in review.pending()} == {"removed"}
    review.reject(review.pending())
    assert answers("x.yaml") == [1, 2]
