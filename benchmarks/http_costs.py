"""A direct call of the `openai` client, replayed by four recorders, beside the client's own cost: the command.

Each recorder has a process of its own for each size of cassette. There it measures beside itself what the client takes
when a mock transport answers at once, so that each line is a ratio of two things that had the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from figures import FIGURES, header, keep
from http_calls import RECORDERS
from measuring import HEADINGS, Row, Sample, Target, seconds, table

HERE = Path(__file__).parent
SIZES = (10, 1_000, 10_000)
PEERS = ("cassetter==0.16.1", "pytest-recording==0.14.1")
"""Installed for the table only, into a folder that goes with it. vcrpy, which this library needs too, is there."""
PACKAGES = ("llm-strategy", "openai", "httpx2", "vcrpy", "pytest", "PyYAML", "pydantic")
SELF, UNDER_PYTEST = "llm-strategy", "pytest-recording"
_SLOW = ("vcrpy", UNDER_PYTEST)
"""They look at the recordings one after the other: few of their calls have to tell."""

_TEST = """
import pytest
from http_calls import WITH_BODY, Meter

METER = Meter({size}, {calls})

RECORDED = pytest.mark.vcr({path!r}, match_on=WITH_BODY)

@pytest.mark.parametrize("name", [pytest.param("replayed", marks=RECORDED), "sdk"])
@pytest.mark.parametrize("number", range({rounds} + 1))
def test_calls(name, number):
    METER.measure(name)

def test_end():
    print(f"<figures>{{METER}}</figures>")
"""


class Amount(NamedTuple):
    """How much one recorder is measured."""

    rounds: int
    calls: int


def amount(which: str, size: int, *, quick: bool) -> Amount:
    if which not in _SLOW or size == SIZES[0]:
        return Amount(5 if quick else 25, 9 if size == SIZES[0] else 100)
    return Amount(1 if quick else 5, 9) if size == SIZES[1] else Amount(1, 1 if quick else 3)


class Recorders:
    """Starts the processes that measure. `folder` is for their files, and for the peers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._peers = folder / "peers"
        places = (HERE.parent, HERE, self._peers)
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
            "PYTHONPATH": os.pathsep.join(map(str, places)),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }

    def install(self) -> str | None:
        """Why the peers could not be installed, if so. They share the client, vcrpy and pytest with this library."""
        command = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", str(self._peers), *PEERS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return _problem(done.stderr) if done.returncode else None

    def row(self, which: str, size: int, *, quick: bool) -> Row:
        what = f"{which}, {size:,} recorded"
        target = Target("cost", 1.3 if which == SELF else None)
        rounds, calls = amount(which, size, quick=quick)
        done = subprocess.run(
            self._pytest(size, rounds, calls) if which == UNDER_PYTEST else self._process(which, size, rounds, calls),
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            env=self._environment,
        )
        if done.returncode:
            problem = _problem(done.stderr or done.stdout).replace(f"{self._folder}/", "")
            return Row(what, "-", target, [], note=f"cannot: {problem}")
        found = json.loads(done.stdout.partition("<figures>")[2].partition("</figures>")[0])
        runs = {name: [Sample(*sample) for sample in samples] for name, samples in found.items()}
        opened = min((sample.cost for sample in runs["opened"]), default=None)
        note = "" if opened is None else f"opens in {seconds(opened)}"
        return Row(what, "client alone", target, runs["replayed"], runs["sdk"], note)

    def _process(self, which: str, size: int, rounds: int, calls: int) -> list[str]:
        return [sys.executable, str(HERE / "http_calls.py"), which, str(self._folder), *map(str, (size, rounds, calls))]

    def _pytest(self, size: int, rounds: int, calls: int) -> list[str]:
        """It opens vcrpy's files, as a plugin of pytest."""
        test = self._folder / "test_recorded.py"
        path = str(self._folder / f"vcrpy-{size}.yaml")
        test.write_text(_TEST.format(size=size, calls=calls, rounds=rounds, path=path))
        plugins = ["-p", "pytest_recording.plugin", "-p", "no:cacheprovider"]
        return [sys.executable, "-m", "pytest", "-q", "-s", *plugins, "-c", os.devnull, "--rootdir", ".", str(test)]


def _problem(said: str) -> str:
    """What went wrong, in the words of an exception where there is one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(?:Error|Exception)\b", line)]
    return (errors or lines or ["it said nothing"])[-1][:200]


def run(*, quick: bool) -> list[Row]:
    """Measure every row; a line on standard error says how far it is."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="llm-strategy-benchmark-") as folder:
        recorders = Recorders(Path(folder))
        problem = recorders.install()
        for size in SIZES:
            for which in (*RECORDERS, UNDER_PYTEST):
                started = time.perf_counter()
                if problem is not None and which in [peer.partition("==")[0] for peer in PEERS]:
                    rows.append(Row(f"{which}, {size:,} recorded", "-", Target("cost"), [], note=problem))
                else:
                    rows.append(recorders.row(which, size, quick=quick))
                print(f"{which}, {size:,}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def kept(rows: list[Row]) -> dict[str, dict[str, str]]:
    """The figures that a page quotes."""
    return {
        row.what: {"figure": row.target.shown(row.figure), "beside": row.peer_name}
        | ({"design": str(row.target)} if row.target.limit is not None else {})
        if row.ours
        else {"figure": "none", "because": row.note}
        for row in rows
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Direct calls of the openai client, replayed by four recorders.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and few of the slow recorders' calls")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {FIGURES.name}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file, to compare commits")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("LLM_STRATEGY_", "OPENAI_"))]:
        del os.environ[name]
    peers = {name: version for name, _, version in (peer.partition("==") for peer in PEERS)}
    said = header(*PACKAGES) | peers | {"run": "quick" if options.quick else "full"}
    rows = run(quick=options.quick)
    print("\n".join(f"{name + ':':18}{text}" for name, text in said.items()), end="\n\n")
    print(table(rows, ("what", "replayed", *HEADINGS[2:])))
    print("\nCPU time of one call, unless the column says wall; medians of pairs of runs; spread: least and most.")
    if options.write:
        keep("http", kept(rows), f"benchmarks/http.py{' --quick' if options.quick else ''}")
    if options.json:
        options.json.write_text(json.dumps({"header": said, "rows": [row.to_json() for row in rows]}, indent=2) + "\n")
