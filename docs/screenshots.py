"""Make the pictures of the documents, docs/images: the report, the review screen, what a test run says at its end, and
the customer database.

    python docs/screenshots.py [--into FOLDER] [--without-browser]

All of it is real. A small suite is recorded against the stand-in, a line of its prompt is changed, the tests that miss
their recordings are recorded again, and what there is to see on the way is drawn. The customer database replays what is
recorded in cassettes/examples. The report needs a chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Without a network, and in a container that runs as root.
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
COLUMNS, ROWS = 120, 36
OLD, NEW = "Ages are those on 2026-01-01.", "Ages are in full years, as of 2027-07-01."
FILES = {
    "shop.py": f'''\
from __future__ import annotations

from dataclasses import dataclass

from llm_strategy import llm_strategy


@dataclass
class Customer:
    key: str
    first_name: str
    birthdate: str
    city: str


@llm_strategy("openai:gpt-5-mini")
@dataclass
class CustomerDatabase:
    customers: list[Customer]

    def find_customer_key(self, query: str) -> list[str]:
        """Find the keys of the customers that fit a query, the best match first.

        A customer has to fit all of it; where nobody does, the list is empty.
        {OLD}
        """
        raise NotImplementedError
''',
    "test_shop.py": """\
import pytest

from shop import Customer, CustomerDatabase

DATABASE = CustomerDatabase([
    Customer("ada", "Ada", "1985-01-02", "Lyon"),
    Customer("ben", "Ben", "1990-05-17", "Pune"),
    Customer("cleo", "Cleo", "1998-12-31", "Lyon"),
    Customer("davi", "Davi", "1976-10-09", "Recife"),
])
QUERIES = {
    "years": ["born in 1990", "born in the 90s"],
    "cities": ["lives in Lyon", "lives in Recife"],
    "thirties": ["in their 30s", "in their 40s"],
    "forty": ["older than 40", "older than 40 in Lyon"],
    "half": ["at least 50", "younger than 50"],
    "young": ["younger than 29", "the youngest"],
    "old": ["the oldest", "the two oldest"],
    "name": ["Ada or Cleo", "Davi"],
    "nobody": ["born in 2020"],
}


@pytest.mark.parametrize("queries", QUERIES.values(), ids=QUERIES)
def test_search(queries):
    for query in queries:
        assert set(DATABASE.find_customer_key(query)) <= {"ada", "ben", "cleo", "davi"}
""",
    # What a known model would cost; nobody has a price for the stand-in that answers in its place.
    "pytest.ini": "[pytest]\nllm_prices = openai:gpt-5-mini 0.25 2.00\n",
}
# Less to read, and no plugin that is here only for this project's own tests.
ALWAYS = "--color=yes --no-header -p no:cacheprovider -p no:asyncio -p no:randomly -p no:langsmith_plugin".split()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the documents.")
    parser.add_argument("--into", type=Path, default=IMAGES, metavar="FOLDER", help="default: docs/images")
    parser.add_argument("--without-browser", action="store_true", help="leave out the pictures of the report")
    options = parser.parse_args()
    browser = None if options.without_browser else find_browser()
    if browser is None and not options.without_browser:
        sys.exit(f"The report needs a browser: install one of {', '.join(BROWSERS)}, or give --without-browser.")
    into: Path = options.into.resolve()
    into.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name, chdir(name):
        told = story(Path(name), *(["--llm-report=report.html"] if browser else []))
        (into / "summary.svg").write_text(drawn(told), "utf-8")
        (into / "review.svg").write_text(asyncio.run(review()), "utf-8")
        for picture, drawing in asyncio.run(customers()).items():
            (into / picture).write_text(drawing, "utf-8")
        if browser is not None:
            photograph(Path(name) / "report.html", browser, into)
    for path in sorted(into.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


# The suite, and what pytest says about it


def story(folder: Path, *options: str) -> str:
    """Record, change a line of the prompt, miss, record again with these options; what the last two runs say."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with stand_in() as address:
        known = {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "unused"}
        pytest("--llm-record", **known)
        (folder / "shop.py").write_text(FILES["shop.py"].replace(OLD, NEW), encoding="utf-8")
        missed = pytest("--tb=no", "-rN")
        recorded = pytest("--llm-record", *options, **known)
    return f"{missed}\n{recorded}"


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of a server that computes what the examples should return."""
    command = [sys.executable, str(ROOT / "examples" / "stand_in.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield re.findall(r"OPENAI_BASE_URL=(\S+)", server.stdout.readline())[0]
        finally:
            server.terminate()


def pytest(*options: str, **variables: str) -> str:
    """Run pytest here; what it prints, colours included, under the command that prints it."""
    withheld = ("OPENAI_", "LLM_STRATEGY_", "PYTEST_", "NO_COLOR", "GITHUB_", "CI")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(withheld)}
    environment |= {"COLUMNS": str(COLUMNS), "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-m", "pytest", *ALWAYS, *options]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"pytest {' '.join(options)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    shown = " ".join(option for option in options if option.startswith("--llm"))
    return f"\x1b[1;32m$\x1b[0m \x1b[1mpytest {shown}\x1b[0m\n{done.stdout}"


# The pictures


def drawn(text: str) -> str:
    """The output of commands as a window of a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text.rstrip()))
    return without_fonts(console.export_svg(title="pytest", unique_id="summary"))


async def review() -> str:
    """The screen of `llm-strategy review`, on a call whose answer has changed."""
    from llm_strategy.review import Review
    from llm_strategy.review.screen import ReviewApp

    app = ReviewApp(Review("cassettes"))
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        for key in ("n", "n"):
            await pilot.press(key)
            await pilot.pause(0.5)
        return without_fonts(app.export_screenshot(title="llm-strategy review"))


async def customers() -> dict[str, str]:
    """The customer database: all of it, a search, and in light colours one that nobody has recorded."""
    for name in ("LLM_STRATEGY_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY", "COLORFGBG"):
        os.environ.pop(name, None)  # it replays, in dark colours first
    sys.path.append(str(ROOT / "examples"))
    from customer_database_app import CustomerApp
    from textual.widgets import Input

    app, drawn = CustomerApp(), {}
    async with app.run_test(size=(COLUMNS - 20, 24)) as pilot:
        field = app.query_one(Input)
        field.cursor_blink = False
        for picture, query in (("app", ""), ("search1", "lives in Africa"), ("search2", "likes tea")):
            field.value = query
            field.action_end()
            await pilot.press(*(["ctrl+t"] if picture == "search2" else []), *(["enter"] if query else []))
            while not all(worker.is_finished for worker in app.workers):
                await pilot.pause(0.05)
            await pilot.pause()
            drawn[f"{picture}.svg"] = without_fonts(app.export_screenshot(title="customer_database_app.py"))
            await pilot.press("slash")
    return drawn


def without_fonts(svg: str) -> str:
    """The drawing with the fonts of the machine that shows it, and nothing from the network."""
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return drawing.replace("Fira Code", "Fira Code, DejaVu Sans Mono, Menlo, Consolas")


def photograph(report: Path, browser: str, into: Path) -> None:
    """The report in light and dark."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        for scheme in ("light", "dark"):
            page = chromium.new_page(viewport={"width": 1120, "height": 500}, color_scheme=scheme)
            page.goto(report.as_uri())
            page.get_by_role("button", name="Changed").click()
            page.keyboard.press("j")
            page.screenshot(path=into / f"report-{scheme}.png")
        chromium.close()


if __name__ == "__main__":
    main()
