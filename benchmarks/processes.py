"""What has to be measured in processes of their own: imports, pytest's start, opening a large file.

Run as a script, it is such a process: `python processes.py ours|vcrpy SMALL LARGE COUNT`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from measuring import Sample, timed

ROOT = Path(__file__).parents[1]
_PLUGIN = "pytest_llm_strategy.plugin"


class Children:
    """Starts processes that find this library, and byte code that was compiled before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        # Where writing byte code is switched off, each process would compile everything again.
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._environment |= {
            "PYTHONPYCACHEPREFIX": str(folder / "byte code"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }

    def run(self, *arguments: str) -> tuple[str, Sample]:
        """The output of `python ARGUMENTS`, and what the process took from start to end."""
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments],
            check=False,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return done.stdout, Sample(cpu, wall)

    def statement(self, statement: str) -> Sample:
        """What a statement takes in a fresh interpreter, the interpreter's own start apart."""
        code = (
            f"import time; w, c = time.perf_counter(), time.process_time(); {statement}; "
            "print(time.process_time() - c, time.perf_counter() - w)"
        )
        output, _ = self.run("-c", code)
        cpu, wall = map(float, output.split())
        return Sample(cpu, wall)

    def pytest(self, *, plugin: bool) -> Sample:
        """A run of one empty test; no plugin is loaded but those of pytest, and ours if asked for."""
        test = self._folder / "test_empty.py"
        test.write_text("def test_nothing() -> None:\n    pass\n")
        arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", str(test)]
        output, sample = self.run(*arguments, *(["-p", _PLUGIN] if plugin else []))
        assert "1 passed" in output
        return sample

    def open_large(self, which: str, small: Path, large: Path, count: int) -> Opened:
        """Open a cassette of `count` calls and replay its last, in a process that has replayed from `small` before."""
        output, _ = self.run(str(Path(__file__)), which, str(small), str(large), str(count))
        return Opened(*json.loads(output))


class Opened(NamedTuple):
    """Seconds to open a file and replay its last call, and by how many bytes the peak of memory grew."""

    cpu: float
    wall: float
    grown: int

    @property
    def time(self) -> Sample:
        return Sample(self.cpu, self.wall)

    @property
    def memory(self) -> Sample:
        return Sample(self.grown)


def _peak() -> int:
    """The most memory that this process has had, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        # On Linux this would count the memory of the process that started this one; elsewhere it is all there is.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main(arguments: Sequence[str]) -> None:
    import workload

    which, small, large, count = arguments
    ours = workload.Ours()
    recorder = ours if which == "ours" else workload.Vcrpy(ours)
    with recorder.cassette(Path(small)):
        recorder.call(0)
    before = _peak()
    with timed() as watch, recorder.cassette(Path(large)):
        recorder.call(int(count) - 1)
    print(json.dumps([*watch.sample, _peak() - before]))


if __name__ == "__main__":
    main(sys.argv[1:])
