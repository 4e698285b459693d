"""`Session`: what a test runner needs to open scopes, to commit what they recorded, and to tell what happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import Cassette, CassetteMiss, ModelError, ScriptedModel, Session, llm_strategy, use_cassette
from tests.llm_strategy.answers import counting, reply, scripted
from tests.llm_strategy.programs import output


@contextmanager
def running(folder: Path, mode: str | None = None, **options: Any) -> Iterator[Session]:
    session = Session(folder, mode=mode, **options)
    try:
        yield session
    finally:
        session.finish()


class Test:
    """A test as a runner sees it: a scope with its cassette."""

    __test__ = False

    def __init__(self, session: Session, name: str, **options: Any) -> None:
        path = options.pop("path", None) or session.test_path(f"tests/test_x.py::{name}")
        self.session = session
        self.opened = session.open(path, owner=f"tests/test_x.py::{name}", **options)
        self.path = path
        self.calls: Any = ()

    @contextmanager
    def run(self, *, passed: bool = True, complete: bool = True) -> Iterator[Test]:
        self.session.enter(self.opened)
        try:
            yield self
        finally:
            self.session.leave(self.opened)
            self.session.close(self.opened, passed=passed, complete=complete)


def counter(name: str = "test:counter") -> tuple[ScriptedModel, Any]:
    model = counting(name=name)

    @llm_strategy(model)
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    return model, count


def contents(path: Path) -> list[str]:
    return [call.response.content for call in Cassette(path)]


def test_a_test_has_a_cassette_of_its_own_that_names_it(tmp_path: Path) -> None:
    """In a place that follows from its id; the header says which test recorded it."""
    _, count = counter()
    with running(tmp_path, "new") as session:
        with Test(session, "test_a").run():
            count(1)
        with Test(session, "test_b").run():
            count(2)

    assert contents(tmp_path / "tests" / "test_x" / "test_a.yaml") == [reply(1)]
    assert Cassette(tmp_path / "tests/test_x/test_b.yaml").header["recorded_by"] == "tests/test_x.py::test_b"


def test_a_test_that_calls_no_model_touches_no_file(tmp_path: Path) -> None:
    """In no mode."""
    for mode in (None, "replay", "new", "all", "live", "dry"):
        with running(tmp_path, mode) as session, Test(session, "test_a").run():
            pass

    assert list(tmp_path.iterdir()) == []


def test_stale_recordings_go_when_the_session_ends(tmp_path: Path) -> None:
    """Only in mode `new`, and only those of tests that passed and were complete."""
    _, count = counter()
    names = ("test_passed", "test_failed", "test_incomplete", "test_not_run")
    with running(tmp_path, "new") as session:
        for name in names:
            with Test(session, name).run():
                count(1)
                count(2)

    with running(tmp_path) as session, Test(session, "test_passed").run():
        count(2)
    assert session.account.stale == 1
    assert len(Cassette(tmp_path / "tests/test_x/test_passed.yaml")) == 2

    with running(tmp_path, "new") as session:
        for name, options in (
            ("test_passed", {}),
            ("test_failed", {"passed": False}),
            ("test_incomplete", {"complete": False}),
        ):
            with Test(session, name).run(**options):
                count(2)
        assert len(Cassette(tmp_path / "tests/test_x/test_passed.yaml")) == 2
    assert [len(Cassette(tmp_path / f"tests/test_x/{name}.yaml")) for name in names] == [1, 2, 2, 2]
    assert (session.account.pruned, session.account.stale) == (1, 0)


def test_a_renamed_test_is_copied_and_not_paid_again(tmp_path: Path) -> None:
    """An equal request anywhere among the project's cassettes is taken from there, and counted as copied."""
    model, count = counter()
    with running(tmp_path, "new") as session, Test(session, "test_old").run():
        assert [count(1), count(2), count(1)] == [1, 2, 3]

    with running(tmp_path, "new") as session, Test(session, "test_new").run():
        assert [count(1), count(2), count(1)] == [1, 2, 3]

    assert len(model.requests) == 3
    assert (session.account.asked, session.account.copied) == (0, 3)
    assert contents(tmp_path / "tests/test_x/test_new.yaml") == [reply(1), reply(2), reply(3)]
    assert contents(tmp_path / "tests/test_x/test_old.yaml") == [reply(1), reply(2), reply(3)]


def test_what_was_recorded_a_moment_ago_is_copied_too(tmp_path: Path) -> None:
    """Two new tests that ask the same pay once."""
    model, count = counter()
    with running(tmp_path, "new") as session:
        for name in ("test_a", "test_b"):
            with Test(session, name).run():
                count(1)

    assert len(model.requests) == 1
    assert (session.account.asked, session.account.copied) == (1, 1)


def test_a_damaged_cassette_is_no_source_of_copies(tmp_path: Path) -> None:
    """An edited reply or a conflict in another test's cassette is passed over."""
    model, count = counter()
    with running(tmp_path, "new") as session, Test(session, "test_old").run() as old:
        count(1)
    path = old.path
    for damage in ((reply(1), reply(9)), ("---\nkey", "<<<<<<< HEAD\n---\nkey")):
        text = path.read_text("utf-8")
        path.write_text(text.replace(*damage), "utf-8")
        with running(tmp_path, "new") as session, Test(session, f"test_new_{len(damage[0])}").run():
            count(1)
        path.write_text(text, "utf-8")

    # The second takes its copy from the first.
    assert len(model.requests) == 2


def test_a_miss_says_which_cassette_has_the_call(tmp_path: Path) -> None:
    """Then recording costs nothing, and the message says so."""
    _, count = counter()
    with running(tmp_path, "new") as session, Test(session, "test_old").run():
        count(1)

    with (
        running(tmp_path) as session,
        Test(session, "test_new").run(passed=False),
        pytest.raises(CassetteMiss) as raised,
    ):
        count(1)

    assert "it is recorded by tests/test_x.py::test_old (" in str(raised.value)
    assert "To copy it here without asking a model" in str(raised.value)
    assert raised.value.causes == ("recorded in another cassette",)


def test_misses_are_listed_even_if_they_were_swallowed(tmp_path: Path) -> None:
    """Once for each request, with the test that made it."""
    _, count = counter()
    with running(tmp_path) as session, Test(session, "test_a").run() as test:
        for number in (1, 1, 2):
            with suppress(CassetteMiss):
                count(number)
        assert [str(miss) for miss in session.missed(test.opened)] == [
            str(miss) for miss in session.missed(test.opened)
        ]

    assert [(name, miss.request) for name, miss in session.misses] == [
        ("tests/test_x.py::test_a", count.request(1)),
        ("tests/test_x.py::test_a", count.request(2)),
    ]
    assert session.account.missed == 2


def test_all_replaces_the_whole_cassette_of_a_test_that_passed(tmp_path: Path) -> None:
    """What was not asked any more is gone with it; after a failure the old one is the same to the byte."""
    _, count = counter()
    with running(tmp_path, "new") as session, Test(session, "test_a").run() as test:
        count(1)
        count(2)
    before = test.path.read_bytes()
    beside = test.path.with_name("test_a.new.yaml")

    with running(tmp_path, "all") as session, Test(session, "test_a").run(passed=False):
        count(2)
    assert test.path.read_bytes() == before
    assert contents(beside) == [reply(3)]
    assert [str(beside) in note for note in session.account.notes] == [True]

    with running(tmp_path, "all") as session, Test(session, "test_a").run():
        count(2)
        count(3)
    assert contents(test.path) == [reply(4), reply(5)]
    assert not beside.exists()
    assert Cassette(test.path).header["recorded_by"] == "tests/test_x.py::test_a"


def test_all_keeps_what_the_model_failed_to_answer_afresh(tmp_path: Path) -> None:
    """A test may get over a model that fails, and pass: the old answer to that request stays, and the summary says so.

    So it does where the first of two equal requests was answered: its new answer waits beside the cassette.
    """
    _, count = counter()
    with running(tmp_path, "new") as session, Test(session, "test_a").run() as test:
        assert [count(1), count(2), count(2), count(3)] == [1, 2, 3, 4]
    broken = llm_strategy(ScriptedModel([reply(5), reply(6)], name=count.request(1).model, recorded=True))(
        count.__wrapped__
    )

    with running(tmp_path, "all") as session, Test(session, "test_a").run():
        assert [broken(1), broken(2)] == [5, 6]
        for number in (2, 3):
            with pytest.raises(ModelError):
                broken(number)

    assert sorted(contents(test.path)) == [reply(2), reply(3), reply(4), reply(5)]
    assert contents(test.path.with_name("test_a.new.yaml")) == [reply(6)]
    (note,) = session.account.notes
    assert note.endswith("test_a.yaml: 2 old recordings are kept, because the model failed when asked again")
    with running(tmp_path) as session, Test(session, "test_a").run():
        assert [count(1), count(2), count(2), count(3)] == [5, 2, 3, 4]


def test_all_asks_once_for_a_cassette_that_tests_share(tmp_path: Path) -> None:
    """The second test replays what the first has just asked afresh; what none asks is kept."""
    model, count = counter()
    path = tmp_path / "shared.yaml"
    with running(tmp_path, "new") as session, Test(session, "test_a", path=path, shared=True).run():
        assert [count(1), count(2)] == [1, 2]

    with running(tmp_path, "all") as session:
        for name in ("test_a", "test_b"):
            with Test(session, name, path=path, shared=True).run():
                assert count(1) == 3

    assert len(model.requests) == 3
    assert sorted(contents(path)) == [reply(2), reply(3)]
    assert "recorded_by" not in Cassette(path).header
    assert session.account.stale == 0


def test_the_last_answer_can_be_repeated(tmp_path: Path) -> None:
    """With `repeat="last"` asking more often than recorded is no miss."""
    _, count = counter()
    with running(tmp_path, "new") as session, Test(session, "test_a").run():
        count(1)
        count(1)

    with running(tmp_path) as session, Test(session, "test_a", repeat="last").run():
        assert [count(1) for _ in range(4)] == [1, 2, 2, 2]
    assert (session.misses, session.account.stale) == ([], 0)


def test_recording_can_be_refused_with_a_reason(tmp_path: Path) -> None:
    """The reason is the message; what is recorded already replays."""
    model, count = counter()
    with running(tmp_path, "new") as session, Test(session, "test_a").run():
        count(1)

    with running(tmp_path, "new") as session, Test(session, "test_a", refusal="random prompts").run(passed=False):
        assert count(1) == 1
        with pytest.raises(CassetteMiss, match="random prompts") as raised:
            count(2)
    assert raised.value.causes == ("random prompts",)
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("session_mode", "own_mode", "asked"),
    [(None, "new", 0), ("replay", "live", 0), ("new", "live", 1), ("new", "replay", 0), ("all", None, 1)],
)
def test_a_mode_of_one_test_acts_only_while_the_session_records(
    session_mode: str | None, own_mode: str | None, asked: int, tmp_path: Path
) -> None:
    """Plain `pytest` never spends, whatever a marker says."""
    model, count = counter()
    with running(tmp_path, session_mode) as session, Test(session, "test_a", mode=own_mode).run(passed=False):
        try:
            count(1)
        except CassetteMiss:
            assert asked == 0

    assert len(model.requests) == asked


@pytest.mark.parametrize(("mode", "block", "asked"), [(None, "new", 1), ("replay", "new", 0), ("new", None, 1)])
def test_a_block_takes_the_sessions_mode_unless_it_has_one(
    mode: str | None, block: str | None, asked: int, tmp_path: Path
) -> None:
    """A session that is told to replay does so even there."""
    model, count = counter()
    with running(tmp_path, mode):
        try:
            with use_cassette(tmp_path / "x.yaml", block):
                count(1)
        except CassetteMiss:
            assert asked == 0

    assert len(model.requests) == asked


def test_an_unknown_mode_lists_the_valid_ones(tmp_path: Path) -> None:
    """When the session begins."""
    with pytest.raises(ValueError, match="unknown record mode 'onec'; the modes are replay, new, all, live, dry"):
        Session(tmp_path, mode="onec")


def test_a_call_outside_every_test_is_a_miss(tmp_path: Path) -> None:
    """At import or collection nothing may be spent, not even while recording; live is live."""
    model, count = counter()

    for mode in (None, "new", "all"):
        with running(tmp_path, mode) as session:
            with pytest.raises(CassetteMiss, match="count is called outside every test and fixture"):
                count(1)
            assert llm_strategy(scripted(5))(count.__wrapped__)(1) == 5
        assert [cause for cause, _ in session.misses] == ["a call outside every test"]
    assert model.requests == []
    with running(tmp_path, "live"):
        assert count(1) == 1


def test_threads_of_a_test_belong_to_it(tmp_path: Path) -> None:
    """Though they know no context of it; those of a narrower scope come first, and leaving gives way again."""
    _, count = counter()

    def in_thread(number: int) -> None:
        thread = threading.Thread(target=count, args=(number,))
        thread.start()
        thread.join()

    with running(tmp_path, "new") as session, Test(session, "fixture").run() as outer:
        in_thread(1)
        with Test(session, "test_a").run() as inner:
            in_thread(2)
        in_thread(3)

    assert contents(outer.path) == [reply(1), reply(3)]
    assert contents(inner.path) == [reply(2)]


def test_the_default_model_is_that_of_functions_that_name_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given to the session, above the environment's."""
    monkeypatch.setenv("LLM_STRATEGY_MODEL", "openai:environment")

    @llm_strategy()
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    with running(tmp_path, model="stub:") as session, Test(session, "test_a").run():
        assert count.request(1).model == "stub:"
        with use_cassette(tmp_path / "x.yaml"):
            assert count.request(1).model == "stub:"


def test_the_account_counts_what_was_done(tmp_path: Path) -> None:
    """Calls replayed, asked, copied and missed, and tokens where the provider says them."""
    from llm_strategy import Response, Usage

    @llm_strategy(ScriptedModel([Response(reply(1), Usage(10, 2)), Response(reply(2), Usage(5, None))], recorded=True))
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    with running(tmp_path, "new") as session, Test(session, "test_a").run():
        count(1)
        count(2)
    first = session.account
    with running(tmp_path) as session, Test(session, "test_a").run(passed=False):
        count(1)
        with pytest.raises(CassetteMiss):
            count(3)

    assert (first.asked, first.replayed) == (2, 0)
    assert (first.tokens.asked.input_tokens, first.tokens.asked.output_tokens) == (15, 2)
    assert (first.tokens.saved.calls, session.account.tokens.saved.calls) == (0, 1)
    assert (session.account.asked, session.account.replayed, session.account.missed) == (0, 1, 1)


CHILDREN = '''
import multiprocessing, sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from llm_strategy import Cassette, CassetteMiss, ModelError, ScriptedModel, Session, llm_strategy

def answer(request):
    return '{"return_value": %d}' % int(request.messages[-1].content.partition("number = ")[2].split()[0])

model = ScriptedModel(answer, name="test:echo", recorded=True)

@llm_strategy(model)
def echo(number: int) -> int:
    """Say the number."""
    raise NotImplementedError

def attempt(number):
    try:
        return echo(number), len(model.requests)
    except CassetteMiss:
        return "miss"

@llm_strategy(ScriptedModel([["b1", "b2"], ["a1", "a2"]], name="test:teller", recorded=True))
def tell() -> Iterator[str]:
    """Tell."""
    raise NotImplementedError

def interleaved(number):
    first, second = tell(), tell()
    return [next(second), next(first), *second, *first]

def run(mode, numbers, parent=(), passed=True, attempt=attempt):
    session = Session(Path("cassettes"), mode=mode)
    opened = session.open(Path("cassettes/x.yaml"), owner="tests/test_x.py::test_a")
    session.enter(opened)
    before = [echo(number) for number in parent]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
        results = list(pool.map(attempt, numbers))
    session.leave(opened)
    session.close(opened, passed=passed)
    session.finish()
    account = session.account
    return session, account, before, results

def recorded():
    return [call.response.content for call in Cassette("cassettes/x.yaml")]
'''


def in_children(program: str, folder: Path, start: str = "spawn") -> str:
    (folder / "children.py").write_text(CHILDREN, "utf-8")
    (folder / "main.py").write_text(f"from children import *\nif __name__ == '__main__':\n{program}", "utf-8")
    return output(
        "import runpy, sys; sys.path.insert(0, ''); runpy.run_path('main.py', run_name='__main__')", start, cwd=folder
    )


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_child_processes_take_part_in_the_test_that_started_them(start: str, tmp_path: Path) -> None:
    """They record into its cassette, replay from it, and are counted; nobody is asked twice."""
    import multiprocessing

    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start}")
    program = """
    session, account, before, results = run("new", range(4), parent=[10])
    print(sorted(number for number, _ in results), len(recorded()), account.asked)
    session, account, before, results = run(None, range(4), parent=[10])
    print(sorted(number for number, _ in results), before, account.replayed, account.stale, session.misses)
"""
    printed = in_children(program, tmp_path, start)

    assert printed.splitlines() == ["[0, 1, 2, 3] 5 5", "[0, 1, 2, 3] [10] 5 0 []"]


def test_a_miss_of_a_child_process_is_one_of_the_test(tmp_path: Path) -> None:
    """The session lists it, though it was raised and caught elsewhere."""
    program = """
    run("new", [1])
    session, account, before, results = run(None, [1, 2], passed=False)
    print(sorted(map(str, results)), [(name, miss.function) for name, miss in session.misses], account.missed)
"""
    printed = in_children(program, tmp_path)

    assert printed == "['(1, 0)', 'miss'] [('tests/test_x.py::test_a', 'echo')] 1"


def test_what_children_did_not_ask_for_goes(tmp_path: Path) -> None:
    """And what they did ask for stays, though the parent has asked for nothing."""
    program = """
    run("new", range(4))
    session, account, before, results = run("new", [1, 3])
    print(sorted(recorded()), account.pruned)
"""
    assert in_children(program, tmp_path) == """['{"return_value": 1}', '{"return_value": 3}'] 2"""


def test_children_record_afresh_together_with_their_parent(tmp_path: Path) -> None:
    """In mode `all`: neither takes what the other has just recorded for a leftover."""
    program = """
    run("new", range(3), parent=[10])
    for parent in ([10], []):
        session, account, before, results = run("all", range(3), parent=parent)
        print(sum(asked > 0 for _, asked in results), len(recorded()), account.asked)
"""
    assert in_children(program, tmp_path).splitlines() == ["3 4 4", "3 3 3"]


def test_equal_requests_of_a_child_keep_their_answers(tmp_path: Path) -> None:
    """Though the last of them was answered first: the parent, who puts the recordings in order, is told."""
    program = """
    for mode in ("new", None):
        print(run(mode, [1], attempt=interleaved)[-1])
"""
    assert in_children(program, tmp_path).splitlines() == ["[['b1', 'a1', 'b2', 'a2']]"] * 2


def test_a_child_process_finds_nothing_once_the_test_is_left(tmp_path: Path) -> None:
    """The environment is as it was, for tests that look at it and for the next one's children."""
    program = """
    import os
    run("new", [1])
    print([name for name in os.environ if name.startswith("LLM_STRATEGY")])
"""
    assert in_children(program, tmp_path) == "[]"


def test_sessions_can_be_within_each_other(tmp_path: Path) -> None:
    """As when a test runner is tested by itself: the inner one ends, the outer one goes on."""
    _, count = counter()
    with running(tmp_path / "outer", "new") as outer, Test(outer, "test_a").run() as test:
        count(1)
        with running(tmp_path / "inner", "new") as inner, Test(inner, "test_a").run() as other:
            count(2)
        count(3)

    assert contents(test.path) == [reply(1), reply(3)]
    assert contents(other.path) == [reply(2)]


def test_marker_names_are_cassettes_in_the_folder(tmp_path: Path) -> None:
    """`named_path` gives the place of a shared cassette and refuses to leave the folder."""
    with running(tmp_path) as session:
        assert session.named_path("shop/search") == tmp_path / "shop" / "search.yaml"
        with pytest.raises(ValueError, match="leaves the folder of the cassettes"):
            session.named_path("../search")
