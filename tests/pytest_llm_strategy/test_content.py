"""Images and files as arguments, under pytest: blobs, snapshots, misses."""

from __future__ import annotations

from hashlib import sha256

from tests.pytest_llm_strategy.conftest import Project

EYE = """
from pathlib import Path
from typing import Annotated
from llm_strategy import Media, ScriptedModel, llm_strategy

MODEL = ScriptedModel(lambda request: '{"return_value": "a cat"}', name="local:eye", recorded=True)

@llm_strategy(MODEL)
def look(photo: Annotated[Path, Media()]) -> str:
    \"\"\"Describe the photo.\"\"\"
    raise NotImplementedError
"""

TEST = """
from pathlib import Path
from eye import look

def test_one(llm_calls, prompt_snapshot):
    assert look(Path("cat.png")) == "a cat"
    assert llm_calls == prompt_snapshot

def test_two(tmp_path):
    copy = tmp_path / "cat.png"
    copy.write_bytes(Path("cat.png").read_bytes())
    assert look(copy) == "a cat"
"""


def test_content_is_recorded_once_and_reviewed_by_its_hash(project: Project) -> None:
    """All tests of a project share their blobs; a snapshot shows an image as a line; another image is a named miss."""
    cat, dog = b"cat" * 1000, b"dog" * 1000
    (project.path / "cat.png").write_bytes(cat)
    project.write(eye=EYE, test_eye=TEST)
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=2)
    name = sha256(cat).hexdigest()
    blobs = [path for path in (project.path / "cassettes" / "blobs").rglob("*") if len(path.name) == 64]
    assert blobs == [project.path / "cassettes" / "blobs" / name[:2] / name]
    assert (project.path / "cassettes" / "blobs" / ".gitattributes").read_text() == "* -text\n"
    snapshot = (project.path / "__snapshots__" / "test_eye" / "test_one.md").read_text()
    assert snapshot.endswith(f"\n```\n\nattached: `image`, `image/png`, 3,000 bytes, SHA-256 `{name[:16]}`\n")
    project.pytest().assert_outcomes(passed=2)

    (project.path / "cat.png").write_bytes(dog)
    result = project.pytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "changed: the argument 'photo' of look",
            f"-[[]image: image/png, 3,000 bytes, SHA-256 {name[:16]}[]]",
            f"+[[]image: image/png, 3,000 bytes, SHA-256 {sha256(dog).hexdigest()[:16]}[]]",
            "  missed in 2 tests: the argument 'photo' of look",
        ]
    )
