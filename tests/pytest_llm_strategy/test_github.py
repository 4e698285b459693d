"""What GitHub Actions is told: annotations by cause, and the summary of the job."""

from __future__ import annotations

import pytest

from tests.pytest_llm_strategy.conftest import Project

PROJECT = """
from llm_strategy import ScriptedModel, llm_strategy

MODEL = ScriptedModel(lambda request: '{"return_value": "fine"}', name="counter:model", recorded=True)
"""
FUNCTION = '''

@llm_strategy(MODEL)
def ask{number}(question: str) -> str:
    """Answer question {number}."""
    raise NotImplementedError
'''
MIB = 1024 * 1024


@pytest.fixture
def github(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project on a runner of GitHub's, whose step has a summary."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    return project


def annotations(result: pytest.RunResult, kind: str = "error") -> list[str]:
    return [line for line in result.outlines if line.startswith(f"::{kind} ")]


def summary(project: Project) -> str:
    return (project.path / "summary.md").read_text(encoding="utf-8")


def write_functions(project: Project, number: int) -> None:
    """As many functions, each with a test."""
    project.write(
        shop=PROJECT + "".join(FUNCTION.format(number=each) for each in range(number)),
        test_shop="import pytest\nimport shop\n\n"
        f"@pytest.mark.parametrize('number', range({number}))\n"
        "def test_ask(number):\n"
        "    assert getattr(shop, f'ask{number}')('how?') == 'fine'\n",
    )


def change_docstrings(project: Project) -> None:
    project.edit("shop.py", '"""Answer question', '"""Answer the question')


# Annotations


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_one_template_line_is_one_annotation(github: Project, options: tuple[str, ...]) -> None:
    """A docstring that 17 calls in 9 tests share: one error, on its line, with one command, from the controller alone."""
    github.write(
        shop=PROJECT + FUNCTION.format(number=1),
        test_shop="import pytest\nfrom shop import ask1\n\n"
        "@pytest.mark.parametrize('number', range(9))\n"
        "def test_ask(number):\n"
        "    questions = [f'{number} first', f'{number} second'][: 1 if number == 0 else 2]\n"
        "    for question in questions:\n"
        "        try:\n"
        "            ask1(question)\n"
        "        except BaseException:\n"
        "            pass\n",
    )
    github.pytest("--llm-record").assert_outcomes(passed=9)
    (github.path / "summary.md").unlink()
    change_docstrings(github)
    result = github.pytest(*options)
    result.assert_outcomes(failed=9)
    line = (github.path / "shop.py").read_text().splitlines().index('    """Answer the question 1."""') + 1
    [error] = annotations(result)
    assert error == (
        f"::error file=shop.py,line={line},title=No recording%3A 9 tests::the docstring of ask1%0A%0A"
        "No recording answers 17 calls in 9 tests. To record: pytest --llm-record test_shop.py::test_ask"
    )
    assert annotations(result, "warning") == []
    page = summary(github)
    assert page.count("**17 calls in 9 tests**: `the docstring of ask1`") == 1
    assert "+Answer the question 1." in page
    assert page.count("pytest --llm-record test_shop.py::test_ask\n") == 1


def test_of_many_causes_ten_are_shown(github: Project) -> None:
    """GitHub keeps ten errors of a step: the last says how many more there are, and the summary has them all."""
    write_functions(github, 12)
    github.pytest("--llm-record").assert_outcomes(passed=12)
    change_docstrings(github)
    errors = annotations(github.pytest())
    assert len(errors) == 10
    assert errors[-1].endswith("and 2 more, which the summary of the job lists: GitHub shows 10 per step")
    assert not any("2 more" in error for error in errors[:-1])
    page = summary(github)
    assert all(f"`the docstring of ask{number}`" in page for number in range(12))


def test_files_are_named_from_the_root_of_the_repository(github: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where pytest runs in a folder of it; what lies outside has no place there, and is named in the message."""
    write_functions(github, 1)
    github.pytest("--llm-record")
    change_docstrings(github)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(github.path.parent))
    [error] = annotations(github.pytest())
    assert error.startswith(f"::error file={github.path.name}/shop.py,line=")
    elsewhere = github.path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(elsewhere))
    [error] = annotations(github.pytest())
    assert error.startswith("::error title=")
    assert "%0Ashop.py:" in error


def test_an_annotation_is_one_line_whatever_stands_in_it(github: Project) -> None:
    """Colons, commas, percent signs and line breaks are written as GitHub reads them."""
    from pytest_llm_strategy.github import Annotation, command

    said = command("error", Annotation("a: b, c% \n", "50% : ,\r\nnext", "folder,1/a:b.py", 7))
    assert said == "::error file=folder%2C1/a%3Ab.py,line=7,title=a%3A b%2C c%25 %0A::50%25 : ,%0D%0Anext"
    assert command("error", Annotation("", "a\x1b[31m\u2028b\ud800")) == "::error ::a<U+001B>[31m<U+2028>b<U+D800>"


def test_annotations_begin_a_line_where_tests_print(github: Project) -> None:
    """With `-s` and a test that leaves its line open."""
    write_functions(github, 1)
    github.pytest("--llm-record")
    change_docstrings(github)
    github.write(conftest="def pytest_terminal_summary(terminalreporter):\n    terminalreporter.write('open')\n")
    for options in (("-s", "-v"), ("-q", "--color=yes")):
        assert len(annotations(github.pytest(*options))) == 1


def test_values_that_change_are_warnings(github: Project) -> None:
    """What is recorded today and misses tomorrow is said where it is recorded."""
    github.write(
        shop=PROJECT + FUNCTION.format(number=1),
        test_shop="import uuid\nfrom shop import ask1\n\ndef test_ask():\n    assert ask1(f'session {uuid.uuid4()}')\n",
    )
    result = github.pytest("--llm-record")
    [warning] = annotations(result, "warning")
    assert "title=A prompt that will never replay::" in warning
    assert "### Changing values" in summary(github)


def test_other_answers_are_warnings(github: Project) -> None:
    """One for each function, at a cassette, with what was and is; what means the same is counted in the summary alone."""
    write_functions(github, 3)
    github.pytest("--llm-record")
    github.edit("shop.py", """lambda request: '{"return_value": "fine"}'""", "answer")
    github.edit(
        "shop.py",
        "MODEL =",
        """def answer(request):\n    if "ask2" in request.messages[-1].content:\n"""
        """        return '{ "return_value": "fine" }'\n    return '{"return_value": "<b>@octocat</b>"}'\n\n\nMODEL =""",
    )
    github.edit("test_shop.py", "== 'fine'", "")
    (github.path / "summary.md").unlink()
    result = github.pytest("--llm-record=all")
    result.assert_outcomes(passed=3)
    warnings = annotations(result, "warning")
    assert len(warnings) == 2
    assert "file=cassettes/test_shop/test_ask[0].yaml,line=1,title=1 test%3A value changed::" in warnings[0]
    assert "octocat" in warnings[0]
    page = summary(github)
    assert "### 3 recorded answers asked again: 2 value changed, 1 cosmetic" in page
    assert page.count("**value changed**: ") == 2


def test_an_expected_miss_is_no_error(github: Project) -> None:
    """A test about misses passes, and nobody has to do anything."""
    github.write(
        shop=PROJECT + FUNCTION.format(number=1),
        test_shop="import pytest\nfrom llm_strategy import CassetteMiss\nfrom shop import ask1\n\n"
        "@pytest.mark.llm_cassette(expect_miss=True)\n"
        "def test_ask():\n"
        "    with pytest.raises(CassetteMiss):\n"
        "        ask1('what?')\n",
    )
    result = github.pytest()
    result.assert_outcomes(passed=1)
    assert annotations(result) == []


def test_a_dry_run_misses_nothing(github: Project) -> None:
    """It lists what would be asked, in the summary too, and no error."""
    write_functions(github, 1)
    result = github.pytest("--llm-record=dry")
    assert annotations(result) == []
    assert "would be asked" in summary(github)


# Where it stays silent


def test_it_can_be_switched_off(github: Project) -> None:
    """`-p no:llm-strategy-github`, as with any plugin."""
    write_functions(github, 1)
    result = github.pytest("-p", "no:llm-strategy-github")
    result.assert_outcomes(failed=1)
    assert annotations(result) == []
    assert not (github.path / "summary.md").exists()


def test_elsewhere_nothing_of_it_is_loaded(github: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a runner of GitHub's says GITHUB_ACTIONS=true; act and others that say so read the same commands."""
    github.write(
        conftest="import sys\ndef pytest_unconfigure():\n    print('pytest_llm_strategy.github' in sys.modules)\n"
    )
    github.pytest("-s").stdout.fnmatch_lines(["True"])
    monkeypatch.delenv("GITHUB_ACTIONS")
    github.pytest("-s").stdout.fnmatch_lines(["False"])


def test_a_run_without_calls_says_nothing(github: Project) -> None:
    """Neither in the log nor in the summary."""
    github.write(test_shop="def test_nothing():\n    pass\n")
    assert "::" not in github.pytest("-q").stdout.str()
    assert not (github.path / "summary.md").exists()


# The summary


def test_the_summary_has_totals(github: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded and what it cost, what was replayed and what that saved."""
    monkeypatch.setenv("LLM_STRATEGY_PRICES", "counter:model 1000 1000")
    write_functions(github, 2)
    github.edit("shop.py", """lambda request: '{"return_value": "fine"}'""", "answer")
    github.edit("shop.py", "import ScriptedModel,", "import Response, ScriptedModel, Usage,")
    github.edit(
        "shop.py",
        "MODEL =",
        """def answer(request):\n    return Response('{"return_value": "fine"}', usage=Usage(1200, 300))\n\n\nMODEL =""",
    )
    github.pytest("--llm-record", "-k", "0")
    assert "| recorded | 1 | 1,200 | 300 | `spent $1.50` |" in summary(github)
    (github.path / "summary.md").unlink()
    github.pytest("--llm-record")
    assert "| replayed | 1 | 1,200 | 300 | `saved $1.50` |" in summary(github)


def test_the_summary_has_the_prices_of_the_project(github: Project) -> None:
    """What `llm_prices` says counts for the page as it does for the terminal."""
    github.write(
        shop=PROJECT.replace("ScriptedModel,", "Response, ScriptedModel, Usage,").replace(
            """'{"return_value": "fine"}'""", """Response('{"return_value": "fine"}', usage=Usage(1000, 100))"""
        )
        + FUNCTION.format(number=0),
        test_shop="from shop import ask0\n\ndef test_ask():\n    assert ask0('how?') == 'fine'\n",
    )
    (github.path / "tox.ini").write_text("[pytest]\nllm_prices =\n    counter:model 1000 1000\n")
    github.pytest("--llm-record").stdout.fnmatch_lines(["  asking cost $1.10"])
    assert "| recorded | 1 | 1,000 | 100 | `spent $1.10` |" in summary(github)


def test_the_summary_is_appended(github: Project) -> None:
    """What other programs of the step have written stays, and a second run of pytest has its own part."""
    (github.path / "summary.md").write_text("# Other\nno line end", encoding="utf-8")
    write_functions(github, 1)
    github.pytest("--llm-record")
    github.pytest()
    page = summary(github)
    assert page.startswith("# Other\nno line end\n\n## Model calls\n")
    assert page.count("## Model calls\n") == 2


def test_the_summary_of_a_step_stays_below_the_limit(github: Project) -> None:
    """GitHub drops a page of more than 1 MiB: what has no room is left out and counted, whatever was there already."""
    write_functions(github, 60)
    github.pytest("--llm-record")
    change_docstrings(github)
    shown = {}
    for there in (0, MIB - 9_000, MIB - 600, MIB - 100, MIB + 5):
        (github.path / "summary.md").write_text("x" * there, encoding="utf-8")
        github.pytest()
        assert len(summary(github).encode()) <= max(MIB, there)
        shown[there] = summary(github)[there:]
    counts = [page.count("**1 call in 1 test**") for page in shown.values()]
    assert counts[0] == 60
    assert 60 > counts[1] > 5
    assert counts[2:] == [0, 0, 0]
    assert "Left out" not in shown[0]
    told = f"**Left out here, because the page would be too long: {60 - counts[1]} causes.**"
    assert shown[MIB - 9_000].rstrip().endswith(told)
    assert shown[MIB + 5] == ""


def test_hostile_text_stays_text(github: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts, answers and the names of tests are code: no element, no mention, no fence of theirs ends ours; no secret."""
    monkeypatch.setenv("SHOP_API_KEY", "hunter2-hunter2-hunter2")
    hostile = "</details><script>alert(1)</script> @octocat #1 | ``` "
    github.write(
        shop=PROJECT + FUNCTION.format(number=1),
        test_shop="import pytest\nfrom shop import ask1\n\n"
        f"@pytest.mark.parametrize('text', [{hostile!r}])\n"
        "def test_ask(text):\n"
        "    assert ask1(text * 2 + '\\n```\\n') == 'fine'\n",
    )
    github.pytest("--llm-record")
    github.edit("test_shop.py", "text * 2", "text * 3")
    github.edit("shop.py", "Answer question 1", "Answer <b>hunter2-hunter2-hunter2</b> ``` @octocat #2")
    (github.path / "summary.md").unlink()
    result = github.pytest()
    page = summary(github)
    assert "hunter2" not in page + "".join(annotations(result))
    from markdown_it import MarkdownIt

    html = MarkdownIt("gfm-like", {"linkify": False}).render(page)
    assert "<script" not in html
    assert "<b>" not in html
    outside = "".join(part.partition("</code>")[2] for part in html.split("<code"))
    assert "@" not in outside
    assert "#" not in outside


def test_a_summary_that_cannot_be_written_is_said(github: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests have passed all the same."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(github.path / "missing" / "summary.md"))
    write_functions(github, 1)
    result = github.pytest("--llm-record")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*missing/summary.md: the summary of the job cannot be written (No such file*"])


def test_the_report_is_pointed_at(github: Project) -> None:
    """Where a report is written, the page says its name."""
    write_functions(github, 1)
    github.pytest("--llm-record", "--llm-report=out/llm.html")
    assert "llm.html" in summary(github)
