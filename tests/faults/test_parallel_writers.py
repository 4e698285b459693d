"""Threads, tasks, processes and pytest-xdist's workers record into one cassette: nothing is lost or asked twice."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from llm_strategy import Cassette, CassetteError
from llm_strategy.cassette.store import CassetteFile
from tests.faults.conftest import Faults
from tests.faults.recording import KINDS, RECORDING
from tests.llm_strategy.programs import output, plain_environment

# Within one process

THREADS = """
import contextvars, threading
from llm_strategy import Cassette

CALLS = int(sys.argv[1])

def work(thread):
    for call in range(CALLS):
        echo(1000 * thread + call)
        echo(call)

with use_cassette("x.yaml", "new"):
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(work, n)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
# Equal requests of several threads are requests of their own: each has its occurrence.
assert len(MODEL.requests) == len(Cassette("x.yaml")) == 16 * CALLS
print(replay(*[1000 * thread + call for thread in range(1, 9) for call in range(CALLS)]))
print(replay(*[call for _ in range(8) for call in range(CALLS)]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_threads(kind: str, tmp_path: Path, faults: Faults) -> None:
    """Eight threads of distinct calls, and as many equal ones: all stand in the file and replay."""
    count = faults.trials(1, 10)
    calls = 50 if kind == "decorated" or faults.long else 10
    for number in range(count):
        (tmp_path / str(number)).mkdir()
        assert output(KINDS[kind] + THREADS, str(calls), cwd=tmp_path / str(number)) == "True\nTrue"
    faults.figures("threads" + ", http" * (kind == "http"), threads=8, calls=calls, runs=count, lost=0)


TASKS = f'''{RECORDING}
import asyncio, random
from llm_strategy import Response

class Slow:
    name, recorded, settings = "test:slow", True, {{}}

    async def agenerate(self, request):
        await asyncio.sleep(random.random() / 20)
        return Response(answer(request), model="slow")

@llm_strategy(Slow())
async def later(number: int) -> int:
    """Say the number."""
    raise NotImplementedError

async def main():
    return await asyncio.gather(*[later(number) for number in range(100)])

contents = set()
for _ in range(int(sys.argv[1])):
    with use_cassette("x.yaml", "new"):
        assert asyncio.run(main()) == [*range(100)]
    contents.add(Path("x.yaml").read_bytes())
    Path("x.yaml").unlink()
print(len(contents))
'''


def test_tasks(tmp_path: Path, faults: Faults) -> None:
    """`gather` of 100 whose answers come in any order leaves the same file, byte for byte."""
    runs = faults.trials(3, 20)
    assert output(TASKS, str(runs), cwd=tmp_path) == "1"
    faults.figures("tasks", tasks=100, runs=runs, contents=1)


# Processes

SHARED = f"""{RECORDING}

def ask(numbers):
    with open("asked.log", "a") as log:
        for number in numbers:
            echo(number)
        log.write(f"{{len(MODEL.requests)}}\\n")
"""

CHILDREN = f"""{SHARED}
import multiprocessing

def main(method, mode):
    context = multiprocessing.get_context(method)
    with use_cassette("x.yaml", mode):
        workers = [
            context.Process(target=ask, args=([*range(5), *range(100 * n, 100 * n + 5)],)) for n in range(1, 5)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("mode", ["new", "all"])
def test_child_processes_of_a_block(method: str, mode: str, tmp_path: Path) -> None:
    """However they are started they record into the block's cassette and replay from it, and pay once for the same."""
    (tmp_path / "program.py").write_text(CHILDREN, "utf-8")

    def run(mode: str) -> int:
        subprocess.run(
            [sys.executable, "program.py", method, mode], cwd=tmp_path, env=plain_environment(), check=True, timeout=120
        )
        log = tmp_path / "asked.log"
        asked = sum(map(int, log.read_text().split()))
        log.unlink()
        return asked

    assert run(mode) == 25 == len(Cassette(tmp_path / "x.yaml"))
    assert run("replay") == 0
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == ["x.yaml"]


def test_a_child_process_of_a_block_misses_what_is_not_recorded(tmp_path: Path) -> None:
    """It never asks on its own; where it cannot be known which block it belongs to, the message says so."""
    program = f"""{RECORDING}
import subprocess

def child():
    done = subprocess.run([sys.executable, sys.argv[1], "child"], capture_output=True, text=True)
    print(done.stdout, end="")

if sys.argv[2:] == ["child"] or "child" in sys.argv:
    try:
        print(echo(1))
    except CassetteMiss as miss:
        print(str(miss).splitlines()[0])
else:
    record(2)
    with use_cassette("x.yaml", "replay") as outer:
        child()
        with use_cassette("y.yaml", "new"):
            child()
        child()
    # Two tasks, each with a block of its own inside another.
    def task():
        with use_cassette("x.yaml", "replay"):
            yield
    import contextvars
    with use_cassette("y.yaml", "replay"):
        tasks = [(contextvars.copy_context(), task()) for _ in range(2)]
        for context, running in tasks:
            context.run(next, running)
        child()
        for context, running in tasks:
            context.run(next, running, None)
        child()
    print([miss.function for miss in outer.misses], os.environ.get("LLM_STRATEGY_SCOPE"))
"""
    (tmp_path / "program.py").write_text(program, "utf-8")
    printed = subprocess.run(
        [sys.executable, "program.py", "program.py"],
        cwd=tmp_path,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.splitlines()
    (miss,) = {printed[0], printed[2]}
    assert miss.startswith("no recording answers this call of echo")
    assert printed[1] == printed[4] == "1"
    assert printed[3].startswith("echo is called in a child process that was started while several use_cassette blocks")
    assert printed[5] == "['echo', 'echo'] None"


# Workers of pytest-xdist

ASKING = """
def asked(request):
    handle = os.open("asked.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, request.key.encode() + bytes([10]))
    os.close(handle)
    return answer(request)

asking = llm_strategy(ScriptedModel(asked, name="test:echo", recorded=True))(echo.__wrapped__)
"""

ASKING_OVER_HTTP = """
def asked(self, body):
    handle = os.open("asked.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, body["messages"][0]["content"].encode() + bytes([10]))
    os.close(handle)

Provider.asked = asked
asking = echo
"""

SUITE = """
import pytest

@pytest.fixture(scope="session")
def wide():
    return asking(7)

@pytest.mark.llm_cassette("shared")
@pytest.mark.parametrize("number", range(40))
def test_shared(number, wide):
    assert asking(100 + number) == 100 + number
    assert asking(50) == 50
    assert wide == 7
"""


@pytest.mark.parametrize(
    ("kind", "mode"), [("decorated", "new"), ("decorated", "all"), ("http", "new")], ids=["new", "all", "new, http"]
)
def test_workers_on_one_shared_cassette(kind: str, mode: str, tmp_path: Path, faults: Faults) -> None:
    """40 of 40 distinct requests are kept; what several ask, a session's fixture too, is asked by one of them."""
    count = faults.trials(1, 20)
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        program = KINDS[kind].replace("import json, os, sys, tempfile", "import json, os", 1)
        asking = ASKING if kind == "decorated" else ASKING_OVER_HTTP
        (folder / "test_x.py").write_text(program + asking + SUITE, "utf-8")
        (folder / "pytest.ini").write_text(f"[pytest]\nllm_http = {kind == 'http'}\n", "utf-8")
        if mode == "all":
            run_pytest(folder, "--llm-record")
            (folder / "asked.log").unlink()
        printed = run_pytest(folder, f"--llm-record={mode}", "-n", "4")
        keys = (folder / "asked.log").read_text().split()
        # Forty of their own, one of all tests, one of the fixture.
        assert len(keys) == len(set(keys)) == 42, printed
        assert "asked 42" in printed
        assert "missed" not in run_pytest(folder)
        assert {path.name: len(Cassette(path)) for path in (folder / "cassettes").rglob("*.yaml")} == {
            "shared.yaml": 41,
            "wide.yaml": 1,
        }
    named = f"workers on one cassette, mode {mode}" + ", http" * (kind == "http")
    faults.figures(named, workers=4, runs=count, kept="40 of 40", asked_twice=0)


def run_pytest(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:langsmith_plugin", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        command, cwd=folder, env=plain_environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Locks

HOLDER = """
import sys, time
from pathlib import Path
from llm_strategy.cassette.store import CassetteFile
with CassetteFile(Path("x.yaml").absolute()).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_times_out_with_a_message_and_goes_with_its_process(tmp_path: Path) -> None:
    """The message names the cassette and says what to do; when the holder is killed the lock is free."""
    path = tmp_path / "x.yaml"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, cwd=tmp_path, env=plain_environment(), stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CassetteError) as raised, CassetteFile(path).locked(timeout=0.05):
            pass
        assert str(raised.value) == (
            f"{path} has been locked by another process or thread for 0.05 s; end it (a recording that hangs?), then try "
            "again"
        )
        holder.kill()
    with CassetteFile(path).locked(timeout=10):
        pass
