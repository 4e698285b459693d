"""The ini option `llm_redact`: what a project adds to the rules about secrets, and what it excepts from them."""

from __future__ import annotations

import pytest

from llm_strategy.secret_rules import mixed
from tests.pytest_llm_strategy.conftest import Project

KEY = "sk-" + mixed(48)
TEST = """
import os, subprocess, sys
from shop import shop

def test_find():
    assert shop.find("customer-QUERY and KEY")

def test_child():
    program = "from shop import shop; shop.find('child-customer-QUERY')"
    subprocess.run([sys.executable, "-c", program], check=True)
""".replace("KEY", KEY)


def configure(project: Project, *lines: str) -> None:
    listed = "".join(f"\n    {line}" for line in lines)
    project.pytester.makeini(f"[pytest]\nllm_redact ={listed}\nasyncio_default_fixture_loop_scope = function\n")


def test_what_a_project_redacts_is_in_no_file_and_no_key(project: Project) -> None:
    """A line is a regular expression; what it matches is one placeholder, also in child processes."""
    configure(project, r"customer-\d+")
    project.write(test_shop=TEST.replace("QUERY", "123"))
    project.pytest("--llm-record").assert_outcomes(passed=2)

    for name, query in (("find", "<redacted> and <openai-key>"), ("child", "child-<redacted>")):
        text = project.cassette(f"test_shop/test_{name}.yaml")
        assert f'query = "{query}"' in text
        assert "123" not in text
    project.edit("test_shop.py", "customer-123 and", "customer-4567 and")
    project.edit("test_shop.py", "customer-123'", "customer-89'")
    project.pytest().assert_outcomes(passed=2)


def test_an_exception_is_never_taken_for_a_secret(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that begins with `!`; the value of a credential's variable is a secret all the same."""
    configure(project, "!sk-7h", r"customer-\d+", r"! customer-12", "! horse")
    project.write(test_shop=TEST.replace("QUERY", "123"))
    project.pytest("--llm-record").assert_outcomes(passed=2)
    assert f'query = "customer-123 and {KEY}"' in project.cassette("test_shop/test_find.yaml")

    monkeypatch.setenv("SHOP_PASSWORD", "correct-horse-battery")
    project.write(test_shop=TEST.replace("QUERY", "correct-horse-battery"))
    result = project.pytest("--llm-record", "-k", "find")
    result.stdout.fnmatch_lines(["*SecretFound*SHOP_PASSWORD*"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("customer-(", r"line 2 is no regular expression: 'customer-(' (missing ), unterminated subpattern*"),
        ("![", "line 2 is no regular expression: '!['*"),
        ("x*", "line 2 matches the empty text, and so everything: 'x[*]'"),
        ("!", "line 2 matches the empty text*"),
    ],
)
def test_a_bad_line_is_a_usage_error(line: str, said: str, project: Project) -> None:
    """It names the line, before any test runs."""
    configure(project, "fine", line)
    project.write(test_shop=TEST)
    result = project.pytest("--llm-record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*llm_redact: {said}"])


def test_outside_pytest_the_environment_says_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLM_STRATEGY_REDACT has the same lines; where the ini option is set, that one counts."""
    monkeypatch.setenv("LLM_STRATEGY_REDACT", "customer-\\d+\n!sk-")
    project.write(test_shop=TEST.replace("QUERY", "123"))
    project.pytest("--llm-record", "-k", "find").assert_outcomes(passed=1, deselected=1)
    assert f'query = "<redacted> and {KEY}"' in project.cassette("test_shop/test_find.yaml")
    configure(project, "nothing-like-this")
    project.pytest("-k", "find").assert_outcomes(failed=1, deselected=1)
    monkeypatch.setenv("LLM_STRATEGY_REDACT", "customer-(")
    configure(project)
    result = project.pytest("-k", "find")
    result.stdout.fnmatch_lines(["*ValueError: LLM_STRATEGY_REDACT: line 1 is no regular expression: 'customer-('*"])


def test_a_parameter_that_is_a_secret_is_in_no_name(project: Project) -> None:
    """Neither in that of the cassette, nor in what the cassette says of itself; two such tests have two files."""
    project.write(
        test_shop=f"""
import pytest
from shop import shop

@pytest.mark.parametrize("key", ["{KEY}", "{KEY}2"])
def test_find(key):
    assert shop.find(key[-1])
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=2)
    assert len(project.cassettes) == 2
    for name in project.cassettes:
        assert name.startswith("test_shop/test_find[-openai-key-]-")
        assert KEY not in project.cassette(name)
    project.pytest().assert_outcomes(passed=2)
