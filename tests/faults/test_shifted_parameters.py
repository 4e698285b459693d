"""A parameter inserted before others gives each following test its neighbour's name: nothing is paid again for that."""

from __future__ import annotations

import re
import signal
from typing import NamedTuple

import pytest

from llm_strategy import Cassette
from tests.faults.conftest import Faults
from tests.pytest_llm_strategy.conftest import SCRIPTED, Project

TEST = """
import os, time

import pytest
from shop import shop

QUERIES = {queries!r}
IDS = [f"p{{number}}" for number in range(len(QUERIES))]

class {kind}:
    @pytest.mark.parametrize("query", QUERIES, ids=IDS)
    def test_find(self, query):
        assert shop.find(query)
        if query == os.environ.get("STOPS_AT"):
            process = os.getppid() if os.environ["STOPS"] == "controller" else os.getpid()
            os.kill(process, int(os.environ["SIGNAL"]))
            time.sleep(2)  # a worker is still in this test while its controller ends
"""


class Shifted(Project):
    """A project with one parametrised test, recorded under the names p0, p1, and so on."""

    def __init__(self, pytester: pytest.Pytester, number: int) -> None:
        super().__init__(pytester)
        self.write(shop=SCRIPTED)
        self.queries = [f"query {n}" for n in range(number)]

    def parametrise(self, queries: list[str], *, module: str = "test_shop", kind: str = "TestShop") -> None:
        for old in self.path.glob("test_*.py"):
            old.unlink()
        self.write(**{module: TEST.format(queries=queries, kind=kind)})

    def record(self, *options: str) -> pytest.RunResult:
        return self.pytest("--llm-record", "-q", *options)

    def answers(self, module: str = "test_shop") -> dict[str, str]:
        """What is recorded for each query in the cassettes of a module; the tests of each ask for one."""
        found: dict[str, str] = {}
        for path in (self.path / "cassettes" / module).glob("*.yaml"):
            for call in Cassette(path):
                query = re.search(r'query = "(.*)"', call.request.messages[-1].content)
                assert query is not None
                found[query[1]] = call.response.content
        return found


@pytest.fixture
def shifted(pytester: pytest.Pytester, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Shifted:
    for name in ("LLM_STRATEGY_RECORD", "LLM_STRATEGY_MODEL", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    project = Shifted(pytester, faults.trials(12, 300))
    project.parametrise(project.queries)
    project.record().assert_outcomes(passed=len(project.queries))
    return project


class Shift(NamedTuple):
    """What becomes of the parameters, and of the test's other names."""

    inserted: tuple[str, ...] = ()
    dropped: int = 0
    module: str = "test_shop"
    kind: str = "TestShop"


@pytest.mark.parametrize(
    ("shift", "workers"),
    [
        (Shift(inserted=("new",)), ()),
        (Shift(inserted=("new",)), ("-n", "2")),
        (Shift(dropped=1), ()),
        (Shift(("new", "newer"), 3, "test_store", "TestStore"), ("-n", "2")),
    ],
    ids=["inserted", "inserted, workers", "removed", "renamed as well, workers"],
)
def test_shifted_parameters_are_copied(
    shifted: Shifted, faults: Faults, shift: Shift, workers: tuple[str, ...]
) -> None:
    """Only what is new is asked; every answer is still there, and what is left over is removed."""
    before = shifted.answers()
    queries = [*shift.inserted, *shifted.queries[shift.dropped :]]
    shifted.parametrise(queries, module=shift.module, kind=shift.kind)
    shifted.record(*workers).assert_outcomes(passed=len(queries))

    assert shifted.asked == len(before) + len(shift.inserted)
    after = shifted.answers(shift.module)
    assert [after[query] for query in shifted.queries[shift.dropped :]] == [
        before[query] for query in shifted.queries[shift.dropped :]
    ]
    for n, query in enumerate(queries):
        own = f"{shift.kind}.test_find[p{n}].yaml"
        kept = list(Cassette(shifted.path / "cassettes" / shift.module / own))
        assert [f'query = "{query}"' in call.request.messages[-1].content for call in kept] == [True]
    shifted.pytest("-q").assert_outcomes(passed=len(queries))
    done = "inserted" if shift.inserted else "removed"
    faults.figures(f"a parameter is {done} before others", tests=len(queries), asked_again=0, lost=0)


class End(NamedTuple):
    """How a session is cut off: which process gets the signal, under which options."""

    process: str
    signal: signal.Signals
    workers: tuple[str, ...] = ()


KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # any signal kills a process of Windows


@pytest.fixture
def end(request: pytest.FixtureRequest, faults: Faults) -> End:
    """Asked for before the project is made. Workers take their time to notice that they have lost their controller."""
    chosen: End = request.param
    if not faults.long and (chosen.process == "controller" or (chosen.signal, chosen.workers) == (KILL, ())):
        pytest.skip("in the long form only: it takes longer than the others, and shows less")
    return chosen


@pytest.mark.parametrize(
    "end",
    [
        End("itself", signal.SIGINT),
        End("itself", KILL),
        End("itself", KILL, ("-n", "2")),
        End("controller", signal.SIGINT, ("-n", "2")),
        End("controller", KILL, ("-n", "2")),
    ],
    ids=["interrupted", "killed", "a worker killed", "a controller interrupted", "a controller killed"],
    indirect=True,
)
def test_a_session_that_was_cut_off_has_lost_nothing(
    end: End, shifted: Shifted, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what it no longer asks for, nothing is removed: the tests after it may still want it."""
    before = shifted.answers()
    shifted.parametrise(["new", *shifted.queries])
    middle = shifted.queries[len(shifted.queries) // 2]
    for name, value in (("STOPS_AT", middle), ("STOPS", end.process), ("SIGNAL", str(int(end.signal)))):
        monkeypatch.setenv(name, value)
    shifted.record(*end.workers)
    assert shifted.answers().items() >= before.items()

    monkeypatch.delenv("STOPS_AT")
    shifted.record(*end.workers).assert_outcomes(passed=len(before) + 1)
    assert shifted.asked == len(before) + 1
    assert shifted.answers().items() >= before.items()
    how = f"{end.signal.name} while shifted parameters are recorded"
    faults.figures(how, tests=len(before) + 1, asked_again=0, lost=0)
