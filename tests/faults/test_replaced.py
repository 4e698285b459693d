"""What was accepted is never lost before somebody lets go of it, whatever kills a run, or a decision, or fails in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.faults.conftest import Faults
from tests.faults.recording import RECORDING
from tests.llm_strategy.programs import output

PROGRAM = """
from contextlib import chdir
from llm_strategy.review import Review
from tests.faults.failing_calls import FailingCalls

def review(decide):
    found = Review(".")
    getattr(found, decide)(found.pending())

def undo():
    Review(".").undo()

def documents(path):
    return set(Path(path).read_bytes().split(b"---\\n")[2:])

def standing():
    "The documents of the cassette, of its accepted state, and of those that a decision has kept."
    places = [Path("x.yaml"), Path(".replaced/x.yaml"), *Path(".replaced").glob("decisions/*/*.yaml")]
    return set().union(*(documents(path) for path in places if path.exists()))

def killed(act, at):
    "Whether a process that does this is killed in the n-th system call."
    child = os.fork()
    if not child:
        try:
            with FailingCalls(os.getcwd(), kills=True).failing(at, lasting=False):
                eval(act)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0

def failed(act, at):
    "Whether the n-th system call has failed."
    calls = FailingCalls(os.getcwd())
    with calls.failing(at, lasting=False):
        try:
            eval(act)
        except (OSError, CassetteError):
            pass
    return bool(calls.failed)

how, before, act, after, step = json.loads(sys.argv[1])
at, tried = 1, 0
memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
while True:
    with tempfile.TemporaryDirectory(dir=memory) as folder, chdir(folder):
        record(1, 2, 3)
        old = Path("x.yaml").read_bytes()
        exec(before)
        held = documents("x.yaml")
        if not {"killed": killed, "failed": failed}[how](act, at):
            break
        if lost := held - standing():
            print(json.dumps([act, at, "lost", len(lost)]))
        eval(act)
        if not eval(after):
            print(json.dumps([act, at, "not done again", sorted(map(str, Path().rglob("*")))]))
    tried += 1
    at += step
print(tried)
"""

RESTORED = "review('reject') or replay(1, 2, 3)"
ACTIONS = {
    "recorded afresh": ("", "session('all', 3, 4)", RESTORED),
    "recorded": ("", "session('new', 3, 4)", RESTORED),
    "everything removed": ("", "session('new')", RESTORED),
    "rejected": ("session('all', 3, 4)", "review('reject')", "Path('x.yaml').read_bytes() == old"),
    "accepted": ("session('all', 3, 4)", "review('accept')", "replay(3, 4) and not Path('.replaced/x.yaml').exists()"),
    "undone": (
        "session('all', 3, 4); review('reject')",
        "undo()",
        "replay(3, 4) and Path('.replaced/x.yaml').exists()",
    ),
}
"""What is there before, what is done while a process is killed or a call fails, and what holds once it was done again."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("how", ["killed", "failed"])
@pytest.mark.parametrize("action", ACTIONS)
def test_in_each_system_call(action: str, how: str, tmp_path: Path, faults: Faults) -> None:
    """Every document that was in the cassette is in it, or beside it; the next run or decision does the rest."""
    step = faults.trials(7, 1)
    arguments = json.dumps([how, *ACTIONS[action], step])
    printed = output(RECORDING + PROGRAM, arguments, cwd=tmp_path, TMPDIR=str(tmp_path)).splitlines()

    assert printed[:-1] == []
    assert int(printed[-1]) > 1


TOGETHER = """
import random
import traceback
from llm_strategy.review import Review

def asked_afresh(request):
    return '{"return_value": %d}' % random.randrange(10**6)

guess = llm_strategy(ScriptedModel(asked_afresh, name="test:guess", recorded=True))(echo.__wrapped__)

def run(mode, test):
    session = Session("cassettes", mode=mode)
    opened = session.open(Path(f"cassettes/{test}.yaml").absolute(), owner=f"test_x.py::{test}")
    session.enter(opened)
    for number in range(4):
        guess(number)
    session.leave(opened)
    session.close(opened, passed=random.random() < 0.8)
    session.finish()

def recording(times):
    for _ in range(times):
        run(random.choice(["all", "all", "new"]), random.choice("ab"))

def deciding(times, kind):
    for _ in range(times):
        review = Review("cassettes")
        found = review.pending()
        assert not review.problems, review.problems
        getattr(review, kind)(random.sample(found, len(found) // 2 + bool(found)))
        if random.random() < 0.3:
            try:
                review.undo()
            except CassetteError as error:
                assert "cannot be undone" in str(error), error

times = json.loads(sys.argv[1])
for test in "ab":
    run("all", test)
children = {}
for act in (lambda: recording(times), lambda: deciding(times, "accept"), lambda: deciding(times, "reject")):
    child = os.fork()
    if not child:
        code = 1
        try:
            random.seed()
            act()
            code = 0
        except BaseException:
            print(traceback.format_exc(), flush=True)
        finally:
            os._exit(code)
    children[child] = act
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
print(main(["verify"]), [path.name for path in Path().rglob("*.tmp")])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_two_review_while_a_third_records(tmp_path: Path, faults: Faults) -> None:
    """None waits for another in vain, none fails, and every cassette is good in the end."""
    printed = output(RECORDING + TOGETHER, json.dumps(faults.trials(12, 200)), cwd=tmp_path, TMPDIR=str(tmp_path))
    codes, *verified, end = printed.splitlines()
    assert codes == "[0, 0, 0]", printed
    assert all(": good" in line for line in verified)
    assert end == "0 []"
