"""The script that makes the pictures of the documents."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
BROWSER = any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))) and find_spec("playwright")
LARGEST = 250_000


def make(folder: Path, *options: str) -> dict[str, bytes]:
    command = [sys.executable, str(ROOT / "docs" / "screenshots.py"), "--into", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def words(drawing: bytes) -> str:
    return re.sub(r"<[^>]+>", "", drawing.decode()).replace("&#160;", " ")


def told(drawing: bytes) -> list[str]:
    """What can be read in a drawing: one textual draws the same words otherwise than another."""
    return re.findall(r"\w+", words(re.sub(rb"<style>.*?</style>", b"", drawing, flags=re.DOTALL)))


def test_the_terminal_is_drawn_without_a_browser(tmp_path: Path) -> None:
    """The run's end and the review screen are those of a real suite: 17 calls of nine tests, and one cause."""
    made = make(tmp_path, "--without-browser")
    assert sorted(made) == ["app.svg", "review.svg", "search1.svg", "search2.svg", "summary.svg"]
    assert "missed in 9 tests" in words(made["summary.svg"])
    assert "asked 17" in words(made["summary.svg"])
    assert "17 pending" in words(made["review.svg"])
    assert "2027" in words(made["review.svg"])
    assert "best match first" in words(made["search1.svg"])
    assert "Nobody has recorded an answer to 'likes tea'" in html.unescape(words(made["search2.svg"]))
    assert not any(b"url(" in drawing.replace(b"url(#", b"") for drawing in made.values())
    for name in ("app.svg", "search1.svg", "search2.svg"):
        assert told(made[name]) == told((IMAGES / name).read_bytes()), f"make screenshots draws another {name}"


@pytest.mark.skipif(not BROWSER, reason="needs chromium on the PATH, and playwright")
def test_the_report_is_photographed(tmp_path: Path) -> None:
    """In light and in dark, no larger than a page can bear."""
    made = make(tmp_path)
    drawings = ["app.svg", "review.svg", "search1.svg", "search2.svg", "summary.svg"]
    assert sorted(made) == sorted(["report-dark.png", "report-light.png", *drawings])
    assert made["report-dark.png"] != made["report-light.png"]
    assert all(len(picture) < LARGEST for picture in made.values())


@pytest.mark.parametrize("document", ["README.md", "docs/how-to/reviewing.md", "docs/how-to/viewer.md"])
def test_pictures_are_there_and_described(document: str) -> None:
    """Each picture that a document shows, badges apart, is here, and has words for those who do not see it."""
    path = ROOT / document
    shown = re.findall(r"!\[(.*?)\]\((?!https://)(.*?)\)", path.read_text("utf-8"))
    assert shown
    for description, picture in shown:
        assert len(description) > 20
        assert (path.parent / picture).is_file()
