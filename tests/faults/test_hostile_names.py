"""Test ids, fixtures and markers with any name: no two on one file, none outside the folder, all good everywhere."""

from __future__ import annotations

import itertools
import random
import re
import string
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_strategy import Session
from llm_strategy.cassette.naming import fixture_cassette, test_cassette
from tests.faults.conftest import Faults

test_cassette.__test__ = False

DEVICES = "con prn aux nul com1 com9 lpt1 CON Nul com¹ conin$ conout$ con.txt nul.tar.gz".split()
TEXTS = [
    *("/", "//", "a/b", "a\\b", "../../etc/passwd", "..", ".", "...", "a..", "a.", "a ", " a", "~", "~root", "$HOME", "%2e%2e", "%2e", "%2F"),
    *("\0", "a\0b", "\n", "\t", "\r\n", "\x1b[31m", "\x7f", "a:b", "a::b", "::", "a|b", "a*b", "a?b", "<a>", '"a"', "'a'", "a&b", "a;b"),
    *("é", "e\u0301", "É", "ﬁ", "fi", "ß", "ss", "SS", "İ", "i\u0307", "\u0131", "I", "K", "\u212a", "k", "Å", "\u212b", "ǅ", "ς", "\u03c3", "Σ"),
    *("😀", "👩‍👩‍👧", "\u202e", "\u200b", "a\u200bb", "\ufeff", "\ud800", "\udfff\ud800", "\U0010ffff", "中", "ไทย", "مرحبا"),
    *("A", "a", "AB", "Ab", "aB", "ab", "x" * 300, "x" * 301, "X" * 300, "😀" * 100, "x" * 99 + "é", "x" * 100, "x" * 101),
    *("a-b", "a--b", "a-b-cfe4be60", "-", "--help", "-rf", "#", "!", "@", "a,b", "a=b", "[", "]", "[]", "a[b]", "][", "{}", "()", "new", ".new", "yaml"),
    *(".yaml", "a.yaml", "a.new.yaml", ".git", ".gitignore", ".locks", "blobs", "fixtures", "__init__", "desktop.ini", "thumbs.db"),
    *DEVICES,
]  # fmt: skip
MODULES = "test_x.py tests/test_x.py a/b/test_x.py test_x test_x.txt test_x.yaml ../test_x.py ../../test_x.py /test_x.py ./test_x.py a//b/test_x.py a b/test_x.py a-b/test_x.py con.py aux/test_x.py nul.x/test_x.py é/test_x.py e\u0301/test_x.py test_x/fixtures.py ~/test_x.py C:/test_x.py a./test_x.py test_x-cfe4be60.py".replace("a b/", "a\tb/").split(" ")  # fmt: skip
DEEP = "/".join(["deep"] * 200) + "/test_x.py"
NAMES = "test_y test_x TestA::test_y TestA::TestB::test_y test_x.test_y test_x::test_y TestA.test_y con nul.x CON .hidden test_ü test_u\u0308 test_y-cfe4be60 test_y.new test_y.yaml".split()


def hostile_ids() -> list[str]:
    """A thousand test ids and some, no two of them equal."""
    ids = [f"test_x.py::test_y[{text}]" for text in TEXTS]
    ids += [f"test_x.py::test_y[{a}-{b}]" for a, b in itertools.pairwise(TEXTS)]
    ids += [f"test_x.py::TestC::test_y[{text}]" for text in TEXTS]
    ids += [f"{module}::{name}" for module in [*MODULES, DEEP] for name in NAMES]
    ids += [f"{text}::test_y" for text in TEXTS if text.casefold() == text]
    ids += [f"{text}/test_x.py::test_y" for text in TEXTS if text.casefold() == text]
    ids += [f"test_x.py::{text}" for text in TEXTS if text.casefold() == text]
    alphabet = string.printable + "éÉ😀\0\ud800"
    chooser = random.Random(4)
    ids += [f"test_x.py::test_y[{''.join(chooser.choices(alphabet, k=chooser.randrange(1, 12)))}]" for _ in range(300)]
    return list(dict.fromkeys(ids))


def folded(path: PurePosixPath) -> str:
    """The name as macOS and Windows compare it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", str(path)).casefold())


def check_parts(path: PurePosixPath) -> None:
    """Each part of the path can be a name on Linux, macOS and Windows, and none leads upwards."""
    assert not path.is_absolute()
    for part in path.parts:
        assert re.fullmatch(r"[A-Za-z0-9_.,=+@()\[\]-]+", part), part
        assert len(part) <= 120
        assert not part.startswith(".")
        assert not part.endswith((".", " "))
        assert part.partition(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "com9", "lpt1"}
    assert path.suffix == ".yaml"
    assert not path.name.endswith(".new.yaml")
    assert not any(part.endswith(".yaml") for part in path.parts[:-1])


def check_apart(paths: Iterable[tuple[str, PurePosixPath]]) -> int:
    """No two of them are one file, or a file where another needs a folder; returns how many there are."""
    found: dict[str, str] = {}
    for identity, path in paths:
        other = found.setdefault(folded(path), identity)
        assert other == identity, f"{other!r} and {identity!r} share {path}"
    folders = {folded(parent) for name in found for parent in PurePosixPath(name).parents}
    assert not folders & found.keys()
    return len(found)


def test_a_thousand_hostile_test_ids_have_a_file_each(faults: Faults) -> None:
    """Slashes, dots, NUL, 300 characters, twins in case and in Unicode, names of devices, deep folders."""
    ids = hostile_ids()
    assert len(ids) >= 1000
    paths = [(nodeid, test_cassette(nodeid)) for nodeid in ids]
    for _, path in paths:
        check_parts(path)
    count = check_apart(paths)
    faults.figures("hostile test ids on one file", ids=count, shared=0)


def test_test_ids_of_any_text_have_a_file_each() -> None:
    """Whatever characters a parameter, a class or a file is made of."""
    seen: dict[str, tuple[str, PurePosixPath]] = {}
    text = st.text(st.characters(), max_size=8) | st.sampled_from(TEXTS)

    @given(st.sampled_from(MODULES), st.sampled_from(NAMES), text)
    @settings(deadline=None, database=None)
    def check(module: str, name: str, parameters: str) -> None:
        nodeid = f"{module}::{name}[{parameters}]"
        path = test_cassette(nodeid)
        check_parts(path)
        other, _ = seen.setdefault(folded(path), (nodeid, path))
        assert other == nodeid

    check()


@given(st.text() | st.sampled_from(TEXTS), st.text(max_size=9) | st.none())
@settings(deadline=None, database=None)
def test_fixtures_of_any_name_have_a_file_each(fixture: str, parameter: str | None) -> None:
    """The twin in capitals has another."""
    path = fixture_cassette("tests/conftest.py", fixture, parameter)
    check_parts(path)
    if fixture.upper() != fixture:
        check_apart([("small", path), ("large", fixture_cassette("tests/conftest.py", fixture.upper(), parameter))])


def test_a_thousand_fixtures_have_a_file_each() -> None:
    """Beside those of tests."""
    names = [(fixture, parameter) for fixture in TEXTS for parameter in (None, *TEXTS[::12])]
    paths = [
        (f"{fixture!r}, {parameter!r}", fixture_cassette("test_x.py", fixture, parameter))
        for fixture, parameter in names
    ]
    for _, path in paths:
        check_parts(path)
    # `a` with the parameter `b` is called as the fixture `a[b]` is, which no program can define.
    assert check_apart(pair for pair in paths if "[" not in pair[0].partition(",")[0]) >= 1000


def test_names_of_markers_have_a_file_each(tmp_path: Path) -> None:
    """Or are refused: those that lead elsewhere, and those that differ from another in case only."""
    session = Session(tmp_path)
    paths = []
    try:
        for text in TEXTS:
            with suppress(ValueError):
                path = session.named_path(text)
                paths.append((text.removesuffix(".yaml").strip("/"), path.relative_to(tmp_path)))
    finally:
        session.finish()
    for _, relative in paths:
        check_parts(PurePosixPath(relative))
    assert check_apart((text, PurePosixPath(relative)) for text, relative in paths) > 100
    with pytest.raises(ValueError, match=r"'shop/A\.yaml' and 'shop/a\.yaml' would be one file"):
        _both(tmp_path, "shop/A", "shop/a")


def _both(folder: Path, *names: str) -> None:
    session = Session(folder)
    try:
        for name in names:
            session.named_path(name)
    finally:
        session.finish()


TWINS = """
from llm_strategy import ScriptedModel, llm_strategy

model = ScriptedModel(lambda request: '{"return_value": 1}', name="test:one", recorded=True)

@llm_strategy(model)
def one(name: str) -> int:
    '''One.'''
    raise NotImplementedError

def check(name):
    assert one(name) == 1
"""


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    plain = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:langsmith_plugin", "-p", "no:xdist")
    return pytester.runpytest_subprocess(*plain, *options, timeout=60)


def recorded(pytester: pytest.Pytester, tests: str) -> list[str]:
    """The cassettes of a run that records."""
    pytester.makepyfile(test_twins=TWINS + tests)
    run(pytester, "--llm-record").assert_outcomes(passed=tests.count("check("))
    found = sorted(path.name for path in Path(pytester.path, "cassettes").rglob("*.yaml"))
    run(pytester).assert_outcomes(passed=tests.count("check("))
    return found


def test_tests_that_differ_in_case_have_a_file_each(pytester: pytest.Pytester) -> None:
    """The one in smaller letters keeps its name when a twin comes along."""
    one = "def test_parse_json(): check('a')\n"
    assert recorded(pytester, one) == ["test_parse_json.yaml"]
    twins = recorded(pytester, one + "def test_parse_JSON(): check('b')\n")

    assert [re.sub("-[0-9a-f]{8}", "-#", name) for name in twins] == ["test_parse_JSON-#.yaml", "test_parse_json.yaml"]


def test_classes_that_differ_in_case_have_a_file_each(pytester: pytest.Pytester) -> None:
    """Their methods too; a class without a twin keeps its capitals."""
    names = recorded(
        pytester,
        "class TestA:\n    def test_x(self): check('a')\n"
        "class Testa:\n    def test_x(self): check('b')\n    def test_X(self): check('c')\n"
        "class TestB:\n    def test_x(self): check('d')\n",
    )
    assert [re.sub("-[0-9a-f]{8}", "-#", name) for name in names] == [
        "TestA.test_x-#.yaml",
        "TestB.test_x.yaml",
        "Testa.test_X-#.yaml",
        "Testa.test_x.yaml",
    ]
