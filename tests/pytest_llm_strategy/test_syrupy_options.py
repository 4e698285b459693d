"""The options of syrupy, as those who know them expect, with transcripts of prompts."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.pytest_llm_strategy.conftest import Project
from tests.pytest_llm_strategy.snapshot_project import files, lighten, read, write

CHANGED = "- Name the season of a month."


@pytest.fixture(params=["fixture", "option"])
def project(project: Project, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Project:
    """Two tests whose prompts are accepted; by the fixture, or by the option for all tests."""
    with_option = request.param == "option"
    lighten(project, monkeypatch, f"llm_prompt_snapshots = {str(with_option).lower()}")
    fixtures = "" if with_option else "llm_calls, prompt_snapshot"
    lines: list[str] = []
    for name, month in (("find", 1), ("other", 2)):
        lines += [f"def test_{name}({fixtures}):", f"    season({month})"]
        lines += [] if with_option else ["    assert llm_calls == prompt_snapshot"]
    write(project, *lines)
    project.pytest("--snapshot-update").assert_outcomes(passed=2)
    return project


def change(project: Project) -> None:
    project.edit("it.py", "of a month", "that a month is in")


def drop(project: Project) -> None:
    """Take a test away, whose transcript then is unused."""
    text = (project.path / "test_it.py").read_text()
    (project.path / "test_it.py").write_text(text[: text.index("def test_other")])


def test_details(project: Project) -> None:
    """`--snapshot-details` names the transcripts that were written, changed and deleted."""
    change(project)
    drop(project)
    result = project.pytest("--snapshot-update", "--snapshot-details")
    result.stdout.fnmatch_lines(
        [
            "1 snapshot updated. 1 unused snapshot deleted.",
            "Deleted test_other (__snapshots__/test_it/test_other.md)",
            "*",
            "Updated test_find (__snapshots__/test_it/test_find.md)",
        ]
    )


def test_unused_transcripts_may_be_only_warned_of_or_kept(project: Project) -> None:
    """`--snapshot-warn-unused`, `--snapshot-no-cleanup` and `--snapshot-disable-unused` leave them where they are."""
    drop(project)
    assert project.pytest().ret == 1
    assert project.pytest("--snapshot-warn-unused").ret == 0
    assert project.pytest("--snapshot-update", "--snapshot-no-cleanup").ret == 0
    assert project.pytest("--snapshot-update", "--snapshot-disable-unused").ret == 0
    assert files(project) == ["test_find.md", "test_other.md"]


def test_only_new_transcripts(project: Project) -> None:
    """`--snapshot-update-new-only` writes what is missing and changes nothing."""
    (project.path / "__snapshots__/test_it/test_other.md").unlink()
    before = read(project)
    change(project)
    project.pytest("--snapshot-update-new-only").assert_outcomes(passed=1, failed=1)
    assert read(project) == before
    assert "that a month is in" in read(project, "test_other.md")


def test_without_the_lines(project: Project) -> None:
    """`--snapshot-diff-mode=disabled` leaves what has changed, and how it is accepted."""
    change(project)
    result = project.pytest("-vv", "--snapshot-diff-mode=disabled")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*changed: the docstring of season", "*To accept: pytest --snapshot-update *"])
    result.stdout.no_fnmatch_line(f"*{CHANGED}*")


def test_another_folder(project: Project) -> None:
    """`--snapshot-dirname` moves the transcripts."""
    project.pytest("--snapshot-update", "--snapshot-dirname=prompts").assert_outcomes(passed=2)
    assert (project.path / "prompts/test_it/test_find.md").read_text() == read(project)
    project.pytest("--snapshot-dirname=prompts").assert_outcomes(passed=2)


def test_another_default_extension(project: Project) -> None:
    """`--snapshot-default-extension` is about other snapshots: transcripts stay what they are."""
    project.pytest("--snapshot-default-extension=syrupy.extensions.json.JSONSnapshotExtension").assert_outcomes(
        passed=2
    )


def on_a_terminal(project: Project, *options: str) -> str:
    """What pytest writes to a terminal."""
    pty = pytest.importorskip("pty", reason="there are terminals on POSIX only")
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:langsmith_plugin", "-p", "no:randomly", *options]
    with subprocess.Popen(command, cwd=project.path, stdout=inner, stderr=inner, stdin=subprocess.DEVNULL) as process:
        os.close(inner)
        said = b""
        # The end of a terminal is an error.
        with suppress(OSError):
            while piece := os.read(outer, 10_000):
                said += piece
        process.wait()
    os.close(outer)
    return said.decode()


def test_colours(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal lines and words are coloured; `--snapshot-no-colors` and NO_COLOR turn that off."""
    for name in ("NO_COLOR", "ANSI_COLORS_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    change(project)
    word = "\x1b[48;5;90m\x1b[38;5;225mof\x1b[0m"
    assert word in on_a_terminal(project, "-vv")
    assert word not in on_a_terminal(project, "-vv", "--snapshot-no-colors")
    monkeypatch.setenv("NO_COLOR", "1")
    assert word not in on_a_terminal(project, "-vv")


def test_selections(project: Project) -> None:
    """With `-k`, a path or `--lf` the transcripts of other tests are neither unused nor deleted."""
    for options in ["-k", "find"], ["test_it.py::test_other"], ["-k", "find", "-n", "2"]:
        result = project.pytest("--snapshot-update", *options)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["1 snapshot passed."])
    assert files(project) == ["test_find.md", "test_other.md"]


def test_a_skipped_test_keeps_its_transcript(project: Project) -> None:
    """Who skips a test today may run it tomorrow."""
    for mark in "pytest.skip('later')", "pytest.importorskip('no_such_module')":
        text = (project.path / "test_it.py").read_text()
        (project.path / "test_it.py").write_text(text.replace("    season(2)", f"    {mark}\n    season(2)"))
        project.pytest("--snapshot-update").assert_outcomes(passed=1, skipped=1)
        assert files(project) == ["test_find.md", "test_other.md"]


def test_the_diff_of_pycharm(project: Project) -> None:
    """`--snapshot-patch-pycharm-diff` does no harm where PyCharm is not."""
    change(project)
    result = project.pytest("--snapshot-patch-pycharm-diff", "-W", "ignore")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*changed: the docstring of season"])
