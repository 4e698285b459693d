"""What surrounds the code: `make install`, the hooks before a commit, the workflows in .github, and what a release is checked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documentation.runner import CHECKOUT, copy_checkout

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="make and bash are those of POSIX"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
# Others than GitHub's own: whose they are, and the versions that their authors say to name.
ACTIONS = {"codecov/codecov-action@v5", "pypa/gh-action-pypi-publish@release/v1"}


def run(*command: str, folder: Path, status: int = 0, **variables: str) -> str:
    """What a command prints, in a shell without this machine's settings."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(folder.parent.parent),
        **{f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        **variables,
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def installed(folder: Path, environment: str = ".venv") -> Path:
    """Make believe that an environment was made: the one that the tests run in."""
    made = folder / environment
    made.mkdir(parents=True)
    for name in ("bin", "lib", "pyvenv.cfg"):
        (made / name).symlink_to(Path(sysconfig.get_path("scripts")).parent / name)
    (made / ".installed").touch()
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A git checkout of this project whose environment is made."""
    folder = copy_checkout(tmp_path / "clone")
    run("git", "init", "--quiet", folder=folder)
    return installed(folder)


def hook(folder: Path) -> Path:
    return folder / ".git" / "hooks" / "pre-commit"


def test_make_install_puts_the_checks_before_each_commit(clone: Path) -> None:
    """Once and again; a commit then runs them although no environment is activated."""
    for _ in range(2):
        assert run("make", "install", folder=clone) == ""
        assert "pre-commit" in hook(clone).read_text(encoding="utf-8")
    (clone / "wrong.py").write_text("import os\n", encoding="utf-8")
    run("git", "add", "wrong.py", folder=clone)
    said = run("git", "commit", "--message", "Wrong", folder=clone, status=1, SKIP="mypy,lint-imports")
    assert re.search(r"ruff check\.+Failed", said)
    assert re.search(r"ruff format\.+Passed", said)


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        pytest.param({"CI": "true"}, ["install"], id="CI"),
        pytest.param({}, ["install", "VENV={outside}"], id="an environment elsewhere"),
        pytest.param({}, ["install", "VENV=.venv-3.12"], id="a second environment"),
        pytest.param({}, ["test", "ARGS=--version"], id="another target"),
    ],
)
def test_hooks_are_for_those_who_commit(clone: Path, variables: dict[str, str], arguments: list[str]) -> None:
    """In CI, for an environment that may be gone tomorrow, and where nobody asked for them, none are written."""
    outside = clone.parent / "outside"
    installed(outside.parent, outside.name)
    installed(clone, ".venv-3.12")
    run("make", *(argument.format(outside=outside) for argument in arguments), folder=clone, **variables)
    assert not hook(clone).exists()


def test_no_git_is_no_error(tmp_path: Path) -> None:
    """An unpacked archive is set up without a word about hooks, also one that lies in the checkout of something else."""
    folder = installed(copy_checkout(tmp_path / "other" / "archive"))
    assert run("make", "install", folder=folder) == ""
    run("git", "init", "--quiet", folder=tmp_path / "other")
    assert run("make", "install", folder=folder, GIT_CEILING_DIRECTORIES="") == ""
    assert not hook(tmp_path / "other").exists()


def test_hooks_of_ones_own_are_left_alone(clone: Path) -> None:
    """Where core.hooksPath is set, `make install` says what to run instead, and succeeds."""
    run("git", "config", "core.hooksPath", "hooks", folder=clone)
    assert "make lint" in run("make", "install", folder=clone)
    assert not hook(clone).exists()
    assert not (clone / "hooks").exists()


def read(path: Path) -> dict[str, Any]:
    # `on` is a boolean in YAML 1.1.
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506  # it makes nothing but text


def test_the_files_for_github_fit_its_schemas() -> None:
    """Workflows and the configuration of Dependabot."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    run(*check, "vendor.github-workflows", *map(str, WORKFLOWS), folder=CHECKOUT)
    run(*check, "vendor.dependabot", ".github/dependabot.yml", folder=CHECKOUT)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_needs(path: Path) -> None:
    """It may read; a job that may more says what for; no secret is used, and no checkout keeps the token."""
    file = read(path)
    assert file["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in file["on"]
    assert "secrets." not in path.read_text(encoding="utf-8")
    for line in path.read_text(encoding="utf-8").splitlines():
        assert not line.strip().endswith(": write"), f"{line.strip()}: what for?"
    for job in file["jobs"].values():
        if "uses" in job:
            assert job["uses"].startswith("./.github/workflows/")  # which says the rest
            continue
        assert "timeout-minutes" in job
        for step in job["steps"]:
            uses = step.get("uses", "")
            assert not uses or uses in ACTIONS or re.fullmatch(r"actions/[a-z-]+@v\d+", uses), uses
            if "checkout" in uses:
                assert step["with"]["persist-credentials"] == "false"
            assert "${{" not in step.get("run", ""), "what is put into a command's text could be a command"


def test_every_command_of_a_workflow_is_a_target_that_exists() -> None:
    """The workflows make what the Makefile has."""
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = {target for path in WORKFLOWS for target in re.findall(r"make ([a-z-]+)", "\n".join(commands(path)))}
    assert {"install", "lint", "coverage", "docs", "release-check"} == made
    assert made <= targets


def commands(path: Path) -> list[str]:
    return [step["run"] for job in read(path)["jobs"].values() for step in job.get("steps", ()) if "run" in step]


def test_only_what_is_tested_is_published() -> None:
    """A tag's package waits for the tests of all systems."""
    jobs = read(CHECKOUT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["tests"]["uses"] == "./.github/workflows/tests.yml"
    assert "tests" in jobs["pypi"]["needs"]


def test_the_tests_run_on_what_the_metadata_names() -> None:
    """Each Python of the classifiers on three systems."""
    matrix = read(CHECKOUT / ".github" / "workflows" / "tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    metadata = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", metadata)
    assert [name.split("-")[0] for name in matrix["system"]] == ["ubuntu", "macos", "windows"]


def test_the_readme_lists_the_extras() -> None:
    """All that the metadata has, but those for developers of this project and one that is empty by now; and what `all` leaves out."""
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    table = (CHECKOUT / "README.md").read_text(encoding="utf-8").partition("| extra |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`([a-z]+)`", "".join(re.findall(r"^\| (`.+?) \|", table, re.MULTILINE))))
    assert listed == set(extras) - {"dev", "http"}
    (everything,) = extras["all"]
    (left_out,) = re.findall(r"all of these but (.+) \|", table)
    missing = listed - {"all"} - set(everything.partition("[")[2].rstrip("]").split(","))
    assert set(re.findall(r"`(\w+)`", left_out)) == missing


def release(folder: Path, *arguments: str, status: int = 0) -> str:
    return run(sys.executable, ".ci/release.py", *arguments, folder=folder, status=status)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this project that is about to become 3.1.0."""
    folder = copy_checkout(tmp_path / "checkout")
    code, changelog = folder / "llm_strategy" / "__init__.py", folder / "docs" / "changelog.md"
    code.write_text(re.sub(r'(?m)^__version__ = ".*"', '__version__ = "3.1.0"', code.read_text("utf-8")), "utf-8")
    text = changelog.read_text("utf-8")
    changelog.write_text(
        text.replace("\n## ", "\n## 3.1.0\n\n- New: [how-to](how-to/costs.md).\n\n## 3.1.0rc1\n\nOld.\n\n## ", 1),
        "utf-8",
    )
    return folder


def test_the_version_in_the_code_can_be_released() -> None:
    """The changelog has a section of it."""
    assert release(CHECKOUT, "check") == ""


def test_a_tag_that_is_not_the_version_is_refused(checkout: Path) -> None:
    """Before anything is built, with what to do."""
    assert release(checkout, "check", "v3.1.0") == ""
    for tag in "v3.1.1", "3.1.0", "v3.1.0rc1":
        assert "change __version__ there" in release(checkout, "check", tag, status=1)


def test_a_version_that_the_changelog_does_not_know_is_refused(checkout: Path) -> None:
    """A tag makes no release without a word about it."""
    changelog = checkout / "docs" / "changelog.md"
    text = changelog.read_text("utf-8").replace("## 3.1.0\n", "## Next\n")
    changelog.write_text(text, "utf-8")
    assert 'under the heading "## 3.1.0"' in release(checkout, "check", "v3.1.0", status=1)


def test_what_was_built_is_what_was_tagged(checkout: Path) -> None:
    """A wheel that an earlier build has left is found."""
    (checkout / "dist").mkdir()
    (checkout / "dist" / "llm_strategy-3.0.0-py3-none-any.whl").touch()
    assert "dist/ holds" in release(checkout, "check", status=1)


def test_a_release_shows_its_section(checkout: Path) -> None:
    """Of this version alone, with links that work from anywhere."""
    notes = release(checkout, "notes", "v3.1.0")
    assert notes == "- New: [how-to](https://github.com/blackhc/llm-strategy/blob/v3.1.0/docs/how-to/costs.md).\n"


@pytest.mark.parametrize(("tag", "preliminary"), [("v3.1.0", False), ("v3.1.0rc1", True), ("v3.1.0.post1", False)])
def test_the_release_on_github_has_notes_and_files(checkout: Path, tag: str, preliminary: bool) -> None:
    """The last step of the release, with a `gh` that writes down how it is called."""
    changelog = checkout / "docs" / "changelog.md"
    changelog.write_text(
        changelog.read_text("utf-8").replace("## 3.1.0\n", f"## {tag[1:]}\n\nAbout it.\n\n## 3.1.0\n"), "utf-8"
    )
    (checkout / "dist").mkdir()
    (checkout / "dist" / "a.whl").touch()
    programs = checkout.parent / "programs"
    programs.mkdir()
    (programs / "gh").write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    (programs / "gh").chmod(0o755)
    (step,) = [text for text in commands(CHECKOUT / ".github" / "workflows" / "release.yml") if "gh release" in text]
    said = run(
        "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step,
        folder=checkout,
        PATH=os.pathsep.join([str(programs), os.environ["PATH"]]),
        GITHUB_REF_NAME=tag,
        RUNNER_TEMP=str(checkout.parent),
    )  # fmt: skip
    notes = checkout.parent / "notes.md"
    expected = f"release create {tag} dist/a.whl --verify-tag --title {tag} --notes-file {notes}"
    assert said == expected + (" --prerelease\n" if preliminary else "\n")
    assert "About it." in notes.read_text("utf-8") or tag == "v3.1.0"


def test_who_installs_it_by_its_name_gets_this_version() -> None:
    """pip passes over an alpha that is not named, and would install 2.2 without a word."""
    documents = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "examples").rglob("*.yml")]
    # Commands of whoever begins; what is added later finds this version installed, which pip keeps.
    command = re.compile(
        r"^ *(?:\$|- run:|run:|-) .*pip install .*?\"(llm-strategy\[[^\"]*\btest\][^\"]*)\"", re.MULTILINE
    )
    found = {path.name: named for path in documents for named in command.findall(path.read_text("utf-8"))}
    assert {"README.md", "tutorial.md", "migrate-from-2.2.md", "llm-tests.yml"} <= found.keys()
    assert {name: named for name, named in found.items() if not named.endswith("]>=3.0.0a1")} == {}
