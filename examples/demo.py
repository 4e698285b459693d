"""The whole story on one page: record a suite over HTTP, replay it without key or network, change a prompt.

    python examples/demo.py

It works in a temporary folder, against the stand-in beside this file. The outputs are those of the commands, of
which it leaves lines out. The exit code is 0 only if every step went as the story goes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from stand_in import running

FILES = {
    "shop.py": '''\
from __future__ import annotations

from dataclasses import dataclass

from llm_strategy import llm_strategy


@dataclass
class Customer:
    key: str
    birthdate: str


@llm_strategy("openai:gpt-5-mini")
@dataclass
class CustomerDatabase:
    customers: list[Customer]

    def find_customer_key(self, query: str) -> list[str]:
        """Find the keys of the customers that match a query."""
        raise NotImplementedError
''',
    "test_shop.py": """\
from shop import Customer, CustomerDatabase

CUSTOMERS = [Customer("c1", "1985-01-02"), Customer("c2", "1990-05-17"), Customer("c3", "1998-12-31")]


def test_search():
    database = CustomerDatabase(CUSTOMERS)
    assert database.find_customer_key("born in 1990") == ["c2"]
    assert database.find_customer_key("born in the 90s") == ["c2", "c3"]
""",
    # pytest looks upwards for its configuration, and would find that of another project.
    "pytest.ini": "[pytest]\n",
}
OLD, NEW = "match a query.", "match a query best."
# What could lend a run a key, a model, or other options than those shown.
WITHHELD = ("OPENAI_", "LLM_STRATEGY_", "PYTEST_")
# Less to read, and no plugin that is here only for this project's own tests.
ALWAYS = [
    "--no-header",
    "--color=no",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:asyncio",
    "-p",
    "no:randomly",
    "-p",
    "no:langsmith_plugin",
]


def main() -> None:
    if missing := [name for name in ("pytest", "openai") if find_spec(name) is None]:
        sys.exit(f'The demo runs {" and ".join(missing)}: pip install "llm-strategy[openai,test]>=3.0.0a1"')
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in FILES.items():
            (folder / path).write_text(text, encoding="utf-8")
        tell("shop.py: a method that has no body")
        show(FILES["shop.py"], "@llm_strategy")
        tell("test_shop.py: a test like any other")
        show(FILES["test_shop.py"], "def test_search")
        with running() as base_url:
            tell("Record: the model is asked over HTTP")
            output = pytest(folder, "--llm-record", OPENAI_BASE_URL=base_url, OPENAI_API_KEY="unused")
        expect("asked 2" in output and "1 passed" in output, output)
        show(output, "model calls")
        tell("Replay: the server is stopped, the key is gone")
        output = pytest(folder)
        expect("2 replayed" in output and "1 passed" in output, output)
        show(output, "model calls", "model calls")
        show(output, "1 passed")
        tell(f'Change the docstring: "{OLD}" becomes "{NEW}"')
        (folder / "shop.py").write_text(FILES["shop.py"].replace(OLD, NEW), encoding="utf-8")
        output = pytest(folder)
        told = [
            f"-Find the keys of the customers that {OLD}",
            f"+Find the keys of the customers that {NEW}",
            "1 failed",
        ]
        expect(all(part in output for part in told), output)
        show(output, "no recording answers", "To ask")
        show(output, "1 failed")


def tell(text: str) -> None:
    print(f"\n{text}", flush=True)


def show(text: str, first: str, last: str | None = None) -> None:
    """Print the lines from one that begins with `first`, to one that begins with `last`, the blank ones left out."""
    lines = [line for line in text[("\n" + text).index("\n" + first) :].splitlines() if line.strip()]
    end = next((at for at, line in enumerate(lines, 1) if last and line.startswith(last)), len(lines))
    print("\n".join(f"    {line}" for line in lines[:end]))


def pytest(folder: Path, *options: str, **variables: str) -> str:
    """Run pytest in a folder; what it prints."""
    print("    $", *(f"{name}={value}" for name, value in variables.items()), "pytest", *options, flush=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(WITHHELD)}
    environment["PYTHONIOENCODING"] = "utf-8"  # as it is read below
    command = [sys.executable, "-m", "pytest", *ALWAYS, *options]
    done = subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, encoding="utf-8", check=False
    )
    lines = (done.stdout or done.stderr).splitlines()
    return "\n".join(line.strip("= ") if line.startswith("=") else line for line in lines)


def expect(condition: bool, output: str) -> None:
    """Break off where the story goes another way."""
    if not condition:
        sys.exit(f"The demo broke off. pytest printed:\n{output}")


if __name__ == "__main__":
    main()
