"""What is kept for a review is no cassette: nothing replays from it, and what tidies up or looks for secrets knows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pytest

from llm_strategy import CassetteMiss, Media, ScriptedModel, Session, llm_strategy, use_cassette
from llm_strategy.cassette.judgement import judge
from llm_strategy.cassette.unreferenced import unreferenced
from llm_strategy.cli import main
from llm_strategy.review import Review
from tests.llm_strategy.answers import reply
from tests.llm_strategy.test_review import DOC, ask, finder, run

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_copied_from_it() -> None:
    """A call that only stands there is asked again, where a cassette's would be copied."""
    ask("cassettes/x.yaml", {"lamp": 1, "pot": 2})
    Path("cassettes/.replaced").mkdir()
    Path("cassettes/x.yaml").rename("cassettes/.replaced/x.yaml")
    session = Session("cassettes", mode="new")
    opened = session.open(Path("cassettes/y.yaml"), owner="test_x.py::test")
    session.enter(opened)
    assert finder({"lamp": 7}, DOC)("lamp") == 7
    session.leave(opened)
    session.close(opened, passed=True)
    assert (session.account.asked, session.account.copied) == (1, 0)
    session.finish()
    with use_cassette("cassettes/x.yaml"), pytest.raises(CassetteMiss):
        finder({}, DOC)("lamp")


def test_no_run_judges_it() -> None:
    """A complete run counts it neither as stale nor as a file that no test owns."""
    run("cassettes/x.yaml", {"lamp": 1})
    run("cassettes/x.yaml", {"lamp": 2}, mode="all")
    session = Session("cassettes")
    session.finish()
    judged = judge(session.run, Path.cwd(), 1)
    assert [Path(path).name for path in judged["ownerless"]] == ["x.yaml"]
    assert not any(".replaced" in path for path in judged["ownerless"])


def test_what_a_command_removes_is_not_pending() -> None:
    """Who prunes has decided; what a run has replaced in the same cassette still waits."""
    from llm_strategy.cassette.replaced import forget
    from llm_strategy.cassette.stale import recorded, remove
    from llm_strategy.cassette.store import open_file

    run("x.yaml", {"lamp": 1, "pot": 2})
    run("x.yaml", {"lamp": 7, "pot": 2}, mode="all")
    gone = [recorded(entry) for entry in open_file("x.yaml").entries][1:]
    remove(Path("x.yaml"), gone)
    assert len(Review(".").pending()) == 2
    forget(Path("x.yaml"), [entry.fingerprint for entry in gone])
    (item,) = Review(".").pending()
    assert item.change.kind == "answer changed"


def test_a_secret_in_it_is_found(capsys: Printed) -> None:
    """It lies on the disk like a cassette; `scan --fix` takes it out there, too."""
    ask("cassettes/x.yaml", {"lamp": 1})
    ask("cassettes/x.yaml", {"lamp": 2})
    kept = Path("cassettes/.replaced/x.yaml")
    secret = "sk-" + "proj-" + "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2Yz3Ab4Cd5Ef6"
    kept.write_text(kept.read_text("utf-8").replace('"test:m"', f'"test:m {secret}"'), "utf-8")
    assert main(["scan"]) == 1
    assert ".replaced/x.yaml" in capsys.readouterr().out
    main(["scan", "--fix"])
    assert secret not in kept.read_text("utf-8")


def test_the_content_that_it_refers_to_stays() -> None:
    """A picture of a replaced call is kept as long as that may come back, also by undoing a decision."""

    def look(picture: Annotated[bytes, Media("image/png")]) -> int:
        """Say what it shows."""
        raise NotImplementedError

    for data in (b"a" * 3000, b"b" * 3000):
        session = Session("cassettes", mode="new")
        opened = session.open(Path("cassettes/x.yaml").absolute(), owner="test_x.py::test")
        session.enter(opened)
        llm_strategy(ScriptedModel(lambda _: reply(1), name="test:m", recorded=True))(look)(data)
        session.leave(opened)
        session.close(opened, passed=True)
        session.finish()
    blobs = [path for path in Path("cassettes/blobs").rglob("??/*") if path.is_file()]
    assert len(blobs) == 2
    for path in blobs:
        os.utime(path, (0, 0))
    folder = Path("cassettes")
    assert unreferenced(folder, {}) == []
    review = Review("cassettes")
    review.reject(review.pending())
    assert unreferenced(folder, {}) == []
    review.undo()
    review.accept(review.pending())
    review.undo()
    review.reject(review.pending())
    assert main(["verify"]) == 0
