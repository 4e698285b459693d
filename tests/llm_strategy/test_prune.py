"""`llm-strategy prune`, and what `verify` and `ls` say of stale recordings and files without an owner."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest

from llm_strategy import Cassette, Media, ScriptedModel, Session, llm_strategy, use_cassette
from llm_strategy.cli import main
from tests.llm_strategy.answers import counting, reply

PLACE = Path(".pytest_cache", "v", "llm-strategy", "run")
Printed = pytest.CaptureFixture[str]


@llm_strategy(counting())
def count(number: int) -> int:
    """Count."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda request: reply("a picture"), recorded=True))
def describe(photo: Annotated[bytes, Media("image/png")]) -> str:
    """Describe the photo."""
    raise NotImplementedError


def use(path: str, *numbers: int, mode: str = "new") -> None:
    with use_cassette(path, mode):
        for number in numbers:
            count(number)


def judge(
    *uses: tuple[str, Sequence[int]], own: dict[str, Sequence[int]] | None = None, doubt: Sequence[str] = ()
) -> Any:
    """A complete run that replays from shared cassettes and from those of tests, and what it leaves on record."""
    session = Session("cassettes")
    for path, numbers in uses:
        use(path, *numbers, mode="replay")
    for nodeid, numbers in (own or {}).items():
        opened = session.open(session.test_path(nodeid), owner=nodeid)
        session.enter(opened)
        for number in numbers:
            count(number)
        session.leave(opened)
        session.close(opened, passed=True)
    for nodeid in doubt:
        session.doubt(nodeid)
    session.finish()
    said = session.judged(None, root=Path.cwd(), complete=True, tests=len(uses))
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    PLACE.write_text(json.dumps(said), "utf-8")
    return said


def replies(path: str) -> list[str]:
    return [call.response.content for call in Cassette(path)] if Path(path).exists() else []


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two cassettes, of which a run has used a part."""
    monkeypatch.chdir(tmp_path)
    use("cassettes/a.yaml", 1, 2, 3)
    use("cassettes/b.yaml", 4)
    return tmp_path / "cassettes"


@pytest.fixture
def judged(folder: Path) -> Path:
    judge(("cassettes/a.yaml", [2]), ("cassettes/b.yaml", [4]))
    return folder


def run(capsys: Printed, *arguments: str) -> tuple[int, list[str], str]:
    capsys.readouterr()
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


# Stale recordings


def test_stale_recordings_are_listed_and_removed(judged: Path, capsys: Printed) -> None:
    """By file and line, with what it saves; `--dry-run` says the same and removes nothing."""
    before = {path: path.read_bytes() for path in judged.rglob("*.yaml")}
    kept = replies("cassettes/a.yaml")[1]
    code, out, _ = run(capsys, "prune", "--dry-run")
    assert (code, len(out)) == (0, 4)
    assert out[0].startswith("judged by the complete run that ended at ")
    assert out[0].endswith("(2 tests)")
    assert [line.rpartition(", ")[0] for line in out[1:3]] == [
        "cassettes/a.yaml:7: stale, count",
        "cassettes/a.yaml:95: stale, count",
    ]
    assert out[3].startswith("would remove 2 stale calls (")
    assert {path: path.read_bytes() for path in judged.rglob("*.yaml")} == before

    code, removed, _ = run(capsys, "prune")
    assert (code, removed[:3], removed[3]) == (0, out[:3], out[3].replace("would remove", "removed"))
    assert replies("cassettes/a.yaml") == [kept]
    assert (judged / "b.yaml").read_bytes() == before[judged / "b.yaml"]
    assert len(before[judged / "a.yaml"]) - (judged / "a.yaml").stat().st_size == _bytes(out[3])
    assert run(capsys, "prune")[1][1:] == ["nothing is removed"]


def _bytes(line: str) -> int:
    return int(line.rpartition("(")[2].split()[0].replace(",", ""))


def test_a_file_in_which_nothing_is_left_goes(capsys: Printed) -> None:
    """As it does when a test stops making calls."""
    judge(("cassettes/a.yaml", []), ("cassettes/b.yaml", [4]))
    assert run(capsys, "prune")[0] == 0
    assert not Path("cassettes/a.yaml").exists()


def test_of_equal_recordings_the_last_are_stale(capsys: Printed) -> None:
    """Whoever asks fewer times gets the first answers."""
    use("cassettes/equal.yaml", 5, 5, 5)
    first = replies("cassettes/equal.yaml")[0]
    judge(("cassettes/equal.yaml", [5]), ("cassettes/a.yaml", [1, 2, 3]), ("cassettes/b.yaml", [4]))
    run(capsys, "prune")
    assert replies("cassettes/equal.yaml") == [first]


def test_several_uses_of_one_cassette_are_added_up(capsys: Printed) -> None:
    """What any of them has asked for is not stale."""
    judge(("cassettes/a.yaml", [1]), ("cassettes/a.yaml", [2, 3]), ("cassettes/b.yaml", [4]))
    assert run(capsys, "prune")[1][1:] == ["nothing is removed"]


def test_only_named_places_are_pruned(capsys: Printed) -> None:
    """Files and folders, each looked at once."""
    judge(("cassettes/a.yaml", [2]), ("cassettes/b.yaml", []))
    code, out, _ = run(capsys, "prune", "cassettes/b.yaml", "cassettes/b.yaml", "./cassettes/b.yaml")
    assert (code, sum("stale" in line for line in out)) == (0, 2)
    assert len(replies("cassettes/a.yaml")) == 3


def test_cassettes_outside_the_folder_are_pruned_as_well(tmp_path: Path, capsys: Printed) -> None:
    """Where they lie in the project; those of temporary folders are no part of it."""
    use("data/c.yaml", 1, 2)
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere") / "d.yaml"
    use(str(elsewhere), 1, 2)
    judge(("data/c.yaml", [1]), (str(elsewhere), [1]))
    run(capsys, "prune")
    assert (len(replies("data/c.yaml")), len(replies(str(elsewhere)))) == (1, 2)


@pytest.mark.parametrize("change", ["asked again", "edited", "recorded after it", "rewritten"])
def test_what_was_changed_since_stays(judged: Path, change: str, capsys: Printed) -> None:
    """The record names what it has judged: whatever else stands in a file is not meant."""
    path = judged / "a.yaml"
    text = path.read_text("utf-8")
    if change == "asked again":
        use("cassettes/a.yaml", 1, 2, 3, mode="all")
    elif change == "edited":
        path.write_text(
            text.replace(replies("cassettes/a.yaml")[0], reply(77)).replace(replies("cassettes/a.yaml")[2], reply(78))
        )
    elif change == "recorded after it":
        use("cassettes/a.yaml", 9)
    else:
        path.write_text(text.replace("---\nkey", "---\n# a comment\nkey"))
    before = path.read_bytes()
    code, out, _ = run(capsys, "prune")
    assert code == 0
    if change == "recorded after it":
        assert len(replies("cassettes/a.yaml")) == 2
    else:
        assert (path.read_bytes(), out[-1]) == (before, "nothing is removed")


def test_a_later_run_takes_back_what_it_used(judged: Path, capsys: Printed) -> None:
    """Also one that was not complete."""
    session = Session("cassettes")
    use("cassettes/a.yaml", 1, mode="replay")
    session.finish()
    said = session.judged(json.loads(PLACE.read_text()), root=Path.cwd(), complete=False, tests=1)
    PLACE.write_text(json.dumps(said))
    assert "1 stale call (" in run(capsys, "prune")[1][-1]
    assert len(replies("cassettes/a.yaml")) == 2


# What holds a judgement back


def test_what_a_test_that_did_not_pass_may_use_is_kept(capsys: Printed) -> None:
    """With the reason; named and forced, it goes."""
    judge(("cassettes/a.yaml", [2]), ("cassettes/b.yaml", [4]), doubt=["test_x.py::test_skipped"])
    for arguments in (
        ["prune"],
        ["prune", "--force"],
        ["prune", "cassettes/a.yaml"],
        ["prune", "--force", "cassettes"],
    ):
        code, out, _ = run(capsys, *arguments)
        assert (code, out[-1]) == (0, "nothing is removed")
        assert "kept: test_x.py::test_skipped did not pass in that run" in out[1]
        assert out[1].endswith("--force cassettes/a.yaml")
    assert main(["verify"]) == 0
    assert run(capsys, "prune", "--force", "cassettes/a.yaml")[0] == 0
    assert len(replies("cassettes/a.yaml")) == 1


# Files without an owner


@pytest.fixture
def orphans(folder: Path) -> Path:
    """One recorded by a test that is gone, and one of which nobody says whose it is."""
    session = Session("cassettes", mode="new")
    opened = session.open(session.test_path("test_x.py::test_gone"), owner="test_x.py::test_gone")
    session.enter(opened)
    count(7)
    session.leave(opened)
    session.close(opened, passed=True)
    session.finish()
    judge(("cassettes/a.yaml", [1, 2, 3]))
    return folder


GONE, UNUSED = "cassettes/test_x/test_gone.yaml", "cassettes/b.yaml"


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ([], [GONE, UNUSED]),
        ([GONE], [GONE, UNUSED]),
        (["--dry-run", "--orphans"], [GONE, UNUSED]),
        (["--orphans"], [UNUSED]),
        (["--orphans", "cassettes"], [UNUSED]),
        (["--orphans", UNUSED], [GONE]),
        (["--orphans", UNUSED, "cassettes"], []),
    ],
)
def test_files_without_an_owner_go_only_where_that_is_asked(
    orphans: Path, arguments: list[str], left: list[str], capsys: Printed
) -> None:
    """Those whose test is gone with `--orphans`; those that a program may use only by their names."""
    code, out, _ = run(capsys, "prune", *arguments)
    assert code == 0
    assert [path for path in (GONE, UNUSED) if Path(path).exists()] == left
    assert any("no test owns it, recorded by test_x.py::test_gone, 1 call" in line for line in out) == (
        arguments != ["--orphans", UNUSED]
    )
    assert len(replies("cassettes/a.yaml")) == 3


def test_a_file_that_was_written_since_has_an_owner_again(orphans: Path, capsys: Printed) -> None:
    """The record means the file as it was."""
    use(GONE, 8)
    assert run(capsys, "prune", "--orphans")[1][-1] == "nothing is removed"


def test_leftovers_are_listed_and_deleted_when_asked(judged: Path, capsys: Printed) -> None:
    """What a failed re-recording has paid for is nobody's to throw away."""
    shutil.copy(judged / "b.yaml", judged / "b.new.yaml")
    assert "left by a re-recording" in "".join(run(capsys, "prune", "--orphans")[1])
    assert (judged / "b.new.yaml").exists()
    run(capsys, "prune", "--leftovers")
    assert not (judged / "b.new.yaml").exists()


# Blobs


@pytest.fixture
def blobs(folder: Path) -> Callable[[], int]:
    """Binary content of two recordings, of which one is stale; it was written long ago."""
    for name, letter in (("c", b"c"), ("d", b"d")):
        with use_cassette(f"cassettes/{name}.yaml", "new"):
            describe(letter * 3000)
    paths = list(folder.rglob("blobs/??/*"))
    for path in paths:
        os.utime(path, (0, 0))
    uses = [(f"cassettes/{name}.yaml", numbers) for name, numbers in (("a", [1, 2, 3]), ("b", [4]), ("c", []))]
    judge(*uses)
    return lambda: sum(path.exists() for path in paths)


def test_content_to_which_nothing_refers_goes(blobs: Callable[[], int], capsys: Printed) -> None:
    """With the last recording that has it; the dry run knows that already."""
    code, out, _ = run(capsys, "prune", "--dry-run")
    assert (code, blobs()) == (0, 2)
    assert out[-1].endswith("1 blob (3,000 bytes)")
    assert run(capsys, "prune")[1][-1] == out[-1].replace("would remove", "removed")
    assert blobs() == 1
    with use_cassette("cassettes/d.yaml"):
        assert describe(b"d" * 3000) == "a picture"


def test_content_of_files_that_are_not_in_use_stays(folder: Path, blobs: Callable[[], int], capsys: Printed) -> None:
    """A pending recording refers to it too."""
    shutil.copy(folder / "c.yaml", folder / "c.new.yaml")
    run(capsys, "prune")
    assert blobs() == 2


def test_content_that_was_just_written_stays(folder: Path, capsys: Printed) -> None:
    """The call that refers to it may be about to be written."""
    young = folder / "blobs" / "ab" / ("ab" * 32)
    young.parent.mkdir(parents=True)
    young.write_bytes(b"x")
    judge(("cassettes/a.yaml", [1, 2, 3]), ("cassettes/b.yaml", [4]))
    assert run(capsys, "prune")[1][-1] == "nothing is removed"
    os.utime(young, (0, 0))
    run(capsys, "prune", "cassettes/a.yaml")
    assert young.exists()
    run(capsys, "prune")
    assert not young.exists()


def test_nothing_is_removed_where_a_cassette_cannot_be_read(
    folder: Path, blobs: Callable[[], int], capsys: Printed
) -> None:
    """What it refers to is not known: code 5, and all content stays."""
    (folder / "damaged.yaml").write_text("<<<<<<< HEAD\n")
    code, _, errors = run(capsys, "prune")
    assert (code, blobs()) == (5, 2)
    assert "damaged.yaml" in errors


# Without a judgement, or with another


def test_without_a_complete_run_nothing_is_known(folder: Path, capsys: Printed) -> None:
    """Code 3, and the command."""
    code, out, errors = run(capsys, "prune")
    assert (code, out) == (3, ["nothing is removed"])
    assert "make one: pytest" in errors
    assert main(["verify"]) == 0


def test_the_record_is_found_from_a_folder_below_and_goes_with_the_project(
    judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    """A copy of a project is pruned, never its original."""
    copy = tmp_path.with_name(f"{tmp_path.name}-copy")
    shutil.copytree(tmp_path, copy)
    monkeypatch.chdir(copy / "cassettes")
    assert run(capsys, "prune")[0] == 0
    assert (len(Cassette(copy / "cassettes/a.yaml")), len(Cassette(judged / "a.yaml"))) == (1, 3)


@pytest.mark.parametrize("linked", [False, True], ids=["a repository", "a further working tree"])
def test_a_record_holds_for_the_branch_that_was_checked_out(folder: Path, linked: bool, capsys: Printed) -> None:
    """What one branch does not ask for, another may."""
    git = Path(".git")
    if linked:
        git.write_text("gitdir: elsewhere/worktree\n")
        git = Path("elsewhere/worktree")
    git.mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    judge(("cassettes/a.yaml", [2]), ("cassettes/b.yaml", [4]))
    (git / "HEAD").write_text("ref: refs/heads/feature\n")
    code, _, errors = run(capsys, "prune")
    assert (code, "for what is checked out" in errors) == (3, True)
    assert run(capsys, "verify")[0] == 0
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert run(capsys, "verify")[0] == 4


def test_another_record_can_be_named(judged: Path, tmp_path: Path, capsys: Printed) -> None:
    """Where pytest's cache is elsewhere."""
    PLACE.rename("run.json")
    assert run(capsys, "prune", "--run", "run.json")[0] == 0
    assert len(replies("cassettes/a.yaml")) == 1
    code, _, errors = run(capsys, "prune", "--run", "none.json")
    assert (code, "none.json" in errors) == (3, True)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"version": 2}', '{"version": 1, "root": 5}', "\0"])
def test_a_record_that_cannot_be_read_is_code_5(judged: Path, content: str, capsys: Printed) -> None:
    """To `prune`; to the others it is as none, and said."""
    PLACE.write_text(content)
    code, _, errors = run(capsys, "prune")
    assert code == 5
    assert "make a new one: pytest" in errors
    for command in ("verify", "ls"):
        code, _, errors = run(capsys, command)
        assert (code, "cannot be read" in errors) == (0, True)


def test_a_missing_place_is_code_3_and_a_damaged_file_code_5(judged: Path, capsys: Printed) -> None:
    """The others are pruned all the same."""
    (judged / "damaged.yaml").write_text("<<<<<<< HEAD\n")
    code, _, errors = run(capsys, "prune", "none.yaml", "cassettes")
    assert (code, "none.yaml" in errors, "damaged.yaml" in errors) == (5, True, True)
    assert len(replies("cassettes/a.yaml")) == 1
    assert run(capsys, "prune", "none.yaml")[0] == 3


# Several processes


def test_the_sessions_of_several_processes_are_one_run(folder: Path) -> None:
    """Only what none of them asked for is stale, also in a cassette that two have opened as their own."""
    sessions = []
    for shared, own in ((1, 5), (2, 6)):
        session = Session("cassettes", mode="new")
        use("cassettes/a.yaml", shared)
        opened = session.open(Path("cassettes/fixtures/it.yaml"), owner="conftest.py::it")
        session.enter(opened)
        count(own)
        session.leave(opened)
        session.close(opened, passed=True)
        sessions.append(json.loads(json.dumps(session.to_json())))
        session.finish(prune=False)
    whole = Session("cassettes", mode="new")
    for said in sessions:
        whole.add(said)
    whole.finish()
    assert (whole.account.stale, whole.account.pruned, whole.account.asked) == (0, 0, 2)
    said = whole.judged(None, root=Path.cwd(), complete=True, tests=2)
    assert said is not None
    assert {name: len(found["entries"]) for name, found in said["stale"].items()} == {"cassettes/a.yaml": 1}
    assert list(said["ownerless"]) == ["cassettes/b.yaml"]


# verify and ls


def test_verify_ends_with_4_where_something_is_stale(judged: Path, capsys: Printed) -> None:
    """It names the place and the command; what is worse wins."""
    code, out, errors = run(capsys, "verify")
    assert (code, out) == (4, ["cassettes/b.yaml: good"])
    assert errors.splitlines() == [
        f"cassettes/a.yaml:{line}: stale: no test of the last complete run asks for this call of count; to remove it: "
        "llm-strategy prune cassettes/a.yaml"
        for line in (7, 95)
    ]
    (judged / "damaged.yaml").write_text("<<<<<<< HEAD\n")
    assert run(capsys, "verify")[0] == 5
    (judged / "damaged.yaml").unlink()
    run(capsys, "prune")
    assert run(capsys, "verify")[0] == 0


def test_ls_says_what_is_to_be_done(orphans: Path, capsys: Printed) -> None:
    """Stale, without an owner, pending or torn: a note each, with the command."""
    judge(("cassettes/a.yaml", [2]))
    shutil.copy(orphans / "a.yaml", orphans / "a.new.yaml")
    gone = Path(GONE)
    earlier = shutil.copy(gone, gone.with_name(f"{gone.stem}.earlier.new.yaml"))
    with (orphans / "a.yaml").open("a") as file:
        file.write("---\nkey: ")
    code, out, _ = run(capsys, "ls")
    assert code == 0
    assert [line.partition("answered by test:counter")[2] for line in out[:-1]] == [
        "; pending: its test did not pass; record again, or delete it: rm cassettes/a.new.yaml",
        "; torn: the last call was cut off and does not count; 2 stale: llm-strategy prune cassettes/a.yaml",
        "; no test owns it: llm-strategy prune --orphans cassettes/b.yaml",
        f", recorded by test_x.py::test_gone; pending: its test did not pass; record again, or use it: llm-strategy review {earlier}",
        f", recorded by test_x.py::test_gone; no test owns it: llm-strategy prune --orphans {GONE}",
    ]
    assert out[1].startswith("cassettes/a.yaml: 3 calls, answered by")
    assert out[-1].startswith("5 files, 9 calls, ")


def test_ls_prints_json(judged: Path, blobs: Callable[[], int], capsys: Printed) -> None:
    """One object, with what is not known as null."""
    printed = json.loads(run(capsys, "ls", "--json", "cassettes")[1][0])
    first = printed["cassettes"][0]
    assert (first["file"], first["calls"], first["answered_by"], first["recorded_by"]) == (
        "cassettes/a.yaml",
        3,
        ["test:counter"],
        None,
    )
    assert (first["pending"], first["torn"], first["stale"], first["ownerless"]) == (False, False, 0, False)
    assert first["bytes"] == (judged / "a.yaml").stat().st_size
    assert (printed["total"]["files"], printed["blobs"]) == (4, {"files": 2, "bytes": 6000})
    PLACE.unlink()
    first = json.loads(run(capsys, "ls", "--json")[1][0])["cassettes"][0]
    assert (first["stale"], first["ownerless"]) == (None, None)


def test_ls_aligns_columns_in_a_terminal(folder: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a head; whoever reads a pipe gets sentences."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    _, out, _ = run(capsys, "ls")
    assert out[:3] == [
        "FILE              CALLS  ANSWERED BY   RECORDED BY",
        "cassettes/a.yaml      3  test:counter  (shared)",
        "cassettes/b.yaml      1  test:counter  (shared)",
    ]


def test_ls_says_where_there_is_nothing(folder: Path, capsys: Printed) -> None:
    """Code 3, for each such place."""
    Path("empty").mkdir()
    code, out, errors = run(capsys, "ls", "empty", "none.yaml", "cassettes/a.yaml")
    assert (code, len(out)) == (3, 2)
    assert "there is no cassette below empty" in errors
    assert "there is no cassette at none.yaml" in errors


@pytest.mark.parametrize(
    "name", ["a b.yaml", "-x.yaml", "[a].yaml", "\u00e9\u4e2d.yaml", "x\x1b[31m.yaml", "x\n.yaml", "x'.yaml"]
)
def test_odd_names(tmp_path: Path, name: str, capsys: Printed) -> None:
    """A name stands on one line, steers no terminal, and is quoted where it is part of a command."""
    use(f"cassettes/{name}", 1, 2)
    judge((f"cassettes/{name}", [1]))
    code, out, _ = run(capsys, "ls")
    assert (code, len(out)) == (0, 4)
    assert all(line.isprintable() for line in out)
    assert len(run(capsys, "verify")[2].splitlines()) == 1
    assert run(capsys, "prune")[0] == 0
    assert len(replies(f"cassettes/{name}")) == 1
