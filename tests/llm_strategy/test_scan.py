"""`llm-strategy scan`: secrets in files that are written already are found, never printed, and taken out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from llm_strategy import Cassette, ChatChain, llm_strategy, use_cassette
from llm_strategy.cli import main
from llm_strategy.secret_rules import mixed
from tests.llm_strategy.answers import counting
from tests.llm_strategy.programs import plain_environment

KEY = "sk-" + mixed(48)
SECRET = "correct-horse-battery-7"

VCR = """\
interactions:
- request:
    body: '{"messages": [{"role": "user", "content": "I am {secret}"}]}'
    headers:
      Authorization:
      - Bearer abcdefgh-1234
      Cookie: ['a=b', "c=d"]
      x-api-key: "short"
      content-type:
      - application/json
      User-Agent: [test]   # a comment
    uri: https://api.openai.com/v1/chat/completions?sig={key}
  response:
    body:
      string: |-
        authorization:
        - is no header here
    headers:
      set-cookie:
      - __cf_bm=abc; path=/; expires=Thu, 01-Jan-26 00:00:00 GMT; domain=.api.openai.com;
        HttpOnly; Secure
      - _cfuvid=def
      openai-organization: [my-company]
      x-goog-api-key: [REDACTED]
      api-key:
      - <api-key>
    status: {code: 200, message: OK}
version: 1
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, with a credential in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    return tmp_path


def vcr(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(VCR.replace("{secret}", SECRET).replace("{key}", mixed(40)), "utf-8")
    return path


def test_what_is_found_is_named_and_never_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line, kind, and of the secret only how all of its kind begin, and its length."""
    (project / "cassettes").mkdir()
    (project / "cassettes" / "a.txt").write_text(f"Hello.\n\nMy key is {KEY}, and {SECRET}.\nlast: {KEY}")

    assert main(["scan"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "cassettes/a.txt:3: OpenAI and servers like it (DeepSeek, OpenRouter) sk-… (51 characters)",
        "cassettes/a.txt:3: value of SHOP_PASSWORD (23 characters)",
        "cassettes/a.txt:4: OpenAI and servers like it (DeepSeek, OpenRouter) sk-… (51 characters)",
    ]
    assert "3 secrets; to take them out: llm-strategy scan --fix" in printed.err
    assert main(["scan", "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out.splitlines()[1]) == {
        "file": "cassettes/a.txt",
        "line": 3,
        "kind": "value of SHOP_PASSWORD",
        "hint": "(23 characters)",
    }
    for text in (KEY, SECRET, KEY[:9], SECRET[:5]):
        assert text not in printed.out + printed.err


def test_exit_codes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 clean, 1 found, 2 usage, 3 missing."""
    assert main(["scan"]) == 3
    (project / "cassettes").mkdir()
    assert main(["scan"]) == 0
    assert main(["scan", "missing.yaml"]) == 3
    assert main(["scan", "--redact", "("]) == 2
    assert "line 1 is no regular expression: '('" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["scan", "--unknown"])
    snapshots = project / "tests" / "__snapshots__" / "test_x"
    snapshots.mkdir(parents=True)
    (snapshots / "test_y.md").write_text(f"```text\n{KEY}\n```\n")
    assert main(["scan"]) == 1


def test_headers_of_other_recorders_are_secrets_by_their_name(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever their values look like; only under `headers`, and not what a filter has replaced already."""
    assert main(["scan", str(vcr(project / "a.yaml"))]) == 1
    found = [line.partition(": ")[2].partition(" (")[0] for line in capsys.readouterr().out.splitlines()]

    assert found == [
        "value of SHOP_PASSWORD",
        "header authorization",
        "header cookie",
        "header cookie",
        "header x-api-key",
        "signed URL",
        "header set-cookie",
        "header set-cookie",
        "header openai-organization",
    ]


def test_another_recorders_file_is_fixed_without_reformatting_it(project: Path) -> None:
    """Only the values change; the file reads as before, and a second run finds nothing."""
    path = vcr(project / "a.yaml")
    before = yaml.safe_load(path.read_text("utf-8"))

    assert main(["scan", "--fix", str(path)]) == 1
    after = yaml.safe_load(path.read_text("utf-8"))
    request, response = after["interactions"][0]["request"], after["interactions"][0]["response"]
    assert request["headers"] == before["interactions"][0]["request"]["headers"] | {
        "Authorization": ["<authorization>"],
        "Cookie": ["<cookie>", "<cookie>"],
        "x-api-key": "<x-api-key>",
    }
    assert json.loads(request["body"])["messages"][0]["content"] == "I am <SHOP_PASSWORD>"
    assert request["uri"].endswith("?sig=<signature>")
    assert response["body"] == before["interactions"][0]["response"]["body"]
    assert response["headers"]["set-cookie"] == ["<set-cookie>", "<set-cookie>"]
    assert "   # a comment\n" in path.read_text("utf-8")
    assert main(["scan", str(path)]) == 0


PASSPHRASE = """it's a "bättery" staple\nin two lines"""


@pytest.mark.parametrize("is_unicode", [False, True], ids=["escaped", "unicode"])
@pytest.mark.parametrize(
    ("body", "fixed"),
    [
        (f'{{"api_key": "{mixed(40)}"}}', '{"api_key": "<api-key>"}'),
        (f"Bearer {mixed(30)} it is", "Bearer <token> it is"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{mixed(64)}\n-----END RSA PRIVATE KEY-----", "<private-key>"),
        (f"say {PASSPHRASE} twice", "say <SHOP_PASSPHRASE> twice"),
        (f"Größe: {PASSPHRASE}", "Größe: <SHOP_PASSPHRASE>"),
    ],
    ids=["name and key", "two words", "lines", "credential", "credential beside other letters"],
)
def test_a_secret_that_yaml_writes_on_two_lines_is_found(
    body: str, fixed: str, is_unicode: bool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the line ends, with escapes and doubled quotes; a fix leaves YAML with the same text around it."""
    monkeypatch.setenv("SHOP_PASSPHRASE", PASSPHRASE)
    bodies = ["x " * words + body for words in range(0, 44, 3)]
    path = project / "a.yaml"
    path.write_text(yaml.dump(bodies, allow_unicode=is_unicode), "utf-8")

    assert main(["scan", "--fix", str(path)]) == 1
    assert yaml.safe_load(path.read_text("utf-8")) == ["x " * words + fixed for words in range(0, 44, 3)]
    assert main(["scan", str(path)]) == 0


def test_a_credential_of_several_lines_in_a_block_is_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cassette writes a reply as an indented block."""
    monkeypatch.setenv("SHOP_PASSPHRASE", PASSPHRASE)
    path = project / "a.yaml"
    lines = PASSPHRASE.replace("\n", "\n    ")
    path.write_text(f"response:\n  content: |-\n    It is {lines}.\n", "utf-8")

    assert main(["scan", "--fix", str(path)]) == 1
    assert path.read_text("utf-8") == "response:\n  content: |-\n    It is <SHOP_PASSPHRASE>.\n"


def test_a_mark_of_the_byte_order_stays(project: Path) -> None:
    """Editors of Windows put it before a file; what stands behind it is found in its place."""
    path = project / "a.yaml"
    path.write_text("\ufeffheaders:\n  authorization: [abc]\n", "utf-8")

    assert main(["scan", "--fix", str(path)]) == 1
    assert path.read_text("utf-8") == '\ufeffheaders:\n  authorization: ["<authorization>"]\n'


def test_recordings_in_json_are_fixed_too(project: Path) -> None:
    """With escapes that YAML does not know, and line ends of Windows, which stay."""
    headers = {"Authorization": ["Bearer [x]-1"], "content-type": ["application/json"]}
    recorded = {"interactions": [{"request": {"headers": headers, "body": f"😀 {SECRET} \\ {KEY}"}}]}
    path = project / "a.json"
    path.write_bytes(json.dumps(recorded, indent=1).replace("\n", "\r\n").encode())

    assert main(["scan", "--fix", str(path)]) == 1
    fixed = json.loads(path.read_bytes())["interactions"][0]["request"]
    assert fixed["headers"] == {**headers, "Authorization": ["<authorization>"]}
    assert fixed["body"] == "😀 <SHOP_PASSWORD> \\ <openai-key>"
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") > 5
    assert main(["scan", str(path)]) == 0


MODEL = counting()


@llm_strategy(MODEL)
def login(token: str) -> int:
    """Log in."""
    raise NotImplementedError


def without_rules(path: Path, secret: str, project: Path) -> None:
    """Record as an older version did, that did not know this kind of secret: its key is that of the plain request."""
    program = f"""
    from llm_strategy import redaction
    redaction._WORDS = ()
    from tests.llm_strategy.test_scan import login
    from llm_strategy import use_cassette

    with use_cassette({str(path)!r}, "new"):
        print(login({secret!r}), login({secret!r}), login("public"))
    """
    import textwrap

    command = [sys.executable, "-c", textwrap.dedent(program)]
    subprocess.run(command, check=True, env=plain_environment(), cwd=project, capture_output=True, timeout=60)


def test_a_fixed_cassette_replays(project: Path) -> None:
    """A recorded request that held a secret has the key that today's program asks with, which has a placeholder there."""
    path = project / "cassettes" / "x.yaml"
    without_rules(path, KEY, project)
    assert path.read_text("utf-8").count(KEY) == 2

    assert main(["scan", "--fix"]) == 1
    assert main(["verify"]) == 0
    assert main(["scan"]) == 0
    assert KEY not in path.read_text("utf-8")
    with use_cassette(path):
        assert [login(KEY), login(KEY), login("public")] == [1, 2, 3]
    with use_cassette(path):
        # Another key is the same request: that is what placeholders are for.
        assert login("sk-" + mixed(49)[1:]) == 1


def test_a_reply_that_held_a_secret_is_signed_anew(project: Path) -> None:
    """Unless somebody had edited it: that is for `verify --accept` to decide."""
    path = project / "cassettes" / "x.yaml"
    with use_cassette(path, "new"):
        ChatChain(counting()).query("Hello")
        ChatChain(counting()).query("Bye")
    kept = Cassette(path)[1].response.content
    text = path.read_text("utf-8").replace('{"return_value": 1}', f'{{"return_value": "{KEY} {SECRET}"}}', 1)
    path.write_text(text, "utf-8")
    assert main(["verify", "--accept"]) == 0

    assert main(["scan", "--fix"]) == 1
    assert main(["verify"]) == 0
    assert Cassette(path)[0].response.content == '{"return_value": "<openai-key> <SHOP_PASSWORD>"}'
    assert Cassette(path)[1].response.content == kept
    path.write_text(path.read_text("utf-8").replace("<openai-key>", f"edited {KEY}"), "utf-8")
    assert main(["scan", "--fix"]) == 1
    assert main(["verify"]) == 5


def test_a_credential_in_a_recorded_prompt_keeps_its_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program asks with the value itself, which no machine but this knows to be a secret."""
    monkeypatch.delenv("SHOP_PASSWORD")
    path = project / "cassettes" / "x.yaml"
    with use_cassette(path, "new"):
        recorded = login(SECRET)
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)

    assert main(["scan", "--fix"]) == 1
    assert SECRET not in path.read_text("utf-8")
    assert main(["verify"]) == 0
    with use_cassette(path):
        assert login(SECRET) == recorded


def test_header_function_and_unknown_fields_are_fixed(project: Path) -> None:
    """Everything in a cassette is text that people read."""
    path = project / "cassettes" / "x.yaml"
    with use_cassette(path, "new"):
        login("public")
    text = path.read_text("utf-8").replace('answered_by: "', f'answered_by: "{KEY} ')
    text = text.replace("request_digest:", f'note: "{SECRET}"\nrequest_digest:')
    path.write_text(text.replace('function: "login"', f'function: "login{SECRET}"'), "utf-8")

    assert main(["scan", "--fix"]) == 1
    text = path.read_text("utf-8")
    for expected in ('answered_by: "<openai-key> ', 'note: "<SHOP_PASSWORD>"', 'function: "login<SHOP_PASSWORD>"'):
        assert expected in text
    assert main(["scan"]) == 0
    assert main(["verify"]) == 0


def test_exceptions_and_expressions_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By option, or by the environment variable; a value of the environment is found all the same."""
    path = project / "a.txt"
    path.write_text(f"customer-123 {KEY} {SECRET}\n")

    assert main(["scan", "a.txt", "--redact", r"customer-\d+", "--redact", "!sk-", "--redact", "!horse"]) == 1
    kinds = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["llm_redact (12 characters)", "value of SHOP_PASSWORD (23 characters)"]
    monkeypatch.setenv("LLM_STRATEGY_REDACT", "!sk-")
    assert main(["scan", "a.txt", "--fix"]) == 1
    assert path.read_text() == f"customer-123 {KEY} <SHOP_PASSWORD>\n"
    assert main(["scan", "a.txt"]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "headers:\n  authorization: " + "[" * 100_000,
        "headers: &a\n  authorization: [*a, !!python/object/apply:os.system ['false']]\n",
        "headers:\n  authorization:\n" + "- " * 5_000 + "x\n",
        "headers: {authorization: " * 1_000,
        "{" + '"authorization": ["' * 20_000,
        "authorization: \x01\x02 \udcff",
    ],
    ids=["brackets", "tags", "dashes", "braces", "json", "controls"],
)
def test_hostile_files_are_looked_into_all_the_same(text: str, project: Path) -> None:
    """Nothing in them runs, nothing crashes, and a secret behind what cannot be read is found."""
    path = project / "a.yaml"
    path.write_bytes(f"{text}\n# {KEY}\n".encode("utf-8", "surrogateescape"))

    assert main(["scan", "a.yaml", "--fix"]) == 1
    assert KEY.encode() not in path.read_bytes()


def test_binary_files_are_passed_over(project: Path) -> None:
    """What looks like a key in an image is chance."""
    (project / "a.png").write_bytes(b"\x89PNG\0\0" + KEY.encode())
    assert main(["scan", "a.png"]) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, as what cannot be read, and the other files are looked into."""
    os.mkfifo(project / "a.yaml")
    (project / "b.yaml").write_text(KEY)

    assert main(["scan", "."]) == 5
    printed = capsys.readouterr()
    assert "a.yaml is no ordinary file" in printed.err
    assert "b.yaml:1: OpenAI" in printed.out


def test_a_folder_that_cannot_be_listed_does_not_count_as_clean(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, as what cannot be read, and so is a path that no file can have."""
    # Nobody, not even root, can list a folder by a path as long as that.
    monkeypatch.chdir(project)
    for _ in range(20):
        Path("x" * 250).mkdir()
        monkeypatch.chdir("x" * 250)
    monkeypatch.chdir(project)

    assert main(["scan", "x" * 250]) == 5
    assert "File name too long" in capsys.readouterr().err
    assert main(["scan", "x" * 300]) == 5
    assert "File name too long" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_links_stay_links(project: Path) -> None:
    """The file that is meant is fixed."""
    (project / "real.txt").write_text(KEY)
    (project / "link.txt").symlink_to("real.txt")
    assert main(["scan", "--fix", "link.txt"]) == 1
    assert (project / "link.txt").is_symlink()
    assert (project / "real.txt").read_text() == "<openai-key>"


RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no real recordings at {RECORDINGS}")
def test_real_recordings_of_vcrpy(project: Path) -> None:
    """Found are headers only; a fix changes nothing else, and leaves the same data."""
    shutil.copytree(RECORDINGS, project / "r")
    before = {path: yaml.safe_load(path.read_text("utf-8")) for path in (project / "r").rglob("*.yaml")}
    assert main(["scan", "r", "--fix"]) == 1
    for path, recorded in before.items():
        assert same(recorded, yaml.safe_load(path.read_text("utf-8")))
    assert main(["scan", "r"]) == 0


def same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(other, str) and re.fullmatch("<[a-z-]+>", other) is not None)
