"""What a user gets who installs the wheel: `pytest tests/packaging.py` (slow, and asks the package index).

Not collected with the other tests: each run builds a wheel and makes a virtual environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
TEST = '''
from llm_strategy import ScriptedModel, llm_strategy

@llm_strategy(ScriptedModel(['{"return_value": 3}']))
def add(first: int, second: int) -> int:
    """The sum of two numbers."""
    raise NotImplementedError

def test_add(llm_calls) -> None:
    assert add(1, 2) == 3
    assert len(llm_calls) == 1
'''


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints, run in another folder and with no setting that could lead it back to the checkout."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    result = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive; in a release the one that `WHEEL` names and that will be published."""
    if built := os.environ.get("WHEEL"):
        return Path(built).resolve()
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, CHECKOUT, folder=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and pytest, and nothing else that was asked for."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, folder=folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, "pytest", folder=folder)
    return folder / "bin"


def test_only_the_core_is_installed(programs: Path, tmp_path: Path) -> None:
    """No provider SDK, HTTP recorder or snapshot library comes along unasked."""
    listed = run(programs / "python", "-m", "pip", "list", "--format", "freeze", folder=tmp_path)
    names = {line.split("==")[0].lower().replace("_", "-") for line in listed.splitlines()}
    assert {"llm-strategy", "pydantic", "pyyaml", "filelock", "pytest"} <= names
    assert names.isdisjoint({"openai", "httpx2", "langchain", "langchain-core", "vcrpy", "syrupy", "hypothesis"})


def test_the_plugin_registers_itself(programs: Path, tmp_path: Path) -> None:
    """`pytest --help` shows the plugin's options without any configuration."""
    assert "--llm-record" in run(programs / "pytest", "--help", folder=tmp_path)


def test_a_test_of_a_decorated_function_passes(programs: Path, tmp_path: Path) -> None:
    """Decorator, scripted model and the fixture work with nothing but the core."""
    (tmp_path / "test_add.py").write_text(TEST, encoding="utf-8")
    assert "1 passed" in run(programs / "pytest", "-W", "error", folder=tmp_path)


def test_the_command_is_installed(programs: Path, tmp_path: Path) -> None:
    """`llm-strategy --help` runs."""
    assert "llm-strategy" in run(programs / "llm-strategy", "--help", folder=tmp_path)


def test_the_wheel_holds_both_packages_and_no_others(wheel: Path) -> None:
    """Both packages are marked as typed, the license is there, and neither tests nor examples are."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    folders = {name.split("/")[0] for name in names}
    (metadata,) = (folder for folder in folders if folder.endswith(".dist-info"))
    assert folders == {"llm_strategy", "pytest_llm_strategy", metadata}
    assert {"llm_strategy/py.typed", "pytest_llm_strategy/py.typed", f"{metadata}/licenses/LICENSE"} <= set(names)


def test_the_wheel_holds_what_is_no_python(wheel: Path) -> None:
    """The parts of the report's page, and how the review's screen looks."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    page = {f"llm_strategy/report/{name}" for name in ("report.html", "report.css", "report.js", "details.js")}
    assert page | {"llm_strategy/review/screen/screen.tcss"} <= names


def test_the_metadata_names_the_core_dependencies_only(wheel: Path) -> None:
    """What is not behind an extra is what every user gets."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode("utf-8"))
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    core = "docstring-parser filelock json-repair pydantic pyyaml typing-extensions"
    assert sorted(line.split(">")[0].lower() for line in required) == core.split()
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_readme_of_the_index_links_into_the_repository(wheel: Path) -> None:
    """On the package index no link or picture is relative: there is no docs/ beside it."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode("utf-8"))
    readme = metadata.get_payload()
    assert isinstance(readme, str)
    targets = re.findall(r"\]\(([^)]+)\)", re.sub(r"^```.*?^```", "", readme, flags=re.MULTILINE | re.DOTALL))
    assert "https://raw.githubusercontent.com/blackhc/llm-strategy/main/docs/images/summary.svg" in targets
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    labels = {url.partition(", ")[0] for url in metadata.get_all("Project-URL", [])}
    assert labels == {"Documentation", "Repository", "Issues", "Changelog"}
