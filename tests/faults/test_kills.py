"""Processes that are killed while they record: no answer that anybody has got is lost, and the next run goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llm_strategy import Cassette
from tests.faults.conftest import Faults
from tests.faults.recording import ACTIONS, CASES, HTTP_RECORDING, KINDS, SHORT_CASES
from tests.llm_strategy.programs import output, plain_environment

CALLS = 50

KILLED = f"""
import random, signal, time

def recording(mode, tell):
    with use_cassette("x.yaml", mode):
        for number in random.sample(range({CALLS}), {CALLS}):
            os.write(tell, b"%d\\n" % echo(number))
    os.write(tell, b"end\\n")

def trial(mode, moment):
    "The numbers that a process has got which was killed so many seconds after its first answer."
    hear, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(hear)
        try:
            recording(mode, tell)
        finally:
            os._exit(0)
    os.close(tell)
    got = os.read(hear, 4096)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(hear, 4096):
        got += more
    os.close(hear)
    return [int(line) for line in got.splitlines() if line != b"end"], b"end" in got
"""


def _of(kind: str) -> str:
    return "" if kind == "decorated" else f", {kind}"


def trials(program: str, *arguments: object, cwd: Path) -> list[list[int]]:
    printed = output(program, json.dumps(arguments), cwd=cwd, TMPDIR=str(cwd))
    return [json.loads(line) for line in printed.splitlines()]


WHILE_RECORDING = f"""{KILLED}
from llm_strategy import Cassette
count, mode = json.loads(sys.argv[1])
# What is written to memory is written as fast as it can be; a kill concerns the process only.
folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
os.chdir(folder.name)
record(0)
started = time.monotonic()
record(*range({CALLS}))
longest = 1.2 * (time.monotonic() - started)
for _ in range(count):
    for path in Path(".").glob("*.yaml"):
        path.unlink()
    if mode == "all":
        record(*range({CALLS}))
        before = Path("x.yaml").read_bytes()
    got, ended = trial(mode, random.uniform(0, longest))
    kept = Path("x.yaml") if mode == "new" or ended else Path("x.new.yaml")
    if mode == "all" and not ended and Path("x.yaml").read_bytes() != before:
        # The block was ending: the new recording had taken its place.
        kept = Path("x.yaml")
    recorded = [json.loads(call.response.content)["return_value"] for call in Cassette(kept)]
    lost = len(set(got) - set(recorded))
    asked = len(MODEL.requests)
    record(*range({CALLS}))
    # One answer may have been written that was not given out any more.
    again = len(MODEL.requests) - asked - (mode == "new") * ({CALLS} - len(recorded))
    print(json.dumps([len(got), lost, again, not replay(*range({CALLS})), {CALLS} > len(got)]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("mode", ["new", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_is_killed_at_any_moment(kind: str, mode: str, tmp_path: Path, faults: Faults) -> None:
    """Each value that was given out stands in the file, which can be read; the next run asks what is missing, no more."""
    count = faults.trials(8 if kind == "decorated" else 3, 200)
    results = trials(KINDS[kind] + WHILE_RECORDING, count, mode, cwd=tmp_path)

    assert len(results) == count
    completed, lost, again, broken, cut = map(sum, zip(*results, strict=True))
    assert (lost, again, broken) == (0, 0, 0)
    faults.figures(
        f"killed while recording, mode {mode}{_of(kind)}",
        trials=count,
        killed_within=cut,
        completed=completed,
        lost=lost,
    )


IN_EACH_SYSTEM_CALL = """
import shutil
from contextlib import chdir
from tests.faults.failing_calls import FailingCalls

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

def holds(expression):
    try:
        return eval(expression)
    except CassetteMiss:
        return False

before, act, after, step = json.loads(sys.argv[1])
at, tried = 1, 0
memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
while True:
    with tempfile.TemporaryDirectory(dir=memory) as folder, chdir(folder):
        exec(before)
        if not killed(act, at):
            break
        if before and act not in ("accept()", "session('new')") and not holds("replay(1, 2, 3)") and not holds(after):
            print(json.dumps([act, at, "lost"]))
        try:
            eval(act)
            ok = eval(after)
        except BaseException as error:
            ok = False
        if not ok:
            print(json.dumps([act, at, "the next run fails"]))
    tried += 1
    at += step
print(tried)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(("kind", "action"), CASES if os.environ.get("FAULTS") == "long" else SHORT_CASES)
def test_killed_within_each_system_call(kind: str, action: str, tmp_path: Path, faults: Faults) -> None:
    """Also halfway through a write, and while a file is replaced: old entries are intact, and the next run goes on."""
    step = faults.trials(11, 1)
    printed = output(
        KINDS[kind] + IN_EACH_SYSTEM_CALL, json.dumps([*ACTIONS[action], step]), cwd=tmp_path, TMPDIR=str(tmp_path)
    ).splitlines()

    assert printed[:-1] == []
    faults.figures(f"killed within a system call: {action}{_of(kind)}", calls=int(printed[-1]), lost=0)


WITHIN_A_STREAM = f"""{HTTP_RECORDING}
import signal

def killed(number, after):
    "Begin a call in a process that is killed when it has got so many pieces, before the next one is sent."
    hear, tell = os.pipe()
    Provider.pause = lambda self, number: number and os.read(hear, 1)
    child = os.fork()
    if not child:
        try:
            with use_cassette("x.yaml", "new"):
                for got, _ in enumerate(pieces(number), 1):
                    if got == after:
                        os.kill(os.getpid(), signal.SIGKILL)
                    os.write(tell, b".")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0

def is_missed():
    with use_cassette("x.yaml"):
        try:
            return not list(pieces(3))
        except CassetteMiss:
            return True

record(1, 2)
before = Path("x.yaml").read_bytes()
for after in range(1, 6):
    assert killed(3, after)
    print(json.dumps([Path("x.yaml").read_bytes() == before, is_missed(), replay(1, 2)]))
Provider.pause = lambda self, number: None
asked = len(MODEL.requests)
print(record(3, 1, 2) == [3, 1, 2], len(MODEL.requests) - asked)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_in_the_middle_of_a_stream(tmp_path: Path) -> None:
    """However much of it was read, what is not whole is not there; it is asked again, and nothing else is."""
    *killed, last = output(WITHIN_A_STREAM, cwd=tmp_path, TMPDIR=str(tmp_path)).splitlines()
    assert killed == ["[true, true, true]"] * 5
    assert last == "True 1"


TEST = f'''
import os
from pathlib import Path
from llm_strategy import ScriptedModel, llm_strategy

def answer(request):
    with open("asked.log", "a") as log:
        log.write("asked" + chr(10))
    return '{{"return_value": %s}}' % request.messages[-1].content.partition("number = ")[2].split()[0]

@llm_strategy(ScriptedModel(answer, name="test:echo", recorded=True))
def echo(number: int) -> int:
    """Say the number."""
    raise NotImplementedError

def test_many():
    told = os.open("told.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range({CALLS}):
        os.write(told, b"%d" % echo(number) + bytes([10]))
        os.fsync(told)
    os.close(told)
'''


def pytest_run(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:langsmith_plugin", "-p", "no:cacheprovider", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**plain_environment(), "TMPDIR": str(folder)},
        stdout=pipe,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("torn", [False, True], ids=["as it is", "and its last document torn"])
def test_pytest_is_killed_while_it_records(torn: bool, tmp_path: Path, faults: Faults) -> None:
    """`pytest --llm-record` goes on where the killed run ended; a torn end is dropped, and the summary says so."""
    count = faults.trials(1, 10)
    completed = 0
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "test_x.py").write_text(TEST, "utf-8")
        told, cassette = folder / "told.log", folder / "cassettes/test_x/test_many.yaml"
        wanted = random.randint(1, CALLS - 10)
        with pytest_run(folder, "--llm-record") as process:
            while not (told.exists() and told.read_bytes().count(b"\n") >= wanted):
                assert process.poll() is None, process.stdout and process.stdout.read()
                time.sleep(0.0005)
            os.kill(process.pid, signal.SIGKILL)
        got = len(told.read_text().split())
        recorded = len(Cassette(cassette))
        assert recorded >= got
        completed += got
        if torn:
            cassette.write_bytes(cassette.read_bytes()[:-200])
            recorded -= 1
        (folder / "asked.log").unlink()
        with pytest_run(folder, "--llm-record") as process:
            printed = process.communicate()[0]
        assert process.returncode == 0, printed
        assert f"asked {CALLS - recorded}, reused {recorded}" in printed
        assert ("the last document was torn, and is dropped" in printed) is torn
        assert (folder / "asked.log").read_text().count("asked") == CALLS - recorded
        with pytest_run(folder) as process:
            assert f"{CALLS} replayed" in process.communicate()[0]
    faults.figures("killed within pytest" + ", torn" * torn, trials=count, completed=completed, lost=0)
