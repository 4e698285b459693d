"""The command `llm-strategy`: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_strategy import Cassette, ChatChain, ScriptedModel, llm_strategy, use_cassette
from llm_strategy.cli import main
from tests.llm_strategy import foreign
from tests.llm_strategy.answers import counting, reply
from tests.llm_strategy.foreign import cassette
from tests.llm_strategy.programs import plain_environment

COMMAND = [sys.executable, "-c", "from llm_strategy.cli import main; raise SystemExit(main())"]


@llm_strategy(counting())
def count(number: int) -> int:
    """Count."""
    raise NotImplementedError


@llm_strategy(ScriptedModel([["once", " upon"]], recorded=True))
def tell() -> Iterator[str]:
    """Tell a story."""
    raise NotImplementedError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two cassettes."""
    monkeypatch.chdir(tmp_path)
    record(Path("cassettes/shop/a.yaml"), 1, 2)
    record(Path("cassettes/b.yaml"), 3)
    return tmp_path / "cassettes"


def record(path: Path, *numbers: int) -> None:
    counted = llm_strategy(counting())(count.__wrapped__)
    with use_cassette(path, "new"):
        for number in numbers:
            counted(number)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.yaml"))


def test_ls_lists_cassettes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All below `cassettes` unless told otherwise: how many calls, and what answered them."""
    assert main(["ls"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cassettes/b.yaml: 1 call, answered by test:counter",
        "cassettes/shop/a.yaml: 2 calls, answered by test:counter",
        f"2 files, 3 calls, {size_of(folder):,} bytes",
    ]
    assert main(["ls", "cassettes/shop", "cassettes/b.yaml"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()[:-1]] == [
        "cassettes/shop/a.yaml",
        "cassettes/b.yaml",
    ]


def test_show_prints_the_calls(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Function, model, prompt and reply of each."""
    assert main(["show", "cassettes/shop/a.yaml"]) == 0
    printed = capsys.readouterr().out

    assert printed.count("=== cassettes/shop/a.yaml: count (test:counter)") == 2
    assert "--- user\ndef count(number: int) -> int\n\nCount.\n" in printed
    assert f"--- reply\n{reply(1)}\n" in printed


def test_show_prints_json_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, with the same fields as in Python."""
    assert main(["show", "--json", "cassettes/shop/a.yaml"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [call["key"] for call in shown] == [call.key for call in Cassette(folder / "shop" / "a.yaml")]
    assert [(call["function"], call["occurrence"], call["response"]["content"]) for call in shown] == [
        ("count", 1, reply(1)),
        ("count", 1, reply(2)),
    ]


@pytest.mark.parametrize("command", ["ls", "show", "verify", "prune", "why 12345678"])
def test_a_path_that_no_file_can_have_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says what is wrong with it, without a traceback."""
    assert main([*command.split(), "x" * 300]) == 5
    assert "File name too long" in capsys.readouterr().err


def test_what_came_over_http_reads_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a model none is named, an error that is no text is shown as it is kept, and nothing steers a terminal."""
    Path("old.yaml").write_text(
        cassette(
            foreign.vcr({"method": "GET", "uri": "https://api.openai.com/v1/models", "body": None}),
            foreign.vcr(response={"status": {"code": 502}, "body": {"string": b"<html>\xff"}}),
            foreign.vcr({"body": '{"model": "m", "messages": [{"role": "user", "content": "\\u001b[31m\\tred"}]}'}),
        )
    )
    assert main(["import", "old.yaml"]) == 0
    capsys.readouterr()

    assert main(["show", "cassettes/old.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "=== cassettes/old.yaml: a call, key " in printed
    assert '--- reply\n{\n  "base64": "PGh0bWw+/w=="\n}\n' in printed
    assert "--- user\n\\x1b[31m\tred\n" in printed


def test_ls_does_not_say_that_nobody_answered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recording that names no model was answered all the same."""
    models = foreign.vcr({"method": "GET", "uri": "https://api.openai.com/v1/models", "body": None}, {"body": "{}"})
    Path("old.yaml").write_text(cassette(models))
    assert main(["import", "old.yaml"]) == 0
    capsys.readouterr()

    assert main(["ls", "cassettes/old.yaml"]) == 0
    assert "cassettes/old.yaml: 1 call, answered by an unnamed model\n" in capsys.readouterr().out


def test_show_prints_any_text(tmp_path: Path) -> None:
    """To a terminal that knows no Unicode, and text that is no Unicode."""
    with use_cassette(tmp_path / "x.yaml", "new"):
        ChatChain(ScriptedModel(["\N{SNOWMAN} \ud800"], recorded=True)).query("\U0001f600 \ud800")

    for options in ([], ["--json"]):
        done = subprocess.run(
            [*COMMAND, "show", *options, "x.yaml"],
            cwd=tmp_path,
            env={**plain_environment(), "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout


def test_verify_says_what_is_good(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 0."""
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == "cassettes/b.yaml: good\ncassettes/shop/a.yaml: good\n"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (reply(2), reply(7), "the recorded reply does not agree with its digest"),
        ("number = 2", "number = 8", "the recorded request does not agree with its digest"),
    ],
    ids=["reply", "request"],
)
def test_verify_finds_what_was_edited_and_accepts_replies_when_told_to(
    old: str, new: str, problem: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 5, with file and line; then `--accept` signs a reply anew, but no request: nobody has sent that."""
    path = folder / "shop" / "a.yaml"
    edit(path, old, new)
    untouched = (folder / "b.yaml").read_bytes()

    assert main(["verify"]) == 5
    captured = capsys.readouterr()
    assert "cassettes/shop/a.yaml:" in captured.err
    assert problem in captured.err
    assert "cassettes/b.yaml: good" in captured.out

    edited_request = "request" in problem
    assert main(["verify", "--accept"]) == (5 if edited_request else 0)
    captured = capsys.readouterr()
    if edited_request:
        assert "only replies can be accepted" in captured.err
    else:
        assert captured.out == "cassettes/b.yaml: good\ncassettes/shop/a.yaml: 1 signed anew\n"
    assert main(["verify"]) == (5 if edited_request else 0)
    assert (folder / "b.yaml").read_bytes() == untouched
    assert new in path.read_text("utf-8")


def test_verify_notices_what_another_tool_has_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkout with other line ends is good, and said to be changed."""
    path = folder / "b.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert main(["verify", "cassettes/b.yaml"]) == 0
    assert "good, though its line ends are those of Windows" in capsys.readouterr().out

    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b'function: "count"', b"function: count"))
    assert main(["verify", "cassettes/b.yaml"]) == 0
    assert "good, though another tool has changed its format" in capsys.readouterr().out


def test_verify_remarks_on_a_recording_that_stands_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With both lines and what removes it; it is right where a program asks twice and gets the same answer."""
    path = folder / "b.yaml"
    text = path.read_text("utf-8")
    start = text.index("\n---\n") + 1
    path.write_text(text + text[start:], "utf-8")
    first, second = text[:start].count("\n") + 1, text.count("\n") + 1

    assert main(["verify", "cassettes/b.yaml"]) == 0
    said = capsys.readouterr().out
    assert f"cassettes/b.yaml:{second} repeats cassettes/b.yaml:{first}" in said
    assert "`pytest --llm-record` removes it" in said


def test_verify_finds_an_empty_piece(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No writer makes one, whatever the digest says."""
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        assert "".join(tell()) == "once upon"
    edit(path, '  - "once"\n', '  - "once"\n  - ""\n')
    main(["verify", "--accept", str(path)])
    capsys.readouterr()

    assert main(["verify", str(path)]) == 5
    assert "one of its pieces is empty" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["5", "null", "[a]"])
def test_a_reply_that_is_no_text_is_not_accepted(
    folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who takes the quotes or the block away makes a number of it, which would be replayed as one."""
    path = folder / "b.yaml"
    edit(path, f"  content: |-\n    {reply(1)}\n", f"  content: {content}\n")
    before = path.read_bytes()
    assert main(["verify", "--accept", str(path)]) == 5
    assert "its content is no text: put it into quotes" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_accepting_changes_digests_and_nothing_else(folder: Path) -> None:
    """A diff shows the edit and its digest."""
    path = folder / "shop" / "a.yaml"
    edit(path, reply(2), reply(7))
    before = path.read_text("utf-8").splitlines()

    main(["verify", "--accept"])
    after = path.read_text("utf-8").splitlines()

    assert len(before) == len(after)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [line.partition(":")[0] for line in changed] == ["digest"]


def test_verify_finds_a_torn_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which a crash may leave; the next recording drops it."""
    path = folder / "b.yaml"
    path.write_bytes(path.read_bytes()[:-20])

    assert main(["verify", "cassettes/b.yaml"]) == 5
    assert "the last document is torn" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ls", "show", "verify"])
def test_a_missing_file_is_code_3_and_a_corrupt_one_code_5(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The highest code wins; the others are looked at all the same."""
    (folder / "bad.yaml").write_text("<<<<<<< HEAD\n")

    assert main([command, "cassettes/none.yaml"]) == 3
    assert "cassettes/none.yaml" in capsys.readouterr().err
    assert main([command, "cassettes/none.yaml", "cassettes/bad.yaml", "cassettes/b.yaml"]) == 5
    captured = capsys.readouterr()
    assert "bad.yaml" in captured.err
    assert captured.out


@pytest.mark.parametrize("arguments", [["unknown"], ["ls", "--unknown"], ["diff"]])
def test_wrong_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage, as every command."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)

    assert raised.value.code == 2
    assert "usage: llm-strategy" in capsys.readouterr().err


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which commands there are."""
    assert main([]) == 0
    assert "compare cassettes" in capsys.readouterr().out


def keys(path: Path) -> list[str]:
    return [call.key for call in Cassette(path)]


def test_show_takes_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first eight digits are enough; every recording with the key is shown, from all files of the folder."""
    key = keys(folder / "shop" / "a.yaml")[1]
    shutil.copy(folder / "shop" / "a.yaml", folder / "copy.yaml")

    assert main(["show", key[:8]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("===")] == [
        f"=== {path}: count (test:counter), key {key[:12]}" for path in ("cassettes/copy.yaml", "cassettes/shop/a.yaml")
    ]
    assert main(["show", "--json", key.upper(), "--in", "cassettes/shop"]) == 0
    assert json.loads(capsys.readouterr().out)["response"]["content"] == reply(2)


def test_ls_takes_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It lists the files in which a call is recorded."""
    key = keys(folder / "b.yaml")[0]
    shutil.copy(folder / "b.yaml", folder / "copy.yaml")

    assert main(["ls", key[:8]]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()[:-1]] == [
        "cassettes/b.yaml",
        "cassettes/copy.yaml",
    ]


def test_a_key_that_is_not_there_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 3, with the folder that was searched; fewer than eight digits are a file's name."""
    assert main(["show", "00000000"]) == 3
    assert "no recording in cassettes has a key that begins with 00000000" in capsys.readouterr().err
    assert main(["show", "00000000", "--in", "elsewhere"]) == 3
    assert "there is no folder elsewhere" in capsys.readouterr().err
    assert main(["show", "0000000"]) == 3
    assert "there is no cassette at 0000000" in capsys.readouterr().err


def test_a_prefix_of_several_keys_lists_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 2, with each key, its function and its place."""
    one = keys(folder / "b.yaml")[0]
    other = one[:10] + one[10:].translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    twin = (folder / "b.yaml").read_text().replace(one, other)
    (folder / "twin.yaml").write_text(twin)

    assert main(["show", one[:9]]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"2 keys begin with {one[:9]}; give more digits of one:\n")
    assert all(f"  {key}  count ({folder}" in captured.err for key in (one, other))
    assert main(["show", one[:11]]) == 0


def test_what_show_prints_is_scrubbed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where a file holds a credential that was written into it by hand."""
    edit(folder / "b.yaml", reply(1), "The key is sk-proj-0123456789abcdef0123456789abcdef.")
    assert main(["verify", "--accept", "cassettes/b.yaml"]) == 0
    capsys.readouterr()
    for options in ([], ["--json"]):
        assert main(["show", *options, "cassettes/b.yaml"]) == 0
        assert "The key is <openai-key>." in capsys.readouterr().out


def test_the_command_needs_neither_provider_nor_pytest() -> None:
    """It starts where only the library is installed."""
    program = (
        "import sys; from llm_strategy.cli import main; main(['ls', 'none']); "
        "print([name for name in ('openai', 'pytest', 'langchain_core', 'hypothesis') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=plain_environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    """`llm-strategy show | head` ends quietly."""
    record(Path("cassettes/long.yaml"), *range(100))
    with subprocess.Popen(
        [*COMMAND, "show", "cassettes/long.yaml"],
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
