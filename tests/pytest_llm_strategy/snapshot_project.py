"""A project whose tests compare prompts, for the tests of `prompt_snapshot` and `--llm-prompt-snapshots`."""

from __future__ import annotations

import pytest

from tests.pytest_llm_strategy.conftest import Project

TEST = """
from shop import shop

def test_find(llm_calls, prompt_snapshot):
    shop.find("light")
    assert llm_calls == prompt_snapshot
"""

# A shop whose model may be asked at any time, so that only the snapshots can fail.
FREE = """
from llm_strategy import Message, Request, ScriptedModel, llm_strategy

MODEL = ScriptedModel(lambda request: '{"return_value": "spring"}', name="scripted:model")

@llm_strategy(MODEL, temperature=0.5)
def season(month: int) -> str:
    \"\"\"Name the season of a month.\"\"\"
    raise NotImplementedError
"""

BARE = "-p no:asyncio -p no:anyio -p no:hypothesispytest"
"""Without the plugins that take long to load and have no part in most of this."""


def lighten(project: Project, monkeypatch: pytest.MonkeyPatch, *settings: str, plugins: str = BARE) -> Project:
    """Configure the project, with these lines in its ini file."""
    project.pytester.makeini("\n".join(["[pytest]", f"addopts = {plugins}", *settings, ""]))
    # A run inside a worker of pytest-xdist takes itself for a worker, and reports nothing.
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)
    return project


def files(project: Project) -> list[str]:
    """The transcripts, relative to the folder of the module `test_it`."""
    folder = project.path / "__snapshots__" / "test_it"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def read(project: Project, name: str = "test_find.md") -> str:
    return (project.path / "__snapshots__/test_it" / name).read_bytes().decode()


def write(project: Project, *lines: str) -> None:
    """The module `test_it`, about the function `season`."""
    project.write(
        it=FREE, test_it="\n".join(["import pytest, it", "from it import season, Message, Request", "", *lines])
    )
