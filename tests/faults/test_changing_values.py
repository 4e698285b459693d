"""Values that differ from run to run are found while a prompt is recorded, and named; constants are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Faults
from tests.llm_strategy.programs import ROOT, plain_environment, run

SHOP = '''
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, computed_field

from llm_strategy import ScriptedModel, Volatile, llm_strategy

MODEL = ScriptedModel(lambda request: '{"return_value": "x"}', name="counter:model", recorded=True)
WORDS = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"}


@llm_strategy(MODEL)
def ask(text: str) -> str:
    """Answer."""
    raise NotImplementedError


@llm_strategy(MODEL)
def by_default(text: str, words: str = ", ".join(WORDS)) -> str:
    """Answer."""
    raise NotImplementedError


@llm_strategy(MODEL)
def choose(text: str) -> Literal[tuple(WORDS | {"x"})]:
    """Choose."""
    raise NotImplementedError


class Bag(BaseModel):
    words: set[str]

    @computed_field
    @property
    def joined(self) -> str:
        return ", ".join(self.words)


@llm_strategy(MODEL)
def unpack(bag: Bag) -> str:
    """Unpack it."""
    raise NotImplementedError


class Ticket(BaseModel):
    id: str
    lines: list[str] = []


@llm_strategy(MODEL)
@dataclass
class Desk:
    tickets: list[Ticket]

    def solve(self, question: str) -> str:
        """Solve it."""
        raise NotImplementedError

    async def asolve(self, question: str) -> str:
        """Solve it, while others do."""
        raise NotImplementedError


@llm_strategy(MODEL)
def hidden(text: str, now: Volatile[str]) -> str:
    """Answer now."""
    raise NotImplementedError


class Thing:
    pass
'''

HEAD = """
import asyncio, datetime, secrets, subprocess, sys, tempfile, threading, time, uuid
import pytest
from shop import *
"""

PLANTED: list[tuple[str, str]] = [
    (
        "ask(f'{Thing()}')",
        "ask: the argument 'text': the address of an object, \"<shop.Thing object at 0x*>\" (1 call;*",
    ),
    ("ask(f'see {uuid.uuid4()}')", "ask: the argument 'text': a random id, *"),
    ("ask(uuid.uuid4().hex)", "ask: the argument 'text': a random id, *"),
    ("ask('01ARZ3NDEK' + 'TSV4RRFFQ69G5FAV')", "ask: the argument 'text': a random id, *"),
    ("ask('V1StGXR8_' + 'Z5jdHi6BmyT1')", "ask: the argument 'text': a random id, *"),
    ("ask('9f86d081884c' + '7d659a2feaa0')", "ask: the argument 'text': a random id, *"),
    ("ask(f'{datetime.date.today()}')", "ask: the argument 'text': today's date, *"),
    ("ask(f'{datetime.date.today():%d.%m.%Y}')", "ask: the argument 'text': today's date, *"),
    ("ask(f'{datetime.date.today():%m/%d/%Y}')", "ask: the argument 'text': today's date, *"),
    ("ask(f'{datetime.date.today():%B %d}')", "ask: the argument 'text': today's date, *"),
    ("ask(f'{datetime.datetime.now()}')", "ask: the argument 'text': the present time, *"),
    ("ask(f'{datetime.datetime.now(datetime.UTC).isoformat()}')", "ask: the argument 'text': the present time, *"),
    ("ask(time.ctime())", "ask: the argument 'text': t*"),
    ("ask(f'{time.time()}')", "ask: the argument 'text': the present time, *"),
    ("ask(f'{time.time_ns() // 1000000}')", "ask: the argument 'text': the present time, *"),
    (
        "ask(tempfile.gettempdir() + '/my' + 'app-k3j2_9xa/notes.txt')",
        "ask: the argument 'text': the name of a temporary*",
    ),
    (
        "Desk([Ticket(id='a'), Ticket(id=str(uuid.uuid4()))]).solve('q')",
        "Desk.solve: the fields of self (.tickets[[]].id): a random id, *",
    ),
    ("asyncio.run(Desk([]).asolve(f'{uuid.uuid4()}'))", "Desk.asolve: the argument 'question': a random id, *"),
    (
        "thread = threading.Thread(target=ask, args=[str(uuid.uuid4())]); thread.start(); thread.join()",
        "ask: the argument 'text': a random id, *",
    ),
    (
        "subprocess.run([sys.executable, '-c', 'import shop, uuid; shop.ask(str(uuid.uuid4()))'], check=True)",
        "ask: the argument 'text': a random id, *",
    ),
    ("for n in range(3): ask(f'{n} {Thing()}')", "ask: the argument 'text': the address of an object, * (3 calls;*"),
    ("by_default('a')", "by_default: the argument 'words': another text in each process, * and * (1 call;*"),
    ("choose('a')", "choose: the *: another text in each process, *"),
    ("unpack(Bag(words=WORDS))", "unpack: the argument 'bag': another text in each process, *"),
]

CONSTANT = [
    "ask('7b0f6c2e-9d1a-4c3b-8e5f-0a1b2c3d4e5f')",
    "ask('born on ' + DAY_OF_BIRTH)",
    "ask(COMMIT)",
    "ask(f'{TODAY}')",
    "ask(str(tmp_path))",
    "ask(str(tmp_path / 'notes.txt'))",
    "ask(tempfile.mkdtemp())",
    "ask('order 4012888888881881, ISBN 978-3-16-148410-0, call +49 30 123456, at 12:00:00')",
    "ask('CustomerDatabase2VersionThingamajig some_long_identifier_of_a_variable_2 gpt-4o-mini-2024-07-18')",
    "ask('aGVsbG8gd29ybGQ' + 'gaG93IGFyZSB5b3U')",
    "ask('https://example.com/a/very-long-path-of-words/2024/11/with-a-slug-at-the-end')",
    "ask('May I come in May or on May 5?')",
    "hidden('a', str(uuid.uuid4()))",
    "unpack(Bag(words=[]))",
    "Desk([Ticket(id='a', lines=['b', 'c'])]).solve('q')",
]


SHOWN = 10
"""So many findings does a summary show."""


def summary(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    asks = (f"\n\n@llm_strategy(MODEL)\ndef ask_{at}(text: str) -> str:\n    'Answer.'\n" for at in range(len(PLANTED)))
    pytester.makepyfile(shop=SHOP + "".join(asks))
    pytester.makepyfile(test_shop=HEAD + body)
    quiet = ("-p", "no:langsmith_plugin", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:asyncio")
    result = pytester.runpytest_subprocess(*quiet, "--llm-record", *options)
    assert result.ret == 0, result.outlines
    return result


@pytest.fixture(autouse=True)
def seeded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a set that these runs have is not that of the other process."""
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    monkeypatch.setenv("PYTHONPATH", f"{pytester.path}{os.pathsep}{ROOT}")
    for name in ("PYTEST_ADDOPTS", "LLM_STRATEGY_RENDER_TWICE", "LLM_STRATEGY_RECORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("start", "options"), [(0, ()), (10, ("-n", "2")), (20, ())], ids=["first", "second, by workers", "third"]
)
def test_each_planted_value_is_named(
    pytester: pytest.Pytester, faults: Faults, start: int, options: tuple[str, ...]
) -> None:
    """With function, argument, kind, a value and the number of calls, in the summary of a run that records."""
    planted = PLANTED[start : start + SHOWN]
    tests, expected = [], []
    for at, (call, line) in enumerate(planted, start):
        tests.append(f"def test_{at}():\n    ask = ask_{at}\n    {call.replace('shop.ask', f'shop.ask_{at}')}\n")
        expected.append("    " + line.replace("ask:", f"ask_{at}:"))

    result = summary(pytester, "\n".join(tests), *options)

    result.stdout.fnmatch_lines_random(["  recorded prompts hold what differs*Volatile*", *expected])
    # What a type says is seen in the signature and in the schema.
    assert 0 <= sum("llm-strategy why" in line for line in result.outlines) - len(planted) <= 1
    faults.figures(f"changing values, planted from {start}", planted=len(planted), named=len(planted))


def test_constants_are_not_named(pytester: pytest.Pytester, faults: Faults) -> None:
    """What stands in a source file, what tests and tempfile number, what merely looks odd."""
    today = time.strftime("%Y-%m-%d")
    born = time.strftime("%d.%m.") + "1990"
    constants = f"TODAY, DAY_OF_BIRTH, COMMIT = '{today}', '{born}', '1609648a0d4cfe3b2a1c5d6e7f8091a2b3c4d5e6'\n"
    tests = [f"def test_{at}(tmp_path):\n    {call}\n" for at, call in enumerate(CONSTANT)]

    result = summary(pytester, constants + "\n".join(tests))

    result.stdout.no_fnmatch_line("*llm-strategy why*")
    result.stdout.fnmatch_lines([f"model calls: asked {len(CONSTANT)}*"])
    faults.figures("constants in prompts", tried=len(CONSTANT), named=0)


def test_what_an_earlier_recording_holds_is_a_constant(pytester: pytest.Pytester) -> None:
    """An id that a cassette has had before this run comes from somewhere that does not change."""
    pytester.path.joinpath("id.txt").write_text("7b0f6c2e-9d1a-4c3b-8e5f-0a1b2c3d4e5f")
    body = "def test_id():\n    ask(open('id.txt').read())\n"
    summary(pytester, body).stdout.fnmatch_lines(["*: a random id, *7b0f6c2e*"])
    summary(pytester, body + "    ask('again ' + open('id.txt').read())\n").stdout.no_fnmatch_line("*a random id*")


PROGRAM = """
import uuid, warnings
import shop
from llm_strategy import ChangingPromptWarning, use_cassette

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for mode in ("new", "replay"):
        with use_cassette("x.yaml", mode):
            for number in range(2):
                shop.ask("a constant")
                shop.by_default(f"{uuid.UUID(int=number, version=4)} is a constant too" if number > 5 else "a")
    with use_cassette("y.yaml", "all"):
        shop.ask(str(uuid.uuid4()))
for warning in caught:
    assert warning.category is ChangingPromptWarning
    print(warning.filename.rpartition("<")[2], str(warning.message)[:200])
"""


def test_a_block_warns_outside_pytest(tmp_path: Path) -> None:
    """Once, when it ends, with a category of its own; a block that replays says nothing."""
    (tmp_path / "shop.py").write_text(SHOP)
    done = run(PROGRAM, cwd=tmp_path, PYTHONHASHSEED="3", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2, lines
    assert "by_default: the argument 'words': another text in each process" in lines[0]
    assert "ask: the argument 'text': a random id" in lines[1]
    assert done.stderr == ""


FROZEN = """
import datetime, warnings
class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 5, 1, 12, tzinfo=tz)
datetime.datetime = Frozen
import shop
from llm_strategy import use_cassette
warnings.simplefilter("error")
with use_cassette("x.yaml", "new"):
    shop.ask(f"since {datetime.datetime.now().isoformat()}")
print("nothing is named")
"""


def test_a_clock_that_stands_still_is_a_constant(tmp_path: Path) -> None:
    """A test that stops the clock has the same time in its prompts in every run."""
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    done = run(FROZEN, cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.stdout == "nothing is named\n", done.stderr


def test_the_second_process_can_be_left_out(tmp_path: Path) -> None:
    """By a variable; what is found by its form is found all the same."""
    (tmp_path / "shop.py").write_text(SHOP)
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = run(PROGRAM, cwd=tmp_path, PYTHONHASHSEED="3", PYTHONPATH=path, LLM_STRATEGY_RENDER_TWICE="0")
    assert "a random id" in done.stdout
    assert "another text in each process" not in done.stdout


LATER = """
import asyncio, shop
from llm_strategy import use_cassette

async def main():
    tickets = [shop.Ticket(id="a")]
    with use_cassette("x.yaml", "new"):
        call = asyncio.create_task(shop.Desk(tickets).asolve("q"))
        await asyncio.sleep(0)
        tickets.append(shop.Ticket(id="b"))
        await call

asyncio.run(main())
"""


def test_arguments_that_change_while_the_model_answers(tmp_path: Path) -> None:
    """They are rendered again as they were when the call was made; and a damaged old cassette hinders nothing."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "x.yaml").write_text("no cassette\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = run(LATER.replace('"new"', '"all"'), cwd=tmp_path, PYTHONHASHSEED="3", PYTHONPATH=path)
    assert "ChangingPromptWarning" not in done.stderr
    (tmp_path / "x.yaml").unlink()
    done = run(LATER, cwd=tmp_path, PYTHONHASHSEED="3", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, "")


TRICKY = """
import os, pathlib, socket, subprocess, sys, threading
from llm_strategy import ScriptedModel, llm_strategy

IMPORTS = pathlib.Path(__file__).with_name("imports.log")
SECOND = os.environ.get("PYTHONHASHSEED") != "3"
if SECOND:
    {trick}
MODEL = ScriptedModel(lambda request: '{{"return_value": "x"}}', name="counter:model", recorded=True)
WORDS = {{"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"}}

@llm_strategy(MODEL)
def ask(text: str, words: str = ", ".join(WORDS)) -> str:
    "Answer."
    raise NotImplementedError
"""

TRICKS: list[tuple[str, str, bool]] = [
    ("ends the process", "os._exit(3)", False),
    ("raises", "raise SystemExit('no')", False),
    ("writes", "IMPORTS.write_text('written')", False),
    ("writes and goes on", "try: IMPORTS.write_text('written')\n    except OSError: pass", True),
    ("removes", "os.remove(__file__)", False),
    ("starts a process", "subprocess.run(['touch', str(IMPORTS)])", False),
    ("runs a shell", "os.system(f'touch {IMPORTS}')", False),
    ("connects", "socket.create_connection(('127.0.0.1', 9))", False),
    ("prints and reads", "print('x' * 100000); os.write(1, b'[]'); sys.stdin.read()", True),
    ("hangs", "threading.Event().wait()", False),
]


@pytest.mark.parametrize(("trick", "found"), [row[1:] for row in TRICKS], ids=[row[0] for row in TRICKS])
def test_the_second_process_does_no_harm(tmp_path: Path, trick: str, found: bool) -> None:
    """Whatever a module does when it is imported again: nothing is written, no call fails, the program ends."""
    (tmp_path / "tricky.py").write_text(TRICKY.format(trick=trick))
    program = (
        "import tricky; from llm_strategy import use_cassette\nwith use_cassette('x.yaml', 'new'): tricky.ask('a')"
    )

    done = run(program, cwd=tmp_path, PYTHONHASHSEED="3", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")

    assert done.returncode == 0, done.stderr
    assert ("another text in each process" in done.stderr) is found
    assert not (tmp_path / "imports.log").exists()
    assert (tmp_path / "x.yaml").exists()


def test_a_script_is_never_run_again(tmp_path: Path) -> None:
    """Functions and classes of `__main__` are left alone, and so are local ones and what does not pickle."""
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\nfrom typing import Any\n"
        "from llm_strategy import ScriptedModel, llm_strategy, use_cassette\nimport shop\n"
        "with Path('runs.log').open('a') as log: log.write('run\\n')\n"
        "class Mine(shop.Ticket): pass\n"
        "@llm_strategy(shop.MODEL)\ndef own(text: str, of: Any = None) -> str:\n    'Answer.'\n"
        "with use_cassette('x.yaml', 'new'):\n    own('a'); own('a', [1]); shop.ask('b'); shop.Desk([Mine(id='a')]).solve('c')\n"
    )
    (tmp_path / "shop.py").write_text(SHOP)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=plain_environment() | {"PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "runs.log").read_text() == "run\n"


HANGING = """
import os, sys, time
import shop
from llm_strategy import use_cassette
from llm_strategy.volatility.second_process import second_process

with use_cassette("x.yaml", "new"):
    shop.ask("a")
    while second_process().pid is None:
        time.sleep(0.01)
    if sys.argv[1:] == ["fork"] and os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    print(second_process().pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork, and no way to look for a process")
@pytest.mark.parametrize("forked", [[], ["fork"]], ids=["alone", "with a forked child that holds the pipe"])
def test_the_second_process_dies_with_the_first(tmp_path: Path, faults: Faults, forked: list[str]) -> None:
    """Killed by SIGKILL, a recording process leaves none behind."""
    (tmp_path / "shop.py").write_text(SHOP)
    environment = plain_environment() | {"PYTHONHASHSEED": "3", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", HANGING, *forked]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        second = int(process.stdout.readline())
        os.kill(second, 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 20
        while _is_running(second) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.stdout.close()
    assert not _is_running(second)
    faults.figures("the second process of a killed recording", left_behind=0)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] != "Z"
    except OSError:
        # It has gone meanwhile; or macOS, where nothing can be read of it.
        return not Path("/proc").is_dir()
