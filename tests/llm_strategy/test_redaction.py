"""What is never written down: keys of providers, credentials of this machine, home and temporary folders."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from llm_strategy import (
    ChatChain,
    Message,
    Request,
    ScriptedModel,
    SecretFound,
    Volatile,
    llm_strategy,
    use_cassette,
)
from llm_strategy.redaction import find_known, placeholders, scrub
from tests.llm_strategy.answers import counting, reply

VALUE = 'correct-"horse"-bättery\\staple'
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd"

KEYS: dict[str, tuple[str, str]] = {
    "openai": (f"sk-{LETTERS[:48]}", "<openai-key>"),
    "openai project": (f"sk-proj-{LETTERS}", "<openai-key>"),
    "anthropic": (f"sk-ant-api03-{LETTERS}", "<anthropic-key>"),
    "google": (f"AIza{LETTERS[:35]}", "<google-key>"),
    "aws": ("AKIAIOSFODNN7EXAMPLE", "<aws-key-id>"),
    "hugging face": (f"hf_{LETTERS[:34]}", "<huggingface-token>"),
    "groq": (f"gsk_{LETTERS[:52]}", "<groq-key>"),
    "github": (f"ghp_{LETTERS[:36]}", "<github-token>"),
    "github, fine-grained": (f"github_pat_{LETTERS}", "<github-token>"),
    "slack": (f"xoxb-{LETTERS[:20]}", "<slack-token>"),
    "jwt": ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4", "<jwt>"),
    "bearer": (f"Bearer {LETTERS[:30]}", "Bearer <token>"),
    "password in an address": ("https://user:secret-word@example.com/x", "https://<credentials>@example.com/x"),
    "signed address": (
        "https://x.org/a?X-Amz-Signature=0123456789abcdef",
        "https://x.org/a?X-Amz-Signature=<signature>",
    ),
    "private key": ("-----BEGIN RSA PRIVATE KEY-----\nMII\n\nabc\n-----END RSA PRIVATE KEY-----", "<private-key>"),
}


@pytest.mark.parametrize(("secret", "placeholder"), KEYS.values(), ids=KEYS)
def test_a_key_of_a_known_shape_is_a_placeholder_in_file_and_key(secret: str, placeholder: str, tmp_path: Path) -> None:
    """So that a key in test data does not get published, and another person's key replays the recording."""
    text = f"Use {secret} please."
    request = Request("openai:any", (Message("user", text),))

    assert placeholders(text) == f"Use {placeholder} please."
    assert request.key == Request("openai:any", (Message("user", f"Use {placeholder} please."),)).key

    with use_cassette(tmp_path / "x.yaml", "new"):
        ChatChain(counting()).query(text)
    written = (tmp_path / "x.yaml").read_text("utf-8")
    assert secret not in written
    assert placeholder in written


ORDINARY = [
    "task-list-of-many-things-to-do-today",
    "sk-learn",
    "a risk-averse-investor-with-long-words",
    "the bearer of news",
    "https://example.com/home/page?x=1",
    "https://example.com:8080/a@b",
    "eyJ.eyJ.x",
    "/homework/a",
    "/tmpfs/a",
    "./tmp/a",
    "a/tmp/b",
    "C:\\Windows\\x",
    "skip-tests-and-continue-with-others",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """What only resembles a key or a home folder is no secret."""
    assert placeholders(text) == text


PATHS: list[tuple[str, str]] = [
    ("/home/alice/notes.txt", "<home>/notes.txt"),
    ("/home/alice", "<home>"),
    ("in /home/alice, and (/home/j.doe).", "in <home>, and (<home>)."),
    ('{"path": "/home/alice/a b/c"}', '{"path": "<home>/a b/c"}'),
    ("file:///home/alice/x", "file://<home>/x"),
    ("/Users/bob/x and /root/y and /root", "<home>/x and <home>/y and <home>"),
    ("C:\\Users\\bob\\x", "<home>\\x"),
    ('"C:\\\\Users\\\\bob\\\\x"', '"<home>\\\\x"'),
    ("C:\\Users\\bob\\AppData\\Local\\Temp\\x", "<tmp>\\x"),
    ("/tmp/x, /tmp, /var/tmp/y", "<tmp>/x, <tmp>, <tmp>/y"),
    ("/private/var/folders/ab/cdef_1234/T/x", "<tmp>/x"),
    ("/tmp/tmpab_1xyz9/x", "<tmp>/<random>/x"),
    ("/tmp/pytest-of-bob/pytest-12/test_a0/x", "<tmp>/pytest/test_a/x"),
    ("/tmp/pytest-of-bob/pytest-12/popen-gw3/test_a12", "<tmp>/pytest/test_a"),
]


@pytest.mark.parametrize(("text", "placeholder"), PATHS)
def test_home_and_temporary_folders_are_placeholders(text: str, placeholder: str) -> None:
    """Of whatever system: the same recording replays as another user and elsewhere."""
    assert placeholders(text) == placeholder


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        quote(VALUE, safe=""),
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(VALUE.encode()).decode().rstrip("="),
        'correct-\\"horse\\"-bättery\\\\staple',
        'correct-\\"horse\\"-b\\u00e4ttery\\\\staple',
    ],
    ids=["plain", "in an address", "base64", "base64 without padding", "in JSON", "in ASCII JSON"],
)
def test_a_credential_of_the_environment_is_found_in_every_form(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, and as an address, a header or JSON holds it."""
    monkeypatch.setenv("SHOP_API_KEY", VALUE)

    assert find_known(f"say {form} twice") == "SHOP_API_KEY"
    assert scrub(f"say {form} twice") == "say <SHOP_API_KEY> twice"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHOP_API_KEY", "short"),
        ("SHOP_TITLE", "correct-horse-battery"),
        ("GIT_AUTHOR_NAME", "Ada Lovelace, Countess"),
        ("AUTHORS", "Ada Lovelace, Countess"),
        ("SSL_KEY_FILE", __file__),
    ],
)
def test_what_is_no_credential_may_be_written(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short values, other variables, people's names and existing files stand in ordinary text."""
    monkeypatch.setenv(name, value)

    assert find_known(f"say {value} twice") is None


@pytest.mark.parametrize(
    "name", ["AUTHORIZATION", "PROXY_AUTH", "DB_PASSWORD", "DB_PASSWD", "github_token", "MY_SECRET"]
)
def test_a_credential_is_told_by_the_name_of_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In upper and lower case."""
    monkeypatch.setenv(name, "correct-horse-battery")

    assert find_known("say correct-horse-battery") == name


MODEL = counting()


@llm_strategy(MODEL)
def login(password: str, note: Volatile[str] = "") -> int:
    """Log in."""
    raise NotImplementedError


def test_a_credential_in_an_argument_is_refused_when_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names argument, function and variable; nobody is asked, and nothing is written."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)
    asked = len(MODEL.requests)

    for mode in ("new", "all"):
        with use_cassette(tmp_path / "x.yaml", mode), pytest.raises(SecretFound) as raised:
            login(VALUE)
        assert "the argument 'password' of login" in str(raised.value)
        assert "SHOP_PASSWORD" in str(raised.value)
        assert VALUE not in str(raised.value)
    assert len(MODEL.requests) == asked
    assert not (tmp_path / "x.yaml").exists()


def test_a_credential_in_a_volatile_argument_is_sent_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out that the error names."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)

    with use_cassette(tmp_path / "x.yaml", "new"):
        login("public", VALUE)

    assert "bättery" in MODEL.requests[-1].messages[-1].content
    assert "bättery" not in (tmp_path / "x.yaml").read_text("utf-8")


def test_a_credential_in_a_conversation_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the question or in what was said before."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)
    before = ChatChain(counting(), (Message("user", f"My password is {VALUE}."),))

    with use_cassette(tmp_path / "x.yaml", "new"):
        for ask in (lambda: before.query("Hello?"), lambda: ChatChain(counting()).query(f"Is {VALUE} good?")):
            with pytest.raises(SecretFound, match="holds the value of the environment variable SHOP_PASSWORD"):
                ask()
    assert not (tmp_path / "x.yaml").exists()


def test_a_credential_hinders_neither_replay_nor_live_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is published there."""
    with use_cassette(tmp_path / "x.yaml", "new"):
        recorded = login("a public word that someone uses as a password")
    monkeypatch.setenv("SHOP_PASSWORD", "a public word that someone uses as a password")

    with use_cassette(tmp_path / "x.yaml", "replay"):
        assert login("a public word that someone uses as a password") == recorded
    with use_cassette(tmp_path / "y.yaml", "live"):
        assert login("a public word that someone uses as a password") > 0


def test_a_credential_in_a_response_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets it, the file does not; what is replayed has the placeholder."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)

    @llm_strategy(ScriptedModel([reply(f"it is {VALUE}!")], recorded=True))
    def tell(text: str) -> str:
        """Tell it."""
        raise NotImplementedError

    with use_cassette(tmp_path / "x.yaml", "new"):
        assert tell("a") == f"it is {VALUE}!"
    with use_cassette(tmp_path / "x.yaml", "replay"):
        assert tell("a") == "it is <SHOP_PASSWORD>!"
    assert "bättery" not in (tmp_path / "x.yaml").read_text("utf-8")


def test_a_credential_does_not_change_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a recording would replay only where the variable has the same value."""
    request = Request("openai:any", (Message("user", "a word that may be a password"),))
    monkeypatch.setenv("SHOP_PASSWORD", "a word that may be a password")

    assert Request("openai:any", request.messages).key == request.key
