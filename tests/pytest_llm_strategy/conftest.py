"""A small project to run pytest in, and a provider that it asks over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.llm_strategy.loopback import Loopback, Seen

settings.register_profile("fuzz", max_examples=20_000)

SHOP = '''
from dataclasses import dataclass
from llm_strategy import llm_strategy


@llm_strategy("openai:loopback")
@dataclass
class Shop:
    goods: list[str]

    def find(self, query: str) -> list[str]:
        """Find the goods that fit a query."""
        raise NotImplementedError

    async def afind(self, query: str) -> list[str]:
        """Find the goods that fit a query, while others search too."""
        raise NotImplementedError


shop = Shop(["lamp", "chair"])
'''

SCRIPTED = SHOP.replace('llm_strategy("openai:loopback")', "llm_strategy(MODEL)").replace(
    "from llm_strategy import llm_strategy\n",
    """from llm_strategy import Response, ScriptedModel, llm_strategy


def answer(request):
    with open("asked.log", "a") as log:
        log.write(request.key + chr(10))
    with open("asked.log") as log:
        return Response('{"return_value": ["answer %d"]}' % len(log.readlines()), model="a counter")


MODEL = ScriptedModel(answer, name="counter:model", recorded=True)
""",
)

QUIET = ("-p", "no:langsmith_plugin", "-p", "no:randomly", "-p", "no:cacheprovider")
MOCKS = ("-p", "no:pytest_httpx", "-p", "no:respx")
"""Their plugins load httpx at every start."""


class Project:
    """A folder with a shop, in which pytest is run as its users run it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path: Path = pytester.path

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.path / f"{name}.py").write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.path / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        # An edit within the same second that keeps the size is none to who looks for stale byte code.
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
            compiled.unlink()

    def pytest(self, *options: str, mocks: bool = False) -> pytest.RunResult:
        """Run pytest, with the plugins of `mocks` where they are wanted."""
        return self.pytester.runpytest_subprocess(*QUIET, *(() if mocks else MOCKS), *options)

    @property
    def asked(self) -> int:
        """How often the scripted model was asked so far."""
        log = self.path / "asked.log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    @property
    def cassettes(self) -> list[str]:
        """The cassettes, relative to their folder."""
        folder = self.path / "cassettes"
        found = (path.relative_to(folder) for path in folder.rglob("*.yaml"))
        return sorted(path.as_posix() for path in found if ".replaced" not in path.parts)

    def cassette(self, name: str) -> str:
        return (self.path / "cassettes" / name).read_text(encoding="utf-8")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose shop asks a model in the process, which counts."""
    # pytest and hypothesis behave otherwise where these say that they run in a continuous integration.
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_STRATEGY_RECORD", "LLM_STRATEGY_MODEL", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    project = Project(pytester)
    project.write(shop=SCRIPTED)
    return project


@pytest.fixture
def http_project(project: Project) -> Project:
    """A project whose shop asks a provider over HTTP."""
    project.write(shop=SHOP)
    return project


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A provider that finds the query, whatever it is; the environment names it."""

    def answer(seen: Seen) -> str:
        prompt = seen.body["messages"][-1]["content"]
        query = next(line for line in prompt.splitlines() if line.startswith("query = "))
        return json.dumps({"return_value": [json.loads(query.removeprefix("query = "))]})

    with Loopback(*[answer] * 1000) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield server
