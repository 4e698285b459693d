"""A disk that is full or fails, and folders that cannot be written: what was recorded stays, and the error names it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.conftest import Faults
from tests.faults.recording import ACTIONS, CASES, KINDS, RECORDING, SHORT_CASES
from tests.llm_strategy.programs import output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the calls that are made to fail are those of POSIX")
PROGRAM = '''
import shutil, tempfile
from contextlib import chdir
from tests.faults.failing_calls import FailingCalls

def check(name, ok, *more):
    if not ok:
        print(json.dumps([name, *more]), flush=True)

def holds(expression):
    try:
        return eval(expression)
    except CassetteMiss:
        return False

def attempt(before, act, after, at, lasting):
    """Whether a call has failed; what does not hold is printed."""
    exec(before)
    old = Path("x.yaml").read_bytes() if before else b""
    here = os.getcwd()
    calls = FailingCalls(here)
    error = None
    with calls.failing(at, lasting=lasting):
        try:
            eval(act)
        except BaseException as raised:
            error = raised
    if not calls.failed:
        check("fails without a fault", error is None, act, str(error))
        return False
    where = [act, at, calls.failed[:1], lasting, repr(error)]
    now = Path("x.yaml").read_bytes() if Path("x.yaml").exists() else None
    if error is not None:
        check("another error", isinstance(error, OSError | CassetteError), *where)
        # In mode `all` it is the new recording that cannot be written, or a blob that has no room.
        named = any(
            f"/x{suffix}{end}" in str(error)
            for suffix in (".yaml", ".new.yaml", ".earlier.new.yaml")
            for end in ("'", " cannot be read")
        )
        named = named or (f"{os.sep}blobs{os.sep}" in str(error) and ".tmp" not in str(error))
        check("the error does not name the file", named, *where)
    if before and act != "accept()" and now is not None:
        check("an old entry is lost", now.startswith(old) or holds(after) or holds("replay(1, 2, 3)"), *where)
    check("the old entries are gone", now is not None or not before or holds(after), *where)
    known = {"x.yaml", "x.new.yaml", ".locks", ".replaced", "blobs", ".gitignore"}
    strays = [name for name in os.listdir() if name not in known]
    hidden = [path for place in ("blobs", ".replaced") for path in Path(place).rglob("*")]
    strays += [str(path) for path in hidden if path.name.startswith(".") and path.suffix]
    if not lasting:
        check("left behind", not [name for name in strays if name != "blobs/.gitattributes"], strays, *where)
    try:
        eval(act)
        check("the next run does not do it", eval(after), *where)
    except BaseException as raised:
        check("the next run fails", False, repr(raised), *where)
    return True

before, act, after, lasting, step = json.loads(sys.argv[1])
# Where there are files in memory, synchronising them takes no time.
memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
tried, at = 0, 1
while True:
    with tempfile.TemporaryDirectory(dir=memory) as folder, chdir(folder):
        if not attempt(before, act, after, at, lasting):
            break
    tried += 1
    at += step
print(tried)
'''


@pytest.mark.parametrize("lasting", [False, True], ids=["one fails", "all fail from there on"])
@pytest.mark.parametrize(("kind", "action"), CASES if os.environ.get("FAULTS") == "long" else SHORT_CASES)
def test_every_system_call_may_fail(kind: str, action: str, lasting: bool, tmp_path: Path, faults: Faults) -> None:
    """Each in turn: the old entries are intact, the error names the cassette, nothing is left, the next run works."""
    step = faults.trials(7, 1)
    printed = output(KINDS[kind] + PROGRAM, json.dumps([*ACTIONS[action], lasting, step]), cwd=tmp_path).splitlines()

    assert printed[:-1] == []
    assert int(printed[-1]) > 2
    named = f"failing system calls: {action}" + ", http" * (kind == "http") + ", lasting" * lasting
    faults.figures(named, calls=int(printed[-1]), lost=0)


# Real ones


def test_a_real_full_disk(tmp_path: Path, faults: Faults) -> None:
    """Recording stops with an error that names the cassette; what was answered is there; with room it goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        for mode in ("new", "all"):
            program = f"{RECORDING}\n{_UNTIL_FULL}"
            answered, error = json.loads(output(program, mode, cwd=disk))
            assert error.startswith("[Errno 28] No space left on device: ")
            assert error.endswith((f"{disk.name}/x.yaml'", f"{disk.name}/x.new.yaml'"))
            assert sorted(path.name for path in disk.iterdir() if path.name.startswith(".")) == [".locks"]
            (answering,) = (path for path in disk.glob("x*.yaml") if mode != "all" or ".new." in path.name)
            held = output(
                f"{RECORDING}\nfrom llm_strategy import Cassette\nprint(len(Cassette({answering.name!r})))", cwd=disk
            )
            assert int(held) == answered > 10
            subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
            assert output(f"{RECORDING}\nrecord(*range(60)); print(replay(*range(60)))", cwd=disk) == "True"
            for path in disk.glob("x*.yaml"):
                path.unlink()
            subprocess.run(["mount", "-o", "remount,size=64k", disk], check=True)
    finally:
        subprocess.run(["umount", disk], check=True)
    faults.figures("full disk", lost=0)


_UNTIL_FULL = """
answered = 0
try:
    with use_cassette("x.yaml", sys.argv[1]):
        for number in range(1000):
            echo(number)
            answered += 1
except OSError as error:
    print(json.dumps([answered, str(error)]))
"""


def test_a_file_that_may_not_grow_further(tmp_path: Path, faults: Faults) -> None:
    """Wherever the system cuts a write short, the file is as it was before."""
    pytest.importorskip("resource", reason="file sizes cannot be limited on this system")
    step = faults.trials(97, 5)
    lines = output(f"{RECORDING}\nstep = {step}\n{_CUT_SHORT}", cwd=tmp_path).splitlines()
    assert lines[:-1] == []
    faults.figures("writes cut short", trials=int(lines[-1]), lost=0)


_CUT_SHORT = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
record(1, 2)
before = Path("x.yaml").read_bytes()
trials = 0
for more in range(0, 1500, step):
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + more, resource.RLIM_INFINITY))
    try:
        record(3)
    except OSError as error:
        ok = "x.yaml'" in str(error)
    else:
        # It was long enough.
        break
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    trials += 1
    if not ok or Path("x.yaml").read_bytes() != before:
        print(more)
print(trials)
"""


def test_a_folder_that_may_not_be_written(faults: Faults) -> None:
    """It replays; recording fails before a model is asked, with an error that names the cassette."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "cassettes")
        folder.mkdir()
        output(f"{RECORDING}\nrecord(1, 2)", cwd=folder)
        for path in (folder / ".locks", folder.parent, folder, folder / "x.yaml"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        try:
            printed = output(f"{RECORDING}\n{_AS_ORDINARY_USER}", cwd=folder).splitlines()
            assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        finally:
            for path in (folder.parent, folder, folder / ".locks"):
                path.chmod(0o755)
    assert printed[0] == "True"
    assert [line.partition("] ")[2] for line in printed[1:4]] == [
        f"Permission denied: '{folder.resolve()}/{file}'" for file in ("x.yaml", "x.yaml", "y.yaml")
    ]
    assert printed[4] == "0"
    faults.figures("read-only folder", asked=0, lost=0)


_AS_ORDINARY_USER = """
with tempfile.TemporaryDirectory() as elsewhere:
    # So that all modules are loaded.
    with use_cassette(Path(elsewhere, "x.yaml"), "all"):
        echo(1)
if os.getuid() == 0:
    os.setuid(65534)
asked = len(MODEL.requests)
print(replay(1, 2))
for path, mode in (("x.yaml", "new"), ("x.yaml", "all"), ("y.yaml", "new")):
    try:
        with use_cassette(path, mode):
            echo(3)
    except OSError as error:
        print(error)
print(len(MODEL.requests) - asked)
"""
