"""`llm-strategy diff main..HEAD`: what became of recorded calls between two revisions of a git repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated

import pytest

from llm_strategy import Media, Response, ScriptedModel, llm_strategy, use_cassette
from llm_strategy.cli import main
from tests.llm_strategy.answers import argument

Printed = pytest.CaptureFixture[str]
LAMP = '{"return_value": {"lamp": 1}}'
HOSTILE = "<script>alert('x')</script> ``` `a` | b @someone \x1b[31mred\u2028end </details>\n```\n# no heading"


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository of git, in which the test runs."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    git("init", "--quiet", "--initial-branch=main")
    git("config", "user.email", "a@example.org")
    git("config", "user.name", "a")
    Path(".gitignore").write_text(".locks\n")
    return folder


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit(name: str = "") -> None:
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", name or "more")
    if name:
        git("tag", name)


def record(path: str, answers: Mapping[str, str | Response], *, name: str = "find", doc: str = "Find it.") -> None:
    """A cassette with a call per query, in place of what was there."""

    def find(query: str) -> dict[str, float]:
        raise NotImplementedError

    find.__name__, find.__qualname__, find.__doc__ = name, name, doc
    model = ScriptedModel(lambda request: answers[argument(request, "query")], name="test:m", recorded=True)
    Path(path).unlink(missing_ok=True)
    with use_cassette(path, "new"):
        for query in answers:
            llm_strategy(model)(find)(query)


def diff(*arguments: str | Path) -> int:
    return main(["diff", *map(str, arguments)])


def changed() -> None:
    """Two commits, `one` and `two`: three prompts change, with them a value and a layout; an answer, asked again."""
    record("cassettes/a.yaml", dict.fromkeys(("light", "seat", "clean"), LAMP))
    record("cassettes/b.yaml", dict.fromkeys(("warm", "wet"), LAMP))
    commit("one")
    answers = {"light": LAMP, "seat": '{"return_value":{"lamp":1}}', "clean": '{"return_value": {"lamp": 2}}'}
    record("cassettes/a.yaml", answers, doc="Find one product.")
    record("cassettes/b.yaml", {"warm": LAMP, "wet": '{"return_value": {"pot": 1}}'})
    commit("two")


def test_changes_are_grouped_by_cause(capsys: Printed) -> None:
    """Code 1. A cause has its calls and tests, its prompt once, and the answers that changed with it."""
    changed()
    assert diff("one..two") == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [
        "one..two: 1 answer changed, 3 prompts changed, in 2 cassettes",
        "answers: 1 identical, 1 cosmetic, 2 value changed",
    ]
    assert "the docstring of find: 3 calls in 1 test (cassettes/a.yaml)" in printed
    assert printed.count("    -Find it.") == printed.count("    +Find one product.") == 1
    assert "  cassettes/a.yaml: find (cassettes/a.yaml:99): value changed" in printed
    assert "      return_value.lamp: 1 -> 2" in printed
    assert "asked again, same prompt: 1 call in 1 test (cassettes/b.yaml)" in printed
    assert printed[-1] == "  answers: 1 value changed"


@pytest.mark.parametrize("name", ["one..two", "one..", "one...two", "one", "HEAD~1..HEAD", "HEAD~1"])
def test_names_of_revisions(name: str, capsys: Printed) -> None:
    """Two, one with HEAD, since they parted, or one with the working tree."""
    changed()
    assert diff(name) == 1
    assert capsys.readouterr().out.startswith(f"{name}: 1 answer changed, 3 prompts changed")


def test_three_dots_leave_out_what_the_other_branch_did(capsys: Printed) -> None:
    """Only what was done since both parted."""
    record("cassettes/a.yaml", {"light": LAMP})
    commit()
    git("checkout", "--quiet", "-b", "mine")
    record("cassettes/b.yaml", {"wet": LAMP})
    commit()
    git("checkout", "--quiet", "main")
    record("cassettes/c.yaml", {"warm": LAMP})
    commit()
    assert diff("main...mine") == 1
    assert capsys.readouterr().out.startswith("main...mine: 1 call added, in 1 cassette\n")
    diff("main..mine")
    assert capsys.readouterr().out.startswith("main..mine: 1 call added, 1 call removed, in 2 cassettes\n")


def test_the_working_tree(capsys: Printed) -> None:
    """What git does not know yet counts, what it ignores and what a failed recording left does not."""
    record("cassettes/a.yaml", {"light": LAMP})
    record("cassettes/b.yaml", {"wet": LAMP})
    commit()
    assert diff("HEAD") == 0
    assert capsys.readouterr().out == "HEAD: no call differs\n"
    os.utime("cassettes/b.yaml", (1, 1))
    git("rm", "--quiet", "--cached", "cassettes/b.yaml")
    Path("cassettes/a.yaml").unlink()
    record("cassettes/c.yaml", {"warm": LAMP})
    record("cassettes/c.new.yaml", {"warm": LAMP, "cold": LAMP})
    record("cassettes/.replaced/c.yaml", {"other": LAMP})
    assert diff("HEAD") == 1
    assert capsys.readouterr().out.startswith("HEAD: 1 call added, 1 call removed, in 2 cassettes\n")


def test_a_call_that_moved_is_no_change(capsys: Printed) -> None:
    """Nor is a file that was renamed; a call that was asked again, or in other words, is found where it is now."""
    record("cassettes/a.yaml", {"light": LAMP, "seat": LAMP})
    record("cassettes/b.yaml", {"wet": LAMP, "warm": LAMP, "cold": LAMP})
    commit("one")
    Path("cassettes/a.yaml").rename("cassettes/renamed.yaml")
    record("cassettes/b.yaml", {"wet": LAMP})
    record("cassettes/c.yaml", {"warm": LAMP})
    commit("two")
    assert diff("one..two") == 1
    assert capsys.readouterr().out.startswith("one..two: 1 call removed, in 1 cassette; 3 calls moved\n")
    git("mv", "cassettes/renamed.yaml", "cassettes/again.yaml")
    commit("three")
    assert diff("two..three") == 0
    assert capsys.readouterr().out == "two..three: no call differs; 2 calls moved\n"
    Path("cassettes/again.yaml").unlink()
    record("cassettes/last.yaml", {"light": LAMP, "seat": '{"return_value": {"pot": 1}}'}, doc="Find one product.")
    commit("four")
    diff("three..four")
    printed = capsys.readouterr().out
    assert printed.startswith("three..four: 2 prompts changed, in 2 cassettes\nanswers: 1 identical, 1 value changed\n")
    assert "the docstring of find: 2 calls" in printed


def test_another_call_of_the_function_is_no_changed_prompt(capsys: Printed) -> None:
    """A test that goes and another one that comes have nothing to do with each other."""
    record("cassettes/a.yaml", {"light": LAMP})
    commit("one")
    Path("cassettes/a.yaml").unlink()
    record("cassettes/b.yaml", {"wet": LAMP})
    commit("two")
    diff("one..two")
    assert capsys.readouterr().out.startswith("one..two: 1 call added, 1 call removed")


def test_several_projects_and_chosen_folders(
    repository: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the repository from wherever one stands, or what lies below the paths that are named, gone or not."""
    record("shop/cassettes/a.yaml", {"light": LAMP})
    record("bank/cassettes/b.yaml", {"wet": LAMP})
    Path("compose.yaml").write_text("services: {}\n")
    commit("one")
    record("shop/cassettes/a.yaml", {"light": '{"return_value": {"lamp": 3}}'})
    Path("bank/cassettes/b.yaml").unlink()
    Path("compose.yaml").write_text("services: 1\n")
    commit("two")
    monkeypatch.chdir("shop")
    for paths, expected in (
        ([], "1 answer changed, 1 call removed, in 2 cassettes"),
        (["."], "1 answer changed, in 1 cassette"),
        (["../bank"], "1 call removed, in 1 cassette"),
        (["cassettes/a.yaml", "../bank/cassettes"], "1 answer changed, 1 call removed, in 2 cassettes"),
    ):
        assert diff("one..two", *paths) == diff("one", "two", *paths) == 1
        assert capsys.readouterr().out.count(f"one..two: {expected}\n") == 2
    Path("notes.md").touch()
    assert diff("two", "notes.md") == 0
    assert diff("one..two", "../elsewhere") == 3
    assert "there is no file or folder ../elsewhere on either side of one..two" in capsys.readouterr().err


def test_odd_names(capsys: Printed) -> None:
    """Blanks, line ends, quotes, letters of any alphabet, and what looks like an option or a pattern."""
    for name in ("a b.yaml", "ü\n\"'.yaml", "-x.yaml", "[a]*.yaml", ":(top).yaml"):
        record(f"cassettes/{name}", {name: LAMP})
    commit("one")
    git("checkout", "--quiet", "-b", "feature/ü.x")
    for path in Path("cassettes").glob("*.yaml"):
        record(str(path), {path.name: '{"return_value": {}}'})
    commit("two")
    assert diff("main..feature/ü.x") == 1
    assert "main..feature/ü.x: 5 answers changed, in 5 cassettes\n" in capsys.readouterr().out


def test_a_path_that_exists_wins(capsys: Printed) -> None:
    """As does a key beside a key."""
    changed()
    record("one", {"light": LAMP})
    assert diff("one") == 2
    assert "one is to be compared with what?" in capsys.readouterr().err
    assert diff("one", "cassettes/a.yaml") == 1
    assert "one -> cassettes/a.yaml:" in capsys.readouterr().out
    assert diff("12345678", "87654321") == 3
    assert "no recording in cassettes has a key" in capsys.readouterr().err


def test_revisions_that_are_not_there(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 3 for one that git does not know, 2 where there is nothing to ask: each with what to do next."""
    assert diff("HEAD") == 3
    assert "git knows no revision 'HEAD' here" in capsys.readouterr().err
    changed()
    for name in ("nowhere", "HEAD:cassettes", "two^5", "deadbeef", "x y"):
        assert diff(name) == diff(f"{name}..HEAD") == diff("--", f"--{name}..HEAD") == 3
        assert f"git knows no revision {name!r} here, and there is no file or folder of" in capsys.readouterr().err
    git("clone", "--quiet", "--depth", "1", f"file://{Path.cwd()}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    assert diff("HEAD~1..HEAD") == 3
    assert "this clone is shallow. Get the rest with `git fetch --unshallow`" in capsys.readouterr().err
    git("clone", "--quiet", f"file://{tmp_path / 'project'}", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    git("checkout", "--quiet", "-b", "mine")
    git("branch", "--quiet", "-D", "main")
    assert diff("main..HEAD") == 3
    assert "there is origin/main: write that" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert diff("main..HEAD") == 2
    assert "git finds no repository" in capsys.readouterr().err
    assert diff("casettes") == 2
    assert "there is no file or folder casettes, and git finds no repository" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert diff("main..HEAD") == 2
    assert "the command git, which is not there" in capsys.readouterr().err


def test_unrelated_branches_have_no_third_point(capsys: Printed) -> None:
    """Then they are compared as they are."""
    changed()
    git("checkout", "--quiet", "--orphan", "other")
    commit()
    assert diff("main...other") == 3
    assert "no commit in common: compare them as they are, main..other" in capsys.readouterr().err
    assert diff("main..other") == 0


def test_a_bare_repository_has_revisions(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is checked out."""
    changed()
    git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    monkeypatch.chdir(tmp_path / "bare")
    assert diff("one..two") == 1
    assert "3 prompts changed" in capsys.readouterr().out


def test_a_partial_clone_lacks_recordings(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched behind the user's back; the command that is named gets what is missing."""
    changed()
    git("config", "uploadpack.allowFilter", "true")
    git("clone", "--quiet", "--bare", "--filter=blob:none", f"file://{Path.cwd()}", str(tmp_path / "partial"))
    monkeypatch.chdir(tmp_path / "partial")
    assert diff("one..two") == 3
    said = capsys.readouterr().err
    assert "in a partial clone: fetch it all with `git fetch --refetch --no-filter`" in said
    git("fetch", "--quiet", "--refetch", "--no-filter", "origin")
    assert diff("one..two") == 1


def test_a_damaged_cassette_does_not_hide_the_others(capsys: Printed) -> None:
    """Code 5; what can be read is shown."""
    changed()
    path = Path("cassettes/a.yaml")
    path.write_text(path.read_text().replace('{"lamp": 2}', '{"lamp": 7}'))
    record("cassettes/b.yaml", {"warm": LAMP})
    record("cassettes/c.yaml", {"light": LAMP})
    git("add", ".")
    git("commit", "--quiet", "--message", "three")
    Path("cassettes/c.yaml").write_text('---\nformat: "llm-strategy cassette"\nversion: 99\n')
    Path("cassettes/d.yaml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert diff("HEAD~1") == 5
    printed = capsys.readouterr()
    assert printed.out.startswith("HEAD~1: 1 call removed, in 1 cassette\n")
    assert "cassettes/a.yaml:99: the recorded reply does not agree with its digest" in printed.err
    assert "cassettes/c.yaml has format version 99" in printed.err
    assert "cassettes/d.yaml is kept by Git LFS" in printed.err


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_links_and_modules_are_passed_by(capsys: Printed) -> None:
    """They are no cassettes, wherever they lead."""
    record("cassettes/a.yaml", {"light": LAMP})
    commit("one")
    Path("cassettes/link.yaml").symlink_to("a.yaml")
    commit("two")
    assert diff("one..two") == 0
    Path("cassettes/link.yaml").unlink()
    Path("cassettes/link.yaml").symlink_to("/dev/zero")
    assert diff("one") == 0


# Formats


def test_json_is_an_object_per_cause(capsys: Printed) -> None:
    """For other programs: causes, tests, and each change as the comparison of files has it."""
    changed()
    assert diff("one..two", "--json") == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(group["cause"], len(group["changes"])) for group in found] == [
        ("the docstring of find", 3),
        ("asked again, same prompt", 1),
    ]
    assert {change["verdict"] for change in found[0]["changes"]} == {"identical", "cosmetic", "value changed"}


def hostile() -> None:
    """A revision whose prompt, answers and names hold what would break out of each format."""
    record("cassettes/a.yaml", {HOSTILE: LAMP})
    commit("one")
    answer = json.dumps({"return_value": {HOSTILE: 1, "pot": 2}})
    record("cassettes/a.yaml", {HOSTILE: answer}, doc=f"Find one {HOSTILE}.")
    record("cassettes/<b>`x`|@y.yaml", {"x": answer})
    commit("two")


def test_text_cannot_steer_the_terminal(capsys: Printed) -> None:
    """What it would obey or not show is written as an escape."""
    hostile()
    diff("one..two")
    printed = capsys.readouterr().out
    assert not [letter for letter in printed if letter not in "\n\t" and not letter.isprintable()]
    assert "\\x1b[31mred\\u2028end" in printed


class Reader(HTMLParser):
    """Collects what a browser would take for elements, and for text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts += data


def test_html_is_one_file_in_which_all_is_text(capsys: Printed) -> None:
    """Nothing runs, nothing is loaded, and no tag but the page's own is in it; light and dark."""
    hostile()
    assert diff("one..two", "--format", "html", "--output", "page.html") == 1
    assert capsys.readouterr().out == ""
    page = Path("page.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    own = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "details", "summary"}
    assert set(reader.tags) <= own | {"pre", "code", "span", "strong"}
    assert reader.attributes <= {"lang", "charset", "name", "content", "http-equiv", "open", "class"} | {
        *("tabindex", "role", "aria-label")
    }
    assert "<script>alert('x')</script>" in reader.texts
    assert "prefers-color-scheme: dark" in page
    assert "://" not in page
    assert "\x1b" not in page
    assert "\u2028" not in page


def test_markdown_keeps_what_is_foreign_in_code(capsys: Printed) -> None:
    """As a reader of CommonMark sees it: no tag, no mention and no fence of a prompt or answer gets out."""
    from markdown_it import MarkdownIt

    hostile()
    diff("one..two", "--format", "markdown")
    page = capsys.readouterr().out
    tokens = MarkdownIt("commonmark").parse(page)
    assert {token.type for token in tokens} <= {
        *("heading_open", "heading_close", "inline", "paragraph_open", "paragraph_close", "html_block", "fence")
    }
    fences = [token.content for token in tokens if token.type == "fence"]
    assert any("+Find one <script>" in fence for fence in fences)
    assert sum(token.type == "heading_open" for token in tokens) == 1
    for token in tokens:
        if token.type == "html_block":
            reader = Reader()
            reader.feed(token.content)
            assert set(reader.tags) <= {"details", "summary", "p", "b", "code"}
            outside = re.sub("<code>.*?</code>", "", token.content)
            assert "@" not in outside
            assert "script" not in outside


def test_markdown_stays_below_its_limit(capsys: Printed) -> None:
    """What finds no room is counted, whole causes too; and what is there is closed."""
    names = [f"query {number}" for number in range(60)]
    record("cassettes/a.yaml", dict.fromkeys(names, LAMP))
    record("cassettes/b.yaml", {"wet": LAMP}, name="look")
    commit("one")
    record("cassettes/a.yaml", dict.fromkeys(names, '{"return_value": {"lamp": 2}}'), doc="Find one product.")
    record("cassettes/b.yaml", {"wet": LAMP}, name="look", doc="\n\n".join(f"Look at {at}." for at in range(60)))
    commit("two")
    for limit in (1_000, 2_000, 4_000):
        assert diff("one..two", "--format", "markdown", "--max-bytes", str(limit)) == 1
        page = capsys.readouterr().out
        assert len(page.encode()) <= limit
        assert page.count("<details>") == page.count("</details>") == page.count("</summary>")
        assert page.count("```") % 2 == 0
        told = page.count("<b>value changed</b>")
        assert f"<p>Left out, for want of room: {60 - told + (limit < 4_000)} calls" in page or limit >= 2_000
        assert "llm-strategy diff one..two" in page
    diff("one..two", "--format", "markdown")
    assert "Left out" not in capsys.readouterr().out
    assert diff("one..two", "--format", "markdown", "--max-bytes", "10") == 2
    assert "--max-bytes has to be 1,000 or more" in capsys.readouterr().err


def test_formats_are_for_revisions(capsys: Printed) -> None:
    """Of files the comparison is text, or JSON."""
    changed()
    assert diff("cassettes/a.yaml", "cassettes/b.yaml", "--format", "html") == 2
    assert "--format only for revisions of git" in capsys.readouterr().err
    assert diff("one..two", "--json", "--format", "html") == 2
    assert diff("cassettes/a.yaml", "cassettes/b.yaml", "cassettes") == 2
    assert diff("one..two", "--output", "nowhere/x.txt") == 3


def test_no_credential_is_shown(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    """In no format, though the cassettes are older than the rules."""
    secret = "correct-horse-battery"
    record("cassettes/a.yaml", {"light": LAMP})
    commit("one")
    record("cassettes/a.yaml", {"light": f'{{"return_value": {{"{secret}": 1}}}}'}, doc=f"Find {secret}.")
    commit("two")
    monkeypatch.setenv("SHOP_API_KEY", secret)
    for options in ([], ["--json"], ["--format", "markdown"], ["--format", "html"]):
        diff("one..two", *options, "--output", "out")
        assert secret not in capsys.readouterr().out + Path("out").read_text()


def test_binary_content(capsys: Printed) -> None:
    """What is binary is told apart by its hash, also where its file is gone from the working tree."""

    def look(path: str, data: bytes) -> None:
        @llm_strategy(ScriptedModel([LAMP], name="test:m", recorded=True))
        def see(photo: Annotated[bytes, Media("image/png")]) -> dict[str, float]:
            """See it."""
            raise NotImplementedError

        Path(path).unlink(missing_ok=True)
        with use_cassette(path, "new"):
            see(data)

    look("cassettes/a.yaml", b"\x89PNG\r\n\x1a\n" + b"a" * 5000)
    commit("one")
    for blob in Path("cassettes/blobs").rglob("*"):
        if blob.is_file() and blob.name != ".gitattributes":
            blob.unlink()
    look("cassettes/a.yaml", b"\x89PNG\r\n\x1a\n" + b"b" * 5000)
    commit("two")
    assert diff("one..two") == 1
    printed = capsys.readouterr().out
    assert "1 prompt changed" in printed
    assert "photo" in printed


def test_the_page_can_be_read_by_everybody() -> None:
    """In a real browser, light and dark: axe finds no violation, the console says nothing, nothing else is fetched."""
    browsers = pytest.importorskip("playwright.sync_api", reason="a page is looked at in a real browser")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe checks accessibility").Axe()
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    hostile()
    diff("one..two", "--format", "html", "--output", "page.html")
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme)
            said: list[str] = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("request", lambda request, said=said: said.append(request.url))
            page.goto(Path("page.html").absolute().as_uri())
            assert said == [Path("page.html").absolute().as_uri()]
            found = axe.run(page).response["violations"]
            assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
        browser.close()
