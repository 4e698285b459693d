"""`llm-strategy merge`: two branches that have recorded into one cassette."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from llm_strategy import Cassette, CassetteError, ScriptedModel, llm_strategy, use_cassette
from llm_strategy.cassette.verification import problems
from llm_strategy.cli import main
from tests.llm_strategy.answers import argument, reply
from tests.llm_strategy.programs import ROOT

Ask = tuple[str, int]
"""A question, and what the model answers."""


def record(path: Path, *asks: Ask, name: str = "test:model") -> None:
    """Record these calls, in this order, and no others; a question may come twice."""
    answers = iter(asks)

    def answer(request: Any) -> str:
        question, value = next(answers)
        assert argument(request, "question") == question
        return reply(value)

    model = ScriptedModel(answer, name=name, recorded=True)

    @llm_strategy(model)
    def ask(question: str) -> int:
        """Answer."""
        raise NotImplementedError

    path.unlink(missing_ok=True)
    with use_cassette(path, "new"):
        for question, value in asks:
            assert ask(question) == value


def held(path: Path) -> list[Ask]:
    """The calls in a file, in its order."""
    return [
        (argument(call.request, "question"), int(call.response.content.partition(": ")[2].rstrip("}")))
        for call in Cassette(path)
    ]


A, B, C, D, X, Y = (("a", 1), ("b", 2), ("c", 3), ("d", 4), ("x", 5), ("y", 6))
A2, A3, B9, B8 = (("a", 12), ("a", 13), ("b", 9), ("b", 8))
MERGES: dict[str, tuple[list[Ask], list[Ask], list[Ask], list[Ask]]] = {
    "nothing changed": ([A, B], [A, B], [A, B], [A, B]),
    "ours adds": ([A], [A, B], [A], [A, B]),
    "theirs adds": ([A], [A], [A, B], [A, B]),
    "both add at the end": ([A], [A, X], [A, Y], [A, X, Y]),
    "both add at the beginning": ([A], [X, A], [Y, A], [X, Y, A]),
    "both add the same": ([A], [A, X], [A, X], [A, X]),
    "theirs adds beside its neighbours": ([A, B, C], [A, B, X, C], [A, Y, B, C, D], [A, Y, B, X, C, D]),
    "a file of each side": ([], [A, B], [X, Y], [A, B, X, Y]),
    "ours changes": ([A, B, C], [A, B9, C], [A, B, C], [A, B9, C]),
    "theirs changes": ([A, B, C], [A, B, C], [A, B9, C], [A, B9, C]),
    "both change alike": ([A, B, C], [A, B9, C], [A, B9, C, D], [A, B9, C, D]),
    "ours deletes": ([A, B, C], [A, C], [A, B, C], [A, C]),
    "theirs deletes": ([A, B, C], [A, B, C, D], [A, C], [A, C, D]),
    "both delete": ([A, B, C], [A, C], [A, C], [A, C]),
    "all is deleted": ([A, B], [], [A, B], []),
    "theirs has another order": ([A, B, C], [A, B, C], [C, B, A, D], [A, D, B, C]),
    "ours has another order": ([A, B, C], [C, B, A], [A, X, B, C], [C, B, A, X]),
    "a second answer": ([A, B], [A, B, A2], [A, B, C], [A, B, A2, C]),
    "a second answer of theirs": ([A, B], [A, B, C], [A, A2, B], [A, A2, B, C]),
    "the first of two is deleted": ([A, A2, B], [A2, B], [A, A2, B], [A2, B]),
    "a third answer to what ours asks no more": ([A, A2, B], [B], [A, A2, A3, B], [A, A2, A3, B]),
}


def merged(folder: Path, base: list[Ask], ours: list[Ask], theirs: list[Ask]) -> tuple[int, Path]:
    paths = [folder / f"{name}.yaml" for name in ("base", "ours", "theirs")]
    for path, asks in zip(paths, (base, ours, theirs), strict=True):
        record(path, *asks)
        if not path.exists():
            path.write_bytes(b"")
    return main(["merge", *map(str, paths), "cassettes/x.yaml"]), paths[1]


@pytest.mark.parametrize("name", MERGES)
def test_the_calls_of_both_branches_are_kept(name: str, tmp_path: Path) -> None:
    """In the order of ours, with the additions of theirs beside their neighbours."""
    base, ours, theirs, expected = MERGES[name]
    code, path = merged(tmp_path, base, ours, theirs)

    assert code == 0
    assert held(path) == expected
    assert list(problems(path)) == []


CONFLICTS: dict[str, tuple[list[Ask], list[Ask], list[Ask]]] = {
    "both change": ([A, B, C], [A, B9, C], [A, B8, C]),
    "both add": ([A], [A, B9], [A, B8]),
    "ours changes, theirs deletes": ([A, B, C], [A, B9, C], [A, C]),
    "ours deletes, theirs changes": ([A, B, C], [A, C], [A, B9, C]),
    "both add a second answer": ([A, B], [A, A2, B], [A, A3, B]),
}


@pytest.mark.parametrize("name", CONFLICTS)
@pytest.mark.parametrize("kept", ["ours", "theirs"])
def test_where_both_have_changed_a_call_both_stand_between_markers(
    name: str, kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole documents, so that a person takes one of them; until then readers refuse the file, with the line."""
    code, path = merged(tmp_path, *CONFLICTS[name])
    text = path.read_text("utf-8")

    assert code == 1
    said = capsys.readouterr().err
    assert "cassettes/x.yaml: both branches have changed the recording of ask" in said
    assert "then: llm-strategy verify cassettes/x.yaml" in said
    line = text[: text.index("<<<<<<< ours")].count("\n") + 1
    with pytest.raises(CassetteError, match=rf"ours\.yaml:{line}: git left conflict markers"):
        Cassette(path)

    before, _, rest = text.partition("<<<<<<< ours\n")
    mine, _, rest = rest.partition("=======\n")
    others, _, after = rest.partition(">>>>>>> theirs\n")
    path.write_text(before + (mine if kept == "ours" else others) + after, "utf-8")
    assert list(problems(path)) == []


def test_headers_are_merged(tmp_path: Path) -> None:
    """All that has answered or rendered is named; a field that one side has added stays."""
    base, ours, theirs = (tmp_path / f"{name}.yaml" for name in ("base", "ours", "theirs"))
    record(base, A, name="test:one")
    record(ours, A, B, name="test:one")
    record(theirs, A, C, name="test:two")
    own = f'rendered_by: "pydantic {pydantic.VERSION}"'
    changed = theirs.read_text("utf-8").replace(own, 'rendered_by: "pydantic 2.10.0"\nnote: "kept"', 1)
    theirs.write_text(changed, "utf-8")

    assert main(["merge", str(base), str(ours), str(theirs)]) == 0
    header = Cassette(ours).header
    assert header["answered_by"] == ["test:one", "test:two"]
    assert header["rendered_by"] == [f"pydantic {pydantic.VERSION}", "pydantic 2.10.0"]
    assert header["note"] == "kept"


def test_a_file_that_is_not_there_counts_as_empty(tmp_path: Path) -> None:
    """Where only one side has it, its calls are the result."""
    record(tmp_path / "theirs.yaml", A, B)

    assert main(["merge", *(str(tmp_path / f"{name}.yaml") for name in ("base", "ours", "theirs"))]) == 0
    assert held(tmp_path / "ours.yaml") == [A, B]


@pytest.mark.parametrize("damaged", ["ours", "theirs"])
def test_a_damaged_version_is_not_merged(damaged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are kept between markers, to the byte: an older version may mend it."""
    paths = {name: tmp_path / f"{name}.yaml" for name in ("base", "ours", "theirs")}
    record(paths["base"], A)
    record(paths["ours"], A, B)
    record(paths["theirs"], A, C)
    paths[damaged].write_bytes(paths[damaged].read_bytes().replace(b"\n---\nkey", b"\n-x-\nkey"))
    texts = {name: path.read_bytes() for name, path in paths.items()}

    assert main(["merge", *map(str, paths.values()), "x.yaml"]) == 5
    assert f"x.yaml: not merged, the version of {damaged} cannot be read" in capsys.readouterr().err
    expected = b"<<<<<<< ours\n" + texts["ours"] + b"=======\n" + texts["theirs"] + b">>>>>>> theirs\n"
    assert paths["ours"].read_bytes() == expected


def test_a_base_that_cannot_be_read_only_means_that_nothing_counts_as_deleted(tmp_path: Path) -> None:
    """Git makes one up, with conflicts, where branches were merged crosswise."""
    record(tmp_path / "ours.yaml", A, B)
    record(tmp_path / "theirs.yaml", A, C)
    (tmp_path / "base.yaml").write_bytes(b"<<<<<<< a\n=======\n>>>>>>> b\n")

    assert main(["merge", *(str(tmp_path / f"{name}.yaml") for name in ("base", "ours", "theirs"))]) == 0
    assert held(tmp_path / "ours.yaml") == [A, B, C]


# With git itself


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Git in a new repository that merges cassettes by the driver."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONPATH": str(ROOT),
    }

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments],
            cwd=tmp_path / "repository",
            env=environment,
            capture_output=True,
            text=True,
            check=check,
        )

    (tmp_path / "repository" / "cassettes").mkdir(parents=True)
    run("init", "-q", "-b", "main")
    program = f"{shlex.quote(sys.executable)} -c 'from llm_strategy.cli import main; raise SystemExit(main())'"
    run("config", "merge.llm-strategy.driver", f"{program} merge %O %A %B %P")
    (tmp_path / "repository" / ".gitattributes").write_text("cassettes/** merge=llm-strategy\n")
    return run


def branched(folder: Path, git: Any, base: list[Ask], ours: list[Ask], theirs: list[Ask]) -> Path:
    """A repository with the branches main and other, each with its own recordings; main is checked out."""
    path = folder / "repository" / "cassettes" / "a file.yaml"

    def commit(asks: list[Ask], message: str) -> None:
        if asks:
            record(path, *asks)
            git("add", "cassettes/*.yaml")
        git("commit", "-q", "-m", message)

    git("add", ".gitattributes")
    commit(base, "base")
    git("checkout", "-q", "-b", "other")
    commit(theirs, "theirs")
    git("checkout", "-q", "main")
    commit(ours, "ours")
    return path


@pytest.mark.parametrize("how", [("merge", "-q", "other"), ("rebase", "-q", "other"), ("cherry-pick", "other")])
@pytest.mark.parametrize("base", [[A, B], []], ids=["changed", "added"])
def test_git_merges_the_recordings_of_two_branches(
    how: tuple[str, ...], base: list[Ask], tmp_path: Path, git: Any
) -> None:
    """By merge, rebase and cherry-pick; a file that both branches have added as well."""
    path = branched(tmp_path, git, base, [*base, X, C], [*base, Y, D])
    git(*how)

    assert sorted(held(path)) == sorted([*base, X, C, Y, D])
    assert list(problems(path)) == []
    assert git("status", "--porcelain", "--untracked-files=no").stdout == ""


def test_git_says_that_there_is_a_conflict(tmp_path: Path, git: Any) -> None:
    """As for other files; `git merge --abort` takes it back."""
    path = branched(tmp_path, git, [A, B], [A, B9], [A, B8])
    done = git("merge", "-q", "other", check=False)

    assert done.returncode == 1
    assert "both branches have changed the recording of ask" in done.stderr
    assert git("status", "--porcelain", "--untracked-files=no").stdout == 'UU "cassettes/a file.yaml"\n'
    with pytest.raises(CassetteError, match="conflict markers"):
        Cassette(path)
    git("merge", "--abort")
    assert held(path) == [A, B9]
