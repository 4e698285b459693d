"""Where cassettes lie: names that are readable, safe on every file system, and never shared by two tests."""

from __future__ import annotations

import itertools
import re

import pytest

from llm_strategy.cassette.naming import fixture_cassette, named_cassette, test_cassette

test_cassette.__test__ = False

PLAIN = [
    ("tests/a/test_x.py::TestC::test_y[p]", "tests/a/test_x/TestC.test_y[p].yaml"),
    ("tests/a/test_x.py::test_y", "tests/a/test_x/test_y.yaml"),
    ("test_x.py::test_y", "test_x/test_y.yaml"),
    ("test_x.py::TestA::TestB::test_y[1-two]", "test_x/TestA.TestB.test_y[1-two].yaml"),
    ("test_x.py::test_y[gpt-4.1=a,b+c@d(e)]", "test_x/test_y[gpt-4.1=a,b+c@d(e)].yaml"),
]


@pytest.mark.parametrize(("nodeid", "path"), PLAIN)
def test_a_plain_test_id_is_its_cassettes_path(nodeid: str, path: str) -> None:
    """So that a person finds the one from the other."""
    assert str(test_cassette(nodeid)) == path


DIFFICULT = [
    "test_x.py::test_y[a/b]",
    "test_x.py::test_y[ab]",
    "test_x.py::test_y[a\\b]",
    "test_x.py::test_y[a:b]",
    "test_x.py::test_y[a?b]",
    "test_x.py::test_y[a b]",
    "test_x.py::test_y[a  b]",
    "test_x.py::test_y[AB]",
    "test_x.py::test_y[Ab]",
    "test_x.py::test_y[\N{SNOWMAN}]",
    "test_x.py::test_y[\U0001f600]",
    "test_x.py::test_y[\\ud800]",
    "test_x.py::test_y[..]",
    "test_x.py::test_y[../../etc/passwd]",
    "test_x.py::test_y[a::b]",
    "test_x.py::test_y[a\nb]",
    "test_x.py::test_y[]",
    "test_x.py::test_y",
    "test_x.py::test_y[" + "x" * 300 + "]",
    "test_x.py::test_y[" + "x" * 301 + "]",
    "test_x.py::test_ü",
    "test_x.py::test_ö",
    "test_x.py::con",
    "test_x.py::CON",
    "test_x.py::nul.x",
    "test_x.py::lpt1[a]",
    "con.py::test_y",
    "test_x.py::.hidden",
    "a b/test_x.py::test_y",
    "a-b/test_x.py::test_y",
    "../outside/test_x.py::test_y",
]


def test_no_two_tests_share_a_file() -> None:
    """Not even where upper and lower case are the same."""
    places = {nodeid: str(test_cassette(nodeid)).lower() for nodeid in DIFFICULT}

    for one, another in itertools.combinations(places, 2):
        assert places[one] != places[another], (one, another)


@pytest.mark.parametrize("nodeid", DIFFICULT)
def test_a_name_is_safe_on_every_file_system(nodeid: str) -> None:
    """No reserved characters or names, not too long, and never outside the folder."""
    path = test_cassette(nodeid)

    assert path.suffix == ".yaml"
    for part in path.parts:
        assert re.fullmatch(r"[A-Za-z0-9_.,=+@()\[\]-]+", part)
        assert len(part) <= 120
        assert part not in (".", "..")
        assert not part.startswith(".")
        assert not part.endswith(".")
        assert part.partition(".")[0].lower() not in ("con", "nul", "aux", "prn", "lpt1")


def test_a_name_does_not_change_from_run_to_run() -> None:
    """A hash of the test's id stands where the readable name alone would not be unique."""
    assert str(test_cassette("test_x.py::test_y[a/b]")) == "test_x/test_y[a-b]-cfe4be60.yaml"


FIXTURES = [
    (("tests/conftest.py", "database", None), "tests/conftest/fixtures/database.yaml"),
    (("tests/conftest.py", "database", "pg"), "tests/conftest/fixtures/database[pg].yaml"),
    (("test_x.py", "database", None), "test_x/fixtures/database.yaml"),
]


@pytest.mark.parametrize(("arguments", "path"), FIXTURES)
def test_a_wider_fixture_has_a_cassette_beside_those_of_its_module(
    arguments: tuple[str, str, str | None], path: str
) -> None:
    """With its parameter, where it has one."""
    assert str(fixture_cassette(*arguments)) == path


NAMED = [("search", "search.yaml"), ("shop/search", "shop/search.yaml"), ("search.yaml", "search.yaml")]


@pytest.mark.parametrize(("name", "path"), NAMED)
def test_a_cassette_can_be_named(name: str, path: str) -> None:
    """Folders are allowed, and the ending may be written."""
    assert str(named_cassette(name)) == path


@pytest.mark.parametrize("name", ["../x", "a/../../x", "", "/", ".", ".."])
def test_a_name_does_not_leave_the_folder(name: str) -> None:
    """A marker with such a name is refused."""
    with pytest.raises(ValueError, match="leaves the folder of the cassettes: give a plain name"):
        named_cassette(name)
