"""`llm-strategy import`: an imported recording lies where the test that replays it looks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_strategy import Cassette
from llm_strategy.cli import main
from tests.llm_strategy import foreign

TESTS = """
import pytest

class TestShop:
    def test_search(self): ...

class TestOuter:
    class TestInner:
        async def test_deep(self): ...

def test_plain(): ...

if True:
    def test_twice(): ...
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with tests, in a folder and beside it."""
    monkeypatch.chdir(tmp_path)
    for module in ("tests/test_shop.py", "tests/unit/shop_test.py", "test_root.py"):
        Path(module).parent.mkdir(parents=True, exist_ok=True)
        Path(module).write_text(TESTS if module == "tests/test_shop.py" else "def test_here(): ...\n")
    Path("tests/test_other.py").write_text("def test_twice(): ...\n")
    return tmp_path


def record(path: str | Path) -> Path:
    """A recording of vcrpy."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(foreign.cassette(foreign.vcr()))
    return Path(path)


def written(folder: str = "cassettes") -> dict[str, object]:
    """The cassettes that there are, with their owners."""
    paths = sorted(path for path in Path(folder).rglob("*.yaml") if ".locks" not in path.parts)
    return {str(path.relative_to(folder)): Cassette(path).header.get("recorded_by") for path in paths}


PLACES = {
    # pytest-recording: <folder of the module>/cassettes/<module>/<class>.<test>.yaml
    "tests/cassettes/test_shop/test_plain.yaml": ("tests/test_shop/test_plain.yaml", "tests/test_shop.py::test_plain"),
    "tests/cassettes/test_shop/test_plain[a-b].yaml": (
        "tests/test_shop/test_plain[a-b].yaml",
        "tests/test_shop.py::test_plain[a-b]",
    ),
    "tests/cassettes/test_shop/test_plain[gpt-4.1].json": (
        "tests/test_shop/test_plain[gpt-4.1].yaml",
        "tests/test_shop.py::test_plain[gpt-4.1]",
    ),
    "tests/cassettes/test_shop/TestShop.test_search[1.5].yaml": (
        "tests/test_shop/TestShop.test_search[1.5].yaml",
        "tests/test_shop.py::TestShop::test_search[1.5]",
    ),
    "tests/cassettes/test_shop/TestInner.test_deep.yaml": (
        "tests/test_shop/TestOuter.TestInner.test_deep.yaml",
        "tests/test_shop.py::TestOuter::TestInner::test_deep",
    ),
    "tests/cassettes/test_gone/test_x.yaml": ("tests/test_gone/test_x.yaml", "tests/test_gone.py::test_x"),
    "tests/unit/cassettes/shop_test/test_here.yaml": (
        "tests/unit/shop_test/test_here.yaml",
        "tests/unit/shop_test.py::test_here",
    ),
    "tests/cassettes/test_shop/test_plain[A].yaml": (
        "tests/test_shop/test_plain[A]-d4ec3a0b.yaml",
        "tests/test_shop.py::test_plain[A]",
    ),
    "tests/cassettes/test_shop/shared.yaml": ("tests/cassettes/test_shop/shared.yaml", None),
    # promptecho and pytest-vcr: <folder of the module>/cassettes/<test>.yaml
    "tests/cassettes/test_search.yaml": (
        "tests/test_shop/TestShop.test_search.yaml",
        "tests/test_shop.py::TestShop::test_search",
    ),
    "tests/cassettes/TestShop.test_search.yaml": (
        "tests/test_shop/TestShop.test_search.yaml",
        "tests/test_shop.py::TestShop::test_search",
    ),
    "tests/unit/cassettes/test_here[x].yaml": (
        "tests/unit/shop_test/test_here[x].yaml",
        "tests/unit/shop_test.py::test_here[x]",
    ),
    "tests/cassettes/test_twice.yaml": ("tests/cassettes/test_twice.yaml", None),
    "tests/cassettes/shared.yaml": ("tests/cassettes/shared.yaml", None),
    # vcrpy: any path
    "fixtures/vcr_cassettes/synopsis.yaml": ("fixtures/vcr_cassettes/synopsis.yaml", None),
    "fixtures/synopsis.yml": ("fixtures/synopsis.yaml", None),
    "fixtures/synopsis": ("fixtures/synopsis.yaml", None),
    "tests/cassettes/helpers/login.yaml": ("tests/cassettes/helpers/login.yaml", None),
}


@pytest.mark.parametrize("path", PLACES)
def test_where_a_recording_goes(path: str) -> None:
    """A test's own recording becomes the cassette of that test; any other keeps its path for `use_cassette`."""
    record(path)
    assert main(["import", "tests" if path.startswith("tests") else "fixtures"]) == 0
    place, owner = PLACES[path]
    assert written() == {place: owner}


def test_the_place_does_not_depend_on_how_a_path_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, its folder, and the folder above lead to the same cassette."""
    path = record("tests/cassettes/test_shop/test_plain.yaml")
    for given in (path, path.parent, path.absolute(), Path("tests")):
        assert main(["import", str(given)]) == 0
    assert list(written()) == ["tests/test_shop/test_plain.yaml"]
    assert len(Cassette("cassettes/tests/test_shop/test_plain.yaml")) == 1


def test_another_folder_can_be_named() -> None:
    """`--to` names the folder of the cassettes."""
    record("tests/cassettes/test_shop/test_plain.yaml")
    assert main(["import", "tests", "--to", "recorded/here"]) == 0
    assert list(written("recorded/here")) == ["tests/test_shop/test_plain.yaml"]


def test_a_recording_from_elsewhere_keeps_its_path_in_the_folder(tmp_path: Path) -> None:
    """What lies outside of the project keeps its path below the folder that was named."""
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    record(elsewhere / "test_openai/test_x[a].yaml")
    for given in (elsewhere, Path("..", elsewhere.name)):
        assert main(["import", str(given)]) == 0
        assert written() == {"test_openai/test_x[a].yaml": None}


def test_a_file_that_lies_where_its_cassette_belongs_makes_room_only_when_told() -> None:
    """Recordings of tests beside the folder of cassettes have the very paths of their cassettes."""
    path = record("cassettes/test_root/test_here.yaml")
    before = path.read_bytes()
    assert main(["import", "cassettes"]) == 1
    assert path.read_bytes() == before
    assert main(["import", "cassettes", "--replace"]) == 0
    assert written() == {"test_root/test_here.yaml": "test_root.py::test_here"}
    assert sorted(each.name for each in path.parent.iterdir() if each.is_file()) == ["test_here.yaml"]


def test_a_file_does_not_make_room_for_a_part_of_it() -> None:
    """With `--replace`, too, a file stays where not everything in it can be imported."""
    path = Path("cassettes/test_root/test_here.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(foreign.cassette(foreign.vcr(), None))
    before = path.read_bytes()
    assert main(["import", "cassettes", "--replace"]) == 1
    assert path.read_bytes() == before
