"""Whatever happens to a credential on its way through a test run, nothing that the run leaves behind shows it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_strategy.known_secrets import known
from tests.faults.conftest import Faults
from tests.llm_strategy.loopback import Loopback, Reply, Seen, failure, streaming
from tests.llm_strategy.programs import output, plain_environment

SECRET = 'T0p&"secret"/välue+\\of.the_shop~'
KEY = "unlike-any-shape-0f-a-key"

WAYS = '''
import base64, json, logging, os, subprocess, sys, urllib.parse, warnings
import pytest
from openai import OpenAI
from llm_strategy import Volatile, llm_strategy, use_cassette

SECRET = os.environ["SHOP_PASSWORD"]
pytestmark = pytest.mark.filterwarnings("default")


@llm_strategy("openai:loopback", retries=0)
def find(query: str, token: Volatile[str] = "") -> str:
    """Find it."""
    raise NotImplementedError


@llm_strategy("openai:loopback", retries=0)
def count(query: str) -> int:
    """Count it."""
    raise NotImplementedError


@llm_strategy("openai:loopback", retries=0)
def tell(query: str) -> "Iterator[str]":
    """Tell it."""
    raise NotImplementedError


def test_argument():
    find(f"the argument {SECRET}")


@pytest.mark.parametrize("query", [f"a parameter {SECRET}"], ids=["id"])
def test_parameter(query):
    find(query)


def test_volatile(llm_calls, record_property):
    record_property("told", find("volatile", SECRET))
    print("printed", SECRET, urllib.parse.quote(SECRET))
    print(base64.b64encode(SECRET.encode()).decode(), file=sys.stderr)
    logging.getLogger().error("logged %s", SECRET)
    warnings.warn(f"warned {SECRET}")
    local = {"a local": SECRET, "long": "x" * 230 + SECRET + "y" * 230}
    assert llm_calls == [], SECRET


def test_reply(llm_calls):
    told = find("the reply")
    assert told == "other"


def test_stream():
    assert "".join(tell("the stream")) == "other"


def test_reply_error():
    count("a reply that does not fit")


def test_refused_key():
    find("refused")


def test_error_body():
    find("an error")


@pytest.mark.llm_cassette(http=True)
@pytest.mark.parametrize("stream", [False, True])
def test_http(stream):
    client = OpenAI(default_headers={"x-shop": os.environ["OPENAI_API_KEY"]}, default_query={"token": SECRET, "shop": SECRET}, max_retries=0)
    asked = [{"role": "user", "content": "http" + " stream" * stream}]
    reply = client.chat.completions.create(model="gpt-5-mini", messages=asked, stream=stream)
    assert (list(reply) if stream else reply) == "other"


@pytest.mark.llm_cassette(http=True)
def test_http_body():
    client = OpenAI(max_retries=0)
    client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": f"a body {SECRET}"}])


def test_block():
    with use_cassette("cassettes/block.yaml"):
        find("the block")


def test_child():
    program = "import test_ways; test_ways.find('the child ' + test_ways.SECRET)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not done.returncode, done.stderr


def test_snapshot(llm_calls, prompt_snapshot):
    try:
        find(f"the snapshot {SECRET}")
    except Exception:
        pass
    requests = [find.request(f"a request {SECRET}")]
    assert requests == prompt_snapshot


@pytest.fixture(scope="module")
def wide():
    return find("the fixture")


def test_fixture(wide):
    assert wide == "other"
'''.replace("import pytest\n", "import pytest\nfrom collections.abc import Iterator\n", 1).replace(
    '"Iterator[str]"', "Iterator[str]"
)


def provider() -> Loopback:
    """Repeats the secret in every answer, in each of its forms, and in each error."""
    encoded = base64.b64encode(f"user:{SECRET}".encode()).decode()
    said = f"It is {SECRET}, {encoded} and {KEY}."

    def answer(seen: Seen) -> str | Reply:
        asked = seen.body["messages"][-1]["content"]
        if "refused" in asked:
            return failure(401, f"Incorrect API key provided: {KEY}")
        if "an error" in asked:
            return failure(400, f"You said {said}", x_shop="1")
        text = json.dumps({"return_value": said})
        if seen.body.get("stream"):
            return streaming(*(text[at : at + 5] for at in range(0, len(text), 5)))
        return text

    return Loopback(*[answer] * 100)


def forms() -> Iterator[str]:
    """Every form of the two secrets that the library looks for, and how they begin and end."""
    for form, _ in known().forms:
        yield form
    for secret in (SECRET, KEY):
        yield from (secret[:9], secret[-9:])


def leaks(folder: Path, *texts: str) -> list[tuple[str, str]]:
    """Where a form of a secret stands: a file, or the number of a text."""
    places = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    places |= {f"output {number}": text.encode() for number, text in enumerate(texts)}
    return [(place, form) for place, data in places.items() for form in forms() if form.encode() in data]


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project; what the run leaves in the folder for temporary files is in it, too."""
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "LLM_STRATEGY_RECORD", "LLM_STRATEGY_REDACT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (pytester.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path / "tmp"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (pytester.path / "test_ways.py").write_text(WAYS, "utf-8")
    return pytester.path


OPTIONS = ("-p", "no:langsmith_plugin", "-p", "no:randomly", "-rA", "--showlocals", "--junitxml=report.xml", "-vv")


def test_a_credential_is_in_nothing_that_a_run_leaves(
    folder: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    """Driven through argument, reply, error, header and address: no file, no report, no line that is printed has it."""
    found: list[tuple[str, str]] = []
    with provider() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        for options in (("--llm-record", "--snapshot-update"), (), ("--tb=native",), ("-n2",))[: faults.trials(2, 4)]:
            done = pytester.runpytest_subprocess(*OPTIONS, *options)
            found += leaks(folder, str(done.stdout), str(done.stderr))
        assert any(seen.headers.get("x-shop") == KEY and "token=T0p" in seen.path for seen in server.requests)

    report = (folder / "report.xml").read_text("utf-8")
    assert "SHOP_PASSWORD" in report
    assert (folder / "cassettes" / "test_ways" / "test_reply.yaml").exists()
    faults.figures("a credential on its way through a test run", ways=WAYS.count("\ndef test_"), leaked=len(found))
    assert found == []


USERS = '''
import os, pathlib, tempfile
from llm_strategy import llm_strategy


@llm_strategy("openai:loopback")
def find(path: str, note: str = "") -> str:
    """Find it."""
    raise NotImplementedError


def test_paths(tmp_path, llm_calls, prompt_snapshot):
    find(str(pathlib.Path.home() / "notes.txt"), f"{tempfile.gettempdir()}/x and {tmp_path}/y")
    assert llm_calls == prompt_snapshot
'''


def run_as(user: str, folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with another home, name and folder for temporary files."""
    home = folder / "homes" / user
    (home / "tmp").mkdir(parents=True)
    own = {"HOME": str(home), "USER": user, "LOGNAME": user, "USERNAME": user, "TMPDIR": str(home / "tmp")}
    kept = {name: value for name, value in plain_environment().items() if not name.startswith("SHOP_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, "-p", "no:cacheprovider", *options],
        cwd=folder / "project",
        env={**kept, **own, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "keys", [{}, {"SHOP_PASSWORD": "another-password", "OPENAI_API_KEY": "another-key-of-another"}]
)
def test_another_user_replays_what_one_has_recorded(keys: dict[str, str], tmp_path: Path) -> None:
    """Other home, name, temporary folder and keys: equal keys, and no trace of the first user in any file."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "project" / "test_ways.py").write_text(USERS, "utf-8")
    home = tmp_path / "homes" / "ada.first"
    told = f"In /srv/ada.first/shop, {home}/notes.txt and /home/ada.first it says {SECRET}."
    with Loopback(json.dumps({"return_value": told})) as server:
        first = {"SHOP_PASSWORD": SECRET, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
        recorded = run_as("ada.first", tmp_path, "--llm-record", "--snapshot-update", **first)
    replayed = run_as("ben.second", tmp_path, **keys)

    assert (recorded.returncode, replayed.returncode) == (0, 0), recorded.stdout + replayed.stdout
    written = [path for name in ("cassettes", "__snapshots__") for path in (tmp_path / "project" / name).rglob("*.*")]
    assert len([path for path in written if path.suffix in (".yaml", ".md")]) == 2
    for path in written:
        text = path.read_text("utf-8") if path.is_file() else ""
        assert not [trace for trace in ("ada.first", str(tmp_path), "of.the_shop") if trace in text], text


def test_every_rule_is_done_in_time_with_hostile_text(faults: Faults) -> None:
    """Each anchor, with what may follow it, repeated: no pattern looks at the same text again and again."""
    program = """
    from llm_strategy.redaction import PATHS, compiled
    from llm_strategy.secret_rules import PRIVATE_KEY, SECRETS

    for rule in (PRIVATE_KEY, *SECRETS, *PATHS):
        for unit in (*rule.anchors, *(example[:-1] for example in rule.examples[:2])):
            for text in (unit, unit + "a", unit + "1 ", unit + "-", unit + '=:"', unit + "\\\\n", unit[: len(unit) // 2]):
                compiled(rule.pattern).sub(rule.replacement, (text * (SIZE // len(text) + 1))[:SIZE])
        for end in ("a", "1", " ", "=", "a1", "-", "/", "A"):
            compiled(rule.pattern).sub(rule.replacement, rule.anchors[0] + end * SIZE)
    print("done")
    """
    size = faults.trials(20_000, 1_000_000)
    assert output(program.replace("SIZE", str(size))) == "done"
    faults.figures("hostile text for the rules of secrets", characters=size, finished=True)
