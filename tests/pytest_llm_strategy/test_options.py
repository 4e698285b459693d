"""The plugin's options, ini options and marker."""

from __future__ import annotations

import pytest

from tests.pytest_llm_strategy.conftest import Project

TEST = """
from shop import shop

def test_find():
    assert shop.find("light")
"""


def test_a_path_after_the_option_is_a_path(project: Project) -> None:
    """`pytest --llm-record tests/` records the tests there; the path is not taken for a mode."""
    project.write(test_shop=TEST, test_other=TEST)
    project.pytest("--llm-record", "test_shop.py").assert_outcomes(passed=1)
    assert project.cassettes == ["test_shop/test_find.yaml"]


def test_an_unknown_mode_lists_the_valid_ones(project: Project) -> None:
    """A typo in the mode is a usage error that shows what can be written."""
    project.write(test_shop=TEST)
    result = project.pytest("--llm-record=once")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    for mode in ("new", "all", "live", "dry", "replay"):
        result.stderr.fnmatch_lines([f"*--llm-record={mode}*"])


def test_the_folder_of_the_cassettes(project: Project) -> None:
    """`--llm-cassettes` and the ini option `llm_cassettes` name the folder, relative to rootdir."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record", "--llm-cassettes=recorded")
    assert (project.path / "recorded/test_shop/test_find.yaml").exists()
    (project.path / "tox.ini").write_text("[pytest]\nllm_cassettes = deep/er\n")
    project.pytest("--llm-record")
    assert (project.path / "deep/er/test_shop/test_find.yaml").exists()


def test_a_model_from_outside_is_taken_from_the_recording_in_replay(project: Project) -> None:
    """A function that names no model is recorded with the configured one, and replayed without any."""
    project.edit("shop.py", "@llm_strategy(MODEL)", "@llm_strategy()")
    project.write(test_shop=TEST)
    project.pytest("--llm-record", "--llm-model=stub:").assert_outcomes(failed=1)  # an empty list is false
    project.edit("test_shop.py", "assert shop", "assert [] == shop")
    project.pytest("--llm-record", "--llm-model=stub:").assert_outcomes(passed=1)
    project.pytest().assert_outcomes(passed=1)
    other = project.pytest("--llm-model=openai:other")
    other.assert_outcomes(failed=1)
    other.stdout.fnmatch_lines(["changed: the model*stub:*openai:other*"])
    (project.path / "tox.ini").write_text("[pytest]\nllm_model = stub:\n")
    project.pytest("--llm-record").assert_outcomes(passed=1)


def test_without_any_model_recording_says_how_to_name_one(project: Project) -> None:
    """Asking without a model is an error that lists the ways to give one."""
    project.edit("shop.py", "@llm_strategy(MODEL)", "@llm_strategy()")
    project.write(test_shop=TEST)
    project.pytest("--llm-record").stdout.fnmatch_lines(["*ModelError*no model is given for Shop.find*"])


def test_shared_cassettes(project: Project) -> None:
    """Tests that name one cassette share its answers; it is never pruned by one of them."""
    project.write(
        test_shop="""
import pytest
from shop import shop

@pytest.mark.llm_cassette("common/goods")
@pytest.mark.parametrize("query", ["light", "light", "seat"])
def test_find(query):
    assert shop.find(query)
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=3)
    assert project.asked == 2
    assert project.cassettes == ["common/goods.yaml"]
    project.pytest("--llm-record", "-k", "seat")
    assert project.cassette("common/goods.yaml").count("\nkey: ") == 2


def test_all_on_a_shared_cassette_replaces_only_what_was_asked_again(project: Project) -> None:
    """Re-recording one user of a shared cassette leaves the answers of the others."""
    project.write(
        test_shop="""
import pytest
from shop import shop

@pytest.mark.llm_cassette("goods")
@pytest.mark.parametrize("query", ["light", "seat"])
def test_find(query):
    assert shop.find(query)
"""
    )
    project.pytest("--llm-record")
    project.pytest("--llm-record=all", "-k", "seat").assert_outcomes(passed=1, deselected=1)
    text = project.cassette("goods.yaml")
    assert "answer 1" in text
    assert "answer 2" not in text
    assert "answer 3" in text
    assert project.cassettes == ["goods.yaml"]


def test_repeat_last(project: Project) -> None:
    """Asking more often than recorded is a miss, unless the marker repeats the last answer."""
    test = """
import pytest
from shop import shop

def test_find():
    for _ in range(TIMES):
        assert shop.find("light")
"""
    project.write(test_shop=test.replace("TIMES", "1"))
    project.pytest("--llm-record")
    project.write(test_shop=test.replace("TIMES", "3"))
    project.pytest().stdout.fnmatch_lines(["asked more often than recorded*"])
    project.write(
        test_shop=test.replace("TIMES", "3").replace("def test", "@pytest.mark.llm_cassette(repeat='last')\ndef test")
    )
    project.pytest().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("repat='last'", "*it takes name, mode, http, ignore, repeat, expect_miss, not repat"),
        ("'a', 'b'", "*it takes name, mode, http, ignore, repeat, expect_miss, not 'b'"),
        ("repeat='first'", "*repeat is 'last' or left out"),
        ("mode='once'", "*unknown record mode 'once'; the modes are replay, new, all, live, dry"),
        ("'a/../../evil'", "*the cassette name 'a/../../evil' leaves the folder of the cassettes*"),
        ("5", "*the name of a cassette is a text such as 'shop/search', not 5"),
    ],
)
def test_wrong_marker_arguments_are_named(project: Project, arguments: str, problem: str) -> None:
    """What the marker cannot mean is the error of its test, and the other tests run."""
    project.write(
        test_shop="import pytest\n"
        + TEST.replace("def test", f"@pytest.mark.llm_cassette({arguments})\ndef test")
        + "\ndef test_other():\n    pass\n"
    )
    result = project.pytest("--llm-record")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"*test_find: the marker llm_cassette cannot be used: {problem.removeprefix('*')}"])
    assert project.asked == 0


@pytest.mark.parametrize(
    "settings",
    ["@settings(deadline=None)\n", "@settings(derandomize=True, max_examples=3, database=None, deadline=None)\n"],
)
def test_recording_under_given(project: Project, settings: str) -> None:
    """Random prompts are not bought: @given records only when it is derandomized."""
    project.write(
        test_shop=f"""
from hypothesis import given, settings, strategies as st
from shop import shop

{settings}@given(st.integers(0, 3))
def test_find(n):
    assert shop.find(str(n))
"""
    )
    result = project.pytest("--llm-record")
    if "derandomize" in settings:
        result.assert_outcomes(passed=1)
        project.pytest().assert_outcomes(passed=1)
    else:
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*@settings(derandomize=True)*"])
        assert project.asked == 0


def test_missing_credentials_at_import_name_the_cure(project: Project) -> None:
    """A client built at import wants a key; the collection error says what to write instead."""
    project.write(
        shop="""
from openai import OpenAI
from llm_strategy import llm_strategy

@llm_strategy(OpenAI(), name="gpt-5-mini")
def find(query: str) -> list[str]:
    "Find goods."
    raise NotImplementedError
""",
        test_shop="import shop\n\ndef test_nothing():\n    assert shop\n",
    )
    result = project.pytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*Name the model instead: @llm_strategy("openai:NAME")*'])


@pytest.mark.parametrize("mode", ["new", "all", "live"])
def test_missing_credentials_where_http_calls_are_recorded(project: Project, mode: str) -> None:
    """The project has done what replay needs; a run that asks the provider says that it needs the key itself."""
    project.write(test_shop="from openai import OpenAI\n\nclient = OpenAI()\n\ndef test_nothing():\n    pass\n")
    result = project.pytest("-o", "llm_http=true", f"--llm-record={mode}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*set the key in the environment*"])
    result.stdout.no_fnmatch_line("*Name the model instead*")
    project.pytest("-o", "llm_http=true").assert_outcomes(passed=1)
