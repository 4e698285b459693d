"""`examples/github/llm-tests.yml` does what `docs/how-to/continuous-integration.md` says: its steps are run, as a runner runs them.

GitHub itself, `gh` and the installation of packages are not here: a bare repository stands for the first, a script that
writes down how it was called for the second, and the environment of the tests for the third.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.stand_in import running
from tests.documentation.blocks import read_blocks
from tests.documentation.runner import CHECKOUT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the steps are for a runner with the tools of GNU")
FILE = CHECKOUT / "examples" / "github" / "llm-tests.yml"
SHOP = '''
from llm_strategy import llm_strategy


@llm_strategy("openai:gpt-5-mini")
def add(a: int, b: int) -> int:
    """Add two integers."""
    raise NotImplementedError
'''
TESTS = """
import os

import pytest
from shop import add


@pytest.mark.parametrize("number", [1, 2])
def test_add(number, llm_calls, prompt_snapshot):
    assert add(number, 40) == number + 40
    assert llm_calls == prompt_snapshot


def test_the_token_is_not_here():
    assert not {"TOKEN", "GH_TOKEN"} & set(os.environ)
"""
INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = -p no:langsmith_plugin -p no:randomly\npythonpath = .\n"
TOKEN = "ghs_" + "a" * 36
INPUTS = {"mode": "new", "budget": "1.00", "tests": "", "keyword": ""}


def workflow() -> dict[str, Any]:
    # `on` is a boolean in YAML 1.1.
    return yaml.load(FILE.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506  # it makes nothing but text


class Runner:
    """A checkout on a runner, of a repository of which the remote side lies beside it."""

    def __init__(self, folder: Path, provider: str) -> None:
        self.folder = folder / "work" / "shop"
        self.remote = folder / "shop.git"
        self.temp = folder / "temp"
        self.outputs = folder / "outputs"
        self.summary = self.outputs / "summary.md"
        self.provider = provider
        for made in (self.folder, self.temp, self.outputs, folder / "bin", folder / "home"):
            made.mkdir(parents=True)
        gh = folder / "bin" / "gh"
        gh.write_text(f'#!/bin/sh\necho "$GH_TOKEN $@" >>{shlex.quote(str(folder / "gh.log"))}\n')
        gh.chmod(0o755)
        self.gh_log = folder / "gh.log"
        self.environment = {
            "PATH": os.pathsep.join([str(folder / "bin"), sysconfig.get_path("scripts"), os.environ["PATH"]]),
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_REF_NAME": "topic",
            "GITHUB_REF": "refs/heads/topic",
            "GITHUB_WORKFLOW": workflow()["name"],
            "RUNNER_TEMP": str(self.temp),
        }
        self.git("init", "--quiet", "--initial-branch=topic")
        self.git("init", "--quiet", "--bare", "--initial-branch=topic", str(self.remote))
        self.git("remote", "add", "origin", str(self.remote))
        self.write(**{"shop.py": SHOP, "test_shop.py": TESTS, "pytest.ini": INI, ".gitignore": "__pycache__/\n"})
        self.push("Shop")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def git(self, *arguments: str) -> str:
        author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        done = subprocess.run(
            ["git", *author, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def push(self, message: str) -> None:
        self.git("add", "--all", ".")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", "HEAD:refs/heads/topic")

    def run(self, job: str, *, inputs: Mapping[str, str] = INPUTS) -> dict[str, tuple[int, str]]:
        """Run the commands of a job's steps; of each by name its status and output, as far as its condition lets it."""
        self.summary = self.outputs / f"{job} {len(list(self.outputs.iterdir()))}.md"
        done: dict[str, tuple[int, str]] = {}
        failed = False
        for step in workflow()["jobs"][job]["steps"]:
            name = step.get("name", "")
            if "run" not in step or name == "Install" or (failed and "if" not in step):
                continue
            environment = {**workflow().get("env", {}), **step.get("env", {})}
            said = {key: self.evaluated(value, inputs) for key, value in environment.items()}
            assert "${{" not in step["run"], "what is put into a command's text could be a command"
            done[name] = self.command(step["run"], said)
            failed = failed or done[name][0] != 0
        return done

    def command(self, text: str, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
        """The status and output of a step's command, as `shell: bash` runs it."""
        script = self.temp / "step.sh"
        script.write_text(text, encoding="utf-8")
        result = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.folder,
            env={**self.environment, "GITHUB_STEP_SUMMARY": str(self.summary), **(variables or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return result.returncode, result.stdout

    def evaluated(self, value: str, inputs: Mapping[str, str]) -> str:
        """A value of `env`, with what GitHub puts in; a key is one that the stand-in's clients may have."""
        known = {"github.token": TOKEN, "secrets.OPENAI_API_KEY": "unused"}
        known |= {f"inputs.{name}": given for name, given in inputs.items()}
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], value)

    def pushed(self) -> list[str]:
        """The subjects of the remote branch's commits, the last first."""
        return self.git("--git-dir", str(self.remote), "log", "--format=%s", "topic").splitlines()

    def files(self) -> set[str]:
        """What the remote branch holds."""
        return set(self.git("--git-dir", str(self.remote), "ls-tree", "-r", "--name-only", "topic").splitlines())


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A repository whose tests are not recorded yet, and a provider."""
    with running() as url:
        runner = Runner(tmp_path, url)
        runner.environment["OPENAI_BASE_URL"] = url
        yield runner


def statuses(done: Mapping[str, tuple[int, str]]) -> dict[str, int]:
    return {name: status for name, (status, _) in done.items()}


RECORDED = {
    "cassettes/test_shop/test_add[1].yaml",
    "cassettes/test_shop/test_add[2].yaml",
    "__snapshots__/test_shop/test_add[1].md",
    "__snapshots__/test_shop/test_add[2].md",
}


def test_it_is_a_workflow() -> None:
    """By the schema that GitHub's workflows have."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(FILE)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_keys_are_in_one_step_of_one_job() -> None:
    """The replay has no secret, and a token that reads; the recording is behind an environment, and its tests have no token."""
    file = workflow()
    assert file["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in file["on"]
    replay, record = file["jobs"]["replay"], file["jobs"]["record"]
    assert "secrets." not in str(replay)
    assert "permissions" not in replay
    assert record["environment"] == "llm-recording"
    assert [step["name"] for step in record["steps"] if "secrets." in str(step)] == ["Record"]
    assert [step["name"] for step in record["steps"] if "github.token" in str(step)] == ["Commit what was recorded"]
    for job in (replay, record):
        [checkout] = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert checkout["with"]["persist-credentials"] == "false"


def test_every_action_is_named_by_its_major_version() -> None:
    """And is one of GitHub's own."""
    for job in workflow()["jobs"].values():
        for step in job["steps"]:
            assert "run" in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])


def test_it_replays_what_it_has_recorded(runner: Runner) -> None:
    """Before, the replay fails and says how to record; the recording pushes cassettes and snapshots; then all is well."""
    before = runner.run("replay")
    assert statuses(before) == {"Replay": 1}
    assert "::error file=shop.py," in before["Replay"][1]
    assert "nothing recorded yet" in runner.summary.read_text()

    recorded = runner.run("record")
    assert statuses(recorded) == {"Record": 0, "Commit what was recorded": 0}, recorded
    assert runner.pushed() == ["Record model calls", "Shop"]
    assert runner.files() == {".gitignore", "pytest.ini", "shop.py", "test_shop.py", *RECORDED}
    assert runner.gh_log.read_text() == f"{TOKEN} workflow run LLM tests --ref topic -f mode=replay\n"
    assert "| recorded | 2 |" in runner.summary.read_text()

    runner.environment["OPENAI_BASE_URL"] = "http://127.0.0.1:1/v1"
    after = runner.run("replay")
    assert statuses(after) == {"Replay": 0, "Check the cassettes": 0}, after
    assert {path.name for path in (runner.temp / "llm").iterdir()} == {"report.html", "junit.xml"}


def test_nothing_new_is_no_commit(runner: Runner) -> None:
    """A second recording asks nothing, and pushes nothing."""
    runner.run("record")
    again = runner.run("record")
    assert again["Commit what was recorded"] == (0, "Nothing new was recorded.\n")
    assert len(runner.pushed()) == 2


def test_what_was_paid_for_is_kept(runner: Runner) -> None:
    """A test that fails after its calls fails the job, and its answers are pushed all the same."""
    runner.write(**{"test_fails.py": "from shop import add\n\n\ndef test_wrong():\n    assert add(1, 1) == 3\n"})
    runner.push("A wrong test")
    done = runner.run("record")
    assert statuses(done) == {"Record": 1, "Commit what was recorded": 0}, done
    assert "cassettes/test_fails/test_wrong.yaml" in runner.files()


def test_inputs_choose_the_tests(runner: Runner) -> None:
    """Files and a keyword; whatever stands in them is no command."""
    runner.write(**{"test_other.py": "from shop import add\n\n\ndef test_other():\n    assert add(1, 1) == 2\n"})
    runner.push("Another test")
    runner.run("record", inputs={**INPUTS, "tests": "test_other.py test_shop.py", "keyword": "other or 2"})
    assert {path for path in runner.files() if path.startswith("cassettes")} == {
        "cassettes/test_other/test_other.yaml",
        "cassettes/test_shop/test_add[2].yaml",
    }
    done = runner.run(
        "record", inputs={**INPUTS, "tests": "$(touch stolen) ;touch stolen", "keyword": '"; touch stolen; "'}
    )
    assert done["Record"][0] != 0
    assert not (runner.folder / "stolen").exists()


def test_commits_that_came_meanwhile_stay(runner: Runner, tmp_path: Path) -> None:
    """The recording goes on top of what was pushed while it ran; what tests have changed elsewhere is not pushed."""
    other = tmp_path / "other"
    runner.git("clone", "--quiet", str(runner.remote), str(other))
    (other / "README.md").write_text("Hello\n")
    runner.git("-C", str(other), "add", "README.md")
    runner.git("-C", str(other), "commit", "--quiet", "--message", "Meanwhile")
    runner.git("-C", str(other), "push", "--quiet", "origin", "HEAD:topic")
    runner.write(**{"pytest.ini": INI + "# changed by a test\n", "notes.txt": "left by a test\n"})
    done = runner.run("record")
    assert statuses(done) == {"Record": 0, "Commit what was recorded": 0}, done
    assert runner.pushed() == ["Record model calls", "Meanwhile", "Shop"]
    assert "notes.txt" not in runner.files()


def test_a_recorded_secret_is_not_pushed(runner: Runner) -> None:
    """A file with one in the folder of the cassettes stops the commit."""
    (runner.folder / "cassettes").mkdir()
    (runner.folder / "cassettes" / "old.yaml").write_text('key: "sk-proj-' + "Ab1" * 20 + '"\n')
    done = runner.run("record")
    assert done["Commit what was recorded"][0] == 1
    assert runner.pushed() == ["Shop"]


def test_only_git_is_told_the_token(runner: Runner) -> None:
    """The helper that the last step configures answers git's question for a password with it."""
    [commit] = [step for step in workflow()["jobs"]["record"]["steps"] if "env" in step and "TOKEN" in step["env"]]
    environment = {key: runner.evaluated(value, INPUTS) for key, value in commit["env"].items()}
    asked = subprocess.run(
        ["git", "credential", "fill"],
        input="protocol=https\nhost=github.com\n\n",
        env={**runner.environment, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert f"username=x-access-token\npassword={TOKEN}\n" in asked.stdout


def test_the_budget_stops_a_recording(runner: Runner) -> None:
    """What was recorded before it was used up is pushed."""
    runner.environment["LLM_STRATEGY_PRICES"] = "openai:gpt-5-mini 1000 1000"
    done = runner.run("record", inputs={**INPUTS, "budget": "0.000001"})
    assert done["Record"][0] != 0
    assert len([path for path in runner.files() if path.startswith("cassettes")]) <= 1


def test_the_comment_says_what_has_changed(runner: Runner) -> None:
    """The job that the how-to shows: it comments where prompts or answers differ, and is silent where none does."""
    text = (CHECKOUT / "docs" / "how-to" / "continuous-integration.md").read_text(encoding="utf-8")
    [block] = [block.text for block in read_blocks(text) if block.text.startswith("  comment:")]
    step = yaml.safe_load(block)["comment"]["steps"][-1]
    runner.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    runner.git("fetch", "--quiet", "origin")
    runner.environment |= {"GITHUB_BASE_REF": "main", "NUMBER": "7", "GH_TOKEN": TOKEN}
    silent = runner.command(step["run"])
    assert silent == (0, ""), silent
    runner.run("record")
    commented = runner.command(step["run"])
    assert commented[0] == 0, commented
    assert runner.gh_log.read_text().splitlines()[-1] == (
        f"{TOKEN} pr comment 7 --edit-last --create-if-none --body-file changes.md"
    )
    assert "add" in (runner.folder / "changes.md").read_text()
